/* rng.h - small seeded generator: same seed, same numbers, on every machine.
 *
 * PCG32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically
 * Good Algorithms for Random Number Generation", HMC-CS-2014-0905).  Not for
 * secrets. */
#ifndef QA_RNG_H
#define QA_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
    uint64_t inc; /* odd: which stream */
};

/* Start from (seed, stream): different streams of one seed are independent. */
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
/* As if rng_u32 had been called n times; in about log2(n) steps. */
void rng_skip(struct rng *r, uint64_t n);
uint64_t rng_u64(struct rng *r);                   /* two of them, the first on top */
double rng_unit(struct rng *r);                    /* uniform in [0, 1), 53 bits */
uint32_t rng_below(struct rng *r, uint32_t bound); /* uniform in [0, bound), bound >= 1 */

#endif
