/* dispatch.c - which instruction set's inner loops run on this machine. */
#include "engine/cpu/kernels.h"

#if defined(__AVX__)
#    error "this file runs before the processor was asked: compile it without -mavx"
#endif

/* Best first: the order is the policy. */
static const struct kernels *const ROWS[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_plain,
};

const struct kernels *kernels_at(int i, uint32_t have)
{
    for (size_t r = 0; r < COUNT(ROWS); r++) {
        if ((ROWS[r]->needs & have) != ROWS[r]->needs) continue;
        if (i-- == 0) return ROWS[r];
    }
    return NULL;
}
