"""Signals as requests: SIGINT stops after the batch, SIGTERM at once, SIGHUP reloads."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from londiste_lite import db, driver
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)

_END = 0  # the number of no signal
_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_on_signals(stop: StopFlag, on_reload: Callable[[], None] | None = None) -> Iterator[None]:
    """Turn signals into requests on `stop` while the block runs; a second SIGINT stops at once. Main thread only.

    Acting is left to a thread of its own: the interpreter would run a handler only after the C function that the main
    thread is in, a wait for the server for example, and inside a handler no lock may be taken. `on_reload` is called
    in that thread, before the work is told through `stop.take_reload()`; without it SIGHUP stops at once, as it is for
    a command whose terminal has gone.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watcher = threading.Thread(target=_watch, args=(reading, stop, on_reload), name="signals", daemon=True)
    watcher.start()
    before: dict[signal.Signals, Any] = {number: signal.signal(number, _ignore) for number in _WATCHED}
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        driver.go_on_connecting()
        signal.set_wakeup_fd(woken_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        watcher.join(5.0)


@contextlib.contextmanager
def cancel_on_interrupt() -> Iterator[None]:
    """During the block, Ctrl-C cancels the statements that the process waits for. Main thread only.

    The interpreter raises KeyboardInterrupt only when the driver has come back from the server, however long that is.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            while numbers := pipe.read(64):
                if signal.SIGINT in numbers:
                    db.cancel_all()
                if _END in numbers:
                    return

    watcher = threading.Thread(target=watch, name="interrupts", daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        # Said, not shown by closing: a daemon that this process forked holds the pipe open, too.
        with contextlib.suppress(OSError):
            os.write(writing, bytes([_END]))
        os.close(writing)
        watcher.join(1.0)


def _ignore(number: int, frame: object) -> None:
    """Take the place of the default action; the number has gone to the watcher's pipe already."""


def _watch(reading: int, stop: StopFlag, on_reload: Callable[[], None] | None) -> None:
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while numbers := pipe.read(64):
            for number in numbers:
                try:
                    _act(number, stop, on_reload)
                except Exception:
                    log.exception("a signal could not be acted on")


def _act(number: int, stop: StopFlag, on_reload: Callable[[], None] | None) -> None:
    if number == signal.SIGHUP and on_reload is not None:
        log.info("got SIGHUP, reloading")
        on_reload()
        stop.request_reload()
    elif number == signal.SIGINT and not stop.requested:
        log.info("got SIGINT, stopping after the current batch (a second one stops at once)")
        stop.request(reason="SIGINT")
        driver.stop_connecting()
    else:
        name = signal.Signals(number).name
        log.info("got %s, stopping at once", name)
        stop.request(at_once=True, reason=name)
        driver.stop_connecting()
