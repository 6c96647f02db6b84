"""What an operation is: one typed step of a task, with its wordings, its canonical plan and its code.

Types are one letter: I int, S str, L list of int, W list of str, D dict from str to int, B bool, M list of rows of int;
as results alone F float, T tuple of two ints, C dict from int to int, G dict of lists of words, H dict from int to str.
Two letters (LL, SS, II, WW, DD, MM) mean two arguments; such an operation can only be the first step.
In texts {x} is the thing worked on, {k} the parameter; in code {v} is the variable, {b} the second argument.
"""
from dataclasses import dataclass, field

ANNOTATION = {"I": "int", "S": "str", "L": "List[int]", "W": "List[str]", "D": "Dict[str, int]", "B": "bool",
              "M": "List[List[int]]", "F": "float", "T": "Tuple[int, int]", "C": "Dict[int, int]", "G": "dict", "H": "Dict[int, str]"}
VARIABLE = {"I": "n", "S": "s", "L": "nums", "W": "words", "D": "d", "B": "ok", "M": "rows", "F": "r", "T": "pair", "C": "d", "G": "d", "H": "d"}


@dataclass
class Op:
    id: str
    tin: str
    tout: str
    plan: str                                   # canonical wording, always the same
    code: str                                   # an expression
    do: list = field(default_factory=list)      # imperative wordings
    of: list = field(default_factory=list)      # noun wordings
    passive: list = field(default_factory=list)
    simple: list = field(default_factory=list)  # wordings of a filter that also work for one thing ("even {number}")
    pre: str = ""                               # statements before the expression
    par: str = ""                               # kind of the parameter, "" for none
    limit: int = 0                              # largest input value of an int step, 0 for the general bound
    family: str = ""                            # operations of one family are mistaken for each other
    weight: float = 1.0
    everyday: bool = False                      # a usual exercise of its own: mostly the only step


OPS = {}


def add(op):
    if op.id in OPS:
        raise ValueError(f"operation {op.id} twice")
    if len(op.do) + len(op.of) + "".join(op.do + op.of).count("«") < 4:      # every choice makes more of them
        raise ValueError(f"operation {op.id} has too few wordings")
    OPS[op.id] = op


def op(id, types, code, plan, do="", of="", passive="", **more):
    """Wordings come as one string with | between them."""
    tin, tout = types.split(">")
    split = lambda s: [p.strip() for p in s.split("|") if p.strip()]
    add(Op(id, tin, tout, plan, code, split(do), split(of), split(passive), **more))
