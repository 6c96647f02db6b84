# An option of later versions is named for what it is.
"$QAGENT" complete -p x --endpoint http://localhost:1
