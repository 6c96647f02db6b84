/* gguf.c - reads the GGUF container: bounded, trusts nothing, knows no model. */
#include "engine/gguf.h"

#include "engine/foreign.h"
#include "engine/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 999, MAX_NAME_BYTES = 63, MAX_PATH_SHOWN = 90 };

struct part {
    struct file_image image; /* p NULL for a file in memory */
    const uint8_t *p;
    size_t n;
    size_t data_start;
};

struct gguf {
    char *path;
    int version;
    struct part *parts;
    int n_parts;
    struct gguf_pair *pairs; /* of the first part */
    size_t n_pairs;
    struct gguf_tensor *tensors;
    size_t n_tensors;
    uint32_t *index; /* open hash of tensor names: tensor + 1, 0 = free */
    size_t index_size;
};

/* A reader over one part; `bad` is set once something did not fit or could not be
 * read, and then `why` says so. */
struct reader {
    const uint8_t *p;
    size_t n, at;
    bool bad;
    struct file_image *image; /* NULL: all bytes are there */
    struct err why;
};

static const size_t VALUE_BYTES[GGUF_VALUE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
    [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
    [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->bad || n > r->n - r->at) {
        r->bad = true;
        return NULL;
    }
    if (r->image && file_image_need(r->image, r->at + n, &r->why)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p + r->at;
    r->at += n;
    return p;
}

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? (uint32_t)load(p, 4) : 0;
}

static uint64_t take_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? load(p, 8) : 0;
}

static struct str take_str(struct reader *r)
{
    const uint64_t n = take_u64(r);
    if (n > r->n - r->at) r->bad = true;
    const uint8_t *p = r->bad ? NULL : take(r, (size_t)n);
    return (struct str){(const char *)p, p ? (size_t)n : 0};
}

/* A name from the file for a message: cut. */
struct shown {
    char text[72];
};

static struct shown shown(struct str s)
{
    struct shown out = {""};
    const size_t n = QA_MIN(s.n, sizeof out.text - 1);
    for (size_t i = 0; i < n; i++)
        out.text[i] = s.p[i] ? s.p[i] : '?';
    return out;
}

static enum status cut_off(const struct reader *r, const char *what, struct err *e)
{
    if (r->why.code) return err_set(e, r->why.code, "%s", r->why.text);
    return err_set(e, QA_E_FORMAT, "the file ends inside %s, after %zu bytes", what, r->n);
}

static enum status read_header(struct gguf *g,
                               struct reader *r,
                               uint64_t *n_tensors,
                               uint64_t *n_pairs,
                               struct err *e)
{
    const size_t n_head = QA_MIN(r->n, (size_t)FOREIGN_HEAD_BYTES);
    if (!take(r, n_head))
        return cut_off(r, "the header", e); /* for foreign_refuse() to look at */
    r->at = 0;
    const uint8_t *magic = r->n >= 4 ? take(r, 4) : NULL;
    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        return foreign_refuse((struct str){(const char *)r->p, n_head}, r->n, e);
    }
    const uint32_t version = take_u32(r);
    *n_tensors = take_u64(r);
    *n_pairs = take_u64(r);
    if (r->bad) return cut_off(r, "the header", e);
    if ((version & 0xFFFFU) == 0) {
        return err_set(e, QA_E_FORMAT, "GGUF in big-endian byte order is not read");
    }
    if (version != 2 && version != 3) {
        return err_set(e, QA_E_FORMAT, "GGUF version %u is not read, only 2 and 3%s", version,
                       version == 1 ? "; convert the model again" : "");
    }
    g->version = (int)version;
    /* The smallest pair takes 13 bytes, the smallest tensor info 33. */
    if (*n_pairs > r->n / 13 || *n_tensors > r->n / 33) {
        return err_set(e, QA_E_FORMAT,
                       "the header claims %llu tensors and %llu keys in %zu bytes",
                       (unsigned long long)*n_tensors, (unsigned long long)*n_pairs, r->n);
    }
    return QA_OK;
}

static bool skip_strings(struct reader *r, uint64_t n)
{
    for (uint64_t i = 0; i < n && !r->bad; i++) {
        take_str(r);
    }
    return !r->bad;
}

static enum status read_value(struct reader *r, struct gguf_pair *p, struct err *e)
{
    uint32_t type = take_u32(r);
    p->n = 1;
    p->type = (enum gguf_value)type;
    if (type == GGUF_ARRAY) {
        type = take_u32(r);
        p->n = take_u64(r);
        if (type == GGUF_ARRAY)
            return err_set(e, QA_E_FORMAT, "key '%s': arrays of arrays are not read",
                           shown(p->key).text);
    }
    if (r->bad) return cut_off(r, "the metadata", e);
    if (type >= GGUF_VALUE_COUNT) {
        return err_set(e, QA_E_FORMAT, "key '%s': unknown value type %u", shown(p->key).text,
                       type);
    }
    p->item = (enum gguf_value)type;
    const size_t start = r->at;
    p->data = r->p + start;
    if (type == GGUF_STRING) {
        if (p->n > (r->n - r->at) / 8 || !skip_strings(r, p->n))
            return cut_off(r, "a string of the metadata", e);
    } else {
        const size_t each = VALUE_BYTES[type];
        if (p->n > (r->n - r->at) / each || !take(r, (size_t)p->n * each))
            return cut_off(r, "the metadata", e);
    }
    p->n_bytes = r->at - start;
    return QA_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct gguf_pair *x = *(const struct gguf_pair *const *)a;
    const struct gguf_pair *y = *(const struct gguf_pair *const *)b;
    const size_t n = QA_MIN(x->key.n, y->key.n);
    const int c = n ? memcmp(x->key.p, y->key.p, n) : 0;
    if (c) return c;
    return (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static enum status refuse_double_keys(const struct gguf_pair *pairs, size_t n, struct err *e)
{
    const struct gguf_pair **order = calloc(n + 1, sizeof *order);
    if (!order) return err_set(e, QA_E_NOMEM, "no memory for %zu keys", n);
    for (size_t i = 0; i < n; i++) {
        order[i] = &pairs[i];
    }
    qsort(order, n, sizeof *order, by_key);
    enum status st = QA_OK;
    for (size_t i = 1; i < n && !st; i++) {
        if (by_key(&order[i - 1], &order[i]) == 0) {
            st = err_set(e, QA_E_FORMAT, "key '%s' stands twice in the file",
                         shown(order[i]->key).text);
        }
    }
    free(order);
    return st;
}

static enum status read_pairs(struct reader *r,
                              uint64_t n,
                              struct gguf_pair **out,
                              struct err *e)
{
    struct gguf_pair *pairs = calloc((size_t)n + 1, sizeof *pairs);
    if (!pairs) return err_set(e, QA_E_NOMEM, "no memory for %llu keys", (unsigned long long)n);
    enum status st = QA_OK;
    for (uint64_t i = 0; i < n && !st; i++) {
        const size_t start = r->at;
        pairs[i].key = take_str(r);
        if (r->bad) {
            st = cut_off(r, "the metadata", e);
        } else if (pairs[i].key.n == 0) {
            st = err_set(e, QA_E_FORMAT, "an empty key");
        } else {
            st = read_value(r, &pairs[i], e);
        }
        if (st == QA_E_FORMAT) st = err_wrap(e, st, "at byte %zu", start);
    }
    if (!st) st = refuse_double_keys(pairs, (size_t)n, e);
    if (st) {
        free(pairs);
        return st;
    }
    *out = pairs;
    return QA_OK;
}

static const struct gguf_pair *find_pair(const struct gguf_pair *pairs,
                                         size_t n,
                                         const char *key)
{
    const struct str want = str_of(key);
    for (size_t i = 0; i < n; i++) {
        if (str_eq(pairs[i].key, want)) return &pairs[i];
    }
    return NULL;
}

static enum status tensor_bytes(struct gguf_tensor *t, struct err *e)
{
    const struct quant *q = quant_find(t->type);
    if (!q)
        return err_set(e, QA_E_FORMAT, "tensor '%s': weight type %u (%s) is not read",
                       shown(t->name).text, t->type, quant_type_name(t->type));
    size_t n;
    if (t->ne[0] % q->block_values == 0 && !quant_row_bytes(q, t->ne[0], &n)) {
        return err_set(e, QA_E_FORMAT, "tensor '%s': size overflows", shown(t->name).text);
    }
    if (!quant_row_bytes(q, t->ne[0], &n)) {
        return err_set(e, QA_E_FORMAT,
                       "tensor '%s': rows of %lld values are no whole blocks of %s (%d)",
                       shown(t->name).text, (long long)t->ne[0], q->name, q->block_values);
    }
    for (int i = 1; i < GGUF_MAX_DIMS; i++) {
        if (!size_mul_ok(n, (size_t)t->ne[i], &n))
            return err_set(e, QA_E_FORMAT, "tensor '%s': size overflows", shown(t->name).text);
    }
    t->n_bytes = n;
    return QA_OK;
}

/* One tensor info.  Its offset counts from a place known only after the last one. */
static enum status read_tensor(struct reader *r,
                               struct gguf_tensor *t,
                               uint64_t *offset,
                               struct err *e)
{
    t->name = take_str(r);
    const uint32_t n_dims = take_u32(r);
    if (r->bad) return cut_off(r, "the tensor list", e);
    if (t->name.n == 0 || t->name.n > MAX_NAME_BYTES)
        return err_set(e, QA_E_FORMAT, "a tensor name of %zu bytes, 1 to %d are possible",
                       t->name.n, MAX_NAME_BYTES);
    if (n_dims == 0 || n_dims > GGUF_MAX_DIMS)
        return err_set(e, QA_E_FORMAT, "tensor '%s': %u dimensions, 1 to 4 are possible",
                       shown(t->name).text, n_dims);
    t->n_dims = (int)n_dims;
    uint64_t total = 1;
    for (int i = 0; i < GGUF_MAX_DIMS; i++) {
        const uint64_t ne = i < t->n_dims ? take_u64(r) : 1;
        if (r->bad) return cut_off(r, "the tensor list", e);
        if (ne == 0 || ne > INT64_MAX || __builtin_mul_overflow(total, ne, &total) ||
            total > INT64_MAX) {
            return err_set(e, QA_E_FORMAT, "tensor '%s': dimension %d is %llu",
                           shown(t->name).text, i, (unsigned long long)ne);
        }
        t->ne[i] = (int64_t)ne;
    }
    t->type = take_u32(r);
    *offset = take_u64(r);
    if (r->bad) return cut_off(r, "the tensor list", e);
    return tensor_bytes(t, e);
}

static enum status place_tensors(const struct part *part,
                                 struct gguf_tensor *t,
                                 const uint64_t *offset,
                                 size_t n,
                                 uint32_t alignment,
                                 struct err *e)
{
    const size_t room = part->n - part->data_start;
    for (size_t i = 0; i < n; i++) {
        if (offset[i] % alignment)
            return err_set(e, QA_E_FORMAT, "tensor '%s': offset %llu is not a multiple of %u",
                           shown(t[i].name).text, (unsigned long long)offset[i], alignment);
        if (offset[i] > INT64_MAX - part->data_start || t[i].n_bytes > INT64_MAX / 2) {
            return err_set(e, QA_E_FORMAT, "tensor '%s': no file has %llu bytes at offset %llu",
                           shown(t[i].name).text, (unsigned long long)t[i].n_bytes,
                           (unsigned long long)offset[i]);
        }
        if (offset[i] > room || t[i].n_bytes > room - (size_t)offset[i]) {
            return err_set(
                e, QA_E_FORMAT,
                "tensor '%s': needs bytes %llu to %llu, the file has %zu; it is "
                "cut off or still downloading",
                shown(t[i].name).text, (unsigned long long)(part->data_start + offset[i]),
                (unsigned long long)(part->data_start + offset[i] + t[i].n_bytes), part->n);
        }
        t[i].data = part->p + part->data_start + offset[i];
    }
    return QA_OK;
}

static enum status read_alignment(const struct gguf_pair *pairs,
                                  size_t n,
                                  uint32_t *out,
                                  struct err *e)
{
    const struct gguf_pair *p = find_pair(pairs, n, "general.alignment");
    int64_t v = 32;
    if (p && (p->type == GGUF_ARRAY || !gguf_item_i64(p, 0, &v) || v <= 0 || v > 1 << 20 ||
              (v & (v - 1)))) {
        return err_set(e, QA_E_FORMAT,
                       "key 'general.alignment': not a power of two up to 2^20");
    }
    *out = (uint32_t)v;
    return QA_OK;
}

/* Append the tensors of one part to g. */
static enum status read_tensors(struct gguf *g,
                                struct reader *r,
                                int i_part,
                                uint64_t n,
                                uint32_t alignment,
                                struct err *e)
{
    struct part *part = &g->parts[i_part];
    struct gguf_tensor *all = realloc(g->tensors, (g->n_tensors + (size_t)n + 1) * sizeof *all);
    if (!all)
        return err_set(e, QA_E_NOMEM, "no memory for %llu tensors", (unsigned long long)n);
    g->tensors = all;
    uint64_t *offset = calloc((size_t)n + 1, sizeof *offset);
    if (!offset)
        return err_set(e, QA_E_NOMEM, "no memory for %llu tensors", (unsigned long long)n);
    struct gguf_tensor *t = all + g->n_tensors;
    enum status st = QA_OK;
    for (uint64_t i = 0; i < n && !st; i++) {
        t[i] = (struct gguf_tensor){.part = i_part};
        const size_t start = r->at;
        st = read_tensor(r, &t[i], &offset[i], e);
        if (st == QA_E_FORMAT) st = err_wrap(e, st, "at byte %zu", start);
    }
    if (!st) {
        part->data_start = (r->at + alignment - 1) / alignment * alignment;
        if (n && part->data_start > part->n)
            st = cut_off(r, "the padding before the weights", e);
    }
    if (!st && n) st = place_tensors(part, t, offset, (size_t)n, alignment, e);
    if (!st) g->n_tensors += (size_t)n;
    free(offset);
    return st;
}

/* Read part i, whose bytes are set.  Pairs of the first part stay in g. */
static enum status read_part(struct gguf *g,
                             int i_part,
                             struct gguf_pair **pairs,
                             size_t *n_pairs,
                             struct err *e)
{
    struct part *part = &g->parts[i_part];
    struct reader r = {.p = part->p, .n = part->n};
    if (part->image.p) r.image = &part->image;
    uint64_t n_tensors = 0;
    uint64_t n = 0;
    enum status st = read_header(g, &r, &n_tensors, &n, e);
    if (st) return st;
    st = read_pairs(&r, n, pairs, e);
    if (st) return st;
    *n_pairs = (size_t)n;
    uint32_t alignment = 32;
    st = read_alignment(*pairs, *n_pairs, &alignment, e);
    if (!st) st = read_tensors(g, &r, i_part, n_tensors, alignment, e);
    return st;
}

static uint64_t hash_name(struct str s)
{
    uint64_t h = 0xCBF29CE484222325U; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (uint8_t)s.p[i]) * 0x100000001B3U;
    }
    return h;
}

static enum status index_tensors(struct gguf *g, struct err *e)
{
    g->index_size = 16;
    while (g->index_size < 2 * g->n_tensors) {
        g->index_size *= 2;
    }
    g->index = calloc(g->index_size, sizeof *g->index);
    if (!g->index) return err_set(e, QA_E_NOMEM, "no memory for %zu tensors", g->n_tensors);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct str name = g->tensors[i].name;
        size_t at = hash_name(name) & (g->index_size - 1);
        for (; g->index[at]; at = (at + 1) & (g->index_size - 1)) {
            if (!str_eq(g->tensors[g->index[at] - 1].name, name)) continue;
            return err_set(e, QA_E_FORMAT, "tensor '%s' stands twice in the file",
                           shown(name).text);
        }
        g->index[at] = (uint32_t)i + 1;
    }
    return QA_OK;
}

/* "x-00001-of-00003.gguf" for part `i` of the set that g->path is the first of. */
static enum status part_path(const struct gguf *g,
                             int i,
                             int n,
                             struct str_buf *out,
                             struct err *e)
{
    char suffix[32];
    snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", 1, n);
    const struct str path = str_of(g->path);
    if (!str_ends(path, str_of(suffix))) {
        return err_set(e, QA_E_FORMAT, "the first of %d parts must be named '...%s'", n,
                       suffix);
    }
    str_buf_init(out, 8192);
    str_buf_addf(out, "%.*s-%05d-of-%05d.gguf", (int)(path.n - strlen(suffix)), path.p, i + 1,
                 n);
    return str_buf_check(out, "the name of a part", e);
}

static enum status open_other_part(struct gguf *g, int i, int n, struct err *e)
{
    struct str_buf path;
    enum status st = part_path(g, i, n, &path, e);
    if (st) return st;
    struct gguf_pair *pairs = NULL;
    size_t n_pairs = 0;
    struct part *part = &g->parts[i];
    st = file_image_open(&part->image, path.p, g->parts[0].image.fd < 0, e);
    if (!st) {
        part->p = part->image.p;
        part->n = part->image.n;
        g->n_parts = i + 1;
        st = read_part(g, i, &pairs, &n_pairs, e);
        if (st) st = err_wrap(e, st, "part %d of %d", i + 1, n);
    }
    if (!st) {
        const struct gguf_pair *no = find_pair(pairs, n_pairs, "split.no");
        int64_t v;
        if (!no || !gguf_item_i64(no, 0, &v) || v != i) {
            st =
                err_set(e, QA_E_FORMAT, "part %d of %d: key 'split.no' is not %d", i + 1, n, i);
        }
    }
    free(pairs);
    str_buf_release(&path);
    return st;
}

static enum status open_split(struct gguf *g, struct err *e)
{
    int64_t n = 1;
    int64_t no = 0;
    gguf_get_i64(g, "split.count", &n);
    gguf_get_i64(g, "split.no", &no);
    if (n <= 1) return QA_OK;
    if (n > MAX_PARTS)
        return err_set(e, QA_E_FORMAT, "key 'split.count': %lld, must be 1 to %d", (long long)n,
                       MAX_PARTS);
    if (no != 0)
        return err_set(e, QA_E_FORMAT, "this is part %lld of %lld; give the first part",
                       (long long)no + 1, (long long)n);
    if (!g->parts[0].image.p)
        return err_set(e, QA_E_FORMAT, "a split set cannot be read from memory");
    struct part *parts = realloc(g->parts, (size_t)n * sizeof *parts);
    if (!parts) return err_set(e, QA_E_NOMEM, "no memory for %lld parts", (long long)n);
    g->parts = parts;
    memset(parts + 1, 0, (size_t)(n - 1) * sizeof *parts);
    for (int i = 1; i < (int)n; i++) {
        const enum status st = open_other_part(g, i, (int)n, e);
        if (st) return st;
    }
    int64_t total;
    if (gguf_get_i64(g, "split.tensors.count", &total) && total != (int64_t)g->n_tensors) {
        return err_set(e, QA_E_FORMAT, "key 'split.tensors.count': %lld, the parts hold %zu",
                       (long long)total, g->n_tensors);
    }
    return QA_OK;
}

static enum status open_parts(struct gguf *g, struct err *e)
{
    g->n_parts = 1;
    enum status st = read_part(g, 0, &g->pairs, &g->n_pairs, e);
    if (!st) st = open_split(g, e);
    if (!st) st = index_tensors(g, e);
    return st;
}

/* "cannot read model 'path': ..."; of a long path the end, so that the reason fits. */
static enum status wrap_model(struct err *e, enum status st, const char *path)
{
    const size_t n = strlen(path);
    const bool is_long = n > MAX_PATH_SHOWN;
    return err_wrap(e, st, "cannot read model '%s%s'", is_long ? "..." : "",
                    is_long ? path + n - MAX_PATH_SHOWN : path);
}

static enum status gguf_new(struct gguf **out, const char *name, struct err *e)
{
    struct gguf *g = calloc(1, sizeof *g);
    if (g) g->parts = calloc(1, sizeof *g->parts);
    if (g) g->path = strdup(name);
    if (!g || !g->parts || !g->path) {
        gguf_close(g);
        return wrap_model(e, err_set(e, QA_E_NOMEM, "out of memory"), name);
    }
    *out = g;
    return QA_OK;
}

enum status gguf_open(struct gguf **out, const char *path, bool is_mapped, struct err *e)
{
    struct gguf *g;
    enum status st = gguf_new(&g, path, e);
    if (st) return st;
    struct part *part = &g->parts[0];
    st = file_image_open(&part->image, path, is_mapped, e);
    if (!st) {
        part->p = part->image.p;
        part->n = part->image.n;
        st = open_parts(g, e);
        if (st) st = wrap_model(e, st, path);
    }
    if (st) {
        gguf_close(g);
        return st;
    }
    *out = g;
    return QA_OK;
}

enum status gguf_open_bytes(struct gguf **out,
                            struct str bytes,
                            const char *name,
                            struct err *e)
{
    struct gguf *g;
    enum status st = gguf_new(&g, name, e);
    if (st) return st;
    g->parts[0].p = (const uint8_t *)bytes.p;
    g->parts[0].n = bytes.n;
    st = open_parts(g, e);
    if (st) {
        st = wrap_model(e, st, name);
        gguf_close(g);
        return st;
    }
    *out = g;
    return QA_OK;
}

void gguf_close(struct gguf *g)
{
    if (!g) return;
    for (int i = 0; g->parts && i < QA_MAX(g->n_parts, 1); i++) {
        file_image_close(&g->parts[i].image);
    }
    free(g->parts);
    free(g->pairs);
    free(g->tensors);
    free(g->index);
    free(g->path);
    free(g);
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

int gguf_version(const struct gguf *g)
{
    return g->version;
}

int gguf_n_parts(const struct gguf *g)
{
    return g->n_parts;
}

const struct file_image *gguf_image(const struct gguf *g, int i_part)
{
    return g->parts[i_part].image.p ? &g->parts[i_part].image : NULL;
}

size_t gguf_head_bytes(const struct gguf *g, int i_part)
{
    return g->parts[i_part].data_start;
}

size_t gguf_n_pairs(const struct gguf *g)
{
    return g->n_pairs;
}

const struct gguf_pair *gguf_pair_at(const struct gguf *g, size_t i)
{
    return &g->pairs[i];
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key)
{
    return find_pair(g->pairs, g->n_pairs, key);
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    const struct str want = str_of(name);
    size_t at = hash_name(want) & (g->index_size - 1);
    for (; g->index[at]; at = (at + 1) & (g->index_size - 1)) {
        const struct gguf_tensor *t = &g->tensors[g->index[at] - 1];
        if (str_eq(t->name, want)) return t;
    }
    return NULL;
}

bool gguf_item_i64(const struct gguf_pair *p, uint64_t i, int64_t *out)
{
    if (i >= p->n || p->item == GGUF_STRING || p->item >= GGUF_VALUE_COUNT) return false;
    const size_t each = VALUE_BYTES[p->item];
    const uint64_t u = load(p->data + (size_t)i * each, each);
    switch (p->item) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_BOOL: *out = (int64_t)u; return true;
    case GGUF_I8: *out = (int8_t)u; return true;
    case GGUF_I16: *out = (int16_t)u; return true;
    case GGUF_I32: *out = (int32_t)u; return true;
    case GGUF_I64: *out = (int64_t)u; return true;
    case GGUF_U64:
        if (u > INT64_MAX) return false;
        *out = (int64_t)u;
        return true;
    case GGUF_F32:
    case GGUF_F64:
    case GGUF_STRING:
    case GGUF_ARRAY:
    case GGUF_VALUE_COUNT: break;
    }
    return false;
}

bool gguf_item_f64(const struct gguf_pair *p, uint64_t i, double *out)
{
    if (i >= p->n) return false;
    if (p->item == GGUF_F32) {
        float f;
        memcpy(&f, p->data + (size_t)i * 4, 4);
        *out = (double)f;
        return true;
    }
    if (p->item == GGUF_F64) {
        memcpy(out, p->data + (size_t)i * 8, 8);
        return true;
    }
    int64_t v;
    if (p->item == GGUF_BOOL || !gguf_item_i64(p, i, &v)) return false;
    *out = (double)v;
    return true;
}

bool gguf_get_i64(const struct gguf *g, const char *key, int64_t *out)
{
    const struct gguf_pair *p = gguf_find(g, key);
    return p && p->type != GGUF_ARRAY && p->type != GGUF_BOOL && gguf_item_i64(p, 0, out);
}

bool gguf_get_f64(const struct gguf *g, const char *key, double *out)
{
    const struct gguf_pair *p = gguf_find(g, key);
    return p && p->type != GGUF_ARRAY && gguf_item_f64(p, 0, out);
}

bool gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p || p->type != GGUF_BOOL) return false;
    *out = p->data[0] != 0;
    return true;
}

bool gguf_get_str(const struct gguf *g, const char *key, struct str *out)
{
    const struct gguf_pair *p = gguf_find(g, key);
    if (!p || p->type != GGUF_STRING) return false;
    *out = (struct str){(const char *)p->data + 8, p->n_bytes - 8};
    return true;
}

bool gguf_next_string(const struct gguf_pair *p, size_t *at, struct str *out)
{
    if (p->item != GGUF_STRING || *at >= p->n_bytes) return false;
    const size_t n = (size_t)load(p->data + *at, 8); /* checked when the file was read */
    *out = (struct str){(const char *)p->data + *at + 8, n};
    *at += 8 + n;
    return true;
}
