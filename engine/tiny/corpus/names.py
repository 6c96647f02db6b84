"""Names of functions and arguments, and the words that inputs are made of."""
import builtins
import keyword
import re

VERBS = ("count get find make build compute keep take pick filter collect check merge apply handle process list show select clean gather map group sort read total "
         "measure convert change trim join scan pack reduce solve shift fold split blend turn mark weigh rank drop pull push lift load save move draw").split()
NOUNS = ("items values numbers words entries list data result things elements text parts pieces names scores points prices letters digits labels rows cells keys tags "
         "tokens steps marks cards coins stones books songs birds boxes lines notes sizes ages days hours votes goals bits codes signs fields orders tickets").split()
WORDS = ("apple banana cherry sun moon star tree river stone cloud rain snow wind fire water bread milk honey cake lemon plum pear grape fig kiwi melon red blue green gold black white pink "
         "cat dog bird fish horse mouse frog bee ant owl fox wolf bear lion tiger crow duck swan goat lamb big small old new fast slow hot cold dark light warm soft hard happy sad calm wild kind "
         "run jump walk sing read write play sleep eat drink swim fly house door roof wall room lamp chair table desk pen book page map road hill lake sea ship boat car bus train bike wheel "
         "anna bob civic eve level otto noon radar kayak deed hello world data code test loop hat cup box key toy egg oak elm ivy rose lily daisy piano drum flute song note tune ice tea day year "
         "north south east west one two three four five six seven eight zero alpha beta gamma delta omega zebra yellow orange purple silver copper iron island garden forest valley window kitchen "
         "school teacher doctor farmer baker king queen prince knight castle tower bridge market street village city town camp tent rope knot sail anchor harbor a i at on in up we go he it is am").split()
SYLLABLES = "ba be bi bo bu da de di do du fa fe fi fo ga ge gi go ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo za ze zi zo glim tor brek stal quin flo dra plex nim wob zor tark mip sna gri blu cro fen hul jat lop".split()
GENERIC = "solve solution f g task func foo process transform compute answer calc run helper main_task convert do_it my_function work fn go apply_all result_of".split()
ARGS = {"L": "nums numbers xs lst arr values items data list1 seq ints array l vals scores points elements sizes ages prices marks entries series row amounts".split(),
        "W": "words strings names texts items lst ws tokens labels terms entries list_of_words parts tags lines titles keys_list phrases".split(),
        "S": "s text string word txt sentence line st message phrase input_string t name content title string1 str1 chars".split(),
        "I": "n num number m value val k integer amount q start limit_value count size".split(),
        "M": "matrix grid rows table board m rectangle lists nested data".split(),
        "D": "d mapping table scores prices stock dct counts ages dictionary data store inventory points lookup".split()}
SECOND = {"LL": [("a", "b"), ("xs", "ys"), ("first", "second"), ("left", "right"), ("list1", "list2"), ("nums1", "nums2"), ("one", "other")],
          "WW": [("a", "b"), ("first", "second"), ("left", "right"), ("words1", "words2"), ("list1", "list2")],
          "SS": [("a", "b"), ("s", "t"), ("first", "second"), ("text1", "text2"), ("left", "right"), ("s1", "s2")],
          "II": [("a", "b"), ("m", "q"), ("first", "second"), ("num1", "num2"), ("start", "end"), ("u", "v")],
          "DD": [("first", "second"), ("left", "right"), ("stock1", "stock2"), ("d1", "d2")], "MM": [("first", "second"), ("left", "right"), ("m1", "m2")],
          "WL": [("keys", "values"), ("names", "scores"), ("words", "nums"), ("labels", "numbers")]}
PARAMETERS = {"num": "limit bound k threshold value target m border".split(), "small": "k count amount m size step n".split(), "len": "k length limit size m n".split(),
              "digit": "k digit m".split(), "add": "k amount delta m step extra".split(), "factor": "k factor m times size".split(), "char": "ch letter char mark sign".split(),
              "sep": "sep mark sign glue ch".split(), "word": "word target key entry needle".split()}
# the names that the canonical code uses for itself
RESERVED = {"x", "c", "w", "y", "e", "i", "p", "out"}


def made_up(rng):
    """A name of several tokens that can only be copied."""
    kind = rng.random()
    part = lambda: "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3))))
    if kind < 0.35:
        name = part() + "_" + part()
    elif kind < 0.6:
        name = rng.choice(WORDS[:150]) + "_" + rng.choice(WORDS[:150])
    elif kind < 0.75:
        name = part() + rng.choice(["", "_"]) + str(rng.randrange(1, 100))
    elif kind < 0.85:
        name = part() + rng.choice(WORDS[:150]).capitalize()
    else:
        name = part() + part()
    return name


STOP_WORDS = set("the a an only all that are is it its by to from with for and or be as at each one those if whether x k then been this these there no which have has so do".split())


def telling_name(rng, ops):
    """A name made of the words of the task, such as count_even_numbers."""
    parts = []
    for o in ops[:2] if rng.random() < 0.4 else ops[-1:]:
        pattern = re.sub("«([^«»]*)»", lambda m: rng.choice(m[1].split("|")), rng.choice(o.do + o.of + [o.plan]))
        pattern = re.sub("«([^«»]*)»", lambda m: rng.choice(m[1].split("|")), pattern)
        pattern = re.sub(r"\{(number|word|character)s\}", lambda m: m[1] + "s", pattern)
        words = [w for w in re.sub(r"\{.\}|[^a-z ]", " ", pattern.lower()).split() if w not in STOP_WORDS and (w not in ("of", "in") or rng.random() < 0.3)]
        parts += words[:rng.choice((2, 2, 3, 3, 4))]
    while parts and parts[-1] in ("of", "in"):
        parts.pop()
    if rng.random() < 0.15 and parts:
        parts = [rng.choice(("get", "find", "compute", "my", "calc"))] + parts
    if rng.random() < 0.1:
        return parts[0] + "".join(p.capitalize() for p in parts[1:]) if parts else "task_it"
    return "_".join(parts) or "task_it"


def function_name(rng, ops):
    """Every third one tells what the function does, most of the others nothing about the answer."""
    kind = rng.random()
    if kind < 0.36:
        name = telling_name(rng, ops)
    elif kind < 0.40:
        name = "_".join(o.id for o in ops[:2]) if rng.random() < 0.5 else ops[-1].id
    elif kind < 0.50:
        name = rng.choice(GENERIC)
    elif kind < 0.68:
        name = rng.choice(VERBS) + "_" + rng.choice(NOUNS)
        name += rng.choice(["", "", "", "2", "_in_" + rng.choice(NOUNS), "_" + rng.choice(NOUNS), "s"])
        if rng.random() < 0.12:
            head, *rest = name.split("_")
            name = head + "".join(r.capitalize() for r in rest)
    else:
        name = made_up(rng)
    return name + "_it" if name in dir(builtins) or keyword.iskeyword(name) or name in RESERVED else name


def argument_names(rng, tin, pars, variables):
    """Names of the inputs, then of the parameters given as arguments; `variables` are those the code assigns."""
    if tin in SECOND:
        first = list(rng.choice(SECOND[tin]))
    else:
        name = rng.choice(ARGS[tin]) if rng.random() < 0.82 else made_up(rng).lower()
        first = [name + "_in" if name in RESERVED or len(name) < 2 and name in "abp" else name]
    for par in pars:
        free = [n for n in PARAMETERS[par] if n not in first and n not in variables]
        first.append(rng.choice(free))
    return first
