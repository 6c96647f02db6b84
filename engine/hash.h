/* hash.h - a 64-bit hash of bytes: notices damage and tells things apart.
 *
 * Not cryptographic: who wants to can make two inputs that agree.  Every step is
 * a bijection of the state and of the word, so a change within one word never goes
 * unnoticed.  The same everywhere: words are read as little endian. */
#ifndef QA_HASH_H
#define QA_HASH_H

#include <stddef.h>
#include <stdint.h>

struct gguf;

/* Starts as {0}.  The result depends on the bytes, not on how they are cut into calls. */
struct hash {
    uint64_t state;
    uint64_t word; /* the bytes of the last, incomplete one */
    uint64_t n;    /* bytes so far */
};
void hash_add(struct hash *h, const void *p, size_t n);
uint64_t hash_value(const struct hash *h); /* of the bytes so far */

/* Which model this is: all metadata, the directory of tensors, and a few bytes out of
 * each tensor, so that two trainings of one architecture differ, too. */
uint64_t hash_gguf(const struct gguf *g);

#endif
