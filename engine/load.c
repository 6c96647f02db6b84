/* load.c - the bytes of tensors from disk into the image of their file. */
#include "engine/load.h"

#include "engine/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 4 << 20,  /* taken by a reader, and the most of one read              */
    PIECE_LEAST = 1 << 18,  /* of one read from a slow disk: a stop waits for it         */
    N_READERS = 8,          /* reads in flight: threads that wait, not compute         */
    DIRECT_ALIGN = 4096,    /* of offset, length and memory: what every disk accepts   */
    DIRECT_LEAST = 64 << 20 /* a smaller file is wanted again soon: leave it cached    */
};
static const double REPORT_EVERY_S = 0.05;
static const double PIECE_S = 0.04; /* a read that took longer was too large */

/* A run of bytes of one file that tensors lie in. */
struct run {
    const struct file_image *image;
    int direct_fd; /* -1: plain reads only */
    size_t from, to;
};

struct job {
    struct run *runs; /* [n_runs], owned, apart from each other */
    size_t n_runs;
    size_t n_blocks; /* of all runs */
    uint64_t total;
    bool has_small;        /* some file is read plainly by choice                  */
    atomic_size_t next;    /* block to take */
    atomic_ullong n_read;  /* bytes          */
    atomic_bool has_ended; /* stop or error: take no more blocks    */
    atomic_bool is_plain;  /* a direct read was refused: no more of them */
    pthread_mutex_t lock;  /* of what follows                       */
    pthread_cond_t changed;
    int n_running;
    struct err why; /* the first error */
};

/* ---- what to read ---------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    if (x->image != y->image) return x->image < y->image ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

/* Sorted and joined: two readers never write the same byte. */
static void join_runs(struct job *j)
{
    size_t n = 0;
    qsort(j->runs, j->n_runs, sizeof *j->runs, by_place);
    for (size_t i = 0; i < j->n_runs; i++) {
        const struct run r = j->runs[i];
        struct run *last = n ? &j->runs[n - 1] : NULL;
        if (last && last->image == r.image && r.from < last->to + DIRECT_ALIGN) {
            last->to = QA_MAX(last->to, r.to);
        } else {
            j->runs[n++] = r;
        }
    }
    j->n_runs = n;
}

static size_t n_blocks_of(const struct run *r)
{
    return (r->to - 1) / BLOCK_BYTES - r->from / BLOCK_BYTES + 1;
}

static enum status plan_runs(struct job *j,
                             const struct gguf *file,
                             const struct gguf_tensor *const *t,
                             size_t n,
                             struct err *e)
{
    j->runs = calloc(n + 1, sizeof *j->runs);
    if (!j->runs) return err_set(e, QA_E_NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        const struct file_image *image = gguf_image(file, t[i]->part);
        if (!image || image->fd < 0) continue; /* in memory or mapped: all there */
        const size_t from = (size_t)(t[i]->data - image->p);
        /* What opening has read and checked stays as it is, whatever the file holds now. */
        const size_t unread = QA_MAX(from, image->n_head);
        if (unread >= from + t[i]->n_bytes) continue;
        j->runs[j->n_runs++] = (struct run){image, -1, unread, from + t[i]->n_bytes};
    }
    join_runs(j);
    for (size_t i = 0; i < j->n_runs; i++) {
        j->n_blocks += n_blocks_of(&j->runs[i]);
        j->total += j->runs[i].to - j->runs[i].from;
    }
    return QA_OK;
}

/* A second descriptor for each large file: O_DIRECT reads and plain ones (of the edges
 * of runs) cannot share one. */
static void open_direct(struct job *j)
{
    for (size_t i = 0; i < j->n_runs; i++) {
        struct run *r = &j->runs[i];
        if (i && r[-1].image == r->image) {
            r->direct_fd = r[-1].direct_fd;
        } else if (r->image->n >= DIRECT_LEAST) {
            /* The file that was opened, whatever is at its path by now. */
            char path[40];
            snprintf(path, sizeof path, "/proc/self/fd/%d", r->image->fd);
            r->direct_fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
        }
        if (r->direct_fd < 0 && r->image->n >= DIRECT_LEAST) atomic_store(&j->is_plain, true);
        j->has_small |= r->image->n < DIRECT_LEAST;
    }
}

static void close_direct(struct job *j)
{
    for (size_t i = 0; i < j->n_runs; i++) {
        const bool is_last = i + 1 == j->n_runs || j->runs[i + 1].image != j->runs[i].image;
        if (is_last && j->runs[i].direct_fd >= 0) close(j->runs[i].direct_fd);
    }
}

/* Huge pages where they are allowed: fewer faults now, fewer misses later. */
static void advise(const struct job *j)
{
    for (size_t i = 0; i < j->n_runs; i++) {
        const struct file_image *m = j->runs[i].image;
        if (i == 0 || j->runs[i - 1].image != m) {
            madvise(m->base, m->n_base, MADV_HUGEPAGE);
        }
    }
}

/* ---- reading --------------------------------------------------------------- */

static enum status read_plain(const struct run *r, size_t from, size_t to, struct err *e)
{
    if (from >= to) return QA_OK;
    return file_read_at(r->image->fd, r->image->p + from, to - from, from, r->image->path, e);
}

/* Aligned bytes past the page cache; false: the file system will not, or the file
 * ends here, or anything else that a plain read can do or explain better. */
static bool read_direct(const struct run *r, size_t from, size_t to)
{
    while (from < to) {
        const ssize_t n = pread(r->direct_fd, r->image->p + from, to - from, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || n % DIRECT_ALIGN) return false;
        from += (size_t)n;
    }
    return true;
}

/* How much of [from, to) the page cache holds and has given: memory is faster than any
 * disk, and a file that was read a moment ago often lies there. */
static size_t read_cached(const struct run *r, size_t from, size_t to)
{
    size_t at = from;
    while (at < to) {
        const struct iovec v = {r->image->p + at, to - at};
        const ssize_t n = preadv2(r->image->fd, &v, 1, (off_t)at, RWF_NOWAIT);
        if (n <= 0) break; /* not there, or not known here: the other ways will say */
        at += (size_t)n;
    }
    return at - from;
}

static enum status read_piece(struct job *j,
                              const struct run *r,
                              size_t from,
                              size_t to,
                              struct err *e)
{
    from += read_cached(r, from, to);
    const size_t first = (from + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
    const size_t last = to / DIRECT_ALIGN * DIRECT_ALIGN;
    if (r->direct_fd < 0 || first >= last || atomic_load(&j->is_plain))
        return read_plain(r, from, to, e);
    if (!read_direct(r, first, last)) {
        atomic_store(&j->is_plain, true);
        return read_plain(r, from, to, e);
    }
    const enum status st = read_plain(r, from, first, e);
    return st ? st : read_plain(r, last, to, e);
}

/* Block i of all runs: [*from, *to) of the run returned. */
static const struct run *block_at(const struct job *j, size_t i, size_t *from, size_t *to)
{
    const struct run *r = j->runs;
    for (; i >= n_blocks_of(r); r++) {
        i -= n_blocks_of(r);
    }
    const size_t start = (r->from / BLOCK_BYTES + i) * BLOCK_BYTES;
    *from = QA_MAX(start, r->from);
    *to = QA_MIN(start + BLOCK_BYTES, r->to);
    return r;
}

/* A stop is heard between two reads.  All readers wait for the disk at the same time, so on
 * a slow one large reads would keep the user waiting; *piece follows its pace. */
static enum status read_block(struct job *j, size_t i, size_t *piece, struct err *e)
{
    size_t from, to;
    const struct run *r = block_at(j, i, &from, &to);
    while (from < to && !atomic_load(&j->has_ended)) {
        if (engine_stop_requested()) {
            atomic_store(&j->has_ended, true);
            break;
        }
        const double start_s = clock_now_s();
        const size_t end = QA_MIN((from + *piece) / DIRECT_ALIGN * DIRECT_ALIGN, to);
        const enum status st = read_piece(j, r, from, end, e);
        if (st) return st;
        atomic_fetch_add(&j->n_read, end - from);
        from = end;
        *piece = clock_now_s() - start_s > PIECE_S ? QA_MAX(*piece / 2, (size_t)PIECE_LEAST)
                                                   : QA_MIN(*piece * 2, (size_t)BLOCK_BYTES);
    }
    return QA_OK;
}

static void *reader(void *ctx)
{
    struct job *j = ctx;
    struct err e = {0};
    size_t piece = PIECE_LEAST;
    while (!atomic_load(&j->has_ended)) {
        const size_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n_blocks || read_block(j, i, &piece, &e)) break;
    }
    pthread_mutex_lock(&j->lock);
    if (e.code) {
        atomic_store(&j->has_ended, true);
        if (!j->why.code) j->why = e;
    }
    j->n_running--;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

static void report(struct job *j, const struct engine_progress *progress)
{
    if (!progress || !progress->report) return;
    progress->report(progress->ctx, atomic_load(&j->n_read), j->total);
}

/* The caller's part: tell, and listen for a stop, until all readers are done. */
static void wait_for_readers(struct job *j, const struct engine_progress *progress)
{
    pthread_mutex_lock(&j->lock);
    while (j->n_running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)(REPORT_EVERY_S * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&j->changed, &j->lock, &until);
        pthread_mutex_unlock(&j->lock);
        report(j, progress);
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
}

static enum status run_job(struct job *j, const struct engine_progress *progress, struct err *e)
{
    pthread_t threads[N_READERS];
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&j->lock, NULL);

    const size_t n_wanted = QA_MIN(j->n_blocks, (size_t)N_READERS);
    size_t n = 0;
    j->n_running = (int)n_wanted; /* before the first of them can end */
    while (n < n_wanted && pthread_create(&threads[n], NULL, reader, j) == 0) {
        n++;
    }
    pthread_mutex_lock(&j->lock);
    j->n_running -= (int)(n_wanted - n);
    pthread_mutex_unlock(&j->lock);
    if (n > 0) {
        wait_for_readers(j, progress);
    } else {
        j->n_running = 1; /* no thread to be had: this one does it all */
        reader(j);
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->changed);
    if (j->why.code) return err_set(e, j->why.code, "%s", j->why.text);
    if (atomic_load(&j->has_ended)) return err_set(e, QA_E_STOP, "stopped on request");
    report(j, progress);
    return QA_OK;
}

enum status load_tensors(const struct gguf *file,
                         const struct gguf_tensor *const *t,
                         size_t n,
                         const struct engine_progress *progress,
                         struct load_stats *stats,
                         struct err *e)
{
    const double start_s = clock_now_s();
    struct job j = {0};
    enum status st = plan_runs(&j, file, t, n, e);
    if (!st && j.n_blocks > 0) {
        open_direct(&j);
        advise(&j);
        st = run_job(&j, progress, e);
        close_direct(&j);
    }
    if (!st) {
        *stats = (struct load_stats){
            .n_bytes = j.total,
            .seconds = clock_now_s() - start_s,
            .is_direct = j.total > 0 && !j.has_small && !atomic_load(&j.is_plain),
        };
    }
    free(j.runs);
    return st;
}
