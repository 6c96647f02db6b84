printf '{"task_id": "a/0", "prompt": "def f():\\n", "entry_point": "f", "canonical_solution": "    pass\\n", "test": "def check(c):\\n    pass\\n"}\n{"task_id": \n' >tasks.jsonl
"$QAGENT" eval tasks.jsonl --out run
