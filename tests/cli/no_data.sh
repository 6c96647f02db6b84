# No network: one line that says where the file can be put.  The address answers nothing.
https_proxy=http://127.0.0.1:1 "$QAGENT" eval humaneval 2>err
code=$?
sed "s/gz': .*; put/gz': ...; put/" err >&2
exit $code
