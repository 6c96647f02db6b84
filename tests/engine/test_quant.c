/* test_quant.c - every weight format decodes bit for bit, and the small floats. */
#include "engine/base/file.h"
#include "engine/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#define FIXTURE "tests/fixtures/quant/blocks.txt"

enum { CAP_VALUES = 1 << 12 };

static const struct quant *find_name(struct str name)
{
    const struct quant *q;
    for (size_t i = 0; (q = quant_at(i)); i++) {
        if (strlen(q->name) == name.n && strncasecmp(q->name, name.p, name.n) == 0) return q;
    }
    return NULL;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

static struct str next_word(struct str *s)
{
    const char *blank = memchr(s->p, ' ', s->n);
    const size_t n = blank ? (size_t)(blank - s->p) : s->n;
    const struct str word = {s->p, n};
    *s = str_cut(*s, n + 1, s->n);
    return word;
}

static size_t unhex(struct str s, uint8_t *out, size_t cap)
{
    assert_true(s.n / 2 <= cap);
    for (size_t i = 0; i < s.n / 2; i++) {
        out[i] = (uint8_t)(hex_digit(s.p[2 * i]) << 4 | hex_digit(s.p[2 * i + 1]));
    }
    return s.n / 2;
}

static void assert_same_bits(const struct quant *q,
                             const uint8_t *blocks,
                             size_t n_block_bytes,
                             const uint8_t *want,
                             size_t n_values)
{
    static float got[CAP_VALUES];
    assert_true(n_values <= CAP_VALUES);
    assert_int_equal(n_block_bytes % (size_t)q->block_bytes, 0);
    assert_int_equal(n_block_bytes / (size_t)q->block_bytes * (size_t)q->block_values,
                     n_values);
    quant_decode(q->type, blocks, got, n_values);
    for (size_t i = 0; i < n_values; i++) {
        float w;
        memcpy(&w, want + 4 * i, 4);
        if (memcmp(&got[i], &w, 4) == 0) continue;
        fail_msg("%s value %zu is %a, not %a", q->name, i, (double)got[i], (double)w);
    }
}

static void every_format_decodes_the_checked_in_blocks_bit_for_bit(void **state)
{
    struct err e = {0};
    struct str_buf b;
    str_buf_init(&b, 4 << 20);
    if (file_read(&b, FIXTURE, &e)) fail_msg("%s", e.text);
    static uint8_t block[1 << 10];
    static uint8_t values[4 * CAP_VALUES];
    unsigned seen = 0;
    struct str rest = str_buf_str(&b);
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        assert_non_null(end);
        struct str line = str_cut(rest, 0, (size_t)(end - rest.p));
        rest = str_cut(rest, line.n + 1, rest.n);
        const struct quant *q = find_name(next_word(&line));
        assert_non_null(q);
        const size_t n_block = unhex(next_word(&line), block, sizeof block);
        const size_t n = unhex(next_word(&line), values, sizeof values);
        assert_same_bits(q, block, n_block, values, n / 4);
        for (size_t i = 0; quant_at(i); i++) {
            if (quant_at(i) == q) seen |= 1U << i;
        }
    }
    for (size_t i = 0; quant_at(i); i++) {
        if (quant_at(i)->block_values > 1 && !(seen >> i & 1U))
            fail_msg("no block of %s in %s", quant_at(i)->name, FIXTURE);
    }
    str_buf_release(&b);
}

static bool read_shared(const char *name, const char *ending, struct str_buf *b)
{
    const char *root = getenv("QAGENT_SHARED");
    char path[4096];
    struct err e = {0};
    if (!root) return false;
    int n = snprintf(path, sizeof path, "%s/reference/blocks/", root);
    for (const char *c = name; *c; c++) { /* iq2_xs.f32, but q4_K.f32 */
        const bool is_k = *c == 'K' && c[1] == 0;
        path[n++] = is_k || (*c >= '0' && *c <= '9') || *c == '_' ? *c : (char)(*c | 32);
    }
    snprintf(path + n, sizeof path - (size_t)n, ".%s", ending);
    str_buf_init(b, 1 << 20);
    return file_read(b, path, &e) == QA_OK;
}

static void every_format_decodes_the_reference_blocks_bit_for_bit(void **state)
{
    int n = 0;
    const struct quant *q;
    for (size_t i = 0; (q = quant_at(i)); i++) {
        struct str_buf blocks = {0};
        struct str_buf values = {0};
        if (read_shared(q->name, "blocks", &blocks) && read_shared(q->name, "f32", &values)) {
            assert_same_bits(q, (const uint8_t *)blocks.p, blocks.n, (const uint8_t *)values.p,
                             values.n / 4);
            n++;
        }
        str_buf_release(&blocks);
        str_buf_release(&values);
    }
    if (n == 0) {
        fprintf(stderr, "test_quant: SKIPPED reference blocks: QAGENT_SHARED is not set\n");
        skip();
    }
    assert_int_equal(n, 21); /* all but F32, F16, BF16 */
}

static void f16_widens_exactly_for_every_code(void **state)
{
    for (uint32_t h = 0; h < 0x10000U; h++) {
        const uint32_t exponent = h >> 10 & 31U;
        const double mantissa = (double)(h & 1023U);
        const float got = quant_f16_to_f32((uint16_t)h);
        double want =
            exponent ? ldexp(1024 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24);
        if (exponent == 31) want = mantissa != 0 ? (double)NAN : (double)INFINITY;
        if (h & 0x8000U) want = -want;
        if (isnan(want)) {
            assert_true(isnan(got));
        } else {
            assert_true((double)got == want && !signbit(got) == !signbit(want));
        }
        if (!isnan(want)) assert_int_equal(quant_f32_to_f16(got), h);
    }
}

static void f16_narrows_to_nearest_even(void **state)
{
    static const struct {
        float x;
        uint16_t h;
    } CASES[] = {
        {1.0F + 0x1p-11F,            0x3C00}, /* tie: to even, down        */
        {1.0F + 3 * 0x1p-11F,        0x3C02}, /* tie: to even, up          */
        {1.0F + 0x1p-11F + 0x1p-20F, 0x3C01}, /* above the tie             */
        {65504.0F,                   0x7BFF},
        {65519.9F,                   0x7BFF},
        {65520.0F,                   0x7C00},
        {1e30F,                      0x7C00},
        {-1e30F,                     0xFC00},
        {0x1p-24F,                   0x0001},
        {0x1p-25F,                   0x0000},
        {0x1.8p-24F,                 0x0002},
        {0x1p-26F,                   0x0000},
        {-0.0F,                      0x8000},
        {0x1p-14F,                   0x0400},
        {0x1.ffcp-15F,               0x0400},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        if (quant_f32_to_f16(CASES[i].x) != CASES[i].h)
            fail_msg("%a became %#x, not %#x", (double)CASES[i].x, quant_f32_to_f16(CASES[i].x),
                     CASES[i].h);
    }
    assert_true(isnan(quant_f16_to_f32(quant_f32_to_f16(NAN))));
}

static void a_row_that_is_no_whole_number_of_blocks_has_no_size(void **state)
{
    const struct quant *q = quant_find(QUANT_Q4_K);
    size_t n = 7;
    assert_false(quant_row_bytes(q, 255, &n));
    assert_false(quant_row_bytes(q, 0, &n));
    assert_false(quant_row_bytes(q, -256, &n));
    assert_int_equal(n, 7);
    assert_true(quant_row_bytes(q, 512, &n));
    assert_int_equal(n, 288);
}

static void formats_that_are_not_weights_are_not_found_but_have_names(void **state)
{
    assert_null(quant_find(15));
    assert_null(quant_find(41));
    assert_non_null(strstr(quant_type_name(15), "activations"));
    assert_string_equal(quant_type_name(12), "Q4_K");
    assert_string_equal(quant_type_name(4242), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_decodes_the_checked_in_blocks_bit_for_bit),
        cmocka_unit_test(every_format_decodes_the_reference_blocks_bit_for_bit),
        cmocka_unit_test(f16_widens_exactly_for_every_code),
        cmocka_unit_test(f16_narrows_to_nearest_even),
        cmocka_unit_test(a_row_that_is_no_whole_number_of_blocks_has_no_size),
        cmocka_unit_test(formats_that_are_not_weights_are_not_found_but_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
