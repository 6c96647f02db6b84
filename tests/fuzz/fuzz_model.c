/* fuzz_model.c - a model file whose parts do not fit each other: opened or refused, and an
 * opened one computes.
 *
 * Input: one byte (bit 0: which of the two small models), then changes of six bytes,
 * [what, a, b, c, d, value]:
 *   0  a byte in front of the weights: place a + 256 b + 65536 c, modulo their start
 *   1  tensor a + 256 b is of type `value`
 *   2  tensor a + 256 b has `value` in dimension c
 *   3  tensor a + 256 b is left out
 *   4  a companion of tensor a + 256 b: ".scale" or ".input_scale" (c) of `value` numbers
 * Changes of the first kind come first; the others apply to what the reader understands. */
#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHANGE_BYTES = 6, SLACK_BYTES = 1 << 18, MOST_TENSORS = 512, ALIGN = 32 };

struct image {
    struct str_buf bytes;
    size_t n_head; /* bytes in front of the tensors' list */
    size_t n_data; /* where the weights begin             */
};

static void read_base(struct image *m, const char *path)
{
    struct gguf *g = NULL;
    struct err e = {0};
    FILE *f = fopen(path, "rb");
    char block[4096];
    str_buf_init(&m->bytes, 1 << 24);
    ASSERT(f);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) {
        str_buf_add(&m->bytes, (struct str){block, n});
    }
    fclose(f);
    const struct str s = str_buf_str(&m->bytes);
    ASSERT(!gguf_open_bytes(&g, s, "base", &e));
    /* The list begins with the length of the first name, 8 bytes. */
    const struct gguf_tensor *t = gguf_tensor_at(g, 0);
    m->n_head = (size_t)(t->name.p - s.p) - 8;
    m->n_data = (size_t)(t->data - (const uint8_t *)s.p);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        m->n_data =
            QA_MIN(m->n_data, (size_t)(gguf_tensor_at(g, i)->data - (const uint8_t *)s.p));
    }
    gguf_close(g);
}

/* ---- writing the changed file ---- */

struct tensor {
    char name[80];
    size_t n_name;
    uint32_t type, n_dims;
    uint64_t ne[GGUF_MAX_DIMS], offset;
    bool is_dropped;
};

static void add_bytes(struct str_buf *b, const void *p, size_t n)
{
    str_buf_add(b, (struct str){p, n});
}

static size_t read_tensors(struct tensor *out, const struct gguf *g, const uint8_t *weights)
{
    const size_t n = QA_MIN(gguf_n_tensors(g), (size_t)MOST_TENSORS / 2);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        struct tensor *x = &out[i];
        *x = (struct tensor){.n_name = QA_MIN(t->name.n, sizeof x->name - 16),
                             .type = t->type,
                             .n_dims = (uint32_t)t->n_dims,
                             .offset = (uint64_t)(t->data - weights)};
        memcpy(x->name, t->name.p, x->n_name);
        for (int k = 0; k < t->n_dims; k++) {
            x->ne[k] = (uint64_t)t->ne[k];
        }
    }
    return n;
}

/* "x.weight" -> "x.scale"; its numbers stand in the slack behind the weights. */
static struct tensor companion(const struct tensor *t, bool is_input, uint8_t n, size_t offset)
{
    struct tensor x = {.n_dims = 1, .ne = {n}, .offset = offset};
    const size_t stem = t->n_name > 6 ? t->n_name - 6 : 0;
    memcpy(x.name, t->name, stem);
    x.n_name = stem + (size_t)snprintf(x.name + stem, sizeof x.name - stem, "%s",
                                       is_input ? "input_scale" : "scale");
    return x;
}

static void change_tensors(struct tensor *t,
                           size_t *n,
                           size_t n_base,
                           const uint8_t *change,
                           size_t slack_at)
{
    if (!n_base) return;
    struct tensor *x = &t[(change[1] + 256u * change[2]) % n_base];
    switch (change[0] % 5) {
    case 1: x->type = change[5]; break;
    case 2: x->ne[change[3] % GGUF_MAX_DIMS] = change[5]; break;
    case 3: x->is_dropped = true; break;
    case 4:
        if (*n < MOST_TENSORS) {
            t[*n] = companion(x, change[3] & 1, change[5], slack_at);
            ++*n;
        }
        break;
    default: break;
    }
}

/* The head of `from`, the list `t`, and its weights. */
static void write_file(struct str_buf *out,
                       struct str from,
                       const struct image *m,
                       const struct tensor *t,
                       size_t n)
{
    static const char zeros[SLACK_BYTES];
    const size_t start = out->n;
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += !t[i].is_dropped;
    }
    add_bytes(out, from.p, m->n_head);
    memcpy(out->p + start + 8, &count, sizeof count); /* after the magic and the version */
    for (size_t i = 0; i < n; i++) {
        const uint64_t n_name = t[i].n_name;
        if (t[i].is_dropped) continue;
        add_bytes(out, &n_name, sizeof n_name);
        add_bytes(out, t[i].name, t[i].n_name);
        add_bytes(out, &t[i].n_dims, sizeof t[i].n_dims);
        add_bytes(out, t[i].ne, t[i].n_dims * sizeof t[i].ne[0]);
        add_bytes(out, &t[i].type, sizeof t[i].type);
        add_bytes(out, &t[i].offset, sizeof t[i].offset);
    }
    add_bytes(out, zeros, (ALIGN - (out->n - start) % ALIGN) % ALIGN);
    add_bytes(out, from.p + m->n_data, from.n - m->n_data);
    add_bytes(out, zeros, sizeof zeros);
}

static void make_file(struct str_buf *out,
                      const struct image *m,
                      const uint8_t *data,
                      size_t size)
{
    struct str_buf changed;
    struct gguf *g = NULL;
    struct err e = {0};
    static struct tensor t[MOST_TENSORS];
    bool has_others = false;
    str_buf_init(&changed, 1 << 24);
    str_buf_add(&changed, str_buf_str(&m->bytes));
    for (size_t at = 0; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        const uint8_t *c = data + at;
        has_others |= c[0] % 5 != 0;
        if (c[0] % 5) continue;
        changed.p[(c[1] + 256u * c[2] + 65536u * c[3]) % m->n_data] = (char)c[5];
    }
    const struct str s = str_buf_str(&changed);
    if (!has_others || gguf_open_bytes(&g, s, "fuzz", &e)) {
        str_buf_add(out, s);
    } else {
        const size_t n_base = read_tensors(t, g, (const uint8_t *)s.p + m->n_data);
        size_t n = n_base;
        for (size_t at = 0; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
            if (data[at] % 5) {
                change_tensors(t, &n, n_base, data + at,
                               (s.n - m->n_data + ALIGN) / ALIGN * ALIGN);
            }
        }
        write_file(out, s, m, t, n);
        gguf_close(g);
    }
    str_buf_release(&changed);
}

/* ---- what was opened must compute ---- */

static void compute(struct engine *g)
{
    static const int32_t ids[] = {1, 2, 3};
    const struct sampling greedy = sampling_greedy();
    const struct session_opts o = {.cap_tokens = 16, .n_draft = 1, .step_tokens = 4};
    const struct engine_info *info = engine_info(g);
    struct session *s = NULL;
    struct err e = {0};
    struct rng r;
    struct burst b;
    rng_init(&r, 1, 1);
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    ASSERT(info->n_layers > 0 && info->n_embd > 0 && info->n_vocab > 0);
    if (session_open(&s, g, &o, &e)) return;
    if (!session_append(s, ids, COUNT(ids), &e)) (void)!session_decode(s, &a, &b, &e);
    session_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image base[2];
    static const char *const paths[] = {"tests/fixtures/models/mini-dense.gguf",
                                        "tests/fixtures/models/mini-moe.gguf"};
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    struct err e = {0};
    struct str_buf file;
    if (size < 1) return 0;
    const int which = data[0] & 1;
    if (!base[which].n_data) read_base(&base[which], paths[which]);
    str_buf_init(&file, 1 << 24);
    make_file(&file, &base[which], data + 1, size - 1);
    ASSERT(!file.bad);
    o.model_bytes = str_buf_str(&file);
    o.kernels = "plain";
    o.n_threads = 1;
    if (engine_open(&g, &o, &e)) {
        ASSERT(!g && e.text[0] && !strchr(e.text, '\n'));
    } else {
        compute(g);
        engine_close(g);
    }
    str_buf_release(&file);
    return 0;
}
