/* pylines.c - lines of Python text. */
#include "humaneval/pylines.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank_char(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\r' || c == '\v';
}

static bool is_name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_triple_at(struct str line, size_t i, char quote)
{
    return i + 2 < line.n && line.p[i] == quote && line.p[i + 1] == quote &&
           line.p[i + 2] == quote;
}

/* Behind the closing quotes of a triple-quoted string, or the end of the line. */
static size_t skip_triple(struct pyscan *s, struct str line, size_t i)
{
    for (; i < line.n; i++) {
        if (line.p[i] == '\\') {
            i++;
        } else if (is_triple_at(line, i, s->quote)) {
            s->quote = 0;
            return i + 3;
        }
    }
    return line.n;
}

static size_t skip_single(struct str line, size_t i, char quote)
{
    for (; i < line.n && line.p[i] != quote; i++) {
        if (line.p[i] == '\\') i++;
    }
    return i + 1;
}

void pyscan_line(struct pyscan *s, struct str line)
{
    size_t i = 0;
    s->is_joined = false;
    if (s->quote) i = skip_triple(s, line, 0);
    while (i < line.n) {
        const char c = line.p[i];
        if (c == '#') return;
        if (c == '"' || c == '\'') {
            if (is_triple_at(line, i, c)) {
                s->quote = c;
                i = skip_triple(s, line, i + 3);
            } else {
                i = skip_single(line, i + 1, c);
            }
            continue;
        }
        if (c == '(' || c == '[' || c == '{') s->n_brackets++;
        if ((c == ')' || c == ']' || c == '}') && s->n_brackets) s->n_brackets--;
        s->is_joined = c == '\\' && i + 1 == line.n;
        i++;
    }
}

bool pyscan_is_inside(const struct pyscan *s)
{
    return s->quote || s->n_brackets || s->is_joined;
}

bool pyline_next(struct pyscan *scan, struct str *rest, struct pyline *out)
{
    if (!rest->n) return false;
    const struct str line = str_cut(*rest, 0, str_find(*rest, STR("\n")));
    *rest = str_cut(*rest, line.n + 1, rest->n);
    struct pyline l = {.text = line, .is_inside = pyscan_is_inside(scan)};
    while (l.indent < line.n && is_blank_char(line.p[l.indent])) {
        l.indent++;
    }
    l.is_blank = !l.is_inside && (l.indent == line.n || line.p[l.indent] == '#');
    pyscan_line(scan, line);
    *out = l;
    return true;
}

enum status pylines_split(struct pylines *out, struct str text, struct err *e)
{
    size_t n = text.n && text.p[text.n - 1] != '\n';
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    struct pyline *p = calloc(n ? n : 1, sizeof *p);
    if (!p) return err_set(e, QA_E_NOMEM, "out of memory");
    struct pyscan scan = {0};
    for (size_t i = 0; i < n && pyline_next(&scan, &text, &p[i]); i++) {
    }
    *out = (struct pylines){p, n};
    return QA_OK;
}

void pylines_release(struct pylines *v)
{
    free(v->p);
    *v = (struct pylines){0};
}

bool pyline_is_statement(const struct pyline *l)
{
    return !l->is_blank && !l->is_inside;
}

static struct str code_of(const struct pyline *l)
{
    return str_cut(l->text, l->indent, l->text.n);
}

static bool has_word(struct str code, struct str word)
{
    return str_starts(code, word) && (code.n == word.n || !is_name_char(code.p[word.n]));
}

bool pyline_has_word(const struct pyline *l, const char *word)
{
    return has_word(code_of(l), str_of(word));
}

/* What follows `word` and white space; the text itself when it does not begin so. */
static struct str after_word(struct str code, const char *word)
{
    const struct str w = str_of(word);
    return has_word(code, w) ? str_trim(str_cut(code, w.n, code.n)) : code;
}

bool pyline_defines(const struct pyline *l, struct str name)
{
    if (!pyline_is_statement(l)) return false;
    const struct str code = str_trim(code_of(l));
    struct str rest = after_word(code, "async");
    const bool is_def = has_word(rest, STR("def"));
    const bool is_class = has_word(code, STR("class"));
    if (is_def) rest = after_word(rest, "def");
    if (is_class) rest = after_word(code, "class");
    if (!name.n || !has_word(rest, name)) return false;
    rest = str_trim(str_cut(rest, name.n, rest.n));
    if (is_def) return rest.n && (rest.p[0] == '(' || rest.p[0] == '[');
    if (is_class) return rest.n && (rest.p[0] == '(' || rest.p[0] == ':');
    return rest.n > 1 && ((rest.p[0] == '=' && rest.p[1] != '=') || rest.p[0] == ':');
}

bool pylines_is_consistent(const struct pylines *v, size_t from, size_t to, size_t first_indent)
{
    enum { MAX_LEVELS = 100 }; /* Python's own limit */
    size_t stack[MAX_LEVELS];
    size_t n = 0;
    bool is_first = true;
    bool opens = false; /* the line before ended in ':' */
    for (size_t i = from; i < to; i++) {
        if (!pyline_is_statement(&v->p[i])) continue;
        const size_t indent = is_first ? first_indent : v->p[i].indent;
        if (is_first) {
            stack[n++] = indent;
        } else if (opens) {
            if (indent <= stack[n - 1] || n == MAX_LEVELS) return false;
            stack[n++] = indent;
        } else {
            while (n && stack[n - 1] > indent) {
                n--;
            }
            if (!n || stack[n - 1] != indent) return false;
        }
        is_first = false;
        /* A statement may span lines: its last one tells whether a block opens. */
        size_t last = i;
        while (last + 1 < to && v->p[last + 1].is_inside) {
            last++;
        }
        struct str text = str_trim(v->p[last].text);
        const size_t comment = str_find(text, STR("  #"));
        if (comment != SIZE_MAX) text = str_trim(str_cut(text, 0, comment));
        opens = str_ends(text, STR(":"));
    }
    return true;
}
