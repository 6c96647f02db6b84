/* fuzz_record.c - any bytes as the log of a conversation: what comes out holds together. */
#include "agent/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct record *r)
{
    size_t at = r->n_prefix;
    ASSERT(r->n_prefix <= r->ids.n);
    for (size_t i = 0; i < r->n; i++) {
        const struct record_message *m = &r->message[i];
        ASSERT(m->text);
        if (m->is_folded) continue;
        ASSERT(m->n_start >= at && m->n_start <= r->ids.n);
        at = m->n_start;
    }
    ASSERT(!r->is_open || r->n > 0);
    if (r->before) check(r->before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r;
    struct err e = {0};
    struct str rest = {(const char *)data, size};
    if (size > 1 << 16) return 0;
    record_init(&r);
    while (rest.n) {
        const size_t end = str_find(rest, STR("\n"));
        const size_t n_before = r.n;
        const size_t n_ids = r.ids.n;
        if (record_line(&r, str_cut(rest, 0, end), &e)) {
            ASSERT(r.n == n_before && r.ids.n == n_ids); /* a refused event changes nothing */
        }
        check(&r);
        if (end == SIZE_MAX) break;
        rest = str_cut(rest, end + 1, rest.n);
    }
    record_release(&r);
    return 0;
}
