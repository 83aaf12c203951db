"""The ticks of the provider's queue and the newest events, read once for all nodes, and which nodes have any."""

from __future__ import annotations

import bisect
import logging
import select
import threading
import time
from collections.abc import Callable

from londiste_lite import event_queue
from londiste_lite.backoff import Backoff
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.nodes.shared_events import MOST_AT_ONCE, MOST_BYTES_AT_ONCE, SharedEvents
from londiste_lite.replay.fetch import events_between, few
from londiste_lite.replay.settings import ReplaySettings, open_provider
from londiste_lite.replay.stage import EVENT_COLUMNS
from londiste_lite.replay.window import MOST_TICKS
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)

# Ticks that are kept in memory; a node that is further behind reads its own.
KEPT_TICKS = 10_000
# Above so many new events, every node is taken to have some.
MOST_EVENTS = 100_000
LOOK_SECONDS = 0.25
_PACE = 0.2

ALL = None
"""Stands for every node."""


class TickCache:
    """The newest ticks, oldest first, without a gap; `events` has what lies between the newest of them."""

    def __init__(self) -> None:
        self.events = SharedEvents()
        self._ids: list[int] = []
        self._ticks: list[Tick] = []
        self._lock = threading.Lock()

    def add(self, ticks: list[Tick]) -> None:
        """Add what came after the newest."""
        with self._lock:
            self._ids += [tick.id for tick in ticks]
            self._ticks += ticks
            if len(self._ids) > 2 * KEPT_TICKS:
                del self._ids[:-KEPT_TICKS], self._ticks[:-KEPT_TICKS]

    def clear(self) -> None:
        """Forget everything: there may be a gap before what comes next."""
        with self._lock:
            self._ids, self._ticks = [], []
        self.events.clear()

    def after(self, tick_id: int) -> list[Tick] | None:
        """Return the ticks after `tick_id`, None when they are not all here."""
        with self._lock:
            if not self._ids or tick_id < self._ids[0]:
                return None
            return self._ticks[bisect.bisect_right(self._ids, tick_id) :][:MOST_TICKS]


class Watcher:
    """Listens for ticks over one connection, and tells which nodes have events in the new ones."""

    def __init__(
        self,
        settings: ReplaySettings,
        cache: TickCache,
        stop: StopFlag,
        wanted: Callable[[set[str] | None], None],
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._stop = stop
        self._wanted = wanted
        self._db: Database | None = None
        stop.on_stop_at_once(self._cancel)

    def _cancel(self) -> None:
        if self._db is not None:
            self._db.cancel()

    def run(self) -> None:
        """Watch until stopped, through restarts of the server."""
        backoff = Backoff(first=0.25, longest=5.0)
        complaint = ""
        while not self._stop.requested:
            try:
                self._db = open_provider(self._settings, "watch")
                self._watch(self._db, backoff)
            except (LondisteError, OSError) as error:
                if not self._stop.requested and str(error) != complaint:
                    log.error("%s. Trying again", str(error).rstrip("."))
                    complaint = str(error)
            finally:
                self._cache.clear()
                if self._db is not None:
                    self._db.close()
                    self._db = None
            self._stop.wait(backoff.next_delay())

    def _watch(self, db: Database, backoff: Backoff) -> None:
        queue = event_queue.find_queue(db, self._settings.queue)
        db.listen(queue.channel)
        last = event_queue.last_tick(db, queue)
        self._cache.add([last])
        self._wanted(ALL)
        since = time.monotonic()
        while not self._stop.requested:
            new = event_queue.ticks_after(db, queue, last.id, MOST_TICKS)
            if not new:
                backoff.reset()
                if 0 < self._settings.connection_lifetime < time.monotonic() - since:
                    return
                self._sleep(db)
                continue
            targets = self._read(db, queue, last, new[-1])
            last = new[-1]
            # The nodes that are woken must find the ticks.
            self._cache.add(new)
            if targets is ALL or targets:
                self._wanted(targets)

    def _read(self, db: Database, queue: Queue, start: Tick, end: Tick) -> set[str] | None:
        """Return the nodes with events between two ticks; the events are shared where they are not too many."""
        if end.event_seq - start.event_seq > MOST_EVENTS:
            return ALL

        def select(columns: str) -> str:
            seen = (Snapshot.parse(start.snapshot), Snapshot.parse(end.snapshot))
            return events_between(queue.event_table, *seen, [], columns)

        rows = None
        if end.event_seq - start.event_seq <= MOST_AT_ONCE:
            rows = few(db, select(f"{EVENT_COLUMNS}, ev_extra3"), MOST_AT_ONCE, MOST_BYTES_AT_ONCE)
        if rows is None:
            targets = {row[0] for row in db.run(f"select distinct ev_extra3 from ({select('ev_extra3')}) as e")}
        else:
            self._cache.events.add(start.id, end.id, rows)
            targets = {row[-1] for row in rows}
        return ALL if None in targets else targets

    def _sleep(self, db: Database) -> None:
        # Not select(), which cannot take the high numbers that descriptors have in a process with many nodes.
        poll = select.poll()
        poll.register(db.fileno(), select.POLLIN)
        deadline = time.monotonic() + LOOK_SECONDS
        while not self._stop.requested and not db.take_notifications():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            poll.poll(1000 * min(_PACE, left))
