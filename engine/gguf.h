/* gguf.h - the GGUF container: metadata and tensors of one file or a split set.
 *
 * Knows no model.  Trusts nothing: every count, length, type and offset is
 * checked against the bytes that are there before it is used.  Strings and data
 * point into an image of the file (base/file.h) and live as long as the gguf.  Of an
 * image that is not mapped, opening reads the metadata alone: the bytes of tensors
 * are there after load_tensors() (load.h).
 * Source: the format's description, versions 2 and 3, little endian. */
#ifndef QA_GGUF_H
#define QA_GGUF_H

#include "engine/base/file.h"

enum gguf_value {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_VALUE_COUNT
};

/* One metadata pair.  For an array, `item` is the type and `n` the count of its
 * elements; else n = 1 and item = type.  `data` is unaligned file bytes. */
struct gguf_pair {
    struct str key;
    enum gguf_value type, item;
    uint64_t n;
    const uint8_t *data;
    size_t n_bytes;
};

enum { GGUF_MAX_DIMS = 4 };
struct gguf_tensor {
    struct str name;
    uint32_t type; /* see quant.h */
    int n_dims;
    int64_t ne[GGUF_MAX_DIMS]; /* contiguous dimension first; missing ones are 1 */
    const uint8_t *data;       /* read first, see above                               */
    size_t n_bytes;
    int part; /* of the split set */
};

struct gguf;

/* Open `path` and, when it is the first of a split set, the other parts beside it. */
enum status gguf_open(struct gguf **out,
                      const char *path,
                      bool is_mapped,
                      struct err *e) MUST_USE;
/* The same for one whole file in memory, borrowed until close. */
enum status gguf_open_bytes(struct gguf **out,
                            struct str bytes,
                            const char *name,
                            struct err *e) MUST_USE;
void gguf_close(struct gguf *g); /* NULL is fine */

const char *gguf_path(const struct gguf *g);
int gguf_version(const struct gguf *g);
int gguf_n_parts(const struct gguf *g);
/* The file of part i; NULL when the gguf was opened from memory. */
const struct file_image *gguf_image(const struct gguf *g, int i_part);
/* Bytes of part i in front of its tensors. */
size_t gguf_head_bytes(const struct gguf *g, int i_part);
size_t gguf_n_pairs(const struct gguf *g);
const struct gguf_pair *gguf_pair_at(const struct gguf *g, size_t i);
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
/* NULL when there is none. */
const struct gguf_pair *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed reads; false when the key is absent or holds another kind.  Integers of
 * any width are accepted for i64 when the value fits; floats for f64, integers too. */
bool gguf_get_i64(const struct gguf *g, const char *key, int64_t *out);
bool gguf_get_f64(const struct gguf *g, const char *key, double *out);
bool gguf_get_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_get_str(const struct gguf *g, const char *key, struct str *out);
/* Element i of an array (or of a scalar, i = 0). */
bool gguf_item_i64(const struct gguf_pair *p, uint64_t i, int64_t *out);
bool gguf_item_f64(const struct gguf_pair *p, uint64_t i, double *out);

/* Walk the strings of an array of strings: start with *at = 0; false at the end. */
bool gguf_next_string(const struct gguf_pair *p, size_t *at, struct str *out);

#endif
