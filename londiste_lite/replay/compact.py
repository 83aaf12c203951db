"""SQL that turns staged events of one table into one final state per key, and that state into the table. Pure.

Vocabulary: a *source* is a set of events with one shape; *parsed* events have their columns' types; the *winners* are,
per key, the last event together with the first operation that the key saw, which tells what state the key was expected
in. A batch that holds each key once needs no winners: the parsed events are them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.names import quote_ident, quote_literal
from londiste_lite.replay.mapping import Field, Mapping
from londiste_lite.replay.stage import STAGE
from londiste_lite.structure import Equality, Table

_SAMPLED_PERCENT = 2


@dataclass(frozen=True)
class KeyColumn:
    """A key column on the subscriber: its type, and when two values of it are the same."""

    name: str
    type: str
    equality: Equality


@dataclass(frozen=True)
class Source:
    """Staged events of one table with one shape.

    `types` are their ev_type texts, `attnums` their common ev_extra2, `row_type` a composite type with the fields'
    types where they are staged, `number` tells the sources of one table apart.
    """

    number: int
    provider_table: str
    types: tuple[str, ...]
    attnums: str | None
    mapping: Mapping
    row_type: str

    @property
    def where(self) -> str:
        """The condition that finds these events in the stage."""
        listed = ", ".join(quote_literal(t) for t in self.types)
        att = "att is null" if self.attnums is None else f"att = {quote_literal(self.attnums)}"
        return f"tbl = {quote_literal(self.provider_table)} and typ in ({listed}) and {att}"

    def rows(self, after: int | None) -> str:
        """A subselect of these events, parsed once each; `after` keeps those behind a TRUNCATE."""
        later = f" and ev_id > {after}" if after is not None else ""
        # OFFSET 0 keeps the planner from pulling the cast up, which would parse the text once per column.
        return (
            f'(select ev_id, pg_catalog.left(typ, 1)::"char" as op, data::{self.row_type} as r from {STAGE} '
            f"where {self.where}{later} offset 0)"
        )

    def value(self, row: str, column: str) -> str:
        """The expression for a subscriber column out of the composite `row`."""
        place = self.mapping.position(column)
        field = self.mapping.fields[place - 1]
        return f"({row}).c{place}" + (f"::{field.cast}" if field.cast else "")

    @property
    def writable(self) -> tuple[str, ...]:
        return self.mapping.columns


@dataclass(frozen=True)
class TableSql:
    """The statements for one table of one batch.

    `parsed` names the temporary table of the events with their columns' types: ev_id, op, src, k1.., r0c1..; `winners`
    the one with the last of them per key and with `first`, empty while the parsed ones are the winners because no key
    has two events; `saved` one like the table, for columns that only the subscriber has.
    """

    table: Table
    key: tuple[KeyColumn, ...]
    sources: tuple[Source, ...]
    after: int | None
    parsed: str = ""
    winners: str = ""
    saved: str = ""

    # --- pieces ---------------------------------------------------------------------------------------------

    @property
    def row_sources(self) -> tuple[Source, ...]:
        """Sources that hold inserts or updates, whose whole row is kept."""
        return tuple(s for s in self.sources if any(t[0] != "D" for t in s.types))

    @property
    def _operations(self) -> set[str]:
        return {t[0] for s in self.sources for t in s.types}

    @property
    def from_winners(self) -> str:
        """The winners, as `w`."""
        return f"{self.winners or self.parsed} w"

    @property
    def first(self) -> str:
        """The first operation that a winner's key saw."""
        return "w.first" if self.winners else "w.op"

    def match(self, table: str, winner: str) -> str:
        """The condition that a row of the table and a winner have the same key."""
        return " and ".join(
            f"{table}.{quote_ident(k.name)} {k.equality.operator} {winner}.k{n}" for n, k in enumerate(self.key, 1)
        )

    @property
    def _keys(self) -> str:
        return ", ".join(f"k{n}" for n in range(1, len(self.key) + 1))

    def columns(self, source: Source) -> str:
        """The columns that a source sets, as a list."""
        return ", ".join(quote_ident(c) for c in source.writable)

    def _key_number(self, source: Source, place: int) -> int | None:
        """The number of the key column that holds a source's field already, None when none does."""
        field = source.mapping.fields[place - 1]
        if field.column is None or field.cast:
            return None
        return next((n for n, k in enumerate(self.key, 1) if k.name == field.column.name), None)

    def _stored(self, source: Source) -> list[int]:
        """Places of a source's fields that are kept beside the key."""
        fields = enumerate(source.mapping.fields, 1)
        return [place for place, f in fields if f.column is not None and self._key_number(source, place) is None]

    def _value(self, source: Source, column: str) -> str:
        """The expression for a subscriber column out of the winner `w`."""
        place = source.mapping.position(column)
        number = self._key_number(source, place)
        if number is not None:
            return f"w.k{number}"
        field = source.mapping.fields[place - 1]
        cast = field.type if _held(field) != field.type else field.cast
        return f"w.r{source.number}c{place}" + (f"::{cast}" if cast else "")

    def values(self, source: Source) -> str:
        """The values of those columns out of the winner `w`."""
        return ", ".join(self._value(source, c) for c in source.writable)

    def where(self, *conditions: str | None) -> str:
        """A WHERE clause of those conditions that are not None."""
        found = " and ".join(c for c in conditions if c)
        return f" where {found}" if found else ""

    # Conditions that always hold are left out: the planner knows nothing of temporary tables and takes each for a
    # reason to expect few rows.

    def of(self, source: Source) -> str | None:
        return f"w.src = {source.number}" if len(self.row_sources) > 1 else None

    @property
    def goes(self) -> str | None:
        return "w.op = 'D'" if self._operations != {"D"} else None

    @property
    def stays(self) -> str | None:
        return "w.op <> 'D'" if "D" in self._operations else None

    @property
    def _is_new(self) -> str | None:
        return f"{self.first} = 'I'" if self._operations != {"I"} else None

    @property
    def was_there(self) -> str | None:
        return f"{self.first} <> 'I'" if "I" in self._operations else None

    def extra_columns(self, source: Source) -> list[str]:
        """Columns of the subscriber that the source does not set and that hold values of their own."""
        return [c.name for c in self.table.columns if c.name not in source.writable and not c.generated]

    # --- statements -----------------------------------------------------------------------------------------

    def _create(self, more: str) -> str:
        src = ", src int2" if len(self.row_sources) > 1 else ""
        keys = "".join(f", k{n} {_typed(k)}" for n, k in enumerate(self.key, 1))
        rows = "".join(
            f", r{s.number}c{p} {_held(s.mapping.fields[p - 1])}" for s in self.row_sources for p in self._stored(s)
        )
        return f'create temp table {{name}} ({more}, op "char"{src}{keys}{rows}) on commit delete rows'

    def create_parsed(self) -> str:
        """DDL of the parsed events' table, its name left as `{name}`."""
        return self._create("ev_id int8")

    def create_winners(self) -> str:
        """DDL of the winners' table, its name left as `{name}`."""
        return self._create('first "char"')

    @property
    def _kept(self) -> str:
        """The columns that parsed events and winners have in common."""
        src = "src, " if len(self.row_sources) > 1 else ""
        rows = "".join(f", r{s.number}c{p}" for s in self.row_sources for p in self._stored(s))
        return f"op, {src}{self._keys}{rows}"

    def fill_parsed(self) -> str:
        """INSERT of the staged events, each text parsed once."""
        pieces = []
        for s in self.sources:
            src = f"{s.number}::int2, " if len(self.row_sources) > 1 else ""
            keys = ", ".join(s.value("r", k.name) for k in self.key)
            rows = "".join(
                f", (r).c{p}::{_held(other.mapping.fields[p - 1])}"
                if s is other
                else f", null::{_held(other.mapping.fields[p - 1])}"
                for other in self.row_sources
                for p in self._stored(other)
            )
            pieces.append(f"select ev_id, op, {src}{keys}{rows} from {s.rows(self.after)} x")
        return f"insert into {self.parsed} (ev_id, {self._kept}) {' union all '.join(pieces)}"

    def has_repeated_keys(self) -> str:
        """Whether any key has two events."""
        if len(self.key) == 1:
            # By sorting, which costs little where the keys come in order.
            return f"select pg_catalog.count(distinct k1) < pg_catalog.count(*) from {self.parsed}"
        return f"select exists (select from {self.parsed} group by {self._keys} having pg_catalog.count(*) > 1)"

    def seems_repeated(self) -> str:
        """Whether any key has two events among those on some pages."""
        sampled = f"{self.parsed} tablesample system ({_SAMPLED_PERCENT})"
        return f"select exists (select from {sampled} group by {self._keys} having pg_catalog.count(*) > 1)"

    def count_operations(self) -> str:
        """Counts of the parsed events by operation."""
        return f"select op::text, pg_catalog.count(*)::int8 from {self.parsed} group by op"

    def fill_winners(self) -> str:
        """INSERT that leaves one row per key: its last event, and the operation it began with."""
        return (
            f"insert into {self.winners} (first, {self._kept}) select first, {self._kept} from (select e.*, "
            f"pg_catalog.first_value(op) over w as first, pg_catalog.lead(ev_id) over w as later "
            f"from {self.parsed} e window w as (partition by {self._keys} order by ev_id)) x where later is null"
        )

    def count_winners(self) -> str:
        """Counts by (deleted, expected to exist, source; 0 where there is only one)."""
        src = "w.src" if len(self.row_sources) > 1 else "0"
        kinds = f"w.op = 'D', {self.first} <> 'I', {src}"
        return f"select {kinds}, pg_catalog.count(*)::int8 from {self.from_winners} group by 1, 2, 3"

    def insert_all(self, source: Source) -> str:
        """Plain INSERT of an insert-only source, straight from the stage."""
        values = ", ".join(source.value("s.r", c) for c in source.writable)
        return (
            f"insert into {self.table.name.quoted} ({self.columns(source)}) overriding system value "
            f"select {values} from {source.rows(self.after)} s"
        )

    def update(self, source: Source) -> str | None:
        """UPDATE of the rows that were there before the batch; None when the source holds nothing but the key."""
        keys = {k.name for k in self.key if k.equality.exact}
        changed = [c for c in source.writable if c not in keys]
        if not changed:
            return None
        sets = ", ".join(f"{quote_ident(c)} = {self._value(source, c)}" for c in changed)
        where = self.where(self.stays, self.was_there, self.of(source), self.match("t", "w"))
        return f"update {self.table.target} t set {sets} from {self.from_winners}{where}"

    def insert_new(self, source: Source) -> str:
        """INSERT of the keys that the batch itself inserted."""
        return self._insert(source, self.stays, self._is_new)

    def _insert(self, source: Source, *conditions: str | None) -> str:
        return (
            f"insert into {self.table.name.quoted} ({self.columns(source)}) overriding system value "
            f"select {self.values(source)} from {self.from_winners}{self.where(self.of(source), *conditions)}"
        )

    # --- events that the provider sends as lines of CSV, see `records` --------------------------------------

    def copy_parsed(self, *, numbered: bool) -> str:
        """COPY of events into the parsed ones: number and operation if `numbered`, fields of the one source with rows.

        Where there is none the fields are those of the deletes, all of them in the key.
        """
        source = (self.row_sources or self.sources)[0]
        numbers = {p: self._key_number(source, p) for p in range(1, len(source.mapping.fields) + 1)}
        places = ", ".join(f"r{source.number}c{p}" if n is None else f"k{n}" for p, n in numbers.items())
        return f"copy {self.parsed} ({'ev_id, op, ' if numbered else ''}{places}) from stdin (format csv)"

    def copy_all(self, source: Source) -> str:
        """COPY of the rows of an insert-only source straight into the table."""
        return f"copy {self.table.name.quoted} ({self.columns(source)}) from stdin (format csv)"

    # --- the careful way, for batches whose order of changes trips over a secondary unique index ------------

    def create_saved(self) -> str:
        """DDL of the table that keeps whole old rows for the transaction, its name left as `{name}`."""
        # Not LIKE: it takes NOT NULL along, of generated columns too, whose values are not kept.
        names = ", ".join(quote_ident(c.name) for c in self.table.columns if not c.generated)
        select = f"select {names} from {self.table.name.quoted}"
        return f"create temp table {{name}} on commit delete rows as {select} with no data"

    def save_and_delete(self) -> str:
        """DELETE of every touched key, keeping the old rows."""
        names = ", ".join(quote_ident(c.name) for c in self.table.columns if not c.generated)
        listed = ", ".join(f"t.{quote_ident(c.name)}" for c in self.table.columns if not c.generated)
        return (
            f"with gone as (delete from {self.table.target} t using {self.from_winners} where {self.match('t', 'w')} "
            f"returning {listed}) insert into {self.saved} ({names}) select {names} from gone"
        )

    def insert_final(self, source: Source) -> str:
        """INSERT of every final row, with the values that only the subscriber has taken from the old row."""
        extra = self.extra_columns(source)
        old = [quote_ident(c) for c in extra]
        had = f"exists (select 1 from {self.saved} o where {self.match('o', 'w')})"
        plain = " and ".join(c for c in ("w.op <> 'D'", self.of(source)) if c)
        names = ", ".join([self.columns(source), *old])
        values = ", ".join([self.values(source), *(f"o.{c}" for c in old)])
        return (
            f"insert into {self.table.name.quoted} ({names}) overriding system value select {values} "
            f"from {self.from_winners} join {self.saved} o on {self.match('o', 'w')} where {plain}; "
            f"insert into {self.table.name.quoted} ({self.columns(source)}) overriding system value "
            f"select {self.values(source)} from {self.from_winners} where {plain} and not {had}"
        )


def _typed(key: KeyColumn) -> str:
    return f"{key.type} collate {key.equality.collation}" if key.equality.collation else key.type


def _held(field: Field) -> str:
    """The type that keeps a parsed field: text where it may be a domain, which may refuse the NULL of a deleted row."""
    return field.type if field.cast or field.column is None or field.column.builtin else "text"


def insert_only(operations: Sequence[str]) -> bool:
    """Tell whether a table's events are all inserts, so that no compaction is needed."""
    return all(op == "I" for op in operations)
