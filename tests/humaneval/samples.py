"""samples.py - completions to compare scorers with: right ones, mutants, edge cases.

The edge cases answer the first task of the mini suite, double_all(numbers).
"""
import ast
import copy
import json
import random
import textwrap

GOOD = "    return [2 * x for x in numbers]\n"

# name, completion
EDGES = [
    ("correct", GOOD),
    ("prints", "    print('hello')\n" + GOOD),
    ("crlf", GOOD.replace("\n", "\r\n")),
    ("form feed", "\f    return [2 * x for x in numbers]\n"),
    ("main guard", GOOD + "\nif __name__ == '__main__':\n    raise SystemExit(1)\n"),
    ("dataclass", GOOD + "\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\n"),
    ("opens a file", "    open('f.txt', 'w').write('x')\n    open('f.txt').read()\n" + GOOD),
    ("atexit", GOOD + "\nimport atexit\natexit.register(lambda: 1 / 0)\n"),
    ("thread", "    import threading\n    threading.Thread(target=lambda: None).start()\n" + GOOD),
    ("closerange", "    import os\n    os.closerange(3, 100)\n" + GOOD),
    ("redefined", "    pass\n\ndef double_all(n):\n    return [2 * x for x in n]\n"),
    ("beyond ascii", "    s = '\u00fc\u279e\U0001f600'\n" + GOOD),
    ("wrong", "    return numbers\n"),
    ("assert with text", "    assert False, 'my text'\n"),
    ("text of two lines", "    raise ValueError('one\\ntwo')\n"),
    ("text beyond ascii", "    raise ValueError('\u00fc\u279e\U0001f600')\n"),
    ("lone surrogate", "    raise ValueError('\\ud83d')\n"),
    ("long text", "    raise ValueError('x' * 3000)\n"),
    ("empty", ""),
    ("blank", "\n\n"),
    ("syntax error", "    return [2 * x for x in\n"),
    ("prose behind", GOOD + "\nThis doubles the numbers.\n"),
    ("fence behind", GOOD + "```\n"),
    ("dedented body", "return [2 * x for x in numbers]\n"),
    ("indented too far", "      y = 1\n    return y\n"),
    ("tabs and blanks", "    y = 1\n\treturn y\n"),
    ("future import", "    pass\nfrom __future__ import annotations\n"),
    ("nul byte", "    return '\0'\n"),
    ("byte-order mark", "\ufeff" + GOOD),
    ("unknown name", "    return foo(numbers)\n"),
    ("sys.exit", "    import sys\n    sys.exit()\n"),
    ("sys.exit(0)", "    import sys\n    sys.exit(0)\n"),
    ("SystemExit passed", "    raise SystemExit('passed')\n"),
    ("exit", "    exit()\n"),
    ("quit", "    quit()\n"),
    ("help", "    help()\n"),
    ("getcwd", "    import os\n    os.getcwd()\n"),
    ("remove", "    import os\n    os.remove('x')\n"),
    ("system", "    import os\n    os.system('true')\n"),
    ("popen", "    import subprocess\n    subprocess.run(['true'])\n"),
    ("rmtree", "    import shutil\n    shutil.rmtree('x')\n"),
    ("fork", "    import os\n    os.fork()\n"),
    ("import resource", "    import resource\n"),
    ("import psutil", "    import psutil\n"),
    ("recursion", "    return double_all(numbers)\n"),
    ("memory error", "    raise MemoryError\n"),
    ("too much memory", "    return [0] * 10**15\n"),
    ("input", "    input()\n"),
    ("stdin read", "    import sys\n    sys.stdin.read()\n"),
    ("stdin readline", "    import sys\n    sys.stdin.readline()\n"),
    ("keyboard interrupt", "    raise KeyboardInterrupt\n"),
    ("generator exit", "    raise GeneratorExit\n"),
    ("stdout buffer", "    import sys\n    sys.stdout.buffer.write(b'')\n"),
    ("fileno", "    import sys\n    sys.stdout.fileno()\n"),
    ("key error", "    {}['a']\n"),
    ("division", "    1 / 0\n"),
    ("name", "    raise ValueError(__name__)\n"),
    ("file", "    raise ValueError(__file__)\n"),
    ("globals", "    raise ValueError(sorted(globals()))\n"),
    ("argument count", "    pass\ndef double_all():\n    pass\n"),
    ("not callable", "    pass\ndouble_all = 3\n"),
    ("exception group", "    raise ExceptionGroup('g', [ValueError(1)])\n"),
    ("bad str", "    class E(Exception):\n        def __str__(self):\n            raise ValueError\n    raise E\n"),
    ("busy", "    while True:\n        pass\n"),
    ("sleep", "    import time\n    time.sleep(100)\n"),
    ("alarm cancelled", "    import signal\n    signal.setitimer(signal.ITIMER_REAL, 0)\n    while True:\n        pass\n"),
    ("os._exit", "    import os\n    os._exit(0)\n"),
    ("abort", "    import os\n    os.abort()\n"),
    ("segfault", "    import ctypes\n    ctypes.string_at(0)\n"),
    ("builtins gone", "    import builtins\n    del builtins.BaseException\n    raise ValueError\n"),
    ("always equal", "    class Any(list):\n        def __eq__(self, other):\n            return True\n    return Any()\n"),
]


class Mutate(ast.NodeTransformer):
    """Changes the k-th place that can be changed; n counts the places."""

    OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Mod: ast.Mult,
                 ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Pow: ast.Mult,
                 ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
                 ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
                 ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is}

    def __init__(self, k):
        self.k, self.n = k, 0

    def here(self):
        self.n += 1
        return self.n - 1 == self.k

    def generic_visit(self, node):
        super().generic_visit(node)
        if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
            if type(node.op) in self.OPERATORS and self.here():
                node.op = self.OPERATORS[type(node.op)]()
        elif isinstance(node, ast.Compare):
            if type(node.ops[0]) in self.OPERATORS and self.here():
                node.ops[0] = self.OPERATORS[type(node.ops[0])]()
        elif isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, bool) and self.here():
                return ast.Constant(not value)
            if isinstance(value, int) and not isinstance(value, bool):
                if self.here():
                    return ast.Constant(value + 1)
                if self.here():
                    return ast.Constant(value - 1)
            if isinstance(value, str) and self.here():
                return ast.Constant(value + "x")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            if self.here():
                return node.operand
        elif isinstance(node, ast.Return) and node.value is not None:
            if self.here():
                return ast.Return(ast.Constant(None))
        elif isinstance(node, ast.If):
            if self.here():
                node.test = ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            if self.here():
                return node.args[0]
        return node


def body_of(problem):
    """The statements of the reference solution, and how to write statements as one."""
    tree = ast.parse(problem["prompt"] + problem["canonical_solution"])
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == problem["entry_point"]]
    body = functions[-1].body
    return body[1:] if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else body


def mutants(problem, rng=None, most=None):
    """Different programs near the reference solution, in a fixed or a shuffled order."""
    canonical = problem["canonical_solution"]
    lines = canonical.rstrip("\n").split("\n")
    out = []
    body = body_of(problem)
    k = 0
    while True:
        changed = copy.deepcopy(body)
        mutate = Mutate(k)
        module = ast.Module([mutate.visit(s) for s in changed], [])
        if mutate.n <= k:
            break
        out.append(textwrap.indent(ast.unparse(ast.fix_missing_locations(module)), "    ") + "\n")
        k += 1
    out.append("\n".join(lines[:-1]) + "\n")
    out.append("\n".join(lines)[:-3])
    out.append(textwrap.dedent(canonical))
    out.append("")
    out.append("    return None\n")
    same = textwrap.indent(ast.unparse(ast.Module(body, [])), "    ") + "\n"
    out = [m for i, m in enumerate(out) if m not in (canonical, same) and m not in out[:i]]
    if rng:
        rng.shuffle(out)
    return out[:most]


def read(path):
    import gzip

    with (gzip.open if path.endswith(".gz") else open)(path, "rt") as f:
        return [json.loads(line) for line in f if line.strip()]


def all_samples(problems, per_task, seed=1):
    rng = random.Random(seed)
    rows = [dict(task_id=p["task_id"], completion=p["canonical_solution"]) for p in problems]
    for p in problems:
        for m in mutants(p, rng, per_task):
            rows.append(dict(task_id=p["task_id"], completion=m))
    first = problems[0]
    if first["entry_point"] == "double_all":
        rows += [dict(task_id=first["task_id"], completion=c, edge=name) for name, c in EDGES]
    return rows
