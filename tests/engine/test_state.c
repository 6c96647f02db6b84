/* Sessions as files: what is loaded goes on as what was saved. */
#include "engine/hash.h"
#include "engine/session.h"
#include "engine/tiny/tiny.h"
#include "tests/engine/mini.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N_PROMPT = 100, N_MORE = 40 };

static char folder[] = "/tmp/qagent-state-XXXXXX";
static char path[64], copy[64];

static int make_folder(void **state)
{
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/saved", folder);
    snprintf(copy, sizeof copy, "%s/changed", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(path);
    unlink(copy);
    return rmdir(folder); /* fails when a temporary file was left */
}

static int decode_sampled(struct session *s, int32_t *out, int n)
{
    const struct sampling warm = {.temp = 0.9f, .top_p = 0.95f, .repetition_penalty = 1};
    struct rng r;
    rng_init(&r, 3, 1);
    int n_out = 0;
    while (n_out < n) {
        const struct decode_args a = {.sampling = &warm, .rng = &r, .max_tokens = n - n_out};
        struct burst b;
        OK(session_decode(s, &a, &b, ok));
        memcpy(out + n_out, b.ids, (size_t)b.n * sizeof *out);
        n_out += b.n;
    }
    return n_out;
}

static void assert_same_future(struct session *a, struct session *b, int n)
{
    int32_t x[N_MORE], y[N_MORE];
    struct err e = {0};
    assert_int_equal(session_n_tokens(a), session_n_tokens(b));
    decode_sampled(a, x, n);
    decode_sampled(b, y, n);
    assert_memory_equal(x, y, (size_t)n * sizeof *x);
    assert_memory_equal(session_logits(a, &e), session_logits(b, &e),
                        (size_t)engine_info(a->g)->n_vocab * sizeof(float));
}

static struct session *saved_session(struct engine *g, int n_draft, int n_decoded)
{
    int32_t ids[N_PROMPT], out[N_MORE];
    struct session *s = mini_session(g, n_draft, 0);
    fill_ids(ids, N_PROMPT, 5);
    OK(session_append(s, ids, N_PROMPT, ok));
    if (n_decoded) decode_sampled(s, out, n_decoded);
    OK(session_save(s, path, ok));
    return s;
}

/* ---- going on ------------------------------------------------------------------- */

static void a_loaded_session_goes_on_as_the_saved_one(void **state)
{
    static const enum kv_type TYPES[] = {KV_F16, KV_F32};
    for (size_t t = 0; t < COUNT(TYPES); t++) {
        for (int k = -1; k < 0 || cpu_ops_at(k); k++) {
            struct engine *g =
                mini_open(MINI_MOE, k < 0 ? "ref" : cpu_ops_at(k)->name, TYPES[t]);
            for (int n_draft = 0; n_draft <= 4; n_draft += 2) {
                /* With a token pending (decoded) and without. */
                struct session *s = saved_session(g, n_draft, n_draft ? 7 : 0);
                struct session *l = mini_session(g, n_draft, 0);
                OK(session_load(l, path, ok));
                assert_memory_equal(session_ids(l), session_ids(s), s->ids.n * sizeof(int32_t));
                assert_same_future(s, l, N_MORE);
                session_close(s);
                session_close(l);
            }
            engine_close(g);
        }
    }
}

/* Heads of 64 values, which every format can hold. */
static struct engine *tiny_open(enum kv_type k, enum kv_type v)
{
    struct engine_opts o = engine_opts_default();
    struct engine *g = NULL;
    o.model_bytes =
        (struct str){.p = qa_tiny_gguf, .n = (size_t)(qa_tiny_gguf_end - qa_tiny_gguf)};
    o.n_threads = 1;
    o.kv_k = k;
    o.kv_v = v;
    OK(engine_open(&g, &o, ok));
    return g;
}

/* Pages that the next position reads compressed. */
static int n_compressed(const struct session *s)
{
    int n = 0;
    for (int i = 0; i < s->cache.n_pages; i++)
        n += !attn_reads_f16(i, session_n_tokens(s) / PAGE_TOKENS);
    return n;
}

/* Pages that are no longer there in f16. */
static int n_dropped(const struct session *s)
{
    int n = 0;
    for (int i = 0; i < s->cache.n_pages; i++)
        n += i >= s->cache.to16 || !s->cache.f16.page[i];
    return n;
}

static const enum kv_type COMPRESSED[][2] = {
    {KV_Q8_0,   KV_Q8_0  },
    {KV_Q4_0,   KV_Q4_0  },
    {KV_TURBO4, KV_TURBO4},
    {KV_TURBO3, KV_TURBO3},
    {KV_TURBO2, KV_TURBO2},
    {KV_Q8_0,   KV_TURBO2},
    {KV_TURBO3, KV_F16   },
    {KV_F32,    KV_Q4_0  },
};

/* One session that grows: from a length that is read in f16 alone over one with a page
 * that is read compressed to one with pages that are no longer there in f16. */
static void compressed_keys_and_values_go_on_as_they_were(void **state)
{
    enum { N_LONG = 401, N_FEW = 9 };
    static const int64_t LENGTHS[] = {N_PROMPT, 256, N_LONG};
    int32_t ids[N_LONG], out[N_FEW];
    fill_ids(ids, COUNT(ids), 5);
    for (size_t t = 0; t < COUNT(COMPRESSED); t++) {
        struct engine *g = tiny_open(COMPRESSED[t][0], COMPRESSED[t][1]);
        const int n_draft = t % 2 ? 3 : 0;
        struct session *s = mini_session(g, n_draft, 0), *l = mini_session(g, n_draft, 0);
        for (size_t i = 0; i < COUNT(LENGTHS); i++) {
            OK(session_append(s, ids, (size_t)(LENGTHS[i] - session_n_tokens(s)), ok));
            decode_sampled(s, out, N_FEW);
            OK(session_save(s, path, ok));
            OK(session_load(l, path, ok));
            assert_int_equal(n_compressed(s), n_compressed(l));
            assert_int_equal(n_compressed(s) > 0, LENGTHS[i] > N_PROMPT);
            if (LENGTHS[i] == N_LONG) assert_true(n_dropped(s) > 0 && n_dropped(l) > 0);
            assert_same_future(s, l, N_FEW);
        }
        session_close(s);
        session_close(l);
        engine_close(g);
    }
}

static void loading_replaces_what_was_there(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 3, 9), *l = mini_session(g, 3, 0), *fork = NULL;
    int32_t ids[300];
    int mark;
    struct err e = {0};
    fill_ids(ids, COUNT(ids), 8);
    OK(session_append(l, ids, 300, ok));
    OK(session_mark(l, &mark, ok));
    OK(session_load(l, path, ok));
    assert_int_equal(session_rewind(l, mark, &e), QA_E_USAGE);
    OK(session_fork(&fork, l, ok));
    OK(session_mark(l, &mark, ok));
    assert_same_future(s, l, N_MORE);
    OK(session_rewind(l, mark, ok));
    assert_same_future(fork, l, N_MORE);
    session_close(fork);
    session_close(l);
    session_close(s);
    engine_close(g);
}

static void an_empty_session_can_be_saved_and_loaded(void **state)
{
    struct engine *g = mini_open(MINI_DENSE, "ref", KV_F16);
    struct session *s = mini_session(g, 0, 0);
    int32_t ids[5];
    fill_ids(ids, 5, 1);
    OK(session_save(s, path, ok));
    OK(session_append(s, ids, 5, ok));
    OK(session_load(s, path, ok));
    assert_int_equal(session_n_tokens(s), 0);
    OK(session_append(s, ids, 5, ok));
    session_close(s);
    engine_close(g);
}

static void a_session_that_does_not_draft_takes_the_file_of_one_that_does(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 3, 0), *l = mini_session(g, 0, 0);
    OK(session_load(l, path, ok));
    assert_same_future(s, l, N_MORE);
    session_close(s);
    session_close(l);
    engine_close(g);
}

/* ---- refused -------------------------------------------------------------------- */

static void assert_refused(struct session *l, const char *file, const char *want)
{
    struct err e = {0};
    char text[400];
    if (session_load(l, file, &e) == QA_OK) fail_msg("loaded, not refused: %s", want);
    const char *rest = strchr(want, '@'); /* where the file's name stands */
    snprintf(text, sizeof text, "%.*s%s%s", (int)(rest - want), want, file, rest + 1);
    assert_string_equal(e.text, text);
    assert_int_equal(session_n_tokens(l), 4); /* unchanged */
}

/* The saved file with one byte changed, cut or made longer. */
static size_t write_changed(size_t at, uint8_t flip, long n_more)
{
    static uint8_t bytes[8 << 20];
    int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, bytes, sizeof bytes - 16);
    close(fd);
    assert_true(n > 80 && n < (ssize_t)sizeof bytes - 16);
    memset(bytes + n, 0, 16);
    bytes[at] ^= flip;
    fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, (size_t)(n + n_more)), n + n_more);
    close(fd);
    return (size_t)n;
}

static void wrong_files_are_refused_with_one_line_each(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 0, 0), *l = mini_session(g, 0, 0),
                   *draft = mini_session(g, 2, 0);
    int32_t ids[4];
    char text[400];
    fill_ids(ids, 4, 1);
    OK(session_append(l, ids, 4, ok));
    OK(session_append(draft, ids, 4, ok));

    assert_refused(l, "/nowhere/x", "cannot open '@': no such file or directory");
    assert_refused(l, "/tmp", "'@' is not a session file");
    assert_refused(l, MINI_MOE ".gguf", "'@' is not a session file");
    assert_refused(draft, path, "session file '@' was made without drafting");
    write_changed(8, 2, 0);
    assert_refused(l, copy, "session file '@' has version 3, this program reads version 1");
    write_changed(30, 1, 0);
    assert_refused(l, copy, "session file '@' was made with another model");
    write_changed(64, 1, 0);
    assert_refused(l, copy, "session file '@' has another cache layout");
    write_changed(39, 0x80, 0);
    assert_refused(l, copy, "session file '@' is damaged: counts that cannot be");
    write_changed(33, 0x10, 0);
    assert_refused(l, copy, "session file '@' is damaged: counts that cannot be");
    const size_t n = write_changed(0, 0, -1);
    snprintf(text, sizeof text, "session file '@' is damaged: %zu bytes, not %zu", n - 1, n);
    assert_refused(l, copy, text);
    write_changed(0, 0, 1);
    snprintf(text, sizeof text, "session file '@' is damaged: %zu bytes, not %zu", n + 1, n);
    assert_refused(l, copy, text);
    write_changed(n - 1, 1, 0);
    assert_refused(l, copy, "session file '@' is damaged: its check sum is wrong");
    session_close(s);
    session_close(l);
    session_close(draft);
    engine_close(g);
}

/* The saved file with 8 bytes changed and its check sum right again. */
static void write_forged(size_t at, int64_t value)
{
    static uint8_t bytes[8 << 20];
    int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(n > 80 && n < (ssize_t)sizeof bytes);
    memcpy(bytes + at, &value, sizeof value);
    struct hash h = {0};
    hash_add(&h, bytes, (size_t)n - 8);
    const uint64_t check = hash_value(&h);
    memcpy(bytes + n - 8, &check, sizeof check);
    fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, (size_t)n), n);
    close(fd);
}

static void forged_files_are_refused(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 0, 0), *l = mini_session(g, 0, 0);
    const struct session_opts short_steps = {.cap_tokens = 700, .n_draft = 2, .step_tokens = 1};
    int32_t ids[4];
    fill_ids(ids, 4, 1);
    OK(session_append(l, ids, 4, ok));
    write_forged(80 + 4 * 7, (int64_t)320 << 32 | 5);
    assert_refused(l, copy, "session file '@' is damaged: a token is not in the vocabulary");
    write_forged(80, -1);
    assert_refused(l, copy, "session file '@' is damaged: a token is not in the vocabulary");
    session_close(l);
    session_close(s);

    s = saved_session(g, 2, 0);
    OK(session_open(&l, g, &short_steps, ok));
    OK(session_append(l, ids, 4, ok));
    write_changed(0, 0, 0);
    const int64_t behind[] = {60, 41}; /* n_mtp and n_hidden: the draft layer far behind */
    const int fd = open(copy, O_WRONLY);
    assert_int_equal(pwrite(fd, behind, sizeof behind, 48), sizeof behind);
    close(fd);
    assert_refused(l, copy, "session file '@' needs steps of 41 tokens for its drafts");
    session_close(l);
    session_close(s);
    engine_close(g);
}

static void another_model_format_or_room_is_refused(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16),
                  *dense = mini_open(MINI_DENSE, "ref", KV_F16),
                  *wide = mini_open(MINI_MOE, "ref", KV_F32);
    struct session *s = saved_session(g, 0, 0);
    struct session *l[] = {mini_session(dense, 0, 0), mini_session(wide, 0, 0), NULL};
    const struct session_opts small = {.cap_tokens = N_PROMPT - 1};
    static const char *const WANT[] = {
        "session file '@' was made with another model",
        "session file '@' was made with cache formats f16 and f16, not f32 and f32",
        "session file '@' holds 100 tokens, room for 99",
    };
    int32_t ids[4];
    fill_ids(ids, 4, 1);
    OK(session_open(&l[2], g, &small, ok));
    for (size_t i = 0; i < COUNT(l); i++) {
        OK(session_append(l[i], ids, 4, ok));
        assert_refused(l[i], path, WANT[i]);
        session_close(l[i]);
    }
    session_close(s);
    engine_close(g);
    engine_close(dense);
    engine_close(wide);
}

/* The file of each, put to every other: its engines stay open. */
static void other_formats_of_keys_or_values_are_refused(void **state)
{
    struct engine *g[COUNT(COMPRESSED)];
    struct session *l[COUNT(COMPRESSED)];
    int32_t ids[4];
    fill_ids(ids, 4, 1);
    for (size_t i = 0; i < COUNT(g); i++) {
        g[i] = tiny_open(COMPRESSED[i][0], COMPRESSED[i][1]);
        l[i] = mini_session(g[i], 0, 0);
        OK(session_append(l[i], ids, 4, ok));
    }
    for (size_t i = 0; i < COUNT(g); i++) {
        OK(session_save(l[i], path, ok));
        for (size_t k = 0; k < COUNT(g); k++) {
            if (k == i) continue;
            char want[200];
            snprintf(want, sizeof want,
                     "session file '@' was made with cache formats %s and %s, not %s and %s",
                     kv_type_name(COMPRESSED[i][0]), kv_type_name(COMPRESSED[i][1]),
                     kv_type_name(COMPRESSED[k][0]), kv_type_name(COMPRESSED[k][1]));
            assert_refused(l[k], path, want);
        }
    }
    for (size_t i = 0; i < COUNT(g); i++) {
        session_close(l[i]);
        engine_close(g[i]);
    }
}

static void a_changed_bit_anywhere_is_noticed(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 2, 5), *l = mini_session(g, 2, 0);
    struct stat info;
    struct err e = {0};
    assert_int_equal(stat(path, &info), 0);
    for (off_t at = 0; at < info.st_size; at += at < 600 ? 1 : 4999) {
        write_changed((size_t)at, (uint8_t)(1 << at % 8), 0);
        if (session_load(l, copy, &e) == QA_OK)
            fail_msg("byte %lld went unnoticed", (long long)at);
        assert_int_equal(session_n_tokens(l), 0);
    }
    session_close(s);
    session_close(l);
    engine_close(g);
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16);
    struct session *s = saved_session(g, 0, 0);
    struct err e = {0};
    assert_int_equal(session_save(s, "/nowhere/x", &e), QA_E_IO);
    assert_string_equal(e.text, "cannot create '/nowhere/x': no such file or directory");
    OK(session_save(s, path, ok)); /* over the old one */
    assert_int_equal(session_save(s, "/dev/full", &e), QA_E_IO);
    assert_string_equal(e.text, "cannot write '/dev/full': no space left on device");
    struct session *l = mini_session(g, 0, 0);
    char want[100];
    snprintf(want, sizeof want, "cannot write '%s': file too large", path);
    for (size_t room = 0; room < 40000; room += 13000) { /* each part of the file once */
        struct rlimit old, small;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = (struct rlimit){.rlim_cur = room, .rlim_max = old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        const enum status st = session_save(s, path, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(st, QA_E_IO);
        assert_string_equal(e.text, want);
    }
    OK(session_load(l, path, ok));
    session_close(l);
    session_close(s);
    engine_close(g);
}

static void the_key_names_model_format_kernels_drafting_and_tokens(void **state)
{
    static const int32_t ids[] = {1, 2, 3};
    struct engine *g[] = {
        mini_open(MINI_MOE, "ref", KV_F16), mini_open(MINI_MOE, "plain", KV_F16),
        mini_open(MINI_MOE, "ref", KV_F32), mini_open(MINI_DENSE, "ref", KV_F16)};
    struct session *s[] = {mini_session(g[0], 0, 0), mini_session(g[1], 0, 0),
                           mini_session(g[2], 0, 0), mini_session(g[3], 0, 0),
                           mini_session(g[0], 2, 0), mini_session(g[0], 3, 0)};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < i; k++)
            assert_true(session_key(s[i], ids, 3) != session_key(s[k], ids, 3));
        assert_true(session_key(s[i], ids, 3) != session_key(s[i], ids, 2));
    }
    assert_true(session_key(s[4], ids, 3) == session_key(s[5], ids, 3));
    for (size_t i = 0; i < COUNT(s); i++)
        session_close(s[i]);
    for (size_t i = 0; i < COUNT(g); i++)
        engine_close(g[i]);
}

/* ---- the hash --------------------------------------------------------------------- */

static void the_hash_tells_models_apart_and_knows_one_again(void **state)
{
    struct engine *g = mini_open(MINI_MOE, "ref", KV_F16),
                  *again = mini_open(MINI_MOE, "plain", KV_F32),
                  *dense = mini_open(MINI_DENSE, "ref", KV_F16);
    assert_true(engine_info(g)->model_hash == engine_info(again)->model_hash);
    assert_true(engine_info(g)->model_hash != engine_info(dense)->model_hash);
    engine_close(g);
    engine_close(again);
    engine_close(dense);
}

static uint64_t hash_of(const uint8_t *p, size_t n, size_t cut)
{
    struct hash h = {0};
    hash_add(&h, p, cut);
    hash_add(&h, p + cut, n - cut);
    return hash_value(&h);
}

static void the_hash_sees_every_bit_and_no_cut(void **state)
{
    uint8_t bytes[24] = {1, 2, 3};
    const uint64_t h = hash_of(bytes, 23, 0);
    assert_true(h != hash_of(bytes, 24, 0));
    for (size_t cut = 1; cut <= 23; cut++)
        assert_true(h == hash_of(bytes, 23, cut));
    for (int i = 0; i < 23 * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(h != hash_of(bytes, 23, 0));
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_session_goes_on_as_the_saved_one),
        cmocka_unit_test(compressed_keys_and_values_go_on_as_they_were),
        cmocka_unit_test(loading_replaces_what_was_there),
        cmocka_unit_test(an_empty_session_can_be_saved_and_loaded),
        cmocka_unit_test(a_session_that_does_not_draft_takes_the_file_of_one_that_does),
        cmocka_unit_test(wrong_files_are_refused_with_one_line_each),
        cmocka_unit_test(forged_files_are_refused),
        cmocka_unit_test(another_model_format_or_room_is_refused),
        cmocka_unit_test(other_formats_of_keys_or_values_are_refused),
        cmocka_unit_test(a_changed_bit_anywhere_is_noticed),
        cmocka_unit_test(a_file_that_cannot_be_written_leaves_the_old_one),
        cmocka_unit_test(the_key_names_model_format_kernels_drafting_and_tokens),
        cmocka_unit_test(the_hash_tells_models_apart_and_knows_one_again),
        cmocka_unit_test(the_hash_sees_every_bit_and_no_cut),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
