/* glance.c - what is wrong with Python code at first sight, without running it. */
#include "agent/glance.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_NAMES = 256, MAX_TOKENS = 4096 };

enum kind { NAME, NUMBER, STRING, SIGN, LINE }; /* LINE: the end of a statement */
struct token {
    enum kind kind;
    struct str text;
    int depth; /* brackets open around it */
};
struct reader {
    struct str s;
    size_t at;
    struct token token[MAX_TOKENS];
    size_t n;
    char open[MAX_DEPTH];
    int depth;
    char *note;
};

static char peek(const struct reader *r, size_t i)
{
    return i < r->s.n ? r->s.p[i] : 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool add(struct reader *r, enum kind kind, size_t from)
{
    if (r->n == MAX_TOKENS) return false;
    r->token[r->n++] = (struct token){kind, str_cut(r->s, from, r->at), r->depth};
    return true;
}

/* ---- tokens ---- */

/* r->at is at the opening quote; false: the string has no end. */
static bool skip_string(struct reader *r)
{
    const char q = peek(r, r->at);
    const bool is_long = peek(r, r->at + 1) == q && peek(r, r->at + 2) == q;
    for (r->at += is_long ? 3 : 1; r->at < r->s.n; r->at++) {
        const char c = peek(r, r->at);
        if (c == '\\') {
            r->at++;
        } else if (c == '\n' && !is_long) {
            return false;
        } else if (c == q && !is_long) {
            r->at++;
            return true;
        } else if (c == q && peek(r, r->at + 1) == q && peek(r, r->at + 2) == q) {
            r->at += 3;
            return true;
        }
    }
    return false;
}

static bool read_sign(struct reader *r)
{
    const char c = peek(r, r->at);
    const size_t from = r->at++;
    if (strchr("([{", c)) {
        if (r->depth == MAX_DEPTH) return false;
        const bool ok = add(r, SIGN, from);
        r->open[r->depth++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        return ok;
    }
    if (strchr(")]}", c)) {
        if (!r->depth || r->open[r->depth - 1] != c) {
            snprintf(r->note, GLANCE_NOTE, "'%c' closes no bracket", c);
            return false;
        }
        r->depth--;
        return add(r, SIGN, from);
    }
    while (strchr("=<>!:+-*/%&|^@", c) && peek(r, r->at) && strchr("=<>*/", peek(r, r->at)) &&
           r->at - from < 3) {
        r->at++; /* "==", "+=", "//=", "->", ... */
    }
    return add(r, SIGN, from);
}

/* False: something is wrong (r->note), or it is more than can be read here. */
static bool read_tokens(struct reader *r)
{
    while (r->at < r->s.n) {
        const char c = peek(r, r->at);
        const size_t from = r->at;
        bool ok = true;
        if (c == '\n') {
            r->at++;
            ok = r->depth || add(r, LINE, from);
        } else if (strchr(" \t\r\f", c)) {
            r->at++;
        } else if (c == '\\' && peek(r, r->at + 1) == '\n') {
            r->at += 2;
        } else if (c == '#') {
            while (r->at < r->s.n && peek(r, r->at) != '\n') {
                r->at++;
            }
        } else if (c == '"' || c == '\'') {
            ok = skip_string(r);
            if (!ok) snprintf(r->note, GLANCE_NOTE, "a string has no end");
            ok = ok && add(r, STRING, from);
        } else if (is_word(c)) {
            while (is_word(peek(r, r->at)) || (is_digit(c) && peek(r, r->at) == '.')) {
                r->at++;
            }
            const char next = peek(r, r->at);
            const bool is_prefix = (next == '"' || next == '\'') && r->at - from <= 2 &&
                                   strspn(r->s.p + from, "rbfuRBFU") >= r->at - from;
            ok = is_prefix || add(r, is_digit(c) ? NUMBER : NAME, from);
        } else {
            ok = read_sign(r);
        }
        if (!ok) return false;
    }
    if (r->depth) snprintf(r->note, GLANCE_NOTE, "a bracket is not closed");
    return !r->depth && add(r, LINE, r->at);
}

/* ---- neighbours ---- */

static bool is_in(struct str word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) == word.n && memcmp(list[i], word.p, word.n) == 0) return true;
    }
    return false;
}

static bool is_keyword(struct str w)
{
    static const char *const words[] = {
        "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
        "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
        "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
        "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};
    return is_in(w, words, COUNT(words));
}

static bool is_operand(const struct token *t)
{
    return t->kind == NUMBER || t->kind == STRING || (t->kind == NAME && !is_keyword(t->text));
}

static bool is_closing(const struct token *t)
{
    return t->kind == SIGN && strchr(")]}", t->text.p[0]);
}

/* Two tokens that cannot follow each other: "a b", "* >=", "+ )". */
static bool cannot_follow(const struct token *a, const struct token *b)
{
    static const char *const firsts[] = {
        "+", "-", "%", "<", ">", "<=", ">=", "==", "!=", "=", "//", "**", "*", "/"};
    static const char *const seconds[] = {
        "%", "<", ">", "<=", ">=", "==", "!=", "//", "/", "=", ")", "]", "}", ","};
    if ((is_operand(a) || is_closing(a)) && is_operand(b)) {
        return !(a->kind == STRING && b->kind == STRING);
    }
    const bool is_marker = str_eq(a->text, STR("*")) || str_eq(a->text, STR("/"));
    return a->kind == SIGN && b->kind == SIGN && is_in(a->text, firsts, COUNT(firsts)) &&
           is_in(b->text, seconds, COUNT(seconds)) &&
           !(is_marker && (str_eq(b->text, STR(",")) || str_eq(b->text, STR(")"))));
}

static bool has_strangers(const struct reader *r)
{
    for (size_t i = 0; i + 1 < r->n; i++) {
        const struct token *a = &r->token[i];
        const struct token *b = a + 1;
        const bool is_start = i == 0 || r->token[i - 1].kind == LINE;
        if (!cannot_follow(a, b) &&
            !(is_start && a->kind == NUMBER && str_eq(b->text, STR("=")))) {
            continue;
        }
        snprintf(r->note, GLANCE_NOTE, "'%.*s' cannot follow '%.*s'",
                 (int)QA_MIN(b->text.n, 30u), b->text.p, (int)QA_MIN(a->text.n, 30u),
                 a->text.p);
        return true;
    }
    return false;
}

/* ---- names ---- */

/* Of builtins, those that code may use; a name that begins with an upper-case letter may be
 * an exception, and is taken for one. */
static bool is_builtin(struct str w)
{
    static const char *const words[] = {
        "abs",       "aiter",       "all",        "any",        "anext",        "ascii",
        "bin",       "bool",        "breakpoint", "bytearray",  "bytes",        "callable",
        "chr",       "classmethod", "compile",    "complex",    "delattr",      "dict",
        "dir",       "divmod",      "enumerate",  "filter",     "float",        "format",
        "frozenset", "getattr",     "hasattr",    "hash",       "help",         "hex",
        "id",        "input",       "int",        "isinstance", "issubclass",   "iter",
        "len",       "list",        "map",        "max",        "memoryview",   "min",
        "next",      "object",      "oct",        "open",       "ord",          "pow",
        "print",     "property",    "range",      "repr",       "reversed",     "round",
        "set",       "setattr",     "slice",      "sorted",     "staticmethod", "str",
        "sum",       "super",       "tuple",      "type",       "vars",         "zip",
        "exit",      "quit",        "copyright",  "credits"};
    return (w.p[0] >= 'A' && w.p[0] <= 'Z') || str_starts(w, STR("__")) ||
           is_in(w, words, COUNT(words));
}

/* Code with one of these binds names in ways that are not followed here. */
static bool hides_names(const struct reader *r)
{
    static const char *const words[] = {"exec",  "eval", "globals", "locals",
                                        "match", "case", "type"};
    for (size_t i = 0; i < r->n; i++) {
        const struct token *t = &r->token[i];
        const bool is_call = i + 1 < r->n && str_eq(r->token[i + 1].text, STR("("));
        if (t->kind != NAME) continue;
        if (is_in(t->text, words, 4)) return true;
        if (is_in(t->text, words + 4, 3) && !is_call) return true;
        if (str_eq(t->text, STR("import")) && i + 1 < r->n &&
            str_eq(r->token[i + 1].text, STR("*")))
            return true;
    }
    return false;
}

struct names {
    struct str name[MAX_NAMES];
    size_t n;
};

static void bind(struct names *b, struct str name)
{
    if (b->n < MAX_NAMES) b->name[b->n++] = name;
}

static bool is_bound(const struct names *b, struct str name)
{
    for (size_t i = 0; i < b->n; i++) {
        if (str_eq(b->name[i], name)) return true;
    }
    return false;
}

static bool is_assignment(struct str sign)
{
    return sign.n && sign.p[sign.n - 1] == '=' && !str_eq(sign, STR("==")) &&
           !str_eq(sign, STR("<=")) && !str_eq(sign, STR(">=")) && !str_eq(sign, STR("!="));
}

/* Bind all names from token i on, up to the first that is `end` (or the end of the
 * statement) at no more than this depth. */
static void bind_up_to(struct names *b, const struct reader *r, size_t i, struct str end)
{
    const int depth = r->token[i].depth;
    for (; i < r->n && r->token[i].kind != LINE; i++) {
        const struct token *t = &r->token[i];
        if (t->depth <= depth && str_eq(t->text, end)) return;
        if (t->kind == NAME) bind(b, t->text);
    }
}

/* More names than are bound, never fewer. */
static void find_bound(struct names *b, const struct reader *r)
{
    size_t start = 0; /* of the statement */
    for (size_t i = 0; i < r->n; i++) {
        const struct token *t = &r->token[i];
        if (t->kind == LINE) start = i + 1;
        if (t->kind == SIGN && is_assignment(t->text)) {
            if (i > 0 && r->token[i - 1].kind == NAME) bind(b, r->token[i - 1].text);
            for (size_t k = start; k < i && !t->depth; k++) {
                if (r->token[k].kind == NAME) bind(b, r->token[k].text);
            }
        }
        if (t->kind == SIGN && str_eq(t->text, STR(":")) && !t->depth && i == start + 1) {
            bind(b, r->token[start].text); /* "x: int" */
        }
        if (t->kind != NAME || i + 1 >= r->n) continue;
        static const char *const rests[] = {"def", "import", "from", "global", "nonlocal"};
        if (is_in(t->text, rests, COUNT(rests))) {
            bind_up_to(b, r, i + 1, STR(":"));
        } else if (str_eq(t->text, STR("for"))) {
            bind_up_to(b, r, i + 1, STR("in"));
        } else if (str_eq(t->text, STR("lambda"))) {
            bind_up_to(b, r, i + 1, STR(":"));
        } else if (str_eq(t->text, STR("class")) || str_eq(t->text, STR("as"))) {
            bind_up_to(b, r, i + 1, STR(":"));
        }
    }
}

/* Within a string with a prefix, names are not looked at; after a point they are none. */
static bool find_unbound(const struct reader *r, const struct names *b)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct token *t = &r->token[i];
        if (t->kind != NAME || is_keyword(t->text) || is_builtin(t->text)) continue;
        if (i > 0 && str_eq(r->token[i - 1].text, STR("."))) continue;
        if (is_bound(b, t->text)) continue;
        snprintf(r->note, GLANCE_NOTE, "nothing binds the name '%.*s'",
                 (int)QA_MIN(t->text.n, 60u), t->text.p);
        return true;
    }
    return false;
}

bool glance_code(struct str code, char note[GLANCE_NOTE])
{
    static _Thread_local struct reader r;
    struct names b = {.n = 0};
    r = (struct reader){.s = code, .note = note};
    note[0] = 0;
    if (!read_tokens(&r)) return !note[0];
    if (hides_names(&r)) return true;
    if (has_strangers(&r)) return false;
    find_bound(&b, &r);
    return b.n == MAX_NAMES || !find_unbound(&r, &b);
}
