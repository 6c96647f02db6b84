/* line.c - the line being typed: libedit edits, the caller draws. */
#include "cmd/repl/line.h"

#include "cmd/repl/chips.h"
#include "cmd/repl/history.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <utf8proc.h>

enum { ESC_WAIT_MS = 50, PASTE_WAIT_MS = 2000, INPUT_BYTES = 4096 };
enum { REMEMBER_MAX_BYTES = 32 << 10 }; /* a text larger than that is no line */

struct line {
    struct line_hooks hooks;
    EditLine *el;
    struct history history;
    struct chips chips;
    FILE *nowhere;         /* where libedit draws */
    struct termios before; /* of the terminal, for the end and Ctrl-Z */
    char in[INPUT_BYTES];  /* bytes read and not looked at yet        */
    size_t n_in;
    wchar_t out[INPUT_BYTES]; /* keys for libedit                        */
    size_t n_out, i_out;
    struct str_buf paste;
    struct str_buf next; /* for the next line, set between two */
    bool is_reading, is_over;
    bool is_searching; /* Ctrl-R: keys are libedit's */
    bool has_prefix;   /* Ctrl-X was the last key */
};

/* ---- text ---- */

static wchar_t *to_wide(struct str s)
{
    wchar_t *w = malloc((s.n + 1) * sizeof *w);
    size_t n = 0;
    for (size_t i = 0; w && i < s.n;) {
        utf8proc_int32_t cp;
        const utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i,
                                                    (utf8proc_ssize_t)(s.n - i), &cp);
        w[n++] = k > 0 && cp ? (wchar_t)cp : 0xFFFD;
        i += k > 0 ? (size_t)k : 1;
    }
    if (w) w[n] = 0;
    return w;
}

static char *to_bytes(const wchar_t *w, size_t n)
{
    struct str_buf b;
    str_buf_init(&b, 64 << 20);
    str_buf_add_z(&b, "");
    for (size_t i = 0; i < n; i++) {
        utf8proc_uint8_t p[4];
        const utf8proc_ssize_t k = utf8proc_encode_char((utf8proc_int32_t)w[i], p);
        str_buf_add(&b, (struct str){(const char *)p, (size_t)QA_MAX(k, (utf8proc_ssize_t)0)});
    }
    return b.p ? str_buf_take(&b) : strdup("");
}

struct line_view line_view(struct line *l)
{
    const LineInfoW *i = el_wline(l->el);
    return (struct line_view){i->buffer, (size_t)(i->lastchar - i->buffer),
                              (size_t)(i->cursor - i->buffer)};
}

char *line_text(struct line *l)
{
    const struct line_view v = line_view(l);
    if (!l->is_reading) return strdup(l->next.p ? l->next.p : "");
    return to_bytes(v.text, v.n);
}

char *line_before(struct line *l)
{
    const struct line_view v = line_view(l);
    return to_bytes(v.text, v.i_cursor);
}

char *line_full(struct line *l, const char *text)
{
    return chips_expand(&l->chips, text);
}

void line_insert(struct line *l, struct str text)
{
    if (!l->is_reading) { /* libedit begins each line with nothing */
        str_buf_add(&l->next, text);
        return;
    }
    wchar_t *w = to_wide(text);
    if (w && *w) el_winsertstr(l->el, w);
    free(w);
}

void line_set(struct line *l, const char *text)
{
    const struct line_view v = line_view(l);
    if (l->is_reading) {
        el_cursor(l->el, (int)(v.n - v.i_cursor));
        el_wdeletestr(l->el, (int)v.n);
    }
    str_buf_reset(&l->next);
    line_insert(l, str_of(text));
}

void line_put(struct line *l, struct str text)
{
    const char *label = chips_is_long(text) ? chips_add(&l->chips, text) : NULL;
    line_insert(l, label ? str_of(label) : text);
}

/* The chip that ends at the cursor goes; true when there was one.  `in_full`: its text
 * takes its place. */
static bool take_chip(struct line *l, bool in_full)
{
    char *before = line_before(l);
    const struct chip *chip = chips_at_end(&l->chips, str_of(before));
    if (chip) {
        el_wdeletestr(l->el, (int)strlen(chip->label));
        if (in_full) line_insert(l, str_of(chip->text));
    }
    free(before);
    return chip != NULL;
}

/* ---- keys ---- */

static void give(struct line *l, wchar_t c)
{
    if (l->n_out < INPUT_BYTES) l->out[l->n_out++] = c;
}

static void drop(struct line *l, size_t n)
{
    memmove(l->in, l->in + n, l->n_in - n);
    l->n_in -= n;
}

static bool hook(struct line *l, enum line_key key)
{
    return l->hooks.key(l->hooks.ctx, key);
}

/* More bytes, for at most ms.  False: none came. */
static bool read_more(struct line *l, int ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (l->n_in == sizeof l->in || poll(&p, 1, ms) <= 0) return false;
    const ssize_t n = read(STDIN_FILENO, l->in + l->n_in, sizeof l->in - l->n_in);
    if (n > 0) l->n_in += (size_t)n;
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) l->is_over = true;
    return n > 0;
}

/* Text up to the end of the paste; an end that never comes ends with the bytes. */
static void take_paste(struct line *l)
{
    static const struct str close = STR("\033[201~");
    const double until_s = clock_now_s() + PASTE_WAIT_MS * 1e-3;
    str_buf_reset(&l->paste);
    for (;;) {
        const struct str all = {l->in, l->n_in};
        const size_t end = str_find(all, close);
        /* Without the end, all but what may be its beginning. */
        const size_t n = end != SIZE_MAX ? end : l->n_in - QA_MIN(l->n_in, close.n - 1);
        str_buf_add(&l->paste, str_cut(all, 0, n));
        drop(l, end != SIZE_MAX ? n + close.n : n);
        if (end != SIZE_MAX || (!read_more(l, ESC_WAIT_MS) && clock_now_s() > until_s)) break;
        if (l->is_over) break;
    }
    struct str_buf text;
    const struct str raw = str_buf_str(&l->paste);
    str_buf_init(&text, 64 << 20);
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '\r') {
            if (i + 1 == raw.n || raw.p[i + 1] != '\n') str_buf_add_char(&text, '\n');
        } else {
            str_buf_add_char(&text, raw.p[i]);
        }
    }
    line_put(l, str_buf_str(&text));
    str_buf_release(&text);
}

/* In a text of several lines the arrows go from line to line. */
static bool has_line_above(struct line *l, bool is_up)
{
    const struct line_view v = line_view(l);
    for (size_t i = is_up ? 0 : v.i_cursor; i < (is_up ? v.i_cursor : v.n); i++) {
        if (v.text[i] == L'\n') return true;
    }
    return false;
}

static void take_arrow(struct line *l, const char *bytes, size_t n, bool is_up)
{
    if (is_up && !line_view(l).n && hook(l, LINE_UP)) return;
    if (has_line_above(l, is_up)) {
        give(l, 0x18); /* bound to ed-prev-line and ed-next-line */
        give(l, is_up ? 'P' : 'N');
        return;
    }
    for (size_t i = 0; i < n; i++) {
        give(l, (unsigned char)bytes[i]);
    }
}

/* Shift-Enter, Alt-Enter and Ctrl-Enter, where the terminal tells them from Enter. */
static bool is_newline_key(const char *key)
{
    static const char *const keys[] = {"\033[13;2u",    "\033[13;3u",    "\033[13;5u",
                                       "\033[27;2;13~", "\033[27;3;13~", "\033[27;5;13~"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (strcmp(key, keys[i]) == 0) return true;
    }
    return false;
}

/* An escape key, or the sequence that a key sends. */
static void take_escape(struct line *l)
{
    if (l->n_in == 1 && !read_more(l, ESC_WAIT_MS)) {
        drop(l, 1);
        hook(l, LINE_ESC);
        return;
    }
    if (l->in[1] == '\r' || l->in[1] == '\n') {
        drop(l, 2);
        line_insert(l, STR("\n"));
        return;
    }
    if (l->in[1] == '\033') {
        drop(l, 1);
        hook(l, LINE_ESC);
        return;
    }
    size_t n = 2;
    if (l->in[1] == '[' || l->in[1] == 'O') {
        for (;; n++) {
            if (n == l->n_in && !read_more(l, ESC_WAIT_MS)) break;
            if (l->in[n] >= 0x40 && l->in[n] <= 0x7E) {
                n++;
                break;
            }
        }
        n = QA_MIN(n, l->n_in);
    }
    char key[16] = "";
    const size_t kept = QA_MIN(n, sizeof key - 1);
    memcpy(key, l->in, kept);
    drop(l, n);
    if (strcmp(key, "\033[200~") == 0) {
        take_paste(l);
    } else if (is_newline_key(key)) {
        line_insert(l, STR("\n"));
    } else if (strcmp(key, "\033[A") == 0 || strcmp(key, "\033OA") == 0) {
        take_arrow(l, key, kept, true);
    } else if (strcmp(key, "\033[B") == 0 || strcmp(key, "\033OB") == 0) {
        take_arrow(l, key, kept, false);
    } else {
        for (size_t i = 0; i < kept; i++) {
            give(l, (unsigned char)key[i]);
        }
    }
}

/* Enter sends, unless a backslash stands in front of it at the end of the text. */
static void take_enter(struct line *l)
{
    const struct line_view v = line_view(l);
    if (v.n && v.i_cursor == v.n && v.text[v.n - 1] == L'\\') {
        el_wdeletestr(l->el, 1);
        line_insert(l, STR("\n"));
        return;
    }
    give(l, L'\n');
}

static void take_char(struct line *l)
{
    const unsigned char c = (unsigned char)l->in[0];
    const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
    while (l->n_in < n && read_more(l, ESC_WAIT_MS)) {
    }
    utf8proc_int32_t cp;
    const utf8proc_ssize_t k =
        utf8proc_iterate((const utf8proc_uint8_t *)l->in, (utf8proc_ssize_t)l->n_in, &cp);
    give(l, k > 0 ? (wchar_t)cp : 0xFFFD);
    drop(l, k > 0 ? (size_t)k : 1);
}

/* While libedit searches its history: what belongs to the search, and what ends it. */
static void take_search_key(struct line *l)
{
    enum { ABORT = 0x07, AGAIN = 0x12, BACK = 0x13 };
    const char c = l->in[0];
    if (c == 0x03 || c == '\033' || c == ABORT) {
        l->is_searching = false;
        give(l, ABORT);
        if (c == '\033') read_more(l, ESC_WAIT_MS); /* the rest of the key goes too */
        drop(l, c == '\033' ? l->n_in : 1);
        return;
    }
    const bool is_control = (unsigned char)c < 0x20;
    if (is_control && c != AGAIN && c != BACK && c != 0x08) l->is_searching = false;
    if (c == '\r') {
        drop(l, 1);
        give(l, L'\n');
    } else {
        take_char(l);
    }
}

static void take_key(struct line *l)
{
    static const struct {
        char byte;
        enum line_key key;
    } keys[] = {
        {0x03, LINE_CTRL_C },
        {0x07, LINE_EDITOR },
        {'\t', LINE_TAB    },
        {0x0C, LINE_CLEAR  },
        {0x1A, LINE_SUSPEND},
    };
    const char c = l->in[0];
    if (l->is_searching) {
        take_search_key(l);
        return;
    }
    l->is_searching = c == 0x12;
    if (l->has_prefix) {
        l->has_prefix = false;
        if (c == 0x05) { /* Ctrl-X Ctrl-E */
            drop(l, 1);
            hook(l, LINE_EDITOR);
            return;
        }
        give(l, 0x18);
    }
    if (c == 0x18) {
        drop(l, 1);
        l->has_prefix = true;
        return;
    }
    const bool is_rubout = c == 0x7F || c == 0x08;
    if ((is_rubout || c == '\t') && take_chip(l, c == '\t')) {
        drop(l, 1);
        return;
    }
    if (c == '\033') {
        take_escape(l);
        return;
    }
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (keys[i].byte != c) continue;
        drop(l, 1);
        hook(l, keys[i].key);
        return;
    }
    if (c == 0x04 && !line_view(l).n) {
        drop(l, 1);
        hook(l, LINE_CTRL_D);
    } else if (c == '\r') {
        drop(l, 1);
        take_enter(l);
    } else if (c == '\n') { /* Ctrl-J */
        drop(l, 1);
        line_insert(l, STR("\n"));
    } else {
        take_char(l);
    }
}

/* libedit asks for a key. */
static int next_key(EditLine *el, wchar_t *c)
{
    struct line *l;
    if (el_wget(el, EL_CLIENTDATA, &l)) return -1;
    if (!l->is_reading) {
        l->is_reading = true;
        line_insert(l, str_buf_str(&l->next));
        str_buf_reset(&l->next);
    }
    while (l->i_out == l->n_out) {
        l->i_out = l->n_out = 0;
        /* Drawing for each byte of a burst would take a second a page. */
        const int ms = l->is_over ? -1 : l->n_in ? 0 : l->hooks.wait(l->hooks.ctx);
        if (ms < 0) {
            l->is_over = true;
            return 0;
        }
        struct pollfd p[] = {
            {.fd = STDIN_FILENO, .events = POLLIN},
            {.fd = l->hooks.fd,  .events = POLLIN}
        };
        if (!l->n_in && poll(p, 2, ms) > 0 && p[0].revents) read_more(l, 0);
        if (l->n_in) take_key(l);
    }
    *c = l->out[l->i_out++];
    return 1;
}

void line_remember(struct line *l, const char *text)
{
    char *full = line_full(l, text);
    const size_t n = full ? strlen(full) : 0;
    wchar_t *w = n && n <= REMEMBER_MAX_BYTES && *full != ' ' ? to_wide(str_of(full)) : NULL;
    if (w) history_add(&l->history, w);
    free(w);
    free(full);
}

/* ---- the terminal ---- */

void line_go_on(struct line *l)
{
    struct termios t = l->before;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    t.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IXON);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
    fputs("\033[?2004h", stdout);
    fflush(stdout);
}

/* What was typed before the terminal was raw: there Enter came as a newline. */
static void take_early(struct line *l)
{
    if (!read_more(l, 0)) return;
    for (size_t i = 0; i < l->n_in; i++) {
        if (l->in[i] == '\n') l->in[i] = '\r';
    }
}

void line_pause(struct line *l)
{
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &l->before);
}

void line_suspend(struct line *l)
{
    line_pause(l);
    kill(0, SIGTSTP);
    line_go_on(l);
}

static wchar_t *no_prompt(EditLine *el)
{
    static wchar_t none[] = L"";
    (void)el;
    return none;
}

static void bind_keys(struct line *l)
{
    static const wchar_t *const keys[][2] = {
        {L"\033[3~",   L"ed-delete-next-char"},
        {L"\033[H",    L"ed-move-to-beg"     },
        {L"\033[F",    L"ed-move-to-end"     },
        {L"\033OH",    L"ed-move-to-beg"     },
        {L"\033OF",    L"ed-move-to-end"     },
        {L"\033[1~",   L"ed-move-to-beg"     },
        {L"\033[4~",   L"ed-move-to-end"     },
        {L"\033[1;5D", L"ed-prev-word"       },
        {L"\033[1;5C", L"em-next-word"       },
        {L"\033[A",    L"ed-prev-history"    },
        {L"\033[B",    L"ed-next-history"    },
        {L"\033[C",    L"ed-next-char"       },
        {L"\033[D",    L"ed-prev-char"       },
        {L"\030P",     L"ed-prev-line"       },
        {L"\030N",     L"ed-next-line"       },
        {L"^R",        L"em-inc-search-prev" },
        {L"^W",        L"ed-delete-prev-word"},
        {L"^U",        L"vi-kill-line-prev"  },
    };
    for (size_t i = 0; i < COUNT(keys); i++) {
        el_wset(l->el, EL_BIND, keys[i][0], keys[i][1], NULL);
    }
}

enum status line_open(struct line **out,
                      const struct line_hooks *hooks,
                      const char *history,
                      struct err *e)
{
    struct line *l = calloc(1, sizeof *l);
    if (!l) return err_set(e, QA_E_NOMEM, "out of memory");
    l->hooks = *hooks;
    str_buf_init(&l->paste, 64 << 20);
    str_buf_init(&l->next, 64 << 20);
    if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "");
    if (tcgetattr(STDIN_FILENO, &l->before)) {
        free(l);
        return err_errno(e, QA_E_IO, errno, "cannot set the terminal");
    }
    /* libedit switches between the modes it finds and its own: both are raw. */
    line_go_on(l);
    take_early(l);
    l->nowhere = fopen("/dev/null", "we");
    /* It asks the descriptors for a terminal, and writes to the streams. */
    l->el = l->nowhere ? el_init_fd("qagent", stdin, l->nowhere, l->nowhere, STDIN_FILENO,
                                    STDOUT_FILENO, STDERR_FILENO)
                       : NULL;
    enum status st = l->el ? QA_OK : err_set(e, QA_E_IO, "cannot start the line editor");
    if (!st) st = history_open(&l->history, history, e);
    if (st) {
        line_close(l);
        return st;
    }
    el_wset(l->el, EL_CLIENTDATA, l);
    el_wset(l->el, EL_GETCFN, next_key);
    el_wset(l->el, EL_PROMPT, no_prompt);
    el_wset(l->el, EL_EDITOR, L"emacs");
    el_wset(l->el, EL_SIGNAL, 0);
    el_wset(l->el, EL_HIST, history_w, l->history.lines);
    /* Between two lines too ("-x"): an Enter that comes there must not become a newline. */
    el_wset(l->el, EL_SETTY, L"-d", L"-isig", L"-icrnl", L"-inlcr", NULL);
    el_wset(l->el, EL_SETTY, L"-x", L"-isig", L"-icrnl", L"-inlcr", L"-icanon", L"-echo", NULL);
    bind_keys(l);
    *out = l;
    return QA_OK;
}

void line_close(struct line *l)
{
    if (!l) return;
    if (l->el) el_end(l->el);
    history_close(&l->history);
    chips_release(&l->chips);
    if (l->nowhere) fclose(l->nowhere);
    line_pause(l);
    str_buf_release(&l->paste);
    str_buf_release(&l->next);
    free(l);
}

char *line_read(struct line *l)
{
    int n = 0;
    const wchar_t *w = l->is_over ? NULL : el_wgets(l->el, &n);
    if (!w || n <= 0 || l->is_over) return NULL;
    l->is_reading = false;
    if (w[n - 1] == L'\n') n--;
    return to_bytes(w, (size_t)n);
}
