/* fuzz_line.c - what is done to a typed text: pastes as chips come back to the byte, and a
 * diff that leaves nothing out holds both of its texts. */
#include "cmd/repl/attach.h"
#include "cmd/repl/chips.h"
#include "cmd/repl/diff.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_chips(const char *a, const char *b)
{
    struct chips c = {0};
    struct str_buf typed, full;
    str_buf_init(&typed, 1 << 20);
    str_buf_init(&full, 1 << 20);
    const char *texts[] = {a, b, a};
    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *label = chips_add(&c, str_of(texts[i]));
        ASSERT(label && chips_at_end(&c, str_of(label)) == &c.p[i]);
        str_buf_addf(&typed, "<%s>", label);
        str_buf_addf(&full, "<%s>", texts[i]);
    }
    char *expanded = chips_expand(&c, typed.p);
    ASSERT(strcmp(expanded, full.p) == 0);
    free(expanded);
    /* A text that was typed may look like a label; nothing but labels changes. */
    expanded = chips_expand(&c, a);
    ASSERT(strchr(a, '[') || strcmp(expanded, a) == 0);
    free(expanded);
    chips_release(&c);
    str_buf_release(&typed);
    str_buf_release(&full);
}

/* The lines of one side of a diff. */
static void take_side(struct str_buf *to, struct str diff, char mark)
{
    while (diff.n) {
        const size_t end = str_find(diff, STR("\n"));
        ASSERT(end != SIZE_MAX && end >= 2 && diff.p[1] == ' ');
        if (diff.p[0] == mark || diff.p[0] == ' ') str_buf_add(to, str_cut(diff, 2, end + 1));
        diff = str_cut(diff, end + 1, diff.n);
    }
}

static void check_side(struct str diff, char mark, struct str text)
{
    struct str_buf side;
    str_buf_init(&side, 1 << 20);
    take_side(&side, diff, mark);
    const struct str got = str_buf_str(&side);
    const bool is_ended = !text.n || text.p[text.n - 1] == '\n';
    ASSERT(got.n == text.n + !is_ended && str_starts(got, text));
    str_buf_release(&side);
}

static void check_diff(struct str a, struct str b)
{
    struct str_buf d;
    str_buf_init(&d, 1 << 20);
    diff_lines(&d, a, b);
    const struct str diff = str_buf_str(&d);
    ASSERT((diff.n == 0) == str_eq(a, b) || str_eq(str_trim(a), str_trim(b)));
    if (diff.n && str_find(diff, STR("  ...\n")) == SIZE_MAX) {
        check_side(diff, '-', a);
        check_side(diff, '+', b);
    }
    str_buf_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 2048) return 0;
    const size_t cut = data[0] % size;
    char *a = strndup((const char *)data + 1, cut);
    char *b = strndup((const char *)data + 1 + cut, size - 1 - QA_MIN(cut, size - 1));
    struct str_buf to, notes;
    str_buf_init(&to, 1 << 20);
    str_buf_init(&notes, 1 << 20);
    if (a && b) {
        check_chips(a, b);
        check_diff(str_of(a), str_of(b));
        attach_files(&to, &notes, str_of(a));
        ASSERT(strchr(a, '@') || (!to.n && !notes.n));
    }
    str_buf_release(&to);
    str_buf_release(&notes);
    free(a);
    free(b);
    return 0;
}
