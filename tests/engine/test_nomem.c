/* test_nomem.c - memory that runs out anywhere is a status with one line, and costs
 * nothing of what was there before: each allocation of each step fails once. */
#include "engine/base/file.h"
#include "engine/engine.h"
#include "engine/gguf.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/models/mini-moe.gguf"
enum { N_PROMPT = 300, LINES_MAX = 40 };

/* ---- an allocator that fails once ---------------------------------------------- */

/* Allocations of this thread until the one that fails; below 0: none does. */
static _Thread_local long n_left = -1;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_FAIL = 0 }; /* a sanitizer's own allocator stands here */
#else
enum { CAN_FAIL = 1 };

static bool fails_now(void)
{
    if (n_left < 0 || n_left-- > 0) return false;
    errno = ENOMEM;
    return true;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

/* These stand before libc's. */
void *malloc(size_t n)
{
    return fails_now() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    return fails_now() ? NULL : __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails_now() ? NULL : __libc_memalign(alignment, n);
}
#endif

/* ---- steps ----------------------------------------------------------------------- */

struct world {
    struct engine *g;
    struct session *s, *other;
    struct ids text;
    int32_t ids[N_PROMPT];
    float logits[8 * 320];
    char path[64];
};

static enum status open_engine(struct world *w, struct err *e)
{
    struct engine_opts o = engine_opts_default();
    o.model_path = MODEL;
    o.kernels = "plain";
    o.n_threads = 2;
    return engine_open(&w->g, &o, e);
}

static enum status open_mapped_and_traced(struct world *w, struct err *e)
{
    struct engine_opts o = engine_opts_default();
    o.model_path = MODEL;
    o.kernels = "ref";
    o.want_mmap = true;
    o.trace = TRACE_CHECK;
    return engine_open(&w->g, &o, e);
}

static enum status open_compressed(struct world *w, struct err *e)
{
    struct engine_opts o = engine_opts_default();
    o.model_path = MODEL;
    o.kernels = "plain";
    o.kv_k = o.kv_v = KV_Q8_0;
    return engine_open(&w->g, &o, e);
}

static void put(FILE *f, const char *key, uint64_t n, const void *value, size_t n_value)
{
    assert_int_equal(fwrite(&n, 8, 1, f), 1);
    assert_int_equal(fwrite(key, 1, n, f), n);
    assert_int_equal(fwrite(value, 1, n_value, f), n_value);
}

/* Part i of two: its number, their count, one tensor of 4 bytes. */
static void write_part(const char *path, int i)
{
    static const uint32_t HEAD[6] = {0x46554747, 3, 1, 0, 2, 0};
    const uint16_t no[] = {GGUF_U16, 0, (uint16_t)i}, count[] = {GGUF_U16, 0, 2};
    static const uint32_t TENSOR[] = {1, 1, 0, 0, 0, 0}; /* dimensions, size, type, offset */
    static const char DATA[64] = "";
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(HEAD, sizeof HEAD, 1, f), 1);
    put(f, "split.no", 8, no, sizeof no);
    put(f, "split.count", 11, count, sizeof count);
    put(f, i ? "t1" : "t0", 2, TENSOR, sizeof TENSOR);
    assert_int_equal(fwrite(DATA, sizeof DATA, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static enum status write_split(struct world *w, struct err *e)
{
    write_part("/tmp/qagent-nomem-00001-of-00002.gguf", 0);
    write_part("/tmp/qagent-nomem-00002-of-00002.gguf", 1);
    return QA_OK;
}

static enum status open_split(struct world *w, struct err *e)
{
    struct gguf *g = NULL;
    const enum status st = gguf_open(&g, "/tmp/qagent-nomem-00001-of-00002.gguf", false, e);
    gguf_close(g);
    return st;
}

static enum status open_session(struct world *w, struct err *e)
{
    const struct session_opts o = {.cap_tokens = 700, .n_draft = 8, .n_copy = 8};
    return session_open(&w->s, w->g, &o, e);
}

static enum status append(struct world *w, struct err *e)
{
    return session_append(w->s, w->ids, N_PROMPT, e);
}

static enum status mark(struct world *w, struct err *e)
{
    int m;
    return session_mark(w->s, &m, e);
}

static enum status fork_it(struct world *w, struct err *e)
{
    return session_fork(&w->other, w->s, e);
}

static enum status decode(struct world *w, struct err *e)
{
    static const struct sampling warm = {.temp = 0.9F, .top_p = 0.95F, .repetition_penalty = 1};
    struct rng r;
    rng_init(&r, 3, 1);
    enum status st = QA_OK;
    for (int n = 0; !st && n < 40;) {
        const struct decode_args a = {.sampling = &warm, .rng = &r, .max_tokens = 40 - n};
        struct burst b = {0};
        st = session_decode(w->s, &a, &b, e);
        n += b.n;
    }
    return st;
}

static enum status save(struct world *w, struct err *e)
{
    return session_save(w->s, w->path, e);
}

static enum status load(struct world *w, struct err *e)
{
    return session_load(w->s, w->path, e);
}

static enum status read_text(struct world *w, struct err *e)
{
    struct str_buf b;
    str_buf_init(&b, 1 << 20);
    const enum status st = file_read(&b, "LICENSE", e);
    str_buf_release(&b);
    return st;
}

static enum status make_folder(struct world *w, struct err *e)
{
    return file_make_dirs("/tmp", e);
}

static enum status encode(struct world *w, struct err *e)
{
    /* One word long enough to need memory of its own, and one not in normal form. */
    return engine_encode(
        w->g,
        STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa e\xcc\x81"),
        SPECIAL_PARSE, &w->text, e);
}

static enum status raw(struct world *w, struct err *e)
{
    return engine_raw(w->g, w->ids, 8, 3, &(struct raw_outputs){.logits = w->logits}, e);
}

typedef enum status step_fn(struct world *w, struct err *e);

/* ---- trials ---------------------------------------------------------------------- */

struct lines {
    char text[LINES_MAX][240];
    int n;
};

static bool has(const struct lines *l, const char *text)
{
    for (int i = 0; i < l->n; i++) {
        if (strcmp(l->text[i], text) == 0) return true;
    }
    return false;
}

/* Numbers as '#': tensors and pages have many. */
static void note(struct lines *l, const char *line)
{
    char text[sizeof l->text[0]];
    size_t n = 0;
    for (const char *p = line; *p; p++) {
        if (!isdigit((unsigned char)*p))
            text[n++] = *p;
        else if (n == 0 || text[n - 1] != '#')
            text[n++] = '#';
    }
    text[n] = 0;
    if (has(l, text)) return;
    assert_true(l->n < LINES_MAX);
    snprintf(l->text[l->n++], sizeof l->text[0], "%s", text);
}

static void report(const struct lines *a, const struct lines *b, const char *what)
{
    for (int i = 0; i < a->n; i++) {
        if (!has(b, a->text[i])) print_error("%s: '%s'\n", what, a->text[i]);
    }
}

static void world_close(struct world *w)
{
    session_close(w->other);
    session_close(w->s);
    ids_release(&w->text);
    engine_close(w->g);
}

/* `before` (up to a NULL) succeed, then the step does with the n-th allocation failing,
 * for every n: it is fine or says one of `want` and `more`, and each of them is said. */
static void check(step_fn *const *before,
                  step_fn *step,
                  const char *const *want,
                  const char *const *more)
{
    static struct world w;
    struct lines said = {.n = 0};
    if (!CAN_FAIL) skip();
    for (long n = 0;; n++) {
        struct err e = {0};
        memset(&w, 0, sizeof w);
        for (int i = 0; i < N_PROMPT; i++)
            w.ids[i] = i % 7 * 3;
        snprintf(w.path, sizeof w.path, "/tmp/qagent-nomem-%ld", (long)getpid());
        for (int i = 0; before[i]; i++) {
            if (before[i](&w, &e)) fail_msg("before: %s", e.text);
        }
        n_left = n;
        enum status st = step(&w, &e);
        const bool is_over = n_left >= 0;
        n_left = -1;
        if (st) {
            assert_int_equal(st, QA_E_NOMEM);
            note(&said, e.text);
            struct err again = {0};
            st = step(&w, &again); /* nothing was broken by it */
            if (st) fail_msg("after '%s': %s", e.text, again.text);
        }
        world_close(&w);
        unlink(w.path);
        if (is_over) break;
    }
    struct lines wanted = {.n = 0};
    for (int i = 0; i < 2; i++) {
        for (const char *const *line = i ? more : want; line && *line; line++)
            note(&wanted, *line);
    }
    report(&wanted, &said, "never said");
    report(&said, &wanted, "said");
    assert_int_equal(said.n, wanted.n);
    for (int i = 0; i < said.n; i++)
        assert_true(has(&wanted, said.text[i]));
}

#define STEPS(...)     \
    (step_fn *const[]) \
    {                  \
        __VA_ARGS__    \
    }
#define LINES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__       \
    }

/* Numbers are '#'. */
#define USE  "cannot use model '" MODEL "': "
#define READ "cannot read model '" MODEL "': "
static const char *const OPENING[] = {
    "no memory for the engine",
    READ "out of memory",
    "cannot open '" MODEL "': out of memory",
    READ "no memory for # keys",
    READ "no memory for # tensors",
    USE "no memory for 'tokenizer.ggml.tokens'",
    USE "no memory for 'tokenizer.ggml.merges'",
    USE "no memory for 'tokenizer.ggml.token_type'",
    USE "no memory for the tokenizer",
    USE "no memory for # tokens",
    USE "no memory for # merges",
    USE "no memory for # added tokens",
    USE "no memory for the model",
    USE "no memory for the activations",
    USE "no memory for the scheduler",
    USE "no memory for a batch",
    USE "no memory for a session",
    USE "no memory for a session: # bytes",
    USE "no memory for steps of # tokens",
    USE "no memory for a session's logits",
    USE "no memory for the sampler",
    USE "no memory for tensor 'output_norm.weight'",
    USE "no memory for tensor 'blk.#.attn_norm.weight'",
    USE "no memory for tensor 'blk.#.post_attention_norm.weight'",
    USE "no memory for tensor 'blk.#.ssm_conv#d.weight'",
    USE "no memory for tensor 'blk.#.ssm_dt.bias'",
    USE "no memory for tensor 'blk.#.ssm_a'",
    USE "no memory for tensor 'blk.#.ssm_norm.weight'",
    USE "no memory for tensor 'blk.#.ffn_gate_inp_shexp.weight'",
    USE "no memory for tensor 'blk.#.attn_q_norm.weight'",
    USE "no memory for tensor 'blk.#.attn_k_norm.weight'",
    USE "no memory for tensor 'blk.#.nextn.enorm.weight'",
    USE "no memory for tensor 'blk.#.nextn.hnorm.weight'",
    USE "no memory for tensor 'blk.#.nextn.shared_head_norm.weight'",
    USE "no memory for # tensors",
    NULL};

static void opening_a_model_can_run_out_of_memory(void **state)
{
    check(STEPS(NULL), open_engine, OPENING,
          LINES(USE "cannot allocate the CPU device", USE "cannot allocate a thread pool",
                USE "cannot allocate # threads", NULL));
}

static void opening_a_mapped_model_can_run_out_of_memory(void **state)
{
    check(STEPS(NULL), open_mapped_and_traced, OPENING,
          LINES(USE "cannot allocate the reference device", USE "no memory to trace the verbs",
                NULL));
}

#define SPLIT "cannot read model '/tmp/qagent-nomem-#-of-#.gguf': "
static void opening_a_split_file_can_run_out_of_memory(void **state)
{
    check(STEPS(write_split, NULL), open_split,
          LINES(SPLIT "out of memory",
                "cannot open '/tmp/qagent-nomem-#-of-#.gguf': out of memory",
                SPLIT "no memory for # keys", SPLIT "no memory for # tensors",
                SPLIT "no memory for # parts", SPLIT "out of memory for the name of a part",
                SPLIT "cannot open '/tmp/qagent-nomem-#-of-#.gguf': out of memory",
                SPLIT "part # of #: no memory for # keys",
                SPLIT "part # of #: no memory for # tensors", NULL),
          NULL);
    unlink("/tmp/qagent-nomem-00001-of-00002.gguf");
    unlink("/tmp/qagent-nomem-00002-of-00002.gguf");
}

static const char *const SESSION[] = {
    "no memory for a session",          "no memory for a session: # bytes",
    "no memory for passes of # rows",   "no memory for steps of # tokens",
    "no memory for a session's logits", "no memory for the sampler",
    "no memory for drafting",           NULL};

static void opening_a_session_can_run_out_of_memory(void **state)
{
    check(STEPS(open_mapped_and_traced, NULL), open_session,
          LINES("no memory for a session", "no memory for a session: # bytes",
                "no memory for the reference device's scratch",
                "no memory for steps of # tokens", "no memory for a session's logits",
                "no memory for the sampler", "no memory for drafting", NULL),
          NULL);
    check(STEPS(open_engine, NULL), open_session, SESSION, NULL);
    check(STEPS(open_compressed, NULL), open_session, SESSION, NULL);
}

static void reading_a_prompt_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, open_session, NULL), append,
          LINES("no memory for # tokens", "no memory for the cache: # bytes for tokens # to #",
                NULL),
          NULL);
}

static void marks_and_forks_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, open_session, append, NULL), mark,
          LINES("no memory for a mark: # bytes", "no memory for a mark's logits", NULL), NULL);
    check(STEPS(open_compressed, open_session, append, NULL), mark,
          LINES("no memory for a mark: # bytes", "no memory for a mark's logits",
                "no memory for the cache: # bytes in f16", NULL),
          NULL);
    check(STEPS(open_engine, open_session, append, NULL), fork_it,
          LINES("no memory for a session", "no memory for a session: # bytes",
                "no memory for passes of # rows", "no memory for steps of # tokens",
                "no memory for a batch", "no memory for the logits of # rows",
                "no memory for # drafted tokens a step", "no memory for a session's logits",
                "no memory for the sampler", "no memory for drafting", "no memory for # tokens",
                NULL),
          NULL);
}

static void decoding_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, open_session, append, NULL), decode,
          LINES("no memory for # tokens", "no memory to look for repetitions in # tokens",
                "no memory for the cache: # bytes for tokens # to #", NULL),
          NULL);
}

static void saving_and_loading_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, open_session, append, NULL), save,
          LINES("no memory for a session's file",
                "cannot create '/tmp/qagent-nomem-#': out of memory", NULL),
          NULL);
    check(STEPS(open_engine, open_session, append, save, NULL), load,
          LINES("no memory for a session's file", "no memory for # tokens",
                "no memory for a session: # bytes",
                "no memory for the cache: # bytes for tokens # to #", "no memory for a session",
                NULL),
          NULL);
}

static void files_can_run_out_of_memory(void **state)
{
    check(STEPS(NULL), read_text,
          LINES("cannot read 'LICENSE': out of memory",
                "cannot read 'LICENSE': out of memory for the file", NULL),
          NULL);
    check(STEPS(NULL), make_folder, LINES("cannot create folder '/tmp': out of memory", NULL),
          NULL);
}

static void encoding_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, NULL), encode,
          LINES("out of memory for the text in normal form", "no memory for a word of # bytes",
                "no memory for # tokens", NULL),
          NULL);
}

static void raw_outputs_can_run_out_of_memory(void **state)
{
    check(STEPS(open_engine, NULL), raw,
          LINES("no memory for a session: # bytes",
                "no memory for the cache: # bytes for tokens # to #",
                "no memory for passes of # rows", "no memory for steps of # tokens",
                "no memory for raw outputs", NULL),
          NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_a_model_can_run_out_of_memory),
        cmocka_unit_test(opening_a_mapped_model_can_run_out_of_memory),
        cmocka_unit_test(opening_a_split_file_can_run_out_of_memory),
        cmocka_unit_test(opening_a_session_can_run_out_of_memory),
        cmocka_unit_test(reading_a_prompt_can_run_out_of_memory),
        cmocka_unit_test(marks_and_forks_can_run_out_of_memory),
        cmocka_unit_test(decoding_can_run_out_of_memory),
        cmocka_unit_test(saving_and_loading_can_run_out_of_memory),
        cmocka_unit_test(files_can_run_out_of_memory),
        cmocka_unit_test(encoding_can_run_out_of_memory),
        cmocka_unit_test(raw_outputs_can_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
