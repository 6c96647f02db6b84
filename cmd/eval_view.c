/* eval_view.c - progress of a run: lines, a live line, or JSON events. */
#include "cmd/eval_view.h"

#include "cmd/opt.h"
#include "engine/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void eval_view_init(struct eval_view *v, bool want_json, int n_jobs)
{
    *v = (struct eval_view){.lock = PTHREAD_MUTEX_INITIALIZER,
                            .want_json = want_json,
                            .is_live = opt_has_colour(STDERR_FILENO),
                            .has_colour = opt_has_colour(STDERR_FILENO),
                            .start_s = clock_now_s(),
                            .n_jobs = n_jobs};
    for (int i = 0; i < n_jobs; i++) {
        v->job[i].view = v;
        v->job[i].doing = "starting";
    }
}

static void print_json(const struct eval_view *v, json_t *o)
{
    json_object_set_new(o, "schema", json_integer(1));
    json_object_set_new(o, "t_s", json_real(clock_now_s() - v->start_s));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

/* "3 min", "2 h 10 min", "45 s" */
static void add_time(struct str_buf *b, double s)
{
    if (s < 90) {
        str_buf_addf(b, "%.0f s", s);
    } else if (s < 5400) {
        str_buf_addf(b, "%.0f min", s / 60);
    } else {
        str_buf_addf(b, "%d h %d min", (int)(s / 3600), (int)(s / 60) % 60);
    }
}

static void add_score(struct str_buf *b, const struct suite_stats *s)
{
    str_buf_addf(b, "%zu/%zu  pass@1 %.2f %% \xC2\xB1 %.2f", s->n_done, s->n_samples,
                 100 * s->pass_at_1, 100 * s->standard_error);
}

static void draw(struct eval_view *v)
{
    const double now = clock_now_s();
    if (!v->is_live || now - v->drawn_s < 0.2) return;
    v->drawn_s = now;
    struct str_buf b;
    str_buf_init(&b, 4096);
    const struct suite_stats *s = &v->stats;
    add_score(&b, s);
    const double tps_s = v->n_jobs > 1 ? s->wall_s : s->decode_s;
    if (tps_s > 0) str_buf_addf(&b, "  %.1f tok/s", (double)s->n_generated_tokens / tps_s);
    const size_t n_here = s->n_done - v->n_before;
    if (n_here) {
        const double each = (now - v->start_s) / (double)n_here;
        str_buf_add_z(&b, "  ");
        add_time(&b, each * (double)(s->n_samples - s->n_done));
        str_buf_add_z(&b, " left");
    }
    for (int i = 0; i < v->n_jobs; i++) {
        const struct eval_job *j = &v->job[i];
        if (!j->task[0]) continue;
        str_buf_addf(&b, "  | %s turn %d, %s, ", j->task, j->iteration, j->doing);
        add_time(&b, now - j->task_s);
    }
    const struct str line =
        str_cut(str_buf_str(&b), 0, (size_t)QA_MAX(opt_columns(STDERR_FILENO), 20) - 1);
    fprintf(stderr, "\r\033[K%.*s", (int)line.n, line.p);
    str_buf_release(&b);
}

void eval_view_clear(struct eval_view *v)
{
    if (v->is_live) fputs("\r\033[K", stderr);
}

static void name_task(char out[static 96], const struct suite_event *ev)
{
    snprintf(out, 96, "%.*s", (int)QA_MIN(ev->task_id.n, (size_t)84),
             ev->task_id.p ? ev->task_id.p : "");
    if (ev->i_sample) {
        const size_t n = strlen(out);
        snprintf(out + n, 96 - n, "~%d", ev->i_sample);
    }
}

static void print_done(struct eval_view *v, const char *task, const struct suite_event *ev)
{
    const struct attempt *a = ev->attempt;
    const bool is_passed = ev->verdict == CLASS_PASSED;
    const char *colour = !v->has_colour ? "" : is_passed ? "\033[32m" : "\033[31m";
    struct str_buf b;
    str_buf_init(&b, 4096);
    add_score(&b, ev->stats);
    eval_view_clear(v);
    fprintf(stderr, "%-16s %s%-10s%s %d turn%s %6lld tokens %7.2f s   %s\n", task, colour,
            suite_class_name(ev->verdict), v->has_colour ? "\033[0m" : "", a->n_iterations,
            a->n_iterations == 1 ? " " : "s", (long long)a->n_generated_tokens, a->total_s,
            b.p ? b.p : "");
    str_buf_release(&b);
}

static void on_started(struct eval_view *v, const struct suite_event *ev)
{
    v->n_before = ev->n_resumed;
    v->start_s = clock_now_s();
    if (v->want_json) {
        print_json(v, json_pack("{s:s, s:I, s:I}", "event", "eval.started", "samples",
                                (json_int_t)ev->stats->n_samples, "resumed",
                                (json_int_t)ev->n_resumed));
    } else if (ev->n_resumed) {
        fprintf(stderr, "qagent: going on behind %zu finished samples\n", ev->n_resumed);
    }
}

static void on_task_started(struct eval_view *v, const struct suite_event *ev)
{
    struct eval_job *j = &v->job[ev->i_job];
    name_task(j->task, ev);
    str_make_inert(j->task);
    j->task_s = clock_now_s();
    j->iteration = 1;
    j->doing = "thinking";
    v->drawn_s = 0;
    draw(v);
}

static void on_task_done(struct eval_view *v, const struct suite_event *ev)
{
    char task[96];
    name_task(task, ev);
    if (v->want_json) {
        print_json(v, json_pack("{s:s, s:s, s:i, s:s, s:b, s:i, s:I, s:f}", "event",
                                "task.completed", "task_id", task, "sample", ev->i_sample,
                                "class", suite_class_name(ev->verdict), "passed",
                                (int)(ev->verdict == CLASS_PASSED), "iterations",
                                ev->attempt->n_iterations, "generated_tokens",
                                (json_int_t)ev->attempt->n_generated_tokens, "total_s",
                                ev->attempt->total_s));
    } else if (ev->stats->n_done > v->n_before) {
        str_make_inert(task); /* a data set is a file of anybody's */
        print_done(v, task, ev);
    }
}

void eval_view_event(void *view, const struct suite_event *ev)
{
    struct eval_view *v = view;
    pthread_mutex_lock(&v->lock);
    v->stats = *ev->stats;
    switch (ev->type) {
    case SUITE_STARTED: on_started(v, ev); break;
    case SUITE_TASK_STARTED: on_task_started(v, ev); break;
    case SUITE_TASK_DONE: on_task_done(v, ev); break;
    }
    pthread_mutex_unlock(&v->lock);
}

void eval_view_agent(void *job, const struct agent_event *ev)
{
    struct eval_job *j = job;
    pthread_mutex_lock(&j->view->lock);
    switch (ev->type) {
    case AGENT_ITERATION: j->iteration = ev->iteration; break;
    case AGENT_THINK: j->doing = "thinking"; break;
    case AGENT_TEXT: j->doing = "answering"; break;
    case AGENT_TOOL_CODE: j->doing = "writing code"; break;
    case AGENT_TOOL_STARTED: j->doing = "running code"; break;
    case AGENT_ITERATION_DONE:
    case AGENT_STARTED:
    case AGENT_PREFILL:
    case AGENT_COMPACTED:
    case AGENT_TOOL_DONE:
    case AGENT_NOTICE:
    case AGENT_ANSWER:
    case AGENT_DONE: break;
    }
    draw(j->view);
    pthread_mutex_unlock(&j->view->lock);
}

void eval_view_end(struct eval_view *v, const char *state)
{
    eval_view_clear(v);
    if (!v->want_json) return;
    json_t *o = json_pack("{s:s, s:s}", "event", "eval.completed", "state", state);
    json_object_set_new(o, "results", report_stats_json(&v->stats));
    print_json(v, o);
}
