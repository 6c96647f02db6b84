/* history.c - lines entered before, each once, newest last. */
#include "cmd/repl/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wchar.h>

enum { KEPT = 1000, FILE_MAX = 4 * KEPT };

static void drop(struct history *h, size_t i)
{
    free(h->line[i]);
    memmove(h->line + i, h->line + i + 1, (h->n - i - 1) * sizeof h->line[0]);
    h->n--;
}

static void push(struct history *h, const wchar_t *line)
{
    wchar_t *copy = wcsdup(line);
    if (!copy) return;
    for (size_t i = h->n; i > 0; i--) {
        if (wcscmp(h->line[i - 1], line) == 0) drop(h, i - 1);
    }
    if (h->n == KEPT) drop(h, 0);
    h->line[h->n++] = copy;
}

/* libedit can only forget all. */
static void tell_libedit(struct history *h)
{
    HistEventW ev;
    history_w(h->lines, &ev, H_CLEAR);
    for (size_t i = 0; i < h->n; i++) {
        history_w(h->lines, &ev, H_ENTER, h->line[i]);
    }
}

enum status history_open(struct history *h, const char *path, struct err *e)
{
    HistEventW ev;
    int n_loaded = 0;
    *h = (struct history){.lines = history_winit(), .line = calloc(KEPT, sizeof *h->line)};
    if (!h->lines || !h->line) return err_set(e, QA_E_NOMEM, "out of memory for the history");
    history_w(h->lines, &ev, H_SETSIZE, 2 * FILE_MAX);
    if (!path) return QA_OK;
    snprintf(h->path, sizeof h->path, "%s", path);
    history_w(h->lines, &ev, H_LOAD, path);
    for (int rc = history_w(h->lines, &ev, H_LAST); rc >= 0;
         rc = history_w(h->lines, &ev, H_PREV)) {
        push(h, ev.str);
        n_loaded++;
    }
    tell_libedit(h);
    if (n_loaded > FILE_MAX) history_w(h->lines, &ev, H_SAVE, path);
    return QA_OK;
}

void history_close(struct history *h)
{
    for (size_t i = 0; h->line && i < h->n; i++) {
        free(h->line[i]);
    }
    free(h->line);
    if (h->lines) history_wend(h->lines);
    *h = (struct history){0};
}

void history_add(struct history *h, const wchar_t *line)
{
    HistEventW ev;
    push(h, line);
    tell_libedit(h);
    FILE *f = h->path[0] ? fopen(h->path, "ae") : NULL;
    if (!f) return;
    fseek(f, 0, SEEK_END);
    history_w(h->lines, &ev, H_NSAVE_FP, (size_t)1, f);
    fclose(f);
    chmod(h->path, 0600);
}
