/* fuzz_view.c - any bytes as text for the terminal: what a model or a program wrote
 * cannot steer it, wherever the bytes are cut, and no row is wider than the window. */
#include "cmd/repl/screen.h"
#include "cmd/view.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* s made inert, fed in pieces of `step` bytes. */
static void make_inert(struct str_buf *b, struct str s, size_t step, bool is_inert)
{
    struct view_tail tail = {0};
    str_buf_init(b, 64 << 20);
    for (size_t i = 0; i < s.n; i += step) {
        view_add(b, &tail, str_cut(s, i, i + step), is_inert);
    }
    ASSERT(!b->bad && tail.n < sizeof tail.p);
}

/* Characters that move the cursor, turn the direction or hide. */
static bool is_harmful(struct str s, size_t i)
{
    const unsigned char c = (unsigned char)s.p[i];
    if (c < 0x20) return c != '\n' && c != '\t';
    if (c == 0x7F) return true;
    if (c == 0xC2) return (unsigned char)s.p[i + 1] < 0xA0;
    if (c != 0xE2) return false;
    const unsigned char d = (unsigned char)s.p[i + 1];
    const unsigned char e = (unsigned char)s.p[i + 2];
    return d == 0x80 ? (e >= 0x8B && e <= 0x8F) || (e >= 0xA8 && e <= 0xAE)
                     : d == 0x81 && e >= 0xA0 && e <= 0xAF;
}

static void check_inert(struct str s)
{
    ASSERT(str_is_utf8(s));
    for (size_t i = 0; i < s.n; i++) {
        ASSERT(!is_harmful(s, i));
    }
}

/* All that a screen of `cols` columns wrote, but for its own sequences, is inert and
 * fits; returns the text without blanks and ends of lines. */
static void check_rows(struct str out, int cols)
{
    static const char letters[] = "ABCDEFGHJKhlm";
    int width = 0;
    for (size_t i = 0; i < out.n;) {
        int columns;
        if (out.p[i] == '\033') { /* CSI, parameters, one of a few letters */
            ASSERT(out.p[++i] == '[');
            for (i++; strchr("0123456789;?", out.p[i]); i++) {
            }
            ASSERT(strchr(letters, out.p[i++]));
            continue;
        }
        if (out.p[i] == '\n' || out.p[i] == '\r') {
            width = 0;
            i++;
            continue;
        }
        ASSERT(!is_harmful(out, i));
        i += screen_next(str_cut(out, i, out.n), &columns);
        width += columns;
        ASSERT(width < cols);
    }
}

static void check_screen(struct str inert, struct str raw, int cols, bool breaks_words)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    struct screen s;
    wchar_t input[64];
    size_t n_input = 0;
    ASSERT(f);
    screen_init(&s, f, true, cols & 1);
    screen_resize(&s, cols, 10);
    screen_text(&s, STYLE_DIM, "* ", breaks_words, str_cut(inert, 0, inert.n / 2));
    for (size_t i = 0; i < raw.n && n_input < COUNT(input); i++) {
        if (raw.p[i]) input[n_input++] = (unsigned char)raw.p[i];
    }
    const struct screen_live live = {.status = STR("ready"),
                                     .queue = &inert,
                                     .n_queue = 1,
                                     .input = input,
                                     .n_input = n_input,
                                     .i_cursor = n_input / 2};
    screen_draw(&s, &live);
    screen_text(&s, STYLE_CODE, "  ", breaks_words, str_cut(inert, inert.n / 2, inert.n));
    screen_draw(&s, &live);
    screen_hide(&s);
    screen_release(&s);
    fclose(f);
    check_rows((struct str){text, n}, cols);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 2048) return 0;
    const struct str s = {(const char *)data + 1, size - 1};
    struct str_buf whole, cut, plain, again;
    make_inert(&whole, s, s.n + 1, true);
    make_inert(&cut, s, 1 + data[0] % 5, true);
    make_inert(&plain, s, s.n + 1, false);
    const struct str inert = str_buf_str(&whole);
    ASSERT(str_eq(inert, str_buf_str(&cut)));
    check_inert(inert);
    ASSERT(str_is_utf8(str_buf_str(&plain)));
    /* Nothing is left to be changed. */
    make_inert(&again, inert, inert.n + 1, true);
    ASSERT(str_eq(inert, str_buf_str(&again)));
    check_screen(inert, s, 20 + data[0] % 64, data[0] & 128);
    str_buf_release(&whole);
    str_buf_release(&cut);
    str_buf_release(&plain);
    str_buf_release(&again);
    return 0;
}
