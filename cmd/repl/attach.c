/* attach.c - @path in a message: the file's text goes along. */
#include "cmd/repl/attach.h"

#include "engine/base/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 1024 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* The word after '@' as a path that exists: as it stands, or without what ends a
 * sentence. */
static bool find_path(struct str word, char path[PATH_BYTES], struct stat *info)
{
    for (; word.n && word.n < PATH_BYTES; word.n--) {
        memcpy(path, word.p, word.n);
        path[word.n] = 0;
        if (stat(path, info) == 0) return true;
        if (!strchr(",.;:!?)\"'", word.p[word.n - 1])) break;
    }
    return false;
}

/* A fence longer than any in s. */
static void add_fence(struct str_buf *b, struct str s)
{
    int most = 2;
    int run = 0;
    for (size_t i = 0; i < s.n; i++) {
        run = s.p[i] == '`' ? run + 1 : 0;
        most = QA_MAX(most, run);
    }
    for (int i = 0; i <= most; i++) {
        str_buf_add_char(b, '`');
    }
}

static void add_file(struct str_buf *to, const char *path, struct str s)
{
    str_buf_addf(to, "\n\nThe file %s:\n", path);
    add_fence(to, s);
    str_buf_add_char(to, '\n');
    str_buf_add(to, s);
    if (s.n && s.p[s.n - 1] != '\n') str_buf_add_char(to, '\n');
    add_fence(to, s);
    str_buf_add_char(to, '\n');
}

static void attach(struct str_buf *to,
                   struct str_buf *notes,
                   const char *path,
                   const struct stat *info)
{
    struct str_buf b;
    struct err e = {0};
    str_buf_init(&b, ATTACH_MAX_BYTES);
    if (!S_ISREG(info->st_mode)) {
        str_buf_addf(notes, "not attached: '%s' is no file\n", path);
    } else if (info->st_size > ATTACH_MAX_BYTES) {
        str_buf_addf(notes, "not attached: '%s' has %lld bytes, more than %d\n", path,
                     (long long)info->st_size, ATTACH_MAX_BYTES);
    } else if (file_read(&b, path, &e)) {
        str_buf_addf(notes, "not attached: %s\n", e.text);
    } else if (!str_is_utf8(str_buf_str(&b)) || memchr(b.p ? b.p : "", 0, b.n)) {
        str_buf_addf(notes, "not attached: '%s' is no text\n", path);
    } else {
        add_file(to, path, str_buf_str(&b));
        str_buf_addf(notes, "attached: %s, %zu bytes\n", path, b.n);
    }
    str_buf_release(&b);
}

void attach_files(struct str_buf *to, struct str_buf *notes, struct str text)
{
    char seen[ATTACH_MAX_FILES][PATH_BYTES];
    size_t n_seen = 0;
    for (size_t i = 0; i < text.n; i++) {
        char path[PATH_BYTES];
        struct stat info;
        if (text.p[i] != '@' || (i && !is_blank(text.p[i - 1]))) continue;
        size_t end = i + 1;
        while (end < text.n && !is_blank(text.p[end])) {
            end++;
        }
        if (!find_path(str_cut(text, i + 1, end), path, &info)) continue;
        size_t k = 0;
        while (k < n_seen && strcmp(seen[k], path) != 0) {
            k++;
        }
        if (k < n_seen || n_seen == ATTACH_MAX_FILES) continue;
        memcpy(seen[n_seen++], path, PATH_BYTES);
        attach(to, notes, path, &info);
    }
}
