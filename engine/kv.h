/* kv.h - how one head's keys or values of one token are kept: a row.
 *
 * f32 and f16 rows hold the numbers as they are.  All other formats hold a rotated
 * row: y = R x with R = H D / sqrt(G), where D flips fixed signs and H is the
 * Walsh-Hadamard matrix (natural order) over groups of G values, G being the largest
 * power of two that divides the head size.  R is orthogonal: (R q) . (R k) = q . k,
 * and a sum of rotated values is the rotated sum.  So queries are rotated once, the
 * result is rotated back once, and rows are never rotated back.  Rotated numbers are
 * spread like a normal distribution whatever the model did, which is what the
 * formats are made for (TurboQuant, arXiv:2504.19874).
 *
 *     q8_0    blocks of 32: f16 d, 32 int8 q              y = d q
 *     q4_0    blocks of 32: f16 d, 16 bytes, halves       y = d (q - 8)
 *     turbo4  per group: f16 s, G / 64 units of 32 bytes  y = s level[q]
 *     turbo3  per group: f16 s, G / 64 units of 24 bytes
 *     turbo2  per group: f16 s, G / 64 units of 16 bytes
 *
 * A unit holds 64 values.  turbo4: byte j has value j in its low four bits and value
 * j + 32 in the high ones.  turbo2: byte j has values j, j + 16, j + 32 and j + 48, two
 * bits each, lowest first.  turbo3: the low two bits as turbo2, then 8 bytes with the
 * third: bit b of the low half of byte j belongs to value j + 16 b, of the high half to
 * value j + 8 + 16 b. */
#ifndef QA_KV_H
#define QA_KV_H

#include "engine/base/base.h"
#include "engine/kv_type.h"

enum { KV_BLOCK = 32, KV_UNIT = 64, KV_HEAD_MAX = 1024 };

/* Levels of the turbo formats, code 0 first: the Lloyd-Max quantiser of a normal
 * distribution of spread 1 (Lloyd 1982, Max 1960). */
extern const float KV_LEVELS_2[4], KV_LEVELS_3[8], KV_LEVELS_4[16];

/* D: bit i % 32 of word i / 32 % 8 set flips value i of a head. */
extern const uint32_t KV_SIGNS[8];

bool kv_is_rotated(enum kv_type t);
int kv_group(int dim); /* G for heads of dim values */
/* Bytes of a row of dim values; 0 when the format cannot hold heads of that size. */
size_t kv_row_bytes(enum kv_type t, int dim);

void kv_rotate(float *x, int dim);   /* x = R x  */
void kv_unrotate(float *x, int dim); /* x = R' x */

/* Between numbers and rows; rotated numbers where the format is.  A row may start at
 * any address that is a multiple of 2 (f32: of 4). */
void kv_encode(enum kv_type t, uint8_t *row, const float *x, int dim);
void kv_decode(enum kv_type t, float *x, const uint8_t *row, int dim);

#endif
