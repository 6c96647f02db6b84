/* tokens.c - `qagent tokens`: text to token ids and back. */
#include "cmd/run.h"
#include "cmd/view.h"
#include "engine/base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 256 << 20 };
enum { KEY_DECODE = 0x100, KEY_JSON, KEY_NO_SPECIAL, KEY_COUNT, KEY_BINARY };

struct tokens_opts {
    struct model_opts model;
    const char *text, *file, *binary;
    bool want_decode, want_json, no_special, want_count;
};

static const struct argp_option OPTIONS[] = {
    {"file",                                  'f', "FILE", 0, "read from FILE, - for standard input", 0},
    {"decode",                                 KEY_DECODE, 0, 0, "the input is ids; print their text", 0},
    {"count", KEY_COUNT, 0, 0, "print the number of tokens alone", 0},
    {"binary",                                       KEY_BINARY, "FILE", 0,
     "write the ids as little-endian int32, as `qagent logits` reads them", 0},
    {"no-special",KEY_NO_SPECIAL, 0, 0, "read <|...|> as ordinary text", 0},
    {"json",                                      KEY_JSON, 0, 0, "one JSON object: ids and pieces", 0},
    {0                                     },
};

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct tokens_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case 'f': o->file = arg; break;
    case KEY_DECODE: o->want_decode = true; break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_COUNT: o->want_count = true; break;
    case KEY_BINARY: o->binary = arg; break;
    case KEY_NO_SPECIAL: o->no_special = true; break;
    case ARGP_KEY_ARG:
        if (o->text) opt_fail("unexpected word '%s'; quote a text of several words", arg);
        o->text = arg;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Numbers parted by blanks, commas or brackets. */
static enum status parse_ids(const struct engine *g,
                             struct str s,
                             struct ids *out,
                             struct err *e)
{
    const int n_vocab = engine_info(g)->n_vocab;
    size_t i = 0;
    while (i < s.n) {
        const size_t start = i;
        while (i < s.n && !memchr(" \t\r\n,[]", s.p[i], 8)) {
            i++;
        }
        if (i > start) {
            const struct str word = str_cut(s, start, i);
            int64_t id;
            if (!str_to_i64(word, 0, n_vocab - 1, &id)) {
                return err_set(e, QA_E_USAGE, "'%.*s' is not an id from 0 to %d",
                               (int)QA_MIN(word.n, 40U), word.p, n_vocab - 1);
            }
            const int32_t id32 = (int32_t)id;
            const enum status st = ids_add(out, &id32, 1, e);
            if (st) return st;
        }
        i++;
    }
    return QA_OK;
}

static json_t *piece_json(const struct engine *g, int32_t id)
{
    const struct str piece = engine_piece(g, id);
    json_t *text = json_stringn(piece.p, piece.n);
    if (text) return text;
    /* Part of a character: its bytes as numbers. */
    json_t *bytes = json_array();
    for (size_t i = 0; i < piece.n; i++) {
        json_array_append_new(bytes, json_integer((unsigned char)piece.p[i]));
    }
    return bytes;
}

static void print_ids(const struct tokens_opts *o,
                      const struct engine *g,
                      const struct ids *ids)
{
    if (o->want_count) {
        printf("%zu\n", ids->n);
        return;
    }
    if (o->want_json) {
        json_t *numbers = json_array();
        json_t *pieces = json_array();
        for (size_t i = 0; i < ids->n; i++) {
            json_array_append_new(numbers, json_integer(ids->p[i]));
            json_array_append_new(pieces, piece_json(g, ids->p[i]));
        }
        json_t *all = json_pack("{s:o, s:o}", "ids", numbers, "pieces", pieces);
        json_dumpf(all, stdout, 0);
        putchar('\n');
        json_decref(all);
        return;
    }
    for (size_t i = 0; i < ids->n; i++) {
        printf("%s%d", i ? " " : "", (int)ids->p[i]);
    }
    putchar('\n');
}

static enum status work(const struct tokens_opts *o,
                        const struct engine *g,
                        struct str input,
                        struct err *e)
{
    struct ids ids = {0};
    enum status st = QA_OK;
    if (o->want_decode) {
        st = parse_ids(g, input, &ids, e);
        struct str_buf text;
        str_buf_init(&text, (size_t)1 << 40);
        for (size_t i = 0; !st && i < ids.n; i++) {
            str_buf_add(&text, engine_piece(g, ids.p[i]));
        }
        if (!st) st = str_buf_check(&text, "the text", e);
        if (!st && text.n) view_put(stdout, str_buf_str(&text));
        str_buf_release(&text);
    } else {
        st = engine_encode(g, input, o->no_special ? SPECIAL_NONE : SPECIAL_PARSE, &ids, e);
        if (!st && o->binary) {
            st = file_write(o->binary, (struct str){(const char *)ids.p, ids.n * sizeof *ids.p},
                            e);
        } else if (!st) {
            print_ids(o, g, &ids);
        }
    }
    ids_release(&ids);
    return st;
}

int tokens_main(int argc, char **argv)
{
    struct tokens_opts o = {.model = model_opts_default()};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .args_doc = "[TEXT]",
        .children = MODEL_CHILDREN,
        .doc = "Text to token ids and back, by the model's own tokenizer.\v"
               "Example: qagent tokens 'def add(a, b):'",
    };
    opt_parse(&parser, argc, argv, &o);
    cmd_catch_signals();
    struct err e = {0};
    struct engine *g = NULL;
    struct str_buf input;
    str_buf_init(&input, TEXT_MAX_BYTES);
    int code = EXIT_USAGE;
    if (o.text && o.file) {
        err_set(&e, QA_E_USAGE, "give a text or -f, not both");
        code = cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    if (o.text) str_buf_add_z(&input, o.text);
    if (!o.text && file_read(&input, o.file ? o.file : "-", &e)) {
        code = cmd_stop ? cmd_stop : cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    code = run_open_text(&g, &o.model);
    if (code) goto out;
    const enum status st = work(&o, g, str_buf_str(&input), &e);
    if (st) code = cmd_fail(st == QA_E_USAGE ? EXIT_USAGE : EXIT_INTERNAL, &e);
out:
    engine_close(g);
    str_buf_release(&input);
    return code;
}
