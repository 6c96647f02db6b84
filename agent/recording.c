/* recording.c - a run as its log tells it, to be taken up again or checked. */
#include "agent/recording.h"

#include "agent/transcript.h"
#include "engine/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_MAX_BYTES = 1 << 30, CONTEXT_IDS = 24 };

enum item_kind { ITEM_APPEND, ITEM_TURN, ITEM_PROGRAM };

struct item {
    enum item_kind kind;
    json_t *event; /* owned */
    struct ids ids;
    struct recorded_turn turn;
};

struct recording {
    enum recording_mode mode;
    struct recording_head head;
    json_t *start, *end; /* owned events; end may be NULL */
    struct item *item;
    size_t n, cap, next;
    struct transcript *log; /* borrowed; held while RESUME reads on */
    bool is_held;
    int64_t n_compared;
    size_t n_turn_compared; /* of the turn being compared */
    bool has_difference;
    struct recording_difference difference;
    int32_t before[CONTEXT_IDS];
};

/* ---- reading a log ---- */

static const char *text_of(const json_t *event, const char *key)
{
    const char *z = json_string_value(json_object_get(event, key));
    return z ? z : "";
}

static int64_t integer_of(const json_t *event, const char *key)
{
    return json_integer_value(json_object_get(event, key));
}

static enum status read_ids(const json_t *event,
                            const char *key,
                            struct ids *out,
                            struct err *e)
{
    const json_t *list = json_object_get(event, key);
    enum status st = json_is_array(list) ? QA_OK : err_set(e, QA_E_FORMAT, "no list '%s'", key);
    size_t i;
    json_t *x;
    json_array_foreach(list, i, x)
    {
        const json_int_t v = json_integer_value(x);
        if (!json_is_integer(x) || v < 0 || v > INT32_MAX) {
            return err_set(e, QA_E_FORMAT, "'%s' holds something that is no token", key);
        }
        const int32_t id = (int32_t)v;
        if (!st) st = ids_add(out, &id, 1, e);
    }
    return st;
}

static void item_release(struct item *x)
{
    json_decref(x->event);
    ids_release(&x->ids);
}

static void drop_items(struct recording *r, size_t n_kept)
{
    while (r->n > n_kept) {
        item_release(&r->item[--r->n]);
    }
}

static void read_turn(struct item *x)
{
    const json_t *event = x->event;
    x->turn = (struct recorded_turn){
        .ids = x->ids.p,
        .n = x->ids.n,
        .n_tokens = integer_of(event, "n_tokens"),
        .rng = strtoull(text_of(event, "rng"), NULL, 16),
        .end = text_of(event, "end"),
        .forks = json_object_get(event, "forks"),
        .is_answer = json_is_true(json_object_get(event, "is_answer")),
    };
    x->turn.is_unfinished = strcmp(x->turn.end, "budget") == 0;
}

static enum status add_item(struct recording *r,
                            enum item_kind kind,
                            json_t *event,
                            struct err *e)
{
    if (r->n == r->cap) {
        const size_t cap = 2 * r->cap + 32;
        struct item *p = realloc(r->item, cap * sizeof *p);
        if (!p) return err_set(e, QA_E_NOMEM, "out of memory for the log");
        r->item = p;
        r->cap = cap;
    }
    struct item *x = &r->item[r->n];
    *x = (struct item){.kind = kind};
    enum status st = kind == ITEM_PROGRAM ? QA_OK : read_ids(event, "ids", &x->ids, e);
    if (st) {
        ids_release(&x->ids);
        return st;
    }
    x->event = json_incref(event);
    if (kind == ITEM_TURN) read_turn(x);
    r->n++;
    return QA_OK;
}

static enum status read_event(struct recording *r, json_t *event, struct err *e)
{
    static const struct {
        const char *type;
        enum item_kind kind;
    } ITEMS[] = {
        {"append",  ITEM_APPEND },
        {"turn",    ITEM_TURN   },
        {"program", ITEM_PROGRAM}
    };
    const char *type = text_of(event, "type");
    if (strcmp(type, "start") == 0) { /* a log may hold several runs: the last counts */
        drop_items(r, 0);
        json_decref(r->start);
        json_decref(r->end);
        r->start = json_incref(event);
        r->end = NULL;
        return QA_OK;
    }
    if (!r->start) return QA_OK;
    if (strcmp(type, "end") == 0) {
        json_decref(r->end);
        r->end = json_incref(event);
    } else if (strcmp(type, "resume") == 0) { /* a broken turn is told again, whole */
        json_decref(r->end);
        r->end = NULL;
        const struct item *last = r->n ? &r->item[r->n - 1] : NULL;
        if (last && last->kind == ITEM_TURN && last->turn.is_unfinished) {
            drop_items(r, r->n - 1);
        }
    }
    for (size_t i = 0; i < COUNT(ITEMS); i++) {
        if (strcmp(type, ITEMS[i].type) == 0) return add_item(r, ITEMS[i].kind, event, e);
    }
    return QA_OK;
}

static enum status read_lines(struct recording *r, struct str text, struct err *e)
{
    size_t i_line = 1;
    for (struct str rest = text; rest.n; i_line++) {
        const size_t n = str_find(rest, STR("\n"));
        if (n == SIZE_MAX) return QA_OK; /* torn: it was never finished */
        json_t *event = json_loadb(rest.p, n, JSON_ALLOW_NUL, NULL);
        enum status st = event ? QA_OK : err_set(e, QA_E_FORMAT, "not JSON");
        if (!st) st = read_event(r, event, e);
        json_decref(event);
        if (st) return err_wrap(e, st, "line %zu", i_line);
        rest = str_cut(rest, n + 1, rest.n);
    }
    if (!r->start) return err_set(e, QA_E_FORMAT, "there is no run in it");
    return QA_OK;
}

/* The settings of a run and what they may be: a log is a file like any other. */
static enum status check_settings(const struct recording *r, struct err *e)
{
    // clang-format off
    static const struct {
        const char *group, *key; /* "": of the run itself */
        double lo, hi;
        bool is_whole;
    } ROWS[] = {
        {"",         "ctx_tokens",         0,    1 << 24,   true },
        {"",         "n_draft",            -1,   DRAFT_MAX, true },
        {"",         "n_copy",             -1,   DRAFT_MAX, true },
        {"",         "candidates",         0,    1 << 10,   true },
        {"limits",   "max_iter",           1,    1 << 20,   true },
        {"limits",   "timeout_s",          0,    1e22,      false},
        {"limits",   "max_tokens",         0,    0x1p62,    true },
        {"limits",   "think_tokens",       -1,   INT32_MAX, true },
        {"limits",   "tool_total_s",       0,    1e22,      false},
        {"limits",   "tool_timeout_ms",    1,    INT32_MAX, true },
        {"limits",   "tool_memory_bytes",  0,    0x1p62,    true },
        {"limits",   "tool_output_bytes",  0,    0x1p40,    true },
        {"sampling", "temp",               0,    1000,      false},
        {"sampling", "top_k",              0,    INT32_MAX, true },
        {"sampling", "top_p",              0,    1,         false},
        {"sampling", "min_p",              0,    1,         false},
        {"sampling", "presence_penalty",   -100, 100,       false},
        {"sampling", "repetition_penalty", 0,    100,       false},
        {"sampling", "penalty_last_n",     0,    INT32_MAX, true },
    };
    // clang-format on
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const json_t *group =
            *ROWS[i].group ? json_object_get(r->start, ROWS[i].group) : r->start;
        const json_t *x = json_object_get(group, ROWS[i].key);
        const double v = json_number_value(x);
        const bool is_kind = ROWS[i].is_whole ? json_is_integer(x) : json_is_number(x);
        if (is_kind && v >= ROWS[i].lo && v <= ROWS[i].hi) continue;
        return err_set(e, QA_E_FORMAT, "its setting '%s' is no %snumber from %g to %g",
                       ROWS[i].key, ROWS[i].is_whole ? "whole " : "", ROWS[i].lo, ROWS[i].hi);
    }
    return QA_OK;
}

static void read_head(struct recording *r)
{
    const json_t *s = r->start;
    const json_t *task = json_object_get(s, "task");
    r->head = (struct recording_head){
        .model_path = text_of(s, "model_path"),
        .model = text_of(s, "model"),
        .model_hash = text_of(s, "model_hash"),
        .kernels = text_of(s, "kernels"),
        .kv = text_of(s, "kv"),
        .sandbox = text_of(s, "sandbox"),
        .n_threads = (int)integer_of(s, "n_threads"),
        .name = text_of(s, "name"),
        .task = {json_string_value(task), json_string_length(task)},
        .outcome = text_of(r->end, "outcome"),
    };
}

enum status recording_open(struct recording **out,
                           const char *path,
                           enum recording_mode mode,
                           struct err *e)
{
    struct recording *r = calloc(1, sizeof *r);
    struct str_buf text;
    if (!r) return err_set(e, QA_E_NOMEM, "out of memory for the log");
    r->mode = mode;
    str_buf_init(&text, LOG_MAX_BYTES);
    enum status st = file_read(&text, path, e);
    if (!st) {
        st = read_lines(r, str_buf_str(&text), e);
        if (!st) st = check_settings(r, e);
        if (st) st = err_wrap(e, st, "session log '%s'", path);
    }
    str_buf_release(&text);
    if (st) {
        recording_close(r);
        return st;
    }
    read_head(r);
    *out = r;
    return QA_OK;
}

void recording_close(struct recording *r)
{
    if (!r) return;
    drop_items(r, 0);
    free(r->item);
    json_decref(r->start);
    json_decref(r->end);
    free(r);
}

const struct recording_head *recording_head(const struct recording *r)
{
    return &r->head;
}

void recording_settings(const struct recording *r, struct agent_opts *o)
{
    const json_t *limits = json_object_get(r->start, "limits");
    const json_t *sampling = json_object_get(r->start, "sampling");
    struct agent_limits *l = &o->limits;
    (void)agent_retry_of(text_of(r->start, "retry"), &o->retry);
    o->keeps_signature = json_is_true(json_object_get(r->start, "keeps_signature"));
    o->ctx_tokens = integer_of(r->start, "ctx_tokens");
    o->n_draft = (int)integer_of(r->start, "n_draft");
    o->n_copy = (int)integer_of(r->start, "n_copy");
    o->n_candidates = (int)integer_of(r->start, "candidates");
    l->max_iter = (int)integer_of(limits, "max_iter");
    l->timeout_s = json_number_value(json_object_get(limits, "timeout_s"));
    l->max_tokens = integer_of(limits, "max_tokens");
    l->think_tokens = (int)integer_of(limits, "think_tokens");
    l->tool_total_s = json_number_value(json_object_get(limits, "tool_total_s"));
    l->tool.timeout_ms = (int)integer_of(limits, "tool_timeout_ms");
    l->tool.memory_bytes = (uint64_t)integer_of(limits, "tool_memory_bytes");
    l->tool.output_bytes = (size_t)integer_of(limits, "tool_output_bytes");
    if (r->mode == RECORDING_REPLAY) l->timeout_s = l->tool_total_s = 0;
    o->sampling = (struct sampling){
        .temp = (float)json_number_value(json_object_get(sampling, "temp")),
        .top_k = (int)integer_of(sampling, "top_k"),
        .top_p = (float)json_number_value(json_object_get(sampling, "top_p")),
        .min_p = (float)json_number_value(json_object_get(sampling, "min_p")),
        .presence_penalty =
            (float)json_number_value(json_object_get(sampling, "presence_penalty")),
        .repetition_penalty =
            (float)json_number_value(json_object_get(sampling, "repetition_penalty")),
        .penalty_last_n = (int)integer_of(sampling, "penalty_last_n"),
        .seed = strtoull(text_of(sampling, "seed"), NULL, 16),
    };
}

/* ---- differences ---- */

const struct recording_difference *recording_difference(const struct recording *r)
{
    return r->has_difference ? &r->difference : NULL;
}

int64_t recording_n_compared(const struct recording *r)
{
    return r->n_compared;
}

static void note_difference(struct recording *r,
                            const char *what,
                            const int32_t *session,
                            size_t position,
                            int32_t recorded,
                            int32_t now)
{
    if (r->has_difference) return;
    const size_t n = QA_MIN(position, (size_t)CONTEXT_IDS);
    if (n) memcpy(r->before, session + position - n, n * sizeof *session);
    const struct item *x = r->next > 0 ? &r->item[r->next - 1] : NULL;
    r->has_difference = true;
    r->difference = (struct recording_difference){
        .iteration = x ? (int)integer_of(x->event, "iteration") : 0,
        .position = (int64_t)position,
        .recorded = recorded,
        .now = now,
        .what = what,
        .before = r->before,
        .n_before = n,
    };
}

/* Where a and b part, at most n; n when they do not. */
static size_t find_parting(const int32_t *a, const int32_t *b, size_t n)
{
    size_t i = 0;
    while (i < n && a[i] == b[i]) {
        i++;
    }
    return i;
}

/* ---- for the loop ---- */

static bool is_used_up(const struct recording *r)
{
    return !r || r->next >= r->n;
}

int recording_max_iter(const struct recording *r, int own)
{
    if (is_used_up(r)) return own;
    return (int)integer_of(json_object_get(r->start, "limits"), "max_iter");
}

void recording_goes_on(struct recording *r)
{
    if (!r || !r->is_held) return;
    r->is_held = false;
    transcript_hold(r->log, false);
    transcript_add(r->log, "resume", json_object());
}

/* The next item, when it is of this kind.  NULL with QA_OK: the log is used up. */
static enum status take(struct recording *r,
                        enum item_kind kind,
                        struct item **out,
                        struct err *e)
{
    *out = NULL;
    if (!r) return QA_OK;
    if (is_used_up(r)) {
        if (r->mode == RECORDING_REPLAY) return err_set(e, QA_E_STOP, "the log ends here");
        recording_goes_on(r);
        return QA_OK;
    }
    struct item *x = &r->item[r->next++];
    if (x->kind != kind) {
        if (r->mode == RECORDING_REPLAY) {
            note_difference(r, "event", NULL, 0, -1, -1);
            return err_set(e, QA_E_STOP, "the log goes on otherwise");
        }
        return err_set(e, QA_E_FORMAT, "the session log does not fit: it goes on with '%s'",
                       text_of(x->event, "type"));
    }
    *out = x;
    return QA_OK;
}

enum status recording_begin(struct recording *r,
                            struct transcript *log,
                            const int32_t *prefix,
                            size_t n,
                            struct err *e)
{
    struct ids want = {0};
    if (!r) return QA_OK;
    enum status st = read_ids(r->start, "prefix_ids", &want, e);
    const size_t at = find_parting(want.p, prefix, QA_MIN(want.n, n));
    const bool is_same = at == n && n == want.n;
    if (!st && !is_same && r->mode == RECORDING_REPLAY) {
        note_difference(r, "system prompt", prefix, at, at < want.n ? want.p[at] : -1,
                        at < n ? prefix[at] : -1);
        st = err_set(e, QA_E_STOP, "another system prompt");
    } else if (!st && !is_same) {
        st = err_set(e, QA_E_FORMAT, "the session log was made with another system prompt");
    }
    ids_release(&want);
    if (st) return st;
    r->n_compared += (int64_t)n;
    if (r->mode == RECORDING_REPLAY) return QA_OK;
    r->log = log;
    r->is_held = true;
    transcript_hold(log, true);
    return QA_OK;
}

void recording_end(struct recording *r, bool is_interrupted)
{
    if (!r) return;
    /* A run whose end is in the log already is not ended twice. */
    if (!r->end || is_interrupted || strcmp(r->head.outcome, "interrupted") == 0) {
        recording_goes_on(r);
    }
    if (r->mode == RECORDING_REPLAY && !is_used_up(r) && !r->has_difference) {
        const struct item *x = &r->item[r->next++];
        note_difference(r, x->kind == ITEM_PROGRAM ? "program" : "end", NULL, 0,
                        x->ids.n ? x->ids.p[0] : -1, -1);
    }
}

enum status recording_append(struct recording *r,
                             const char *what,
                             const int32_t *session,
                             size_t n_before,
                             const int32_t *ids,
                             size_t n,
                             struct err *e)
{
    struct item *x;
    const enum status st = take(r, ITEM_APPEND, &x, e);
    if (st || !x) return st;
    const size_t at = find_parting(x->ids.p, ids, QA_MIN(x->ids.n, n));
    r->n_compared += (int64_t)at;
    if (at == n && n == x->ids.n) return QA_OK;
    if (r->mode == RECORDING_RESUME) {
        return err_set(e, QA_E_FORMAT, "the session log does not fit this version: %s", what);
    }
    note_difference(r, what, session, n_before, at < x->ids.n ? x->ids.p[at] : -1,
                    at < n ? ids[at] : -1);
    r->difference.position += (int64_t)at;
    return err_set(e, QA_E_STOP, "another prompt than recorded");
}

enum status recording_turn(struct recording *r, const struct recorded_turn **out, struct err *e)
{
    struct item *x;
    const enum status st = take(r, ITEM_TURN, &x, e);
    *out = x ? &x->turn : NULL;
    if (r) r->n_turn_compared = 0;
    return st;
}

bool recording_is_replay(const struct recording *r)
{
    return r && r->mode == RECORDING_REPLAY;
}

bool recording_compare(struct recording *r,
                       const struct recorded_turn *t,
                       const int32_t *session,
                       size_t from,
                       size_t n,
                       bool is_over)
{
    const size_t n_now = n - from;
    const size_t done = r->n_turn_compared;
    const size_t most = QA_MIN(n_now, t->n);
    const size_t at = done + find_parting(t->ids + done, session + from + done, most - done);
    r->n_turn_compared = at;
    r->n_compared += (int64_t)(at - done);
    if (at == t->n && t->is_unfinished) return false; /* as far as the log goes */
    /* A spent plan is cut behind its thinking, wherever the burst ended. */
    if (at == most && strcmp(t->end, "repeat") == 0) return true;
    if (at == most && !(is_over && n_now < t->n) && n_now <= t->n) return true;
    note_difference(r, "turn", session, from + at, at < t->n ? t->ids[at] : -1,
                    at < n_now ? session[from + at] : -1);
    return false;
}

/* A string of the event as a C string of its own. */
static char *take_text(const json_t *event, const char *key, size_t *n)
{
    const json_t *x = json_object_get(event, key);
    *n = json_string_length(x);
    char *p = malloc(*n + 1);
    if (!p) return NULL;
    if (*n) memcpy(p, json_string_value(x), *n);
    p[*n] = 0;
    return p;
}

enum status recording_program(struct recording *r,
                              struct run_result *out,
                              bool *has,
                              struct err *e)
{
    struct item *x;
    const enum status st = take(r, ITEM_PROGRAM, &x, e);
    *has = x != NULL;
    if (st || !x) return st;
    struct run_result v = {
        .exit_code = (int)integer_of(x->event, "exit_code"),
        .signal = (int)integer_of(x->event, "signal"),
        .truncated_bytes = (uint64_t)integer_of(x->event, "truncated_bytes"),
        .duration_ms = json_number_value(json_object_get(x->event, "ms")),
    };
    const char *status = text_of(x->event, "status");
    for (int s = RUN_OK; s <= RUN_KILLED; s++) {
        if (strcmp(status, run_status_name((enum run_status)s)) == 0) {
            v.status = (enum run_status)s;
        }
    }
    v.out = take_text(x->event, "stdout", &v.n_out);
    v.errtext = take_text(x->event, "stderr", &v.n_errtext);
    if (!v.out || !v.errtext) {
        run_result_release(&v);
        return err_set(e, QA_E_NOMEM, "out of memory for a recorded result");
    }
    *out = v;
    return QA_OK;
}
