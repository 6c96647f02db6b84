/* quant_iq.h - decoders of the codebook formats, for the table in quant.c alone.
 * Each turns n blocks at p into 256 n floats. */
#ifndef QA_QUANT_IQ_H
#define QA_QUANT_IQ_H

#include "engine/base/base.h"

void quant_iq_decode_2_xxs(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_2_xs(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_2_s(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_3_xxs(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_3_s(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_1_s(const uint8_t *p, size_t n, float *out);
void quant_iq_decode_1_m(const uint8_t *p, size_t n, float *out);

#endif
