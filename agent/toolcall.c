/* toolcall.c - calls out of a model's output, in the form the template asks for. */
#include "agent/toolcall.h"

#include <string.h>

static const struct str CALL_OPEN = STR("<tool_call>");
static const struct str CALL_CLOSE = STR("</tool_call>");
static const struct str FUNCTION_OPEN = STR("<function=");
static const struct str FUNCTION_CLOSE = STR("</function>");
static const struct str PARAM_OPEN = STR("<parameter=");
static const struct str PARAM_CLOSE = STR("</parameter>");

void toolcalls_release(struct toolcalls *c)
{
    for (size_t i = 0; i < c->n; i++) {
        json_decref(c->call[i].arguments);
    }
    str_buf_release(&c->text);
    *c = (struct toolcalls){0};
}

static size_t skip_blanks(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r'))) {
        i++;
    }
    return i;
}

static bool is_at(struct str s, size_t i, struct str tag)
{
    return str_starts(str_cut(s, i, s.n), tag);
}

/* First `tag` at or after `from`, SIZE_MAX when there is none. */
static size_t find_from(struct str s, size_t from, struct str tag)
{
    const size_t at = str_find(str_cut(s, from, s.n), tag);
    return at == SIZE_MAX ? SIZE_MAX : from + at;
}

/* The same, only at the start of a line. */
static size_t find_line(struct str s, size_t from, struct str tag)
{
    for (size_t at = from; (at = find_from(s, at, tag)) != SIZE_MAX; at++) {
        if (at > 0 && s.p[at - 1] == '\n') return at;
    }
    return SIZE_MAX;
}

bool toolcall_starts(struct str s, bool *is_open)
{
    const size_t n = QA_MIN(s.n, CALL_OPEN.n);
    *is_open = false;
    if (!str_eq(str_cut(s, 0, n), str_cut(CALL_OPEN, 0, n))) return false;
    *is_open = true;
    if (s.n < CALL_OPEN.n) return false;
    const struct str rest = str_cut(s, skip_blanks(s, CALL_OPEN.n), s.n);
    const size_t k = QA_MIN(rest.n, FUNCTION_OPEN.n);
    if (!str_eq(str_cut(rest, 0, k), str_cut(FUNCTION_OPEN, 0, k))) *is_open = false;
    if (rest.n < FUNCTION_OPEN.n || !*is_open) return false;
    *is_open = false;
    return true;
}

/* ---- schemas ---- */

static const json_t *find_properties(const json_t *tools, struct str name)
{
    size_t i;
    json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const json_t *f = json_object_get(tool, "function");
        if (!f) f = tool;
        if (!str_eq(str_of(json_string_value(json_object_get(f, "name"))), name)) continue;
        return json_object_get(json_object_get(f, "parameters"), "properties");
    }
    return NULL;
}

static const json_t *find_key(const json_t *properties, struct str key)
{
    const char *name;
    json_t *schema;
    json_object_foreach((json_t *)properties, name, schema)
    {
        if (str_eq(str_of(name), key)) return schema;
    }
    return NULL;
}

/* What a schema allows, as bits. */
enum {
    IS_STRING = 1,
    IS_INTEGER = 2,
    IS_NUMBER = 4,
    IS_BOOLEAN = 8,
    IS_LIST = 16,
    IS_OBJECT = 32,
    IS_NULL = 64,
};

/* Type names by their beginning, as servers take them. */
static unsigned kind_of_name(const char *type)
{
    static const struct {
        const char *start;
        unsigned kind;
    } NAMES[] = {
        {"int",      IS_INTEGER},
        {"uint",     IS_INTEGER},
        {"long",     IS_INTEGER},
        {"short",    IS_INTEGER},
        {"unsigned", IS_INTEGER},
        {"num",      IS_NUMBER },
        {"float",    IS_NUMBER },
        {"bool",     IS_BOOLEAN},
        {"binary",   IS_BOOLEAN},
        {"obj",      IS_OBJECT },
        {"dict",     IS_OBJECT },
        {"arr",      IS_LIST   },
        {"list",     IS_LIST   },
        {"null",     IS_NULL   },
    };
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        if (strncmp(type, NAMES[i].start, strlen(NAMES[i].start)) == 0) return NAMES[i].kind;
    }
    return IS_STRING;
}

static unsigned kinds_of(const json_t *schema)
{
    static const char *const unions[] = {"anyOf", "oneOf"};
    const json_t *type = json_object_get(schema, "type");
    unsigned kinds = 0;
    size_t i;
    json_t *item;
    if (json_is_string(type)) return kind_of_name(json_string_value(type));
    json_array_foreach(type, i, item)
    {
        if (json_is_string(item)) kinds |= kind_of_name(json_string_value(item));
    }
    for (size_t k = 0; k < COUNT(unions); k++) {
        const json_t *members = json_object_get(schema, unions[k]);
        json_array_foreach(members, i, item)
        {
            const json_t *t = json_object_get(item, "type");
            if (json_is_string(t)) kinds |= kind_of_name(json_string_value(t));
        }
    }
    return kinds ? kinds : IS_STRING;
}

/* ---- values ---- */

static bool is_word(struct str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static json_t *load_json(struct str s)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    return json_loadb(s.p, s.n, flags, NULL);
}

/* Python's literals as JSON: 'a' becomes "a", True, False and None their JSON words. */
static json_t *load_python(struct str s)
{
    static const struct {
        struct str python, json;
    } WORDS[] = {
        {STR("True"),  STR("true") },
        {STR("False"), STR("false")},
        {STR("None"),  STR("null") }
    };
    struct str_buf b;
    char quote = 0;
    str_buf_init(&b, 2 * s.n + 16);
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        size_t k = quote ? COUNT(WORDS) : 0;
        while (k < COUNT(WORDS) && !is_at(s, i, WORDS[k].python)) {
            k++;
        }
        if (k < COUNT(WORDS)) {
            str_buf_add(&b, WORDS[k].json);
            i += WORDS[k].python.n - 1;
        } else if (quote && c == '\\' && i + 1 < s.n) {
            if (s.p[i + 1] != '\'') str_buf_add_char(&b, '\\');
            str_buf_add_char(&b, s.p[++i]);
        } else if (!quote && (c == '\'' || c == '"')) {
            quote = c;
            str_buf_add_char(&b, '"');
        } else if (quote && c == quote) {
            quote = 0;
            str_buf_add_char(&b, '"');
        } else {
            if (quote == '\'' && c == '"') str_buf_add_char(&b, '\\');
            str_buf_add_char(&b, c);
        }
    }
    json_t *x = load_json(str_buf_str(&b));
    str_buf_release(&b);
    return x;
}

static json_t *read_integer(struct str text)
{
    struct str s = str_trim(text);
    int64_t v;
    if (s.n > 1 && s.p[0] == '+' && s.p[1] != '-') s = str_cut(s, 1, s.n);
    return str_to_i64(s, INT64_MIN, INT64_MAX, &v) ? json_integer(v) : NULL;
}

/* A number; one without a fraction becomes an integer, as the schema's users expect. */
static json_t *read_number(struct str text)
{
    double v;
    if (!str_to_f64(str_trim(text), &v)) return NULL;
    if (v > -9e15 && v < 9e15 && (double)(int64_t)v == v) return json_integer((int64_t)v);
    return json_real(v); /* NULL for infinities: JSON has none */
}

/* A list or an object: JSON, else Python; a string that holds one is opened once more. */
static json_t *read_tree(struct str text, unsigned kinds)
{
    json_t *x = load_json(text);
    if (!x) x = load_python(text);
    if (json_is_string(x)) {
        const struct str inner = {json_string_value(x), json_string_length(x)};
        json_t *y = load_json(inner);
        if (!y) y = load_python(inner);
        json_decref(x);
        x = y;
    }
    const bool fits =
        (json_is_object(x) && (kinds & IS_OBJECT)) || (json_is_array(x) && (kinds & IS_LIST));
    if (fits) return x;
    json_decref(x);
    return NULL;
}

json_t *toolcall_value(struct str text, const json_t *schema)
{
    const unsigned kinds = kinds_of(schema);
    const struct str s = str_trim(text);
    json_t *x = NULL;
    const bool may_be_null = kinds != IS_STRING; /* a plain string never is */
    if (may_be_null && (is_word(s, "null") || is_word(s, "none"))) return json_null();
    if (!(kinds & IS_STRING)) {
        if (kinds & IS_BOOLEAN) {
            if (is_word(s, "true")) x = json_true();
            if (is_word(s, "false")) x = json_false();
        }
        if (!x && (kinds & IS_INTEGER)) x = read_integer(s);
        if (!x && (kinds & IS_NUMBER)) x = read_number(s);
        if (!x && (kinds & (IS_LIST | IS_OBJECT))) x = read_tree(s, kinds);
    }
    if (!x) x = json_stringn(text.p, text.n);
    if (!x) x = json_stringn_nocheck(text.p, text.n); /* not UTF-8: kept as it is */
    return x;
}

/* ---- one call ---- */

/* True when what follows `i` (just after </parameter>) can only be the rest of a call:
 * another parameter, or the function's end and then the call's end that is not
 * followed by a stray </parameter> - that would mean we are inside a quoted call. */
static bool is_structural(struct str s, size_t i)
{
    i = skip_blanks(s, i);
    if (i == s.n || is_at(s, i, PARAM_OPEN)) return true;
    if (is_at(s, i, FUNCTION_CLOSE)) i = skip_blanks(s, i + FUNCTION_CLOSE.n);
    if (i == s.n || is_at(s, i, FUNCTION_OPEN)) return true;
    if (!is_at(s, i, CALL_CLOSE)) return false;
    i += CALL_CLOSE.n;
    const size_t next_call = find_from(s, i, CALL_OPEN);
    const size_t stray = find_line(s, i, PARAM_CLOSE);
    return stray == SIZE_MAX || (next_call != SIZE_MAX && next_call < stray);
}

struct value_end {
    size_t end;  /* of the value                    */
    size_t next; /* where the rest of the call goes on */
};

static size_t find_close(struct str s, size_t from, bool at_line)
{
    size_t at = from;
    for (; at < s.n; at++) {
        at = at_line ? find_line(s, at, PARAM_CLOSE) : find_from(s, at, PARAM_CLOSE);
        if (at == SIZE_MAX || is_structural(s, at + PARAM_CLOSE.n)) return at;
    }
    return SIZE_MAX;
}

/* Where the value that starts at `from` ends.  In this order: at a closing tag that is
 * followed by structure (at the start of a line when the value began on its own line);
 * before that, at a line that opens another parameter of the schema; else at the end
 * of the function or of the call.  False: the output ended first. */
static bool value_end(struct str s,
                      size_t from,
                      struct str key,
                      const json_t *properties,
                      struct value_end *v)
{
    const bool own_line = from < s.n && s.p[from] == '\n';
    size_t at = find_close(s, from, own_line);
    if (at == SIZE_MAX && own_line) at = find_close(s, from, false);
    *v = (struct value_end){at, at == SIZE_MAX ? SIZE_MAX : at + PARAM_CLOSE.n};
    for (size_t i = from; (i = find_line(s, i, PARAM_OPEN)) != SIZE_MAX && i < at; i++) {
        const size_t name = i + PARAM_OPEN.n;
        const size_t close = find_from(s, name, STR(">"));
        if (close == SIZE_MAX) break;
        const struct str other = str_cut(s, name, close);
        if (str_eq(other, key) || !find_key(properties, other)) continue;
        *v = (struct value_end){i, i};
        return true;
    }
    if (at == SIZE_MAX) at = find_line(s, from, FUNCTION_CLOSE);
    if (at == SIZE_MAX) at = find_from(s, from, FUNCTION_CLOSE);
    if (at == SIZE_MAX) at = find_from(s, from, CALL_CLOSE);
    if (v->end == SIZE_MAX) *v = (struct value_end){at, at};
    return at != SIZE_MAX;
}

/* Text up to the next '>', blanks round it dropped; false unless it can be a name. */
static bool read_name(struct str s, size_t *i, struct str *name)
{
    const size_t close = find_from(s, *i, STR(">"));
    if (close == SIZE_MAX) return false;
    *name = str_trim(str_cut(s, *i, close));
    *i = close + 1;
    for (size_t k = 0; k < name->n; k++) {
        if (strchr(" \t\r\n{}<\"'", name->p[k])) return false;
    }
    return name->n > 0;
}

/* One function at *i (just after "<function=").  False: it cannot be read or is cut. */
static bool read_function(struct str s, size_t *i, const json_t *tools, struct toolcall *out)
{
    struct str name;
    if (!read_name(s, i, &name)) return false;
    const json_t *properties = find_properties(tools, name);
    json_t *arguments = json_object();
    for (;;) {
        size_t at = skip_blanks(s, *i);
        struct str key;
        struct value_end v;
        if (!is_at(s, at, PARAM_OPEN)) break;
        at += PARAM_OPEN.n;
        if (!read_name(s, &at, &key) || !value_end(s, at, key, properties, &v)) goto fail;
        struct str value = str_cut(s, at, v.end);
        if (value.n && value.p[0] == '\n') value = str_cut(value, 1, value.n);
        if (value.n && value.p[value.n - 1] == '\n') value.n--;
        json_t *x = toolcall_value(value, find_key(properties, key));
        char *z = strndup(key.p, key.n);
        const int failed = z ? json_object_set_new_nocheck(arguments, z, x) : -1;
        free(z);
        if (failed) goto fail;
        *i = v.next;
    }
    const size_t at = skip_blanks(s, *i);
    if (is_at(s, at, FUNCTION_CLOSE)) *i = at + FUNCTION_CLOSE.n;
    *out = (struct toolcall){name, arguments};
    return true;

fail:
    json_decref(arguments);
    return false;
}

/* All functions of the block at *i, which starts with a call.  False: nothing in it. */
static bool read_block(struct toolcalls *out, struct str s, size_t *i, const json_t *tools)
{
    size_t at = skip_blanks(s, *i + CALL_OPEN.n);
    size_t n = 0;
    while (is_at(s, at, FUNCTION_OPEN) && out->n < TOOLCALL_MAX) {
        size_t next = at + FUNCTION_OPEN.n;
        if (!read_function(s, &next, tools, &out->call[out->n])) break;
        out->n++;
        n++;
        at = skip_blanks(s, next);
        *i = next;
    }
    if (n && is_at(s, at, CALL_CLOSE)) *i = at + CALL_CLOSE.n;
    return n > 0;
}

/* Text between calls, without the blanks round it; pieces are joined by a newline. */
static void add_between(struct toolcalls *out, struct str s)
{
    s = str_trim(s);
    if (!s.n) return;
    if (out->text.n) str_buf_add_char(&out->text, '\n');
    str_buf_add(&out->text, s);
}

enum status toolcall_parse(struct toolcalls *out,
                           struct str s,
                           const json_t *tools,
                           struct err *e)
{
    size_t from = 0;
    *out = (struct toolcalls){0};
    str_buf_init(&out->text, s.n + TOOLCALL_MAX);
    for (size_t i = 0; (i = find_from(s, i, CALL_OPEN)) != SIZE_MAX;) {
        const size_t start = i;
        bool is_open;
        if (!toolcall_starts(str_cut(s, i, s.n), &is_open) || !read_block(out, s, &i, tools)) {
            out->is_cut = find_from(s, start, CALL_CLOSE) == SIZE_MAX;
            i = start + CALL_OPEN.n;
            continue;
        }
        out->is_cut = false;
        add_between(out, str_cut(s, from, start));
        from = i;
    }
    add_between(out, str_cut(s, from, s.n));
    const enum status st = str_buf_check(&out->text, "the text between calls", e);
    if (st) toolcalls_release(out);
    return st;
}

const char *toolcall_fault(struct str text)
{
    const size_t call = str_find(text, CALL_OPEN);
    const size_t function = str_find(text, FUNCTION_OPEN);
    if (call == SIZE_MAX) {
        if (function == SIZE_MAX || str_find(text, FUNCTION_CLOSE) == SIZE_MAX) return NULL;
        return "<function=...> must stand between <tool_call> and </tool_call>";
    }
    const struct str rest = str_cut(text, call, text.n);
    const size_t body = skip_blanks(rest, CALL_OPEN.n);
    if (body < rest.n && rest.p[body] == '{') {
        return "the call is JSON; write <function=code_execution> with <parameter=code> inside "
               "<tool_call> instead";
    }
    if (function == SIZE_MAX) return NULL; /* the tag is only spoken about */
    if (str_find(rest, PARAM_OPEN) == SIZE_MAX) {
        return "the call has no readable <function=NAME> line and no <parameter=code>";
    }
    if (str_find(rest, PARAM_CLOSE) == SIZE_MAX) {
        return "the call ended within <parameter=...>: close it with </parameter>, "
               "</function>, </tool_call>";
    }
    return "the call cannot be read: <function=NAME> and <parameter=KEY> must each be closed "
           "in order";
}
