echo nonsense > run.jsonl
"$QAGENT" replay run.jsonl
