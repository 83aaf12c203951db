"""Which tables are copied when: starts copy workers, notices those that ended, and hands tables to the main replay.

Works for one replay, between its batches. While any table is on its way, a consumer of its own holds the queue, so
that no event which a table still needs is thrown away.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from londiste_lite import copies, event_queue, subscribed
from londiste_lite.backoff import Backoff
from londiste_lite.copies import Request
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError, SchemaDrift
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import TableName
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.connections import Connections
from londiste_lite.tablecopy.tracker import Reached

if TYPE_CHECKING:
    from londiste_lite.tablecopy.worker import CopyWorker

log = logging.getLogger(__name__)

# Seconds between two notes of how far copies are.
NOTE_SECONDS = 1.0
# How many tables are copied together at most: what a small one costs hardly falls any more, and others wait for them.
MOST_TABLES = 32


@dataclass
class _Retry:
    """When a table whose copy failed is tried again."""

    backoff: Backoff
    at: float = 0.0


class CopyCoordinator:
    """Owns the copy workers of one replay."""

    def __init__(
        self,
        settings: ReplaySettings,
        provider: Database,
        subscriber: Database,
        queue: Queue,
        stop: StopFlag,
        wake: Callable[[], None],
        give_way: Callable[[TableName], None],
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._subscriber = subscriber
        self._queue = queue
        self._stop = stop
        self._wake = wake
        self._give_way = give_way
        self._connections = Connections(settings)
        self._workers: list[CopyWorker] = []
        self._retries: dict[TableName, _Retry] = {}
        # Tables that were tried with others and need a copy of their own.
        self._apart: set[TableName] = set()
        self._holding = False
        self._note_at = 0.0
        self._requests: dict[TableName, Request] = {}

    def start(self) -> None:
        """Put right what an earlier process left: copies cut short start over, tables without their events too."""
        for name in subscribed.restart_copies(self._subscriber, self._queue.name):
            log.info("the copy of %s was cut short; it is done again, or goes on where it was", name)
        held = event_queue.position(self._provider, self._queue.name, self._settings.copy_consumer)
        self._holding = held is not None
        if held is None:
            for table in subscribed.tables(self._subscriber, self._queue.name):
                if table.state is TableState.MISSING and table.snapshot is not None:
                    log.warning("events for %s are gone; its copy starts over", table.table)
                    subscribed.resync(self._subscriber, self._queue.name, table.table)
                if table.state is TableState.CATCHING_UP:
                    log.warning("events for %s are gone; it is copied anew", table.table)
                    subscribed.set_state(
                        self._subscriber,
                        self._queue.name,
                        table,
                        TableState.MISSING,
                    )
        self._drop_leftovers()

    def turn(
        self, tables: Sequence[Subscribed], at: Tick, *, asked: bool = True, may_start: bool = True
    ) -> list[Subscribed]:
        """Do what is due, at the replay's position `at`; return the tables that the main replay may take over now.

        `asked` False: no resync is known to have asked for anything. `may_start` False: no copy is begun.
        """
        self._collect_finished(tables)
        self._note()
        ready: list[Subscribed] = []
        missing: list[Subscribed] = []
        busy = {name for worker in self._workers for name in worker.tables}
        waiting = False
        self._requests = copies.copies_asked_for(self._subscriber, self._queue.name) if asked else {}
        for table in tables:
            if table.state is TableState.OK and table.table not in self._requests:
                continue
            waiting = True
            if table.table in busy or not self._may_try(table.table):
                continue
            if table.state is TableState.MISSING:
                missing.append(table)
            elif table.state is TableState.OK and table.snapshot is None:
                # Only some rows are to be copied anew: the table is complete up to the replay's position.
                if may_start and self._slots > 0:
                    self._start_copy([table], at.snapshot, at)
            elif table.state is TableState.CATCHING_UP:
                ready.append(table)
        if may_start:
            self._start_missing(missing)
        if not waiting and not self._workers:
            self._apart.clear()
            self._release()
        return ready

    def idle(self, tables: Sequence[Subscribed]) -> bool:
        """Tell whether no table is waiting, being copied or catching up."""
        asked = copies.copies_asked_for(self._subscriber, self._queue.name)
        return not self._workers and not asked and all(t.state is TableState.OK for t in tables)

    def failures(self) -> dict[TableName, Backoff]:
        """Tables whose copies failed and are waiting for the next try."""
        return {name: retry.backoff for name, retry in self._retries.items()}

    def stop(self, timeout: float = 30.0) -> None:
        """Cancel all workers and wait for them; their tables are then to be copied anew."""
        self._connections.release()
        if not self._workers:
            return
        for worker in self._workers:
            worker.cancel()
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            while worker.alive and time.monotonic() < deadline:
                worker.cancel()
                worker.join(0.2)
        self._workers = []
        self._connections.release()
        # So that `status` does not speak of a copy that is not under way; a session whose connection is lost cannot say
        # so, but the next one starts with it.
        with contextlib.suppress(LondisteError):
            subscribed.restart_copies(self._subscriber, self._queue.name)

    def catch_up(self, tables: Sequence[Subscribed]) -> None:
        """Let a worker bring tables of one snapshot closer that are too far behind to be taken over at once."""
        for group in self.together(tables):
            # Besides those that load, which may take hours: the others ask again.
            if len(self._workers) < 2 * self._settings.parallel_copies:
                self._launch(group)

    def together(self, tables: Sequence[Subscribed]) -> list[list[Subscribed]]:
        """Return the tables in groups that may go on together: those of one snapshot, unless one needs its own way."""
        groups: dict[str, list[Subscribed]] = {}
        for table in tables:
            alone = table.table in self._apart or table.held is not None
            groups.setdefault(str(table.table) if alone else f"at {table.snapshot}", []).append(table)
        return list(groups.values())

    def keep_events(self, tick: Tick) -> None:
        """Keep the events after a tick, where a table that was part of the replay is held."""
        held = event_queue.position(self._provider, self._queue.name, self._settings.copy_consumer)
        if held is None or held > tick.id:
            event_queue.move_to(self._provider, self._queue.name, self._settings.copy_consumer, tick.id)
        self._holding = True

    def _may_try(self, table: TableName) -> bool:
        retry = self._retries.get(table)
        return retry is None or time.monotonic() >= retry.at

    @property
    def _slots(self) -> int:
        """How many more workers may copy now."""
        return self._settings.parallel_copies - len(self._workers)

    def _start_missing(self, missing: list[Subscribed]) -> None:
        """Begin the copies of tables for which there is a slot, those that may be small in groups."""
        while missing and self._slots > 0:
            plain = [table for table in missing if self._may_go_along(table)]
            share = min(-(-len(plain) // self._slots), MOST_TABLES)
            begun = plain[:share] if missing[0] in plain else missing[:1]
            missing = [table for table in missing if table not in begun]
            self._start_copy(begun, begun[0].snapshot)

    def _may_go_along(self, table: Subscribed) -> bool:
        """Whether a table may be copied with others, as far as is known without asking the servers."""
        name = table.table
        return not (table.snapshot or name in self._requests or name in self._retries or name in self._apart)

    def _start_copy(self, tables: Sequence[Subscribed], snapshot: str | None, at: Tick | None = None) -> None:
        """Begin the copy of tables that are complete up to one `snapshot` so far, None for not at all."""
        if not self._holding:
            event_queue.register(self._provider, self._queue.name, self._settings.copy_consumer)
            self._holding = True
        if at is not None:
            self._hold_at(at)
        moved = subscribed.set_states(self._subscriber, self._queue.name, tables, TableState.IN_COPY, snapshot)
        stored = subscribed.find_tables(self._subscriber, self._queue.name, moved)
        for table in stored:
            self._give_way(table.local)
        # Once more: a resync may have come between the first look and the change of state.
        self._requests = copies.copies_asked_for(self._subscriber, self._queue.name)
        if stored:
            self._launch(stored)

    def _hold_at(self, tick: Tick) -> None:
        """Hold the queue from a tick on, or from where it is held already."""
        held = event_queue.position(self._provider, self._queue.name, self._settings.copy_consumer)
        if held is None or held > tick.id:
            event_queue.move_to(self._provider, self._queue.name, self._settings.copy_consumer, tick.id)

    def _launch(self, tables: Sequence[Subscribed]) -> None:
        # What a copy needs is a fifth of all modules, and a replay that starts would wait for it.
        from londiste_lite.tablecopy.worker import CopyWorker

        # Tables that go together are empty, and come whole, which is more than anybody may have asked for.
        request = self._requests.get(tables[0].table) if len(tables) == 1 else None
        worker = CopyWorker(self._settings, tables, request, self._connections, self._stop, self._wake)
        self._workers.append(worker)
        worker.start()

    def _collect_finished(self, tables: Sequence[Subscribed]) -> None:
        states = {t.table: t.state for t in tables}
        for worker in list(self._workers):
            if worker.alive:
                if any(states.get(name) in (None, TableState.MISSING, TableState.OK) for name in worker.tables):
                    worker.cancel()  # removed, or to be copied anew
                continue
            self._workers.remove(worker)
            if worker.given_up:
                # What it loaded beside belongs to no copy any more, and may be large.
                self._drop_leftovers()
            self._apart |= worker.apart
            for name in worker.tables:
                self._collect(name, worker, states.get(name))

    def _collect(self, name: TableName, worker: CopyWorker, state: TableState | None) -> None:
        """Note what came of one table's copy; `state` is from before its worker was seen to have ended."""
        error = worker.error
        if error is None:
            self._retries.pop(name, None)
        elif isinstance(error, SchemaDrift) and state is TableState.CATCHING_UP:
            subscribed.hold(self._subscriber, self._queue.name, name, f"{error.message}. {error.hint}")
            return
        elif not self._stop.requested:
            self._failed(name, str(error), error.hint)
        if worker.given_up or error is not None or name in worker.apart:
            subscribed.restart_copies(self._subscriber, self._queue.name, name)
        if error is not None and not self._stop.requested:
            subscribed.set_error(self._subscriber, self._queue.name, name, str(error))

    def _drop_leftovers(self) -> None:
        for name in copies.drop_leftovers(self._subscriber):
            log.info("dropped %s, which an earlier copy left behind", name)

    def _failed(self, name: TableName, error: str, hint: str | None) -> None:
        retry = self._retries.setdefault(name, _Retry(Backoff(first=0.5, longest=30.0)))
        delay = retry.backoff.next_delay()
        retry.at = time.monotonic() + delay
        hint = f" Hint: {hint}" if hint else ""
        log.error("the copy of %s failed: %s.%s Trying again in %.1f s", name, error, hint, delay)

    def _release(self) -> None:
        """Give up the hold on the queue, and connections, when no table needs them."""
        self._connections.release()
        if self._holding:
            event_queue.unregister(self._provider, self._queue.name, self._settings.copy_consumer)
            self._holding = False

    def _note(self) -> None:
        """Store how far the copies are, at most once a second."""
        now = time.monotonic()
        if not self._workers or now < self._note_at:
            return
        self._note_at = now + NOTE_SECONDS
        for name, reached in self._reached().items():
            copies.note(self._subscriber, self._queue.name, name, reached.phase, reached.rows, reached.bytes)

    def _reached(self) -> dict[TableName, Reached]:
        backends = {pid for worker in self._workers for pid in worker.tracker.backends}
        rows = copies.rows_under_way(self._subscriber, backends)
        found = {}
        for worker in self._workers:
            # Small tables that are copied together are there sooner than anybody could look.
            reached = worker.tracker.reached(sum(rows.get(pid, 0) for pid in worker.tracker.backends))
            if reached is not None and len(worker.tables) == 1:
                found[worker.tables[0]] = reached
        return found
