/* probe.h - what this machine can do at most, measured: the denominators of `bench`.
 *
 * The peaks are those of 128-bit registers ("baseline", as the plain kernels) or of
 * 256-bit ones ("AVX2").  The read rate does not depend on the instruction set. */
#ifndef QA_CMD_PROBE_H
#define QA_CMD_PROBE_H

#include "engine/base/err.h"

struct probe {
    double read_gbs;   /* all threads streaming a buffer larger than the caches      */
    double f32_gflops; /* f32 multiply and add from L1, 2 per pair                   */
    double int_gops;   /* 16-bit integer multiply, neighbours added, from L1; ditto  */
    uint64_t buffer_bytes;
    const char *instructions; /* of the two peaks */
};

/* Takes about two seconds.  has_avx2: the kernels in use are wider than the baseline.
 * QA_E_NOMEM: no buffer larger than the caches. */
enum status probe_machine(struct probe *out,
                          int n_threads,
                          bool has_avx2,
                          struct err *e) MUST_USE;

#endif
