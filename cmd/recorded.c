/* recorded.c - the model of a recorded run: what `solve --resume` and `replay` share. */
#include "cmd/recorded.h"

#include <stdio.h>
#include <string.h>

void recorded_kv(char text[32], const struct model_opts *o)
{
    snprintf(text, 32, "%s %s", kv_type_name(o->kv_k), kv_type_name(o->kv_v));
}

void recorded_model(struct model_opts *o, const struct recording_head *h)
{
    char k[16];
    char v[16];
    const struct model_opts none = model_opts_default();
    if (!o->model && *h->model_path) o->model = h->model_path;
    if (!o->kernels && *h->kernels) o->kernels = h->kernels;
    if (!o->n_threads) o->n_threads = h->n_threads;
    if (o->kv_k != none.kv_k || o->kv_v != none.kv_v) return;
    if (sscanf(h->kv, "%15s %15s", k, v) != 2) return;
    (void)kv_type_of(k, &o->kv_k);
    (void)kv_type_of(v, &o->kv_v);
}

bool recorded_is_other_model(const struct recording_head *h,
                             const struct engine *g,
                             char text[240])
{
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)engine_info(g)->model_hash);
    if (strcmp(hash, h->model_hash) == 0) return false;
    snprintf(text, 240, "another model: recorded '%.60s' (%.16s), now '%.60s' (%s)", h->model,
             h->model_hash, engine_info(g)->name, hash);
    return true;
}

bool recorded_is_other_kernels(const struct recording_head *h,
                               const struct engine *g,
                               char text[240])
{
    const struct engine_info *i = engine_info(g);
    if (strcmp(h->kernels, i->kernels) == 0 && h->n_threads == i->n_threads) return false;
    snprintf(text, 240,
             "computed in another way: recorded kernels %.20s, %d threads; now %s, %d",
             h->kernels, h->n_threads, i->kernels, i->n_threads);
    return true;
}
