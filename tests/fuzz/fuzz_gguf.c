/* fuzz_gguf.c - any bytes as a model file: read all that an accepted one claims. */
#include "engine/gguf.h"
#include "engine/quant.h"
#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touch(const uint8_t *p, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
    return sum;
}

static void read_pair(const struct gguf_pair *p)
{
    int64_t i;
    double x;
    struct str s;
    for (uint64_t k = 0; k < p->n && k < 64; k++) {
        (void)gguf_item_i64(p, k, &i);
        (void)gguf_item_f64(p, k, &x);
    }
    uint64_t n = 0;
    for (size_t at = 0; gguf_next_string(p, &at, &s); n++) {
        touch((const uint8_t *)s.p, s.n);
    }
    if (p->item == GGUF_STRING) ASSERT(n == p->n);
}

static void read_tensor(const struct gguf_tensor *t)
{
    static float out[256];
    const struct quant *q = quant_find(t->type);
    ASSERT(q && t->n_bytes % (size_t)q->block_bytes == 0);
    touch(t->data, t->n_bytes);
    quant_decode(t->type, t->data, out, (size_t)q->block_values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct err e = {0};
    const enum status st =
        gguf_open_bytes(&g, (struct str){(const char *)data, size}, "fuzz", &e);
    if (st) {
        ASSERT(!g && e.text[0]);
        return 0;
    }
    for (size_t i = 0; i < gguf_n_pairs(g); i++) {
        read_pair(gguf_pair_at(g, i));
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        read_tensor(gguf_tensor_at(g, i));
    }
    struct tokenizer *t = NULL;
    if (!tokenizer_open_gguf(&t, g, &e)) {
        struct ids ids = {0};
        (void)!tokenizer_encode(t, STR("any <think> text, 1 2"), SPECIAL_PARSE, &ids, &e);
        ids_release(&ids);
        tokenizer_close(t);
    }
    gguf_close(g);
    return 0;
}
