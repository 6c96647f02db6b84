/* str.h - a borrowed slice of bytes, and a growing buffer that knows its maximum.
 *
 * Slices are not NUL-terminated.  A buffer remembers a failed allocation or an
 * overflow (`bad`), so that one check at the end of building is enough; its
 * bytes are always followed by a NUL that is not counted. */
#ifndef QA_STR_H
#define QA_STR_H

#include "engine/base/err.h"

#include <stdarg.h>

struct str {
    const char *p;
    size_t n;
};

struct str_buf {
    char *p;         /* owned; NULL while empty                  */
    size_t n;        /* bytes in use, the final NUL not counted  */
    size_t cap;      /* bytes allocated                          */
    size_t max;      /* never grows past this many bytes         */
    enum status bad; /* QA_OK, QA_E_NOMEM or QA_E_LIMIT          */
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
struct str str_of(const char *z); /* z may be NULL: empty slice */
bool str_eq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Offset of the first `needle` in s, or SIZE_MAX.  An empty needle is at 0. */
size_t str_find(struct str s, struct str needle);
struct str str_cut(struct str s, size_t from, size_t to); /* clamps both ends */
struct str str_trim(struct str s);                        /* ASCII white space  */
/* Whole slice as a decimal integer within [lo, hi]; false and *out untouched otherwise. */
bool str_to_i64(struct str s, int64_t lo, int64_t hi, int64_t *out);
bool str_to_f64(struct str s, double *out);
/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);
/* Bytes of the well-formed character that s begins with, and its number; 0: s is empty or
 * begins otherwise. */
size_t str_first_char(struct str s, uint32_t *cp);
/* Characters that steer a terminal, turn the direction of text or hide in it: controls of
 * both blocks but newline and tab, controls of direction, what has no width and joins
 * nothing, and the tags. */
bool str_is_steering(uint32_t cp);
/* Text of others within a line of ours: steering characters, newline, tab and what is no
 * UTF-8 become '?', in place. */
void str_make_inert(char *z);

void str_buf_init(struct str_buf *b, size_t max_bytes);
void str_buf_release(struct str_buf *b); /* frees; the buffer may be initialised again */
void str_buf_reset(struct str_buf *b);   /* empties, keeps memory, forgets a failure   */
void str_buf_add(struct str_buf *b, struct str s);
void str_buf_add_z(struct str_buf *b, const char *z);
void str_buf_add_char(struct str_buf *b, char c);
void str_buf_addf(struct str_buf *b, const char *fmt, ...) PRINTF(2, 3);
void str_buf_vaddf(struct str_buf *b, const char *fmt, va_list ap);
struct str str_buf_str(const struct str_buf *b);
/* The bytes move to the caller (free() them); NULL when the buffer failed. */
char *str_buf_take(struct str_buf *b);
/* Status of everything added so far, with a text that names `what`. */
enum status str_buf_check(const struct str_buf *b, const char *what, struct err *e) MUST_USE;

#endif
