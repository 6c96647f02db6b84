/* test_recording.c - a run taken up again from its log, and a run compared with its log. */
#include "agent/record.h"
#include "agent/recording.h"
#include "tests/agent/play.h"

#include <pthread.h>

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

static const struct fake_turn TURNS[] = {
    {"Try. " CALL(BAD "\nassert double(3) == 6"),  false},
    {"b\n</think>\n\n" CALL(GOOD "\nprint('ok')"), false},
    {"c" OPENED(GOOD),                             false},
};

/* A whole run, logged. */
static void record(struct play *p)
{
    init(p, TURNS, COUNT(TURNS));
    p->opts.retry = AGENT_RETRY_REPAIR;
    p->opts.session_path = path;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
}

static char *read_log(size_t *n)
{
    struct str_buf b;
    struct err e = {0};
    str_buf_init(&b, 16 << 20);
    if (file_read(&b, path, &e)) fail_msg("%s", e.text);
    *n = b.n;
    return str_buf_take(&b);
}

static void write_log(const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static size_t count(const char *text, size_t n, const char *word)
{
    size_t times = 0;
    for (size_t i = 0; i + strlen(word) <= n; i++) {
        times += memcmp(text + i, word, strlen(word)) == 0;
    }
    return times;
}

/* A run that was set up, with the log in the given mode. */
static void play_from_log(struct play *p, struct recording **rec, enum recording_mode mode)
{
    struct err e = {0};
    if (recording_open(rec, path, mode, &e)) fail_msg("%s", e.text);
    recording_settings(*rec, &p->opts);
    p->opts.recording = *rec;
    play(p, TASK);
}

/* The run from the log again, in the given mode. */
static void again(struct play *p,
                  struct recording **rec,
                  enum recording_mode mode,
                  size_t n_turns_told)
{
    init(p, TURNS + n_turns_told, COUNT(TURNS) - n_turns_told);
    if (mode == RECORDING_RESUME) p->opts.session_path = path;
    play_from_log(p, rec, mode);
}

/* Cut behind any event, and in the middle of the one after it. */
static void a_run_broken_off_anywhere_ends_as_if_it_had_not_been(void **fixture)
{
    struct play *p = &the_play;
    size_t n;
    record(p);
    char *session = strdup(p->session);
    const size_t n_decoded = p->seen.n_decoded;
    release(p);
    char *log = read_log(&n);
    size_t n_cuts = 0;
    for (size_t i = 0; i < n; i++) {
        if (log[i] != '\n') continue;
        const size_t told = count(log, i + 1, "\"type\":\"turn\"");
        struct recording *rec;
        write_log(log, QA_MIN(n, i + 12));
        again(p, &rec, RECORDING_RESUME, told);
        ends(p, AGENT_ANSWERED, GOOD);
        assert_string_equal(p->session, session);
        /* What was generated is not generated again. */
        if (told) assert_true(p->seen.n_decoded < n_decoded);
        if (told == COUNT(TURNS)) assert_int_equal(p->seen.n_decoded, 0);
        release(p);
        recording_close(rec);
        /* And the log is whole again: it can be compared with a run. */
        again(p, &rec, RECORDING_REPLAY, 0);
        if (recording_difference(rec)) fail_msg("cut at byte %zu: the log differs", i);
        assert_int_equal(recording_n_compared(rec), p->ids.n);
        release(p);
        recording_close(rec);
        n_cuts++;
    }
    assert_true(n_cuts > 10);
    free(log);
    free(session);
}

/* A tiny model's ways: the log has what was in doubt, so that a run taken up again chooses
 * the way that it would have chosen. */
static void a_run_that_branches_goes_on_by_the_same_ways(void **fixture)
{
    static const struct fake_turn turns[] = {
        {"add it\n</think>" CALL("def    return x + 2"), false},
        {"ul it\n</think>" CALL("def    return 3 * x"),  false},
        {"ub it\n</think>" CALL("def    return 2 * x"),  false},
        {"ok" OPENED("def    return 2 * x"),             false},
    };
    static const struct fake_doubt doubts[] = {
        {0, 0, 'm', 1},
        {0, 1, 's', 2},
    };
    struct play *p = &the_play;
    struct recording *rec;
    size_t n;
    init(p, turns, COUNT(turns));
    p->tape.n_params = 5000000;
    p->tape.doubts = doubts;
    p->tape.n_doubts = COUNT(doubts);
    p->opts.session_path = path;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    char *session = strdup(p->session);
    release(p);
    char *log = read_log(&n);
    size_t n_cuts = 0;
    for (size_t i = 0; i < n; i++) {
        if (log[i] != '\n') continue;
        const size_t told = count(log, i + 1, "\"type\":\"turn\"");
        if (told == 0) continue;
        write_log(log, i + 1);
        init(p, turns + told, COUNT(turns) - told);
        p->tape.n_params = 5000000;
        play_from_log(p, &rec, RECORDING_RESUME);
        ends(p, AGENT_ANSWERED, GOOD);
        assert_string_equal(p->session, session);
        release(p);
        recording_close(rec);
        n_cuts++;
    }
    assert_true(n_cuts > 10);
    free(log);
    free(session);
}

/* And by what waits: it is played from the log, and not decoded when its time comes. */
static void a_run_with_a_program_that_waits_goes_on_the_same_way(void **fixture)
{
    static const size_t tape_of_told[] = {0, 1, 2, 3, 3, 4};
    struct play *p = &the_play;
    struct fake_doubt doubts[COUNT(WAITING_DOUBTS)];
    struct recording *rec;
    size_t n;
    wait_with(p, doubts, 0);
    p->opts.session_path = path;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    char *session = strdup(p->session);
    release(p);
    char *log = read_log(&n);
    assert_int_equal(count(log, n, "\"type\":\"turn\""), COUNT(tape_of_told) - 1);
    assert_int_equal(count(log, n, "\"end\":\"aside\""), 1);
    size_t n_cuts = 0;
    for (size_t i = 0; i < n; i++) {
        if (log[i] != '\n') continue;
        const size_t told = count(log, i + 1, "\"type\":\"turn\"");
        write_log(log, i + 1);
        wait_with(p, doubts, tape_of_told[told]);
        play_from_log(p, &rec, RECORDING_RESUME);
        ends(p, AGENT_ANSWERED, GOOD);
        assert_string_equal(p->session, session);
        release(p);
        recording_close(rec);
        n_cuts++;
    }
    assert_true(n_cuts > 15);
    write_log(log, n);
    wait_with(p, doubts, 0);
    play_from_log(p, &rec, RECORDING_REPLAY);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_null(recording_difference(rec));
    release(p);
    recording_close(rec);
    free(log);
    free(session);
}

static void a_replay_runs_no_program_and_finds_no_difference(void **fixture)
{
    struct play *p = &the_play;
    struct recording *rec;
    record(p);
    const size_t n_ids = p->ids.n;
    release(p);
    again(p, &rec, RECORDING_REPLAY, 0);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_null(recording_difference(rec));
    assert_int_equal(recording_n_compared(rec), n_ids);
    release(p);
    recording_close(rec);
}

/* The first token that differs, where it stands and what stands before it. */
static void a_replay_names_the_first_token_that_differs(void **fixture)
{
    struct play *p = &the_play;
    struct recording *rec;
    size_t n;
    record(p);
    const struct ids ids = p->ids;
    p->ids = (struct ids){0};
    release(p);
    char *log = read_log(&n);
    char *turn = strstr(log, "\"type\":\"turn\"");
    assert_non_null(turn);
    char *list = strstr(turn, "\"ids\":[84,114,121,"); /* "Try" */
    assert_non_null(list);
    memcpy(list, "\"ids\":[84,114,122,", 18); /* "Trz" */
    write_log(log, n);
    again(p, &rec, RECORDING_REPLAY, 0);
    const struct recording_difference *d = recording_difference(rec);
    assert_non_null(d);
    assert_int_equal(d->recorded, 'z');
    assert_int_equal(d->now, 'y');
    assert_int_equal(d->iteration, 1);
    assert_string_equal(d->what, "turn");
    assert_int_equal(ids.p[d->position], 'y');
    assert_int_equal(d->before[d->n_before - 1], 'r');
    assert_true(p->seen.n_decoded <= 3); /* it stops there */
    release(p);
    recording_close(rec);
    free(log);
    struct ids all = ids;
    ids_release(&all);
}

static void what_is_no_log_is_refused(void **fixture)
{
    static const char *const texts[] = {
        "", "{\"type\": \"append\"}\n", "nonsense\n",
        "{\"type\": \"start\"}\n{\"type\": \"turn\", \"ids\": [-1]}\n",
        "{\"type\": \"start\"}\n{\"type\": \"turn\"}\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct recording *rec = NULL;
        struct err e = {0};
        write_log(texts[i], strlen(texts[i]));
        assert_int_equal(recording_open(&rec, path, RECORDING_RESUME, &e), QA_E_FORMAT);
        assert_null(rec);
        assert_non_null(strstr(e.text, path));
    }
}

/* In the settings of a run, too: they come out of a file. */
static void a_run_with_impossible_settings_is_refused(void **fixture)
{
    static const struct {
        const char *was, *is, *text;
    } rows[] = {
        {"\"max_iter\":5",             "\"max_iter\":0",
         "its setting 'max_iter' is no whole number from 1 "                                                         },
        {"\"n_draft\":-1",             "\"n_draft\":99",
         "its setting 'n_draft' is no whole number from -1 "                                                         },
        {"\"tool_timeout_ms\":600000", "\"tool_timeout_ms\":-10000",
         "'tool_timeout_ms' is no whole number from 1 "                                                              },
        {"\"top_k\":20",               "\"top_x\":20",               "its setting 'top_k' is no whole number from 0 "},
    };
    struct play *p = &the_play;
    size_t n;
    record(p);
    release(p);
    char *log = read_log(&n);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct recording *rec = NULL;
        struct err e = {0};
        char *changed = strdup(log);
        char *at = strstr(changed, rows[i].was);
        if (!at) fail_msg("no %s in the log", rows[i].was);
        assert_int_equal(strlen(rows[i].was), strlen(rows[i].is));
        memcpy(at, rows[i].is, strlen(rows[i].is));
        write_log(changed, n);
        assert_int_equal(recording_open(&rec, path, RECORDING_RESUME, &e), QA_E_FORMAT);
        assert_null(rec);
        if (!strstr(e.text, rows[i].text)) fail_msg("says '%s'", e.text);
        free(changed);
    }
    free(log);
}

static void *compact_often(void *arg)
{
    struct record r;
    struct err e = {0};
    record_init(&r);
    enum status st = record_line(&r, STR("{\"type\":\"talk\",\"prefix\":[1]}"), &e);
    if (!st) st = record_line(&r, STR("{\"type\":\"message\",\"text\":\"\"}"), &e);
    if (!st) st = record_line(&r, STR("{\"type\":\"done\"}"), &e);
    for (int i = 0; i < 20000 && !st; i++) {
        st = record_line(
            &r, STR("{\"type\":\"compact\",\"ids\":[],\"starts\":[-1],\"summary\":\"\"}"), &e);
    }
    record_release(&r);
    return st ? arg : NULL;
}

/* However often a log says that it was compacted: the stack must do. */
static void a_log_of_many_compactions_fits_a_small_stack(void **fixture)
{
    pthread_attr_t attr;
    pthread_t thread;
    void *failed = NULL;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, 256 << 10), 0);
    assert_int_equal(pthread_create(&thread, &attr, compact_often, path), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    pthread_attr_destroy(&attr);
}

/* Two of three attempts agree, and theirs is the answer. */
static void candidates_are_put_to_the_vote(void **fixture)
{
#define SUM "def double(x):\n    return x + x"
    PLAY({"a\n</think>" BLOCK(SUM), false}, {"b\n</think>" BLOCK(GOOD), false},
         {"c\n</think>" BLOCK(GOOD), false});
    p->opts.n_candidates = 3;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    hasnt(p->notices.p, "repairs");
    has(p, p->notices.p, "3 answers passed; 2 of them agree");
    assert_int_equal(p->n_iterations, 3);
    release(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_broken_off_anywhere_ends_as_if_it_had_not_been,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_run_with_a_program_that_waits_goes_on_the_same_way,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_run_that_branches_goes_on_by_the_same_ways, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_replay_runs_no_program_and_finds_no_difference,
                                        make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_replay_names_the_first_token_that_differs, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(what_is_no_log_is_refused, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_run_with_impossible_settings_is_refused, make_path,
                                        remove_path),
        cmocka_unit_test(a_log_of_many_compactions_fits_a_small_stack),
        cmocka_unit_test(candidates_are_put_to_the_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
