/* choose.c - which tasks of a suite a run takes: a list, a limit, a shard. */
#include "humaneval/choose.h"

#include <stdlib.h>

static bool find_task(const struct scorer *s, struct str id, size_t *index)
{
    for (size_t i = 0; i < s->n_tasks; i++) {
        if (!str_eq(s->tasks[i].task_id, id)) continue;
        *index = i;
        return true;
    }
    return false;
}

/* "7", "7-9" or a task id; numbers count the tasks of the suite from 0. */
static bool mark_tasks(const struct scorer *s, struct str word, bool *wanted)
{
    int64_t from = 0;
    int64_t to = 0;
    size_t index;
    const int64_t last = (int64_t)s->n_tasks - 1;
    const size_t dash = str_find(word, STR("-"));
    if (find_task(s, word, &index)) {
        wanted[index] = true;
        return true;
    }
    if (!str_to_i64(str_cut(word, 0, dash), 0, last, &from)) return false;
    to = from;
    if (dash != SIZE_MAX && !str_to_i64(str_cut(word, dash + 1, word.n), from, last, &to)) {
        return false;
    }
    for (int64_t i = from; i <= to; i++) {
        wanted[i] = true;
    }
    return true;
}

enum status choose_tasks(size_t **chosen,
                         size_t *n_chosen,
                         const struct scorer *s,
                         const struct suite_opts *o,
                         struct err *e)
{
    bool *wanted = calloc(s->n_tasks, sizeof *wanted);
    size_t *list = calloc(s->n_tasks, sizeof *list);
    size_t n = 0;
    enum status st = QA_OK;
    if (!wanted || !list) st = err_set(e, QA_E_NOMEM, "out of memory");
    struct str rest = str_of(o->tasks);
    while (!st && rest.n) {
        const struct str word = str_cut(rest, 0, str_find(rest, STR(",")));
        rest = str_cut(rest, word.n + 1, rest.n);
        if (!mark_tasks(s, str_trim(word), wanted)) {
            st = err_set(e, QA_E_USAGE,
                         "no task '%.*s' in this suite of %zu (0 to %zu, or an id)",
                         (int)QA_MIN(word.n, (size_t)80), word.p, s->n_tasks, s->n_tasks - 1);
        }
    }
    size_t n_limited = 0;
    for (size_t i = 0; i < s->n_tasks && !st; i++) {
        if (o->tasks && !wanted[i]) continue;
        if (o->limit && n_limited == (size_t)o->limit) break;
        const size_t n_shards = o->n_shards ? (size_t)o->n_shards : 1;
        const size_t shard = o->n_shards ? (size_t)o->shard - 1 : 0;
        if (n_limited++ % n_shards == shard) list[n++] = i;
    }
    free(wanted);
    if (!st && !n) st = err_set(e, QA_E_USAGE, "no task is left to run");
    if (st) {
        free(list);
        return st;
    }
    *chosen = list;
    *n_chosen = n;
    return QA_OK;
}
