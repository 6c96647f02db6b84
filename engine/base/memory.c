/* memory.c - how much memory this process may still take. */
#include "engine/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_HERE = 1024 };

/* A file of one number; UINT64_MAX when there is none, or the word "max". */
static uint64_t read_number(const char *path)
{
    unsigned long long v;
    FILE *f = fopen(path, "re");
    if (!f) return UINT64_MAX;
    const int n = fscanf(f, "%llu", &v);
    fclose(f);
    return n == 1 ? (uint64_t)v : UINT64_MAX;
}

/* The number after `key` at the start of a line; UINT64_MAX when there is none. */
static uint64_t read_field(const char *path, const char *key)
{
    char line[256];
    uint64_t found = UINT64_MAX;
    FILE *f = fopen(path, "re");
    if (!f) return UINT64_MAX;
    const size_t n = strlen(key);
    while (found == UINT64_MAX && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) == 0) found = strtoull(line + n, NULL, 10);
    }
    fclose(f);
    return found;
}

/* Names of the files of a control group, and which pages of it can be dropped. */
struct version {
    const char *mount, *limit, *usage, *droppable;
};
static const struct version VERSIONS[] = {
    {"/sys/fs/cgroup",        "memory.max",            "memory.current",        "inactive_file "},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file "                                                                     },
};

/* What one group leaves; UINT64_MAX when it has no limit. */
static uint64_t group_free(const char *root, const struct version *v, const char *group)
{
    char path[PATH_MAX_HERE];
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->limit);
    const uint64_t limit = read_number(path);
    if (limit == UINT64_MAX) return UINT64_MAX;
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->usage);
    uint64_t used = read_number(path);
    if (used == UINT64_MAX) return UINT64_MAX;
    snprintf(path, sizeof path, "%s%s%s/memory.stat", root, v->mount, group);
    const uint64_t droppable = read_field(path, v->droppable);
    if (droppable != UINT64_MAX) used -= QA_MIN(used, droppable);
    return limit - QA_MIN(limit, used);
}

/* The group and all above it: a limit holds for everything below. */
static uint64_t groups_free(const char *root, const struct version *v, char *group)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        const uint64_t free_here = group_free(root, v, group);
        least = QA_MIN(least, free_here);
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

/* /proc/self/cgroup has a line "id:controllers:/path" for each hierarchy; version 2 has
 * no controllers in it. */
static uint64_t all_groups_free(const char *root)
{
    char path[PATH_MAX_HERE], line[PATH_MAX_HERE];
    uint64_t least = UINT64_MAX;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        controllers++;
        if (strcmp(group, "/") == 0) *group = 0;
        const bool is_v2 = *controllers == 0;
        if (!is_v2 && strcmp(controllers, "memory") != 0) continue;
        const uint64_t free_there = groups_free(root, &VERSIONS[is_v2 ? 0 : 1], group);
        least = QA_MIN(least, free_there);
    }
    if (f) fclose(f);
    return least;
}

uint64_t memory_free_at(const char *root)
{
    char path[PATH_MAX_HERE];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const uint64_t kib = read_field(path, "MemAvailable:");
    const uint64_t machine = kib == UINT64_MAX ? UINT64_MAX : kib << 10;
    const uint64_t groups = all_groups_free(root);
    return QA_MIN(machine, groups);
}

uint64_t memory_free(void)
{
    return memory_free_at("");
}

/* The second number of statm: pages in memory. */
uint64_t memory_resident(void)
{
    unsigned long long pages;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    const int n = fscanf(f, "%*u %llu", &pages);
    fclose(f);
    return n == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
