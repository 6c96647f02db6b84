"""Sentences that say what a pipeline does."""
import re
from .families import NOUNS

CHOICE = re.compile("«([^«»]*)»")
FIRST = {"L": ["`{a}`", "{a}", "the list", "the numbers", "the numbers in `{a}`", "the numbers in {a}", "the given numbers", "the list `{a}`", "the given list", "the integers in {a}", "the values in `{a}`", "the input list"],
         "W": ["`{a}`", "{a}", "the words", "the words in `{a}`", "the strings in {a}", "the given words", "the list of words", "the given strings", "the strings of `{a}`", "the words of {a}"],
         "S": ["`{a}`", "{a}", "the string", "the text", "the given string", "the string `{a}`", "the given text", "the string {a}", "the input string"],
         "I": ["`{a}`", "{a}", "the number", "the number `{a}`", "the given number", "the integer {a}", "the number {a}"],
         "D": ["`{a}`", "{a}", "the dictionary", "the given dictionary", "the dictionary `{a}`", "the dictionary {a}"],
         "LL": ["`{a}` and `{b}`", "{a} and {b}", "both lists", "the two lists", "the lists `{a}` and `{b}`", "the two given lists", "the lists {a} and {b}"],
         "WW": ["`{a}` and `{b}`", "{a} and {b}", "both lists", "the two lists", "the lists `{a}` and `{b}`", "the two lists of words"],
         "SS": ["`{a}` and `{b}`", "{a} and {b}", "both strings", "the two strings", "the strings `{a}` and `{b}`", "the two texts", "the strings {a} and {b}"],
         "II": ["`{a}` and `{b}`", "{a} and {b}", "both numbers", "the two numbers", "the numbers `{a}` and `{b}`", "the two given numbers", "the integers {a} and {b}"],
         "WL": ["`{a}` and `{b}`", "{a} and {b}", "the two lists", "both lists"]}
FIRST |= {"M": ["`{a}`", "{a}", "the matrix", "the matrix `{a}`", "the rows of {a}", "the table", "the table {a}", "the given matrix", "a matrix", "the list of lists", "a list of lists", "the nested list {a}", "a nested list", "the grid", "a grid of numbers"],
          "DD": ["`{a}` and `{b}`", "{a} and {b}", "both dictionaries", "the two dictionaries", "the dictionaries {a} and {b}", "two dictionaries"],
          "MM": ["`{a}` and `{b}`", "{a} and {b}", "both matrices", "the two matrices", "the matrices {a} and {b}", "two matrices"]}
FIRST["L"] += ["an array of integers", "the array", "the elements", "the values", "the sequence of numbers {a}", "the numbers given", "the array `{a}`", "a sequence of numbers", "the input"]
FIRST["W"] += ["an array of strings", "the array of strings", "the strings given", "the list of strings", "a list of names", "the words in a list"]
FIRST["S"] += ["the sentence {a}", "the phrase", "a phrase", "the string given", "a piece of text", "the text `{a}`", "the word {a}"]
FIRST["I"] += ["a positive integer", "a given integer {a}", "the value of {a}", "the whole number {a}"]
FIRST["L"] += ["a list of integers", "a list of numbers", "a given list of integers", "a list of integers `{a}`", "all numbers in `{a}`", "the integers in the list", "a list", "the list of integers {a}", "the elements of `{a}`"]
FIRST["W"] += ["a list of words", "a list of strings", "a given list of strings", "a list of words `{a}`", "all words in `{a}`", "the words in the list", "the list of strings {a}", "the strings"]
FIRST["S"] += ["a string", "a given string", "a text", "a sentence", "a string `{a}`", "the sentence", "the word", "a word", "the input text"]
FIRST["I"] += ["an integer", "a number", "a given number", "an integer `{a}`", "a whole number", "the integer"]
FIRST["D"] += ["a dictionary", "a given dictionary", "a dict", "a dictionary `{a}`", "the dict {a}"]
FIRST["LL"] += ["two lists", "two lists of numbers"]
FIRST["SS"] += ["two strings", "two words"]
FIRST["II"] += ["two numbers", "two integers"]
PLURAL_NAMES = set("nums numbers values items integers scores points elements sizes ages prices marks entries amounts words strings names texts tokens labels terms parts tags lines titles".split())
LATER = {"L": ["the result", "them", "these numbers", "those", "the numbers", "the resulting list", "the resulting numbers", "these", "what you get", "the outcome", "the numbers you now have"],
         "W": ["the result", "them", "these words", "those", "the words", "the resulting list", "the resulting words", "these strings", "what you get", "the words you now have"],
         "S": ["the result", "it", "that string", "the resulting text", "the resulting string", "what you get", "this string", "the outcome"],
         "I": ["the result", "it", "that number", "this number", "what you get", "the outcome"],
         "M": ["the result", "it", "these rows", "the resulting rows", "what you get"],
         "D": ["the result", "it", "that dictionary", "this dictionary", "the resulting dictionary"]}
INTO = {"L": ["a list of integers", "a list of numbers", "a list of ints", "some numbers", "a list with integers", "a bunch of numbers in a list"],
        "W": ["a list of words", "a list of strings", "some words in a list", "a list of texts"],
        "S": ["a string", "a text", "some text", "a piece of text"], "I": ["an integer", "a number", "a whole number", "an int"],
        "D": ["a dictionary from strings to integers", "a dictionary with string keys and integer values", "a dict of numbers keyed by strings", "a mapping from names to numbers"],
        "M": ["a list of lists of integers", "a matrix", "a list of rows of numbers", "a matrix given as a list of rows", "a nested list of integers", "a table of numbers"],
        "DD": ["two dictionaries from strings to integers", "two dictionaries with numbers as values"], "MM": ["two matrices of the same size", "two lists of rows of the same size"],
        "LL": ["two lists of integers", "two lists of numbers", "two lists with integers"], "WW": ["two lists of words", "two lists of strings"], "SS": ["two strings", "two texts"],
        "II": ["two integers", "two numbers", "two ints"], "WL": ["a list of words and a list of numbers", "a list of strings and a list of integers of the same length"]}
GIVE = ["Return {n}.", "Compute {n}.", "Find {n}.", "Give back {n}.", "Calculate {n}.", "Work out {n}.", "Return {n}", "The function returns {n}.", "It should return {n}.", "Determine {n}.", "The result is {n}.",
        "This function returns {n}.", "You need to return {n}.", "I need {n}.", "The result must be {n}.", "Produce {n}.", "Tell me {n}.", "What is wanted is {n}.", "Get {n} and return it.", "The function must give {n}."]
TEST_GIVE = ["Return {n}.", "Find out {n}.", "Determine {n}.", "The function returns {n}.", "It should return {n}.", "Decide {n}.", "Tell {n}.", "I want to know {n}.", "This function tells {n}."]
SINGLE_DO = ["{d}.", "{d} and return the result.", "{d}, and return what you get.", "Your task is to {d}.", "The function should {d}.", "It should {d} and return the result.", "This function has to {d}.",
             "Please {d}.", "The job: {d}.", "Make it {d}.", "I want to {d}.", "The function must {d}, then return the result."]
SEQUENCES = {2: ["First {0}, then {1}.", "{0}, then {1}.", "{0} and then {1}.", "{0}. Then {1}.", "{0}; after that, {1}.", "{0}. After that, {1} and return the result.", "Start by this: {0}. Next, {1}.", "{0}, and finally {1}.",
                 "The function should {0} and then {1}.", "Your task is to {0}, then to {1}.", "Step one: {0}. Step two: {1}.", "1. {0}\n2. {1}", "- {0}\n- then {1}", "{0}. With that done, {1}.", "{0}. Afterwards {1}.",
                 "{0}. Finally, {1}.", "Before you {1}, {0}.", "{0} before you {1}.", "You have to {0} first and {1} afterwards.", "It has to {0}; next it has to {1}.", "{0}, {1} and return the result.", "Do two things: {0}, then {1}.",
                 "{1}, but first {0}."],
             3: ["First {0}, then {1}, and finally {2}.", "{0}, then {1}, then {2}.", "{0}. Then {1}. Finally, {2}.", "{0}, {1}, and {2}, in this order.", "1. {0}\n2. {1}\n3. {2}", "- {0}\n- then {1}\n- then {2}",
                 "The function should {0}, then {1} and at the end {2}.", "{0}. After that, {1}. Then {2} and return the result.", "Step one: {0}. Step two: {1}. Step three: {2}.", "First {0} and {1}; then {2}.",
                 "Do three things: {0}, then {1}, then {2}.", "{0}; next, {1}; last, {2}.", "You have to {0}, after that {1}, and in the end {2}."]}
STORIES = {"L": ["We have measured some temperatures.", "A shop keeps its prices in `{a}`.", "The numbers in `{a}` come from a sensor.", "I have collected some numbers.", "A teacher has written down marks.", "`{a}` holds the scores of a game.",
                 "Think of a row of numbers.", "Our team tracks daily sales.", "Suppose we have several numbers.", "Numbers arrive from a form."],
           "W": ["I have a list of names.", "A library stores its labels in `{a}`.", "Some words are given.", "We keep tags in a list.", "`{a}` holds the names of our guests.", "Suppose we have several words.", "A quiz has collected answers."],
           "S": ["A user has typed a text.", "We read one line from a file.", "A message has arrived.", "Someone has entered a name.", "`{a}` is what a user has typed.", "Suppose we have a sentence.", "I have some text."],
           "I": ["A player has thrown the dice.", "Someone picks a number.", "A counter shows a number.", "`{a}` is the number on a ticket.", "Suppose we have a whole number."],
           "M": ["A board holds numbers in rows.", "`{a}` is a table with rows and columns.", "A matrix is stored as a list of rows."],
           "D": ["A shop keeps its stock in a dictionary.", "We store points by name.", "`{a}` maps names to numbers.", "Suppose we know how many of each thing there are.", "The dictionary holds the score of every player."]}
SIGNS = {"-": "dash|hyphen|minus sign", "_": "underscore", ",": "comma", ":": "colon", ";": "semicolon", "+": "plus sign", "/": "slash", "*": "star|asterisk", "#": "hash sign", "!": "exclamation mark", "|": "vertical bar|pipe"}
ONE_OF = {"max": "largest|biggest|highest|greatest|maximum", "min": "smallest|lowest|least|minimum", "first": "first|very first", "last": "last|final", "longest": "longest", "shortest": "shortest",
          "first_w": "first|very first", "last_w": "last|final", "alpha_first": "alphabetically first", "alpha_last": "alphabetically last", "most_common": "most common|most frequent", "common_w": "most common|most frequent"}
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth".split()
SPELLED = "zero one two three four five six seven eight nine ten eleven twelve".split()


def capital(s):
    """With a capital first letter, unless it starts with a name in quotes or code."""
    return s[0].upper() + s[1:]


class Words:
    """One task's choices: names of the arguments, and whether parameters are written as words."""

    def __init__(self, rng, names, tin):
        self.rng, self.names, self.tin = rng, names, tin
        self.spelled = rng.random() < 0.15
        self.ticks = rng.random() < 0.5

    def parameter(self, step):
        if step.argument:
            return f"`{step.argument}`" if self.ticks else step.argument
        if isinstance(step.k, int):
            return SPELLED[step.k] if self.spelled and 2 <= step.k <= 12 else str(step.k)
        if step.op.par == "sep" and step.k in SIGNS and self.rng.random() < 0.3:
            sign = self.rng.choice(SIGNS[step.k].split("|"))
            if step.op.id.startswith("join") and self.rng.random() < 0.5:
                return sign + "s" if not sign.endswith("sh") else sign + "es"
            return ("an " if sign[0] in "aeiou" else "a ") + sign
        if step.op.par == "char" and self.rng.random() < 0.12:
            return f"the letter {step.k}"
        return repr(step.k) if self.rng.random() < 0.85 else f'"{step.k}"'

    def expand(self, pattern, step, x):
        while CHOICE.search(pattern):
            pattern = CHOICE.sub(lambda m: self.rng.choice(m[1].split("|")), pattern, count=1)
        for noun, plurals in NOUNS.items():
            pattern = pattern.replace("{" + noun + "s}", self.rng.choice(plurals.split()))
        if "{k}-th" in pattern and isinstance(step.k, int) and not step.argument and 1 <= step.k <= 9:
            which = ORDINALS[step.k - 1] if self.rng.random() < 0.5 else f"{step.k}{'st nd rd'.split()[step.k - 1] if step.k < 4 else 'th'}"
            pattern = pattern.replace("{k}-th", which)
        text = pattern.replace("{k}", self.parameter(step)).replace("letter the letter", "letter")
        return text.replace("{x}", x)

    def first(self):
        """A way to speak of the input; the bare name is taken only when there is one to copy."""
        names = self.names + ["", ""]
        if names[0] in PLURAL_NAMES and self.rng.random() < 0.15:
            return f"the {names[0]}"
        forms = FIRST[self.tin] if names[0] else [f for f in FIRST[self.tin] if "{a}" not in f]
        return self.rng.choice(forms).replace("{a}", names[0]).replace("{b}", names[1])

    def do(self, step, x):
        return self.expand(self.rng.choice(step.op.do), step, x)

    def noun(self, step, x):
        return self.expand(self.rng.choice(step.op.of), step, x)


def nested(words, steps, x):
    """All steps in one noun phrase."""
    rng, i = words.rng, 0
    while i < len(steps):
        pair = steps[i:i + 2]
        if len(pair) == 2 and pair[0].op.simple and pair[1].op.id in ONE_OF and rng.random() < 0.6:   # "the largest even number in xs"
            noun = pair[0].op.family.split()[0]
            one = rng.choice(pair[0].op.simple).replace("{" + noun + "s}", rng.choice((noun, noun, rng.choice(SINGULAR[noun]))))
            x = f"the {rng.choice(ONE_OF[pair[1].op.id].split('|'))} {words.expand(one, pair[0], '')} {rng.choice(('in', 'in', 'of', 'from', 'among'))} {x}"
            i += 2
            continue
        x = words.noun(steps[i], x)
        i += 1
    return x


SINGULAR = {"number": ["value", "element", "integer"], "word": ["string", "entry"], "character": ["letter"]}


def third_person(s):
    """"keep the first" becomes "keeps the first"."""
    first, _, rest = s.partition(" ")
    if first.endswith("ly"):
        return first + " " + third_person(rest)
    ending = "es" if first.endswith(("s", "sh", "ch", "x", "o", "z")) else "s"
    if first.endswith("y") and first[-2] not in "aeiou":
        first, ending = first[:-1], "ies"
    return f"{first}{ending} {rest}".strip()


def clause(rng, steps, names, must_take):
    """What stands after "a function that": it takes something and does something."""
    words = Words(rng, names, steps[0].op.tin)
    x = words.first()
    kind = rng.random()
    takes = ""
    if must_take or rng.random() < 0.45:
        plain = not names[0] or not any(s.argument for s in steps) and rng.random() < 0.6
        into = rng.choice(INTO[words.tin]) if plain else introduce(rng, steps, names)
        takes = f"{rng.choice(('takes', 'takes', 'gets', 'accepts', 'receives'))} {into} and "
    if kind < 0.62 or not all(s.op.do for s in steps):
        verb = "tells" if steps[-1].op.tout == "B" and rng.random() < 0.3 else rng.choice(("returns", "returns", "returns", "gives back", "computes", "calculates", "finds"))
        return f"{takes}{verb} {nested(words, steps, x)}"
    parts = [words.do(steps[0], x)] + [words.do(s, rng.choice(LATER[s.op.tin])) for s in steps[1:]]
    parts = [third_person(p) for p in parts]
    if len(parts) == 1:
        return takes + parts[0] + rng.choice(("", "", " and returns the result"))
    if len(parts) == 2:
        return takes + parts[0] + rng.choice((" and then ", ", then ", " and ", " and afterwards ", ", and then ")) + parts[1]
    return f"{takes}{parts[0]}, {rng.choice(('', 'then '))}{parts[1]}{rng.choice((' and then ', ', and finally ', ', then '))}{parts[2]}"


def give(words, steps, x):
    if words.rng.random() < 0.22 and steps[-1].op.tout != "B":
        text = words.rng.choice(("{n}.", "Return {n}.", "Return {n}.", "Returns {n}.")).replace("{n}", nested(words, steps, x))
        return text if text.startswith("`") else capital(text)
    forms = TEST_GIVE if steps[-1].op.tout == "B" else GIVE
    return words.rng.choice(forms).replace("{n}", nested(words, steps, x))


def sequence(words, steps):
    rng = words.rng
    parts = [words.do(steps[0], words.first())] + [words.do(s, rng.choice(LATER[s.op.tin])) for s in steps[1:]]
    pattern = rng.choice(SEQUENCES[len(steps)])
    starts = [m.start() for m in re.finditer(r"\{\d\}", pattern)]
    for at in reversed(starts):
        part = parts[int(pattern[at + 1])]
        opens = at == 0 or pattern[:at].rstrip(" ").endswith((".", "\n", "-")) or re.search(r"\d\. $", pattern[:at])
        pattern = pattern[:at] + (capital(part) if opens else part) + pattern[at + 3:]
    return pattern


def single(words, step):
    rng = words.rng
    if step.op.passive and rng.random() < 0.15:
        text = words.expand(rng.choice(step.op.passive), step, words.first())
        return rng.choice(["Return {x}, where {p}.", "The function gets {x}. In the result {p}.", "From {x}, make the result in which {p}."]).replace("{x}", words.first()).replace("{p}", text)
    if not step.op.do or rng.random() < 0.55:
        return give(words, [step], words.first())
    if rng.random() < 0.3:
        return capital(words.do(step, words.first())) + "."
    pattern = rng.choice(SINGLE_DO)
    part = words.do(step, words.first())
    return pattern.replace("{d}", capital(part) if pattern.startswith("{d}") else part)


def mixed(words, steps):
    """The early steps as commands, the last as what to return."""
    rng = words.rng
    cut = rng.randrange(1, len(steps))
    early, late = steps[:cut], steps[cut:]
    if len(early) == 1:
        s = early[0]
        if s.op.passive and rng.random() < 0.4:
            head = capital(words.expand(rng.choice(s.op.passive), s, words.first())) + "."
        else:
            head = capital(words.do(s, words.first())) + rng.choice([".", ".", " first.", " to begin with."])
    else:
        head = sequence(words, early)
    x = rng.choice(LATER[late[0].op.tin])
    tail = nested(words, late, x)
    if steps[-1].op.tout == "B":
        return head + " " + rng.choice(["Then return ", "Return ", "Finally tell ", "Then find out "]) + tail + "."
    return head + " " + rng.choice(["Then return ", "Return ", "The result is ", "Finally give back ", "Now compute ", "After that, return ", "At the end return ", "The answer is then "]) + tail + "."


SYNONYMS = {"numbers": "integers values elements", "number": "integer value", "integers": "numbers ints", "list": "array list sequence", "string": "text", "text": "string", "largest": "biggest maximum greatest highest", "smallest": "minimum lowest",
            "return": "output give produce", "returns": "gives produces outputs", "whether": "if", "each": "every", "every": "each", "remove": "delete drop", "count": "tally count", "find": "determine locate get", "occurs": "appears", "occurrences": "appearances", "contains": "includes has", "compute": "calculate determine", "calculate": "compute find",
            "given": "provided", "duplicates": "repeats", "dictionary": "dict mapping", "reversed": "backwards", "sum": "total", "total": "sum", "different": "distinct unique", "distinct": "different unique", "function": "method",
            "keep": "retain leave", "elements": "items entries", "items": "elements", "check": "test determine", "second": "2nd", "equal": "identical", "sort": "order arrange", "create": "build make", "make": "create build", "index": "position",
            "indices": "positions", "multiply": "multiply", "joined": "concatenated", "join": "concatenate combine", "smaller": "less", "greater": "larger bigger", "larger": "greater", "position": "index"}
WORD = re.compile(r"(?<![\w`'\"/])[A-Za-z]+(?![\w`'\"(/])")


def vary(rng, text, protected, share=0.3):
    """The text with some words exchanged for others of the same meaning, names and literals left alone."""
    def other(m):
        found = SYNONYMS.get(m[0].lower())
        if not found or m[0] in protected or rng.random() > share:
            return m[0]
        word = rng.choice(found.split())
        return capital(word) if m[0][0].isupper() else word
    return re.sub(r"\b([Aa]) (?=[aeiou])", lambda m: m[1] + "n ", WORD.sub(other, text))


NOUN_OF = {"L": "list list list array", "W": "list list", "S": "string text string", "D": "dictionary dict", "M": "matrix list table"}
ON_EMPTY = ["If the {n} is empty, return {r}.", "Return {r} for an empty {n}.", "Return {r} if the {n} is empty.", "For an empty {n}, return {r}.", "An empty {n} gives {r}.", "If there are no elements, return {r}.", "When the {n} is empty the result is {r}.",
            "If `{a}` is empty, return {r}.", "If {a} is empty the function returns {r}.", "The {n} may be empty; then return {r}.", "Empty input gives {r}.", "Should the {n} be empty, the answer is {r}."]
NEVER_EMPTY = ["You may assume that the {n} is not empty.", "The {n} is never empty.", "The {n} has at least one element.", "Assume the {n} is not empty.", "The input is not empty."]
REMARKS = ["Do not change the input.", "The input stays unchanged.", "Only valid input is given.", "The function should work for all inputs of this kind.", "Return the result; do not print it.", "Use only the standard library.", "It should work for any {n}."]


def remark(rng, steps, names, on_empty):
    """A sentence behind the description: what an empty input gives, or something that changes nothing.  `on_empty`: the result as text, or None."""
    nouns = NOUN_OF.get(steps[0].op.tin)
    if not nouns:
        return ""
    fill = lambda s: " " + s.replace("{n}", rng.choice(nouns.split())).replace("{r}", f"`{on_empty}`" if rng.random() < 0.2 else str(on_empty)).replace("{a}", names[0])
    usable = [s for s in ON_EMPTY if names[0] or "{a}" not in s]
    if steps[0].guard:
        return fill(rng.choice(usable))
    kind = rng.random()
    if kind < 0.07 and on_empty is not None:
        return fill(rng.choice(usable))
    if kind < 0.12 and on_empty is None:
        return fill(rng.choice(NEVER_EMPTY))
    return fill(rng.choice(REMARKS)) if 0.12 < kind < 0.16 else ""


def restyle(rng, text):
    """Now and then in the style of a docstring that tells what the function does: "Returns the sum ..." """
    head, _, rest = text.partition(" ")
    if rng.random() < 0.18 and head in COMMANDS and " and " not in text and "\n" not in text and ". " not in text:
        return third_person(head.lower()).strip().capitalize() + " " + rest
    return text


COMMANDS = set("Return Compute Find Calculate Determine Count Remove Keep Sort Check Get Convert Replace Add Sum Multiply Join Split Reverse List Take Make Turn Capitalize Select Group Merge Double Square Test Tell Produce Swap Rotate Drop Delete Filter".split())


def describe(rng, steps, names):
    return restyle(rng, in_words(rng, steps, names))


def in_words(rng, steps, names):
    """The task in words."""
    words = Words(rng, names, steps[0].op.tin)
    if len(steps) == 1:
        return single(words, steps[0])
    kind = rng.random()
    if kind < 0.36:
        return give(words, steps, words.first())
    if kind < 0.68 and all(s.op.do for s in steps):
        return sequence(words, steps)
    return mixed(words, steps)


def introduce(rng, steps, names):
    """A clause that says what the arguments are."""
    tin = steps[0].op.tin
    kind = rng.choice(INTO[tin])
    args = " and ".join(f"`{n}`" if rng.random() < 0.6 else n for n in names[:len(tin)])
    extra = [s for s in steps if s.argument]
    if extra:
        what = {"char": "a letter", "sep": "a string", "word": "a word"}.get(extra[0].op.par, rng.choice(("a number", "an integer")))
        named = f"`{extra[0].argument}`" if rng.random() < 0.6 else extra[0].argument
        return f"{kind} {args} and {what} {named}"
    return f"{kind} {args}"
