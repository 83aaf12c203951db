"""A thread that looks at connections again and again while they are open, one for all of them."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from londiste_lite.db import Database

log = logging.getLogger(__name__)

Seen = TypeVar("Seen")


class Rounds(Generic[Seen]):
    """Calls `look` for each connection with what was seen of it, `fresh()` at first, every `pace()` seconds."""

    def __init__(
        self, name: str, pace: Callable[[], float], fresh: Callable[[], Seen], look: Callable[[Database, Seen], None]
    ) -> None:
        self._name = name
        self._pace = pace
        self._fresh = fresh
        self._look = look
        self._watched: weakref.WeakKeyDictionary[Database, Seen] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, db: Database) -> None:
        """Look at `db` from now on, until it is closed."""
        with self._lock:
            self._watched[db] = self._fresh()
            # A process that goes to the background by a fork leaves its threads behind.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._pace())
            with self._lock:
                for db in [db for db in self._watched if db.closed]:
                    del self._watched[db]
                if not self._watched:
                    self._thread = None
                    return
                due = list(self._watched.items())
            for db, seen in due:
                try:
                    self._look(db, seen)
                except Exception:
                    log.exception("%s: the %s failed", db.label, self._name)
