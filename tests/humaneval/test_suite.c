/* test_suite.c - whole runs: their files, going on after a stop, and what the process
 * that answers can see. */
#include "humaneval/suite.h"
#include "tests/humaneval/rundir.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Text of a file of rows with the one thing that differs from run to run cut out. */
static void read_without_clock(struct str_buf *out, const char *name)
{
    const struct str key = STR(",\"wall_s\":");
    struct str_buf all;
    read_all(&all, name);
    str_buf_init(out, 64 << 20);
    struct str rest = str_buf_str(&all);
    while (rest.n) {
        const size_t at = str_find(rest, key);
        str_buf_add(out, str_cut(rest, 0, at));
        rest = at == SIZE_MAX ? (struct str){"", 0} : str_cut(rest, at + key.n, rest.n);
        while (at != SIZE_MAX && rest.n && strchr("0123456789.eE+-", rest.p[0])) {
            rest = str_cut(rest, 1, rest.n);
        }
    }
    str_buf_release(&all);
}

/* ---- a solver of our own: the reference solutions of the mini suite ---- */

struct knower {
    struct dataset *d;
    int n_calls;
    int stop_at; /* QA_E_STOP in place of this call; 0: never */
};

static enum status know(void *ctx,
                        const struct task *t,
                        int i_sample,
                        const char *transcript_path,
                        struct attempt *out,
                        struct err *e)
{
    struct knower *k = ctx;
    (void)i_sample;
    if (++k->n_calls == k->stop_at) return err_set(e, QA_E_STOP, "interrupted");
    const struct problem *p = dataset_find(k->d, t->task_id);
    struct str_buf b;
    str_buf_init(&b, 1 << 20);
    str_buf_add_z(&b, "```python\n");
    str_buf_add(&b, p->prompt);
    str_buf_add(&b, str_starts(t->task_id, STR("mini/1")) ? STR("    return 7\n")
                                                          : p->canonical_solution);
    str_buf_add_z(&b, "```\n");
    assert_int_equal(file_write(transcript_path, STR("{\"type\": \"x\"}\n"), e), QA_OK);
    *out = (struct attempt){.n_answer = b.n, .n_iterations = 2, .n_generated_tokens = 10};
    out->answer = str_buf_take(&b);
    return QA_OK;
}

struct fixture {
    struct knower knower;
    struct solver solver;
    struct suite_opts o;
};

static void fixture_init(struct fixture *f, int64_t limit, bool want_resume)
{
    *f = (struct fixture){0};
    assert_int_equal(dataset_open_bytes(&f->knower.d, dataset_mini(), "mini", NULL), QA_OK);
    f->solver = (struct solver){&f->knower, know};
    f->o = (struct suite_opts){
        .out_dir = dir,
        .want_resume = want_resume,
        .limit = limit,
        .n_samples = 1,
        .solvers = &f->solver,
        .n_jobs = 1,
        .settings = json_pack("{s:s, s:s, s:i}", "suite", "mini", "mode", "test", "seed", 1),
        .facts = json_pack("{s:s}", "version", "test"),
    };
}

static void fixture_release(struct fixture *f)
{
    dataset_close(f->knower.d);
    json_decref(f->o.settings);
    json_decref(f->o.facts);
}

static enum status run(struct fixture *f, struct suite_stats *stats, struct err *e)
{
    struct scorer scorer = {0};
    const struct scorer_opts so = {
        .source = {"mini", NULL, ""},
          .limits = {.timeout_s = 5   }
    };
    enum status st = scorer_open(&scorer, &so, e);
    assert_int_equal(st, QA_OK);
    st = suite_run(&scorer, &f->o, stats, e);
    scorer_close(&scorer);
    return st;
}

static void must_run(struct fixture *f, struct suite_stats *stats)
{
    struct err e = {0};
    if (run(f, stats, &e)) fail_msg("%s", e.text);
}

/* ---- tests ---- */

static void a_run_leaves_every_file_complete(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct fixture f;
    struct suite_stats stats = {0};
    fixture_init(&f, 4, false);
    must_run(&f, &stats);
    assert_int_equal(stats.n_done, 4);
    assert_int_equal(stats.n_passed, 3); /* mini/1 is answered wrongly */
    assert_true(stats.pass_at_1 == 0.75);
    assert_int_equal(stats.by_class[CLASS_MODEL], 1);
    assert_int_equal(stats.iterations[2], 4);
    static const char *const FILES[] = {
        "tasks.jsonl",  "samples.jsonl", "results.jsonl",           "scores.jsonl",
        "summary.json", "report.html",   "transcripts/mini_3.jsonl"};
    struct err e = {0};
    if (report_write_html(dir, &e)) fail_msg("%s", e.text);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        struct str_buf b;
        read_all(&b, FILES[i]);
        assert_true(b.n > 0 && b.p[b.n - 1] == '\n');
        str_buf_release(&b);
    }
    struct str_buf page;
    read_all(&page, "report.html");
    assert_true(str_find(str_buf_str(&page), STR("{{data}}")) == SIZE_MAX);
    str_buf_release(&page);
    fixture_release(&f);
}

static void a_stopped_run_goes_on_where_it_was(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct fixture f;
    struct suite_stats stats = {0};
    struct err e = {0};
    fixture_init(&f, 5, false);
    f.knower.stop_at = 4;
    assert_int_equal(run(&f, &stats, &e), QA_E_STOP);
    assert_int_equal(stats.n_done, 3);
    fixture_release(&f);
    struct str_buf summary;
    read_all(&summary, "summary.json");
    assert_true(str_find(str_buf_str(&summary), STR("\"interrupted\"")) != SIZE_MAX);
    str_buf_release(&summary);

    fixture_init(&f, 5, true);
    must_run(&f, &stats);
    assert_int_equal(f.knower.n_calls, 2);
    assert_int_equal(stats.n_done, 5);
    assert_int_equal(stats.n_passed, 4);
    fixture_release(&f);
}

static void torn_lines_are_cut_and_cost_only_themselves(void **state)
{
    (void)state;
    if (!has_jail) skip();
    static const char *const FILES[] = {"tasks.jsonl", "samples.jsonl", "results.jsonl",
                                        "scores.jsonl"};
    struct fixture f;
    struct suite_stats stats = {0};
    fixture_init(&f, 3, false);
    must_run(&f, &stats);
    fixture_release(&f);
    struct str_buf whole[COUNT(FILES)];
    for (size_t i = 0; i < COUNT(FILES); i++) {
        read_without_clock(&whole[i], FILES[i]);
    }
    for (size_t i = 0; i < COUNT(FILES); i++) { /* tear each file alone, in its last line */
        struct stat st;
        const char *const path = path_in(FILES[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 5), 0);
        fixture_init(&f, 3, true);
        must_run(&f, &stats);
        assert_int_equal(stats.n_passed, 2);
        assert_int_equal(f.knower.n_calls, i == 0 ? 1 : 0);
        fixture_release(&f);
        for (size_t k = 0; k < 3; k++) {
            struct str_buf again;
            read_without_clock(&again, FILES[k]);
            if (!str_eq(str_buf_str(&again), str_buf_str(&whole[k]))) {
                fail_msg("%s torn: %s differs", FILES[i], FILES[k]);
            }
            str_buf_release(&again);
        }
    }
    for (size_t i = 0; i < COUNT(FILES); i++) {
        str_buf_release(&whole[i]);
    }
}

/* ---- several samples in flight ---- */

enum { N_JOBS = 4 };

/* Solvers that share what they know and finish out of order: even samples are slow. */
struct crew {
    struct fixture f;
    pthread_mutex_t lock;
    int n_running, most_running, n_calls, stop_at;
    struct solver solvers[N_JOBS];
};

static int n_finished(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    const int n = c->n_calls - c->n_running;
    pthread_mutex_unlock(&c->lock);
    return n;
}

static enum status know_slowly(void *ctx,
                               const struct task *t,
                               int i_sample,
                               const char *transcript_path,
                               struct attempt *out,
                               struct err *e)
{
    struct crew *c = ctx;
    pthread_mutex_lock(&c->lock);
    const int n = ++c->n_calls;
    c->n_running++;
    c->most_running = QA_MAX(c->most_running, c->n_running);
    pthread_mutex_unlock(&c->lock);
    const long ms = n % 3 == 1 ? 60 : 5;
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
    struct knower own = c->f.knower; /* its counter is not for several threads */
    const bool is_stopped = c->stop_at && str_eq(t->task_id, STR("mini/0"));
    while (is_stopped && n_finished(c) < 3) { /* later samples are done before */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    const enum status st = is_stopped ? err_set(e, QA_E_STOP, "interrupted")
                                      : know(&own, t, i_sample, transcript_path, out, e);
    pthread_mutex_lock(&c->lock);
    c->n_running--;
    pthread_mutex_unlock(&c->lock);
    return st;
}

static void crew_init(struct crew *c, int64_t limit, bool want_resume)
{
    *c = (struct crew){.lock = PTHREAD_MUTEX_INITIALIZER};
    fixture_init(&c->f, limit, want_resume);
    for (int i = 0; i < N_JOBS; i++) {
        c->solvers[i] = (struct solver){c, know_slowly};
    }
    c->f.o.solvers = c->solvers;
    c->f.o.n_jobs = N_JOBS;
}

static void samples_in_flight_leave_the_files_of_a_run_one_by_one(void **state)
{
    (void)state;
    if (!has_jail) skip();
    static const char *const FILES[] = {"tasks.jsonl", "samples.jsonl", "results.jsonl"};
    struct fixture f;
    struct suite_stats stats = {0};
    struct str_buf want[COUNT(FILES)];
    fixture_init(&f, 8, false);
    f.o.n_samples = 2;
    must_run(&f, &stats);
    fixture_release(&f);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        read_without_clock(&want[i], FILES[i]);
    }
    remove_dir(NULL);
    assert_int_equal(make_dir(NULL), 0);

    struct crew c;
    crew_init(&c, 8, false);
    c.f.o.n_samples = 2;
    must_run(&c.f, &stats);
    assert_int_equal(c.n_calls, 16);
    assert_true(c.most_running > 1);
    assert_int_equal(stats.n_done, 16);
    fixture_release(&c.f);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        struct str_buf got;
        read_without_clock(&got, FILES[i]);
        if (!str_eq(str_buf_str(&got), str_buf_str(&want[i]))) fail_msg("%s differs", FILES[i]);
        str_buf_release(&got);
        str_buf_release(&want[i]);
    }
    assert_int_equal(access(path_in("waiting"), F_OK), -1);
}

/* The first sample is interrupted while later ones are done: they wait for the next
 * sitting and are not solved again. */
static void finished_samples_that_wait_are_kept_over_a_stop(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct crew c;
    struct suite_stats stats = {0};
    struct err e = {0};
    crew_init(&c, 8, false);
    c.stop_at = 1;
    assert_int_equal(run(&c.f, &stats, &e), QA_E_STOP);
    const int n_first = c.n_calls;
    assert_int_equal(stats.n_done, 0); /* none may overtake it in the log */
    assert_true(n_first > 2);
    fixture_release(&c.f);

    crew_init(&c, 8, true);
    must_run(&c.f, &stats);
    assert_int_equal(stats.n_done, 8);
    assert_int_equal(stats.n_passed, 7);
    assert_int_equal(n_first + c.n_calls, 9); /* the interrupted one alone twice */
    fixture_release(&c.f);
}

static void other_settings_are_refused_by_name(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct fixture f;
    struct suite_stats stats = {0};
    struct err e = {0};
    fixture_init(&f, 1, false);
    must_run(&f, &stats);
    f.o.want_resume = false;
    assert_int_equal(run(&f, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "--resume"));
    f.o.want_resume = true;
    json_object_set_new(f.o.settings, "seed", json_integer(2));
    assert_int_equal(run(&f, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "'seed' was 1 and is now 2"));
    assert_int_equal(f.knower.n_calls, 1);
    fixture_release(&f);
}

static void tasks_are_chosen_by_number_range_id_limit_and_shard(void **state)
{
    (void)state;
    if (!has_jail) skip();
    static const struct {
        const char *tasks;
        int64_t limit;
        int shard, n_shards;
        const char *want;
    } CASES[] = {
        {"3",          0, 0, 0, "mini/3"                     },
        {"5-7,mini/2", 0, 0, 0, "mini/2 mini/5 mini/6 mini/7"},
        {"9,5-7",      2, 0, 0, "mini/5 mini/6"              },
        {"0-4",        0, 2, 2, "mini/1 mini/3"              },
        {"0-4",        0, 1, 2, "mini/0 mini/2 mini/4"       },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct fixture f;
        struct suite_stats stats = {0};
        struct err e = {0};
        struct str_buf got;
        str_buf_init(&got, 1000);
        fixture_init(&f, CASES[i].limit, true);
        f.o.tasks = CASES[i].tasks;
        f.o.shard = CASES[i].shard;
        f.o.n_shards = CASES[i].n_shards;
        if (run(&f, &stats, &e)) fail_msg("%s", e.text);
        struct str_buf rows;
        read_all(&rows, "samples.jsonl");
        struct str rest = str_buf_str(&rows);
        struct str line;
        while (dataset_next_line(&rest, &line)) {
            const struct str id = str_cut(line, 13, line.n);
            if (got.n) str_buf_add_char(&got, ' ');
            str_buf_add(&got, str_cut(id, 0, str_find(id, STR("\""))));
        }
        assert_string_equal(got.p, CASES[i].want);
        str_buf_release(&got);
        str_buf_release(&rows);
        fixture_release(&f);
        remove_dir(NULL);
        assert_int_equal(make_dir(NULL), 0);
    }
    struct fixture f;
    struct suite_stats stats = {0};
    struct err e = {0};
    fixture_init(&f, 0, false);
    f.o.tasks = "3,900";
    assert_int_equal(run(&f, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "no task '900'"));
    fixture_release(&f);
}

static void one_process_at_a_time_in_a_folder(void **state)
{
    (void)state;
    if (!has_jail) skip();
    struct fixture f;
    struct suite_stats stats = {0};
    struct err e = {0};
    const int fd = open(path_in("tasks.jsonl"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    fixture_init(&f, 1, true);
    assert_int_equal(run(&f, &stats, &e), QA_E_USAGE);
    assert_non_null(strstr(e.text, "in use"));
    close(fd);
    fixture_release(&f);
}

/* ---- what the answering process can see ---- */

/* A marker that is never in this process's memory as a whole: byte i is made on demand. */
enum { N_MARKER = 24 };
static char marker_byte(size_t i)
{
    static const unsigned char SEED[N_MARKER] = "QwErTyUiOpAsDfGhJkLzXcV";
    return (char)('a' + (SEED[i] * 7u + i * 13u) % 26u);
}

static bool is_marker_at(const char *p)
{
    for (size_t i = 0; i < N_MARKER; i++) {
        if (p[i] != marker_byte(i)) return false;
    }
    return true;
}

static bool has_marker(struct str s)
{
    for (size_t i = 0; i + N_MARKER <= s.n; i++) {
        if (is_marker_at(s.p + i)) return true;
    }
    return false;
}

/* Written by a child, so that the marker never passes through this process. */
static void write_marked_suite(const char *path)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char m[N_MARKER + 1] = {0};
        for (size_t i = 0; i < N_MARKER; i++) {
            m[i] = marker_byte(i);
        }
        FILE *f = fopen(path, "we");
        if (!f) _exit(1);
        fprintf(f,
                "{\"task_id\": \"t/0\", \"prompt\": \"def f():\\n    '''One.'''\\n\", "
                "\"entry_point\": \"f\", \"canonical_solution\": \"    return 1 # %s\\n\", "
                "\"test\": \"def check(c):\\n    assert c() == 1, '%s'\\n\"}\n",
                m, m);
        _exit(fclose(f) ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static size_t count_in_own_memory(size_t *n_scanned)
{
    size_t n_found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    const int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(mem >= 0);
    /* The copy must not find itself: it gets a mapping of its own, between two that
     * cannot be read, so that it never joins a neighbour. */
    enum { BLOCK = 1 << 20, EDGE = 1 << 16 };
    char *all = mmap(NULL, BLOCK + 3 * EDGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED);
    char *block = all + EDGE;
    assert_int_equal(mprotect(block, BLOCK + EDGE, PROT_READ | PROT_WRITE), 0);
    unsigned long from;
    unsigned long to;
    char mode[8];
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
        if (from == (unsigned long)block) continue;
        if (to - from > 1ul << 32) continue; /* address space set aside by a sanitizer */
        for (unsigned long at = from; at < to; at += BLOCK) {
            const ssize_t n = pread(mem, block, BLOCK + N_MARKER - 1, (off_t)at);
            if (n <= 0) continue;
            *n_scanned += (size_t)n;
            n_found += has_marker((struct str){block, (size_t)n});
        }
    }
    munmap(all, BLOCK + 3 * EDGE);
    close(mem);
    fclose(maps);
    return n_found;
}

struct watcher {
    size_t n_found, n_scanned, n_calls;
};

static enum status watch(void *ctx,
                         const struct task *t,
                         int i_sample,
                         const char *transcript_path,
                         struct attempt *out,
                         struct err *e)
{
    struct watcher *w = ctx;
    (void)i_sample;
    (void)e;
    (void)transcript_path;
    w->n_calls++;
    assert_false(has_marker(t->prompt));
    w->n_found += count_in_own_memory(&w->n_scanned);
    *out = (struct attempt){.answer = strdup("```python\ndef f():\n    return 2\n```"),
                            .n_answer = 35};
    out->n_answer = strlen(out->answer);
    return QA_OK;
}

static void hidden_tests_never_enter_the_answering_process(void **state)
{
    (void)state;
    if (!has_jail) skip();
    const char *const path = path_in("marked.jsonl");
    write_marked_suite(path);
    struct watcher w = {0};
    struct scorer scorer = {0};
    struct suite_stats stats = {0};
    struct err e = {0};
    const char *const out_dir = path_in("run");
    const struct scorer_opts so = {
        .source = {path, NULL, ""},
          .limits = {.timeout_s = 5 }
    };
    if (scorer_open(&scorer, &so, &e)) fail_msg("%s", e.text);
    json_t *settings = json_object();
    json_t *facts = json_object();
    const struct solver watcher = {&w, watch};
    const struct suite_opts o = {.out_dir = out_dir,
                                 .n_samples = 2,
                                 .solvers = &watcher,
                                 .n_jobs = 1,
                                 .settings = settings,
                                 .facts = facts};
    if (suite_run(&scorer, &o, &stats, &e)) fail_msg("%s", e.text);
    w.n_found += count_in_own_memory(&w.n_scanned); /* the verdict is back: still nothing */
    assert_int_equal(w.n_calls, 2);
    assert_int_equal(stats.n_passed, 0);
    assert_true(w.n_scanned > 100000);
    assert_int_equal(w.n_found, 0);
    /* The marker is where it belongs, so the search works: the failure quotes the test. */
    struct str_buf results;
    read_all(&results, "run/results.jsonl");
    assert_true(has_marker(str_buf_str(&results)));
    /* In two kinds of memory, so that the control does not hang on where one buffer lies. */
    static char copy[4096];
    memcpy(copy, results.p, QA_MIN(results.n, sizeof copy));
    assert_true(has_marker((struct str){copy, sizeof copy}));
    assert_true(count_in_own_memory(&w.n_scanned) > 0);
    str_buf_release(&results);
    static const char *const CLEAN[] = {"run/tasks.jsonl", "run/samples.jsonl",
                                        "run/summary.json"};
    for (size_t i = 0; i < COUNT(CLEAN); i++) {
        struct str_buf b;
        read_all(&b, CLEAN[i]);
        assert_false(has_marker(str_buf_str(&b)));
        str_buf_release(&b);
    }
    scorer_close(&scorer);
    json_decref(settings);
    json_decref(facts);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(hidden_tests_never_enter_the_answering_process),
        IN_FOLDER(a_run_leaves_every_file_complete),
        IN_FOLDER(a_stopped_run_goes_on_where_it_was),
        IN_FOLDER(torn_lines_are_cut_and_cost_only_themselves),
        IN_FOLDER(samples_in_flight_leave_the_files_of_a_run_one_by_one),
        IN_FOLDER(finished_samples_that_wait_are_kept_over_a_stop),
        IN_FOLDER(other_settings_are_refused_by_name),
        IN_FOLDER(tasks_are_chosen_by_number_range_id_limit_and_shard),
        IN_FOLDER(one_process_at_a_time_in_a_folder),
    };
    return cmocka_run_group_tests_name("humaneval/suite", tests, check_jail, NULL);
}
