/* kv.c - rows of keys and values in every format; the definition of each. */
#include "engine/kv.h"

#include "engine/engine.h"
#include "engine/quant.h"

#include <math.h>
#include <string.h>

/* ---- names and sizes ------------------------------------------------------ */

static const char *const KV_NAMES[KV_TYPE_COUNT] = {
    [KV_F32] = "f32",       [KV_F16] = "f16",       [KV_Q8_0] = "q8_0",     [KV_Q4_0] = "q4_0",
    [KV_TURBO4] = "turbo4", [KV_TURBO3] = "turbo3", [KV_TURBO2] = "turbo2",
};

const char *kv_type_name(enum kv_type t)
{
    return (unsigned)t < KV_TYPE_COUNT ? KV_NAMES[t] : "?";
}

bool kv_type_of(const char *name, enum kv_type *t)
{
    for (int i = 0; i < KV_TYPE_COUNT; i++) {
        if (strcmp(name, KV_NAMES[i]) != 0) continue;
        *t = (enum kv_type)i;
        return true;
    }
    return false;
}

bool kv_is_rotated(enum kv_type t)
{
    return t != KV_F32 && t != KV_F16;
}

int kv_group(int dim)
{
    return dim & -dim;
}

static size_t turbo_bytes(int n_bits, int dim)
{
    const size_t n_groups = (size_t)(dim / kv_group(dim));
    return dim % KV_UNIT ? 0 : 2 * n_groups + (size_t)(dim / 8 * n_bits);
}

size_t kv_row_bytes(enum kv_type t, int dim)
{
    switch (t) {
    case KV_F32: return 4 * (size_t)dim;
    case KV_F16: return 2 * (size_t)dim;
    case KV_Q8_0:
        return dim % KV_BLOCK ? 0 : (size_t)(dim / KV_BLOCK) * sizeof(struct block_q8_0);
    case KV_Q4_0:
        return dim % KV_BLOCK ? 0 : (size_t)(dim / KV_BLOCK) * sizeof(struct block_q4_0);
    case KV_TURBO4: return turbo_bytes(4, dim);
    case KV_TURBO3: return turbo_bytes(3, dim);
    case KV_TURBO2: return turbo_bytes(2, dim);
    case KV_TYPE_COUNT: break;
    }
    return 0;
}

/* ---- rotation --------------------------------------------------------------- */

const uint32_t KV_SIGNS[8] = {
    /* drawn once at random */
    0x1e7ea419, 0x51c9bc70, 0x80a4df5a, 0xf38b2ffc,
    0x8306d03b, 0xa5aec797, 0xdc28ff90, 0xf3f49249,
};

static void flip_signs(float *x, int n)
{
    for (int i = 0; i < n; i++) {
        if (KV_SIGNS[i / 32 % 8] >> (i % 32) & 1) x[i] = -x[i];
    }
}

static void hadamard(float *x, int n)
{
    for (int half = 1; half < n; half *= 2) {
        for (int i = 0; i < n; i += 2 * half) {
            for (int j = i; j < i + half; j++) {
                const float a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
        }
    }
    const float scale = 1.0f / sqrtf((float)n);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

void kv_rotate(float *x, int dim)
{
    const int n = kv_group(dim);
    flip_signs(x, dim);
    for (int i = 0; i < dim; i += n)
        hadamard(x + i, n);
}

void kv_unrotate(float *x, int dim)
{
    const int n = kv_group(dim);
    for (int i = 0; i < dim; i += n)
        hadamard(x + i, n);
    flip_signs(x, dim);
}

/* ---- blocks of 32 ----------------------------------------------------------- */

static void half_put(uint8_t to[2], float x)
{
    const uint16_t h = quant_f32_to_f16(x);
    memcpy(to, &h, sizeof h);
}

static float half_get(const uint8_t from[2])
{
    uint16_t h;
    memcpy(&h, from, sizeof h);
    return quant_f16_to_f32(h);
}

/* The nearest integer in [least, most]; what is no number becomes one of the ends. */
static int nearest(float x, int least, int most)
{
    return (int)lrintf(fmaxf((float)least, fminf((float)most, x)));
}

static void encode_q8_0(struct block_q8_0 *b, const float *x)
{
    float most = 0;
    for (int i = 0; i < KV_BLOCK; i++)
        most = fmaxf(most, fabsf(x[i]));
    half_put(b->d, most / 127);
    const float d = half_get(b->d), inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < KV_BLOCK; i++)
        b->q[i] = (int8_t)nearest(x[i] * inverse, -127, 127);
}

/* The value furthest from zero gets code 0 = -8; then the scale that fits the chosen
 * codes best in least squares. */
static void encode_q4_0(struct block_q4_0 *b, const float *x)
{
    float far = 0, xq = 0, qq = 0;
    int q[KV_BLOCK];
    for (int i = 0; i < KV_BLOCK; i++) {
        if (fabsf(x[i]) > fabsf(far)) far = x[i];
    }
    const float inverse = far == 0 ? 0 : -8 / far;
    for (int i = 0; i < KV_BLOCK; i++) {
        q[i] = nearest(x[i] * inverse, -8, 7);
        xq += x[i] * (float)q[i];
        qq += (float)(q[i] * q[i]);
    }
    half_put(b->d, qq > 0 ? xq / qq : 0);
    for (int i = 0; i < KV_BLOCK / 2; i++)
        b->q[i] = (uint8_t)((q[i] + 8) | (q[i + KV_BLOCK / 2] + 8) << 4);
}

static void decode_q8_0(float *x, const struct block_q8_0 *b)
{
    const float d = half_get(b->d);
    for (int i = 0; i < KV_BLOCK; i++)
        x[i] = d * (float)b->q[i];
}

static void decode_q4_0(float *x, const struct block_q4_0 *b)
{
    const float d = half_get(b->d);
    for (int i = 0; i < KV_BLOCK / 2; i++) {
        x[i] = d * (float)((b->q[i] & 15) - 8);
        x[i + KV_BLOCK / 2] = d * (float)((b->q[i] >> 4) - 8);
    }
}

/* ---- groups under one scale --------------------------------------------------- */

const float KV_LEVELS_2[4] = {-1.51041761F, -0.45278003F, 0.45278003F, 1.51041761F};
const float KV_LEVELS_3[8] = {-2.15194570F, -1.34390928F, -0.75600528F, -0.24509418F,
                              0.24509418F,  0.75600528F,  1.34390928F,  2.15194570F};
const float KV_LEVELS_4[16] = {-2.73258957F, -2.06901723F, -1.61804639F, -1.25623120F,
                               -0.94234046F, -0.65675912F, -0.38804830F, -0.12839503F,
                               0.12839503F,  0.38804830F,  0.65675912F,  0.94234046F,
                               1.25623120F,  1.61804639F,  2.06901723F,  2.73258957F};

/* The level next to x: the number of midpoints that are not above it. */
static int level_of(const float *level, int n_levels, float x)
{
    int q = 0;
    for (int i = 1; i < n_levels; i++)
        q += x >= 0.5F * (level[i - 1] + level[i]);
    return q;
}

static void put_codes(uint8_t *unit, const uint8_t *q, int n_bits)
{
    if (n_bits == 4) {
        for (int j = 0; j < 32; j++)
            unit[j] = (uint8_t)(q[j] | q[j + 32] << 4);
        return;
    }
    for (int j = 0; j < 16; j++) {
        int low = 0;
        for (int b = 0; b < 4; b++)
            low |= (q[j + 16 * b] & 3) << 2 * b;
        unit[j] = (uint8_t)low;
    }
    for (int j = 0; n_bits == 3 && j < 8; j++) {
        int high = 0;
        for (int b = 0; b < 4; b++)
            high |= q[j + 16 * b] >> 2 << b | q[j + 8 + 16 * b] >> 2 << (4 + b);
        unit[16 + j] = (uint8_t)high;
    }
}

static int get_code(const uint8_t *unit, int i, int n_bits)
{
    if (n_bits == 4) return unit[i % 32] >> (i / 32 * 4) & 15;
    const int j = i % 16, b = i / 16, low = unit[j] >> 2 * b & 3;
    return n_bits == 2 ? low : low | (unit[16 + j % 8] >> (j / 8 * 4 + b) & 1) << 2;
}

static const float *levels_of(int n_bits)
{
    return n_bits == 2 ? KV_LEVELS_2 : n_bits == 3 ? KV_LEVELS_3 : KV_LEVELS_4;
}

/* n values under one scale, which gives the row back its length: |x| / |levels|. */
static void encode_group(uint8_t *to, const float *x, int n, int n_bits)
{
    const float *level = levels_of(n_bits);
    double xx = 0, cc = 0;
    for (int i = 0; i < n; i++)
        xx += (double)x[i] * (double)x[i];
    const float inverse = xx > 0 ? (float)(1 / sqrt(xx / n)) : 0;
    uint8_t *unit = to + 2;
    for (int u = 0; u < n; u += KV_UNIT, unit += KV_UNIT / 8 * n_bits) {
        uint8_t q[KV_UNIT];
        for (int i = 0; i < KV_UNIT; i++) {
            q[i] = (uint8_t)level_of(level, 1 << n_bits, x[u + i] * inverse);
            cc += (double)level[q[i]] * (double)level[q[i]];
        }
        put_codes(unit, q, n_bits);
    }
    half_put(to, (float)sqrt(xx / cc));
}

static void decode_group(float *x, const uint8_t *from, int n, int n_bits)
{
    const float *level = levels_of(n_bits), scale = half_get(from);
    const uint8_t *unit = from + 2;
    for (int u = 0; u < n; u += KV_UNIT, unit += KV_UNIT / 8 * n_bits) {
        for (int i = 0; i < KV_UNIT; i++)
            x[u + i] = scale * level[get_code(unit, i, n_bits)];
    }
}

/* ---- rows --------------------------------------------------------------------- */

static int turbo_bits(enum kv_type t)
{
    return t == KV_TURBO4 ? 4 : t == KV_TURBO3 ? 3 : 2;
}

void kv_encode(enum kv_type t, uint8_t *row, const float *x, int dim)
{
    const int n = kv_group(dim);
    switch (t) {
    case KV_F32: memcpy(row, x, (size_t)dim * sizeof *x); return;
    case KV_F16:
        for (int i = 0; i < dim; i++)
            half_put(row + 2 * i, x[i]);
        return;
    case KV_Q8_0:
        for (int i = 0; i < dim; i += KV_BLOCK, row += sizeof(struct block_q8_0))
            encode_q8_0((struct block_q8_0 *)row, x + i);
        return;
    case KV_Q4_0:
        for (int i = 0; i < dim; i += KV_BLOCK, row += sizeof(struct block_q4_0))
            encode_q4_0((struct block_q4_0 *)row, x + i);
        return;
    case KV_TURBO4:
    case KV_TURBO3:
    case KV_TURBO2:
        for (int i = 0; i < dim; i += n, row += kv_row_bytes(t, n))
            encode_group(row, x + i, n, turbo_bits(t));
        return;
    case KV_TYPE_COUNT: break;
    }
    ASSERT(!"a cache format");
}

void kv_decode(enum kv_type t, float *x, const uint8_t *row, int dim)
{
    const int n = kv_group(dim);
    switch (t) {
    case KV_F32: memcpy(x, row, (size_t)dim * sizeof *x); return;
    case KV_F16:
        for (int i = 0; i < dim; i++)
            x[i] = half_get(row + 2 * i);
        return;
    case KV_Q8_0:
        for (int i = 0; i < dim; i += KV_BLOCK, row += sizeof(struct block_q8_0))
            decode_q8_0(x + i, (const struct block_q8_0 *)row);
        return;
    case KV_Q4_0:
        for (int i = 0; i < dim; i += KV_BLOCK, row += sizeof(struct block_q4_0))
            decode_q4_0(x + i, (const struct block_q4_0 *)row);
        return;
    case KV_TURBO4:
    case KV_TURBO3:
    case KV_TURBO2:
        for (int i = 0; i < dim; i += n, row += kv_row_bytes(t, n))
            decode_group(x + i, row, n, turbo_bits(t));
        return;
    case KV_TYPE_COUNT: break;
    }
    ASSERT(!"a cache format");
}
