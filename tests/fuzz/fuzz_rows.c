/* fuzz_rows.c - any bytes as a file of rows that goes on, and as a file of samples.
 *
 * Opening drops a torn end and nothing else; a row that is appended is there when the
 * file is opened again. */
#include "engine/base/log.h"
#include "humaneval/humaneval.h"
#include "humaneval/pyjson.h"
#include "humaneval/rows.h"
#include "tests/fuzz/memory_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ends_in_row(struct str s)
{
    struct pyjson_row row = {0};
    struct str line = {"", 0};
    while (s.n) {
        line = str_cut(s, 0, str_find(s, STR("\n")));
        s = str_cut(s, line.n + 1, s.n);
    }
    const bool is_row = !pyjson_row_parse(&row, line, NULL);
    pyjson_row_release(&row);
    return is_row;
}

static void check_rows(const char *path, struct str bytes)
{
    struct rows r;
    struct err e = {0};
    ASSERT(!rows_open(&r, path, 0, &e));
    const size_t n = r.n;
    const size_t n_kept = r.text.n;
    ASSERT(n_kept <= bytes.n && str_eq(str_buf_str(&r.text), str_cut(bytes, 0, n_kept)));
    ASSERT(!n_kept || bytes.p[n_kept - 1] == '\n');
    ASSERT(!n == !n_kept);
    ASSERT(!rows_append(&r, STR("{\"a\": 1}"), &e));
    rows_close(&r);

    ASSERT(!rows_open(&r, path, 0, &e));
    ASSERT(r.n == n + 1 && r.text.n == n_kept + 9);
    ASSERT(str_ends(str_buf_str(&r.text), STR("{\"a\": 1}\n")));
    ASSERT(!rows_cut(&r, n, &e) && r.text.n == n_kept);
    rows_close(&r);

    if (!ends_in_row(str_cut(bytes, 0, n_kept))) return; /* one more is dropped each time */
    ASSERT(!rows_open(&r, path, 0, &e));
    ASSERT(r.n == n && r.text.n == n_kept);
    rows_close(&r);
}

static void check_samples(const char *path)
{
    static struct dataset *d;
    /* No time: every sample is read, and the first one ends it. */
    const struct score_opts o = {.n_jobs = 1, .k = {1}, .n_k = 1};
    struct score_summary sum;
    struct err e = {0};
    if (!d) ASSERT(!dataset_open_bytes(&d, dataset_mini(), "mini", &e));
    const char *suite = score_guess_suite(path);
    ASSERT(strcmp(suite, "mini") == 0 || strcmp(suite, "humaneval") == 0);
    ASSERT(score_file(NULL, d, path, "/dev/null", true, &o, &sum, &e));
    ASSERT(e.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file;
    const struct str bytes = {(const char *)data, size};
    if (size > 1 << 16) return 0;
    log_set_level(LOG_QUIET);
    memory_file_set(&file, bytes);
    check_samples(file.path);
    check_rows(file.path, bytes);
    return 0;
}
