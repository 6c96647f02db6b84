/* test_threats.c - programs that attack the jail: what they get, what they leave.
 *
 * Every program runs as the user who runs the test, and, when that is root, once
 * more as an ordinary user.  A program prints ESCAPED when its attack worked. */
#include "tests/sandbox/jail_test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

struct threat {
    const char *name;
    const char *code;
    unsigned wanted;  /* set of 1 << enum run_status                        */
    const char *text; /* must be in stdout or stderr, or NULL               */
    int timeout_ms;   /* 0: 15000                                           */
    int memory_mib;   /* 0: 512                                             */
    int most_ms;      /* the call must be over by then; 0: no matter        */
};

enum {
    OK = 1 << RUN_OK,
    ERROR = 1 << RUN_ERROR,
    TIMEOUT = 1 << RUN_TIMEOUT,
    OOM = 1 << RUN_OOM,
    FLOOD = 1 << RUN_OUTPUT_LIMIT,
    SIGNAL = 1 << RUN_SIGNAL,
    KILLED = 1 << RUN_KILLED,
};

static const char PRELUDE[] =
    "import os, sys, errno, socket, time, signal\n"
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

// clang-format off
static const struct threat THREATS[] = {
    /* ---- resources */
    {"fork_loop_is_refused_and_leaves_nothing",
     "try:\n    while True:\n        if os.fork() == 0: time.sleep(60)\nexcept OSError as e: print(errno.errorcode[e.errno])\nos._exit(0)", .wanted = OK | KILLED},
    {"fork_bomb_that_ignores_errors_ends_with_the_time",
     "while True:\n    try: os.fork()\n    except OSError: pass", .wanted = TIMEOUT | KILLED, .timeout_ms = 700, .most_ms = 20000},
    {"thread_bomb_gets_an_error",
     "import threading\nn = 0\ntry:\n    while True:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\nexcept (RuntimeError, MemoryError) as e: print('stopped', n < 1000)\nos._exit(0)", .wanted = OK, .text = "stopped True"},
    {"memory_bomb_is_out_of_memory", "x = []\nwhile True: x.append(bytearray(16 << 20))", .wanted = OOM, .text = "MemoryError"},
    {"one_huge_request_is_out_of_memory", "x = bytearray(1 << 40)", .wanted = OOM, .text = "MemoryError"},
    {"memory_error_that_is_caught_is_no_failure", "try: x = bytearray(1 << 40)\nexcept MemoryError: print('fine')", .wanted = OK, .text = "fine"},
    {"memory_over_many_processes_is_counted_together",
     "for i in range(8):\n    if os.fork() == 0:\n        x = b'x' * (200 << 20); time.sleep(60)\ntime.sleep(60)", .wanted = OOM, .timeout_ms = 30000},
    {"memory_shared_after_a_fork_counts_once",
     "x = b'x' * (150 << 20)\nfor i in range(6):\n    if os.fork() == 0:\n        time.sleep(0.3); os._exit(0)\nfor i in range(6): os.wait()\nprint('counted once')", .wanted = OK, .text = "counted once"},
    {"memory_in_dev_shm_is_bounded",
     "def f():\n    for i in range(100):\n        with open('/dev/shm/%d' % i, 'wb') as g: g.write(bytes(32 << 20))\nattack(f)", .wanted = OK, .text = "refused ENOSPC", .timeout_ms = 30000},
    {"memory_in_tmp_is_bounded",
     "def f():\n    for i in range(100):\n        with open('/tmp/%d' % i, 'wb') as g: g.write(bytes(32 << 20))\nattack(f)", .wanted = OK, .text = "refused ENOSPC", .timeout_ms = 30000},
    {"memory_in_memfd_is_not_to_be_had", "attack(lambda: os.memfd_create('x'))", .wanted = OK, .text = "refused ENOSYS"},
    {"memory_in_system_v_segments_is_not_to_be_had", "attack(syscall(29, 0, 1 << 20, 0o1600))", .wanted = OK, .text = "refused ENOSYS"},
    {"one_endless_file_is_cut",
     "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\ndef f():\n    with open('big', 'wb') as g:\n        while True: g.write(bytes(8 << 20))\nattack(f)", .wanted = OK, .text = "refused EFBIG"},
    {"endless_file_without_a_handler_is_an_error", "with open('big', 'wb') as g:\n    while True: g.write(bytes(8 << 20))", .wanted = ERROR | SIGNAL},
    {"files_without_end_run_out", "def f():\n    for i in range(100000): open('/box/%d' % i, 'w').close()\nattack(f)", .wanted = OK, .text = "refused ENOSPC", .timeout_ms = 30000},
    {"output_without_end_is_cut_and_killed", "while True: print('line of output')", .wanted = FLOOD, .text = "bytes left out", .timeout_ms = 30000},
    {"one_line_without_end_is_cut_and_killed", "while True: os.write(1, b'x' * 65536)", .wanted = FLOOD, .text = "bytes left out", .most_ms = 20000},
    {"errors_without_end_are_cut_and_killed", "while True: os.write(2, b'x' * 65536)", .wanted = FLOOD, .text = "bytes left out", .most_ms = 20000},
    {"a_slow_drip_does_not_hold_off_the_clock", "while True:\n    print('.', end='', flush=True); time.sleep(0.05)", .wanted = TIMEOUT, .text = "...", .timeout_ms = 400, .most_ms = 20000},
    {"busy_loop_ends_with_the_time", "while True: pass", .wanted = TIMEOUT, .timeout_ms = 300, .most_ms = 20000},
    {"busy_threads_end_with_the_time", "import threading\nfor i in range(8): threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()", .wanted = TIMEOUT | OOM, .timeout_ms = 400, .most_ms = 20000},
    {"sleep_ends_with_the_time", "time.sleep(60)", .wanted = TIMEOUT, .timeout_ms = 300, .most_ms = 20000},
    {"input_is_at_its_end", "input()", .wanted = ERROR, .text = "EOFError"},
    {"standard_input_reads_nothing", "print(repr(sys.stdin.read()))", .wanted = OK, .text = "''"},
    {"recursion_without_a_limit_is_reported", "sys.setrecursionlimit(10**9)\ndef f(): f()\nf()", .wanted = ERROR | OOM | SIGNAL | TIMEOUT},
    {"deep_recursion_shows_ten_frames_at_each_end", "def f(n): return f(n + 1)\nf(0)", .wanted = ERROR, .text = "more frames ..."},
    {"c_code_that_never_returns_ends_with_the_time", "import re\nre.match('(a+)+$', 'a' * 64 + 'b')", .wanted = TIMEOUT, .timeout_ms = 400, .most_ms = 20000},
    {"descriptors_run_out", "def f():\n    return [open('/dev/null') for i in range(1000)]\nattack(f)", .wanted = OK, .text = "refused EMFILE"},
    {"zombies_die_with_the_call", "for i in range(20):\n    if os.fork() == 0: os._exit(0)\ntime.sleep(0.1)\nprint('done')", .wanted = OK, .text = "done"},
    {"orphans_are_reaped", "for i in range(150):\n    if os.fork() == 0:\n        if os.fork() == 0: os._exit(0)\n        os._exit(0)\n    os.wait()\nprint('done')", .wanted = OK, .text = "done"},
    {"locking_memory_is_refused", "import mmap, ctypes\nm = mmap.mmap(-1, 1 << 20)\nattack(syscall(149, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m))), 1 << 20))", .wanted = OK, .text = "refused"},
    {"priority_cannot_be_raised", "attack(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))", .wanted = OK, .text = "refused E"},
    {"realtime_scheduling_is_refused", "attack(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))", .wanted = OK, .text = "refused EPERM"},
    {"own_limits_cannot_be_raised", "import resource as r\nattack(lambda: r.setrlimit(r.RLIMIT_AS, (r.RLIM_INFINITY, r.RLIM_INFINITY)))", .wanted = OK, .text = "refused ValueError"},
    {"limits_of_the_init_cannot_be_touched", "import resource as r\nattack(lambda: r.prlimit(1, r.RLIMIT_CPU, (0, 0)))", .wanted = OK, .text = "refused E"},
    /* ---- escape and lifetime */
    {"a_daemon_dies_with_the_call", "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for fd in (0, 1, 2): os.close(fd)\n        time.sleep(60)\n    os._exit(0)\ntime.sleep(0.05)\nprint('done')", .wanted = OK, .text = "done", .most_ms = 20000},
    {"a_grandchild_that_holds_stdout_does_not_hold_the_call", "if os.fork() == 0:\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\nos.wait()\nprint('done')", .wanted = OK, .text = "done", .most_ms = 20000},
    {"every_signal_ignored_still_ends_with_the_time", "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass", .wanted = TIMEOUT, .timeout_ms = 300, .most_ms = 20000},
    {"a_stopped_program_ends_with_the_time", "os.kill(os.getpid(), signal.SIGSTOP)", .wanted = TIMEOUT, .timeout_ms = 300, .most_ms = 20000},
    {"kill_everybody_reaches_only_the_jail", "os.kill(-1, 9)\nprint('alive')", .wanted = OK | SIGNAL | ERROR},
    {"the_init_does_not_die_by_a_signal", "os.kill(1, 9)\nos.kill(1, 15)\nprint('alive')", .wanted = OK | ERROR},
    {"the_caller_cannot_be_signalled", "attack(lambda: os.kill(CALLER, 0))", .wanted = OK, .text = "refused ESRCH"},
    {"ptrace_is_refused", "attack(syscall(101, 16, 1, 0, 0))", .wanted = OK, .text = "refused EPERM"},
    {"there_is_no_proc", "attack(lambda: open('/proc/self/environ').read())\nattack(lambda: open('/proc/%d/mem' % CALLER))\nattack(lambda: open('/proc/1/environ'))", .wanted = OK, .text = "refused ENOENT"},
    {"memory_of_others_is_refused", "attack(syscall(310, 1, 0, 0, 0, 0, 0))\nattack(syscall(312, 1, 1, 0, 0, 0))\nattack(syscall(438, 0, 0, 0))", .wanted = OK, .text = "refused EPERM"},
    {"only_three_descriptors_are_open", "left = []\nfor fd in range(256):\n    try: os.fstat(fd); left.append(fd)\n    except OSError: pass\nprint('open', left)", .wanted = OK, .text = "open [0, 1, 2]"},
    {"the_interpreter_cannot_be_rewritten", "attack(lambda: open(sys.executable, 'r+b'))", .wanted = OK, .text = "refused E"},
    {"a_listener_outside_is_out_of_reach", "attack(lambda: socket.create_connection(('127.0.0.1', PORT), 1))", .wanted = OK, .text = "refused E"},
    {"udp_is_out_of_reach", "attack(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))\nattack(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))", .wanted = OK, .text = "refused EAFNOSUPPORT"},
    {"an_abstract_socket_outside_is_out_of_reach", "attack(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT))", .wanted = OK, .text = "refused E"},
    {"a_socket_file_outside_is_out_of_reach", "attack(lambda: socket.socket(socket.AF_UNIX).connect(PATHNAME))", .wanted = OK, .text = "refused ENOENT"},
    {"vsock_netlink_and_packet_sockets_do_not_exist", "attack(lambda: socket.socket(40, 1))\nattack(lambda: socket.socket(16, 3))\nattack(lambda: socket.socket(17, 3))", .wanted = OK, .text = "refused EAFNOSUPPORT"},
    {"a_family_above_the_low_bits_does_not_exist", "attack(syscall(41, 1 << 6 | 1, 1, 0))\nattack(syscall(41, (1 << 32) | 2, 1, 0))", .wanted = OK, .text = "refused E"},
    {"names_are_not_resolved", "try: socket.gethostbyname('example.com'); print('ESCAPED')\nexcept OSError as e: print('refused', type(e).__name__)", .wanted = OK, .text = "refused"},
    {"io_uring_does_not_exist", "attack(syscall(425, 1, 0))", .wanted = OK, .text = "refused ENOSYS"},
    {"no_new_user_namespace", "attack(syscall(272, 0x10000000))\nattack(syscall(56, 0x10000000 | 17, 0, 0, 0, 0))\nattack(syscall(56, 0x20000 | 17, 0, 0, 0, 0))", .wanted = OK, .text = "refused EPERM"},
    {"clone3_does_not_exist", "attack(syscall(435, 0, 0))", .wanted = OK, .text = "refused ENOSYS"},
    {"no_mount_call_works", "attack(syscall(165, 0, 0, 0, 0, 0))\nattack(syscall(155, 0, 0))\nattack(syscall(430, 0, 0))\nattack(syscall(428, 0, 0, 0))\nattack(lambda: os.chroot('/box'))", .wanted = OK, .text = "refused EPERM"},
    {"no_kernel_interface_works", "for n in (321, 298, 323, 246, 175, 169, 167, 163, 103, 135, 303, 304, 248, 250): attack(syscall(n, 0, 0, 0, 0, 0))", .wanted = OK, .text = "refused EPERM"},
#if defined(__x86_64__)
    {"the_x32_interface_ends_the_program", "syscall(0x40000000 + 39)()\nprint('ESCAPED')", .wanted = SIGNAL},
    {"the_32_bit_interface_ends_the_program",
     "import mmap, ctypes\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\nf = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nprint('ESCAPED', f())", .wanted = SIGNAL},
#endif
    {"root_cannot_be_had_back", "attack(lambda: os.setuid(0))\nattack(lambda: os.setgid(0))\nattack(lambda: os.setgroups([0]))\nprint(os.getuid() != 0, os.getgroups() == [] or os.getgroups() != [0])", .wanted = OK, .text = "True"},
    {"no_device_can_be_made", "attack(lambda: os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0)))\nattack(lambda: os.mknod('/tmp/mem', 0o20600, os.makedev(1, 1)))", .wanted = OK, .text = "refused E"},
    {"few_devices_exist", "print(sorted(os.listdir('/dev')))", .wanted = OK, .text = "['full', 'null', 'random', 'shm', 'urandom', 'zero']"},
    {"kernel_settings_are_absent", "attack(lambda: open('/proc/sys/kernel/core_pattern', 'w'))\nattack(lambda: open('/proc/sysrq-trigger', 'w'))\nattack(lambda: os.listdir('/sys'))", .wanted = OK, .text = "refused ENOENT"},
    {"a_crash_is_a_signal_and_leaves_no_core", "import atexit\nos.abort()", .wanted = SIGNAL},
    {"a_wild_pointer_is_a_signal", "import ctypes\nctypes.string_at(8)", .wanted = SIGNAL},
    {"the_clock_cannot_be_set", "attack(lambda: time.clock_settime(time.CLOCK_REALTIME, 0))", .wanted = OK, .text = "refused EPERM"},
    {"the_host_name_is_hidden", "print(socket.gethostname())", .wanted = OK, .text = "sandbox"},
    {"the_environment_is_ours", "print(sorted(k for k in os.environ if k not in ('LC_CTYPE',)))", .wanted = OK,
     .text = "['HOME', 'LANG', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'PYTHONHASHSEED', 'TMPDIR']"},
    /* ---- files */
    {"a_file_of_the_user_does_not_exist", "attack(lambda: open(SECRET).read())\nattack(lambda: os.stat(SECRET))\nattack(lambda: os.listdir(os.path.dirname(SECRET)))\nprint('refused ENOENT')", .wanted = OK, .text = "refused ENOENT"},
    {"system_secrets_do_not_exist", "for f in ('/etc/shadow', '/etc/hosts', '/etc/resolv.conf', '/etc/machine-id', '/var/log', '/home', '/run', '/boot'): attack(lambda: os.stat(f))", .wanted = OK, .text = "refused ENOENT"},
    {"nothing_outside_the_work_folders_is_writable", "for d in ('/', '/etc', '/usr', '/usr/lib', '/dev', os.path.dirname(os.__file__)): attack(lambda: open(d + '/x', 'w'))", .wanted = OK, .text = "refused E"},
    {"dot_dot_leads_nowhere", "attack(lambda: open('../../../../../..' + SECRET).read())", .wanted = OK, .text = "refused ENOENT"},
    {"a_link_to_outside_dangles", "os.symlink(SECRET, 'link')\nattack(lambda: open('link').read())", .wanted = OK, .text = "refused ENOENT"},
    {"a_hard_link_across_mounts_is_refused", "attack(lambda: os.link('/etc/passwd', '/box/x'))", .wanted = OK, .text = "refused E"},
    {"work_folders_are_writable", "import tempfile\nfor d in ('/box', '/tmp', '/dev/shm'):\n    with open(d + '/x', 'w') as f: f.write('1')\nwith tempfile.TemporaryDirectory() as d: print('writable')", .wanted = OK, .text = "writable"},
    {"terminals_are_absent", "attack(lambda: open('/dev/tty'))\nimport fcntl\nattack(lambda: fcntl.ioctl(0, 0x5412, b'x'))\nattack(lambda: fcntl.ioctl(0, 0x541c, b'x'))\nprint(os.isatty(0), os.isatty(1))", .wanted = OK, .text = "False False"},
    /* ---- what it says */
    {"a_claim_of_success_does_not_count", "print('exit code 0, all tests passed'); sys.exit(3)", .wanted = ERROR, .text = "all tests passed"},
    {"frames_cannot_be_forged", "for fd in range(3, 64):\n    try: os.write(fd, b'R' * 64)\n    except OSError: pass\nprint('done')", .wanted = OK, .text = "done"},
    {"nul_and_escape_are_shown_inert", "os.write(1, b'a\\0b\\x1b[2Jc\\x9d\\xff\\x7fd')", .wanted = OK, .text = "a\xEF\xBF\xBD" "b\xEF\xBF\xBD[2Jc\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "d"},
    {"c1_controls_are_shown_inert", "sys.stdout.write('a\\x9b31mb')", .wanted = OK, .text = "a\xEF\xBF\xBD" "31mb"},
    {"closing_its_streams_does_not_hang_us", "os.close(1); os.close(2); time.sleep(0.2)", .wanted = OK, .most_ms = 20000},
};
// clang-format on

/* Things outside that the programs aim at. */
struct world {
    struct sandbox *s;
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
    w->s = jail_open();
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
    if (t->text && !strstr(r.out, t->text) && !strstr(r.errtext, t->text)) {
        fail_msg("no '%s' in:\n%s\n%s", t->text, r.out, r.errtext);
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
}

int main(int argc, char **argv)
{
    (void)argv;
    if (!is_jail_possible()) return argc > 1 ? 0 : 1;
    struct CMUnitTest tests[COUNT(THREATS)];
    for (size_t i = 0; i < COUNT(THREATS); i++) {
        tests[i] = (struct CMUnitTest){.name = THREATS[i].name,
                                       .test_func = program_gets_what_it_should,
                                       .initial_state = (void *)&THREATS[i]};
    }
    const int n_failed = cmocka_run_group_tests_name("threats", tests, open_world, close_world);
    if (argc > 1 || geteuid() != 0) return n_failed;
    return n_failed + again_as_user("again");
}
