"""Runs a generated program and writes its result in the form of the tool code_execution."""
import contextlib
import io
import resource
import signal
import sys
import traceback

MEMORY_BYTES = 2 << 30
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}   # newer Pythons have no frame for these


def limit_memory():
    """An alarm does not interrupt a loop inside C, so memory has to end it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def on_alarm(*_):
    """Counts the process's own time, so that a busy machine does not change what a program gives."""
    raise TimeoutError


def frame_lines(code, exc):
    lines = code.split("\n")
    frames = [f for f in traceback.extract_tb(exc.__traceback__) if f.filename == "cell.py" and f.name not in INLINED]
    shown = [f'  File "cell.py", line {f.lineno}, in {f.name}\n    {lines[f.lineno - 1].strip()}' for f in frames]
    if len(shown) > 20:
        shown = shown[:10] + [f"  ... {len(shown) - 20} more frames ..."] + shown[-10:]
    return shown


def failure(code, exc):
    if isinstance(exc, SyntaxError):
        source = code.split("\n")[exc.lineno - 1].strip()
        return f'  File "cell.py", line {exc.lineno}\n    {source}\n{type(exc).__name__}: {exc.msg}'
    last = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    return "\n".join(["Traceback (most recent call last):"] + frame_lines(code, exc) + [last])


def run(code):
    """(passed, text of the result)."""
    out = io.StringIO()
    signal.signal(signal.SIGPROF, on_alarm)
    signal.setitimer(signal.ITIMER_PROF, 1.0)
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(code, "cell.py", "exec"), {"__name__": "__main__"})
    except TimeoutError:
        return False, "[timed out after 10 s]"
    except Exception as exc:
        signal.setitimer(signal.ITIMER_PROF, 0)
        head = out.getvalue()
        return False, (head + ("\n" if head and not head.endswith("\n") else "") + failure(code, exc) + "\n[exit code 1]")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    text = out.getvalue()
    return True, (text[:-1] if text.endswith("\n") else text) or "(no output)"


sys.setrecursionlimit(1000)
