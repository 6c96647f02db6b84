/* folder.c - a run's folder read back. */
#include "humaneval/folder.h"

#include "engine/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATH = 4096 };
static const size_t MAX_BYTES = (size_t)4 << 30;

const char *const FOLDER_FILES[4] = {"tasks.jsonl", "samples.jsonl", "results.jsonl",
                                     "scores.jsonl"};

static enum status read_summary(struct folder *f, struct err *e)
{
    char path[MAX_PATH];
    json_error_t je;
    snprintf(path, sizeof path, "%s/summary.json", f->path);
    f->summary = json_load_file(path, 0, &je);
    if (!f->summary) {
        return je.line <= 0
                   ? err_set(e, QA_E_FORMAT, "'%s' is not the folder of a run: no summary.json",
                             f->path)
                   : err_set(e, QA_E_FORMAT, "cannot read '%s': line %d: %s", path, je.line,
                             je.text);
    }
    if (json_is_object(json_object_get(f->summary, "settings")) &&
        json_is_object(json_object_get(f->summary, "facts")) &&
        json_is_array(json_object_get(f->summary, "samples"))) {
        return QA_OK;
    }
    return err_set(e, QA_E_FORMAT, "'%s' is not the summary of a run", path);
}

static enum status read_texts(struct folder *f, struct err *e)
{
    for (size_t i = 0; i < COUNT(f->text); i++) {
        char path[MAX_PATH];
        struct str_buf b;
        snprintf(path, sizeof path, "%s/%s", f->path, FOLDER_FILES[i]);
        str_buf_init(&b, MAX_BYTES);
        enum status st = file_read(&b, path, e);
        f->text[i].n = b.n;
        if (!st) f->text[i].p = str_buf_take(&b);
        str_buf_release(&b);
        if (st) return st;
    }
    return QA_OK;
}

static enum status parse_rows(struct folder *f, struct err *e)
{
    size_t cap = 0;
    struct str rest = f->text[0];
    struct str line;
    while (dataset_next_line(&rest, &line)) {
        if (f->n_rows == cap) {
            cap = cap ? cap * 2 : 256;
            json_t **grown = realloc(f->row, cap * sizeof(json_t *));
            if (!grown) return err_set(e, QA_E_NOMEM, "out of memory");
            f->row = grown;
        }
        json_t *row = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
        if (!json_is_string(json_object_get(row, "task_id"))) {
            json_decref(row);
            return err_set(e, QA_E_FORMAT, "cannot read '%s/%s': line %zu is not a sample",
                           f->path, FOLDER_FILES[0], f->n_rows + 1);
        }
        f->row[f->n_rows++] = row;
    }
    return QA_OK;
}

enum status folder_open(struct folder *out, const char *path, struct err *e)
{
    struct folder f = {.path = strdup(path)};
    enum status st = f.path ? QA_OK : err_set(e, QA_E_NOMEM, "out of memory");
    if (!st) st = read_summary(&f, e);
    if (!st) st = read_texts(&f, e);
    if (!st) st = parse_rows(&f, e);
    if (st) {
        folder_release(&f);
        return st;
    }
    *out = f;
    return QA_OK;
}

void folder_release(struct folder *f)
{
    for (size_t i = 0; i < f->n_rows; i++) {
        json_decref(f->row[i]);
    }
    for (size_t i = 0; i < COUNT(f->text); i++) {
        free((void *)(uintptr_t)f->text[i].p);
    }
    free(f->row);
    json_decref(f->summary);
    free(f->path);
    *f = (struct folder){0};
}

const char *folder_state(const struct folder *f)
{
    const char *s = json_string_value(json_object_get(f->summary, "state"));
    return s ? s : "unknown";
}

struct str folder_task_id(const struct folder *f, size_t i)
{
    const json_t *id = json_object_get(f->row[i], "task_id");
    return (struct str){json_string_value(id), json_string_length(id)};
}

int folder_sample(const struct folder *f, size_t i)
{
    return (int)json_integer_value(json_object_get(f->row[i], "sample"));
}
