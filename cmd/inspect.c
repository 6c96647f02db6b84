/* inspect.c - `qagent inspect`: what is in a GGUF file, before anything is loaded. */
#include "cmd/cmd.h"
#include "cmd/opt.h"
#include "engine/gguf.h"
#include "engine/quant.h"
#include "engine/tiny/tiny.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_JSON = 0x100, KEY_ALL };
enum { SHOWN_ITEMS = 8, SHOWN_CHARS = 60, SHOWN_TENSORS = 40 };

struct inspect_opts {
    const char *path; /* NULL: the embedded model */
    bool want_json, want_all;
};

static const struct argp_option OPTIONS[] = {
    {"all",                             KEY_ALL, 0, 0, "every tensor and whole strings", 0},
    {"json",                                KEY_JSON, 0, 0, "one JSON object", 0},
    {0},
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct inspect_opts *o = state->input;
    switch (key) {
    case KEY_ALL: o->want_all = true; break;
    case KEY_JSON: o->want_json = true; break;
    case ARGP_KEY_ARG:
        if (o->path) opt_fail("unexpected word '%s'; inspect takes one file", arg);
        o->path = arg;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Text from a file may hold anything: control bytes are shown, not sent. */
static void print_text(struct str s, size_t max)
{
    const size_t n = QA_MIN(s.n, max);
    putchar('"');
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        const size_t len = str_first_char(str_cut(s, i, n), &cp);
        if (!len && n < s.n && n - i < 4) break; /* the cut is within a character */
        if (cp == '\n') {
            fputs("\\n", stdout);
        } else if (!len || cp == '\t' || (cp < 0x80 && str_is_steering(cp))) {
            printf("\\x%02x", (unsigned char)s.p[i]);
        } else if (str_is_steering(cp)) {
            printf("\\u%04x", (unsigned)cp);
        } else {
            fwrite(s.p + i, 1, len, stdout);
        }
        i += len ? len : 1;
    }
    printf(n < s.n ? "...\" (%zu bytes)" : "\"", s.n);
}

static void copy_name(char *out, size_t cap, struct str name)
{
    snprintf(out, cap, "%.*s", (int)QA_MIN(name.n, cap), name.p);
    str_make_inert(out);
}

static void print_number(const struct gguf_pair *p, uint64_t i)
{
    int64_t v;
    double f;
    if (p->item == GGUF_BOOL && gguf_item_i64(p, i, &v)) {
        fputs(v ? "true" : "false", stdout);
    } else if (gguf_item_i64(p, i, &v)) {
        printf("%lld", (long long)v);
    } else if (gguf_item_f64(p, i, &f)) {
        printf("%g", f);
    }
}

static void print_pair(const struct gguf_pair *p, bool want_all)
{
    const size_t max_chars = want_all ? SIZE_MAX : SHOWN_CHARS;
    const uint64_t n_shown = QA_MIN(p->n, (uint64_t)SHOWN_ITEMS);
    char key[128];
    copy_name(key, sizeof key, p->key);
    printf("  %-44s ", key);
    if (p->type == GGUF_ARRAY) printf("[%llu] ", (unsigned long long)p->n);
    size_t at = 0;
    for (uint64_t i = 0; i < n_shown; i++) {
        struct str s;
        if (i) fputs(", ", stdout);
        if (p->item != GGUF_STRING) {
            print_number(p, i);
        } else if (gguf_next_string(p, &at, &s)) {
            print_text(s, p->type == GGUF_ARRAY ? SHOWN_CHARS : max_chars);
        }
    }
    puts(n_shown < p->n ? ", ..." : "");
}

/* Bytes and tensors of each weight type, in the order of the type numbers. */
static void print_types(const struct gguf *g)
{
    for (uint32_t type = 0; type < 256; type++) {
        size_t n = 0;
        double bytes = 0;
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            if (t->type != type) continue;
            n++;
            bytes += (double)t->n_bytes;
        }
        if (n)
            printf("  %-8s %5zu tensors %12.2f MB\n", quant_find(type)->name, n, bytes * 1e-6);
    }
}

static void print_tensor(const struct gguf_tensor *t)
{
    char shape[96] = "";
    size_t n = 0;
    for (int i = 0; i < t->n_dims; i++) {
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%lld", i ? ", " : "",
                              (long long)t->ne[i]);
    }
    char name[128];
    copy_name(name, sizeof name, t->name);
    printf("  %-40s %-8s [%s]\n", name, quant_find(t->type)->name, shape);
}

static void print_plain(const struct gguf *g, bool want_all)
{
    double values = 0;
    double bytes = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        values += (double)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
        bytes += (double)t->n_bytes;
    }
    printf("%s: GGUF version %d, %d part%s, %.2f M values in %.2f MB\n", gguf_path(g),
           gguf_version(g), gguf_n_parts(g), gguf_n_parts(g) == 1 ? "" : "s", values * 1e-6,
           bytes * 1e-6);
    printf("\n%zu keys\n", gguf_n_pairs(g));
    for (size_t i = 0; i < gguf_n_pairs(g); i++) {
        print_pair(gguf_pair_at(g, i), want_all);
    }
    printf("\nweight types\n");
    print_types(g);
    printf("\n%zu tensors\n", gguf_n_tensors(g));
    const size_t n_shown =
        want_all ? gguf_n_tensors(g) : QA_MIN(gguf_n_tensors(g), SHOWN_TENSORS);
    for (size_t i = 0; i < n_shown; i++) {
        print_tensor(gguf_tensor_at(g, i));
    }
    if (n_shown < gguf_n_tensors(g)) {
        printf("  ... %zu more (--all)\n", gguf_n_tensors(g) - n_shown);
    }
}

static json_t *text_json(struct str s)
{
    json_t *text = json_stringn(s.p, s.n);
    return text ? text : json_string("(not valid UTF-8)");
}

static json_t *item_json(const struct gguf_pair *p, uint64_t i, size_t *at)
{
    struct str s;
    int64_t v;
    double f;
    if (p->item == GGUF_STRING) return gguf_next_string(p, at, &s) ? text_json(s) : json_null();
    if (p->item == GGUF_BOOL && gguf_item_i64(p, i, &v)) return json_boolean(v != 0);
    if (gguf_item_i64(p, i, &v)) return json_integer(v);
    if (gguf_item_f64(p, i, &f)) {
        json_t *real = json_real(f); /* NULL for infinities and NaN */
        return real ? real : json_null();
    }
    return json_null();
}

static void print_json(const struct gguf *g)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < gguf_n_pairs(g); i++) {
        const struct gguf_pair *p = gguf_pair_at(g, i);
        size_t at = 0;
        json_t *value = p->type == GGUF_ARRAY ? json_array() : item_json(p, 0, &at);
        for (uint64_t k = 0; p->type == GGUF_ARRAY && k < p->n; k++) {
            json_array_append_new(value, item_json(p, k, &at));
        }
        json_object_setn_new(keys, p->key.p, p->key.n, value);
    }
    json_t *tensors = json_array();
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        json_t *shape = json_array();
        for (int k = 0; k < t->n_dims; k++) {
            json_array_append_new(shape, json_integer(t->ne[k]));
        }
        json_array_append_new(tensors,
                              json_pack("{s:o, s:s, s:o, s:I}", "name", text_json(t->name),
                                        "type", quant_find(t->type)->name, "shape", shape,
                                        "bytes", (json_int_t)t->n_bytes));
    }
    json_t *all =
        json_pack("{s:s, s:i, s:i, s:o, s:o}", "path", gguf_path(g), "version", gguf_version(g),
                  "parts", gguf_n_parts(g), "keys", keys, "tensors", tensors);
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

int inspect_main(int argc, char **argv)
{
    struct inspect_opts o = {0};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .args_doc = "[MODEL.gguf]",
        .doc = "Metadata and tensors of a GGUF file (without one: of the embedded model).\v"
               "Example: qagent inspect Qwen3.6-35B-A3B-Q4_K_M.gguf",
    };
    opt_parse(&parser, argc, argv, &o);
    struct err e = {0};
    struct gguf *g;
    enum status st;
    if (o.path) {
        st = gguf_open(&g, o.path, false, &e);
    } else {
        const struct str bytes = {qa_tiny_gguf, (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
        st = gguf_open_bytes(&g, bytes, "(embedded)", &e);
    }
    if (st) return cmd_fail(EXIT_MODEL, &e);
    if (o.want_json) {
        print_json(g);
    } else {
        print_plain(g, o.want_all);
    }
    gguf_close(g);
    return EXIT_OK;
}
