"""Loading several small tables at once: one moment of the provider, one transaction on the subscriber.

A small table's rows cost less than the questions and commits around them, so these are asked and made for all of them
together. Only what is plain comes along: small on the provider, empty on the subscriber, free of locks, and with
columns that fit. Everything else is left to `load`, table by table, which also tells what is wrong with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from londiste_lite import copies, crash_points, dropped_indexes, published, structure, subscribed
from londiste_lite.errors import RegistrationChanged, SchemaDrift, StopRequested
from londiste_lite.event_queue import Queue
from londiste_lite.names import TableName
from londiste_lite.replay import fetch
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.structure import Table
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy import formats, plan, stream
from londiste_lite.tablecopy.connections import Sides
from londiste_lite.tablecopy.stream import CopySql

log = logging.getLogger(__name__)

# Of one table with its long values, on the provider.
SMALL_BYTES = 1 << 20
# Milliseconds that a lock on one of the subscriber's tables is waited for while others are held: less than the server's
# deadlock_timeout, so that nobody else's transaction is ended for this one.
LOCK_MILLISECONDS = 200


@dataclass(frozen=True)
class _Plain:
    """A table that can come along, and how its rows travel."""

    wanted: Subscribed
    source: Table
    target: Table
    sql: CopySql


class LoadTogether:
    """Loads tables that are in state IN_COPY and of which nothing was loaded before; those that came along are then
    CATCHING_UP, in the transaction that loads them all. `cancelled` says that the copy is to be given up."""

    def __init__(
        self,
        settings: ReplaySettings,
        wanted: Sequence[Subscribed],
        queue: Queue,
        sides: Sides,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._queue = queue
        self._provider, self._subscriber = sides.provider, sides.subscriber
        self._cancelled = cancelled

    def run(self) -> list[Subscribed]:
        """Load; return the tables that came along, as they are stored now.

        Raises DatabaseError for whatever one of them is refused for, and RegistrationChanged when somebody moved one of
        them meanwhile; nothing is loaded then.
        """
        sources = structure.find_tables(self._provider, [one.table for one in self._wanted])
        if not sources:
            return []
        with self._provider.transaction("begin isolation level repeatable read, read only"):
            # Before the snapshot, see `load`. Not waiting, for a wait would keep others from those that are locked.
            locked = ", ".join(table.target for table in sources.values())
            self._provider.script(f"lock table {locked} in access share mode nowait")
            snapshot = str(self._provider.run("select pg_catalog.txid_current_snapshot()::text")[0][0])
            found = self._plain(sources)
            crash_points.reached("copy-started")
            with self._subscriber.transaction():
                self._subscriber.later(f"set local lock_timeout = '{LOCK_MILLISECONDS}ms'")
                found = self._empty(found)
                rows = {one.wanted.table: self._load(one) for one in found}
                crash_points.reached("copy-loaded")
                if found:
                    self._hand_over([one.wanted for one in found], snapshot)
        crash_points.reached("copy-committed")
        for table, count in rows.items():
            log.info("copied %s: %d rows, one of %d tables copied together", table, count, len(rows))
        return [replace(one.wanted, state=TableState.CATCHING_UP, snapshot=snapshot) for one in found]

    def _plain(self, sources: dict[TableName, Table]) -> list[_Plain]:
        """Return the tables that may come along, by the provider's transaction and the subscriber's catalog."""
        provider, subscriber = self._provider, self._subscriber
        targets = structure.find_tables(subscriber, [one.local for one in self._wanted])
        sizes = plan.sizes(provider, list(sources.values()))
        waiting = {index.table for index in dropped_indexes.pending(subscriber)}
        small = [
            one
            for one in self._wanted
            if sizes.get(one.table, SMALL_BYTES + 1) <= SMALL_BYTES and one.local in targets.keys() - waiting
        ]
        if not small:
            return []
        known = published.find_tables(provider, self._queue.name, [one.table for one in small])
        left = formats.sent(provider, [sources[one.table] for one in small])
        right = formats.sent(subscriber, [targets[one.local] for one in small])
        found = []
        for one in small:
            source, target = sources[one.table], targets[one.local]
            route = known[one.table].route if one.table in known else None
            condition = stream.condition_of(one, route, self._settings.node)
            try:
                sql = stream.typed_sql(source, target, condition, left[one.table], right[one.local])
            except SchemaDrift as drift:
                log.debug("%s does not come along: %s", one.table, drift)
                continue
            found.append(_Plain(one, source, target, sql))
        return found

    def _empty(self, found: list[_Plain]) -> list[_Plain]:
        """Leave out the tables that hold rows, unless they are to keep them."""
        if not found:
            return []
        listed = ", ".join(f"exists (select from {one.target.target})" for one in found)
        full = self._subscriber.run(f"select array[{listed}]")[0][0]
        return [one for one, holds in zip(found, full, strict=True) if one.wanted.skip_truncate or not holds]

    def _load(self, one: _Plain) -> int:
        if self._cancelled():
            raise StopRequested("the copy of several small tables was given up")
        out = one.sql.out(one.source.target)
        return fetch.pump(self._provider, out, self._subscriber, one.sql.into(one.target.name.quoted))

    def _hand_over(self, tables: Sequence[Subscribed], snapshot: str) -> None:
        """At the end, and before the copies' own rows, in the order of `load`."""
        moved = subscribed.set_states(self._subscriber, self._queue.name, tables, TableState.CATCHING_UP, snapshot)
        if len(moved) < len(tables):
            raise RegistrationChanged("the copy of several small tables was given up: a registration changed")
        copies.end(self._subscriber, self._queue.name, *(one.table for one in tables))
