/* samples.c - a file of samples judged: results.jsonl and pass@k. */
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "humaneval/humaneval.h"
#include "humaneval/pyjson.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const size_t MAX_SAMPLES_BYTES = (size_t)2 << 30;

struct sample {
    struct pyjson_row row;
    const struct problem *problem;
    struct str completion; /* owned */
    struct verdict verdict;
    bool is_done;
};
struct job {
    struct sandbox *sandbox;
    const struct score_opts *o;
    struct sample *p;
    size_t n, cap;
    pthread_mutex_t lock; /* next, n_done, status, err and the progress call */
    size_t next, n_done;
    enum status status;
    struct err err;
};

static void job_release(struct job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        pyjson_row_release(&j->p[i].row);
        free((void *)(uintptr_t)j->p[i].completion.p);
        verdict_release(&j->p[i].verdict);
    }
    free(j->p);
    pthread_mutex_destroy(&j->lock);
}

/* ---- reading ---- */

static enum status string_member(const struct pyjson_row *row,
                                 const char *name,
                                 struct str_buf *out,
                                 struct err *e)
{
    const struct str value = pyjson_row_find(row, name);
    str_buf_init(out, MAX_SAMPLES_BYTES);
    if (!value.p) return err_set(e, QA_E_FORMAT, "field '%s' is missing", name);
    if (pyjson_decode(value, out)) return str_buf_check(out, name, e);
    return err_set(e, QA_E_FORMAT, "field '%s' is not a string", name);
}

static enum status add_sample(struct job *j,
                              const struct dataset *d,
                              struct str line,
                              struct err *e)
{
    if (j->n == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 256;
        struct sample *grown = realloc(j->p, j->cap * sizeof *grown);
        if (!grown) return err_set(e, QA_E_NOMEM, "out of memory");
        j->p = grown;
    }
    struct sample s = {0};
    struct str_buf id = {0};
    struct str_buf completion = {0};
    enum status st = pyjson_row_parse(&s.row, line, e);
    if (!st) st = string_member(&s.row, "task_id", &id, e);
    if (!st) {
        s.problem = dataset_find(d, str_buf_str(&id));
        if (!s.problem) {
            st = err_set(e, QA_E_FORMAT, "task '%.80s' is not in the data set",
                         id.p ? id.p : "");
        }
    }
    if (!st) st = string_member(&s.row, "completion", &completion, e);
    if (!st) {
        s.completion.n = completion.n;
        s.completion.p = str_buf_take(&completion);
        if (!s.completion.p) st = err_set(e, QA_E_NOMEM, "out of memory");
    }
    str_buf_release(&id);
    str_buf_release(&completion);
    if (st) {
        pyjson_row_release(&s.row);
        return st;
    }
    j->p[j->n++] = s;
    return QA_OK;
}

static enum status read_samples(struct job *j,
                                const struct dataset *d,
                                const char *path,
                                struct err *e)
{
    struct str_buf text;
    enum status st = dataset_read_file(&text, path, MAX_SAMPLES_BYTES, NULL, e);
    if (st) return st;
    struct str rest = str_buf_str(&text);
    struct str line;
    for (size_t n_line = 1; !st && dataset_next_line(&rest, &line); n_line++) {
        if (!str_trim(line).n) continue;
        st = add_sample(j, d, line, e);
        if (st) err_wrap(e, st, "cannot read '%s': line %zu", path, n_line);
    }
    str_buf_release(&text);
    if (!st && !j->n) st = err_set(e, QA_E_FORMAT, "cannot read '%s': no samples in it", path);
    return st;
}

/* ---- judging ---- */

static void *judge(void *arg)
{
    struct job *j = arg;
    for (;;) {
        pthread_mutex_lock(&j->lock);
        const size_t i = j->next;
        const bool is_over = j->status || i == j->n;
        if (!is_over) j->next++;
        pthread_mutex_unlock(&j->lock);
        if (is_over) return NULL;
        struct sample *s = &j->p[i];
        struct err e = {0};
        const enum status st = score_completion(j->sandbox, s->problem, s->completion,
                                                &j->o->limits, j->o->stop, &s->verdict, &e);
        pthread_mutex_lock(&j->lock);
        if (st && !j->status) {
            j->status = st;
            j->err = e;
        }
        j->n_done++;
        if (j->o->progress && !st) j->o->progress(j->o->progress_ctx, j->n_done, j->n);
        pthread_mutex_unlock(&j->lock);
    }
}

static enum status judge_all(struct job *j, struct err *e)
{
    enum { MAX_JOBS = 256 };
    pthread_t threads[MAX_JOBS];
    int n = 0;
    const int want = (int)QA_MIN((size_t)QA_MIN(j->o->n_jobs, MAX_JOBS), j->n);
    /* One job is run by the caller: fewer threads, and none to fail to start. */
    while (n + 1 < want && pthread_create(&threads[n], NULL, judge, j) == 0) {
        n++;
    }
    judge(j);
    while (n > 0) {
        pthread_join(threads[--n], NULL);
    }
    if (j->status && e) *e = j->err;
    return j->status;
}

/* ---- counting and writing ---- */

struct tally {
    int64_t n, c;
};

static enum status count(const struct job *j,
                         const struct dataset *d,
                         struct score_summary *out,
                         struct err *e)
{
    /* By task in the order of first appearance. */
    struct tally *by_problem = calloc(d->n, sizeof *by_problem);
    struct tally *order = calloc(d->n, sizeof *order);
    size_t *place = calloc(d->n, sizeof *place);
    double *v = calloc(d->n, sizeof *v);
    enum status st = QA_OK;
    if (!by_problem || !order || !place || !v) {
        st = err_set(e, QA_E_NOMEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < j->n; i++) {
        const struct verdict *w = &j->p[i].verdict;
        const size_t at = (size_t)(j->p[i].problem - d->p);
        if (!by_problem[at].n) place[out->n_tasks++] = at;
        by_problem[at].n++;
        by_problem[at].c += w->has_passed;
        out->n_passed += w->has_passed;
        out->n_timed_out += str_eq((struct str){w->result, w->n_result}, STR("timed out"));
        out->n_flagged += w->has_passed && w->is_flagged;
        out->n_canary_no_use += w->canary == CANARY_NO_USE;
        if (w->canary == CANARY_FIRED) {
            const size_t used = strlen(out->fired);
            snprintf(out->fired + used, sizeof out->fired - used, "%s%.*s", used ? " " : "",
                     (int)j->p[i].problem->task_id.n, j->p[i].problem->task_id.p);
            out->n_canary_fired++;
        }
    }
    out->n_samples = j->n;
    for (size_t i = 0; i < out->n_tasks; i++) {
        order[i] = by_problem[place[i]];
    }
    for (int k = 0; k < j->o->n_k; k++) {
        out->has_pass_at[k] = true;
        for (size_t i = 0; i < out->n_tasks; i++) {
            v[i] = passk_estimate(order[i].n, order[i].c, j->o->k[k]);
            out->has_pass_at[k] &= order[i].n >= j->o->k[k];
        }
        out->pass_at[k] = passk_mean(v, out->n_tasks);
    }
    for (size_t i = 0; i < out->n_tasks; i++) {
        v[i] = passk_estimate(order[i].n, order[i].c, 1);
    }
    out->standard_error = passk_standard_error(v, out->n_tasks);
out:
    free(by_problem);
    free(order);
    free(place);
    free(v);
    return st;
}

static enum status write_results(struct job *j, const char *path, struct err *e)
{
    struct str_buf text;
    struct str_buf result;
    str_buf_init(&text, SIZE_MAX / 2);
    str_buf_init(&result, MAX_SAMPLES_BYTES);
    enum status st = QA_OK;
    for (size_t i = 0; i < j->n && !st; i++) {
        struct sample *s = &j->p[i];
        str_buf_reset(&result);
        pyjson_add_string(&result, (struct str){s->verdict.result, s->verdict.n_result});
        st = str_buf_check(&result, "a result", e);
        if (!st) st = pyjson_row_set(&s->row, "result", str_buf_str(&result), e);
        if (!st) {
            st = pyjson_row_set(&s->row, "passed",
                                s->verdict.has_passed ? STR("true") : STR("false"), e);
        }
        pyjson_row_dump(&s->row, &text);
        str_buf_add_char(&text, '\n');
    }
    if (!st) st = str_buf_check(&text, "the results", e);
    if (!st) st = file_write(path, str_buf_str(&text), e);
    str_buf_release(&text);
    str_buf_release(&result);
    return st;
}

int score_default_jobs(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return 1;
    int n = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        /* "0,4" or "0-1": the threads of its core; the core counts by its first one. */
        char path[96];
        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
        FILE *f = fopen(path, "re");
        unsigned first = cpu;
        if (f && fscanf(f, "%u", &first) != 1) first = cpu;
        if (f) fclose(f);
        n += first == cpu || !CPU_ISSET(first, &allowed);
    }
    return n ? n : 1;
}

enum status score_file(struct sandbox *s,
                       const struct dataset *d,
                       const char *samples_path,
                       const char *out_path,
                       bool may_be_incomplete,
                       const struct score_opts *o,
                       struct score_summary *out,
                       struct err *e)
{
    const double start_s = clock_now_s();
    struct job j = {.sandbox = s, .o = o, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct score_summary sum = {0};
    enum status st = read_samples(&j, d, samples_path, e);
    if (!st) st = count(&j, d, &sum, e); /* which tasks are there, before hours are spent */
    if (!st && sum.n_tasks < d->n && !may_be_incomplete) {
        st = err_set(e, QA_E_FORMAT,
                     "'%s' has samples for %zu of %zu tasks; --incomplete scores those",
                     samples_path, sum.n_tasks, d->n);
    }
    if (!st) st = judge_all(&j, e);
    sum = (struct score_summary){0};
    if (!st) st = count(&j, d, &sum, e);
    if (!st) st = write_results(&j, out_path, e);
    sum.wall_s = clock_now_s() - start_s;
    if (!st) *out = sum;
    job_release(&j);
    return st;
}

void score_add_dict(struct str_buf *b,
                    const struct score_opts *o,
                    const struct score_summary *s)
{
    const char *separator = "";
    str_buf_add_char(b, '{');
    for (int i = 0; i < o->n_k; i++) {
        if (!s->has_pass_at[i]) continue;
        str_buf_addf(b, "%s'pass@%lld': ", separator, (long long)o->k[i]);
        pyjson_add_float(b, s->pass_at[i]);
        separator = ", ";
    }
    str_buf_add_char(b, '}');
}

const char *score_guess_suite(const char *samples_path)
{
    struct str_buf text;
    const char *suite = "humaneval";
    if (dataset_read_file(&text, samples_path, MAX_SAMPLES_BYTES, NULL, NULL)) return suite;
    struct str rest = str_buf_str(&text);
    struct str line = {"", 0};
    struct pyjson_row row = {0};
    while (dataset_next_line(&rest, &line) && !str_trim(line).n) {
    }
    if (!pyjson_row_parse(&row, line, NULL)) {
        const struct str id = pyjson_row_find(&row, "task_id");
        if (id.p && str_starts(id, STR("\"mini/"))) suite = "mini";
        pyjson_row_release(&row);
    }
    str_buf_release(&text);
    return suite;
}
