"""The pidfile: a locked file that says which process works with an INI. The lock decides, not the number in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from londiste_lite.errors import AlreadyRunning, ConfigError

log = logging.getLogger(__name__)

_TRIES = 8
_PAUSE = 0.05  # seconds; a process that only looks holds the lock for microseconds


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the pidfile `path` with our process id in it; it is removed at the end.

    A file that nobody has locked is stale, whatever number it holds, and is taken over. Raises AlreadyRunning when
    another process holds it, ConfigError when it cannot be written.
    """
    descriptor = _acquire(path)
    try:
        yield
    finally:
        # Removed while still locked: who waits for the lock then sees that its file is gone, and makes a new one.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> int:
    for _ in range(100):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"pidfile {path} cannot be written: {error.strerror}") from None
        try:
            if not _locked(descriptor):
                raise AlreadyRunning(
                    f"another process (pid {_wait_for_number(descriptor) or 'unknown'}) holds pidfile {path}",
                    hint="Stop it with -s (after its batch) or -k (at once).",
                )
            if _same_file(descriptor, path):
                _take_over(descriptor, path)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise AlreadyRunning(f"pidfile {path} keeps changing hands")


def _locked(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise ConfigError(f"pidfile cannot be locked: {error.strerror}") from None
        else:
            return True
    return False


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _take_over(descriptor: int, path: Path) -> None:
    content = os.pread(descriptor, 100, 0)
    if content:
        log.warning("ignoring stale pidfile %s of process %s", path, content.decode("latin-1").strip() or "unknown")
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise ConfigError(f"pidfile {path} cannot be written: {error.strerror}") from None


def _number(descriptor: int) -> int | None:
    content = os.pread(descriptor, 100, 0).strip()
    return int(content) if content.isdigit() and len(content) < 10 and int(content) > 0 else None


def _wait_for_number(descriptor: int) -> int | None:
    # Between taking the lock and writing its number a process is nameless for a moment.
    for _ in range(_TRIES):
        number = _number(descriptor)
        if number is not None:
            return number
        time.sleep(_PAUSE)
    return None


def owner(path: Path) -> int | None:
    """Return the id of the live process that holds the pidfile `path`, None when none does.

    A process that merely has the number of a stale file is not an owner. Raises ConfigError for an unreadable file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"pidfile {path} cannot be read: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            # ESTALE, EISDIR and the like: not a file that anybody could have locked.
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return None
        else:
            return None
        number = _wait_for_number(descriptor)
        return number if number is not None and _has_open(number, descriptor) else None
    finally:
        os.close(descriptor)


def _has_open(pid: int, descriptor: int) -> bool:
    """Tell whether process `pid` has our file open; where the system does not show that, whether it is alive."""
    mine = os.fstat(descriptor)
    folder = Path(f"/proc/{pid}/fd")
    try:
        entries = list(folder.iterdir())
    except OSError:
        return _alive(pid)
    for entry in entries:
        with contextlib.suppress(OSError):
            there = entry.stat()
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return True
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
