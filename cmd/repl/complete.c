/* complete.c - Tab: commands, saved sessions, paths. */
#include "cmd/repl/repl.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST = 256, LIST_MAX = 20 };

/* What a word could become. */
struct candidates {
    struct str_buf text; /* each with its 0 */
    const char *at[MOST];
    size_t offset[MOST];
    size_t n;
};

static void add(struct candidates *c, const char *word, const char *end)
{
    if (c->n == MOST) return;
    c->offset[c->n++] = c->text.n;
    str_buf_addf(&c->text, "%s%s", word, end);
    str_buf_add_char(&c->text, 0);
}

static void add_commands(struct candidates *c, struct str word)
{
    const char *name;
    bool has_arg;
    for (size_t i = 0; (name = command_name(i, &has_arg)); i++) {
        char text[32];
        snprintf(text, sizeof text, "/%s", name);
        if (str_starts(str_of(text), word)) add(c, text, has_arg ? " " : "");
    }
}

static void add_sessions(struct candidates *c, const char *dir, struct str word)
{
    struct talk_saved *list = calloc(LIST_MAX, sizeof *list);
    const size_t n = list && dir ? talk_list(dir, list, LIST_MAX) : 0;
    for (size_t i = 0; i < n; i++) {
        char id[64];
        command_session_id(list[i].path, id);
        if (str_starts(str_of(id), word)) add(c, id, "");
    }
    free(list);
}

static void add_paths(struct candidates *c, const char *lead, struct str word)
{
    char dir[1024] = ".";
    size_t slash = word.n;
    while (slash && word.p[slash - 1] != '/') {
        slash--;
    }
    if (slash >= sizeof dir) return;
    if (slash) snprintf(dir, sizeof dir, "%.*s", (int)slash, word.p);
    const struct str base = str_cut(word, slash, word.n);
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *x; (x = readdir(d));) {
        char path[2048];
        struct stat info;
        if (!str_starts(str_of(x->d_name), base) || strpbrk(x->d_name, " \t\n\033")) continue;
        if (x->d_name[0] == '.' && !base.n) continue;
        snprintf(path, sizeof path, "%s/%s", dir, x->d_name);
        const bool is_dir = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
        snprintf(path, sizeof path, "%s%.*s%s", lead, (int)slash, word.p, x->d_name);
        add(c, path, is_dir ? "/" : " ");
    }
    closedir(d);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How many bytes all begin with alike, whole characters. */
static size_t common(const struct candidates *c)
{
    size_t n = strlen(c->at[0]);
    for (size_t i = 1; i < c->n; i++) {
        size_t k = 0;
        while (k < n && c->at[i][k] == c->at[0][k]) {
            k++;
        }
        n = k;
    }
    while (n && ((unsigned char)c->at[0][n] & 0xC0) == 0x80) {
        n--;
    }
    return n;
}

static void offer(struct repl *r, struct candidates *c, struct str word)
{
    for (size_t i = 0; i < c->n; i++) {
        c->at[i] = c->text.p + c->offset[i];
    }
    qsort(c->at, c->n, sizeof c->at[0], by_text);
    const size_t n = common(c);
    if (n > word.n) line_insert(r->line, str_cut(str_of(c->at[0]), word.n, n));
    if (c->n == 1) return;
    struct str_buf b;
    str_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < c->n; i++) {
        str_buf_addf(&b, "%s%s", i ? "  " : "", c->at[i]);
    }
    repl_hint(r, 5, "%s", b.p);
    str_buf_release(&b);
}

void command_complete(struct repl *r)
{
    char *text = line_before(r->line);
    struct str all = str_of(text);
    size_t at = all.n;
    struct candidates c = {.n = 0};
    str_buf_init(&c.text, 1 << 20);
    while (at && !strchr(" \t\n", all.p[at - 1])) {
        at--;
    }
    const struct str word = str_cut(all, at, all.n);
    const bool takes_path = str_starts(all, STR("/save ")) || str_starts(all, STR("/export "));
    const bool takes_session = str_starts(all, STR("/resume "));
    if (at == 0 && str_starts(word, STR("/"))) {
        add_commands(&c, word);
    } else if (str_starts(word, STR("@"))) {
        add_paths(&c, "@", str_cut(word, 1, word.n));
    } else if (takes_path) {
        add_paths(&c, "", word);
    } else if (takes_session) {
        add_sessions(&c, r->opts.dir, word);
    } else if (!str_starts(all, STR("/"))) {
        line_insert(r->line, STR("    "));
    }
    if (c.n) offer(r, &c, word);
    str_buf_release(&c.text);
    free(text);
}
