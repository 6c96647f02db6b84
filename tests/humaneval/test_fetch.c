/* test_fetch.c - a download is kept when its digest is right, and leaves nothing else. */
#include "engine/base/file.h"
#include "humaneval/fetch.h"
#include "humaneval/humaneval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], from[128], url[160], to[160];
static char digest[65];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/qagent-test-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(from, sizeof from, "%s/from", dir);
    snprintf(url, sizeof url, "file://%s", from);
    snprintf(to, sizeof to, "%s/a/b/to", dir);
    dataset_sha256(STR("some bytes"), digest);
    return file_write(from, STR("some bytes"), NULL) ? -1 : 0;
}

static int remove_dir(void **state)
{
    static const char *const NAMES[] = {"from", "a/b/to", "a/b", "a", ""};
    (void)state;
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", dir, NAMES[i]);
        remove(path);
    }
    return access(dir, F_OK) == 0 ? -1 : 0; /* nothing but these was left */
}

static struct fetch fetch_of(void)
{
    return (struct fetch){
        .url = url, .protocols = "file", .path = to, .sha256 = digest, .max_bytes = 1000};
}

static void a_file_with_the_right_digest_is_kept(void **state)
{
    (void)state;
    struct err e = {0};
    struct str_buf b;
    const struct fetch f = fetch_of();
    if (fetch_file(&f, &e)) fail_msg("%s", e.text);
    str_buf_init(&b, 1000);
    assert_int_equal(file_read(&b, to, &e), QA_OK);
    assert_string_equal(b.p, "some bytes");
    str_buf_release(&b);
}

static void another_digest_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    struct fetch f = fetch_of();
    f.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    char want[200];
    assert_int_equal(fetch_file(&f, &e), QA_E_FORMAT);
    snprintf(want, sizeof want, "the downloaded 'to' has sha256 %.12s..., not 000000000000...",
             digest);
    assert_string_equal(e.text, want);
    assert_int_equal(access(to, F_OK), -1);
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct fetch f = fetch_of();
    f.max_bytes = 4;
    assert_int_equal(fetch_file(&f, &e), QA_E_LIMIT);
    assert_int_equal(access(to, F_OK), -1);
}

static void only_https_is_spoken_unless_asked(void **state)
{
    (void)state;
    struct err e = {0};
    struct fetch f = fetch_of();
    f.protocols = NULL;
    assert_int_equal(fetch_file(&f, &e), QA_E_IO);
    assert_non_null(strstr(e.text, "cannot download 'to': "));
    assert_int_equal(access(to, F_OK), -1);
}

static void what_is_not_there_is_one_line(void **state)
{
    (void)state;
    struct err e = {0};
    const struct fetch f = fetch_of();
    remove(from);
    assert_int_equal(fetch_file(&f, &e), QA_E_IO);
    assert_non_null(strstr(e.text, "cannot download 'to': "));
    assert_null(strchr(e.text, '\n'));
}

static void a_stop_ends_it(void **state)
{
    (void)state;
    static const volatile int stop = 1;
    struct err e = {0};
    struct fetch f = fetch_of();
    f.stop = &stop;
    assert_int_equal(fetch_file(&f, &e), QA_E_STOP);
    assert_int_equal(access(to, F_OK), -1);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_file_with_the_right_digest_is_kept),
        IN_FOLDER(another_digest_leaves_nothing),
        IN_FOLDER(a_file_that_is_too_large_is_refused),
        IN_FOLDER(only_https_is_spoken_unless_asked),
        IN_FOLDER(what_is_not_there_is_one_line),
        IN_FOLDER(a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
