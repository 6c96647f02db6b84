/* test_threats.c - programs that attack the jail: what they get, what they leave.
 *
 * Every program runs at the strongest level and at the one without namespaces, as the
 * user who runs the test and, when that is root, once more as an ordinary user.  A
 * program prints ESCAPED when its attack worked. */
#include "tests/sandbox/jail_test.h"
#include "tests/sandbox/threats.h"
#include "tests/sandbox/verdicts.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char PRELUDE[] =
    "import os, sys, errno, socket, time, signal\n"
    "WORK = os.getcwd()\n"
    "def attack(call):\n"
    "    try:\n"
    "        r = call()\n"
    "    except (OSError, ValueError, MemoryError, RuntimeError) as e:\n"
    "        n = getattr(e, 'errno', None)\n"
    "        print('refused', errno.errorcode.get(n, type(e).__name__))\n"
    "    else:\n"
    "        print('ESCAPED', r)\n"
    "def syscall(number, *args):\n"
    "    import ctypes\n"
    "    c = ctypes.CDLL(None, use_errno=True)\n"
    "    def call():\n"
    "        r = c.syscall(ctypes.c_long(number), *args)\n"
    "        if r < 0:\n"
    "            raise OSError(ctypes.get_errno(), 'x')\n"
    "        return r\n"
    "    return call\n";

/* Things outside that the programs aim at. */
struct world {
    struct sandbox *s;
    enum sandbox_level level;
    int listener, abstract, pathname;
    int port;
    char secret[32], socket_path[80], abstract_name[32];
};
static struct world world;

static int listen_unix(const char *name, size_t n)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, name, n);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int open_world(void **state)
{
    struct world *w = &world;
    (void)state;
    w->s = jail_open_at(w->level);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(w->listener, 1), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&a, &n), 0);
    w->port = ntohs(a.sin_port);
    snprintf(w->secret, sizeof w->secret, "/tmp/jail-test-%d", (int)getpid());
    assert_int_equal(mkdir(w->secret, 0700), 0);
    snprintf(w->socket_path, sizeof w->socket_path, "%.40s/socket", w->secret);
    w->pathname = listen_unix(w->socket_path, strlen(w->socket_path) + 1);
    snprintf(w->abstract_name, sizeof w->abstract_name, "jail-test-%d", (int)getpid());
    char with_nul[33] = {0};
    memcpy(with_nul + 1, w->abstract_name, strlen(w->abstract_name));
    w->abstract = listen_unix(with_nul, 1 + strlen(w->abstract_name));
    char path[160];
    snprintf(path, sizeof path, "%s/secret", w->secret);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("the user's own words", f);
    return fclose(f);
}

static int close_world(void **state)
{
    struct world *w = &world;
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s/secret", w->secret);
    unlink(path);
    unlink(w->socket_path);
    rmdir(w->secret);
    close(w->listener);
    close(w->abstract);
    close(w->pathname);
    sandbox_close(w->s);
    return 0;
}

static void program_gets_what_it_should(void **state)
{
    const struct threat *t = *state;
    struct world *w = &world;
    struct str_buf code;
    str_buf_init(&code, 64 << 10);
    str_buf_add_z(&code, PRELUDE);
    str_buf_addf(&code, "LEVEL = '%s'\n", sandbox_level_name(w->level));
    str_buf_addf(&code, "CALLER = %d\nPORT = %d\nSECRET = '%s/secret'\nPATHNAME = '%s'\n",
                 (int)getpid(), w->port, w->secret, w->socket_path);
    str_buf_addf(&code, "ABSTRACT = '%s'\n", w->abstract_name);
    str_buf_add_z(&code, t->code);

    struct run_limits limits = run_limits_default();
    limits.timeout_ms = t->timeout_ms ? t->timeout_ms : 15000;
    limits.memory_bytes = (uint64_t)(t->memory_mib ? t->memory_mib : 512) << 20;
    struct run_result r = jail_run_limited(w->s, code.p, RUN_CELL, &limits);

    if (!(t->wanted & 1U << r.status)) {
        fail_msg("ended with %s\n%s\n%s", run_status_name(r.status), r.out, r.errtext);
    }
    if (strstr(r.out, "ESCAPED")) fail_msg("the attack worked: %s", r.out);
    const bool is_weak = w->level == SANDBOX_SECCOMP;
    const char *text = is_weak && t->weak_text ? t->weak_text : t->text;
    if (text && !strstr(r.out, text) && !strstr(r.errtext, text)) {
        fail_msg("no '%s' in:\n%s\n%s", text, r.out, r.errtext);
    }
    if (t->most_ms && r.duration_ms > t->most_ms) fail_msg("took %.0f ms", r.duration_ms);
    assert_true(str_is_utf8((struct str){r.out, r.n_out}));
    assert_true(accept(w->listener, NULL, NULL) < 0);
    run_result_release(&r);
    str_buf_release(&code);
    /* The spare worker, its init and the keeper may live; as an ordinary user so does
     * this test, its parent being root. */
    const int n_most = geteuid() == 0 ? 2 : 4;
    const int n_left = jail_processes(getpid());
    if (n_left > n_most) fail_msg("%d processes are left", n_left);
    if (jail_folders(getpid()) > 1) fail_msg("a work folder is left");
}

/* 37, a killed caller, is in test_soak.c; verdicts.h has the rest, and test_score.c runs it. */
static void every_number_of_the_list_is_tried(void **state)
{
    (void)state;
    enum { N_THREATS = 91 };
    bool is_tried[N_THREATS + 1] = {[37] = true};
    for (size_t i = 0; i < COUNT(THREATS); i++) {
        assert_in_range(THREATS[i].number, 0, N_THREATS);
        is_tried[THREATS[i].number] = true;
    }
    for (size_t i = 0; i < COUNT(SAMPLES); i++) {
        assert_in_range(SAMPLES[i].number, 0, N_THREATS);
        is_tried[SAMPLES[i].number] = true;
    }
    for (int number = 1; number <= N_THREATS; number++) {
        if (!is_tried[number]) fail_msg("no program for number %d", number);
    }
}

static int run_at(enum sandbox_level level)
{
    struct CMUnitTest tests[COUNT(THREATS) + 1] = {
        cmocka_unit_test(every_number_of_the_list_is_tried)};
    size_t n = 1;
    world.level = level;
    for (size_t i = 0; i < COUNT(THREATS); i++) {
        if (level == SANDBOX_SECCOMP && THREATS[i].is_of_namespaces) continue;
        tests[n++] = (struct CMUnitTest){.name = THREATS[i].name,
                                         .test_func = program_gets_what_it_should,
                                         .initial_state = (void *)&THREATS[i]};
    }
    /* The macro takes the length from the type; the group may be shorter. */
    return _cmocka_run_group_tests(sandbox_level_name(level), tests, n, open_world,
                                   close_world);
}

/* An argument names the programs to run: test_threats 'fork*'. */
int main(int argc, char **argv)
{
    const char *pattern = argc > 1 && strcmp(argv[1], "again") != 0 ? argv[1] : NULL;
    if (pattern) cmocka_set_test_filter(pattern);
    if (!is_jail_possible()) return argc > 1 ? 0 : 1;
    int n_failed = run_at(SANDBOX_AUTO);
    if (is_jail_possible_at(SANDBOX_SECCOMP)) n_failed += run_at(SANDBOX_SECCOMP);
    if (pattern || geteuid() != 0) return n_failed;
    return n_failed + again_as_user("again");
}
