/* dispatch.c - which instruction set's inner loops run on this machine. */
#include "engine/base/cpu.h"
#include "engine/cpu/kernels.h"

#include <string.h>

#if defined(__AVX__)
#    error "this file runs before the processor was asked: compile it without -mavx"
#endif

/* Best first: the order is the policy. */
static const struct kernels *const ROWS[] = {
    &kernels_plain,
};

enum status
kernels_pick(const struct kernels **out, uint32_t have, const char *want, struct err *e)
{
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        if (want && strcmp(ROWS[i]->name, want) != 0) continue;
        if ((ROWS[i]->needs & have) == ROWS[i]->needs) {
            *out = ROWS[i];
            return QA_OK;
        }
    }
    return err_set(e, QA_E_USAGE, "kernel set '%s' is unknown or needs another processor",
                   want ? want : "");
}
