/* hash.c - multiply, shift, and what of a model file goes in. */
#include "engine/hash.h"

#include "engine/gguf.h"

#include <string.h>

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u; /* odd: 2^64 / golden ratio */
    return h ^ h >> 29;
}

void hash_add(struct hash *h, const void *p, size_t n)
{
    const uint8_t *at = p;
    for (; n > 0 && h->n % 8; n--) {
        h->word |= (uint64_t)*at++ << 8 * (h->n++ % 8);
        if (h->n % 8) continue;
        h->state = mix(h->state, h->word);
        h->word = 0;
    }
    h->n += n;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h->state = mix(h->state, word);
    }
    for (size_t i = 0; i < n; i++)
        h->word |= (uint64_t)at[i] << 8 * i;
}

uint64_t hash_value(const struct hash *h)
{
    return mix(mix(h->state, h->word), h->n);
}

/* Samples of one tensor: its start, middle and end. */
static void add_tensor(struct hash *h, const struct gguf_tensor *t)
{
    const size_t n = QA_MIN(t->n_bytes, (size_t)64);
    hash_add(h, t->name.p, t->name.n);
    hash_add(h, &t->type, sizeof t->type);
    hash_add(h, t->ne, sizeof t->ne);
    hash_add(h, t->data, n);
    hash_add(h, t->data + t->n_bytes / 2 - n / 2, n);
    hash_add(h, t->data + t->n_bytes - n, n);
}

uint64_t hash_gguf(const struct gguf *g)
{
    struct hash h = {0};
    for (size_t i = 0; i < gguf_n_pairs(g); i++) {
        const struct gguf_pair *p = gguf_pair_at(g, i);
        const uint64_t item = (uint64_t)p->item;
        hash_add(&h, p->key.p, p->key.n);
        hash_add(&h, &item, sizeof item);
        hash_add(&h, p->data, p->n_bytes);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        add_tensor(&h, gguf_tensor_at(g, i));
    return hash_value(&h);
}
