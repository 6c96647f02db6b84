/* inner_kv.h - rows of keys and values to floats, and their rotation (kv.h); the text of
 * every row of the kernel table, compiled once per instruction set.
 *
 * Work: each number once per tile, for all rows and query heads that share it; a code is
 * widened to a lane and multiplied, or looked up in a table of scaled levels.  Bound: the
 * arithmetic of widening; bytes read are those of the cache.  The same products and sums
 * in the same order as kv.c, so the same bits. */
#ifndef QA_CPU_INNER_KV_H
#define QA_CPU_INNER_KV_H

#include "engine/cpu/inner_dot.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/vec.h"
#include "engine/kv.h"

#include <math.h>

/* ---- rotation -------------------------------------------------------------- */

static void rotate_signs(float *x, int dim)
{
    vu lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = (uint32_t)i;
    int i = 0;
    for (; i + LANES <= dim; i += LANES) {
        const vu bit = (KV_SIGNS[i / 32 % 8] >> (i % 32)) >> lane & 1;
        vf_store(x + i, (vf)((vu)vf_load(x + i) ^ bit << 31));
    }
    ASSERT(i == dim); /* a rotated format has whole blocks of 32 */
}

static void rotate_group(float *x, int n)
{
    int half = 1;
    for (; half < LANES && half < n; half *= 2) {
        for (int i = 0; i < n; i += 2 * half) {
            for (int j = i; j < i + half; j++) {
                const float a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
        }
    }
    for (; half < n; half *= 2) {
        for (int i = 0; i < n; i += 2 * half) {
            for (int j = i; j < i + half; j += LANES) {
                const vf a = vf_load(x + j), b = vf_load(x + j + half);
                vf_store(x + j, a + b);
                vf_store(x + j + half, a - b);
            }
        }
    }
    const float scale = 1.0f / sqrtf((float)n);
    for (int i = 0; i < n; i += LANES)
        vf_store(x + i, vf_load(x + i) * scale);
}

static void rotate_row(float *x, int dim)
{
    const int n = kv_group(dim);
    rotate_signs(x, dim);
    for (int i = 0; i < dim; i += n)
        rotate_group(x + i, n);
}

static void unrotate_row(float *x, int dim)
{
    const int n = kv_group(dim);
    for (int i = 0; i < dim; i += n)
        rotate_group(x + i, n);
    rotate_signs(x, dim);
}

/* ---- rows to floats -------------------------------------------------------- */

static void load_q8_0(float *out, const uint8_t *row, int n)
{
    for (; n > 0; n -= KV_BLOCK, out += KV_BLOCK, row += sizeof(struct block_q8_0)) {
        const float d = half_at(row);
        for (int i = 0; i < KV_BLOCK; i += LANES)
            vf_store(out + i, vf_bytes_signed(row + 2 + i) * d);
    }
}

static void load_q4_0(float *out, const uint8_t *row, int n)
{
    enum { HALF = KV_BLOCK / 2 };
    for (; n > 0; n -= KV_BLOCK, out += KV_BLOCK, row += sizeof(struct block_q4_0)) {
        const float d = half_at(row);
        for (int i = 0; i < HALF; i += LANES) {
            const vi q = vi_bytes(row + 2 + i);
            vf_store(out + i, __builtin_convertvector((q & 15) - 8, vf) * d);
            vf_store(out + HALF + i, __builtin_convertvector((q >> 4) - 8, vf) * d);
        }
    }
}

INLINE void load_unit_4(float *out, const uint8_t *unit, const float table[16])
{
    for (int i = 0; i < 32; i += LANES) {
        const vi q = vi_bytes(unit + i);
        vf_store(out + i, vf_look_up(table, 16, q & 15));
        vf_store(out + 32 + i, vf_look_up(table, 16, q >> 4));
    }
}

INLINE void load_unit_3(float *out, const uint8_t *unit, const float table[16])
{
    uint64_t third; /* byte i of `spread`: bit b is the third of value i + 16 b */
    memcpy(&third, unit + 16, sizeof third);
    const uint64_t low = third & 0x0f0f0f0f0f0f0f0f, high = third >> 4 & 0x0f0f0f0f0f0f0f0f;
    uint8_t spread[16];
    memcpy(spread, &low, sizeof low);
    memcpy(spread + 8, &high, sizeof high);
    for (int i = 0; i < 16; i += LANES) {
        const vi q = vi_bytes(unit + i), t = vi_bytes(spread + i);
        for (int b = 0; b < 4; b++) {
            const vi code = (q >> 2 * b & 3) | (t >> b & 1) << 2;
            vf_store(out + 16 * b + i, vf_look_up(table, 8, code));
        }
    }
}

INLINE void load_unit_2(float *out, const uint8_t *unit, const float table[16])
{
    for (int i = 0; i < 16; i += LANES) {
        const vi q = vi_bytes(unit + i);
        for (int b = 0; b < 4; b++)
            vf_store(out + 16 * b + i, vf_look_up(table, 4, q >> 2 * b & 3));
    }
}

/* The levels of a group times its scale; codes beyond n_levels do not occur. */
INLINE void scale_levels(float table[16], const float *level, int n_levels, float scale)
{
    for (int i = 0; i < 16; i++)
        table[i] = scale * level[i % n_levels];
}

static void load_turbo(enum kv_type t, float *out, const uint8_t *row, int dim)
{
    const int n = kv_group(dim);
    float table[16];
    for (int g = 0; g < dim; g += n, row += kv_row_bytes(t, n)) {
        const uint8_t *unit = row + 2;
        const float scale = half_at(row);
        if (t == KV_TURBO4) {
            scale_levels(table, KV_LEVELS_4, 16, scale);
            for (int u = 0; u < n; u += KV_UNIT, unit += 32)
                load_unit_4(out + g + u, unit, table);
        } else if (t == KV_TURBO3) {
            scale_levels(table, KV_LEVELS_3, 8, scale);
            for (int u = 0; u < n; u += KV_UNIT, unit += 24)
                load_unit_3(out + g + u, unit, table);
        } else {
            scale_levels(table, KV_LEVELS_2, 4, scale);
            for (int u = 0; u < n; u += KV_UNIT, unit += 16)
                load_unit_2(out + g + u, unit, table);
        }
    }
}

static void kv_load(enum kv_type t, float *out, const uint8_t *rows, int n, int dim)
{
    const size_t row_bytes = kv_row_bytes(t, dim);
    if (t == KV_F16) {
        f16_to_f32(out, (const uint16_t *)(const void *)rows, n * dim);
        return;
    }
    for (int i = 0; i < n; i++, out += dim, rows += row_bytes) {
        switch (t) {
        case KV_F32: memcpy(out, rows, row_bytes); break;
        case KV_Q8_0: load_q8_0(out, rows, dim); break;
        case KV_Q4_0: load_q4_0(out, rows, dim); break;
        case KV_TURBO4:
        case KV_TURBO3:
        case KV_TURBO2: load_turbo(t, out, rows, dim); break;
        case KV_F16:
        case KV_TYPE_COUNT: ASSERT(!"rows of another format");
        }
    }
}

#endif
