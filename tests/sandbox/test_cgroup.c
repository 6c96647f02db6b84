/* test_cgroup.c - control groups: where they may be made, and what they hold.
 *
 * The search is tested on texts and folders.  What the kernel does is tested where
 * this process may make groups (as root of a machine whose cgroup v2 has the memory
 * controller, or in a user's own part of the tree); elsewhere that is skipped. */
#include "sandbox/cgroup.h"
#include "tests/sandbox/jail_test.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>

static const char V2_MOUNT[] =
    "21 1 0:20 / / rw - ext4 /dev/vda rw\n"
    "30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

static void the_own_group_is_found_below_its_mount(void **state)
{
    (void)state;
    static const struct {
        const char *own, *mounts, *path;
    } cases[] = {
        {"0::/user.slice/a.scope\n",      V2_MOUNT,                                                     "/sys/fs/cgroup/user.slice/a.scope"},
        {"0::/\n",                        V2_MOUNT,                                                     "/sys/fs/cgroup"                   },
        {"4:memory:/x\n1:cpu:/\n0::/y\n", V2_MOUNT,                                                     "/sys/fs/cgroup/y"                 },
 /* a container that sees its own part of the tree */
        {"0::/docker/abc/run\n",          "9 1 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 none rw\n",
         "/sys/fs/cgroup/run"                                                                                                              },
        {"0::/docker/abc\n",              "9 1 0:26 /docker/abc /cg rw master:1 - cgroup2 none rw\n",   "/cg"                              },
 /* version 1 alone, one without a mount, names that only begin alike, a group
         * outside of the namespace, a name with a blank in it */
        {"4:memory:/x\n1:cpu:/\n",        V2_MOUNT,                                                     NULL                               },
        {"",                              V2_MOUNT,                                                     NULL                               },
        {"0::/y\n",                       "30 21 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n", NULL                               },
        {"0::/docker/abcd\n",             "9 1 0:26 /docker/abc /cg rw - cgroup2 none rw\n",            NULL                               },
        {"0::/../other\n",                V2_MOUNT,                                                     NULL                               },
        {"0::/y\n",                       "30 21 0:26 / /my\\040groups rw - cgroup2 none rw\n",         NULL                               },
        {"0::/y\n",                       "30 21\n\n - \nx - cgroup2",                                  NULL                               },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cgroup_home h = {0};
        size_t n_mount = 0;
        const bool is_found = cgroup_locate(&h, cases[i].own, cases[i].mounts, &n_mount);
        if (is_found != (cases[i].path != NULL)) fail_msg("case %zu: '%s'", i, h.reason);
        assert_string_equal(h.path, cases[i].path ? cases[i].path : "");
        assert_true(is_found == (h.reason[0] == 0));
        if (is_found) assert_in_range(n_mount, 3, strlen(h.path));
    }
}

static void put(const char *root, const char *file, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A tree of three groups, /, /a and /a/b, as files; NULL: no such file. */
struct tree {
    const char *hands_out[3]; /* cgroup.subtree_control */
    const char *memory_max[3];
    const char *controllers;
};

static struct cgroup_home climb(const struct tree *t)
{
    static const char *const GROUPS[] = {"", "/a", "/a/b"};
    struct cgroup_home h = {0};
    char root[] = "/tmp/cgroup-tree-XXXXXX";
    char path[100];
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", root, GROUPS[i]);
        assert_true(i == 0 || mkdir(path, 0755) == 0);
        if (t->hands_out[i]) put(path, "cgroup.subtree_control", t->hands_out[i]);
        if (t->memory_max[i]) put(path, "memory.max", t->memory_max[i]);
        if (t->controllers) put(path, "cgroup.controllers", t->controllers);
    }
    snprintf(h.path, sizeof h.path, "%s/a/b", root);
    const bool is_found = cgroup_climb(&h, strlen(root));
    assert_true(is_found == (h.path[0] != 0) && is_found == (h.reason[0] == 0));
    memmove(h.path, h.path + (is_found ? strlen(root) : 0),
            strlen(h.path) + 1 - (is_found ? strlen(root) : 0));
    static const char *const FILES[] = {"cgroup.subtree_control", "memory.max",
                                        "cgroup.controllers"};
    for (size_t i = 3; i-- > 0;) {
        for (size_t k = 0; k < COUNT(FILES); k++) {
            snprintf(path, sizeof path, "%s%s/%s", root, GROUPS[i], FILES[k]);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s%s", root, GROUPS[i]);
        assert_int_equal(rmdir(path), 0);
    }
    return h;
}

static void the_nearest_group_that_hands_both_controllers_out_is_taken(void **state)
{
    (void)state;
    static const char BOTH[] = "cpu memory pids\n";
    struct cgroup_home h = climb(&(struct tree){
        .hands_out = {BOTH, BOTH, ""}
    });
    assert_string_equal(h.path, "/a");
    h = climb(&(struct tree){
        .hands_out = {BOTH, "memory\n", "pids\n"}
    });
    assert_string_equal(h.reason, "");
    assert_string_equal(h.path, "");
    h = climb(&(struct tree){
        .hands_out = {BOTH, BOTH, BOTH}
    });
    assert_string_equal(h.path, "/a/b");
    h = climb(&(struct tree){
        .hands_out = {"memory pidsx\n", "", ""},
          .controllers = "memory pids\n"
    });
    assert_non_null(strstr(h.reason, "no group above"));
    h = climb(&(struct tree){.controllers = "hugetlb\n"});
    assert_non_null(strstr(h.reason, "no memory controller"));
}

static void a_limit_of_our_own_is_not_left_behind(void **state)
{
    (void)state;
    static const char BOTH[] = "memory pids\n";
    struct cgroup_home h = climb(&(struct tree){
        .hands_out = {"",   BOTH,    ""     },
          .memory_max = {NULL, "max\n", "max\n"}
    });
    assert_string_equal(h.path, "/a");
    h = climb(&(struct tree){
        .hands_out = {"",   BOTH, ""      },
          .memory_max = {NULL, NULL, "1024\n"}
    });
    assert_non_null(strstr(h.reason, "would be left behind"));
    /* A limit of the group that ours are made in holds for them too. */
    h = climb(&(struct tree){
        .hands_out = {"",   BOTH,     ""  },
          .memory_max = {NULL, "1024\n", NULL}
    });
    assert_string_equal(h.path, "/a");
}

/* ---- with a kernel that lets us ---- */

static struct cgroup_home home;

static int find_home(void **state)
{
    (void)state;
    cgroup_find(&home);
    fprintf(stderr, *home.path ? "groups are made in %s\n" : "SKIPPED: no control groups: %s\n",
            *home.path ? home.path : home.reason);
    return 0;
}

static int count_groups(void)
{
    DIR *d = opendir(home.path);
    int n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        n += strncmp(f->d_name, "qagent-", 7) == 0;
    }
    if (d) closedir(d);
    return n;
}

static void a_folder_that_is_no_group_is_refused_and_left_as_it_was(void **state)
{
    (void)state;
    char root[] = "/tmp/cgroup-none-XXXXXX";
    struct cgroup_home h = {0};
    struct cgroup g;
    assert_non_null(mkdtemp(root));
    snprintf(h.path, sizeof h.path, "%s", root);
    assert_int_equal(cgroup_make(&h, 0, &g), ENOENT);
    assert_true(g.folder == -1 && g.memory == -1 && g.events == -1);
    assert_int_equal(rmdir(root), 0);
}

static void a_group_kills_for_the_memory_of_all_and_says_so(void **state)
{
    (void)state;
    if (!*home.path) skip();
    struct cgroup g;
    int pidfd = -1;
    int status = 0;
    assert_int_equal(cgroup_make(&home, 3, &g), 0);
    assert_int_equal(cgroup_cap_memory(g.memory, 1 << 20), 0);
    assert_int_equal(cgroup_count_oom(g.events), 0);
    const pid_t pid = cgroup_clone(&g, CLONE_PIDFD, &pidfd);
    if (pid == 0) {
        volatile char *p = malloc(64 << 20);
        for (size_t i = 0; p && i < 64 << 20; i += 4096) {
            p[i] = 1;
        }
        _exit(0);
    }
    assert_true(pid > 0);
    struct pollfd p = {.fd = g.events, .events = POLLPRI};
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(cgroup_count_oom(g.events) > 0);
    close(pidfd);
    cgroup_close(&g);
    cgroup_remove(&home, 3);
    assert_int_equal(count_groups(), 0);
}

static void what_still_runs_in_a_group_dies_with_it(void **state)
{
    (void)state;
    if (!*home.path) skip();
    struct cgroup g;
    int pidfd = -1;
    int status = 0;
    assert_int_equal(cgroup_make(&home, 4, &g), 0);
    const pid_t pid = cgroup_clone(&g, CLONE_PIDFD, &pidfd);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    cgroup_close(&g);
    cgroup_remove(&home, 4);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pidfd);
    assert_int_equal(count_groups(), 0);
}

static void calls_leave_no_group_and_the_cap_ends_a_crowd(void **state)
{
    (void)state;
    if (!*home.path || !is_jail_possible()) skip();
    struct sandbox *s = jail_open();
    struct run_limits limits = run_limits_default();
    limits.memory_bytes = 128 << 20;
    limits.timeout_ms = 120000;
    assert_non_null(strstr(sandbox_statement(s), ", cgroup,"));
    struct run_result r =
        jail_run_limited(s,
                         "import os, time\nfor i in range(4):\n    if os.fork() == 0:\n"
                         "        x = b'x' * (60 << 20); time.sleep(600)\ntime.sleep(600)",
                         RUN_CELL, &limits);
    assert_int_equal(r.status, RUN_OOM);
    run_result_release(&r);
    r = jail_run(s, "print('next')");
    assert_string_equal(r.out, "next\n");
    run_result_release(&r);
    sandbox_close(s);
    assert_int_equal(count_groups(), 0);
}

static void what_a_killed_caller_left_is_removed_at_the_next_start(void **state)
{
    (void)state;
    if (!*home.path) skip();
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        struct cgroup g;
        _exit(cgroup_make(&home, 7, &g) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    struct cgroup g;
    assert_int_equal(cgroup_make(&home, 8, &g), 0); /* of a keeper that lives: ours */
    assert_int_equal(count_groups(), 2);
    cgroup_find(&home);
    assert_int_equal(count_groups(), 1);
    cgroup_close(&g);
    cgroup_remove(&home, 8);
    assert_int_equal(count_groups(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_group_is_found_below_its_mount),
        cmocka_unit_test(the_nearest_group_that_hands_both_controllers_out_is_taken),
        cmocka_unit_test(a_limit_of_our_own_is_not_left_behind),
        cmocka_unit_test(a_folder_that_is_no_group_is_refused_and_left_as_it_was),
        cmocka_unit_test(a_group_kills_for_the_memory_of_all_and_says_so),
        cmocka_unit_test(what_still_runs_in_a_group_dies_with_it),
        cmocka_unit_test(calls_leave_no_group_and_the_cap_ends_a_crowd),
        cmocka_unit_test(what_a_killed_caller_left_is_removed_at_the_next_start),
    };
    return cmocka_run_group_tests_name("control groups", tests, find_home, NULL);
}
