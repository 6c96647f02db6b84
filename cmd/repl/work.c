/* work.c - the thread that owns jail, model and conversation. */
#include "cmd/repl/work.h"

#include "cmd/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct work {
    struct work_opts o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int pipe[2]; /* a byte for every event */
    /* Under the lock: */
    struct work_event *first, *last;
    bool is_ready, has_job, is_quitting;
    enum job_type job;
    char *text; /* owned */
    struct agent_limits limits;
    struct sampling sampling;
    volatile int stop_run; /* of JOB_RUN */
    /* Of the thread; others read them while it is idle: */
    struct sandbox *sandbox;
    struct engine *engine;
    struct talk *talk;
};

void work_event_free(struct work_event *ev)
{
    if (ev) free(ev->text);
    free(ev);
}

/* ---- events ---- */

/* Append a copy of ev with `text`.  Without memory the event is lost: it is only shown. */
static void post(struct work *w, const struct work_event *ev, struct str text)
{
    struct work_event *x = malloc(sizeof *x);
    char *p = malloc(text.n + 1);
    if (!x || !p) {
        free(x);
        free(p);
        return;
    }
    *x = *ev;
    if (text.n) memcpy(p, text.p, text.n);
    p[text.n] = 0;
    x->text = p;
    x->n_text = text.n;
    x->next = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->last) {
        w->last->next = x;
    } else {
        w->first = x;
    }
    w->last = x;
    pthread_mutex_unlock(&w->lock);
    /* A full pipe is readable already. */
    if (write(w->pipe[1], "", 1) < 0) return;
}

struct work_event *work_next(struct work *w)
{
    char drop[64];
    pthread_mutex_lock(&w->lock);
    struct work_event *x = w->first;
    if (x) w->first = x->next;
    if (!w->first) w->last = NULL;
    const bool is_empty = !w->first;
    /* Within the lock: an event that comes now writes its byte after this. */
    while (is_empty && read(w->pipe[0], drop, sizeof drop) > 0) {
    }
    pthread_mutex_unlock(&w->lock);
    return x;
}

static void on_agent(void *ctx, const struct agent_event *ev)
{
    struct work *w = ctx;
    struct work_event x = {
        .type = WORK_AGENT,
        .agent = ev->type,
        .iteration = ev->iteration,
        .n_tokens = ev->n_tokens,
        .n_reused = ev->n_reused,
        .n_total = ev->n_total,
        .t_s = ev->t_s,
        .has_run = ev->run != NULL,
    };
    if (ev->run) {
        x.run_status = ev->run->status;
        x.exit_code = ev->run->exit_code;
        x.run_ms = ev->run->duration_ms;
    }
    if (ev->result) {
        x.result = *ev->result;
        x.result.answer = x.result.code = NULL;
    }
    post(w, &x, ev->text);
}

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    const struct work_event x = {
        .type = WORK_LOADING, .n_tokens = (int64_t)done, .n_total = (int64_t)total};
    post(ctx, &x, STR(""));
}

/* ---- the thread ---- */

static bool fail(struct work *w, int code, const struct err *e)
{
    post(w, &(struct work_event){.type = WORK_FAILED, .exit_code = code}, str_of(e->text));
    return false;
}

static bool open_all(struct work *w)
{
    struct err e = {0};
    struct engine_expect x = run_expect(&w->o.model, AGENT_CTX);
    x.n_marks = AGENT_MARKS + TALK_MARKS;
    struct engine_opts eo = run_engine_opts(&w->o.model, &x);
    struct talk_opts to = {.agent = run_agent_opts(&w->o.model), .dir = w->o.dir};
    char *unfinished = NULL;
    if (sandbox_open(&w->sandbox, &w->o.sandbox, &e)) return fail(w, EXIT_SANDBOX, &e);
    eo.progress = (struct engine_progress){on_load, w};
    enum status st = engine_open(&w->engine, &eo, &e);
    if (st) return fail(w, st == QA_E_USAGE ? EXIT_USAGE : EXIT_MODEL, &e);
    to.agent.engine = w->engine;
    to.agent.sandbox = w->sandbox;
    to.agent.limits = w->o.limits;
    to.agent.sink = (struct agent_sink){on_agent, w};
    st = talk_open(&w->talk, &to, &e);
    if (st) return fail(w, st == QA_E_FORMAT ? EXIT_MODEL : EXIT_INTERNAL, &e);
    if (w->o.resume) {
        st = talk_resume(w->talk, w->o.resume, &unfinished, &e);
        if (st) return fail(w, EXIT_USAGE, &e);
    }
    pthread_mutex_lock(&w->lock);
    w->is_ready = true;
    pthread_mutex_unlock(&w->lock);
    post(w, &(struct work_event){.type = WORK_READY}, str_of(unfinished));
    free(unfinished);
    return true;
}

/* A program of the user's choice, shown as the model's are. */
static enum status run_program(struct work *w, struct err *e)
{
    const struct run_limits limits = w->limits.tool;
    struct run_result r = {0};
    struct str_buf b;
    post(w, &(struct work_event){.type = WORK_AGENT, .agent = AGENT_TOOL_STARTED},
         str_of(w->text));
    const enum status st =
        sandbox_run(w->sandbox, str_of(w->text), RUN_CELL, &limits, &w->stop_run, &r, e);
    if (st) return st;
    str_buf_init(&b, r.n_out + r.n_errtext + 16);
    str_buf_add(&b, (struct str){r.out, r.n_out});
    if (b.n && r.n_errtext && b.p[b.n - 1] != '\n') str_buf_add_char(&b, '\n');
    str_buf_add(&b, (struct str){r.errtext, r.n_errtext});
    post(w,
         &(struct work_event){.type = WORK_AGENT,
                              .agent = AGENT_TOOL_DONE,
                              .has_run = true,
                              .run_status = r.status,
                              .exit_code = r.exit_code,
                              .run_ms = r.duration_ms},
         str_buf_str(&b));
    str_buf_release(&b);
    run_result_release(&r);
    return QA_OK;
}

static enum status rewind_to(struct work *w, char **text, struct err *e)
{
    int64_t n;
    if (!str_to_i64(str_of(w->text), 0, INT32_MAX, &n)) {
        return err_set(e, QA_E_USAGE, "'%.40s' is no number of messages", w->text);
    }
    return talk_rewind(w->talk, (size_t)n, text, e);
}

/* Run the job; *text (owned by the caller, may stay NULL) is what came of it. */
static enum status run_job(struct work *w, char **text, struct err *e)
{
    struct agent_result r = {0};
    struct talk_compacted c;
    enum status st = QA_OK;
    talk_set(w->talk, &w->limits, &w->sampling);
    switch (w->job) {
    case JOB_SEND: st = talk_send(w->talk, str_of(w->text), &r, e); break;
    case JOB_RETRY: st = talk_retry(w->talk, &r, e); break;
    case JOB_UNDO: st = talk_undo(w->talk, text, e); break;
    case JOB_REWIND: st = rewind_to(w, text, e); break;
    case JOB_REDO: st = talk_redo(w->talk, e); break;
    case JOB_RUN: st = run_program(w, e); break;
    case JOB_NEW: st = talk_new(w->talk, e); break;
    case JOB_FORK: st = talk_fork(w->talk, e); break;
    case JOB_RESUME: st = talk_resume(w->talk, w->text, text, e); break;
    case JOB_COMPACT: st = talk_compact(w->talk, str_of(w->text), &c, e); break;
    }
    agent_result_release(&r);
    return st;
}

static void do_job(struct work *w)
{
    struct err e = {0};
    char *text = NULL;
    struct work_event x = {.type = WORK_DONE, .job = w->job};
    x.status = run_job(w, &text, &e);
    x.was_kept = talk_info(w->talk).was_kept;
    pthread_mutex_lock(&w->lock);
    w->has_job = false;
    if (!w->is_quitting) talk_stop_clear(w->talk); /* a stop that came too late */
    pthread_mutex_unlock(&w->lock);
    post(w, &x, x.status ? str_of(e.text) : str_of(text));
    free(text);
}

static void *work_thread(void *ctx)
{
    struct work *w = ctx;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are the terminal's */
    bool goes_on = open_all(w);
    while (goes_on) {
        pthread_mutex_lock(&w->lock);
        while (!w->has_job && !w->is_quitting) {
            pthread_cond_wait(&w->wake, &w->lock);
        }
        goes_on = !w->is_quitting;
        pthread_mutex_unlock(&w->lock);
        if (goes_on) do_job(w);
    }
    talk_close(w->talk);
    engine_close(w->engine);
    sandbox_close(w->sandbox);
    return NULL;
}

/* ---- the terminal's side ---- */

enum status work_open(struct work **out, const struct work_opts *o, struct err *e)
{
    struct work *w = calloc(1, sizeof *w);
    if (!w) return err_set(e, QA_E_NOMEM, "out of memory");
    w->o = *o;
    if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK)) {
        free(w);
        return err_set(e, QA_E_IO, "cannot make a pipe");
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, work_thread, w)) {
        close(w->pipe[0]);
        close(w->pipe[1]);
        free(w);
        return err_set(e, QA_E_NOMEM, "cannot start a thread");
    }
    *out = w;
    return QA_OK;
}

void work_close(struct work *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->is_quitting = true;
    w->stop_run = 1;
    if (w->is_ready) {
        talk_stop(w->talk);
    } else {
        engine_stop();
    }
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    for (struct work_event *x; (x = work_next(w));) {
        work_event_free(x);
    }
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    close(w->pipe[0]);
    close(w->pipe[1]);
    free(w->text);
    free(w);
}

int work_fd(const struct work *w)
{
    return w->pipe[0];
}

bool work_is_idle(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    const bool is_idle = w->is_ready && !w->has_job;
    pthread_mutex_unlock(&w->lock);
    return is_idle;
}

void work_stop(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->has_job) {
        w->stop_run = 1;
        talk_stop(w->talk);
    }
    pthread_mutex_unlock(&w->lock);
}

void work_stop_program(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->has_job) {
        w->stop_run = 1;
        talk_stop_program(w->talk);
    }
    pthread_mutex_unlock(&w->lock);
}

const struct talk *work_talk(const struct work *w)
{
    return w->talk;
}

const struct engine_info *work_engine(const struct work *w)
{
    return w->is_ready ? engine_info(w->engine) : NULL;
}

const char *work_sandbox(const struct work *w)
{
    return w->is_ready ? sandbox_statement(w->sandbox) : NULL;
}

void work_start(struct work *w,
                enum job_type job,
                const char *text,
                const struct agent_limits *limits,
                const struct sampling *sampling)
{
    pthread_mutex_lock(&w->lock);
    ASSERT(w->is_ready && !w->has_job);
    free(w->text);
    w->text = text ? strdup(text) : NULL;
    w->job = job;
    w->limits = *limits;
    w->sampling = *sampling;
    w->stop_run = 0;
    w->has_job = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}
