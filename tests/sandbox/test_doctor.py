"""`qagent doctor` says of each layer what a program in the jail sees, and a level that
cannot be had is refused, never replaced.

The programs below are not those that doctor uses; where a witness outside can be had
(a listener, a file, the process list), it decides."""
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time

import pytest

QAGENT = os.path.abspath(os.environ.get("QAGENT", "bin/qagent"))
# The system's own interpreter answers fastest, and every level can use it.
os.environ["PATH"] = "/usr/bin:/bin:" + os.environ.get("PATH", "")
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="needs root")


def call(*words, **more):
    return subprocess.run([QAGENT, *words], capture_output=True, text=True, **more)


def run(level, code, *options):
    done = call("run", "--level", level, "--json", *options, "-", input=code)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def is_refused(level, *tries):
    """None of the tries, expressions of Python, works."""
    code = "import os, sys, socket, ctypes, resource\nlibc = ctypes.CDLL(None)\n"
    for number, text in enumerate(tries):
        code += (f"try:\n    print({number}, 'worked' if ({text}) is not False else 'refused')\n"
                 f"except (OSError, ValueError) as e:\n    print({number}, 'refused')\n")
    out = run(level, code)
    lines = out["stdout"].splitlines()
    assert len(lines) == len(tries), out
    return all(line.endswith("refused") for line in lines)


def network(level):
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.settimeout(0.2)
        port = outside.getsockname()[1]
        run(level, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).send(b'x')")
        try:
            outside.accept()
            return False
        except socket.timeout:
            return True


def reading(level, path):
    with open(path, "w") as f:
        f.write(word := secrets.token_hex(8))
    return word not in run(level, f"print(open({path!r}).read())")["stdout"]


def writing(level):
    name = "doctor-" + secrets.token_hex(4)
    folders = ["/", "/usr", "/var/tmp", "/home"]
    run(level, "\n".join(f"try: open({f + '/' + name!r}, 'w')\nexcept OSError: pass" for f in folders))
    return not any(os.path.exists(f"{f}/{name}") for f in folders)


def environment(level):
    word = secrets.token_hex(8)
    done = call("run", "--level", level, "-", input="import os; print(os.environ)", env={**os.environ, "A_KEY": word})
    assert "environ" in done.stdout, done.stderr
    return word not in done.stdout


def rights(level):
    return is_refused(level, "os.setuid(0)", "os.setgid(0)", "os.chroot('/')", "os.getuid() == 0")


def calls(level):
    ptrace, unshare = (101, 272) if os.uname().machine == "x86_64" else (117, 97)
    spaces = [f"libc.syscall({unshare}, {flag}) == 0" for flag in (0x10000000, 0x40000000, 0x20000000, 0x20000)]
    return is_refused(level, f"libc.syscall({ptrace}, 0, 0, 0, 0) == 0", *spaces)


def descriptors(level):
    out = run(level, "import os\nfor fd in range(3, 999):\n    try: print(fd, os.fstat(fd))\n    except OSError: pass")
    return out["status"] == "ok" and out["stdout"] == ""


def own_limits(level):
    return is_refused(level, "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
                      "resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))"
                      " if resource.getrlimit(resource.RLIMIT_NPROC)[1] < 9999 else None")


def memory(level):
    return run(level, "b = b'x' * (1 << 30)\nprint(len(b))", "--memory", "256M")["status"] == "oom"


def memory_of_many(level):
    code = ("import os, time\nfor i in range(3):\n    if os.fork() == 0:\n        b = b'x' * (120 << 20)\n"
            "        os.write(1, b'+')\n        time.sleep(60)\ntime.sleep(60)")
    out = run(level, code, "--memory", "256M", "--timeout", "8s")
    assert out["status"] in ("oom", "timeout"), out
    assert out["status"] == "oom" or out["stdout"] == "+++", out
    return out["status"] == "oom"


def number(level):
    code = ("import os, time\nn = 0\ntry:\n    while n < 400:\n        if os.fork() == 0: time.sleep(60)\n"
            "        n += 1\nexcept OSError: pass\nos.write(1, b'%d' % n)\nos._exit(0)")
    out = run(level, code, "--timeout", "30s")
    return out["status"] == "killed" or int(out["stdout"]) < 400


def disk(level):
    """Neither one file nor all together grow without end."""
    code = ("import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nn = 0\ntry:\n    for i in range(40):\n"
            "        with open(str(i), 'wb') as f: n += f.write(bytes(10 << 20))\nexcept OSError: pass\nprint(n >> 20)")
    one = code.replace("str(i), 'wb'", "'one', 'ab'")
    return all(int(run(level, c, "--timeout", "60s")["stdout"]) < 400 for c in (code, one))


def output(level):
    return run(level, "while True: print('line')", "--timeout", "60s")["status"] == "output-limit"


def clock(level):
    code = ("import signal\nfor n in range(1, 32):\n    try: signal.signal(n, lambda *a: None)\n"
            "    except (OSError, ValueError): pass\nwhile True: pass")
    return run(level, code, "--timeout", "500ms")["status"] == "timeout"


def is_seen(mark):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if mark in f.read():
                    return True
        except OSError:
            pass
    return False


def survivors(level):
    mark = secrets.token_hex(8)
    code = ("import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
            f"        os.execv(sys.executable, [sys.executable, '-Sc', 'import time; time.sleep(600)', {mark!r}])\n"
            "    os._exit(0)\ntime.sleep(5)")
    call_of_it = subprocess.Popen([QAGENT, "run", "--level", level, "--timeout", "60s", "-"], stdin=subprocess.PIPE)
    call_of_it.stdin.write(code.encode())
    call_of_it.stdin.close()
    was_seen = False
    while call_of_it.poll() is None:
        was_seen = was_seen or is_seen(mark.encode())
        time.sleep(0.05)
    assert was_seen, "the daemon never ran: nothing was shown"
    return not is_seen(mark.encode())


def seen_by_programs(level, folder):
    secret = str(folder / "secret")
    return {
        "network": network(level),
        "files: reading": reading(level, secret),
        "files: names": is_refused(level, f"os.path.exists({secret!r})", "os.path.exists('/proc/self/stat')"),
        "files: writing": writing(level),
        "processes: reach": is_refused(level, f"os.kill({os.getpid()}, 0)", "os.getpgid(%d)" % os.getpid()
                                       if level != "seccomp" else "False"),
        "descriptors": descriptors(level),
        "environment": environment(level),
        "rights": rights(level),
        "system calls": calls(level),
        "landlock": is_refused(level, "os.open('/dev/zero', os.O_RDWR)"),
        "own limits": own_limits(level),
        "memory": memory(level),
        "memory of many": memory_of_many(level),
        "processes: number": number(level),
        "disk": disk(level),
        "output": output(level),
        "time": clock(level),
        "no survivors": survivors(level),
    }


def told_by_doctor(done):
    rows = re.findall(r"^  (ENFORCED|NOT ENFORCED) +(\S.*?)  +\S", done.stdout, re.M)
    return {name: state == "ENFORCED" for state, name in rows}


@pytest.mark.parametrize("level", ["full", "seccomp"] if is_root else ["user", "seccomp"])
def test_doctor_says_what_programs_see(level, tmp_path):
    done = call("doctor", "--level", level)
    if done.returncode == 7 and "sandbox  NOT ENFORCED" in done.stdout:
        pytest.skip(done.stderr.strip())
    told = told_by_doctor(done)
    seen = seen_by_programs(level, tmp_path)
    assert told == seen
    assert done.returncode == (0 if all(told.values()) else 7)
    weak = {name for name, holds in told.items() if not holds}
    group = re.search(r"^cgroup   (ENFORCED|NOT ENFORCED): \S.*", done.stdout, re.M)
    assert group
    of_the_group = {"memory of many"} if group[1] != "ENFORCED" else set()
    assert weak == ({"files: names", "disk"} | of_the_group if level == "seccomp" else set())


def is_refused_in_one_line(words, expected, before=(), **more):
    """Exit 7, one line, and not one program was run."""
    done = subprocess.run([*before, *words], capture_output=True, text=True, input="print('it ran')", **more)
    assert done.returncode == 7, (done.stdout, done.stderr)
    assert re.fullmatch("qagent: " + expected + "\n", done.stderr), done.stderr
    assert "it ran" not in done.stdout and "ENFORCED  " not in done.stdout.replace("NOT ENFORCED", "")


@needs_root
def test_an_ordinary_user_does_not_get_the_full_level(tmp_path_factory):
    program = shutil.copy(QAGENT, "/tmp/qagent-of-nobody-%d" % os.getpid())
    as_user = dict(user=65534, group=65534, extra_groups=[], cwd="/", env={"PATH": "/usr/bin:/bin", "HOME": "/"})
    line = "sandbox level 'full': only root can set it up"
    try:
        is_refused_in_one_line([program, "run", "--level", "full", "-"], line, **as_user)
        is_refused_in_one_line([program, "doctor", "--level", "full"], line, **as_user)
    finally:
        os.unlink(program)


# A user namespace in which no further one may be made, and no user id but its own exists.
NO_NAMESPACES = ("unshare", "-Ur", "sh", "-c",
                 "for kind in user pid net mnt ipc uts cgroup; do echo 0 >/proc/sys/user/max_${kind}_namespaces; done;"
                 'exec "$@"', "sh")


def can_forbid_namespaces():
    try:
        done = subprocess.run([*NO_NAMESPACES, "unshare", "-U", "true"], capture_output=True, text=True)
    except OSError:
        return False
    return "No space left" in done.stderr


@pytest.mark.skipif(not can_forbid_namespaces(), reason="cannot take namespaces away here")
@pytest.mark.parametrize("level, line", [
    ("auto", "no sandbox: level 'full': .*; level 'user': .*"),
    ("full", "sandbox level 'full': .*"),
    ("user", "sandbox level 'user': .*"),
])
def test_without_namespaces_every_level_that_needs_them_is_refused(level, line):
    is_refused_in_one_line([QAGENT, "run", "--level", level, "-"], line, before=NO_NAMESPACES)
    is_refused_in_one_line([QAGENT, "doctor", "--level", level], line, before=NO_NAMESPACES)
