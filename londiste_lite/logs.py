"""Logging: one format on standard error and in a rotating file, never with a password in it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import logging.handlers
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from londiste_lite.config import Note, Settings
from londiste_lite.dsn import hide_password
from londiste_lite.errors import ConfigError

FORMAT = "%(asctime)s %(process)d %(levelname)s %(message)s"


class _PasswordFree(logging.Formatter):
    """The format of Londiste: time, process id, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_password(super().format(record))


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error as it is at the moment of writing; a reader that went away is no reason to complain."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr  # progress bars put their own in place while they are shown
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


class RotatingLog(logging.handlers.RotatingFileHandler):
    """A log file that several processes may write and rotate, and that an outside logrotate may move away.

    `size` is in bytes, 0 for no rotation; `count` old files are kept.
    """

    def __init__(self, path: Path, size: int, count: int) -> None:
        self._complained = False
        # Rotation without any kept file would only reopen the full one, so one old file is the least.
        super().__init__(path, maxBytes=size, backupCount=max(count, 1), encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, to a new file when the old one was moved or deleted."""
        try:
            self._follow()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def _moved(self) -> bool:
        if self.stream is None:
            return True
        try:
            there = os.stat(self.baseFilename)
        except FileNotFoundError:
            return True
        mine = os.fstat(self.stream.fileno())
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _follow(self) -> None:
        if self._moved():
            if self.stream is not None:
                self.stream.close()
            self.stream = self._open()

    def doRollover(self) -> None:
        """Rotate, unless another process has just done it."""
        assert self.stream is not None
        with _locked(self.stream.fileno()):
            if self._moved():
                self._follow()
            else:
                super().doRollover()

    def close(self) -> None:
        """Close the file; what a full disk does not take is lost, which has been said when it was written."""
        with contextlib.suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once on standard error that the log cannot be written, and go on working."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._complained:
            self._complained = True
            with contextlib.suppress(OSError, ValueError):
                print(f"cannot write log file {self.baseFilename}: {error.strerror}", file=sys.stderr)


@contextlib.contextmanager
def _locked(stream: int) -> Iterator[None]:
    # The lock is on the file that is being renamed; the copy of the descriptor keeps it while the stream is closed.
    descriptor = os.dup(stream)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def setup(settings: Settings | None, *, verbose: bool = False, quiet: bool = False, daemon: bool = False) -> None:
    """Send log lines to standard error (not in a daemon) and to the log file of `settings`; replaces an earlier set-up.

    `verbose` shows debug lines and wins over `quiet`, which leaves warnings and errors. Raises ConfigError when the
    log file cannot be opened.
    """
    handlers: list[logging.Handler] = [] if daemon else [_Stderr()]
    if settings is not None and settings.logfile is not None:
        try:
            handlers.append(RotatingLog(settings.logfile, settings.log_size, settings.log_count))
        except OSError as error:
            raise ConfigError(
                f"{settings.path}: [{settings.section}] logfile: cannot write {settings.logfile}: {error.strerror}"
            ) from None
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Stderr | RotatingLog)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers or [logging.NullHandler()]:
        handler.setFormatter(_PasswordFree(FORMAT))
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def write_notes(notes: Iterable[Note]) -> None:
    """Log what was noted while the settings were read."""
    for note in notes:
        logging.getLogger(__name__).log(note.level, "%s", note.text)


def to_file(level: int, text: str, error: BaseException | None = None) -> Path | None:
    """Write a line, and the traceback of `error`, to the log file alone; return its path, None without a log file."""
    if error is not None:
        text += "\n" + "".join(traceback.format_exception(error)).rstrip()
    written = None
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingLog):
            handler.handle(logging.LogRecord(__name__, level, "", 0, text, None, None))
            written = Path(handler.baseFilename)
    return written
