/* fuzz_folder.c - any bytes as the folder of a finished run: read or refused; what is read
 * is compared with itself, merged, extracted again and shown.
 *
 * Input: up to six parts with a byte 0xFE between them: summary.json, the four files of
 * rows, and the summary of a second run that has no rows; without it, of the same run. */
#include "humaneval/folder.h"
#include "humaneval/pyjson.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_FILES = 5 };
static const char *const FILES[N_FILES] = {"summary.json", "tasks.jsonl", "samples.jsonl",
                                           "results.jsonl", "scores.jsonl"};
static char root[40], dir_a[48], dir_b[48], dir_out[48];

static void remove_all(void)
{
    const char *const dirs[] = {dir_a, dir_b, dir_out};
    char path[128];
    for (size_t i = 0; i < COUNT(dirs); i++) {
        for (size_t k = 0; k < N_FILES; k++) {
            snprintf(path, sizeof path, "%s/%s", dirs[i], FILES[k]);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s/report.html", dirs[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s/again.jsonl", dirs[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s/transcripts", dirs[i]);
        rmdir(path);
        rmdir(dirs[i]);
    }
    rmdir(root);
}

static void make_dirs(void)
{
    /* In memory where that is possible: several files are written for every input. */
    snprintf(root, sizeof root, "%s/qagent-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    ASSERT(mkdtemp(root));
    snprintf(dir_a, sizeof dir_a, "%s/a", root);
    snprintf(dir_b, sizeof dir_b, "%s/b", root);
    snprintf(dir_out, sizeof dir_out, "%s/out", root);
    ASSERT(!mkdir(dir_a, 0700) && !mkdir(dir_b, 0700));
    atexit(remove_all);
}

static void put(const char *dir, const char *name, struct str s)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    ASSERT(f && (!s.n || fwrite(s.p, 1, s.n, f) == s.n));
    fclose(f);
}

static struct str next_part(struct str *rest)
{
    const struct str part = str_cut(*rest, 0, str_find(*rest, STR("\xFE")));
    *rest = str_cut(*rest, part.n + 1, rest->n);
    return part;
}

/* A row that is a sample is one after it was written again. */
static void check_rows(const struct folder *f)
{
    for (size_t i = 0; i < f->n_rows; i++) {
        struct entry x;
        struct entry y;
        const struct str id = folder_task_id(f, i);
        ASSERT(id.p);
        if (!entry_of_json(&x, f->row[i])) continue;
        ASSERT(x.attempt.n_iterations >= 0 && x.attempt.n_tool_calls >= 0);
        ASSERT(x.attempt.n_prompt_tokens >= 0 && x.attempt.n_generated_tokens >= 0);
        json_t *once = entry_to_json(&x, id, folder_sample(f, i));
        ASSERT(entry_of_json(&y, once));
        json_t *twice = entry_to_json(&y, id, folder_sample(f, i));
        ASSERT(json_equal(once, twice));
        json_decref(once);
        json_decref(twice);
        entry_release(&x);
        entry_release(&y);
    }
}

static void check_same(const char *dir)
{
    struct comparison c;
    struct err e = {0};
    if (suite_compare(&c, dir, dir, &e)) {
        ASSERT(e.text[0]);
        return;
    }
    ASSERT(c.n_tasks > 0 && c.difference == 0 && c.error == 0 && c.p == 1);
    ASSERT(!c.n_a && !c.n_b && !c.n_only_in_a && !c.n_only_in_b);
    ASSERT(!json_object_size(c.settings));
    comparison_release(&c);
}

static void use_both(void)
{
    static struct dataset *d;
    const char *const dirs[] = {dir_a, dir_b};
    struct suite_stats stats;
    struct comparison c;
    struct err e = {0};
    char path[128];
    size_t n_samples, n_changed;
    if (!d) ASSERT(!dataset_open_bytes(&d, dataset_mini(), "mini", &e));
    if (!suite_compare(&c, dir_a, dir_b, &e)) comparison_release(&c);
    if (!suite_merge(dir_out, dirs, 2, &stats, &e)) {
        struct folder f;
        ASSERT(!folder_open(&f, dir_out, &e)); /* a run like any other */
        ASSERT(strcmp(folder_state(&f), "complete") == 0);
        folder_release(&f);
    }
    snprintf(path, sizeof path, "%s/summary.json", dir_out);
    unlink(path);
    snprintf(path, sizeof path, "%s/again.jsonl", dir_a);
    (void)!suite_extract_again(dir_a, d, path, &n_samples, &n_changed, &e);
    (void)!report_write_html(dir_a, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct folder f;
    struct err e = {0};
    if (size > 1 << 15) return 0;
    if (!root[0]) make_dirs();
    for (size_t i = 0; i < N_FILES; i++) {
        const struct str part = next_part(&rest);
        put(dir_a, FILES[i], part);
        put(dir_b, FILES[i], part);
    }
    for (size_t i = 0; rest.n && i < N_FILES; i++) {
        put(dir_b, FILES[i], i ? STR("") : rest);
    }
    if (folder_open(&f, dir_a, &e)) {
        ASSERT(e.text[0]);
        return 0;
    }
    check_rows(&f);
    folder_release(&f);
    check_same(dir_a);
    use_both();
    return 0;
}
