"""Log lines: format, files that others rotate, no passwords."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from londiste_lite import config, logs
from londiste_lite.config import LondisteSettings
from londiste_lite.errors import ConfigError

log = logging.getLogger("londiste_lite.test")


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


def settings(folder: Path, extra: str = "") -> LondisteSettings:
    path = folder / "x.ini"
    path.write_text(
        f"[londiste]\nprovider_db=dbname=a\nsubscriber_db=dbname=b\npgq_queue_name=q\nlogfile={folder}/x.log\n{extra}"
    )
    found = config.load(path)
    assert isinstance(found, LondisteSettings)
    return found


def text(folder: Path, name: str = "x.log") -> str:
    return (folder / name).read_text()


def test_format__time_pid_level_message_on_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup(settings(tmp_path))
    log.info("hello %d", 1)
    line = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} {os.getpid()} INFO hello 1\n"
    assert re.fullmatch(line, text(tmp_path))
    captured = capsys.readouterr()
    assert re.fullmatch(line, captured.err)
    assert captured.out == ""


def test_levels__verbose_wins_over_quiet(tmp_path: Path) -> None:
    for verbose, quiet, expected in (
        (False, False, "IW"),
        (True, False, "DIW"),
        (False, True, "W"),
        (True, True, "DIW"),
    ):
        (tmp_path / "x.log").unlink(missing_ok=True)
        logs.setup(settings(tmp_path), verbose=verbose, quiet=quiet)
        log.debug("x")
        log.info("x")
        log.warning("x")
        assert "".join(line.split()[3][0] for line in text(tmp_path).splitlines()) == expected


def test_daemon__is_silent_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup(settings(tmp_path))
    logs.setup(settings(tmp_path), daemon=True)
    log.error("once")
    assert capsys.readouterr().err == ""
    assert text(tmp_path).count("once") == 1


def test_passwords__are_hidden_also_in_tracebacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup(settings(tmp_path))
    log.info("dsn %s and %s", "host=a password=hunter2", "postgresql://u:hunter2@h/d")
    try:
        raise RuntimeError("password='hunter2 x'")
    except RuntimeError:
        log.exception("failed")
    assert "RuntimeError" in text(tmp_path)
    assert "hunter2" not in text(tmp_path) + capsys.readouterr().err


def test_rotation__by_size_keeps_count_files(tmp_path: Path) -> None:
    logs.setup(settings(tmp_path, "log_size = 2000\nlog_count = 2\n"), daemon=True)
    for number in range(200):
        log.info("line %d %s", number, "x" * 60)
    assert sorted(each.name for each in tmp_path.glob("x.log*")) == ["x.log", "x.log.1", "x.log.2"]
    assert all(each.stat().st_size <= 2000 for each in tmp_path.glob("x.log*"))
    assert "line 199 " in text(tmp_path)


def test_rotation__none_with_size_0(tmp_path: Path) -> None:
    logs.setup(settings(tmp_path, "log_size = 0\n"), daemon=True)
    for number in range(200):
        log.info("line %d %s", number, "x" * 60)
    assert [each.name for each in tmp_path.glob("x.log*")] == ["x.log"]


def test_moved_file__is_left_and_a_new_one_made(tmp_path: Path) -> None:
    logs.setup(settings(tmp_path), daemon=True)
    log.info("before")
    (tmp_path / "x.log").rename(tmp_path / "moved")
    log.info("after")
    assert "after" in text(tmp_path)
    assert "after" not in text(tmp_path, "moved")
    (tmp_path / "x.log").unlink()
    log.info("again")
    assert "again" in text(tmp_path)


def test_two_processes__rotate_one_file_without_losing_lines(tmp_path: Path) -> None:
    settings(tmp_path, "log_size = 20000\nlog_count = 1000\n")
    program = (
        "import logging, sys; from londiste_lite import config, logs\n"
        "logs.setup(config.load(sys.argv[1]), daemon=True)\n"
        "for n in range(1500): logging.info('%s-%d %s', sys.argv[2], n, 'x' * 50)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "x.ini"), name], stderr=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    errors = [each.communicate(timeout=60)[1] for each in running]
    assert errors == [b"", b"", b""]
    found = "".join(each.read_text() for each in tmp_path.glob("x.log*"))
    assert len(list(tmp_path.glob("x.log*"))) > 5
    assert sorted(re.findall(r"INFO (\S+) x", found)) == sorted(f"{name}-{n}" for name in "abc" for n in range(1500))


def test_log_file__that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[londiste\] logfile: cannot write .*: No such file or directory"):
        logs.setup(settings(tmp_path, f"logfile = {tmp_path}/none/x.log\n"))


def test_full_disk__is_said_once_and_work_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    logs.setup(settings(tmp_path, "logfile = /dev/full\nlog_size = 0\n"), daemon=True)
    log.info("one")
    log.info("two")
    assert capsys.readouterr().err == "cannot write log file /dev/full: No space left on device\n"


def test_to_file__reaches_the_file_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs.to_file(logging.ERROR, "nowhere") is None
    logs.setup(settings(tmp_path))
    assert logs.to_file(logging.CRITICAL, "a bug", ZeroDivisionError("x")) == tmp_path / "x.log"
    assert "CRITICAL a bug\nZeroDivisionError: x" in text(tmp_path)
    assert capsys.readouterr().err == ""
