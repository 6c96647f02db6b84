/* compare.c - two runs of one suite in pairs, and a run's answers extracted again. */
#include "engine/base/file.h"
#include "humaneval/folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t MAX_BYTES = (size_t)4 << 30;

/* ---- pairs ---- */

double mcnemar_p(size_t a, size_t b)
{
    const size_t n = a + b, least = QA_MIN(a, b);
    if (a == b) return 1;
    double p = 0;
    for (size_t i = 0; i <= least; i++) { /* in logarithms: 2^-n is 0 soon */
        p += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) -
                 (double)n * log(2.0));
    }
    return QA_MIN(1.0, 2 * p);
}

/* {"task id": [samples, passed]} in the run's order. */
static json_t *count_by_task(const struct folder *f, size_t *most_samples)
{
    size_t i;
    json_t *v;
    json_t *out = json_object();
    json_array_foreach(json_object_get(f->summary, "samples"), i, v)
    {
        const char *id = json_string_value(json_object_get(v, "task_id"));
        if (!id) continue;
        json_t *pair = json_object_get(out, id);
        if (!pair) {
            pair = json_pack("[i, i]", 0, 0);
            json_object_set_new(out, id, pair);
        }
        const json_int_t n = json_integer_value(json_array_get(pair, 0)) + 1;
        const json_int_t c = json_integer_value(json_array_get(pair, 1)) +
                             json_is_true(json_object_get(v, "passed"));
        json_array_set_new(pair, 0, json_integer(n));
        json_array_set_new(pair, 1, json_integer(c));
        *most_samples = QA_MAX(*most_samples, (size_t)n);
    }
    return out;
}

static double rate_of(const json_t *pair)
{
    return (double)json_integer_value(json_array_get(pair, 1)) /
           (double)json_integer_value(json_array_get(pair, 0));
}

static json_t *differing_settings(const struct folder *a, const struct folder *b)
{
    json_t *const sets[] = {json_object_get(a->summary, "settings"),
                            json_object_get(b->summary, "settings")};
    json_t *out = json_object();
    for (size_t i = 0; i < COUNT(sets); i++) {
        const char *key;
        json_t *value;
        json_object_foreach(sets[i], key, value)
        {
            json_t *x = json_object_get(sets[0], key), *y = json_object_get(sets[1], key);
            if (x && y && json_equal(x, y)) continue;
            json_object_set_new(out, key, json_pack("[O?, O?]", x, y));
        }
    }
    return out;
}

static void add_pair(struct comparison *c, const char *id, double a, double b)
{
    c->n_tasks++;
    c->pass_a += a;
    c->pass_b += b;
    if (a > b) json_array_append_new(c->only_a, json_string(id));
    if (b > a) json_array_append_new(c->only_b, json_string(id));
    c->n_both += a == 1 && b == 1;
    c->n_neither += a == 0 && b == 0;
    c->n_a += a > b;
    c->n_b += b > a;
}

/* Mean of the differences, and its standard error. */
static void finish_pairs(struct comparison *c, const json_t *a, json_t *b)
{
    const double n = (double)c->n_tasks;
    double squares = 0;
    const char *id;
    json_t *pair;
    c->pass_a /= n;
    c->pass_b /= n;
    c->difference = c->pass_b - c->pass_a;
    json_object_foreach(b, id, pair)
    {
        const json_t *other = json_object_get(a, id);
        if (!other) continue;
        const double d = rate_of(pair) - rate_of(other) - c->difference;
        squares += d * d;
    }
    c->error = c->n_tasks > 1 ? sqrt(squares / (n - 1) / n) : 0;
    c->p = mcnemar_p(c->n_a, c->n_b);
}

static enum status compare(struct comparison *c,
                           const struct folder *a,
                           const struct folder *b,
                           struct err *e)
{
    const char *const key = "data_sha256";
    if (!json_equal(json_object_get(json_object_get(a->summary, "settings"), key),
                    json_object_get(json_object_get(b->summary, "settings"), key))) {
        return err_set(e, QA_E_USAGE, "cannot compare '%s' and '%s': their data sets differ",
                       a->path, b->path);
    }
    size_t most = 0;
    json_t *in_a = count_by_task(a, &most), *in_b = count_by_task(b, &most);
    const char *id;
    json_t *pair;
    json_object_foreach(in_a, id, pair)
    {
        const json_t *other = json_object_get(in_b, id);
        if (other) add_pair(c, id, rate_of(pair), rate_of(other));
    }
    c->n_only_in_a = json_object_size(in_a) - c->n_tasks;
    c->n_only_in_b = json_object_size(in_b) - c->n_tasks;
    c->has_pairs = most == 1;
    c->settings = differing_settings(a, b);
    if (c->n_tasks) finish_pairs(c, in_a, in_b);
    json_decref(in_a);
    json_decref(in_b);
    if (c->n_tasks) return QA_OK;
    return err_set(e, QA_E_USAGE, "cannot compare '%s' and '%s': no finished task in common",
                   a->path, b->path);
}

enum status suite_compare(struct comparison *out,
                          const char *dir_a,
                          const char *dir_b,
                          struct err *e)
{
    struct folder a = {0}, b = {0};
    struct comparison c = {.only_a = json_array(), .only_b = json_array()};
    enum status st = folder_open(&a, dir_a, e);
    if (!st) st = folder_open(&b, dir_b, e);
    if (!st) st = compare(&c, &a, &b, e);
    folder_release(&a);
    folder_release(&b);
    if (st) {
        comparison_release(&c);
        return st;
    }
    *out = c;
    return QA_OK;
}

void comparison_release(struct comparison *c)
{
    json_decref(c->only_a);
    json_decref(c->only_b);
    json_decref(c->settings);
    *c = (struct comparison){0};
}

/* ---- answers extracted again ---- */

enum status suite_extract_again(const char *dir,
                                const struct dataset *d,
                                const char *samples_path,
                                size_t *n_samples,
                                size_t *n_changed,
                                struct err *e)
{
    struct folder f = {0};
    struct str_buf out;
    size_t n_new = 0;
    str_buf_init(&out, MAX_BYTES);
    enum status st = folder_open(&f, dir, e);
    for (size_t i = 0; i < f.n_rows && !st; i++) {
        struct entry rec;
        const struct str id = folder_task_id(&f, i);
        const struct problem *p = dataset_find(d, id);
        if (!p || !entry_of_json(&rec, f.row[i])) {
            st = err_set(e, QA_E_FORMAT, "'%s/%s': line %zu: %s", dir, FOLDER_FILES[0], i + 1,
                         p ? "not a sample" : "its task is not in the data set");
            break;
        }
        const struct extraction was = rec.code;
        const struct task t = {p->task_id, p->prompt, p->entry_point};
        rec.code = (struct extraction){0};
        st = entry_extract(&rec, &t, e);
        if (!st) {
            n_new += !str_eq((struct str){was.completion, was.n},
                             (struct str){rec.code.completion, rec.code.n});
            entry_add_sample_row(&out, &rec, id);
            str_buf_add_char(&out, '\n');
        }
        free(was.completion);
        entry_release(&rec);
    }
    if (!st) st = str_buf_check(&out, "the samples", e);
    if (!st) st = file_write(samples_path, str_buf_str(&out), e);
    if (!st) {
        *n_samples = f.n_rows;
        *n_changed = n_new;
    }
    str_buf_release(&out);
    folder_release(&f);
    return st;
}
