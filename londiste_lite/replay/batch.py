"""One batch: its events from the provider into the stage, from the stage into the tables, in one transaction."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from londiste_lite import claims, crash_points, event_queue, scripts, structure
from londiste_lite.db import Database, Row
from londiste_lite.errors import (
    ClaimReleased,
    ConnectionLost,
    DatabaseError,
    LondisteError,
    QueryCanceled,
    ReplayError,
    SchemaDrift,
)
from londiste_lite.event_queue import Queue
from londiste_lite.events import UnknownEvent
from londiste_lite.names import TableName
from londiste_lite.replay import fetch, ordered, stage
from londiste_lite.replay.apply import TRIPPED, BulkApply, ForeignKeyCycle, KeysRepeat, NotAlike, by_table
from londiste_lite.replay.catalog import Catalog
from londiste_lite.replay.fetch import EventWindow, RecordStream
from londiste_lite.replay.mapping import other_types
from londiste_lite.replay.parking import Failure, Parking, add_counts, of_a_row
from londiste_lite.replay.records import RecordRead, Unreadable
from londiste_lite.replay.stage import Group
from londiste_lite.snapshots import Snapshot
from londiste_lite.subscribed import RowCounts, Subscribed

log = logging.getLogger(__name__)

# Not the event's fault: the same batch will go through when it is tried again.
TRANSIENT = frozenset({"40001", "40P01", "55P03", "57014", "53100", "53200", "53300", "25P03", "25P04"})


# A table gets a stream of its own when it has that many events and that share of the batch, or is alone in it.
LEAST_STREAMED = 1000
MOST_STREAMS = 8
# Batches that only went through when their events were staged as text, until all are.
MOST_LINE_FAILURES = 3
# Of a text that is not of its type, see `RecordRead.guard`.
NOT_A_NUMBER = "22P02"


@dataclass(frozen=True)
class Window:
    """What a batch covers: events that `end` sees and `start` does not, of `tables`.

    `after` names tables whose copy holds what its snapshot (text form) sees already. `with_scripts` tells that scripts
    of `provider execute` run at their places; the row changes of their transactions are then left out. `scripts` are
    the transactions that ran any, None when nobody looked. `claim` names a consumer without which the queue may forget
    the events while they are read. Up to `few` are read as rows; `sample` tells that they are many, and may be of one
    kind; `events` are all of them, of these tables and others, where they were read already.
    """

    start: str
    end: str
    tables: Sequence[Subscribed]
    after: Mapping[TableName, str]
    with_scripts: bool = False
    claim: str | None = None
    scripts: Sequence[int] | None = None
    few: int = 0
    sample: bool = False
    events: Sequence[Row] | None = None


@contextlib.contextmanager
def _unknown_named() -> Iterator[None]:
    """Turn an event that no capture trigger writes into a ReplayError."""
    try:
        yield
    except UnknownEvent as error:
        raise ReplayError(
            f"the queue holds an event that no capture trigger writes: {error}",
            hint="Something else inserts into this queue; give it a queue of its own.",
        ) from error


class _Unexpected(LondisteError):
    """a row is there that was taken to be new"""


class BatchRunner:
    """Runs batches over one pair of connections.

    `mode` is `bulk` or `ordered`, `park` lets events that cannot be applied wait aside, `node` is this subscriber's
    routing target or None, `checks_fire` tells that foreign keys are checked because the role may not switch them off.
    """

    def __init__(
        self,
        provider: Database,
        subscriber: Database,
        queue: Queue,
        *,
        mode: str = "bulk",
        park: bool = False,
        node: str | None = None,
        checks_fire: bool = False,
        before_scripts: Callable[[], None] | None = None,
    ) -> None:
        self._before_scripts = before_scripts
        self._provider = provider
        self.subscriber = subscriber
        self._queue = queue
        self._mode = mode
        self._reader = claims.reader(provider, queue.name, node)
        self._catalog = Catalog(provider, subscriber)
        self._bulk = BulkApply(subscriber, self._catalog, checks_fire=checks_fire)
        self._park = park
        self._parking = Parking(subscriber, self._catalog, queue.name, park=park)
        self._read_lines = True
        self._lines_used = False
        self._line_failures = 0
        self._unreadable: set[TableName] = set()
        self._unlike = 0
        self._failures, self._cut = 0, False
        stage.prepare(subscriber)

    def run(
        self, window: Window, finish: Callable[[dict[TableName, RowCounts]], None], point: str = "batch"
    ) -> dict[TableName, RowCounts]:
        """Apply one window; `finish` runs in the same transaction with the counts and stores the position.

        When a batch fails, what is cached of the tables is forgotten and it is tried once more with all events staged,
        piece by piece if it must be, which finds the events that cannot be applied. Raises ReplayError that names the
        first of them unless they are parked; SchemaDrift, ConnectionLost, or DatabaseError.
        """
        # To hear of the errors of a few rows by themselves costs a round trip of its own.
        self._bulk.trusts = bool(window.few)
        while True:
            try:
                return self._try_twice(window, finish, point)
            except Unreadable as found:
                self._catalog.forget()
                self._unreadable.add(found.table)
                log.debug("%s: its events are staged as text", found)
            except _Unexpected as found:
                self._bulk.trusts = False
                log.debug("not all rows are new: %s", found)

    def _try_twice(
        self, window: Window, finish: Callable[[dict[TableName, RowCounts]], None], point: str
    ) -> dict[TableName, RowCounts]:
        warm = self._catalog.warm
        self._read_lines = self._line_failures < MOST_LINE_FAILURES
        self._failures, self._cut = 0, False
        lines_failed = self._lines_used = False
        for searching in (False, True):
            try:
                counts = self._attempt(window, finish, point, searching=searching)
            except (SchemaDrift, DatabaseError) as error:
                self._catalog.forget()
                if self._bulk.trusts and isinstance(error, DatabaseError) and error.sqlstate in TRIPPED:
                    raise _Unexpected(error.message) from error
                self._bulk.trusts = False
                if isinstance(error, ConnectionLost | QueryCanceled):
                    raise
                if isinstance(error, DatabaseError) and error.sqlstate in TRANSIENT:
                    raise
                if searching or (isinstance(error, SchemaDrift) and not warm and not self._lines_used):
                    raise
                lines_failed, self._read_lines = self._lines_used, False
                self._cut = isinstance(error, DatabaseError) and of_a_row(error)
                log.info("batch failed (%s), trying again piece by piece", error)
            except BaseException:
                self._catalog.forget()
                raise
            else:
                if self._lines_used or (lines_failed and not self._failures):
                    self._line_failures = self._line_failures + 1 if lines_failed else 0
                return counts
        raise AssertionError("a batch is tried twice")

    def apply_parked(self, tables: Mapping[TableName, Subscribed]) -> dict[TableName, RowCounts]:
        """Apply events that were brought back into the stage, in the caller's transaction; what is refused is parked.

        Raises SchemaDrift, DatabaseError.
        """
        self._bulk.trusts = False
        waiting = {name: replace(table, parked=0) for name, table in tables.items()}
        return self._apply_staged(waiting, searching=True)

    def _attempt(
        self, window: Window, finish: Callable[[dict[TableName, RowCounts]], None], point: str, *, searching: bool
    ) -> dict[TableName, RowCounts]:
        tables = {s.table: s for s in window.tables}
        with self.subscriber.transaction():
            counts: dict[TableName, RowCounts] = {}
            scripts_of = self._script_transactions(window)
            if scripts_of:
                counts = self._apply_with_scripts(window, scripts_of, point, searching=searching)
            elif tables:
                counts = self._apply_rows(window, point, searching=searching)
            # After everything was read: while the claim is there the queue has kept all of it.
            if window.claim and event_queue.position(self._provider, self._queue.name, window.claim) is None:
                raise ClaimReleased
            finish(counts)
            crash_points.reached(f"{point}-applied")
        crash_points.reached(f"{point}-committed")
        return counts

    def _apply_with_scripts(
        self, window: Window, scripts_of: Sequence[int], point: str, *, searching: bool
    ) -> dict[TableName, RowCounts]:
        """Stage all events, and apply what lies between the scripts."""
        tables = {s.table: s for s in window.tables}
        counts: dict[TableName, RowCounts] = {}
        if not self._stage(self._events(window), list(tables), scripts_of):
            return counts
        crash_points.reached(f"{point}-staged")
        waiting = stage.staged_scripts(self.subscriber)
        if waiting and self._before_scripts is not None:
            self._before_scripts()
        for script in waiting:
            stage.hold_back(self.subscriber, script.event_id)
            add_counts(counts, self._apply_staged(tables, searching=searching))
            scripts.replay(self.subscriber, self._queue.name, script)
            self._catalog.forget()
            stage.bring_back(self.subscriber)
        add_counts(counts, self._apply_staged(tables, searching=searching))
        return counts

    def _apply_rows(self, window: Window, point: str, *, searching: bool) -> dict[TableName, RowCounts]:
        """Apply a window without scripts: large tables as lines of CSV, the others through the stage."""
        tables = {s.table: s for s in window.tables}
        if window.events is not None and not window.after:
            names = {str(name) for name in tables}
            at_hand = [row for row in window.events if row[1] in names]
            return self._apply_few(at_hand, tables, point, searching=searching)
        found = self._events(window)
        if window.few:
            rows = fetch.few(self._provider, found.select(list(tables), stage.EVENT_COLUMNS), window.few)
            if rows is not None:
                return self._apply_few(rows, tables, point, searching=searching)
        if window.sample and self._mode == "bulk" and self._read_lines:
            counts = self._apply_alike(found, tables, point)
            if counts is not None:
                return counts
        with _unknown_named():
            groups = stage.groups_of(self._provider, f"({found.select(list(tables), stage.GROUP_COLUMNS)})")
        if not groups:
            return {}
        reads = self._record_reads(groups, tables) if self._mode == "bulk" and self._read_lines else {}
        self._lines_used = bool(reads)
        staged = [name for name in by_table(groups) if name not in reads]
        if staged:
            self._stage(found, staged)
        crash_points.reached(f"{point}-staged")
        if not reads:
            return self._apply_staged(tables, searching=searching, groups=groups)
        if self._parking.divert([g for g in groups if g.table in staged], tables):
            groups = [g for g in groups if g.table in reads] + stage.groups(self.subscriber)
        try:
            stream = RecordStream(self._provider, self.subscriber, found)
            return self._bulk.apply(groups, tables, reads, stream)
        except ForeignKeyCycle:
            log.debug("foreign keys form a circle, applying event by event")
            self._stage(found, list(reads))
        return ordered.apply(self.subscriber, self._catalog, groups, tables)

    def _apply_alike(
        self, found: EventWindow, tables: Mapping[TableName, Subscribed], point: str
    ) -> dict[TableName, RowCounts] | None:
        """Apply row changes that are all of one table without counting them first; None when they are not.

        A sample tells what they seem to be, and each is looked at when it is read.
        """
        if self._unlike >= MOST_LINE_FAILURES or found.reader is not None:
            return None
        with _unknown_named():
            groups = stage.alike(self._provider, found.sample(list(tables), stage.GROUP_COLUMNS))
        if not groups or not self._travels_as_lines(tables[groups[0].table]):
            return None
        table = groups[0].table
        read = self._catalog.record_read(self._catalog.target(tables[table]), groups)
        if read is None:
            return None
        crash_points.reached(f"{point}-staged")
        stream = RecordStream(self._provider, self.subscriber, found, list(tables))
        guarded = {table: replace(read, guard=stage.is_like(groups))}
        self._lines_used = True
        marked = self._catalog.mark()
        try:
            with self.subscriber.savepoint("londiste_alike"):
                counts = self._bulk.apply(groups, tables, guarded, stream)
        except (DatabaseError, NotAlike) as error:
            if isinstance(error, DatabaseError) and error.sqlstate != NOT_A_NUMBER:
                raise
            self._catalog.reset(marked)
            if not isinstance(error, KeysRepeat):
                self._unlike += 1
            self._lines_used = False
            log.debug("not all events are like those that were looked at: %s", error)
            return None
        self._unlike = 0
        return counts

    def _apply_few(
        self, rows: Sequence[Row], tables: Mapping[TableName, Subscribed], point: str, *, searching: bool
    ) -> dict[TableName, RowCounts]:
        """Apply a few events that were read as rows: what COPY saves per row is less than what its round trips cost."""
        if not rows:
            return {}
        with _unknown_named():
            groups = stage.groups_among(rows)
        stage.put(self.subscriber, rows)
        crash_points.reached(f"{point}-staged")
        return self._apply_staged(tables, searching=searching, groups=groups)

    def _record_reads(
        self, groups: Sequence[Group], tables: Mapping[TableName, Subscribed]
    ) -> dict[TableName, RecordRead]:
        """Return the tables that are worth a stream of their own, and whose events travel as lines."""
        total = sum(g.count for g in groups)
        reads: dict[TableName, RecordRead] = {}
        for name, members in by_table(groups).items():
            count = sum(g.count for g in members)
            if count < total and (count < LEAST_STREAMED or count * MOST_STREAMS < total):
                continue
            if not self._travels_as_lines(tables[name]):
                continue
            read = self._catalog.record_read(self._catalog.target(tables[name]), members)
            if read is not None:
                reads[name] = read
        return reads

    def _travels_as_lines(self, table: Subscribed) -> bool:
        """Whether a table's events may go past the stage: not where some of them have to wait."""
        return not table.parked and table.table not in self._unreadable

    def _apply_staged(
        self, tables: Mapping[TableName, Subscribed], *, searching: bool, groups: Sequence[Group] | None = None
    ) -> dict[TableName, RowCounts]:
        """Apply what is in the stage; `searching` finds what cannot be applied, and parks it or raises its name."""
        with _unknown_named():
            groups = stage.groups(self.subscriber) if groups is None else groups
        if self._parking.divert(groups, tables):
            groups = stage.groups(self.subscriber)

        def apply(found: Sequence[Group], mode: str) -> dict[TableName, RowCounts]:
            return self._apply_groups(found, mode, tables)

        if not searching:
            return self._apply_or_name(groups, apply, tables)
        counts, failures = self._parking.sift(tables, apply, self._mode, cut=self._cut)
        self._failures += len(failures)
        if failures and not self._park:
            raise self._first_failure(failures[0], tables) from failures[0].error
        self._parking.park(failures)
        return counts

    def _apply_or_name(
        self,
        groups: Sequence[Group],
        apply: Callable[[Sequence[Group], str], dict[TableName, RowCounts]],
        tables: Mapping[TableName, Subscribed],
    ) -> dict[TableName, RowCounts]:
        """Apply what is staged; where that tells by itself which event cannot be, it is not searched for again."""
        if self._park or self._mode != "ordered":
            return apply(groups, self._mode)
        try:
            with self.subscriber.savepoint("londiste_whole"):
                return apply(groups, self._mode)
        except DatabaseError as error:
            failure = self._parking.named(tables, error)
            if failure is None:
                raise
            raise self._first_failure(failure, tables) from error

    def _apply_groups(
        self, groups: Sequence[Group], mode: str, tables: Mapping[TableName, Subscribed]
    ) -> dict[TableName, RowCounts]:
        if not groups:
            return {}
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
        found = window.scripts
        if found is None:
            found = scripts.transactions_between(self._provider, self._queue.name, start.xmin, end.xmax)
        return [txid for txid in found if end.sees(txid) and not start.sees(txid)]

    def _events(self, window: Window) -> EventWindow:
        start, end = Snapshot.parse(window.start), Snapshot.parse(window.end)
        return EventWindow(self._queue.event_table, start, end, window.after, self._reader)

    def _stage(self, found: EventWindow, tables: Sequence[TableName], scripts_of: Sequence[int] = ()) -> int:
        """Stream events into the stage; return how many there are."""
        select = found.select(tables, stage.EVENT_COLUMNS, scripts=scripts_of)
        return fetch.pump(self._provider, f"copy ({select}) to stdout", self.subscriber, stage.COPY_IN)

    def _first_failure(self, failure: Failure, tables: Mapping[TableName, Subscribed]) -> ReplayError:
        """Return the error that stops the replay: the event's, or that its column should have another type."""
        found = failure.as_error()
        narrow: list[str] = []
        if (failure.error.sqlstate or "").startswith("22"):
            here = structure.find_table(self.subscriber, tables[failure.table].local)
            there = structure.find_table(self._provider, failure.table)
            narrow = other_types(here, there) if here is not None and there is not None else []
        if not narrow:
            return found
        return SchemaDrift(
            found.message,
            hint=f"Run on the subscriber: {' '.join(narrow)}",
            table=found.table,
            event_id=found.event_id,
            key=found.key,
            sqlstate=found.sqlstate,
        )
