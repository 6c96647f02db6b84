/* rundir.h - what tests of whole runs stand on: a folder of their own, and a jail. */
#ifndef QA_TEST_RUNDIR_H
#define QA_TEST_RUNDIR_H

#include "engine/base/file.h"
#include "tests/humaneval/jail.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* The folder of the test that runs now: made before it, removed after it. */
static char dir[64];
static bool has_jail;

/* Group setup: whether code can be run at all on this machine. */
static int check_jail(void **state)
{
    (void)state;
    struct sandbox *s = jail_open();
    has_jail = s != NULL;
    sandbox_close(s);
    return 0;
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/qagent-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static int remove_dir(void **state)
{
    (void)state;
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* A path below the folder; good until the fourth call from now. */
static const char *path_in(const char *name)
{
    static char path[4][256];
    static int i;
    i = (i + 1) % 4;
    snprintf(path[i], sizeof path[i], "%s/%s", dir, name);
    return path[i];
}

/* A whole file below the folder; the caller releases `out`. */
static void read_all(struct str_buf *out, const char *name)
{
    struct err e = {0};
    str_buf_init(out, 64 << 20);
    if (file_read(out, path_in(name), &e)) fail_msg("%s", e.text);
}

#endif
