"""The one place where exceptions become a message on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from londiste_lite import __version__, output
from londiste_lite.errors import ConfigError, DifferencesFound, LondisteError, StopRequested, UsageError

DONE, FAILED, USAGE, BUG, DIFFERENT, INTERRUPTED = 0, 1, 2, 3, 4, 130

# What the machine refuses; everything else that the system calls report is our mistake.
_EXPECTED_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


@contextlib.contextmanager
def error_boundary() -> Iterator[None]:
    """Run the block; end the process with the exit code of the exception that leaves it, if one does."""
    code: int | str | None = DONE
    try:
        yield
        sys.stdout.flush()
    except SystemExit as leaving:
        code = leaving.code
        if code == INTERRUPTED:  # the command-line library turns Ctrl-C into this by itself, without a word
            _say("interrupted")
    except BaseException as error:
        code = report(error)
    code = _flush(code)
    if code:
        sys.exit(code)


def report(error: BaseException) -> int:
    """Show what `error` means to the person who ran the command and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return FAILED
    if isinstance(error, KeyboardInterrupt | StopRequested):
        _say(str(error) or "interrupted")
        return INTERRUPTED
    if isinstance(error, DifferencesFound):
        _say(error.message)
        if error.hint:
            with contextlib.suppress(OSError, ValueError):
                output.hint(error.hint)
        return DIFFERENT
    if isinstance(error, LondisteError):
        _show(error)
        return getattr(error, "exit_code", USAGE if isinstance(error, UsageError) else FAILED)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _EXPECTED_ERRNOS):
        what = f"{error.filename}: " if error.filename is not None else ""
        _show(LondisteError(f"{what}{error.strerror or error}"))
        return FAILED
    if isinstance(error, FileNotFoundError) and _directory_is_gone():
        _show(LondisteError("the current directory does not exist any more", hint="Change to one that does."))
        return FAILED
    _show_bug(error)
    return BUG


def _directory_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        output.message(text)


def _show(error: LondisteError) -> None:
    # A report on an INI is a list of errors; any other message is one, whatever the server put in it.
    texts = error.message.split("\n") if isinstance(error, ConfigError) else [error.message]
    detail = getattr(error, "detail", None)
    _log(logging.ERROR, "; ".join(texts) + (f" ({detail})" if detail else ""))
    with contextlib.suppress(OSError, ValueError):
        for text in texts:
            output.error(text)
        if detail:
            output.detail(detail)
        if error.hint:
            output.hint(error.hint)


def _log(level: int, text: str, error: BaseException | None = None) -> Path | None:
    # Without settings there was no log file, and logs need not be loaded to find that out.
    logs = sys.modules.get("londiste_lite.logs")
    return logs.to_file(level, text, error) if logs is not None else None


def _show_bug(error: BaseException) -> None:
    place: Path | None = None
    with contextlib.suppress(Exception):
        place = _log(logging.CRITICAL, f"londiste_lite {__version__} met a bug", error)
    with contextlib.suppress(Exception):
        place = place or _write_crash_file(error)
    with contextlib.suppress(OSError, ValueError):
        output.error(f"unexpected {type(error).__name__}; this is a bug in londiste_lite {__version__}")
        output.hint(f"Please report it with the traceback in {place}." if place else "Please report it.")


def _write_crash_file(error: BaseException) -> Path:
    from londiste_lite.dsn import hide_password

    text = f"londiste_lite {__version__}, arguments {sys.argv[1:]}\n" + "".join(traceback.format_exception(error))
    path = Path(tempfile.gettempdir()) / "londiste_lite-crash.log"
    try:
        # The folder belongs to all: no link is followed, and a stranger's file is not written to.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise PermissionError
    except OSError:
        descriptor, name = tempfile.mkstemp(prefix="londiste_lite-crash-", suffix=".log")
        path = Path(name)
    with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(hide_password(text) + "\n")
    return path


def _flush(code: int | str | None) -> int | str | None:
    """Write out what is left for the streams, so that the interpreter's own attempt at its end cannot complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            # Who does not want to read messages has not asked for another outcome.
            if not code and stream is sys.stdout:
                code = FAILED
            if not isinstance(error, BrokenPipeError) and stream is sys.stdout:
                with contextlib.suppress(OSError, ValueError):
                    output.error(f"the output cannot be written: {error}")
    return code
