/* fuzz_dataset.c - any bytes as a data set and as a row: read or refused, and a row that
 * is read comes out the same when it is read again. */
#include "humaneval/humaneval.h"
#include "humaneval/pyjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(struct str line)
{
    struct pyjson_row row = {0};
    struct pyjson_row again = {0};
    struct str_buf once;
    struct str_buf twice;
    str_buf_init(&once, 64 << 20);
    str_buf_init(&twice, 64 << 20);
    struct err e = {0};
    if (pyjson_row_parse(&row, line, &e)) {
        ASSERT(e.text[0]);
        return;
    }
    pyjson_row_dump(&row, &once);
    ASSERT(!pyjson_row_parse(&again, str_buf_str(&once), &e));
    pyjson_row_dump(&again, &twice);
    ASSERT(str_eq(str_buf_str(&once), str_buf_str(&twice)));
    pyjson_row_release(&row);
    pyjson_row_release(&again);
    str_buf_release(&once);
    str_buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str bytes = {(const char *)data, size};
    struct dataset *d = NULL;
    struct err e = {0};
    if (dataset_open_bytes(&d, bytes, "x", &e)) {
        ASSERT(e.text[0] && !d);
    } else {
        ASSERT(d->n > 0);
        for (size_t i = 0; i < d->n; i++) {
            ASSERT(dataset_find(d, d->p[i].task_id) == &d->p[i]);
        }
        dataset_close(d);
    }
    check_row(bytes);
    return 0;
}
