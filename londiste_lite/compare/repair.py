"""Repairing: the rows that differ get the provider's values, each looked at again in the transaction that changes it.

The replay rests at a tick, and the provider's snapshot is that tick's. The repairing transaction locks the replay's
position and finds it at that tick: so the subscriber's rows are to be what the provider's snapshot holds, and no batch
can pass that position before the repair is committed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from londiste_lite import registration, subscribed
from londiste_lite.compare import checksums, fixes
from londiste_lite.compare.differences import CHANGED, EXTRA, MISSING, Difference, Key
from londiste_lite.compare.fixes import Fix, TargetRow, Values
from londiste_lite.compare.moment import Moment, NotComparable, Sides
from londiste_lite.compare.run import Comparing, Comparison, Failed
from londiste_lite.compare.shape import Shape
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, LondisteError, StopRequested
from londiste_lite.names import TableName, quote_ident
from londiste_lite.progress_report import ProgressReport
from londiste_lite.replay import position
from londiste_lite.replay.settings import ReplaySettings, open_subscriber
from londiste_lite.stop_flag import StopFlag
from londiste_lite.table_state import TableState

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
MOST_TRIES = 10
# The replay rests during a chunk, and not for long.
LONGEST_LOCK_WAIT = 5.0
_ORDER = {EXTRA: 0, CHANGED: 1, MISSING: 2}
_AGAIN = frozenset({"40001", "40P01", "55P03"})


@dataclass(frozen=True)
class Repair:
    """What one table takes: the statements, how many rows they fixed (None: not applied), and how it compares then.

    `parked` counts rows that are left alone, for events of theirs wait aside.
    """

    table: TableName
    statements: list[str] = field(default_factory=list)
    fixed: int | None = None
    after: Comparison | None = None
    parked: int = 0


class _Missed(LondisteError):
    """the replay has gone on"""


class _Collision(LondisteError):
    """a row cannot come before another one goes"""


def repair(
    settings: ReplaySettings, patterns: Sequence[str], stop: StopFlag, told: ProgressReport, *, apply: bool
) -> Iterator[Repair | Failed]:
    """Find what differs in tables and the SQL that repairs it; with `apply` run it and compare again.

    Raises ObjectNotFound for names that mean nothing, StopRequested, ConnectionLost; what keeps one table from being
    repaired is a result.
    """
    with Sides(settings, stop) as sides, contextlib.ExitStack() as stack:
        comparing = Comparing(sides, stop, told)
        repairing = Repairing(comparing, settings, stop)
        stack.callback(repairing.close)
        for table in registration.expand_subscribed(sides.control, settings.queue, patterns):
            try:
                every = comparing.differences(table)
                found = [each for each in every if not each.parked]
                left = len(every) - len(found)
                if not apply:
                    yield Repair(table, repairing.statements(table, found), parked=left)
                    continue
                done = repairing.apply(table, found)
                yield Repair(table, done, len(done), comparing.table(table), left)
            except (StopRequested, ConnectionLost):
                raise
            except LondisteError as error:
                stop.check()
                yield Failed(table, error)


class Repairing:
    """Makes and runs the statements that repair tables."""

    def __init__(self, comparing: Comparing, settings: ReplaySettings, stop: StopFlag) -> None:
        self._comparing = comparing
        self._settings = settings
        self._stop = stop
        self._opened: Database | None = None
        self._forget = stop.on_stop_at_once(self._cancel)

    def close(self) -> None:
        """Close the connection that writes."""
        self._forget()
        if self._opened is not None:
            self._opened.close()

    def _cancel(self) -> None:
        if self._opened is not None:
            self._opened.cancel()

    @property
    def _writer(self) -> Database:
        if self._opened is None:
            self._opened, _ = open_subscriber(self._settings, "repair")
        return self._opened

    def statements(self, table: TableName, differences: Sequence[Difference]) -> list[str]:
        """Return the SQL for the rows that differ."""
        found: list[str] = []
        for keys in _chunks(differences):
            with self._comparing.moment(table) as (moment, shape):
                wanted, there = self._rows(moment, moment.subscriber, shape, keys, lock=False)
            found += [sql for one in _fixes(shape, keys, wanted, there) for sql in one.statements]
        return found

    def apply(self, table: TableName, differences: Sequence[Difference]) -> list[str]:
        """Repair the rows that differ; return the statements that did it."""
        done: list[str] = []
        for keys in _chunks(differences):
            for attempt in range(1, MOST_TRIES + 1):
                if self._stop.requested:
                    raise StopRequested("the repair was asked to stop")
                try:
                    done += self._apply_chunk(table, keys)
                    break
                except DatabaseError as error:
                    if error.sqlstate not in _AGAIN or attempt == MOST_TRIES:
                        raise
                    log.info("%s: %s, trying again", table, error.message)
                except _Missed as error:
                    if attempt == MOST_TRIES:
                        raise NotComparable(
                            f'the replay did not rest long enough to repair table "{table}"', hint="Try again."
                        ) from error
                self._stop.wait(0.1 * attempt)
        return done

    def _apply_chunk(self, table: TableName, keys: Sequence[Key]) -> list[str]:
        writer = self._writer
        with self._comparing.moment(table, hold=True) as (moment, shape), writer.transaction():
            self._lock_position(table, moment)
            # With the position locked no more events can be parked.
            waiting = {key for _, key in self._comparing.waiting(table, moment, shape)}
            keys = [key for key in keys if key not in waiting]
            if not keys:
                return []
            wanted, there = self._rows(moment, writer, shape, keys, lock=True)
            found = _fixes(shape, keys, wanted, there)
            try:
                with writer.savepoint():
                    done = [_run(writer, sql) for one in found for sql in one.statements]
            except _Collision:
                # One row waits for a value that another one still has: all of them go before any comes.
                done = _all_at_once(shape, wanted, there)
                for sql in done:
                    _run(writer, sql)
        return done

    def _lock_position(self, table: TableName, moment: Moment) -> None:
        """Lock the replay's position and the table's state; both stay as they are until the end of the transaction."""
        writer = self._writer
        limit = min(self._settings.lock_timeout or LONGEST_LOCK_WAIT, LONGEST_LOCK_WAIT)
        writer.run("select pg_catalog.set_config('lock_timeout', %s, true)", [f"{int(limit * 1000)}ms"])
        if position.lock(writer, self._settings.consumer) != moment.tick:
            raise _Missed
        state = subscribed.lock_table(writer, self._settings.queue, table)
        if state is None or state.state is not TableState.OK or state.snapshot is not None:
            raise _Missed

    def _rows(
        self, moment: Moment, subscriber: Database, shape: Shape, keys: Sequence[Key], *, lock: bool
    ) -> tuple[dict[int, Values], dict[int, list[TargetRow]]]:
        """Return the provider's values and the subscriber's rows by the number of the key."""
        arrays = [list(part) for part in zip(*keys, strict=True)]
        hashing = self._comparing.hashing
        sql = checksums.lookup_sql(shape.source, hashing, f", {_texts(shape.source.values)} as londiste_v")
        wanted = {int(row[0]): tuple(row[3]) for row in moment.provider.run(sql, arrays)}
        own = [quote_ident(name) for name in fixes.own_columns(shape)]
        sql = checksums.lookup_sql(
            shape.target,
            hashing,
            f", {_texts(shape.target.values)} as londiste_v, {shape.target.row_text} as londiste_t, "
            f"{_texts(own)} as londiste_o",
            lock=lock,
        )
        there: dict[int, list[TargetRow]] = {}
        for row in subscriber.run(sql, arrays):
            there.setdefault(int(row[0]), []).append(TargetRow(tuple(row[1]), tuple(row[3]), row[4], tuple(row[5])))
        return wanted, there


def _texts(expressions: Sequence[str]) -> str:
    """Return the SQL of an array of values as their types' output writes them, NULLs as NULLs."""
    parts = [f"case when pg_catalog.num_nulls({e}) = 0 then pg_catalog.concat({e}) end" for e in expressions]
    return f"array[{', '.join(parts)}]::pg_catalog.text[]"


def _chunks(differences: Sequence[Difference]) -> Iterator[list[Key]]:
    """Give the keys, those of rows that go first, in pieces."""
    keys = [d.key for d in sorted(differences, key=lambda d: _ORDER[d.kind])]
    for first in range(0, len(keys), ROWS_AT_ONCE):
        yield keys[first : first + ROWS_AT_ONCE]


def _fixes(
    shape: Shape, keys: Sequence[Key], wanted: dict[int, Values], there: dict[int, list[TargetRow]]
) -> list[Fix]:
    found = []
    for number in range(1, len(keys) + 1):
        rows = there.get(number, [])
        found.append(fixes.fix(shape, wanted.get(number), rows[0] if rows else None))
        # Where nothing is unique on the subscriber a key may be there twice.
        found += [fixes.fix(shape, None, row) for row in rows[1:]]
    return [one for one in found if one is not None]


def _all_at_once(shape: Shape, wanted: dict[int, Values], there: dict[int, list[TargetRow]]) -> list[str]:
    deletes = [fixes.delete(shape, row) for rows in there.values() for row in rows]
    inserts = [
        fixes.insert(shape, values, there[number][0] if there.get(number) else None)
        for number, values in wanted.items()
    ]
    return deletes + inserts


def _run(writer: Database, sql: str) -> str:
    """Run one statement, which must change one row. Raises _Collision when a unique value is in the way."""
    try:
        changed = writer.count(sql)
    except DatabaseError as error:
        if error.sqlstate in ("23505", "23P01"):
            raise _Collision(error.message) from error
        raise
    if changed != 1 and sql.startswith("insert"):
        raise _Collision(f"nothing was inserted by: {sql}")
    if changed != 1:
        raise DatabaseError(
            f"the subscriber did not do what was asked for: {sql}", hint="A trigger or a rule may keep it from that."
        )
    return sql
