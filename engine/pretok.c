/* pretok.c - the split rule, tried in this order at each place (marks M count as
 * letters under qwen35 alone):
 *
 *   1  's 't 're 've 'm 'll 'd, any case
 *   2  one character but CR, LF, letter, number; then letters     both parts greedy,
 *      the first optional
 *   3  one number
 *   4  an optional space; characters but blank, letter, number; then CR and LF
 *   5  blanks up to and with the last CR or LF of the run
 *   6  blanks that no other character follows: a run but its last, if more follows
 *   7  blanks
 */
#include "engine/pretok.h"

#include <utf8proc.h>

enum char_kind { LETTER = 1, MARK = 2, NUMBER = 4, SPACE = 8, NEWLINE = 16, OTHER = 32 };

struct unit {
    size_t n;            /* bytes; 0 at the end of the text */
    enum char_kind kind; /* NEWLINE is a blank too          */
    int32_t code;
};

static bool is_blank(int32_t c)
{
    if (c <= 0x20) return c == 0x20 || (c >= 9 && c <= 13);
    if (c < 0x1680) return c == 0x85 || c == 0xA0;
    return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static enum char_kind classify(int32_t c)
{
    if (c < 0) return OTHER;
    if (c < 128) {
        if (c == '\r' || c == '\n') return NEWLINE;
        if ((c | 32) >= 'a' && (c | 32) <= 'z') return LETTER;
        if (c >= '0' && c <= '9') return NUMBER;
        return is_blank(c) ? SPACE : OTHER;
    }
    if (is_blank(c)) return SPACE;
    const utf8proc_category_t k = utf8proc_category(c);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) return LETTER;
    if (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME) return MARK;
    if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) return NUMBER;
    return OTHER;
}

size_t pretok_char(struct str s, int32_t *code)
{
    const unsigned char first = (unsigned char)s.p[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p,
                                                s.n > 4 ? 4 : (utf8proc_ssize_t)s.n, &c);
    *code = n > 0 ? c : -1;
    return n > 0 ? (size_t)n : 1;
}

static struct unit unit_at(struct str s, size_t at)
{
    struct unit u = {.kind = OTHER, .code = -1};
    if (at >= s.n) return u;
    u.n = pretok_char(str_cut(s, at, s.n), &u.code);
    u.kind = classify(u.code);
    return u;
}

/* End of the run of characters of these classes from `at`. */
static size_t run_end(struct str s, size_t at, unsigned kinds)
{
    for (;;) {
        const struct unit u = unit_at(s, at);
        if (!u.n || !((unsigned)u.kind & kinds)) return at;
        at += u.n;
    }
}

/* Rule 1; 0 when it does not match.  Any case includes the long s, U+017F. */
static size_t contraction(struct str s)
{
    if (s.p[0] != '\'' || s.n < 2) return 0;
    if (str_starts(str_cut(s, 1, s.n), STR("\xC5\xBF"))) return 3;
    const int a = s.p[1] | 32;
    const int b = s.n > 2 ? s.p[2] | 32 : 0;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return a == 's' || a == 't' || a == 'm' || a == 'd' ? 2 : 0;
}

/* Rules 5 to 7: s begins with a blank. */
static size_t blanks(struct str s)
{
    size_t at = 0;
    size_t last = 0;          /* start of the last blank      */
    size_t after_newline = 0; /* end of the last CR or LF     */
    for (;;) {
        const struct unit u = unit_at(s, at);
        if (!u.n || !(u.kind & (SPACE | NEWLINE))) break;
        last = at;
        at += u.n;
        if (u.kind == NEWLINE) after_newline = at;
    }
    if (after_newline) return after_newline;
    return at < s.n && last > 0 ? last : at;
}

size_t pretok_next(enum pretok_rule rule, struct str s)
{
    const unsigned letters = rule == PRETOK_QWEN35 ? LETTER | MARK : LETTER;
    const unsigned symbols = rule == PRETOK_QWEN35 ? OTHER : OTHER | MARK;
    const size_t short_word = contraction(s);
    if (short_word) return short_word;

    const struct unit first = unit_at(s, 0);
    if (!(first.kind & (LETTER | NUMBER | NEWLINE))) {
        const size_t end = run_end(s, first.n, letters);
        if (end > first.n) return end;
    }
    if ((unsigned)first.kind & letters) return run_end(s, 0, letters);
    if (first.kind == NUMBER) return first.n;

    const size_t from = first.code == ' ' ? first.n : 0;
    const size_t end = run_end(s, from, symbols);
    if (end > from) return run_end(s, end, NEWLINE);
    return blanks(s);
}
