/* pretok.h - cuts text into the pieces that merges may not cross.
 *
 * The rules are alternatives tried in order at each place; the first that matches
 * takes its longest match.  Letters, marks and numbers are Unicode's general
 * categories L, M, N; white space is Unicode's White_Space.
 *
 *      PRETOK_QWEN2                            PRETOK_QWEN35
 *   1  's 't 're 've 'm 'll 'd, any case       the same
 *   2  [not CR, LF, L, N]? L+                  [not CR, LF, L, N]? [L M]+
 *   3  one N                                   the same
 *   4  blank? [not space, L, N]+ [CR LF]*      blank? [not space, L, M, N]+ [CR LF]*
 *   5  space* [CR LF]+                         the same
 *   6  space+ that no other character follows, so all but the last before text
 *   7  space+                                  the same
 *
 * A byte that is no well-formed UTF-8 counts as one symbol (not space, L, M, N).
 * Source: the pre-tokenizer patterns of the Qwen2 and Qwen3.5 model families. */
#ifndef QA_PRETOK_H
#define QA_PRETOK_H

#include "engine/base/str.h"

enum pretok_rule { PRETOK_QWEN2, PRETOK_QWEN35 };

/* Bytes of the first piece of s; s.n >= 1.  Calling it again for the rest walks all
 * pieces in time linear in s.n. */
size_t pretok_next(enum pretok_rule rule, struct str s);

/* Bytes of the first character of s (s.n >= 1) and its code point in *code; a byte
 * that begins no well-formed character is 1 byte and code -1. */
size_t pretok_char(struct str s, int32_t *code);

#endif
