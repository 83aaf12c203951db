"""One batch: its events from the provider into the stage, from the stage into the tables, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from londiste_lite import crash_points, scripts
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, QueryCanceled, ReplayError, SchemaDrift
from londiste_lite.event_queue import Queue
from londiste_lite.events import UnknownEvent
from londiste_lite.names import TableName
from londiste_lite.replay import fetch, ordered, stage
from londiste_lite.replay.apply import BulkApply, ForeignKeyCycle
from londiste_lite.replay.catalog import Catalog
from londiste_lite.snapshots import Snapshot
from londiste_lite.subscribed import RowCounts, Subscribed

log = logging.getLogger(__name__)

# Not the event's fault: the same batch will go through when it is tried again.
TRANSIENT = frozenset({"40001", "40P01", "55P03", "57014", "53100", "53200", "53300", "25P03", "25P04"})


@dataclass(frozen=True)
class Window:
    """What a batch covers: events that `end` sees and `start` does not, of `tables`.

    `after` names tables whose copy holds what its snapshot (text form) sees already. `with_scripts` tells that scripts
    of `provider execute` run at their places; the row changes of their transactions are then left out.
    """

    start: str
    end: str
    tables: Sequence[Subscribed]
    after: Mapping[TableName, str]
    with_scripts: bool = False


def _add(total: dict[TableName, RowCounts], more: dict[TableName, RowCounts]) -> None:
    """Add counts to counts."""
    for name, counts in more.items():
        found = total.setdefault(name, RowCounts())
        found.inserted += counts.inserted
        found.updated += counts.updated
        found.deleted += counts.deleted
        found.conflicts += counts.conflicts


class BatchRunner:
    """Runs batches over one pair of connections.

    `mode` is `bulk` or `ordered`, `node` this subscriber's routing target or None, `checks_fire` tells that foreign
    keys are checked because the role may not switch them off.
    """

    def __init__(
        self,
        provider: Database,
        subscriber: Database,
        queue: Queue,
        *,
        mode: str = "bulk",
        node: str | None = None,
        checks_fire: bool = False,
        before_scripts: Callable[[], None] | None = None,
    ) -> None:
        self._before_scripts = before_scripts
        self._provider = provider
        self.subscriber = subscriber
        self._queue = queue
        self._mode = mode
        self._node = node
        self._catalog = Catalog(provider, subscriber)
        self._bulk = BulkApply(subscriber, self._catalog, checks_fire=checks_fire)
        stage.prepare(subscriber)

    def run(
        self, window: Window, finish: Callable[[dict[TableName, RowCounts]], None], point: str = "batch"
    ) -> dict[TableName, RowCounts]:
        """Apply one window; `finish` runs in the same transaction with the counts and stores the position.

        When the set-based way fails, what is cached of the tables is forgotten and it is tried once more, then event
        by event, which names the culprit. Raises ReplayError for it, SchemaDrift, ConnectionLost, or DatabaseError.
        """
        modes = [self._mode] if self._mode == "ordered" else ["bulk", "bulk", "ordered"]
        if not self._catalog.warm:
            modes = modes[-2:] if len(modes) > 1 else modes
        while True:
            mode = modes.pop(0)
            try:
                return self._attempt(window, finish, mode, point)
            except (SchemaDrift, DatabaseError) as error:
                self._catalog.forget()
                if isinstance(error, ConnectionLost | QueryCanceled):
                    raise
                if isinstance(error, DatabaseError) and error.sqlstate in TRANSIENT:
                    raise
                if not modes or (isinstance(error, SchemaDrift) and modes == ["ordered"]):
                    raise self._named(error, mode) from error
                log.info("batch failed (%s), trying again %s", error, "event by event" if len(modes) == 1 else "afresh")
            except BaseException:
                self._catalog.forget()
                raise

    def _attempt(
        self, window: Window, finish: Callable[[dict[TableName, RowCounts]], None], mode: str, point: str
    ) -> dict[TableName, RowCounts]:
        tables = {s.table: s for s in window.tables}
        with self.subscriber.transaction():
            counts: dict[TableName, RowCounts] = {}
            scripts_of = self._script_transactions(window)
            if (tables or scripts_of) and self._load(window, scripts_of):
                crash_points.reached(f"{point}-staged")
                waiting = stage.staged_scripts(self.subscriber) if scripts_of else []
                if waiting and self._before_scripts is not None:
                    self._before_scripts()
                for script in waiting:
                    stage.hold_back(self.subscriber, script.event_id)
                    _add(counts, self._apply_staged(mode, tables))
                    scripts.replay(self.subscriber, self._queue.name, script)
                    self._catalog.forget()
                    stage.bring_back(self.subscriber)
                _add(counts, self._apply_staged(mode, tables))
            finish(counts)
            crash_points.reached(f"{point}-applied")
        crash_points.reached(f"{point}-committed")
        return counts

    def _apply_staged(self, mode: str, tables: dict[TableName, Subscribed]) -> dict[TableName, RowCounts]:
        """Apply what is in the stage."""
        try:
            groups = stage.groups(self.subscriber)
        except UnknownEvent as error:
            raise ReplayError(
                f"the queue holds an event that no capture trigger writes: {error}",
                hint="Something else inserts into this queue; give it a queue of its own.",
            ) from error
        if mode == "bulk":
            try:
                return self._bulk.apply(groups, tables)
            except ForeignKeyCycle:
                log.debug("foreign keys form a circle, applying event by event")
        return ordered.apply(self.subscriber, self._catalog, groups, tables)

    def _script_transactions(self, window: Window) -> list[int]:
        """Return the transactions of the window that ran scripts."""
        if not window.with_scripts:
            return []
        start, end = Snapshot.parse(window.start), Snapshot.parse(window.end)
        found = scripts.transactions_between(self._provider, self._queue.name, start.xmin, end.xmax)
        return [txid for txid in found if end.sees(txid) and not start.sees(txid)]

    def _load(self, window: Window, scripts_of: Sequence[int]) -> int:
        """Stream the window's events into the stage; return how many there are."""
        start, end = Snapshot.parse(window.start), Snapshot.parse(window.end)
        conditions = fetch.table_conditions([s.table for s in window.tables], window.after, self._node, scripts_of)
        select = fetch.events_between(self._queue.event_table, start, end, conditions, stage.EVENT_COLUMNS)
        return fetch.pump(self._provider, f"copy ({select}) to stdout", self.subscriber, stage.COPY_IN)

    def _named(self, error: DatabaseError | SchemaDrift, mode: str) -> ReplayError | DatabaseError:
        if isinstance(error, SchemaDrift):
            return error
        if mode != "ordered" or not error.column or not error.column.isdigit():
            return error
        event_id = int(error.column)
        key = f" ({error.detail})" if error.detail else ""
        return ReplayError(
            f'event {event_id} of table "{error.table}" cannot be applied: {error.message}{key}',
            hint="Repair the row or the table on the subscriber; replay tries again by itself.",
            table=error.table,
            event_id=event_id,
            sqlstate=error.sqlstate,
        )
