"""The second definitions of the operations of ops_everyday.py, as functions of (v, b, k)."""
import functools
import itertools
import math
import operator
import re
import statistics
from collections import Counter, defaultdict

VOWELS = set("aeiouAEIOU")
LOWER = "abcdefghijklmnopqrstuvwxyz"


def is_prime(n):
    return n > 1 and not any(n % d == 0 for d in range(2, math.isqrt(n) + 1))


def digits(n):
    return [int(c) for c in re.findall(r"\d", str(n))]


def factors(n):
    return [d for d in range(1, n + 1) if not n % d]


def factorise(n):
    for d in range(2, math.isqrt(n) + 1):
        if n % d == 0:
            return [d] + factorise(n // d)
    return [n] if n > 1 else []


def fibs():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


def collatz(n):
    return [n] + (collatz(3 * n + 1 if n & 1 else n // 2) if n > 1 else [])


def root(n):
    return n if n < 10 else root(sum(digits(n)))


def tri(n):
    return (0, 0, 1)[n] if n < 3 else tri(n - 1) + tri(n - 2) + tri(n - 3)


def base(n, b):
    out = ""
    while n:
        out, n = "0123456789abcdef"[n % b] + out, n // b
    return out or "0"


def roman(n):
    out = ""
    for v, one, five, ten in ((1000, "M", "", ""), (100, "C", "D", "M"), (10, "X", "L", "C"), (1, "I", "V", "X")):
        d = n // v
        n %= v
        out += one * d if v == 1000 else ("", one, 2 * one, 3 * one, one + five, five, five + one, five + 2 * one, five + 3 * one, one + ten)[d]
    return out


def fizz(n):
    return ("Fizz" if n % 3 == 0 else "") + ("Buzz" if n % 5 == 0 else "") or str(n)


def nth(n):
    return f"{n}th" if n // 10 % 10 == 1 else f"{n}{['th', 'st', 'nd', 'rd', 'th', 'th', 'th', 'th', 'th', 'th'][n % 10]}"


def groups(v):
    return [list(g) for _, g in itertools.groupby(v)]


def pairs(v):
    return list(zip(v, v[1:]))


def couples(v):
    return list(itertools.combinations(v, 2))


def slices(v):
    return [v[i:j] for i in range(len(v)) for j in range(i + 1, len(v) + 1)]


def fill(v, n):
    return itertools.islice(v, n)


def grouped(v, key):
    out = defaultdict(list)
    for w in v:
        out[key(w)].append(w)
    return dict(out)


def shift(s, k):
    return "".join(LOWER[(LOWER.index(c) + k) % 26] if c in LOWER else c for c in s)


def common_start(words):
    return "".join(t[0] for t in itertools.takewhile(lambda t: len(set(t)) == 1, zip(*words)))


def nesting(s):
    return list(itertools.accumulate((c == "(") - (c == ")") for c in s))


def cancels(s):
    s = re.sub(r"[^()]", "", s)
    while "()" in s:
        s = s.replace("()", "")
    return not s


def follows(small, large):
    for c in small:
        if c not in large:
            return False
        large = large[large.index(c) + 1:]
    return True


def mode(v):
    return Counter(v).most_common(1)[0][0]


R = {
    "cube_i": lambda v, b, k: v * v * v, "double_i": lambda v, b, k: v + v, "half_i": lambda v, b, k: v >> 1, "power_k": lambda v, b, k: math.prod([v] * k), "two_to": lambda v, b, k: 1 << v, "digit_product": lambda v, b, k: math.prod(digits(v)),
    "digital_root": lambda v, b, k: root(abs(v)), "even_digits": lambda v, b, k: len([d for d in digits(v) if not d & 1]), "odd_digits": lambda v, b, k: len([d for d in digits(v) if d & 1]), "digit_squares": lambda v, b, k: sum(d * d for d in digits(v)),
    "first_digit": lambda v, b, k: digits(v)[0], "last_digit": lambda v, b, k: digits(v)[-1], "sum_squares_to": lambda v, b, k: v * (v + 1) * (2 * v + 1) // 6, "sum_even_to": lambda v, b, k: v // 2 * (v // 2 + 1), "sum_odd_to": lambda v, b, k: ((v + 1) // 2) ** 2,
    "sum_three_five": lambda v, b, k: sum(set(range(0, v, 3)) | set(range(0, v, 5))), "collatz_steps": lambda v, b, k: len(collatz(max(v, 1))) - 1, "next_prime": lambda v, b, k: next(filter(is_prime, itertools.count(v + 1))), "count_primes_to": lambda v, b, k: len(list(filter(is_prime, range(v + 1)))),
    "count_ones": lambda v, b, k: abs(v).bit_count(), "largest_prime_factor": lambda v, b, k: factorise(v)[-1], "smallest_factor": lambda v, b, k: factorise(v)[0], "largest_divisor": lambda v, b, k: factors(v)[:-1][-1], "sum_divisors": lambda v, b, k: sum(factors(v)), "sum_proper": lambda v, b, k: sum(factors(v)[:-1]),
    "isqrt": lambda v, b, k: math.isqrt(v), "tribonacci": lambda v, b, k: tri(v), "trailing_zeros": lambda v, b, k: len(re.search("0*$", str(v))[0]), "nth_odd": lambda v, b, k: v + v - 1, "round_up": lambda v, b, k: math.ceil(v / k) * k, "round_down": lambda v, b, k: math.floor(v / k) * k,
    "at_most": lambda v, b, k: k if v > k else v, "at_least": lambda v, b, k: k if v < k else v, "hours": lambda v, b, k: 60 * v, "minutes": lambda v, b, k: divmod(v, 60)[0],
    "is_odd": lambda v, b, k: v & 1 == 1, "is_pos": lambda v, b, k: not v <= 0, "is_neg": lambda v, b, k: not v >= 0, "is_leap": lambda v, b, k: v % 400 == 0 or v % 4 == 0 and v % 100 > 0, "is_perfect": lambda v, b, k: v >= 1 and sum(factors(v)) == 2 * v, "is_square": lambda v, b, k: v >= 0 and math.isqrt(v) ** 2 == v,
    "is_power_two": lambda v, b, k: v >= 1 and v.bit_count() == 1, "is_armstrong": lambda v, b, k: v >= 0 and sum(d ** len(digits(v)) for d in digits(v)) == v, "is_pal_i": lambda v, b, k: v >= 0 and digits(v) == digits(v)[::-1], "is_harshad": lambda v, b, k: v > 0 and not v % sum(digits(v)), "has_digit": lambda v, b, k: k in digits(v),
    "is_lt": lambda v, b, k: k > v, "both_even": lambda v, b, k: not (v | b) & 1, "divides": lambda v, b, k: v // b * b == v, "same_parity": lambda v, b, k: not (v ^ b) & 1, "equal_two": lambda v, b, k: not v - b, "greater_two": lambda v, b, k: v - b > 0,
    "even_odd": lambda v, b, k: ["even", "odd"][v & 1], "sign_word": lambda v, b, k: ["zero", "positive", "negative"][(v > 0) - (v < 0)], "fizzbuzz": lambda v, b, k: fizz(v), "fizz_list": lambda v, b, k: list(map(fizz, range(1, v + 1))), "roman": lambda v, b, k: roman(v), "hexa": lambda v, b, k: base(abs(v), 16), "octal": lambda v, b, k: base(abs(v), 8),
    "clock": lambda v, b, k: "%d:%02d" % divmod(v, 60), "zero_fill": lambda v, b, k: format(v, f"0{k}d"), "ordinal": lambda v, b, k: nth(v), "count_string": lambda v, b, k: " ".join(map(str, range(1, v + 1))), "to_fahrenheit": lambda v, b, k: v * 9 / 5 + 32, "to_celsius": lambda v, b, k: (v - 32) * 5 / 9, "half_f": lambda v, b, k: v / 2,
    "percent": lambda v, b, k: v / b * 100, "mean_two": lambda v, b, k: statistics.fmean((v, b)), "quotient": lambda v, b, k: operator.truediv(v, b), "primes_to": lambda v, b, k: list(filter(is_prime, range(v + 1))), "first_squares": lambda v, b, k: list(map(operator.mul, range(1, v + 1), range(1, v + 1))),
    "evens_to": lambda v, b, k: [x for x in range(1, v + 1) if not x & 1], "odds_to": lambda v, b, k: [x for x in range(1, v + 1) if x & 1], "multiples_to": lambda v, b, k: [x for x in range(1, v + 1) if x % k == 0], "first_multiples": lambda v, b, k: list(itertools.accumulate([v] * k)),
    "fib_list": lambda v, b, k: list(fill(fibs(), v)), "fib_below": lambda v, b, k: list(itertools.takewhile(lambda x: x <= v, fibs())), "collatz": lambda v, b, k: collatz(max(v, 1)), "prime_factors": lambda v, b, k: factorise(v), "powers_two": lambda v, b, k: [1 << i for i in range(v)], "bits": lambda v, b, k: list(map(int, base(abs(v), 2))),
    "zeros": lambda v, b, k: [0 for _ in range(v)], "identity": lambda v, b, k: [[0] * i + [1] + [0] * (v - 1 - i) for i in range(v)], "times_table": lambda v, b, k: [list(itertools.accumulate([i] * v)) for i in range(1, v + 1)], "triangle_rows": lambda v, b, k: list(itertools.accumulate("*" * v)),
    "sub_two": lambda v, b, k: v + -b, "lcm": lambda v, b, k: math.lcm(v, b), "pow_two": lambda v, b, k: math.prod([v] * b), "mod_two": lambda v, b, k: divmod(v, b)[1], "div_two": lambda v, b, k: divmod(v, b)[0], "sum_between": lambda v, b, k: sum(v + i for i in range(b - v + 1)), "rectangle": lambda v, b, k: math.prod((v, b)),
    "perimeter": lambda v, b, k: v + b + v + b, "square_sum": lambda v, b, k: v * v + b * b, "count_up": lambda v, b, k: list(range(*sorted((v, b)))) + [max(v, b)], "swap_two": lambda v, b, k: (v, b)[::-1], "order_two": lambda v, b, k: tuple(sorted((v, b))), "divmod_two": lambda v, b, k: divmod(v, b), "sum_product": lambda v, b, k: (sum((v, b)), math.prod((v, b))),
    "mean": lambda v, b, k: statistics.fmean(v) if v else v[0], "median": lambda v, b, k: float(statistics.median(v)) if v else v[0], "min_max": lambda v, b, k: (sorted(v)[0], sorted(v)[-1]), "first_last": lambda v, b, k: tuple((v[:1] + v[-1:])[:2]), "sum_len": lambda v, b, k: (sum(v), sum(1 for _ in v)), "sum_prod": lambda v, b, k: (sum(v), math.prod(v)),
    "longest_run": lambda v, b, k: max(map(len, groups(v)), default=0), "longest_rise": lambda v, b, k: max((len(s) for s in slices(v) if all(x < y for x, y in pairs(s))), default=0), "best_pair": lambda v, b, k: sorted(map(sum, pairs(v)))[-1], "best_product": lambda v, b, k: sorted(map(math.prod, couples(v)))[-1],
    "max_subarray": lambda v, b, k: max(map(sum, slices(v))), "peaks": lambda v, b, k: sum(x < y and y > z for x, y, z in zip(v, v[1:], v[2:])), "sign_changes": lambda v, b, k: sum(min(p) < 0 < max(p) for p in pairs(v)), "rises": lambda v, b, k: sum(x < y for x, y in pairs(v)),
    "even_index_sum": lambda v, b, k: sum(x for i, x in enumerate(v) if not i & 1), "odd_index_sum": lambda v, b, k: sum(x for i, x in enumerate(v) if i & 1), "missing": lambda v, b, k: next(i for i in itertools.count(1) if not v.count(i)), "single": lambda v, b, k: next(x for x in v if v.count(x) < 2) if any(v.count(x) < 2 for x in v) else [][0],
    "above_mean": lambda v, b, k: sum(x * len(v) > sum(v) for x in v), "min_plus_max": lambda v, b, k: sorted(v)[0] + sorted(v)[-1], "last_index": lambda v, b, k: len(v) - 1 - v[::-1].index(k) if k in v else -1, "closest": lambda v, b, k: sorted(v, key=lambda x: (x - k) ** 2)[0], "kth_smallest": lambda v, b, k: sorted(v)[:k][k - 1],
    "kth_largest": lambda v, b, k: sorted(v)[::-1][k - 1], "middle": lambda v, b, k: v[len(v) >> 1], "sum_nonfirst": lambda v, b, k: sum(v) - sum(v[:1]), "sum_inner": lambda v, b, k: sum(v) - sorted(v)[0] - sorted(v)[-1], "gcd_all": lambda v, b, k: math.gcd(*v), "from_binary": lambda v, b, k: sum(x << i for i, x in enumerate(v[::-1])),
    "inversions": lambda v, b, k: sum(x > y for x, y in couples(v)), "equal_pairs": lambda v, b, k: sum(len(g) - 1 for g in groups(v)), "duplicates_n": lambda v, b, k: sum(c - 1 for c in Counter(v).values()), "rising": lambda v, b, k: sorted(set(v)) == v, "falling": lambda v, b, k: all(x >= y for x, y in pairs(v)),
    "pair_sum": lambda v, b, k: k in map(sum, couples(v)), "zero_pair": lambda v, b, k: 0 in map(sum, couples(v)), "twin_neighbours": lambda v, b, k: len(groups(v)) < len(v), "same_ends": lambda v, b, k: v[0] == v[::-1][0], "is_empty": lambda v, b, k: not v, "num_counts": lambda v, b, k: dict(Counter(v)),
    "parity_words": lambda v, b, k: [["even", "odd"][x & 1] for x in v], "comma_join": lambda v, b, k: str(v)[1:-1], "space_join": lambda v, b, k: str(v)[1:-1].replace(",", ""),
    "rotate_k": lambda v, b, k: [v[(i + k) % len(v)] for i in range(len(v))] if v else v[0], "rotate_right_k": lambda v, b, k: v[max(len(v) - k, 0):] + v[:max(len(v) - k, 0)], "zeros_last": lambda v, b, k: sorted(v, key=operator.not_), "evens_first": lambda v, b, k: sorted(v, key=lambda x: x & 1),
    "sorted_set": lambda v, b, k: [x for x, _ in itertools.groupby(sorted(v))], "once": lambda v, b, k: [x for x in v if Counter(v)[x] == 1], "repeated": lambda v, b, k: [x for x, c in Counter(v).items() if c > 1], "squeeze": lambda v, b, k: [g[0] for g in groups(v)], "running_product": lambda v, b, k: list(itertools.accumulate(v, operator.mul)),
    "sort_abs": lambda v, b, k: sorted(v, key=lambda x: x * x), "sort_last_digit": lambda v, b, k: sorted(v, key=lambda x: digits(x)[-1]), "sort_digit_sum": lambda v, b, k: sorted(v, key=lambda x: sum(digits(x))), "no_first": lambda v, b, k: list(itertools.islice(v, 1, None)), "no_last": lambda v, b, k: list(itertools.islice(v, max(len(v) - 1, 0))),
    "inner": lambda v, b, k: [x for i, x in enumerate(v) if 0 < i < len(v) - 1], "no_min": lambda v, b, k: [x for x in v if x > min(v)], "no_max": lambda v, b, k: [x for x in v if x < max(v)], "above_avg": lambda v, b, k: [x for x in v if x * len(v) > sum(v)], "minus_min": lambda v, b, k: [x - sorted(v)[0] for x in v],
    "plus_one": lambda v, b, k: [-~x for x in v], "no_negative": lambda v, b, k: [x if x > 0 else 0 for x in v], "double_even": lambda v, b, k: [x + x * (1 - x & 1) if not x & 1 else x for x in v], "adj_products": lambda v, b, k: list(map(math.prod, pairs(v))), "maxima": lambda v, b, k: [y for x, y, z in zip(v, v[1:], v[2:]) if y > max(x, z)],
    "indices_k": lambda v, b, k: list(itertools.compress(range(len(v)), [x == k for x in v])), "every_k": lambda v, b, k: [x for i, x in enumerate(v) if not i % k], "remove_k_once": lambda v, b, k: v[:k] + v[k + 1:], "append_k": lambda v, b, k: [*v, k], "prepend_k": lambda v, b, k: [k, *v], "between_zero": lambda v, b, k: [x for x in v if not (x < 0 or x > k)],
    "ranks": lambda v, b, k: [1 + sum(y < x for y in set(v)) for x in v], "interleave": lambda v, b, k: list(itertools.chain.from_iterable(zip(v, b))), "union": lambda v, b, k: sorted({*v, *b}), "intersection": lambda v, b, k: sorted({x for x in v if x in b}), "merge_sorted": lambda v, b, k: sorted(itertools.chain(v, b)),
    "zip_sub": lambda v, b, k: list(map(operator.sub, v, b)), "zip_min": lambda v, b, k: list(map(min, v, b)), "same_set": lambda v, b, k: Counter(v) == Counter(b), "share_any": lambda v, b, k: not set(v).isdisjoint(b), "subset": lambda v, b, k: set(v) <= set(b), "equal_count": lambda v, b, k: sum(map(operator.eq, v, b)),
    "pairs_of": lambda v, b, k: list(map(list, zip(v, b))), "chunks": lambda v, b, k: [list(c) for c in iter(lambda it=iter(v): list(itertools.islice(it, k)), [])], "windows": lambda v, b, k: [s for s in slices(v) if len(s) == k], "neighbour_pairs": lambda v, b, k: list(map(list, pairs(v))),
    "halves": lambda v, b, k: [[x for i, x in enumerate(v) if i < len(v) // 2], [x for i, x in enumerate(v) if i >= len(v) // 2]], "split_even_odd": lambda v, b, k: [list(filter(lambda x: not x & 1, v)), list(filter(lambda x: x & 1, v))], "prefixes_l": lambda v, b, k: [s for i, s in enumerate(slices(v)[:len(v)])],
    "m_sum": lambda v, b, k: sum(itertools.chain(*v)), "m_max": lambda v, b, k: sorted(itertools.chain(*v))[-1], "m_flat": lambda v, b, k: list(itertools.chain(*v)), "m_row_sums": lambda v, b, k: list(map(sum, v)), "m_col_sums": lambda v, b, k: [sum(r[j] for r in v) for j in range(len(v[0]))] if v else [],
    "m_row_max": lambda v, b, k: list(map(max, v)), "m_transpose": lambda v, b, k: [[r[j] for r in v] for j in range(len(v[0]))] if v else [], "m_diag": lambda v, b, k: sum(r[i] for i, r in enumerate(v)), "m_diag_list": lambda v, b, k: [r[i] for i, r in enumerate(v)], "m_scale": lambda v, b, k: [list(map(k.__mul__, r)) for r in v],
    "m_count": lambda v, b, k: list(itertools.chain(*v)).count(k), "m_reverse_rows": lambda v, b, k: [list(reversed(r)) for r in v], "m_flip": lambda v, b, k: list(reversed(v)), "m_rotate": lambda v, b, k: [[v[i][j] for i in range(len(v) - 1, -1, -1)] for j in range(len(v[0]))] if v else [],
    "m_square": lambda v, b, k: not any(len(r) - len(v) for r in v), "m_sizes": lambda v, b, k: list(map(len, v)), "m_add": lambda v, b, k: [list(map(operator.add, p, q)) for p, q in zip(v, b)],
    "by_length": lambda v, b, k: grouped(v, len), "by_first": lambda v, b, k: grouped(v, lambda w: w[:1]), "count_first": lambda v, b, k: dict(Counter(w[:1] for w in v)), "avg_len": lambda v, b, k: statistics.fmean(map(len, v)) if v else v[0], "w_sort_last": lambda v, b, k: sorted(v, key=lambda w: w[::-1][:1]),
    "w_sort_nocase": lambda v, b, k: sorted(v, key=lambda w: w.lower()), "w_sort_len_abc": lambda v, b, k: sorted(sorted(v), key=len), "w_once": lambda v, b, k: [w for w in v if Counter(v)[w] == 1], "w_repeated": lambda v, b, k: [w for w, c in Counter(v).items() if c > 1], "w_sorted_set": lambda v, b, k: [w for w, _ in itertools.groupby(sorted(v))],
    "w_all_longest": lambda v, b, k: [w for w in v if not any(len(y) > len(w) for y in v)], "w_number": lambda v, b, k: [f"{i + 1}. {w}" for i, w in enumerate(v)], "w_plural": lambda v, b, k: list(map("{}s".format, v)), "w_title_join": lambda v, b, k: " ".join(w[:1].upper() + w[1:].lower() for w in v),
    "w_commas": lambda v, b, k: functools.reduce(lambda a, w: f"{a}, {w}", v) if v else "", "w_prefix": lambda v, b, k: common_start(v) if v else v[0], "w_most_vowels": lambda v, b, k: sorted(v, key=lambda w: -sum(c in VOWELS for c in w))[0], "w_index": lambda v, b, k: next((i for i, w in enumerate(v) if w == k), -1),
    "w_remove": lambda v, b, k: list(filter(k.__ne__, v)), "w_long_index": lambda v, b, k: list(map(len, v)).index(sorted(map(len, v))[-1]), "w_pairs": lambda v, b, k: list(map(" ".join, zip(v, b))), "d_avg": lambda v, b, k: statistics.fmean(v.values()) if v else [][0], "d_invert": lambda v, b, k: dict(map(reversed, v.items())),
    "d_rank": lambda v, b, k: [a for a, _ in sorted(v.items(), key=lambda i: -i[1])], "d_keys_with": lambda v, b, k: [a for a in v if v[a] == k], "d_keys_above": lambda v, b, k: [a for a in v if v[a] >= k + 1], "d_count_above": lambda v, b, k: sum(v[a] > k for a in v), "d_remove": lambda v, b, k: dict(i for i in v.items() if i[0] != k),
    "d_lines": lambda v, b, k: list(itertools.starmap("{}: {}".format, v.items())), "d_square": lambda v, b, k: {a: v[a] ** 2 for a in v}, "d_upper": lambda v, b, k: dict((a.upper(), v[a]) for a in v), "d_total_above": lambda v, b, k: sum(v[a] for a in v) >= k + 1, "d_merge": lambda v, b, k: {a: sum(d[a] for d in (v, b) if a in d) for a in [*v, *b]},
    "d_update": lambda v, b, k: v | b, "d_common": lambda v, b, k: list(filter(b.__contains__, v)),
    "caesar": lambda v, b, k: shift(v, k), "uncaesar": lambda v, b, k: shift(v, -k), "run_length": lambda v, b, k: "".join(f"{g[0]}{len(g)}" for g in groups(v)), "count_run_length": lambda v, b, k: "".join(f"{len(g)}{g[0]}" for g in groups(v)), "expand_runs": lambda v, b, k: re.sub(r"(.)(\d)", lambda m: m[1] * int(m[2]), v),
    "squeeze_s": lambda v, b, k: "".join(g[0] for g in groups(v)), "no_punct": lambda v, b, k: re.sub(r"[^A-Za-z0-9 ]", "", v), "alternate_case": lambda v, b, k: "".join((c.lower if i & 1 else c.upper)() for i, c in enumerate(v)), "swap_ends_s": lambda v, b, k: re.sub(r"^(.)(.*)(.)$", r"\3\2\1", v),
    "to_camel": lambda v, b, k: "".join(w if i == 0 else w[:1].upper() + w[1:].lower() for i, w in enumerate(re.split("_", v))), "to_snake": lambda v, b, k: re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), v), "slug": lambda v, b, k: re.sub(r"\s+", "-", v.lower().strip()), "snake_words": lambda v, b, k: re.sub(r"\s+", "_", v.lower().strip()),
    "middle_c": lambda v, b, k: v and v[len(v) >> 1], "acronym": lambda v, b, k: "".join(w[:1] for w in v.upper().split()), "star_vowels": lambda v, b, k: re.sub("(?i)[aeiou]", "*", v), "upper_vowels": lambda v, b, k: re.sub("[aeiou]", lambda m: m[0].upper(), v), "repeat_k": lambda v, b, k: "".join([v] * k),
    "pad_left": lambda v, b, k: "0" * max(k - len(v), 0) + v, "shorten": lambda v, b, k: v[:k] + "..." * (len(v) > k), "mask": lambda v, b, k: "".join("#" if i < len(v) - k else c for i, c in enumerate(v)), "common_c": lambda v, b, k: mode(v), "first_single": lambda v, b, k: next(c for c, n in Counter(v).items() if n == 1) if 1 in Counter(v).values() else [][0],
    "last_ws": lambda v, b, k: v.rsplit(None, 1)[-1].strip() if v.strip() else [][0], "first_ws": lambda v, b, k: v.split(None, 1)[0], "shortest_ws": lambda v, b, k: sorted(v.split(), key=len)[0], "no_spaces": lambda v, b, k: "".join(v.split(" ")), "inner_s": lambda v, b, k: "".join(c for i, c in enumerate(v) if 0 < i < len(v) - 1),
    "no_first_c": lambda v, b, k: "".join(list(v)[1:]), "no_last_c": lambda v, b, k: "".join(list(v)[:-1]), "upper_first": lambda v, b, k: "".join(c.upper() if i == 0 else c for i, c in enumerate(v)), "greet": lambda v, b, k: f"Hello, {v}!", "sort_desc_s": lambda v, b, k: "".join(sorted(v)[::-1]),
    "words_by_len": lambda v, b, k: " ".join(w for n in range(99) for w in v.split() if len(w) == n), "unique_words": lambda v, b, k: " ".join(Counter(v.split())), "swap_halves": lambda v, b, k: "".join(c for part in (v[len(v) // 2:], v[:len(v) // 2]) for c in part), "rotate_s": lambda v, b, k: "".join([*v][k:] + [*v][:k]),
    "remove_word": lambda v, b, k: " ".join(filter(k.__ne__, v.split())), "complement": lambda v, b, k: v.translate(str.maketrans("01", "10")),
    "count_sub": lambda v, b, k: len(v.split(k)) - 1, "longest_run_s": lambda v, b, k: max(map(len, groups(v)), default=0), "letter_values": lambda v, b, k: sum(LOWER.index(c) + 1 for c in v.lower() if c in LOWER), "depth": lambda v, b, k: max([0, *nesting(v)]), "from_bin": lambda v, b, k: sum(int(c) << i for i, c in enumerate(v[::-1])) if v else [][0],
    "from_roman": lambda v, b, k: [roman(n) for n in range(2600)].index(v), "distinct_words": lambda v, b, k: len(Counter(v.split())), "count_caps_words": lambda v, b, k: len(re.findall(r"(?<!\S)[A-Z]", v)), "upper_lower": lambda v, b, k: (len(re.findall("[A-Z]", v)), len(re.findall("[a-z]", v))), "balanced": lambda v, b, k: cancels(v),
    "pangram": lambda v, b, k: set(LOWER) <= set(v.lower()), "isogram": lambda v, b, k: max(Counter(v.lower()).values(), default=1) == 1, "same_ends_s": lambda v, b, k: not v or v[0] == v[len(v) - 1], "loose_pal": lambda v, b, k: (lambda s: s == s[::-1])(re.sub("[^a-z]", "", v.lower())), "is_lower": lambda v, b, k: v.lower() == v != v.upper(),
    "is_alpha": lambda v, b, k: re.fullmatch("[A-Za-z]+", v) is not None, "has_digit_s": lambda v, b, k: re.search(r"\d", v) is not None, "strong": lambda v, b, k: not len(v) < k and re.search(r"\d", v) is not None, "longer_than": lambda v, b, k: v[k:] != "", "blank": lambda v, b, k: set(v) <= {" "}, "ascii_codes": lambda v, b, k: list(v.encode()),
    "alphabet_places": lambda v, b, k: [LOWER.index(c) + 1 for c in v.lower() if c in LOWER], "vowel_places": lambda v, b, k: [m.start() for m in re.finditer("[aeiouAEIOU]", v)], "prefixes": lambda v, b, k: list(itertools.accumulate(v)), "suffixes": lambda v, b, k: [v[len(v) - n:] for n in range(len(v), 0, -1)], "pairs_s": lambda v, b, k: list(map("".join, pairs(v))),
    "chunks_s": lambda v, b, k: re.findall(".{1,%d}" % k, v), "split_commas": lambda v, b, k: list(map(str.strip, re.split(",", v))), "sorted_words": lambda v, b, k: sorted(re.findall(r"\S+", v)), "vowel_counts": lambda v, b, k: {c: len(re.findall(c, v.lower())) for c in "aeiou"}, "word_len_map": lambda v, b, k: dict(zip(v.split(), map(len, v.split()))),
    "char_places": lambda v, b, k: {c: i for i, c in reversed(list(enumerate(v)))} and {c: v.find(c) for c in v}, "rotation": lambda v, b, k: any(v[i:] + v[:i] == b for i in range(len(v) + 1)), "same_nocase": lambda v, b, k: v.upper() == b.upper(), "is_suffix": lambda v, b, k: v[len(v) - len(b):] == b if len(b) <= len(v) else False,
    "subsequence": lambda v, b, k: follows(b, v), "same_letters": lambda v, b, k: not set(v) ^ set(b), "prefix_two": lambda v, b, k: common_start([v, b]), "weave": lambda v, b, k: "".join(itertools.chain(*zip(v, b))), "shorter_s": lambda v, b, k: b if len(b) < len(v) else v, "full_name": lambda v, b, k: f"{v} {b}",
    "count_in": lambda v, b, k: len(v.split(b)) - 1 if b else len(v) + 1, "shared_count": lambda v, b, k: len({c for c in v if c in b}),
}
