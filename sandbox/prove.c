/* prove.c - is each layer there?  Asked by attacking it, not by reading a setting.
 *
 * Every row is a program that runs in the jail and a judgement of what came back.
 * A program prints "held: ..." or "open: ..."; where the attack ends the program
 * itself, the way it ended is the proof. */
#include "engine/base/clock.h"
#include "sandbox/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROVE_TIMEOUT_MS = 30000, PROVE_MEMORY = 256 << 20 };

struct attack {
    const char *name;
    const char *code;
    enum run_status wanted; /* RUN_OK: the program says itself what it saw     */
    int timeout_ms;         /* 0: PROVE_TIMEOUT_MS                             */
    const char *evidence;   /* when the way it ended is the proof              */
    bool may_be_killed;     /* the init may end it before it can say a word    */
};

/* What the programs share: try things, name the first that works. */
static const char PRELUDE[] =
    "import os, sys, errno, socket\n"
    "def refused(what, *tries):\n"
    "    seen = []\n"
    "    for name, call in tries:\n"
    "        try:\n"
    "            call()\n"
    "        except (OSError, MemoryError, ValueError) as e:\n"
    "            number = getattr(e, 'errno', None)\n"
    "            seen.append(errno.errorcode.get(number, type(e).__name__))\n"
    "        else:\n"
    "            print('open:', name, 'worked')\n"
    "            sys.exit()\n"
    "    print('held:', what + ':', ', '.join(sorted(set(seen))))\n"
    "def calls(*rows):\n"
    "    import ctypes\n"
    "    c = ctypes.CDLL(None, use_errno=True)\n"
    "    def one(number, args):\n"
    "        def call():\n"
    "            if c.syscall(number, *args) < 0:\n"
    "                raise OSError(ctypes.get_errno(), '')\n"
    "        return call\n"
    "    return [(name, one(number, args)) for name, number, *args in rows]\n";

#if defined(__x86_64__)
#    define NUMBERS \
        "dict(ptrace=101, unshare=272, mount=165, bpf=321, keyctl=250, perf=298, uring=425)"
#else
#    define NUMBERS \
        "dict(ptrace=117, unshare=97, mount=40, bpf=280, keyctl=219, perf=241, uring=425)"
#endif

static const struct attack ATTACKS[] = {
    {.name = "network",
     .code = "def tcp():\n"
             "    socket.create_connection(('127.0.0.1', PORT), 1)\n"
             "def udp():\n"
             "    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', "
             "PORT))\n"
             "def other(family, kind):\n"
             "    return lambda: socket.socket(family, kind)\n"
             "refused('TCP, UDP, netlink, packet, vsock to a listener outside',\n"
             "    ('TCP', tcp), ('UDP', udp), ('netlink', other(16, socket.SOCK_RAW)),\n"
             "    ('packet', other(17, socket.SOCK_RAW)), ('vsock', other(40, 1)))\n"       },
    {.name = "files: reading",
     .code = "refused('the user\\'s file, /etc/shadow, /proc/1/environ',\n"
             "    ('the file', lambda: open(SECRET).read()),\n"
             "    ('shadow', lambda: open('/etc/shadow').read()),\n"
             "    ('environ', lambda: open('/proc/1/environ').read()))\n"                   },
    {.name = "files: names",
     .code = "refused('whether the user\\'s file, /home, /proc/self exist',\n"
             "    ('the file', lambda: os.stat(SECRET)), ('home', lambda: os.stat('/home')),\n"
             "    ('proc', lambda: os.stat('/proc/self')))\n"                               },
    {.name = "files: writing",
     .code = "import os.path\n"
             "def put(folder):\n"
             "    return lambda: open(os.path.join(folder, 'attack'), 'w').close()\n"
             "refused('a file in /, /etc, /usr/lib, Python\\'s own folder',\n"
             "    *[(f, put(f)) for f in ('/', '/etc', '/usr/lib', "
             "os.path.dirname(os.__file__))])\n"                                            },
    {.name = "processes: reach",
     .code =
         "refused('signal 0 to the caller and its parent',\n"
         "    ('caller', lambda: os.kill(PID, 0)), ('parent', lambda: os.kill(PPID, 0)))\n" },
    {.name = "descriptors",
     .code = "left = []\n"
             "for fd in range(256):\n"
             "    try:\n"
             "        os.fstat(fd); left.append(fd)\n"
             "    except OSError:\n"
             "        pass\n"
             "print('held:' if left == [0, 1, 2] else 'open:', 'open inside:', left)\n"     },
    {.name = "environment",
     .code = "fixed = {'PATH', 'HOME', 'LANG', 'TMPDIR', 'PYTHONHASHSEED', 'OMP_NUM_THREADS',\n"
             "         'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'LC_CTYPE'}\n"
             "more = set(os.environ) - fixed\n"
             "print('open: ' + ', '.join(more) if more else 'held: fixed variables only')\n"},
    {.name = "rights",
     .code = "refused('uid %d: setuid 0, setgid 0, chroot, mknod of a disk' % os.getuid(),\n"
             "    ('setuid', lambda: os.setuid(0)), ('setgid', lambda: os.setgid(0)),\n"
             "    ('chroot', lambda: os.chroot('/')),\n"
             "    ('mknod', lambda: os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))))\n"   },
    {.name = "system calls",
     .code =
         "n = " NUMBERS "\n"
         "refused('ptrace, unshare, mount, bpf, keyctl, perf, io_uring', *calls(\n"
         "    ('ptrace', n['ptrace'], 0, 0, 0, 0), ('unshare', n['unshare'], 0x10000000),\n"
         "    ('mount', n['mount'], None, None, None, 0, None), ('bpf', n['bpf'], 0, 0, 0),\n"
         "    ('keyctl', n['keyctl'], 0, -4, 1), ('perf', n['perf'], 0, 0, 0, 0, 0),\n"
         "    ('io_uring', n['uring'], 1, 0)))\n"                                           },
    {.name = "landlock",
     .code = "refused('writing to a device that the jail has but the rule does not name',\n"
             "    ('/dev/zero', lambda: os.close(os.open('/dev/zero', os.O_WRONLY))))\n"    },
    {.name = "own limits",
     .code =
         "import resource as r\n"
         "def lift(kind):\n"
         "    return lambda: r.setrlimit(kind, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n"
         "refused('raising memory, processor, file and process limits',\n"
         "    *[(n, lift(getattr(r, n))) for n in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE',\n"
         "      'RLIMIT_NOFILE', 'RLIMIT_CORE')])\n"                                        },
    {.name = "memory",
     .code = "keep = []\n"
             "while True:\n"
             "    keep.append(bytearray(8 << 20))\n",                                         .wanted = RUN_OOM,
     .evidence = "took memory without end: stopped at 256 MiB"},
    {.name = "memory of many",
     .code = "import time\n"
             "for i in range(4):\n"
             "    if os.fork() == 0:\n"
             "        hold = b'x' * (100 << 20)\n"
             "        time.sleep(60)\n"
             "        os._exit(0)\n"
             "time.sleep(60)\n",                             .wanted = RUN_OOM,
     .timeout_ms = 8000,
     .evidence = "four processes of 100 MiB each: stopped at 256 MiB together"},
    {.name = "processes: number",
     .code =
         "import time\n"
         "n = 0\n"
         "try:\n"
         "    while n < 1000:\n"
         "        if os.fork() == 0:\n"
         "            time.sleep(60)\n"
         "            os._exit(0)\n"
         "        n += 1\n"
         "except OSError as e:\n"
         "    print('held: fork number %d answers %s' % (n + 1, errno.errorcode[e.errno]))\n"
         "else:\n"
         "    print('open: 1000 forks worked')\n"
         "sys.stdout.flush()\n"
         "os._exit(0)\n",               .evidence = "forked on and on: the init ended it",
     .may_be_killed = true},
    {.name = "disk",
     .code = "def fill(name):\n"
             "    with open(name, 'wb') as f:\n"
             "        while True:\n"
             "            f.write(bytes(4 << 20))\n"
             "def many():\n"
             "    for i in range(20000):\n"
             "        open('%d' % i, 'w').close()\n"
             "import signal\n"
             "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
             "refused('one endless file, and files without end',\n"
             "    ('endless file', lambda: fill('big')), ('many files', many))\n"            },
    {.name = "output",
     .code = "while True:\n"
             "    os.write(1, b'x' * 65536)\n",    .wanted = RUN_OUTPUT_LIMIT,
     .evidence = "printed without end: stopped, head and tail kept"},
    {.name = "time",
     .code = "import signal\n"
             "for n in range(1, 32):\n"
             "    try:\n"
             "        signal.signal(n, signal.SIG_IGN)\n"
             "    except (OSError, ValueError):\n"
             "        pass\n"
             "while True:\n"
             "    pass\n",                                                                        .wanted = RUN_TIMEOUT,
     .timeout_ms = 300,
     .evidence = "ignored every signal and ran on: killed after 300 ms"},
    {.name = "no survivors",
     .code = "import time\n"
             "if os.fork() == 0:\n"
             "    os.setsid()\n"
             "    if os.fork() == 0:\n"
             "        time.sleep(60)\n"
             "    os._exit(0)\n"
             "time.sleep(0.1)\n"
             "print('held: a daemon in its own session died with the call')\n"                                                         },
};
_Static_assert(COUNT(ATTACKS) <= SANDBOX_MAX_LAYERS, "one layer a row");

/* Things outside that the attacks aim at. */
struct target {
    int listener;
    int port;
    char secret[64];
    int secret_fd;
};

static void open_target(struct target *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    t->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (t->listener >= 0 && bind(t->listener, (struct sockaddr *)&a, sizeof a) == 0 &&
        listen(t->listener, 4) == 0 &&
        getsockname(t->listener, (struct sockaddr *)&a, &n) == 0) {
        t->port = ntohs(a.sin_port);
    }
    snprintf(t->secret, sizeof t->secret, "/tmp/qagent-secret-XXXXXX");
    t->secret_fd = mkostemp(t->secret, O_CLOEXEC);
}

static void close_target(struct target *t)
{
    if (t->listener >= 0) close(t->listener);
    if (t->secret_fd < 0) return;
    close(t->secret_fd);
    unlink(t->secret);
}

static void judge(const struct attack *a, const struct run_result *r, struct sandbox_layer *l)
{
    struct str said = str_trim((struct str){r->out, r->n_out});
    if (a->wanted != RUN_OK || (a->may_be_killed && r->status == RUN_KILLED)) {
        l->is_enforced = a->may_be_killed || r->status == a->wanted;
        const char *text = l->is_enforced ? a->evidence : "ended otherwise:";
        snprintf(l->evidence, sizeof l->evidence, "%s%s%s", text, l->is_enforced ? "" : " ",
                 l->is_enforced ? "" : run_status_name(r->status));
        return;
    }
    l->is_enforced = r->status == RUN_OK && str_starts(said, STR("held: "));
    if (said.n > 6) said = str_cut(said, 6, said.n);
    if (!said.n) said = str_of(run_status_name(r->status));
    snprintf(l->evidence, sizeof l->evidence, "%.*s", (int)said.n, said.p);
}

static void prove_one(struct sandbox *s,
                      const struct attack *a,
                      const struct target *t,
                      struct sandbox_layer *l)
{
    *l = (struct sandbox_layer){.name = a->name};
    struct str_buf code;
    str_buf_init(&code, 64 << 10);
    str_buf_addf(&code, "PORT = %d\nSECRET = '%s'\nPID = %d\nPPID = %d\n", t->port, t->secret,
                 (int)getpid(), (int)getppid());
    str_buf_add_z(&code, PRELUDE);
    str_buf_add_z(&code, a->code);

    struct run_limits limits = run_limits_default();
    limits.timeout_ms = a->timeout_ms ? a->timeout_ms : PROVE_TIMEOUT_MS;
    limits.memory_bytes = PROVE_MEMORY;
    struct run_result r;
    struct err e = {0};
    const enum status st = sandbox_run(s, str_buf_str(&code), RUN_CELL, &limits, NULL, &r, &e);
    if (st) {
        snprintf(l->evidence, sizeof l->evidence, "%.*s", (int)sizeof l->evidence - 1, e.text);
    } else {
        judge(a, &r, l);
        run_result_release(&r);
    }
    str_buf_release(&code);
}

int sandbox_prove(struct sandbox *s, struct sandbox_layer *out)
{
    struct target t = {.listener = -1, .secret_fd = -1};
    int n = 0;
    open_target(&t);
    for (size_t i = 0; i < COUNT(ATTACKS); i++) {
        prove_one(s, &ATTACKS[i], &t, &out[n++]);
    }
    /* The network row has a witness outside. */
    if (t.listener >= 0 && accept(t.listener, NULL, NULL) >= 0) {
        out[0].is_enforced = false;
        snprintf(out[0].evidence, sizeof out[0].evidence, "a connection arrived outside");
    }
    close_target(&t);
    return n;
}
