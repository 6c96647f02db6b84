/* rng.c - PCG32. */
#include "engine/base/rng.h"

static const uint64_t MULTIPLIER = 6364136223846793005u;

uint32_t rng_u32(struct rng *r)
{
    const uint64_t old = r->state;
    r->state = old * MULTIPLIER + r->inc;
    const uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27);
    const uint32_t turn = (uint32_t)(old >> 59);
    return (mixed >> turn) | (mixed << ((32u - turn) & 31u));
}

/* The step is x -> a x + c.  Doubling it gives a^2 x + (a + 1) c, so n steps are composed
 * from the bits of n. */
void rng_skip(struct rng *r, uint64_t n)
{
    uint64_t mul = 1, add = 0;
    uint64_t a = MULTIPLIER, c = r->inc;
    for (; n; n >>= 1) {
        if (n & 1) {
            mul *= a;
            add = add * a + c;
        }
        c *= a + 1;
        a *= a;
    }
    r->state = r->state * mul + add;
}

uint64_t rng_u64(struct rng *r)
{
    const uint64_t hi = rng_u32(r);
    return hi << 32 | rng_u32(r);
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
    r->state = 0;
    r->inc = (stream << 1) | 1u;
    rng_u32(r);
    r->state += seed;
    rng_u32(r);
}

double rng_unit(struct rng *r)
{
    const uint64_t hi = rng_u32(r) >> 5; /* 27 bits */
    const uint64_t lo = rng_u32(r) >> 6; /* 26 bits */
    return (double)((hi << 26) | lo) * 0x1p-53;
}

uint32_t rng_below(struct rng *r, uint32_t bound)
{
    /* Reject the short tail, so that every value is equally likely. */
    const uint32_t tail = (0u - bound) % bound;
    uint32_t x;
    do {
        x = rng_u32(r);
    } while (x < tail);
    return x % bound;
}
