"""Comparing tables one after another: a moment, checksums, the rows that differ, and a second look at those."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from londiste_lite import parked, published, registration, structure
from londiste_lite.compare import checksums
from londiste_lite.compare.checksums import Hashing
from londiste_lite.compare.differences import (
    CHANGED,
    EXTRA,
    MISSING,
    MOST_KEPT,
    Difference,
    Key,
    Looker,
    TooManyDifferences,
)
from londiste_lite.compare.moment import Moment, NotComparable, Sides
from londiste_lite.compare.shape import Shape, build_shape
from londiste_lite.db import Database, Row
from londiste_lite.errors import ConnectionLost, LondisteError, StopRequested
from londiste_lite.names import TableName, quote_literal
from londiste_lite.progress_report import ProgressReport
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.routing import StoredRoute
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import Subscribed

SHOWN = 100
"""How many differing rows of a table a result names."""


@dataclass(frozen=True)
class Comparison:
    """What one table's comparison found; rows as counts.

    `misplaced` of the `extra` rows are on the provider, and routed to another node. `parked` of all that differ have
    events that wait aside (`parked list`), which explains them. With a query of the user's own only
    `equal` is known, and `source` and `target` are what it gave. `differences` names the first rows that differ.
    """

    table: TableName
    source_rows: int | None
    target_rows: int | None
    missing: int | None
    extra: int | None
    changed: int | None
    equal: bool
    misplaced: int = 0
    parked: int = 0
    source: str | None = None
    target: str | None = None
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True)
class Failed:
    """A table that could not be compared."""

    table: TableName
    error: LondisteError


def compare(
    settings: ReplaySettings, patterns: Sequence[str], query: str, stop: StopFlag, told: ProgressReport
) -> Iterator[Comparison | Failed]:
    """Compare tables, each at a moment of its own, giving one result after another.

    `query` is the user's own, run instead of checksums, empty for none. Raises ObjectNotFound for names that mean
    nothing, StopRequested, ConnectionLost; what keeps one table from being compared is a result.
    """
    with Sides(settings, stop) as sides:
        comparing = Comparing(sides, stop, told)
        for table in registration.expand_subscribed(sides.control, settings.queue, patterns):
            try:
                found = comparing.query(table, query) if query else comparing.table(table)
            except (StopRequested, ConnectionLost):
                raise
            except LondisteError as error:
                stop.check()
                yield Failed(table, error)
            else:
                yield found


class Comparing:
    """Compares tables over one set of connections."""

    def __init__(self, sides: Sides, stop: StopFlag, told: ProgressReport) -> None:
        self._sides = sides
        self._stop = stop
        self._told = told
        self.hashing = choose_hashing(sides.provider, sides.subscriber)

    def table(self, table: TableName) -> Comparison:
        """Compare a table by checksums. Raises NotComparable, SchemaDrift, DatabaseError."""
        source_rows, target_rows, found = self.first_look(table)
        misplaced = 0
        if found:
            found, misplaced = self._second_look(table, found)
        count = {kind: sum(d.kind == kind for d in found) for kind in (MISSING, EXTRA, CHANGED)}
        return Comparison(
            table=table,
            source_rows=source_rows,
            target_rows=target_rows,
            missing=count[MISSING],
            extra=count[EXTRA],
            changed=count[CHANGED],
            equal=not found,
            misplaced=misplaced,
            parked=sum(d.parked for d in found),
            differences=found[:SHOWN],
        )

    def differences(self, table: TableName) -> list[Difference]:
        """Return all differing rows of a table, looked at twice."""
        _, _, found = self.first_look(table)
        return self._second_look(table, found)[0] if found else []

    def first_look(self, table: TableName) -> tuple[int, int, list[Difference]]:
        """Return the rows of provider and subscriber, and those that differ at one moment."""
        with self.moment(table) as (moment, shape):
            estimate = max(
                structure.guessed_rows(moment.provider, shape.source.table),
                structure.guessed_rows(moment.subscriber, shape.target.table),
            )
            buckets = checksums.bucket_count(estimate)
            total = int(estimate) or None
            looker = self._looker(moment, shape)
            try:
                sums = looker.sums(buckets, lambda rows: self._told.update(str(table), rows, total=total))
                found: list[Difference] = []
                for difference in looker.rows(buckets, sums[0].differing(sums[1])):
                    found.append(difference)
                    if len(found) > MOST_KEPT:
                        raise TooManyDifferences(
                            f'more than {MOST_KEPT} rows of table "{table}" differ',
                            hint=f"Copy it anew with `subscriber resync {table}`.",
                        )
            finally:
                self._told.finish(str(table))
            return sums[0].rows, sums[1].rows, found

    def _second_look(self, table: TableName, found: list[Difference]) -> tuple[list[Difference], int]:
        """Return what of `found` still differs at a later moment, and how many of the extra rows are misplaced."""
        with self.moment(table) as (moment, shape):
            looker = self._looker(moment, shape)
            still = looker.look_again(list(dict.fromkeys(d.key for d in found)))
            waiting = self.waiting(table, moment, shape) if still else set()
            still = [replace(d, parked=True) if (d.kind, d.key) in waiting else d for d in still]
            extra = [d.key for d in still if d.kind == EXTRA]
            misplaced = looker.elsewhere(extra) if extra and shape.source.belongs else 0
        return still, misplaced

    def waiting(self, table: TableName, moment: Moment, shape: Shape) -> set[tuple[str, Key]]:
        """Return the rows that differ at a moment because events of theirs are parked, by kind and key."""
        queue = self._sides.settings.queue
        keys = parked.keys(moment.subscriber, queue, table)
        if not keys:
            return set()
        subscription = registration.require_subscribed(moment.subscriber, queue, table)
        names = subscription.key or shape.target.table.primary_key
        if set(names) != set(shape.key):
            return set()
        order = [names.index(name) for name in shape.key]
        # Found by the key's own equality on both sides: a number may be written in several ways.
        found = self._looker(moment, shape).look_again([tuple(key[n] for n in order) for key in keys])
        return {(d.kind, d.key) for d in found}

    def _looker(self, moment: Moment, shape: Shape) -> Looker:
        return Looker(moment.provider, moment.subscriber, shape, self.hashing, self._stop)

    # --- a query of the user's own ------------------------------------------------------------------------------

    def query(self, table: TableName, query: str) -> Comparison:
        """Compare what one query gives on both sides, `_TABLE_` being the table's name there: all columns of the first
        row, as text. Raises NotComparable, DatabaseError."""
        source = target = ""
        for _ in range(2):  # a second look before a difference is reported
            with self.moment(table) as (moment, shape):
                rows = [
                    db.run(query.replace("_TABLE_", side.table.name.quoted))
                    for db, side in ((moment.provider, shape.source), (moment.subscriber, shape.target))
                ]
            source, target = (_first_row(found) for found in rows)
            if source == target:
                break
        return Comparison(table, None, None, None, None, None, source == target, source=source, target=target)

    # --- the moment ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def moment(self, table: TableName, *, hold: bool = False) -> Iterator[tuple[Moment, Shape]]:
        """A moment of both sides, and how the table is compared, as it is defined at that moment."""
        subscription = registration.require_subscribed(self._sides.control, self._sides.settings.queue, table)
        source = structure.require_table(self._sides.provider, table, "provider")
        target = structure.require_table(self._sides.control, subscription.local, "subscriber")
        with self._sides.moment(table, source, target, hold=hold) as moment:
            yield moment, self._shape(moment, subscription)

    def _shape(self, moment: Moment, subscription: Subscribed) -> Shape:
        settings = self._sides.settings
        source = structure.require_table(moment.provider, subscription.table, "provider")
        target = structure.require_table(moment.subscriber, subscription.local, "subscriber")
        known = published.find_table(moment.provider, settings.queue, subscription.table)
        if known is None:
            raise NotComparable(
                f'table "{subscription.table}" is not published any more',
                hint="Publish it with `provider add`, or end the subscription with `subscriber remove`.",
            )
        key = list(known.key)
        equalities = (
            structure.key_operators(moment.provider, source.oid, known.key),
            structure.key_operators(moment.subscriber, target.oid, known.key),
        )
        where = f"({subscription.condition})" if subscription.condition else None
        return build_shape(source, target, key, equalities, (_belongs(where, known.route, settings.node), where))


def _belongs(where: str | None, route: StoredRoute | None, node: str | None) -> str | None:
    """Return which of the provider's rows the subscriber has."""
    parts = [where] if where else []
    if route is not None and node is not None:
        parts.append(route.condition(node))
    return " and ".join(parts) or None


def choose_hashing(provider: Database, subscriber: Database) -> Hashing:
    """Return the fastest hash on which both servers agree."""
    own = Hashing(portable=False)
    agreed = "select " + ", ".join(own.of(f"{quote_literal(text)}::pg_catalog.text") for text in checksums.PROBES)
    encoding = "select pg_catalog.current_setting('server_encoding')"
    if provider.run(encoding) == subscriber.run(encoding) and provider.run(agreed) == subscriber.run(agreed):
        return own
    return Hashing(portable=True)


def _first_row(rows: Sequence[Row]) -> str:
    return ", ".join("NULL" if value is None else str(value) for value in rows[0]) if rows else ""
