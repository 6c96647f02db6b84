/* cpu.h - what this machine can do: instruction sets and physical cores.
 *
 * Asked once at start; the answers do not change while the process lives. */
#ifndef QA_CPU_H
#define QA_CPU_H

#include "engine/base/base.h"

/* One bit per group of instructions that a kernel file may be compiled for.  A
 * bit is set when the processor has all of the group and the kernel saves the
 * registers it needs across context switches. */
enum cpu_feature {
    CPU_AVX2 = 1u << 0,        /* AVX2, FMA and F16C: every machine has all or none */
    CPU_AVX_VNNI = 1u << 1,    /* 8-bit dot products on 256-bit registers           */
    CPU_AVX512 = 1u << 2,      /* F, BW, DQ and VL                                  */
    CPU_AVX512_VNNI = 1u << 3, /* 8-bit dot products on 512-bit registers           */
    CPU_AVX512_BF16 = 1u << 4,
    CPU_AMX_INT8 = 1u << 5, /* tiles; only when the kernel granted their state   */
    CPU_AMX_BF16 = 1u << 6,
};

/* Bits of enum cpu_feature.  The first call asks the kernel for permission to use
 * AMX tiles where there are any: make it before threads are started. */
uint32_t cpu_features(void);

/* Names of the bits in `features`, separated by blanks, into text[cap]; returns text. */
const char *cpu_feature_names(uint32_t features, char *text, size_t cap);

/* Physical cores this process may run on: distinct cores among the processors of
 * its affinity mask (two hardware threads of one core count once), and no more than
 * the processor time its control group grants.  At least 1. */
int cpu_n_cores(void);

/* Marketing name of the processor into text[cap] ("unknown" when it has none); returns text. */
const char *cpu_name(char *text, size_t cap);

/* Tell the processor that this is a waiting loop. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
