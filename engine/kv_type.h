/* kv_type.h - the formats in which keys and values are kept.
 *
 * Apart from engine.h because kernels need the names and nothing else of it. */
#ifndef QA_KV_TYPE_H
#define QA_KV_TYPE_H

enum kv_type {
    KV_F32,
    KV_F16,
    KV_Q8_0,
    KV_Q4_0,
    KV_TURBO4,
    KV_TURBO3,
    KV_TURBO2,
    KV_TYPE_COUNT
};

#endif
