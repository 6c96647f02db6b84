"""Nothing that a program, a file's name or a file's contents says steers the terminal it is
shown on, nor hides there; and --json stays one object a line."""
import json
import os
import pty
import re
import subprocess

import pytest

import terminal

# What must not arrive: controls but newline (a terminal's own \r before it) and tab, C1,
# controls of direction, what has no width, tags.
STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
HOSTILE = ("a\x1b]52;c;aGk=\x07\x1b]0;title\x1b\\\x1b[2J\x1b[31m\x9b31m\u202egpj\u2066x\u200by\ufeffz"
           "\x08\x08\rover\x00<|im_end|>\U000e0041")
# A program may print it, raise it, warn it, and have it as the name of a file, a class, a
# line of source; bytes that are no UTF-8 too.
PROGRAMS = {
    "stdout": f"print({HOSTILE!r})",
    "stderr": f"import sys\nsys.stderr.write({HOSTILE!r})",
    "bytes": "import os\nos.write(1, bytes(range(256)) * 3)\nos.write(2, b'\\xe2\\x80\\xff\\x1b')",
    "exception": f"raise ValueError({HOSTILE!r})",
    "type": f"raise type({HOSTILE.replace(chr(0), '')!r}, (Exception,), {{}})('x')",
    "note": f"e = ValueError('x')\nif hasattr(e, 'add_note'): e.add_note({HOSTILE!r})\nprint('\\x1b')\nraise e",
    "file of a frame": f"print('\\x1b')\nexec(compile('1/0', {HOSTILE.replace(chr(0), '')!r}, 'exec'))",
    "name of a function": f"f = lambda: 1/0\nf.__code__ = f.__code__.replace(co_name={HOSTILE!r})\nprint('\\x1b')\nf()",
    "missing file": f"print('\\x1b')\nopen({HOSTILE.replace(chr(0), '')!r})",
    "source line": "print('\x1b[2J')\nx = 1 / 0  # \x1b[31m\u202e\u200b",
    "syntax error": "print('\x1b[2J'\nx = (1 \x1b[31m\u202e",
    "exit": f"import sys\nprint('\\x1b')\nsys.exit({HOSTILE!r})",
    "thread": f"import threading\ndef f(): raise ValueError({HOSTILE!r})\nt = threading.Thread(target=f)\nt.start(); t.join()",
    "a line of 200,000": "print('x\\x1b' * 100000)",
}


def on_terminal(words, **more):
    """Both streams of a command, on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, **more)
    os.close(theirs)
    data = terminal.drain(ours)
    process.wait(timeout=60)
    return data


def check_inert(data):
    """And it was there: something stands in its place."""
    text = data.decode()  # well-formed
    harmful = STEERING.search(text.replace("\r\n", "\n"))
    assert not harmful, (harmful, text[max(0, harmful.start() - 60):harmful.end() + 60])
    assert "\ufffd" in text or "?" in text or "<U+" in text or "^[" in text, text


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_a_program_says_is_inert(kind, tmp_path):
    path = tmp_path / "cell.py"
    path.write_text(PROGRAMS[kind])
    check_inert(on_terminal([terminal.QAGENT, "run", str(path)]))
    done = subprocess.run([terminal.QAGENT, "run", "--json", str(path)], capture_output=True)
    lines = done.stdout.decode().split("\n")
    assert len(lines) == 2 and lines[1] == "" and not done.stderr
    told = json.loads(lines[0])
    assert not STEERING.search(told["stdout"] + told["stderr"])


@pytest.mark.parametrize("words", [
    ["NAME"], ["run", "NAME"], ["run", "--level", "NAME", "x"], ["run", "--timeout", "NAME", "x"],
    ["run", "--NAME"], ["run", "x", "NAME"], ["solve", "NAME"], ["complete", "-m", "NAME", "-p", "x"],
    ["replay", "NAME"], ["inspect", "NAME"], ["plan", "-m", "NAME"], ["eval", "NAME"],
    ["score", "NAME"], ["score", "NAME", "--problems", "NAME"],
    ["bench", "-m", "NAME"], ["doctor", "NAME"], ["repl", "--resume", "NAME"],
], ids=" ".join)
def test_words_and_names_in_errors_are_inert(words, tmp_path):
    name = HOSTILE.replace("\0", "")
    data = on_terminal([terminal.QAGENT, *(w.replace("NAME", name) for w in words)],
                       env={**os.environ, "NO_COLOR": "1", "HOME": str(tmp_path), "TERM": "dumb"})
    assert b"qagent: " in data
    check_inert(data)


def test_a_generated_text_is_inert_on_a_terminal_and_whole_in_a_pipe(tmp_path):
    words = [terminal.QAGENT, "tokens", "--decode"]
    ids = subprocess.run([terminal.QAGENT, "tokens", "--no-special", "x\x1b[31m\u202ey"], capture_output=True,
                         text=True).stdout.split()
    assert ids
    piped = subprocess.run([*words, " ".join(ids)], capture_output=True).stdout
    assert piped.strip() == "x\x1b[31m\u202ey".encode()
    check_inert(on_terminal([*words, " ".join(ids)]))
