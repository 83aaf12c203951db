"""Copying the ranges of one table, several at once, all from one moment of the provider.

The session that calls holds a transaction whose snapshot it exported; the other jobs read by the same snapshot. Each
range is one transaction on the subscriber, which marks the range as done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from londiste_lite import copies, crash_points
from londiste_lite.copies import Range
from londiste_lite.db import Database
from londiste_lite.errors import RegistrationChanged, StopRequested
from londiste_lite.names import TableName, quote_literal
from londiste_lite.replay import fetch
from londiste_lite.structure import Table
from londiste_lite.tablecopy import beside
from londiste_lite.tablecopy.connections import Sides
from londiste_lite.tablecopy.stream import CopySql
from londiste_lite.tablecopy.tracker import Tracker


@dataclass(frozen=True)
class RangeLoad:
    """What the jobs of one table share. `into` takes the rows; `present` is the condition that a row `s` is there
    already as row `t`, None where that cannot be because nothing was loaded before this snapshot."""

    queue: str
    table: TableName
    into: Table
    sql: CopySql
    present: str | None
    tracker: Tracker

    def load(self, provider: Database, subscriber: Database, one: Range) -> None:
        """Copy one range. Raises RegistrationChanged when the table's registration changed meanwhile."""
        with subscriber.transaction():
            rows = self._rows(provider, subscriber, one)
            crash_points.reached("copy-range-loaded")
            if not copies.range_done(subscriber, self.queue, self.table, one.number, rows):
                raise RegistrationChanged(f'the copy of "{self.table}" was given up: its registration changed')
        crash_points.reached("copy-range-committed")

    def _rows(self, provider: Database, subscriber: Database, one: Range) -> int:
        out = self.sql.out(one.source, one.condition)
        if self.present is None:
            return self.pump(provider, subscriber, out, self.into.name.quoted)
        beside.create_temporary(subscriber, self.into)
        self.pump(provider, subscriber, out, beside.TEMPORARY)
        names = self.sql.names
        return subscriber.count(
            f"insert into {self.into.name.quoted} ({names}) overriding system value "
            f"select {names} from {beside.TEMPORARY} s "
            f"where not exists (select 1 from {self.into.target} t where {self.present})"
        )

    def pump(self, provider: Database, subscriber: Database, out: str, into: str) -> int:
        """Stream one COPY, counted."""
        backend = subscriber.backend_pid
        self.tracker.streaming(backend)
        rows = 0
        try:
            rows = fetch.pump(provider, out, subscriber, self.sql.into(into), self.tracker.seen)
        finally:
            self.tracker.streamed(backend, rows)
        return rows


class RangeJobs:
    """The jobs of one table: threads with connections of their own, and the calling thread with its own."""

    def __init__(
        self,
        load: RangeLoad,
        ranges: Sequence[Range],
        borrow: Callable[[], AbstractContextManager[Sides]],
        cancelled: Callable[[], bool],
    ) -> None:
        self._load = load
        self._left = deque(ranges)
        self._borrow = borrow
        self._cancelled = cancelled
        self._open: list[Sides] = []
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def run(self, sides: Sides, snapshot: str, jobs: int) -> None:
        """Copy all ranges with up to `jobs` jobs; `snapshot` is what the transaction of `sides` exported.

        Raises the first error of any job, when all have ended.
        """
        threads = [
            threading.Thread(target=self._other, args=(snapshot,), name=f"copy {self._load.table} job", daemon=True)
            for _ in range(min(jobs, len(self._left)) - 1)
        ]
        for thread in threads:
            thread.start()
        with self._lock:
            self._open.append(sides)
        try:
            self._work(sides)
        except BaseException as error:
            self._fail(error)
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _other(self, snapshot: str) -> None:
        try:
            with self._borrow() as sides:
                with self._lock:
                    self._open.append(sides)
                try:
                    with sides.provider.transaction("begin isolation level repeatable read, read only"):
                        sides.provider.script(f"set transaction snapshot {quote_literal(snapshot)}")
                        self._work(sides)
                finally:
                    with self._lock:
                        self._open.remove(sides)
        except BaseException as error:
            self._fail(error)

    def _work(self, sides: Sides) -> None:
        while True:
            with self._lock:
                if not self._left or self._failure is not None:
                    return
                if self._cancelled():
                    raise StopRequested(f'the copy of "{self._load.table}" was given up')
                one = self._left.popleft()
            self._load.load(sides.provider, sides.subscriber, one)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
            for sides in self._open:
                sides.cancel()
