"""Tables that wait for the subscriber's schema: taken out of the replay, looked at now and then, let in again.

A held table is in the state `catching-up`: it stays at its snapshot, the queue keeps its events, and it joins as a
copied table does once its definition fits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from londiste_lite import foreign_keys, structure, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import ReplayError, SchemaDrift
from londiste_lite.event_queue import Tick
from londiste_lite.names import TableName
from londiste_lite.snapshots import Snapshot
from londiste_lite.structure import Table
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState

log = logging.getLogger(__name__)

# Seconds between two looks at a held table's definitions, and until it is tried although nothing has changed: for
# reasons that a definition does not show, such as a missing cast, and for a row that cannot be applied.
LOOK_SECONDS = 2.0
TRY_SECONDS = 60.0
TRY_ROW_SECONDS = 5.0


@dataclass
class _Looked:
    """What a held table looked like on both sides before it was last tried, None when that is not known; times are
    monotonic seconds."""

    definitions: tuple[Table | None, Table | None] | None
    look_at: float
    try_at: float


class HeldTables:
    """The held tables of one replay; works between its batches."""

    def __init__(
        self,
        provider: Database,
        subscriber: Database,
        queue: str,
        *,
        keep_events: Callable[[Tick], None],
        checks_fire: bool,
        lock_timeout: float,
        give_way: Callable[[TableName], None],
    ) -> None:
        self._provider = provider
        self._subscriber = subscriber
        self._queue = queue
        self._keep_events = keep_events
        self._checks_fire = checks_fire
        self._lock_timeout = lock_timeout
        self._give_way = give_way
        self._looked: dict[TableName, _Looked] = {}

    def hold(self, reason: ReplayError, tables: Sequence[Subscribed], at: Tick) -> None:
        """Take the tables that an error names out of the replay, which stands at tick `at`.

        Raises the error itself when it names none of `tables`.
        """
        found: list[ReplayError] = [reason]
        if isinstance(reason, SchemaDrift):
            found += reason.others
        known = {str(table.table): table for table in tables}
        named = [(known[error.table], error) for error in found if error.table in known]
        if not named:
            raise reason
        self._keep_events(at)
        for table, error in named:
            self._hold_one(table, error, at)

    def _hold_one(self, table: Subscribed, error: ReplayError, at: Tick) -> None:
        text = f"{error.message}. {error.hint}" if error.hint else error.message
        snapshot = None
        if table.state is TableState.OK:
            # A copy that was ahead of the replay: the table holds what either of the two sees.
            ahead = Snapshot.parse(table.snapshot) if table.snapshot is not None else None
            here = Snapshot.parse(at.snapshot)
            snapshot = str(here if ahead is None else here.union(ahead))
        gone = error.gone_oid if isinstance(error, SchemaDrift) else None
        if gone == 0 and table.held_oid is not None:
            gone = table.held_oid
        if self._checks_fire and table.state is TableState.OK:
            # Rows of other tables may refer to rows that this table does not get for now. Before it is held, for a lock
            # that is not granted has all of this done again.
            self._give_way(table.local)
            foreign_keys.drop_for_copy(self._subscriber, table.local, self._lock_timeout)
        subscribed.hold(self._subscriber, self._queue, table.table, text, snapshot=snapshot, oid=gone)
        if text != table.held:
            hint = f" Hint: {error.hint}" if error.hint else ""
            log.error("%s is held, other tables go on: %s.%s", table.table, error.message.rstrip("."), hint)
        now = time.monotonic()
        wait = TRY_SECONDS if isinstance(error, SchemaDrift) else TRY_ROW_SECONDS
        before = None if table.state is TableState.OK else self._looked.get(table.table)
        self._looked[table.table] = _Looked(before.definitions if before else None, now + LOOK_SECONDS, now + wait)

    def due(self, table: Subscribed, at: Tick) -> bool:
        """Tell whether a table that is catching up should be tried; a held one only when there is hope."""
        if table.held is None:
            self._looked.pop(table.table, None)
            return True
        if table.snapshot == at.snapshot:
            return False  # what does not fit comes with the replay's next batch, which goes on without the table
        now = time.monotonic()
        looked = self._looked.get(table.table)
        if looked is not None and now < looked.look_at:
            return False
        definitions = self._definitions(table)
        if table.held_oid is not None and definitions[0] is not None and definitions[0].oid != table.held_oid:
            log.info("%s is there again as another table; it is copied anew", table.table)
            subscribed.set_state(self._subscriber, self._queue, table, TableState.MISSING)
            return False
        if looked is not None and looked.definitions == definitions and now < looked.try_at:
            looked.look_at = now + LOOK_SECONDS
            return False
        # Read before the try, so that a change in the meantime is noticed at the next look.
        self._looked[table.table] = _Looked(definitions, now + LOOK_SECONDS, now + TRY_SECONDS)
        return True

    def _definitions(self, table: Subscribed) -> tuple[Table | None, Table | None]:
        found = (
            structure.find_table(self._subscriber, table.local),
            structure.find_table(self._provider, table.table),
        )
        here, there = (replace(one, estimated_rows=0.0) if one is not None else None for one in found)
        return here, there
