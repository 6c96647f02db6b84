/* Opening models: sizes and byte counts, and the words of every refusal.
 *
 * Refusals are provoked by changing a few bytes of the checked-in models. */
#include "engine/session.h"
#include "tests/engine/mini.h"

/* ---- changing a file -------------------------------------------------------- */

struct image {
    char *p;
    size_t n;
};

static struct image image_of(const char *stem)
{
    char path[256];
    struct image m = {0};
    snprintf(path, sizeof path, "%s.gguf", stem);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    m.n = (size_t)ftell(f);
    rewind(f);
    m.p = malloc(m.n);
    assert_non_null(m.p);
    assert_int_equal(fread(m.p, 1, m.n, f), m.n);
    fclose(f);
    return m;
}

/* First byte after `name` as a string of the file (length, then bytes). */
static char *after(struct image m, const char *name)
{
    const size_t n = strlen(name);
    const uint64_t length = n;
    for (size_t i = 0; i + 8 + n < m.n; i++) {
        if (memcmp(m.p + i, &length, 8) == 0 && memcmp(m.p + i + 8, name, n) == 0) {
            return m.p + i + 8 + n;
        }
    }
    fail_msg("no '%s' in the model", name);
    return NULL;
}

static void set_int(struct image m, const char *key, int32_t v)
{
    memcpy(after(m, key) + 4, &v, sizeof v); /* after the value's type */
}

static void set_item(struct image m, const char *key, size_t i, int32_t v)
{
    memcpy(after(m, key) + 16 + 4 * i, &v, sizeof v); /* type, item type, count */
}

/* Change the last letter: the name is gone and a strange one is there. */
static void rename_last(struct image m, const char *name)
{
    after(m, name)[-1] = 'X';
}

static void set_dim(struct image m, const char *tensor, size_t i, uint64_t v)
{
    memcpy(after(m, tensor) + 4 + 8 * i, &v, sizeof v);
}

static void set_type(struct image m, const char *tensor, uint32_t n_dims, uint32_t type)
{
    memcpy(after(m, tensor) + 4 + 8 * n_dims, &type, sizeof type);
}

static enum status open_image(struct engine **g, struct image m, struct err *e)
{
    struct engine_opts o = engine_opts_default();
    o.model_bytes = (struct str){m.p, m.n};
    o.kernels = "ref";
    return engine_open(g, &o, e);
}

/* A copy of m, freed, with one more key; one of that name that was there is renamed.  A
 * second key fills up to 32 bytes, so that all tensors keep their alignment. */
static struct image with_key(struct image m,
                             const char *key,
                             enum gguf_value type,
                             struct str v)
{
    static const char FILL[] = "filling up to thirty-two bytes..";
    const uint64_t n_key = strlen(key), n_fill = 32 - (8 + n_key + 4 + v.n + 8 + 4 + 1) % 32;
    const uint32_t types[] = {type, GGUF_U8};
    struct gguf *g = NULL;
    struct str_buf b;
    OK(gguf_open_bytes(&g, (struct str){m.p, m.n}, "mini", ok));
    if (gguf_find(g, key)) rename_last(m, key);
    gguf_close(g);
    str_buf_init(&b, 2 * m.n);
    str_buf_add(&b, (struct str){m.p, 24});
    b.p[16] = (char)(b.p[16] + 2); /* keys */
    str_buf_add(&b, (struct str){(const char *)&n_key, 8});
    str_buf_add_z(&b, key);
    str_buf_add(&b, (struct str){(const char *)&types[0], 4});
    str_buf_add(&b, v);
    str_buf_add(&b, (struct str){(const char *)&n_fill, 8});
    str_buf_add(&b, (struct str){FILL, (size_t)n_fill});
    str_buf_add(&b, (struct str){(const char *)&types[1], 4});
    str_buf_add_char(&b, 1);
    str_buf_add(&b, (struct str){m.p + 24, m.n - 24});
    free(m.p);
    m.n = b.n;
    m.p = str_buf_take(&b);
    assert_non_null(m.p);
    return m;
}

/* Must be refused with exactly `text` after the model's name. */
static void refuses(struct image m, const char *text)
{
    struct engine *g = NULL;
    struct err e = {0};
    const enum status st = open_image(&g, m, &e);
    if (!st) engine_close(g);
    free(m.p);
    if (!st) fail_msg("opened, but must be refused: %s", text);
    assert_int_equal(st, QA_E_FORMAT);
    char want[300];
    snprintf(want, sizeof want, "cannot use model '(embedded)': %s", text);
    if (strcmp(e.text, want) != 0) fail_msg("says '%s', must say '%s'", e.text, want);
}

struct bad_int {
    const char *key;
    int32_t value;
    const char *text;
};

static void refuses_ints(const char *stem,
                         const char *arch,
                         const struct bad_int *list,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char key[100];
        struct image m = image_of(stem);
        snprintf(key, sizeof key, "%s.%s", arch, list[i].key);
        set_int(m, key, list[i].value);
        refuses(m, list[i].text);
    }
}

/* ---- refusals --------------------------------------------------------------- */

static void inconsistent_sizes_are_refused(void **state)
{
    (void)state;
    static const struct bad_int LIST[] = {
        {"block_count",                0,    "key 'qwen35moe.block_count': 0, must be 1 to 512"             },
        {"block_count",                513,  "key 'qwen35moe.block_count': 513, must be 1 to 512"           },
        {"block_count",                1,    "1 draft layers of 1 layers in all"                            },
        {"nextn_predict_layers",       2,    "key 'qwen35moe.nextn_predict_layers': 2, must be 0 to 1"      },
        {"full_attention_interval",    0,
         "key 'qwen35moe.full_attention_interval': 0, must be 1 to 512"                                     },
        {"embedding_length",           0,    "key 'qwen35moe.embedding_length': 0, must be 1 to 1048576"    },
        {"attention.head_count",       0,    "0 query heads do not share 1 KV heads evenly"                 },
        {"attention.head_count",       4097,
         "key 'qwen35moe.attention.head_count': 4097, must be 0 to 4096"                                    },
        {"attention.head_count_kv",    0,    "2 query heads do not share 0 KV heads evenly"                 },
        {"attention.head_count_kv",    4,    "2 query heads do not share 4 KV heads evenly"                 },
        {"attention.key_length",       64,   "keys of 64 and values of 32 per head, must be equal"          },
        {"attention.key_length",       0,
         "key 'qwen35moe.attention.key_length': 0, must be 1 to 1024"                                       },
        {"attention.key_length",       1025,
         "key 'qwen35moe.attention.key_length': 1025, must be 1 to 1024"                                    },
        {"rope.dimension_count",       34,
         "key 'qwen35moe.rope.dimension_count': 34, must be 2 to 32"                                        },
        {"rope.dimension_count",       15,   "key 'qwen35moe.rope.dimension_count': 15, must be even"       },
        {"ssm.conv_kernel",            1,    "key 'qwen35moe.ssm.conv_kernel': 1, must be 2 to 16"          },
        {"ssm.state_size",             257,  "key 'qwen35moe.ssm.state_size': 257, must be 1 to 256"        },
        {"ssm.group_count",            3,    "4 value heads do not share 3 key heads evenly"                },
        {"ssm.inner_size",             65,   "key 'qwen35moe.ssm.inner_size': 65, but 4 heads of 16 make 64"},
        {"expert_count",               513,  "key 'qwen35moe.expert_count': 513, must be 1 to 512"          },
        {"expert_count",               0,    "key 'qwen35moe.expert_count': 0, must be 1 to 512"            },
        {"expert_used_count",          5,    "key 'qwen35moe.expert_used_count': 5, there are 4 experts"    },
        {"expert_used_count",          0,    "key 'qwen35moe.expert_used_count': 0, must be 1 to 512"       },
        {"expert_feed_forward_length", -1,
         "key 'qwen35moe.expert_feed_forward_length': 4294967295, must be 1 to 1048576"                     },
    };
    refuses_ints(MINI_MOE, "qwen35moe", LIST, COUNT(LIST));
    static const struct bad_int DENSE[] = {
        {"feed_forward_length", 0,  "key 'qwen35.feed_forward_length' is missing or 0"},
        {"feed_forward_length", 96,
         "tensor 'blk.0.ffn_gate.weight': [32, 64, 1, 1], must be [32, 96, 1, 1]"     },
    };
    refuses_ints(MINI_DENSE, "qwen35", DENSE, COUNT(DENSE));
}

static void heads_without_a_size_of_their_own_are_bounded(void **state)
{
    (void)state;
    static const struct {
        int32_t width;
        const char *text;
    } CASES[] = {
        {1,    "heads of 0 values, must be 1 to 1024"   },
        {2050, "heads of 1025 values, must be 1 to 1024"}
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct image m = image_of(MINI_MOE);
        rename_last(m, "qwen35moe.attention.key_length");
        rename_last(m, "qwen35moe.attention.value_length");
        set_int(m, "qwen35moe.embedding_length", CASES[i].width);
        refuses(m, CASES[i].text);
    }
}

static void bad_rotation_sections_are_refused(void **state)
{
    (void)state;
    static const char KEY[] = "qwen35moe.rope.dimension_sections";
    struct image m = image_of(MINI_MOE);
    set_item(m, KEY, 1, -1);
    refuses(m, "key 'qwen35moe.rope.dimension_sections': entry 1 is not 0 to 32");
    m = image_of(MINI_MOE);
    for (size_t i = 0; i < 3; i++)
        set_item(m, KEY, i, 0);
    refuses(m, "key 'qwen35moe.rope.dimension_sections': leaves nothing to rotate");
    m = image_of(MINI_MOE);
    set_item(m, KEY, 0, 30);
    refuses(m, "key 'qwen35moe.rope.dimension_sections': sum 35, the head has 32");
}

/* Values as they lie in a file: STR() of their bytes. */
#define TEXT(z)              STR("\x07\0\0\0\0\0\0\0" z)               /* of seven letters */
#define LIST5(a, b, c, d, e) STR("\5\0\0\0\5\0\0\0\0\0\0\0" a b c d e) /* i32 */
#define I0                   "\0\0\0\0"
#define I2                   "\2\0\0\0"

static void keys_of_another_kind_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum gguf_value type;
        struct str value;
        const char *text;
    } CASES[] = {
        {"qwen35moe.block_count",                                                               GGUF_STRING, TEXT("sixteen"),
         "key 'qwen35moe.block_count': not an integer"                                                                                                                                                                                                                                 },
        {"qwen35moe.attention.layer_norm_rms_epsilon",                                          GGUF_STRING, TEXT("1 in 10"),
         "key 'qwen35moe.attention.layer_norm_rms_epsilon': not a number"                                                                                                                                                                                                              },
        {"qwen35moe.attention.layer_norm_rms_epsilon",                                          GGUF_F32,    STR("\0\0\0\x40"),
         "key 'qwen35moe.attention.layer_norm_rms_epsilon': 2, must be above 0 and at most 1"                                                                                                                                                                                          },
        {"qwen35moe.attention.layer_norm_rms_epsilon",                                          GGUF_F32,    STR("\0\0\xc0\x7f"),
         "key 'qwen35moe.attention.layer_norm_rms_epsilon': nan, must be above 0 and at most "
         "1"                                                                                                                                                                                                                                                                           },
        {"qwen35moe.rope.freq_base",                                                            GGUF_F32,    STR("\0\0\0\0"),
         "key 'qwen35moe.rope.freq_base': 0, must be above 1 and at most 1e+12"                                                                                                                                                                                                        },
        {"qwen35moe.attention.head_count",                                                      GGUF_ARRAY,  STR("\5\0\0\0\1\0\0\0\0\0\0\0" I2),
         "key 'qwen35moe.attention.head_count': 1 entries for 5 layers"                                                                                                                                                                                                                },
        {"qwen35moe.attention.head_count",                                                      GGUF_ARRAY,
         LIST5(I0,                                                                                                                                                              I0,                                                                                                      I0, "\xff\xff\xff\xff", I2),
         "key 'qwen35moe.attention.head_count': entry 3 is not 0 to 4096"},
        {"qwen35moe.attention.head_count",                                                                   GGUF_ARRAY,                                                                           LIST5(I0,                                                                                                      I0,                                                                                                                                                                                                             I0, I2, "\4\0\0\0"),
         "key 'qwen35moe.attention.head_count': differs between layers"},
        {"qwen35moe.attention.recurrent_layers",         GGUF_U32,STR(I2),
         "key 'qwen35moe.attention.recurrent_layers': layers out of the usual order are not "
         "read"},
        {"qwen35moe.rope.dimension_sections",                                                                          GGUF_U32,                                     STR(I2),
         "key 'qwen35moe.rope.dimension_sections': not a list of 3 or 4"                                                                                                                                                                       },
        {"qwen35moe.rope.dimension_sections",                                                                              GGUF_ARRAY,                                                                                             LIST5(I2,                                                                                                                                                              I2,                                                                                                                                                                                                                                                                                                                                                                                                                                               I2, I2, I2),
         "key 'qwen35moe.rope.dimension_sections': not a list of 3 or 4"},
        {"qwen35moe.rope.scaling.type",                                                                              GGUF_U32,                                    STR(I2),
         "key 'qwen35moe.rope.scaling.type': not text"  },
        {"qwen35moe.rope.scaling.type",                                                                             GGUF_STRING,TEXT("dynamic"),
         "key 'qwen35moe.rope.scaling.type': 'dynamic' is unknown, only none, linear and yarn"},
        {"tokenizer.ggml.tokens",                       GGUF_ARRAY,                                  STR("\x08\0\0\0" I0 I0),
         "key 'tokenizer.ggml.token_type': 320 entries for 0 tokens"                                                                                        },
        {"tokenizer.ggml.tokens",                                         GGUF_U32,                                                    STR(I2),
         "key 'tokenizer.ggml.tokens' is missing or no list of strings"                                                                                                      },
        {"general.type", GGUF_STRING,            TEXT("imatrix"),
         "this is an importance matrix (imatrix)"                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        refuses(with_key(image_of(MINI_MOE), CASES[i].key, CASES[i].type, CASES[i].value),
                CASES[i].text);
    }
}

static void missing_keys_are_named(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"block_count",
                                       "context_length",
                                       "embedding_length",
                                       "ssm.conv_kernel",
                                       "ssm.inner_size",
                                       "ssm.time_step_rank",
                                       "attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        char key[100], text[150];
        struct image m = image_of(MINI_MOE);
        snprintf(key, sizeof key, "qwen35moe.%s", KEYS[i]);
        snprintf(text, sizeof text, "key '%s' is missing", key);
        rename_last(m, key);
        refuses(m, text);
    }
    struct image m = image_of(MINI_MOE);
    rename_last(m, "general.architecture");
    refuses(m, "key 'general.architecture' is missing");
}

/* Before its tokenizer is looked at, which other models share or do not have. */
static void other_architectures_are_refused(void **state)
{
    (void)state;
    struct image m = image_of(MINI_MOE);
    memcpy(after(m, "general.architecture") + 12, "llama2moe", 9);
    rename_last(m, "tokenizer.ggml.model");
    refuses(m, "architecture 'llama2moe' does not run here, only qwen35 and qwen35moe");
}

static void missing_unknown_and_misshapen_tensors_are_named(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "token_embd.weight",       "output_norm.weight",        "blk.0.ssm_a",
        "blk.3.attn_q.weight",     "blk.1.ffn_gate_inp.weight", "blk.4.nextn.eh_proj.weight",
        "blk.4.nextn.hnorm.weight"};
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char text[100];
        struct image m = image_of(MINI_MOE);
        rename_last(m, NAMES[i]);
        snprintf(text, sizeof text, "tensor '%s' is missing", NAMES[i]);
        refuses(m, text);
    }
    struct image m = image_of(MINI_MOE); /* optional, so only the strange name is left */
    rename_last(m, "blk.4.nextn.shared_head_norm.weight");
    refuses(m, "tensor 'blk.4.nextn.shared_head_norm.weighX' is not part of this architecture");
    m = image_of(MINI_MOE);
    rename_last(m, "blk.2.ffn_up_exps.weight");
    refuses(m, "layer 2: needs 'ffn_gate_exps.weight' and 'ffn_up_exps.weight', or "
               "'ffn_gate_up_exps.weight' alone");
    m = image_of(MINI_MOE);
    set_dim(m, "blk.3.attn_k.weight", 1, 16);
    refuses(m, "tensor 'blk.3.attn_k.weight': [32, 16, 1, 1], must be [32, 32, 1, 1]");
}

static void wrong_wishes_are_refused_in_one_line(void **state)
{
    (void)state;
    struct engine *g = NULL;
    struct err e = {0};
    struct engine_opts o = engine_opts_default();
    assert_int_equal(engine_open(&g, &o, &e), QA_E_USAGE);
    assert_string_equal(e.text, "no model given");
    o.model_path = MINI_MOE ".gguf";
    o.kernels = "warp9";
    assert_int_equal(engine_open(&g, &o, &e), QA_E_USAGE);
    assert_string_equal(e.text, "there are no kernels 'warp9' here: avx512, avx2 (where the "
                                "processor has them), plain and ref are known");
    o.kernels = "ref";
    for (enum kv_type t = KV_TURBO4; t < KV_TYPE_COUNT; t++) { /* the heads have 32 values */
        char text[200];
        o.kv_k = KV_F16;
        o.kv_v = t;
        assert_int_equal(engine_open(&g, &o, &e), QA_E_USAGE);
        snprintf(text, sizeof text,
                 "values in '%s' need heads of a multiple of 64 values, the model's have 32",
                 kv_type_name(t));
        assert_string_equal(e.text, text);
        o.kv_k = t;
        o.kv_v = KV_Q4_0;
        assert_int_equal(engine_open(&g, &o, &e), QA_E_USAGE);
        snprintf(text, sizeof text,
                 "keys in '%s' need heads of a multiple of 64 values, the model's have 32",
                 kv_type_name(t));
        assert_string_equal(e.text, text);
    }
    o.model_path = "tests/fixtures/models/none.gguf";
    assert_int_equal(engine_open(&g, &o, &e), QA_E_IO);
    assert_string_equal(e.text,
                        "cannot open 'tests/fixtures/models/none.gguf': no such file or "
                        "directory");
    assert_null(g);
}

static void a_word_without_end_is_refused(void **state)
{
    (void)state;
    enum { N = (1 << 24) + 1 };
    struct engine *g = mini_open(MINI_DENSE, "ref", KV_F16);
    struct ids ids = {0};
    struct err e = {0};
    char *word = malloc(N);
    assert_non_null(word);
    memset(word, 'a', N);
    assert_int_equal(engine_encode(g, (struct str){word, N}, SPECIAL_PARSE, &ids, &e),
                     QA_E_LIMIT);
    assert_string_equal(e.text, "a word of 16777217 bytes, at most 16777216 are read");
    free(word);
    ids_release(&ids);
    engine_close(g);
}

/* ---- what opens ------------------------------------------------------------- */

static void facts_are_exact(void **state)
{
    (void)state;
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    const struct engine_info *i = engine_info(g);
    assert_string_equal(i->arch, "qwen35moe");
    assert_string_equal(i->name, "mini");
    assert_string_equal(i->kernels, "ref");
    assert_int_equal(i->n_layers, 4);
    assert_int_equal(i->n_embd, 32);
    assert_int_equal(i->n_vocab, 320);
    assert_int_equal(i->n_ctx_train, 4096);
    assert_true(i->has_draft);
    assert_int_equal(i->chat_template.n, 0);
    /* two attention layers, draft included: keys and values of one head of 32 in f16 */
    assert_int_equal(i->kv_bytes_per_token, 2 * 2 * 32 * 2);
    /* three DeltaNet layers: three rows of 128 channels, four heads of 16 x 16, f32 */
    assert_int_equal(i->state_bytes, 3 * (3 * 128 + 4 * 16 * 16) * 4);

    enum { E = 32, F = 32, C = 128, VALUE = 64, V = 320 };
    const int delta = E * (C + VALUE + 4 + 4) + C * 4 + 4 + 4 + 16 + VALUE * E;
    const int attention = E * (128 + 32 + 32) + 64 * E + 32 + 32;
    const int experts = 4 * 3 * E * F, others = 2 * E + E * 4 + E + 3 * E * F;
    const int draft = 2 * E * E + 3 * E;
    assert_int_equal(i->n_params, 2 * V * E + E + 3 * delta + 2 * attention +
                                      5 * (experts + others) + draft);
    /* per token: f16 = 2, q8_0 = 34 per 32; two of four experts; one row of the embedding */
    const int q8 = 34, mlp = 3 * E * F / 32 * q8;
    const int ffn_bytes = 4 * (2 * E + E * 4 + E) + 2 * mlp + mlp;
    const int delta_bytes = 2 * (E * (C + VALUE) + VALUE * E) + 4 * (E * 8 + C * 4 + 8 + 16);
    const int attention_bytes = 2 * E * (128 + 32 + 32) + 64 * E / 32 * q8 + 4 * 64;
    assert_int_equal(i->decode_bytes, 2 * V * E + 2 * E + 4 * E + 3 * delta_bytes +
                                          attention_bytes + 4 * ffn_bytes);
    engine_close(g);
}

static void a_tied_head_is_read_as_a_whole(void **state)
{
    (void)state;
    struct engine *g = mini_open(MINI_DENSE, "ref", KV_F16);
    assert_false(engine_info(g)->has_draft);
    assert_ptr_equal(g->m->head, &g->m->embd);
    /* everything in the file is read, and nothing twice */
    assert_int_equal(engine_info(g)->decode_bytes, engine_info(g)->weight_bytes);
    engine_close(g);
}

static void the_draft_layer_can_be_left_out(void **state)
{
    (void)state;
    struct engine *g = NULL, *with = mini_open(MINI_MOE, "ref", KV_F16);
    struct engine_opts o = engine_opts_default();
    o.model_path = MINI_MOE ".gguf";
    o.kernels = "ref";
    o.want_draft = false;
    OK(engine_open(&g, &o, ok));
    assert_false(engine_info(g)->has_draft);
    assert_int_equal(engine_info(g)->n_params, engine_info(with)->n_params);
    assert_int_equal(2 * engine_info(g)->kv_bytes_per_token,
                     engine_info(with)->kv_bytes_per_token);
    engine_close(g);
    engine_close(with);
}

static void a_model_in_memory_is_the_model_in_the_file(void **state)
{
    (void)state;
    enum { N = 5, V = 320 };
    int32_t ids[N];
    static float a[N * V], b[N * V];
    struct image m = image_of(MINI_MOE);
    struct engine *g = NULL, *h = mini_open(MINI_MOE, "ref", KV_F16);
    struct err e = {0};
    assert_int_equal(open_image(&g, m, &e), QA_OK);
    fill_ids(ids, N, 1);
    OK(engine_raw(g, ids, N, N, &(struct raw_outputs){.logits = a}, ok));
    OK(engine_raw(h, ids, N, N, &(struct raw_outputs){.logits = b}, ok));
    assert_memory_equal(a, b, sizeof a);
    engine_close(g);
    engine_close(h);
    free(m.p);
}

struct extra {
    const char *name;
    float v[4];
    uint64_t n;
};

/* A copy of m, freed, with more tensors of f32 values at its end.  Counts on the last
 * tensor of the file being output.weight, in two dimensions. */
static struct image with_tensors(struct image m, const struct extra *x, size_t n)
{
    struct gguf *g = NULL;
    OK(gguf_open_bytes(&g, (struct str){m.p, m.n}, "mini", ok));
    const size_t data = (size_t)((const char *)gguf_tensor_at(g, 0)->data - m.p);
    const size_t n_data = (m.n - data + 31) / 32 * 32;
    const size_t list_end = (size_t)(after(m, "output.weight") - m.p) + 4 + 16 + 4 + 8;
    gguf_close(g);

    struct str_buf b;
    str_buf_init(&b, 4 * m.n);
    str_buf_add(&b, (struct str){m.p, list_end});
    b.p[8] = (char)(b.p[8] + (char)n); /* tensors */
    for (size_t i = 0; i < n; i++) {
        const uint64_t n_name = strlen(x[i].name), offset = n_data + 32 * i;
        str_buf_add(&b, (struct str){(const char *)&n_name, 8});
        str_buf_add_z(&b, x[i].name);
        str_buf_add(&b, (struct str){"\1\0\0", 4});
        str_buf_add(&b, (struct str){(const char *)&x[i].n, 8});
        str_buf_add(&b, (struct str){"\0\0\0", 4}); /* f32 */
        str_buf_add(&b, (struct str){(const char *)&offset, 8});
    }
    while (b.n % 32)
        str_buf_add_char(&b, 0);
    str_buf_add(&b, (struct str){m.p + data, m.n - data});
    for (size_t i = 0; i < n; i++) {
        while (b.n % 32)
            str_buf_add_char(&b, 0);
        str_buf_add(&b, (struct str){(const char *)x[i].v, x[i].n * sizeof(float)});
    }
    free(m.p);
    m.n = b.n;
    m.p = str_buf_take(&b);
    assert_non_null(m.p);
    return m;
}

enum { N_SCALED = 5, V_MINI = 320 };

static void run_image(struct image m, const char *kernels, float *logits)
{
    int32_t ids[N_SCALED];
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_bytes = (struct str){m.p, m.n};
    o.kernels = kernels;
    o.n_threads = 1;
    fill_ids(ids, N_SCALED, 1);
    OK(engine_open(&g, &o, ok));
    OK(engine_raw(g, ids, N_SCALED, N_SCALED, &(struct raw_outputs){.logits = logits}, ok));
    engine_close(g);
}

/* Multiply the f16 factors of a tensor's q8_0 blocks by 2^by. */
static void shift_blocks(struct image m, const char *name, size_t from, size_t to, int by)
{
    struct gguf *g = NULL;
    OK(gguf_open_bytes(&g, (struct str){m.p, m.n}, "mini", ok));
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    assert_int_equal(t->type, 8);
    uint8_t *p = (uint8_t *)m.p + ((const char *)t->data - m.p);
    const size_t n = t->n_bytes / 34;
    for (size_t i = n * from / to; i < n * (from + 1) / to; i++)
        p[34 * i + 1] = (uint8_t)(p[34 * i + 1] + by * 4); /* the exponent's place */
    gguf_close(g);
}

static void companions_scale_whole_matrices_and_single_experts(void **state)
{
    (void)state;
    static const struct extra EXTRA[] = {
        {"blk.0.ffn_down_exps.scale",     {2, 4, 1, 2}, 4},
        {"blk.1.ffn_gate_up_exps.scale",  {2, 2, 2, 2}, 4},
        {"blk.3.attn_output.scale",       {0.5F},       1},
        {"blk.3.attn_output.input_scale", {9},          1}, /* not for us */
    };
    static float want[N_SCALED * V_MINI], got[N_SCALED * V_MINI], plain[N_SCALED * V_MINI];
    static const char *const KERNELS[] = {"ref", "plain"};
    for (size_t k = 0; k < COUNT(KERNELS); k++) {
        struct image m = image_of(MINI_MOE);
        run_image(m, KERNELS[k], plain);
        shift_blocks(m, "blk.0.ffn_down_exps.weight", 0, 4, 1); /* the same inside blocks */
        shift_blocks(m, "blk.0.ffn_down_exps.weight", 1, 4, 2);
        shift_blocks(m, "blk.0.ffn_down_exps.weight", 3, 4, 1);
        shift_blocks(m, "blk.1.ffn_gate_up_exps.weight", 0, 1, 1);
        shift_blocks(m, "blk.3.attn_output.weight", 0, 1, -1);
        run_image(m, KERNELS[k], want);
        free(m.p);
        m = with_tensors(image_of(MINI_MOE), EXTRA, COUNT(EXTRA));
        run_image(m, KERNELS[k], got);
        free(m.p);
        assert_true(relative_error(got, want, COUNT(want)) < 1e-6);
        assert_true(relative_error(got, plain, COUNT(want)) > 1e-3);
    }
}

static void companions_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const struct extra TWO = {
        "blk.0.ffn_down_exps.scale", {1, 1},
         2
    };
    refuses(with_tensors(image_of(MINI_MOE), &TWO, 1),
            "tensor 'blk.0.ffn_down_exps.scale': 2 values, must be 4");
    static const struct extra LOST = {"blk.0.ffn_lost.scale", {1}, 1};
    refuses(with_tensors(image_of(MINI_MOE), &LOST, 1),
            "tensor 'blk.0.ffn_lost.scale' is not part of this architecture");
    static const struct extra ODD = {
        "blk.00.attn_norm.weight", {1}, 1}; /* no name of layer 0 */
    refuses(with_tensors(image_of(MINI_MOE), &ODD, 1),
            "tensor 'blk.00.attn_norm.weight' is not part of this architecture");
}

static void a_norm_may_have_any_format(void **state)
{
    (void)state;
    static float want[N_SCALED * V_MINI], got[N_SCALED * V_MINI];
    struct image m = image_of(MINI_MOE);
    struct gguf *g = NULL;
    float *v = NULL;
    uint8_t block[34] = {0, 0x2C}; /* q8_0: f16 of 2^-4, then 32 codes */
    OK(gguf_open_bytes(&g, (struct str){m.p, m.n}, "mini", ok));
    const struct gguf_tensor *t = gguf_find_tensor(g, "blk.0.attn_norm.weight");
    v = (float *)(void *)(m.p + ((const char *)t->data - m.p));
    for (int i = 0; i < 32; i++) {
        block[2 + i] = (uint8_t)(10 + i);
        const float value = (float)(10 + i) * 0x1p-4F;
        memcpy(v + i, &value, sizeof value);
    }
    gguf_close(g);
    run_image(m, "ref", want);
    memcpy(v, block, sizeof block);
    set_type(m, "blk.0.attn_norm.weight", 1, 8);
    run_image(m, "ref", got);
    assert_memory_equal(got, want, sizeof want);
    free(m.p);
}

static void cache_format_names_go_both_ways(void **state)
{
    (void)state;
    for (enum kv_type t = KV_F32; t < KV_TYPE_COUNT; t++) {
        enum kv_type back = KV_TYPE_COUNT;
        assert_true(kv_type_of(kv_type_name(t), &back));
        assert_int_equal(back, t);
    }
    enum kv_type t = KV_F16;
    assert_false(kv_type_of("f17", &t));
    assert_int_equal(t, KV_F16);
}

/* ---- rotation --------------------------------------------------------------- */

static void sections_that_leave_pairs_out_do_not_rotate_them(void **state)
{
    (void)state;
    struct image m = image_of(MINI_MOE);
    struct engine *g = NULL;
    struct err e = {0};
    /* 1, 1, 1 and 1 of another axis: of 8 pairs the 4th and 8th belong to it */
    for (size_t i = 0; i < 4; i++)
        set_item(m, "qwen35moe.rope.dimension_sections", i, 1);
    assert_int_equal(open_image(&g, m, &e), QA_OK);
    for (int i = 0; i < 8; i++) {
        const double want = i % 4 == 3 ? 0 : pow(10000, -2.0 * i / 16);
        assert_true(fabs(g->m->inv_freq[i] - want) < 1e-12);
    }
    engine_close(g);
    free(m.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inconsistent_sizes_are_refused),
        cmocka_unit_test(heads_without_a_size_of_their_own_are_bounded),
        cmocka_unit_test(bad_rotation_sections_are_refused),
        cmocka_unit_test(keys_of_another_kind_are_refused),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(other_architectures_are_refused),
        cmocka_unit_test(missing_unknown_and_misshapen_tensors_are_named),
        cmocka_unit_test(wrong_wishes_are_refused_in_one_line),
        cmocka_unit_test(a_word_without_end_is_refused),
        cmocka_unit_test(facts_are_exact),
        cmocka_unit_test(a_tied_head_is_read_as_a_whole),
        cmocka_unit_test(the_draft_layer_can_be_left_out),
        cmocka_unit_test(a_model_in_memory_is_the_model_in_the_file),
        cmocka_unit_test(companions_scale_whole_matrices_and_single_experts),
        cmocka_unit_test(companions_of_another_shape_are_refused),
        cmocka_unit_test(a_norm_may_have_any_format),
        cmocka_unit_test(cache_format_names_go_both_ways),
        cmocka_unit_test(sections_that_leave_pairs_out_do_not_rotate_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
