/* model_load.c - the values of an open model: read, decoded, prepared. */
#include "engine/model.h"
#include "engine/quant.h"

#include <stdlib.h>

/* All bytes that the model needs, matrices and vectors alike. */
static enum status read_all(const struct model *m,
                            const struct engine_progress *progress,
                            struct load_stats *stats,
                            struct err *e)
{
    const size_t n = (size_t)m->n_sources + (size_t)m->n_vectors;
    const struct gguf_tensor **all = calloc(n, sizeof *all);
    if (!all) return err_set(e, QA_E_NOMEM, "no memory for %zu tensors", n);
    for (int i = 0; i < m->n_sources; i++)
        all[i] = m->sources[i];
    for (int i = 0; i < m->n_vectors; i++)
        all[m->n_sources + i] = m->vectors[i].t;
    const enum status st = load_tensors(m->file, all, n, progress, stats, e);
    free(all);
    return st;
}

static enum status decode_vector(const struct model *m,
                                 const struct bound_vector *v,
                                 struct err *e)
{
    const size_t n = (size_t)v->t->ne[0] * (size_t)v->t->ne[1];
    float *host = malloc(n * sizeof *host);
    if (!host) {
        return err_set(e, QA_E_NOMEM, "no memory for tensor '%.*s'", (int)v->t->name.n,
                       v->t->name.p);
    }
    quant_decode(v->t->type, v->t->data, host, n);
    m->ops->copy(m->dev, v->p, host, n * sizeof *host);
    m->ops->sync(m->dev);
    free(host);
    return QA_OK;
}

/* Let the backend re-arrange what its products read.  An embedding table that is no
 * head is only ever looked up, row by row. */
static enum status prepare_all(struct model *m, struct err *e)
{
    for (int i = 0; i < m->n_weights; i++) {
        struct weight *w = m->weights[i];
        const bool is_looked_up = (w == &m->embd && m->head != w) || w == &m->draft.own_embd;
        if (engine_stop_requested()) return err_set(e, QA_E_STOP, "stopped on request");
        if (!is_looked_up) {
            const enum status st = m->ops->prepare(m->dev, w, e);
            if (st) return st;
        }
        m->n_prepared = i + 1; /* forgetting one that was not prepared is fine */
    }
    return QA_OK;
}

enum status model_load(struct model *m,
                       const struct engine_progress *progress,
                       struct load_stats *stats,
                       struct err *e)
{
    enum status st = read_all(m, progress, stats, e);
    for (int i = 0; i < m->n_vectors && !st; i++)
        st = decode_vector(m, &m->vectors[i], e);
    return st ? st : prepare_all(m, e);
}
