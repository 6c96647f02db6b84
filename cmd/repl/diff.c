/* diff.c - what changed between two texts, line by line. */
#include "cmd/repl/diff.h"

#include <stdlib.h>

enum { MAX_LINES = 4000, AROUND = 2 };

struct lines {
    struct str *p; /* owned */
    size_t n;
};

static struct lines split(struct str s)
{
    struct lines l = {calloc(MAX_LINES, sizeof *l.p), 0};
    while (l.p && s.n && l.n < MAX_LINES) {
        const size_t end = QA_MIN(str_find(s, STR("\n")), s.n);
        l.p[l.n++] = str_cut(s, 0, end);
        s = str_cut(s, QA_MIN(end + 1, s.n), s.n);
    }
    return l;
}

/* at[i * (m + 1) + j]: lines that a from i and b from j have in common. */
static uint16_t *common_lines(const struct lines *a, const struct lines *b)
{
    const size_t w = b->n + 1;
    uint16_t *at = calloc((a->n + 1) * w, sizeof *at);
    for (size_t i = a->n; at && i-- > 0;) {
        for (size_t j = b->n; j-- > 0;) {
            const int best = str_eq(a->p[i], b->p[j])
                                 ? at[(i + 1) * w + j + 1] + 1
                                 : QA_MAX(at[(i + 1) * w + j], at[i * w + j + 1]);
            at[i * w + j] = (uint16_t)best;
        }
    }
    return at;
}

static void add(struct str_buf *to, const char *mark, struct str line)
{
    str_buf_add_z(to, mark);
    str_buf_add(to, line);
    str_buf_add_char(to, '\n');
}

/* A run of n equal lines from p: the ends that touch a change. */
static void add_equal(struct str_buf *to, const struct str *p, size_t n, bool first, bool last)
{
    const size_t head = first ? 0 : QA_MIN(n, (size_t)AROUND);
    const size_t tail = last ? 0 : QA_MIN(n - head, (size_t)AROUND);
    for (size_t i = 0; i < n; i++) {
        if (i < head || i >= n - tail) add(to, "  ", p[i]);
        if (i == head && i < n - tail) str_buf_add_z(to, "  ...\n");
    }
}

void diff_lines(struct str_buf *to, struct str a, struct str b)
{
    if (str_eq(a, b)) return;
    struct lines x = split(a);
    struct lines y = split(b);
    uint16_t *at = x.p && y.p ? common_lines(&x, &y) : NULL;
    const size_t w = y.n + 1;
    size_t i = 0;
    size_t j = 0;
    while (at && (i < x.n || j < y.n)) {
        size_t n = 0;
        while (i + n < x.n && j + n < y.n && str_eq(x.p[i + n], y.p[j + n])) {
            n++;
        }
        if (n) {
            add_equal(to, x.p + i, n, i == 0 && j == 0, i + n == x.n && j + n == y.n);
            i += n;
            j += n;
        } else if (j == y.n || (i < x.n && at[(i + 1) * w + j] >= at[i * w + j + 1])) {
            add(to, "- ", x.p[i++]);
        } else {
            add(to, "+ ", y.p[j++]);
        }
    }
    free(at);
    free(x.p);
    free(y.p);
}
