/* fuzz_option.c - any bytes as the value of an option, as a choice of tasks, and as the
 * config file: a value in its range or a refusal. */
#include "cmd/cmd.h"
#include "cmd/config.h"
#include "cmd/opt.h"
#include "humaneval/choose.h"
#include "humaneval/scorer.h"
#include "tests/fuzz/memory_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bytes(const char *text)
{
    char again[64];
    uint64_t v, w;
    if (!opt_bytes(text, &v)) return;
    ASSERT(v < (uint64_t)1 << 62);
    if (v >= (uint64_t)1 << 52) return; /* beyond that a double skips some */
    snprintf(again, sizeof again, "%llu", (unsigned long long)v);
    ASSERT(opt_bytes(again, &w) && w == v);
    snprintf(again, sizeof again, "%lluKiB", (unsigned long long)v);
    ASSERT(opt_bytes(again, &w) && w == v << 10);
}

static void check_seconds(const char *text)
{
    char again[64];
    double v, w;
    if (!opt_seconds(text, &v)) return;
    ASSERT(isfinite(v) && v >= 0);
    if (v > 1e18) return; /* "1e18h" */
    snprintf(again, sizeof again, "%.17gs", v);
    ASSERT(opt_seconds(again, &w) && w == v);
}

static void check_numbers(struct str s)
{
    int64_t i;
    double x;
    char again[64];
    if (str_to_i64(s, -1000, INT64_MAX, &i)) {
        ASSERT(i >= -1000);
        ASSERT(str_to_i64(s, i, i, &i) && !str_to_i64(s, -1000, i - 1, &i));
        ASSERT(str_to_f64(s, &x) && x == (double)i);
    }
    if (str_to_f64(s, &x)) {
        ASSERT(!isnan(x));
        snprintf(again, sizeof again, "%.17g", x);
        double y = 0;
        ASSERT(str_to_f64(str_of(again), &y) && x == y);
    }
}

static void check_names(const char *text)
{
    static const char *const names[] = {"repl", "solve", "score", "complete", "x", NULL};
    enum kv_type t;
    const char *near = cmd_nearest(text, names);
    size_t i = 0;
    while (near && names[i] && names[i] != near) {
        i++;
    }
    ASSERT(!near || names[i]);
    for (i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) ASSERT(near == names[i]);
    }
    if (kv_type_of(text, &t)) ASSERT(strcmp(kv_type_name(t), text) == 0);
}

static void check_choice(const char *text)
{
    static struct task tasks[5] = {
        {.task_id = STR("mini/0")}, {.task_id = STR("mini/1")}, {.task_id = STR("3")},
        {.task_id = STR("a-b")},    {.task_id = STR("")},
    };
    const struct scorer s = {.tasks = tasks, .n_tasks = COUNT(tasks)};
    const struct suite_opts o = {.tasks = text};
    size_t *list = NULL;
    size_t n = 0;
    struct err e = {0};
    if (choose_tasks(&list, &n, &s, &o, &e)) {
        ASSERT(e.text[0] && !list);
        return;
    }
    ASSERT(n > 0 && n <= COUNT(tasks));
    for (size_t i = 0; i < n; i++) {
        ASSERT(list[i] < COUNT(tasks) && (i == 0 || list[i] > list[i - 1]));
    }
    free(list);
}

/* ---- the config file ---- */

static bool is_known(void *ctx, const char *key)
{
    return strcmp(key, "unknown") != 0;
}

static void add_word(void *ctx, const char *word)
{
    ASSERT(strncmp(word, "--", 2) == 0 && strlen(word) <= 8192);
    ASSERT(strncmp(word, "--unknown", 9) != 0 || (word[9] && word[9] != '='));
    ++*(size_t *)ctx;
}

static void check_config(struct str bytes)
{
    static struct memory_file file;
    size_t n = 0;
    const struct config_sink sink = {&n, is_known, add_word};
    struct err e = {0};
    memory_file_set(&file, bytes);
    if (config_read(file.path, &sink, &e)) ASSERT(e.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 14) return 0;
    char *text = malloc(size + 1);
    ASSERT(text);
    if (size) memcpy(text, data, size);
    text[size] = 0;
    check_bytes(text);
    check_seconds(text);
    check_numbers((struct str){text, size});
    check_names(text);
    check_choice(text);
    check_config((struct str){text, size});
    free(text);
    return 0;
}
