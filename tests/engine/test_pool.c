/* The thread pool: every part runs once, and the split covers everything. */
#include "engine/base/cpu.h"
#include "engine/base/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_THREADS = 5, N_JOBS = 2000 };

struct job {
    int64_t calls[MAX_THREADS][8]; /* a cache line each; written by whoever does the part */
    const int *input;
    int sum[MAX_THREADS];
};

static void count_call(void *ctx, int i_thread, int n_threads)
{
    struct job *j = ctx;
    assert_true(i_thread >= 0 && i_thread < n_threads);
    j->calls[i_thread][0]++;
    j->sum[i_thread] += *j->input;
}

static void pool_runs_each_part_once_per_job(void **fixture)
{
    (void)fixture;
    for (int n = 1; n <= MAX_THREADS; n++) {
        struct pool *p = NULL;
        struct err e = {0};
        struct job j = {0};
        int input = 0, expected = 0;
        j.input = &input; /* not atomic: the pool itself must order it */
        assert_int_equal(pool_open(&p, n, &e), QA_OK);
        assert_int_equal(pool_n_threads(p), n);
        for (int i = 0; i < N_JOBS; i++) {
            input = i % 7;
            expected += input;
            pool_run(p, count_call, &j);
        }
        for (int t = 0; t < n; t++) {
            assert_int_equal(j.calls[t][0], N_JOBS);
            assert_int_equal(j.sum[t], expected);
        }
        pool_close(p);
    }
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) /* they have their own */
static _Atomic int n_can_start = -1;

/* This stands before libc's. */
int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *ctx)
{
    typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    create_fn *create = NULL;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    if (n_can_start == 0) return EAGAIN;
    if (n_can_start > 0) n_can_start--;
    return create(t, a, run, ctx);
}

static void a_thread_that_cannot_start_is_a_status(void **fixture)
{
    struct pool *p = NULL;
    struct err e = {0};
    (void)fixture;
    n_can_start = 1;
    assert_int_equal(pool_open(&p, 4, &e), QA_E_NOMEM);
    n_can_start = -1;
    assert_string_equal(e.text, "cannot start thread 3 of 4: resource temporarily unavailable");
    assert_null(p);
}
#else
static void a_thread_that_cannot_start_is_a_status(void **fixture)
{
    (void)fixture;
    skip();
}
#endif

static void pool_wakes_workers_that_went_to_sleep(void **fixture)
{
    (void)fixture;
    struct pool *p = NULL;
    struct err e = {0};
    struct job j = {0};
    int input = 1;
    j.input = &input;
    assert_int_equal(pool_open(&p, 3, &e), QA_OK);
    for (int i = 0; i < 20; i++) {
        usleep(i % 2 ? 2000 : 200); /* asleep for sure, and about to fall asleep */
        pool_run(p, count_call, &j);
    }
    assert_int_equal(j.calls[0][0], 20);
    assert_int_equal(j.calls[1][0], 20);
    assert_int_equal(j.calls[2][0], 20);
    pool_close(p);
}

static void count_part(void *ctx, int i_thread, int n_threads)
{
    (void)n_threads;
    atomic_fetch_add(&((_Atomic int64_t *)ctx)[i_thread], 1);
}

/* Part 1 of the first job holds its worker up while parts 2 and 3 of it, and whole jobs
 * after it, are short: whoever does them, each is done once, in its job. */
struct slow_job {
    _Atomic int n[4];
    int ms;
};

static void sleep_in_part_one(void *ctx, int i_thread, int n_threads)
{
    struct slow_job *j = ctx;
    (void)n_threads;
    if (i_thread == 1 && j->ms) usleep((unsigned)j->ms * 1000u);
    atomic_fetch_add(&j->n[i_thread], 1);
}

static void pool_waits_for_a_part_that_has_begun(void **fixture)
{
    (void)fixture;
    struct pool *p = NULL;
    struct err e = {0};
    assert_int_equal(pool_open(&p, 4, &e), QA_OK);
    for (int i = 0; i < 200; i++) {
        struct slow_job j = {.ms = i % 50 == 0 ? 20 : 0};
        pool_run(p, sleep_in_part_one, &j);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(atomic_load(&j.n[k]), 1); /* all done on return, each once */
        }
    }
    pool_close(p);
}

/* Many more threads than processors: workers are late for most jobs, and the caller
 * does their parts.  A job is a few nanoseconds; were it a time slice for each late
 * worker, these would take minutes. */
static void pool_goes_on_without_late_workers(void **fixture)
{
    (void)fixture;
    enum { N_THREADS = 64, N_SHORT = 20000 };
    struct pool *p = NULL;
    struct err e = {0};
    static _Atomic int64_t n[N_THREADS];
    assert_int_equal(pool_open(&p, N_THREADS, &e), QA_OK);
    for (int i = 0; i < N_SHORT; i++) {
        pool_run(p, count_part, n);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(atomic_load(&n[i]), N_SHORT);
    }
    pool_close(p);
}

static void pool_opens_and_closes_without_a_job(void **fixture)
{
    (void)fixture;
    for (int i = 0; i < 20; i++) {
        struct pool *p = NULL;
        struct err e = {0};
        assert_int_equal(pool_open(&p, 4, &e), QA_OK);
        pool_close(p);
    }
    pool_close(NULL);
}

static void pool_share_covers_everything_once(void **fixture)
{
    (void)fixture;
    for (int64_t n = 0; n < 70; n++) {
        for (int64_t grain = 1; grain <= 16; grain *= 2) {
            for (int parts = 1; parts <= 9; parts++) {
                int64_t next = 0;
                for (int i = 0; i < parts; i++) {
                    int64_t from, to;
                    pool_share(n, grain, i, parts, &from, &to);
                    assert_int_equal(from, next);
                    assert_true(to >= from);
                    assert_true(to == n || to % grain == 0);
                    next = to;
                }
                assert_int_equal(next, n);
            }
        }
    }
}

static void cpu_answers_are_plausible(void **fixture)
{
    (void)fixture;
    char text[200];
    assert_true(cpu_n_cores() >= 1);
    assert_true(cpu_n_cores() <= sysconf(_SC_NPROCESSORS_CONF));
    const uint32_t f = cpu_features();
    assert_int_equal(f, cpu_features());
    assert_true(!(f & CPU_AVX512) || (f & CPU_AVX2));
    assert_true(!(f & CPU_AVX512_VNNI) || (f & CPU_AVX512));
#if defined(__x86_64__)
    /* The compiler's own detection is the second opinion. */
    __builtin_cpu_init();
    assert_int_equal(!!(f & CPU_AVX2),
                     !!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")));
    assert_int_equal(!!(f & CPU_AVX512), !!(__builtin_cpu_supports("avx512vl") &&
                                            __builtin_cpu_supports("avx512bw") &&
                                            __builtin_cpu_supports("avx512dq")));
#endif
    cpu_feature_names(f, text, sizeof text);
    assert_int_equal(f != 0, text[0] != 0);
    char tiny[6];
    cpu_feature_names(CPU_AVX2 | CPU_AVX512, tiny, sizeof tiny); /* cut, not overrun */
    assert_string_equal(tiny, "avx2 ");
    assert_true(cpu_name(text, sizeof text)[0] != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_each_part_once_per_job),
        cmocka_unit_test(a_thread_that_cannot_start_is_a_status),
        cmocka_unit_test(pool_wakes_workers_that_went_to_sleep),
        cmocka_unit_test(pool_waits_for_a_part_that_has_begun),
        cmocka_unit_test(pool_goes_on_without_late_workers),
        cmocka_unit_test(pool_opens_and_closes_without_a_job),
        cmocka_unit_test(pool_share_covers_everything_once),
        cmocka_unit_test(cpu_answers_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
