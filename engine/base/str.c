/* str.c - slices and bounded buffers. */
#include "engine/base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *z)
{
    return (struct str){z ? z : "", z ? strlen(z) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq((struct str){s.p + (s.n - suffix.n), suffix.n}, suffix);
}

size_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0) return 0;
    if (s.n < needle.n) return SIZE_MAX;
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

struct str str_cut(struct str s, size_t from, size_t to)
{
    if (to > s.n) to = s.n;
    if (from > to) from = to;
    return (struct str){s.p + from, to - from};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool str_to_i64(struct str s, int64_t lo, int64_t hi, int64_t *out)
{
    char text[24];
    if (s.n == 0 || s.n >= sizeof text || is_space(s.p[0])) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end != text + s.n || v < lo || v > hi) return false;
    *out = v;
    return true;
}

bool str_to_f64(struct str s, double *out)
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof text || is_space(s.p[0])) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (errno || end != text + s.n || v != v) return false;
    *out = v;
    return true;
}

/* Length of the well-formed sequence at p, or 0.  Table 3-7 of the Unicode standard. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len) return 0;
    unsigned char lo = 0x80;
    unsigned char hi = 0xBF;
    if (p[0] == 0xE0) lo = 0xA0;
    if (p[0] == 0xED) hi = 0x9F;
    if (p[0] == 0xF0) lo = 0x90;
    if (p[0] == 0xF4) hi = 0x8F;
    if (p[1] < lo || p[1] > hi) return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return len;
}

bool str_is_utf8(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len((const unsigned char *)s.p + i, s.n - i);
        if (!len) return false;
        i += len;
    }
    return true;
}

size_t str_first_char(struct str s, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s.p;
    const size_t n = s.n ? utf8_len(p, s.n) : 0;
    if (!n) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & 0x7Fu >> n;
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *cp = c;
    return n;
}

bool str_is_steering(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } RANGES[] = {
        {0,       0x08   },
        {0x0B,    0x1F   },
        {0x7F,    0x9F   },
        {0x61C,   0x61C  },
        {0x200B,  0x200B },
        {0x200E,  0x200F }, /* between them the joiners, which scripts and emoji need */
        {0x2028,  0x202E },
        {0x2060,  0x206F },
        {0xFEFF,  0xFEFF },
        {0xFFF9,  0xFFFB },
        {0xE0000, 0xE007F},
    };
    for (size_t i = 0; i < COUNT(RANGES); i++) {
        if (cp >= RANGES[i].first && cp <= RANGES[i].last) return true;
    }
    return false;
}

void str_make_inert(char *z)
{
    char *out = z;
    for (struct str rest = str_of(z); rest.n;) {
        uint32_t cp = 0;
        const size_t n = str_first_char(rest, &cp);
        const bool is_fine = n && !str_is_steering(cp) && cp != '\n' && cp != '\t';
        if (is_fine) {
            memmove(out, rest.p, n);
            out += n;
        } else {
            *out++ = '?';
        }
        rest = str_cut(rest, QA_MAX(n, (size_t)1), rest.n);
    }
    *out = 0;
}

void str_buf_init(struct str_buf *b, size_t max_bytes)
{
    *b = (struct str_buf){.max = max_bytes};
}

void str_buf_release(struct str_buf *b)
{
    free(b->p);
    *b = (struct str_buf){.max = b->max};
}

void str_buf_reset(struct str_buf *b)
{
    b->n = 0;
    b->bad = QA_OK;
    if (b->p) b->p[0] = 0;
}

/* Room for n more bytes and the NUL; false once the buffer is bad. */
static bool reserve(struct str_buf *b, size_t n)
{
    if (b->bad) return false;
    if (n > b->max || b->n > b->max - n) {
        b->bad = QA_E_LIMIT;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need <= b->cap) return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need) {
        cap += cap / 2 + 64;
    }
    char *p = realloc(b->p, cap);
    if (!p) {
        b->bad = QA_E_NOMEM;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void str_buf_add(struct str_buf *b, struct str s)
{
    if (!reserve(b, s.n)) return;
    if (s.n) memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = 0;
}

void str_buf_add_z(struct str_buf *b, const char *z)
{
    str_buf_add(b, str_of(z));
}

void str_buf_add_char(struct str_buf *b, char c)
{
    str_buf_add(b, (struct str){&c, 1});
}

void str_buf_vaddf(struct str_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && reserve(b, (size_t)n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void str_buf_addf(struct str_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_buf_vaddf(b, fmt, ap);
    va_end(ap);
}

struct str str_buf_str(const struct str_buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

char *str_buf_take(struct str_buf *b)
{
    reserve(b, 0); /* an empty buffer still yields an empty string */
    if (b->bad) return NULL;
    char *p = b->p;
    p[b->n] = 0;
    *b = (struct str_buf){.max = b->max};
    return p;
}

enum status str_buf_check(const struct str_buf *b, const char *what, struct err *e)
{
    if (b->bad == QA_E_LIMIT) {
        return err_set(e, QA_E_LIMIT, "%s is larger than %zu bytes", what, b->max);
    }
    if (b->bad) return err_set(e, b->bad, "out of memory for %s", what);
    return QA_OK;
}
