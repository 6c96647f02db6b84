/* saved.c - conversations as files: their names, the list of them, their export. */
#include "agent/dialog.h"
#include "engine/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void talk_new_path(const struct talk *t, char path[1024])
{
    const time_t now = time(NULL);
    struct tm tm;
    char stamp[20];
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    const int n = snprintf(path, 1024, "%s/%s-%ld.jsonl", t->dir, stamp, (long)getpid());
    for (int i = 2; n < 1000 && access(path, F_OK) == 0; i++) {
        snprintf(path, 1024, "%s/%s-%ld-%d.jsonl", t->dir, stamp, (long)getpid(), i);
    }
}

/* ---- the list ---- */

static int by_time(const void *a, const void *b)
{
    const struct talk_saved *x = a;
    const struct talk_saved *y = b;
    if (x->time_s != y->time_s) return x->time_s < y->time_s ? 1 : -1;
    return strcmp(y->path, x->path);
}

/* The first line of a text, cut between characters. */
static void copy_line(char out[160], struct str s)
{
    s = str_trim(s);
    const size_t end = str_find(s, STR("\n"));
    size_t n = QA_MIN(end == SIZE_MAX ? s.n : end, (size_t)159);
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80) {
        n--;
    }
    memcpy(out, s.p, n);
    out[n] = 0;
}

static bool read_saved(struct talk_saved *s)
{
    struct record r;
    struct err e = {0};
    char *unfinished = NULL;
    if (record_read(&r, s->path, &unfinished, &e)) return false;
    const char *first = r.n ? r.message[0].text : unfinished;
    if (first) copy_line(s->first, str_of(first));
    s->n_messages = (int)r.n + (unfinished ? 1 : 0);
    record_release(&r);
    free(unfinished);
    return first != NULL;
}

size_t talk_list(const char *dir, struct talk_saved *out, size_t max)
{
    enum { MOST = 4096 };
    DIR *d = opendir(dir);
    struct talk_saved *all = d ? calloc(MOST, sizeof *all) : NULL;
    size_t n = 0;
    size_t n_out = 0;
    for (struct dirent *x; all && n < MOST && (x = readdir(d));) {
        struct stat info;
        struct talk_saved *s = &all[n];
        if (!str_ends(str_of(x->d_name), STR(".jsonl"))) continue;
        const int len = snprintf(s->path, sizeof s->path, "%s/%s", dir, x->d_name);
        if (len < 0 || (size_t)len >= sizeof s->path || stat(s->path, &info)) continue;
        s->time_s = (int64_t)info.st_mtime;
        n++;
    }
    if (d) closedir(d);
    if (n) qsort(all, n, sizeof *all, by_time);
    for (size_t i = 0; i < n && n_out < max; i++) {
        if (read_saved(&all[i])) out[n_out++] = all[i];
    }
    free(all);
    return n_out;
}

/* ---- Markdown ---- */

/* A fence that is longer than any in s. */
static int fence_len(struct str s)
{
    int most = 2;
    int run = 0;
    for (size_t i = 0; i < s.n; i++) {
        run = s.p[i] == '`' ? run + 1 : 0;
        most = QA_MAX(most, run);
    }
    return most + 1;
}

static void add_block(struct str_buf *b, struct str s)
{
    const int n = fence_len(s);
    str_buf_addf(b, "%.*s\n", n, "````````````````````````````````");
    str_buf_add(b, str_trim(s));
    str_buf_addf(b, "\n%.*s\n\n", n, "````````````````````````````````");
}

void talk_export(const struct talk *t, struct str_buf *to)
{
    const struct record *r = &t->record;
    str_buf_addf(to, "# A conversation with %s\n\n", *r->model ? r->model : "a model");
    for (size_t i = 0; i < r->n; i++) {
        const struct record_message *m = &r->message[i];
        str_buf_add_z(to, "## You\n\n");
        add_block(to, (struct str){m->text, m->n_text});
        str_buf_add_z(to, "## Answer\n\n");
        str_buf_add(to, m->answer ? (struct str){m->answer, m->n_answer} : STR("(none)"));
        str_buf_add_z(to, "\n\n");
        if (r->summary && i + 1 == r->n_compacted) {
            str_buf_add_z(to, "## Summary that replaced earlier turns\n\n");
            str_buf_add_z(to, r->summary);
            str_buf_add_z(to, "\n\n");
        }
    }
}

/* ---- JSON ---- */

static json_t *text_or_null(struct str s)
{
    return s.n ? transcript_text(s) : json_null();
}

enum status talk_export_json(const struct talk *t, struct str_buf *to, struct err *e)
{
    const struct record *r = &t->record;
    json_t *messages = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct talk_message m = talk_get(t, i);
        json_t *x = json_object();
        json_object_set_new(x, "text", transcript_text(m.text));
        json_object_set_new(x, "answer", text_or_null(m.answer));
        json_object_set_new(x, "code", text_or_null(m.code));
        json_object_set_new(x, "is_folded", json_boolean(m.is_folded));
        json_array_append_new(messages, x);
    }
    json_t *all = json_object();
    json_object_set_new(all, "model", text_or_null(str_of(r->model)));
    json_object_set_new(all, "summary", text_or_null(str_of(r->summary ? r->summary : "")));
    json_object_set_new(all, "messages", messages);
    char *text = json_dumps(all, JSON_INDENT(2));
    json_decref(all);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory for the JSON");
    str_buf_add_z(to, text);
    str_buf_add_char(to, '\n');
    free(text);
    return str_buf_check(to, "the JSON", e);
}
