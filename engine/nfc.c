/* nfc.c - composes text, touching only the characters that ask for it.
 *
 * Call a character inert when it neither decomposes nor combines with one before
 * it.  An inert character and the others that follow it, up to the next inert one,
 * form a cluster that normalises on its own; all else is copied.
 *
 * The library's own one-call form is not used: it orders marks by exchanging
 * neighbours, which takes quadratic time on a long run of them. */
#include "engine/nfc.h"

#include "engine/pretok.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    MAX_DECOMPOSED = 8, /* code points of one character; Unicode's own maximum is 4 */
    FIRST_MARK = 0x300, /* every character below is inert                           */
};

struct points {
    utf8proc_int32_t *p;
    utf8proc_int32_t *spare; /* for sorting; as long as p */
    size_t n, cap;
};

static bool is_inert(int32_t c)
{
    if (c < FIRST_MARK || (c >= 0x4E00 && c <= 0x9FFF)) return true; /* and bad bytes */
    if (c >= 0x1100 && c <= 0x11FF) return false;                    /* Hangul parts  */
    const utf8proc_property_t *x = utf8proc_get_property(c);
    if (x->category >= UTF8PROC_CATEGORY_MN && x->category <= UTF8PROC_CATEGORY_ME)
        return false;
    return x->decomp_seqindex == UINT16_MAX || x->decomp_type != 0;
}

static int combining_class(utf8proc_int32_t c)
{
    return (int)utf8proc_get_property(c)->combining_class;
}

static bool reserve(struct points *v, size_t n)
{
    if (n <= v->cap) return true;
    size_t cap = QA_MAX(v->cap * 2, n);
    size_t n_bytes;
    if (!size_mul_ok(cap, sizeof *v->p, &n_bytes)) return false;
    void *p = realloc(v->p, n_bytes);
    if (p) v->p = p;
    void *spare = realloc(v->spare, n_bytes);
    if (spare) v->spare = spare;
    if (!p || !spare) return false;
    v->cap = cap;
    return true;
}

/* Marks [from, to) by combining class, equal ones in their order: one counting pass. */
static void sort_marks(struct points *v, size_t from, size_t to)
{
    size_t start[257] = {0};
    for (size_t i = from; i < to; i++) {
        start[combining_class(v->p[i]) + 1]++;
    }
    for (int k = 0; k < 256; k++) {
        start[k + 1] += start[k];
    }
    for (size_t i = from; i < to; i++) {
        v->spare[start[combining_class(v->p[i])]++] = v->p[i];
    }
    memcpy(v->p + from, v->spare, (to - from) * sizeof *v->p);
}

static void order_marks(struct points *v)
{
    for (size_t i = 0; i < v->n;) {
        if (combining_class(v->p[i]) == 0) {
            i++;
            continue;
        }
        size_t end = i + 1;
        bool is_sorted = true;
        for (; end < v->n && combining_class(v->p[end]) != 0; end++) {
            if (combining_class(v->p[end - 1]) > combining_class(v->p[end])) is_sorted = false;
        }
        if (!is_sorted) sort_marks(v, i, end);
        i = end;
    }
}

static bool decompose(struct points *v, struct str s)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    v->n = 0;
    for (size_t i = 0; i < s.n;) {
        int32_t c;
        i += pretok_char(str_cut(s, i, s.n), &c);
        if (!reserve(v, v->n + MAX_DECOMPOSED)) return false;
        int unused = 0;
        const utf8proc_ssize_t n =
            utf8proc_decompose_char(c, v->p + v->n, MAX_DECOMPOSED, options, &unused);
        if (n < 0 || n > MAX_DECOMPOSED) return false;
        v->n += (size_t)n;
    }
    return true;
}

static bool add_cluster(struct points *v, struct str s, struct str_buf *out)
{
    if (!decompose(v, s)) return false;
    order_marks(v);
    const utf8proc_ssize_t n = utf8proc_normalize_utf32(v->p, (utf8proc_ssize_t)v->n,
                                                        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) return false;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char bytes[4];
        const utf8proc_ssize_t k = utf8proc_encode_char(v->p[i], (utf8proc_uint8_t *)bytes);
        str_buf_add(out, (struct str){bytes, (size_t)k});
    }
    return true;
}

/* Bytes of the plain start of s; *last_inert: where its last character begins when
 * that is one that marks may follow, else the end. */
static size_t plain_start(struct str s, size_t *last_inert)
{
    *last_inert = 0;
    for (size_t i = 0; i < s.n;) {
        int32_t c;
        const size_t n = pretok_char(str_cut(s, i, s.n), &c);
        if (!is_inert(c)) return i;
        *last_inert = c < 0 ? i + n : i;
        i += n;
    }
    *last_inert = s.n;
    return s.n;
}

bool nfc_is_plain(struct str s)
{
    size_t unused;
    return plain_start(s, &unused) == s.n;
}

void nfc_add(struct str_buf *out, struct str s)
{
    struct points v = {0};
    while (s.n && !out->bad) {
        size_t from;
        size_t end = plain_start(s, &from);
        str_buf_add(out, str_cut(s, 0, from));
        while (end < s.n) {
            int32_t c;
            const size_t n = pretok_char(str_cut(s, end, s.n), &c);
            if (is_inert(c)) break;
            end += n;
        }
        if (end > from && !add_cluster(&v, str_cut(s, from, end), out)) {
            if (!out->bad) out->bad = QA_E_NOMEM;
        }
        s = str_cut(s, end, s.n);
    }
    free(v.p);
    free(v.spare);
}
