/* task.c - what can be read off a task's text without a model. */
#include "agent/task.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_DEPTH = 24, MAX_EXAMPLE_BYTES = 400 };

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at(struct str s, size_t i)
{
    return i < s.n ? s.p[i] : 0;
}

static size_t skip(struct str s, size_t i, const char *set)
{
    while (i < s.n && s.p[i] && strchr(set, s.p[i])) {
        i++;
    }
    return i;
}

static struct str tail(struct str s, size_t i)
{
    return str_cut(s, i, s.n);
}

static size_t find_from(struct str s, size_t from, struct str needle)
{
    const size_t i = str_find(tail(s, from), needle);
    return i == SIZE_MAX ? SIZE_MAX : from + i;
}

/* Length of the identifier at the start of s. */
static size_t word_len(struct str s)
{
    size_t n = 0;
    while (n < s.n && is_word_char(s.p[n])) {
        n++;
    }
    return n && is_digit(s.p[0]) ? 0 : n;
}

/* ---- literals ---- */

static size_t literal(struct str s, int depth);

static size_t string_len(struct str s)
{
    const char quote = s.p[0];
    for (size_t i = 1; i < s.n && s.p[i] != '\n'; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == quote) {
            return i + 1;
        }
    }
    return 0;
}

static size_t number_len(struct str s)
{
    size_t i = at(s, 0) == '-' || at(s, 0) == '+';
    const size_t start = i;
    size_t n_digits = 0;
    for (; is_digit(at(s, i)) || (at(s, i) == '_' && i > start); i++) {
        n_digits++;
    }
    if (at(s, i) == '.' && (is_digit(at(s, i + 1)) || n_digits)) {
        /* "f(2) is 4." ends a sentence: the point counts only with a digit behind it */
        if (is_digit(at(s, i + 1))) {
            for (i++; is_digit(at(s, i)); i++) {
                n_digits++;
            }
        }
    }
    if (!n_digits) return 0;
    if (at(s, i) == 'e' || at(s, i) == 'E') {
        const size_t k = i + 1 + (at(s, i + 1) == '-' || at(s, i + 1) == '+');
        if (is_digit(at(s, k))) {
            for (i = k; is_digit(at(s, i)); i++) {
            }
        }
    }
    return is_word_char(at(s, i)) ? 0 : i;
}

/* A list, tuple, dict or set: literals, commas and colons up to the closing bracket. */
static size_t bracket_len(struct str s, int depth)
{
    const char close = s.p[0] == '[' ? ']' : s.p[0] == '(' ? ')' : '}';
    size_t i = 1;
    if (depth > MAX_DEPTH) return 0;
    for (;;) {
        i = skip(s, i, " \t\r\n");
        if (at(s, i) == close) return i + 1;
        const size_t n = literal(tail(s, i), depth + 1);
        if (!n) return 0;
        i = skip(s, i + n, " \t\r\n");
        if (at(s, i) == ',' || (at(s, i) == ':' && close == '}')) {
            i++;
        } else if (at(s, i) != close) {
            return 0;
        }
    }
}

static size_t literal(struct str s, int depth)
{
    static const struct str words[] = {STR("True"), STR("False"), STR("None")};
    if (!s.n) return 0;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_starts(s, words[i]) && !is_word_char(at(s, words[i].n))) return words[i].n;
    }
    if (s.p[0] == '"' || s.p[0] == '\'') return string_len(s);
    if (s.p[0] == '[' || s.p[0] == '(' || s.p[0] == '{') return bracket_len(s, depth);
    return number_len(s);
}

size_t task_literal(struct str s)
{
    return literal(s, 0);
}

/* ---- examples ---- */

/* Length of "name(literals)" at the start of s, where name ends at i; 0 if it is none. */
static size_t call_len(struct str s, size_t i)
{
    if (at(s, i) != '(') return 0;
    i++;
    for (;;) {
        i = skip(s, i, " \t\r\n");
        if (at(s, i) == ')') return i + 1;
        const size_t key = word_len(tail(s, i));
        if (key && at(s, i + key) == '=' && at(s, i + key + 1) != '=') i += key + 1;
        const size_t n = literal(tail(s, i), 0);
        if (!n) return 0;
        i = skip(s, i + n, " \t\r\n");
        if (at(s, i) == ',') {
            i++;
        } else if (at(s, i) != ')') {
            return 0;
        }
    }
}

/* After the sign between a call and its result at s; 0 when there is none. */
static size_t sign_len(struct str s)
{
    static const char *const signs[] = {
        "==>", "==", "->", "=>", "=", "\xe2\x86\x92", "\xe2\x9e\x9e", "\xe2\x87\x92", ":"};
    static const char *const words[] = {
        "should return", "must return", "will return", "would return", "returns",
        "return",        "should give", "gives",       "evaluates to", "should be",
        "equals",        "is",          "yields",      "results in",   "produces"};
    for (size_t i = 0; i < COUNT(signs); i++) {
        if (str_starts(s, str_of(signs[i]))) return strlen(signs[i]);
    }
    for (size_t i = 0; i < COUNT(words); i++) {
        const size_t n = strlen(words[i]);
        if (s.n > n && strncasecmp(s.p, words[i], n) == 0 && !is_word_char(s.p[n])) return n;
    }
    return 0;
}

/* "true" and "false", as tasks written for any language have them. */
static bool read_json_word(struct str s, struct str *want)
{
    static const struct {
        struct str json, python;
    } words[] = {
        {STR("true"),  STR("True") },
        {STR("false"), STR("False")}
    };
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!str_starts(s, words[i].json) || is_word_char(at(s, words[i].json.n))) continue;
        *want = words[i].python;
        return true;
    }
    return false;
}

/* The result that follows a call which ends at i in s, as doctest writes it (next line)
 * or behind a sign on the same line. */
static bool find_want(struct str s, size_t i, bool is_doctest, struct str *want)
{
    size_t k = skip(s, i, " \t`*\r");
    if (is_doctest && at(s, k) == '\n') {
        k = skip(s, k + 1, " \t");
    } else {
        if (at(s, k) == ',') k = skip(s, k + 1, " "); /* "f(2), which returns 4" */
        if (at(s, k) == '#') k = skip(s, k + 1, " "); /* "f(2)  # 4", "f(2) # returns 4" */
        if (str_starts(tail(s, k), STR("which "))) k += 6;
        const size_t n = sign_len(tail(s, k));
        const bool is_comment = k > 0 && memchr(s.p + i, '#', k - i) != NULL;
        if (!n && !is_comment) return false;
        k = skip(s, k + n, " \t`*:");
    }
    if (read_json_word(tail(s, k), want)) return true;
    const size_t n = literal(tail(s, k), 0);
    if (!n) return false;
    *want = str_cut(s, k, k + n);
    /* "f(2) == 4 + 1", or "4a": more than a literal */
    const char next = at(s, k + n);
    const char after = at(s, skip(s, k + n, " \t"));
    return !(is_word_char(next) || next == '"' || next == '\'' ||
             (after && strchr("+-*/%<>=|&^", after)));
}

static bool is_doctest_at(struct str s, size_t i)
{
    while (i > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t')) {
        i--;
    }
    return i >= 3 && memcmp(s.p + i - 3, ">>>", 3) == 0;
}

static bool is_known(const struct task *t, struct str call)
{
    for (size_t i = 0; i < t->n_examples; i++) {
        if (str_eq(t->example[i].call, call)) return true;
    }
    return false;
}

static void read_examples(struct task *t, struct str s)
{
    for (size_t i = 0; (i = find_from(s, i, t->name)) != SIZE_MAX; i++) {
        const bool is_start = i == 0 || (!is_word_char(s.p[i - 1]) && s.p[i - 1] != '.');
        const size_t n = is_start ? call_len(tail(s, i), t->name.n) : 0;
        struct str want;
        if (!n || n > MAX_EXAMPLE_BYTES || t->n_examples == TASK_MAX_EXAMPLES) continue;
        if (!find_want(s, i + n, is_doctest_at(s, i), &want)) continue;
        const struct str call = str_cut(s, i, i + n);
        if (want.n > MAX_EXAMPLE_BYTES || is_known(t, call)) continue;
        t->example[t->n_examples++] = (struct task_example){call, want};
    }
}

/* After `word` at the start of the line at i, bullets and blanks skipped; 0: not there. */
static size_t after_word(struct str s, size_t i, struct str word)
{
    i = skip(s, i, " \t-*+`>");
    if (s.n - i < word.n || strncasecmp(s.p + i, word.p, word.n) != 0) return 0;
    return skip(s, i + word.n, " \t:`*");
}

/* "Input: 14, 20" and on the next line "Output: [14, 16]": a call that has to be made. */
static void read_pairs(struct task *t, struct str s)
{
    for (size_t i = 0; i < s.n && t->n_examples < TASK_MAX_EXAMPLES;) {
        size_t end = find_from(s, i, STR("\n"));
        if (end == SIZE_MAX) break;
        const size_t args = after_word(s, i, STR("input"));
        const size_t want = args ? after_word(s, end + 1, STR("output")) : 0;
        i = end + 1;
        if (!want) continue;
        while (end > args && strchr(" \t\r`*", s.p[end - 1])) {
            end--;
        }
        char *call = t->made + t->n_made;
        const size_t room = sizeof t->made - t->n_made;
        const int n =
            snprintf(call, room, "%.*s(%.*s)", (int)QA_MIN(t->name.n, 200u), t->name.p,
                     (int)QA_MIN(end - args, (size_t)MAX_EXAMPLE_BYTES), s.p + args);
        const size_t n_want = literal(tail(s, want), 0);
        if (n < 0 || (size_t)n >= room || !n_want) continue;
        const struct str made = {call, (size_t)n};
        if (call_len(made, t->name.n) != made.n || is_known(t, made)) continue;
        t->n_made += made.n + 1;
        t->example[t->n_examples++] =
            (struct task_example){made, str_cut(s, want, want + n_want)};
    }
}

/* ---- the name ---- */

/* The identifier after the first `lead` that has one, blanks and quotes between them
 * allowed; with must_call, only when "(" follows it. */
static struct str name_after(struct str s, const char *lead, bool must_call)
{
    const struct str l = str_of(lead);
    for (size_t i = 0; (i = find_from(s, i, l)) != SIZE_MAX; i += l.n) {
        if (i > 0 && is_word_char(l.p[0]) && is_word_char(s.p[i - 1])) continue;
        const size_t k = skip(s, i + l.n, " `\"'*");
        const size_t n = word_len(tail(s, k));
        const bool is_quoted = k > i + l.n && strchr("`\"'", s.p[k - 1]);
        if (!n) continue;
        if (must_call && at(s, k + n) != '(' && !is_quoted) continue;
        return str_cut(s, k, k + n);
    }
    return (struct str){"", 0};
}

/* Any identifier that is called with literals and has a result. */
static struct str name_of_example(struct str s)
{
    struct str want;
    for (size_t i = 0; i < s.n; i++) {
        if (i > 0 && (is_word_char(s.p[i - 1]) || s.p[i - 1] == '.')) continue;
        const size_t n = word_len(tail(s, i));
        const size_t call = n ? call_len(tail(s, i), n) : 0;
        if (call && find_want(s, i + call, is_doctest_at(s, i), &want))
            return str_cut(s, i, i + n);
    }
    return (struct str){"", 0};
}

/* "a function do_it that ...": the word after it, unless it goes on as a sentence. */
static struct str bare_name(struct str s)
{
    static const char *const words[] = {
        "that",  "which", "to",    "for",       "with",     "in",     "is",         "takes",
        "of",    "and",   "must",  "should",    "has",      "below",  "from",       "using",
        "on",    "as",    "given", "you",       "so",       "called", "named",      "it",
        "will",  "can",   "by",    "returning", "returns",  "taking", "definition", "body",
        "name",  "does",  "gets",  "accepts",   "computes", "or",     "signature",  "whose",
        "where", "this",  "the",   "a",         "an"};
    for (size_t i = 0; (i = find_from(s, i, STR("function "))) != SIZE_MAX; i++) {
        const size_t k = i + 9;
        const size_t n = word_len(tail(s, k));
        size_t w = 0;
        while (w < COUNT(words) &&
               !(strlen(words[w]) == n && strncasecmp(words[w], s.p + k, n) == 0)) {
            w++;
        }
        if (n > 1 && w == COUNT(words)) return str_cut(s, k, k + n);
    }
    return (struct str){"", 0};
}

static struct str find_name(struct str s)
{
    static const struct {
        const char *lead;
        bool must_call;
    } WAYS[] = {
        {"def ",            true },
        {"function named",  false},
        {"function called", false},
        {"called `",        false},
        {"named `",         false},
        {"function ",       true }
    };
    struct str name = {"", 0};
    for (size_t i = 0; i < COUNT(WAYS) && !name.n; i++) {
        name = name_after(s, WAYS[i].lead, WAYS[i].must_call);
    }
    if (!name.n) name = name_of_example(s);
    if (!name.n) name = name_after(s, "`", true);
    if (!name.n) name = bare_name(s);
    return name.n ? name : name_after(s, "class ", true);
}

static bool mentions_code(struct str s)
{
    static const char *const words[] = {"def ", "function", "```",       "python", "program",
                                        "code", "script",   "implement", "class",  "algorithm"};
    char low[24];
    for (size_t i = 0; i < s.n; i++) {
        const struct str rest = str_cut(s, i, i + sizeof low);
        for (size_t k = 0; k < COUNT(words); k++) {
            const size_t n = strlen(words[k]);
            if (rest.n >= n && strncasecmp(rest.p, words[k], n) == 0) return true;
        }
    }
    return false;
}

/* ---- the signature ---- */

/* End of the bracket that opens at i; 0: it does not end on this line. */
static size_t bracket_end(struct str s, size_t i)
{
    int depth = 0;
    for (; i < s.n && s.p[i] != '\n'; i++) {
        const char c = s.p[i];
        if (c == '"' || c == '\'') {
            const size_t n = string_len(tail(s, i));
            if (!n) return 0;
            i += n - 1;
        }
        depth += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
        if (depth == 0) return i + 1;
    }
    return 0;
}

/* Only what Python has without an import: forcing other names would break a program that
 * does not import them. */
static bool is_builtin_only(struct str s)
{
    static const char *const words[] = {"int",   "float", "str",      "bool",   "bytes",
                                        "list",  "dict",  "tuple",    "set",    "frozenset",
                                        "None",  "True",  "False",    "object", "complex",
                                        "range", "type",  "bytearray"};
    for (size_t i = 0; i < s.n; i++) {
        const size_t n = word_len(tail(s, i));
        size_t w = 0;
        if (!n) {
            if (s.p[i] == '"' || s.p[i] == '\'') return false; /* a name as a string */
            continue;
        }
        while (w < COUNT(words) &&
               !(strlen(words[w]) == n && memcmp(words[w], s.p + i, n) == 0)) {
            w++;
        }
        if (w == COUNT(words)) return false;
        i += n - 1;
    }
    return true;
}

/* "a, b: int = 0, *rest" between the brackets: names, with annotations and defaults that
 * need no import. */
static bool is_parameters(struct str s)
{
    for (size_t i = skip(s, 0, " \t"); i < s.n;) {
        i = skip(s, i, "*/ \t");
        i += word_len(tail(s, i));
        const size_t from = i;
        int depth = 0;
        for (; i < s.n && (depth || s.p[i] != ','); i++) {
            depth += (s.p[i] == '(' || s.p[i] == '[' || s.p[i] == '{') -
                     (s.p[i] == ')' || s.p[i] == ']' || s.p[i] == '}');
        }
        const struct str rest = str_trim(str_cut(s, from, i));
        if (rest.n && rest.p[0] != ':' && rest.p[0] != '=') return false;
        if (!is_builtin_only(rest)) return false;
        i = skip(s, i + 1, " \t");
    }
    return true;
}

/* The signature that stands at i, behind "def "; n = 0: none that can be taken as it is. */
static struct str signature_at(struct str s, size_t i, size_t name_n)
{
    const struct str none = {"", 0};
    const size_t open = i + name_n;
    const size_t close = bracket_end(s, open);
    if (!close || !is_parameters(str_cut(s, open + 1, close - 1))) return none;
    size_t k = skip(s, close, " \t");
    if (str_starts(tail(s, k), STR("->"))) {
        const size_t from = k + 2;
        for (k = from; k < s.n && s.p[k] != ':' && s.p[k] != '\n'; k++) {
        }
        if (!is_builtin_only(str_cut(s, from, k))) return none;
    }
    return at(s, k) == ':' ? str_cut(s, i, k + 1) : none;
}

static bool is_name_at(const struct task *t, struct str s, size_t i)
{
    return (i == 0 || (!is_word_char(s.p[i - 1]) && s.p[i - 1] != '.')) &&
           at(s, i + t->name.n) == '(';
}

/* The one stub "def name(...):" of the task.  Two that differ, or one that cannot be taken
 * as it is, are none. */
static struct str find_stub(const struct task *t, struct str s, bool *has_stub)
{
    struct str found = {"", 0};
    *has_stub = false;
    for (size_t i = 0; (i = find_from(s, i, t->name)) != SIZE_MAX; i++) {
        if (i < 4 || memcmp(s.p + i - 4, "def ", 4) != 0 || !is_name_at(t, s, i)) continue;
        const struct str sig = signature_at(s, i, t->name.n);
        if (!sig.n || (*has_stub && !str_eq(sig, found))) {
            *has_stub = true;
            return (struct str){"", 0};
        }
        *has_stub = true;
        found = sig;
    }
    return found;
}

/* "a, b": names alone. */
static bool is_names(struct str s)
{
    for (size_t i = 0;;) {
        const size_t n = word_len(tail(s, i));
        i = skip(s, i + n, " \t");
        if (!n || i >= s.n) return n > 0;
        if (s.p[i] != ',') return false;
        i = skip(s, i + 1, " \t");
    }
}

/* "a function name(a, b)" in a sentence: bare names between the brackets.  Every call in the
 * text that is no example must be the same. */
static struct str find_call_form(const struct task *t, struct str s)
{
    struct str found = {"", 0};
    for (size_t i = 0; (i = find_from(s, i, t->name)) != SIZE_MAX; i++) {
        if (!is_name_at(t, s, i) || call_len(tail(s, i), t->name.n)) continue;
        const size_t close = bracket_end(s, i + t->name.n);
        const struct str form = str_cut(s, i, close);
        if (!close || !is_names(str_cut(s, i + t->name.n + 1, close - 1)) ||
            (found.n && !str_eq(form, found))) {
            return (struct str){"", 0};
        }
        found = form;
    }
    return found;
}

static void read_signature(struct task *t, struct str s)
{
    bool has_stub;
    struct str sig = find_stub(t, s, &has_stub);
    const bool is_form = !has_stub;
    if (is_form) sig = find_call_form(t, s);
    if (!sig.n) return;
    const int n = snprintf(t->sig_text, sizeof t->sig_text, "def %.*s%s", (int)sig.n, sig.p,
                           is_form ? ":" : "");
    if (n < 0 || (size_t)n >= sizeof t->sig_text) return;
    t->signature = (struct str){t->sig_text, (size_t)n};
    t->is_stub = has_stub;
}

void task_read(struct task *t, struct str text, const char *entry_point)
{
    *t = (struct task){0};
    t->name = entry_point ? str_of(entry_point) : find_name(text);
    t->wants_code = t->name.n > 0 || mentions_code(text);
    if (t->name.n) read_examples(t, text);
    if (t->name.n) read_pairs(t, text);
    if (t->name.n) read_signature(t, text);
}

/* ---- code of an answer ---- */

/* True when the line at the start of s defines `name` (any function when n = 0). */
static bool is_definition(struct str s, struct str name)
{
    static const struct str leads[] = {STR("async def "), STR("def "), STR("class ")};
    struct str rest = s;
    for (size_t i = 0; i < COUNT(leads); i++) {
        if (!str_starts(s, leads[i])) continue;
        rest = tail(s, skip(s, leads[i].n, " "));
        if (!name.n) return word_len(rest) > 0;
        return str_starts(rest, name) && !is_word_char(at(rest, name.n));
    }
    if (!name.n || !str_starts(s, name)) return false;
    const size_t i = skip(s, name.n, " ");
    return at(s, i) == '=' && at(s, i + 1) != '=';
}

bool task_defines(struct str code, struct str name)
{
    for (size_t i = 0; i < code.n;) {
        if (is_definition(tail(code, i), name)) return true;
        const size_t end = find_from(code, i, STR("\n"));
        if (end == SIZE_MAX) break;
        i = end + 1;
    }
    return false;
}

struct str task_code(struct str answer, struct str name)
{
    static const struct str fence = STR("```");
    struct str best = {"", 0};
    bool has_name = false;
    for (size_t i = 0; i < answer.n;) {
        size_t open = find_from(answer, i, fence);
        if (open == SIZE_MAX) break;
        size_t body = find_from(answer, open, STR("\n"));
        if (body == SIZE_MAX) break;
        body++;
        size_t close = body;
        /* A fence closes at the start of a line that holds nothing else. */
        while ((close = find_from(answer, close, fence)) != SIZE_MAX) {
            const char after = at(answer, skip(answer, close + fence.n, " \t\r"));
            if ((close == body || answer.p[close - 1] == '\n') && (!after || after == '\n'))
                break;
            close++;
        }
        const size_t end = close == SIZE_MAX ? answer.n : close;
        struct str block = str_cut(answer, body, end);
        if (str_starts(block,
                       fence)) { /* the answer was opened, and the model opens it again */
            const size_t line = find_from(block, 0, STR("\n"));
            block = line == SIZE_MAX ? str_cut(block, 0, 0) : tail(block, line + 1);
        }
        while (block.n && (block.p[block.n - 1] == '\n' || block.p[block.n - 1] == '\r')) {
            block.n--;
        }
        const bool defines = name.n && task_defines(block, name);
        if (str_trim(block).n && (defines || !has_name)) {
            best = block;
            has_name = defines;
        }
        i = close == SIZE_MAX ? answer.n : close + fence.n;
    }
    return best;
}
