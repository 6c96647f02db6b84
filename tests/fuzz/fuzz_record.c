/* fuzz_record.c - any bytes as the log of a conversation: what comes out holds together,
 * and the file reads and is listed as its lines say. */
#include "agent/record.h"
#include "agent/talk.h"
#include "tests/fuzz/memory_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct record *r)
{
    size_t at = r->n_prefix;
    ASSERT(r->n_prefix <= r->ids.n);
    for (size_t i = 0; i < r->n; i++) {
        const struct record_message *m = &r->message[i];
        ASSERT(m->text);
        if (m->is_folded) continue;
        ASSERT(m->n_start >= at && m->n_start <= r->ids.n);
        at = m->n_start;
    }
    ASSERT(!r->is_open || r->n > 0);
    if (r->before) check(r->before);
}

/* ---- the file ---- */

static struct memory_file file;
static char dir[40], link_path[64];

static void remove_dir(void)
{
    unlink(link_path);
    rmdir(dir);
}

/* A folder of saved conversations with this one in it. */
static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/qagent-fuzz-XXXXXX");
    ASSERT(mkdtemp(dir));
    snprintf(link_path, sizeof link_path, "%s/x.jsonl", dir);
    ASSERT(symlink(file.path, link_path) == 0);
    atexit(remove_dir);
}

/* As record_read() does it: whole lines, and a message that has no end is taken back. */
static void check_file(const struct record *lines, bool is_refused)
{
    struct record r;
    struct err e = {0};
    char *unfinished = NULL;
    struct talk_saved saved;
    const bool is_read = record_read(&r, file.path, &unfinished, &e) == QA_OK;
    ASSERT(is_read == (!is_refused && lines->n_prefix > 0));
    ASSERT(is_read || e.text[0]);
    if (!dir[0]) make_dir();
    const bool is_listed = talk_list(dir, &saved, 1) == 1;
    ASSERT(is_listed == (is_read && lines->n > 0));
    if (is_listed) {
        ASSERT(saved.n_messages == (int)lines->n);
        ASSERT(str_is_utf8(str_of(saved.first)) && !strchr(saved.first, '\n'));
    }
    if (!is_read) return;
    check(&r);
    ASSERT(!r.is_open && r.n + lines->is_open == lines->n);
    ASSERT(lines->is_open == (unfinished != NULL));
    if (unfinished) ASSERT(strcmp(unfinished, lines->message[lines->n - 1].text) == 0);
    if (!lines->is_open) ASSERT(r.ids.n == lines->ids.n);
    free(unfinished);
    record_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r;
    struct err e = {0};
    struct str rest = {(const char *)data, size};
    bool is_refused = false;
    if (size > 1 << 16) return 0;
    memory_file_set(&file, rest);
    record_init(&r);
    for (size_t end; !is_refused && (end = str_find(rest, STR("\n"))) != SIZE_MAX;) {
        const size_t n_before = r.n;
        const size_t n_ids = r.ids.n;
        is_refused = record_line(&r, str_cut(rest, 0, end), &e) != QA_OK;
        if (is_refused) ASSERT(r.n == n_before && r.ids.n == n_ids); /* nothing has changed */
        check(&r);
        rest = str_cut(rest, end + 1, rest.n);
    }
    check_file(&r, is_refused);
    record_release(&r);
    return 0;
}
