"""The stop flag that long-running work looks at: set by signal handlers, waited on between batches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from londiste_lite.errors import StopRequested


class StopFlag:
    """A request to stop, in one of two degrees: after the current batch, or at once; and a request to reload.

    `request(at_once=True)` also runs the registered callbacks, which cancel statements under way. `reason` says who
    asked, for logs. Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._at_once = False
        self._reload = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self.reason = ""

    def request(self, *, at_once: bool = False, reason: str = "") -> None:
        """Ask for a stop; idempotent, the stronger degree and the first reason stay."""
        with self._lock:
            first_at_once = at_once and not self._at_once
            self._at_once = self._at_once or at_once
            self.reason = self.reason or reason
            callbacks = list(self._callbacks) if first_at_once else []
        self._event.set()
        for callback in callbacks:
            callback()

    def on_stop_at_once(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Register `callback`, run when a stop at once is asked for, now if it already was; return what forgets it."""
        with self._lock:
            self._callbacks.append(callback)
            already = self._at_once
        if already:
            callback()

        def forget() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

        return forget

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    @property
    def at_once(self) -> bool:
        return self._at_once

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; return True as soon as a stop is requested."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise StopRequested when a stop at once was asked for."""
        if self._at_once:
            raise StopRequested

    def request_reload(self) -> None:
        """Ask for the settings to be read again, at the next place where the work looks."""
        self._reload.set()

    def take_reload(self) -> bool:
        """Tell whether a reload was asked for since the last call, and forget it."""
        if not self._reload.is_set():
            return False
        self._reload.clear()
        return True
