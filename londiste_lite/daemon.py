"""The process: going to the background, running work under signals, and signalling a process by its pidfile."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from londiste_lite import pidfile
from londiste_lite.errors import ConfigError, LondisteError
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)


class BackgroundFailed(LondisteError):
    """the background process ended before it was ready

    `exit_code` is what the background process would have ended with.
    """

    def __init__(self, message: str | None = None, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclass
class Readiness:
    """The way to say that the process is up: to the parent of a background process, and to systemd."""

    descriptor: int | None = None
    said: bool = False

    def ready(self) -> None:
        """Say that the process is up; the parent then returns 0. Only the first call counts."""
        if not self.said:
            self.said = True
            self._tell({"ready": True})
            notify_systemd("READY=1")

    def failed(self, error: BaseException) -> None:
        """Hand `error` to the parent, which shows it; of no effect after `ready`."""
        if not self.said:
            self.said = True
            expected = isinstance(error, LondisteError)
            text = str(error) if expected else f"{type(error).__name__}: {error}"
            hint = error.hint if isinstance(error, LondisteError) else "This is a bug; see the log file."
            self._tell({"message": text, "hint": hint, "code": 1 if expected else 3})

    def _tell(self, what: dict[str, object]) -> None:
        if self.descriptor is None:
            return
        # The parent may have been interrupted; that is no reason to stop.
        with contextlib.suppress(OSError):
            os.write(self.descriptor, json.dumps(what).encode())
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        self.descriptor = None


@contextlib.contextmanager
def process(
    path: Path | None, *, background: bool, after_fork: Callable[[], None] | None = None
) -> Iterator[Readiness]:
    """Run the block as a process of its own: in the background if asked for, with the pidfile `path` held.

    In the background the calling process ends here: with 0 once the block calls `ready()`, otherwise it raises
    BackgroundFailed with the message of what went wrong. `after_fork` runs first in the child, to set up logging.
    Raises ConfigError for a background process without pidfile, AlreadyRunning when another process holds it.
    """
    if background and path is None:
        raise ConfigError("-d needs a pidfile", hint="Add `pidfile = %(job_name)s.pid` to the INI.")
    readiness = _fork() if background else Readiness()
    try:
        if background and after_fork is not None:
            after_fork()
        with pidfile.held(path) if path is not None else contextlib.nullcontext():
            yield readiness
    except BaseException as error:
        readiness.failed(error)
        raise
    finally:
        readiness.ready()  # work that ended without a word went well


def _fork() -> Readiness:
    """Return in the child only; the parent waits for its word and ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        _end_parent(reading, child)
    os.close(reading)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)
    return Readiness(writing)


def _end_parent(reading: int, child: int) -> None:
    try:
        with os.fdopen(reading, "rb") as pipe:
            word = pipe.read()
    except BaseException:
        # Interrupted while waiting: whoever started it no longer wants it.
        os.kill(child, signal.SIGTERM)
        raise
    told = json.loads(word) if word else {}
    if told.get("ready"):
        sys.exit(0)
    if not told:
        raise BackgroundFailed(hint=f"Its process id was {child}; see the log file.")
    raise BackgroundFailed(told["message"], hint=told["hint"], exit_code=told["code"])


def run_supervised(work: Callable[[], None], stop: StopFlag) -> None:
    """Run `work` in a thread while the main thread waits, and raise here what it raises.

    With the main thread out of the driver's hands a KeyboardInterrupt or another handler is never late. When the main
    thread is interrupted by an exception, the work is told to stop at once before the exception goes on.
    """
    failure: list[BaseException] = []
    finished = threading.Event()  # Thread.join takes a thread for ended once it was interrupted (bpo-45274)

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)
        finally:
            finished.set()

    thread = threading.Thread(target=guarded, name="work", daemon=True)
    try:
        thread.start()
        finished.wait()
    except BaseException:
        stop.request(at_once=True, reason="interrupted")
        if thread.ident is not None:
            finished.wait(10.0)
        raise
    if failure:
        raise failure[0]


def signal_owner(path: Path | None, number: signal.Signals, meaning: str) -> str:
    """Send a signal to the process that holds the pidfile and return a sentence about it; nothing running is no error.

    Raises LondisteError without a pidfile, and for another user's process. Only a process that holds the file's lock is
    signalled, so that a stale number never hits a stranger.
    """
    if path is None:
        raise LondisteError(
            "no pidfile is configured, so nothing can be signalled",
            hint="Name a pidfile in the INI, and start the process anew; or signal it by its number.",
        )
    pid = pidfile.owner(path)
    if pid is None:
        return f"nothing is running: no process holds {path}" + (", which is stale" if path.exists() else "")
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return f"nothing is running: process {pid} of {path} has just ended"
    except PermissionError:
        raise LondisteError(
            f"process {pid} of {path} belongs to another user", hint="Run the command as the user that started it."
        ) from None
    return f"process {pid} was told to {meaning}"


def notify_systemd(state: str) -> None:
    """Tell systemd `READY=1`, `STOPPING=1` or `STATUS=..` when it started us with Type=notify; else do nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(target)
        sender.send(state.encode())


def supervised_by_systemd() -> bool:
    """Tell whether systemd waits for our notifications."""
    return bool(os.environ.get("NOTIFY_SOCKET"))
