"""Pipelines of operations: choosing them, running them step by step, and holding some pairs out."""
import hashlib
from dataclasses import dataclass
from . import values
from .op import OPS, VARIABLE
from . import families, ops_numbers, ops_text, ops_everyday, more_wordings  # noqa: F401  (they register the operations)

HELD_OUT_PERCENT = 12
LARGEST = 10 ** 6
START = {"L": 0.32, "W": 0.14, "S": 0.23, "I": 0.13, "D": 0.05, "M": 0.03, "2": 0.10}
STEPS = ((1, 0.28), (2, 0.36), (3, 0.36))        # more long ones than people ask for: they are what a model gets wrong
ALONE, AMONG_OTHERS = 1.6, 0.2      # weight of everyday operations as the only step, and as one of several
BY_INPUT = {}
for _op in OPS.values():
    BY_INPUT.setdefault(_op.tin if len(_op.tin) == 1 else "2", []).append(_op)


# pairs that one other operation says better: a task must have one shortest plan
SAME_AS_ONE = {tuple(p.split("+")) for p in (
    "split+wlen split+lens split+longest split+w_freq split+max_len d_values+sum d_values+max d_values+min d_values+len d_keys+wlen d_keys+w_sort square_each+sum abs_each+sum dedupe+len "
    "w_dedupe+wlen uniq_s+slen lens+sum lens+max lens+min sort+first sort+last sort_desc+first sort_desc+last sort+reverse sort_desc+reverse first_n+sum digits+sum digits+max digits+min digits+len upto+sum "
    "divisors+len w_sort+w_reverse w_sort+first_w w_sort+last_w to_str+slen sort+first_n sort_desc+first_n reverse+first reverse+last reverse+sort reverse+sort_desc sort_desc+sort sort+sort_desc sort+max sort+min "
    "reverse+sum reverse+max reverse+min reverse+len sort+sum sort+len sort_desc+sum sort_desc+len w_sort+wlen w_reverse+wlen reverse_s+slen sort_s+slen upper+slen lower+slen w_upper+wlen w_lower+wlen "
    "w_reverse+w_sort split+join_sp prefix_sums+last dedupe+sort w_dedupe+w_sort concat_lists+sort split+w_sort m_flat+sum m_flat+max m_row_sums+sum m_flat+len once+len sort+dedupe "
    "chars+concat chars+wlen chars+w_freq w_sort_len+longest w_sort_len+shortest").split()}


@dataclass
class Step:
    op: object
    k: object = None        # value of the parameter
    argument: str = ""      # its name when it is an argument of the function
    guard: tuple = ()       # of the first step: (result for an empty input,) when the task names one


def held_out(first, second):
    """Whether this ordered pair is kept away from training."""
    digest = hashlib.sha256(f"{first.id} {second.id}".encode()).digest()
    return int.from_bytes(digest[:4], "little") % 100 < HELD_OUT_PERCENT


def pairs(ops):
    return list(zip(ops, ops[1:]))


def fits(first, second):
    """Pairs that make sense: no step twice, nothing after a test, no filter right after its own opposite."""
    if first.tout != second.tin or first.id == second.id or (first.id, second.id) in SAME_AS_ONE:
        return False
    if first.id.startswith("keep_") and second.id in ("len", "wlen", "slen"):
        return False
    return first.id.split("_")[1:] != second.id.split("_")[1:] or "_" not in first.id or not first.family or first.family.split()[0] not in ("number", "word", "character")


def weights(ops, n_steps):
    return [o.weight * ((ALONE if n_steps == 1 else AMONG_OTHERS) if o.everyday else 1) for o in ops]


def choose(rng, n_steps, want_held=False):
    """A list of operations of this length; held-out pairs never, or at least one of them."""
    while True:
        start = rng.choices(list(START), list(START.values()))[0]
        ops = rng.choices(BY_INPUT[start], weights(BY_INPUT[start], n_steps))
        while len(ops) < n_steps:
            more = [o for o in BY_INPUT.get(ops[-1].tout, []) if fits(ops[-1], o)]
            if not more:
                break
            ops += rng.choices(more, weights(more, n_steps))
        if len(ops) == n_steps and any(held_out(a, b) for a, b in pairs(ops)) == want_held:
            return ops


_compiled = {}


def function(op):
    """The operation as a Python function of (v, b, k), made once."""
    if op.id not in _compiled:
        lines = [line for line in op.pre.split("\n") if line] + ["return " + op.code]
        body = "\n".join("    " + line for line in lines).replace("{v}", "v").replace("{b}", "b_").replace("{k}", "k_")
        scope = {}
        exec(f"def f(v, b_, k_):\n{body}", scope)
        _compiled[op.id] = scope["f"]
    return _compiled[op.id]


def small(v):
    if isinstance(v, bool):
        return True
    if isinstance(v, float):
        return len(repr(v)) <= 9
    if isinstance(v, int):
        return abs(v) <= LARGEST
    if isinstance(v, str):
        return len(v) <= 60
    if isinstance(v, dict):
        return len(v) <= 10 and all(map(small, v.values()))
    if v and isinstance(v[0], list):
        return len(v) <= 8 and sum(map(len, v)) <= 25 and all(map(small, v))
    return len(v) <= 12 and all(map(small, v))


def run(steps, args):
    """All intermediate values, or None when a step fails or leaves the bounds."""
    if steps[0].guard and not args[0]:
        return [args[0]] * len(steps) + [steps[0].guard[0]]
    trail = [args[0]]
    for s in steps:
        v = trail[-1]
        if s.op.limit and not (0 <= v <= s.op.limit and (len(s.op.tin) == 1 or 0 <= args[1] <= s.op.limit)):
            return None
        try:
            v = function(s.op)(v, args[1] if len(args) > 1 else None, s.k)
        except (ValueError, IndexError, ZeroDivisionError, TypeError, KeyError):
            return None
        if not small(v):
            return None
        trail.append(v)
    return trail


def plan(steps):
    parts = [f"return {steps[0].guard[0]!r} if it is empty"] if steps[0].guard else []
    s = "; then ".join(parts + [s.op.plan.replace("{k}", s.argument or repr(s.k)) for s in steps])
    return s[0].upper() + s[1:] + "."


def body(steps, names):
    """The canonical code under the signature line."""
    lines, v = [f"if not {names[0]}:", f"    return {steps[0].guard[0]!r}"] if steps[0].guard else [], names[0]
    for i, s in enumerate(steps):
        fill = lambda t: t.replace("{v}", v).replace("{b}", names[1] if len(names) > 1 else "").replace("{k}", s.argument or repr(s.k))
        lines += [fill(line) for line in s.op.pre.split("\n") if line]
        v_next = VARIABLE[s.op.tout]
        lines.append(f"return {fill(s.op.code)}" if i == len(steps) - 1 else f"{v_next} = {fill(s.op.code)}")
        v = v_next
    return "\n".join("    " + line for line in lines)


PLANTED = {"last_index", "indices_k", "m_count", "d_keys_with", "count_pos_of", "contains_k", "keep_eq", "drop_eq", "count_eq", "replace_k"}


def plant(rng, v, k):
    """The input with the word that is asked for in it, so that it is found at times."""
    if isinstance(v, str):
        return " ".join(plant(rng, v.split(), k))
    if v and isinstance(v, list) and isinstance(v[0], list):
        return [[k if rng.random() < 0.3 else x for x in row] for row in v]
    if isinstance(v, dict) and isinstance(k, int):
        return {a: k if rng.random() < 0.5 else b for a, b in v.items()}
    items = list(v.items()) if isinstance(v, dict) else list(v)
    items.insert(rng.randrange(len(items) + 1), (k, rng.randint(1, 20)) if isinstance(v, dict) else k)
    return dict(items) if isinstance(v, dict) else items


def inputs(rng, steps, count=14):
    """Pairs (arguments, trail) for inputs that run, different ones."""
    found, seen = [], set()
    tin = steps[0].op.tin
    special = next((values.SPECIAL[s.op.id] for s in steps if s.op.id in values.SPECIAL), "")
    sep = next((s.k for s in steps if s.op.par == "sep" and s.op.id == "split_c"), None)
    limit = steps[0].op.limit
    for _ in range(count):
        args = values.pair(rng, tin, special) if len(tin) == 2 else (values.value(rng, tin, special, sep, limit),)
        if (steps[0].op.par == "word" or steps[0].op.id in PLANTED) and rng.random() < 0.7:
            planted = plant(rng, args[0], steps[0].k)
            args = (plant(rng, planted, steps[0].k) if rng.random() < 0.3 else planted,)
        elif steps[0].op.par == "char" and tin == "W" and rng.random() < 0.7:
            args = (plant(rng, args[0], values.word_with(rng, steps[0].k, steps[0].op.id)),)
        trail = run(steps, args) if repr(args) not in seen else None
        seen.add(repr(args))
        if trail:
            found.append((args, trail))
    return found


def telling(steps, found):
    """Whether the inputs show every step at work and give different results."""
    results = [repr(t[-1]) for _, t in found]
    few_inputs, few_results = 0 < steps[0].op.limit < 9, steps[-1].op.tout == "B" or steps[-1].op.id == "even_odd"
    if len(found) < (4 if few_inputs else 6) or len(set(results)) < (2 if few_results else 3):
        return False
    empty = sum(r in ("[]", "''", "{}", "0", "-1") for r in results)
    if steps[-1].op.tout != "B" and empty > 0.6 * len(found):
        return False
    for i, s in enumerate(steps):
        if s.op.tin == s.op.tout and sum(t[i] != t[i + 1] for _, t in found) < 2:
            return False
        if len({repr(t[i + 1]) for _, t in found}) < 2:
            return False
    return True


def make(rng, n_steps=None, want_held=False):
    """Steps with parameters and inputs that show them at work."""
    n_steps = n_steps or rng.choices(*zip(*STEPS))[0]
    while True:
        ops = choose(rng, n_steps, want_held)
        for _ in range(8):
            steps = [Step(o, values.parameter(rng, o.par, o.id) if o.par else None) for o in ops]
            found = inputs(rng, steps)
            if telling(steps, found):
                return steps, found
