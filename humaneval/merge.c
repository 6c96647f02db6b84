/* merge.c - the shards of a suite joined into one run. */
#include "engine/base/file.h"
#include "humaneval/folder.h"
#include "humaneval/pyjson.h"
#include "humaneval/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };
static const size_t MAX_BYTES = (size_t)4 << 30;

static json_int_t setting(const struct folder *f, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(f->summary, "settings"), key));
}

/* What may differ between the parts: which tasks they hold. */
static bool is_choice(const char *key)
{
    static const char *const KEYS[] = {"shard", "shards", "tasks", "limit"};
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        if (strcmp(key, KEYS[i]) == 0) return true;
    }
    return false;
}

static enum status check_settings(const struct folder *a, const struct folder *b, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(a->summary, "settings"), key, value)
    {
        const json_t *other = json_object_get(json_object_get(b->summary, "settings"), key);
        if (is_choice(key) || json_equal(value, other)) continue;
        return err_set(e, QA_E_USAGE, "cannot merge '%s' and '%s': '%s' differs", a->path,
                       b->path, key);
    }
    return QA_OK;
}

static int by_shard(const void *a, const void *b)
{
    const json_int_t x = setting(a, "shard"), y = setting(b, "shard");
    return (x > y) - (x < y);
}

/* Sorted by shard: each there once, none missing. */
static enum status check_shards(const struct folder *f, int n, struct err *e)
{
    const json_int_t n_shards = setting(&f[0], "shards");
    for (int i = 0; i < n; i++) {
        if (strcmp(folder_state(&f[i]), "complete") != 0) {
            return err_set(e, QA_E_USAGE, "cannot merge '%s': it is %s, not complete",
                           f[i].path, folder_state(&f[i]));
        }
        if (setting(&f[i], "shards") != n_shards) {
            return err_set(e, QA_E_USAGE, "cannot merge '%s' and '%s': '%s' differs", f[0].path,
                           f[i].path, "shards");
        }
        const enum status st = check_settings(&f[0], &f[i], e);
        if (st) return st;
    }
    for (int i = 0; n_shards && i < n_shards; i++) {
        if (i < n && setting(&f[i], "shard") == i + 1) continue;
        const bool is_twice = i && i < n && setting(&f[i], "shard") == i;
        return err_set(e, QA_E_USAGE, "cannot merge: shard %d of %d is %s",
                       is_twice ? i : i + 1, (int)n_shards,
                       is_twice ? "there twice" : "missing");
    }
    if (n_shards && n > n_shards) {
        return err_set(e, QA_E_USAGE, "cannot merge: shard %d of %d is there twice",
                       (int)n_shards, (int)n_shards);
    }
    return QA_OK;
}

/* ---- one row after another ---- */

struct merge {
    const char *out_dir;
    struct folder *f;      /* [n] */
    struct str (*rest)[4]; /* [n]; what is left of each file */
    size_t *at;            /* [n]; next row */
    int n;
    struct str_buf out[4];
    struct tally tally;
    size_t n_tasks, n_rows; /* n_rows: of all folders */
};

static enum status copy_transcript(const struct merge *m, int k, size_t i, struct err *e)
{
    const struct folder *f = &m->f[k];
    char name[MAX_PATH / 2];
    char path[MAX_PATH];
    struct str_buf b;
    report_transcript_name(folder_task_id(f, i), folder_sample(f, i), name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    if (access(path, F_OK)) return QA_OK; /* a solver may write none */
    str_buf_init(&b, MAX_BYTES);
    enum status st = file_read(&b, path, e);
    snprintf(path, sizeof path, "%s/%s", m->out_dir, name);
    if (!st) st = file_write(path, str_buf_str(&b), e);
    str_buf_release(&b);
    return st;
}

static enum status score_of(struct str line, struct score *out, struct err *e)
{
    struct pyjson_row row = {0};
    const enum status st = pyjson_row_parse(&row, line, e);
    if (st) return st;
    *out = (struct score){
        .has_passed = str_eq(pyjson_row_find(&row, "passed"), STR("true")),
        .has_timed_out = str_eq(pyjson_row_find(&row, "timed_out"), STR("true")),
        .is_flagged = str_eq(pyjson_row_find(&row, "flagged"), STR("true")),
        .canary = canary_of_json(pyjson_row_find(&row, "canary")),
    };
    if (!str_to_f64(pyjson_row_find(&row, "ms"), &out->ms)) out->ms = 0;
    pyjson_row_release(&row);
    return QA_OK;
}

static bool is_there(const struct merge *m, struct str task_id, int i_sample)
{
    size_t i;
    const json_t *v;
    json_array_foreach(m->tally.verdicts, i, v)
    {
        const json_t *id = json_object_get(v, "task_id");
        const struct str is = {json_string_value(id), json_string_length(id)};
        if (str_eq(is, task_id) &&
            json_integer_value(json_object_get(v, "sample")) == i_sample) {
            return true;
        }
    }
    return false;
}

/* The next row of folder k goes to the end of what there is. */
static enum status take_row(struct merge *m, int k, struct err *e)
{
    struct folder *f = &m->f[k];
    const size_t i = m->at[k]++;
    const struct str id = folder_task_id(f, i);
    struct entry rec;
    struct score score;
    struct str line = {0};
    if (is_there(m, id, folder_sample(f, i))) {
        return err_set(e, QA_E_USAGE, "cannot merge '%s': task '%.*s' is in another part too",
                       f->path, (int)QA_MIN(id.n, (size_t)80), id.p);
    }
    for (size_t j = 0; j < COUNT(m->out); j++) {
        if (!dataset_next_line(&m->rest[k][j], &line)) {
            return err_set(e, QA_E_FORMAT, "cannot merge '%s': %s is shorter than %s", f->path,
                           FOLDER_FILES[j], FOLDER_FILES[0]);
        }
        str_buf_add(&m->out[j], line);
        str_buf_add_char(&m->out[j], '\n');
    }
    enum status st = score_of(line, &score, e); /* the last file's */
    if (st) return err_wrap(e, st, "'%s/%s'", f->path, FOLDER_FILES[3]);
    if (!entry_of_json(&rec, f->row[i])) {
        return err_set(e, QA_E_FORMAT, "cannot read '%s/%s': line %zu is not a sample", f->path,
                       FOLDER_FILES[0], i + 1);
    }
    rec.wall_s = 0; /* the parts ran at the same time, or did not: there is no one clock */
    tally_add(&m->tally, m->tally.stats.n_done % m->n_tasks, id, folder_sample(f, i), &rec,
              &score);
    entry_release(&rec);
    return copy_transcript(m, k, i, e);
}

/* In the suite's order: tasks were dealt to the shards in turn, like cards. */
static enum status take_all(struct merge *m, int n_samples, struct err *e)
{
    enum status st = QA_OK;
    /* How many samples there are is only said; what ends it is that no row is left. */
    for (int s = 0; s < n_samples && m->tally.stats.n_done < m->n_rows && !st; s++) {
        bool is_over = false;
        while (!is_over && !st) {
            is_over = true;
            for (int k = 0; k < m->n && !st; k++) {
                const struct folder *f = &m->f[k];
                if (m->at[k] >= f->n_rows || folder_sample(f, m->at[k]) != s) continue;
                st = take_row(m, k, e);
                is_over = false;
            }
        }
    }
    return st;
}

/* ---- what is written ---- */

static enum status write_summary(const struct merge *m, struct err *e)
{
    char path[MAX_PATH];
    json_t *o = json_pack("{s:i, s:s}", "schema", 1, "state", "complete");
    json_t *settings = json_deep_copy(json_object_get(m->f[0].summary, "settings"));
    json_t *facts = json_deep_copy(json_object_get(m->f[0].summary, "facts"));
    json_t *parts = json_array();
    for (int k = 0; k < m->n; k++) {
        json_array_append_new(parts, json_string(m->f[k].path));
    }
    json_object_set_new(settings, "shard", json_integer(0));
    json_object_set_new(settings, "shards", json_integer(0));
    json_object_set_new(facts, "merged_from", parts);
    json_object_set_new(o, "settings", settings);
    json_object_set_new(o, "facts", facts);
    json_object_set_new(o, "results", report_stats_json(&m->tally.stats));
    json_object_set(o, "samples", m->tally.verdicts);
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (!text) return err_set(e, QA_E_NOMEM, "out of memory");
    snprintf(path, sizeof path, "%s/summary.json", m->out_dir);
    const enum status st = file_write(path, str_of(text), e);
    free(text);
    return st;
}

static enum status write_all(struct merge *m, struct err *e)
{
    for (size_t j = 0; j < COUNT(m->out); j++) {
        char path[MAX_PATH];
        snprintf(path, sizeof path, "%s/%s", m->out_dir, FOLDER_FILES[j]);
        enum status st = str_buf_check(&m->out[j], FOLDER_FILES[j], e);
        if (!st) st = file_write(path, str_buf_str(&m->out[j]), e);
        if (st) return st;
    }
    return write_summary(m, e); /* last: a folder with a summary is a whole run */
}

static enum status prepare(struct merge *m, struct err *e)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/summary.json", m->out_dir);
    if (access(path, F_OK) == 0) {
        return err_set(e, QA_E_USAGE, "folder '%s' holds a run already", m->out_dir);
    }
    snprintf(path, sizeof path, "%s/transcripts", m->out_dir);
    const enum status st = file_make_dirs(path, e);
    if (st) return st;
    for (int k = 0; k < m->n; k++) {
        m->n_rows += m->f[k].n_rows;
    }
    const size_t n_samples = (size_t)QA_MAX(setting(&m->f[0], "samples_per_task"), 1);
    m->n_tasks = QA_MAX(m->n_rows / n_samples, (size_t)1);
    m->rest = calloc((size_t)m->n, sizeof *m->rest);
    m->at = calloc((size_t)m->n, sizeof *m->at);
    if (!m->rest || !m->at) return err_set(e, QA_E_NOMEM, "out of memory");
    for (int k = 0; k < m->n; k++) {
        memcpy(m->rest[k], m->f[k].text, sizeof m->rest[k]);
    }
    m->tally.stats.n_jobs = 1;
    return tally_init(&m->tally, m->n_tasks, e);
}

enum status suite_merge(const char *out_dir,
                        const char *const *dirs,
                        int n,
                        struct suite_stats *out,
                        struct err *e)
{
    struct merge m = {.out_dir = out_dir, .n = n};
    enum status st = QA_OK;
    for (size_t j = 0; j < COUNT(m.out); j++) {
        str_buf_init(&m.out[j], MAX_BYTES);
    }
    m.f = calloc((size_t)n, sizeof *m.f);
    if (!m.f) st = err_set(e, QA_E_NOMEM, "out of memory");
    for (int k = 0; k < n && !st; k++) {
        st = folder_open(&m.f[k], dirs[k], e);
    }
    if (!st) {
        qsort(m.f, (size_t)n, sizeof *m.f, by_shard);
        st = check_shards(m.f, n, e);
    }
    if (!st) st = prepare(&m, e);
    if (!st) st = take_all(&m, (int)QA_MAX(setting(&m.f[0], "samples_per_task"), 1), e);
    m.tally.stats.n_samples = m.tally.stats.n_done;
    if (!st) st = write_all(&m, e);
    if (!st) *out = m.tally.stats;
    for (int k = 0; m.f && k < n; k++) {
        folder_release(&m.f[k]);
    }
    for (size_t j = 0; j < COUNT(m.out); j++) {
        str_buf_release(&m.out[j]);
    }
    tally_release(&m.tally);
    free(m.rest);
    free(m.at);
    free(m.f);
    return st;
}
