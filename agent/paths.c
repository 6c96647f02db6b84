/* paths.c - the attempts at one task, and the likeliest way that none of them went. */
#include "agent/paths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float MIN_LOGPROB = -9.2f; /* one in ten thousand is no doubt */

void forks_release(struct forks *f)
{
    free(f->p);
    *f = (struct forks){0};
}

static void push(struct forks *f, const struct fork *x)
{
    if (f->n == f->cap) {
        const size_t cap = f->cap ? 2 * f->cap : 32;
        struct fork *p = realloc(f->p, cap * sizeof *p);
        if (!p) return;
        f->p = p;
        f->cap = cap;
    }
    f->p[f->n++] = *x;
}

void forks_add(struct forks *f,
               size_t at,
               int32_t id,
               float logprob,
               const struct token_prob *top)
{
    struct fork x = {.at = (int32_t)at, .logprob = logprob};
    int n = 0;
    for (int i = 0; i < FORK_ALTS + 1 && n < FORK_ALTS; i++) {
        if (top[i].id < 0 || top[i].id == id || top[i].logprob < MIN_LOGPROB) continue;
        x.alt[n++] = top[i];
    }
    if (!n) return;
    for (; n < FORK_ALTS; n++) {
        x.alt[n] = (struct token_prob){.id = -1};
    }
    push(f, &x);
}

json_t *forks_to_json(const struct forks *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n; i++) {
        const struct fork *x = &f->p[i];
        json_t *row = json_array();
        json_array_append_new(row, json_integer(x->at));
        json_array_append_new(row, json_real((double)x->logprob));
        for (int a = 0; a < FORK_ALTS && x->alt[a].id >= 0; a++) {
            json_array_append_new(row, json_integer(x->alt[a].id));
            json_array_append_new(row, json_real((double)x->alt[a].logprob));
        }
        json_array_append_new(list, row);
    }
    return list;
}

void forks_of_json(struct forks *f, const json_t *list)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        const json_int_t at = json_integer_value(json_array_get(row, 0));
        struct fork x = {.at = (int32_t)at,
                         .logprob = (float)json_number_value(json_array_get(row, 1))};
        if (at < 0 || at > PATH_MAX_TOKENS) continue;
        for (size_t a = 0; a < FORK_ALTS; a++) {
            const json_t *id = json_array_get(row, 2 * a + 2);
            const json_int_t v = json_integer_value(id);
            x.alt[a] = (struct token_prob){
                .id = json_is_integer(id) && v >= 0 && v <= INT32_MAX ? (int32_t)v : -1,
                .logprob = (float)json_number_value(json_array_get(row, 2 * a + 3))};
        }
        push(f, &x);
    }
}

void path_start_release(struct path_start *s)
{
    ids_release(&s->ids);
    *s = (struct path_start){0};
}

static void path_release(struct path *p)
{
    ids_release(&p->ids);
    forks_release(&p->forks);
    free(p->code);
}

void paths_release(struct paths *p)
{
    for (int i = 0; i < p->n; i++) {
        path_release(&p->path[i]);
    }
    free(p->path);
    *p = (struct paths){0};
}

/* ---- where the code is ---- */

static bool ends_with(struct str s, struct str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* Does code go on in the line at s: nothing but definitions and what stands before them? */
static bool is_of_definition(struct str s)
{
    static const struct str leads[] = {
        STR(" "), STR("\t"),   STR("#"),     STR(")"),      STR("]"),      STR("}"),
        STR("@"), STR("def "), STR("async"), STR("class "), STR("import"), STR("from ")};
    if (!s.n || s.p[0] == '\n') return true;
    for (size_t i = 0; i < COUNT(leads); i++) {
        if (str_starts(s, leads[i])) return true;
    }
    return false;
}

/* Bytes of `code` before the first line behind a definition that is none. */
static size_t definitions_len(struct str code)
{
    bool has_def = false;
    for (size_t i = 0; i < code.n;) {
        const struct str line = str_cut(code, i, code.n);
        if (has_def && !is_of_definition(line)) return i;
        has_def |= str_starts(line, STR("def ")) || str_starts(line, STR("class ")) ||
                   str_starts(line, STR("async def "));
        const size_t end = str_find(line, STR("\n"));
        if (end == SIZE_MAX) break;
        i += end + 1;
    }
    return code.n;
}

/* s without white space, with one kind of quotes. */
static char *bare(struct str s)
{
    char *p = malloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.n; i++) {
        if (strchr(" \t\r\n", s.p[i])) continue;
        p[n++] = s.p[i] == '\'' ? '"' : s.p[i];
    }
    if (p) p[n] = 0;
    return p;
}

/* Find plan and code in the tokens of a path. */
static void find_code(struct path *p, const struct engine *g, char verdict[PATHS_VERDICT])
{
    const int32_t close = engine_special(g, "</think>");
    struct str_buf text; /* behind the plan */
    size_t i = 0;
    size_t n_head = 0;
    str_buf_init(&text, 1 << 20);
    while (i < p->ids.n && p->ids.p[i] != close) {
        i++;
    }
    const bool has_plan = i < p->ids.n;
    i = has_plan ? i + 1 : 0; /* a turn without thinking has none */
    p->n_plan = i;
    for (; i < p->ids.n && !p->i_code; i++) {
        str_buf_add(&text, engine_piece(g, p->ids.p[i]));
        const struct str s = str_buf_str(&text);
        if (ends_with(s, STR("<parameter=code>\n")) || ends_with(s, STR("```python\n"))) {
            p->i_code = i + 1;
            n_head = text.n;
        }
    }
    const size_t first = i;
    if (!p->i_code) { /* all of it is plan, or there is nothing to try otherwise */
        p->i_code = p->i_end = p->ids.n;
        if (!has_plan) p->n_plan = p->ids.n;
        str_buf_release(&text);
        return;
    }
    for (; i < p->ids.n; i++) {
        str_buf_add(&text, engine_piece(g, p->ids.p[i]));
    }
    const struct str code = str_cut(str_buf_str(&text), n_head, text.n);
    const size_t len = definitions_len(code);
    p->i_end = p->i_code = first;
    for (size_t n = 0; p->i_end < p->ids.n && n < len; p->i_end++) {
        n += engine_piece(g, p->ids.p[p->i_end]).n;
    }
    while (p->i_end > first && !str_trim(engine_piece(g, p->ids.p[p->i_end - 1])).n) {
        p->i_end--;
    }
    char note[GLANCE_NOTE];
    if (!glance_code(str_cut(code, 0, len), note)) {
        snprintf(verdict, PATHS_VERDICT, "that program cannot run: %s", note);
    }
    if (len) p->code = bare(str_cut(code, 0, len));
    str_buf_release(&text);
}

/* Is the token at `at` one that is chosen: of the plan or of the definitions? */
static bool is_open(const struct path *x, size_t at)
{
    return at < x->n_plan || (at >= x->i_code && at < x->i_end);
}

void paths_add(struct paths *p,
               const struct engine *g,
               const int32_t *ids,
               size_t n,
               const struct path_start *start,
               const struct forks *forks,
               char verdict[PATHS_VERDICT])
{
    struct path x = {.logprob = start ? start->logprob : 0};
    struct err ignored;
    verdict[0] = 0;
    struct path *list = p->n < PATHS_MAX && n <= PATH_MAX_TOKENS
                            ? realloc(p->path, ((size_t)p->n + 1) * sizeof *list)
                            : NULL;
    if (list) p->path = list;
    if (!list || ids_add(&x.ids, ids, n, &ignored)) {
        path_release(&x);
        return;
    }
    for (size_t i = 0; i < forks->n; i++) {
        if ((size_t)forks->p[i].at < n) push(&x.forks, &forks->p[i]);
    }
    find_code(&x, g, verdict);
    for (int i = 0; i < p->n && x.code && !verdict[0]; i++) {
        if (!p->path[i].code || strcmp(p->path[i].code, x.code) != 0) continue;
        snprintf(verdict, PATHS_VERDICT,
                 p->path[i].waits ? "that program waits already"
                                  : "that program failed before");
    }
    x.total = x.logprob;
    for (size_t k = 0; k < x.forks.n; k++) {
        if (is_open(&x, (size_t)x.forks.p[k].at)) x.total += (double)x.forks.p[k].logprob;
    }
    p->path[p->n++] = x;
}

/* ---- the next one ---- */

/* Has a path gone from the first `n` tokens of `ids` to `id`? */
static bool is_gone(const struct paths *p, const int32_t *ids, size_t n, int32_t id)
{
    for (int i = 0; i < p->n; i++) {
        const struct ids *x = &p->path[i].ids;
        if (x->n > n && x->p[n] == id && memcmp(x->p, ids, n * sizeof *ids) == 0) return true;
    }
    return false;
}

/* A beginning that no path has. */
struct way {
    const struct path *path; /* NULL: there is none */
    struct fork *fork;
    int alt;
    double logprob;
};

static struct way likeliest_way(const struct paths *p)
{
    struct way best = {.logprob = -INFINITY};
    for (int i = 0; i < p->n; i++) {
        const struct path *x = &p->path[i];
        double sum = x->logprob;
        for (size_t k = 0; k < x->forks.n; k++) {
            struct fork *f = &x->forks.p[k];
            const size_t at = (size_t)f->at;
            for (int a = 0; a < FORK_ALTS && is_open(x, at) && f->alt[a].id >= 0; a++) {
                const double score = sum + (double)f->alt[a].logprob;
                if (score <= best.logprob || is_gone(p, x->ids.p, at, f->alt[a].id)) continue;
                best = (struct way){x, f, a, score};
            }
            sum += (double)f->logprob;
        }
    }
    return best;
}

static struct path *likeliest_waiting(struct paths *p)
{
    struct path *best = NULL;
    for (int i = 0; i < p->n; i++) {
        struct path *x = &p->path[i];
        if (x->waits && (!best || x->total > best->total)) best = x;
    }
    return best;
}

bool paths_wait(struct paths *p)
{
    struct path *last = p->n ? &p->path[p->n - 1] : NULL;
    if (!last || !last->code || p->n == PATHS_MAX) return false;
    const struct path *waiting = likeliest_waiting(p);
    last->waits =
        likeliest_way(p).logprob > last->total || (waiting && waiting->total > last->total);
    return last->waits;
}

static bool take_waiting(struct path *x, struct path_start *out)
{
    struct err ignored;
    struct path_start s = {.n_plan = x->n_plan,
                           .i_code = x->i_code,
                           .i_end = x->i_end,
                           .logprob = x->total,
                           .is_whole = true};
    x->waits = false;
    if (ids_add(&s.ids, x->ids.p, x->ids.n, &ignored)) return false;
    *out = s;
    return true;
}

bool paths_next(struct paths *p, bool wants_whole, struct path_start *out)
{
    const struct way way = likeliest_way(p);
    struct path *waiting = likeliest_waiting(p);
    if (waiting && (wants_whole || !(way.logprob > waiting->total))) {
        return take_waiting(waiting, out);
    }
    if (!way.path) return false;
    const int32_t id = way.fork->alt[way.alt].id;
    way.fork->alt[way.alt].logprob = -INFINITY;
    struct err ignored;
    struct path_start s = {.logprob = way.logprob};
    const size_t at = (size_t)way.fork->at;
    if (at >= way.path->n_plan) {
        s.n_plan = way.path->n_plan;
        s.i_code = way.path->i_code;
    }
    if (ids_add(&s.ids, way.path->ids.p, at, &ignored) || ids_add(&s.ids, &id, 1, &ignored)) {
        ids_release(&s.ids);
        return false;
    }
    *out = s;
    return true;
}
