/* complete.c - `qagent complete`: plain completion of a prompt, streamed. */
#include "cmd/run.h"
#include "cmd/view.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STOPS = 16, MAX_BANS = 64, TOP_MAX = 20, PROMPT_MAX_BYTES = 64 << 20 };
enum { KEY_STOP = 0x100, KEY_JSON, KEY_LOGPROBS, KEY_NO_SPECIAL, KEY_BAN };

struct complete_opts {
    struct model_opts model;
    const char *text, *file;
    int64_t max_tokens; /* 0: until a stop token or the context is full */
    const char *stops[MAX_STOPS];
    int n_stops;
    int32_t bans[MAX_BANS];
    size_t n_bans;
    int n_top; /* -1: no log-probabilities; else of so many tokens beside the chosen one */
    bool want_json, no_special;
};

/* One completion while it grows: bytes, what is printed, what was measured. */
struct completion {
    const struct complete_opts *o;
    struct engine *g;
    struct session *s;
    struct str_buf text;
    size_t n_printed;
    json_t *logprobs;
    int64_t n_tokens;
    const char *finish; /* NULL while running; "stop", "length" */
};

static const struct argp_option OPTIONS[] = {
    {"prompt",      'p', "TEXT", 0, "the prompt", 0},
    {"file",       'f', "FILE", 0, "read the prompt from FILE, - for standard input", 0},
    {"max-tokens", 'n', "N", 0, "at most N tokens (default: until the model stops)", 0},
    {"stop",             KEY_STOP, "TEXT", 0, "end before TEXT; \\n is a newline; may be given 16 times",
     0},
    {"logprobs",    KEY_LOGPROBS, "N", 0,
     "with --json: log-probability of each token and of the N likeliest in its place (0 to 20)", 0},
    {"ban",            KEY_BAN, "ID", 0, "never pick this token id; may be given 64 times", 0},
    {"json",            KEY_JSON, 0, 0, "print one JSON object at the end instead of streaming", 0},
    {"no-special",  KEY_NO_SPECIAL, 0, 0, "read <|...|> in the prompt as ordinary text", 0},
    {0         },
};

/* "\n" as typed in a shell becomes a newline, "\\" a backslash. */
static const char *unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] == 'n') {
            *to++ = '\n';
            from++;
        } else if (from[0] == '\\' && from[1] == '\\') {
            *to++ = '\\';
            from++;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return text;
}

static error_t option(int key, char *arg, struct argp_state *state)
{
    struct complete_opts *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->model; break;
    case 'p': o->text = arg; break;
    case 'f': o->file = arg; break;
    case 'n': o->max_tokens = opt_int_arg("max-tokens", arg, 1, 1 << 24); break;
    case KEY_STOP:
        if (o->n_stops == MAX_STOPS) opt_fail("at most %d --stop texts", MAX_STOPS);
        if (!*arg) opt_fail("option '--stop' takes a text that is not empty");
        o->stops[o->n_stops++] = unescape(arg);
        break;
    case KEY_JSON: o->want_json = true; break;
    case KEY_LOGPROBS: o->n_top = (int)opt_int_arg("logprobs", arg, 0, TOP_MAX); break;
    case KEY_BAN:
        if (o->n_bans == MAX_BANS) opt_fail("at most %d --ban ids", MAX_BANS);
        o->bans[o->n_bans++] = (int32_t)opt_int_arg("ban", arg, 0, INT32_MAX);
        break;
    case KEY_NO_SPECIAL: o->no_special = true; break;
    case ARGP_KEY_ARG: opt_fail("unexpected word '%s'; the prompt goes to -p or -f", arg);
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static enum status read_prompt(const struct complete_opts *o, struct str_buf *b, struct err *e)
{
    if (o->text && o->file) return err_set(e, QA_E_USAGE, "give -p or -f, not both");
    enum status st = QA_OK;
    if (o->text) {
        str_buf_add_z(b, o->text);
        st = str_buf_check(b, "the prompt", e);
    } else {
        st = file_read(b, o->file ? o->file : "-", e);
    }
    if (!st && !b->n) st = err_set(e, QA_E_USAGE, "the prompt is empty");
    return st;
}

/* Earliest stop text at or after `from`; SIZE_MAX when there is none. */
static size_t find_stop(const struct completion *c, size_t from)
{
    size_t first = SIZE_MAX;
    for (int i = 0; i < c->o->n_stops; i++) {
        const struct str rest = {c->text.p + from, c->text.n - from};
        const size_t at = str_find(rest, str_of(c->o->stops[i]));
        if (at != SIZE_MAX && from + at < first) first = from + at;
    }
    return first;
}

/* How many final bytes could still become a stop text or half a character. */
static size_t held_back(const struct completion *c)
{
    size_t hold = 0;
    for (int i = 0; i < c->o->n_stops; i++) {
        const size_t n = strlen(c->o->stops[i]);
        for (size_t k = QA_MIN(n - 1, c->text.n); k > hold; k--) {
            if (memcmp(c->text.p + c->text.n - k, c->o->stops[i], k) == 0) hold = k;
        }
    }
    for (size_t k = 1; k <= 3 && k <= c->text.n; k++) {
        const unsigned char byte = (unsigned char)c->text.p[c->text.n - k];
        if (byte < 0x80) break;
        if (byte < 0xC0) continue;
        const size_t need = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
        if (k < need && k > hold) hold = k;
        break;
    }
    return hold;
}

static void print_up_to(struct completion *c, size_t end)
{
    if (c->o->want_json || end <= c->n_printed) return;
    view_put(stdout, str_cut(str_buf_str(&c->text), c->n_printed, end));
    fflush(stdout);
    c->n_printed = end;
}

/* {"id", "text", "logprob"}; a token that is part of a character has "bytes" instead. */
static json_t *json_token(const struct completion *c, int32_t id, float logprob)
{
    const struct str piece = engine_piece(c->g, id);
    json_t *o = json_pack("{s:i}", "id", (int)id);
    json_t *text = json_stringn(piece.p ? piece.p : "", piece.n);
    if (text) {
        json_object_set_new(o, "text", text);
    } else {
        json_t *bytes = json_array();
        for (size_t i = 0; i < piece.n; i++)
            json_array_append_new(bytes, json_integer((unsigned char)piece.p[i]));
        json_object_set_new(o, "bytes", bytes);
    }
    json_object_set_new(o, "logprob", json_real((double)logprob));
    return o;
}

static void add_logprobs(struct completion *c,
                         int32_t id,
                         float logprob,
                         const struct token_prob *top)
{
    json_t *o = json_token(c, id, logprob), *likeliest = json_array();
    for (int i = 0; i < c->o->n_top && top[i].id >= 0; i++)
        json_array_append_new(likeliest, json_token(c, top[i].id, top[i].logprob));
    json_object_set_new(o, "top", likeliest);
    json_array_append_new(c->logprobs, o);
}

static void take_token(struct completion *c,
                       int32_t id,
                       float logprob,
                       const struct token_prob *top)
{
    if (c->finish) return;
    c->n_tokens++;
    if (engine_is_stop(c->g, id)) {
        c->finish = "stop";
        return;
    }
    const size_t before = c->text.n;
    str_buf_add(&c->text, engine_piece(c->g, id));
    if (c->logprobs) add_logprobs(c, id, logprob, top);
    /* A stop text may have begun in an earlier token. */
    size_t longest = 0;
    for (int i = 0; i < c->o->n_stops; i++) {
        longest = QA_MAX(longest, strlen(c->o->stops[i]));
    }
    const size_t at = find_stop(c, before > longest ? before - longest : 0);
    if (at != SIZE_MAX) {
        c->text.n = at;
        c->finish = "stop";
    }
}

static enum status generate(struct completion *c, struct err *e)
{
    const struct sampling sampling = run_sampling(&c->o->model);
    struct rng rng;
    rng_init(&rng, sampling.seed, 0);
    const int64_t n_prompt = session_n_tokens(c->s);
    while (!c->finish) {
        const int64_t room = session_cap_tokens(c->s) - session_n_tokens(c->s);
        int64_t left = c->o->max_tokens ? c->o->max_tokens - c->n_tokens : room;
        left = QA_MIN(left, room);
        if (left <= 0) {
            c->finish = "length";
            break;
        }
        struct burst b;
        struct token_prob top[BURST_MAX * TOP_MAX];
        const int n_top = QA_MAX(c->o->n_top, 0);
        const struct decode_args a = {.sampling = &sampling,
                                      .rng = &rng,
                                      .banned = c->o->bans,
                                      .n_banned = c->o->n_bans,
                                      .n_top = n_top,
                                      .top = top,
                                      .n_prompt = n_prompt,
                                      .max_tokens = (int)QA_MIN(left, BURST_MAX)};
        const enum status st = session_decode(c->s, &a, &b, e);
        if (st) return st;
        for (int i = 0; i < b.n; i++) {
            take_token(c, b.ids[i], b.logprob[i], top + i * n_top);
        }
        if (!c->finish) print_up_to(c, c->text.n - held_back(c));
    }
    print_up_to(c, c->text.n);
    return str_buf_check(&c->text, "the completion", e);
}

/* Of each source that was used: drafted and accepted by place in the chain. */
static json_t *json_drafts(const struct session_stats *s)
{
    json_t *o = json_object();
    for (int k = 0; k < DRAFT_SOURCES; k++) {
        const struct draft_stats *d = &s->draft[k];
        if (!d->drafted[0]) continue;
        json_t *drafted = json_array(), *accepted = json_array();
        for (int i = 0; i < DRAFT_MAX && d->drafted[i]; i++) {
            json_array_append_new(drafted, json_integer((json_int_t)d->drafted[i]));
            json_array_append_new(accepted, json_integer((json_int_t)d->accepted[i]));
        }
        json_object_set_new(o, draft_source_name((enum draft_source)k),
                            json_pack("{s:o, s:o}", "drafted", drafted, "accepted", accepted));
    }
    return o;
}

/* What is no UTF-8, and half a character at the end, becomes U+FFFD. */
static json_t *json_text(struct str s)
{
    struct str_buf b;
    struct view_tail tail = {.n = 0};
    str_buf_init(&b, 3 * (s.n + sizeof tail.p));
    view_add(&b, &tail, s, false);
    if (tail.n) str_buf_add_z(&b, "\xEF\xBF\xBD");
    json_t *text = json_stringn(b.p ? b.p : "", b.n);
    str_buf_release(&b);
    return text;
}

static void print_json(const struct completion *c)
{
    json_t *text = json_text(str_buf_str(&c->text));
    json_t *o =
        json_pack("{s:o, s:s, s:I}", "text", text, "finish_reason",
                  c->finish ? c->finish : "interrupted", "n_tokens", (json_int_t)c->n_tokens);
    if (c->logprobs) json_object_set(o, "tokens", c->logprobs);
    const struct session_stats s = session_stats(c->s);
    json_object_set_new(o, "stats",
                        json_pack("{s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:o}", "n_prefilled",
                                  (json_int_t)s.n_prefilled, "n_decoded",
                                  (json_int_t)s.n_decoded, "prefill_s", s.prefill_s, "decode_s",
                                  s.decode_s, "n_steps", (json_int_t)s.n_steps, "n_drafted",
                                  (json_int_t)s.n_drafted, "n_accepted",
                                  (json_int_t)s.n_accepted, "drafts", json_drafts(&s)));
    json_dumpf(o, stdout, JSON_ENSURE_ASCII);
    fputc('\n', stdout);
    json_decref(o);
}

static void print_stats(const struct completion *c)
{
    const struct session_stats s = session_stats(c->s);
    fprintf(stderr, "qagent: prefill %llu tokens, %.1f tok/s; decode %llu tokens, %.1f tok/s",
            (unsigned long long)s.n_prefilled,
            s.prefill_s > 0 ? (double)s.n_prefilled / s.prefill_s : 0.0,
            (unsigned long long)s.n_decoded,
            s.decode_s > 0 ? (double)s.n_decoded / s.decode_s : 0.0);
    for (int k = 0; k < DRAFT_SOURCES; k++) {
        uint64_t drafted = 0, accepted = 0;
        for (int i = 0; i < DRAFT_MAX; i++) {
            drafted += s.draft[k].drafted[i];
            accepted += s.draft[k].accepted[i];
        }
        if (!drafted) continue;
        fprintf(stderr, "; %s: %llu of %llu drafts accepted",
                draft_source_name((enum draft_source)k), (unsigned long long)accepted,
                (unsigned long long)drafted);
    }
    fputc('\n', stderr);
}

/* Tokenise, open a session that holds prompt and completion, compute the prompt. */
static int start(struct completion *c, struct str prompt)
{
    struct err e = {0};
    struct ids ids = {0};
    int code = EXIT_INTERNAL;
    const enum special_mode mode = c->o->no_special ? SPECIAL_NONE : SPECIAL_PARSE;
    if (engine_encode(c->g, prompt, mode, &ids, &e)) goto out;
    const struct engine_info *info = engine_info(c->g);
    int64_t cap = c->o->model.ctx_tokens ? c->o->model.ctx_tokens : info->n_ctx_train;
    if (!c->o->model.ctx_tokens && c->o->max_tokens) {
        cap = QA_MIN(cap, (int64_t)ids.n + c->o->max_tokens + BURST_MAX);
    }
    if ((int64_t)ids.n >= cap) {
        err_set(&e, QA_E_LIMIT, "the prompt has %zu tokens, the context %lld", ids.n,
                (long long)cap);
        code = 8;
        goto out;
    }
    const struct session_opts so = {.cap_tokens = cap,
                                    .n_draft = run_n_draft(&c->o->model),
                                    .n_copy = run_n_copy(&c->o->model)};
    if (session_open(&c->s, c->g, &so, &e)) goto out;
    const enum status st = session_append(c->s, ids.p, ids.n, &e);
    code = st == QA_E_STOP ? cmd_stop : st ? EXIT_INTERNAL : EXIT_OK;
    if (st == QA_E_STOP) e.text[0] = 0;
out:
    ids_release(&ids);
    if (code && code != cmd_stop) return cmd_fail(code, &e);
    return code;
}

static int run(struct completion *c, struct str prompt)
{
    int code = start(c, prompt);
    if (code) return code;
    struct err e = {0};
    const enum status st = generate(c, &e);
    if (st == QA_E_STOP) {
        code = cmd_stop;
    } else if (st) {
        code = cmd_fail(EXIT_INTERNAL, &e);
    }
    if (c->o->want_json) print_json(c);
    if (!c->o->want_json && c->text.n && c->text.p[c->text.n - 1] != '\n') putchar('\n');
    print_stats(c);
    return code;
}

/* Without --ctx: prompt and completion.  One without an end is counted with OPEN_TOKENS:
 * its memory grows as it does. */
static struct engine_expect expect(const struct complete_opts *o, struct str prompt)
{
    enum { OPEN_TOKENS = 512 };
    struct engine_expect x =
        run_expect(&o->model, o->max_tokens ? o->max_tokens + BURST_MAX : OPEN_TOKENS);
    if (!o->model.ctx_tokens) x.prompt = prompt;
    return x;
}

int complete_main(int argc, char **argv)
{
    struct complete_opts o = {.model = model_opts_default(), .n_top = -1};
    const struct argp parser = {
        .options = OPTIONS,
        .parser = option,
        .children = MODEL_CHILDREN,
        .doc = "Plain completion of a prompt: no chat format, no tool.\v"
               "Example: qagent complete -p 'def add(a, b):' -n 40 --greedy",
    };
    opt_parse(&parser, argc, argv, &o);
    if (o.n_top >= 0 && !o.want_json) opt_fail("option '--logprobs' goes with --json");
    cmd_catch_signals();
    struct err e = {0};
    struct str_buf prompt;
    str_buf_init(&prompt, PROMPT_MAX_BYTES);
    struct completion c = {.o = &o};
    str_buf_init(&c.text, PROMPT_MAX_BYTES);
    int code = EXIT_USAGE;
    if (read_prompt(&o, &prompt, &e)) {
        code = cmd_stop ? cmd_stop : cmd_fail(EXIT_USAGE, &e);
        goto out;
    }
    struct engine_expect x = expect(&o, str_buf_str(&prompt));
    code = run_open_engine(&c.g, &o.model, &x, false);
    if (code) goto out;
    if (o.n_top >= 0) c.logprobs = json_array();
    code = run(&c, str_buf_str(&prompt));
out:
    session_close(c.s);
    engine_close(c.g);
    json_decref(c.logprobs);
    str_buf_release(&c.text);
    str_buf_release(&prompt);
    return code;
}
