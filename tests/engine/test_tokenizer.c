/* test_tokenizer.c - text to ids and back: splitting, normal form, merging, added
 * tokens; against a small vocabulary of its own and, where given, the real ones. */
#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/nfc.h"
#include "engine/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <utf8proc.h>

#include <cmocka.h>

enum { MAX_VOCAB = 248320, FIRST_ADDED = 248044 };

/* A vocabulary under construction. */
struct vocab {
    struct str *tokens;
    uint8_t *kinds;
    struct str *merges;
    size_t n_tokens, n_merges;
    char letters[256][3]; /* the byte alphabet, UTF-8 */
    char *texts[8];       /* memory behind the slices */
    int n_texts;
};

static void vocab_release(struct vocab *v)
{
    for (int i = 0; i < v->n_texts; i++) {
        free(v->texts[i]);
    }
    free(v->tokens);
    free(v->kinds);
    free(v->merges);
    *v = (struct vocab){0};
}

static void add_token(struct vocab *v, struct str text, enum token_kind kind)
{
    assert_true(v->n_tokens < MAX_VOCAB);
    v->tokens[v->n_tokens] = text;
    v->kinds[v->n_tokens++] = (uint8_t)kind;
}

/* All 256 bytes, the printable ones first: ids as in the official vocabularies. */
static void vocab_init(struct vocab *v)
{
    *v = (struct vocab){0};
    v->tokens = calloc(MAX_VOCAB, sizeof *v->tokens);
    v->kinds = calloc(MAX_VOCAB, 1);
    v->merges = calloc(MAX_VOCAB, sizeof *v->merges);
    assert_true(v->tokens && v->kinds && v->merges);
    int other = 256;
    for (int pass = 0; pass < 2; pass++) {
        for (int b = 0; b < 256; b++) {
            const bool is_own = (b > 32 && b < 127) || (b > 160 && b != 173);
            if (is_own != (pass == 0)) continue;
            utf8proc_uint8_t *at = (utf8proc_uint8_t *)v->letters[b];
            const utf8proc_ssize_t n = utf8proc_encode_char(is_own ? b : other++, at);
            add_token(v, (struct str){v->letters[b], (size_t)n}, TOKEN_NORMAL);
        }
    }
    assert_int_equal(v->n_tokens, 256);
}

/* One line "left right" per merge; each makes the next token. */
static void add_merges(struct vocab *v, struct str lines, bool want_tokens)
{
    char *joined = malloc(lines.n + 1);
    assert_non_null(joined);
    v->texts[v->n_texts++] = joined;
    while (lines.n) {
        const char *end = memchr(lines.p, '\n', lines.n);
        const struct str line = str_cut(lines, 0, end ? (size_t)(end - lines.p) : lines.n);
        lines = str_cut(lines, line.n + 1, lines.n);
        if (line.n == 0 || str_starts(line, STR("#version"))) continue;
        v->merges[v->n_merges++] = line;
        if (!want_tokens) continue;
        const size_t cut = str_find(line, STR(" "));
        memcpy(joined, line.p, cut);
        memcpy(joined + cut, line.p + cut + 1, line.n - cut - 1);
        add_token(v, (struct str){joined, line.n - 1}, TOKEN_NORMAL);
        joined += line.n - 1;
    }
}

static struct tokenizer *vocab_open(const struct vocab *v, enum pretok_rule rule, int32_t eos)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    const struct tokenizer_parts parts = {.rule = rule,
                                          .tokens = v->tokens,
                                          .n_tokens = v->n_tokens,
                                          .kinds = v->kinds,
                                          .merges = v->merges,
                                          .n_merges = v->n_merges,
                                          .eos = eos};
    if (tokenizer_open(&t, &parts, &e)) fail_msg("%s", e.text);
    return t;
}

static const char SMALL_MERGES[] = "h e\nl l\nhe ll\nhell o\na a\naa aa\nĠ w\nb c\na bc\n"
                                   "Ã ©\n1 2\nĊ Ċ\nĠ Ġ\n";
enum { T_IM_END = 269, T_THINK, T_THINKING, T_UNUSED, T_ENDOFTEXT };

static struct tokenizer *open_small(void)
{
    struct vocab v;
    vocab_init(&v);
    add_merges(&v, STR(SMALL_MERGES), true);
    add_token(&v, STR("<|im_end|>"), TOKEN_CONTROL);
    add_token(&v, STR("<think>"), TOKEN_USER_DEFINED);
    add_token(&v, STR("<think>ing"), TOKEN_USER_DEFINED);
    add_token(&v, STR("[PAD]"), TOKEN_UNUSED);
    add_token(&v, STR("<|endoftext|>"), TOKEN_CONTROL);
    struct tokenizer *t = vocab_open(&v, PRETOK_QWEN35, -1);
    vocab_release(&v); /* the tokenizer owns what it needs */
    return t;
}

static struct ids encode(const struct tokenizer *t, struct str text, enum special_mode mode)
{
    struct ids ids = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, mode, &ids, &e)) fail_msg("%s", e.text);
    return ids;
}

static struct str_buf decode(const struct tokenizer *t, const struct ids *ids)
{
    struct str_buf b;
    str_buf_init(&b, 64 << 20);
    for (size_t i = 0; i < ids->n; i++) {
        str_buf_add(&b, tokenizer_piece(t, ids->p[i]));
    }
    return b;
}

/* Tokens of `text` joined by '|', as a borrowed string. */
static const char *pieces_of(const struct tokenizer *t, struct str text, enum special_mode mode)
{
    static char line[4096];
    struct ids ids = encode(t, text, mode);
    size_t n = 0;
    for (size_t i = 0; i < ids.n; i++) {
        const struct str p = tokenizer_piece(t, ids.p[i]);
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%.*s", i ? "|" : "", (int)p.n, p.p);
    }
    line[n] = 0;
    ids_release(&ids);
    return line;
}

static void assert_round_trip(const struct tokenizer *t, struct str text)
{
    struct ids ids = encode(t, text, SPECIAL_NONE);
    struct str_buf b = decode(t, &ids);
    assert_int_equal(b.n, text.n);
    if (text.n) assert_memory_equal(b.p, text.p, text.n);
    str_buf_release(&b);
    ids_release(&ids);
}

/* ---- splitting ---- */

static void text_is_split_as_the_rule_says(void **state)
{
    static const struct {
        const char *text, *qwen2, *qwen35; /* qwen35 NULL: as qwen2 */
    } CASES[] = {
        {"Hello world",        "Hello| world",          NULL          },
        {"  two",              " | two",                NULL          },
        {"a  ",                "a|  ",                  NULL          },
        {"x = 12",             "x| =| |1|2",            NULL          },
        {"it's WE'LL 'ok'",    "it|'s| WE|'LL| '|ok|'", NULL          },
        {"a'ſb",              "a|'ſ|b",               NULL          },
        {"'x",                 "'x",                    NULL          },
        {"f(a):\n\treturn\n",  "f|(a|):\n|\treturn|\n", NULL          },
        {"\n\n  a",            "\n\n| | a",             NULL          },
        {" \n \n b",           " \n \n| b",             NULL          },
        {"\r\n\r\n",           "\r\n\r\n",              NULL          },
        {"a\t\t1",             "a|\t|\t|1",             NULL          },
        {"a\t 1",              "a|\t| |1",              NULL          },
        {"...\n\n",            "...\n\n",               NULL          },
        {" ...x",              " ...|x",                NULL          },
        {"日本語、です", "日本語|、です",   NULL          },
        {"½²Ⅷ",            "½|²|Ⅷ",             NULL          },
        {"\xE2\x80\xA8z",      "\xE2\x80\xA8z",         NULL          }, /* line separator, a prefix */
        {"\xC2\xA0\xC2\xA0z",  "\xC2\xA0|\xC2\xA0z",    NULL          },
        {"\xFFz",              "\xFFz",                 NULL          }, /* a bad byte is a symbol   */
        {"e\xCC\x81t",         "e|\xCC\x81t",           "e\xCC\x81t"  },
        {"\xCC\x81!I",         "\xCC\x81!|I",           "\xCC\x81|!I" },
        {"+\xCC\x81=",         "+\xCC\x81=",            "+\xCC\x81|=" },
        {"1\xCC\x81",          "1|\xCC\x81",            NULL          },
        {"क्षि",       "क|्ष|ि",        "क्षि"},
    };
    for (size_t i = 0; i < 2 * COUNT(CASES); i++) {
        const bool is_35 = i % 2;
        const char *want = CASES[i / 2].qwen2;
        if (is_35 && CASES[i / 2].qwen35) want = CASES[i / 2].qwen35;
        char got[256];
        size_t n = 0;
        for (struct str s = str_of(CASES[i / 2].text); s.n;) {
            const size_t k = pretok_next(is_35 ? PRETOK_QWEN35 : PRETOK_QWEN2, s);
            assert_in_range(k, 1, s.n);
            n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s", n ? "|" : "", (int)k, s.p);
            s = str_cut(s, k, s.n);
        }
        assert_string_equal(got, want);
    }
}

/* ---- normal form ---- */

static struct str random_text(struct rng *r, char *out, size_t n_chars)
{
    static const int32_t HARD[] = {
        'a',    'e',    ' ',    0x301,  0x323,  0x327,  0x308,   0x344,  0x340,  0x1100, 0x1161,
        0x11A8, 0xAC00, 0xAC01, 0x1E69, 0x1EBF, 0xF900, 0x958,   0x915,  0x93C,  0x9C7,  0x9BE,
        0xDD9,  0xDCF,  0xDCA,  0x304B, 0x3099, 0x212B, 0x1D15E, 0x2126, 0x4E2D, 0x3B1,  0x345,
    };
    size_t n = 0;
    for (size_t i = 0; i < n_chars; i++) {
        int32_t c = HARD[rng_below(r, COUNT(HARD))];
        if (rng_below(r, 4) == 0) c = (int32_t)rng_below(r, 0x3400);
        n += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out + n);
    }
    return (struct str){out, n};
}

static void normal_form_agrees_with_the_library_on_random_text(void **state)
{
    struct rng r;
    rng_init(&r, 1, 1);
    for (int i = 0; i < 4000; i++) {
        char text[4 * 40];
        const struct str s = random_text(&r, text, 1 + rng_below(&r, 39));
        utf8proc_uint8_t *want = NULL;
        const utf8proc_ssize_t n =
            utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &want,
                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        struct str_buf b;
        str_buf_init(&b, 1 << 16);
        nfc_add(&b, s);
        assert_int_equal(b.bad, QA_OK);
        assert_int_equal(b.n, n);
        assert_memory_equal(b.p, want, b.n);
        if (nfc_is_plain(s)) assert_true(str_eq(s, str_buf_str(&b)));
        str_buf_release(&b);
        free(want);
    }
}

static void ill_formed_bytes_pass_the_normal_form_unchanged(void **state)
{
    struct str_buf b;
    str_buf_init(&b, 1 << 10);
    nfc_add(&b, STR("e\xCC\x81\xFF\xCC\x81"
                    "e\xCC"));
    assert_true(str_eq(str_buf_str(&b), STR("\xC3\xA9\xFF\xCC\x81"
                                            "e\xCC")));
    str_buf_release(&b);
}

/* ---- merging ---- */

static void pairs_of_lowest_rank_are_joined_first(void **state)
{
    struct tokenizer *t = open_small();
    assert_string_equal(pieces_of(t, STR("hello"), SPECIAL_NONE), "hello");
    assert_string_equal(pieces_of(t, STR("helllo"), SPECIAL_NONE), "hell|l|o");
    assert_string_equal(pieces_of(t, STR("aaa"), SPECIAL_NONE), "aa|a");
    assert_string_equal(pieces_of(t, STR("aaaaaaa"), SPECIAL_NONE), "aaaa|aa|a");
    assert_string_equal(pieces_of(t, STR("aabc"), SPECIAL_NONE), "aa|bc"); /* aa before abc */
    assert_string_equal(pieces_of(t, STR("12"), SPECIAL_NONE), "1|2"); /* never across pieces */
    assert_string_equal(pieces_of(t, STR(""), SPECIAL_NONE), "");
    tokenizer_close(t);
}

/* The definition, in the plainest form: find the best pair, join it, start again. */
static size_t merge_plainly(const struct tokenizer *t, struct str s, struct str *out)
{
    static const char *const RANKED[] = {"he",   "ll", "hell", "hello", "aa",
                                         "aaaa", " w", "bc",   "abc"};
    static const char *const LEFT[] = {"h", "l", "he", "hell", "a", "aa", " ", "b", "a"};
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        out[n++] = str_cut(s, i, i + 1);
    }
    for (size_t rank = 0; rank < COUNT(RANKED);) {
        size_t i = 0;
        for (; i + 1 < n; i++) {
            const struct str both = {out[i].p, out[i].n + out[i + 1].n};
            if (str_eq(both, str_of(RANKED[rank])) && str_eq(out[i], str_of(LEFT[rank]))) break;
        }
        if (i + 1 >= n) {
            rank++;
            continue;
        }
        out[i].n += out[i + 1].n;
        memmove(out + i + 1, out + i + 2, (n - i - 2) * sizeof *out);
        n--;
        rank = 0;
    }
    return n;
}

static void short_and_long_words_are_merged_as_the_definition_says(void **state)
{
    struct tokenizer *t = open_small();
    struct rng r;
    rng_init(&r, 5, 1);
    for (int i = 0; i < 3000; i++) {
        char word[96];
        struct str want[96];
        const size_t n = 1 + rng_below(&r, sizeof word - 1);
        for (size_t k = 0; k < n; k++) {
            word[k] = "helloabcaaw"[rng_below(&r, 11)];
        }
        const size_t n_want = merge_plainly(t, (struct str){word, n}, want);
        struct ids got = encode(t, (struct str){word, n}, SPECIAL_NONE);
        assert_int_equal(got.n, n_want);
        for (size_t k = 0; k < n_want; k++) {
            assert_true(str_eq(tokenizer_piece(t, got.p[k]), want[k]));
        }
        ids_release(&got);
    }
    tokenizer_close(t);
}

static void a_megabyte_of_one_letter_does_not_take_for_ever(void **state)
{
    struct tokenizer *t = open_small();
    const size_t n = 1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'a', n);
    struct ids ids = encode(t, (struct str){text, n}, SPECIAL_NONE);
    assert_int_equal(ids.n, n / 4);
    ids_release(&ids);
    /* Marks that must change places, the library's bad case. */
    for (size_t i = 0; i + 4 <= n; i += 4) {
        memcpy(text + i, "\xCC\x81\xCC\xA3", 4);
    }
    ids = encode(t, (struct str){text, n}, SPECIAL_NONE);
    struct str_buf b = decode(t, &ids);
    assert_int_equal(b.n, n);
    assert_memory_equal(b.p, "\xCC\xA3\xCC\xA3", 4);
    assert_memory_equal(b.p + n - 4, "\xCC\x81\xCC\x81", 4);
    str_buf_release(&b);
    ids_release(&ids);
    free(text);
    tokenizer_close(t);
}

/* ---- round trips ---- */

static void any_bytes_come_back_when_in_normal_form(void **state)
{
    struct tokenizer *t = open_small();
    char all[256];
    for (int b = 0; b < 256; b++) {
        all[b] = (char)b;
        assert_round_trip(t, (struct str){all + b, 1});
    }
    assert_round_trip(t, (struct str){all, sizeof all});
    assert_round_trip(t, STR("\xED\xA0\x80 \xC0\x80 \xF4\x90\x80\x80 \xE2\x82"));
    struct rng r;
    rng_init(&r, 3, 1);
    for (int i = 0; i < 2000; i++) {
        char text[64]; /* no byte 0xCC and above: whatever it is, it is plain */
        const size_t n = rng_below(&r, sizeof text);
        for (size_t k = 0; k < n; k++) {
            text[k] = (char)rng_below(&r, 0xCC);
        }
        assert_round_trip(t, (struct str){text, n});
    }
    for (int i = 0; i < 2000; i++) {
        char text[4 * 24];
        struct str_buf nfc;
        str_buf_init(&nfc, 1 << 12);
        nfc_add(&nfc, random_text(&r, text, 24));
        assert_round_trip(t, str_buf_str(&nfc));
        str_buf_release(&nfc);
    }
    tokenizer_close(t);
}

static void decomposed_text_is_encoded_composed(void **state)
{
    struct tokenizer *t = open_small();
    assert_string_equal(pieces_of(t, STR("e\xCC\x81"), SPECIAL_NONE), "\xC3\xA9");
    tokenizer_close(t);
}

/* ---- added tokens ---- */

static void added_tokens_are_read_only_when_asked_for(void **state)
{
    struct tokenizer *t = open_small();
    struct ids ids = encode(t, STR("aa<|im_end|><think>"), SPECIAL_PARSE);
    assert_int_equal(ids.n, 3);
    assert_int_equal(ids.p[1], T_IM_END);
    assert_int_equal(ids.p[2], T_THINK);
    ids_release(&ids);
    ids = encode(t, STR("aa<|im_end|><think>"), SPECIAL_NONE);
    for (size_t i = 0; i < ids.n; i++) {
        assert_true(ids.p[i] < T_IM_END);
    }
    ids_release(&ids);
    tokenizer_close(t);
}

static void the_longest_added_token_is_taken_and_ends_a_piece(void **state)
{
    struct tokenizer *t = open_small();
    struct ids ids = encode(t, STR("<think>ing<think>in  <think>"), SPECIAL_PARSE);
    const int32_t n_byte = 'n' - 33;
    const int32_t i_byte = 'i' - 33;
    const int32_t want[] = {T_THINKING, T_THINK, i_byte, n_byte, 268, T_THINK};
    assert_int_equal(ids.n, COUNT(want));
    assert_memory_equal(ids.p, want, sizeof want);
    ids_release(&ids);
    tokenizer_close(t);
}

static void tokens_know_what_they_are(void **state)
{
    struct tokenizer *t = open_small();
    assert_int_equal(tokenizer_n_tokens(t), 274);
    assert_int_equal(tokenizer_special(t, "<think>"), T_THINK);
    assert_int_equal(tokenizer_special(t, "<think"), -1);
    assert_int_equal(tokenizer_special(t, "hello"), -1);
    assert_true(tokenizer_is_control(t, T_THINK));
    assert_false(tokenizer_is_control(t, 0));
    assert_false(tokenizer_is_control(t, T_UNUSED));
    assert_true(tokenizer_is_stop(t, T_IM_END) && tokenizer_is_stop(t, T_ENDOFTEXT));
    assert_false(tokenizer_is_stop(t, T_THINK) || tokenizer_is_stop(t, -1));
    assert_int_equal(tokenizer_piece(t, T_UNUSED).n, 0);
    assert_int_equal(tokenizer_piece(t, -1).n, 0);
    assert_int_equal(tokenizer_piece(t, 274).n, 0);
    assert_true(str_eq(tokenizer_piece(t, T_ENDOFTEXT), STR("<|endoftext|>")));
    tokenizer_close(t);
}

/* ---- refusals ---- */

static void assert_refused(const struct vocab *v, const char *words)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    const struct tokenizer_parts parts = {.tokens = v->tokens,
                                          .n_tokens = v->n_tokens,
                                          .kinds = v->kinds,
                                          .merges = v->merges,
                                          .n_merges = v->n_merges,
                                          .eos = -1};
    assert_int_equal(tokenizer_open(&t, &parts, &e), QA_E_FORMAT);
    assert_null(t);
    if (strcmp(e.text, words) != 0) fail_msg("says '%s', must say '%s'", e.text, words);
}

static void a_broken_vocabulary_is_refused_with_its_place(void **state)
{
    static const char *const MERGES[] = {"ab", " a", "a ", "a zz", "zz a", "a b", "é\xFF b"};
    struct vocab v;
    vocab_init(&v);
    for (size_t i = 0; i < COUNT(MERGES); i++) {
        v.n_merges = 1;
        v.merges[0] = str_of(MERGES[i]);
        char want[100];
        snprintf(want, sizeof want, "merge 0 '%s': not two tokens that join to a token",
                 MERGES[i]);
        str_make_inert(want); /* as every error line is */
        assert_refused(&v, want);
    }
    v.n_merges = 0;
    add_token(&v, STR("a b"), TOKEN_NORMAL); /* a blank is not of the alphabet */
    assert_refused(&v, "token 256 'a b': not in the byte alphabet");
    v.n_tokens = 255;
    assert_refused(&v, "the vocabulary: no token for byte 0xad");
    v.n_tokens = 0;
    assert_refused(&v, "a vocabulary of 0 tokens, must be 1 to 1048576");
    v.n_tokens = (1 << 20) + 1; /* said before any of them is looked at */
    assert_refused(&v, "a vocabulary of 1048577 tokens, must be 1 to 1048576");
    v.n_tokens = 256, v.n_merges = (1 << 22) + 1;
    assert_refused(&v, "4194305 merges, at most 4194304 are read");
    v.n_merges = 0;
    for (int i = 0; i < 4097; i++)
        add_token(&v, STR("<|x|>"), TOKEN_CONTROL);
    assert_refused(&v, "4097 added tokens, at most 4096 are read");
    vocab_release(&v);
}

#define MODEL_FIXTURE "tests/fuzz/corpus/gguf/tokenizer.gguf"

static struct str_buf read_fixture(void)
{
    struct str_buf b;
    struct err e = {0};
    str_buf_init(&b, 1 << 20);
    if (file_read(&b, MODEL_FIXTURE, &e)) fail_msg("%s", e.text);
    return b;
}

static void a_tokenizer_is_read_from_a_model_file(void **state)
{
    struct str_buf b = read_fixture();
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct err e = {0};
    if (gguf_open_bytes(&g, str_buf_str(&b), "fixture", &e)) fail_msg("%s", e.text);
    if (tokenizer_open_gguf(&t, g, &e)) fail_msg("%s", e.text);
    gguf_close(g); /* nothing of the file is needed any more */
    str_buf_release(&b);
    assert_int_equal(tokenizer_n_tokens(t), 258);
    assert_true(tokenizer_is_stop(t, 257) && tokenizer_is_control(t, 257));
    assert_string_equal(pieces_of(t, STR("aaa<think>"), SPECIAL_PARSE), "aa|a|<think>");
    tokenizer_close(t);
}

static void a_file_with_another_tokenizer_is_refused_by_name(void **state)
{
    static const struct {
        struct str old, new;
        const char *words;
    } CASES[] = {
        {STR("gpt2"),        STR("bert"),
         "key 'tokenizer.ggml.model': 'bert' is not read, only 'gpt2'"                               },
        {STR("qwen35"),      STR("llama3"),
         "key 'tokenizer.ggml.pre': 'llama3' is not read, only 'qwen35' and 'qwen2'"                 },
        {STR("ggml.merges"), STR("ggml.morges"),
         "key 'tokenizer.ggml.merges' is missing or no list of strings"                              },
        {STR("\1\1\0\0"),    STR("\2\1\0\0"),
         "key 'tokenizer.ggml.eos_token_id': 258, there are 258 tokens"                              },
        {STR("a a"),         STR("a_a"),         "merge 0 'a_a': not two tokens that join to a token"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct str_buf b = read_fixture();
        size_t at = str_find(str_buf_str(&b), CASES[i].old);
        assert_true(at < b.n);
        for (size_t k = at; CASES[i].old.p[0] == 1 && k + 4 <= b.n; k++) {
            /* a number, the last one of the file */
            if (memcmp(b.p + k, CASES[i].old.p, 4) == 0) at = k;
        }
        memcpy(b.p + at, CASES[i].new.p, CASES[i].new.n);
        struct gguf *g = NULL;
        struct tokenizer *t = NULL;
        struct err e = {0};
        if (gguf_open_bytes(&g, str_buf_str(&b), "fixture", &e)) fail_msg("%s", e.text);
        assert_int_equal(tokenizer_open_gguf(&t, g, &e), QA_E_FORMAT);
        assert_null(t);
        if (strcmp(e.text, CASES[i].words) != 0)
            fail_msg("says '%s', must say '%s'", e.text, CASES[i].words);
        gguf_close(g);
        str_buf_release(&b);
    }
}

/* ---- against the real vocabularies ---- */

static bool read_shared(const char *name, struct str_buf *b)
{
    const char *root = getenv("QAGENT_SHARED");
    char path[4096];
    struct err e = {0};
    str_buf_init(b, 64 << 20);
    snprintf(path, sizeof path, "%s/data/tokenizer/%s", root ? root : "", name);
    return root && file_read(b, path, &e) == QA_OK;
}

static void skip_loudly(void)
{
    fprintf(stderr, "test_tokenizer: SKIPPED real vocabularies: QAGENT_SHARED is not set\n");
    skip();
}

/* The file's JSON documents: one a line, or one in all. */
static json_t *next_json(struct str *rest)
{
    json_t *v = NULL;
    while (rest->n && !v) {
        json_error_t error;
        v = json_loadb(rest->p, rest->n, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &error);
        if (!v) return NULL;
        *rest = str_trim(str_cut(*rest, (size_t)error.position, rest->n));
    }
    return v;
}

static struct str json_text(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

static void the_reference_cases_are_split_alike(void **state)
{
    struct str_buf file;
    if (!read_shared("pretok-cases.jsonl", &file)) skip_loudly();
    struct str rest = str_buf_str(&file);
    json_t *v;
    int n = 0;
    for (; (v = next_json(&rest)); json_decref(v), n++) {
        for (int rule = 0; rule < 2; rule++) {
            struct str s = json_text(json_object_get(v, "text"));
            size_t i;
            json_t *piece;
            json_array_foreach(json_object_get(v, rule ? "qwen35" : "qwen2"), i, piece)
            {
                const size_t k = pretok_next(rule ? PRETOK_QWEN35 : PRETOK_QWEN2, s);
                const struct str got = str_cut(s, 0, k);
                if (!str_eq(got, json_text(piece)))
                    fail_msg("case %d: '%.*s', not '%s'", n, (int)k, s.p,
                             json_string_value(piece));
                s = str_cut(s, k, s.n);
            }
            assert_int_equal(s.n, 0);
        }
    }
    assert_true(n >= 50);
    str_buf_release(&file);
}

static struct tokenizer *open_qwen25(void)
{
    struct str_buf text;
    struct str_buf merges;
    if (!read_shared("qwen25/vocab.json", &text)) return NULL;
    assert_true(read_shared("qwen25/merges.txt", &merges));
    struct str all = str_buf_str(&text);
    json_t *ids = next_json(&all);
    struct vocab v;
    vocab_init(&v);
    v.n_tokens = json_object_size(ids);
    const char *key;
    json_t *id;
    json_object_foreach(ids, key, id)
    {
        v.tokens[json_integer_value(id)] = str_of(key);
        v.kinds[json_integer_value(id)] = TOKEN_NORMAL;
    }
    add_merges(&v, str_buf_str(&merges), false);
    struct tokenizer *t = vocab_open(&v, PRETOK_QWEN2, -1);
    json_decref(ids);
    vocab_release(&v);
    str_buf_release(&text);
    str_buf_release(&merges);
    return t;
}

/* Ids are exact up to 99986; above, tokens that no merge makes stand between the
 * others in the real table, 201 in all, and at its end here. */
static struct tokenizer *open_qwen35(void)
{
    struct str_buf merges;
    struct str_buf text;
    if (!read_shared("qwen35/merges.txt", &merges)) return NULL;
    assert_true(read_shared("qwen35/added_tokens.json", &text));
    struct str all = str_buf_str(&text);
    json_t *added = next_json(&all);
    struct vocab v;
    vocab_init(&v);
    add_merges(&v, str_buf_str(&merges), true);
    while (v.n_tokens < MAX_VOCAB) {
        add_token(&v, STR("[gap]"), TOKEN_UNUSED);
    }
    const char *key;
    json_t *token;
    json_object_foreach(added, key, token)
    {
        int64_t id;
        assert_true(str_to_i64(str_of(key), FIRST_ADDED, MAX_VOCAB - 1, &id));
        v.tokens[id] = json_text(json_object_get(token, "content"));
        const bool is_special = json_is_true(json_object_get(token, "special"));
        v.kinds[id] = is_special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    }
    struct tokenizer *t = vocab_open(&v, PRETOK_QWEN35, 248046);
    json_decref(added);
    vocab_release(&v);
    str_buf_release(&merges);
    str_buf_release(&text);
    return t;
}

static void assert_ids(const struct tokenizer *t,
                       const json_t *text,
                       const json_t *want,
                       enum special_mode mode,
                       int32_t exact_below)
{
    struct ids got = encode(t, json_text(text), mode);
    if (got.n != json_array_size(want))
        fail_msg("'%s': %zu ids, not %zu", json_string_value(text), got.n,
                 json_array_size(want));
    for (size_t i = 0; i < got.n; i++) {
        const json_int_t w = json_integer_value(json_array_get(want, i));
        const json_int_t gaps = w - got.p[i];
        const bool is_exact = w <= exact_below || w >= FIRST_ADDED;
        if (is_exact ? gaps != 0 : gaps < 0 || gaps > 201)
            fail_msg("'%s': id %zu is %d, not %d", json_string_value(text), i, got.p[i],
                     (int)w);
    }
    ids_release(&got);
}

static void assert_pieces(const struct tokenizer *t, const json_t *text, const json_t *want)
{
    struct vocab v; /* for its alphabet */
    vocab_init(&v);
    struct ids got = encode(t, json_text(text), SPECIAL_NONE);
    assert_int_equal(got.n, json_array_size(want));
    for (size_t i = 0; i < got.n; i++) {
        char mapped[512];
        size_t n = 0;
        const struct str piece = tokenizer_piece(t, got.p[i]);
        for (size_t k = 0; k < piece.n; k++) {
            const char *letter = v.letters[(uint8_t)piece.p[k]];
            for (int c = 0; c < 3 && letter[c]; c++) {
                mapped[n++] = letter[c];
            }
        }
        assert_true(str_eq((struct str){mapped, n}, json_text(json_array_get(want, i))));
    }
    ids_release(&got);
    vocab_release(&v);
}

static void texts_get_the_ids_of_the_151k_vocabulary(void **state)
{
    struct tokenizer *t = open_qwen25();
    struct str_buf file;
    if (!t || !read_shared("computed-token-vectors.jsonl", &file)) skip_loudly();
    struct str rest = str_buf_str(&file);
    json_t *v;
    int n = 0;
    for (; (v = next_json(&rest)); json_decref(v), n++) {
        assert_ids(t, json_object_get(v, "text"), json_object_get(v, "qwen2_nfc"), SPECIAL_NONE,
                   INT32_MAX);
    }
    assert_true(n >= 98);
    str_buf_release(&file);
    tokenizer_close(t);
}

static void texts_get_the_ids_and_pieces_of_the_248k_vocabulary(void **state)
{
    struct tokenizer *t = open_qwen35();
    struct str_buf file;
    if (!t || !read_shared("computed-token-vectors.jsonl", &file)) skip_loudly();
    struct str rest = str_buf_str(&file);
    json_t *v;
    int n = 0;
    for (; (v = next_json(&rest)); json_decref(v), n++) {
        const json_t *text = json_object_get(v, "text");
        const json_t *ids = json_object_get(v, "qwen35_ids_nfc");
        if (json_is_array(ids)) assert_ids(t, text, ids, SPECIAL_NONE, 99986);
        assert_pieces(t, text, json_object_get(v, "qwen35_pieces_nfc"));
    }
    assert_true(n >= 98);
    str_buf_release(&file);
    assert_true(read_shared("qwen36-token-vectors.json", &file));
    rest = str_buf_str(&file);
    json_t *doc = next_json(&rest);
    size_t i;
    json_array_foreach(json_object_get(doc, "vectors"), i, v)
    {
        assert_ids(t, json_object_get(v, "text"), json_object_get(v, "token_ids"),
                   SPECIAL_PARSE, 99986);
    }
    assert_int_equal(i, 17);
    json_decref(doc);
    str_buf_release(&file);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_split_as_the_rule_says),
        cmocka_unit_test(normal_form_agrees_with_the_library_on_random_text),
        cmocka_unit_test(ill_formed_bytes_pass_the_normal_form_unchanged),
        cmocka_unit_test(pairs_of_lowest_rank_are_joined_first),
        cmocka_unit_test(short_and_long_words_are_merged_as_the_definition_says),
        cmocka_unit_test(a_megabyte_of_one_letter_does_not_take_for_ever),
        cmocka_unit_test(any_bytes_come_back_when_in_normal_form),
        cmocka_unit_test(decomposed_text_is_encoded_composed),
        cmocka_unit_test(added_tokens_are_read_only_when_asked_for),
        cmocka_unit_test(the_longest_added_token_is_taken_and_ends_a_piece),
        cmocka_unit_test(tokens_know_what_they_are),
        cmocka_unit_test(a_broken_vocabulary_is_refused_with_its_place),
        cmocka_unit_test(a_tokenizer_is_read_from_a_model_file),
        cmocka_unit_test(a_file_with_another_tokenizer_is_refused_by_name),
        cmocka_unit_test(the_reference_cases_are_split_alike),
        cmocka_unit_test(texts_get_the_ids_of_the_151k_vocabulary),
        cmocka_unit_test(texts_get_the_ids_and_pieces_of_the_248k_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
