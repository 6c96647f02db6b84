/* cpu.c - instruction sets by cpuid, cores by affinity and topology. */
#include "engine/base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#    include <cpuid.h>

/* Permission number and request code: Linux, Documentation/arch/x86/xstate.rst. */
enum { ARCH_REQ_XCOMP_PERM_CODE = 0x1023, XFEATURE_TILE_DATA = 18 };

struct regs {
    uint32_t a, b, c, d;
};

static struct regs leaf(uint32_t main, uint32_t sub)
{
    struct regs r = {0};
    if (!__get_cpuid_count(main, sub, &r.a, &r.b, &r.c, &r.d)) return (struct regs){0};
    return r;
}

/* Which register states the kernel saves (XCR0).  Written as bytes because the
 * mnemonic needs a compiler flag that this file must not have. */
static uint64_t saved_states(void)
{
    uint32_t lo, hi;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool bit(uint32_t word, int i)
{
    return (word >> i) & 1;
}

/* Bit numbers: Intel SDM volume 2A, CPUID leaves 1 and 7. */
static uint32_t detect(void)
{
    enum { SAVES_YMM = 0x6, SAVES_ZMM = 0xe6, SAVES_TILES = 0x60000 };
    const struct regs one = leaf(1, 0);
    if (!bit(one.c, 27)) return 0; /* the kernel saves nothing beyond SSE */
    const struct regs seven = leaf(7, 0);
    const struct regs seven_one = seven.a >= 1 ? leaf(7, 1) : (struct regs){0};
    const uint64_t saved = saved_states();
    uint32_t have = 0;

    if ((saved & SAVES_YMM) != SAVES_YMM) return 0;
    const bool has_fma_f16c = bit(one.c, 12) && bit(one.c, 29);
    if (bit(seven.b, 5) && has_fma_f16c) have |= CPU_AVX2;
    if ((have & CPU_AVX2) && bit(seven_one.a, 4)) have |= CPU_AVX_VNNI;
    if ((saved & SAVES_ZMM) != SAVES_ZMM || !(have & CPU_AVX2)) return have;
    if (bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31)) {
        have |= CPU_AVX512;
        if (bit(seven.c, 11)) have |= CPU_AVX512_VNNI;
        if (bit(seven_one.a, 5)) have |= CPU_AVX512_BF16;
    }
    const bool has_tiles = bit(seven.d, 24) && (saved & SAVES_TILES) == SAVES_TILES;
    if (has_tiles &&
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_CODE, XFEATURE_TILE_DATA) == 0) {
        if (bit(seven.d, 25)) have |= CPU_AMX_INT8;
        if (bit(seven.d, 22)) have |= CPU_AMX_BF16;
    }
    return have;
}

static void brand(char name[49])
{
    memset(name, 0, 49);
    for (uint32_t i = 0; i < 3; i++) {
        const struct regs r = leaf(0x80000002u + i, 0);
        memcpy(name + 16 * i, &r, 16);
    }
}
#else
static uint32_t detect(void)
{
    return 0;
}
static void brand(char name[49])
{
    memset(name, 0, 49);
}
#endif

uint32_t cpu_features(void)
{
    static _Atomic uint32_t cached; /* top bit: asked already */
    const uint32_t asked = 1u << 31;
    uint32_t f = cached;
    if (!f) cached = f = detect() | asked;
    return f & ~asked;
}

const char *cpu_feature_names(uint32_t features, char *text, size_t cap)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } NAMES[] = {
        {CPU_AVX2,        "avx2"       },
        {CPU_AVX_VNNI,    "avx-vnni"   },
        {CPU_AVX512,      "avx512"     },
        {CPU_AVX512_VNNI, "avx512-vnni"},
        {CPU_AVX512_BF16, "avx512-bf16"},
        {CPU_AMX_INT8,    "amx-int8"   },
        {CPU_AMX_BF16,    "amx-bf16"   },
    };
    size_t n = 0;
    if (cap) text[0] = 0;
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        if (!(features & NAMES[i].bit) || n >= cap) continue;
        const int w = snprintf(text + n, cap - n, "%s%s", n ? " " : "", NAMES[i].name);
        if (w > 0) n += (size_t)w;
    }
    return text;
}

const char *cpu_name(char *text, size_t cap)
{
    char name[49];
    brand(name);
    const char *from = name + strspn(name, " ");
    snprintf(text, cap, "%s", *from ? from : "unknown");
    for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--) {
        text[n - 1] = 0;
    }
    return text;
}

/* First integer in a file of /sys, or -1. */
static long read_number(const char *path)
{
    long n = -1;
    FILE *f = fopen(path, "re");
    if (!f) return -1;
    if (fscanf(f, "%ld", &n) != 1) n = -1;
    fclose(f);
    return n;
}

/* The lowest-numbered processor of the same core stands for the core. */
static bool is_first_of_core(int cpu, const cpu_set_t *set)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    const long core = read_number(path);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id",
             cpu);
    const long package = read_number(path);
    if (core < 0) return true; /* no topology: every processor counts */

    for (int other = 0; other < cpu; other++) {
        if (!CPU_ISSET((size_t)other, set)) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", other);
        if (read_number(path) != core) continue;
        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", other);
        if (read_number(path) == package) return false;
    }
    return true;
}

/* Whole processors granted by the control group (version 2, as a container sees its
 * own), or INT32_MAX.  Spinning threads beyond the grant would only be throttled. */
static int group_limit(void)
{
    long quota, period;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return INT32_MAX;
    const int n = fscanf(f, "%ld %ld", &quota, &period); /* "max" is not a number */
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0) return INT32_MAX;
    return (int)QA_MAX(1, quota / period);
}

int cpu_n_cores(void)
{
    cpu_set_t set;
    int n = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) {
        const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more than 1024 processors */
        return online > 0 ? (int)online : 1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set) && is_first_of_core(cpu, &set)) n++;
    }
    n = QA_MIN(n, group_limit());
    return QA_MAX(n, 1);
}
