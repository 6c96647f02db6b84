/* engine.c - puts the pieces together once: file, backend, weights, memory. */
#include "engine/engine.h"

#include "engine/base/clock.h"
#include "engine/base/cpu.h"
#include "engine/hash.h"
#include "engine/plan.h"
#include "engine/session.h"
#include "engine/tokenizer.h"
#include "engine/trace.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists of ids --------------------------------------------------------- */

void ids_release(struct ids *v)
{
    free(v->p);
    *v = (struct ids){0};
}

enum status ids_reserve(struct ids *v, size_t n_more, struct err *e)
{
    size_t need, n_bytes;
    if (!size_add_ok(v->n, n_more, &need) || !size_mul_ok(need, 2 * sizeof *v->p, &n_bytes)) {
        return err_set(e, QA_E_NOMEM, "no memory for %zu more tokens", n_more);
    }
    if (need <= v->cap) return QA_OK;
    const size_t cap = QA_MAX(need, 2 * v->cap);
    int32_t *p = realloc(v->p, cap * sizeof *p);
    if (!p) return err_set(e, QA_E_NOMEM, "no memory for %zu tokens", need);
    v->p = p;
    v->cap = cap;
    return QA_OK;
}

enum status ids_add(struct ids *v, const int32_t *p, size_t n, struct err *e)
{
    const enum status st = ids_reserve(v, n, e);
    if (st || n == 0) return st;
    memcpy(v->p + v->n, p, n * sizeof *p);
    v->n += n;
    return QA_OK;
}

/* ---- opening -------------------------------------------------------------- */

struct engine_opts engine_opts_default(void)
{
    return (struct engine_opts){.kv_k = KV_F16, .kv_v = KV_F16, .want_draft = true};
}

/* Best first: the first is what no wish gets; ref is only ever asked for. */
static enum status find_ops(const struct ops **out, const char *name, struct err *e)
{
    for (int i = 0; cpu_ops_at(i); i++) {
        const struct ops *o = cpu_ops_at(i);
        if (name && strcmp(name, o->name) != 0) continue;
        *out = o;
        return QA_OK;
    }
    if (strcmp(name, ref_ops()->name) == 0) {
        *out = ref_ops();
        return QA_OK;
    }
    return err_set(e, QA_E_USAGE,
                   "there are no kernels '%s' here: avx512, avx2 (where the processor has "
                   "them), plain and ref are known",
                   name);
}

static enum status open_file(struct engine *g, const struct engine_opts *o, struct err *e)
{
    if (o->model_path) return gguf_open(&g->file, o->model_path, o->want_mmap, e);
    if (o->model_bytes.p) return gguf_open_bytes(&g->file, o->model_bytes, "embedded model", e);
    return err_set(e, QA_E_USAGE, "no model given");
}

static void fill_info(struct engine *g, double start_s)
{
    const struct dims *d = &g->m->d;
    struct engine_info *i = &g->info;
    struct str name = {0};
    gguf_get_str(g->file, "general.name", &name);
    snprintf(g->name, sizeof g->name, "%.*s", (int)QA_MIN(name.n, sizeof g->name - 1), name.p);
    i->arch = g->m->arch;
    i->name = g->name;
    i->kernels = g->ops->name;
    gguf_get_str(g->file, "tokenizer.chat_template", &i->chat_template);
    i->n_layers = d->n_layers;
    i->n_embd = d->n_embd;
    i->n_vocab = d->n_vocab;
    i->n_ctx_train = d->n_ctx_train;
    i->has_draft = d->n_draft > 0;
    i->model_hash = hash_gguf(g->file);
    i->n_params = g->m->n_params;
    i->weight_bytes = g->m->weight_bytes;
    i->decode_bytes = g->m->decode_bytes;
    i->kv_bytes_per_token = g->plan.bytes_per_token;
    i->state_bytes = g->plan.state_bytes;
    i->load_s = clock_now_s() - start_s;
}

/* What takes no memory to speak of: which kernels, what the file says, its tokenizer. */
static enum status open_light(struct engine *g,
                              const struct ops **ops,
                              const struct engine_opts *o,
                              struct err *e)
{
    const char *arch = NULL;
    enum status st = open_file(g, o, e);
    if (!st) st = find_ops(ops, o->kernels, e);
    /* Before its tokenizer, which other models share or do not have. */
    if (!st) st = arch_read(&arch, g->file, e);
    if (st) return st;
    g->info.n_threads = o->n_threads > 0 ? o->n_threads : cpu_n_cores();
    if ((*ops)->max_threads) g->info.n_threads = QA_MIN(g->info.n_threads, (*ops)->max_threads);
    return tokenizer_open_gguf(&g->tokenizer, g->file, e);
}

static enum status check_memory(struct engine *g,
                                const struct ops *ops,
                                const struct engine_opts *o,
                                struct err *e)
{
    struct engine_plan p;
    const enum status st = plan_make(&p, g->file, g->tokenizer, ops, g->info.n_threads, o, e);
    return st ? st : engine_plan_check(&p, e);
}

static enum status open_parts(struct engine *g, const struct engine_opts *o, struct err *e)
{
    const struct ops *ops = NULL;
    enum status st = open_light(g, &ops, o, e);
    if (!st && !o->is_text_only) st = check_memory(g, ops, o, e);
    if (st) return st;
    st = ops->open(&g->dev, &(struct device_opts){.n_threads = g->info.n_threads}, e);
    if (st) return st;
    g->ops = ops; /* from here on close() releases through it */
    g->is_traced = o->trace != TRACE_OFF;
    if (g->is_traced) st = trace_wrap(&g->ops, &g->dev, o->trace == TRACE_CHECK, o->tracer, e);
    if (st) return st;
    st = model_open(&g->m, g->file, g->ops, g->dev, o->want_draft, e);
    if (st) return st;
    st = cache_plan(&g->plan, g->m, o->kv_k, o->kv_v, e);
    if (st || o->is_text_only) return st;
    st = forward_open(&g->f, g->m, o->kv_k, o->kv_v, PAGE_TOKENS, e);
    if (st) return st;
    st = sched_open(&g->sched, g->f, e);
    if (st) return st;
    struct load_stats read = {0}; /* last: everything else is wrong within a blink */
    st = model_load(g->m, &o->progress, &read, e);
    g->info.read_bytes = read.n_bytes;
    g->info.read_s = read.seconds;
    return st;
}

/* The file's own errors name it already, and a wrong option is not its fault. */
static enum status name_model(const struct engine *g,
                              const struct engine_opts *o,
                              enum status st,
                              struct err *e)
{
    if (!g->file || st == QA_E_USAGE) return st;
    return err_wrap(e, st, "cannot use model '%s'",
                    o->model_path ? o->model_path : "(embedded)");
}

enum status engine_plan(struct engine_plan *p, const struct engine_opts *o, struct err *e)
{
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_set(e, QA_E_NOMEM, "no memory for the engine");
    pthread_mutex_init(&g->costs_lock, NULL);
    const struct ops *ops = NULL;
    enum status st = open_light(g, &ops, o, e);
    if (!st) st = plan_make(p, g->file, g->tokenizer, ops, g->info.n_threads, o, e);
    if (st) st = name_model(g, o, st, e);
    engine_close(g);
    return st;
}

enum status engine_open(struct engine **out, const struct engine_opts *o, struct err *e)
{
    const double start_s = clock_now_s();
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_set(e, QA_E_NOMEM, "no memory for the engine");
    pthread_mutex_init(&g->costs_lock, NULL);
    enum status st = open_parts(g, o, e);
    if (st) {
        st = name_model(g, o, st, e);
        engine_close(g);
        return st;
    }
    fill_info(g, start_s);
    g->costs = spec_costs_guess(g->m);
    *out = g;
    return QA_OK;
}

void engine_close(struct engine *g)
{
    if (!g) return;
    ASSERT(atomic_load(&g->n_sessions) == 0);
    sched_close(g->sched);
    pthread_mutex_destroy(&g->costs_lock);
    forward_close(g->f);
    tokenizer_close(g->tokenizer);
    model_close(g->m);
    if (g->ops) g->ops->close(g->dev);
    gguf_close(g->file);
    free(g);
}

const struct engine_info *engine_info(const struct engine *g)
{
    return &g->info;
}

struct verb_stats engine_verb(const struct engine *g, enum verb v)
{
    return g->is_traced ? trace_stats(g->dev, v) : (struct verb_stats){0};
}

void engine_verbs_reset(struct engine *g)
{
    if (g->is_traced) trace_reset(g->dev);
}

/* ---- text ----------------------------------------------------------------- */

enum status engine_encode(const struct engine *g,
                          struct str text,
                          enum special_mode mode,
                          struct ids *out,
                          struct err *e)
{
    return tokenizer_encode(g->tokenizer, text, mode, out, e);
}

struct str engine_piece(const struct engine *g, int32_t id)
{
    return tokenizer_piece(g->tokenizer, id);
}

int32_t engine_special(const struct engine *g, const char *text)
{
    return tokenizer_special(g->tokenizer, text);
}

bool engine_is_control(const struct engine *g, int32_t id)
{
    return tokenizer_is_control(g->tokenizer, id);
}

bool engine_is_stop(const struct engine *g, int32_t id)
{
    return tokenizer_is_stop(g->tokenizer, id);
}
