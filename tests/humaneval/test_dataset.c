/* test_dataset.c - data sets: what is read, what is refused and with which words. */
#include "engine/base/file.h"
#include "humaneval/humaneval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define ROW(id)                                                                             \
    "{\"task_id\": \"" id "\", \"prompt\": \"def f():\\n    '''x'''\\n\", "                 \
    "\"entry_point\": \"f\", \"canonical_solution\": \"    return 1\\n\", \"test\": \"def " \
    "check(c):\\n    assert c() == 1\\n\"}"

static struct dataset *must_open(const char *text)
{
    struct dataset *d = NULL;
    struct err e = {0};
    if (dataset_open_bytes(&d, str_of(text), "x", &e)) fail_msg("%s", e.text);
    return d;
}

static void rows_are_read_in_order(void **state)
{
    (void)state;
    struct dataset *d = must_open("\n" ROW("a/1") "\r\n  \n" ROW("a/0") "\r" ROW("b"));
    assert_int_equal(d->n, 3);
    assert_true(str_eq(d->p[1].task_id, STR("a/0")));
    assert_true(str_eq(d->p[0].prompt, STR("def f():\n    '''x'''\n")));
    assert_ptr_equal(dataset_find(d, STR("b")), &d->p[2]);
    assert_null(dataset_find(d, STR("c")));
    dataset_close(d);
}

static void a_broken_line_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } CASES[] = {
        {ROW("a") "\n\n{\"task_id\"",                              "cannot read 'x': line 3: expected ':' at byte 11"                          },
        {ROW("a") "\n{\"task_id\": \"b\"}",
         "cannot read 'x': line 2: field 'prompt' is missing"                                                                                  },
        {"{\"task_id\": 3}",                                       "cannot read 'x': line 1: field 'task_id' is not a string"                  },
        {ROW("a") "\n" ROW("b") "\n" ROW("a"),                     "cannot read 'x': task 'a' is there twice"                                  },
        {ROW(""),                                                  "cannot read 'x': line 1: field 'task_id' is empty"                         },
        {"",                                                       "cannot read 'x': no tasks in it"                                           },
        {"\n \n",                                                  "cannot read 'x': no tasks in it"                                           },
        {"{\"task_id\": \"a\", \"prompt\": \"\", \"entry_point\": \"f(); g\", "
         "\"canonical_solution\": \"\", \"test\": \"\"}", "cannot read 'x': line 1: field 'entry_point' is not the name of a function"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct dataset *d = NULL;
        struct err e = {0};
        assert_int_equal(dataset_open_bytes(&d, str_of(CASES[i].text), "x", &e), QA_E_FORMAT);
        assert_string_equal(e.text, CASES[i].message);
        assert_null(d);
    }
}

static void gzip_of_several_members_is_one_file(void **state)
{
    (void)state;
    char path[] = "/tmp/qagent-test-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (int i = 0; i < 2; i++) {
        const char *row = i ? ROW("b") "\n" : ROW("a") "\n";
        gzFile f = gzopen(path, i ? "ab" : "wb");
        assert_non_null(f);
        assert_int_equal(gzwrite(f, row, (unsigned)strlen(row)), (int)strlen(row));
        gzclose(f);
    }
    struct dataset *d = NULL;
    struct err e = {0};
    if (dataset_open(&d, path, &e)) fail_msg("%s", e.text);
    assert_int_equal(d->n, 2);
    dataset_close(d);

    struct str_buf whole;
    str_buf_init(&whole, 1 << 16);
    assert_int_equal(file_read(&whole, path, &e), QA_OK);
    for (size_t n = 2; n + 1 < whole.n;
         n++) { /* every truncation: an error or one row, no more */
        const struct str part = str_cut(str_buf_str(&whole), 0, n);
        if (dataset_open_bytes(&d, part, "x", &e)) continue;
        assert_int_equal(d->n, 1);
        dataset_close(d);
    }
    str_buf_release(&whole);
    unlink(path);
}

static void the_mini_suite_is_sound(void **state)
{
    (void)state;
    struct dataset *d = NULL;
    struct err e = {0};
    if (dataset_open_bytes(&d, dataset_mini(), "mini", &e)) fail_msg("%s", e.text);
    assert_true(d->n >= 60);
    for (size_t i = 0; i < d->n; i++) {
        const struct problem *p = &d->p[i];
        assert_true(str_starts(p->task_id, STR("mini/")));
        assert_true(str_find(p->prompt, p->entry_point) != SIZE_MAX);
        assert_true(str_find(p->test, STR("def check(candidate):")) != SIZE_MAX);
        assert_true(str_find(p->prompt, p->canonical_solution) == SIZE_MAX);
    }
    assert_int_equal(dataset_check_official(d, "mini", &e), QA_E_FORMAT);
    dataset_close(d);
}

static void the_official_file_is_known_by_its_hash(void **state)
{
    (void)state;
    const char *shared = getenv("QAGENT_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/data/HumanEval.jsonl.gz", shared ? shared : "");
    if (!shared || access(path, R_OK)) {
        fprintf(stderr, "SKIPPED: QAGENT_SHARED has no data/HumanEval.jsonl.gz\n");
        skip();
    }
    struct dataset *d = NULL;
    struct err e = {0};
    if (dataset_open(&d, path, &e)) fail_msg("%s", e.text);
    assert_int_equal(d->n, 164);
    assert_int_equal(dataset_check_official(d, path, &e), QA_OK);
    d->sha256[0] = 'x'; /* packed otherwise: the lines decide */
    assert_int_equal(dataset_check_official(d, path, &e), QA_OK);
    d->text_sha256[0] = 'x';
    assert_int_equal(dataset_check_official(d, path, &e), QA_E_FORMAT);
    assert_non_null(strstr(e.text, "is not OpenAI's HumanEval"));
    dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_in_order),
        cmocka_unit_test(a_broken_line_is_named),
        cmocka_unit_test(gzip_of_several_members_is_one_file),
        cmocka_unit_test(the_mini_suite_is_sound),
        cmocka_unit_test(the_official_file_is_known_by_its_hash),
    };
    return cmocka_run_group_tests_name("humaneval/dataset", tests, NULL, NULL);
}
