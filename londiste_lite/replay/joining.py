"""Tables whose copies are done become part of the replay, at its position and in its transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from londiste_lite import event_queue, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import RegistrationChanged, ReplayError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import TableName
from londiste_lite.replay.batch import BatchRunner, Window
from londiste_lite.replay.held import HeldTables
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.replay.window import SMALL_GAP
from londiste_lite.snapshots import Snapshot
from londiste_lite.subscribed import RowCounts, Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.coordinator import CopyCoordinator

log = logging.getLogger(__name__)


class Joining:
    """Takes over the tables of one replay that are catching up; works between its batches."""

    def __init__(
        self,
        settings: ReplaySettings,
        provider: Database,
        queue: Queue,
        runner: BatchRunner,
        copies: CopyCoordinator,
        held: HeldTables,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._queue = queue
        self._runner = runner
        self._copies = copies
        self._held = held

    def turn(self, ready: Sequence[Subscribed], at: Tick) -> bool:
        """Take over those of the tables that are due, at the replay's position `at`; return whether there were any."""
        due = [table for table in ready if self._held.due(table, at)]
        for group in self._copies.together(due):
            self.join(group, at)
        return bool(due)

    def join(self, tables: Sequence[Subscribed], at: Tick) -> None:
        """Bring tables from their copies' snapshot to the replay's position, in one transaction, and take them over."""
        snapshot = tables[0].snapshot
        assert snapshot is not None
        copied, here = Snapshot.parse(snapshot), Snapshot.parse(at.snapshot)
        if self._distance(copied, at) > 2 * SMALL_GAP:
            self._copies.catch_up(tables)
            return
        # What the copies hold beyond the replay's position must not be applied a second time.
        ahead = None if here.covers(copied) else snapshot

        def finish(counts: dict[TableName, RowCounts]) -> None:
            moved = subscribed.set_states(self._runner.subscriber, self._queue.name, tables, TableState.OK, ahead)
            gone = [table.table for table in tables if table.table not in moved]
            if gone:
                raise RegistrationChanged(f'"{gone[0]}" does not join: its registration changed')
            subscribed.count_rows(self._runner.subscriber, self._queue.name, counts)

        claim = self._settings.copy_consumer if self._settings.may_be_parked else None
        window = Window(snapshot, at.snapshot, tables, {}, claim=claim)
        try:
            self._runner.run(window, finish, "join")
        except RegistrationChanged as reason:
            log.info("%s", reason.message)
            return
        except ReplayError as error:
            # The others join with the next turn.
            self._held.hold(error, tables, at)
            return
        for table in tables:
            log.info("%s is in sync", table.table)

    def _distance(self, copied: Snapshot, at: Tick) -> int:
        """About how many events lie between a copy's snapshot and the replay's position; 0 when it is ahead."""
        held = event_queue.position(self._provider, self._queue.name, self._settings.copy_consumer)
        if held is None:
            return 0
        tick = event_queue.first_tick_covering(self._provider, self._queue, held, copied)
        return 0 if tick is None or tick.id >= at.id else at.event_seq - tick.event_seq
