/* test_extract.c - every shape of answer seen in the field, and what becomes of it.
 *
 * The table is shapes.h; test_score runs it too. */
#include "humaneval/humaneval.h"
#include "tests/humaneval/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_shape_gives_its_completion(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        const struct shape *s = &SHAPES[i];
        struct extraction x = {0};
        struct err e = {0};
        if (extract_completion(str_of(s->answer), STR("twice"), &x, &e)) {
            fail_msg("%s: %s", s->name, e.text);
        }
        if (x.how != s->how || strcmp(x.completion, s->completion) != 0) {
            fail_msg("%s: got %s\n<<<%s>>>\nwant %s\n<<<%s>>>", s->name,
                     extract_how_name(x.how), x.completion, extract_how_name(s->how),
                     s->completion);
        }
        assert_int_equal(x.n, strlen(x.completion));
        extraction_release(&x);
    }
    assert_true(COUNT(SHAPES) >= 60);
}

static void names_of_shapes_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(SHAPES[i].name, SHAPES[k].name);
        }
    }
}

static void crlf_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        const struct shape *s = &SHAPES[i];
        struct str_buf crlf;
        str_buf_init(&crlf, 1 << 16);
        if (strchr(s->answer, '\r')) continue;
        for (const char *c = s->answer; *c; c++) {
            if (*c == '\n') str_buf_add_char(&crlf, '\r');
            str_buf_add_char(&crlf, *c);
        }
        struct extraction x = {0};
        assert_int_equal(extract_completion(str_buf_str(&crlf), STR("twice"), &x, NULL), QA_OK);
        if (strcmp(x.completion, s->completion) != 0) fail_msg("%s: with CRLF", s->name);
        extraction_release(&x);
        str_buf_release(&crlf);
    }
}

static void a_future_import_is_taken_out_and_told(void **state)
{
    (void)state;
    struct extraction x = {0};
    const struct str a = STR("```python\nfrom __future__ import annotations\n"
                             "def twice(x):\n    return 2 * x\n```\n");
    assert_int_equal(extract_completion(a, STR("twice"), &x, NULL), QA_OK);
    assert_true(x.has_future_import);
    assert_string_equal(x.completion, "\ndef twice(x):\n    return 2 * x\n");
    extraction_release(&x);
}

static void a_method_is_told(void **state)
{
    (void)state;
    struct extraction x = {0};
    const struct str a = STR("```python\nclass Solution:\n    def twice(self, x):\n"
                             "        return 2 * x\n```\n");
    assert_int_equal(extract_completion(a, STR("twice"), &x, NULL), QA_OK);
    assert_true(x.is_method);
    assert_int_equal(x.how, EXTRACT_BLOCK);
    extraction_release(&x);
}

/* Whatever bytes come: no crash, and a completion that is a string. */
static void any_cut_of_an_answer_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        const struct str whole = str_of(SHAPES[i].answer);
        for (size_t n = 0; n <= whole.n; n++) {
            struct extraction x = {0};
            assert_int_equal(extract_completion(str_cut(whole, 0, n), STR("twice"), &x, NULL),
                             QA_OK);
            assert_non_null(x.completion);
            extraction_release(&x);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_gives_its_completion),
        cmocka_unit_test(names_of_shapes_differ),
        cmocka_unit_test(crlf_changes_nothing),
        cmocka_unit_test(a_future_import_is_taken_out_and_told),
        cmocka_unit_test(a_method_is_told),
        cmocka_unit_test(any_cut_of_an_answer_is_taken),
    };
    return cmocka_run_group_tests_name("humaneval/extract", tests, NULL, NULL);
}
