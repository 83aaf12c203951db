"""Connections for copies, kept open from one table to the next: a thousand small tables need no thousand logins."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.replay.settings import ReplaySettings, open_provider, open_subscriber


@dataclass(frozen=True)
class Sides:
    """A connection to each side; `checks_fire` tells that foreign keys and triggers fire on the subscriber."""

    provider: Database
    subscriber: Database
    checks_fire: bool

    @property
    def usable(self) -> bool:
        return not any(db.closed or db.in_transaction for db in (self.provider, self.subscriber))

    def cancel(self) -> None:
        """Cancel what is under way on both; callable from any thread."""
        self.provider.cancel()
        self.subscriber.cancel()

    def close(self) -> None:
        self.provider.close()
        self.subscriber.close()


class Connections:
    """Pairs of connections, lent to one thread at a time. Every method may be called from any thread."""

    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings
        self._idle: list[Sides] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Sides]:
        """A pair for the time of a block; one that an error left in doubt is closed afterwards."""
        sides = self._take()
        try:
            yield sides
        except BaseException:
            sides.close()
            raise
        self._give_back(sides)

    def _take(self) -> Sides:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        provider = open_provider(self._settings, "copy")
        try:
            return Sides(provider, *open_subscriber(self._settings, "copy"))
        except BaseException:
            provider.close()
            raise

    def _give_back(self, sides: Sides) -> None:
        with self._lock:
            if sides.usable:
                self._idle.append(sides)
                return
        sides.close()

    def release(self) -> None:
        """Close the pairs that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sides in idle:
            sides.close()
