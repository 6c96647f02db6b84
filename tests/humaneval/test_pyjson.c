/* test_pyjson.c - rows come out byte for byte as json.dumps(json.loads(row)). */
#include "humaneval/pyjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Recorded from Python 3.11: the row, and json.dumps(json.loads(row)). */
// clang-format off
static const struct {
    const char *row, *dumps;
} SAME[] = {
    {"{}", "{}"},
    {" {\"a\" : 1 }\r", "{\"a\": 1}"},
    {"{\"a\":-0}", "{\"a\": 0}"},
    {"{\"a\":-0.0}", "{\"a\": -0.0}"},
    {"{\"a\":1e5}", "{\"a\": 100000.0}"},
    {"{\"a\":1E-7}", "{\"a\": 1e-07}"},
    {"{\"a\":123456789012345678901234567890}", "{\"a\": 123456789012345678901234567890}"},
    {"{\"a\":1.10}", "{\"a\": 1.1}"},
    {"{\"a\":1e16}", "{\"a\": 1e+16}"},
    {"{\"a\":12345678901234567.0}", "{\"a\": 1.2345678901234568e+16}"},
    {"{\"a\":0.1}", "{\"a\": 0.1}"},
    {"{\"a\":5e-324}", "{\"a\": 5e-324}"},
    {"{\"a\":1.7976931348623157e308}", "{\"a\": 1.7976931348623157e+308}"},
    {"{\"a\":1e999}", "{\"a\": Infinity}"},
    {"{\"a\":-1e999}", "{\"a\": -Infinity}"},
    {"{\"a\":NaN,\"b\":Infinity,\"c\":-Infinity}", "{\"a\": NaN, \"b\": Infinity, \"c\": -Infinity}"},
    {"{\"a\":0.0001}", "{\"a\": 0.0001}"},
    {"{\"a\":0.00001234}", "{\"a\": 1.234e-05}"},
    {"{\"a\":9007199254740993.0}", "{\"a\": 9007199254740992.0}"},
    {"{\"a\":[1,[],{},[{}],null,true,false]}", "{\"a\": [1, [], {}, [{}], null, true, false]}"},
    {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\": 3, \"b\": 2}"},
    {"{\"a\":{\"x\":1,\"x\":2}}", "{\"a\": {\"x\": 2}}"},
    {"{\"a\":\"\\u0041\\n\\/\\u007f\"}", "{\"a\": \"A\\n/\\u007f\"}"},
    {"{\"a\":\"\303\251\342\236\236\360\237\230\200\"}", "{\"a\": \"\\u00e9\\u279e\\ud83d\\ude00\"}"},
    {"{\"a\":\"\\ud83d\\ude00\"}", "{\"a\": \"\\ud83d\\ude00\"}"},
    {"{\"a\":\"\\ud83d\"}", "{\"a\": \"\\ud83d\"}"},
    {"{\"a\":\"\\ude00\\ud83d\"}", "{\"a\": \"\\ude00\\ud83d\"}"},
    {"{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "{\"a\": \"\\ud83d\\ud83d\\ude00\"}"},
    {"{\"a\":\"\\u0000\\b\\f\\t\\r\\\"\\\\\"}", "{\"a\": \"\\u0000\\b\\f\\t\\r\\\"\\\\\"}"},
    {"{\"\\u00e9\":\"key\"}", "{\"\\u00e9\": \"key\"}"},
    {"{\"a\":100.0}", "{\"a\": 100.0}"},
    {"{\"a\":123456.789e3}", "{\"a\": 123456789.0}"},
    {"{\"a\":2e-5}", "{\"a\": 2e-05}"},
    {"{\"a\":1e22}", "{\"a\": 1e+22}"},
    {"{\"a\":4.35}", "{\"a\": 4.35}"},
    {"{\"a\":0.30000000000000004}", "{\"a\": 0.30000000000000004}"}
};

/* Python refuses these too, or they are no object. */
static const char *const BAD[] = {
    "[]", "1", "{\"a\":\"\xFF\"}", "{\"a\":\"\xED\xA0\x80\"}", "{\"a\":\"\xC0\x80\"}",
    "",
    "{",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":+1}",
    "{\"a\":1e}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12g4\"}",
    "{\"a\":\"",
    "{\"a\":1} x",
    "{\"a\":tru}",
    "{\"a\":-}",
    "{\"a\":[1,]}",
    "{\"a\":[1 2]}",
    "{\"a\":1 \"b\":2}",
    "\357\273\277{\"a\":1}"
};
// clang-format on

static void rows_come_out_as_python_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SAME); i++) {
        struct pyjson_row row = {0};
        struct err e = {0};
        struct str_buf out;
        str_buf_init(&out, 1 << 16);
        if (pyjson_row_parse(&row, str_of(SAME[i].row), &e)) {
            fail_msg("%s: %s", SAME[i].row, e.text);
        }
        pyjson_row_dump(&row, &out);
        assert_string_equal(str_buf_str(&out).p, SAME[i].dumps);
        pyjson_row_release(&row);
        str_buf_release(&out);
    }
}

static void what_python_refuses_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct pyjson_row row = {0};
        struct err e = {0};
        if (pyjson_row_parse(&row, str_of(BAD[i]), &e) != QA_E_FORMAT) {
            fail_msg("%s was taken", BAD[i]);
        }
        assert_non_null(strstr(e.text, "at byte"));
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct str_buf text;
    str_buf_init(&text, 1 << 20);
    str_buf_add_z(&text, "{\"a\":");
    for (int i = 0; i < 100000; i++) {
        str_buf_add_char(&text, '[');
    }
    struct pyjson_row row = {0};
    struct err e = {0};
    assert_int_equal(pyjson_row_parse(&row, str_buf_str(&text), &e), QA_E_FORMAT);
    str_buf_release(&text);
}

static void a_string_is_decoded_with_its_surrogates(void **state)
{
    (void)state;
    struct str_buf out;
    str_buf_init(&out, 100);
    assert_true(pyjson_decode(STR("\"\\ud83d\\ude00 \\ud800\\u0000\""), &out));
    assert_int_equal(out.n, 9);
    assert_memory_equal(out.p, "\xF0\x9F\x98\x80 \xED\xA0\x80\0", 9);
    struct str_buf again;
    str_buf_init(&again, 100);
    pyjson_add_string(&again, str_buf_str(&out));
    assert_string_equal(again.p, "\"\\ud83d\\ude00 \\ud800\\u0000\"");
    assert_false(pyjson_decode(STR("12"), &out));
    str_buf_release(&again);
    str_buf_release(&out);
}

static void a_member_is_set_in_its_place(void **state)
{
    (void)state;
    struct pyjson_row row = {0};
    struct str_buf out;
    str_buf_init(&out, 100);
    assert_int_equal(pyjson_row_parse(&row, STR("{\"passed\":0,\"x\":1}"), NULL), QA_OK);
    assert_int_equal(pyjson_row_set(&row, "result", STR("\"passed\""), NULL), QA_OK);
    assert_int_equal(pyjson_row_set(&row, "passed", STR("true"), NULL), QA_OK);
    pyjson_row_dump(&row, &out);
    assert_string_equal(out.p, "{\"passed\": true, \"x\": 1, \"result\": \"passed\"}");
    pyjson_row_release(&row);
    str_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_as_python_writes_them),
        cmocka_unit_test(what_python_refuses_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_string_is_decoded_with_its_surrogates),
        cmocka_unit_test(a_member_is_set_in_its_place),
    };
    return cmocka_run_group_tests_name("humaneval/pyjson", tests, NULL, NULL);
}
