/* test_run.c - what sandbox_run promises about results, limits and leftovers. */
#include "engine/base/clock.h"
#include "tests/sandbox/jail_test.h"

#include <pthread.h>
#include <signal.h>

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
    jail = NULL;
    return 0;
}

static void check_run(const char *code,
                      enum run_status status,
                      int exit_code,
                      const char *out,
                      const char *errtext)
{
    struct run_result r = jail_run(jail, code);
    assert_string_equal(r.out, out);
    assert_string_equal(r.errtext, errtext);
    assert_int_equal(r.status, status);
    assert_int_equal(r.exit_code, exit_code);
    assert_int_equal(r.n_out, strlen(r.out));
    assert_int_equal(r.n_errtext, strlen(r.errtext));
    assert_null(r.verdict);
    run_result_release(&r);
}

static void output_and_errors_come_back_apart(void **state)
{
    check_run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n", RUN_OK, 0, "out\n",
              "err\n");
}

static void a_failed_assert_shows_only_the_frames_of_the_cell(void **state)
{
    check_run("import json\n\n\ndef f(x):\n    return sum(x)\n\n\n\nassert f([1, 2]) == 4\n",
              RUN_ERROR, 1, "",
              "Traceback (most recent call last):\n"
              "  File \"cell.py\", line 9, in <module>\n"
              "    assert f([1, 2]) == 4\n"
              "AssertionError\n");
    check_run(
        "import json\ndef load(t):\n    return json.loads(t)\nload('{')\n", RUN_ERROR, 1, "",
        "Traceback (most recent call last):\n"
        "  File \"cell.py\", line 4, in <module>\n"
        "    load('{')\n"
        "  File \"cell.py\", line 3, in load\n"
        "    return json.loads(t)\n"
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)\n");
}

static void a_syntax_error_shows_its_line_and_no_caret(void **state)
{
    struct run_result r = jail_run(jail, "x = 1\nif x:\n    y = (1,\n    print(x\n");
    assert_int_equal(r.status, RUN_ERROR);
    assert_int_equal(r.exit_code, 1);
    assert_true(str_starts(str_of(r.errtext), STR("  File \"cell.py\", line ")));
    assert_non_null(strstr(r.errtext, "\nSyntaxError: "));
    assert_null(strstr(r.errtext, "^"));
    run_result_release(&r);
    check_run("def f():\nreturn 1\n", RUN_ERROR, 1, "",
              strstr(sandbox_python_version(jail), "3.8.") ||
                      strstr(sandbox_python_version(jail), "3.9.")
                  ? "  File \"cell.py\", line 2\n    return 1\nIndentationError: expected an "
                    "indented "
                    "block\n"
                  : "  File \"cell.py\", line 2\n    return 1\nIndentationError: expected an "
                    "indented "
                    "block after function definition on line 1\n");
}

static void a_deep_traceback_keeps_ten_frames_at_each_end(void **state)
{
    struct run_result r =
        jail_run(jail, "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(60)\n");
    int n_frames = 0;
    for (const char *p = r.errtext; (p = strstr(p, "  File \"cell.py\"")); p++) {
        n_frames++;
    }
    assert_int_equal(n_frames, 20);
    assert_non_null(strstr(r.errtext, "\n  ... 42 more frames ...\n"));
    assert_non_null(strstr(r.errtext, "\nZeroDivisionError: division by zero\n"));
    run_result_release(&r);
}

static void an_exit_code_is_the_program_s_own(void **state)
{
    check_run("import sys\nsys.exit(7)", RUN_ERROR, 7, "", "");
    check_run("raise SystemExit", RUN_OK, 0, "", "");
    check_run("import sys\nsys.exit('words')", RUN_ERROR, 1, "", "words\n");
    check_run("import os\nprint('kept', end='')\nos._exit(3)", RUN_ERROR, 3, "kept", "");
    check_run("exit()", RUN_OK, 0, "", "");
}

static void the_program_is_main_and_a_file(void **state)
{
    check_run("print(__name__, __file__, open(__file__).read().count('count'))", RUN_OK, 0,
              "__main__ cell.py 2\n", "");
    check_run("import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))", RUN_OK, 0,
              "def f():\n    return 1\n\n", "");
    check_run("import sys, __main__\nx = 5\nprint(__main__.x, sys.argv)", RUN_OK, 0,
              "5 ['cell.py']\n", "");
}

static void exit_handlers_threads_and_finalizers_run(void **state)
{
    check_run("import atexit\natexit.register(print, 'bye')\nprint('hello')", RUN_OK, 0,
              "hello\nbye\n", "");
    check_run("import threading, time\ndef f():\n    time.sleep(0.1)\n    print('late')\n"
              "threading.Thread(target=f).start()\nprint('early')",
              RUN_OK, 0, "early\nlate\n", "");
    check_run("class A:\n    def __del__(self):\n        print('gone')\na = A()\n", RUN_OK, 0,
              "gone\n", "");
}

static void a_thread_s_failure_is_shown_and_does_not_fail_the_program(void **state)
{
    check_run("import threading\ndef f():\n    1 / 0\n"
              "t = threading.Thread(target=f, name='worker')\nt.start()\nt.join()\nprint('on')",
              RUN_OK, 0, "on\n",
              "Exception in thread worker:\n"
              "Traceback (most recent call last):\n"
              "  File \"cell.py\", line 3, in f\n"
              "    1 / 0\n"
              "ZeroDivisionError: division by zero\n");
}

static void what_a_version_would_warn_about_stays_quiet(void **state)
{
    check_run("x = '\\d'\nprint(x is 1 if False else 'ok')", RUN_OK, 0, "ok\n", "");
}

static void source_is_read_as_a_file_is(void **state)
{
    check_run("\xEF\xBB\xBFprint('bom')", RUN_OK, 0, "bom\n", "");
    check_run("print('a')\r\nprint('b')\r\n", RUN_OK, 0, "a\nb\n", "");
    check_run("print('\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80')", RUN_OK, 0,
              "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n", "");
    check_run("", RUN_OK, 0, "", "");
    struct run_result r = jail_run(jail, "print('\xFF')");
    assert_int_equal(r.status, RUN_ERROR);
    assert_non_null(strstr(r.errtext, "SyntaxError: "));
    run_result_release(&r);
}

static void a_broken_failure_is_still_a_failure(void **state)
{
    check_run("class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
              RUN_ERROR, 1, "",
              "Traceback (most recent call last):\n  File \"cell.py\", line 4, in <module>\n"
              "    raise E\nE: <exception str() failed>\n");
    check_run("import sys\nsys.stderr = None\n1 / 0", RUN_ERROR, 1, "",
              "Traceback (most recent call last):\n  File \"cell.py\", line 3, in <module>\n"
              "    1 / 0\nZeroDivisionError: division by zero\n");
    check_run("import sys\nsys.excepthook = lambda *a: print('mine')\n1 / 0", RUN_ERROR, 1,
              "mine\n", "");
}

static void long_output_keeps_head_and_tail_and_counts_the_rest(void **state)
{
    struct run_limits limits = run_limits_default();
    limits.output_bytes = 1000;
    struct run_result r = jail_run_limited(
        jail, "import sys\nsys.stdout.write('a' * 3000 + 'b' * 2000)", RUN_CELL, &limits);
    assert_int_equal(r.status, RUN_OK);
    assert_int_equal(r.truncated_bytes, 4000);
    const char *mark = "\n[... 4000 bytes left out ...]\n";
    assert_int_equal(r.n_out, 1000 + strlen(mark));
    assert_memory_equal(r.out + 400, mark, strlen(mark));
    assert_int_equal(r.out[399], 'a');
    assert_int_equal(r.out[400 + strlen(mark)], 'b');
    run_result_release(&r);
}

static void output_of_the_size_of_the_limit_is_whole(void **state)
{
    struct run_limits limits = run_limits_default();
    limits.output_bytes = 1000;
    struct run_result r =
        jail_run_limited(jail, "import sys\nsys.stdout.write('a' * 1000)", RUN_CELL, &limits);
    assert_int_equal(r.n_out, 1000);
    assert_int_equal(r.truncated_bytes, 0);
    run_result_release(&r);
}

static void nothing_of_one_call_is_seen_by_the_next(void **state)
{
    check_run("open('json.py', 'w').write('raise ValueError')\nopen('/tmp/x', 'w').close()\n"
              "import builtins\nbuiltins.print = None",
              RUN_OK, 0, "", "");
    check_run("import json, os\nprint(os.listdir('/box'), os.listdir('/tmp'))", RUN_OK, 0,
              "['cell.py'] []\n", "");
}

static void usual_modules_work(void **state)
{
    check_run(
        "import asyncio, bisect, collections, csv, datetime, decimal, fractions, hashlib, re\n"
        "import sqlite3, ssl, statistics, string, subprocess, tempfile, typing, unittest, "
        "uuid\n"
        "import concurrent.futures, multiprocessing, zoneinfo, zlib, lzma, bz2, ctypes, "
        "secrets\n"
        "async def f():\n    await asyncio.sleep(0)\n    return 5\n"
        "print(asyncio.run(f()), sqlite3.connect(':memory:').execute('select 6').fetchone())\n"
        "with concurrent.futures.ThreadPoolExecutor(2) as p: print(list(p.map(abs, [-1, "
        "-2])))\n",
        RUN_OK, 0, "5 (6,)\n[1, 2]\n", "");
    check_run(
        "import multiprocessing as m\nif __name__ == '__main__':\n    with m.Pool(2) as p:\n"
        "        print(p.map(abs, [-1, 2]))\n",
        RUN_OK, 0, "[1, 2]\n", "");
    check_run(
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(42)'],"
        " capture_output=True, text=True).stdout)",
        RUN_OK, 0, "42\n\n", "");
    check_run("import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))",
              RUN_OK, 0, "b'x'\n", "");
}

static void the_stop_flag_ends_the_program(void **state)
{
    struct err e = {0};
    struct run_result r = {0};
    struct run_limits limits = run_limits_default();
    volatile int stop = 1;
    /* Raised from the start: whether before or after the worker is up, it must end. */
    const double start_s = clock_now_s();
    const enum status st =
        sandbox_run(jail, STR("while True: pass"), RUN_CELL, &limits, &stop, &r, &e);
    if (st) {
        assert_int_equal(st, QA_E_STOP);
    } else {
        assert_int_equal(r.status, RUN_KILLED);
        run_result_release(&r);
    }
    assert_true(clock_now_s() - start_s < 3);
}

static void impossible_limits_are_refused(void **state)
{
    const struct run_limits bad[] = {
        {.timeout_ms = 0,    .memory_bytes = 1 << 30, .output_bytes = 1000},
        {.timeout_ms = 1000, .memory_bytes = 1,       .output_bytes = 1000},
        {.timeout_ms = 1000, .memory_bytes = 1 << 30, .output_bytes = 0   },
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err e = {0};
        struct run_result r = {0};
        assert_int_equal(sandbox_run(jail, STR("1"), RUN_CELL, &bad[i], NULL, &r, &e),
                         QA_E_USAGE);
        assert_true(e.text[0] != 0);
    }
}

static void a_program_that_is_too_long_is_refused(void **state)
{
    const size_t n = 9 << 20;
    char *code = malloc(n);
    assert_non_null(code);
    memset(code, '\n', n);
    struct err e = {0};
    struct run_result r = {0};
    const struct run_limits limits = run_limits_default();
    assert_int_equal(sandbox_run(jail, (struct str){code, n}, RUN_CELL, &limits, NULL, &r, &e),
                     QA_E_LIMIT);
    memcpy(code, "print(7)", 8);
    assert_int_equal(
        sandbox_run(jail, (struct str){code, 4 << 20}, RUN_CELL, &limits, NULL, &r, &e), QA_OK);
    assert_string_equal(r.out, "7\n");
    run_result_release(&r);
    free(code);
}

static void hundreds_of_calls_leave_no_descriptor_and_no_process(void **state)
{
    const char *const programs[] = {
        "print(1)", "1/0", "import os; os._exit(2)",
        "import os\nif os.fork() == 0:\n    import time; time.sleep(9)"};
    struct run_result r = jail_run(jail, "1");
    run_result_release(&r);
    const int n_descriptors = open_descriptors();
    const int n_calls = geteuid() == 0 ? 200 : 40; /* once at length is enough */
    for (int i = 0; i < n_calls; i++) {
        r = jail_run(jail, programs[(size_t)i % COUNT(programs)]);
        run_result_release(&r);
    }
    /* The answer about the spare worker may or may not have been read: six ends. */
    const int n_after = open_descriptors();
    if (n_after > n_descriptors + 6)
        fail_msg("%d descriptors, then %d", n_descriptors, n_after);
    const int n_left = jail_processes(getpid());
    if (n_left > (geteuid() == 0 ? 2 : 4)) fail_msg("%d processes are left", n_left);
    /* No zombie of ours but none: the keeper is the only child, and it lives. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
}

struct job {
    pthread_t thread;
    int id, n_right;
};

static void *run_some(void *arg)
{
    struct job *j = arg;
    const struct run_limits limits = run_limits_default();
    for (int i = 0; i < 4; i++) {
        char code[64];
        char wanted[64];
        struct err e = {0};
        struct run_result r = {0};
        snprintf(code, sizeof code, "print('%d-%d' * 100)", j->id, i);
        snprintf(wanted, sizeof wanted, "%d-%d%d-%d", j->id, i, j->id, i);
        if (sandbox_run(jail, str_of(code), RUN_CELL, &limits, NULL, &r, &e)) return NULL;
        if (r.status == RUN_OK && strncmp(r.out, wanted, strlen(wanted)) == 0) j->n_right++;
        run_result_release(&r);
    }
    return NULL;
}

static void threads_may_run_programs_at_the_same_time(void **state)
{
    struct job jobs[6] = {{0}};
    for (int i = 0; i < 6; i++) {
        jobs[i].id = i;
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, run_some, &jobs[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(jobs[i].thread, NULL);
        assert_int_equal(jobs[i].n_right, 4);
    }
}

static void programs_of_two_threads_cannot_reach_each_other(void **state)
{
    struct job slow = {.id = 1};
    assert_int_equal(pthread_create(&slow.thread, NULL, run_some, &slow), 0);
    struct run_result r = jail_run(jail, "import os\nseen = []\nfor p in range(1, 40000):\n"
                                         "    try: os.kill(p, 0); seen.append(p)\n"
                                         "    except ProcessLookupError: pass\n"
                                         "    except PermissionError: seen.append(p)\n"
                                         "print(seen)");
    pthread_join(slow.thread, NULL);
    assert_int_equal(slow.n_right, 4);
    assert_string_equal(r.out, "[1, 2]\n");
    run_result_release(&r);
}

/* Count what is left of a caller that was killed; 0 after at most `most_ms`. */
static int left_after(pid_t caller, int n_before, int most_ms)
{
    int n = 0;
    for (int i = 0; i * 10 < most_ms; i++) {
        n = jail_processes(caller) - n_before;
        if (n <= 0) return 0;
        usleep(10000);
    }
    return n;
}

static void a_caller_that_is_killed_takes_its_programs_with_it(void **state)
{
    usleep(300000); /* the shared jail's spare worker is up and counts from here on */
    for (int round = 0; round < 3; round++) {
        const int n_before = geteuid() == 0 ? 0 : jail_processes(getpid());
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        const pid_t pid = fork();
        if (pid == 0) {
            struct err e = {0};
            struct sandbox *s = NULL;
            struct run_result r;
            const struct sandbox_opts o = {.level = SANDBOX_AUTO};
            const struct run_limits limits = run_limits_default();
            if (sandbox_open(&s, &o, &e)) _exit(1);
            if (write(fds[1], "x", 1) != 1) _exit(1);
            static const char code[] =
                "import os\nfor i in range(3):\n    if os.fork() == 0: os.setsid()\n"
                "while True: pass";
            if (sandbox_run(s, STR(code), RUN_CELL, &limits, NULL, &r, &e)) _exit(1);
            _exit(0);
        }
        char c;
        assert_int_equal(read(fds[0], &c, 1), 1);
        usleep(60000 * (useconds_t)round + 30000);
        const int n_during = jail_processes(pid) - n_before;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (n_during < 2) fail_msg("round %d: %d processes while it ran", round, n_during);
        const int n_left = left_after(pid, n_before, 3000);
        if (n_left) fail_msg("%d processes outlived their caller", n_left);
        close(fds[0]);
        close(fds[1]);
    }
}

static void a_lost_keeper_is_an_error_and_not_a_hang(void **state)
{
    struct sandbox *s = jail_open();
    /* Its only child here besides the shared jail's keeper is the newest one. */
    char path[64];
    char text[256] = {0};
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f)) {
        if (f) fclose(f);
        sandbox_close(s);
        skip();
    }
    fclose(f);
    const char *last = strrchr(text, ' ');
    while (last && last > text && last[1] == 0) {
        *(char *)last = 0;
        last = strrchr(text, ' ');
    }
    const pid_t keeper = (pid_t)strtol(last ? last : text, NULL, 10);
    assert_true(keeper > 1);
    kill(keeper, SIGKILL);

    struct err e = {0};
    struct run_result r = {0};
    const struct run_limits limits = run_limits_default();
    usleep(50000);
    for (int i = 0; i < 2; i++) {
        const enum status st = sandbox_run(s, STR("print(1)"), RUN_CELL, &limits, NULL, &r, &e);
        assert_int_equal(st, QA_E_SANDBOX);
        assert_true(e.text[0] != 0);
    }
    sandbox_close(s);
}

static void a_spare_worker_that_died_is_replaced(void **state)
{
    if (geteuid() != 0) skip(); /* an ordinary user cannot tell it from this test */
    struct run_result r = jail_run(jail, "print('before')");
    run_result_release(&r);
    usleep(300000); /* the next one is up */
    const unsigned long first = jail_first_uid(getpid());
    DIR *d = opendir("/proc");
    int n_killed = 0;
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));) {
        const pid_t pid = (pid_t)strtol(f->d_name, NULL, 10);
        const unsigned long uid = pid > 1 ? jail_uid_of(f->d_name) : 0;
        if (uid >= first && uid < first + 256 && kill(pid, SIGKILL) == 0) n_killed++;
    }
    closedir(d);
    assert_true(n_killed > 0);
    usleep(100000);
    check_run("print('after')", RUN_OK, 0, "after\n", "");
}

static void names_of_levels_and_statuses_are_the_documented_ones(void **state)
{
    const char *const levels[] = {"auto", "full", "user", "seccomp"};
    for (size_t i = 0; i < COUNT(levels); i++) {
        enum sandbox_level l = SANDBOX_SECCOMP;
        assert_true(sandbox_level_of(levels[i], &l));
        assert_int_equal(l, i);
        assert_string_equal(sandbox_level_name(l), levels[i]);
    }
    enum sandbox_level untouched = SANDBOX_USER;
    assert_false(sandbox_level_of("none", &untouched));
    assert_int_equal(untouched, SANDBOX_USER);
    assert_string_equal(run_status_name(RUN_OUTPUT_LIMIT), "output-limit");
    sandbox_close(NULL);
}

static void a_python_that_does_not_exist_is_one_clear_line(void **state)
{
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts o = {.python = "/no/such/python3"};
    assert_int_equal(sandbox_open(&s, &o, &e), QA_E_SANDBOX);
    assert_null(s);
    assert_non_null(strstr(e.text, "/no/such/python3"));
    const struct sandbox_opts not_python = {.python = "/bin/true"};
    assert_int_equal(sandbox_open(&s, &not_python, &e), QA_E_SANDBOX);
    assert_non_null(strstr(e.text, "/bin/true"));
    const struct sandbox_opts failing = {.python = "/bin/false"};
    assert_int_equal(sandbox_open(&s, &failing, &e), QA_E_SANDBOX);
}

static void only_root_gets_the_full_level(void **state)
{
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts o = {.level = SANDBOX_FULL};
    const enum status st = sandbox_open(&s, &o, &e);
    if (geteuid() == 0) {
        assert_int_equal(st, QA_OK);
        assert_true(str_starts(str_of(sandbox_statement(s)), STR("full: ")));
        sandbox_close(s);
        return;
    }
    assert_int_equal(st, QA_E_SANDBOX);
    assert_non_null(strstr(e.text, "root"));
}

static void the_level_without_namespaces_is_had_by_name_only(void **state)
{
    struct err e = {0};
    struct sandbox *s = NULL;
    const struct sandbox_opts o = {.level = SANDBOX_SECCOMP};
    if (sandbox_open(&s, &o, &e)) {
        fprintf(stderr, "SKIPPED: level seccomp: %s\n", e.text);
        skip();
    }
    assert_true(str_starts(str_of(sandbox_statement(s)), STR("seccomp: ")));
    /* A daemon, a deaf child and a folder without rights: all gone afterwards. */
    struct run_result r = jail_run(
        s, "import os, signal, time\nprint(os.getcwd())\nos.makedirs('a/b')\n"
           "open('a/b/c', 'w').close()\nos.chmod('a', 0)\nfor i in range(5):\n"
           "    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
           "            signal.signal(15, signal.SIG_IGN)\n            time.sleep(90)\n"
           "        time.sleep(90)\n");
    assert_string_equal(r.errtext, "");
    assert_int_equal(r.status, RUN_OK);
    char box[64] = {0};
    assert_int_equal(sscanf(r.out, "%63s", box), 1);
    assert_true(access(box, F_OK) != 0);
    run_result_release(&r);
    struct run_limits limits = run_limits_default();
    limits.timeout_ms = 300;
    r = jail_run_limited(s, "import os\nos.fork()\nos.fork()\nwhile True: pass", RUN_CELL,
                         &limits);
    assert_int_equal(r.status, RUN_TIMEOUT);
    run_result_release(&r);
    struct sandbox_layer layers[SANDBOX_MAX_LAYERS];
    const int n = sandbox_prove(s, layers);
    assert_true(n >= 12);
    for (int i = 0; i < n; i++) {
        const char *name = layers[i].name;
        const bool is_weak = !strcmp(name, "files: names") || !strcmp(name, "memory of many") ||
                             !strcmp(name, "disk");
        if (layers[i].is_enforced == is_weak) fail_msg("%s: %s", name, layers[i].evidence);
    }
    sandbox_close(s);
}

static void every_layer_is_proven_by_attack(void **state)
{
    struct sandbox_layer layers[SANDBOX_MAX_LAYERS];
    const int n = sandbox_prove(jail, layers);
    assert_true(n >= 12);
    for (int i = 0; i < n; i++) {
        if (!layers[i].is_enforced) fail_msg("%s: %s", layers[i].name, layers[i].evidence);
        assert_true(layers[i].evidence[0] != 0);
    }
}

int main(int argc, char **argv)
{
    (void)argv;
    if (!is_jail_possible()) return argc > 1 ? 0 : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_errors_come_back_apart),
        cmocka_unit_test(a_failed_assert_shows_only_the_frames_of_the_cell),
        cmocka_unit_test(a_syntax_error_shows_its_line_and_no_caret),
        cmocka_unit_test(a_deep_traceback_keeps_ten_frames_at_each_end),
        cmocka_unit_test(an_exit_code_is_the_program_s_own),
        cmocka_unit_test(the_program_is_main_and_a_file),
        cmocka_unit_test(exit_handlers_threads_and_finalizers_run),
        cmocka_unit_test(a_thread_s_failure_is_shown_and_does_not_fail_the_program),
        cmocka_unit_test(what_a_version_would_warn_about_stays_quiet),
        cmocka_unit_test(source_is_read_as_a_file_is),
        cmocka_unit_test(a_broken_failure_is_still_a_failure),
        cmocka_unit_test(long_output_keeps_head_and_tail_and_counts_the_rest),
        cmocka_unit_test(output_of_the_size_of_the_limit_is_whole),
        cmocka_unit_test(nothing_of_one_call_is_seen_by_the_next),
        cmocka_unit_test(usual_modules_work),
        cmocka_unit_test(the_stop_flag_ends_the_program),
        cmocka_unit_test(impossible_limits_are_refused),
        cmocka_unit_test(a_program_that_is_too_long_is_refused),
        cmocka_unit_test(hundreds_of_calls_leave_no_descriptor_and_no_process),
        cmocka_unit_test(threads_may_run_programs_at_the_same_time),
        cmocka_unit_test(programs_of_two_threads_cannot_reach_each_other),
        cmocka_unit_test(a_caller_that_is_killed_takes_its_programs_with_it),
        cmocka_unit_test(a_lost_keeper_is_an_error_and_not_a_hang),
        cmocka_unit_test(a_spare_worker_that_died_is_replaced),
        cmocka_unit_test(names_of_levels_and_statuses_are_the_documented_ones),
        cmocka_unit_test(a_python_that_does_not_exist_is_one_clear_line),
        cmocka_unit_test(only_root_gets_the_full_level),
        cmocka_unit_test(the_level_without_namespaces_is_had_by_name_only),
        cmocka_unit_test(every_layer_is_proven_by_attack),
    };
    const int n_failed = cmocka_run_group_tests_name("run", tests, open_jail, close_jail);
    if (argc > 1 || geteuid() != 0) return n_failed;
    return n_failed + again_as_user("again");
}
