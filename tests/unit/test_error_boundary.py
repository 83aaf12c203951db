"""Exceptions become messages and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from londiste_lite import errors
from londiste_lite.daemon import BackgroundFailed
from londiste_lite.error_boundary import error_boundary


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def code_of(error: BaseException | None) -> int:
    left: list[SystemExit] = []
    try:
        with error_boundary():
            if error is not None:
                raise error
    except SystemExit as leaving:
        left.append(leaving)
    return int(left[0].code or 0) if left else 0


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (None, 0, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(2), 2, ""),
        (errors.LondisteError("it failed"), 1, "error: it failed\n"),
        (errors.LondisteError("it failed", hint="Do this."), 1, "error: it failed\nhint: Do this.\n"),
        (errors.LockNotGranted("no lock", detail="held by 7"), 1, "error: no lock\ndetail: held by 7\nhint: Another"),
        (errors.ConfigError("a: x\na: y"), 1, "error: a: x\nerror: a: y\n"),
        (errors.DatabaseError("line 1\n  line 2"), 1, "error: line 1\n  line 2\n"),
        (errors.WaitTimeout(), 1, "error: the wait ended before the subscriber was there\n"),
        (errors.AlreadyRunning(), 1, "error: another process is at work\n"),
        (errors.UsageError("no such thing", hint="Try that."), 2, "error: no such thing\nhint: Try that.\n"),
        (errors.DifferencesFound("2 tables differ"), 4, "2 tables differ\n"),
        (errors.DifferencesFound("2 tables differ", hint="Look."), 4, "2 tables differ\nhint: Look.\n"),
        (errors.StopRequested("interrupted by SIGINT"), 130, "interrupted by SIGINT\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (BackgroundFailed("it was a bug", exit_code=3), 3, "error: it was a bug\n"),
        (FileNotFoundError(2, "No such file or directory", "x.sql"), 1, "error: x.sql: No such file or directory\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
    ],
)
def test_code_and_text(
    error: BaseException | None, code: int, text: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert code_of(error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(text) if text.endswith("Another") else captured.err == text
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("password=secret"), OSError(9, "Bad file descriptor"), RecursionError()])
def test_bug__traceback_in_a_file_and_a_note(
    error: Exception, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert code_of(error) == 3
    captured = capsys.readouterr()
    path = folder / "londiste_lite-crash.log"
    assert "Traceback" not in captured.err
    assert "secret" not in captured.err
    assert f"unexpected {type(error).__name__}; this is a bug in londiste_lite" in captured.err
    assert str(path) in captured.err
    written = path.read_text()
    assert "Traceback" in written
    assert "test_error_boundary.py" in written
    assert "secret" not in written
    assert path.stat().st_mode & 0o777 == 0o600


def test_bug__a_link_in_the_way_is_not_followed(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    target = folder / "precious"
    target.write_text("as it was")
    (folder / "londiste_lite-crash.log").symlink_to(target)
    assert code_of(ValueError("x")) == 3
    assert target.read_text() == "as it was"
    written = list(folder.glob("londiste_lite-crash-*.log"))
    assert len(written) == 1
    assert str(written[0]) in capsys.readouterr().err


def run(code: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    program = f"from londiste_lite.error_boundary import error_boundary\nwith error_boundary():\n    {code}"
    return subprocess.run(
        [sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=30
    )


def test_broken_pipe__is_quiet_and_no_success() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("print('x' * 100000)", writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_broken_pipe__with_output_still_in_the_buffer() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("print('x')", writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk__is_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = run("print('x')", full)
    os.close(full)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
