"""Copies of tables under way, as the subscriber's database knows them: `londiste.copy_job`, `londiste.copy_range`.

A big table is copied in ranges. Each is marked done in the transaction that wrote its rows, so that a copy that was cut
short goes on with the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.errors import PrivilegeMissing
from londiste_lite.names import QualifiedName, TableName
from londiste_lite.progress_report import Pace

# The first server version with pg_stat_progress_copy.
COPY_PROGRESS = 140000


@dataclass(frozen=True)
class Range:
    """A part of a table: `source` as it stands in SQL on the provider, `condition` None for all of it, about `bytes`
    bytes; `rows` are those that were copied, once it is done."""

    number: int
    source: str
    condition: str | None
    bytes: int
    done: bool = False
    rows: int = 0


@dataclass(frozen=True)
class Job:
    """A copy in ranges. `staging` is the table beside that takes the rows, None for the subscriber's table itself;
    `files` the storage of the provider's tables that the ranges were cut for; the totals are estimates."""

    staging: TableName | None
    files: str
    total_rows: int | None
    total_bytes: int
    ranges: tuple[Range, ...]

    @property
    def left(self) -> list[Range]:
        """The ranges that are not done."""
        return [r for r in self.ranges if not r.done]

    @property
    def rows(self) -> int:
        """Rows of the ranges that are done."""
        return sum(r.rows for r in self.ranges)


@dataclass(frozen=True)
class Request:
    """What a resync asked for: to empty the table first, or to copy only the rows that fulfil an SQL condition."""

    truncate: bool = False
    condition: str | None = None


def ask(db: Database, queue: str, table: TableName, request: Request) -> None:
    """Store what a resync asks for; two conditions become one that either fulfils."""
    db.rows("copies.ask", queue=queue, table=str(table), truncate=request.truncate, condition=request.condition)


def copies_asked_for(db: Database, queue: str) -> dict[TableName, Request]:
    """Return what resyncs asked for that is not done yet."""
    return {
        QualifiedName.parse(name): Request(bool(truncate), condition)
        for name, truncate, condition in db.rows("copies.requests", queue=queue)
    }


def begin(db: Database, queue: str, table: TableName, job: Job) -> None:
    """Store a copy that begins, in place of an earlier one of the table. To be called in a transaction."""
    end(db, queue, table)
    db.rows(
        "copies.begin",
        queue=queue,
        table=str(table),
        staging=job.staging.name if job.staging else None,
        files=job.files,
        rows=job.total_rows,
        bytes=job.total_bytes,
    )
    db.rows(
        "copies.add_ranges",
        queue=queue,
        table=str(table),
        sources=[r.source for r in job.ranges],
        conditions=[r.condition for r in job.ranges],
        bytes=[r.bytes for r in job.ranges],
    )


def find(db: Database, queue: str, table: TableName) -> Job | None:
    """Return the copy of a table that was begun and is not ended."""
    row = db.row("copies.job", queue=queue, table=str(table))
    if row is None:
        return None
    ranges = tuple(
        Range(int(r[0]), str(r[1]), r[2], int(r[3]), bool(r[4]), int(r[5]))
        for r in db.rows("copies.ranges", queue=queue, table=str(table))
    )
    staging = QualifiedName("londiste", row[0]) if row[0] else None
    return Job(staging, str(row[1]), row[2], int(row[3] or 0), ranges)


@dataclass(frozen=True)
class UnderWay:
    """How far a copy is, as last noted: `phase` is copy, indexes, reconcile or catch-up; the totals are estimates, the
    total of rows None when the server has none, `seconds_left` None when nobody can know."""

    phase: str
    rows: int
    bytes: int
    total_rows: int | None
    total_bytes: int
    rows_per_second: float
    seconds_left: float | None


def copies_under_way(db: Database, queue: str) -> dict[TableName, UnderWay]:
    """Return how far the copies of big tables are."""
    found = {}
    for name, phase, rows, size, total_rows, total_bytes, seconds in db.rows("copies.under_way", queue=queue):
        pace = Pace(0.0, float(seconds), int(rows), int(size), total_rows, int(total_bytes or 0))
        left = round(pace.seconds_left, 1) if pace.seconds_left is not None else None
        found[QualifiedName.parse(name)] = UnderWay(
            *(str(phase), pace.rows, pace.bytes, pace.total, pace.total_bytes, round(pace.rows_per_second, 1), left)
        )
    return found


def range_done(db: Database, queue: str, table: TableName, number: int, rows: int) -> bool:
    """Mark a range as done; return False when there is no such range to be done any more."""
    return bool(db.rows("copies.range_done", queue=queue, table=str(table), nr=number, rows=rows))


def note(db: Database, queue: str, table: TableName, phase: str, rows: int, size: int) -> None:
    """Store how far a copy is, for `status`."""
    db.rows("copies.note", queue=queue, table=str(table), phase=phase, rows=rows, bytes=size)


def rows_under_way(db: Database, backends: Collection[int]) -> dict[int, int]:
    """Return how many rows COPY has read so far in each of some backends, where the server tells."""
    if not backends or db.server_version < COPY_PROGRESS:
        return {}
    return {int(pid): int(rows) for pid, rows in db.rows("copies.rows_under_way", pids=list(backends))}


def end(db: Database, queue: str, *tables: TableName, part: str | None = None) -> None:
    """Forget copies, and what a resync asked for; only if that is the condition `part`, for a copy of some rows.

    What it may have beside is dropped by `drop_leftovers`.
    """
    db.rows("copies.end", queue=queue, tables=[str(table) for table in tables], part=part)


def drop_leftovers(db: Database, keep: Iterable[TableName] = ()) -> Sequence[TableName]:
    """Drop tables beside which no copy uses any more; return them."""
    kept = set(keep)
    gone = []
    for _, schema, name in db.rows("copies.leftovers"):
        found = QualifiedName(schema, name)
        if found in kept:
            continue
        # It may be that of another role.
        with contextlib.suppress(PrivilegeMissing):
            db.script(f"drop table if exists {found.quoted}")
            gone.append(found)
    return gone
