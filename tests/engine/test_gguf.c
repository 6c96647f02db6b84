/* test_gguf.c - the container: what is in it is found, what is broken is refused
 * with its name and place, and no bytes at all bring the reader down. */
#include "engine/base/file.h"
#include "engine/base/rng.h"
#include "engine/foreign.h"
#include "engine/gguf.h"
#include "engine/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- writing files, right and wrong ---- */

static void put(struct str_buf *b, const void *p, size_t n)
{
    str_buf_add(b, (struct str){p, n});
}

static void put_u32(struct str_buf *b, uint32_t v)
{
    put(b, &v, 4);
}

static void put_u64(struct str_buf *b, uint64_t v)
{
    put(b, &v, 8);
}

static void put_str(struct str_buf *b, const char *z)
{
    put_u64(b, strlen(z));
    str_buf_add_z(b, z);
}

static void put_key(struct str_buf *b, const char *key, enum gguf_value type)
{
    put_str(b, key);
    put_u32(b, type);
}

static void put_header(struct str_buf *b, uint64_t n_tensors, uint64_t n_pairs)
{
    str_buf_init(b, 1 << 20);
    str_buf_add_z(b, "GGUF");
    put_u32(b, 3);
    put_u64(b, n_tensors);
    put_u64(b, n_pairs);
}

struct shape {
    uint32_t n_dims;
    uint64_t ne[4];
};

static void put_tensor(struct str_buf *b,
                       const char *name,
                       struct shape shape,
                       uint32_t type,
                       uint64_t offset)
{
    put_str(b, name);
    put_u32(b, shape.n_dims);
    for (uint32_t i = 0; i < shape.n_dims && i < 4; i++) {
        put_u64(b, shape.ne[i]);
    }
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_padding(struct str_buf *b, size_t alignment)
{
    while (b->n % alignment) {
        str_buf_add_char(b, 0);
    }
}

static struct gguf *open_good(const struct str_buf *b)
{
    struct gguf *g = NULL;
    struct err e = {0};
    if (gguf_open_bytes(&g, str_buf_str(b), "test", &e)) fail_msg("%s", e.text);
    return g;
}

/* The whole line, word for word. */
static void assert_line(const char *start, const char *words, const char *text)
{
    char want[512];
    snprintf(want, sizeof want, "%s%s", start, words);
    if (strcmp(text, want) != 0) fail_msg("says '%s', must say '%s'", text, want);
}

static void assert_refused(const struct str_buf *b, const char *words)
{
    struct gguf *g = NULL;
    struct err e = {0};
    assert_int_equal(b->bad, QA_OK);
    const enum status st = gguf_open_bytes(&g, str_buf_str(b), "test", &e);
    if (!st) fail_msg("accepted, though: %s", words);
    assert_int_equal(st, QA_E_FORMAT);
    assert_null(g);
    assert_line("cannot read model 'test': ", words, e.text);
}

/* Two tensors and a few keys. */
static void put_small_model(struct str_buf *b)
{
    put_header(b, 2, 3);
    put_key(b, "general.architecture", GGUF_STRING);
    put_str(b, "test");
    put_key(b, "general.alignment", GGUF_U32);
    put_u32(b, 64);
    put_key(b, "list", GGUF_ARRAY);
    put_u32(b, GGUF_STRING);
    put_u64(b, 2);
    put_str(b, "one");
    put_str(b, "");
    put_tensor(b, "a.weight",
               (struct shape){
                   2, {32, 3}
    },
               QUANT_Q8_0, 0);
    put_tensor(b, "b", (struct shape){1, {5}}, QUANT_F32, 128);
    put_padding(b, 64);
    for (int i = 0; i < 3 * 34; i++) {
        str_buf_add_char(b, (char)i);
    }
    put_padding(b, 64);
    static const float B[5] = {1, 2, 3, 4, 5};
    put(b, B, sizeof B);
}

/* ---- reading what is there ---- */

static void keys_of_every_type_are_read(void **state)
{
    struct str_buf b;
    put_header(&b, 0, 14);
    put_key(&b, "u8", GGUF_U8), put(&b, "\xFF", 1);
    put_key(&b, "i8", GGUF_I8), put(&b, "\xFF", 1);
    put_key(&b, "u16", GGUF_U16), put(&b, "\xFE\xFF", 2);
    put_key(&b, "i16", GGUF_I16), put(&b, "\xFE\xFF", 2);
    put_key(&b, "u32", GGUF_U32), put_u32(&b, UINT32_MAX);
    put_key(&b, "i32", GGUF_I32), put_u32(&b, UINT32_MAX);
    put_key(&b, "u64", GGUF_U64), put_u64(&b, UINT64_MAX);
    put_key(&b, "i64", GGUF_I64), put_u64(&b, UINT64_MAX);
    put_key(&b, "f32", GGUF_F32), put(&b, &(float){0.5F}, 4);
    put_key(&b, "f64", GGUF_F64), put(&b, &(double){0.1}, 8);
    put_key(&b, "yes", GGUF_BOOL), put(&b, "\1", 1);
    put_key(&b, "text", GGUF_STRING), put_str(&b, "words");
    put_key(&b, "ints", GGUF_ARRAY), put_u32(&b, GGUF_I32), put_u64(&b, 2);
    put_u32(&b, 7), put_u32(&b, (uint32_t)-8);
    put_key(&b, "none", GGUF_ARRAY), put_u32(&b, GGUF_STRING), put_u64(&b, 0);
    struct gguf *g = open_good(&b);
    static const struct {
        const char *key;
        int64_t value;
    } INTS[] = {
        {"u8",  255       },
        {"i8",  -1        },
        {"u16", 65534     },
        {"i16", -2        },
        {"u32", UINT32_MAX},
        {"i32", -1        },
        {"i64", -1        }
    };
    int64_t i;
    for (size_t k = 0; k < COUNT(INTS); k++) {
        assert_true(gguf_get_i64(g, INTS[k].key, &i));
        assert_int_equal(i, INTS[k].value);
    }
    double x;
    assert_true(gguf_get_f64(g, "f32", &x) && x == 0.5);
    assert_true(gguf_get_f64(g, "f64", &x) && x == 0.1);
    assert_true(gguf_get_f64(g, "u8", &x) && x == 255);
    bool yes = false;
    assert_true(gguf_get_bool(g, "yes", &yes) && yes);
    struct str s;
    assert_true(gguf_get_str(g, "text", &s) && str_eq(s, STR("words")));
    const struct gguf_pair *ints = gguf_find(g, "ints");
    assert_int_equal(ints->n, 2);
    assert_true(gguf_item_i64(ints, 1, &i) && i == -8);
    assert_false(gguf_item_i64(ints, 2, &i));
    size_t at = 0;
    assert_false(gguf_next_string(gguf_find(g, "none"), &at, &s));
    /* another kind, too large, or absent */
    assert_false(gguf_get_i64(g, "u64", &i) || gguf_get_i64(g, "f32", &i) ||
                 gguf_get_i64(g, "ints", &i) || gguf_get_i64(g, "text", &i) ||
                 gguf_get_i64(g, "missing", &i) || gguf_get_f64(g, "yes", &x) ||
                 gguf_get_str(g, "u8", &s) || gguf_get_bool(g, "u8", &yes));
    assert_int_equal(gguf_n_pairs(g), 14);
    gguf_close(g);
    str_buf_release(&b);
}

static void tensors_are_found_where_their_offsets_say(void **state)
{
    struct str_buf b;
    put_small_model(&b);
    struct gguf *g = open_good(&b);
    assert_int_equal(gguf_n_tensors(g), 2);
    assert_int_equal(gguf_n_parts(g), 1);
    assert_int_equal(gguf_version(g), 3);
    const struct gguf_tensor *t = gguf_find_tensor(g, "a.weight");
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->ne[0], 32);
    assert_int_equal(t->ne[1], 3);
    assert_int_equal(t->ne[2], 1);
    assert_int_equal(t->n_bytes, 3 * 34);
    assert_int_equal(t->data[33], 33);
    t = gguf_find_tensor(g, "b");
    assert_int_equal(t->n_bytes, 20);
    float x;
    memcpy(&x, t->data + 16, 4);
    assert_true(x == 5);
    assert_null(gguf_find_tensor(g, "c"));
    struct str s;
    size_t at = 0;
    assert_true(gguf_next_string(gguf_find(g, "list"), &at, &s) && str_eq(s, STR("one")));
    assert_true(gguf_next_string(gguf_find(g, "list"), &at, &s) && s.n == 0);
    assert_false(gguf_next_string(gguf_find(g, "list"), &at, &s));
    gguf_close(g);
    str_buf_release(&b);
}

/* ---- refusing what is broken ---- */

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct str_buf b;
    put_small_model(&b);
    for (size_t n = 0; n < b.n; n++) {
        char *copy = malloc(n + 1); /* of exact size, so that a sanitizer sees over-reads */
        assert_non_null(copy);
        memcpy(copy, b.p, n);
        struct gguf *g = NULL;
        struct err e = {0};
        assert_int_equal(gguf_open_bytes(&g, (struct str){copy, n}, "cut", &e), QA_E_FORMAT);
        assert_null(g);
        free(copy);
    }
    struct str_buf cut = b;
    cut.n = b.n - 1;
    assert_refused(&cut, "tensor 'b': needs bytes 384 to 404, the file has 403; it is cut off "
                         "or still downloading");
    str_buf_release(&b);
}

static void changed_bytes_are_read_or_refused_but_never_crash(void **state)
{
    struct str_buf b;
    put_small_model(&b);
    struct rng r;
    rng_init(&r, 1, 1);
    int n_refused = 0;
    for (int i = 0; i < 20000; i++) {
        const size_t at = rng_below(&r, (uint32_t)b.n);
        const char old = b.p[at];
        b.p[at] = (char)rng_u32(&r);
        struct gguf *g = NULL;
        struct err e = {0};
        const enum status st = gguf_open_bytes(&g, str_buf_str(&b), "changed", &e);
        assert_true(st == QA_OK || st == QA_E_FORMAT);
        n_refused += st != QA_OK;
        gguf_close(g);
        b.p[at] = old;
    }
    assert_true(n_refused > 1000);
    str_buf_release(&b);
}

static void foreign_files_are_called_by_their_name(void **state)
{
    static const struct {
        struct str bytes;
        const char *words;
    } CASES[] = {
        {STR("PK\003\004.............archive/data.pkl"),
         "not a GGUF file, it is a PyTorch checkpoint; convert it to GGUF"                                                                          },
        {STR("PK\003\004.............model/x.bin"),                                 "not a GGUF file, it is a zip file"                             },
        {STR("\x80\2\x8a\nl\xfc\x9c"),
         "not a GGUF file, it is a Python pickle (PyTorch); convert it to GGUF"                                                                     },
        {STR("<!doctype html><html>"),
         "not a GGUF file, it is an HTML page, perhaps a failed download"                                                                           },
        {STR("\n\n<!DOCTYPE HTML>"),
         "not a GGUF file, it is an HTML page, perhaps a failed download"                                                                           },
        {STR("<HTML><body>"),                                                       "not a GGUF file, it is an HTML page, perhaps a failed download"},
        {STR("version https://git-lfs.github.com/spec/v1"),
         "not a GGUF file, it is a git-lfs pointer, the model itself is not here"                                                                   },
        {STR("\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}"),
         "not a GGUF file, it is a safetensors file; convert it to GGUF"                                                                            },
        {STR("{\"schemaVersion\":2}"),                                              "not a GGUF file, it is a JSON file"                            },
        {STR("\x7f"
             "ELF\2\1\1"),
         "not a GGUF file, it is a program"                                                                                                         },
        {STR("tjgg\1\0\0\0"),                                                       "not a GGUF file, it is a GGJT file, which came before GGUF"    },
        {STR("fmgg\1\0\0\0"),                                                       "not a GGUF file, it is a GGMF file, which came before GGUF"    },
        {STR("lmgg\1\0\0\0"),                                                       "not a GGUF file, it is a GGML file, which came before GGUF"    },
        {STR("algg\1\0\0\0"),                                                       "not a GGUF file, it is a LoRA adapter in the GGLA format"      },
        {STR("\x1f\x8b\x08"),                                                       "not a GGUF file, it is a gzip file; unpack it first"           },
        {STR("\x28\xb5\x2f\xfd\4"),                                                 "not a GGUF file, it is a zstd file; unpack it first"           },
        {STR("\xfd"
             "7zXZ\0"),
         "not a GGUF file, it is an xz file; unpack it first"                                                                                       },
        {STR("BZh91AY"),                                                            "not a GGUF file, it is a bzip2 file; unpack it first"          },
        {STR("7z\xbc\xaf\x27\x1c"),                                                 "not a GGUF file, it is a 7z file; unpack it first"             },
        {STR("\x89HDF\r\n\x1a\n"),                                                  "not a GGUF file, it is an HDF5 file"                           },
        {STR("\x1c\0\0\0TFL3"),                                                     "not a GGUF file, it is a TensorFlow Lite file"                 },
        {STR("\2\0\0\0\x13\0\0\0blk.0.attn_q.weight"),
         "not a GGUF file, it is an importance matrix (imatrix)"                                                                                    },
        {STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
         "not a GGUF file, it is zeros, perhaps a download that did not finish"                                                                     },
        {STR("Entry not found"),
         "not a GGUF file, it is a text of 15 bytes: 'Entry not found'"                                                                             },
        {STR("Access to this model is restricted and you are not in the list\nof"),
         "not a GGUF file, it is a text of 65 bytes: 'Access to this model is restricted and "
         "y...'"                                                                                                                                    },
        {STR("\1\2\3\4\5\6\7"),                                                     "not a GGUF file, its first bytes are not 'GGUF'"               },
        {STR("GGU"),                                                                "not a GGUF file, it is a text of 3 bytes: 'GGU'"               },
        {STR("FUGG\0\0\0\3"),
         "not a GGUF file, it is GGUF with its bytes reversed (big-endian)"                                                                         },
        {STR("GGUF\3\0\0"),                                                         "the file ends inside the header, after 7 bytes"                },
        {STR("GGUF\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
         "GGUF version 1 is not read, only 2 and 3; convert the model again"                                                                        },
        {STR("GGUF\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
         "GGUF version 4 is not read, only 2 and 3"                                                                                                 },
        {STR("GGUF\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
         "GGUF in big-endian byte order is not read"                                                                                                },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct str_buf b;
        str_buf_init(&b, 1 << 10);
        str_buf_add(&b, CASES[i].bytes);
        assert_refused(&b, CASES[i].words);
        str_buf_release(&b);
    }
}

static void impossible_metadata_is_refused_with_its_place(void **state)
{
    struct str_buf b;
    put_header(&b, 0, UINT64_MAX);
    assert_refused(&b, "the header claims 0 tensors and 18446744073709551615 keys in 24 bytes");
    str_buf_release(&b);

    put_header(&b, UINT64_MAX / 2, 0);
    assert_refused(&b, "the header claims 9223372036854775807 tensors and 0 keys in 24 bytes");
    str_buf_release(&b);

    put_header(&b, 0, 1), put_u64(&b, UINT64_MAX), put_u64(&b, 0);
    assert_refused(&b, "at byte 24: the file ends inside the metadata, after 40 bytes");
    str_buf_release(&b);

    put_header(&b, 0, 1), put_key(&b, "", GGUF_U32), put_u32(&b, 1);
    assert_refused(&b, "at byte 24: an empty key");
    str_buf_release(&b);

    put_header(&b, 0, 1), put_key(&b, "odd\x1b[31m", (enum gguf_value)13), put_u64(&b, 1);
    assert_refused(&b, "at byte 24: key 'odd?[31m': unknown value type 13");
    str_buf_release(&b);

    put_header(&b, 0, 1), put_key(&b, "deep", GGUF_ARRAY), put_u32(&b, GGUF_ARRAY);
    put_u64(&b, 1), put_u64(&b, 0);
    assert_refused(&b, "at byte 24: key 'deep': arrays of arrays are not read");
    str_buf_release(&b);

    static const enum gguf_value ITEMS[] = {GGUF_U8, GGUF_U64, GGUF_STRING};
    for (size_t i = 0; i < COUNT(ITEMS); i++) {
        put_header(&b, 0, 1), put_key(&b, "long", GGUF_ARRAY), put_u32(&b, ITEMS[i]);
        put_u64(&b, UINT64_MAX / 8 + 1), put_u64(&b, 0);
        assert_refused(&b,
                       ITEMS[i] == GGUF_STRING
                           ? "at byte 24: the file ends inside a string of the metadata, "
                             "after 60 bytes"
                           : "at byte 24: the file ends inside the metadata, after 60 bytes");
        str_buf_release(&b);
    }

    put_header(&b, 0, 2);
    put_key(&b, "twice", GGUF_U32), put_u32(&b, 1);
    put_key(&b, "twice", GGUF_U32), put_u32(&b, 2);
    assert_refused(&b, "key 'twice' stands twice in the file");
    str_buf_release(&b);

    static const uint32_t ALIGNMENTS[] = {0, 3, 48, 1U << 31};
    for (size_t i = 0; i < COUNT(ALIGNMENTS); i++) {
        put_header(&b, 0, 1), put_key(&b, "general.alignment", GGUF_U32);
        put_u32(&b, ALIGNMENTS[i]);
        assert_refused(&b, "key 'general.alignment': not a power of two up to 2^20");
        str_buf_release(&b);
    }
}

static void impossible_tensors_are_refused_by_name(void **state)
{
    static const char LONG[] =
        "n123456789012345678901234567890123456789012345678901234567890123";
    static const struct {
        const char *name;
        struct shape shape;
        uint32_t type;
        uint64_t offset;
        const char *words;
    } CASES[] = {
        {"",   {1, {1}},                  0, 0,               "at byte 24: a tensor name of 0 bytes, 1 to 63 are possible" },
        {LONG, {1, {1}},                  0, 0,               "at byte 24: a tensor name of 64 bytes, 1 to 63 are possible"},
        {"x",  {0, {0}},                  0, 0,               "at byte 24: tensor 'x': 0 dimensions, 1 to 4 are possible"  },
        {"x",
         {5, {1, 1, 1, 1}},
         0,                                  0,
         "at byte 24: tensor 'x': 5 dimensions, 1 to 4 are possible"                                                       },
        {"x",  {2, {4, 0}},               0, 0,               "at byte 24: tensor 'x': dimension 1 is 0"                   },
        {"x",
         {1, {UINT64_MAX}},
         0,                                  0,
         "at byte 24: tensor 'x': dimension 0 is 18446744073709551615"                                                     },
        {"x",
         {2, {1U << 31, 1ULL << 33}},
         0,                                  0,
         "at byte 24: tensor 'x': dimension 1 is 8589934592"                                                               },
        {"x",  {1, {1ULL << 62}},         0, 0,               "at byte 24: tensor 'x': size overflows"                     },
        {"x",  {2, {1U << 31, 1U << 31}}, 0, 0,               "at byte 24: tensor 'x': size overflows"                     },
        {"x",
         {1, {100}},
         QUANT_Q4_K,                         0,
         "at byte 24: tensor 'x': rows of 100 values are no whole blocks of Q4_K (256)"                                    },
        {"x",
         {1, {256}},
         15,                                 0,
         "at byte 24: tensor 'x': weight type 15 (Q8_K, a format of activations) is not read"                              },
        {"x",
         {1, {256}},
         99,                                 0,
         "at byte 24: tensor 'x': weight type 99 (unknown) is not read"                                                    },
        {"x",  {1, {4}},                  0, 1,               "tensor 'x': offset 1 is not a multiple of 32"               },
        {"x",
         {1, {4}},
         0,                                  32,
         "tensor 'x': needs bytes 96 to 112, the file has 80; it is cut off or still "
         "downloading"                                                                                                     },
        {"x",
         {1, {4}},
         0,                                  UINT64_MAX - 31,
         "tensor 'x': no file has 16 bytes at offset 18446744073709551584"                                                 },
    };
    struct str_buf b;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        put_header(&b, 1, 0);
        put_tensor(&b, CASES[i].name, CASES[i].shape, CASES[i].type, CASES[i].offset);
        put_padding(&b, 32);
        put_u64(&b, 0), put_u64(&b, 0);
        assert_refused(&b, CASES[i].words);
        str_buf_release(&b);
    }
    put_header(&b, 1, 0); /* the padding before the data is not all there */
    put_tensor(&b, "x", (struct shape){1, {1}}, QUANT_F32, 0);
    put_u32(&b, 0);
    assert_refused(&b, "the file ends inside the padding before the weights, after 61 bytes");
    str_buf_release(&b);
    put_header(&b, 2, 0);
    put_tensor(&b, "same", (struct shape){1, {1}}, QUANT_F32, 0);
    put_tensor(&b, "same", (struct shape){1, {1}}, QUANT_F32, 0);
    put_padding(&b, 32), put_u32(&b, 0);
    assert_refused(&b, "tensor 'same' stands twice in the file");
    str_buf_release(&b);
}

static void a_file_without_its_tensor_list_is_refused(void **state)
{
    struct str_buf b;
    put_header(&b, 1, 0);
    put_u64(&b, 1), str_buf_add_z(&b, "x");
    put_u32(&b, 1), put_u64(&b, 1), put_u32(&b, 0); /* the offset is missing */
    str_buf_add_z(&b, "1234");
    assert_refused(&b, "at byte 24: the file ends inside the tensor list, after 53 bytes");
    str_buf_release(&b);
    put_header(&b, 0, 1);
    put_key(&b, "split.count", GGUF_U32), put_u32(&b, 1000);
    assert_refused(&b, "key 'split.count': 1000, must be 1 to 999");
    str_buf_release(&b);
}

/* ---- GGUF files that are no models ---- */

static void assert_no_model(struct str_buf *b, const char *words)
{
    struct gguf *g = open_good(b);
    struct err e = {0};
    assert_int_equal(foreign_check(g, &e), QA_E_FORMAT);
    if (strcmp(e.text, words) != 0) fail_msg("says '%s', must say '%s'", e.text, words);
    gguf_close(g);
    str_buf_release(b);
}

static void put_one_tensor(struct str_buf *b, const char *name)
{
    put_tensor(b, name, (struct shape){1, {1}}, QUANT_F32, 0);
    put_padding(b, 32);
    put_u32(b, 0);
}

static void files_beside_models_are_called_by_their_name(void **state)
{
    static const struct {
        const char *key, *value, *tensor, *words;
    } CASES[] = {
        {"general.type",         "adapter", "blk.0.attn_q.weight.lora_a",
         "this is a LoRA adapter: give the model that it was made for, with it merged in"},
        {"adapter.type",         "lora",    "blk.0.attn_q.weight.lora_a",
         "this is a LoRA adapter: give the model that it was made for, with it merged in"},
        {"general.type",         "mmproj",  "v.blk.0.attn_q.weight",
         "this is an image projector (mmproj): give the text model beside it"            },
        {"general.architecture", "clip",    "v.blk.0.attn_q.weight",
         "this is an image projector (mmproj): give the text model beside it"            },
        {"general.type",         "imatrix", "blk.0.attn_q.weight.in_sum2",
         "this is an importance matrix (imatrix)"                                        },
        {"general.architecture", "qwen35",  NULL,
         "this is a file without tensors, a vocabulary alone"                            },
        {"general.architecture", "qwen35",  "blk.0.ssm_dt",
         "this is made by Ollama with names and shapes of its own: give a GGUF file that "
         "was converted for llama.cpp"                                                   },
        {"general.architecture", "qwen35",  "output_norm.weight",
         "this is the draft layer alone: give the file of the whole model"               },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct str_buf b;
        put_header(&b, CASES[i].tensor != NULL, 1);
        put_key(&b, CASES[i].key, GGUF_STRING);
        put_str(&b, CASES[i].value);
        if (CASES[i].tensor) put_one_tensor(&b, CASES[i].tensor);
        assert_no_model(&b, CASES[i].words);
    }
}

/* ---- split sets ---- */

enum { N_PARTS = 3 };

static void put_part(struct str_buf *b, int i, int count, int total, const char *tensor)
{
    put_header(b, 1, 3);
    put_key(b, "split.no", GGUF_U16), put(b, &(uint16_t){(uint16_t)i}, 2);
    put_key(b, "split.count", GGUF_U16), put(b, &(uint16_t){(uint16_t)count}, 2);
    put_key(b, "split.tensors.count", GGUF_I32), put_u32(b, (uint32_t)total);
    put_tensor(b, tensor, (struct shape){1, {1}}, QUANT_F32, 0);
    put_padding(b, 32);
    put(b, &(float){(float)i}, 4);
}

struct folder {
    char path[64];
};

static struct folder make_folder(void)
{
    struct folder f = {"build/test_gguf.XXXXXX"};
    struct err e = {0};
    assert_int_equal(file_make_dirs("build", &e), QA_OK);
    assert_non_null(mkdtemp(f.path));
    return f;
}

static void part_name(char *out, size_t cap, const struct folder *f, int i)
{
    snprintf(out, cap, "%s/m-%05d-of-%05d.gguf", f->path, i + 1, N_PARTS);
}

static void write_part(const struct folder *f, int i, const struct str_buf *b)
{
    char path[128];
    struct err e = {0};
    part_name(path, sizeof path, f, i);
    if (file_write(path, str_buf_str(b), &e)) fail_msg("%s", e.text);
}

static void write_parts(const struct folder *f)
{
    static const char *const NAMES[N_PARTS] = {"t0", "t1", "t2"};
    for (int i = 0; i < N_PARTS; i++) {
        struct str_buf b;
        put_part(&b, i, N_PARTS, N_PARTS, NAMES[i]);
        write_part(f, i, &b);
        str_buf_release(&b);
    }
}

static void remove_folder(const struct folder *f)
{
    for (int i = 0; i < N_PARTS; i++) {
        char path[128];
        part_name(path, sizeof path, f, i);
        unlink(path);
    }
    rmdir(f->path);
}

/* In `words`, '@' stands for the folder. */
static void assert_part_refused(const struct folder *f,
                                int i,
                                enum status want,
                                const char *words)
{
    char path[128], text[400];
    part_name(path, sizeof path, f, i);
    struct gguf *g = NULL;
    struct err e = {0};
    assert_int_equal(gguf_open(&g, path, true, &e), want);
    assert_null(g);
    const char *at = strchr(words, '@');
    const int n = at ? (int)(at - words) : 0;
    snprintf(text, sizeof text, "%.*s%s%s", n, words, at ? f->path : "", at ? at + 1 : words);
    char start[200];
    snprintf(start, sizeof start, "cannot read model '%s': ", path);
    assert_line(start, text, e.text);
}

static void a_split_set_is_opened_by_its_first_part(void **state)
{
    const struct folder f = make_folder();
    write_parts(&f);
    char path[128];
    part_name(path, sizeof path, &f, 0);
    struct gguf *g = NULL;
    struct err e = {0};
    if (gguf_open(&g, path, true, &e)) fail_msg("%s", e.text);
    assert_int_equal(gguf_n_parts(g), N_PARTS);
    assert_int_equal(gguf_n_tensors(g), N_PARTS);
    const struct gguf_tensor *t = gguf_find_tensor(g, "t2");
    float x;
    memcpy(&x, t->data, 4);
    assert_true(x == 2 && t->part == 2);
    gguf_close(g);
    remove_folder(&f);
}

static void a_broken_split_set_is_refused(void **state)
{
    const struct folder f = make_folder();
    struct str_buf b;
    write_parts(&f);
    assert_part_refused(&f, 1, QA_E_FORMAT, "this is part 2 of 3; give the first part");

    put_part(&b, 1, N_PARTS, N_PARTS, "t2"); /* out of order */
    write_part(&f, 2, &b);
    str_buf_release(&b);
    assert_part_refused(&f, 0, QA_E_FORMAT, "part 3 of 3: key 'split.no' is not 2");

    put_part(&b, 2, N_PARTS, N_PARTS, "t1"); /* a name of another part */
    write_part(&f, 2, &b);
    str_buf_release(&b);
    assert_part_refused(&f, 0, QA_E_FORMAT, "tensor 't1' stands twice in the file");

    put_part(&b, 2, N_PARTS, N_PARTS, "t2");
    b.n -= 1; /* cut off */
    write_part(&f, 2, &b);
    str_buf_release(&b);
    assert_part_refused(&f, 0, QA_E_FORMAT,
                        "part 3 of 3: tensor 't2': needs bytes 160 to 164, the file has 163; "
                        "it is cut off or still downloading");

    put_part(&b, 0, N_PARTS, N_PARTS + 1, "t0"); /* a wrong sum */
    write_part(&f, 0, &b);
    str_buf_release(&b);
    write_part(&f, 2, &(struct str_buf){0}); /* empty */
    assert_part_refused(&f, 0, QA_E_FORMAT,
                        "cannot read '@/m-00003-of-00003.gguf': the file is empty");

    put_part(&b, 2, N_PARTS, N_PARTS, "t2");
    write_part(&f, 2, &b);
    str_buf_release(&b);
    assert_part_refused(&f, 0, QA_E_FORMAT, "key 'split.tensors.count': 4, the parts hold 3");

    put_part(&b, 0, N_PARTS + 1, N_PARTS, "t0"); /* its name says 3 */
    write_part(&f, 0, &b);
    assert_refused(&b, "a split set cannot be read from memory");
    str_buf_release(&b);
    assert_part_refused(&f, 0, QA_E_FORMAT,
                        "the first of 4 parts must be named '...-00001-of-00004.gguf'");

    write_parts(&f);
    char path[128];
    part_name(path, sizeof path, &f, 1);
    unlink(path);
    assert_part_refused(&f, 0, QA_E_IO,
                        "cannot open '@/m-00002-of-00003.gguf': no such file or directory");
    remove_folder(&f);
}

static void a_missing_file_and_a_folder_are_refused(void **state)
{
    struct gguf *g = NULL;
    struct err e = {0};
    assert_int_equal(gguf_open(&g, "no/such/model.gguf", false, &e), QA_E_IO);
    assert_string_equal(e.text, "cannot open 'no/such/model.gguf': no such file or directory");
    assert_int_equal(gguf_open(&g, "tests", false, &e), QA_E_IO);
    assert_string_equal(e.text, "cannot read 'tests': is a directory");
    assert_null(g);
}

/* ---- files made by another writer ---- */

static void the_reference_models_open(void **state)
{
    static const char *const NAMES[] = {"nano-f16", "nano-dense-f16", "nano-q8_0",
                                        "nano-q4_k_m", "nano-iq4_nl"};
    const char *root = getenv("QAGENT_SHARED");
    if (!root) {
        fprintf(stderr, "test_gguf: SKIPPED reference models: QAGENT_SHARED is not set\n");
        skip();
    }
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/reference/golden/%s.gguf", root, NAMES[i]);
        struct gguf *g = NULL;
        struct err e = {0};
        if (gguf_open(&g, path, true, &e)) fail_msg("%s", e.text);
        struct str arch;
        assert_true(gguf_get_str(g, "general.architecture", &arch));
        assert_true(str_starts(arch, STR("qwen35")));
        assert_non_null(gguf_find_tensor(g, "token_embd.weight"));
        for (size_t k = 0; k < gguf_n_tensors(g); k++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, k);
            assert_ptr_equal(gguf_find_tensor(g, "token_embd.weight") == t ? t : NULL,
                             str_eq(t->name, STR("token_embd.weight")) ? t : NULL);
        }
        gguf_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_type_are_read),
        cmocka_unit_test(tensors_are_found_where_their_offsets_say),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(changed_bytes_are_read_or_refused_but_never_crash),
        cmocka_unit_test(foreign_files_are_called_by_their_name),
        cmocka_unit_test(impossible_metadata_is_refused_with_its_place),
        cmocka_unit_test(impossible_tensors_are_refused_by_name),
        cmocka_unit_test(a_file_without_its_tensor_list_is_refused),
        cmocka_unit_test(files_beside_models_are_called_by_their_name),
        cmocka_unit_test(a_split_set_is_opened_by_its_first_part),
        cmocka_unit_test(a_broken_split_set_is_refused),
        cmocka_unit_test(a_missing_file_and_a_folder_are_refused),
        cmocka_unit_test(the_reference_models_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
