/* prefix.c - load it, or compute it and keep it. */
#include "agent/prefix.h"

#include "engine/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, DIR_ENTRIES_MAX = 1000 };
/* A slow disk's rate, and what nobody notices at a start. */
static const double READ_BYTES_PER_S = 500e6, UNNOTICED_S = 0.25;

static void notice(const struct agent_sink *sink, const struct err *why)
{
    char text[sizeof why->text + 16];
    snprintf(text, sizeof text, "prefix cache: %s", why->text);
    const struct agent_event ev = {.type = AGENT_NOTICE, .text = str_of(text)};
    if (sink->event) sink->event(sink->ctx, &ev);
}

static bool is_worth_keeping(const struct session *s, const struct engine *g, size_t n)
{
    const struct engine_info *i = engine_info(g);
    const double n_bytes = (double)i->state_bytes + (double)i->kv_bytes_per_token * (double)n;
    return session_stats(s).prefill_s > UNNOTICED_S + 2 * n_bytes / READ_BYTES_PER_S;
}

/* One pass: how many files there are, and which was not used for longest. */
static int count_files(const char *dir, char *oldest, size_t n_oldest)
{
    struct timespec least = {0};
    int n = 0;
    DIR *d = opendir(dir);
    if (!d) return 0;
    for (const struct dirent *f; n < DIR_ENTRIES_MAX && (f = readdir(d));) {
        struct stat info;
        char path[PATH_BYTES];
        if (snprintf(path, sizeof path, "%s/%s", dir, f->d_name) >= (int)sizeof path) continue;
        if (lstat(path, &info) || !S_ISREG(info.st_mode)) continue;
        const struct timespec *t = &info.st_mtim;
        const bool is_older = t->tv_sec < least.tv_sec ||
                              (t->tv_sec == least.tv_sec && t->tv_nsec < least.tv_nsec);
        if (n++ > 0 && !is_older) continue;
        least = *t;
        snprintf(oldest, n_oldest, "%s", path);
    }
    closedir(d);
    return n;
}

static void prune(const char *dir)
{
    char oldest[PATH_BYTES];
    for (int i = 0; i < DIR_ENTRIES_MAX; i++) {
        if (count_files(dir, oldest, sizeof oldest) <= PREFIX_FILES || unlink(oldest)) return;
    }
}

static void keep(struct session *s,
                 const char *dir,
                 const char *path,
                 const struct agent_sink *k)
{
    struct err e = {0};
    enum status st = file_make_dirs(dir, &e);
    if (!st) st = session_save(s, path, &e);
    if (st)
        notice(k, &e);
    else
        prune(dir);
}

enum status prefix_sync(struct session *s,
                        const struct engine *g,
                        const char *dir,
                        const struct ids *ids,
                        const struct agent_sink *sink,
                        struct err *e)
{
    char path[PATH_BYTES];
    const unsigned long long key = session_key(s, ids->p, ids->n);
    const bool has_cache =
        dir && *dir &&
        snprintf(path, sizeof path, "%s/%016llx.state", dir, key) < (int)sizeof path;
    size_t n_reused = 0;
    struct err why = {0};
    bool is_broken = false;

    if (has_cache && access(path, F_OK) == 0) {
        is_broken = session_load(s, path, &why) != QA_OK;
        if (is_broken)
            notice(sink, &why);
        else
            (void)!utimensat(AT_FDCWD, path, NULL, 0); /* used now */
    }
    const enum status st = session_sync(s, ids->p, ids->n, &n_reused, e);
    if (st || !has_cache || n_reused == ids->n) return st;
    /* A file that cannot be used was told of; that it cannot be replaced is no more news. */
    const struct agent_sink silent = {.event = NULL};
    if (is_worth_keeping(s, g, ids->n)) keep(s, dir, path, is_broken ? &silent : sink);
    return QA_OK;
}
