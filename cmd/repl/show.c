/* show.c - what happens in a session, as a person reads it. */
#include "cmd/repl/show.h"

#include "engine/base/clock.h"

#include <string.h>

enum { OUTPUT_HEAD = 6, OUTPUT_TAIL = 6 };

/* Margins: on a terminal lines, elsewhere words. */
static const char *const LIVE[] = {"  ", "│ ", "│ "};
static const char *const PLAIN[] = {"think: ", "code: ", "> "};
enum margin { MARGIN_THINK, MARGIN_CODE, MARGIN_OUTPUT };

static const char *margin(const struct show *s, enum margin m)
{
    return s->screen->is_live ? LIVE[m] : PLAIN[m];
}

void show_init(struct show *s, struct screen *progress, struct screen *answers, bool is_piped)
{
    *s = (struct show){.screen = progress, .answers = answers, .is_piped = is_piped};
    struct str_buf *bufs[] = {&s->said, &s->line, &s->scratch, &s->answer};
    for (size_t i = 0; i < COUNT(bufs); i++) {
        str_buf_init(bufs[i], 64 << 20);
    }
    for (int i = 0; i < SHOW_OUTPUTS; i++) {
        str_buf_init(&s->output[i], 1 << 20);
    }
    s->since_s = clock_now_s();
}

void show_release(struct show *s)
{
    struct str_buf *bufs[] = {&s->said, &s->line, &s->scratch, &s->answer};
    for (size_t i = 0; i < COUNT(bufs); i++) {
        str_buf_release(bufs[i]);
    }
    for (int i = 0; i < SHOW_OUTPUTS; i++) {
        str_buf_release(&s->output[i]);
    }
}

const struct str_buf *show_output(const struct show *s, int i)
{
    if (i < 1 || i > s->n_outputs || i <= s->n_outputs - SHOW_OUTPUTS) return NULL;
    return &s->output[(i - 1) % SHOW_OUTPUTS];
}

void show_state(struct show *s, enum show_state state)
{
    if (s->state == state) return;
    s->state = state;
    s->since_s = clock_now_s();
    s->n_done = s->n_total = 0;
}

/* ---- text ---- */

static struct str inert(struct show *s, struct view_tail *tail, struct str text)
{
    str_buf_reset(&s->scratch);
    view_add(&s->scratch, tail, text, true);
    return str_buf_str(&s->scratch);
}

void show_text(struct show *s, enum screen_style style, struct str text)
{
    struct view_tail tail = {0};
    screen_end_line(s->screen);
    screen_text(s->screen, style, "", style == STYLE_CODE, inert(s, &tail, text));
    screen_end_line(s->screen);
}

void show_message(struct show *s, const char *text)
{
    struct view_tail tail = {0};
    str_buf_reset(&s->answer);
    s->n_messages++;
    s->job_s = clock_now_s();
    if (!s->screen->is_live) return; /* it stands in the input already */
    screen_end_line(s->screen);
    screen_line(s->screen, STYLE_PLAIN, "%s", "");
    screen_text(s->screen, STYLE_BOLD, "> ", false, inert(s, &tail, str_of(text)));
    screen_end_line(s->screen);
}

/* How a line of the answer is shown is known by its first characters: a fence, code
 * within one, a title, or text. */
static void begin_line(struct show *s)
{
    const struct str line = str_buf_str(&s->line);
    const bool is_fence = str_starts(str_trim(line), STR("```"));
    if (is_fence) s->is_in_fence = !s->is_in_fence;
    s->line_style = is_fence                     ? STYLE_DIM
                    : s->is_in_fence             ? STYLE_CODE
                    : line.n && line.p[0] == '#' ? STYLE_BOLD
                                                 : STYLE_PLAIN;
    s->is_sure = true;
    screen_text(s->answers, s->line_style, "",
                s->line_style == STYLE_CODE || s->line_style == STYLE_DIM, line);
    str_buf_reset(&s->line);
}

static bool may_be_fence(struct str line)
{
    const struct str word = str_trim(line);
    return word.n < 3 && (!word.n || str_starts(STR("```"), word));
}

static void answer_text(struct show *s, struct str text)
{
    while (text.n) {
        const size_t end = str_find(text, STR("\n"));
        const size_t n = end == SIZE_MAX ? text.n : end;
        if (s->is_sure) {
            screen_text(s->answers, s->line_style, "", s->line_style == STYLE_CODE,
                        str_cut(text, 0, n));
        } else {
            str_buf_add(&s->line, str_cut(text, 0, n));
            if (end != SIZE_MAX || !may_be_fence(str_buf_str(&s->line))) begin_line(s);
        }
        if (end == SIZE_MAX) return;
        screen_text(s->answers, s->line_style, "", false, STR("\n"));
        s->is_sure = false;
        text = str_cut(text, end + 1, text.n);
    }
}

static void end_part(struct show *s)
{
    if (s->line.n && !s->is_sure) begin_line(s);
    s->is_sure = s->is_in_fence = false;
    screen_end_line(s->screen);
    if (s->answers != s->screen) screen_end_line(s->answers);
    s->tail.n = 0;
    s->part = AGENT_DONE;
}

/* ---- parts of a turn ---- */

static void begin_part(struct show *s, enum agent_event_type part)
{
    if (s->part == part) return;
    end_part(s);
    s->part = part;
    if (part == AGENT_TOOL_CODE && s->screen->is_live) {
        screen_line(s->screen, STYLE_CODE, "┌ code_execution");
    }
}

static void show_part(struct show *s, const struct work_event *ev)
{
    begin_part(s, ev->agent);
    const struct str text = inert(s, &s->tail, (struct str){ev->text, ev->n_text});
    s->n_turn = ev->n_tokens;
    const double busy_s = clock_now_s() - s->turn_s;
    if (s->n_turn > 1 && busy_s > 0.05) s->rate_tps = (double)s->n_turn / busy_s;
    if (ev->agent == AGENT_THINK) {
        show_state(s, SHOW_THINKING);
        if (s->hides_thinking) return;
        screen_text(s->screen, STYLE_DIM, margin(s, MARGIN_THINK), false, text);
    } else if (ev->agent == AGENT_TOOL_CODE) {
        show_state(s, SHOW_WRITING);
        screen_text(s->screen, STYLE_CODE, margin(s, MARGIN_CODE), true, text);
    } else {
        show_state(s, SHOW_WRITING);
        str_buf_add(&s->said, text);
        if (!s->is_piped) answer_text(s, text);
    }
}

/* Head and tail of an output, and how many lines are left out between. */
static void show_output_lines(struct show *s, struct str text)
{
    int n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n' || i + 1 == text.n;
    }
    const bool is_cut = n > OUTPUT_HEAD + OUTPUT_TAIL + 1;
    for (int i = 0; text.n; i++) {
        size_t end = str_find(text, STR("\n"));
        if (end == SIZE_MAX) end = text.n;
        if (!is_cut || i < OUTPUT_HEAD || i >= n - OUTPUT_TAIL) {
            screen_text(s->screen, STYLE_PLAIN, margin(s, MARGIN_OUTPUT), true,
                        str_cut(text, 0, end));
            screen_text(s->screen, STYLE_PLAIN, margin(s, MARGIN_OUTPUT), true, STR("\n"));
        } else if (i == OUTPUT_HEAD) {
            screen_line(s->screen, STYLE_DIM, "%s+ %d lines, /out %d",
                        s->screen->is_live ? "│ " : "> ", n - OUTPUT_HEAD - OUTPUT_TAIL,
                        s->n_outputs);
        }
        text = str_cut(text, end + 1, text.n);
    }
}

static void show_tool(struct show *s, const struct work_event *ev)
{
    struct str_buf *kept = &s->output[s->n_outputs++ % SHOW_OUTPUTS];
    struct view_tail tail = {0};
    end_part(s);
    str_buf_reset(kept);
    view_add(kept, &tail, (struct str){ev->text, ev->n_text}, true);
    const bool is_live = s->screen->is_live;
    if (is_live && kept->n) screen_line(s->screen, STYLE_CODE, "├ output");
    show_output_lines(s, str_buf_str(kept));
    s->n_calls++;
    show_state(s, SHOW_WORKING);
    const char *end = is_live ? "└ " : "";
    if (!ev->has_run) {
        screen_line(s->screen, STYLE_BAD, "%snot run", end);
    } else if (ev->run_status == RUN_OK) {
        screen_line(s->screen, STYLE_GOOD, "%sok, exit 0, %.0f ms", end, ev->run_ms);
    } else if (ev->exit_code >= 0) {
        screen_line(s->screen, STYLE_BAD, "%s%s, exit %d, %.0f ms", end,
                    run_status_name(ev->run_status), ev->exit_code, ev->run_ms);
    } else {
        screen_line(s->screen, STYLE_BAD, "%s%s, %.0f ms", end, run_status_name(ev->run_status),
                    ev->run_ms);
    }
}

/* ---- a message's end ---- */

/* The answer, where it is not what was just seen. */
static void show_answer(struct show *s, const struct work_event *ev)
{
    struct view_tail tail = {0};
    end_part(s);
    str_buf_reset(&s->answer);
    str_buf_add(&s->answer, (struct str){ev->text, ev->n_text});
    const struct str text = inert(s, &tail, (struct str){ev->text, ev->n_text});
    if (!s->is_piped && str_find(str_buf_str(&s->said), text) != SIZE_MAX) return;
    if (!s->is_piped) screen_line(s->screen, STYLE_DIM, "the answer:");
    answer_text(s, text);
    end_part(s);
}

static void add_up(struct show *s, const struct agent_result *r)
{
    s->n_generated += r->n_generated_tokens;
    s->n_prompt += r->n_prompt_tokens;
    s->n_reused += r->n_reused_tokens;
    s->decode_s += r->decode_s;
    s->prefill_s += r->prefill_s;
    s->tool_s += r->tool_s;
    s->total_s += r->total_s;
    s->outcome = r->outcome;
    if (r->peak_tps > 0) s->rate_tps = r->peak_tps;
}

static void show_end(struct show *s, const struct agent_result *r)
{
    end_part(s);
    add_up(s, r);
    screen_line(s->screen,
                r->outcome == AGENT_ANSWERED      ? STYLE_DIM
                : r->outcome == AGENT_INTERRUPTED ? STYLE_PLAIN
                                                  : STYLE_BAD,
                "%s in %.1f s, %d iteration%s, %d call%s; %lld tokens, %.1f tok/s; prompt "
                "%lld, reused %lld",
                agent_outcome_name(r->outcome), r->total_s, r->n_iterations,
                r->n_iterations == 1 ? "" : "s", r->n_tool_calls,
                r->n_tool_calls == 1 ? "" : "s", (long long)r->n_generated_tokens, r->peak_tps,
                (long long)r->n_prompt_tokens, (long long)r->n_reused_tokens);
}

static void show_agent(struct show *s, const struct work_event *ev)
{
    const bool is_stopping = s->state == SHOW_STOPPING;
    s->iteration = ev->iteration;
    switch (ev->agent) {
    case AGENT_STARTED: s->n_context = ev->n_tokens; break;
    case AGENT_PREFILL:
        show_state(s, SHOW_READING);
        s->n_done = ev->n_tokens;
        s->n_total = ev->n_total;
        break;
    case AGENT_ITERATION:
        end_part(s);
        str_buf_reset(&s->said);
        s->n_context = ev->n_tokens;
        s->n_turn = 0;
        s->turn_s = clock_now_s();
        show_state(s, SHOW_WORKING);
        break;
    case AGENT_THINK:
    case AGENT_TEXT:
    case AGENT_TOOL_CODE: show_part(s, ev); break;
    case AGENT_TOOL_STARTED:
        end_part(s);
        show_state(s, SHOW_RUNNING);
        break;
    case AGENT_TOOL_DONE: show_tool(s, ev); break;
    case AGENT_NOTICE:
        end_part(s);
        screen_text(s->screen, STYLE_DIM, "* ", false, inert(s, &s->tail, str_of(ev->text)));
        end_part(s);
        break;
    case AGENT_COMPACTED:
        end_part(s);
        screen_line(s->screen, STYLE_BOLD,
                    "compacted: %lld tokens became %lld; /undo leads back",
                    (long long)ev->n_total, (long long)ev->n_tokens);
        screen_text(s->screen, STYLE_DIM, "  ", false, inert(s, &s->tail, str_of(ev->text)));
        end_part(s);
        break;
    case AGENT_ITERATION_DONE: s->n_context += ev->n_tokens; break;
    case AGENT_ANSWER: show_answer(s, ev); break;
    case AGENT_DONE: show_end(s, &ev->result); break;
    }
    if (is_stopping) s->state = SHOW_STOPPING; /* until the job has ended */
}

void show_event(struct show *s, const struct work_event *ev)
{
    switch (ev->type) {
    case WORK_LOADING:
        s->n_done = ev->n_tokens;
        s->n_total = ev->n_total;
        break;
    case WORK_AGENT: show_agent(s, ev); break;
    case WORK_DONE: end_part(s); break;
    case WORK_READY:
    case WORK_FAILED: break;
    }
}

/* ---- the status line ---- */

static void add_count(struct str_buf *b, int64_t n)
{
    if (n < 10000) {
        str_buf_addf(b, "%lld", (long long)n);
    } else {
        str_buf_addf(b, "%.1fk", (double)n * 1e-3);
    }
}

/* What is being waited for, with how far it is and how long it will take. */
static void add_progress(const struct show *s, struct str_buf *b, const char *word)
{
    const double since_s = clock_now_s() - s->since_s;
    str_buf_add_z(b, word);
    if (s->n_total <= 0) return;
    const double share = (double)s->n_done / (double)s->n_total;
    str_buf_addf(b, " %.0f %%", 100 * share);
    if (s->state == SHOW_READING) {
        str_buf_add_z(b, " of ");
        add_count(b, s->n_total);
    }
    if (share > 0.01 && since_s > 0.3) {
        str_buf_addf(b, ", %.0f s left", since_s * (1 - share) / share);
    }
}

const char *show_state_word(const struct show *s)
{
    static const char *const words[] = {
        [SHOW_LOADING] = "loading the model", [SHOW_READY] = "ready",
        [SHOW_READING] = "reading",           [SHOW_THINKING] = "thinking",
        [SHOW_WRITING] = "writing",           [SHOW_RUNNING] = "running code",
        [SHOW_STOPPING] = "stopping",         [SHOW_WORKING] = "working",
    };
    return words[s->state];
}

void show_status(const struct show *s, struct str_buf *to, size_t n_queued, const char *hint)
{
    const bool is_busy = s->state != SHOW_READY && s->state != SHOW_LOADING;
    if (hint) {
        str_buf_add_z(to, hint);
        return;
    }
    add_progress(s, to, show_state_word(s));
    if (s->cap_context > 0) {
        const int64_t n = s->n_context + (is_busy ? s->n_turn : 0);
        str_buf_add_z(to, " · ");
        add_count(to, n);
        str_buf_add_z(to, "/");
        add_count(to, s->cap_context);
        str_buf_addf(to, " (%.0f %%)", 100.0 * (double)n / (double)s->cap_context);
    }
    if (is_busy && s->iteration > 0) {
        str_buf_addf(to, " · %d/%d", s->iteration, s->max_iter);
    }
    if (s->rate_tps > 0) str_buf_addf(to, " · %.1f tok/s", s->rate_tps);
    if (is_busy) str_buf_addf(to, " · %.0f s", clock_now_s() - s->job_s);
    if (n_queued) str_buf_addf(to, " · %zu queued", n_queued);
    if (s->state == SHOW_RUNNING) str_buf_add_z(to, " · Ctrl-C ends it");
    if (is_busy) str_buf_add_z(to, " · Esc stops");
}
