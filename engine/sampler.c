/* sampler.c - shaping and drawing. */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sampling sampling_greedy(void)
{
    return (struct sampling){.top_p = 1, .repetition_penalty = 1};
}

enum status sampler_init(struct sampler *s, int n_vocab, struct err *e)
{
    const size_t n = (size_t)n_vocab;
    *s = (struct sampler){.n_vocab = n_vocab};
    s->row = calloc(n, sizeof *s->row);
    s->wide = malloc(n * sizeof *s->wide); /* untouched pages cost nothing */
    s->seen = calloc(n, sizeof *s->seen);
    if (s->row && s->wide && s->seen) return QA_OK;
    sampler_release(s);
    return err_set(e, QA_E_NOMEM, "no memory for the sampler");
}

void sampler_release(struct sampler *s)
{
    free(s->row);
    free(s->wide);
    free(s->seen);
    *s = (struct sampler){0};
}

enum status dist_init(struct dist *d, int n_vocab, struct err *e)
{
    *d = (struct dist){0};
    d->c = malloc((size_t)n_vocab * sizeof *d->c); /* untouched pages cost nothing */
    return d->c ? QA_OK : err_set(e, QA_E_NOMEM, "no memory for the sampler");
}

void dist_release(struct dist *d)
{
    free(d->c);
    *d = (struct dist){0};
}

/* ---- penalties ---------------------------------------------------------- */

static void penalise(float *x, const struct sampling *p)
{
    *x = *x > 0 ? *x / p->repetition_penalty : *x * p->repetition_penalty;
    *x -= p->presence_penalty;
}

/* Each id once, however often it occurs; at once where the row is in order of ids. */
static void see(struct sampler *s,
                const struct sampling *p,
                const int32_t *ids,
                size_t n,
                bool is_list)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t id = ids[i];
        if (s->seen[id] == s->round) continue;
        s->seen[id] = s->round;
        if (!is_list) penalise(&s->row[id], p);
    }
}

static void penalise_past(struct sampler *s,
                          const struct sampling *p,
                          const struct sampler_past *past)
{
    const bool has_repetition = p->repetition_penalty > 0 && p->repetition_penalty != 1;
    if (!has_repetition && p->presence_penalty == 0) return;
    struct sampling use = *p;
    if (!has_repetition) use.repetition_penalty = 1;

    size_t n_burst = (size_t)past->n_burst, n_ids = past->n_ids;
    if (p->penalty_last_n > 0) {
        const size_t window = (size_t)p->penalty_last_n;
        n_burst = QA_MIN(n_burst, window);
        n_ids = QA_MIN(n_ids, window - n_burst);
    }
    if (++s->round == 0) { /* every stamp of 2^32 rounds ago would look fresh */
        memset(s->seen, 0, (size_t)s->n_vocab * sizeof *s->seen);
        s->round = 1;
    }
    const bool is_list = past->list != NULL;
    see(s, &use, past->burst + ((size_t)past->n_burst - n_burst), n_burst, is_list);
    see(s, &use, past->ids + (past->n_ids - n_ids), n_ids, is_list);
    for (int i = 0; is_list && i < past->n_list; i++) {
        if (s->seen[past->list[i]] == s->round) penalise(&s->row[i], &use);
    }
}

/* ---- bans, mask and what is left ------------------------------------------ */

static void forbid(const struct sampler *s, const struct sampler_past *past, float *wide)
{
    for (size_t i = 0; i < past->n_banned; i++) {
        const int32_t id = past->banned[i];
        if (id >= 0 && id < s->n_vocab) wide[id] = -INFINITY;
    }
    if (past->mask) past->mask(past->mask_ctx, past->burst, past->n_burst, wide, s->n_vocab);
}

/* Bans and mask speak of all ids: a list is spread out for them and gathered again. */
static void forbid_in_list(struct sampler *s, const struct sampler_past *past)
{
    if (!past->n_banned && !past->mask) return;
    for (int i = 0; i < s->n_vocab; i++)
        s->wide[i] = -INFINITY;
    for (int i = 0; i < past->n_list; i++)
        s->wide[past->list[i]] = s->row[i];
    forbid(s, past, s->wide);
    for (int i = 0; i < past->n_list; i++)
        s->row[i] = s->wide[past->list[i]];
}

/* The likeliest ids of the row, best first; log_sum is known. */
static void report_top(const struct sampler *s, int n_top, struct token_prob *top)
{
    int n = 0;
    for (int32_t i = 0; i < s->n_vocab; i++) {
        const float x = s->row[i];
        if (!(x > -INFINITY) || (n == n_top && x <= top[n - 1].logprob)) continue;
        int at = n < n_top ? n++ : n - 1;
        for (; at > 0 && x > top[at - 1].logprob; at--)
            top[at] = top[at - 1];
        top[at] = (struct token_prob){i, x};
    }
    for (int i = 0; i < n; i++)
        top[i].logprob = (float)((double)top[i].logprob - s->log_sum);
    for (int i = n; i < n_top; i++)
        top[i] = (struct token_prob){-1, -INFINITY};
}

/* ---- shaping ------------------------------------------------------------ */

static int32_t argmax(const float *x, int n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        if (x[i] > x[best] || isnan(x[best])) best = i;
    }
    return best;
}

static bool is_before(struct candidate a, struct candidate b)
{
    return a.p > b.p || (a.p == b.p && a.id < b.id);
}

static int by_rank(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return is_before(*x, *y) ? -1 : 1;
}

/* Heap order: the worst candidate on top, to be replaced by better ones. */
static void sift_down(struct candidate *c, int n, int i)
{
    for (;;) {
        int worst = i;
        for (int k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++) {
            if (is_before(c[worst], c[k])) worst = k;
        }
        if (worst == i) return;
        const struct candidate swap = c[i];
        c[i] = c[worst];
        c[worst] = swap;
        i = worst;
    }
}

/* The k best logits, best first, their logit in .p. */
static void take_top_k(struct dist *d, const float *row, int n_vocab, int k)
{
    d->n = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        const struct candidate c = {i, row[i]};
        if (!(c.p > -INFINITY)) continue; /* forbidden, or not a number */
        if (d->n < k) {
            d->c[d->n++] = c;
            if (d->n < k) continue;
            for (int j = k / 2 - 1; j >= 0; j--)
                sift_down(d->c, k, j);
        } else if (is_before(c, d->c[0])) {
            d->c[0] = c;
            sift_down(d->c, k, 0);
        }
    }
    qsort(d->c, (size_t)d->n, sizeof *d->c, by_rank);
}

static void take_all(struct dist *d, const float *row, int n_vocab)
{
    d->n = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (row[i] > -INFINITY) d->c[d->n++] = (struct candidate){i, row[i]};
    }
}

/* Logits in .p become weights relative to the largest; returns their sum. */
static double exponentiate(struct dist *d, float most, float temp)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < d->n; i++) {
        const float p = expf((d->c[i].p - most) / temp);
        if (!(p > 0)) continue;
        d->c[n++] = (struct candidate){d->c[i].id, p};
        sum += (double)p;
    }
    d->n = n;
    return sum;
}

/* Keep weights of at least `least`. */
static void keep_from(struct dist *d, double least)
{
    int n = 0;
    for (int i = 0; i < d->n; i++) {
        if ((double)d->c[i].p >= least) d->c[n++] = d->c[i];
    }
    d->n = n;
}

/* The smallest set of best candidates that holds a share top_p of `sum`.  Those
 * below (1 - top_p) / n each cannot be in it: together they are too few to matter.
 * Dropping them first leaves little to sort. */
static void take_top_p(struct dist *d, double sum, float top_p)
{
    if (d->n == 0) return;
    keep_from(d, QA_MIN(sum * (1 - (double)top_p) / d->n, 1.0)); /* the best weighs 1 */
    qsort(d->c, (size_t)d->n, sizeof *d->c, by_rank);
    double held = 0;
    for (int i = 0; i < d->n; i++) {
        held += (double)d->c[i].p;
        if (held >= sum * (double)top_p) {
            d->n = i + 1;
            return;
        }
    }
}

static void normalise(struct dist *d)
{
    double sum = 0;
    for (int i = 0; i < d->n; i++)
        sum += (double)d->c[i].p;
    for (int i = 0; i < d->n; i++)
        d->c[i].p = (float)((double)d->c[i].p / sum);
}

static double log_sum_exp(const float *x, int n)
{
    const float most = x[argmax(x, n)];
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const float y = x[i] - most;
        if (y > -40) sum += (double)expf(y); /* less than 1e-12 of the sum is left out */
    }
    return (double)most + log(sum);
}

void sampler_shape(struct sampler *s,
                   const float *logits,
                   const struct sampling *p,
                   const struct sampler_past *past,
                   struct dist *out)
{
    const int n = past->list ? past->n_list : s->n_vocab;
    memcpy(s->row, logits, (size_t)n * sizeof *s->row);
    if (past->list) {
        forbid_in_list(s, past);
    } else {
        forbid(s, past, s->row);
    }
    if (past->want_logprob) {
        s->log_sum = log_sum_exp(s->row, n);
        if (past->n_top > 0 && past->top) report_top(s, past->n_top, past->top);
    }
    penalise_past(s, p, past);

    const int32_t best = argmax(s->row, n);
    const float most = s->row[best];
    out->n = 0;
    if (p->temp > 0 && isfinite(most)) {
        if (p->top_k > 0 && p->top_k < n) {
            take_top_k(out, s->row, n, p->top_k);
        } else {
            take_all(out, s->row, n);
        }
        const double sum = exponentiate(out, most, p->temp);
        if (p->top_p < 1) take_top_p(out, sum, p->top_p);
        if (p->min_p > 0) keep_from(out, (double)QA_MIN(p->min_p, 1.0f));
        normalise(out);
    }
    /* Greedy; or a row without a finite number in it, where any choice is as good. */
    if (out->n == 0) out->c[out->n++] = (struct candidate){best, 1};
    for (int i = 0; past->list && i < out->n; i++)
        out->c[i].id = past->list[out->c[i].id];
}

float sampler_logprob(const struct sampler *s, const float *logits, int32_t id)
{
    return (float)((double)logits[id] - s->log_sum);
}

/* ---- drawing ------------------------------------------------------------ */

/* Uniform in (0, 1): the finaliser of splitmix64 over key and id. */
static double unit_of(uint64_t key, int32_t id)
{
    uint64_t x = key + (uint64_t)(uint32_t)id * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return ((double)(x >> 12) + 0.5) * 0x1p-52;
}

int32_t dist_draw(const struct dist *d, uint64_t key)
{
    int32_t first = d->c[0].id;
    double best = INFINITY;
    for (int i = 0; i < d->n && d->n > 1; i++) {
        const double p = (double)d->c[i].p, u = unit_of(key, d->c[i].id);
        if (1 - u >= best * p) continue; /* -log(u) >= 1 - u: most need no logarithm */
        const double time = -log(u) / p;
        if (time >= best) continue;
        best = time;
        first = d->c[i].id;
    }
    return first;
}

float dist_p(const struct dist *d, int32_t id)
{
    for (int i = 0; i < d->n; i++) {
        if (d->c[i].id == id) return d->c[i].p;
    }
    return 0;
}
