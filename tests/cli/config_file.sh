# Priority: command line over environment over config file.
mkdir -p "$XDG_CONFIG_HOME/qagent"
echo '{"model": "from-config.gguf"}' >"$XDG_CONFIG_HOME/qagent/config.json"
"$QAGENT" complete -p x
QAGENT_MODEL=from-environment.gguf "$QAGENT" complete -p x
QAGENT_MODEL=from-environment.gguf "$QAGENT" complete -p x -m from-command-line.gguf
echo '{"model": ' >"$XDG_CONFIG_HOME/qagent/config.json"
"$QAGENT" complete -p x
echo '{"seed": [1]}' >"$XDG_CONFIG_HOME/qagent/config.json"
"$QAGENT" complete -p x
