/* undo.c - messages that are taken back, and back again. */
#include "agent/dialog.h"

#include <stdlib.h>
#include <string.h>

static void release_undone(struct talk_undone *u)
{
    free(u->text);
    free(u->answer);
    free(u->code);
    ids_release(&u->ids);
}

void talk_forget_undone(struct talk *t)
{
    for (size_t i = 0; i < t->n_undone; i++) {
        release_undone(&t->undone[i]);
    }
    free(t->undone);
    t->undone = NULL;
    t->n_undone = 0;
}

/* Keep the last message for talk_redo. */
static enum status keep_last(struct talk *t, struct err *e)
{
    const struct record *r = &t->record;
    const struct record_message *m = &r->message[r->n - 1];
    struct talk_undone u = {0};
    struct talk_undone *p = realloc(t->undone, (t->n_undone + 1) * sizeof *p);
    if (!p) return err_set(e, QA_E_NOMEM, "out of memory for a message");
    t->undone = p;
    u.text = strdup(m->text);
    u.answer = m->answer ? strdup(m->answer) : NULL;
    u.code = m->code ? strdup(m->code) : NULL;
    enum status st = ids_add(&u.ids, r->ids.p + m->n_start, r->ids.n - m->n_start, e);
    if (!st && (!u.text || (m->answer && !u.answer) || (m->code && !u.code))) {
        st = err_set(e, QA_E_NOMEM, "out of memory for a message");
    }
    if (st) {
        release_undone(&u);
    } else {
        t->undone[t->n_undone++] = u;
    }
    return st;
}

/* One step back: the last message, or the compaction behind it. */
static enum status step_back(struct talk *t, struct err *e)
{
    const bool is_compaction = record_ends_compacted(&t->record);
    enum status st = QA_OK;
    if (is_compaction) talk_forget_undone(t); /* their tokens stand behind others now */
    if (!is_compaction) st = keep_last(t, e);
    return st ? st : talk_event(t, "undo", json_object(), e);
}

/* The session follows; what a stop leaves out the next message computes. */
static enum status catch_up(struct talk *t, struct err *e)
{
    const enum status st = talk_restore(t, e);
    return st == QA_E_STOP ? QA_OK : st;
}

static void have_log(struct talk *t)
{
    struct err e = {0};
    if (talk_open_log(t, &e)) talk_give_up_log(t, &e);
}

enum status talk_undo(struct talk *t, char **text, struct err *e)
{
    if (!record_can_undo(&t->record)) return err_set(e, QA_E_USAGE, "there is nothing to undo");
    if (record_ends_compacted(&t->record)) {
        have_log(t);
        *text = NULL;
        const enum status st = step_back(t, e);
        return st ? st : catch_up(t, e);
    }
    return talk_rewind(t, t->record.n - 1, text, e);
}

enum status talk_rewind(struct talk *t, size_t n, char **text, struct err *e)
{
    if (t->record.n <= n) {
        return err_set(e, QA_E_USAGE, "there are only %zu messages", t->record.n);
    }
    char *copy = strdup(t->record.message[n].text);
    enum status st = copy ? QA_OK : err_set(e, QA_E_NOMEM, "out of memory for a message");
    have_log(t);
    while (!st && t->record.n > n) {
        st = step_back(t, e);
    }
    if (!st) st = catch_up(t, e);
    if (st) {
        free(copy);
        return st;
    }
    *text = copy;
    return QA_OK;
}

enum status talk_redo(struct talk *t, struct err *e)
{
    if (!t->n_undone) return err_set(e, QA_E_USAGE, "nothing was taken back");
    struct talk_undone *u = &t->undone[--t->n_undone];
    have_log(t);
    enum status st = talk_event(
        t, "message", json_pack("{s:o}", "text", transcript_text(str_of(u->text))), e);
    if (!st) {
        st = talk_event(
            t, "append",
            json_pack("{s:s, s:o}", "what", "redo", "ids", transcript_ids(u->ids.p, u->ids.n)),
            e);
    }
    if (!st) {
        st = talk_event(t, "end",
                        json_pack("{s:s, s:o, s:o}", "outcome", "redo", "answer",
                                  transcript_text(str_of(u->answer)), "code",
                                  transcript_text(str_of(u->code))),
                        e);
    }
    release_undone(u);
    if (t->record.is_open) { /* else it did not even begin */
        struct err own = {0};
        const enum status done =
            talk_event(t, "done", json_pack("{s:b}", "kept", !st), st ? &own : e);
        if (!st) st = done;
    }
    return st ? st : catch_up(t, e);
}
