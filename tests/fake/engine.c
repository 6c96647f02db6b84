/* engine.c - the engine's door, played from a tape (fake.h). */
#include "engine/base/clock.h"
#include "tests/fake/fake.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const SPECIALS[] = {
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
    "<|audio_start|>",
    "<|audio_end|>",
    "<tts_pad>",
    "<tts_text_bos>",
    "<tts_text_eod>",
    "<tts_text_bos_single>",
    "<|audio_pad|>",
};
enum { N_VOCAB = 256 + COUNT(SPECIALS), ID_END = 258, ID_START = 257, MAX_MARKS = 16 };

struct engine {
    struct engine_info info;
    struct fake_tape tape;
    struct fake_log *log;
    struct ids last;
    char *text;
    char bytes[256];
    struct rng rng;
};

struct session {
    struct engine *g;
    struct ids ids;
    int64_t cap;
    int64_t marks[MAX_MARKS]; /* -1: free */
    float logits[N_VOCAB];
    struct ids turn; /* of the tape, as ids */
    size_t i_turn, pos;
    bool is_new_turn;
    double overslept_s;
    struct session_stats stats;
};

static bool stop_flag;
struct fake_tape fake_default;

/* ---- ids ---- */

void ids_release(struct ids *v)
{
    free(v->p);
    *v = (struct ids){0};
}

enum status ids_add(struct ids *v, const int32_t *p, size_t n, struct err *e)
{
    if (v->n + n > v->cap) {
        const size_t cap = 2 * (v->n + n) + 64;
        int32_t *q = realloc(v->p, cap * sizeof *q);
        if (!q) return err_set(e, QA_E_NOMEM, "out of memory");
        v->p = q;
        v->cap = cap;
    }
    if (n) memcpy(v->p + v->n, p, n * sizeof *p);
    v->n += n;
    return QA_OK;
}

/* ---- engine ---- */

enum status fake_engine_open(struct engine **out, const struct fake_tape *t, struct err *e)
{
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_set(e, QA_E_NOMEM, "out of memory");
    g->tape = *t;
    g->log = calloc(1, sizeof *g->log);
    g->info = (struct engine_info){.arch = "qwen35moe",
                                   .name = "tape",
                                   .kernels = "none",
                                   .chat_template = str_of(t->chat_template),
                                   .n_threads = 1,
                                   .n_vocab = N_VOCAB,
                                   .n_ctx_train = t->n_ctx ? t->n_ctx : 65536,
                                   .n_params = t->n_params ? t->n_params : 4000000000};
    for (int i = 0; i < 256; i++) {
        g->bytes[i] = (char)i;
    }
    rng_init(&g->rng, t->seed, 0);
    stop_flag = false;
    *out = g;
    return QA_OK;
}

struct engine_opts engine_opts_default(void)
{
    return (struct engine_opts){.want_draft = true};
}

enum status engine_open(struct engine **out, const struct engine_opts *o, struct err *e)
{
    return fake_engine_open(out, &fake_default, e);
}

void engine_close(struct engine *g)
{
    if (!g) return;
    ids_release(&g->last);
    free(g->text);
    free(g->log);
    free(g);
}

const struct engine_info *engine_info(const struct engine *g)
{
    return &g->info;
}

const struct fake_log *fake_engine_log(const struct engine *g)
{
    return g->log;
}

const char *fake_engine_text(const struct engine *g)
{
    return g->text ? g->text : "";
}

const struct ids *fake_engine_ids(const struct engine *g)
{
    return &g->last;
}

enum status engine_encode(const struct engine *g,
                          struct str text,
                          enum special_mode mode,
                          struct ids *out,
                          struct err *e)
{
    for (size_t i = 0; i < text.n;) {
        int32_t id = (unsigned char)text.p[i];
        size_t n = 1;
        for (size_t k = 0; k < COUNT(SPECIALS) && mode == SPECIAL_PARSE; k++) {
            if (!str_starts(str_cut(text, i, text.n), str_of(SPECIALS[k]))) continue;
            id = (int32_t)(256 + k);
            n = strlen(SPECIALS[k]);
        }
        const enum status st = ids_add(out, &id, 1, e);
        if (st) return st;
        i += n;
    }
    return QA_OK;
}

struct str engine_piece(const struct engine *g, int32_t id)
{
    if (id >= 0 && id < 256) return (struct str){g->bytes + id, 1};
    if (id >= 256 && id < N_VOCAB) return str_of(SPECIALS[id - 256]);
    return (struct str){"", 0};
}

int32_t engine_special(const struct engine *g, const char *text)
{
    for (size_t k = 0; k < COUNT(SPECIALS); k++) {
        if (strcmp(SPECIALS[k], text) == 0) return (int32_t)(256 + k);
    }
    return -1;
}

bool engine_is_control(const struct engine *g, int32_t id)
{
    return id >= 256 && id < N_VOCAB;
}

bool engine_is_stop(const struct engine *g, int32_t id)
{
    return id == 256 || id == ID_END;
}

/* ---- sessions ---- */

enum status session_open(struct session **out,
                         struct engine *g,
                         const struct session_opts *o,
                         struct err *e)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) return err_set(e, QA_E_NOMEM, "out of memory");
    s->g = g;
    s->cap = o->cap_tokens;
    s->i_turn = SIZE_MAX;
    for (size_t i = 0; i < MAX_MARKS; i++) {
        s->marks[i] = -1;
    }
    *out = s;
    return QA_OK;
}

void session_close(struct session *s)
{
    if (!s) return;
    struct err e = {0};
    struct str_buf b;
    str_buf_init(&b, 64 << 20);
    s->g->last.n = 0;
    ASSERT(ids_add(&s->g->last, s->ids.p, s->ids.n, &e) == QA_OK);
    for (size_t i = 0; i < s->ids.n; i++) {
        str_buf_add(&b, engine_piece(s->g, s->ids.p[i]));
    }
    free(s->g->text);
    s->g->text = str_buf_take(&b);
    ids_release(&s->ids);
    ids_release(&s->turn);
    free(s);
}

int64_t session_n_tokens(const struct session *s)
{
    return (int64_t)s->ids.n;
}

int64_t session_cap_tokens(const struct session *s)
{
    return s->cap;
}

const int32_t *session_ids(const struct session *s)
{
    return s->ids.p;
}

enum status session_append(struct session *s, const int32_t *ids, size_t n, struct err *e)
{
    if ((int64_t)(s->ids.n + n) > s->cap) return err_set(e, QA_E_LIMIT, "the context is full");
    if (stop_flag) return err_set(e, QA_E_STOP, "stopped");
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == ID_START) s->is_new_turn = true;
    }
    s->g->log->n_appended += n;
    s->stats.n_prefilled += n;
    if (!s->g->tape.rate_tps) s->stats.prefill_s += (double)n * 0.01; /* as a large model */
    return ids_add(&s->ids, ids, n, e);
}

enum status session_sync(struct session *s,
                         const int32_t *ids,
                         size_t n,
                         size_t *n_reused,
                         struct err *e)
{
    size_t same = 0;
    while (same < n && same < s->ids.n && ids[same] == s->ids.p[same])
        same++;
    if (same < s->ids.n) same = 0;
    s->ids.n = same;
    if (n_reused) *n_reused = same;
    return session_append(s, ids + same, n - same, e);
}

/* A file of nothing but the ids. */
enum status session_save(struct session *s, const char *path, struct err *e)
{
    FILE *f = fopen(path, "wb");
    if (!f) return err_set(e, QA_E_IO, "cannot create '%s'", path);
    const size_t n = fwrite(s->ids.p, sizeof *s->ids.p, s->ids.n, f);
    return fclose(f) || n != s->ids.n ? err_set(e, QA_E_IO, "cannot write '%s'", path) : QA_OK;
}

enum status session_load(struct session *s, const char *path, struct err *e)
{
    int32_t ids[4096];
    FILE *f = fopen(path, "rb");
    if (!f) return err_set(e, QA_E_IO, "cannot open '%s'", path);
    enum status st = QA_OK;
    s->ids.n = 0;
    for (size_t n; !st && (n = fread(ids, sizeof *ids, COUNT(ids), f)) > 0;)
        st = ids_add(&s->ids, ids, n, e);
    fclose(f);
    if (s->ids.n == 0) st = err_set(e, QA_E_FORMAT, "session file '%s' is damaged", path);
    return st;
}

uint64_t session_key(const struct session *s, const int32_t *ids, size_t n)
{
    uint64_t key = 1;
    for (size_t i = 0; i < n; i++)
        key = key * 31 + (uint64_t)ids[i];
    return key;
}

enum status session_mark(struct session *s, int *mark, struct err *e)
{
    for (int i = 0; i < MAX_MARKS; i++) {
        if (s->marks[i] >= 0) continue;
        s->marks[i] = (int64_t)s->ids.n;
        *mark = i;
        return QA_OK;
    }
    return err_set(e, QA_E_LIMIT, "no mark is free");
}

enum status session_rewind(struct session *s, int mark, struct err *e)
{
    ASSERT(mark >= 0 && mark < MAX_MARKS && s->marks[mark] >= 0);
    s->ids.n = (size_t)s->marks[mark];
    for (int i = 0; i < MAX_MARKS; i++) {
        if (s->marks[i] > s->marks[mark]) s->marks[i] = -1;
    }
    s->g->log->n_rewinds++;
    return QA_OK;
}

void session_drop_mark(struct session *s, int mark)
{
    ASSERT(mark >= 0 && mark < MAX_MARKS && s->marks[mark] >= 0);
    s->marks[mark] = -1;
}

enum status session_fork(struct session **out, struct session *s, struct err *e)
{
    return err_set(e, QA_E_INTERNAL, "a tape cannot fork");
}

const float *session_logits(struct session *s, struct err *e)
{
    return s->logits;
}

/* ---- decoding ---- */

struct sampling sampling_greedy(void)
{
    return (struct sampling){.top_p = 1, .repetition_penalty = 1};
}

static void start_turn(struct session *s)
{
    const struct fake_tape *t = &s->g->tape;
    struct err e = {0};
    s->is_new_turn = false;
    s->i_turn++;
    s->pos = 0;
    s->turn.n = 0;
    const char *text = s->i_turn < t->n_turns ? t->turns[s->i_turn].text : "";
    ASSERT(engine_encode(s->g, str_of(text), SPECIAL_PARSE, &s->turn, &e) == QA_OK);
}

static int32_t next_of_tape(struct session *s)
{
    const struct fake_tape *t = &s->g->tape;
    if (t->is_random) return (int32_t)rng_below(&s->g->rng, N_VOCAB);
    const bool again = s->i_turn < t->n_turns && t->turns[s->i_turn].is_endless && s->turn.n;
    if (s->pos >= s->turn.n && !again) return ID_END;
    return s->turn.p[s->pos++ % s->turn.n];
}

/* The tape's token first; then, for when it is forbidden, an order that gets on. */
static void fill_logits(struct session *s, int32_t want)
{
    for (int32_t i = 0; i < N_VOCAB; i++) {
        s->logits[i] = -0.001f * (float)i;
    }
    s->logits['x'] = 1;
    s->logits['\n'] = 2;
    s->logits[ID_END] = 3;
    s->logits[want] = 20;
    const struct fake_tape *t = &s->g->tape;
    for (size_t i = 0; i < t->n_doubts; i++) {
        const struct fake_doubt *d = &t->doubts[i];
        if (d->turn == s->i_turn && d->at + 1 == s->pos)
            s->logits[(unsigned char)d->second] = 20 - d->behind;
    }
}

static int32_t pick(struct session *s, const struct decode_args *a, const struct burst *b)
{
    float again[N_VOCAB];
    memcpy(again, s->logits, sizeof again);
    if (a->mask) {
        a->mask(a->mask_ctx, b->ids, b->n, s->logits, N_VOCAB);
        a->mask(a->mask_ctx, b->ids, b->n, again, N_VOCAB); /* drafting asks again */
        ASSERT(memcmp(again, s->logits, sizeof again) == 0);
    }
    int32_t best = 0;
    for (int32_t i = 1; i < N_VOCAB; i++) {
        if (s->logits[i] > s->logits[best]) best = i;
    }
    ASSERT(s->logits[best] > -INFINITY);
    int n_allowed = 0;
    for (int32_t i = 0; i < N_VOCAB; i++) {
        n_allowed += s->logits[i] > -INFINITY;
    }
    /* A forced token is not the model's: the tape waits. */
    if (n_allowed == 1 && s->pos > 0) s->pos--;
    return best;
}

/* A burst of n tokens that began at start_s takes as long as the tape says; what one sleeps
 * too long on a busy machine the next sleeps less. */
static void keep_pace(struct session *s, int n, double start_s)
{
    if (!(s->g->tape.rate_tps > 0)) return;
    const double end_s = start_s + n / s->g->tape.rate_tps - s->overslept_s;
    const int64_t end_ns = (int64_t)(end_s * 1e9);
    const struct timespec end = {end_ns / 1000000000, end_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
    s->overslept_s = clock_now_s() - end_s;
    s->stats.decode_s += clock_now_s() - start_s;
}

static float logprob_of(const struct session *s, int32_t id)
{
    double sum = 0;
    for (int32_t i = 0; i < N_VOCAB; i++) {
        sum += exp((double)s->logits[i]);
    }
    return (float)((double)s->logits[id] - log(sum));
}

/* The likeliest, best first, as the real one reports them. */
static void report_top(const struct session *s, int n_top, struct token_prob *top)
{
    for (int k = 0; k < n_top; k++) {
        top[k] = (struct token_prob){.id = -1};
        for (int32_t i = 0; i < N_VOCAB; i++) {
            bool is_taken = !(s->logits[i] > -INFINITY);
            for (int j = 0; j < k; j++) {
                is_taken |= top[j].id == i;
            }
            if (is_taken || (top[k].id >= 0 && s->logits[top[k].id] >= s->logits[i])) continue;
            top[k] = (struct token_prob){i, 0};
        }
        if (top[k].id >= 0) top[k].logprob = logprob_of(s, top[k].id);
    }
}

enum status session_decode(struct session *s,
                           const struct decode_args *a,
                           struct burst *out,
                           struct err *e)
{
    struct engine *g = s->g;
    struct burst b = {0};
    int n = QA_MAX(g->tape.n_burst, 1);
    const double start_s = clock_now_s();
    if (a->max_tokens) n = QA_MIN(n, a->max_tokens);
    if (stop_flag) return err_set(e, QA_E_STOP, "stopped");
    if (s->is_new_turn) start_turn(s);
    while (b.n < n && (int64_t)s->ids.n < s->cap) {
        fill_logits(s, next_of_tape(s));
        const int32_t id = pick(s, a, &b);
        if (a->n_top) report_top(s, a->n_top, a->top + b.n * a->n_top);
        b.logprob[b.n] = logprob_of(s, id);
        b.ids[b.n++] = id;
        if (ids_add(&s->ids, &id, 1, e)) return QA_E_NOMEM;
        g->log->temp[g->log->n_decoded++ % COUNT(g->log->temp)] = a->sampling->temp;
        s->stats.n_decoded++;
        if (g->tape.stop && g->tape.stop_after == (int64_t)s->stats.n_decoded)
            *g->tape.stop = 1;
        bool is_end = engine_is_stop(g, id);
        for (int i = 0; i < a->n_ends; i++) {
            is_end |= a->ends[i] == id;
        }
        if (is_end) break;
    }
    if (!b.n) return err_set(e, QA_E_LIMIT, "the context is full");
    keep_pace(s, b.n, start_s);
    *out = b;
    return QA_OK;
}

struct session_stats session_stats(const struct session *s)
{
    return s->stats;
}

void engine_stop(void)
{
    stop_flag = true;
}

void engine_stop_clear(void)
{
    stop_flag = false;
}

bool engine_stop_requested(void)
{
    return stop_flag;
}
