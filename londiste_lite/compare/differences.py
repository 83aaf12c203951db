"""The rows in which two sides of one moment differ: checksums first, rows only of the buckets that are not the same."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from londiste_lite.compare import checksums
from londiste_lite.compare.checksums import Hashing, Sums
from londiste_lite.compare.shape import Shape, Side
from londiste_lite.db import Database, Row
from londiste_lite.errors import LondisteError, StopRequested
from londiste_lite.stop_flag import StopFlag

Key = tuple[str, ...]
Group = tuple[int, list[Row]]
Result = TypeVar("Result")

MISSING, EXTRA, CHANGED = "missing", "extra", "changed"

# Keys of differing rows that are kept in memory; more are counted and not looked at a second time.
MOST_KEPT = 1_000_000
LOOKED_UP_AT_ONCE = 1000


@dataclass(frozen=True)
class Difference:
    """One row that differs: `missing` on the subscriber, `extra` there, or `changed`. `key` is its text, as the side
    writes it that has the row, the provider if both have. `parked`: events of this key wait aside, which explains it.
    """

    kind: str
    key: Key
    parked: bool = False


class TooManyDifferences(LondisteError):
    """too many rows differ"""


class Looker:
    """Looks at both sides of one moment, at the same time, each over its own connection."""

    def __init__(
        self, provider: Database, subscriber: Database, shape: Shape, hashing: Hashing, stop: StopFlag
    ) -> None:
        self._provider = provider
        self._subscriber = subscriber
        self._shape = shape
        self._hashing = hashing
        self._stop = stop

    # --- the whole table ----------------------------------------------------------------------------------------

    def sums(self, buckets: int, told: Callable[[int], None]) -> tuple[Sums, Sums]:
        """Return the checksums of provider and subscriber; `told` gets the number of the provider's rows so far."""
        return self._both(
            lambda: self._sums(self._provider, self._shape.source, buckets, told),
            lambda: self._sums(self._subscriber, self._shape.target, buckets, lambda rows: None),
        )

    def _sums(self, db: Database, side: Side, buckets: int, told: Callable[[int], None]) -> Sums:
        total = Sums()
        blocks, sliced = 0, False
        if not side.table.partitioned:
            blocks = _blocks(db, side)
            # Before 14 the server reads the whole heap for a part of it.
            sliced = db.server_version >= 140000
        for part in checksums.slices(blocks, sliced):
            self._check_stop()
            rows, packed = db.run(checksums.sums_sql(side, self._hashing, buckets, part))[0]
            total.add(int(rows), checksums.unpack(bytes(packed or b"")))
            told(total.rows)
        return total

    def rows(self, buckets: int, wanted: Sequence[int]) -> Iterator[Difference]:
        """Give the differing rows of some buckets."""
        if not wanted:
            return
        source = self._grouped(self._provider, self._shape.source, buckets, wanted)
        target = self._grouped(self._subscriber, self._shape.target, buckets, wanted)
        yield from merge(source, target)

    def _grouped(
        self, db: Database, side: Side, buckets: int, wanted: Sequence[int]
    ) -> Iterator[tuple[int, list[Row]]]:
        rows = db.stream(checksums.rows_sql(side, self._hashing, buckets, wanted))
        for number, group in itertools.groupby(rows, key=lambda row: int(row[0])):
            self._check_stop()
            yield number, [(tuple(row[1]), int(row[2])) for row in group]

    # --- rows by key --------------------------------------------------------------------------------------------

    def look_again(self, keys: Sequence[Key]) -> list[Difference]:
        """Return which of the rows of these keys differ."""
        found: dict[tuple[Key | None, Key | None], Difference] = {}
        for first in range(0, len(keys), LOOKED_UP_AT_ONCE):
            self._check_stop()
            some = keys[first : first + LOOKED_UP_AT_ONCE]
            source, target = self._both(
                partial(self._by_number, self._provider, self._shape.source, some),
                partial(self._by_number, self._subscriber, self._shape.target, some),
            )
            for number in range(1, len(some) + 1):
                for a, b in itertools.zip_longest(source.get(number, []), target.get(number, [])):
                    difference = _differs(a, b)
                    if difference is not None:
                        found[a and a[0], b and b[0]] = difference
        return list(found.values())

    def elsewhere(self, keys: Sequence[Key]) -> int:
        """Return how many of these keys the provider has among the rows that do not belong here."""
        count = 0
        for first in range(0, len(keys), LOOKED_UP_AT_ONCE):
            some = keys[first : first + LOOKED_UP_AT_ONCE]
            count += len(self._by_number(self._provider, self._shape.source, some, anywhere=True))
        return count

    def _by_number(
        self, db: Database, side: Side, keys: Sequence[Key], *, anywhere: bool = False
    ) -> dict[int, list[tuple[Key, int]]]:
        sql = checksums.lookup_sql(side, self._hashing, anywhere=anywhere)
        found: dict[int, list[tuple[Key, int]]] = {}
        for number, key, row_hash in db.run(sql, [list(part) for part in zip(*keys, strict=True)]):
            found.setdefault(int(number), []).append((tuple(key), int(row_hash)))
        return found

    # --- both at once -------------------------------------------------------------------------------------------

    def _check_stop(self) -> None:
        if self._stop.requested:
            raise StopRequested("the comparison was asked to stop")

    def _both(self, first: Callable[[], Result], second: Callable[[], Result]) -> tuple[Result, Result]:
        """Run one function in a thread and the other here; when either fails the other one's statement is cancelled."""
        results: list[Result] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                results.append(second())
            except BaseException as error:
                failures.append(error)
                self._provider.cancel()

        thread = threading.Thread(target=work, name="compare", daemon=True)
        thread.start()
        try:
            mine = first()
        except BaseException:
            if not failures:
                self._subscriber.cancel()
            thread.join()
            if failures:
                raise failures[0] from None
            raise
        thread.join()
        if failures:
            raise failures[0]
        return mine, results[0]


def merge(source: Iterator[Group], target: Iterator[Group]) -> Iterator[Difference]:
    """Give the differences of two streams of (hash of the key, rows with it), each in the order of the hashes."""
    end: tuple[int | None, list[Row]] = (None, [])
    a: tuple[int | None, list[Row]]
    b: tuple[int | None, list[Row]]
    a, b = next(source, end), next(target, end)
    while a[0] is not None or b[0] is not None:
        if b[0] is None or (a[0] is not None and a[0] < b[0]):
            yield from _group(a[1], [])
            a = next(source, end)
        elif a[0] is None or b[0] < a[0]:
            yield from _group([], b[1])
            b = next(target, end)
        else:
            yield from _group(a[1], b[1])
            a, b = next(source, end), next(target, end)


def _group(source: list[Row], target: list[Row]) -> Iterator[Difference]:
    """Give the differences among rows whose keys have one hash; a key may be there twice where nothing is unique."""
    by_key: dict[Key, tuple[list[Row], list[Row]]] = {}
    for row in source:
        by_key.setdefault(row[0], ([], []))[0].append(row)
    for row in target:
        by_key.setdefault(row[0], ([], []))[1].append(row)
    for here, there in by_key.values():
        for a, b in itertools.zip_longest(sorted(here), sorted(there)):
            difference = _differs(a, b)
            if difference is not None:
                yield difference


def _differs(source: Row | None, target: Row | None) -> Difference | None:
    if source is None:
        return None if target is None else Difference(EXTRA, target[0])
    if target is None:
        return Difference(MISSING, source[0])
    return None if source == target else Difference(CHANGED, source[0])


def _blocks(db: Database, side: Side) -> int:
    row = db.run(
        "select pg_catalog.pg_relation_size(%s::pg_catalog.oid) / pg_catalog.current_setting('block_size')::int8",
        [side.table.oid],
    )
    return int(row[0][0] or 0)
