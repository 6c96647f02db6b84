/* fold.c - where a line ends. */
#include "cmd/fold.h"

#include "cmd/opt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20 };

void fold_init(struct fold *f, int fd)
{
    *f = (struct fold){.width = isatty(fd) ? opt_columns(fd) : 0};
    str_buf_init(&f->out, OUT_MAX);
}

void fold_release(struct fold *f)
{
    str_buf_release(&f->out);
}

void fold_line(struct fold *f)
{
    str_buf_add_char(&f->out, '\n');
    f->column = 0;
}

/* The first byte of a character. */
static bool is_first(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static int columns_of(struct str s)
{
    int n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += is_first(s.p[i]);
    return n;
}

static bool fits(const struct fold *f, int columns)
{
    return f->width == 0 || f->column + columns <= f->width;
}

static void add_blanks(struct fold *f, int n)
{
    for (int i = 0; i < n && fits(f, 1); i++) {
        str_buf_add_char(&f->out, ' ');
        f->column++;
    }
}

/* Whatever is left of the line does not hold goes on in the next. */
static void add_text(struct fold *f, struct str s, int indent)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_first(s.p[i])) {
            if (!fits(f, 1)) {
                fold_line(f);
                add_blanks(f, f->width > 2 * indent ? indent : 0);
            }
            f->column++;
        }
        str_buf_add_char(&f->out, s.p[i]);
    }
}

void fold_cell(struct fold *f, int width, const char *fmt, ...)
{
    char text[FOLD_CELL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct str s = str_of(text);
    const int n = columns_of(s);
    const int before = width < 0 ? 0 : QA_MAX(width - n, 1);
    const int after = width < 0 ? QA_MAX(-width - n, 0) : 0;
    if (f->column > 0 && !fits(f, before + n + after)) fold_line(f);
    add_blanks(f, before);
    add_text(f, s, 0);
    add_blanks(f, after);
}

/* The blank before a word is written with it, so no line ends in one. */
static void add_word(struct fold *f, struct str word, int n_blanks, int indent)
{
    if (f->column > 0 && !fits(f, n_blanks + columns_of(word))) {
        fold_line(f);
        n_blanks = f->width > 2 * indent ? indent : 0;
    }
    add_blanks(f, n_blanks);
    add_text(f, word, indent);
}

void fold_words(struct fold *f, int indent, const char *fmt, ...)
{
    struct str_buf text;
    va_list ap;
    str_buf_init(&text, OUT_MAX);
    va_start(ap, fmt);
    str_buf_vaddf(&text, fmt, ap);
    va_end(ap);
    const struct str s = str_buf_str(&text);
    for (size_t at = 0; at < s.n;) {
        size_t word = at;
        while (word < s.n && s.p[word] == ' ')
            word++;
        size_t end = word;
        while (end < s.n && s.p[end] != ' ')
            end++;
        if (end > word) add_word(f, str_cut(s, word, end), (int)(word - at), indent);
        at = end;
    }
    str_buf_release(&text);
}
