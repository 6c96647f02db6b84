/* fuzz_proto.c - what comes out of the jail: the report and the streams. */
#include "sandbox/capture.h"
#include "sandbox/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_report(struct str s)
{
    uint8_t nonce[PROTO_NONCE_BYTES] = {0};
    if (s.n >= sizeof nonce) memcpy(nonce, s.p, sizeof nonce); /* a right nonce, too */
    const struct report r = report_parse(s, nonce);
    if (r.kind == REPORT_NONE) return;
    ASSERT(r.text.p >= s.p && r.text.p + r.text.n <= s.p + s.n);
    nonce[0] ^= 1;
    ASSERT(report_parse(s, nonce).kind == REPORT_NONE);
}

/* The text after feeding s in pieces of `step` bytes. */
static uint64_t text_of(struct str s, size_t cap, size_t step, struct str_buf *b)
{
    struct capture c;
    ASSERT(capture_init(&c, cap, NULL) == QA_OK);
    for (size_t i = 0; i < s.n; i += step) {
        capture_add(&c, str_cut(s, i, i + step));
    }
    ASSERT(capture_seen_bytes(&c) == s.n);
    str_buf_init(b, 4 * cap + 256);
    const uint64_t n_left_out = capture_text(&c, b);
    capture_release(&c);
    return n_left_out;
}

static void check_capture(struct str s)
{
    static const size_t caps[] = {1, 64, 65, 1000};
    for (size_t i = 0; i < COUNT(caps); i++) {
        struct str_buf whole, cut;
        const uint64_t n = text_of(s, caps[i], s.n + 1, &whole);
        ASSERT(n == text_of(s, caps[i], 1 + (s.n ? (uint8_t)s.p[0] % 7 : 0), &cut));
        const struct str text = str_buf_str(&whole);
        ASSERT(whole.bad == QA_OK && cut.bad == QA_OK);
        ASSERT(str_eq(text, str_buf_str(&cut)));
        ASSERT(str_is_utf8(text));
        ASSERT((n == 0) == (s.n <= caps[i]));
        for (size_t k = 0; k < text.n; k++) {
            const unsigned char c = (unsigned char)text.p[k];
            ASSERT((c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t');
            if (c != 0xE2) continue; /* the text is well-formed: two bytes follow */
            ASSERT(memcmp(text.p + k, "\xE2\x80\xAE", 3) != 0);
        }
        str_buf_release(&whole);
        str_buf_release(&cut);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str s = {(const char *)data, size};
    check_report(s);
    check_capture(s);
    return 0;
}
