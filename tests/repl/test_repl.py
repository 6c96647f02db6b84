"""The session at a terminal, driven on a pseudo-terminal with the embedded model."""
import base64
import glob
import json
import os
import signal
import subprocess
import time

import pytest
from terminal import QAGENT, Session

TASK = ('Write a function `winner(points)` that takes a dictionary and returns the key with '
        'the highest value. assert winner({"Ann": 3, "Bob": 7}) == "Bob"')
END = r"^(answered|checks failed|no answer|iterations spent) in "


def ask(s, text=TASK, n=1):
    s.enter(text)
    s.wait(END, n)
    s.ready()


def logs(tmp):
    return sorted(glob.glob(f"{tmp}/qagent/sessions/*.jsonl"))


def test_a_prompt_is_there_at_once_and_a_message_is_answered(tmp_path):
    start = time.monotonic()
    with Session(tmp_path) as s:
        s.wait(r"^>")
        assert time.monotonic() - start < 10  # a busy machine; by itself it takes some ms
        ask(s)
        text = s.screen.text()
        for part in ("> Write a function", "┌ code_execution", "│ def winner(points):",
                     "└ ok, exit 0, ", "def winner(points):", "tok/s"):
            assert part in text
        s.enter("/quit")
        assert s.end() == 0
        assert "to go on: qagent repl --resume" in s.screen.text()
        assert not s.screen.other
    assert len(logs(tmp_path)) == 1


def test_no_arguments_on_a_terminal_is_the_session(tmp_path):
    with Session(tmp_path) as s:
        s.wait("/help for commands")
        s.send("\x04")
        assert s.end() == 0


@pytest.mark.parametrize("cols", [80, 40])
def test_every_command_says_something(tmp_path, cols):
    with Session(tmp_path, "repl", cols=cols) as s:
        s.ready()
        ask(s)
        for command, answer in (
                ("/help", r"^/sessions$"), ("/?", r"^/sessions$"), ("/out", "^ok$"),
                ("/out 9", "there are outputs 1 to"), ("/stats", "^tokens: "),
                ("/context", "prompt and"), ("/think off", "thinking: off"),
                ("/think 64", "at most 64 tokens"), ("/think hide", "not shown"),
                ("/think maybe", "usage: /think"), ("/temp 0.5", "0.50; code"),
                ("/temp x", "usage: /temp"), ("/seed 7", "seed: 7"),
                ("/iter 3", "iterations a message: 3"), ("/iter 0", "usage: /iter"),
                ("/status", "^ready; "), ("/queue", "nothing waits"), ("/queue 3", "0 wait; "),
                ("/budget 90s", "time a message: 90 s"), ("/budget off", "no limit"),
                ("/budget soon", "usage: /budget"), ("/run", "^└ ok, exit 0"),
                ("/diff", "no two answers with code"), ("/rewind", "^ 1  Write a"),
                ("/rewind 7", "no message 7"), ("/copy 9", "no answer to copy"),
                ("/undo x", "usage: /undo"), ("/retry x", "usage: /retry"),
                ("/redo", "nothing was taken back"), ("/sandbox", "^sandbox "), ("/model", "layers"), ("/save", "saved in"),
                ("/save copy.jsonl", "saved in copy.jsonl"), ("/export", "usage: /export"),
                ("/export talk.md", "written: talk.md"),
                ("/export talk.json", "written: talk.json"), ("/sessions", "/resume N"),
                ("/copy", "copied: code"), ("/compact", "compacted: "),
                ("/undo", "back to before"), ("/fork", "goes on in a copy"),
                ("/undo 1", "taken back: Write"), ("/redo", "here again: 1 message"),
                ("/undo", "taken back: Write"),
                ("/undo", "nothing to undo"), ("/retry", "no message to send"),
                ("/resume 99", "there is no session 99"), ("/resume 1", "resumed: 1"),
                ("/new", "a new conversation"), ("/undoo", "did you mean"),
                ("/xyzzyxyzzy", "/help lists")):
            s.screen.rows, s.screen.row = [""], 0
            s.send("\x0c")
            s.enter(command)
            s.wait(answer.replace(" ", r"\s+"))  # lines are broken at 40 columns
        s.enter("/quit")
        assert s.end() == 0
        assert not s.screen.overflowed
        assert s.screen.clipboard[0].startswith("52;c;")
        copied = base64.b64decode(s.screen.clipboard[0][5:]).decode()
        assert copied.startswith("def winner(points):")
    text = (tmp_path / "talk.md").read_text()
    assert "## You" in text and "def winner(points)" in text
    talk = json.loads((tmp_path / "talk.json").read_text())
    assert talk["summary"] is None and len(talk["messages"]) == 1
    message = talk["messages"][0]
    assert message["text"] == TASK and not message["is_folded"]
    assert message["code"].startswith("def winner(points)") and message["answer"]
    assert (tmp_path / "copy.jsonl").read_text().startswith('{"v":1')
    assert len(logs(tmp_path)) == 2


def test_retry_answers_the_same_message_again(tmp_path):
    with Session(tmp_path, "repl") as s:
        ask(s)
        s.enter("/retry")
        s.wait(END, 2)
        s.ready()
        s.enter("/context")
        s.wait("1 message$")
        s.send("\x04")
        assert s.end() == 0


def test_no_color_has_no_styles_but_the_same_words(tmp_path):
    with Session(tmp_path, "repl", env={"NO_COLOR": "1"}) as s:
        ask(s)
        s.send("\x04")
        assert s.end() == 0
        assert not s.screen.styles
        assert "└ ok, exit 0" in s.screen.text()


def test_a_dumb_terminal_gets_no_escapes(tmp_path):
    with Session(tmp_path, "repl", env={"TERM": "dumb"}) as s:
        s.wait("^>$")
        s.send(TASK + "\n")
        s.wait(END)
        s.send("/stats\n")
        s.wait("^tokens: ")
        s.send("\x04")
        assert s.end() == 0
        assert b"\x1b" not in s.raw
        assert "code: def winner" in s.screen.text()


def test_what_is_typed_while_busy_waits_and_can_be_taken_back(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.enter(TASK)  # the model still loads: this waits already
        s.enter("/context")
        s.enter("second message")
        s.send("\x1b[A")  # Up on an empty line takes the last one back
        s.wait(r"^> second message$")
        s.send("\x15")
        s.wait(END)
        s.wait("1 message$")
        assert "> second message" not in s.screen.text().replace("next: ", "")
        s.send("\x04")
        assert s.end() == 0


@pytest.mark.parametrize("key", ["\x1b", "\x03"])
def test_a_key_stops_now_and_keeps_the_partial_text(tmp_path, key):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.enter("Write a function `f(x)`. Think long. " + "assert f(1) == 77 " * 3)
        s.wait(r"(thinking|writing|running code|working) .*1/5")
        s.send(key)
        s.wait("^interrupted in |" + END)
        s.ready()
        stopped = "interrupted in" in s.screen.text()
        ask(s, n=1 if stopped else 2)
        s.enter("/context")
        s.wait("[12] messages?$")
        s.send("\x04")
        assert s.end() == 0


def test_ctrl_c_clears_the_line_then_hints_then_quits(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.send("half a message")
        s.wait("^> half a message$")
        s.send("\x03")
        s.gone("half a message")
        s.send("\x1b[A")  # Up brings it back
        s.wait("^> half a message$")
        s.send("\x03")
        s.gone("half a message")
        s.send("\x03")
        s.wait("Ctrl-C again quits; so do /quit and Ctrl-D")
        s.send("\x03")
        assert s.end() == 0


def test_a_paste_of_several_lines_is_one_message(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.paste("Write a function `winner(points)` that takes a dictionary\r\nand returns the "
                "key with the highest value.\n\tassert winner({\"Bob\": 7}) == \"Bob\"\x1b[31m")
        s.wait(r"^> Write a function")
        s.send("\r")
        s.wait(END)
        s.ready()
        s.enter("/context")
        s.wait("1 message$")
        s.send("\x04")
        assert s.end() == 0
    log = open(logs(tmp_path)[0]).read()
    assert "a dictionary\\nand returns the key" in log
    assert "31" not in s.screen.styles


def test_a_backslash_and_alt_enter_continue_the_line(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.send("one\\\rtwo\x1b\rthree\nfour")
        s.wait(r"^> one\n  two\n  three\n  four$")
        s.send("\x1b[A\x1b[A\x1b[AX")  # up to the first line
        s.wait(r"^> oneX\n  two|^> oXne|^> onXe|^> Xone")
        s.send("\x03\x03\x03")
        assert s.end() == 0


def test_the_history_outlives_the_session(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.enter("/seed 4711")
        s.wait("seed: 4711")
        s.enter(" /seed 99")  # a blank in front keeps it out
        s.send("\x04")
        assert s.end() == 0
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.send("\x1b[A")
        s.wait("^> /seed 4711$")
        s.send("\x03\x04")
        assert s.end() == 0


def test_tab_completes_a_command(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.send("/ses\t")
        s.wait("^> /sessions$")
        s.send("\x03/s\t")
        s.wait("/sessions  /stats")
        s.send("\x03\x04")
        assert s.end() == 0


def test_a_session_is_resumed_and_a_torn_line_costs_nothing(tmp_path):
    with Session(tmp_path, "repl") as s:
        ask(s)
        s.send("\x04")
        assert s.end() == 0
    with open(logs(tmp_path)[0], "a") as f:
        f.write('{"v":1,"type":"message","text":"Unfin')
    with Session(tmp_path, "repl", "--resume", "last") as s:
        s.wait("torn last line")
        s.wait("resumed: 1 message")
        s.wait("def winner")
        s.enter("/context")
        s.wait("1 message$")
        s.send("\x04")
        assert s.end() == 0
    assert len(logs(tmp_path)) == 1


def test_a_killed_session_gives_its_message_back(tmp_path):
    with Session(tmp_path, "repl") as s:
        ask(s)
        s.send("\x04")
        assert s.end() == 0
    with open(logs(tmp_path)[0], "a") as f:
        f.write('{"v":1,"type":"message","text":"Lost one"}\n{"v":1,"type":"append","ids":[1]}\n')
    with Session(tmp_path, "repl", "--resume", "1") as s:
        s.wait("was not finished when the session ended: Lost one")
        s.wait("^> Lost one$")
        s.send("\x03\x04")
        assert s.end() == 0


def test_terminated_means_saved_and_143(tmp_path):
    with Session(tmp_path, "repl") as s:
        ask(s)
        os.kill(s.child.pid, signal.SIGTERM)
        assert s.end() == 143
        assert "to go on: qagent repl --resume" in s.screen.text()


def test_a_resize_while_typing_keeps_the_line(tmp_path):
    with Session(tmp_path, "repl") as s:
        s.ready()
        s.send("a line of some length that will need two rows on a narrow terminal")
        s.wait("narrow terminal$")
        s.resize(40, 20)
        s.send("!")
        s.wait("narrow terminal!$|terminal!$")
        s.send("\x03\x04")
        assert s.end() == 0


def pipe(tmp_path, text, *args):
    env = dict(os.environ, XDG_STATE_HOME=str(tmp_path), HOME=str(tmp_path))
    return subprocess.run([QAGENT, "repl", *args], input=text, capture_output=True, text=True,
                          env=env, timeout=120)


def test_a_pipe_is_one_message_a_line_and_answers_go_to_stdout(tmp_path):
    r = pipe(tmp_path, TASK + "\n/context\n")
    assert r.returncode == 0, r.stderr
    assert "def winner(points):" in r.stdout and "think" not in r.stdout
    assert "code: def winner" in r.stderr and "1 message" in r.stderr
    assert "\x1b" not in r.stdout + r.stderr


def test_a_pipe_without_a_last_newline_and_an_empty_one(tmp_path):
    assert "def winner" in pipe(tmp_path, TASK).stdout
    r = pipe(tmp_path, "")
    assert (r.returncode, r.stdout) == (0, "")


def test_a_message_too_large_ends_with_8_and_numbers(tmp_path):
    r = pipe(tmp_path, "word " * 4000 + "\n", "--ctx", "2048")
    assert r.returncode == 8
    assert "the context of 2048 has room for" in r.stderr


def test_a_missing_model_ends_with_3(tmp_path):
    r = pipe(tmp_path, "hello\n", "-m", "/nowhere.gguf")
    assert r.returncode == 3 and "/nowhere.gguf" in r.stderr
    with Session(tmp_path, "repl", "-m", "/nowhere.gguf") as s:
        assert s.end() == 3
        assert "qagent: " in s.screen.text() and "/nowhere.gguf" in s.screen.text()
