/* proto.c - the bytes between sandbox_run and the Python side. */
#include "sandbox/proto.h"

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint32_t get_u32(const char *p)
{
    uint32_t v = 0;
    for (int i = 3; i >= 0; i--) {
        v = v << 8 | (uint8_t)p[i];
    }
    return v;
}

/* Layout: mode u32, timeout u32, memory u64, cpu u32, code length u32, nonce. */
_Static_assert(PROTO_HEADER_BYTES == 24 + PROTO_NONCE_BYTES, "driver.py unpacks <IIQII16s");
void frame_encode(uint8_t out[PROTO_HEADER_BYTES], const struct frame *f, uint32_t n_code)
{
    put_u32(out, f->mode == RUN_SCORE);
    put_u32(out + 4, f->timeout_ms);
    put_u32(out + 8, (uint32_t)f->memory_bytes);
    put_u32(out + 12, (uint32_t)(f->memory_bytes >> 32));
    put_u32(out + 16, f->cpu_s);
    put_u32(out + 20, n_code);
    memcpy(out + 24, f->nonce, PROTO_NONCE_BYTES);
}

/* Layout: nonce, kind u32, text length u32, text. */
struct report report_parse(struct str bytes, const uint8_t nonce[PROTO_NONCE_BYTES])
{
    const struct report none = {.kind = REPORT_NONE};
    if (bytes.n < PROTO_REPORT_HEADER_BYTES) return none;
    if (memcmp(bytes.p, nonce, PROTO_NONCE_BYTES) != 0) return none;
    const uint32_t kind = get_u32(bytes.p + 16);
    const uint32_t n = get_u32(bytes.p + 20);
    if (kind != REPORT_OOM && kind != REPORT_VERDICT) return none;
    if (n > bytes.n - PROTO_REPORT_HEADER_BYTES) return none;
    return (struct report){
        .kind = kind == REPORT_OOM ? REPORT_OOM : REPORT_VERDICT,
        .text = {bytes.p + PROTO_REPORT_HEADER_BYTES, n},
    };
}
