/* run.c - a run of a suite: its order, its log, and going on after a stop. */
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "humaneval/choose.h"
#include "humaneval/report.h"
#include "humaneval/rows.h"
#include "humaneval/waiting.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_ROW = 256 << 20 };

struct run {
    struct scorer *scorer;
    const struct suite_opts *o;
    size_t *chosen; /* owned; indices into scorer->tasks, in order                */
    size_t n_chosen, n_samples;
    double start_s, wall_before_s; /* of this sitting, and all earlier ones together */
    struct rows log, samples;      /* written by the committing thread alone         */
    json_t *manifest;              /* settings and facts                             */

    /* The lock holds all that follows.  It is not held while a sample is solved, nor
     * by the one thread at a time that commits (is_committing) while it writes. */
    pthread_mutex_t lock;
    struct tally tally;
    struct waiting waiting;
    size_t next;        /* sample of the plan that is begun next                  */
    size_t n_committed; /* rows of the log                                        */
    bool is_committing;
    enum status status; /* what ended the run early, and its text                 */
    struct err err;
};

static void path_of(const struct run *r, const char *name, char out[static MAX_PATH])
{
    snprintf(out, MAX_PATH, "%s/%s", r->o->out_dir, name);
}

/* Plan row i: all tasks with their first sample, then all with their second. */
static const struct task *task_at(const struct run *r, size_t i, int *i_sample)
{
    *i_sample = (int)(i / r->n_chosen);
    return &r->scorer->tasks[r->chosen[i % r->n_chosen]];
}

static enum status append_json(struct rows *rows, json_t *o, struct err *e)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(o);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    const enum status st = rows_append(rows, str_of(text), e);
    free(text);
    return st;
}

/* ---- one sample ---- */

/* With the lock held. */
static void tell(const struct run *r, struct suite_event ev)
{
    if (!r->o->event) return;
    ev.stats = &r->tally.stats;
    r->o->event(r->o->event_ctx, &ev);
}

/* Have sample i of the plan judged, and count it. */
static enum status judge(struct run *r, size_t i, const struct entry *rec, struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    struct score score;
    const enum status st = scorer_judge(
        r->scorer, i, t->task_id, (struct str){rec->code.completion, rec->code.n}, &score, e);
    if (st) return st;
    pthread_mutex_lock(&r->lock);
    tally_add(&r->tally, i % r->n_chosen, t->task_id, i_sample, rec, &score);
    tell(r, (struct suite_event){.type = SUITE_TASK_DONE,
                                 .task_id = t->task_id,
                                 .i_sample = i_sample,
                                 .attempt = &rec->attempt,
                                 .verdict = entry_class(rec, &score)});
    pthread_mutex_unlock(&r->lock);
    return QA_OK;
}

static void sync_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return; /* a solver may write none */
    fsync(fd);
    close(fd);
}

/* Sample i is next in the log: its row, then the sample's row, then the verdict. */
static enum status commit(struct run *r, size_t i, struct entry *rec, struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    struct str_buf row;
    rec->wall_s = r->wall_before_s + clock_now_s() - r->start_s;
    enum status st = append_json(&r->log, entry_to_json(rec, t->task_id, i_sample), e);
    str_buf_init(&row, MAX_ROW);
    entry_add_sample_row(&row, rec, t->task_id);
    if (!st) st = str_buf_check(&row, "a sample", e);
    if (!st) st = rows_append(&r->samples, str_buf_str(&row), e);
    str_buf_release(&row);
    if (!st) waiting_forget(&r->waiting, i);
    return st ? st : judge(r, i, rec, e);
}

/* Everything whose turn has come, by one thread; the others go on solving.  Called and
 * left with the lock held. */
static enum status commit_ready(struct run *r, struct err *e)
{
    enum status st = QA_OK;
    if (r->is_committing) return QA_OK;
    r->is_committing = true;
    for (;;) {
        struct entry *rec = waiting_take(&r->waiting, r->n_committed);
        if (!rec) break;
        const size_t i = r->n_committed;
        pthread_mutex_unlock(&r->lock);
        st = commit(r, i, rec, e);
        entry_release(rec);
        free(rec);
        pthread_mutex_lock(&r->lock);
        if (st) break;
        r->n_committed++;
    }
    r->is_committing = false;
    return st;
}

static bool is_in_order(struct run *r, size_t i)
{
    pthread_mutex_lock(&r->lock);
    const bool is_next = i == r->n_committed;
    pthread_mutex_unlock(&r->lock);
    return is_next;
}

/* Solve sample i; it is in the log, or waits for its turn there, on return. */
static enum status run_sample(struct run *r,
                              const struct solver *solver,
                              size_t i,
                              struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    char name[MAX_PATH / 2];
    char path[MAX_PATH];
    report_transcript_name(t->task_id, i_sample, name, sizeof name);
    path_of(r, name, path);
    unlink(path); /* of a sample that was not finished */
    struct entry rec = {0};
    enum status st = solver->solve(solver->ctx, t, i_sample, path, &rec.attempt, e);
    if (st) {
        unlink(path);
        return st;
    }
    sync_file(path);
    st = entry_extract(&rec, t, e);
    if (!st && !is_in_order(r, i)) {
        st = waiting_save(&r->waiting, i, &rec, t->task_id, i_sample, e);
    }
    pthread_mutex_lock(&r->lock);
    if (!st) st = waiting_put(&r->waiting, i, &rec, e);
    if (st) {
        entry_release(&rec);
    } else {
        st = commit_ready(r, e);
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}

/* The next sample that is to be solved; false when there is none, or the run has ended. */
static bool begin_sample(struct run *r, int i_job, size_t *i)
{
    pthread_mutex_lock(&r->lock);
    while (r->next < r->n_samples && r->waiting.r[r->next]) {
        r->next++; /* finished in an earlier sitting */
    }
    if (!r->status && r->o->stop && *r->o->stop) {
        r->status = err_set(&r->err, QA_E_STOP, "interrupted");
    }
    const bool has_one = !r->status && r->next < r->n_samples;
    if (has_one) {
        int i_sample;
        *i = r->next++;
        const struct task *t = task_at(r, *i, &i_sample);
        tell(r, (struct suite_event){.type = SUITE_TASK_STARTED,
                                     .task_id = t->task_id,
                                     .i_sample = i_sample,
                                     .i_job = i_job});
    }
    pthread_mutex_unlock(&r->lock);
    return has_one;
}

struct job {
    struct run *r;
    int i;
};

static void *run_job(void *arg)
{
    const struct job *j = arg;
    struct run *r = j->r;
    size_t i = 0;
    while (begin_sample(r, j->i, &i)) {
        struct err e = {0};
        const enum status st = run_sample(r, &r->o->solvers[j->i], i, &e);
        pthread_mutex_lock(&r->lock);
        if (st && !r->status) {
            r->status = st;
            r->err = e;
        }
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* All jobs, the first by the caller: one job needs no thread. */
static enum status run_jobs(struct run *r, struct err *e)
{
    struct job jobs[SUITE_MAX_JOBS];
    pthread_t threads[SUITE_MAX_JOBS];
    int n = 1;
    ASSERT(r->o->n_jobs >= 1 && r->o->n_jobs <= SUITE_MAX_JOBS);
    for (int i = 0; i < r->o->n_jobs; i++) {
        jobs[i] = (struct job){r, i};
    }
    while (n < r->o->n_jobs && !pthread_create(&threads[n], NULL, run_job, &jobs[n])) {
        n++;
    }
    run_job(&jobs[0]);
    while (--n > 0) {
        pthread_join(threads[n], NULL);
    }
    if (r->status && e) *e = r->err;
    return r->status;
}

/* ---- the folder ---- */

static enum status write_summary(struct run *r, const char *state, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "summary.json", path);
    json_t *o = json_pack("{s:i, s:s}", "schema", 1, "state", state);
    json_object_update(o, r->manifest);
    json_object_set_new(o, "results", report_stats_json(&r->tally.stats));
    json_object_set(o, "samples", r->tally.verdicts);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    struct str_buf b;
    str_buf_init(&b, MAX_ROW);
    str_buf_add_z(&b, text);
    str_buf_add_char(&b, '\n');
    free(text);
    enum status st = str_buf_check(&b, "the summary", e);
    if (!st) st = file_write(path, str_buf_str(&b), e);
    str_buf_release(&b);
    return st;
}

static void shorten(const json_t *v, char out[static 64])
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    snprintf(out, 64, "%.60s", text ? text : "nothing");
    free(text);
}

/* The run in the folder has to have been made with the same settings. */
static enum status compare_settings(struct run *r, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "summary.json", path);
    json_error_t je;
    json_t *old = json_load_file(path, 0, &je);
    if (!old)
        return err_set(e, QA_E_FORMAT, "cannot read '%s': line %d: %s", path, je.line, je.text);
    const json_t *was = json_object_get(old, "settings");
    json_t *is = json_object_get(r->manifest, "settings");
    const char *key;
    json_t *value;
    enum status st = QA_OK;
    json_object_foreach(is, key, value)
    {
        const json_t *before = json_object_get(was, key);
        if (st || json_equal(before, value)) continue;
        char a[64];
        char b[64];
        shorten(before, a);
        shorten(value, b);
        st = err_set(e, QA_E_USAGE, "cannot resume '%s': '%s' was %s and is now %s",
                     r->o->out_dir, key, a, b);
    }
    json_decref(old);
    return st;
}

/* A kill between writing a file and renaming it leaves "summary.json.tmp123" behind. */
static void remove_leftovers(const char *dir)
{
    static const char *const OURS[] = {"summary.json.tmp", "samples.jsonl.tmp",
                                       "report.html.tmp"};
    DIR *d = opendir(dir);
    for (const struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        for (size_t i = 0; i < COUNT(OURS); i++) {
            if (str_starts(str_of(f->d_name), str_of(OURS[i])))
                unlinkat(dirfd(d), f->d_name, 0);
        }
    }
    if (d) closedir(d);
}

static enum status open_folder(struct run *r, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "transcripts", path);
    enum status st = file_make_dirs(path, e);
    path_of(r, "tasks.jsonl", path);
    if (!st) st = rows_open(&r->log, path, 0, e);
    if (st) return st;
    char summary[MAX_PATH];
    path_of(r, "summary.json", summary);
    const bool has_run = access(summary, F_OK) == 0 || r->log.n;
    if (has_run && !r->o->want_resume) {
        return err_set(e, QA_E_USAGE, "folder '%s' holds a run; --resume goes on with it",
                       r->o->out_dir);
    }
    remove_leftovers(r->o->out_dir);
    return QA_OK;
}

/* samples.jsonl follows from the log; what a kill left of it is put right. */
static enum status open_samples(struct run *r, const struct str_buf *want, struct err *e)
{
    char path[MAX_PATH];
    path_of(r, "samples.jsonl", path);
    enum status st = rows_open(&r->samples, path, 0, e);
    if (st || str_eq(str_buf_str(&r->samples.text), str_buf_str(want))) return st;
    rows_close(&r->samples);
    st = file_write(path, str_buf_str(want), e);
    return st ? st : rows_open(&r->samples, path, 0, e);
}

/* Row i of the log as a record; it has to be of plan row i. */
static enum status read_entry(const struct run *r,
                              size_t i,
                              struct str line,
                              struct entry *out,
                              struct err *e)
{
    int i_sample;
    const struct task *t = task_at(r, i, &i_sample);
    json_t *o = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
    const json_t *id = json_object_get(o, "task_id");
    const struct str is = {json_string_value(id), json_string_length(id)};
    enum status st = QA_OK;
    if (!o || !is.p || !str_eq(is, t->task_id) ||
        json_integer_value(json_object_get(o, "sample")) != i_sample ||
        !entry_of_json(out, o)) {
        st = err_set(e, QA_E_FORMAT, "cannot read '%s': line %zu: not the row of task '%.*s'",
                     r->log.path, i + 1, (int)QA_MIN(t->task_id.n, (size_t)80), t->task_id.p);
    }
    json_decref(o);
    return st;
}

/* What is finished already: count it, have it judged where the verdict is missing. */
static enum status resume(struct run *r, struct err *e)
{
    struct str_buf samples;
    str_buf_init(&samples, (size_t)4 << 30);
    const size_t n = r->log.n;
    struct entry *done = calloc(n ? n : 1, sizeof *done);
    enum status st = QA_OK;
    if (!done) st = err_set(e, QA_E_NOMEM, "out of memory");
    if (n > r->n_samples) {
        st =
            err_set(e, QA_E_FORMAT, "'%s' has more rows than the run has samples", r->log.path);
    }
    struct str rest = str_buf_str(&r->log.text);
    struct str line;
    for (size_t i = 0; i < n && !st && dataset_next_line(&rest, &line); i++) {
        int i_sample;
        st = read_entry(r, i, line, &done[i], e);
        if (st) break;
        entry_add_sample_row(&samples, &done[i], task_at(r, i, &i_sample)->task_id);
        str_buf_add_char(&samples, '\n');
    }
    if (!st) st = str_buf_check(&samples, "the samples", e);
    if (!st) st = open_samples(r, &samples, e);
    str_buf_release(&samples);
    if (!st) st = scorer_begin(r->scorer, r->o->out_dir, n, e);
    if (!st) {
        json_t *settings = json_object_get(r->manifest, "settings");
        json_object_set_new(settings, "python", json_string(r->scorer->python_version));
        json_object_set_new(json_object_get(r->manifest, "facts"), "sandbox",
                            json_string(r->scorer->sandbox_statement));
        char path[MAX_PATH];
        path_of(r, "summary.json", path);
        if (access(path, F_OK) == 0) st = compare_settings(r, e);
    }
    for (size_t i = 0; i < n && !st; i++) {
        st = judge(r, i, &done[i], e);
        r->wall_before_s = QA_MAX(r->wall_before_s, done[i].wall_s);
    }
    r->n_committed = n;
    for (size_t i = n; i < r->n_samples && !st; i++) {
        int i_sample;
        const struct task *t = task_at(r, i, &i_sample);
        st = waiting_load(&r->waiting, i, t->task_id, i_sample, e);
    }
    r->next = n;
    if (!st) {
        pthread_mutex_lock(&r->lock);
        st = commit_ready(r, e);
        pthread_mutex_unlock(&r->lock);
    }
    for (size_t i = 0; done && i < n; i++) {
        entry_release(&done[i]);
    }
    free(done);
    return st;
}

static enum status prepare(struct run *r, struct err *e)
{
    enum status st = choose_tasks(&r->chosen, &r->n_chosen, r->scorer, r->o, e);
    if (st) return st;
    r->n_samples = r->n_chosen * (size_t)r->o->n_samples;
    r->manifest = json_object();
    if (!r->manifest) return err_set(e, QA_E_NOMEM, "out of memory");
    json_object_set_new(r->manifest, "settings", json_deep_copy(r->o->settings));
    json_object_set_new(r->manifest, "facts", json_deep_copy(r->o->facts));
    st = tally_init(&r->tally, r->n_chosen, e);
    if (!st) st = waiting_init(&r->waiting, r->o->out_dir, r->n_samples, e);
    r->tally.stats.n_samples = r->n_samples;
    r->tally.stats.n_jobs = r->o->n_jobs;
    if (!st) st = open_folder(r, e);
    return st ? st : resume(r, e);
}

static void run_release(struct run *r)
{
    rows_close(&r->log);
    rows_close(&r->samples);
    json_decref(r->manifest);
    tally_release(&r->tally);
    waiting_release(&r->waiting);
    free(r->chosen);
    pthread_mutex_destroy(&r->lock);
}

enum status suite_run(struct scorer *scorer,
                      const struct suite_opts *o,
                      struct suite_stats *out,
                      struct err *e)
{
    struct run r = {.scorer = scorer,
                    .o = o,
                    .log = {.fd = -1},
                    .samples = {.fd = -1},
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .start_s = clock_now_s()};
    enum status st = prepare(&r, e);
    const bool is_prepared = !st;
    if (!st) st = write_summary(&r, "running", e);
    if (!st) {
        tell(&r,
             (struct suite_event){.type = SUITE_STARTED, .n_resumed = r.tally.stats.n_done});
        st = run_jobs(&r, e);
    }
    if (is_prepared) {
        const char *state = !st ? "complete" : st == QA_E_STOP ? "interrupted" : "failed";
        struct err late = {0};
        const enum status wrote = write_summary(&r, state, &late);
        if (!st) waiting_clean(&r.waiting);
        if (wrote && !st) {
            st = wrote;
            if (e) *e = late;
        }
    }
    *out = r.tally.stats;
    run_release(&r);
    return st;
}
