"""Keeps capture in step while the ticker runs: partitions that were attached, keys that changed.

The look at the catalog is cheap and runs on the ticker's connection. What it finds is mended on a connection and in a
thread of its own, because a lock on a busy table may have to be waited for, and the ticks must not wait with it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from londiste_lite.backoff import Backoff
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.errors import LondisteError, ObjectNotFound
from londiste_lite.names import TableName
from londiste_lite.triggers import catalog

log = logging.getLogger(__name__)

# Seconds: how long a table's writers may be kept waiting for the lock, and the pauses between tries.
LOCK_TIMEOUT = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

_Place = tuple[str, TableName]


@dataclass
class _Trouble:
    """A table whose capture could not be mended: when it is tried again, and what was said about it."""

    backoff: Backoff
    again_at: float
    said: str = ""


class CaptureWatch:
    """Looks for published tables whose triggers do not fit any more, and mends them."""

    def __init__(self, dsn: str, job: str) -> None:
        self._dsn = dsn
        self._job = job
        self._thread: threading.Thread | None = None
        self._db: Database | None = None
        self._trouble: dict[_Place, _Trouble] = {}
        self._ended = False

    def look(self, db: Database, queues: Iterable[str], now: float) -> None:
        """Look at the tables of `queues` and begin to mend what needs it, unless that is under way already.

        `now` is in seconds of a steady clock. Raises only what reading from `db` raises.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        stale: list[_Place] = []
        for queue in queues:
            with contextlib.suppress(ObjectNotFound):  # dropped a moment ago
                stale += [(queue, table) for table in catalog.stale(db, queue)]
        self._trouble = {place: trouble for place, trouble in self._trouble.items() if place in stale}
        due = [place for place in stale if place not in self._trouble or self._trouble[place].again_at <= now]
        if due:
            self._thread = threading.Thread(target=self._mend_all, args=(due, now), name="capture", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the work under way."""
        self._ended = True
        db, thread = self._db, self._thread
        if db is not None:
            db.cancel()
        if thread is not None:
            thread.join(LOCK_TIMEOUT + 1.0)

    def _mend_all(self, places: list[_Place], now: float) -> None:
        try:
            db = self._db = look_after(connect(self._dsn, job=self._job, role="capture"))
        except LondisteError as error:
            log.debug("capture cannot be looked after: %s", error)
            return
        try:
            for place in places:
                if self._ended:
                    break
                self._mend(db, place, now)
        except Exception:
            log.exception("capture cannot be looked after")
        finally:
            self._db = None
            db.close()

    def _mend(self, db: Database, place: _Place, now: float) -> None:
        # Seldom needed, and a replay that starts would wait for it.
        from londiste_lite import publication

        queue, table = place
        try:
            publication.refresh_table(db, queue, table, lock_timeout=LOCK_TIMEOUT)
        except LondisteError as error:
            trouble = self._trouble.setdefault(place, _Trouble(Backoff(FIRST_PAUSE, LONGEST_PAUSE), now))
            trouble.again_at = now + trouble.backoff.next_delay()
            if trouble.said != str(error) and not self._ended:
                hint = f" Hint: {error.hint}" if error.hint else ""
                log.warning("the capture of %s does not fit it and cannot be made anew: %s.%s", table, error, hint)
                trouble.said = str(error)
        else:
            self._trouble.pop(place, None)
