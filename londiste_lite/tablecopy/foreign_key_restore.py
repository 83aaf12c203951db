"""Giving foreign keys back that were dropped for copies: added by the replay, validated by a thread beside it.

To add one NOT VALID takes a moment and locks that batches take too, so it is done between two of them. To validate one
reads a whole table, under locks that neither readers nor writers notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from londiste_lite import foreign_keys
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError
from londiste_lite.foreign_keys import Unvalidated
from londiste_lite.names import TableName
from londiste_lite.replay.settings import ReplaySettings, open_subscriber
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState

log = logging.getLogger(__name__)

# Seconds until a foreign key that could not be restored is tried again, and one that only met somebody's lock; the
# longest wait for such a lock, during which no batch is applied.
RESTORE_SECONDS = 60.0
LOCKED_SECONDS = 5.0
LOCK_SECONDS = 1.0
# Seconds within which a validation that is in the way has to end.
GIVE_WAY_SECONDS = 5.0


class ForeignKeyRestore:
    """The foreign keys of one replay that wait to be restored. Used by the replay's thread only."""

    def __init__(
        self, settings: ReplaySettings, subscriber: Database, stop: StopFlag, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._subscriber = subscriber
        self._stop = stop
        self._wake = wake
        self._validation: _Validation | None = None
        # When to look for what can be restored, of monotonic time, None for nothing to be done. At the start too, for
        # an earlier process may have ended between a table's copy and its foreign keys.
        self._look_at: float | None = 0.0

    @property
    def idle(self) -> bool:
        """Whether all is done that can be done now."""
        return self._validation is None and (self._look_at is None or self._look_at > time.monotonic())

    def turn(self, tables: Callable[[], Sequence[Subscribed]], *, joined: bool) -> None:
        """Do what is due; `joined` says that a table is in sync that was not before."""
        now = time.monotonic()
        if joined:
            self._look_at = now
        if self._validation is not None:
            if self._validation.alive:
                return
            # What is valid now is to be forgotten; what is not has to wait.
            self._look_at = now + RESTORE_SECONDS if self._validation.failed else now
            self._validation = None
        if self._look_at is None or now < self._look_at:
            return
        busy = {table.local for table in tables() if table.state is not TableState.OK}
        patience = min(self._settings.lock_timeout or LOCK_SECONDS, LOCK_SECONDS)
        found = foreign_keys.restore(self._subscriber, busy, patience)
        waits = [RESTORE_SECONDS] * bool(found.failed) + [LOCKED_SECONDS] * bool(found.locked)
        self._look_at = now + min(waits) if waits else None
        if found.unvalidated:
            self._validation = _Validation(self._settings, found.unvalidated, self._stop, self._wake)

    def give_way(self, table: TableName) -> None:
        """End a validation that reads the table (its local name), for its foreign keys are to be dropped."""
        if self._validation is not None:
            self._validation.give_way(table)

    def close(self) -> None:
        """End the validation under way; the next replay goes on with it."""
        if self._validation is not None:
            self._validation.end()
            self._validation = None


class _Validation:
    """Validates foreign keys one after another, in a thread with a connection of its own."""

    def __init__(
        self, settings: ReplaySettings, keys: Sequence[Unvalidated], stop: StopFlag, done: Callable[[], None]
    ) -> None:
        self.failed = False
        self._settings = settings
        self._keys = keys
        self._done = done
        self._db: Database | None = None
        self._now: Unvalidated | None = None
        self._busy: set[TableName] = set()
        self._ended = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="foreign keys", daemon=True)
        self._forget = stop.on_stop_at_once(self._cancel)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def give_way(self, table: TableName) -> None:
        with self._lock:
            self._busy.add(table)
        self._cancel_while(lambda: self._now is not None and table in self._now.tables, GIVE_WAY_SECONDS)

    def end(self) -> None:
        self._ended = True
        self._cancel_while(lambda: self.alive, 30.0)

    def _cancel_while(self, under_way: Callable[[], bool], seconds: float) -> None:
        # Again and again: the statement may not have begun when it is cancelled for the first time.
        deadline = time.monotonic() + seconds
        while under_way() and time.monotonic() < deadline:
            self._cancel()
            self._thread.join(0.02)

    def _cancel(self) -> None:
        db = self._db
        if db is not None:
            db.cancel()

    def _run(self) -> None:
        try:
            self._db, _ = open_subscriber(self._settings, "fkeys")
            try:
                for key in self._keys:
                    self._validate(self._db, key)
            finally:
                self._db.close()
        except LondisteError as error:
            self.failed = True
            log.warning("foreign keys cannot be validated yet: %s", error)
        finally:
            self._forget()
            self._done()

    def _validate(self, db: Database, key: Unvalidated) -> None:
        with self._lock:
            if self._ended or self._busy & key.tables:
                return
            self._now = key
        try:
            foreign_keys.validate(db, key)
        except LondisteError as error:
            if db.closed:
                raise
            if not self._ended and not self._busy & key.tables:
                self.failed = True
                log.warning('foreign key "%s" of "%s" cannot be restored yet: %s', key.key.name, key.table, error)
        finally:
            self._now = None
