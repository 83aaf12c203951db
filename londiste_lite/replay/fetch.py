"""From the provider to the stage: the events between two snapshots stream from COPY into COPY.

No event passes through Python code by itself: the driver moves buffers, a pipe and a thread join the two sides. Only a
few events, where round trips are all that counts, are read as rows.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from londiste_lite.claims import Reader
from londiste_lite.db import Database, Row
from londiste_lite.errors import LondisteError
from londiste_lite.names import QualifiedName, TableName, quote_array, quote_literal
from londiste_lite.replay.records import MOST_HELD, TO_LINES, RecordLines, RecordRead, Unreadable
from londiste_lite.snapshots import Snapshot

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PIPE_SIZE = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux; fcntl.F_SETPIPE_SZ is only known to Python 3.10 and later builds with the header
_LONGEST_SEARCH = 1000
_READS_PER_CANCEL = 64
# How long events may be together, in bytes, that are read as rows.
_FEW_BYTES = 1 << 20
_SAMPLED_PAGES = 200


def events_between(
    event_table: str,
    start: Snapshot,
    end: Snapshot,
    conditions: Sequence[str],
    columns: str,
    reader: Reader | None = None,
    sample: str = "",
) -> str:
    """Return a SELECT of the events that `end` sees and `start` does not; `reader` None takes those of every node.

    `sample` is a TABLESAMPLE clause.

    An event belongs to the batch in which its transaction became visible. Transactions that began after `start` are
    found by a range of the index on ev_txid; those that were in progress in `start` and are done in `end` by number.
    """
    source = QualifiedName.parse(event_table).quoted + sample
    also = "".join(f" and {condition}" for condition in ("ev_owner is null", *conditions))
    unfinished = sorted(txid for txid in end.in_progress if txid >= start.xmax)
    but = f" and ev_txid <> all ({_bigints(unfinished)})" if unfinished else ""
    pieces = _select(columns, source, start.xmax, end.xmax, but + also, reader)
    finished = sorted(txid for txid in start.in_progress if end.sees(txid))
    for first in range(0, len(finished), _LONGEST_SEARCH):
        pieces += _select_of(columns, source, finished[first : first + _LONGEST_SEARCH], also, reader)
    return " union all ".join(pieces)


def events_after(
    event_table: str, start: Snapshot, conditions: Sequence[str], columns: str, reader: Reader | None = None
) -> str:
    """Return a SELECT of the events that are visible now and that `start` does not see; `reader` as above."""
    source = QualifiedName.parse(event_table).quoted
    also = "".join(f" and {condition}" for condition in ("ev_owner is null", *conditions))
    pieces = _select(columns, source, start.xmax, None, also, reader)
    if start.in_progress:
        pieces += _select_of(columns, source, sorted(start.in_progress), also, reader)
    return " union all ".join(pieces)


def _select(columns: str, source: str, low: int, high: int | None, also: str, reader: Reader | None) -> list[str]:
    """Return SELECTs of the events of transactions from `low` up to, and without, `high`."""
    ranged = f"ev_txid >= {low}" + ("" if high is None else f" and ev_txid < {high}")
    return [
        f"select {columns} from {source} where {_range(target, low, high) if indexed else ranged}{condition}{also}"
        for target, condition, indexed in _targets(reader)
    ]


def _select_of(columns: str, source: str, txids: Sequence[int], also: str, reader: Reader | None) -> list[str]:
    """Return SELECTs of the events of these transactions, given in order."""
    listed = f"ev_txid = any ({_bigints(txids)})"
    return [
        f"select {columns} from {source} where "
        f"{_range(target, txids[0], txids[-1] + 1) + ' and ' if indexed else ''}{listed}{condition}{also}"
        for target, condition, indexed in _targets(reader)
    ]


def _targets(reader: Reader | None) -> list[tuple[str, str, bool]]:
    """Return the targets to read, each as value in the index, condition, and whether the index is there."""
    if reader is None:
        return [("", "", False)]
    return [
        ("", " and ev_extra3 is null", reader.indexed),
        (reader.node, f" and ev_extra3 = {quote_literal(reader.node)}", reader.indexed),
    ]


def _range(target: str, low: int, high: int | None) -> str:
    """Return the part of the node index for one target and a range of transactions.

    Compared as rows, for which no other index will do: by `ev_txid` alone the planner would, once it believes that few
    events are that new, have every node read the events of all.
    """
    found = []
    for sign, txid in ((">=", low), ("<", high)):
        pair = f"({quote_literal(target)}, {txid}::pg_catalog.int8)" if txid is not None else ""
        if txid is None:
            found.append(f"coalesce(ev_extra3, '') <= {quote_literal(target)}")
        else:
            found.append(f"(coalesce(ev_extra3, ''), ev_txid) {sign} {pair}")
    return " and ".join(found)


def _bigints(values: Sequence[int]) -> str:
    return quote_literal("{" + ",".join(str(v) for v in values) + "}") + "::pg_catalog.int8[]"


def table_conditions(
    wanted: Sequence[TableName], after: Mapping[TableName, str], scripts: Sequence[int] = ()
) -> list[str]:
    """Return the conditions that keep a batch to `wanted` tables.

    `after` names tables whose copy already holds what its snapshot (text form) sees.
    `scripts` are transactions that ran scripts: of theirs the script is taken and not the rows it changed.
    """
    # An array is taken apart for each event.
    listed = f"any ({quote_array([str(name) for name in wanted])})"
    found = [f"ev_extra1 = {quote_literal(str(wanted[0])) if len(wanted) == 1 else listed}"]
    if scripts:
        rows = f"{found[0]} and ev_txid <> all ({_bigints(scripts)})"
        found = [f"(ev_type = 'EXECUTE' or ({rows}))"]
    for name, snapshot in after.items():
        seen = f"pg_catalog.txid_visible_in_snapshot(ev_txid, {quote_literal(snapshot)}::pg_catalog.txid_snapshot)"
        found.append(f"not (ev_extra1 = {quote_literal(str(name))} and {seen})")
    return found


@dataclass(frozen=True)
class RecordStream:
    """Streams a window's events of single tables as lines of CSV from the provider to the subscriber."""

    provider: Database
    subscriber: Database
    window: EventWindow
    tables: Sequence[TableName] = ()

    def copy(self, table: TableName, read: RecordRead, line: str, more: Sequence[str], copy_in: str) -> int:
        """Stream the `line` of each of the table's row events that fulfil `more` into a COPY; return how many.

        A `read` with a guard goes over the events of all `tables`, and fails at one that it does not let through.
        Raises Unreadable.
        """
        tables = [table] if read.guard is None else self.tables
        copy_out = f"copy ({self.window.select(tables, line, more)}) to stdout {TO_LINES}"
        return pump(self.provider, copy_out, self.subscriber, copy_in, turn=RecordLines(table).turn)


def few(provider: Database, select: str, most: int, most_bytes: int = _FEW_BYTES) -> list[Row] | None:
    """Return the events of a SELECT of `stage.EVENT_COLUMNS` and perhaps more.

    None when there are more than `most`, or when they are longer than `most_bytes` together.
    """
    rows = provider.run(
        f"with e (ev_id, tbl, typ, att, data) as materialized (select * from ({select}) w limit {most + 1}), "
        "found (few) as materialized (select pg_catalog.count(*) <= "
        f"{most} and coalesce(pg_catalog.sum(pg_catalog.octet_length(data)), 0) <= {most_bytes} from e) "
        "select e.* from found left join e on few where not few or e.ev_id is not null"
    )
    return None if rows and rows[0][0] is None else rows


class PipeBroken(LondisteError):
    """a stream between two servers broke"""


@dataclass(frozen=True)
class EventWindow:
    """The events that `end` sees and `start` does not, of some tables and for one node, as SELECTs.

    `after` names tables whose copy holds what its snapshot (text form) sees already; `reader` None takes every
    event.
    """

    event_table: str
    start: Snapshot
    end: Snapshot
    after: Mapping[TableName, str]
    reader: Reader | None

    def select(
        self, tables: Sequence[TableName], columns: str, more: Sequence[str] = (), scripts: Sequence[int] = ()
    ) -> str:
        """Return the SELECT of `columns`; `scripts` are transactions of which scripts are taken instead of rows."""
        after = {name: snapshot for name, snapshot in self.after.items() if name in tables}
        conditions = [*table_conditions(tables, after, scripts), *more]
        return events_between(self.event_table, self.start, self.end, conditions, columns, self.reader)

    def sample(self, tables: Sequence[TableName], columns: str) -> str:
        """Return the SELECT of `columns` of some of the events, wherever they lie."""
        after = {name: snapshot for name, snapshot in self.after.items() if name in tables}
        conditions = table_conditions(tables, after)
        sampled = _sampled(self.event_table)
        return events_between(self.event_table, self.start, self.end, conditions, columns, self.reader, sampled)


def _sampled(event_table: str) -> str:
    """A TABLESAMPLE clause that looks at about _SAMPLED_PAGES pages of the event tables."""
    parent = quote_literal(QualifiedName.parse(event_table).quoted)
    pages = (
        "(select coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(i.inhrelid)), 0) / 8192 from "
        f"pg_catalog.pg_inherits i where i.inhparent = {parent}::pg_catalog.regclass)"
    )
    return f" tablesample system (least(100, 100.0 * {_SAMPLED_PAGES} / greatest({pages}, 1)))"


def pump(
    source: Database,
    copy_out: str,
    target: Database,
    copy_in: str,
    seen: Callable[[int], object] | None = None,
    turn: Callable[[bytes], bytes] | None = None,
) -> int:
    """Stream `copy_out` (COPY TO STDOUT) of `source` into `copy_in` (COPY FROM STDIN) of `target`; return the rows.

    `seen` is told the size of each piece, in bytes, as it goes through; `turn` makes something else of it, and may
    refuse it by raising Unreadable.
    Memory is bounded by the pipe. When either side fails the other is stopped and the first cause raised; the caller's
    transaction on `target` must then be rolled back. `source` can be used again.
    """
    read_fd, write_fd = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write_fd, _F_SETPIPE_SZ, _PIPE_SIZE)
    failures: list[BaseException] = []

    def produce() -> None:
        try:
            with io.BufferedWriter(_Pipe(write_fd, source), _PIPE_SIZE) as sink:
                source.copy_out(copy_out, sink)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=produce, name="fetch", daemon=True)
    thread.start()
    with os.fdopen(read_fd, "rb", buffering=0) as raw:
        reader = _CheckedReader(raw, thread, failures, seen, turn)
        try:
            rows = target.copy_in(copy_in, reader)
        except BaseException as error:
            if reader.broke:
                raise failures[0] from error
            _stop(source, raw)
            thread.join()
            if reader.refused is not None:
                raise reader.refused from error
            raise
    thread.join()
    if failures:
        raise failures[0]
    return rows


class _Pipe(io.FileIO):
    """The pipe's writing end: while it is full, the connection that fills it does not wait for its server."""

    def __init__(self, descriptor: int, db: Database) -> None:
        super().__init__(descriptor, "wb")
        self._db = db

    def write(self, data: ReadableBuffer, /) -> int:
        with self._db.busy_elsewhere():
            return super().write(data)


def _stop(source: Database, raw: io.FileIO) -> None:
    """End a COPY TO STDOUT whose other side failed; what it has sent is read, or its connection would be lost."""
    while True:
        source.cancel()
        for _ in range(_READS_PER_CANCEL):
            if not raw.read(_PIPE_SIZE):
                return


class _CheckedReader:
    """A reader that turns an end of stream caused by a failed producer into an error, so that COPY cannot end well."""

    def __init__(
        self,
        raw: object,
        thread: threading.Thread,
        failures: list[BaseException],
        seen: Callable[[int], object] | None,
        turn: Callable[[bytes], bytes] | None,
    ) -> None:
        self._read = raw.read  # type: ignore[attr-defined]
        self._seen = seen
        self._turn = turn
        self._thread = thread
        self._failures = failures
        self.broke = False
        self.refused: Unreadable | None = None

    def read(self, size: int = -1, /) -> bytes:
        if self._turn is None:
            return self._next(size)
        try:
            while True:
                data = self._next(size - MOST_HELD)  # to which held bytes may come
                turned = self._turn(data)
                if turned or not data:
                    return turned
        except Unreadable as found:
            self.refused = found
            raise

    def _next(self, size: int) -> bytes:
        data: bytes = self._read(size)
        if not data:
            self._thread.join()
            if self._failures:
                self.broke = True
                raise PipeBroken
        elif self._seen is not None:
            self._seen(len(data))
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        raise NotImplementedError
