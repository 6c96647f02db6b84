/* record.c - what a conversation holds, kept by the events of its log. */
#include "agent/record.h"

#include "engine/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_MAX_BYTES = 1 << 30 };

void record_init(struct record *r)
{
    *r = (struct record){0};
}

static void release_message(struct record_message *m)
{
    free(m->text);
    free(m->answer);
    free(m->code);
}

static void release_one(struct record *r)
{
    for (size_t i = 0; i < r->n; i++) {
        release_message(&r->message[i]);
    }
    free(r->message);
    free(r->summary);
    ids_release(&r->ids);
}

void record_release(struct record *r)
{
    /* One after the other: a log says how many there are, the stack has an end. */
    for (struct record *before = r->before; before;) {
        struct record *next = before->before;
        release_one(before);
        free(before);
        before = next;
    }
    release_one(r);
    *r = (struct record){0};
}

bool record_ends_compacted(const struct record *r)
{
    return r->before && r->n == r->n_compacted;
}

bool record_can_undo(const struct record *r)
{
    return r->n > 0 || r->before;
}

/* ---- events ---- */

static enum status bad(struct err *e, const char *what)
{
    return err_set(e, QA_E_FORMAT, "session log: %s", what);
}

static char *copy_string(const json_t *x, size_t *n)
{
    const size_t len = json_string_length(x);
    char *p = json_is_string(x) ? malloc(len + 1) : NULL;
    if (!p) return NULL;
    memcpy(p, json_string_value(x), len);
    p[len] = 0;
    *n = len;
    return p;
}

static enum status set_string(char **to, size_t *n, const json_t *x, struct err *e)
{
    char *p = copy_string(x, n);
    if (!p) return err_set(e, QA_E_NOMEM, "out of memory for a message");
    free(*to);
    *to = p;
    return QA_OK;
}

static enum status add_ids(struct ids *to, const json_t *list, struct err *e)
{
    const size_t before = to->n;
    size_t i;
    json_t *x;
    enum status st = QA_OK;
    if (!json_is_array(list)) return bad(e, "tokens are missing");
    if (json_array_size(list) > RECORD_MAX_TOKENS - QA_MIN(before, (size_t)RECORD_MAX_TOKENS)) {
        return bad(e, "too many tokens");
    }
    json_array_foreach(list, i, x)
    {
        const json_int_t v = json_integer_value(x);
        if (!json_is_integer(x) || v < 0 || v > INT32_MAX) st = bad(e, "a token is no number");
        const int32_t id = (int32_t)v;
        if (!st) st = ids_add(to, &id, 1, e);
        if (st) break;
    }
    if (st) to->n = before;
    return st;
}

static enum status apply_talk(struct record *r, const json_t *x, struct err *e)
{
    const char *model = json_string_value(json_object_get(x, "model"));
    if (r->n_prefix || r->ids.n) return bad(e, "it begins twice");
    const enum status st = add_ids(&r->ids, json_object_get(x, "prefix"), e);
    if (st) return st;
    r->n_prefix = r->ids.n;
    snprintf(r->model, sizeof r->model, "%s", model ? model : "");
    r->n_params = json_integer_value(json_object_get(x, "n_params"));
    r->n_vocab = json_integer_value(json_object_get(x, "n_vocab"));
    return QA_OK;
}

static enum status apply_message(struct record *r, const json_t *x, struct err *e)
{
    const json_t *text = json_object_get(x, "text");
    if (!r->n_prefix) return bad(e, "a message before the beginning");
    if (r->is_open) return bad(e, "a message within another");
    if (!json_is_string(text)) return bad(e, "a message has no text");
    if (r->n == RECORD_MAX_MESSAGES) return bad(e, "too many messages");
    if (r->n == r->cap) {
        const size_t cap = r->cap ? 2 * r->cap : 16;
        struct record_message *p = realloc(r->message, cap * sizeof *p);
        if (!p) return err_set(e, QA_E_NOMEM, "out of memory for the messages");
        r->message = p;
        r->cap = cap;
    }
    struct record_message m = {.n_start = r->ids.n};
    const enum status st = set_string(&m.text, &m.n_text, text, e);
    if (st) return st;
    r->message[r->n++] = m;
    r->is_open = true;
    return QA_OK;
}

/* Tokens of a message, while it is open. */
static enum status apply_ids(struct record *r, const json_t *x, struct err *e)
{
    if (!r->n_prefix) return bad(e, "it is not that of a conversation");
    if (!r->is_open) return bad(e, "tokens outside a message");
    return add_ids(&r->ids, json_object_get(x, "ids"), e);
}

static enum status apply_rewind(struct record *r, const json_t *x, struct err *e)
{
    const json_int_t to = json_integer_value(json_object_get(x, "to"));
    if (!r->is_open) return bad(e, "a rewind outside a message");
    if (to < (json_int_t)r->message[r->n - 1].n_start || (size_t)to > r->ids.n) {
        return bad(e, "a rewind to nowhere");
    }
    r->ids.n = (size_t)to;
    return QA_OK;
}

static enum status apply_end(struct record *r, const json_t *x, struct err *e)
{
    const json_t *answer = json_object_get(x, "answer");
    const json_t *code = json_object_get(x, "code");
    struct record_message *m = r->n ? &r->message[r->n - 1] : NULL;
    enum status st = QA_OK;
    if (!r->is_open) return bad(e, "an end without a message");
    if (json_string_length(answer)) st = set_string(&m->answer, &m->n_answer, answer, e);
    if (!st && json_string_length(code)) st = set_string(&m->code, &m->n_code, code, e);
    return st;
}

static void pop_message(struct record *r)
{
    struct record_message *m = &r->message[--r->n];
    r->ids.n = m->n_start; /* never a folded one: its compaction is undone first */
    release_message(m);
    r->is_open = false;
}

static enum status apply_done(struct record *r, const json_t *x, struct err *e)
{
    if (!r->is_open) return bad(e, "an end without a message");
    r->is_open = false;
    if (json_is_false(json_object_get(x, "kept"))) pop_message(r);
    return QA_OK;
}

static enum status apply_undo(struct record *r, struct err *e)
{
    if (r->is_open || !record_can_undo(r)) return bad(e, "nothing to undo");
    if (record_ends_compacted(r)) {
        struct record *before = r->before;
        r->before = NULL;
        record_release(r);
        *r = *before;
        free(before);
    } else {
        pop_message(r);
    }
    return QA_OK;
}

/* Messages with where they start now, -1 when folded. */
static enum status copy_messages(struct record *to,
                                 const struct record *from,
                                 const json_t *starts,
                                 struct err *e)
{
    to->message = calloc(QA_MAX(from->n, (size_t)1), sizeof *to->message);
    if (!to->message) return err_set(e, QA_E_NOMEM, "out of memory for the messages");
    to->cap = QA_MAX(from->n, (size_t)1);
    size_t at = to->n_prefix;
    for (size_t i = 0; i < from->n; i++) {
        const struct record_message *m = &from->message[i];
        const json_t *x = json_array_get(starts, i);
        const json_int_t start = json_integer_value(x);
        struct record_message c = {.n_text = m->n_text, .is_folded = start < 0};
        if (!json_is_integer(x)) return bad(e, "a compaction without its messages");
        if (!c.is_folded) {
            if ((size_t)start < at || (size_t)start > to->ids.n) {
                return bad(e, "a compaction puts a message nowhere");
            }
            c.n_start = at = (size_t)start;
        }
        c.text = strdup(m->text);
        c.answer = m->answer ? strdup(m->answer) : NULL;
        c.n_answer = c.answer ? strlen(c.answer) : 0;
        c.code = m->code ? strdup(m->code) : NULL;
        c.n_code = c.code ? strlen(c.code) : 0;
        c.n_text = c.text ? strlen(c.text) : 0;
        to->message[to->n++] = c;
        if (!c.text || (m->answer && !c.answer) || (m->code && !c.code)) {
            return err_set(e, QA_E_NOMEM, "out of memory for the messages");
        }
    }
    return QA_OK;
}

static enum status apply_compact(struct record *r, const json_t *x, struct err *e)
{
    const json_t *summary = json_object_get(x, "summary");
    struct record now = {.n_prefix = r->n_prefix,
                         .n_params = r->n_params,
                         .n_vocab = r->n_vocab,
                         .n_compacted = r->n};
    size_t n_summary;
    if (r->is_open || !r->n) return bad(e, "a compaction of nothing");
    memcpy(now.model, r->model, sizeof now.model);
    enum status st = ids_add(&now.ids, r->ids.p, r->n_prefix, e);
    if (!st) st = add_ids(&now.ids, json_object_get(x, "ids"), e);
    if (!st) st = copy_messages(&now, r, json_object_get(x, "starts"), e);
    if (!st) {
        now.summary = copy_string(summary, &n_summary);
        now.before = malloc(sizeof *now.before);
        if (!now.before) st = err_set(e, QA_E_NOMEM, "out of memory for a compaction");
        if (!st && !now.summary) st = bad(e, "a compaction without its summary");
    }
    if (st) {
        free(now.before);
        now.before = NULL;
        record_release(&now);
        return st;
    }
    *now.before = *r;
    *r = now;
    return QA_OK;
}

enum status record_apply(struct record *r, const json_t *event, struct err *e)
{
    static const struct {
        const char *type;
        enum status (*apply)(struct record *, const json_t *, struct err *);
    } rows[] = {
        {"talk",    apply_talk   },
        {"message", apply_message},
        {"append",  apply_ids    },
        {"turn",    apply_ids    },
        {"rewind",  apply_rewind },
        {"end",     apply_end    },
        {"done",    apply_done   },
        {"compact", apply_compact},
    };
    const char *type = json_string_value(json_object_get(event, "type"));
    if (!type) return bad(e, "an event without a type");
    if (strcmp(type, "undo") == 0) return apply_undo(r, e);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (strcmp(rows[i].type, type) == 0) return rows[i].apply(r, event, e);
    }
    return QA_OK;
}

enum status record_take(struct record *r,
                        const int32_t *ids,
                        size_t n,
                        const json_t *end,
                        struct err *e)
{
    ASSERT(r->is_open);
    const size_t start = r->message[r->n - 1].n_start;
    ASSERT(n >= start);
    r->ids.n = start;
    const enum status st = ids_add(&r->ids, ids + start, n - start, e);
    return st ? st : apply_end(r, end, e);
}

/* ---- a log ---- */

enum status record_line(struct record *r, struct str line, struct err *e)
{
    json_error_t why;
    json_t *x = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &why);
    if (!x) return err_set(e, QA_E_FORMAT, "session log: %.150s", why.text);
    const enum status st = record_apply(r, x, e);
    json_decref(x);
    return st;
}

enum status record_read(struct record *r, const char *path, char **unfinished, struct err *e)
{
    struct str_buf b;
    *unfinished = NULL;
    record_init(r);
    str_buf_init(&b, LOG_MAX_BYTES);
    enum status st = file_read(&b, path, e);
    struct str rest = str_buf_str(&b);
    for (int n = 1; !st; n++) {
        const size_t end = str_find(rest, STR("\n"));
        if (end == SIZE_MAX) break; /* what is left is torn */
        st = record_line(r, str_cut(rest, 0, end), e);
        if (st) st = err_wrap(e, st, "'%s' line %d", path, n);
        rest = str_cut(rest, end + 1, rest.n);
    }
    str_buf_release(&b);
    if (!st && !r->n_prefix) {
        st = err_set(e, QA_E_FORMAT, "'%s' is no log of a conversation", path);
    }
    if (!st && r->is_open) {
        struct record_message *m = &r->message[r->n - 1];
        *unfinished = m->text;
        m->text = NULL;
        pop_message(r);
    }
    if (st) record_release(r);
    return st;
}
