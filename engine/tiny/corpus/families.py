"""Operations made from predicates: keep, drop, count, any and all, for numbers, words and characters."""
from .op import Op, add

# id, parameter, test, its opposite, canonical plural, plural wordings, singular wordings
NUMBER_TESTS = [
    ("even", "", "x % 2 == 0", "x % 2 != 0", "that are even",
     "even {N}|{N} that are even|{N} divisible by two|{N} you can halve without a remainder|{N} that 2 divides",
     "is even|can be divided by 2"),
    ("odd", "", "x % 2 != 0", "x % 2 == 0", "that are odd",
     "odd {N}|{N} that are odd|{N} not divisible by two|{N} that are not even|{N} that leave a remainder when halved", "is odd|is not even"),
    ("pos", "", "x > 0", "x <= 0", "that are positive",
     "positive {N}|{N} above zero|{N} greater than zero|{N} that are positive|{N} larger than 0|strictly positive {N}", "is positive|is above zero|is greater than 0"),
    ("neg", "", "x < 0", "x >= 0", "that are negative",
     "negative {N}|{N} below zero|{N} less than zero|{N} that are negative|{N} under 0|{N} with a minus sign", "is negative|is below zero|is less than 0"),
    ("zero", "", "x == 0", "x != 0", "that are zero",
     "zeros|zero {N}|{N} equal to zero|{N} that are 0|zeroes|{N} that equal 0", "is zero|equals 0"),
    ("gt", "num", "x > {k}", "x <= {k}", "greater than {k}",
     "{N} greater than {k}|{N} above {k}|{N} larger than {k}|{N} that are bigger than {k}|{N} exceeding {k}|{N} that exceed {k}|{N} over {k}|{N} more than {k}|{N} higher than {k}",
     "is greater than {k}|exceeds {k}|is above {k}|is bigger than {k}"),
    ("lt", "num", "x < {k}", "x >= {k}", "less than {k}",
     "{N} less than {k}|{N} below {k}|{N} smaller than {k}|{N} under {k}|{N} that are lower than {k}|{N} that lie below {k}|{N} that stay under {k}",
     "is less than {k}|is below {k}|is smaller than {k}|is under {k}"),
    ("ge", "num", "x >= {k}", "x < {k}", "at least {k}",
     "{N} of at least {k}|{N} that are at least {k}|{N} greater than or equal to {k}|{N} not smaller than {k}|{N} that are {k} or more|{N} from {k} upwards|{N} no less than {k}",
     "is at least {k}|is {k} or more|is greater than or equal to {k}"),
    ("le", "num", "x <= {k}", "x > {k}", "at most {k}",
     "{N} of at most {k}|{N} that are at most {k}|{N} less than or equal to {k}|{N} not greater than {k}|{N} that are {k} or less|{N} up to {k}|{N} no more than {k}",
     "is at most {k}|is {k} or less|is less than or equal to {k}"),
    ("mult", "small", "x % {k} == 0", "x % {k} != 0", "divisible by {k}",
     "{N} divisible by {k}|multiples of {k}|{N} that are multiples of {k}|{N} that {k} divides evenly|{N} that can be divided by {k}|{N} {k} goes into without a remainder",
     "is divisible by {k}|is a multiple of {k}|can be divided by {k}"),
    ("eq", "num", "x == {k}", "x != {k}", "equal to {k}",
     "{N} equal to {k}|occurrences of {k}|{N} that are {k}|{N} that equal {k}|copies of {k}|appearances of {k}", "is equal to {k}|equals {k}|is {k}"),
    ("prime", "", "x > 1 and all(x % i for i in range(2, x))", "not (x > 1 and all(x % i for i in range(2, x)))", "that are prime",
     "prime {N}|primes|{N} that are prime|{N} with no divisor other than 1 and themselves", "is prime|is a prime number"),
    ("square", "", "x >= 0 and int(x ** 0.5) ** 2 == x", "not (x >= 0 and int(x ** 0.5) ** 2 == x)", "that are perfect squares",
     "perfect squares|square {N}|{N} that are perfect squares|{N} that are the square of some integer", "is a perfect square|is a square number"),
    ("twodig", "", "10 <= abs(x) <= 99", "not 10 <= abs(x) <= 99", "that have two digits",
     "two-digit {N}|{N} with exactly two digits|{N} that have two digits|{N} written with two digits|2-digit {N}", "has two digits|has exactly two digits"),
    ("enddig", "digit", "abs(x) % 10 == {k}", "abs(x) % 10 != {k}", "ending in the digit {k}",
     "{N} ending in {k}|{N} whose last digit is {k}|{N} that end in the digit {k}|{N} that end with {k}|{N} with {k} as their final digit", "ends in {k}|has {k} as its last digit"),
]
WORD_TESTS = [
    ("longer", "len", "len(w) > {k}", "len(w) <= {k}", "longer than {k}",
     "{N} longer than {k} characters|{N} with more than {k} letters|{N} that have more than {k} characters|{N} whose length exceeds {k}|{N} whose length is greater than {k}",
     "is longer than {k} characters|has more than {k} letters"),
    ("shorter", "len", "len(w) < {k}", "len(w) >= {k}", "shorter than {k}",
     "{N} shorter than {k} characters|{N} with fewer than {k} letters|{N} that have less than {k} characters|{N} whose length is below {k}|{N} whose length is less than {k}",
     "is shorter than {k} characters|has fewer than {k} letters"),
    ("lenis", "len", "len(w) == {k}", "len(w) != {k}", "of length {k}",
     "{N} of length {k}|{N} with exactly {k} letters|{N} that are {k} characters long|{N} having {k} characters|{k}-letter {N}", "has length {k}|has exactly {k} letters|is {k} characters long"),
    ("starts", "char", "w.startswith({k})", "not w.startswith({k})", "starting with {k}",
     "{N} starting with {k}|{N} that start with {k}|{N} beginning with {k}|{N} whose first letter is {k}|{N} that begin with the letter {k}", "starts with {k}|begins with {k}"),
    ("ends", "char", "w.endswith({k})", "not w.endswith({k})", "ending with {k}",
     "{N} ending with {k}|{N} that end in {k}|{N} ending in the letter {k}|{N} whose last letter is {k}|{N} that finish with {k}", "ends with {k}|has {k} as its last letter"),
    ("has", "char", "{k} in w", "{k} not in w", "containing {k}",
     "{N} containing {k}|{N} that contain the letter {k}|{N} with {k} in them|{N} that have {k} somewhere|{N} in which {k} occurs|{N} including {k}", "contains {k}|has {k} in it"),
    ("pal", "", "w == w[::-1]", "w != w[::-1]", "that are palindromes",
     "palindromes|{N} that are palindromes|palindromic {N}|{N} that read the same backwards|{N} equal to their own reverse", "is a palindrome|reads the same backwards"),
    ("upper", "", "w.isupper()", "not w.isupper()", "in upper case",
     "upper-case {N}|{N} in upper case|{N} written in capitals|uppercase {N}|{N} written all in capital letters", "is in upper case|is written in capitals|is uppercase"),
    ("vowelst", "", "w[:1].lower() in list('aeiou')", "w[:1].lower() not in list('aeiou')", "starting with a vowel",
     "{N} starting with a vowel|{N} that begin with a vowel|{N} whose first letter is a vowel|{N} that start with one of a, e, i, o, u", "starts with a vowel|begins with a vowel"),
    ("evenlen", "", "len(w) % 2 == 0", "len(w) % 2 != 0", "of even length",
     "{N} of even length|{N} with an even number of letters|{N} whose length is even|even-length {N}|{N} that have an even number of characters", "has even length|has an even number of letters"),
    ("oddlen", "", "len(w) % 2 != 0", "len(w) % 2 == 0", "of odd length",
     "{N} of odd length|{N} with an odd number of letters|{N} whose length is odd|odd-length {N}|{N} that have an odd number of characters", "has odd length|has an odd number of letters"),
    ("empty", "", "w == ''", "w != ''", "that are empty",
     "empty {N}|{N} that are empty|{N} without any characters|{N} of length zero|blank {N}", "is empty|has no characters"),
    ("digitw", "", "any(c.isdigit() for c in w)", "not any(c.isdigit() for c in w)", "containing a digit",
     "{N} containing a digit|{N} with a digit in them|{N} that contain at least one digit|{N} that have digits|{N} including some digit", "contains a digit|has a digit in it"),
]
CHAR_TESTS = [
    ("vowel", "", "c.lower() in 'aeiou'", "c.lower() not in 'aeiou'", "vowels", "vowels|vowel letters|{N} that are vowels|letters a, e, i, o, u|{N} from aeiou", "is a vowel"),
    ("cons", "", "c.isalpha() and c.lower() not in 'aeiou'", "not (c.isalpha() and c.lower() not in 'aeiou')", "consonants",
     "consonants|letters that are not vowels|consonant letters|{N} that are consonants", "is a consonant"),
    ("digit", "", "c.isdigit()", "not c.isdigit()", "digits", "digits|digit {N}|{N} that are digits|numeric {N}|{N} from 0 to 9", "is a digit|is numeric"),
    ("letter", "", "c.isalpha()", "not c.isalpha()", "letters", "letters|alphabetic {N}|{N} that are letters|letters of the alphabet", "is a letter|is alphabetic"),
    ("upperc", "", "c.isupper()", "not c.isupper()", "upper-case letters", "upper-case letters|capital letters|capitals|uppercase {N}|{N} in upper case", "is upper case|is a capital letter"),
    ("lowerc", "", "c.islower()", "not c.islower()", "lower-case letters", "lower-case letters|small letters|lowercase {N}|{N} in lower case", "is lower case|is a small letter"),
    ("space", "", "c == ' '", "c != ' '", "spaces", "spaces|blanks|space {N}|{N} that are spaces", "is a space|is blank"),
    ("charis", "char", "c == {k}", "c != {k}", "characters equal to {k}",
     "occurrences of {k}|{N} equal to {k}|copies of the letter {k}|appearances of {k}|{N} that are {k}", "is {k}|equals {k}"),
]
KEEP = ("keep only the {P}|remove everything but the {P}|leave just the {P}|pick out the {P}|select the {P} from {x}|discard everything except the {P}|"
        "take the {P}|retain only the {P}|filter {x} so that only the {P} stay|ignore all but the {P}|look only at the {P}|pull the {P} out of {x}|"
        "narrow {x} down to the {P}|throw out everything that is not among the {P}|get the {P} from {x}|find all {P} in {x}|collect the {P} of {x}|extract the {P} from {x}|keep the {P}|return all {P} in {x}|select only {P}|"
        "choose the {P}|return only the {P} of {x}")
KEEP_OF = ("the {P} in {x}|the {P} of {x}|all {P} in {x}|just the {P} from {x}|all the {P} found in {x}|only those {P} that occur in {x}|the {P} from {x}|the {P} that {x} contains|a list of the {P} in {x}|only the {P} of {x}|only the {P} in {x}|the list of {P} in {x}|every one of the {P} in {x}")
KEEP_PASSIVE = "only the {P} are kept|everything but the {P} is dropped|only {P} count|just the {P} stay|all but the {P} are left out"
DROP = ("drop the {P}|remove the {P} from {x}|throw away the {P}|leave out all {P}|get rid of the {P}|delete every one of the {P}|filter out the {P}|"
        "skip the {P}|strip the {P} from {x}|exclude all {P}|take the {P} out of {x}|discard the {P}|remove all {P}|forget about the {P}|eliminate the {P}|remove any {P} from {x}|delete all {P} from {x}|remove the {P}|ignore the {P}|cut out the {P}")
DROP_OF = ("{x} without the {P}|{x} minus the {P}|{x} with the {P} removed|{x} except for the {P}|what is left of {x} without the {P}|{x} after removing the {P}|{x} once the {P} are gone|{x} with all {P} removed|{x} without any {P}|{x} excluding the {P}|everything in {x} except the {P}|all of {x} but the {P}")
DROP_PASSIVE = "the {P} are removed|all {P} are thrown away|the {P} are left out|the {P} do not count|the {P} are dropped"
COUNT = ("count the {P}|count the {P} in {x}|find out how many {P} there are|work out how many {P} {x} has|tally the {P}|determine the number of {P}|see how many {P} there are in {x}|"
         "count how many {P} are in {x}|count all {P}|get the number of {P} in {x}|compute how many {P} there are in {x}|return how many {P} {x} contains|count the {P} of {x}|calculate the number of {P} in {x}")
COUNT_OF = ("the number of {P} in {x}|how many {P} there are in {x}|how many {P} {x} contains|the count of {P} in {x}|how many {P} are in {x}|the number of {P}|how many {P} {x} has|the tally of {P} in {x}|how many {P} can be found in {x}|how many {P} occur in {x}|the total number of {P} in {x}|the number of {P} of {x}|how many {P} there are")
COUNT_PASSIVE = "the {P} are counted|all {P} get counted"
ANY = ("check whether any {n} in {x} {S}|check if some {n} {S}|find out if at least one {n} {S}|test if there is a {n} in {x} that {S}|decide whether {x} has a {n} that {S}|"
       "see if any {n} {S}|tell if at least one {n} in {x} {S}|check if any {n} in {x} {S}|check if at least one {n} in {x} {S}|check whether there is a {n} that {S}")
ANY_OF = ("whether any {n} in {x} {S}|whether at least one {n} of {x} {S}|True if some {n} in {x} {S}|True if there is a {n} in {x} that {S}, else False|"
          "whether {x} contains a {n} that {S}|True when at least one {n} in {x} {S}, otherwise False|True if any {n} in {x} {S}, False otherwise|whether there is a {n} in {x} that {S}|if any {n} in {x} {S}|whether {x} has at least one {n} that {S}")
ALL = ("check whether every {n} in {x} {S}|check if each {n} {S}|find out if all of {x} pass this test: each {n} {S}|test that every {n} {S}|decide whether each {n} in {x} {S}|"
       "see if every single {n} {S}|tell if every {n} of {x} {S}|check if every {n} in {x} {S}|check that each {n} in {x} {S}|check whether each {n} {S}")
ALL_OF = ("whether every {n} in {x} {S}|whether each {n} of {x} {S}|True if every {n} in {x} {S}|True if each {n} {S}, else False|"
          "True when every single {n} in {x} {S}, otherwise False|whether it holds that every {n} in {x} {S}|True if every {n} in {x} {S}, False otherwise|if every {n} in {x} {S}|whether each single {n} in {x} {S}")
NOUNS = {"number": "numbers numbers numbers values elements integers items entries", "word": "words words words strings items entries elements",
         "character": "characters characters letters symbols"}
PASSIVE = {"keep": KEEP_PASSIVE, "drop": DROP_PASSIVE, "count": COUNT_PASSIVE}


def fill(patterns, plural="", singular="", noun=""):
    """Every pattern, with the wordings left as a choice for later: «a|b» is one of a and b."""
    choice = lambda s: "«" + s + "»"
    patterns = [p for p in patterns.split("|") if noun != "character" or "list" not in p]   # the characters stay a string
    return [p.replace("{P}", choice(plural)).replace("{S}", choice(singular)).replace("{n}", noun) for p in patterns]


def family(noun, var, tin, tests, codes, few):
    nouns = "«" + "|".join(NOUNS[noun].split()) + "»"
    for name, par, test, negated, canon, plural, singular in tests:
        plural = plural.replace("{N}", "{" + noun + "s}")
        body = canon if noun == "character" else f"{noun}s {canon}"
        kinds = [("keep", tin, KEEP, KEEP_OF, f"keep only the {body}", test), ("drop", tin, DROP, DROP_OF, f"drop the {body}", negated),
                 ("count", "I", COUNT, COUNT_OF, f"count the {body}", test)]
        first = singular.split("|")[0]
        if name not in few:
            kinds += [("any", "B", ANY, ANY_OF, f"check if any {noun} {first}", test), ("all", "B", ALL, ALL_OF, f"check if every {noun} {first}", test)]
        for kind, tout, do, of, plan, expr in kinds:
            add(Op(f"{kind}_{name}", tin, tout, plan, codes[kind].replace("TEST", expr), fill(do, plural, singular, noun), fill(of, plural, singular, noun),
                   fill(PASSIVE[kind], plural, singular, noun) if kind in PASSIVE else [], par=par, family=f"{noun} {kind}", simple=[w for w in plural.split("|") if "{" + noun + "s}" in w and " that " not in w] if kind == "keep" else [],
                   weight=0.8 if par == 'char' else 0.45))


def comprehension(v, wrap=("[", "]")):
    return {"keep": f"{wrap[0]}{v} for {v} in {{v}} if TEST{wrap[1]}", "drop": f"{wrap[0]}{v} for {v} in {{v}} if TEST{wrap[1]}",
            "count": f"sum(1 for {v} in {{v}} if TEST)", "any": f"any(TEST for {v} in {{v}})", "all": f"all(TEST for {v} in {{v}})"}


family("number", "x", "L", NUMBER_TESTS, comprehension("x"), {"zero", "eq", "square", "twodig", "enddig", "ge", "le"})
family("word", "w", "W", WORD_TESTS, comprehension("w"), {"shorter", "upper", "vowelst", "oddlen", "digitw"})
family("character", "c", "S", CHAR_TESTS, comprehension("c", ("''.join(", ")")), {"cons", "charis", "space", "letter"})
