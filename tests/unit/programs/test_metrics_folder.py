"""Folders of metrics in the temporary folder, which a kill leaves behind."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from datacosmos.programs.metrics_folder import metrics_folder

PROGRAM = """
import sys
from datacosmos.programs.metrics_folder import metrics_folder
with metrics_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(temporary: Path) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A program with such a folder, which has had it for a while."""
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, env=environment, text=True) as program:
        assert program.stdout is not None
        folder = Path(program.stdout.readline().strip())
        (folder / "counter_1.db").touch()
        os.utime(folder, (0, 0))
        yield program, folder


def test_what_a_killed_program_left_is_removed_and_what_others_have_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with another(tmp_path) as (_, theirs), another(tmp_path) as (killed, left):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with metrics_folder() as own:
            assert set(tmp_path.iterdir()) == {theirs, Path(own)}
    assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_another_user_put_there_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with another(tmp_path) as (killed, left):
        killed.kill()
        killed.wait()
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with metrics_folder():
            assert left.exists()
