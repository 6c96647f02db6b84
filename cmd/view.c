/* view.c - what a run looks like to a person: progress on stderr while it happens. */
#include "cmd/view.h"

#include "cmd/opt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RESULT_LINES = 12 };

#define DIM   "\033[2m"
#define BOLD  "\033[1m"
#define RED   "\033[31m"
#define GREEN "\033[32m"
#define CYAN  "\033[36m"
#define RESET "\033[0m"

/* ---- bytes nobody trusts ---- */

/* Bytes the character that starts with `c` should have; 1 for what cannot start one. */
static size_t want_bytes(unsigned char c)
{
    return c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
}

/* The joiners too: before a person approves a text, two words must not look like one. */
static bool is_unsafe(uint32_t cp)
{
    return str_is_steering(cp) || cp == 0x200C || cp == 0x200D;
}

static void add_char(struct str_buf *b, struct str c, bool is_inert)
{
    uint32_t cp = 0;
    if (is_inert && str_first_char(c, &cp) && is_unsafe(cp)) {
        if (cp < 0x80) {
            str_buf_addf(b, "^%c", (int)cp ^ 0x40);
        } else {
            str_buf_addf(b, "<U+%04X>", (unsigned)cp);
        }
    } else {
        str_buf_add(b, c);
    }
}

void view_add(struct str_buf *b, struct view_tail *tail, struct str s, bool is_inert)
{
    for (size_t i = 0; i < s.n; i++) {
        if (tail->n && ((unsigned char)s.p[i] & 0xC0) != 0x80) { /* it was broken off */
            str_buf_add_z(b, "\xEF\xBF\xBD");
            tail->n = 0;
        }
        tail->p[tail->n++] = s.p[i];
        const struct str c = {tail->p, tail->n};
        if (c.n < want_bytes((unsigned char)c.p[0])) continue;
        if (str_is_utf8(c)) {
            add_char(b, c, is_inert);
        } else {
            str_buf_add_z(b, "\xEF\xBF\xBD");
        }
        tail->n = 0;
    }
}

void view_put(FILE *f, struct str s)
{
    struct view_tail tail = {0};
    struct str_buf b;
    if (!isatty(fileno(f))) {
        fwrite(s.p, 1, s.n, f);
        return;
    }
    str_buf_init(&b, SIZE_MAX / 2);
    view_add(&b, &tail, s, true);
    if (tail.n) str_buf_add_z(&b, "\xEF\xBF\xBD");
    if (b.n) fwrite(b.p, 1, b.n, f);
    str_buf_release(&b);
}

/* ---- lines ---- */

void view_init(struct view *v, int max_iter)
{
    *v = (struct view){
        .is_terminal = isatty(STDERR_FILENO) != 0,
        .has_colour = opt_has_colour(STDERR_FILENO),
        .max_iter = max_iter,
        .is_line_start = true,
    };
    str_buf_init(&v->line, 1 << 20);
    str_buf_init(&v->text, 16 << 20);
}

void view_release(struct view *v)
{
    str_buf_release(&v->line);
    str_buf_release(&v->text);
}

static void style(const struct view *v, const char *code)
{
    if (v->has_colour) fputs(code, stderr);
}

/* One line of our own words. */
static void say(struct view *v, const char *colour, const char *fmt, ...) PRINTF(3, 4);
static void say(struct view *v, const char *colour, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct view_tail tail = {0};
    str_buf_reset(&v->text);
    view_add(&v->text, &tail, str_of(text), true);
    const struct str s = str_buf_str(&v->text);
    style(v, colour);
    fwrite(s.p, 1, s.n, stderr);
    style(v, RESET);
    fputc('\n', stderr);
}

static const char *word_of(enum agent_event_type part)
{
    return part == AGENT_THINK ? "think" : part == AGENT_TEXT ? "text" : "code";
}

/* Finish what is being shown. */
static void end_part(struct view *v)
{
    if (!v->is_in_part) return;
    v->is_in_part = false;
    v->tail.n = 0;
    if (v->is_terminal) {
        style(v, RESET);
        if (!v->is_line_start) fputc('\n', stderr);
    } else if (v->line.n) {
        fprintf(stderr, "%s: %s\n", word_of(v->part), v->line.p);
        str_buf_reset(&v->line);
    }
    v->is_line_start = true;
}

/* Whole lines with a word in front. */
static void add_plain(struct view *v, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n') {
            str_buf_add_char(&v->line, s.p[i]);
            continue;
        }
        fprintf(stderr, "%s: %s\n", word_of(v->part), v->line.p ? v->line.p : "");
        str_buf_reset(&v->line);
    }
}

/* As it comes; code has a margin. */
static void add_live(struct view *v, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (v->is_line_start && v->part == AGENT_TOOL_CODE) fputs("| ", stderr);
        v->is_line_start = s.p[i] == '\n';
        fputc(s.p[i], stderr);
    }
    fflush(stderr);
}

static void show_part(struct view *v, const struct agent_event *ev)
{
    if (!v->is_in_part || v->part != ev->type) {
        end_part(v);
        v->is_in_part = true;
        v->part = ev->type;
        if (v->is_terminal) {
            style(v, ev->type == AGENT_THINK ? DIM : ev->type == AGENT_TOOL_CODE ? CYAN : "");
        }
    }
    str_buf_reset(&v->text);
    view_add(&v->text, &v->tail, ev->text, true);
    if (v->is_terminal) {
        add_live(v, str_buf_str(&v->text));
    } else {
        add_plain(v, str_buf_str(&v->text));
    }
}

static void show_result(struct view *v, const struct agent_event *ev)
{
    const struct run_result *r = ev->run;
    struct view_tail tail = {0};
    int n_lines = 0;
    str_buf_reset(&v->text);
    view_add(&v->text, &tail, ev->text, true);
    for (struct str rest = str_buf_str(&v->text); rest.n; n_lines++) {
        size_t end = str_find(rest, STR("\n"));
        if (end == SIZE_MAX) end = rest.n;
        if (n_lines < RESULT_LINES) fprintf(stderr, "> %.*s\n", (int)end, rest.p);
        rest = str_cut(rest, end + 1, rest.n);
    }
    if (n_lines > RESULT_LINES)
        fprintf(stderr, "> ... %d more lines\n", n_lines - RESULT_LINES);
    if (!r) {
        say(v, RED, "not run");
    } else if (r->status == RUN_OK) {
        say(v, GREEN, "ok, %.0f ms", r->duration_ms);
    } else {
        say(v, RED, "%s, %.0f ms", run_status_name(r->status), r->duration_ms);
    }
}

static void show_end(struct view *v, const struct agent_result *r)
{
    const double all = r->total_s > 0 ? r->total_s : 1;
    const double other = QA_MAX(all - r->decode_s - r->prefill_s - r->tool_s, 0.0);
    say(v, r->outcome == AGENT_ANSWERED ? GREEN : RED,
        "%s in %.1f s, iteration %d of %d, %d call%s", agent_outcome_name(r->outcome),
        r->total_s, r->n_iterations, v->max_iter, r->n_tool_calls,
        r->n_tool_calls == 1 ? "" : "s");
    say(v, DIM,
        "%lld tokens at %.1f tok/s; prompt %lld, reused %lld; decode %.0f %% prefill %.0f %% "
        "tools %.0f %% other %.0f %%",
        (long long)r->n_generated_tokens, r->peak_tps, (long long)r->n_prompt_tokens,
        (long long)r->n_reused_tokens, 100 * r->decode_s / all, 100 * r->prefill_s / all,
        100 * r->tool_s / all, 100 * other / all);
}

/* How far a long prompt is read; a short one is over before it would be drawn. */
static void show_prefill(struct view *v, const struct agent_event *ev)
{
    if (ev->n_tokens == 0) v->prefill_start_s = ev->t_s;
    const double past_s = ev->t_s - v->prefill_start_s;
    if (!v->is_terminal || past_s < 0.3 || ev->n_tokens == 0) return;
    char line[128];
    snprintf(line, sizeof line, "reading %lld of %lld tokens  %.0f tok/s  %.0f s left",
             (long long)ev->n_tokens, (long long)ev->n_total, (double)ev->n_tokens / past_s,
             past_s * (double)(ev->n_total - ev->n_tokens) / (double)ev->n_tokens);
    fprintf(stderr, "\r\033[K%.*s", QA_MAX(opt_columns(STDERR_FILENO) - 1, 1), line);
    v->is_bar_drawn = true;
}

void view_event(void *ctx, const struct agent_event *ev)
{
    struct view *v = ctx;
    if (v->is_bar_drawn && ev->type != AGENT_PREFILL) {
        fputs("\r\033[K", stderr);
        v->is_bar_drawn = false;
    }
    switch (ev->type) {
    case AGENT_PREFILL: show_prefill(v, ev); break;
    case AGENT_STARTED:
    case AGENT_COMPACTED: break;
    case AGENT_ITERATION:
        end_part(v);
        v->turn_start_s = ev->t_s;
        say(v, BOLD, "-- iteration %d of %d, %.1f s", ev->iteration, v->max_iter, ev->t_s);
        break;
    case AGENT_THINK:
    case AGENT_TEXT:
    case AGENT_TOOL_CODE: show_part(v, ev); break;
    case AGENT_TOOL_STARTED: end_part(v); break;
    case AGENT_TOOL_DONE:
        end_part(v);
        show_result(v, ev);
        break;
    case AGENT_NOTICE:
        end_part(v);
        say(v, DIM, "note: %.*s", (int)ev->text.n, ev->text.p);
        break;
    case AGENT_ITERATION_DONE: {
        const double s = ev->t_s - v->turn_start_s;
        end_part(v);
        say(v, DIM, "%lld tokens, %.1f tok/s", (long long)ev->n_tokens,
            s > 0 ? (double)ev->n_tokens / s : 0.0);
        break;
    }
    case AGENT_ANSWER: end_part(v); break;
    case AGENT_DONE:
        end_part(v);
        show_end(v, ev->result);
        break;
    }
}
