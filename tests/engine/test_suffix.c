/* The suffix automaton, against looking at every place by hand. */
#include "engine/suffix.h"
#include "tests/engine/mini.h"

/* Length of the longest suffix of ids[0, n) that also ends before n. */
static size_t longest_repeat(const int32_t *ids, size_t n)
{
    size_t best = 0;
    for (size_t end = 1; end < n; end++) {
        size_t k = 0;
        while (k < end && ids[end - 1 - k] == ids[n - 1 - k])
            k++;
        if (k > best) best = k;
    }
    return best;
}

/* Do n_match tokens before some earlier place equal the last n_match, and do `out` follow? */
static bool is_copy(const int32_t *ids, size_t n, size_t n_match, const int32_t *out, int n_out)
{
    for (size_t end = n - 1; end >= n_match; end--) {
        bool is_same =
            memcmp(ids + end - n_match, ids + n - n_match, n_match * sizeof *ids) == 0;
        for (int i = 0; i < n_out && is_same; i++) {
            const size_t k = end + (size_t)i;
            is_same = out[i] == (k < n ? ids[k] : out[k - n]);
        }
        if (is_same) return true;
    }
    return false;
}

/* Random tokens of a small alphabet, now and then a stretch of what was there. */
static void fill_text(int32_t *ids, size_t n, uint32_t alphabet, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, 3);
    for (size_t i = 0; i < n;) {
        if (i > 20 && rng_below(&r, 12) == 0) {
            size_t from = rng_below(&r, (uint32_t)i);
            for (uint32_t k = 5 + rng_below(&r, 40); k && i < n; k--)
                ids[i++] = ids[from++];
        } else {
            ids[i++] = (int32_t)rng_below(&r, alphabet);
        }
    }
}

static void matches_are_the_longest_and_proposals_are_copies(void **state)
{
    enum { N = 600 };
    (void)state;
    int32_t ids[N], out[8];
    for (uint64_t seed = 0; seed < 12; seed++) {
        static const uint32_t ALPHABETS[] = {1, 2, 3, 5, 50, 250000};
        struct suffix x;
        int n_found = 0;
        suffix_init(&x);
        fill_text(ids, N, ALPHABETS[seed % 6], seed);
        for (size_t n = 1; n <= N; n++) {
            size_t n_match = 0;
            OK(suffix_append(&x, ids, n, ok));
            const int n_out = suffix_propose(&x, ids, 8, out, &n_match);
            const size_t want = longest_repeat(ids, n);
            if (n_out == 0) {
                assert_true(want < SUFFIX_MATCH_MIN);
                continue;
            }
            n_found++;
            assert_int_equal(n_out, 8);
            assert_int_equal(n_match, want);
            if (!is_copy(ids, n, n_match, out, n_out))
                fail_msg("seed %d, %d tokens: not what followed", (int)seed, (int)n);
        }
        assert_true(n_found > 100);
        assert_true(x.n_states <= 2 * N);
        suffix_release(&x);
    }
}

static void a_loop_is_continued_past_the_end_of_the_text(void **state)
{
    (void)state;
    int32_t ids[20], out[8];
    struct suffix x;
    size_t n_match;
    suffix_init(&x);
    for (int32_t i = 0; i < 20; i++)
        ids[i] = 7 + i % 3;
    OK(suffix_append(&x, ids, 20, ok));
    assert_int_equal(suffix_propose(&x, ids, 8, out, &n_match), 8);
    assert_int_equal(n_match, 17);
    for (int32_t i = 0; i < 8; i++)
        assert_int_equal(out[i], 7 + (20 + i) % 3);
    suffix_release(&x);
}

static void the_newest_version_is_the_one_proposed(void **state)
{
    (void)state;
    int32_t ids[64], out[2];
    size_t n = 0, n_match;
    struct suffix x;
    suffix_init(&x);
    for (int32_t version = 0; version < 3; version++) { /* ten tokens, then what is new */
        for (int32_t i = 0; i < 10; i++)
            ids[n++] = 100 + i;
        ids[n++] = version;
        ids[n++] = 50 + version;
    }
    for (int32_t i = 0; i < 10; i++)
        ids[n++] = 100 + i;
    OK(suffix_append(&x, ids, n, ok));
    assert_int_equal(suffix_propose(&x, ids, 2, out, &n_match), 2);
    assert_int_equal(n_match, 10);
    assert_int_equal(out[0], 2);
    assert_int_equal(out[1], 52);
    suffix_release(&x);
}

static void after_a_cut_it_is_what_a_new_one_would_be(void **state)
{
    enum { N = 400 };
    (void)state;
    int32_t ids[N], a[8], b[8];
    struct suffix x;
    struct rng r;
    size_t have = 0;
    suffix_init(&x);
    rng_init(&r, 5, 5);
    for (int round = 0; round < 60; round++) {
        const size_t keep = rng_below(&r, (uint32_t)have + 1);
        suffix_cut(&x, keep);
        fill_text(ids + keep, N - keep, 4, (uint64_t)round);
        have = keep + rng_below(&r, (uint32_t)(N - keep) + 1);
        OK(suffix_append(&x, ids, have, ok));

        struct suffix fresh;
        size_t n_a = 0, n_b = 0;
        suffix_init(&fresh);
        OK(suffix_append(&fresh, ids, have, ok));
        const int n = suffix_propose(&fresh, ids, 8, a, &n_a);
        assert_int_equal(suffix_propose(&x, ids, 8, b, &n_b), n);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
        suffix_release(&fresh);
    }
    suffix_release(&x);
}

static void memory_stays_below_what_the_header_says(void **state)
{
    enum { N = 60000 };
    (void)state;
    int32_t *ids = malloc(N * sizeof *ids);
    assert_non_null(ids);
    static const uint32_t ALPHABETS[] = {1, 2, 4, 300, 250000};
    for (size_t i = 0; i < COUNT(ALPHABETS); i++) {
        struct suffix x;
        suffix_init(&x);
        fill_text(ids, N, ALPHABETS[i], i);
        OK(suffix_append(&x, ids, N, ok));
        if (suffix_bytes(&x) > 256 * (size_t)N)
            fail_msg("alphabet %u: %zu bytes a token", ALPHABETS[i], suffix_bytes(&x) / N);
        suffix_release(&x);
    }
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_the_longest_and_proposals_are_copies),
        cmocka_unit_test(a_loop_is_continued_past_the_end_of_the_text),
        cmocka_unit_test(the_newest_version_is_the_one_proposed),
        cmocka_unit_test(after_a_cut_it_is_what_a_new_one_would_be),
        cmocka_unit_test(memory_stays_below_what_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
