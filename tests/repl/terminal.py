"""A session of qagent on a pseudo-terminal, and as much of a terminal as it needs."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QAGENT = os.path.join(ROOT, os.environ.get("QAGENT", "bin/qagent"))
ESCAPE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\]([^\x07]*)\x07|\x1b[^\[\]]")
PATIENCE_S = int(os.environ.get("PATIENCE_S", "60"))


class Screen:
    """Rows with everything that scrolled by, fed any number of bytes at a time."""

    def __init__(self, cols):
        self.cols, self.rows, self.row, self.col = cols, [""], 0, 0
        self.styles, self.other, self.clipboard, self.titles = set(), [], [], []
        self.titles_kept = 0  # pushed and not popped
        self.overflowed = False
        self.held = ""

    def feed(self, text):
        text = self.held + text
        self.held = ""
        tail = text.rfind("\x1b")
        if tail >= 0 and not ESCAPE.match(text, tail):
            text, self.held = text[:tail], text[tail:]
        at = 0
        while at < len(text):
            m = ESCAPE.match(text, at)
            if m:
                self.escape(m)
                at = m.end()
            else:
                self.put(text[at])
                at += 1

    def escape(self, m):
        if m.group(3) is not None:
            kind = self.titles if m.group(3).startswith("0;") else self.clipboard
            kind.append(m.group(3))
            return
        arg, kind = m.group(1) or "", m.group(2)
        n = int(arg) if arg and arg.isdigit() else 1
        if kind == "A":
            self.row -= n
            assert self.row >= 0
        elif kind == "C":
            self.col += n
        elif kind == "J":
            if arg == "2":
                self.rows, self.row, self.col = [""], 0, 0
            else:
                del self.rows[self.row + 1:]
                self.rows[self.row] = self.rows[self.row][:self.col]
        elif kind == "H":
            pass
        elif kind == "t":
            self.titles_kept += {"22;0": 1, "23;0": -1}[arg]
        elif kind == "m":
            self.styles.add(arg)
        elif arg not in ("?25l", "?25h", "?2004h", "?2004l") and not (kind in "hl"):
            self.other.append(m.group(0))

    def put(self, c):
        if c == "\r":
            self.col = 0
        elif c == "\n":
            self.row += 1
            if self.row == len(self.rows):
                self.rows.append("")
        elif c != "\x07":
            if self.col >= self.cols:
                self.overflowed = True
            line = self.rows[self.row].ljust(self.col)
            self.rows[self.row] = line[:self.col] + c + line[self.col + 1:]
            self.col += 1

    def text(self):
        return "\n".join(r.rstrip() for r in self.rows)


def taped(tmp, turns, rate=0):
    """The words that run qagent's commands over a tape of turns (tests/fake/taped.c)."""
    build = os.path.dirname(QAGENT) if "/build/" in QAGENT else f"{ROOT}/build/release"
    tape = os.path.join(str(tmp), "tape")
    with open(tape, "w") as f:
        f.writelines(turn + ("%endless\n" if turn.endswith("...\n") else "%%\n")
                     for turn in (t + "\n" for t in turns))
    return [f"{build}/tests/fake/taped", tape, str(rate)]


def call(code):
    return ("Run it.\n</think>\n\n<tool_call>\n<function=code_execution>\n<parameter=code>\n"
            f"{code}\n</parameter>\n</function>\n</tool_call>")


def drain(master):
    """All that a process writes to its pseudo-terminal until it lets go of it; closes ours."""
    data = b""
    try:
        while piece := os.read(master, 65536):
            data += piece
    except OSError:  # the other end is closed
        pass
    os.close(master)
    return data


class Session:
    def __init__(self, tmp, *args, cols=80, lines=24, env=None, words=(QAGENT,)):
        environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
        environ.update(TERM="xterm-256color", XDG_STATE_HOME=str(tmp), HOME=str(tmp))
        environ.update(env or {})
        self.screen, self.raw = Screen(cols), b""
        master, slave = pty.openpty()
        self.size(slave, cols, lines)
        self.master = master
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.child = subprocess.Popen([*words, *args], stdin=slave, stdout=slave, stderr=slave,
                                      env=environ, start_new_session=True, cwd=str(tmp))
        self.decoder = __import__("codecs").getincrementaldecoder("utf-8")("replace")

    def size(self, fd, cols, lines):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, cols, 0, 0))

    def resize(self, cols, lines):
        self.size(self.master, cols, lines)
        self.screen.cols = cols
        os.kill(self.child.pid, signal.SIGWINCH)

    def pump(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw += data
        self.screen.feed(self.decoder.decode(data))
        return bool(data)

    def send(self, text):
        os.write(self.master, text.encode())

    def enter(self, text):
        self.send(text + "\r")

    def paste(self, text):
        self.send("\x1b[200~" + text + "\x1b[201~")

    def wait(self, what, count=1):
        """Until the screen shows `what` (a regular expression) so many times."""
        end = time.monotonic() + PATIENCE_S
        while len(re.findall(what, self.screen.text(), re.M)) < count:
            assert time.monotonic() < end, f"no {what!r} in:\n{self.screen.text()}"
            self.pump(0.2)
        return self.screen.text()

    def gone(self, what):
        end = time.monotonic() + PATIENCE_S
        while re.search(what, self.screen.text(), re.M):
            assert time.monotonic() < end, f"still {what!r} in:\n{self.screen.text()}"
            self.pump(0.2)
        return self.screen.text()

    def ready(self):
        return self.wait(r"^ready")

    def end(self):
        """The exit code; everything shown is in the screen."""
        end = time.monotonic() + PATIENCE_S
        while self.child.poll() is None:
            assert time.monotonic() < end, f"does not end:\n{self.screen.text()}"
            self.pump(0.1)
        while self.pump(0.05):
            pass
        after = termios.tcgetattr(self.slave)
        assert after[3] & termios.ICANON and after[3] & termios.ECHO, "the terminal is left raw"
        os.close(self.slave)
        os.close(self.master)
        return self.child.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
