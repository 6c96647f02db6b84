/* Attempts as paths of tokens, and the likeliest way that none went. */
#include "agent/paths.h"
#include "tests/agent/tape.h"

#define HEAD "\n</think>\n\n<tool_call>\n<function=code_execution>\n<parameter=code>\n"

static struct engine *g;
static struct paths paths;
static char verdict[PATHS_VERDICT];

static int begin(void **fixture)
{
    static const struct fake_tape tape;
    struct err e = {0};
    return fake_engine_open(&g, &tape, &e) ? -1 : 0;
}

static int end(void **fixture)
{
    paths_release(&paths);
    engine_close(g);
    return 0;
}

/* An attempt that reads `text`, in doubt at bytes where `doubts` has another one. */
struct doubt {
    const char *behind; /* the text up to the place */
    char other;
    float taken, instead;
};

static void attempt(const char *text,
                    const struct path_start *start,
                    const struct doubt *doubts,
                    size_t n)
{
    struct ids ids = {0};
    struct forks f = {0};
    struct err e = {0};
    assert_int_equal(engine_encode(g, str_of(text), SPECIAL_PARSE, &ids, &e), QA_OK);
    for (size_t i = 0; i < n; i++) {
        struct ids before = {0};
        assert_int_equal(engine_encode(g, str_of(doubts[i].behind), SPECIAL_PARSE, &before, &e),
                         QA_OK);
        const int32_t id = ids.p[before.n];
        const struct token_prob top[FORK_ALTS + 1] = {
            {id,                             doubts[i].taken  },
            {(unsigned char)doubts[i].other, doubts[i].instead},
            {-1,                             0                },
            {-1,                             0                }
        };
        forks_add(&f, before.n, id, doubts[i].taken, top);
        ids_release(&before);
    }
    paths_add(&paths, g, ids.p, ids.n, start, &f, verdict);
    forks_release(&f);
    ids_release(&ids);
}

static struct path_start next(const char *want, bool wants_whole)
{
    struct path_start s;
    struct str_buf b;
    if (!paths_next(&paths, wants_whole, &s)) fail_msg("no way is left, not '%s'", want);
    str_buf_init(&b, 1 << 16);
    for (size_t i = 0; i < s.ids.n; i++) {
        str_buf_add(&b, engine_piece(g, s.ids.p[i]));
    }
    str_buf_add_z(&b, "");
    assert_string_equal(b.p, want);
    str_buf_release(&b);
    return s;
}

static void next_is(const char *want, bool is_code)
{
    struct path_start s = next(want, false);
    assert_false(s.is_whole);
    assert_int_equal(s.i_code > 0, is_code);
    if (is_code) assert_int_equal(s.ids.p[s.n_plan - 1], engine_special(g, "</think>"));
    path_start_release(&s);
}

static void next_is_whole(const char *want, bool wants_whole, double logprob)
{
    struct path_start s = next(want, wants_whole);
    assert_true(s.is_whole);
    assert_float_equal(s.logprob, logprob, 1e-6);
    assert_true(s.n_plan > 0 && s.i_code > s.n_plan && s.i_end > s.i_code);
    path_start_release(&s);
}

static void the_likeliest_beginning_comes_first_and_once(void **fixture)
{
    const struct doubt doubts[] = {
        {"",                      'A', -0.1f, -3},
        {"pl",                    'B', -0.5f, -1}, /* -0.1 - 1          */
        {"plan" HEAD "def f(): ", 'C', -0.1f, -2}, /* -0.1 - 0.5 - 2    */
    };
    attempt("plan" HEAD "def f(): 1", NULL, doubts, COUNT(doubts));
    assert_string_equal(verdict, "");
    next_is("plB", false);
    next_is("plan" HEAD "def f(): C", true);
    next_is("A", false);
    struct path_start s;
    assert_false(paths_next(&paths, false, &s));
}

static void a_way_that_another_attempt_went_is_left_out(void **fixture)
{
    const struct doubt doubts[] = {
        {"pl", 'B', -0.5f, -1}
    };
    struct path_start s;
    attempt("plan" HEAD "def f(): 1", NULL, doubts, 1);
    attempt("plB" HEAD "def f(): 2", NULL, NULL, 0);
    assert_false(paths_next(&paths, false, &s));
}

/* What an attempt began with counts for all that it forks into. */
static void a_way_of_a_way_is_less_likely_than_both(void **fixture)
{
    const struct path_start start = {.logprob = -2};
    const struct doubt first[] = {
        {"p", 'A', -0.1f, -2.5f}
    };
    const struct doubt second[] = {
        {"pl", 'B', -0.1f, -1}
    };
    attempt("pqan" HEAD "def f(): 1", NULL, first, 1);
    attempt("plan" HEAD "def f(): 2", &start, second, 1);
    next_is("pA", false);
    next_is("plB", false);
}

/* Asserts and what stands around the code are not worth a way of their own. */
static void ways_leave_within_plan_and_definitions_only(void **fixture)
{
    const struct doubt doubts[] = {
        {"plan\n</think>\n\n",                              'A', -0.5f, -0.5f},
        {"plan" HEAD "import re\ndef f():\n  ",             'B', -0.5f, -5   },
        {"plan" HEAD "import re\ndef f():\n  1\n\nassert ", 'C', -0.5f, -0.5f},
    };
    struct path_start s;
    attempt("plan" HEAD "import re\ndef f():\n  1\n\nassert f()", NULL, doubts, COUNT(doubts));
    next_is("plan" HEAD "import re\ndef f():\n  B", true);
    assert_false(paths_next(&paths, false, &s));
}

static void programs_that_need_not_be_run_are_told(void **fixture)
{
    attempt("a" HEAD "def f(x):\n  return 'x'\nassert f(1)", NULL, NULL, 0);
    assert_string_equal(verdict, "");
    attempt("b" HEAD "def f(x):\n    return \"x\"\n", NULL, NULL, 0);
    assert_string_equal(verdict, "that program failed before");
    attempt("c" HEAD "def f(x):\n    return y\n", NULL, NULL, 0);
    assert_string_equal(verdict, "that program cannot run: nothing binds the name 'y'");
    attempt("d\n</think>\n\nProse.", NULL, NULL, 0);
    assert_string_equal(verdict, "");
    attempt("cut in its thin", NULL, NULL, 0);
    assert_string_equal(verdict, "");
}

/* Of all that is left the likeliest is next: an attempt that came out less likely than a
 * beginning comes after it, with all its tokens and once. */
static void an_attempt_waits_for_what_is_likelier(void **fixture)
{
    const struct doubt first[] = {
        {"",   'A', -0.1f, -1},
        {"p",  'B', -0.1f, -2}, /* -2.1 */
        {"pl", 'C', -0.1f, -4}, /* -4.2 */
    };
    const struct doubt second[] = {
        {"A",                              'D', -1.5f, -9   },
        {"An" HEAD "def f(): ",            'E', -0.5f, -9   },
        {"An" HEAD "def f(): 2\nassert f", 'F', -9,    -9.1f}, /* behind the definitions */
    };
    struct path_start s;
    attempt("plan" HEAD "def f(): 1", NULL, first, COUNT(first));
    s = next("A", false);
    attempt("An" HEAD "def f(): 2\nassert f()", &s, second, COUNT(second));
    path_start_release(&s);
    assert_true(paths_wait(&paths)); /* -3: "pB" has -2.1 */
    s = next("pB", false);
    attempt("pBn" HEAD "def f(): 2", &s, NULL, 0);
    assert_string_equal(verdict, "that program waits already");
    attempt("pBm" HEAD "def f(): 3", &s, NULL, 0);
    path_start_release(&s);
    assert_false(paths_wait(&paths)); /* nothing is likelier than -2.1 */
    next_is_whole("An" HEAD "def f(): 2\nassert f()", false, -3);
    next_is("plC", false);
}

static void an_attempt_that_waits_comes_first_when_asked_for(void **fixture)
{
    const struct doubt doubts[] = {
        {"p", 'B', -0.1f, -2},
    };
    const struct path_start start = {.logprob = -3};
    struct path_start s;
    attempt("plan" HEAD "def f(): 1", NULL, doubts, 1);
    attempt("q" HEAD "def f(): 2", &start, NULL, 0);
    assert_true(paths_wait(&paths));
    attempt("r\n</think>\n\nProse.", &start, NULL, 0);
    assert_false(paths_wait(&paths)); /* no program */
    next_is_whole("q" HEAD "def f(): 2", true, -3);
    s = next("pB", true);
    assert_false(s.is_whole);
    path_start_release(&s);
    assert_false(paths_next(&paths, true, &s));
}

static void forks_come_out_of_the_log_as_they_went_in(void **fixture)
{
    const struct token_prob top[] = {
        {5, -0.25f},
        {7, -1.5f },
        {9, -3    },
        {8, -20   }
    };
    struct forks f = {0}, again = {0};
    forks_add(&f, 3, 5, -0.25f, top);
    forks_add(&f, 4, 8, -20, top); /* sampled: none of the likely ones */
    forks_add(&f, 5, 5, -0.01f,
              (struct token_prob[]){
                  {5,  -0.01f},
                  {6,  -12   },
                  {-1, 0     },
                  {-1, 0     }
    });
    assert_int_equal(f.n, 2); /* no doubt in the last one */
    json_t *x = forks_to_json(&f);
    forks_of_json(&again, x);
    json_decref(x);
    assert_int_equal(again.n, 2);
    assert_memory_equal(&again.p[0], &f.p[0], sizeof f.p[0]);
    assert_int_equal(again.p[1].alt[2].id, 9);
    forks_release(&again);
    x = json_loads("[3, [], [-1, 0], [1, 2, 3], {\"a\": 1}, [\"x\", \"y\"], [99999999, 1]]", 0,
                   NULL);
    forks_of_json(&again, x);
    for (size_t i = 0; i < again.n; i++) {
        assert_true(again.p[i].at >= 0);
    }
    json_decref(x);
    forks_release(&again);
    forks_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_likeliest_beginning_comes_first_and_once, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_way_that_another_attempt_went_is_left_out, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_way_of_a_way_is_less_likely_than_both, begin, end),
        cmocka_unit_test_setup_teardown(ways_leave_within_plan_and_definitions_only, begin,
                                        end),
        cmocka_unit_test_setup_teardown(programs_that_need_not_be_run_are_told, begin, end),
        cmocka_unit_test_setup_teardown(an_attempt_waits_for_what_is_likelier, begin, end),
        cmocka_unit_test_setup_teardown(an_attempt_that_waits_comes_first_when_asked_for, begin,
                                        end),
        cmocka_unit_test(forks_come_out_of_the_log_as_they_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
