/* test_str.c - slices, bounded buffers, error lines and files of engine/base. */
#include "engine/base/file.h"
#include "engine/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static void slices_are_cut_found_and_trimmed(void **state)
{
    const struct str s = STR("one two");
    assert_true(str_eq(str_cut(s, 4, 7), STR("two")));
    assert_int_equal(str_cut(s, 5, 3).n, 0);
    assert_true(str_eq(str_cut(s, 4, 99), STR("two")));
    assert_int_equal(str_cut(s, 99, 100).n, 0);
    assert_int_equal(str_find(s, STR("two")), 4);
    assert_int_equal(str_find(s, STR("twos")), SIZE_MAX);
    assert_int_equal(str_find(s, STR("")), 0);
    assert_int_equal(str_find(STR(""), STR("a")), SIZE_MAX);
    assert_true(str_starts(s, STR("one")) && !str_starts(s, STR("two")));
    assert_true(str_ends(s, STR("two")) && !str_ends(STR("o"), STR("two")));
    assert_true(str_eq(str_trim(STR(" \t\r\n a b \v\f")), STR("a b")));
    assert_int_equal(str_trim(STR(" \n ")).n, 0);
    assert_true(str_eq(str_of(NULL), STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")) && !str_eq(STR("a\0b"), STR("a\0c")));
}

static void integers_are_read_whole_and_within_bounds(void **state)
{
    static const struct {
        struct str text;
        int64_t lo, hi, value;
        bool ok;
    } CASES[] = {
        {STR("0"),                           0,         9,         0,         true },
        {STR("-7"),                          -9,        9,         -7,        true },
        {STR("9223372036854775807"),         0,         INT64_MAX, INT64_MAX, true },
        {STR("9223372036854775808"),         0,         INT64_MAX, 0,         false},
        {STR("-9223372036854775808"),        INT64_MIN, 0,         INT64_MIN, true },
        {STR("10"),                          0,         9,         0,         false},
        {STR(""),                            0,         9,         0,         false},
        {STR(" 1"),                          0,         9,         0,         false},
        {STR("1 "),                          0,         9,         0,         false},
        {STR("1x"),                          0,         9,         0,         false},
        {STR("1\0"),                         0,         9,         0,         false},
        {STR("0x1"),                         0,         9,         0,         false},
        {STR("-"),                           -9,        9,         0,         false},
        {STR("000000000000000000000000001"), 0,         9,         0,         false}, /* longer than any number */
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        int64_t v = 77;
        const bool ok = str_to_i64(CASES[i].text, CASES[i].lo, CASES[i].hi, &v);
        if (ok != CASES[i].ok) fail_msg("'%s'", CASES[i].text.p);
        assert_true(v == (ok ? CASES[i].value : 77));
    }
}

static void numbers_are_read_whole(void **state)
{
    double v = 0;
    assert_true(str_to_f64(STR("0.25"), &v) && v == 0.25);
    assert_true(str_to_f64(STR("-1e3"), &v) && v == -1000);
    assert_false(str_to_f64(STR("nan"), &v) || str_to_f64(STR(""), &v) ||
                 str_to_f64(STR("1.5 "), &v) || str_to_f64(STR(" 1"), &v) ||
                 str_to_f64(STR("1,5"), &v) || str_to_f64(STR("1e999"), &v));
    assert_true(v == -1000);
}

static void ill_formed_utf8_is_seen(void **state)
{
    static const struct str GOOD[] = {
        STR(""),
        STR("a\x7F"),
        STR("\xC2\x80"),
        STR("\xE0\xA0\x80"),
        STR("\xED\x9F\xBF"),
        STR("\xEF\xBF\xBF"),
        STR("\xF0\x90\x80\x80"),
        STR("\xF4\x8F\xBF\xBF"),
        STR("\0"),
    };
    static const struct str BAD[] = {
        STR("\x80"),
        STR("\xC0\x80"),
        STR("\xC1\xBF"),
        STR("\xC2"),
        STR("\xC2\x41"),
        STR("\xE0\x9F\xBF"),
        STR("\xED\xA0\x80"),
        STR("\xE2\x82"),
        STR("\xF0\x8F\xBF\xBF"),
        STR("\xF4\x90\x80\x80"),
        STR("\xF5\x80\x80\x80"),
        STR("\xF0\x9F\x91"),
        STR("a\xFF"),
    };
    for (size_t i = 0; i < COUNT(GOOD); i++) {
        assert_true(str_is_utf8(GOOD[i]));
    }
    for (size_t i = 0; i < COUNT(BAD); i++) {
        if (str_is_utf8(BAD[i])) fail_msg("case %zu is taken for good", i);
    }
}

static void a_buffer_grows_to_its_maximum_and_remembers_the_overflow(void **state)
{
    struct err e = {0};
    struct str_buf b;
    str_buf_init(&b, 1000);
    for (int i = 0; i < 100; i++) {
        str_buf_addf(&b, "%09d|", i);
    }
    assert_int_equal(b.n, 1000);
    assert_int_equal(str_buf_check(&b, "list", &e), QA_OK);
    assert_string_equal(b.p + 990, "000000099|");
    str_buf_add_char(&b, 'x');
    assert_int_equal(b.n, 1000);
    assert_int_equal(str_buf_check(&b, "list", &e), QA_E_LIMIT);
    assert_non_null(strstr(e.text, "list"));
    str_buf_add_z(&b, ""); /* still bad */
    assert_int_equal(b.bad, QA_E_LIMIT);
    assert_null(str_buf_take(&b));
    str_buf_reset(&b);
    str_buf_add_z(&b, "again");
    assert_int_equal(str_buf_check(&b, "list", &e), QA_OK);
    char *p = str_buf_take(&b);
    assert_string_equal(p, "again");
    free(p);
    str_buf_release(&b);
}

static void an_error_line_gathers_context_in_front(void **state)
{
    struct err e = {0};
    assert_int_equal(err_set(&e, QA_E_IO, "key '%s': absent", "x"), QA_E_IO);
    assert_int_equal(err_wrap(&e, QA_E_FORMAT, "file '%s'", "y"), QA_E_FORMAT);
    assert_string_equal(e.text, "file 'y': key 'x': absent");
    assert_int_equal(e.code, QA_E_FORMAT);
    assert_int_equal(err_errno(&e, QA_E_IO, ENOENT, "cannot open 'z'"), QA_E_IO);
    assert_string_equal(e.text, "cannot open 'z': no such file or directory");
    err_set(&e, QA_E_IO, "two files: 'a': absent; %s",
            e.text); /* its own text as an argument */
    assert_string_equal(e.text,
                        "two files: 'a': absent; cannot open 'z': no such file or directory");
    assert_int_equal(err_set(NULL, QA_E_LIMIT, "nobody listens"), QA_E_LIMIT);
    err_set(&e, QA_E_IO, "cannot open '%s'", "a\x1b[31m\n\x7f\xc3\xa9");
    assert_string_equal(e.text, "cannot open 'a?[31m??\xc3\xa9'");
    char longer[2 * sizeof e.text];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    err_set(&e, QA_E_IO, "%s", longer);
    err_wrap(&e, QA_E_IO, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

/* What a file's replacement did, in order: 'f' file and 'd' folder to disk, 'r' renamed.
 * These stand before libc's. */
static char done[16];
static bool is_folder_bad;

static void note(char what)
{
    const size_t n = strlen(done);
    if (n + 1 < sizeof done) done[n] = what;
}

int fsync(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    note(S_ISDIR(st.st_mode) ? 'd' : 'f');
    if (S_ISDIR(st.st_mode) && is_folder_bad) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    note('r');
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static void assert_says(enum status st, enum status want, const struct err *e, const char *text)
{
    assert_int_equal(st, want);
    assert_string_equal(e->text, text);
}

static void a_replaced_file_is_on_disk_before_its_name_is(void **state)
{
    struct err e = {0};
    char folder[] = "/tmp/qagent-str-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    memset(done, 0, sizeof done);
    assert_int_equal(file_write(path, STR("whole"), &e), QA_OK);
    assert_string_equal(done, "frd");
    is_folder_bad = true;
    char text[100];
    snprintf(text, sizeof text, "cannot write folder '%s': input/output error", folder);
    assert_says(file_write(path, STR("whole"), &e), QA_E_IO, &e, text);
    is_folder_bad = false;
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    static char large[4096];
    struct err e = {0};
    struct rlimit old, small;
    char folder[] = "/tmp/qagent-str-XXXXXX", path[64], text[200];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(file_write(path, STR("old"), &e), QA_OK);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum status st = file_write(path, (struct str){large, sizeof large}, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    snprintf(text, sizeof text, "cannot write '%s': file too large", path);
    assert_says(st, QA_E_IO, &e, text);
    struct str_buf b;
    str_buf_init(&b, 100);
    assert_int_equal(file_read(&b, path, &e), QA_OK);
    assert_true(str_eq(str_buf_str(&b), STR("old")));
    str_buf_release(&b);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* no temporary file was left */
}

static void devices_and_pipes_are_written_as_they_are(void **state)
{
    struct err e = {0};
    char folder[] = "/tmp/qagent-str-XXXXXX", path[64], got[8] = "";
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    const int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(file_write(path, STR("in it"), &e), QA_OK);
    assert_int_equal(read(fd, got, sizeof got), 5);
    assert_string_equal(got, "in it");
    close(fd);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    assert_says(file_write("/dev/full", STR("x"), &e), QA_E_IO, &e,
                "cannot write '/dev/full': no space left on device");
}

static void what_cannot_be_read_or_written_is_named_in_quotes(void **state)
{
    struct err e = {0};
    struct file_map m;
    struct file_image i;
    struct str_buf b;
    assert_says(file_map_open(&m, "/nowhere/x", &e), QA_E_IO, &e,
                "cannot open '/nowhere/x': no such file or directory");
    assert_says(file_map_open(&m, "tests", &e), QA_E_IO, &e,
                "cannot read 'tests': is a directory");
    assert_says(file_image_open(&i, "/dev/null", false, &e), QA_E_IO, &e,
                "cannot read '/dev/null': not a regular file");
    str_buf_init(&b, 4);
    assert_says(file_read(&b, "README.md", &e), QA_E_LIMIT, &e,
                "cannot read 'README.md': the file is larger than 4 bytes");
    str_buf_release(&b);
    str_buf_init(&b, 4);
    assert_says(file_read(&b, "tests", &e), QA_E_IO, &e, "cannot read 'tests': is a directory");
    assert_says(file_read(&b, "/nowhere/x", &e), QA_E_IO, &e,
                "cannot open '/nowhere/x': no such file or directory");
    str_buf_release(&b);
    assert_says(file_write("/nowhere/x", STR(""), &e), QA_E_IO, &e,
                "cannot create '/nowhere/x': no such file or directory");
    assert_says(file_write("tests", STR(""), &e), QA_E_IO, &e,
                "cannot replace 'tests': is a directory");
    assert_says(file_make_dirs("README.md/x", &e), QA_E_IO, &e,
                "cannot create folder 'README.md/x': not a directory");
    assert_says(file_write_all(-1, "x", 1, "x.txt", &e), QA_E_IO, &e,
                "cannot write 'x.txt': bad file descriptor");
}

static void the_lesser_of_two_is_computed_once(void **state)
{
    int n = 0;
    assert_int_equal(QA_MIN(++n, 5), 1);
    assert_int_equal(QA_MAX(5, ++n), 5);
    assert_int_equal(n, 2);
    assert_true(QA_MIN(SIZE_MAX, (size_t)1 << 40) == (size_t)1 << 40);
    assert_true(QA_MIN(INT64_MIN, (int64_t)0) == INT64_MIN);
    assert_true(QA_MAX(0.25, 0.5) == 0.5 && QA_MIN(0.25f, 0.5f) == 0.25f);
}

static void files_are_replaced_read_and_mapped(void **state)
{
    struct err e = {0};
    char folder[] = "build/test_str.XXXXXX";
    assert_int_equal(file_make_dirs("build", &e), QA_OK);
    assert_non_null(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(file_write(path, STR("first"), &e), QA_OK);
    assert_int_equal(file_write(path, STR("second\0\n"), &e), QA_OK);
    struct str_buf b;
    str_buf_init(&b, 8);
    assert_int_equal(file_read(&b, path, &e), QA_OK);
    assert_true(str_eq(str_buf_str(&b), STR("second\0\n")));
    assert_int_equal(file_read(&b, path, &e), QA_E_LIMIT); /* twice is too much */
    str_buf_release(&b);
    struct file_map m = {0};
    assert_int_equal(file_map_open(&m, path, &e), QA_OK);
    assert_int_equal(m.n, 8);
    assert_memory_equal(m.p, "second\0\n", 8);
    file_map_close(&m);
    file_map_close(&m); /* twice is fine */
    assert_int_equal(file_write(path, STR(""), &e), QA_OK);
    assert_int_equal(file_map_open(&m, path, &e), QA_E_FORMAT);
    assert_null(m.p);
    assert_int_equal(file_map_open(&m, folder, &e), QA_E_IO);
    unlink(path);
    assert_int_equal(file_map_open(&m, path, &e), QA_E_IO);
    assert_int_equal(rmdir(folder), 0); /* no temporary file was left */
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct rng a;
    struct rng b;
    struct rng c;
    rng_init(&a, 42, 54);
    rng_init(&b, 42, 54);
    rng_init(&c, 42, 55);
    /* First outputs of PCG32 for this seed and stream, from its paper's program. */
    static const uint32_t WANT[] = {0xA15C02B7U, 0x7B47F409U, 0xBA1D3330U,
                                    0x83D2F293U, 0xBFA4784BU, 0xCBED606EU};
    int n_same = 0;
    for (size_t i = 0; i < COUNT(WANT); i++) {
        const uint32_t x = rng_u32(&a);
        assert_int_equal(x, WANT[i]);
        assert_int_equal(x, rng_u32(&b));
        n_same += x == rng_u32(&c);
    }
    assert_true(n_same < 2);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_below(&a, 7) < 7);
        const double u = rng_unit(&a);
        assert_true(u >= 0 && u < 1);
    }
}

static void characters_that_steer_are_told_from_text(void **state)
{
    (void)state;
    static const uint32_t STEERING[] = {0,      7,      8,      0x0B,   0x0D,    0x1B,   0x7F,
                                        0x80,   0x9B,   0x9F,   0x61C,  0x200B,  0x200E, 0x2028,
                                        0x202E, 0x2060, 0x2066, 0xFEFF, 0xE0001, 0xE007F};
    static const uint32_t TEXT[] = {'\t',   '\n',   ' ',     '~',     0xA0,   0x61B,  0x61D,
                                    0x5D0,  0x200A, 0x200C,  0x200D,  0x2010, 0x202F, 0x2070,
                                    0xFFFD, 0xFE0F, 0x1F600, 0xE0080, 0xE0100};
    for (size_t i = 0; i < COUNT(STEERING); i++) {
        if (!str_is_steering(STEERING[i])) fail_msg("U+%04X", (unsigned)STEERING[i]);
    }
    for (size_t i = 0; i < COUNT(TEXT); i++) {
        if (str_is_steering(TEXT[i])) fail_msg("U+%04X", (unsigned)TEXT[i]);
    }
}

static void the_first_character_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        uint32_t cp;
    } CASES[] = {
        {"ab",               1, 'a'    },
        {"\xC2\x9Bx",        2, 0x9B   },
        {"\xE2\x80\xAE",     3, 0x202E },
        {"\xF3\xA0\x81\x81", 4, 0xE0041},
        {"\xE2\x80",         0, 0      },
        {"\x80",             0, 0      },
        {"\xC0\x80",         0, 0      },
        {"\xED\xA0\x80",     0, 0      },
        {"\xF5\x80\x80\x80", 0, 0      },
        {"",                 0, 0      },
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        uint32_t cp = 0;
        assert_int_equal(str_first_char(str_of(CASES[i].text), &cp), CASES[i].n);
        assert_int_equal(cp, CASES[i].cp);
    }
}

static void names_in_an_error_cannot_steer_a_terminal(void **state)
{
    (void)state;
    char text[] =
        "a\x1b]52;c;aGk=\a\x1b[2J\xE2\x80\xAE\r\n\tb\xFF\xC2\x9B\xE2\x82\xAC\xF3\xA0\x81\x81";
    str_make_inert(text);
    assert_string_equal(text, "a?]52;c;aGk=??[2J????b??\xE2\x82\xAC?");
    char empty[] = "";
    str_make_inert(empty);
    assert_string_equal(empty, "");

    struct err e = {0};
    err_set(&e, QA_E_IO, "cannot open '%s'", "\x1b]0;title\a.py");
    assert_string_equal(e.text, "cannot open '?]0;title?.py'");
    err_set(&e, QA_E_IO, "first: %s; second: %s", "none", e.text); /* its own old text */
    assert_string_equal(e.text, "first: none; second: cannot open '?]0;title?.py'");
    err_set(&e, QA_E_IO, "cannot open '%s'", "\x1b]0;title\a.py");
    err_wrap(&e, QA_E_IO, "task '%s'", "one\ntwo");
    assert_string_equal(e.text, "task 'one?two': cannot open '?]0;title?.py'");
    err_errno(&e, QA_E_IO, ENOENT, "cannot read '%s'",
              "\xE2\x80\xAE"
              "gpj.exe");
    assert_string_equal(e.text, "cannot read '?gpj.exe': no such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_cut_found_and_trimmed),
        cmocka_unit_test(integers_are_read_whole_and_within_bounds),
        cmocka_unit_test(numbers_are_read_whole),
        cmocka_unit_test(ill_formed_utf8_is_seen),
        cmocka_unit_test(a_buffer_grows_to_its_maximum_and_remembers_the_overflow),
        cmocka_unit_test(an_error_line_gathers_context_in_front),
        cmocka_unit_test(files_are_replaced_read_and_mapped),
        cmocka_unit_test(a_replaced_file_is_on_disk_before_its_name_is),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(devices_and_pipes_are_written_as_they_are),
        cmocka_unit_test(what_cannot_be_read_or_written_is_named_in_quotes),
        cmocka_unit_test(the_lesser_of_two_is_computed_once),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(characters_that_steer_are_told_from_text),
        cmocka_unit_test(the_first_character_is_read_whole_or_not_at_all),
        cmocka_unit_test(names_in_an_error_cannot_steer_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
