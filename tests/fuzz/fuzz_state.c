/* fuzz_state.c - a session file with changes; an accepted one must be fit to go on.
 *
 * Input: one byte, then changes of five bytes to a good file: the place (4 bytes, taken
 * modulo its length) and the new byte.  The first byte: bit 0 makes the check sum right afterwards; bit 1 cuts the file at the place of
 * the first change; 255: the rest of the input is the file. */
#include "engine/engine.h"
#include "engine/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 4 << 20, CHANGE_BYTES = 5, RAW = 255 };

static struct session *session;
static uint8_t example[FILE_MAX], file[FILE_MAX];
static size_t n_example;
static int fd = -1;
static char path[40];

static void write_file(const uint8_t *p, size_t n)
{
    ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, p, n, 0) == (ssize_t)n);
}

/* A session of the mini model, and its file as the good one. */
static void open_all(void)
{
    struct engine_opts o = engine_opts_default();
    const struct session_opts so = {.cap_tokens = 64, .n_draft = 2, .step_tokens = 16};
    const int32_t ids[] = {7, 8, 9};
    char saved[] = "/tmp/qagent-fuzz-state-XXXXXX";
    struct engine *g = NULL;
    struct err e = {0};
    o.model_path = "tests/fixtures/models/mini-moe.gguf";
    o.kernels = "plain";
    o.n_threads = 1;
    ASSERT(engine_open(&g, &o, &e) == QA_OK);
    ASSERT(session_open(&session, g, &so, &e) == QA_OK);
    ASSERT(session_append(session, ids, 3, &e) == QA_OK);
    const int made = mkstemp(saved);
    ASSERT(made >= 0 && session_save(session, saved, &e) == QA_OK);
    close(made);
    FILE *f = fopen(saved, "rb");
    ASSERT(f);
    n_example = fread(example, 1, FILE_MAX, f);
    fclose(f);
    unlink(saved);
    ASSERT(n_example > 100 && n_example < FILE_MAX);
    fd = memfd_create("state", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    write_file(example, n_example);
    ASSERT(session_load(session, path, &e) == QA_OK);
}

static size_t place_of(const uint8_t *change)
{
    uint32_t place;
    memcpy(&place, change, sizeof place);
    return place % n_example;
}

static size_t make_file(const uint8_t *data, size_t size)
{
    size_t n = n_example;
    memcpy(file, example, n);
    for (size_t at = 1; at + CHANGE_BYTES <= size; at += CHANGE_BYTES)
        file[place_of(data + at)] = data[at + 4];
    if (data[0] & 2 && size > CHANGE_BYTES) n = place_of(data + 1);
    if (data[0] & 1 && n >= sizeof(uint64_t)) {
        struct hash h = {0};
        hash_add(&h, file, n - sizeof(uint64_t));
        const uint64_t check = hash_value(&h);
        memcpy(file + n - sizeof check, &check, sizeof check);
    }
    return n;
}

/* Numbers of any kind may have been in there: the engine must bear them. */
static void go_on(void)
{
    const struct sampling greedy = sampling_greedy();
    struct err e = {0};
    struct rng r;
    struct burst b;
    rng_init(&r, 1, 1);
    const struct decode_args a = {.sampling = &greedy, .rng = &r};
    for (int i = 0; i < 2 && session_n_tokens(session) > 0; i++)
        (void)!session_decode(session, &a, &b, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    if (fd < 0) open_all();
    if (size < 1 || size > FILE_MAX) return 0;
    if (data[0] == RAW) {
        write_file(data + 1, size - 1);
    } else {
        write_file(file, make_file(data, size));
    }
    if (session_load(session, path, &e) == QA_OK) go_on();
    return 0;
}
