/* capture.c - one output stream of a program: bounded, made harmless. */
#include "sandbox/capture.h"

enum status capture_init(struct capture *c, size_t cap_bytes, struct err *e)
{
    const size_t cap_head = cap_bytes / 5 * 2 + cap_bytes % 5 * 2 / 5;
    *c = (struct capture){.cap_head = cap_head, .cap_ring = cap_bytes - cap_head};
    c->head = malloc(c->cap_head + 1);
    c->ring = malloc(c->cap_ring + 1);
    if (c->head && c->ring) return QA_OK;
    capture_release(c);
    return err_set(e, QA_E_NOMEM, "out of memory for %zu bytes of output", cap_bytes);
}

void capture_release(struct capture *c)
{
    free(c->head);
    free(c->ring);
    *c = (struct capture){0};
}

void capture_add(struct capture *c, struct str s)
{
    const size_t n_front = QA_MIN(s.n, c->cap_head - c->n_head);
    if (n_front) memcpy(c->head + c->n_head, s.p, n_front);
    c->n_head += n_front;
    s = str_cut(s, n_front, s.n);
    if (c->cap_ring == 0) {
        c->n_after_head += s.n;
        return;
    }
    if (s.n > c->cap_ring) { /* only its end can survive */
        c->n_after_head += s.n - c->cap_ring;
        s = str_cut(s, s.n - c->cap_ring, s.n);
    }
    const size_t at = (size_t)(c->n_after_head % c->cap_ring);
    const size_t n_first = QA_MIN(s.n, c->cap_ring - at);
    if (n_first) memcpy(c->ring + at, s.p, n_first);
    if (s.n > n_first) memcpy(c->ring, s.p + n_first, s.n - n_first);
    c->n_after_head += s.n;
}

uint64_t capture_seen_bytes(const struct capture *c)
{
    return c->n_head + c->n_after_head;
}

/* How long the character that starts with this byte wants to be. */
static size_t wanted_len(unsigned char lead)
{
    if (lead < 0x80) return 1;
    return lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static void add_harmless(struct str_buf *b, struct str s)
{
    size_t start = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = 0;
        const size_t len = str_first_char(str_cut(s, i, s.n), &cp);
        if (len && !str_is_steering(cp)) {
            i += len;
            continue;
        }
        str_buf_add(b, str_cut(s, start, i));
        str_buf_add_z(b, "\xEF\xBF\xBD");
        i += len ? len : 1;
        start = i;
    }
    str_buf_add(b, str_cut(s, start, s.n));
}

/* A cut in the middle of a character moves to its edge, so that the counted bytes
 * are exactly those not shown and no U+FFFD comes from the cut itself. */
static struct str whole_end(struct str s)
{
    size_t n_back = 0;
    while (n_back < 3 && n_back < s.n && is_continuation(s.p[s.n - 1 - n_back])) {
        n_back++;
    }
    if (n_back == s.n) return s;
    const size_t lead = s.n - 1 - n_back;
    const bool is_cut = wanted_len((unsigned char)s.p[lead]) > n_back + 1;
    return is_cut && (unsigned char)s.p[lead] >= 0xC2 ? str_cut(s, 0, lead) : s;
}

static struct str whole_start(struct str s)
{
    size_t n = 0;
    while (n < 3 && n < s.n && is_continuation(s.p[n])) {
        n++;
    }
    return str_cut(s, n, s.n);
}

uint64_t capture_text(const struct capture *c, struct str_buf *b)
{
    const size_t n_tail = (size_t)QA_MIN(c->n_after_head, (uint64_t)c->cap_ring);
    char *joined = malloc(c->n_head + n_tail + 1);
    if (!joined) {
        b->bad = QA_E_NOMEM;
        return 0;
    }
    memcpy(joined, c->head, c->n_head);
    const size_t at = c->cap_ring ? (size_t)(c->n_after_head % c->cap_ring) : 0;
    if (n_tail == c->cap_ring) { /* full: the oldest byte is where the next would go */
        memcpy(joined + c->n_head, c->ring + at, n_tail - at);
        memcpy(joined + c->n_head + n_tail - at, c->ring, at);
    } else {
        memcpy(joined + c->n_head, c->ring, n_tail);
    }

    uint64_t n_left_out = 0;
    if (c->n_after_head == n_tail) {
        add_harmless(b, (struct str){joined, c->n_head + n_tail});
    } else {
        const struct str head = whole_end((struct str){joined, c->n_head});
        const struct str tail = whole_start((struct str){joined + c->n_head, n_tail});
        n_left_out = capture_seen_bytes(c) - head.n - tail.n;
        add_harmless(b, head);
        if (head.n && head.p[head.n - 1] != '\n') str_buf_add_char(b, '\n');
        str_buf_addf(b, "[... %llu bytes left out ...]\n", (unsigned long long)n_left_out);
        add_harmless(b, tail);
    }
    free(joined);
    return n_left_out;
}
