/* html.c - report.html: the page of report_page.html with a run's files in it. */
#include "engine/base/file.h"
#include "humaneval/pyjson.h"
#include "humaneval/report.h"

#include <string.h>
#include <unistd.h>

extern const char qa_report_page[];
extern const char qa_report_page_end[];

enum { MAX_PATH = 4096 };
static const size_t MAX_PAGE = (size_t)1 << 30;

/* JSON text inside a script element: no "<" may stand in it, or "</script>" could. */
static void add_safe(struct str_buf *b, struct str json)
{
    while (json.n) {
        const struct str part = str_cut(json, 0, str_find(json, STR("<")));
        str_buf_add(b, part);
        if (part.n < json.n) str_buf_add_z(b, "\\u003c");
        json = str_cut(json, part.n + 1, json.n);
    }
}

/* A file of rows as an array; rows that are no JSON are left out, a missing file is empty. */
static void add_rows(struct str_buf *b, const char *path)
{
    struct str_buf text;
    struct str_buf one;
    str_buf_init(&one, MAX_PAGE);
    str_buf_init(&text, MAX_PAGE);
    str_buf_add_char(b, '[');
    if (access(path, R_OK) == 0 && !file_read(&text, path, NULL)) {
        struct str rest = str_buf_str(&text);
        struct str line;
        const char *separator = "";
        while (dataset_next_line(&rest, &line)) {
            struct pyjson_row row = {0};
            if (pyjson_row_parse(&row, line, NULL)) continue;
            str_buf_reset(&one);
            pyjson_row_dump(&row, &one);
            pyjson_row_release(&row);
            str_buf_add_z(b, separator);
            add_safe(b, str_buf_str(&one));
            separator = ",\n";
        }
    }
    str_buf_add_char(b, ']');
    str_buf_release(&text);
    str_buf_release(&one);
}

static void add_file(struct str_buf *b, const char *key, const char *dir, const char *name)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    str_buf_addf(b, ",\n\"%s\": ", key);
    add_rows(b, path);
}

static void add_transcripts(struct str_buf *b, const char *dir, const json_t *samples)
{
    size_t i;
    json_t *sample;
    str_buf_add_z(b, ",\n\"transcripts\": [");
    json_array_foreach(samples, i, sample)
    {
        const json_t *id = json_object_get(sample, "task_id");
        char name[MAX_PATH / 2];
        char path[MAX_PATH];
        report_transcript_name((struct str){json_string_value(id), json_string_length(id)},
                               (int)json_integer_value(json_object_get(sample, "sample")), name,
                               sizeof name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (i) str_buf_add_char(b, ',');
        add_rows(b, path);
    }
    str_buf_add_char(b, ']');
}

static enum status add_data(struct str_buf *b, const char *dir, struct err *e)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/summary.json", dir);
    json_error_t je;
    json_t *summary = json_load_file(path, 0, &je);
    if (!summary)
        return err_set(e, QA_E_FORMAT, "cannot read '%s': line %d: %s", path, je.line, je.text);
    char *text = json_dumps(summary, JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
    str_buf_add_z(b, "{\"summary\": ");
    if (text) add_safe(b, str_of(text));
    free(text);
    add_file(b, "samples", dir, "tasks.jsonl");
    add_file(b, "results", dir, "results.jsonl");
    add_transcripts(b, dir, json_object_get(summary, "samples"));
    str_buf_add_char(b, '}');
    json_decref(summary);
    return str_buf_check(b, "the report", e);
}

enum status report_write_html(const char *dir, struct err *e)
{
    const struct str page = {qa_report_page, (size_t)(qa_report_page_end - qa_report_page)};
    const struct str word = STR("{{data}}");
    const size_t at = str_find(page, word);
    struct str_buf b;
    char path[MAX_PATH];
    str_buf_init(&b, MAX_PAGE);
    str_buf_add(&b, str_cut(page, 0, at));
    enum status st = add_data(&b, dir, e);
    str_buf_add(&b, str_cut(page, at + word.n, page.n));
    snprintf(path, sizeof path, "%s/report.html", dir);
    if (!st) st = str_buf_check(&b, "the report", e);
    if (!st) st = file_write(path, str_buf_str(&b), e);
    str_buf_release(&b);
    return st;
}
