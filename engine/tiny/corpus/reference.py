"""A second, independent definition of every operation, as a function of (v, b, k): value, second argument, parameter.

Written in other ways than the templates, so that a wrong template is noticed. Only checks read this file.
"""
import functools
import itertools
import math
import operator
import statistics
from collections import Counter

from . import reference_everyday

VOWELS = set("aeiouAEIOU")


def is_prime(n):
    return n > 1 and not any(n % d == 0 for d in range(2, math.isqrt(n) + 1))


def unique(items):
    out = []
    for i in items:
        if i not in out:
            out.append(i)
    return out


def digits(n):
    out = []
    n = abs(n)
    while n > 9:
        n, d = divmod(n, 10)
        out.insert(0, d)
    return [n] + out


def first_best(items, better):
    """The first item that no other beats."""
    best = items[0]
    for i in items[1:]:
        if better(i, best):
            best = i
    return best


def title_word(w):
    return w[:1].upper() + w[1:].lower()


def binary(n):
    out = ""
    while n:
        out, n = str(n % 2) + out, n // 2
    return out or "0"


def runs(items, f):
    return list(itertools.accumulate(items, f))


def steps(items):
    return [items[i + 1] - items[i] for i in range(len(items) - 1)]


NUMBER = {"even": lambda x, k: x & 1 == 0, "odd": lambda x, k: x & 1 == 1, "pos": lambda x, k: x >= 1, "neg": lambda x, k: x <= -1, "zero": lambda x, k: not x, "gt": lambda x, k: x >= k + 1, "lt": lambda x, k: x <= k - 1,
          "ge": lambda x, k: not x < k, "le": lambda x, k: not x > k, "mult": lambda x, k: x // k * k == x, "eq": lambda x, k: not x - k, "prime": lambda x, k: is_prime(x),
          "square": lambda x, k: x >= 0 and math.isqrt(x) ** 2 == x, "twodig": lambda x, k: len(digits(x)) == 2, "enddig": lambda x, k: digits(x)[-1] == k}
WORD = {"longer": lambda w, k: len(w) >= k + 1, "shorter": lambda w, k: len(w) <= k - 1, "lenis": lambda w, k: not len(w) - k, "starts": lambda w, k: w[:len(k)] == k, "ends": lambda w, k: w[-len(k):] == k,
        "has": lambda w, k: w.find(k) >= 0, "pal": lambda w, k: all(w[i] == w[-1 - i] for i in range(len(w))), "upper": lambda w, k: w.upper() == w and any(c.isalpha() for c in w),
        "vowelst": lambda w, k: len(w) > 0 and w[0] in VOWELS, "evenlen": lambda w, k: not len(w) & 1, "oddlen": lambda w, k: len(w) & 1 == 1, "empty": lambda w, k: not w, "digitw": lambda w, k: bool(set(w) & set("0123456789"))}
CHAR = {"vowel": lambda c, k: c in VOWELS, "cons": lambda c, k: c.isalpha() and c not in VOWELS, "digit": lambda c, k: c in "0123456789", "letter": lambda c, k: c.lower() != c.upper(), "upperc": lambda c, k: "A" <= c <= "Z",
        "lowerc": lambda c, k: "a" <= c <= "z", "space": lambda c, k: ord(c) == 32, "charis": lambda c, k: not c != k}


def by_family(op_id, v, k):
    """keep, drop, count, any or all with the test that the name says."""
    kind, name = op_id.split("_")
    table = NUMBER if name in NUMBER and isinstance(v, list) and not (v and isinstance(v[0], str)) else WORD if name in WORD else CHAR
    hits = [bool(table[name](x, k)) for x in v]
    if kind in ("keep", "drop"):
        out = list(itertools.compress(v, hits if kind == "keep" else [not h for h in hits]))
        return "".join(out) if isinstance(v, str) else out
    return hits.count(True) if kind == "count" else True in hits if kind == "any" else False not in hits


R = {
    "sum": lambda v, b, k: functools.reduce(operator.add, v, 0), "product": lambda v, b, k: math.prod(v), "max": lambda v, b, k: sorted(v)[-1], "min": lambda v, b, k: sorted(v)[0], "len": lambda v, b, k: sum(1 for _ in v),
    "range_of": lambda v, b, k: sorted(v)[-1] - sorted(v)[0], "mean_floor": lambda v, b, k: math.floor(sum(v) / len(v)), "median_low": lambda v, b, k: statistics.median_low(v), "first": lambda v, b, k: next(iter(v)),
    "last": lambda v, b, k: v[len(v) - 1], "second_largest": lambda v, b, k: sorted(unique(v), reverse=True)[1], "second_smallest": lambda v, b, k: max(sorted(unique(v))[:2]) if len(unique(v)) > 1 else [][0],
    "distinct_count": lambda v, b, k: len(unique(v)), "sum_squares": lambda v, b, k: sum(map(operator.mul, v, v)), "sum_abs": lambda v, b, k: sum(x if x > 0 else -x for x in v),
    "argmax": lambda v, b, k: first_best(range(len(v)), lambda i, j: v[i] > v[j]), "argmin": lambda v, b, k: first_best(range(len(v)), lambda i, j: v[i] < v[j]), "most_common": lambda v, b, k: Counter(v).most_common(1)[0][0],
    "alt_sum": lambda v, b, k: sum(x * (-1) ** i for i, x in enumerate(v)), "max_gap": lambda v, b, k: sorted(steps(v))[-1], "first_n_sum": lambda v, b, k: sum(x for i, x in enumerate(v) if i < k),
    "count_pos_of": lambda v, b, k: next((i for i, x in enumerate(v) if x == k), -1), "join_digits": lambda v, b, k: int("".join("".join(map(str, digits(x))) for x in v)),
    "sort": lambda v, b, k: [x for u in sorted(set(v)) for x in [u] * v.count(u)], "sort_desc": lambda v, b, k: sorted(v)[::-1], "reverse": lambda v, b, k: list(reversed(v)), "dedupe": lambda v, b, k: unique(v),
    "square_each": lambda v, b, k: [x ** 2 for x in v], "cube_each": lambda v, b, k: [x * x * x for x in v], "double_each": lambda v, b, k: [x + x for x in v], "halve_each": lambda v, b, k: [x >> 1 for x in v],
    "negate_each": lambda v, b, k: [0 - x for x in v], "abs_each": lambda v, b, k: [max(x, -x) for x in v], "add_k": lambda v, b, k: [k + x for x in v], "sub_k": lambda v, b, k: [-k + x for x in v], "mul_k": lambda v, b, k: [sum([x] * k) for x in v],
    "div_k": lambda v, b, k: [math.floor(x / k) for x in v], "mod_k": lambda v, b, k: [x - k * math.floor(x / k) for x in v], "clip_max": lambda v, b, k: [k if x > k else x for x in v], "clip_min": lambda v, b, k: [k if x < k else x for x in v],
    "first_n": lambda v, b, k: [x for i, x in enumerate(v) if i < k], "last_n": lambda v, b, k: [x for i, x in enumerate(v) if i >= len(v) - k], "skip_n": lambda v, b, k: [x for i, x in enumerate(v) if i >= k],
    "cut_n": lambda v, b, k: [x for i, x in enumerate(v) if i < len(v) - k], "largest_n": lambda v, b, k: sorted(v)[::-1][:k], "smallest_n": lambda v, b, k: [x for i, x in enumerate(sorted(v)) if i < k],
    "every_other": lambda v, b, k: [x for i, x in enumerate(v) if i % 2 == 0], "odd_index": lambda v, b, k: [x for i, x in enumerate(v) if i % 2], "prefix_sums": lambda v, b, k: runs(v, operator.add), "running_max": lambda v, b, k: runs(v, max),
    "running_min": lambda v, b, k: runs(v, min), "diffs": lambda v, b, k: steps(v), "pair_sums": lambda v, b, k: [v[i] + v[i + 1] for i in range(len(v) - 1)], "rotate_left": lambda v, b, k: [v[(i + 1) % len(v)] for i in range(len(v))],
    "rotate_right": lambda v, b, k: [v[i - 1] for i in range(len(v))], "repeat_twice": lambda v, b, k: v * 2, "mirror": lambda v, b, k: v + list(reversed(v)), "times_index": lambda v, b, k: [v[i] * i for i in range(len(v))],
    "plus_index": lambda v, b, k: [v[i] + i for i in range(len(v))], "digit_sums": lambda v, b, k: [sum(digits(x)) for x in v], "signs": lambda v, b, k: [1 if x > 0 else -1 if x < 0 else 0 for x in v],
    "last_digits": lambda v, b, k: [digits(x)[-1] for x in v], "replace_k": lambda v, b, k: [x * (x != k) for x in v], "append_sum": lambda v, b, k: [*v, sum(v)],
    "swap_ends": lambda v, b, k: v if len(v) < 2 else [v[-1], *v[1:-1], v[0]], "is_sorted": lambda v, b, k: all(s >= 0 for s in steps(v)), "is_unique": lambda v, b, k: not any(v.count(x) > 1 for x in v),
    "has_dup": lambda v, b, k: any(v.count(x) > 1 for x in v), "is_pal_list": lambda v, b, k: list(reversed(v)) == v, "all_same": lambda v, b, k: all(x == v[0] for x in v), "contains_k": lambda v, b, k: v.count(k) > 0,
    "sum_gt": lambda v, b, k: k < sum(v), "to_strs": lambda v, b, k: [f"{x}" for x in v], "join_dash": lambda v, b, k: k.join(map(str, v)), "freq_key": lambda v, b, k: Counter(v).most_common(1)[0][1],
    "digit_sum": lambda v, b, k: sum(digits(v)), "digit_count": lambda v, b, k: len(digits(v)), "reverse_digits": lambda v, b, k: int("".join(map(str, reversed(digits(v))))), "max_digit": lambda v, b, k: max(digits(v)), "min_digit": lambda v, b, k: min(digits(v)),
    "square": lambda v, b, k: v ** 2, "plus_k": lambda v, b, k: k + v, "minus_k": lambda v, b, k: -(k - v), "times_k": lambda v, b, k: k * v, "mod_of": lambda v, b, k: divmod(v, k)[1], "floordiv": lambda v, b, k: divmod(v, k)[0],
    "abs": lambda v, b, k: max(v, -v), "negate": lambda v, b, k: 0 - v, "factorial": lambda v, b, k: math.factorial(v), "fib": lambda v, b, k: v if v < 2 else R["fib"](v - 1, b, k) + R["fib"](v - 2, b, k) if v < 15 else round(((1 + 5 ** 0.5) / 2) ** v / 5 ** 0.5),
    "triangle": lambda v, b, k: v * (v + 1) // 2, "count_divisors": lambda v, b, k: len([d for d in range(1, v + 1) if not v % d]), "divisors": lambda v, b, k: [d for d in range(1, v + 1) if not v % d], "digits": lambda v, b, k: digits(v),
    "upto": lambda v, b, k: [i + 1 for i in range(v)], "below": lambda v, b, k: [i for i in range(v)], "countdown": lambda v, b, k: [v - i for i in range(v)], "to_bin": lambda v, b, k: binary(abs(v)), "to_str": lambda v, b, k: f"{v}",
    "stars": lambda v, b, k: "".join(k for _ in range(v)), "is_even": lambda v, b, k: not v & 1, "is_prime": lambda v, b, k: is_prime(v), "is_div": lambda v, b, k: v // k * k == v, "is_gt": lambda v, b, k: k < v,
    "concat_lists": lambda v, b, k: [*v, *b], "common": lambda v, b, k: [x for x in v if b.count(x)], "only_first": lambda v, b, k: [x for x in v if not b.count(x)], "zip_sum": lambda v, b, k: list(map(operator.add, v, b)),
    "zip_mul": lambda v, b, k: list(map(operator.mul, v, b)), "zip_max": lambda v, b, k: list(map(max, v, b)), "dot": lambda v, b, k: sum(map(operator.mul, v, b)), "add_two": lambda v, b, k: sum((v, b)), "mul_two": lambda v, b, k: math.prod((v, b)),
    "diff_two": lambda v, b, k: max(v, b) - min(v, b), "max_two": lambda v, b, k: v if v > b else b, "min_two": lambda v, b, k: v if v < b else b, "gcd": lambda v, b, k: math.gcd(v, b), "between": lambda v, b, k: [v + i for i in range(b - v + 1)],
    "upper": lambda v, b, k: "".join(c.upper() for c in v), "lower": lambda v, b, k: "".join(c.lower() for c in v), "swapcase": lambda v, b, k: "".join(c.lower() if c.isupper() else c.upper() for c in v), "capitalize": lambda v, b, k: title_word(v),
    "title": lambda v, b, k: " ".join(map(title_word, v.split())), "reverse_s": lambda v, b, k: "".join(reversed(v)), "sort_s": lambda v, b, k: "".join(sorted(list(v))), "uniq_s": lambda v, b, k: "".join(unique(v)), "double_s": lambda v, b, k: v * 2,
    "mirror_s": lambda v, b, k: v + "".join(reversed(v)), "double_chars": lambda v, b, k: "".join(c + c for c in v), "first_ns": lambda v, b, k: "".join(c for i, c in enumerate(v) if i < k),
    "last_ns": lambda v, b, k: "".join(c for i, c in enumerate(v) if i >= len(v) - k), "skip_ns": lambda v, b, k: "".join(c for i, c in enumerate(v) if i >= k), "even_chars": lambda v, b, k: "".join(c for i, c in enumerate(v) if i % 2 == 0),
    "odd_chars": lambda v, b, k: "".join(c for i, c in enumerate(v) if i % 2), "replace_c": lambda v, b, k: "".join("*" if c == k else c for c in v), "dash": lambda v, b, k: k.join(v.split(" ")), "strip_s": lambda v, b, k: v.lstrip().rstrip(),
    "rev_words": lambda v, b, k: " ".join(reversed(v.split())), "rev_each": lambda v, b, k: " ".join("".join(reversed(w)) for w in v.split()), "sort_ws": lambda v, b, k: " ".join(sorted(v.split())), "initials": lambda v, b, k: "".join(w[:1] for w in v.split()),
    "longest_ws": lambda v, b, k: first_best(v.split(), lambda a, c: len(a) > len(c)), "wrap": lambda v, b, k: f"{k}{v}{k}", "append_c": lambda v, b, k: f"{v}{k}", "prepend_c": lambda v, b, k: f"{k}{v}", "join_chars": lambda v, b, k: k.join(list(v)),
    "slen": lambda v, b, k: sum(1 for _ in v), "count_words": lambda v, b, k: sum(1 for _ in v.split()), "distinct_chars": lambda v, b, k: len(unique(v)), "sum_digits_s": lambda v, b, k: sum("0123456789".index(c) for c in v if c in "0123456789"),
    "find_c": lambda v, b, k: next((i for i in range(len(v)) if v[i:i + len(k)] == k), -1), "longest_len": lambda v, b, k: sorted(map(len, v.split()))[-1], "is_pal": lambda v, b, k: all(v[i] == v[-1 - i] for i in range(len(v))),
    "is_digits": lambda v, b, k: len(v) > 0 and all(c in "0123456789" for c in v), "is_upper": lambda v, b, k: v.upper() == v and v.lower() != v, "unique_s": lambda v, b, k: not any(v.count(c) > 1 for c in v), "contains_c": lambda v, b, k: v.find(k) >= 0,
    "starts_c": lambda v, b, k: v[:len(k)] == k, "ends_c": lambda v, b, k: v[-len(k):] == k, "split": lambda v, b, k: [w for w in v.split(" ") if w], "split_c": lambda v, b, k: v.replace(k, "\0").split("\0"), "chars": lambda v, b, k: [c for c in v],
    "word_lens": lambda v, b, k: list(map(len, v.split())), "digit_list": lambda v, b, k: ["0123456789".index(c) for c in v if c in "0123456789"], "positions": lambda v, b, k: [i for i in range(len(v)) if v[i] == k], "ints": lambda v, b, k: list(map(int, v.split())),
    "char_freq": lambda v, b, k: dict(Counter(v)), "word_freq": lambda v, b, k: dict(Counter(v.split())), "wlen": lambda v, b, k: sum(1 for _ in v), "total_len": lambda v, b, k: len("".join(v)), "max_len": lambda v, b, k: sorted(map(len, v))[-1],
    "min_len": lambda v, b, k: sorted(map(len, v))[0], "distinct_w": lambda v, b, k: len(unique(v)), "count_k_w": lambda v, b, k: sum(w == k for w in v), "lens": lambda v, b, k: list(map(len, v)), "longest": lambda v, b, k: first_best(v, lambda a, c: len(a) > len(c)),
    "shortest": lambda v, b, k: first_best(v, lambda a, c: len(a) < len(c)), "first_w": lambda v, b, k: next(iter(v)), "last_w": lambda v, b, k: v[len(v) - 1], "alpha_first": lambda v, b, k: sorted(v)[0], "alpha_last": lambda v, b, k: sorted(v)[-1],
    "common_w": lambda v, b, k: Counter(v).most_common(1)[0][0], "concat": lambda v, b, k: functools.reduce(operator.add, v, ""), "join_sp": lambda v, b, k: functools.reduce(lambda a, w: a + " " + w, v) if v else "",
    "join_k": lambda v, b, k: functools.reduce(lambda a, w: a + k + w, v) if v else "", "firsts": lambda v, b, k: "".join(w[0] for w in v if w), "lasts": lambda v, b, k: "".join(w[len(w) - 1] for w in v if w), "w_upper": lambda v, b, k: list(map(str.upper, v)),
    "w_lower": lambda v, b, k: list(map(str.lower, v)), "w_cap": lambda v, b, k: list(map(title_word, v)), "w_rev": lambda v, b, k: ["".join(reversed(w)) for w in v], "w_double": lambda v, b, k: [w * 2 for w in v],
    "w_first_n": lambda v, b, k: ["".join(c for i, c in enumerate(w) if i < k) for w in v], "w_add": lambda v, b, k: [f"{w}{k}" for w in v], "w_pre": lambda v, b, k: [f"{k}{w}" for w in v],
    "w_strip_vowels": lambda v, b, k: ["".join(c for c in w if c not in VOWELS) for w in v], "w_sort_chars": lambda v, b, k: ["".join(sorted(list(w))) for w in v], "w_sort": lambda v, b, k: [x for u in sorted(set(v)) for x in [u] * v.count(u)],
    "w_sort_desc": lambda v, b, k: sorted(v)[::-1], "w_sort_len": lambda v, b, k: [w for n in sorted(set(map(len, v))) for w in v if len(w) == n], "w_sort_len_desc": lambda v, b, k: [w for n in sorted(set(map(len, v)))[::-1] for w in v if len(w) == n],
    "w_reverse": lambda v, b, k: list(reversed(v)), "w_dedupe": lambda v, b, k: unique(v), "w_first": lambda v, b, k: [w for i, w in enumerate(v) if i < k], "w_last": lambda v, b, k: [w for i, w in enumerate(v) if i >= len(v) - k],
    "w_skip": lambda v, b, k: [w for i, w in enumerate(v) if i >= k], "w_contains": lambda v, b, k: v.count(k) > 0, "w_unique": lambda v, b, k: not any(v.count(w) > 1 for w in v), "w_sorted": lambda v, b, k: all(a <= c for a, c in zip(v, v[1:])),
    "w_same_len": lambda v, b, k: all(len(w) == len(v[0]) for w in v), "w_freq": lambda v, b, k: dict(Counter(v)), "w_len_map": lambda v, b, k: dict(zip(v, map(len, v))), "w_index_map": lambda v, b, k: {w: len(v) - 1 - v[::-1].index(w) for w in v},
    "w_to_ints": lambda v, b, k: list(map(int, v)), "w_vowels": lambda v, b, k: [len([c for c in w if c in VOWELS]) for w in v], "d_keys": lambda v, b, k: [a for a, _ in v.items()], "d_values": lambda v, b, k: [c for _, c in v.items()],
    "d_sum": lambda v, b, k: sum(v[a] for a in v), "d_max": lambda v, b, k: sorted(v.values())[-1], "d_min": lambda v, b, k: sorted(v.values())[0], "d_len": lambda v, b, k: sum(1 for _ in v), "d_best": lambda v, b, k: first_best(list(v), lambda a, c: v[a] > v[c]),
    "d_worst": lambda v, b, k: first_best(list(v), lambda a, c: v[a] < v[c]), "d_gt": lambda v, b, k: dict(i for i in v.items() if i[1] >= k + 1), "d_lt": lambda v, b, k: dict(i for i in v.items() if i[1] <= k - 1), "d_even": lambda v, b, k: dict(i for i in v.items() if not i[1] & 1),
    "d_double": lambda v, b, k: {a: v[a] + v[a] for a in v}, "d_add": lambda v, b, k: {a: k + v[a] for a in v}, "d_swap": lambda v, b, k: [a for n in sorted(set(v.values())) for a in v if v[a] == n], "d_sorted": lambda v, b, k: sorted(v.keys()),
    "d_get": lambda v, b, k: v[k] if k in v else 0, "d_has": lambda v, b, k: any(a == k for a in v), "concat_s": lambda v, b, k: f"{v}{b}", "anagram": lambda v, b, k: Counter(v) == Counter(b), "same_start": lambda v, b, k: v[0] == b[0] if v and b else v == b,
    "is_prefix": lambda v, b, k: v[:len(b)] == b, "is_inside": lambda v, b, k: v.find(b) >= 0, "common_chars": lambda v, b, k: "".join(filter(set(b).__contains__, v)), "minus_chars": lambda v, b, k: "".join(itertools.filterfalse(set(b).__contains__, v)),
    "hamming": lambda v, b, k: sum(map(operator.ne, v, b)), "longer_s": lambda v, b, k: v if len(v) >= len(b) else b, "w_both": lambda v, b, k: [w for w in v if b.count(w)], "w_minus": lambda v, b, k: [w for w in v if not b.count(w)],
    "w_zip": lambda v, b, k: list(map(operator.add, v, b)), "w_concat": lambda v, b, k: [*v, *b], "d_zip": lambda v, b, k: {v[i]: b[i] for i in range(min(len(v), len(b)))},
}


def result(op, v, b, k):
    table = R if op.id in R else reference_everyday.R
    return table[op.id](v, b, k) if op.id in table else by_family(op.id, v, k)
