/* waiting.c - finished samples whose turn has not come. */
#include "humaneval/waiting.h"

#include "engine/base/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096, MAX_ROW = 256 << 20 };

enum status waiting_init(struct waiting *w, const char *run_dir, size_t n, struct err *e)
{
    char dir[MAX_PATH];
    snprintf(dir, sizeof dir, "%s/waiting", run_dir);
    *w = (struct waiting){.dir = strdup(dir), .r = calloc(n, sizeof(struct entry *)), .n = n};
    if (w->dir && w->r) return QA_OK;
    waiting_release(w);
    return err_set(e, QA_E_NOMEM, "out of memory");
}

void waiting_release(struct waiting *w)
{
    for (size_t i = 0; w->r && i < w->n; i++) {
        if (w->r[i]) entry_release(w->r[i]);
        free(w->r[i]);
    }
    free(w->r);
    free(w->dir);
    *w = (struct waiting){0};
}

static void path_of(const struct waiting *w, size_t index, char out[static MAX_PATH])
{
    snprintf(out, MAX_PATH, "%s/%zu.json", w->dir, index);
}

enum status waiting_save(const struct waiting *w,
                         size_t index,
                         const struct entry *r,
                         struct str task_id,
                         int i_sample,
                         struct err *e)
{
    char path[MAX_PATH];
    path_of(w, index, path);
    json_t *row = entry_to_json(r, task_id, i_sample);
    char *text = json_dumps(row, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(row);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    enum status st = file_make_dirs(w->dir, e);
    if (!st) st = file_write(path, str_of(text), e);
    free(text);
    return st;
}

static bool is_of(const json_t *row, struct str task_id, int i_sample)
{
    const json_t *id = json_object_get(row, "task_id");
    const struct str is = {json_string_value(id), json_string_length(id)};
    return is.p && str_eq(is, task_id) &&
           json_integer_value(json_object_get(row, "sample")) == i_sample;
}

enum status waiting_load(struct waiting *w,
                         size_t index,
                         struct str task_id,
                         int i_sample,
                         struct err *e)
{
    char path[MAX_PATH];
    struct entry r;
    path_of(w, index, path);
    if (access(path, F_OK)) return QA_OK;
    json_t *row = json_load_file(path, JSON_ALLOW_NUL, NULL);
    const bool is_good = is_of(row, task_id, i_sample) && entry_of_json(&r, row);
    json_decref(row);
    if (is_good) return waiting_put(w, index, &r, e);
    unlink(path);
    return QA_OK;
}

enum status waiting_put(struct waiting *w, size_t index, const struct entry *r, struct err *e)
{
    ASSERT(index < w->n && !w->r[index]);
    w->r[index] = malloc(sizeof *r);
    if (!w->r[index]) return err_set(e, QA_E_NOMEM, "out of memory");
    *w->r[index] = *r;
    return QA_OK;
}

struct entry *waiting_take(struct waiting *w, size_t index)
{
    if (index >= w->n) return NULL;
    struct entry *r = w->r[index];
    w->r[index] = NULL;
    return r;
}

void waiting_forget(const struct waiting *w, size_t index)
{
    char path[MAX_PATH];
    path_of(w, index, path);
    unlink(path); /* most never had a file */
}

void waiting_clean(const struct waiting *w)
{
    DIR *d = opendir(w->dir);
    for (const struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        if (f->d_name[0] != '.') unlinkat(dirfd(d), f->d_name, 0);
    }
    if (d) closedir(d);
    rmdir(w->dir);
}
