/* The prefix cache: the next start reads what this one computed. */
#include "agent/agent.h"
#include "tests/fake/fake.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/qagent-prefix-XXXXXX";

/* What one start did. */
struct start {
    size_t n_computed;
    int n_notices;
    char notice[400];
};

static void on_event(void *ctx, const struct agent_event *ev)
{
    struct start *s = ctx;
    assert_int_equal(ev->type, AGENT_NOTICE);
    s->n_notices++;
    snprintf(s->notice, sizeof s->notice, "%.*s", (int)ev->text.n, ev->text.p);
}

static struct start start(const char *prefix_dir, uint64_t n_params)
{
    const struct fake_tape tape = {.n_params = n_params};
    struct agent_opts o = agent_opts_default();
    struct start s = {0};
    struct agent *a = NULL;
    struct err e = {0};
    assert_int_equal(fake_engine_open(&o.engine, &tape, &e), QA_OK);
    assert_int_equal(sandbox_open(&o.sandbox, &(struct sandbox_opts){0}, &e), QA_OK);
    o.sink = (struct agent_sink){on_event, &s};
    o.prefix_dir = prefix_dir;
    if (agent_open(&a, &o, &e)) fail_msg("%s", e.text);
    s.n_computed = fake_engine_log(o.engine)->n_appended;
    agent_close(a);
    sandbox_close(o.sandbox);
    engine_close(o.engine);
    return s;
}

/* The number of files; the last one's path in *path. */
static int list(char path[512])
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *f; (f = readdir(d));) {
        if (f->d_name[0] == '.') continue;
        snprintf(path, 512, "%s/%s", dir, f->d_name);
        n++;
    }
    closedir(d);
    return n;
}

static int make_folder(void **state)
{
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[512];
    while (list(path) > 0)
        unlink(path);
    return rmdir(dir);
}

static void write_bytes(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void the_second_start_computes_nothing(void **state)
{
    char path[512];
    const struct start one = start(dir, 0), two = start(dir, 0);
    assert_true(one.n_computed > 100);
    assert_int_equal(two.n_computed, 0);
    assert_int_equal(list(path), 1);
    assert_int_equal(one.n_notices + two.n_notices, 0);
}

static void a_damaged_file_is_told_once_and_replaced(void **state)
{
    char path[512], want[600];
    const struct start good = start(dir, 0);
    assert_int_equal(list(path), 1);
    write_bytes(path, "", 0);
    const struct start bad = start(dir, 0), again = start(dir, 0);
    snprintf(want, sizeof want, "prefix cache: session file '%s' is damaged", path);
    assert_int_equal(bad.n_notices, 1);
    assert_string_equal(bad.notice, want);
    assert_int_equal(bad.n_computed, good.n_computed);
    assert_int_equal(again.n_computed + (size_t)again.n_notices, 0);
}

static void a_file_of_other_tokens_is_not_believed(void **state)
{
    static const int32_t other[] = {1, 2, 3};
    char path[512];
    const struct start good = start(dir, 0);
    assert_int_equal(list(path), 1);
    write_bytes(path, other, sizeof other);
    assert_int_equal(start(dir, 0).n_computed, good.n_computed);
    assert_int_equal(start(dir, 0).n_computed, 0);
}

static void a_cache_that_cannot_be_written_costs_one_notice(void **state)
{
    char path[512], below[600];
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(below, sizeof below, "%s/prefix", path);
    write_bytes(path, "x", 1);
    const struct start s = start(below, 0);
    assert_int_equal(s.n_notices, 1);
    assert_true(strncmp(s.notice, "prefix cache: cannot create folder '", 36) == 0);
    assert_true(s.n_computed > 100);
}

static void small_models_and_no_folder_keep_nothing(void **state)
{
    char path[512];
    assert_int_equal(start(dir, 5000000).n_notices, 0);
    assert_int_equal(start("", 0).n_notices, 0);
    assert_int_equal(start(NULL, 0).n_notices, 0);
    assert_int_equal(list(path), 0);
}

static void the_file_unused_for_longest_makes_room(void **state)
{
    char path[512];
    for (int i = 0; i < 10; i++) {
        const struct timespec t[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        snprintf(path, sizeof path, "%s/%d.state", dir, i);
        write_bytes(path, "x", 1);
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    assert_true(start(dir, 0).n_computed > 0);
    assert_int_equal(list(path), 8);
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof path, "%s/%d.state", dir, i);
        assert_int_equal(access(path, F_OK), i < 3 ? -1 : 0);
    }
    assert_int_equal(start(dir, 0).n_computed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_second_start_computes_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_told_once_and_replaced, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_file_of_other_tokens_is_not_believed, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_cache_that_cannot_be_written_costs_one_notice,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(small_models_and_no_folder_keep_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_file_unused_for_longest_makes_room, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
