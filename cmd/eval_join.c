/* eval_join.c - runs that are finished: joined into one, or compared in pairs. */
#include "cmd/eval_join.h"

#include "cmd/cmd.h"
#include "humaneval/suite.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_IDS = 12 };

static int exit_of(enum status st)
{
    return st == QA_E_USAGE || st == QA_E_FORMAT || st == QA_E_IO ? EXIT_USAGE : EXIT_INTERNAL;
}

static void print_json(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(o);
}

int eval_merge(const char *out_dir, const char *const *dirs, int n, bool want_json)
{
    struct err e = {0};
    struct suite_stats stats = {0};
    const enum status st = suite_merge(out_dir, dirs, n, &stats, &e);
    if (st) return cmd_fail(exit_of(st), &e);
    if (report_write_html(out_dir, &e)) return cmd_fail(EXIT_INTERNAL, &e);
    if (want_json) {
        print_json(report_stats_json(&stats));
    } else {
        struct str_buf text;
        str_buf_init(&text, 1 << 16);
        report_add_text(&text, &stats);
        if (text.n) fwrite(text.p, 1, text.n, stdout);
        str_buf_release(&text);
    }
    fprintf(stderr, "qagent: %d runs merged: %s/report.html\n", n, out_dir);
    return EXIT_OK;
}

static void print_ids(const char *title, const json_t *ids)
{
    size_t i;
    json_t *id;
    const size_t n = json_array_size(ids);
    if (!n) return;
    printf("%s", title);
    json_array_foreach(ids, i, id)
    {
        if (i == MAX_IDS) break;
        printf(" %s", json_string_value(id));
    }
    if (n > MAX_IDS) printf(" and %zu more", n - MAX_IDS);
    putchar('\n');
}

static void print_settings(const json_t *settings)
{
    const char *key;
    json_t *pair;
    json_object_foreach((json_t *)(uintptr_t)settings, key, pair)
    {
        char *a = json_dumps(json_array_get(pair, 0), JSON_ENCODE_ANY | JSON_COMPACT);
        char *b = json_dumps(json_array_get(pair, 1), JSON_ENCODE_ANY | JSON_COMPACT);
        printf("differs           %s: %.60s in A, %.60s in B\n", key, a ? a : "nothing",
               b ? b : "nothing");
        free(a);
        free(b);
    }
}

static json_t *to_json(const struct comparison *c)
{
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:f, s:O, s:O, s:O}", "tasks",
                          (json_int_t)c->n_tasks, "pass_at_1_a", c->pass_a, "pass_at_1_b",
                          c->pass_b, "difference", c->difference, "standard_error", c->error,
                          "only_a", c->only_a, "only_b", c->only_b, "settings", c->settings);
    if (c->has_pairs) {
        json_object_set_new(o, "both", json_integer((json_int_t)c->n_both));
        json_object_set_new(o, "neither", json_integer((json_int_t)c->n_neither));
        json_object_set_new(o, "mcnemar_p", json_real(c->p));
    }
    return o;
}

int eval_compare(const char *dir_a, const char *dir_b, bool want_json)
{
    struct err e = {0};
    struct comparison c;
    const enum status st = suite_compare(&c, dir_a, dir_b, &e);
    if (st) return cmd_fail(exit_of(st), &e);
    if (want_json) {
        print_json(to_json(&c));
        comparison_release(&c);
        return EXIT_OK;
    }
    printf("A                 %s: pass@1 %.2f %%\n", dir_a, 100 * c.pass_a);
    printf("B                 %s: pass@1 %.2f %%\n", dir_b, 100 * c.pass_b);
    printf("B - A             %+.2f points \xC2\xB1 %.2f      (%zu tasks in pairs; N - 1)\n",
           100 * c.difference, 100 * c.error, c.n_tasks);
    if (c.has_pairs) {
        printf("solved by         both %zu  only A %zu  only B %zu  neither %zu\n", c.n_both,
               c.n_a, c.n_b, c.n_neither);
        printf("McNemar, exact    p = %.4f, two-sided\n", c.p);
    } else {
        puts("McNemar           needs one sample per task; the difference above holds");
    }
    print_ids(c.has_pairs ? "only A           " : "A is better      ", c.only_a);
    print_ids(c.has_pairs ? "only B           " : "B is better      ", c.only_b);
    if (c.n_only_in_a || c.n_only_in_b) {
        printf("left out          %zu tasks of A alone, %zu of B alone\n", c.n_only_in_a,
               c.n_only_in_b);
    }
    print_settings(c.settings);
    comparison_release(&c);
    return EXIT_OK;
}
