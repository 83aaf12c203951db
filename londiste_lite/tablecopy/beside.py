"""Loading beside a table that is in use: the new rows go into a table like it, then the differences into the table.

Readers see the old rows until one short transaction makes them the new ones; rows that are equal are not touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import structure
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.names import QualifiedName, TableName, quote_ident, quote_literal
from londiste_lite.structure import Equality, Table

TEMPORARY = 'pg_temp."londiste_copy"'
_FRESH = 'pg_temp."londiste_fresh"'
_PLAIN = Equality("operator(pg_catalog.=)", True, None)
# Of a unique index or an exclusion constraint.
_TRIPPED = ("23505", "23P01")


def staging_name(table: TableName) -> TableName:
    """Return a new name for a table beside a subscribed table."""
    stem = table.name.encode()[:40].decode(errors="ignore")
    return QualifiedName("londiste", f"copy_of_{stem}_{secrets.token_hex(4)}")


def create_staging(db: Database, name: TableName, target: Table) -> None:
    """Create the table beside: without WAL, for a copy can be done again. Raises PrivilegeMissing."""
    # Generated columns too, or their NOT NULL would stand in the way.
    db.script(
        f"create unlogged table {name.quoted} (like {target.name.quoted} including generated) "
        "with (autovacuum_enabled = off)"
    )


def create_temporary(db: Database, target: Table, name: str = TEMPORARY) -> None:
    """Create a table beside for the transaction."""
    plain = name.partition(".")[2]
    db.script(f"create temp table {plain} (like {target.name.quoted} including generated) on commit drop")


def add_key(db: Database, name: TableName, key: Sequence[str]) -> None:
    """Give the table beside the key by which events find rows, unless it has it."""
    found = structure.find_table(db, name)
    if found is not None and not found.primary_key:
        db.script(f"alter table {name.quoted} add primary key ({', '.join(quote_ident(k) for k in key)})")


def same_columns(db: Database, name: TableName, target: Table) -> bool:
    """Tell whether the table beside is there and still like its table."""
    found = structure.find_table(db, name)
    if found is None:
        return False
    return [(c.name, c.type, c.generated) for c in found.columns] == [
        (c.name, c.type, c.generated) for c in target.columns
    ]


def is_empty(db: Database, table: str) -> bool:
    """Tell whether a table, as it stands in SQL, holds no row."""
    return not db.run(f"select 1 from {table} limit 1")


def matching(db: Database, target: Table, key: Sequence[str], left: str, right: str) -> str:
    """Return the condition that two rows have the same key."""
    operators = structure.key_operators(db, target.oid, tuple(key))
    return " and ".join(
        f"{left}.{quote_ident(k)} {operators.get(k, _PLAIN).operator} {right}.{quote_ident(k)}" for k in key
    )


@dataclass(frozen=True)
class Reconcile:
    """The statements that make a table hold what the table beside it holds. `columns` are those that were copied;
    others keep their values. `within` limits what may be deleted to rows that fulfil an SQL condition."""

    target: Table
    staging: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    match: str
    inexact: tuple[str, ...] = ()
    within: str | None = None

    @property
    def _differs(self) -> str:
        # Compares the stored bytes: not every type has an operator, and 1.0 is to become 1.00.
        left, right = (", ".join(f"{side}.{quote_ident(c)}" for c in self.columns) for side in "ts")
        return f"row({left})::record operator(pg_catalog.*<>) row({right})::record"

    @property
    def _changing(self) -> list[str]:
        return [c for c in self.columns if c not in self.key or c in self.inexact]

    @property
    def in_place(self) -> bool:
        """Whether rows can be updated: identity columns that are always generated take values by INSERT only."""
        changing = set(self._changing)
        return not any(c.identity == "a" and c.name in changing for c in self.target.columns)

    def delete(self) -> str:
        """DELETE of the rows that are no longer there."""
        within = f"({self.within}) and " if self.within else ""
        return (
            f"delete from {self.target.target} t where {within}"
            f"not exists (select 1 from {self.staging} s where {self.match})"
        )

    def update(self) -> str | None:
        """UPDATE of the rows that differ; None when there is nothing but the key."""
        sets = ", ".join(f"{quote_ident(c)} = s.{quote_ident(c)}" for c in self._changing)
        if not sets:
            return None
        return f"update {self.target.target} t set {sets} from {self.staging} s where {self.match} and {self._differs}"

    def insert(self) -> str:
        """INSERT of the rows that are new."""
        names = ", ".join(quote_ident(c) for c in self.columns)
        values = ", ".join(f"s.{quote_ident(c)}" for c in self.columns)
        return (
            f"insert into {self.target.name.quoted} ({names}) overriding system value select {values} "
            f"from {self.staging} s where not exists (select 1 from {self.target.target} t where {self.match})"
        )

    def replace(self) -> str:
        """DELETE and INSERT of the rows that differ, for where the order of updates matters."""
        extra = [c.name for c in self.target.columns if c.name not in self.columns and not c.generated]
        picked = ", ".join([f"s.{quote_ident(c)}" for c in self.columns] + [f"t.{quote_ident(c)}" for c in extra])
        names = ", ".join(quote_ident(c) for c in [*self.columns, *extra])
        return (
            f"create temp table {_FRESH.partition('.')[2]} on commit drop as select {picked} "
            f"from {self.staging} s join {self.target.target} t on {self.match} where {self._differs}; "
            f"delete from {self.target.target} t using {_FRESH} s where {self.match}; "
            f"insert into {self.target.name.quoted} ({names}) overriding system value select {names} from {_FRESH}; "
            f"drop table {_FRESH}"
        )


def reconcile(
    db: Database, target: Table, key: Sequence[str], columns: Sequence[str], staging: str, within: str | None = None
) -> int:
    """Make `target` hold what `staging` (as it stands in SQL) holds; return how many rows that changed.

    To be called in a transaction. Raises DatabaseError.
    """
    operators = structure.key_operators(db, target.oid, tuple(key))
    sql = Reconcile(
        target,
        staging,
        tuple(key),
        tuple(columns),
        matching(db, target, key, "t", "s"),
        tuple(k for k in key if not operators.get(k, _PLAIN).exact),
        within,
    )
    db.script(f"analyze {staging}")
    changed = db.count(sql.delete())
    update = sql.update()
    if update is not None and sql.in_place:
        try:
            with db.savepoint():
                return changed + db.count(update) + db.count(sql.insert())
        except DatabaseError as error:
            if error.sqlstate not in _TRIPPED:
                raise
    if update is not None:
        db.script(sql.replace())
    return changed + db.count(sql.insert())


def discard_parked(
    db: Database, queue: str, table: TableName, target: Table, key: Sequence[str], condition: str
) -> int:
    """Discard the parked events of rows that a copy of some rows brings; return how many there were.

    These rows are in the temporary table beside, or fulfil the condition here. All events of theirs up to the copy's
    moment are parked, so a later retry would make them older again. To be called in the copy's transaction.
    """
    mine = f"d.queue_name = {quote_literal(queue)} and d.table_name = {quote_literal(str(table))}"
    if not db.run(f"select 1 from londiste.parked_event d where {mine} limit 1"):
        return 0

    def text(typed: bool) -> str:
        if typed:
            columns = {column.name: column for column in target.columns}
            keys = ", ".join(f"key_values[{n}]::{columns[k].base} as {quote_ident(k)}" for n, k in enumerate(key, 1))
            same = {side: matching(db, target, key, "p", side) for side in "st"}
        else:
            keys = "key_values"
            values = {side: ", ".join(f"{side}.{quote_ident(k)}::text" for k in key) for side in "st"}
            same = {side: f"p.key_values = array[{listed}]" for side, listed in values.items()}
        return (
            f"with p as materialized (select event_id, {keys} from londiste.parked_event d where {mine}) "
            f"delete from londiste.parked_event d using p where {mine} "
            f"and d.event_id = p.event_id and (exists (select 1 from {TEMPORARY} s where {same['s']}) "
            f"or exists (select 1 from {target.target} t where ({condition}) and {same['t']}))"
        )

    try:
        with db.savepoint():
            return db.count(text(True))
    except DatabaseError as error:
        # A key that this side's type cannot hold is why an event may be parked.
        if error.sqlstate is None or not error.sqlstate.startswith("22"):
            raise
    return db.count(text(False))
