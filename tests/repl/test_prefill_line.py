"""`solve` counts while it reads a long task, and the line is gone when the model speaks."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import terminal

QAGENT = os.path.abspath(os.environ.get("QAGENT", "bin/qagent"))


def test_a_long_task_is_counted_while_it_is_read(tmp_path):
    task = tmp_path / "task.md"
    task.write_text("Write a function `f(x)`.\n" + "Keep only the even numbers. " * 500)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    words = [QAGENT, "solve", str(task), "--no-session", "--max-tokens", "4", "-t", "1", "--kernels", "plain"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    data = terminal.drain(ours)
    assert process.communicate()[0] == b"" and process.returncode == 6
    drawn = re.findall(rb"\r\x1b\[K(reading [^\r\n]*)", data)
    assert drawn and all(len(line) < 40 for line in drawn), data
    counts = [int(re.match(rb"reading (\d+) of \d+ tokens", line)[1]) for line in drawn]
    assert counts == sorted(counts) and counts[0] > 0
    assert data.rindex(b"\r\x1b[K") > data.rindex(b"reading ")  # taken away again
