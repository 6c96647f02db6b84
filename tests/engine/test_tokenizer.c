/* Byte-level BPE against official vectors, and the split rule against its cases. */
#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *shared_path(const char *name)
{
    static char path[4096];
    const char *root = getenv("QAGENT_SHARED");
    if (!root) return NULL;
    snprintf(path, sizeof path, "%s/data/tokenizer/%s", root, name);
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fclose(f);
    return path;
}

#define NEED(path)                                                           \
    do {                                                                     \
        if (!(path)) {                                                       \
            fprintf(stderr, "SKIP: no tokenizer vectors (QAGENT_SHARED)\n"); \
            skip();                                                          \
        }                                                                    \
    } while (0)

static void read_all(const char *path, struct str_buf *b)
{
    struct err e = {0};
    str_buf_init(b, 64 << 20);
    if (file_read(b, path, &e)) fail_msg("%s", e.text);
}

static struct str next_line(struct str *rest)
{
    size_t n = str_find(*rest, STR("\n"));
    if (n == SIZE_MAX) n = rest->n;
    const struct str line = str_cut(*rest, 0, n);
    *rest = str_cut(*rest, n + 1, rest->n);
    return line;
}

/* A growing vocabulary: bytes in GPT-2 order, then what merges make, then added tokens. */
struct vocab {
    struct str *tokens;
    uint8_t *kinds;
    size_t n;
    struct str *merges;
    size_t n_merges;
    struct str_buf file;
};

enum { MAX_TOKENS = 300000 };

static void vocab_add(struct vocab *v, const char *p, size_t n, uint8_t kind)
{
    char *copy = malloc(n + 1);
    memcpy(copy, p, n);
    copy[n] = 0;
    v->tokens[v->n] = (struct str){copy, n};
    v->kinds[v->n++] = kind;
}

static void utf8_put(char *out, size_t *n, unsigned code)
{
    if (code < 0x80) {
        out[(*n)++] = (char)code;
    } else {
        out[(*n)++] = (char)(0xC0 | code >> 6);
        out[(*n)++] = (char)(0x80 | (code & 63));
    }
}

static void vocab_bytes(struct vocab *v)
{
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned b = 0, k = 256; b < 256; b++) {
            const bool own = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            char text[4];
            size_t n = 0;
            if (!own) k++;
            if (own != (pass == 0)) continue;
            utf8_put(text, &n, own ? b : k - 1);
            vocab_add(v, text, n, TOKEN_NORMAL);
        }
    }
}

static struct tokenizer *open_vocab(struct vocab *v, enum pretok_rule rule)
{
    const struct tokenizer_parts p = {.tokens = v->tokens,
                                      .kinds = v->kinds,
                                      .n_tokens = v->n,
                                      .merges = v->merges,
                                      .n_merges = v->n_merges,
                                      .rule = rule,
                                      .eos = -1};
    struct tokenizer *t;
    struct err e = {0};
    if (tokenizer_open(&t, &p, &e)) fail_msg("%s", e.text);
    return t;
}

static void vocab_release(struct vocab *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free((void *)(uintptr_t)v->tokens[i].p);
    }
    free(v->tokens);
    free(v->kinds);
    free(v->merges);
    str_buf_release(&v->file);
}

/* Every id is 256 + the number of its merge: right below the first gap of the real table. */
static struct tokenizer *from_merges(struct vocab *v, const char *path, enum pretok_rule rule)
{
    *v = (struct vocab){.tokens = calloc(MAX_TOKENS, sizeof *v->tokens),
                        .kinds = calloc(MAX_TOKENS, 1),
                        .merges = calloc(MAX_TOKENS, sizeof *v->merges)};
    read_all(path, &v->file);
    vocab_bytes(v);
    struct str rest = str_buf_str(&v->file);
    while (rest.n) {
        const struct str line = next_line(&rest);
        if (!line.n || str_starts(line, STR("#version"))) continue;
        v->merges[v->n_merges++] = line;
        char joined[1024];
        const size_t cut = 1 + str_find(str_cut(line, 1, line.n), STR(" "));
        memcpy(joined, line.p, cut);
        memcpy(joined + cut, line.p + cut + 1, line.n - cut - 1);
        vocab_add(v, joined, line.n - 1, TOKEN_NORMAL);
    }
    static const char *const ADDED[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                        "<think>",       "</think>",     "<tool_call>",
                                        "</tool_call>"};
    for (size_t i = 0; i < COUNT(ADDED); i++) {
        vocab_add(v, ADDED[i], strlen(ADDED[i]), TOKEN_CONTROL);
    }
    return open_vocab(v, rule);
}

static void expect_ids(const struct tokenizer *t,
                       struct str text,
                       const json_t *want,
                       const char *what)
{
    struct ids got = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(t, text, SPECIAL_NONE, &got, &e), QA_OK);
    bool same = got.n == json_array_size(want);
    for (size_t i = 0; same && i < got.n; i++) {
        same = got.p[i] == json_integer_value(json_array_get(want, i));
    }
    if (!same) fail_msg("%s: other ids for '%.*s'", what, (int)text.n, text.p);
    ids_release(&got);
}

/* Pieces are compared in the byte alphabet, which the vocabulary's own text is in. */
static void expect_pieces(const struct tokenizer *t,
                          const struct vocab *v,
                          struct str text,
                          const json_t *want)
{
    struct ids got = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(t, text, SPECIAL_NONE, &got, &e), QA_OK);
    if (got.n != json_array_size(want))
        fail_msg("other number of pieces for '%.*s'", (int)text.n, text.p);
    for (size_t i = 0; i < got.n; i++) {
        const char *piece = json_string_value(json_array_get(want, i));
        if (!str_eq(v->tokens[got.p[i]], str_of(piece))) {
            fail_msg("piece %zu of '%.*s' is '%.*s', not '%s'", i, (int)text.n, text.p,
                     (int)v->tokens[got.p[i]].n, v->tokens[got.p[i]].p, piece);
        }
    }
    ids_release(&got);
}

static struct str json_str(const json_t *o, const char *key)
{
    const json_t *s = json_object_get(o, key);
    return (struct str){json_string_value(s), json_string_length(s)};
}

static void split_rule_gives_the_official_pieces(void **state)
{
    (void)state;
    const char *path = shared_path("pretok-cases.jsonl");
    NEED(path);
    struct str_buf b;
    read_all(path, &b);
    struct str rest = str_buf_str(&b);
    static const char *const KEYS[] = {"qwen2", "qwen35"};
    int n_cases = 0;
    while (rest.n) {
        const struct str line = next_line(&rest);
        json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
        assert_non_null(o);
        for (int rule = 0; rule < 2; rule++) {
            struct str text = json_str(o, "text");
            const json_t *want = json_object_get(o, KEYS[rule]);
            for (size_t i = 0; i < json_array_size(want); i++) {
                const json_t *p = json_array_get(want, i);
                const struct str piece = {json_string_value(p), json_string_length(p)};
                assert_true(text.n > 0);
                const size_t n = pretok_next((enum pretok_rule)rule, text);
                if (!str_eq(str_cut(text, 0, n), piece)) {
                    fail_msg("%s: piece %zu of %.*s is '%.*s'", KEYS[rule], i, (int)line.n,
                             line.p, (int)n, text.p);
                }
                text = str_cut(text, n, text.n);
            }
            assert_int_equal(text.n, 0);
            n_cases++;
        }
        json_decref(o);
    }
    assert_true(n_cases >= 100);
    str_buf_release(&b);
}

static void qwen2_vocabulary_gives_the_computed_ids(void **state)
{
    (void)state;
    NEED(shared_path("computed-token-vectors.jsonl"));
    struct vocab v;
    struct tokenizer *t = from_merges(&v, shared_path("qwen25/merges.txt"), PRETOK_QWEN2);
    struct str_buf b;
    read_all(shared_path("computed-token-vectors.jsonl"), &b);
    struct str rest = str_buf_str(&b);
    int n = 0;
    while (rest.n) {
        const struct str line = next_line(&rest);
        json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
        const json_t *want = json_object_get(o, "qwen2_nfc");
        if (json_is_array(want)) {
            expect_ids(t, json_str(o, "text"), want, "qwen2_nfc");
            n++;
        }
        json_decref(o);
    }
    assert_true(n >= 40);
    str_buf_release(&b);
    tokenizer_close(t);
    vocab_release(&v);
}

static void qwen35_vocabulary_gives_the_computed_pieces(void **state)
{
    (void)state;
    NEED(shared_path("computed-token-vectors.jsonl"));
    struct vocab v;
    struct tokenizer *t = from_merges(&v, shared_path("qwen35/merges.txt"), PRETOK_QWEN35);
    struct str_buf b;
    read_all(shared_path("computed-token-vectors.jsonl"), &b);
    struct str rest = str_buf_str(&b);
    int n = 0;
    while (rest.n) {
        const struct str line = next_line(&rest);
        json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
        const json_t *want = json_object_get(o, "qwen35_pieces_nfc");
        if (json_is_array(want)) {
            expect_pieces(t, &v, json_str(o, "text"), want);
            n++;
        }
        json_decref(o);
    }
    assert_true(n >= 40);
    str_buf_release(&b);
    tokenizer_close(t);
    vocab_release(&v);
}

/* ---- without reference files ---- */

static const char *const SMALL_MERGES[] = {"h e",    "l l",        "he ll",
                                           "hell o", "\xC4\xA0 w", "\xC4\xA0w o"};

static struct tokenizer *small(struct vocab *v)
{
    *v = (struct vocab){.tokens = calloc(MAX_TOKENS, sizeof *v->tokens),
                        .kinds = calloc(MAX_TOKENS, 1),
                        .merges = calloc(64, sizeof *v->merges)};
    vocab_bytes(v);
    for (size_t i = 0; i < COUNT(SMALL_MERGES); i++) {
        const struct str line = str_of(SMALL_MERGES[i]);
        v->merges[v->n_merges++] = line;
        char joined[64];
        const size_t cut = str_find(line, STR(" "));
        memcpy(joined, line.p, cut);
        memcpy(joined + cut, line.p + cut + 1, line.n - cut - 1);
        vocab_add(v, joined, line.n - 1, TOKEN_NORMAL);
    }
    vocab_add(v, "<|im_end|>", 10, TOKEN_CONTROL);
    vocab_add(v, "<think>", 7, TOKEN_USER_DEFINED);
    return open_vocab(v, PRETOK_QWEN35);
}

static void merges_go_by_rank(void **state)
{
    (void)state;
    struct vocab v;
    struct tokenizer *t = small(&v);
    struct ids ids = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(t, STR("hello world"), SPECIAL_NONE, &ids, &e), QA_OK);
    assert_int_equal(ids.n, 5); /* hello, " wo", r, l, d */
    assert_true(str_eq(tokenizer_piece(t, ids.p[0]), STR("hello")));
    assert_true(str_eq(tokenizer_piece(t, ids.p[1]), STR(" wo")));
    ids_release(&ids);
    tokenizer_close(t);
    vocab_release(&v);
}

static void special_text_is_a_token_only_where_asked(void **state)
{
    (void)state;
    struct vocab v;
    struct tokenizer *t = small(&v);
    struct ids ids = {0};
    struct err e = {0};
    const int32_t end = tokenizer_special(t, "<|im_end|>");
    assert_true(end >= 0);
    assert_int_equal(tokenizer_encode(t, STR("a<|im_end|>b"), SPECIAL_PARSE, &ids, &e), QA_OK);
    assert_int_equal(ids.n, 3);
    assert_int_equal(ids.p[1], end);
    ids.n = 0;
    assert_int_equal(tokenizer_encode(t, STR("a<|im_end|>b<think>"), SPECIAL_NONE, &ids, &e),
                     QA_OK);
    for (size_t i = 0; i < ids.n; i++) {
        assert_false(tokenizer_is_control(t, ids.p[i]));
    }
    assert_true(tokenizer_is_stop(t, end));
    assert_int_equal(tokenizer_special(t, "<nothing>"), -1);
    ids_release(&ids);
    tokenizer_close(t);
    vocab_release(&v);
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct vocab v;
    struct tokenizer *t = small(&v);
    struct rng r;
    rng_init(&r, 7, 0);
    for (int round = 0; round < 2000; round++) {
        char text[64];
        const size_t n = rng_below(&r, sizeof text);
        for (size_t i = 0; i < n; i++) {
            /* Mostly letters and blanks of the merges, sometimes any byte: often not UTF-8. */
            text[i] =
                rng_below(&r, 4) ? "helo w\n'1"[rng_below(&r, 9)] : (char)rng_below(&r, 0xCC);
        }
        struct ids ids = {0};
        struct err e = {0};
        assert_int_equal(tokenizer_encode(t, (struct str){text, n}, SPECIAL_NONE, &ids, &e),
                         QA_OK);
        struct str_buf back;
        str_buf_init(&back, 4096);
        for (size_t i = 0; i < ids.n; i++) {
            str_buf_add(&back, tokenizer_piece(t, ids.p[i]));
        }
        assert_true(str_eq(str_buf_str(&back), (struct str){text, n}));
        str_buf_release(&back);
        ids_release(&ids);
    }
    tokenizer_close(t);
    vocab_release(&v);
}

/* Scanning would take minutes for a word this long; the heap takes a moment. */
static void a_word_of_a_megabyte_merges_like_a_short_one(void **state)
{
    (void)state;
    struct vocab v;
    struct tokenizer *t = small(&v);
    enum { N = 200000 };
    char *text = malloc(5 * N);
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 5 * i, "hello", 5);
    }
    struct ids ids = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(t, (struct str){text, 5 * N}, SPECIAL_NONE, &ids, &e),
                     QA_OK);
    assert_int_equal(ids.n, N);
    const int32_t hello = ids.p[0];
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(ids.p[i], hello);
    }
    free(text);
    ids_release(&ids);
    tokenizer_close(t);
    vocab_release(&v);
}

static void decomposed_text_is_brought_to_nfc(void **state)
{
    (void)state;
    struct vocab v;
    struct tokenizer *t = small(&v);
    struct ids a = {0};
    struct ids b = {0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(t, STR("e\xCC\x81"), SPECIAL_NONE, &a, &e), QA_OK);
    assert_int_equal(tokenizer_encode(t, STR("\xC3\xA9"), SPECIAL_NONE, &b, &e), QA_OK);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n * sizeof *a.p);
    ids_release(&a);
    ids_release(&b);
    tokenizer_close(t);
    vocab_release(&v);
}

static void broken_vocabularies_are_refused_by_name(void **state)
{
    (void)state;
    struct vocab v;
    tokenizer_close(small(&v));
    struct tokenizer_parts p = {.tokens = v.tokens,
                                .kinds = v.kinds,
                                .n_tokens = v.n,
                                .merges = v.merges,
                                .n_merges = v.n_merges,
                                .eos = -1};
    struct tokenizer *t = NULL;
    struct err e = {0};
    v.merges[2] = STR("qq qq");
    assert_int_equal(tokenizer_open(&t, &p, &e), QA_E_FORMAT);
    assert_string_equal(e.text, "merge 2 is not made of two tokens and a token");
    v.merges[2] = STR("nospace");
    assert_int_equal(tokenizer_open(&t, &p, &e), QA_E_FORMAT);
    p.n_merges = 0;
    v.kinds[5] = TOKEN_UNUSED;
    assert_int_equal(tokenizer_open(&t, &p, &e), QA_E_FORMAT);
    assert_string_equal(e.text, "the vocabulary has no token for byte 0x26");
    p.n_tokens = 0;
    assert_int_equal(tokenizer_open(&t, &p, &e), QA_E_FORMAT);
    assert_null(t);
    vocab_release(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_rule_gives_the_official_pieces),
        cmocka_unit_test(qwen2_vocabulary_gives_the_computed_ids),
        cmocka_unit_test(qwen35_vocabulary_gives_the_computed_pieces),
        cmocka_unit_test(merges_go_by_rank),
        cmocka_unit_test(special_text_is_a_token_only_where_asked),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(a_word_of_a_megabyte_merges_like_a_short_one),
        cmocka_unit_test(decomposed_text_is_brought_to_nfc),
        cmocka_unit_test(broken_vocabularies_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
