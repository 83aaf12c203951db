"""Finding the events that cannot be applied, and what becomes of them: stop there, or let them wait aside.

A staged batch that fails is applied piece by piece, each under a savepoint: parts of parts set by set, then a short
piece event by event, which names the culprit. What is found is taken out with all later events of its key. Because rows
of one statement may depend on each other (two that swap a unique value) and a piece may tear them apart, what was taken
out is tried once more in the end, together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from londiste_lite import events, parked, structure
from londiste_lite.db import Database
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    LockNotGranted,
    QueryCanceled,
    ReplayError,
)
from londiste_lite.names import TableName, quote_literal
from londiste_lite.replay import stage
from londiste_lite.replay.catalog import Catalog, Target
from londiste_lite.replay.mapping import Mapping as ColumnMapping
from londiste_lite.replay.stage import STAGE, Group
from londiste_lite.subscribed import RowCounts, Subscribed

log = logging.getLogger(__name__)

# Events that are applied one by one to name the culprit, into how many parts a longer piece is cut that fails, and the
# longest piece in the ordered way.
SHORT = 500
PARTS = 8
LONG_ORDERED = 2000
# Keys that may fail in one batch: when more do, or most of those that were tried, it is not the rows that are wrong.
MOST_PARKED = 1000
MOST_IN_A_ROW = 50
MOST_NAMED = 20
# Up to how many keys a second try leaves each of them out in turn.
FEW = 20

_WAITING = 'pg_temp."londiste_waiting"'
_FAILED = 'pg_temp."londiste_failed"'
_COLUMNS = "ev_id, tbl, typ, att, data"

_PREPARE = f"""
create temp table if not exists "londiste_waiting" (like {STAGE}, key_values text[]) on commit delete rows;
create index if not exists "londiste_waiting_id" on {_WAITING} (ev_id);
create temp table if not exists "londiste_failed" (like {STAGE}, culprit int8, key_values text[]) on commit delete rows;
truncate {_WAITING}, {_FAILED};
insert into {_WAITING} ({_COLUMNS}) select {_COLUMNS} from {STAGE};
analyze {_WAITING}"""

# Constraints that look at other rows: unique, exclusion, foreign key.
DEPENDING = ("23505", "23P01", "23503")
# Conditions of the server, of the program and of its rights: a row has no part in them, unless a trigger or a check
# raised them; in those that pass by themselves not even then.
_NOT_THE_ROW = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0", "XX")
_PASSING = ("08", "25", "40", "53", "55P03", "57")

Apply = Callable[[Sequence[Group], str], dict[TableName, RowCounts]]


@dataclass(frozen=True)
class Failure:
    """An event that cannot be applied, and why."""

    table: TableName
    key: tuple[str, ...]
    event_id: int
    operation: str
    error: DatabaseError
    reason: str

    @property
    def text(self) -> str:
        detail = f" ({self.error.detail.rstrip('.')})" if self.error.detail else ""
        return f"{self.reason}{detail} [{self.error.sqlstate}]"

    def as_error(self) -> ReplayError:
        """Return the error that names this event."""
        key = parked.key_text(self.key)
        return ReplayError(
            f'event {self.event_id} of table "{self.table}" cannot be applied: '
            f"{parked.OPERATIONS[self.operation]} of key {key}: {self.text}",
            hint="Repair the row or the table on the subscriber; replay tries again by itself. "
            "With `on_error = park` the row would wait aside.",
            table=str(self.table),
            event_id=self.event_id,
            key=key,
            sqlstate=self.error.sqlstate,
        )


def of_a_row(error: DatabaseError) -> bool:
    """Tell whether a row may be the cause: a constraint, a value, a trigger, but nothing that passes by itself."""
    if isinstance(error, ConnectionLost | QueryCanceled | LockNotGranted) or error.sqlstate is None:
        return False
    return not error.sqlstate.startswith(_PASSING if error.in_function else _NOT_THE_ROW)


class Parking:
    """What waits aside on one subscriber; works in the batch's transaction on what is staged."""

    def __init__(self, db: Database, catalog: Catalog, queue: str, *, park: bool) -> None:
        self._db = db
        self._catalog = catalog
        self._queue = queue
        self._park = park

    # --- events of keys that wait already -------------------------------------------------------------------

    def divert(self, groups: Sequence[Group], tables: Mapping[TableName, Subscribed]) -> bool:
        """Let staged events of keys that wait queue behind them; return whether the stage may have changed."""
        names = sorted({g.table for g in groups if tables[g.table].parked})
        if not names:
            return False
        parked.lock(self._db, self._queue, names)
        for name in names:
            mine = [g for g in groups if g.table == name]
            after = _last_truncate(mine)
            if after is not None:
                parked.truncated(self._db, self._queue, name, after)
            self._divert_table(self._catalog.target(tables[name]), mine, after)
        return True

    def _divert_table(self, target: Target, groups: Sequence[Group], after: int | None) -> None:
        found = self._keys(target, groups, STAGE, f"ev_id > {after}" if after is not None else "true")
        if not found:
            return
        where = f"p.queue_name = {quote_literal(self._queue)} and p.table_name = {quote_literal(str(target.name))}"

        def text(typed: bool) -> str:
            match = self._match(target, groups, "p.key_values", "f.key_values", typed=typed)
            return (
                f"with f as materialized ({found}), moved as (delete from {STAGE} s using f where s.ev_id = f.ev_id "
                f"and exists (select 1 from londiste.parked_event p where {where} and {match}) "
                "returning s.*, f.key_values) "
                "insert into londiste.parked_event "
                "(queue_name, table_name, event_id, key_values, key_text, ev_type, ev_extra2, ev_data) "
                f"select {quote_literal(self._queue)}, tbl, ev_id, key_values, {_KEY_TEXT}, typ, att, data from moved"
            )

        self._typed_or_text(text)

    def _typed_or_text(self, text: Callable[[bool], str]) -> None:
        """Run a statement that compares keys by their types, or as text when a value cannot be read."""
        try:
            with self._db.savepoint("londiste_keys"):
                self._db.script(text(True))
        except DatabaseError as error:
            if not of_a_row(error):
                raise
            self._db.script(text(False))

    def _keys(self, target: Target, groups: Sequence[Group], source: str, condition: str) -> str:
        """Return a SELECT of ev_id and key_values of row events in `source`, the key as the provider wrote it."""
        pieces = []
        shapes = {(g.shape, g.attnum_text) for g in groups if g.operation != events.TRUNCATE}
        mappings = self._catalog.mappings(target, {shape for shape, _ in shapes})
        for shape, attnums in shapes:
            mapping = mappings[shape]
            as_text = ColumnMapping(tuple(replace(field, type="text", cast=None) for field in mapping.fields))
            key = ", ".join(f"(r).c{mapping.position(k.name)}" for k in target.key)
            types = ", ".join(
                quote_literal(g.type_text)
                for g in groups
                if g.shape == shape and g.attnum_text == attnums and g.operation != events.TRUNCATE
            )
            att = "att is null" if attnums is None else f"att = {quote_literal(attnums)}"
            pieces.append(
                f"select ev_id, array[{key}] as key_values from (select ev_id, data::{self._catalog.row_type(as_text)} "
                f"as r from {source} where tbl = {quote_literal(str(target.name))} and typ in ({types}) and {att} "
                f"and {condition} offset 0) x"
            )
        return " union all ".join(pieces)

    def _match(self, target: Target, groups: Sequence[Group], one: str, other: str, *, typed: bool) -> str:
        """Return the condition that two text arrays are the same key."""
        shape = next(g.shape for g in groups if g.operation != events.TRUNCATE)
        mapping = self._catalog.mappings(target, {shape})[shape]
        parts = []
        for number, key in enumerate(target.key, 1):
            field = mapping.fields[mapping.position(key.name) - 1]
            if not typed or (key.equality.exact and field.cast is None):
                parts.append(f"{one}[{number}] = {other}[{number}]")
                continue
            cast = f"::{field.type}" + (f"::{field.cast}" if field.cast else "")
            collate = f" collate {key.equality.collation}" if key.equality.collation else ""
            parts.append(f"{one}[{number}]{cast}{collate} {key.equality.operator} {other}[{number}]{cast}{collate}")
        return " and ".join(parts)

    # --- searching ------------------------------------------------------------------------------------------

    def sift(
        self, tables: Mapping[TableName, Subscribed], apply: Apply, mode: str, *, cut: bool = False
    ) -> tuple[dict[TableName, RowCounts], list[Failure]]:
        """Apply what is staged but for the events that cannot be, which are left in a table for `park`.

        `apply` applies the stage in the mode that it is given; `cut` says that the whole has been tried. Raises
        ReplayError for too many of them, DatabaseError for what no row is to blame for.
        """
        self._apply = apply
        self._begin(tables)
        for group in self._groups:
            if group.operation == events.TRUNCATE:
                # What comes before it is gone, whether it could be applied or not.
                name = quote_literal(str(group.table))
                self._db.script(f"delete from {_WAITING} where tbl = {name} and ev_id < {group.last}")
        counts: dict[TableName, RowCounts] = {}
        failures: list[Failure] = []
        cause: DatabaseError | None = None
        bounds = self._db.run(f"select pg_catalog.min(ev_id), pg_catalog.max(ev_id) from {_WAITING}")[0]
        pieces: list[tuple[int, int]] = [] if bounds[0] is None else [(int(bounds[0]), int(bounds[1]))]
        while pieces:
            low, high = pieces.pop()
            between = f"from {_WAITING} where ev_id between {low} and {high}"
            size = int(self._db.run(f"select pg_catalog.count(*)::int8 {between}")[0][0])
            if not size:
                continue
            way = "ordered" if mode == "ordered" or size <= SHORT else "bulk"
            if (way == "ordered" and size > LONG_ORDERED) or (cut and way == "bulk"):
                cut = False
                pieces += self._cut(low, high)
                continue
            try:
                add_counts(counts, self._try(f"select {_COLUMNS} {between}", way))
            except DatabaseError as error:
                if not of_a_row(error):
                    raise
                cause = cause or error
                culprit = _named_event(error) if way == "ordered" else None
                if culprit is None and size > 1:
                    pieces += self._cut(low, high)
                    continue
                event_id = low if culprit is None else culprit
                if culprit is None:
                    event_id = int(self._db.run(f"select ev_id {between}")[0][0])
                failures.append(self._take_out(event_id, error))
                pieces += [(event_id + 1, high), (low, event_id - 1)]
                if not self._park and _alike(error, cause) and error.sqlstate not in DEPENDING:
                    return counts, failures[-1:]
                if self._too_many(failures, counts):
                    raise self._refused(failures) from error
        if failures:
            failures = self._second_chance(failures, counts, mode)
        return counts, failures

    def _begin(self, tables: Mapping[TableName, Subscribed]) -> None:
        """Put what is staged where events can be taken out of it."""
        self._tables = tables
        self._groups = stage.groups(self._db)
        self._keyed: set[TableName] = set()
        self._db.script(_PREPARE)

    def named(self, tables: Mapping[TableName, Subscribed], error: DatabaseError) -> Failure | None:
        """Return what the ordered way says of an event that it cannot apply; None where it must be tried again.

        That is where another order might do, or where the table is not what it was taken for.
        """
        event_id = _named_event(error)
        if event_id is None or not of_a_row(error) or error.sqlstate in DEPENDING:
            return None
        self._begin(tables)
        failure = self._take_out(event_id, error)
        known = self._catalog.target(tables[failure.table]).table
        found = structure.find_table(self._db, known.name)
        return failure if found is not None and found.columns == known.columns else None

    def _too_many(self, failures: Sequence[Failure], counts: Mapping[TableName, RowCounts]) -> bool:
        most = len(failures) > MOST_IN_A_ROW and len(failures) > sum(c.total for c in counts.values())
        return most or len(failures) > (MOST_PARKED if self._park else MOST_NAMED)

    def _refused(self, failures: Sequence[Failure]) -> ReplayError:
        found = failures[0].as_error()
        if not self._park:
            return found
        return ReplayError(
            f"so many keys of one batch cannot be applied that none is parked; the first: {found.message}",
            hint="Repair the table on the subscriber; replay tries again by itself.",
            table=found.table,
            event_id=found.event_id,
            key=found.key,
            sqlstate=found.sqlstate,
        )

    def _cut(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return the parts of a piece of two events or more, the first one last."""
        shares = ",".join(str(n / PARTS) for n in range(1, PARTS))
        ends = self._db.run(
            f"select distinct pg_catalog.unnest(pg_catalog.percentile_disc('{{{shares}}}'::float8[]) "
            f"within group (order by ev_id)) from {_WAITING} where ev_id between {low} and {high} order by 1"
        )
        # The last end is never `high` itself, or a piece of two would be its own part for ever.
        last = [int(row[0]) for row in ends if int(row[0]) < high]
        starts = [low, *(end + 1 for end in last)]
        return list(zip(starts, [*last, high], strict=True))[::-1]

    def _try(self, select: str, way: str) -> dict[TableName, RowCounts]:
        """Apply the events that `select` gives under a savepoint."""
        self._db.script(f"truncate {STAGE}; insert into {STAGE} ({_COLUMNS}) {select}")
        known = self._catalog.mark()
        try:
            with self._db.savepoint("londiste_piece"):
                counts = self._apply(stage.groups(self._db), way)
                # A constraint that waits for the commit has to speak now, while its piece is known.
                self._db.script("set constraints all immediate; set constraints all deferred")
        except DatabaseError:
            self._catalog.reset(known)
            raise
        self._catalog.empty_made()
        return counts

    def _take_out(self, event_id: int, error: DatabaseError) -> Failure:
        """Move an event and all later ones of its key out of those that are tried."""
        row = self._db.run(f"select tbl, typ, att from {_WAITING} where ev_id = {event_id}")[0]
        name = TableName.parse(row[0])
        operation, _ = events.parse(row[1], row[2])
        if operation == events.TRUNCATE:
            raise ReplayError(
                f'event {event_id} of table "{name}" cannot be applied: truncate: {error.message}',
                hint="Repair the table on the subscriber; replay tries again by itself.",
                table=str(name),
                event_id=event_id,
                sqlstate=error.sqlstate,
            ) from error
        target = self._catalog.target(self._tables[name])
        groups = [g for g in self._groups if g.table == name]
        mine = f"tbl = {quote_literal(str(name))}"
        if name not in self._keyed:
            self._keyed.add(name)
            found = self._keys(target, groups, _WAITING, "true")
            self._db.script(
                f"update {_WAITING} w set key_values = f.key_values from ({found}) f where f.ev_id = w.ev_id"
            )
        row = self._db.run(f"select key_values from {_WAITING} where ev_id = {event_id}")[0]
        values = tuple(str(value) for value in row[0])
        literal = f"array[{', '.join(quote_literal(v) for v in values)}]::text[]"

        def text(typed: bool) -> str:
            match = self._match(target, groups, f"({literal})", "w.key_values", typed=typed)
            return (
                f"with moved as (delete from {_WAITING} w where {mine} and ev_id >= {event_id} "
                f"and (ev_id = {event_id} or {match}) returning w.*) "
                f"insert into {_FAILED} ({_COLUMNS}, culprit, key_values) "
                f"select {_COLUMNS}, {event_id}, {literal} from moved"
            )

        self._typed_or_text(text)
        reason = error.message.removeprefix(f"{self._db.label}: ")
        return Failure(name, values, event_id, operation, error, reason)

    def _second_chance(self, failures: list[Failure], counts: dict[TableName, RowCounts], mode: str) -> list[Failure]:
        """Try together, or all but one key of it, what may only have failed because its piece was torn off; return what
        still cannot be applied."""
        several = f"select culprit from {_FAILED} group by culprit having pg_catalog.count(*) > 1"
        # Set by set only the last state of a key counts, which may be fine.
        healed = {int(row[0]) for row in self._db.run(several)} if mode == "bulk" else set()
        unsure = [f for f in failures if f.error.sqlstate in DEPENDING or f.event_id in healed]
        certain = [f for f in failures if f not in unsure]
        tries: list[list[Failure]] = [[]]
        if 1 < len(unsure) <= FEW:
            tries += [[failure] for failure in unsure]
        for left_out in tries if unsure else []:
            listed = ", ".join(str(f.event_id) for f in [*certain, *left_out]) or "0"
            try:
                done = self._try(f"select {_COLUMNS} from {_FAILED} where culprit not in ({listed})", mode)
            except DatabaseError as error:
                if not of_a_row(error):
                    raise
                continue
            add_counts(counts, done)
            self._db.script(f"delete from {_FAILED} where culprit not in ({listed})")
            return sorted([*certain, *left_out], key=lambda failure: failure.event_id)
        return failures

    # --- parking --------------------------------------------------------------------------------------------

    def park(self, failures: Sequence[Failure]) -> None:
        """Store what `sift` could not apply."""
        for failure in failures:
            self._db.run(
                "insert into londiste.parked_event (queue_name, table_name, event_id, key_values, key_text, ev_type, "
                "ev_extra2, ev_data, sqlstate, message) "
                f"select %s, tbl, ev_id, key_values, {_KEY_TEXT}, typ, att, data, "
                f"case when ev_id = culprit then %s end, case when ev_id = culprit then %s end "
                f"from {_FAILED} where culprit = %s",
                [self._queue, failure.error.sqlstate, failure.text, failure.event_id],
            )
            log.error("parked: %s", failure.as_error().message)


_KEY_TEXT = (
    "case pg_catalog.cardinality(key_values) when 1 then key_values[1] "
    "else '(' || pg_catalog.array_to_string(key_values, ', ') || ')' end"
)


def _alike(one: DatabaseError, other: DatabaseError) -> bool:
    return (one.sqlstate, one.constraint) == (other.sqlstate, other.constraint)


def _last_truncate(groups: Sequence[Group]) -> int | None:
    return max((g.last for g in groups if g.operation == events.TRUNCATE), default=None)


def _named_event(error: DatabaseError) -> int | None:
    """Return the number of the event that the ordered way names."""
    return int(error.column) if error.column and error.column.isdigit() else None


def add_counts(total: dict[TableName, RowCounts], more: Mapping[TableName, RowCounts]) -> None:
    """Add counts to counts."""
    for name, counts in more.items():
        found = total.setdefault(name, RowCounts())
        found.inserted += counts.inserted
        found.updated += counts.updated
        found.deleted += counts.deleted
        found.conflicts.update(counts.conflicts)
