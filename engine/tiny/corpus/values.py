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
SPECIAL |= {"balanced": "brackets", "depth": "brackets", "from_roman": "roman", "expand_runs": "runs", "run_length": "letters", "count_run_length": "letters", "squeeze_s": "letters", "longest_run_s": "letters",
            "to_camel": "snake", "to_snake": "camel", "from_bin": "binary", "complement": "binary", "pad_left": "binary", "pangram": "pangram", "loose_pal": "loose pal", "split_commas": "commas", "no_punct": "punctuation", "isogram": "word",
            "is_alpha": "mixed", "has_digit_s": "mixed", "strong": "mixed", "is_lower": "case", "to_lower": "case", "count_caps_words": "case", "upper_lower": "case", "w_sort_nocase": "case", "blank": "blank",
            "from_binary": "bits", "zero_pair": "signs", "sign_changes": "signs", "no_negative": "signs", "sort_abs": "signs", "zeros_last": "zeros", "squeeze": "same runs", "longest_run": "same runs", "equal_pairs": "same runs",
            "twin_neighbours": "same runs", "rising": "sorted", "falling": "falling", "same_ends": "pal", "gcd_all": "multiples", "m_square": "any size", "w_prefix": "prefix", "w_index": "", "is_empty": "maybe empty",
            "same_ends_s": "pal", "rotation": "rotation", "same_nocase": "nocase", "is_suffix": "suffix", "subsequence": "subsequence", "same_letters": "anagram", "prefix_two": "prefix", "count_in": "inside",
            "same_set": "shuffled", "share_any": "", "subset": "subset", "equal_two": "near", "is_leap": "year", "is_perfect": "perfect", "is_power_two": "power of two", "is_square": "square", "is_armstrong": "armstrong",
            "is_pal_i": "palindrome number", "sort_last_digit": "wide", "sort_digit_sum": "wide", "even_odd": "small", "fizzbuzz": "small", "sign_word": "around zero", "is_neg": "around zero", "is_pos": "around zero",
            "trailing_zeros": "round", "to_celsius": "fahrenheit", "pow_two": "powers", "equal_count": "near", "w_repeated": "repeats", "w_once": "repeats", "unique_words": "repeats",
            "repeated": "same runs", "w_sorted_set": "repeats"}
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


def crafted_text(rng, special):
    """Texts that an operation needs to be seen at work, or None."""
    some = lambda count: [rng.choice(WORDS) for _ in range(count)]
    if special == "brackets":
        s = rng.choice(("()", "(())", "()()", "(()())", "((()))", "(a)(b)", "(x + y)", "f(g(x))", "((a) + b)"))
        at = rng.randrange(len(s))
        return s if rng.random() < 0.5 else s[:at] + rng.choice("()") + s[at:] if rng.random() < 0.6 else s[::-1] if rng.random() < 0.4 else ""
    if special == "roman":
        n, out = rng.choice((rng.randint(1, 20), rng.randint(1, 100), rng.randint(1, 2100))), ""
        for v, c in ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
            out, n = out + c * (n // v), n % v
        return out
    if special == "runs":
        return "".join(rng.choice("abcxyz") + str(rng.randint(1, 5)) for _ in range(rng.randint(1, 4)))
    if special == "letters":
        return "".join(rng.choice("aabcxyzW") * rng.choice((1, 1, 2, 2, 3, 4)) for _ in range(rng.randint(1, 4))) if rng.random() < 0.9 else rng.choice(WORDS)
    if special == "snake":
        return "_".join(some(rng.randint(1, 3)))
    if special == "camel":
        return (lambda w: w[0] + "".join(map(str.capitalize, w[1:])))(some(rng.randint(1, 3)))
    if special == "binary":
        return "".join(rng.choice("01") for _ in range(rng.randint(1, 8)))
    if special == "pangram":
        return rng.choice(("the quick brown fox jumps over the lazy dog", "abcdefghijklmnopqrstuvwxyz", "pack my box with five dozen liquor jugs", "Sphinx of black quartz, judge my vow", " ".join(some(3)), rng.choice(WORDS)))
    if special == "loose pal":
        return rng.choice(("Level", "Never odd or even", "No lemon, no melon", "Anna", "Was it a car", "Top spot!", "step on no pets", " ".join(some(2)), rng.choice(WORDS).capitalize(), rng.choice(PALINDROMES).capitalize()))
    if special == "commas":
        return rng.choice((",", ", ", " , ")).join(some(rng.randint(1, 4)))
    if special == "punctuation":
        return rng.choice((", ", "! ", " ", ". ", "-")).join(some(rng.randint(1, 3))) + rng.choice(("!", "?", "", ".", "..."))
    if special == "repeats":
        return " ".join(rng.choices(some(3), k=rng.randint(2, 6)))
    if special == "blank":
        return rng.choice(("", " ", "   ", rng.choice(WORDS), " " + rng.choice(WORDS)))
    return None


def text(rng, special="", sep=None):
    made = crafted_text(rng, special)
    if made is not None:
        return made
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
    elif special == "falling" and rng.random() < 0.5:
        xs.sort(reverse=True)
    elif special == "bits":
        xs = [rng.randint(0, 1) for _ in range(rng.randint(1, 6))]
    elif special == "signs":
        xs = [rng.choice((x, -x)) for x in xs] + ([-xs[0]] if rng.random() < 0.4 else [])
    elif special == "same runs":
        xs = [x for x in xs[:4] for _ in range(rng.choice((1, 1, 2, 3)))]
    elif special == "multiples":
        xs = [abs(x) * k for k in (rng.choice((1, 2, 3, 4, 5, 6)),) for x in xs]
    elif special == "maybe empty" and rng.random() < 0.4:
        xs = []
    return xs


def table(rng, special=""):
    """Rows of one length; mostly small."""
    height = rng.choice((1, 2, 2, 2, 3, 3))
    width = height if rng.random() < 0.55 else rng.choice((1, 2, 3))
    top = rng.choice((9, 9, 20))
    return [[rng.randint(0 if rng.random() < 0.8 else -9, top) for _ in range(width)] for _ in range(height)]


def number(rng, special):
    """An int that some tests are true of now and then, or None."""
    if special == "year":
        return rng.choice((1900, 2000, 2100, 2400, 1600, rng.randint(1800, 2100), 4 * rng.randint(450, 520)))
    if special == "perfect":
        return rng.choice((6, 28, 496, rng.randint(1, 30)))
    if special == "power of two":
        return rng.choice((2 ** rng.randrange(11), rng.randint(0, 70)))
    if special == "square":
        return rng.choice((rng.randint(0, 20) ** 2, rng.randint(0, 70)))
    if special == "armstrong":
        return rng.choice((153, 370, 371, 407, 9, rng.randint(0, 500)))
    if special == "palindrome number":
        s = str(rng.randint(1, 99))
        return int(rng.choice((s + s[::-1], s + s[::-1][1:], s, str(rng.randint(1, 9999)))))
    if special == "small":
        return rng.randint(0, 31)
    if special == "around zero":
        return rng.choice((0, rng.randint(-20, 20)))
    if special == "fahrenheit":
        return 32 + 9 * rng.randint(-6, 20)
    if special == "round":
        return rng.randint(1, 99) * 10 ** rng.randrange(4)
    return None


def words(rng, special="", sep=None):
    ws = [word(rng, special) for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5)))]
    if len(ws) > 2 and rng.random() < 0.3:
        ws[rng.randrange(len(ws))] = rng.choice(ws)
    if special == "sorted" and rng.random() < 0.5:
        ws.sort()
    if special == "repeats":
        ws = rng.choices(ws[:3], k=rng.randint(2, 5))
    if special == "prefix" and rng.random() < 0.7:
        start = rng.choice(WORDS)[:rng.randint(1, 4)]
        ws = [start + w for w in ws[:3]]
    if special == "same" and rng.random() < 0.5:
        ws = [w[:3] for w in ws if len(w) > 2] or ["sun"]
    return ws


def value(rng, kind, special="", sep=None, limit=0):
    """An input of type `kind`; `special` says what an operation needs to be seen at work."""
    if kind == "L":
        return numbers(rng, special)
    if kind == "M":
        return table(rng, special)
    if kind == "W":
        return words(rng, special, sep)
    if kind == "S":
        return text(rng, special, sep)
    if kind == "D":
        return {word(rng): rng.randint(*rng.choice(((0, 9), (1, 20), (-9, 30)))) for _ in range(rng.choice((1, 2, 2, 3, 3, 4)))}
    made = number(rng, special)
    if made is not None:
        return made
    top = min(limit or 10 ** 4, rng.choice((10, 20, 100, 1000, 10 ** 4)))
    return rng.randint(0, top) if limit or rng.random() < 0.9 else -rng.randint(1, top)


def pair(rng, tin, special):
    if tin == "II" and special == "powers":
        return rng.randint(0, 9), rng.randint(0, 4)
    if tin == "II":
        a, b = rng.choice(((rng.randint(0, 20), rng.randint(1, 30)), (rng.randint(0, 60), rng.randint(1, 6)), (rng.randint(1, 9), rng.randint(1, 9))))
        return (a, a) if special == "near" and a and rng.random() < 0.4 else (a, b)
    if tin == "MM":
        a = table(rng)
        return a, [[rng.randint(0, 9) for _ in p] for p in a]
    if tin == "DD":
        a, b = value(rng, "D"), value(rng, "D")
        return a, dict([*b.items()][:2] + [(rng.choice(list(a)), rng.randint(1, 20))])
    a, b = value(rng, tin[0]), value(rng, tin[1])
    if tin == "SS":
        a, b = word(rng), word(rng)
        if special == "anagram" and rng.random() < 0.5:
            b = "".join(rng.sample(a, len(a)))
        if special == "prefix" and rng.random() < 0.5:
            b = a[:rng.randrange(1, 4)] if rng.random() < 0.6 else a[1:3]
        crafted = {"rotation": lambda: a[2:] + a[:2], "nocase": lambda: a.capitalize(), "suffix": lambda: a[-rng.randint(1, 3):], "subsequence": lambda: a[::2], "inside": lambda: rng.choice(a)}
        if special in crafted and rng.random() < 0.6:
            b = crafted[special]()
    elif tin == "LL" and special == "near" and rng.random() < 0.7:
        b = [x if rng.random() < 0.6 else rng.randint(0, 9) for x in a]
    elif special == "shuffled" and rng.random() < 0.5:
        b = rng.sample(a, len(a))
    elif special == "subset" and rng.random() < 0.5:
        a, b = a[:2], a + b[:2]
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
    return {"L": [], "W": [], "S": "", "D": {}, "I": 0, "M": []}[kind]
