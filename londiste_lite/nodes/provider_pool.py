"""Connections to the provider that the sessions of many nodes take turns on."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from londiste_lite.db import Database
from londiste_lite.replay.settings import ReplaySettings, open_provider

# So many idle connections are kept.
KEPT = 4


class LentProvider:
    """The provider as one session sees it: a real connection during its turn, none in between.

    Stands for a `Database`; closing and cancelling do nothing in between.
    """

    def __init__(self) -> None:
        self._lent: Database | None = None

    def as_database(self) -> Database:
        """Return this as what it stands for."""
        return cast(Database, self)

    def lend(self, db: Database) -> None:
        """Let the session work over `db` until `take_back`."""
        self._lent = db

    def take_back(self) -> None:
        """End the session's turn."""
        self._lent = None

    def __getattr__(self, name: str) -> Any:
        lent: Database | None = self.__dict__.get("_lent")
        if lent is None:
            if name in ("close", "cancel"):
                return lambda: None
            raise RuntimeError(f"the provider is used ({name}) by a session whose turn it is not")
        return getattr(lent, name)


class ProviderPool:
    """Opens connections when none is idle; how many there are is bounded by the number of threads that ask."""

    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings
        self._idle: list[tuple[Database, float]] = []
        self._lock = threading.Lock()

    def take(self) -> tuple[Database, float]:
        """Return a connection, opened if none is idle, and when it was opened. Raises ConnectionLost."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_provider(self._settings, "nodes"), time.monotonic()

    def give(self, db: Database, since: float) -> None:
        """Take a connection back; one that is broken or old is closed, or one too many."""
        lifetime = self._settings.connection_lifetime
        old = 0 < lifetime < time.monotonic() - since
        with self._lock:
            if not db.closed and not db.in_transaction and not old and len(self._idle) < KEPT:
                self._idle.append((db, since))
                return
        db.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for db, _ in idle:
            db.close()
