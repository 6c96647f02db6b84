/* test_memory.c - free memory is what the machine and every control group above leave. */
#include "engine/base/file.h"
#include "engine/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A little /proc and /sys; every file that was written goes at the end. */
struct root {
    char path[64];
    char files[16][160];
    int n_files;
};

static struct root make_root(void)
{
    struct root r = {.path = "/tmp/test_memory.XXXXXX"};
    assert_non_null(mkdtemp(r.path));
    return r;
}

static void put(struct root *r, const char *name, const char *text)
{
    struct err e = {0};
    char path[160], folder[160];
    snprintf(path, sizeof path, "%s%s", r->path, name);
    memcpy(r->files[r->n_files++], path, sizeof path);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (file_make_dirs(folder, &e)) fail_msg("%s", e.text);
    if (file_write(path, str_of(text), &e)) fail_msg("%s", e.text);
}

/* Removes the files and whatever folders are empty then, up to the root. */
static void drop(struct root *r)
{
    for (int i = 0; i < r->n_files; i++) {
        char *path = r->files[i];
        unlink(path);
        for (char *slash = strrchr(path, '/'); slash > path; slash = strrchr(path, '/')) {
            *slash = 0;
            if (rmdir(path)) break;
        }
    }
}

#define MEMINFO "MemTotal:  10000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n"

static void nothing_known_is_no_limit(void **state)
{
    struct root r = make_root();
    assert_true(memory_free_at(r.path) == UINT64_MAX);
    put(&r, "/proc/meminfo", MEMINFO);
    assert_int_equal(memory_free_at(r.path), 8000 << 10);
    drop(&r);
}

static void the_tightest_group_of_version_2_counts(void **state)
{
    struct root r = make_root();
    put(&r, "/proc/meminfo", MEMINFO);
    put(&r, "/proc/self/cgroup", "0::/a/b\n");
    put(&r, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    put(&r, "/sys/fs/cgroup/a/b/memory.current", "700\n");
    assert_int_equal(memory_free_at(r.path), 8000 << 10);
    put(&r, "/sys/fs/cgroup/a/memory.max", "1000000\n"); /* of the one above */
    put(&r, "/sys/fs/cgroup/a/memory.current", "400000\n");
    assert_int_equal(memory_free_at(r.path), 600000);
    put(&r, "/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 100000\n");
    assert_int_equal(memory_free_at(r.path), 700000); /* cached pages can go */
    put(&r, "/sys/fs/cgroup/a/b/memory.max", "500\n");
    assert_int_equal(memory_free_at(r.path), 0); /* beyond it already */
    drop(&r);
}

static void a_group_of_version_1_counts_too(void **state)
{
    struct root r = make_root();
    put(&r, "/proc/meminfo", MEMINFO);
    put(&r, "/proc/self/cgroup", "5:cpu:/x\n4:memory:/job\n0::/\n");
    put(&r, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000\n");
    put(&r, "/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000\n");
    put(&r, "/sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 250\n");
    assert_int_equal(memory_free_at(r.path), 2250);
    drop(&r);
}

static void this_machine_has_some_and_this_process_uses_some(void **state)
{
    assert_true(memory_free() > 0);
    assert_true(memory_resident() > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_is_no_limit),
        cmocka_unit_test(the_tightest_group_of_version_2_counts),
        cmocka_unit_test(a_group_of_version_1_counts_too),
        cmocka_unit_test(this_machine_has_some_and_this_process_uses_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
