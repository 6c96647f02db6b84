/* test_load.c - weights are read whole and at their places, by large blocks past the
 * cache or plainly; a file that shrinks, and a wish to stop, end it with a status. */
#include "engine/base/file.h"
#include "engine/load.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Three tensors of bytes (f32 in name) whose values follow from their places.  The
 * second is larger than a few blocks and begins and ends off every page. */
enum { N_TENSORS = 3, SMALL = 5000, LARGE = (70 << 20) + 4 * 123 };
static const uint64_t SIZES[N_TENSORS] = {SMALL, LARGE, SMALL};

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 0x9E3779B97F4A7C15U >> 56);
}

static void put(FILE *f, const void *p, size_t n)
{
    assert_int_equal(fwrite(p, 1, n, f), n);
}

struct file {
    char path[64];
};

/* `scale` of 1 is a file too large to be left in the cache, 64 makes a small one. */
static struct file make_file(uint64_t scale)
{
    struct file out = {"build/test_load.XXXXXX"};
    const int fd = mkstemp(out.path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    put(f, "GGUF\3\0\0", 8), put(f, &(uint64_t){N_TENSORS}, 8), put(f, &(uint64_t){0}, 8);
    uint64_t offset = 0;
    for (int i = 0; i < N_TENSORS; i++) {
        const uint64_t n = SIZES[i] / scale / 4;
        put(f, &(uint64_t){1}, 8), put(f, &"abc"[i], 1);
        put(f, &(uint32_t){1}, 4), put(f, &n, 8);
        put(f, &(uint32_t){0}, 4), put(f, &offset, 8);
        offset += (4 * n + 31) / 32 * 32;
    }
    while (ftell(f) % 32)
        put(f, "", 1);
    uint8_t *data = malloc(offset);
    assert_non_null(data);
    for (uint64_t i = 0; i < offset; i++)
        data[i] = byte_at(i);
    put(f, data, offset);
    free(data);
    assert_int_equal(fflush(f) | fsync(fd), 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* the next reader meets the disk */
    assert_int_equal(fclose(f), 0);
    return out;
}

static struct gguf *open_file(const struct file *f, bool is_mapped)
{
    struct gguf *g = NULL;
    struct err e = {0};
    if (gguf_open(&g, f->path, is_mapped, &e)) fail_msg("%s", e.text);
    return g;
}

static void assert_loaded(const struct gguf *g, int i)
{
    const struct gguf_tensor *t = gguf_tensor_at(g, (size_t)i), *first = gguf_tensor_at(g, 0);
    const uint64_t at = (uint64_t)(t->data - first->data);
    for (size_t k = 0; k < t->n_bytes; k++) {
        if (t->data[k] != byte_at(at + k)) fail_msg("tensor %d: byte %zu is wrong", i, k);
    }
}

static enum status load(const struct gguf *g,
                        const int *which,
                        size_t n,
                        const struct engine_progress *p,
                        struct load_stats *stats,
                        struct err *e)
{
    const struct gguf_tensor *t[N_TENSORS];
    for (size_t i = 0; i < n; i++)
        t[i] = gguf_tensor_at(g, (size_t)which[i]);
    return load_tensors(g, t, n, p, stats, e);
}

/* A byte that no read gets, or a disk on which every read takes its time; these stand
 * before libc's. */
static off_t bad_byte = -1;
static atomic_bool is_slow, is_stop_asked;
static atomic_ullong n_read_after_stop;

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    if (bad_byte >= at && bad_byte < at + (off_t)n) {
        errno = EIO;
        return -1;
    }
    if (atomic_load(&is_slow)) {
        nanosleep(&(struct timespec){.tv_nsec = 60 * 1000 * 1000}, NULL);
        if (atomic_load(&is_stop_asked)) atomic_fetch_add(&n_read_after_stop, n);
    }
    return syscall(SYS_pread64, fd, to, n, at);
}

ssize_t preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    if (bad_byte < 0 && !atomic_load(&is_slow))
        return syscall(SYS_preadv2, fd, v, n, at, 0L, flags);
    errno = EAGAIN; /* not cached, so that every byte comes through pread() */
    return -1;
}

static bool is_mmap_bad;

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (is_mmap_bad) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

struct told {
    uint64_t last, total;
    bool is_stopping;
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct told *t = ctx;
    assert_true(done >= t->last && done <= total);
    t->last = done;
    t->total = total;
    if (t->is_stopping) engine_stop();
}

static const int ALL[] = {2, 0, 1};

static void a_large_file_is_read_whole_and_progress_ends_at_its_end(void **state)
{
    const struct file f = make_file(1);
    struct gguf *g = open_file(&f, false);
    struct told told = {0};
    struct load_stats stats = {0};
    struct err e = {0};
    const struct engine_progress p = {on_progress, &told};
    assert_int_equal(load(g, ALL, 3, &p, &stats, &e), QA_OK);
    for (int i = 0; i < N_TENSORS; i++)
        assert_loaded(g, i);
    /* Opening reads ahead: that part is not read twice. */
    assert_true(stats.n_bytes > LARGE - (2 << 20) && stats.n_bytes <= LARGE + 2 * SMALL);
    assert_true(told.last == told.total && told.total == stats.n_bytes);
    assert_true(stats.seconds > 0);
    printf("    direct reads: %s\n", stats.is_direct ? "yes" : "no, refused here");
    gguf_close(g);
    unlink(f.path);
}

static void what_is_not_asked_for_is_not_read(void **state)
{
    const struct file f = make_file(1);
    struct gguf *g = open_file(&f, false);
    struct load_stats stats = {0};
    struct err e = {0};
    assert_int_equal(load(g, (const int[]){2}, 1, NULL, &stats, &e), QA_OK);
    assert_int_equal(stats.n_bytes, SMALL);
    assert_loaded(g, 2);
    const struct gguf_tensor *large = gguf_tensor_at(g, 1);
    for (size_t k = 4 << 20; k < LARGE - (8 << 20); k += 4096)
        assert_int_equal(large->data[k], 0);
    gguf_close(g);
    unlink(f.path);
}

static void a_small_file_and_a_mapped_one_are_there_too(void **state)
{
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        const struct file f = make_file(is_mapped ? 1 : 16);
        struct gguf *g = open_file(&f, is_mapped);
        struct load_stats stats = {0};
        struct err e = {0};
        assert_int_equal(load(g, ALL, 3, NULL, &stats, &e), QA_OK);
        assert_false(stats.is_direct);
        assert_true((stats.n_bytes == 0) == is_mapped);
        for (int i = 0; i < N_TENSORS; i++)
            assert_loaded(g, i);
        gguf_close(g);
        unlink(f.path);
    }
}

static void a_file_that_shrinks_meanwhile_is_an_error_with_its_place(void **state)
{
    static const uint64_t SCALES[] = {1, 16}; /* large blocks, plain reads */
    for (size_t i = 0; i < COUNT(SCALES); i++) {
        const struct file f = make_file(SCALES[i]);
        struct gguf *g = open_file(&f, false);
        struct load_stats stats = {0};
        struct err e = {0};
        char want[200];
        const size_t n = gguf_image(g, 0)->n - 1001; /* one reader meets its end */
        assert_int_equal(truncate(f.path, (off_t)n), 0);
        assert_int_equal(load(g, ALL, 3, NULL, &stats, &e), QA_E_IO);
        snprintf(want, sizeof want, "cannot read '%s' at byte %zu: cut off meanwhile", f.path,
                 n);
        assert_string_equal(e.text, want);
        gguf_close(g);
        unlink(f.path);
    }
}

static void a_disk_that_cannot_read_is_an_error_with_its_place(void **state)
{
    static const uint64_t SCALES[] = {1, 16};
    for (size_t i = 0; i < COUNT(SCALES); i++) {
        const struct file f = make_file(SCALES[i]);
        struct gguf *g = open_file(&f, false);
        struct load_stats stats = {0};
        struct err e = {0};
        char want[200];
        bad_byte = (off_t)gguf_image(g, 0)->n - 5000;
        assert_int_equal(load(g, ALL, 3, NULL, &stats, &e), QA_E_IO);
        /* The block that it lies in: 4 MiB, or 256 KiB where the disk was slow so far. */
        const char *const number = strstr(e.text, "at byte ");
        assert_non_null(number);
        const size_t at = strtoull(number + strlen("at byte "), NULL, 10);
        assert_true(at == (size_t)bad_byte >> 22 << 22 || at == (size_t)bad_byte >> 18 << 18);
        snprintf(want, sizeof want, "cannot read '%s' at byte %zu: input/output error", f.path,
                 at);
        assert_string_equal(e.text, want);
        gguf_close(g);
        bad_byte = 100; /* of the metadata */
        g = NULL;
        assert_int_equal(gguf_open(&g, f.path, false, &e), QA_E_IO);
        assert_null(g);
        snprintf(want, sizeof want,
                 "cannot read model '%s': cannot read '%s' at byte 0: input/output error",
                 f.path, f.path);
        assert_string_equal(e.text, want);
        bad_byte = -1;
        unlink(f.path);
    }
}

static void a_file_that_cannot_be_mapped_or_held_is_an_error(void **state)
{
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        const struct file f = make_file(64);
        struct file_image image;
        struct err e = {0};
        char want[200];
        is_mmap_bad = true;
        const enum status st = file_image_open(&image, f.path, is_mapped, &e);
        is_mmap_bad = false;
        assert_int_equal(st, is_mapped ? QA_E_IO : QA_E_NOMEM);
        struct stat info;
        assert_int_equal(stat(f.path, &info), 0);
        if (is_mapped)
            snprintf(want, sizeof want, "cannot map '%s': cannot allocate memory", f.path);
        else
            snprintf(want, sizeof want,
                     "cannot hold the %zu bytes of '%s': cannot allocate memory",
                     (size_t)info.st_size, f.path);
        assert_string_equal(e.text, want);
        unlink(f.path);
    }
}

static void another_file_at_its_path_is_not_read(void **state)
{
    const struct file f = make_file(1), other = make_file(16);
    struct gguf *g = open_file(&f, false);
    struct load_stats stats = {0};
    struct err e = {0};
    assert_int_equal(rename(other.path, f.path), 0);
    assert_int_equal(load(g, ALL, 3, NULL, &stats, &e), QA_OK);
    for (int i = 0; i < N_TENSORS; i++)
        assert_loaded(g, i);
    gguf_close(g);
    unlink(f.path);
}

static void a_wish_to_stop_is_heard(void **state)
{
    const struct file f = make_file(1);
    struct gguf *g = open_file(&f, false);
    struct told told = {.is_stopping = true};
    struct load_stats stats = {0};
    struct err e = {0};
    const struct engine_progress p = {on_progress, &told};
    engine_stop();
    assert_int_equal(load(g, ALL, 3, &p, &stats, &e), QA_E_STOP);
    assert_string_equal(e.text, "stopped on request");
    engine_stop_clear();
    gguf_close(g);
    unlink(f.path);
}

/* What is being read when the wish comes must end first: on a slow disk little of it. */
static void on_slow_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx, (void)total;
    if (done == 0) return;
    atomic_store(&is_stop_asked, true);
    engine_stop();
}

static void a_wish_to_stop_does_not_wait_long_for_a_slow_disk(void **state)
{
    enum { N_READERS = 8, PIECE_BYTES = 256 << 10 };
    const struct file f = make_file(1);
    struct gguf *g = open_file(&f, false);
    struct load_stats stats = {0};
    struct err e = {0};
    const struct engine_progress p = {on_slow_progress, NULL};
    atomic_store(&is_slow, true);
    assert_int_equal(load(g, ALL, 3, &p, &stats, &e), QA_E_STOP);
    atomic_store(&is_slow, false);
    /* A large piece and two ragged ends, each. */
    assert_true(atomic_load(&n_read_after_stop) <=
                (unsigned long long)N_READERS * (PIECE_BYTES + 2 * 4096));
    engine_stop_clear();
    gguf_close(g);
    unlink(f.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_is_read_whole_and_progress_ends_at_its_end),
        cmocka_unit_test(what_is_not_asked_for_is_not_read),
        cmocka_unit_test(a_small_file_and_a_mapped_one_are_there_too),
        cmocka_unit_test(a_file_that_shrinks_meanwhile_is_an_error_with_its_place),
        cmocka_unit_test(a_disk_that_cannot_read_is_an_error_with_its_place),
        cmocka_unit_test(a_file_that_cannot_be_mapped_or_held_is_an_error),
        cmocka_unit_test(another_file_at_its_path_is_not_read),
        cmocka_unit_test(a_wish_to_stop_is_heard),
        cmocka_unit_test(a_wish_to_stop_does_not_wait_long_for_a_slow_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
