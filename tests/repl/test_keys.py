"""Keys, interrupts and the line being typed, over tapes in the model's place."""
import os
import signal
import time

import pytest
from terminal import Session, call, taped

END = r"^(answered|interrupted) in "


def prose(text):
    return f"Hm.\n</think>\n\n{text}"


def session(tmp, *turns, rate=0, **more):
    return Session(tmp, "repl", words=taped(tmp, turns, rate), **more)


def quit_with(s, keys="\x04"):
    s.send(keys)
    assert s.end() == 0
    assert s.screen.titles_kept == 0
    return s.screen.text()


def test_ctrl_c_ends_the_program_and_its_output_goes_to_the_model(tmp_path):
    endless = call('import time\nprint("so far", flush=True)\ntime.sleep(600)')
    with session(tmp_path, endless, prose("It never ends.")) as s:
        s.ready()
        s.enter("Does it end?")
        s.wait("running code")
        time.sleep(1)
        s.send("\x03")
        s.wait("killed, ")
        s.wait("^It never ends.")
        s.wait("^answered in ")
        assert "so far" in s.screen.text()
        quit_with(s)
    log = next((tmp_path / "qagent/sessions").glob("*.jsonl")).read_text()
    assert "so far\\n[interrupted]" in log


def test_a_second_ctrl_c_ends_the_answer(tmp_path):
    with session(tmp_path, call("while True: pass"), "I go on and on ...", rate=20) as s:
        s.ready()
        s.enter("Does it end?")
        s.wait("running code")
        s.send("\x03")
        s.wait("the program is stopped; Ctrl-C again")
        s.send("\x03")
        s.wait("^interrupted in ")
        s.ready()
        quit_with(s)


def test_esc_ends_program_and_answer_at_once(tmp_path):
    with session(tmp_path, call("while True: pass"), prose("no")) as s:
        s.ready()
        s.enter("Does it end?")
        s.wait("running code")
        s.send("\x1b")
        s.wait("^interrupted in ")
        assert "^no" not in quit_with(s)


def clear(s):
    s.send("\x05\x15")  # Ctrl-E Ctrl-U
    s.wait(r"^>$")


def sent(tmp):
    """The messages of the newest session, as they were sent."""
    import json
    path = max((tmp / "qagent/sessions").glob("*.jsonl"), key=os.path.getmtime)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [r["text"] for r in rows if r["type"] == "message"]


def test_a_long_paste_is_a_chip_and_goes_in_full(tmp_path):
    long = "".join(f"line {i}\n" for i in range(132))
    with session(tmp_path, prose("one"), prose("two")) as s:
        s.ready()
        s.send("see ")
        s.paste(long)
        s.wait(r"^> see \[pasted 132 lines\]$")
        s.paste(long)
        s.wait(r"lines\]\[pasted 132 lines, 2\]$")
        s.send("\x7f")  # one rubout takes it whole
        s.wait(r"^> see \[pasted 132 lines\]$")
        s.send("\r")
        s.wait("^one$")
        assert r"line 77" not in s.screen.text()
        s.ready()
        s.send("\x1b[A")  # the history has it in full
        s.wait("^  line 130$")
        clear(s)
        s.paste("a\nb\nc\nd\ne\nf\n")
        s.wait(r"^> \[pasted 6 lines\]$")
        s.send("\t")  # opens it
        s.wait(r"^> a\n  b\n  c\n  d\n  e\n  f$")
        s.send("\r")
        s.wait("^two$")
        quit_with(s)
    assert sent(tmp_path) == ["see " + long.strip(), "a\nb\nc\nd\ne\nf"]


def test_a_message_too_large_is_refused_with_numbers_and_comes_back(tmp_path):
    with Session(tmp_path, "repl", "--ctx", "2048", words=taped(tmp_path, [prose("one")])) as s:
        s.ready()
        s.send("word " * 400 + "\r")  # no paste: so many keys
        s.wait(r"the message has 20\d\d tokens; the context of 2048 has\s+room for \d+")
        s.wait(r"^> \[pasted 1 line\]$")
        clear(s)
        s.enter("short")
        s.wait("^one$")
        quit_with(s)


def test_the_editor_takes_the_draft(tmp_path):
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nprintf ' and a half\\nof it\\n' >>\"$1\"\n")
    editor.chmod(0o755)
    with session(tmp_path, prose("one"), env={"VISUAL": str(editor), "EDITOR": "false"}) as s:
        s.ready()
        s.send("one\x07")
        s.wait(r"^> one\n   and a half\n  of it$|^> one and a half\n  of it$")
        clear(s)
        s.send("two")
        s.send("\x18")
        s.wait("^> two$")
        s.send("\x05")  # Ctrl-X Ctrl-E, typed slowly
        s.wait(r"^> two and a half\n  of it$")
        s.send("\r")
        s.wait("^one$")
        s.ready()
        s.enter("/edit")
        s.wait(r"^  of it and a half\n  of it$")
        clear(s)
        quit_with(s)
    assert sent(tmp_path) == ["two and a half\nof it"]
    with session(tmp_path, env={"VISUAL": "false"}) as s:
        s.ready()
        s.send("kept\x07")
        s.wait("the editor 'false' failed")
        s.wait("^> kept$")
        quit_with(s, "\x03\x04")


def test_keys_of_the_line(tmp_path):
    (tmp_path / "some_file.py").write_text("X = 1\n")
    (tmp_path / "some_folder").mkdir()
    with session(tmp_path, prose("one"), prose("two")) as s:
        s.ready()
        for key in ("\x1b[13;2u", "\x1b[27;2;13~", "\x1b\r", "\n", "\\\r"):
            s.send(f"a{key}b")
            s.wait(r"^> a\n  b$")
            s.send("\x03")
            s.wait(r"^>$")
        s.send("what is @some_\t")
        s.wait("some_file.py +@some_folder/")  # both, where the status was
        s.send("i\t")
        s.wait("^> what is @some_file.py$")
        s.send("and @nothing?\r")
        s.wait("^attached: some_file.py, 6 bytes$")
        s.wait("^one$")
        s.ready()
        for _ in range(2):  # kept once
            s.enter("/seed 5")
        s.wait("seed: 5", 2)
        s.send("\x1b[A")
        s.wait("^> /seed 5$")
        s.send("\x1b[A")
        s.wait("^> what is @some_file.py and @nothing.$")
        clear(s)
        s.send("\x12seed")  # Ctrl-R
        s.wait("^> .*/seed 5")
        s.send("\x07")  # leaves the search
        s.gone("bck")
        quit_with(s, "\x03\x04")
    text = sent(tmp_path)[0]
    assert text == "what is @some_file.py and @nothing?\n\nThe file some_file.py:\n```\nX = 1\n```"
    history = (tmp_path / "qagent/history").read_text().splitlines()
    assert len(history) > 2


def test_lines_typed_ahead_are_each_sent(tmp_path):
    """An Enter that comes between two lines is one, and no newline in the next."""
    count = 150
    with session(tmp_path, prose("one")) as s:
        s.ready()
        for i in range(count):
            s.enter(f"/seed {1000 + i}")
            time.sleep(i % 5 * 0.0002)
        s.wait(r"^seed: 1\d\d\d$", count)
        assert "usage" not in s.screen.text()


def test_esc_esc_goes_back_to_an_earlier_message(tmp_path):
    with session(tmp_path, prose("one"), prose("two"), prose("three")) as s:
        s.ready()
        for i, answer in enumerate(("one", "two")):
            s.enter(f"message {i}")
            s.wait(f"^{answer}$")
            s.ready()
        s.send("\x1b")
        s.wait("Esc again: back")
        s.send("\x1b")
        s.wait("^ 2  message 1$")
        s.wait("^> /rewind $|^> /rewind$")
        s.enter("2")
        s.wait("^taken back: message 1$")
        s.wait("^> message 1$")  # and in the line again
        s.enter(", please")
        s.wait("^three$")
        quit_with(s)
    assert sent(tmp_path)[-1] == "message 1, please"


def test_the_queue_and_what_changed(tmp_path):
    first, second = "def f(x):\n    return x", "def f(x):\n    return 2 * x"
    with session(tmp_path, prose(f"```python\n{first}\n```"), call("while True: pass"),
                 prose(f"```python\n{second}\n```")) as s:
        s.ready()
        s.enter("Write a function `f(x)`.")
        s.wait("^answered in ")
        s.ready()
        s.enter("Write a function `f(x)` that doubles.")
        s.wait("running code")
        for text in ("one", "two", "three"):
            s.enter(text)
        s.wait("next: three")
        s.enter("/queue")
        s.wait("^ 2  two$")
        s.enter("/queue 2")
        s.wait("^taken out: two$")
        s.wait("^> two$")  # in the line again
        clear(s)
        s.enter("/queue clear")
        s.wait("^2 dropped$")
        s.send("\x03")
        s.wait("^(answered|iterations spent|checks failed) in ", 2)
        s.ready()
        s.enter("/diff")
        s.wait(r"^-     return x\n\+     return 2 \* x$")
        s.enter("/run")
        s.wait("^└ ok, exit 0")
        quit_with(s)
    assert sent(tmp_path) == ["Write a function `f(x)`.",
                              "Write a function `f(x)` that doubles."]


def test_suspended_and_painted_again(tmp_path):
    with session(tmp_path) as s:
        s.ready()
        s.send("half a line")
        s.wait("^> half a line$")
        before = len(s.raw)
        s.send("\x1a")
        for _ in range(100):
            if b"\x1b[?2004l" in s.raw[before:]:
                break
            s.pump(0.1)
        os.kill(s.child.pid, signal.SIGCONT)
        for _ in range(100):
            if b"\x1b[?2004h" in s.raw[before:] and b"half a line" in s.raw[before:]:
                break
            s.pump(0.1)
        assert b"half a line" in s.raw[before:]
        quit_with(s, "\x03\x04")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_what_waits_survives_the_end(tmp_path, sig):
    with session(tmp_path, call("while True: pass")) as s:
        s.ready()
        s.enter("run on")
        s.wait("running code")
        s.enter("this waits")
        s.wait("next: this waits")
        s.send("and this is a draft")
        s.wait("^> and this is a draft$")
        os.kill(s.child.pid, sig)
        assert s.end() == 128 + sig
        assert "what was not sent is in the history" in s.screen.text()
    with session(tmp_path) as s:
        s.ready()
        s.send("\x1b[A")
        s.wait("^> and this is a draft$")
        s.send("\x1b[A")
        s.wait("^> this waits$")
        quit_with(s, "\x03\x04")
