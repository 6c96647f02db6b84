"""What `qagent bench` shows fits the terminal, and nothing is lost on a narrow one."""
import os

import terminal

MODEL = os.path.join(terminal.ROOT, "tests/fixtures/models/mini-moe.gguf")
SHORT = ["bench", "-m", MODEL, "--prompt", "2", "--gen", "2", "-t", "1"]
HEADINGS = ["tok/s", "slowest", "MB/token", "GB/s", "read %", "GFLOP/s", "int %"]
VERB_HEADINGS = ["verb", "us/token", "time %", "GB/s", "read %", "GFLOP/s"]


def shown(tmp_path, cols, *words):
    """The lines of a command on a terminal so wide, none of them wider."""
    with terminal.Session(tmp_path, *words, cols=cols) as s:
        assert s.end() == 0, s.screen.text()
        assert not s.screen.overflowed, s.screen.text()
        assert b"\r\n\r\n" in s.raw  # the whole report, not an error line
        return s.screen.text().split("\n")


def after_heading(lines, first, headings, n_rows):
    """The lines of each row below a heading that takes just as many lines."""
    at = next(i for i, line in enumerate(lines) if line.split()[:1] == [first])
    height, names = 0, ""
    while not all(name in names for name in headings):
        names += lines[at + height] + " "
        height += 1
    below = at + height
    return height, [lines[below + k * height:below + (k + 1) * height] for k in range(n_rows)]


def test_a_row_fits_80_columns(tmp_path):
    lines = shown(tmp_path, 80, *SHORT, "--depth", "0", "--verbs")
    height, rows = after_heading(lines, "tok/s", HEADINGS, 2)
    assert height == 1
    assert [len(r[0].split()) for r in rows] == [2 + 7, 3 + 7], rows
    assert any("x plain," in line for line in lines)
    height, rows = after_heading(lines, "verb", VERB_HEADINGS, 3)
    assert height == 1 and all(len(r[0].split()) == 6 for r in rows), rows


def test_a_row_takes_lines_on_40_columns_and_a_long_name_too(tmp_path):
    folder = tmp_path / ("a-long-name-" * 12)
    folder.mkdir()
    os.symlink(MODEL, folder / "model.gguf")
    words = ["bench", "-m", str(folder / "model.gguf"), *SHORT[3:]]
    lines = shown(tmp_path, 40, *words, "--depth", "0", "--verbs")
    assert f"{folder}/model.gguf:" in "".join(line.strip() for line in lines)
    height, rows = after_heading(lines, "tok/s", HEADINGS, 2)
    assert height == 2
    assert [sum(len(part.split()) for part in r) for r in rows] == [2 + 7, 3 + 7], rows
    height, rows = after_heading(lines, "verb", VERB_HEADINGS, 3)
    assert height == 2
    assert all(sum(len(part.split()) for part in r) == 6 for r in rows), rows


def test_sessions_together_fit_40_columns(tmp_path):
    lines = shown(tmp_path, 40, *SHORT, "--sessions", "2")
    assert "x one" in "\n".join(lines)
