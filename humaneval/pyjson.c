/* pyjson.c - JSON as Python reads and writes it. */
#include "humaneval/pyjson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Python stops near its recursion limit; a row of a data set is never this deep. */
enum { MAX_DEPTH = 200, MAX_TEXT = 1 << 30 };

struct parser {
    struct str s;
    size_t at;
    struct err *e;
};

static enum status fail(struct parser *p, const char *what)
{
    return err_set(p->e, QA_E_FORMAT, "%s at byte %zu", what, p->at + 1);
}

static int peek(const struct parser *p)
{
    return p->at < p->s.n ? (unsigned char)p->s.p[p->at] : -1;
}

static void skip_space(struct parser *p)
{
    for (int c = peek(p); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(p)) {
        p->at++;
    }
}

/* ---- strings ---- */

/* One character of UTF-8 with lone surrogates allowed; 0 when ill-formed. */
static size_t char_len(const unsigned char *p, size_t n, uint32_t *cp)
{
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    const size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len) return 0;
    uint32_t v = p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    if (v < LEAST[len] || v > 0x10FFFF) return 0;
    *cp = v;
    return len;
}

static void add_char(struct str_buf *b, uint32_t cp)
{
    char u[4];
    size_t n = 1;
    if (cp < 0x80) {
        u[0] = (char)cp;
    } else if (cp < 0x800) {
        n = 2;
        u[0] = (char)(0xC0 | cp >> 6);
    } else if (cp < 0x10000) {
        n = 3;
        u[0] = (char)(0xE0 | cp >> 12);
    } else {
        n = 4;
        u[0] = (char)(0xF0 | cp >> 18);
    }
    for (size_t i = 1; i < n; i++) {
        u[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3F));
    }
    str_buf_add(b, (struct str){u, n});
}

/* The character as it stands between the quotes of json.dumps(ensure_ascii=True). */
static void add_escaped(struct str_buf *b, uint32_t cp)
{
    static const char FROM[] = "\"\\\n\r\t\f\b";
    static const char TO[] = "\"\\nrtfb";
    const char *special = cp && cp < 0x80 ? strchr(FROM, (int)cp) : NULL;
    if (special) {
        str_buf_add_char(b, '\\');
        str_buf_add_char(b, TO[special - FROM]);
    } else if (cp >= ' ' && cp <= '~') {
        str_buf_add_char(b, (char)cp);
    } else if (cp < 0x10000) {
        str_buf_addf(b, "\\u%04x", (unsigned)cp);
    } else {
        str_buf_addf(b, "\\u%04x\\u%04x", 0xD800 + (unsigned)((cp - 0x10000) >> 10),
                     0xDC00 + (unsigned)((cp - 0x10000) & 0x3FF));
    }
}

static bool hex4(struct str s, size_t at, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = at; i < at + 4; i++) {
        const char c = i < s.n ? s.p[i] : 0;
        const uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                               : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                               : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                      : 16u;
        if (digit == 16) return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* After the 'u' of \uXXXX: two escapes that form a pair are one character. */
static bool read_unicode(struct parser *p, uint32_t *cp)
{
    if (!hex4(p->s, p->at, cp)) return false;
    p->at += 4;
    uint32_t low;
    if (*cp >= 0xD800 && *cp < 0xDC00 && p->at + 1 < p->s.n && p->s.p[p->at] == '\\' &&
        p->s.p[p->at + 1] == 'u' && hex4(p->s, p->at + 2, &low) && low >= 0xDC00 &&
        low < 0xE000) {
        *cp = 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00);
        p->at += 6;
    }
    return true;
}

/* From behind the opening quote to behind the closing one.  out gets the string
 * either as its characters (is_raw) or as json.dumps has them, without quotes. */
static enum status read_string(struct parser *p, struct str_buf *out, bool is_raw)
{
    void (*const add)(struct str_buf *, uint32_t) = is_raw ? add_char : add_escaped;
    for (;;) {
        int c = peek(p);
        if (c < 0) return fail(p, "unterminated string");
        if (c == '"') break;
        if (c < ' ') return fail(p, "control character in a string");
        uint32_t cp;
        if (c != '\\') {
            const size_t n =
                char_len((const unsigned char *)p->s.p + p->at, p->s.n - p->at, &cp);
            if (!n || (cp >= 0xD800 && cp < 0xE000 && !is_raw)) return fail(p, "not UTF-8");
            p->at += n;
            add(out, cp);
            continue;
        }
        p->at++;
        c = peek(p);
        static const char FROM[] = "\"\\/bfnrt";
        static const char TO[] = "\"\\/\b\f\n\r\t";
        const char *simple = c > 0 ? strchr(FROM, c) : NULL;
        if (simple) {
            cp = (uint32_t)TO[simple - FROM];
            p->at++;
        } else if (c == 'u') {
            p->at++;
            if (!read_unicode(p, &cp)) return fail(p, "bad \\u escape");
        } else {
            return fail(p, "bad escape");
        }
        add(out, cp);
    }
    p->at++;
    return QA_OK;
}

bool pyjson_decode(struct str value, struct str_buf *out)
{
    struct parser p = {.s = value, .at = 1};
    return value.n >= 2 && value.p[0] == '"' && read_string(&p, out, true) == QA_OK;
}

void pyjson_add_string(struct str_buf *out, struct str text)
{
    str_buf_add_char(out, '"');
    for (size_t i = 0; i < text.n;) {
        uint32_t cp;
        const size_t n = char_len((const unsigned char *)text.p + i, text.n - i, &cp);
        add_escaped(out, n ? cp : 0xFFFD);
        i += n ? n : 1;
    }
    str_buf_add_char(out, '"');
}

/* ---- numbers ---- */

void pyjson_add_float(struct str_buf *out, double v)
{
    if (isnan(v)) {
        str_buf_add_z(out, "NaN");
        return;
    }
    if (isinf(v)) {
        str_buf_add_z(out, v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    char text[40] = "";
    for (int digits = 0; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    /* text is "-d.ddde+XX"; take it apart and lay it out as float.__repr__ does. */
    char digits[24];
    size_t n = 0;
    const char *at = text;
    if (*at == '-') {
        str_buf_add_char(out, '-');
        at++;
    }
    for (; *at && *at != 'e'; at++) {
        if (*at != '.' && n < sizeof digits) digits[n++] = *at;
    }
    const int exponent = *at ? (int)strtol(at + 1, NULL, 10) : 0;
    if (exponent < -4 || exponent >= 16) {
        str_buf_add_char(out, digits[0]);
        if (n > 1) {
            str_buf_add_char(out, '.');
            str_buf_add(out, (struct str){digits + 1, n - 1});
        }
        str_buf_addf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        str_buf_add_z(out, "0.");
        for (int i = -1; i > exponent; i--) {
            str_buf_add_char(out, '0');
        }
        str_buf_add(out, (struct str){digits, n});
        return;
    }
    const size_t n_whole = (size_t)exponent + 1;
    for (size_t i = 0; i < n_whole; i++) {
        str_buf_add_char(out, i < n ? digits[i] : '0');
    }
    str_buf_add_char(out, '.');
    if (n <= n_whole) {
        str_buf_add_char(out, '0');
    } else {
        str_buf_add(out, (struct str){digits + n_whole, n - n_whole});
    }
}

static void skip_digits(struct parser *p)
{
    while (peek(p) >= '0' && peek(p) <= '9') {
        p->at++;
    }
}

static enum status read_number(struct parser *p, struct str_buf *out)
{
    const size_t start = p->at;
    bool is_float = false;
    if (peek(p) == '-') p->at++;
    if (peek(p) < '0' || peek(p) > '9') return fail(p, "expected a value");
    if (peek(p) == '0') {
        p->at++;
    } else {
        skip_digits(p);
    }
    const size_t whole = p->at;
    if (peek(p) == '.') {
        p->at++;
        skip_digits(p);
        if (p->at == whole + 1) return fail(p, "bad number");
        is_float = true;
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') p->at++;
        const size_t digits = p->at;
        skip_digits(p);
        if (p->at == digits) return fail(p, "bad number");
        is_float = true;
    }
    const struct str text = str_cut(p->s, start, p->at);
    if (!is_float) {
        str_buf_add(out, str_eq(text, STR("-0")) ? STR("0") : text); /* int("-0") is 0 */
        return QA_OK;
    }
    char *z = strndup(text.p, text.n);
    if (!z) return err_set(p->e, QA_E_NOMEM, "out of memory");
    pyjson_add_float(out, strtod(z, NULL));
    free(z);
    return QA_OK;
}

/* ---- values ---- */

static enum status set_member(struct pyjson_row *row,
                              struct str key,
                              struct str value,
                              struct err *e)
{
    struct pyjson_member *m = NULL;
    for (size_t i = 0; i < row->n && !m; i++) {
        if (str_eq((struct str){row->m[i].key, row->m[i].n_key}, key)) m = &row->m[i];
    }
    if (!m && row->n == row->cap) {
        const size_t cap = row->cap ? row->cap * 2 : 8;
        struct pyjson_member *grown = realloc(row->m, cap * sizeof *grown);
        if (!grown) return err_set(e, QA_E_NOMEM, "out of memory");
        row->m = grown;
        row->cap = cap;
    }
    char *copy = strndup(value.p, value.n);
    char *name = m ? NULL : strndup(key.p, key.n);
    if (!copy || (!m && !name)) {
        free(copy);
        free(name);
        return err_set(e, QA_E_NOMEM, "out of memory");
    }
    if (m) {
        free(m->value);
        m->value = copy;
        m->n_value = value.n;
        return QA_OK;
    }
    row->m[row->n++] = (struct pyjson_member){name, copy, key.n, value.n};
    return QA_OK;
}

static enum status read_value(struct parser *p, struct str_buf *out, int depth);

/* From behind '{' to behind '}', keys unique as in a dict: the last value wins, at
 * the place of the first. */
static enum status read_object(struct parser *p, struct pyjson_row *row, int depth)
{
    struct str_buf key;
    struct str_buf value;
    str_buf_init(&key, MAX_TEXT);
    str_buf_init(&value, MAX_TEXT);
    enum status st = QA_OK;
    skip_space(p);
    bool is_more = peek(p) != '}';
    while (is_more && !st) {
        str_buf_reset(&key);
        str_buf_reset(&value);
        skip_space(p);
        if (peek(p) != '"') {
            st = fail(p, "expected a key in double quotes");
            break;
        }
        p->at++;
        str_buf_add_char(&key, '"');
        st = read_string(p, &key, false);
        str_buf_add_char(&key, '"');
        skip_space(p);
        if (!st && peek(p) != ':') st = fail(p, "expected ':'");
        if (st) break;
        p->at++;
        skip_space(p);
        st = read_value(p, &value, depth + 1);
        if (!st) st = str_buf_check(&key, "key", p->e);
        if (!st) st = str_buf_check(&value, "value", p->e);
        if (!st) st = set_member(row, str_buf_str(&key), str_buf_str(&value), p->e);
        skip_space(p);
        is_more = peek(p) == ',';
        if (is_more) p->at++;
    }
    if (!st && peek(p) != '}') st = fail(p, "expected ',' or '}'");
    if (!st) p->at++;
    str_buf_release(&key);
    str_buf_release(&value);
    return st;
}

static enum status read_array(struct parser *p, struct str_buf *out, int depth)
{
    str_buf_add_char(out, '[');
    skip_space(p);
    if (peek(p) == ']') {
        p->at++;
        str_buf_add_char(out, ']');
        return QA_OK;
    }
    for (;;) {
        skip_space(p);
        enum status st = read_value(p, out, depth + 1);
        if (st) return st;
        skip_space(p);
        const int c = peek(p);
        if (c != ',' && c != ']') return fail(p, "expected ',' or ']'");
        p->at++;
        if (c == ']') break;
        str_buf_add_z(out, ", ");
    }
    str_buf_add_char(out, ']');
    return QA_OK;
}

static enum status read_value(struct parser *p, struct str_buf *out, int depth)
{
    static const char *const WORDS[] = {"null", "true",     "false",
                                        "NaN",  "Infinity", "-Infinity"};
    if (depth > MAX_DEPTH) return fail(p, "nested too deeply");
    const int c = peek(p);
    if (c == '"') {
        p->at++;
        str_buf_add_char(out, '"');
        enum status st = read_string(p, out, false);
        str_buf_add_char(out, '"');
        return st;
    }
    if (c == '{') {
        struct pyjson_row inner = {0};
        p->at++;
        enum status st = read_object(p, &inner, depth);
        if (!st) pyjson_row_dump(&inner, out);
        pyjson_row_release(&inner);
        return st;
    }
    if (c == '[') {
        p->at++;
        return read_array(p, out, depth);
    }
    for (size_t i = 0; i < COUNT(WORDS); i++) {
        if (!str_starts(str_cut(p->s, p->at, p->s.n), str_of(WORDS[i]))) continue;
        p->at += strlen(WORDS[i]);
        str_buf_add_z(out, WORDS[i]);
        return QA_OK;
    }
    return read_number(p, out);
}

/* ---- rows ---- */

enum status pyjson_row_parse(struct pyjson_row *out, struct str line, struct err *e)
{
    struct parser p = {.s = line, .e = e};
    struct pyjson_row row = {0};
    enum status st;
    skip_space(&p);
    if (peek(&p) != '{') {
        st = fail(&p, "expected a JSON object");
    } else {
        p.at++;
        st = read_object(&p, &row, 0);
    }
    skip_space(&p);
    if (!st && p.at < line.n) st = fail(&p, "more text after the object");
    if (st) {
        pyjson_row_release(&row);
        return st;
    }
    *out = row;
    return QA_OK;
}

void pyjson_row_release(struct pyjson_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        free(row->m[i].key);
        free(row->m[i].value);
    }
    free(row->m);
    *row = (struct pyjson_row){0};
}

static struct str quoted(const char *name, char text[static 64])
{
    const int n = snprintf(text, 64, "\"%s\"", name);
    ASSERT(n > 0 && n < 64);
    return (struct str){text, (size_t)n};
}

struct str pyjson_row_find(const struct pyjson_row *row, const char *name)
{
    char text[64];
    const struct str key = quoted(name, text);
    for (size_t i = 0; i < row->n; i++) {
        const struct pyjson_member *m = &row->m[i];
        if (str_eq((struct str){m->key, m->n_key}, key)) {
            return (struct str){m->value, m->n_value};
        }
    }
    return (struct str){0};
}

enum status pyjson_row_set(struct pyjson_row *row,
                           const char *name,
                           struct str value,
                           struct err *e)
{
    char text[64];
    return set_member(row, quoted(name, text), value, e);
}

void pyjson_row_dump(const struct pyjson_row *row, struct str_buf *out)
{
    str_buf_add_char(out, '{');
    for (size_t i = 0; i < row->n; i++) {
        const struct pyjson_member *m = &row->m[i];
        if (i) str_buf_add_z(out, ", ");
        str_buf_add(out, (struct str){m->key, m->n_key});
        str_buf_add_z(out, ": ");
        str_buf_add(out, (struct str){m->value, m->n_value});
    }
    str_buf_add_char(out, '}');
}
