/* dataset.c - problems in human-eval's format, from JSON lines, plain or gzip. */
#include "engine/base/file.h"
#include "humaneval/fetch.h"
#include "humaneval/humaneval.h"
#include "humaneval/pyjson.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

extern const char qa_mini_jsonl[];
extern const char qa_mini_jsonl_end[];

/* data/HumanEval.jsonl.gz of openai/human-eval at commit 6d43fb9, and its lines. */
static const char OFFICIAL_SHA256[] =
    "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef";
static const char OFFICIAL_TEXT_SHA256[] =
    "1d49078ba3e2b196b9344535bef34a43021f038fad9561d6ee7c53450609a6a2";

struct field {
    const char *name;
    size_t offset;
};
static const struct field FIELDS[] = {
    {"task_id",            offsetof(struct problem, task_id)           },
    {"prompt",             offsetof(struct problem, prompt)            },
    {"entry_point",        offsetof(struct problem, entry_point)       },
    {"canonical_solution", offsetof(struct problem, canonical_solution)},
    {"test",               offsetof(struct problem, test)              },
};

static struct str *field_of(struct problem *p, const struct field *f)
{
    return (struct str *)((char *)p + f->offset);
}

struct str dataset_mini(void)
{
    return (struct str){qa_mini_jsonl, (size_t)(qa_mini_jsonl_end - qa_mini_jsonl)};
}

void dataset_sha256(struct str bytes, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned n = 0;
    const int is_done = EVP_Digest(bytes.p, bytes.n, digest, &n, EVP_sha256(), NULL);
    ASSERT(is_done == 1 && n == 32);
    for (size_t i = 0; i < 32; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

/* ---- files ---- */

static bool is_gzip(struct str s)
{
    return s.n >= 2 && (unsigned char)s.p[0] == 0x1F && (unsigned char)s.p[1] == 0x8B;
}

/* A file may be several gzip members one after another: appending makes them. */
static enum status unpack(struct str packed, struct str_buf *out, struct err *e)
{
    enum { BLOCK = 64 << 10 };
    z_stream z = {0};
    char *block = malloc(BLOCK);
    enum status st = QA_OK;
    if (!block || inflateInit2(&z, 15 + 16) != Z_OK) { /* 16: a gzip header, nothing else */
        free(block);
        return err_set(e, QA_E_NOMEM, "out of memory");
    }
    z.next_in = (unsigned char *)(uintptr_t)packed.p;
    z.avail_in = (unsigned)packed.n;
    int code = Z_OK;
    while (!st && (code != Z_STREAM_END || z.avail_in)) {
        if (code == Z_STREAM_END && inflateReset(&z) != Z_OK) break;
        z.next_out = (unsigned char *)block;
        z.avail_out = BLOCK;
        code = inflate(&z, Z_NO_FLUSH);
        str_buf_add(out, (struct str){block, BLOCK - z.avail_out});
        if (code != Z_OK && code != Z_STREAM_END) {
            st = err_set(e, QA_E_FORMAT, "damaged gzip data%s",
                         code == Z_BUF_ERROR ? ": it ends too early" : "");
        }
        if (!st) st = str_buf_check(out, "the unpacked file", e);
    }
    inflateEnd(&z);
    free(block);
    return st;
}

enum status dataset_read_file(struct str_buf *out,
                              const char *path,
                              size_t max,
                              char sha256[65],
                              struct err *e)
{
    struct str_buf stored;
    str_buf_init(&stored, QA_MIN(max, (size_t)UINT32_MAX));
    str_buf_init(out, max);
    enum status st = file_read(&stored, path, e);
    if (st) goto out;
    if (sha256) dataset_sha256(str_buf_str(&stored), sha256);
    if (is_gzip(str_buf_str(&stored))) {
        st = unpack(str_buf_str(&stored), out, e);
        if (st) err_wrap(e, st, "cannot read '%s'", path);
    } else {
        const struct str_buf empty = *out;
        *out = stored;
        stored = empty;
    }
out:
    str_buf_release(&stored);
    if (st) str_buf_release(out);
    return st;
}

bool dataset_next_line(struct str *rest, struct str *line)
{
    if (!rest->n) return false;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r') {
        n++;
    }
    *line = str_cut(*rest, 0, n);
    if (n < rest->n) n += str_starts(str_cut(*rest, n, n + 2), STR("\r\n")) ? 2 : 1;
    *rest = str_cut(*rest, n, rest->n);
    return true;
}

/* ---- rows ---- */

static enum status read_field(const struct pyjson_row *row,
                              const struct field *f,
                              struct problem *p,
                              struct err *e)
{
    const struct str value = pyjson_row_find(row, f->name);
    if (!value.p) return err_set(e, QA_E_FORMAT, "field '%s' is missing", f->name);
    struct str_buf text;
    str_buf_init(&text, DATASET_MAX_BYTES);
    if (!pyjson_decode(value, &text)) {
        str_buf_release(&text);
        return err_set(e, QA_E_FORMAT, "field '%s' is not a string", f->name);
    }
    const size_t n = text.n;
    char *bytes = str_buf_take(&text);
    if (!bytes) return err_set(e, QA_E_NOMEM, "out of memory");
    *field_of(p, f) = (struct str){bytes, n};
    return QA_OK;
}

/* The entry point becomes part of the program text: it has to be a name. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool is_letter =
            c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
        if (!is_letter && !(i && c >= '0' && c <= '9')) return false;
    }
    return s.n > 0;
}

static enum status add_row(struct dataset *d, size_t *cap, struct str line, struct err *e)
{
    struct pyjson_row row = {0};
    if (d->n == DATASET_MAX_TASKS) return err_set(e, QA_E_LIMIT, "more than %zu tasks", d->n);
    if (d->n == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        struct problem *grown = realloc(d->p, *cap * sizeof *grown);
        if (!grown) return err_set(e, QA_E_NOMEM, "out of memory");
        d->p = grown;
    }
    enum status st = pyjson_row_parse(&row, line, e);
    if (st) return st;
    struct problem *p = &d->p[d->n++]; /* counted at once: dataset_close frees it half-filled */
    *p = (struct problem){0};
    for (size_t i = 0; i < COUNT(FIELDS) && !st; i++) {
        st = read_field(&row, &FIELDS[i], p, e);
    }
    pyjson_row_release(&row);
    if (!st && !p->task_id.n) st = err_set(e, QA_E_FORMAT, "field 'task_id' is empty");
    if (!st && !is_name(p->entry_point)) {
        st = err_set(e, QA_E_FORMAT, "field 'entry_point' is not the name of a function");
    }
    return st;
}

static int by_id(const void *a, const void *b)
{
    const struct str x = (*(const struct problem *const *)a)->task_id;
    const struct str y = (*(const struct problem *const *)b)->task_id;
    const int c = memcmp(x.p, y.p, QA_MIN(x.n, y.n));
    return c ? c : (x.n > y.n) - (x.n < y.n);
}

static enum status check_ids(const struct dataset *d, struct err *e)
{
    const struct problem **sorted = calloc(d->n, sizeof *sorted);
    if (!sorted) return err_set(e, QA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < d->n; i++) {
        sorted[i] = &d->p[i];
    }
    qsort(sorted, d->n, sizeof *sorted, by_id);
    enum status st = QA_OK;
    for (size_t i = 1; i < d->n && !st; i++) {
        if (by_id(&sorted[i - 1], &sorted[i])) continue;
        const struct str id = sorted[i]->task_id;
        st = err_set(e, QA_E_FORMAT, "task '%.*s' is there twice",
                     (int)QA_MIN(id.n, (size_t)80), id.p);
    }
    free(sorted);
    return st;
}

static enum status parse(struct dataset *d, struct str text, struct err *e)
{
    size_t cap = 0;
    struct str line;
    for (size_t n_line = 1; dataset_next_line(&text, &line); n_line++) {
        if (!str_trim(line).n) continue;
        const enum status st = add_row(d, &cap, line, e);
        if (st) return err_wrap(e, st, "line %zu", n_line);
    }
    if (!d->n) return err_set(e, QA_E_FORMAT, "no tasks in it");
    return check_ids(d, e);
}

enum status dataset_open_bytes(struct dataset **out,
                               struct str bytes,
                               const char *name,
                               struct err *e)
{
    struct str_buf text;
    str_buf_init(&text, DATASET_MAX_BYTES);
    enum status st;
    struct dataset *d = calloc(1, sizeof *d);
    if (!d) return err_set(e, QA_E_NOMEM, "out of memory");
    dataset_sha256(bytes, d->sha256);
    if (is_gzip(bytes)) {
        st = unpack(bytes, &text, e);
        if (st) goto fail;
        bytes = str_buf_str(&text);
    }
    dataset_sha256(bytes, d->text_sha256);
    st = parse(d, bytes, e);
    if (st) goto fail;
    str_buf_release(&text);
    *out = d;
    return QA_OK;
fail:
    str_buf_release(&text);
    dataset_close(d);
    return err_wrap(e, st, "cannot read '%s'", name);
}

enum status dataset_open(struct dataset **out, const char *path, struct err *e)
{
    struct str_buf stored;
    str_buf_init(&stored, DATASET_MAX_BYTES);
    enum status st = file_read(&stored, path, e);
    if (!st) st = dataset_open_bytes(out, str_buf_str(&stored), path, e);
    str_buf_release(&stored);
    return st;
}

void dataset_close(struct dataset *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n; i++) {
        for (size_t k = 0; k < COUNT(FIELDS); k++) {
            free((void *)(uintptr_t)field_of(&d->p[i], &FIELDS[k])->p);
        }
    }
    free(d->p);
    free(d);
}

const struct problem *dataset_find(const struct dataset *d, struct str task_id)
{
    for (size_t i = 0; i < d->n; i++) {
        if (str_eq(d->p[i].task_id, task_id)) return &d->p[i];
    }
    return NULL;
}

enum status dataset_check_official(const struct dataset *d, const char *path, struct err *e)
{
    if (strcmp(d->sha256, OFFICIAL_SHA256) == 0) return QA_OK;
    if (strcmp(d->text_sha256, OFFICIAL_TEXT_SHA256) == 0) return QA_OK;
    return err_set(
        e, QA_E_FORMAT,
        "'%s' is not OpenAI's HumanEval: sha256 %.12s... where %.12s... is expected; "
        "to run it as a suite of its own, give the file in place of 'humaneval'",
        path, d->sha256, OFFICIAL_SHA256);
}

/* ---- suites by name ---- */

static const struct suite {
    const char *name, *file, *origin, *url;
} SUITES[] = {
    {"humaneval",  "HumanEval.jsonl.gz",               "data/ of github.com/openai/human-eval",
     "https://github.com/openai/human-eval/raw/6d43fb9/data/HumanEval.jsonl.gz"                     },
    {"humaneval+", "HumanEvalPlus-OriginFmt.jsonl.gz",
     "github.com/evalplus/humanevalplus_release",                                               NULL},
};

static const struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < COUNT(SUITES); i++) {
        if (strcmp(name, SUITES[i].name) == 0) return &SUITES[i];
    }
    return NULL;
}

enum status dataset_fetch(const struct suite_source *source,
                          const volatile int *stop,
                          bool want_progress,
                          struct err *e)
{
    const struct suite *suite = find_suite(source->suite);
    char path[4096];
    if (!suite || !suite->url || source->data_path || !*source->cache_dir) return QA_OK;
    snprintf(path, sizeof path, "%s/%s", source->cache_dir, suite->file);
    if (access(path, F_OK) == 0) return QA_OK;
    const struct fetch f = {.url = suite->url,
                            .path = path,
                            .sha256 = OFFICIAL_SHA256,
                            .max_bytes = 1 << 20,
                            .stop = stop,
                            .want_progress = want_progress};
    struct err why = {0};
    const enum status st = fetch_file(&f, &why);
    if (!st) return QA_OK;
    if (st == QA_E_STOP) return err_set(e, st, "%s", why.text);
    return err_set(e, st, "%s; put it at '%s' or give --data FILE", why.text, path);
}

static enum status open_named(struct dataset **out,
                              const struct suite *suite,
                              const struct suite_source *source,
                              struct err *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", source->cache_dir, suite->file);
    if (!source->data_path && access(path, F_OK)) {
        return err_set(e, QA_E_IO, "no data set: put %s from %s at '%s' or give --data FILE",
                       suite->file, suite->origin,
                       *source->cache_dir ? path : "~/.cache/qagent/");
    }
    const char *from = source->data_path ? source->data_path : path;
    struct dataset *d = NULL;
    enum status st = dataset_open(&d, from, e);
    if (!st && suite == &SUITES[0]) st = dataset_check_official(d, from, e);
    if (st) {
        dataset_close(d);
        return st;
    }
    *out = d;
    return QA_OK;
}

enum status dataset_open_suite(struct dataset **out,
                               const struct suite_source *source,
                               struct err *e)
{
    const struct suite *suite = find_suite(source->suite);
    if (suite) return open_named(out, suite, source, e);
    if (source->data_path) {
        return err_set(e, QA_E_USAGE,
                       "--data belongs to the suite humaneval; suite '%s' has its own",
                       source->suite);
    }
    if (strcmp(source->suite, "mini") == 0) {
        return dataset_open_bytes(out, dataset_mini(), "mini", e);
    }
    if (access(source->suite, F_OK) && !strpbrk(source->suite, "./")) {
        return err_set(e, QA_E_USAGE,
                       "no suite '%s' and no such file; suites are humaneval, humaneval+, mini",
                       source->suite);
    }
    return dataset_open(out, source->suite, e);
}
