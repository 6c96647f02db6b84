/* fuzz_stream.c - any bytes, cut where the first two bytes say: the result is that of
 * the uncut bytes. */
#include "agent/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct stream *s, struct str in, bool thinking, size_t cut)
{
    struct err e = {0};
    stream_init(s, thinking, NULL);
    if (cut == SIZE_MAX) {
        for (size_t i = 0; i < in.n; i++) {
            stream_feed(s, str_cut(in, i, i + 1));
        }
    } else {
        stream_feed(s, str_cut(in, 0, cut));
        stream_feed(s, str_cut(in, cut, in.n));
    }
    ASSERT(stream_finish(s, &e) == QA_OK);
}

static void compare(const struct stream *a, const struct stream *b)
{
    ASSERT(str_eq(str_buf_str(&a->think), str_buf_str(&b->think)));
    ASSERT(str_eq(str_buf_str(&a->text), str_buf_str(&b->text)));
    ASSERT(a->calls.n == b->calls.n && a->calls.is_cut == b->calls.is_cut);
    for (size_t i = 0; i < a->calls.n; i++) {
        ASSERT(str_eq(a->calls.call[i].name, b->calls.call[i].name));
        ASSERT(json_equal(a->calls.call[i].arguments, b->calls.call[i].arguments));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream whole, cut, bytes;
    if (size < 2 || size > 4096) return 0;
    const struct str in = {(const char *)data + 2, size - 2};
    const bool thinking = data[0] & 1;
    run(&whole, in, thinking, in.n);
    run(&cut, in, thinking, in.n ? data[1] % in.n : 0);
    run(&bytes, in, thinking, SIZE_MAX);
    compare(&whole, &cut);
    compare(&whole, &bytes);
    stream_release(&whole);
    stream_release(&cut);
    stream_release(&bytes);
    return 0;
}
