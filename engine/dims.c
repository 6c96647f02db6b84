/* dims.c - the sizes of a model from the metadata of its file, and what is refused.
 *
 * Everything that later arithmetic relies on is checked here, so that the rest of
 * the engine may trust struct dims. */
#include "engine/foreign.h"
#include "engine/kv.h"
#include "engine/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAYERS_MAX = 512,
    EXPERTS_MAX = 512,
    HEADS_MAX = 4096,
    DELTA_DIM_MAX = 256,
    TAPS_MAX = 16,
    WIDTH_MAX = 1 << 20, /* of any one dimension: products of two stay below 2^41 */
    CONTEXT_MAX = 1 << 30,
};

/* Metadata of one architecture: keys are looked up as "<arch>.<name>". */
struct keys {
    const struct gguf *file;
    const char *arch;
};

struct key_name {
    char text[128];
};

static struct key_name full_name(const struct keys *k, const char *name)
{
    struct key_name out;
    snprintf(out.text, sizeof out.text, "%s.%s", k->arch, name);
    return out;
}

static bool has_key(const struct gguf *file, const char *name)
{
    return gguf_find(file, name) != NULL;
}

/* The pair when it is an array, else NULL. */
static const struct gguf_pair *find_array(const struct gguf *file, const char *name)
{
    const struct gguf_pair *p = gguf_find(file, name);
    return p && p->type == GGUF_ARRAY ? p : NULL;
}

struct int_key {
    const char *name;
    int *at;
    int lo, hi;
    bool is_required; /* otherwise *at holds the default and may stay               */
};

static enum status read_int(const struct keys *k, const struct int_key *key, struct err *e)
{
    const struct key_name name = full_name(k, key->name);
    int64_t v;
    if (!has_key(k->file, name.text)) {
        if (!key->is_required) return QA_OK;
        return err_set(e, QA_E_FORMAT, "key '%s' is missing", name.text);
    }
    if (!gguf_get_i64(k->file, name.text, &v)) {
        return err_set(e, QA_E_FORMAT, "key '%s': not an integer", name.text);
    }
    if (v < key->lo || v > key->hi) {
        return err_set(e, QA_E_FORMAT, "key '%s': %lld, must be %d to %d", name.text,
                       (long long)v, key->lo, key->hi);
    }
    *key->at = (int)v;
    return QA_OK;
}

static enum status read_ints(const struct keys *k,
                             const struct int_key *list,
                             size_t n,
                             struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const enum status st = read_int(k, &list[i], e);
        if (st) return st;
    }
    return QA_OK;
}

/* A finite number in (lo, hi]; *out keeps its default when the key is absent. */
static enum status read_real(const struct keys *k,
                             const char *key,
                             double lo,
                             double hi,
                             double *out,
                             struct err *e)
{
    const struct key_name name = full_name(k, key);
    double v;
    if (!has_key(k->file, name.text)) return QA_OK;
    if (!gguf_get_f64(k->file, name.text, &v)) {
        return err_set(e, QA_E_FORMAT, "key '%s': not a number", name.text);
    }
    if (!(v > lo && v <= hi)) {
        return err_set(e, QA_E_FORMAT, "key '%s': %g, must be above %g and at most %g",
                       name.text, v, lo, hi);
    }
    *out = v;
    return QA_OK;
}

/* ---- layers -------------------------------------------------------------- */

/* Layer i attends: every interval-th of the trunk, and the draft layer always. */
static bool attends(const struct dims *d, int i)
{
    return i >= d->n_layers || (i + 1) % d->interval == 0;
}

/* A value that a file may give per layer.  The layers that use it must agree: all
 * published models do, and one width keeps every buffer one size. */
static enum status read_layered(const struct keys *k,
                                const struct dims *d,
                                const char *key,
                                bool is_attention_only,
                                int hi,
                                int *out,
                                struct err *e)
{
    const struct key_name name = full_name(k, key);
    const int n_layers = d->n_layers + d->n_draft;
    const struct gguf_pair *list = find_array(k->file, name.text);
    if (!list) {
        return read_int(k, &(struct int_key){key, out, 0, hi, false}, e);
    }
    if (list->n != (uint64_t)n_layers) {
        return err_set(e, QA_E_FORMAT, "key '%s': %llu entries for %d layers", name.text,
                       (unsigned long long)list->n, n_layers);
    }
    int64_t common = -1, v;
    for (int i = 0; i < n_layers; i++) {
        if (is_attention_only && !attends(d, i)) continue;
        if (!gguf_item_i64(list, (uint64_t)i, &v) || v < 0 || v > hi) {
            return err_set(e, QA_E_FORMAT, "key '%s': entry %d is not 0 to %d", name.text, i,
                           hi);
        }
        if (common >= 0 && v != common) {
            return err_set(e, QA_E_FORMAT, "key '%s': differs between layers", name.text);
        }
        common = v;
    }
    if (common >= 0) *out = (int)common;
    return QA_OK;
}

static enum status read_layers(const struct keys *k, struct dims *d, struct err *e)
{
    int n_blocks = 0;
    d->interval = 4;
    const struct int_key list[] = {
        {"block_count",             &n_blocks,       1, LAYERS_MAX,  true },
        {"nextn_predict_layers",    &d->n_draft,     0, 1,           false},
        {"full_attention_interval", &d->interval,    1, LAYERS_MAX,  false},
        {"embedding_length",        &d->n_embd,      1, WIDTH_MAX,   true },
        {"context_length",          &d->n_ctx_train, 1, CONTEXT_MAX, true },
    };
    const enum status st = read_ints(k, list, COUNT(list), e);
    if (st) return st;
    if (d->n_draft >= n_blocks) {
        return err_set(e, QA_E_FORMAT, "%d draft layers of %d layers in all", d->n_draft,
                       n_blocks);
    }
    if (has_key(k->file, full_name(k, "attention.recurrent_layers").text)) {
        return err_set(
            e, QA_E_FORMAT,
            "key '%s.attention.recurrent_layers': layers out of the usual order are not read",
            k->arch);
    }
    d->n_layers = n_blocks - d->n_draft;
    return QA_OK;
}

/* ---- attention ----------------------------------------------------------- */

static enum status check_sections(const struct keys *k, struct dims *d, struct err *e)
{
    const struct key_name name = full_name(k, "rope.dimension_sections");
    const struct gguf_pair *list = find_array(k->file, name.text);
    int64_t v, sum = 0;
    if (!list || list->n < 3 || list->n > 4) {
        return err_set(e, QA_E_FORMAT, "key '%s': not a list of 3 or 4", name.text);
    }
    for (size_t i = 0; i < list->n; i++) {
        if (!gguf_item_i64(list, i, &v) || v < 0 || v > d->head_dim) {
            return err_set(e, QA_E_FORMAT, "key '%s': entry %zu is not 0 to %d", name.text, i,
                           d->head_dim);
        }
        d->rope_sections[i] = (int)v;
        sum += v;
    }
    if (d->rope_sections[0] + d->rope_sections[1] + d->rope_sections[2] == 0) {
        return err_set(e, QA_E_FORMAT, "key '%s': leaves nothing to rotate", name.text);
    }
    if (sum > d->head_dim) {
        return err_set(e, QA_E_FORMAT, "key '%s': sum %lld, the head has %d", name.text,
                       (long long)sum, d->head_dim);
    }
    return QA_OK;
}

static enum status read_rope_scaling(const struct keys *k, struct dims *d, struct err *e)
{
    struct str type = STR("linear");
    const struct key_name name = full_name(k, "rope.scaling.type");
    double factor = 1;
    d->rope_base = 10000;
    d->rope_attn_factor = 1;
    d->n_ctx_original = d->n_ctx_train;
    if (has_key(k->file, name.text) && !gguf_get_str(k->file, name.text, &type)) {
        return err_set(e, QA_E_FORMAT, "key '%s': not text", name.text);
    }
    d->is_yarn = str_eq(type, STR("yarn"));
    const bool is_none = str_eq(type, STR("none"));
    if (!d->is_yarn && !is_none && !str_eq(type, STR("linear"))) {
        return err_set(e, QA_E_FORMAT,
                       "key '%s': '%.*s' is unknown, only none, linear and yarn", name.text,
                       (int)QA_MIN(type.n, (size_t)40), type.p);
    }
    enum status st = read_real(k, "rope.freq_base", 1, 1e12, &d->rope_base, e);
    if (!st) st = read_real(k, "rope.scale_linear", 0, 1e6, &factor, e);
    if (!st) st = read_real(k, "rope.scaling.factor", 0, 1e6, &factor, e);
    if (!st) st = read_real(k, "rope.scaling.attn_factor", 0, 1e6, &d->rope_attn_factor, e);
    const struct int_key original = {"rope.scaling.original_context_length", &d->n_ctx_original,
                                     1, CONTEXT_MAX, false};
    if (!st) st = read_int(k, &original, e);
    d->rope_factor = is_none ? 1 : factor;
    return st;
}

static enum status read_attention(const struct keys *k, struct dims *d, struct err *e)
{
    enum status st =
        read_layered(k, d, "attention.head_count", true, HEADS_MAX, &d->n_heads, e);
    if (st) return st;
    d->n_kv = d->n_heads;
    st = read_layered(k, d, "attention.head_count_kv", true, HEADS_MAX, &d->n_kv, e);
    if (st) return st;
    if (d->n_heads == 0 || d->n_kv == 0 || d->n_heads % d->n_kv) {
        return err_set(e, QA_E_FORMAT, "%d query heads do not share %d KV heads evenly",
                       d->n_heads, d->n_kv);
    }

    int value_length = d->head_dim = d->n_embd / d->n_heads;
    const struct int_key lengths[] = {
        {"attention.key_length",   &d->head_dim,  1, KV_HEAD_MAX, false},
        {"attention.value_length", &value_length, 1, KV_HEAD_MAX, false},
    };
    st = read_ints(k, lengths, COUNT(lengths), e);
    if (st) return st;
    if (d->head_dim < 1 || d->head_dim > KV_HEAD_MAX) { /* from the width, without a key */
        return err_set(e, QA_E_FORMAT, "heads of %d values, must be 1 to %d", d->head_dim,
                       KV_HEAD_MAX);
    }
    if (d->head_dim != value_length) {
        return err_set(e, QA_E_FORMAT, "keys of %d and values of %d per head, must be equal",
                       d->head_dim, value_length);
    }
    d->n_rot = d->head_dim;
    st = read_int(
        k, &(struct int_key){"rope.dimension_count", &d->n_rot, 2, d->head_dim, false}, e);
    if (st) return st;
    if (d->n_rot % 2)
        return err_set(e, QA_E_FORMAT, "key '%s.rope.dimension_count': %d, must be even",
                       k->arch, d->n_rot);
    st = check_sections(k, d, e);
    return st ? st : read_rope_scaling(k, d, e);
}

/* ---- DeltaNet ------------------------------------------------------------ */

static enum status read_delta(const struct keys *k, struct dims *d, struct err *e)
{
    int inner = 0;
    const struct int_key list[] = {
        {"ssm.conv_kernel",    &d->n_taps,    2, TAPS_MAX,      true},
        {"ssm.state_size",     &d->delta_dim, 1, DELTA_DIM_MAX, true},
        {"ssm.group_count",    &d->n_k,       1, HEADS_MAX,     true},
        {"ssm.time_step_rank", &d->n_v,       1, HEADS_MAX,     true},
        {"ssm.inner_size",     &inner,        1, WIDTH_MAX,     true},
    };
    const enum status st = read_ints(k, list, COUNT(list), e);
    if (st) return st;
    if (d->n_v % d->n_k) {
        return err_set(e, QA_E_FORMAT, "%d value heads do not share %d key heads evenly",
                       d->n_v, d->n_k);
    }
    d->n_value = d->n_v * d->delta_dim;
    d->n_channels = 2 * d->n_k * d->delta_dim + d->n_value;
    if (inner != d->n_value) {
        return err_set(e, QA_E_FORMAT,
                       "key '%s.ssm.inner_size': %d, but %d heads of %d make %d", k->arch,
                       inner, d->n_v, d->delta_dim, d->n_value);
    }
    return QA_OK;
}

/* ---- feed-forward -------------------------------------------------------- */

static enum status read_ffn(const struct keys *k, struct dims *d, bool is_moe, struct err *e)
{
    enum status st = read_layered(k, d, "feed_forward_length", false, WIDTH_MAX, &d->n_ff, e);
    if (st) return st;
    if (!is_moe) {
        if (d->n_ff > 0) return QA_OK;
        return err_set(e, QA_E_FORMAT, "key '%s.feed_forward_length' is missing or 0", k->arch);
    }
    const struct int_key counts[] = {
        {"expert_count",      &d->n_experts, 1, EXPERTS_MAX, true},
        {"expert_used_count", &d->n_used,    1, EXPERTS_MAX, true},
    };
    st = read_ints(k, counts, COUNT(counts), e);
    if (st) return st;
    if (d->n_used > d->n_experts) {
        return err_set(e, QA_E_FORMAT, "key '%s.expert_used_count': %d, there are %d experts",
                       k->arch, d->n_used, d->n_experts);
    }
    d->n_ff_expert = d->n_ff / d->n_used;
    d->n_ff_shared = d->n_ff;
    const struct int_key widths[] = {
        {"expert_feed_forward_length",        &d->n_ff_expert, 1, WIDTH_MAX, d->n_ff_expert == 0},
        {"expert_shared_feed_forward_length", &d->n_ff_shared, 1, WIDTH_MAX,
         d->n_ff_shared == 0                                                                    },
    };
    return read_ints(k, widths, COUNT(widths), e);
}

/* ---- all ----------------------------------------------------------------- */

/* The tokenizer, opened before, has refused every other list. */
static int vocabulary(const struct gguf *file)
{
    const struct gguf_pair *list = find_array(file, "tokenizer.ggml.tokens");
    ASSERT(list && list->n >= 1 && list->n <= WIDTH_MAX);
    return (int)list->n;
}

static const char *const ARCHITECTURES[] = {"qwen35", "qwen35moe"};

enum status arch_read(const char **arch, const struct gguf *file, struct err *e)
{
    struct str name = {0};
    const enum status st = foreign_check(file, e);
    if (st) return st;
    if (!gguf_get_str(file, "general.architecture", &name)) {
        return err_set(e, QA_E_FORMAT, "key 'general.architecture' is missing");
    }
    for (size_t i = 0; i < COUNT(ARCHITECTURES); i++) {
        if (!str_eq(name, str_of(ARCHITECTURES[i]))) continue;
        *arch = ARCHITECTURES[i];
        return QA_OK;
    }
    return err_set(e, QA_E_FORMAT,
                   "architecture '%.*s' does not run here, only qwen35 and qwen35moe",
                   (int)QA_MIN(name.n, (size_t)40), name.p);
}

enum status dims_read(struct dims *out,
                      const char **arch,
                      const struct gguf *file,
                      struct err *e)
{
    struct dims d = {.n_vocab = vocabulary(file)};
    struct keys k = {.file = file};
    double eps = 0;

    enum status st = arch_read(&k.arch, file, e);
    if (!st) st = read_layers(&k, &d, e);
    if (!st) st = read_attention(&k, &d, e);
    if (!st) st = read_delta(&k, &d, e);
    if (!st) st = read_ffn(&k, &d, strcmp(k.arch, "qwen35moe") == 0, e);
    if (!st) st = read_real(&k, "attention.layer_norm_rms_epsilon", 0, 1, &eps, e);
    if (st) return st;
    if (eps == 0) {
        return err_set(e, QA_E_FORMAT, "key '%s.attention.layer_norm_rms_epsilon' is missing",
                       k.arch);
    }
    d.eps = (float)eps;
    *out = d;
    *arch = k.arch;
    return QA_OK;
}
