/* test_join.c - finished runs: shards joined, runs compared, answers extracted again. */
#include "humaneval/suite.h"
#include "tests/humaneval/rundir.h"

#include <math.h>
#include <unistd.h>

/* Right but for the tasks named in `wrong`, as "/3/". */
struct knower {
    struct dataset *d;
    const char *wrong;
};

static enum status know(void *ctx,
                        const struct task *t,
                        int i_sample,
                        const char *transcript_path,
                        struct attempt *out,
                        struct err *e)
{
    const struct knower *k = ctx;
    char number[32];
    (void)i_sample;
    snprintf(number, sizeof number, "%.*s/", (int)(t->task_id.n - 4), t->task_id.p + 4);
    const struct problem *p = dataset_find(k->d, t->task_id);
    struct str_buf b;
    str_buf_init(&b, 1 << 20);
    str_buf_add_z(&b, "```python\n");
    str_buf_add(&b, p->prompt);
    str_buf_add(&b, strstr(k->wrong, number) ? STR("    return object()\n")
                                             : p->canonical_solution);
    str_buf_add_z(&b, "```\n");
    assert_int_equal(file_write(transcript_path, STR("{\"type\": \"x\"}\n"), e), QA_OK);
    *out = (struct attempt){.n_answer = b.n, .n_iterations = 1, .n_generated_tokens = 10};
    out->answer = str_buf_take(&b);
    return QA_OK;
}

struct part {
    const char *name, *wrong;
    int shard, n_shards, n_samples;
    int64_t limit;
    int seed;
};

static void make_run(const struct part *p)
{
    struct knower k = {.wrong = p->wrong};
    struct scorer scorer = {0};
    struct suite_stats stats = {0};
    struct err e = {0};
    const struct scorer_opts so = {
        .source = {"mini", NULL, ""},
          .limits = {.timeout_s = 5   }
    };
    assert_int_equal(dataset_open_bytes(&k.d, dataset_mini(), "mini", NULL), QA_OK);
    if (scorer_open(&scorer, &so, &e)) fail_msg("%s", e.text);
    const struct solver solver = {&k, know};
    const struct suite_opts o = {
        .out_dir = path_in(p->name),
        .limit = p->limit,
        .shard = p->shard,
        .n_shards = p->n_shards,
        .n_samples = p->n_samples,
        .solvers = &solver,
        .n_jobs = 1,
        .settings = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:I}", "suite", "mini",
                              "data_sha256", scorer.data_sha256, "seed", p->seed, "shard",
                              p->shard, "shards", p->n_shards, "samples_per_task", p->n_samples,
                              "limit", (json_int_t)p->limit),
        .facts = json_pack("{s:s}", "version", "test"),
    };
    if (suite_run(&scorer, &o, &stats, &e)) fail_msg("%s", e.text);
    json_decref(o.settings);
    json_decref(o.facts);
    scorer_close(&scorer);
    dataset_close(k.d);
}

static void merged_shards_are_the_run_in_one_piece(void **state)
{
    (void)state;
    if (!has_jail) skip();
    static const char *const FILES[] = {"samples.jsonl", "results.jsonl"};
    struct suite_stats stats = {0};
    struct err e = {0};
    const char *wrong = "/2/5/";
    make_run(&(struct part){"whole", wrong, 0, 0, 2, 7, 1});
    make_run(&(struct part){"s1", wrong, 1, 3, 2, 7, 1});
    make_run(&(struct part){"s2", wrong, 2, 3, 2, 7, 1});
    make_run(&(struct part){"s3", wrong, 3, 3, 2, 7, 1});
    char s[3][256];
    for (int i = 0; i < 3; i++) {
        snprintf(s[i], sizeof s[i], "%s/s%d", dir, 3 - i); /* any order */
    }
    const char *const dirs[] = {s[0], s[1], s[2]};
    if (suite_merge(path_in("all"), dirs, 3, &stats, &e)) fail_msg("%s", e.text);
    assert_int_equal(stats.n_done, 14);
    assert_int_equal(stats.n_passed, 10);
    assert_float_equal(stats.pass_at_1, 5.0 / 7, 1e-12);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        char name[64];
        struct str_buf want;
        struct str_buf got;
        snprintf(name, sizeof name, "whole/%s", FILES[i]);
        read_all(&want, name);
        snprintf(name, sizeof name, "all/%s", FILES[i]);
        read_all(&got, name);
        if (!str_eq(str_buf_str(&got), str_buf_str(&want))) fail_msg("%s differs", FILES[i]);
        str_buf_release(&want);
        str_buf_release(&got);
    }
    assert_int_equal(access(path_in("all/transcripts/mini_6~1.jsonl"), R_OK), 0);
    if (report_write_html(path_in("all"), &e)) fail_msg("%s", e.text);

    /* What does not fit together. */
    const char *const twice[] = {s[0], s[1], s[1]};
    assert_int_equal(suite_merge(path_in("x"), dirs, 2, &stats, &e), QA_E_USAGE);
    assert_string_equal(e.text, "cannot merge: shard 1 of 3 is missing");
    assert_int_equal(suite_merge(path_in("x"), twice, 3, &stats, &e), QA_E_USAGE);
    assert_string_equal(e.text, "cannot merge: shard 1 of 3 is missing");
    const char *const twice_2[] = {s[2], s[2], s[1], s[0]};
    assert_int_equal(suite_merge(path_in("x"), twice_2, 4, &stats, &e), QA_E_USAGE);
    assert_string_equal(e.text, "cannot merge: shard 1 of 3 is there twice");
    assert_int_equal(suite_merge(path_in("all"), dirs, 3, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "holds a run already"));
    make_run(&(struct part){"other", wrong, 1, 3, 2, 7, 2});
    const char *const seeds[] = {path_in("other"), s[0], s[1]};
    assert_int_equal(suite_merge(path_in("x"), seeds, 3, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "'seed' differs"));
    const char *const none[] = {dir};
    assert_int_equal(suite_merge(path_in("x"), none, 1, &stats, &e), QA_E_FORMAT);
    assert_non_null(strstr(e.text, "is not the folder of a run: no summary.json"));
}

static void two_runs_are_compared_in_pairs(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct comparison c;
    struct err e = {0};
    make_run(&(struct part){"a", "/0/1/2/5/", 0, 0, 1, 8, 1});
    make_run(&(struct part){"b", "/2/7/", 0, 0, 1, 10, 2});
    if (suite_compare(&c, path_in("a"), path_in("b"), &e)) fail_msg("%s", e.text);
    assert_int_equal(c.n_tasks, 8);
    assert_int_equal(c.n_only_in_a, 0);
    assert_int_equal(c.n_only_in_b, 2);
    assert_true(c.has_pairs);
    assert_int_equal(c.n_both, 3);    /* 3 4 6 */
    assert_int_equal(c.n_neither, 1); /* 2 */
    assert_int_equal(c.n_a, 1);       /* 7 */
    assert_int_equal(c.n_b, 3);       /* 0 1 5 */
    assert_float_equal(c.difference, 0.25, 1e-12);
    /* Differences: three +1, one -1, four 0; mean 1/4. */
    assert_float_equal(c.error, sqrt((3 * 0.5625 + 1.5625 + 4 * 0.0625) / 7 / 8), 1e-12);
    assert_float_equal(c.p, 0.625, 1e-12); /* 2 (1 + 4) / 16 */
    assert_string_equal(json_string_value(json_array_get(c.only_a, 0)), "mini/7");
    assert_non_null(json_object_get(c.settings, "seed"));
    assert_null(json_object_get(c.settings, "suite"));
    comparison_release(&c);
    make_run(&(struct part){"two", "/2/", 0, 0, 2, 2, 1});
    if (suite_compare(&c, path_in("a"), path_in("two"), &e)) fail_msg("%s", e.text);
    assert_false(c.has_pairs);
    assert_float_equal(c.pass_b, 1.0, 1e-12);
    comparison_release(&c);
}

static void mcnemar_is_the_exact_binomial(void **state)
{
    (void)state;
    static const struct {
        size_t a, b;
        double p;
    } CASES[] = {
        {0,  0,    1          },
        {3,  3,    1          },
        {0,  1,    1          },
        {0,  5,    0.0625     },
        {5,  0,    0.0625     },
        {1,  9,    0.021484375},
        {10, 11,   1          },
        {0,  2000, 0          },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        assert_float_equal(mcnemar_p(CASES[i].a, CASES[i].b), CASES[i].p, 1e-9);
    }
}

static void answers_are_extracted_again_without_the_model(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct dataset *d = NULL;
    struct err e = {0};
    size_t n = 0;
    size_t n_changed = 9;
    make_run(&(struct part){"a", "/1/", 0, 0, 1, 4, 1});
    assert_int_equal(dataset_open_bytes(&d, dataset_mini(), "mini", NULL), QA_OK);
    if (suite_extract_again(path_in("a"), d, path_in("again.jsonl"), &n, &n_changed, &e)) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(n, 4);
    assert_int_equal(n_changed, 0);
    struct str_buf want;
    struct str_buf got;
    read_all(&want, "a/samples.jsonl");
    read_all(&got, "again.jsonl");
    assert_true(str_eq(str_buf_str(&got), str_buf_str(&want)));
    str_buf_release(&got);

    /* Another answer in the log gives another completion; prose before the block none. */
    static const struct {
        const char *answer;
        size_t n_changed;
    } CASES[] = {
        {"\"answer\":\"Nothing.\\n```python",     0},
        {"\"answer\":\"```python\\n# another\\n", 1},
    };
    struct str_buf log;
    read_all(&log, "a/tasks.jsonl");
    const struct str text = str_buf_str(&log);
    const size_t at = str_find(text, STR("\"answer\":\"```python"));
    assert_true(at != SIZE_MAX);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct str_buf edited;
        str_buf_init(&edited, 1 << 20);
        str_buf_add(&edited, str_cut(text, 0, at));
        str_buf_add_z(&edited, CASES[i].answer);
        str_buf_add(&edited, str_cut(text, at + 19, text.n));
        assert_int_equal(file_write(path_in("a/tasks.jsonl"), str_buf_str(&edited), &e), QA_OK);
        str_buf_release(&edited);
        assert_int_equal(
            suite_extract_again(path_in("a"), d, path_in("again.jsonl"), &n, &n_changed, &e),
            QA_OK);
        assert_int_equal(n_changed, CASES[i].n_changed);
    }
    str_buf_release(&want);
    str_buf_release(&log);
    dataset_close(d);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(merged_shards_are_the_run_in_one_piece),
        IN_FOLDER(two_runs_are_compared_in_pairs),
        IN_FOLDER(answers_are_extracted_again_without_the_model),
        cmocka_unit_test(mcnemar_is_the_exact_binomial),
    };
    return cmocka_run_group_tests(tests, check_jail, NULL);
}
