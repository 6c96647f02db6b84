/* test_transcript.c - the log of a run: whole lines, a torn one cut off. */
#include "agent/agent.h"
#include "agent/transcript.h"
#include "engine/base/file.h"
#include "tests/fake/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int make_path(void **fixture)
{
    snprintf(path, sizeof path, "/tmp/qagent-test-XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **fixture)
{
    return unlink(path);
}

/* Every line as JSON; fails when one is none. */
static json_t *read_lines(void)
{
    struct str_buf b;
    struct err e = {0};
    json_t *lines = json_array();
    str_buf_init(&b, 16 << 20);
    if (file_read(&b, path, &e)) fail_msg("%s", e.text);
    for (struct str rest = str_buf_str(&b); rest.n;) {
        const size_t end = str_find(rest, STR("\n"));
        if (end == SIZE_MAX) fail_msg("the last line is torn");
        json_t *line = json_loadb(rest.p, end, 0, NULL);
        if (!line) fail_msg("no JSON: %.*s", (int)end, rest.p);
        json_array_append_new(lines, line);
        rest = str_cut(rest, end + 1, rest.n);
    }
    str_buf_release(&b);
    return lines;
}

static const char *type_of(const json_t *lines, size_t i)
{
    return json_string_value(json_object_get(json_array_get(lines, i), "type"));
}

static void a_torn_last_line_is_cut_off_and_nothing_else(void **fixture)
{
    struct transcript *t = NULL;
    struct err e = {0};
    uint64_t torn = 9;
    FILE *f = fopen(path, "w");
    fputs("{\"type\": \"a\"}\n{\"type\": \"b\"}\n{\"type\": \"c", f);
    fclose(f);
    assert_int_equal(transcript_open(&t, path, &torn, &e), QA_OK);
    assert_int_equal(torn, 11);
    transcript_add(t, "d", json_pack("{s:i}", "x", 1));
    assert_int_equal(transcript_check(t, &e), QA_OK);
    transcript_close(t);
    assert_int_equal(transcript_open(&t, path, &torn, &e), QA_OK);
    assert_int_equal(torn, 0);
    transcript_close(t);
    json_t *lines = read_lines();
    assert_int_equal(json_array_size(lines), 3);
    assert_string_equal(type_of(lines, 1), "b");
    assert_string_equal(type_of(lines, 2), "d");
    json_decref(lines);
}

static void two_at_a_time_is_an_error(void **fixture)
{
    struct transcript *t = NULL;
    struct transcript *u = NULL;
    struct err e = {0};
    uint64_t torn;
    assert_int_equal(transcript_open(&t, path, &torn, &e), QA_OK);
    assert_int_equal(transcript_open(&u, path, &torn, &e), QA_E_IO);
    assert_non_null(strstr(e.text, "another process writes to it"));
    transcript_close(t);
    assert_int_equal(transcript_open(&u, path, &torn, &e), QA_OK);
    transcript_close(u);
}

static void text_of_any_bytes_becomes_utf8(void **fixture)
{
    json_t *x = transcript_text((struct str){"a\xff\xe2\x82", 4});
    assert_string_equal(json_string_value(x), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json_decref(x);
}

static void a_log_that_cannot_be_written_is_an_error_before_the_run(void **fixture)
{
    struct transcript *t = NULL;
    struct err e = {0};
    uint64_t torn;
    assert_int_equal(transcript_open(&t, "/nowhere/at/all", &torn, &e), QA_E_IO);
    assert_non_null(strstr(e.text, "/nowhere/at/all"));
}

/* All that a run needs to be told again: ids, code, results, seeds, the end. */
static void a_run_is_logged_with_ids_that_make_up_the_session(void **fixture)
{
    static const struct fake_turn turns[] = {
        {"p\n</think><tool_call>\n<function=code_execution>\n<parameter=code>\n"
         "def f(x):\n    return x\nprint(f(1))\n</parameter>\n</function>\n</tool_call>", false},
        {"q\n</think>def f(x):\n    return x\n```",                                                false},
    };
    const struct fake_tape tape = {.turns = turns, .n_turns = 2};
    struct agent_opts o = agent_opts_default();
    struct agent_result r = {0};
    struct agent *a = NULL;
    struct err e = {0};
    assert_int_equal(fake_engine_open(&o.engine, &tape, &e), QA_OK);
    assert_int_equal(sandbox_open(&o.sandbox, &(struct sandbox_opts){0}, &e), QA_OK);
    o.session_path = path;
    assert_int_equal(agent_open(&a, &o, &e), QA_OK);
    assert_int_equal(agent_run(a, STR("Write f(x): f(1) == 1"), NULL, &r, &e), QA_OK);
    assert_int_equal(r.outcome, AGENT_ANSWERED);
    agent_close(a);

    json_t *lines = read_lines();
    const struct ids *all = fake_engine_ids(o.engine);
    const json_t *start = NULL;
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        if (strcmp(type_of(lines, i), "start") == 0) start = line;
    }
    assert_non_null(start);
    assert_non_null(json_object_get(json_object_get(start, "sampling"), "seed"));
    assert_string_equal(json_string_value(json_object_get(start, "sandbox")),
                        sandbox_statement(o.sandbox));
    size_t n_prefix = (size_t)json_integer_value(json_object_get(start, "n_prefix"));
    json_array_foreach(lines, i, line)
    {
        const json_t *ids = json_object_get(line, "ids");
        for (size_t k = 0; k < json_array_size(ids); k++) {
            assert_true(n_prefix < all->n);
            assert_int_equal(json_integer_value(json_array_get(ids, k)), all->p[n_prefix++]);
        }
    }
    assert_int_equal(n_prefix, all->n);
    assert_string_equal(type_of(lines, json_array_size(lines) - 1), "end");
    json_decref(lines);
    agent_result_release(&r);
    engine_close(o.engine);
    sandbox_close(o.sandbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_torn_last_line_is_cut_off_and_nothing_else, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(two_at_a_time_is_an_error, make_path, remove_path),
        cmocka_unit_test(text_of_any_bytes_becomes_utf8),
        cmocka_unit_test(a_log_that_cannot_be_written_is_an_error_before_the_run),
        cmocka_unit_test_setup_teardown(a_run_is_logged_with_ids_that_make_up_the_session,
                                        make_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
