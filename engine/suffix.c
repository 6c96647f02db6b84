/* suffix.c - a suffix automaton that grows token by token.
 *
 * A state stands for all stretches of the text that end at the same set of places;
 * `len` is the longest of them, `link` the state of its longest suffix that also
 * ends elsewhere.  Almost every state has one way on, which is kept inside it. */
#include "engine/suffix.h"

#include <stdlib.h>

struct suffix_state {
    int32_t len, link; /* link: -1 for the start                                 */
    int32_t end;       /* index of the last token of a known occurrence           */
    int32_t token, to; /* first transition; token -1: none                       */
    int32_t edge;      /* further transitions, -1: none                          */
};
struct suffix_edge {
    int32_t state, token, to;
    int32_t next; /* of the same state, -1: none */
};

/* How many states up the links learn of a newer occurrence; the rest keep an older one. */
enum { FRESH_LINKS = 4 };

void suffix_init(struct suffix *x)
{
    *x = (struct suffix){0};
}

void suffix_release(struct suffix *x)
{
    free(x->states);
    free(x->edges);
    free(x->slots);
    suffix_init(x);
}

static void clear(struct suffix *x)
{
    for (size_t i = 0; i < x->n_slots; i++)
        x->slots[i] = 0;
    x->n_states = x->n_edges = x->n = 0;
    x->last = 0;
}

/* ---- transitions ---------------------------------------------------------- */

static size_t slot_of(const struct suffix *x, int32_t state, int32_t token)
{
    uint64_t h = ((uint64_t)(uint32_t)state << 32 | (uint32_t)token) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
    return (size_t)(h * 0xBF58476D1CE4E5B9u >> 32) & (x->n_slots - 1);
}

/* Where a transition is kept, or NULL. */
static int32_t *find_to(const struct suffix *x, int32_t state, int32_t token)
{
    struct suffix_state *s = &x->states[state];
    if (s->token == token) return &s->to;
    if (s->edge < 0) return NULL;
    for (size_t i = slot_of(x, state, token);; i = (i + 1) & (x->n_slots - 1)) {
        if (!x->slots[i]) return NULL;
        struct suffix_edge *d = &x->edges[x->slots[i] - 1];
        if (d->state == state && d->token == token) return &d->to;
    }
}

static void slot_fill(struct suffix *x, size_t i_edge)
{
    size_t i = slot_of(x, x->edges[i_edge].state, x->edges[i_edge].token);
    while (x->slots[i])
        i = (i + 1) & (x->n_slots - 1);
    x->slots[i] = (int32_t)i_edge + 1;
}

/* Room for one more edge, the table at most half full. */
static bool grow_edges(struct suffix *x)
{
    if (x->n_edges < x->cap_edges) return true;
    const size_t cap = x->cap_edges ? 2 * x->cap_edges : 64;
    struct suffix_edge *p = realloc(x->edges, cap * sizeof *p);
    if (p) x->edges = p;
    int32_t *slots = p ? calloc(2 * cap, sizeof *slots) : NULL;
    if (!slots) return false;
    free(x->slots);
    x->slots = slots;
    x->n_slots = 2 * cap;
    x->cap_edges = cap;
    for (size_t i = 0; i < x->n_edges; i++)
        slot_fill(x, i);
    return true;
}

static bool add_to(struct suffix *x, int32_t state, int32_t token, int32_t to)
{
    struct suffix_state *s = &x->states[state];
    if (s->token < 0) {
        s->token = token;
        s->to = to;
        return true;
    }
    if (!grow_edges(x)) return false;
    x->edges[x->n_edges] = (struct suffix_edge){state, token, to, s->edge};
    s->edge = (int32_t)x->n_edges;
    slot_fill(x, x->n_edges++);
    return true;
}

/* ---- growing --------------------------------------------------------------- */

static bool grow_states(struct suffix *x, size_t n_more)
{
    if (x->n_states + n_more <= x->cap_states) return true;
    const size_t cap = x->cap_states ? 2 * x->cap_states : 64;
    struct suffix_state *p = realloc(x->states, cap * sizeof *p);
    if (!p) return false;
    x->states = p;
    x->cap_states = cap;
    return true;
}

static int32_t add_state(struct suffix *x, int32_t len, int32_t link, int32_t end)
{
    x->states[x->n_states] = (struct suffix_state){len, link, end, -1, -1, -1};
    return (int32_t)x->n_states++;
}

/* The shorter half of q, which now also ends where q does not; -1: no memory. */
static int32_t split(struct suffix *x, int32_t q, int32_t len)
{
    const struct suffix_state from = x->states[q];
    const int32_t half = add_state(x, len, from.link, from.end);
    x->states[half].token = from.token;
    x->states[half].to = from.to;
    for (int32_t i = from.edge; i >= 0; i = x->edges[i].next) {
        if (!add_to(x, half, x->edges[i].token, x->edges[i].to)) return -1;
    }
    x->states[q].link = half;
    return half;
}

static bool append_one(struct suffix *x, int32_t token)
{
    const int32_t at = (int32_t)x->n;
    if (!grow_states(x, 3)) return false;
    if (x->n_states == 0) x->last = add_state(x, 0, -1, -1);

    /* What repeats up to here has now occurred here: the newest version to copy from.
     * Done one token late, so that the state of a match points to an earlier place. */
    int32_t p = x->states[x->last].link;
    for (int i = 0; i < FRESH_LINKS && p > 0; i++, p = x->states[p].link)
        x->states[p].end = at - 1;

    const int32_t now = add_state(x, at + 1, 0, at);
    for (p = x->last; p >= 0 && !find_to(x, p, token); p = x->states[p].link) {
        if (!add_to(x, p, token, now)) return false;
    }
    if (p >= 0) {
        const int32_t q = *find_to(x, p, token);
        int32_t link = q;
        if (x->states[q].len > x->states[p].len + 1) {
            link = split(x, q, x->states[p].len + 1);
            if (link < 0) return false;
            for (; p >= 0; p = x->states[p].link) {
                int32_t *to = find_to(x, p, token);
                if (!to || *to != q) break;
                *to = link;
            }
        }
        x->states[now].link = link;
    }
    x->last = now;
    x->n++;
    return true;
}

enum status suffix_append(struct suffix *x, const int32_t *ids, size_t n, struct err *e)
{
    ASSERT(n >= x->n && n < (size_t)1 << 30);
    while (x->n < n) {
        if (append_one(x, ids[x->n])) continue;
        suffix_release(x);
        return err_set(e, QA_E_NOMEM, "no memory to look for repetitions in %zu tokens", n);
    }
    return QA_OK;
}

void suffix_cut(struct suffix *x, size_t n)
{
    if (n < x->n) clear(x);
}

/* ---- asking ---------------------------------------------------------------- */

int suffix_propose(const struct suffix *x,
                   const int32_t *ids,
                   int max,
                   int32_t *out,
                   size_t *n_match)
{
    if (x->n == 0) return 0;
    const struct suffix_state *match = &x->states[x->states[x->last].link];
    if (match->len < SUFFIX_MATCH_MIN) return 0;
    const size_t from = (size_t)match->end + 1;
    ASSERT(from < x->n);
    for (int i = 0; i < max; i++) {
        const size_t k = from + (size_t)i;
        out[i] = k < x->n ? ids[k] : out[k - x->n];
    }
    *n_match = (size_t)match->len;
    return max;
}

size_t suffix_bytes(const struct suffix *x)
{
    return x->cap_states * sizeof *x->states + x->cap_edges * sizeof *x->edges +
           x->n_slots * sizeof *x->slots;
}
