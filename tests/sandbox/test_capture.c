/* test_capture.c - streams: bounded, exact in what they leave out, harmless to show. */
#include "sandbox/capture.h"
#include "sandbox/proto.h"
#include "tests/sandbox/jail_test.h"

/* The text of `s` fed in pieces of `step`, kept within `cap`. */
static char *text_of(struct str s, size_t cap, size_t step, uint64_t *n_left_out)
{
    struct capture c;
    struct err e = {0};
    struct str_buf b;
    str_buf_init(&b, 1 << 20);
    assert_int_equal(capture_init(&c, cap, &e), QA_OK);
    for (size_t i = 0; i < s.n; i += step) {
        capture_add(&c, str_cut(s, i, i + step));
    }
    assert_int_equal(capture_seen_bytes(&c), s.n);
    const uint64_t n = capture_text(&c, &b);
    if (n_left_out) *n_left_out = n;
    capture_release(&c);
    return str_buf_take(&b);
}

static void check_text(struct str s, size_t cap, const char *wanted)
{
    for (size_t step = 1; step <= s.n + 1; step++) {
        char *text = text_of(s, cap, step, NULL);
        assert_string_equal(text, wanted);
        free(text);
    }
}

static void what_fits_is_whole(void **state)
{
    check_text(STR(""), 10, "");
    check_text(STR("0123456789"), 10, "0123456789");
    check_text(STR("a\tb\nc"), 10, "a\tb\nc");
}

static void what_does_not_fit_loses_its_middle(void **state)
{
    check_text(STR("0123456789x"), 10, "0123\n[... 1 bytes left out ...]\n56789x");
    check_text(STR("012\n456789abcdef"), 10, "012\n[... 6 bytes left out ...]\nabcdef");
}

static void the_count_is_exact_where_a_character_is_cut(void **state)
{
    /* Head of 4 and tail of 6 cut both euro signs. */
    const struct str s = STR("abc\xE2\x82\xAC--------\xE2\x82\xAC"
                             "12345");
    uint64_t n_left_out = 0;
    char *text = text_of(s, 10, 3, &n_left_out);
    assert_string_equal(text, "abc\n[... 14 bytes left out ...]\n12345");
    assert_int_equal(n_left_out, 14);
    assert_int_equal(3 + 5 + n_left_out, s.n);
    free(text);
}

static void a_ring_gone_round_many_times_keeps_the_end(void **state)
{
    char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)('a' + i % 26);
    }
    const struct str s = {bytes, sizeof bytes};
    for (size_t step = 1; step < 200; step += 13) {
        uint64_t n_left_out = 0;
        char *text = text_of(s, 100, step, &n_left_out);
        assert_int_equal(n_left_out, 4900);
        assert_memory_equal(text, bytes, 40);
        assert_memory_equal(text + strlen(text) - 60, bytes + sizeof bytes - 60, 60);
        free(text);
    }
}

static void bytes_that_are_no_text_are_shown_as_replacement(void **state)
{
    const char r[] = "\xEF\xBF\xBD";
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a%s%s%s[0m%s%sb", r, r, r, r, r);
    check_text((struct str){"a\0\r\x1b[0m\x7f\xff"
                            "b",
                            10},
               100, wanted);
    snprintf(wanted, sizeof wanted, "%s%s%s", r, r, r);
    check_text(STR("\xE2\x82\xC0"), 100, wanted);
    snprintf(wanted, sizeof wanted, "x%sy", r);
    check_text(STR("x\xC2\x9Dy"), 100, wanted);
    check_text(STR("\xC3\xA9\xF0\x9F\x98\x80"), 100, "\xC3\xA9\xF0\x9F\x98\x80");
}

/* U+202E turns what follows it around: "gpj.exe" reads as "exe.jpg". */
static void controls_of_writing_direction_are_shown_as_replacement(void **state)
{
    const char *const controls[] = {"\xD8\x9C",     "\xE2\x80\x8E", "\xE2\x80\x8F",
                                    "\xE2\x80\xAA", "\xE2\x80\xAE", "\xE2\x81\xA6",
                                    "\xE2\x81\xA9"};
    for (size_t i = 0; i < COUNT(controls); i++) {
        char text[16];
        snprintf(text, sizeof text, "a%sb", controls[i]);
        check_text(str_of(text), 100,
                   "a\xEF\xBF\xBD"
                   "b");
    }
    /* Their neighbours, Hebrew and Arabic themselves, and the joiners that scripts and
     * emoji need are text. */
    const char text[] =
        "\xE2\x80\x8C\xE2\x80\x8D\xE2\x80\x90\xE2\x80\xAF\xE2\x81\xB0\xD7\x90\xD8\xA7";
    check_text(STR(text), 100, text);
}

/* What has no width hides text from the person, and not from the model. */
static void hidden_characters_are_shown_as_replacement(void **state)
{
    const char *const hidden[] = {"\xE2\x80\x8B", "\xE2\x81\xA0", "\xEF\xBB\xBF",
                                  "\xF3\xA0\x81\x81", "\xE2\x80\xA8"};
    for (size_t i = 0; i < COUNT(hidden); i++) {
        char text[16];
        snprintf(text, sizeof text, "a%sb", hidden[i]);
        check_text(str_of(text), 100,
                   "a\xEF\xBF\xBD"
                   "b");
    }
}

/* A line that goes on for ever, lines that overwrite themselves, and nothing but pieces
 * of characters: bounded, counted to the byte. */
static void long_lines_and_broken_characters_are_counted_exactly(void **state)
{
    static const char *const UNITS[] = {"x",    "\r50 %",   "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                        "\x80", "\xE2\x82", "\x1b[2K",      "a\n"};
    for (size_t i = 0; i < COUNT(UNITS); i++) {
        enum { N_UNITS = 3000, CAP = 1001 };
        const size_t n_unit = strlen(UNITS[i]);
        char *all = malloc(n_unit * N_UNITS);
        uint64_t n_left_out = 0;
        for (size_t k = 0; k < N_UNITS; k++) {
            memcpy(all + k * n_unit, UNITS[i], n_unit);
        }
        char *text = text_of((struct str){all, n_unit * N_UNITS}, CAP, 77, &n_left_out);
        char marker[64];
        snprintf(marker, sizeof marker, "\n[... %d bytes left out ...]\n", (int)n_left_out);
        const char *at = strstr(text, marker);
        if (!at) fail_msg("unit %zu: no '%s'", i, marker);
        /* At most three bytes of a character at each side of the cut are given up. */
        assert_in_range(n_left_out, n_unit * N_UNITS - CAP, n_unit * N_UNITS - CAP + 6);
        const size_t n_head = (size_t)(at - text);
        const size_t n_tail = strlen(at + strlen(marker));
        const char *r = strstr(text, "\xEF\xBF\xBD");
        const bool is_whole = UNITS[i][0] == 'x' || UNITS[i][0] == 'a' ||
                              (unsigned char)UNITS[i][0] == 0xF0 ||
                              strcmp(UNITS[i], "\xE2\x82\xAC") == 0;
        assert_true(is_whole == (r == NULL));
        if (is_whole) {
            assert_int_equal(n_head + (UNITS[i][0] == 'a' ? n_head % 2 : 0) + n_tail,
                             n_unit * N_UNITS - n_left_out);
            assert_in_range(n_head, CAP * 4 / 10 - 4, CAP * 4 / 10 + 1);
        }
        assert_true(str_is_utf8(str_of(text)));
        free(text);
        free(all);
    }
}

static void a_report_counts_only_with_its_nonce(void **state)
{
    const uint8_t nonce[PROTO_NONCE_BYTES] = "0123456789abcde";
    char bytes[64] = "0123456789abcde";
    bytes[16] = REPORT_VERDICT;
    bytes[20] = 6;
    memcpy(bytes + 24, "passed", 6);
    struct report r = report_parse((struct str){bytes, sizeof bytes}, nonce);
    assert_int_equal(r.kind, REPORT_VERDICT);
    assert_int_equal(r.text.n, 6);
    assert_memory_equal(r.text.p, "passed", 6);

    assert_int_equal(report_parse((struct str){bytes, 29}, nonce).kind, REPORT_NONE);
    assert_int_equal(report_parse((struct str){bytes, 23}, nonce).kind, REPORT_NONE);
    assert_int_equal(report_parse((struct str){bytes, 0}, nonce).kind, REPORT_NONE);
    bytes[16] = 3;
    assert_int_equal(report_parse((struct str){bytes, sizeof bytes}, nonce).kind, REPORT_NONE);
    bytes[16] = REPORT_VERDICT;
    bytes[23] = (char)0x80;
    assert_int_equal(report_parse((struct str){bytes, sizeof bytes}, nonce).kind, REPORT_NONE);
    bytes[23] = 0;
    bytes[15] ^= 1;
    assert_int_equal(report_parse((struct str){bytes, sizeof bytes}, nonce).kind, REPORT_NONE);
}

static void a_frame_is_laid_out_as_the_driver_reads_it(void **state)
{
    uint8_t out[PROTO_HEADER_BYTES];
    const struct frame f = {.mode = RUN_SCORE,
                            .timeout_ms = 0x01020304,
                            .memory_bytes = 0x1112131415161718,
                            .cpu_s = 7,
                            .nonce = "0123456789abcde"};
    frame_encode(out, &f, 0x21222324);
    static const uint8_t wanted[] = "\1\0\0\0\4\3\2\1\x18\x17\x16\x15\x14\x13\x12\x11\7\0\0\0"
                                    "\x24\x23\x22\x21"
                                    "0123456789abcde";
    assert_memory_equal(out, wanted, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_whole),
        cmocka_unit_test(what_does_not_fit_loses_its_middle),
        cmocka_unit_test(the_count_is_exact_where_a_character_is_cut),
        cmocka_unit_test(a_ring_gone_round_many_times_keeps_the_end),
        cmocka_unit_test(bytes_that_are_no_text_are_shown_as_replacement),
        cmocka_unit_test(controls_of_writing_direction_are_shown_as_replacement),
        cmocka_unit_test(hidden_characters_are_shown_as_replacement),
        cmocka_unit_test(long_lines_and_broken_characters_are_counted_exactly),
        cmocka_unit_test(a_report_counts_only_with_its_nonce),
        cmocka_unit_test(a_frame_is_laid_out_as_the_driver_reads_it),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
