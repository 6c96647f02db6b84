"""Inside a plain chroot the jail cannot hide its mounts: the error says what to do, and
doing it helps."""
import os
import subprocess

import pytest

QAGENT = os.path.abspath(os.environ.get("QAGENT", "bin/qagent"))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

ENTER = """
set -e
if [ "$2" = mounted ]; then mount --bind "$1" "$1"; cd "$1"; fi
for d in usr proc dev tmp; do mkdir -p "$1/$d"; mount --rbind /$d "$1/$d"; done
for d in bin lib lib64; do [ ! -e /$d ] || ln -sfn usr/$d "$1/$d"; done
mkdir -p "$1/etc"
cp "$3" "$1/qagent"
echo 'print(6 * 7)' | /usr/sbin/chroot "$1" /usr/bin/env PATH=/usr/bin:/bin /qagent run --level "$4" -
"""
REASON = "step 'private mounts' failed: '/' is not a mount point, as in a plain chroot; bind the folder onto itself before entering it"


def enter(folder, how, level):
    """Runs a program from inside a chroot, in mounts that end with this call."""
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(folder), how, QAGENT, level],
                          capture_output=True, text=True)


def test_a_plain_chroot_is_named(tmp_path):
    done = enter(tmp_path, "plain", "full")
    assert (done.returncode, done.stderr) == (7, f"qagent: sandbox level 'full': {REASON}\n")


def test_both_levels_that_were_tried_are_named(tmp_path):
    done = enter(tmp_path, "plain", "auto")
    assert done.returncode == 7
    assert done.stderr.startswith(f"qagent: no sandbox: level 'full': {REASON}; level 'user': step ")
    assert done.stderr.endswith("; level 'seccomp' is weaker and does without\n") and done.stderr.count("level") == 3


def test_a_chroot_that_is_a_mount_point_has_the_full_jail(tmp_path):
    done = enter(tmp_path, "mounted", "full")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
