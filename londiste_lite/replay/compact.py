"""SQL that turns staged events of one table into one final state per key, and that state into the table. Pure.

Vocabulary: a *source* is a set of staged events with one shape; the *winners* are, per key, the last event together
with the first operation that the key saw, which tells what state the key was expected in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.names import quote_ident, quote_literal
from londiste_lite.replay.mapping import Mapping
from londiste_lite.replay.stage import STAGE
from londiste_lite.structure import Equality, Table


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
    types, `number` tells the sources of one table apart.
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

    `winners` names the temporary table of winners: op, first, src, k1.., r0..; `saved` one like the table, for
    columns that only the subscriber has.
    """

    table: Table
    key: tuple[KeyColumn, ...]
    sources: tuple[Source, ...]
    winners: str
    saved: str
    after: int | None

    # --- pieces ---------------------------------------------------------------------------------------------

    @property
    def _row_sources(self) -> tuple[Source, ...]:
        """Sources that hold inserts or updates, whose whole row is kept."""
        return tuple(s for s in self.sources if any(t[0] != "D" for t in s.types))

    def _match(self, table: str, winner: str) -> str:
        return " and ".join(
            f"{table}.{quote_ident(k.name)} {k.equality.operator} {winner}.k{n}" for n, k in enumerate(self.key, 1)
        )

    @property
    def _keys(self) -> str:
        return ", ".join(f"k{n}" for n in range(1, len(self.key) + 1))

    def _columns(self, source: Source) -> str:
        return ", ".join(quote_ident(c) for c in source.writable)

    def _values(self, source: Source, row: str) -> str:
        return ", ".join(source.value(row, c) for c in source.writable)

    def extra_columns(self, source: Source) -> list[str]:
        """Columns of the subscriber that the source does not set and that hold values of their own."""
        return [c.name for c in self.table.columns if c.name not in source.writable and not c.generated]

    # --- statements -----------------------------------------------------------------------------------------

    def create_winners(self) -> str:
        """DDL of the winners' table, its name left as `{name}`."""
        keys = "".join(f", k{n} {_typed(k)}" for n, k in enumerate(self.key, 1))
        rows = "".join(f", r{s.number} {s.row_type}" for s in self._row_sources)
        return f'create temp table {{name}} (op "char", first "char", src int2{keys}{rows}) on commit delete rows'

    def fill_winners(self) -> str:
        """INSERT that leaves one row per key: its last event, and the operation it began with."""
        pieces = []
        for s in self.sources:
            keys = "".join(f", {s.value('r', k.name)} as k{n}" for n, k in enumerate(self.key, 1))
            rows = "".join(
                f", {'r' if s is other else 'null::' + other.row_type} as r{other.number}"
                for other in self._row_sources
            )
            pieces.append(f"select ev_id, op, {s.number}::int2 as src{keys}{rows} from {s.rows(self.after)} x")
        rows = "".join(f", r{s.number}" for s in self._row_sources)
        return (
            f"insert into {self.winners} select op, first, src, {self._keys}{rows} from (select e.*, "
            f"pg_catalog.first_value(op) over w as first, pg_catalog.lead(ev_id) over w as later "
            f"from ({' union all '.join(pieces)}) e window w as (partition by {self._keys} order by ev_id)) x "
            "where later is null"
        )

    def count_winners(self) -> str:
        """Counts by (deleted, expected to exist, source)."""
        return f"select op = 'D', first <> 'I', src, pg_catalog.count(*)::int8 from {self.winners} group by 1, 2, 3"

    def insert_all(self, source: Source) -> str:
        """Plain INSERT of an insert-only source, straight from the stage."""
        return (
            f"insert into {self.table.name.quoted} ({self._columns(source)}) overriding system value "
            f"select {self._values(source, 's.r')} from {source.rows(self.after)} s"
        )

    def delete(self) -> str:
        """DELETE of the keys whose last event is a delete; gives how many of them the batch had not inserted itself,
        and how many it had."""
        return (
            f"with gone as (delete from {self.table.target} t using {self.winners} w where w.op = 'D' "
            f"and {self._match('t', 'w')} returning w.first) select pg_catalog.count(*) filter (where first <> 'I'), "
            "pg_catalog.count(*) filter (where first = 'I') from gone"
        )

    def update(self, source: Source) -> str | None:
        """UPDATE of the rows that were there before the batch; None when the source holds nothing but the key."""
        keys = {k.name for k in self.key if k.equality.exact}
        changed = [c for c in source.writable if c not in keys]
        if not changed:
            return None
        sets = ", ".join(f"{quote_ident(c)} = {source.value(f'w.r{source.number}', c)}" for c in changed)
        return (
            f"update {self.table.target} t set {sets} from {self.winners} w "
            f"where w.op <> 'D' and w.first <> 'I' and w.src = {source.number} and {self._match('t', 'w')}"
        )

    def insert_new(self, source: Source) -> str:
        """INSERT of the keys that the batch itself inserted."""
        return self._insert(source, "w.op <> 'D' and w.first = 'I'")

    def insert_missing(self, source: Source) -> str:
        """INSERT of the keys that should have been there and are not."""
        absent = f"not exists (select 1 from {self.table.target} t where {self._match('t', 'w')})"
        return self._insert(source, f"w.op <> 'D' and w.first <> 'I' and {absent}")

    def _insert(self, source: Source, condition: str) -> str:
        return (
            f"insert into {self.table.name.quoted} ({self._columns(source)}) overriding system value "
            f"select {self._values(source, f'w.r{source.number}')} from {self.winners} w "
            f"where w.src = {source.number} and {condition}"
        )

    # --- the careful way, for batches whose order of changes trips over a secondary unique index ------------

    def count_conflicts(self) -> str:
        """How many of the keys that stay are in another state than their first event expects."""
        return (
            f"select pg_catalog.count(*)::int8 from {self.winners} w where w.op <> 'D' and (w.first = 'I') = "
            f"exists (select 1 from {self.table.target} t where {self._match('t', 'w')})"
        )

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
            f"with gone as (delete from {self.table.target} t using {self.winners} w where {self._match('t', 'w')} "
            f"returning {listed}) insert into {self.saved} ({names}) select {names} from gone"
        )

    def insert_final(self, source: Source) -> str:
        """INSERT of every final row, with the values that only the subscriber has taken from the old row."""
        extra = self.extra_columns(source)
        old = [quote_ident(c) for c in extra]
        had = f"exists (select 1 from {self.saved} o where {self._match('o', 'w')})"
        plain = f"w.op <> 'D' and w.src = {source.number}"
        names = ", ".join([self._columns(source), *old])
        values = ", ".join([self._values(source, f"w.r{source.number}"), *(f"o.{c}" for c in old)])
        return (
            f"insert into {self.table.name.quoted} ({names}) overriding system value select {values} "
            f"from {self.winners} w join {self.saved} o on {self._match('o', 'w')} where {plain}; "
            f"insert into {self.table.name.quoted} ({self._columns(source)}) overriding system value "
            f"select {self._values(source, f'w.r{source.number}')} from {self.winners} w where {plain} and not {had}"
        )


def _typed(key: KeyColumn) -> str:
    return f"{key.type} collate {key.equality.collation}" if key.equality.collation else key.type


def insert_only(operations: Sequence[str]) -> bool:
    """Tell whether a table's events are all inserts, so that no compaction is needed."""
    return all(op == "I" for op in operations)
