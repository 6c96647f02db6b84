/* screen.c - the terminal of a session: scrolling text above, a live part below. */
#include "cmd/repl/screen.h"

#include "cmd/view.h"

#include <stdarg.h>
#include <string.h>
#include <utf8proc.h>

enum { TAB = 4, MIN_COLS = 20, PROMPT_COLS = 2 };

static const char *const SGR[STYLE_COUNT] = {"",         "\033[2m",  "\033[1m",
                                             "\033[32m", "\033[31m", "\033[36m"};

void screen_init(struct screen *s, FILE *f, bool is_live, bool has_colour)
{
    *s = (struct screen){
        .f = f, .is_live = is_live, .has_colour = has_colour, .cols = 80, .rows = 24};
    s->margin = s->lead = "";
    str_buf_init(&s->out, 64 << 20);
    str_buf_init(&s->line, 1 << 20);
    str_buf_init(&s->drawn, 64 << 20);
}

void screen_release(struct screen *s)
{
    str_buf_release(&s->out);
    str_buf_release(&s->line);
    str_buf_release(&s->drawn);
}

/* ---- widths ---- */

int screen_width(unsigned code_point)
{
    return utf8proc_charwidth((utf8proc_int32_t)code_point);
}

size_t screen_next(struct str s, int *columns)
{
    utf8proc_int32_t cp = 0;
    const utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &cp);
    *columns = n > 0 ? screen_width((unsigned)cp) : 1;
    return n > 0 ? (size_t)n : 1;
}

static int text_width(struct str s)
{
    int width = 0;
    for (size_t i = 0; i < s.n;) {
        int columns;
        i += screen_next(str_cut(s, i, s.n), &columns);
        width += columns;
    }
    return width;
}

void screen_resize(struct screen *s, int cols, int rows)
{
    s->cols = QA_MAX(cols, MIN_COLS);
    s->rows = QA_MAX(rows, 5);
    /* A narrower terminal has broken what was drawn into more rows. */
    int above = 0;
    for (int i = 0; i < s->i_cursor && i < SCREEN_MAX_ROWS; i++) {
        above += QA_MAX((s->drawn_width[i] + s->cols - 1) / s->cols, 1);
    }
    if (s->is_drawn) s->i_cursor = above;
}

/* ---- scrolling text ---- */

static void add_styled(const struct screen *s, struct str_buf *b, struct str text)
{
    const char *sgr = s->has_colour ? SGR[s->style] : "";
    if (!text.n && !*s->lead) return;
    str_buf_add_z(b, sgr);
    str_buf_add_z(b, s->lead);
    str_buf_add(b, text);
    if (*sgr) str_buf_add_z(b, "\033[0m");
}

/* The first n bytes of the unfinished line are a row of their own. */
static void finish_row(struct screen *s, size_t n)
{
    const struct str row = str_cut(str_buf_str(&s->line), 0, n);
    size_t end = row.n;
    while (end && row.p[end - 1] == ' ') {
        end--;
    }
    add_styled(s, &s->out, str_cut(row, 0, end));
    str_buf_add_char(&s->out, '\n');
    const size_t left = s->line.n - n;
    if (left) memmove(s->line.p, s->line.p + n, left);
    s->line.n = left;
    if (s->line.p) s->line.p[left] = 0;
    s->width = text_width(str_buf_str(&s->line));
    s->i_space = 0;
    if (s->is_live && (*s->lead == '>' || *s->lead == '*')) s->lead = "  ";
}

void screen_end_line(struct screen *s)
{
    if (s->line.n) finish_row(s, s->line.n);
    s->margin = s->lead = "";
}

static void add_char(struct screen *s, struct str c, int columns)
{
    const int room = s->cols - 1 - text_width(str_of(s->lead));
    if (s->is_live && s->width + columns > room && s->line.n) {
        if (!s->breaks_words && c.p[0] == ' ') {
            finish_row(s, s->line.n);
            return; /* the blank is where the line was broken */
        }
        finish_row(s, s->breaks_words || !s->i_space ? s->line.n : s->i_space);
    }
    str_buf_add(&s->line, c);
    s->width += columns;
    if (c.p[0] == ' ') s->i_space = s->line.n;
}

void screen_text(struct screen *s,
                 enum screen_style style,
                 const char *margin,
                 bool breaks_words,
                 struct str inert)
{
    if (style != s->style || strcmp(margin, s->margin) != 0) {
        screen_end_line(s);
        s->lead = margin;
    }
    s->style = style;
    s->margin = margin;
    s->breaks_words = breaks_words;
    for (size_t i = 0; i < inert.n;) {
        int columns;
        const struct str rest = str_cut(inert, i, inert.n);
        const size_t n = screen_next(rest, &columns);
        i += n;
        if (rest.p[0] == '\n') {
            finish_row(s, s->line.n);
        } else if (rest.p[0] == '\t') {
            const int blanks = TAB - s->width % TAB;
            for (int k = 0; k < blanks; k++) {
                add_char(s, STR(" "), 1);
            }
        } else {
            add_char(s, str_cut(rest, 0, n), columns);
        }
    }
}

void screen_line(struct screen *s, enum screen_style style, const char *fmt, ...)
{
    struct str_buf b;
    va_list ap;
    str_buf_init(&b, 1 << 20);
    va_start(ap, fmt);
    str_buf_vaddf(&b, fmt, ap);
    va_end(ap);
    screen_end_line(s);
    screen_text(s, style, "", false, str_buf_str(&b));
    finish_row(s, s->line.n);
    s->style = STYLE_PLAIN;
    str_buf_release(&b);
}

/* ---- the lower part ---- */

/* A row of the lower part; text is cut to the width. */
static void add_row(struct screen *s, struct str_buf *b, const char *sgr, struct str text)
{
    int width = 0;
    size_t n = 0;
    while (n < text.n && text.p[n] != '\n') {
        int columns;
        const size_t k = screen_next(str_cut(text, n, text.n), &columns);
        if (width + columns > s->cols - 1) break;
        width += columns;
        n += k;
    }
    if (s->n_drawn) str_buf_add_char(b, '\n');
    if (s->has_colour) str_buf_add_z(b, sgr);
    str_buf_add(b, str_cut(text, 0, n));
    if (s->has_colour && *sgr) str_buf_add_z(b, "\033[0m");
    if (s->n_drawn < SCREEN_MAX_ROWS) s->drawn_width[s->n_drawn] = width;
    s->n_drawn++;
}

/* A typed or pasted character as it is shown: inert, like all text. */
static struct str shown(struct str_buf *b, wchar_t c)
{
    utf8proc_uint8_t p[4];
    struct view_tail tail = {0};
    str_buf_reset(b);
    if (c == L'\t') {
        str_buf_add_z(b, "^I");
    } else {
        const utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, p);
        const size_t n_bytes = (size_t)QA_MAX(n, (utf8proc_ssize_t)0);
        view_add(b, &tail, (struct str){(const char *)p, n_bytes}, true);
    }
    return str_buf_str(b);
}

/* What is typed, broken into rows; *row and *col: where the cursor is. */
static size_t lay_out(const struct screen *s,
                      const struct screen_live *live,
                      struct str_buf *row,
                      size_t max_rows,
                      size_t *i_row,
                      int *col)
{
    size_t n = 0;
    int width = PROMPT_COLS;
    struct str_buf one;
    str_buf_init(&one, 64);
    str_buf_add_z(&row[0], "> ");
    for (size_t i = 0; i <= live->n_input; i++) {
        const wchar_t c = i < live->n_input ? live->input[i] : 0;
        const bool is_break = c == L'\n';
        const struct str text = c && !is_break ? shown(&one, c) : STR("");
        const int columns = c ? text_width(text) : 1;
        if (!is_break && width + columns > s->cols - 1 && n + 1 < max_rows) {
            str_buf_add_z(&row[++n], "  ");
            width = PROMPT_COLS;
        }
        if (i == live->i_cursor) {
            *i_row = n;
            *col = width;
        }
        if (!c) break;
        if (is_break) {
            if (n + 1 == max_rows) break;
            str_buf_add_z(&row[++n], "  ");
            width = PROMPT_COLS;
            continue;
        }
        str_buf_add(&row[n], text);
        width += columns;
    }
    str_buf_release(&one);
    return n + 1;
}

static void draw_input(struct screen *s,
                       const struct screen_live *live,
                       struct str_buf *b,
                       int *col)
{
    enum { MOST = 4096 };
    static struct str_buf rows[MOST]; /* too large for the stack */
    size_t i_row = 0;
    const size_t height = (size_t)QA_MAX(s->rows - s->n_drawn - 1, 2);
    for (size_t i = 0; i < MOST; i++) {
        if (rows[i].max) break;
        str_buf_init(&rows[i], 1 << 16);
    }
    *col = PROMPT_COLS;
    const size_t n = lay_out(s, live, rows, MOST, &i_row, col);
    /* A text higher than the window shows the rows round the cursor. */
    size_t from = i_row >= height ? i_row + 1 - height : 0;
    const size_t to = QA_MIN(n, from + height);
    for (size_t i = from; i < to; i++) {
        if (i == i_row) s->i_cursor = s->n_drawn;
        add_row(s, b, "", str_buf_str(&rows[i]));
    }
    for (size_t i = 0; i < n; i++) {
        str_buf_reset(&rows[i]);
    }
}

static void erase(struct screen *s, struct str_buf *b)
{
    if (!s->is_drawn) return;
    if (s->i_cursor > 0) str_buf_addf(b, "\033[%dA", s->i_cursor);
    str_buf_add_z(b, "\r\033[J");
    s->is_drawn = false;
    s->n_drawn = s->i_cursor = 0;
}

static void write_out(struct screen *s, struct str_buf *b)
{
    fwrite(b->p ? b->p : "", 1, b->n, s->f);
    fflush(s->f);
    str_buf_release(b);
}

void screen_draw(struct screen *s, const struct screen_live *live)
{
    struct str_buf b;
    int col;
    if (!s->is_live) {
        screen_hide(s);
        return;
    }
    const bool was_drawn = s->is_drawn;
    const bool has_news = s->out.n > 0;
    struct str_buf top; /* what is erased and what goes by; then the lower part */
    str_buf_init(&top, 64 << 20);
    str_buf_init(&b, 64 << 20);
    str_buf_add_z(&top, "\033[?25l");
    erase(s, &top);
    str_buf_add(&top, str_buf_str(&s->out));
    str_buf_reset(&s->out);
    if (s->line.n) {
        add_styled(s, &b, str_buf_str(&s->line));
        s->drawn_width[0] = s->width + text_width(str_of(s->lead));
        s->n_drawn = 1;
    }
    add_row(s, &b, SGR[STYLE_DIM], live->status);
    for (size_t i = 0; i < live->n_queue && i < 3; i++) {
        add_row(s, &b, SGR[STYLE_DIM], live->queue[i]);
    }
    draw_input(s, live, &b, &col);
    const int up = s->n_drawn - 1 - s->i_cursor;
    if (up > 0) str_buf_addf(&b, "\033[%dA", up);
    str_buf_addf(&b, "\r\033[%dC\033[?25h", col);
    s->is_drawn = true;
    /* The same again would only undo a selection made with the mouse. */
    if (!was_drawn || has_news || !str_eq(str_buf_str(&b), str_buf_str(&s->drawn))) {
        str_buf_reset(&s->drawn);
        str_buf_add(&s->drawn, str_buf_str(&b));
        str_buf_add(&top, str_buf_str(&b));
        write_out(s, &top);
    }
    str_buf_release(&top);
    str_buf_release(&b);
}

void screen_hide(struct screen *s)
{
    struct str_buf b;
    str_buf_init(&b, 64 << 20);
    erase(s, &b);
    str_buf_add(&b, str_buf_str(&s->out));
    str_buf_reset(&s->out);
    if (s->is_live && s->line.n) { /* it stays where it is, and is drawn anew later */
        screen_end_line(s);
        str_buf_add(&b, str_buf_str(&s->out));
        str_buf_reset(&s->out);
    }
    write_out(s, &b);
}

void screen_clear(struct screen *s)
{
    if (!s->is_live) return;
    fputs("\033[H\033[2J", s->f);
    s->is_drawn = false;
    s->n_drawn = s->i_cursor = 0;
}

void screen_title(struct screen *s, const char *text)
{
    if (!s->is_live || strcmp(s->title, text ? text : "") == 0) return;
    if (!s->title[0]) fputs("\033[22;0t", s->f); /* XTWINOPS: push */
    snprintf(s->title, sizeof s->title, "%s", text ? text : "");
    if (text) fprintf(s->f, "\033]0;%s\a", text);
    if (!text) fputs("\033[23;0t", s->f);
    fflush(s->f);
}
