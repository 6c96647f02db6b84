/* fuzz_pretok.c - any bytes are split into pieces that together are the text; the
 * normal form is stable and keeps bytes that are no UTF-8. */
#include "engine/nfc.h"
#include "engine/pretok.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(enum pretok_rule rule, struct str s)
{
    while (s.n) {
        const size_t n = pretok_next(rule, s);
        ASSERT(n > 0 && n <= s.n);
        /* A cut never falls inside a character. */
        ASSERT(n == s.n || (uint8_t)s.p[n] < 0x80 || (uint8_t)s.p[n] >= 0xC0 ||
               !str_is_utf8(s));
        s = str_cut(s, n, s.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str s = {(const char *)data, size};
    split(PRETOK_QWEN2, s);
    split(PRETOK_QWEN35, s);
    struct str_buf once;
    struct str_buf twice;
    str_buf_init(&once, 64 << 20);
    str_buf_init(&twice, 64 << 20);
    nfc_add(&once, s);
    nfc_add(&twice, str_buf_str(&once));
    ASSERT(!once.bad && !twice.bad);
    ASSERT(str_eq(str_buf_str(&once), str_buf_str(&twice)));
    ASSERT(str_is_utf8(s) == str_is_utf8(str_buf_str(&once)));
    if (nfc_is_plain(s)) ASSERT(str_eq(s, str_buf_str(&once)));
    str_buf_release(&once);
    str_buf_release(&twice);
    return 0;
}
