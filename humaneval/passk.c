/* passk.c - the unbiased estimator of pass@k and its mean, to the bit of numpy's. */
#include "humaneval/humaneval.h"

#include <math.h>

double passk_estimate(int64_t n, int64_t c, int64_t k)
{
    if (n - c < k) return 1.0;
    double miss = 1.0;
    for (int64_t i = n - c + 1; i <= n; i++) {
        miss *= 1.0 - (double)k / (double)i;
    }
    return 1.0 - miss;
}

/* numpy's pairwise sum: eight running sums in blocks of up to 128, halves above. */
static double pairwise_sum(const double *v, size_t n)
{
    if (n < 8) {
        double sum = -0.0;
        for (size_t i = 0; i < n; i++) {
            sum += v[i];
        }
        return sum;
    }
    if (n > 128) {
        const size_t half = n / 2 - n / 2 % 8;
        return pairwise_sum(v, half) + pairwise_sum(v + half, n - half);
    }
    double r[8];
    for (size_t j = 0; j < 8; j++) {
        r[j] = v[j];
    }
    size_t i = 8;
    for (; i < n - n % 8; i += 8) {
        for (size_t j = 0; j < 8; j++) {
            r[j] += v[i + j];
        }
    }
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) {
        sum += v[i];
    }
    return sum;
}

double passk_mean(const double *v, size_t n)
{
    return n ? pairwise_sum(v, n) / (double)n : 0.0;
}

double passk_standard_error(const double *v, size_t n)
{
    if (n < 2) return 0.0;
    const double mean = passk_mean(v, n);
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        squares += (v[i] - mean) * (v[i] - mean);
    }
    return sqrt(squares / (double)(n - 1) / (double)n);
}
