"""Random inputs and parameters of every type."""
import string
from .names import SYLLABLES, WORDS

SPECIAL = {"ints": "numbers", "w_to_ints": "numbers", "is_digits": "digits", "digit_list": "mixed", "sum_digits_s": "mixed", "keep_digit": "mixed", "drop_digit": "mixed", "count_digit": "mixed",
           "any_digit": "mixed", "all_digit": "digits", "any_digitw": "mixed", "keep_digitw": "mixed", "drop_digitw": "mixed", "count_digitw": "mixed", "strip_s": "padded", "is_pal": "pal", "keep_pal": "pal",
           "drop_pal": "pal", "count_pal": "pal", "any_pal": "pal", "all_pal": "pal", "is_pal_list": "pal", "all_same": "same", "is_sorted": "sorted", "w_sorted": "sorted", "w_same_len": "same",
           "unique_s": "word", "is_upper": "case", "keep_upper": "case", "drop_upper": "case", "count_upper": "case", "all_upperc": "case", "any_upperc": "case", "all_lowerc": "case", "swapcase": "case",
           "keep_upperc": "case", "drop_upperc": "case", "count_upperc": "case", "keep_lowerc": "case", "drop_lowerc": "case", "count_lowerc": "case", "drop_empty": "holes", "keep_empty": "holes",
           "count_empty": "holes", "any_empty": "holes", "all_empty": "holes", "all_vowel": "vowels", "anagram": "anagram", "is_prefix": "prefix", "is_inside": "prefix", "keep_zero": "zeros", "drop_zero": "zeros",
           "count_zero": "zeros", "keep_twodig": "wide", "count_twodig": "wide", "drop_twodig": "wide", "keep_enddig": "wide", "drop_enddig": "wide", "count_enddig": "wide", "digit_sums": "wide", "last_digits": "wide"}
for _kind in ("keep", "drop", "count"):
    SPECIAL[_kind + "_square"] = "squares"
PALINDROMES = "anna bob civic eve level otto noon radar kayak deed a".split()


def word(rng, special=""):
    w = rng.choice(PALINDROMES) if special == "pal" and rng.random() < 0.5 else rng.choice(WORDS)
    kind = rng.random()
    if kind < 0.10 and special != "pal":   # words that can only be copied
        w = "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3))))
    elif kind < 0.14 and special != "pal":
        w = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randrange(1, 7)))
    if special == "case":
        w = rng.choice((w, w.upper(), w.capitalize(), w[:1] + w[1:].upper()))
    elif special == "mixed" and rng.random() < 0.6:
        at = rng.randrange(len(w) + 1)
        w = w[:at] + str(rng.randrange(100)) + w[at:]
    elif special == "holes" and rng.random() < 0.35:
        w = ""
    elif special == "numbers":
        w = str(rng.randrange(-9, 60))
    elif special == "vowels" and rng.random() < 0.5:
        w = "".join(rng.choice("aeiou") for _ in range(rng.randrange(1, 5)))
    elif rng.random() < 0.08:
        w = w.capitalize()
    return w


def text(rng, special="", sep=None):
    if special == "digits":
        return str(rng.randrange(10 ** 5)) if rng.random() < 0.6 else word(rng, "mixed")
    if special in ("word", "pal", "vowels") or special != "numbers" and rng.random() < 0.4:
        s = word(rng, special)
    else:
        s = " ".join(word(rng, special) for _ in range(rng.choice((2, 2, 3, 3, 4))))
    if special == "padded" and rng.random() < 0.7:
        s = " " * rng.randrange(3) + s + " " * rng.randrange(1, 3)
    if sep and sep != " ":
        s = sep.join(word(rng, special) for _ in range(rng.choice((1, 2, 3, 3, 4))))
    if rng.random() < 0.05 and special == "":
        s += rng.choice("!?.")
    if rng.random() < 0.1 and special == "":
        s += str(rng.randrange(1000))
    return s


def numbers(rng, special=""):
    size = rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 7))
    kind = rng.random()
    low, high = (0, 9) if kind < 0.35 else (1, 20) if kind < 0.6 else (-9, 9) if kind < 0.85 else (-20, 60)
    if rng.random() < 0.05:
        low, high = -99, 999
    if special == "wide":
        low, high = -30, 130
    xs = [rng.randint(low, high) for _ in range(size)]
    if rng.random() < 0.35 and size > 2:
        xs[rng.randrange(size)] = rng.choice(xs)
    if special == "zeros":
        xs = [0 if rng.random() < 0.35 else x for x in xs]
    elif special == "squares":
        xs = [rng.choice((0, 1, 4, 9, 16, 25, 36)) if rng.random() < 0.5 else x for x in xs]
    elif special == "pal" and rng.random() < 0.5:
        xs = xs[:3] + xs[:3][::-1][rng.randrange(2):]
    elif special == "same" and rng.random() < 0.5:
        xs = xs[:1] * len(xs)
    elif special == "sorted" and rng.random() < 0.5:
        xs.sort()
    return xs


def words(rng, special="", sep=None):
    ws = [word(rng, special) for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5)))]
    if len(ws) > 2 and rng.random() < 0.3:
        ws[rng.randrange(len(ws))] = rng.choice(ws)
    if special == "sorted" and rng.random() < 0.5:
        ws.sort()
    if special == "same" and rng.random() < 0.5:
        ws = [w[:3] for w in ws if len(w) > 2] or ["sun"]
    return ws


def value(rng, kind, special="", sep=None, limit=0):
    """An input of type `kind`; `special` says what an operation needs to be seen at work."""
    if kind == "L":
        return numbers(rng, special)
    if kind == "W":
        return words(rng, special, sep)
    if kind == "S":
        return text(rng, special, sep)
    if kind == "D":
        return {word(rng): rng.randint(*rng.choice(((0, 9), (1, 20), (-9, 30)))) for _ in range(rng.choice((1, 2, 2, 3, 3, 4)))}
    top = min(limit or 10 ** 4, rng.choice((10, 20, 100, 1000, 10 ** 4)))
    return rng.randint(0, top) if limit or rng.random() < 0.9 else -rng.randint(1, top)


def pair(rng, tin, special):
    if tin == "II":
        return rng.randint(0, 20), rng.randint(1, 30)
    a, b = value(rng, tin[0]), value(rng, tin[1])
    if tin == "SS":
        a, b = word(rng), word(rng)
        if special == "anagram" and rng.random() < 0.5:
            b = "".join(rng.sample(a, len(a)))
        if special == "prefix" and rng.random() < 0.5:
            b = a[:rng.randrange(1, 4)] if rng.random() < 0.6 else a[1:3]
    elif tin in ("LL", "WW") and rng.random() < 0.7:
        b = b[:2] + [rng.choice(a)]
        rng.shuffle(b)
    if tin == "WL":
        a = list(dict.fromkeys(a))
        b = [rng.randint(0, 20) for _ in a]
    return a, b


def parameter(rng, kind, op_id=""):
    if kind == "num" and op_id.split("_")[-1] in ("gt", "lt", "eq"):   # 0 has operations of its own
        return rng.randint(1, 9) if rng.random() < 0.7 else rng.randint(10, 30)
    if kind == "small" and op_id.endswith("_mult") or op_id in ("mul_k", "div_k"):   # so have even numbers, doubling and halving
        return rng.choice((3, 3, 4, 5, 6, 7, 8, 9, 10))
    if kind == "num":
        return rng.randint(0, 9) if rng.random() < 0.7 else rng.randint(10, 30) if rng.random() < 0.8 else -rng.randint(1, 9)
    if kind in ("small", "len"):
        return rng.choice((2, 2, 3, 3, 4, 5)) if rng.random() < 0.9 else rng.randint(6, 9)
    if kind == "digit":
        return rng.randint(0, 9)
    if kind == "add":
        return rng.randint(1, 12) if rng.random() < 0.85 else rng.randint(13, 100)
    if kind == "factor":
        return rng.choice((2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12))
    if kind == "char" and rng.random() < 0.9:   # a letter that does occur
        w = rng.choice(WORDS)
        return w[0] if "starts" in op_id else w[-1] if "ends" in op_id else rng.choice(w)
    if kind == "char":
        return rng.choice(string.ascii_lowercase)
    if kind == "sep":
        return rng.choice(("-", "-", "_", ",", ":", ";", "+", "/", "*", "#", "!", "|", ", "))
    return rng.choice(WORDS)


def word_with(rng, letter, op_id):
    """A word that the test of this operation finds."""
    test = str.startswith if "starts" in op_id else str.endswith if "ends" in op_id else str.__contains__
    found = [w for w in WORDS if test(w, letter)]
    return rng.choice(found) if found else letter


def edge(kind):
    return {"L": [], "W": [], "S": "", "D": {}, "I": 0}[kind]
