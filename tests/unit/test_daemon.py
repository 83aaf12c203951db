"""Real processes, real signals: pidfile, background, stop, kill, reload. No database."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from londiste_lite import daemon, pidfile
from londiste_lite.errors import AlreadyRunning, LondisteError, StopRequested
from londiste_lite.stop_flag import StopFlag

ROOT = Path(__file__).resolve().parents[2]
INI = """[londiste]
job_name = job
provider_db = dbname=a
subscriber_db = dbname=b
pgq_queue_name = q
"""
FILES = "pidfile = job.pid\nlogfile = job.log\n"
PROGRAM = [sys.executable, "-m", "tests.fixtures.small_daemon", "job.ini"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    (tmp_path / "job.ini").write_text(INI + FILES)
    yield tmp_path
    for pid in own_pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def own_pids() -> list[int]:
    """The processes that said in `steps` that they work, as far as they still do."""
    found = [int(line.split()[1]) for line in steps() if line.startswith("pid ")]
    return [pid for pid in found if "small_daemon" in command_line(pid)]


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def steps() -> list[str]:
    path = Path("steps")
    return path.read_text().splitlines() if path.exists() else []


def log_text() -> str:
    path = Path("job.log")
    return path.read_text() if path.exists() else ""


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time; steps {steps()}, log {log_text()}"
        time.sleep(0.02)


def run(how: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, how, *more], capture_output=True, text=True, timeout=30, check=False)


def start(how: str = "loop") -> subprocess.Popen[str]:
    found = subprocess.Popen([*PROGRAM, how], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    eventually(own_pids)
    return found


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "londiste_lite", "job.ini", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# --- background -------------------------------------------------------------------------------------------------------


def test_background__parent_returns_0_and_the_child_holds_the_pidfile() -> None:
    done = run("loop", "-d")
    assert (done.returncode, done.stdout) == (0, "")
    pid = pidfile.owner(Path("job.pid"))
    assert pid is not None
    eventually(own_pids)
    assert own_pids() == [pid]
    assert Path("job.pid").read_text() == f"{pid}\n"
    assert os.getsid(pid) == pid
    for standard in ("0", "1", "2"):
        assert os.readlink(f"/proc/{pid}/fd/{standard}") == "/dev/null"
    stopped = command("-s")
    assert (stopped.returncode, stopped.stderr) == (0, f"process {pid} was told to stop after its batch\n")
    eventually(lambda: not own_pids())
    assert steps()[-1] == "stopped SIGINT at_once=False"
    assert not Path("job.pid").exists()
    assert "loop started" in log_text()
    assert "loop ended by SIGINT" in log_text()


def test_background__ready_means_prepared() -> None:
    assert run("slow", "-d").returncode == 0
    assert steps()[0] == "prepared"


def test_background__failure_before_ready_is_shown_by_the_parent() -> None:
    done = run("prepare", "-d")
    assert done.returncode == 1
    assert done.stderr == "error: cannot prepare\nhint: Prepare it.\n"
    eventually(lambda: not Path("job.pid").exists())
    assert "ERROR cannot prepare" in log_text()


def test_background__second_start_fails_and_names_the_first() -> None:
    assert run("loop", "-d").returncode == 0
    eventually(own_pids)
    done = run("loop", "-d")
    assert done.returncode == 1
    assert f"another process (pid {own_pids()[0]}) holds pidfile" in done.stderr
    assert "Traceback" not in done.stderr


def test_background__needs_a_pidfile() -> None:
    Path("job.ini").write_text(INI)
    done = run("loop", "-d")
    assert done.returncode == 1
    assert "error: -d needs a pidfile\nhint: " in done.stderr


def test_background__a_bug_goes_to_the_log_file_without_the_password() -> None:
    assert run("bug", "-d").returncode == 0
    eventually(lambda: "ZeroDivisionError" in log_text())
    eventually(lambda: not Path("job.pid").exists())
    assert "Traceback" in log_text()
    assert "secret" not in log_text()


def test_background__pidfile_that_cannot_be_written() -> None:
    Path("job.ini").write_text(INI + "pidfile = nowhere/job.pid\nlogfile = job.log\n")
    done = run("loop", "-d")
    assert done.returncode == 1
    assert "nowhere/job.pid cannot be written: No such file or directory" in done.stderr


def test_foreground__a_bug_is_exit_code_3_and_one_note() -> None:
    done = run("bug")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "unexpected ZeroDivisionError; this is a bug" in done.stderr
    assert f"{Path.cwd()}/job.log" in done.stderr
    assert "Traceback" in log_text()


def test_foreground__an_expected_error_is_exit_code_1() -> None:
    done = run("expected")
    assert done.returncode == 1
    assert done.stderr.endswith("error: an expected error\n")
    assert not Path("job.pid").exists()


# --- signals ----------------------------------------------------------------------------------------------------------


def test_sigint__stops_after_the_batch_with_130() -> None:
    process = start()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 130
    assert steps()[-1] == "stopped SIGINT at_once=False"
    assert "Traceback" not in errors
    assert not Path("job.pid").exists()


def test_sigterm__stops_at_once_and_cleans_up() -> None:
    process = start("batch")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 0
    assert "batch done" not in steps()
    assert not Path("job.pid").exists()


def test_sigint__does_not_cut_a_batch_but_a_second_one_does() -> None:
    process = start("batch")
    process.send_signal(signal.SIGINT)
    eventually(lambda: "got SIGINT, stopping after the current batch" in log_text())
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == 130
    assert "batch done" not in steps()


def test_sighup__reloads_and_goes_on() -> None:
    process = start()
    Path("job.ini").write_text(INI + FILES.replace("job.log", "other.log"))
    assert command("-r").returncode == 0
    eventually(lambda: "reloaded" in steps())
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert "ended by SIGINT" in Path("other.log").read_text()


def test_sighup__a_broken_ini_leaves_the_old_settings() -> None:
    process = start()
    Path("job.ini").write_text("broken")
    os.kill(process.pid, signal.SIGHUP)
    eventually(lambda: "the settings stay as they are" in log_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert steps()[-1] == "stopped SIGINT at_once=False"


def test_kill_option__ends_a_long_batch() -> None:
    process = start("batch")
    done = command("-k")
    assert (done.returncode, done.stderr) == (0, f"process {process.pid} was told to stop at once\n")
    process.communicate(timeout=15)
    assert process.returncode == 0


def test_systemd__hears_ready_and_stopping_and_gets_0(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("notify")
        heard.settimeout(15)
        monkeypatch.setenv("NOTIFY_SOCKET", str(Path("notify").resolve()))
        process = start()
        assert heard.recv(100) == b"READY=1"
        process.send_signal(signal.SIGINT)
        assert heard.recv(100) == b"STOPPING=1"
    process.communicate(timeout=15)
    assert process.returncode == 0


# --- pidfile ----------------------------------------------------------------------------------------------------------


def test_stale_pidfile__of_a_killed_process_is_taken_over() -> None:
    process = start()
    process.kill()
    process.communicate(timeout=15)
    assert Path("job.pid").read_text() == f"{process.pid}\n"
    stopped = command("-s")
    assert stopped.returncode == 0
    assert "nothing is running: no process holds" in stopped.stderr
    assert run("loop", "-d").returncode == 0
    assert f"ignoring stale pidfile {Path.cwd()}/job.pid of process {process.pid}" in log_text()


@pytest.mark.parametrize("content", ["", "abc", "-1", "0", "99999999999999999999", "\xff\xfe"])
def test_stale_pidfile__with_nonsense_in_it(content: str) -> None:
    Path("job.pid").write_bytes(content.encode("latin-1"))
    assert pidfile.owner(Path("job.pid")) is None
    with pidfile.held(Path("job.pid")):
        assert Path("job.pid").read_text() == f"{os.getpid()}\n"
    assert not Path("job.pid").exists()


def test_stranger__with_the_number_of_the_pidfile_is_never_signalled() -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        Path("job.pid").write_text(f"{stranger.pid}\n")
        for option in ("-s", "-k", "-r"):
            done = command(option)
            assert done.returncode == 0
            assert "nothing is running" in done.stderr
        # Not even when somebody else holds the lock of a file with this number in it.
        with pidfile.held(Path("job.pid")):
            Path("job.pid").write_text(f"{stranger.pid}\n")
            assert "nothing is running" in command("-k").stderr
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("option", ["-s", "-k", "-r"])
def test_signal_option__with_nothing_to_signal(option: str) -> None:
    assert command(option).returncode == 0
    Path("job.ini").write_text(INI)
    done = command(option)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no pidfile is configured, so nothing can be signalled\nhint: Name a pidfile")


@pytest.mark.parametrize("round_number", range(3))
def test_two_starts_at_once__exactly_one_wins(round_number: int) -> None:
    starts = [subprocess.Popen([*PROGRAM, "loop", "-d"], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [each.communicate(timeout=30)[1] for each in starts]
    assert sorted(each.returncode for each in starts) == [0, 1, 1, 1], errors
    assert sum("another process (pid " in text for text in errors) == 3
    eventually(own_pids)
    assert own_pids() == [pidfile.owner(Path("job.pid"))]


def test_held__a_looker_does_not_keep_a_start_from_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("1")
    watching = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from londiste_lite import pidfile\n"
            "print('up', flush=True)\nwhile True: pidfile.owner(Path(sys.argv[1]))",
            str(path),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert watching.stdout is not None
        watching.stdout.readline()
        for _ in range(30):
            with pidfile.held(path):
                pass
    finally:
        watching.kill()
        watching.communicate()


def test_held__a_file_removed_between_opening_and_locking_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pid"
    lock, removed = pidfile._locked, []

    def locked_late(descriptor: int) -> bool:
        if not removed:
            path.unlink()
            removed.append(True)
        return lock(descriptor)

    monkeypatch.setattr(pidfile, "_locked", locked_late)
    with pidfile.held(path):
        assert pidfile.owner(path) == os.getpid()


def test_held__refused_while_another_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with pidfile.held(path):
        assert pidfile.owner(path) == os.getpid()
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"), pidfile.held(path):
            pass
        assert path.exists()
    assert pidfile.owner(path) is None


# --- in this process --------------------------------------------------------------------------------------------------


def test_run_supervised__raises_what_the_work_raises() -> None:
    def work() -> None:
        raise LondisteError("from the thread")

    with pytest.raises(LondisteError, match="from the thread"):
        daemon.run_supervised(work, StopFlag())


def test_run_supervised__interrupted_main_thread_stops_the_work() -> None:
    stop = StopFlag()
    seen: list[bool] = []

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(stop.wait(10))
        stop.check()

    # A test run that was started in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            daemon.run_supervised(work, stop)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [True]


def test_stop_flag__callbacks_run_once_also_when_late_and_not_when_forgotten() -> None:
    stop = StopFlag()
    seen: list[str] = []
    stop.on_stop_at_once(lambda: seen.append("early"))
    stop.on_stop_at_once(lambda: seen.append("forgotten"))()
    stop.request()
    assert seen == []
    stop.check()
    stop.request(at_once=True, reason="SIGTERM")
    stop.request(at_once=True, reason="SIGINT")
    stop.on_stop_at_once(lambda: seen.append("late"))
    assert seen == ["early", "late"]
    assert stop.reason == "SIGTERM"
    with pytest.raises(StopRequested):
        stop.check()
