"""What the catalogue says of tables and sequences: kind, columns, key, foreign keys. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.errors import ObjectNotFound
from londiste_lite.names import QualifiedName, SequenceName, TableName, nearest_name

_GUESSED_ROW_BYTES = 150


@dataclass(frozen=True)
class Column:
    """A live column. `type` is its full SQL type, `base` the same without length or precision; `identity` is `a`
    (always), `d` or empty; `generated` `s`, `v` or empty. `builtin` tells whether the type is one of pg_catalog, which
    every server has."""

    attnum: int
    name: str
    type: str
    base: str
    builtin: bool
    not_null: bool
    identity: str
    generated: str


@dataclass(frozen=True)
class Table:
    """A table as the catalogue knows it; `primary_key` is empty when there is none."""

    name: TableName
    oid: int
    kind: str
    persistence: str
    primary_key: tuple[str, ...]
    referenced: bool
    has_children: bool
    is_partition: bool
    estimated_rows: float
    columns: tuple[Column, ...]

    @property
    def partitioned(self) -> bool:
        return self.kind == "p"

    def column(self, name: str) -> Column | None:
        """Return the column of this name, None when there is none."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def target(self) -> str:
        """The table in an UPDATE, DELETE or COPY: `only` keeps inheritance children out, as in Londiste."""
        return self.name.quoted if self.partitioned else f"only {self.name.quoted}"


def find_table(db: Database, name: TableName) -> Table | None:
    """Return the table, None when there is no relation of that name."""
    return find_tables(db, [name]).get(name)


def find_tables(db: Database, names: Sequence[TableName]) -> dict[TableName, Table]:
    """Return those of `names` that are tables or the like, in two questions to the server however many they are."""
    rows = db.rows_again("structure.tables", schemas=[n.schema for n in names], names=[n.name for n in names])
    columns: dict[int, list[Column]] = {int(row[1]): [] for row in rows}
    if rows:
        for oid, number, name, full, base, builtin, not_null, identity, generated in db.rows_again(
            "structure.columns", oids=list(columns)
        ):
            columns[int(oid)].append(
                Column(
                    *(int(number), str(name), str(full), str(base), bool(builtin), bool(not_null)),
                    *(str(identity or ""), str(generated or "")),
                )
            )
    found = {}
    for place, oid, kind, persistence, key, referenced, has_children, is_partition, estimate in rows:
        table = names[int(place) - 1]
        found[table] = Table(
            name=table,
            oid=int(oid),
            kind=str(kind),
            persistence=str(persistence),
            primary_key=tuple(key or ()),
            referenced=bool(referenced),
            has_children=bool(has_children),
            is_partition=bool(is_partition),
            estimated_rows=float(estimate),
            columns=tuple(columns[int(oid)]),
        )
    return found


def guessed_rows(db: Database, table: Table) -> float:
    """Return about how many rows a table has, with its partitions; by its size where it was never analyzed."""
    return max(float(db.value("structure.size", oid=table.oid)) / _GUESSED_ROW_BYTES, table.estimated_rows)


def require_table(db: Database, name: TableName, where: str) -> Table:
    """Return the table. Raises ObjectNotFound with the nearest name; `where` is `provider` or `subscriber`."""
    found = find_table(db, name)
    if found is None:
        near = nearest_name(name, user_tables(db))
        make = "Create it there, or say --create." if where == "subscriber" else "It must exist on the provider."
        hint = f'Did you mean "{near}"?' if near else make
        raise ObjectNotFound(f'table "{name}" does not exist on the {where}', hint=hint)
    return found


def dropped_columns(db: Database, oid: int) -> frozenset[int]:
    """Return the numbers of the table's dropped columns."""
    return frozenset(int(row[0]) for row in db.rows("structure.dropped_columns", oid=oid))


def user_tables(db: Database) -> list[TableName]:
    """Return every table that could be replicated: no system schemas, no partitions, no temporary tables."""
    return [QualifiedName(row[0], row[1]) for row in db.rows("structure.user_tables")]


def user_sequences(db: Database) -> list[SequenceName]:
    """Return every sequence that could be replicated."""
    return [QualifiedName(row[0], row[1]) for row in db.rows("structure.user_sequences")]


def has_unique_index(db: Database, oid: int, key: tuple[str, ...]) -> bool:
    """Tell whether a full unique index covers exactly the columns `key`."""
    return bool(db.value("structure.unique_index", oid=oid, key=list(key)))


def unique_keys(db: Database, oid: int) -> list[tuple[str, ...]]:
    """Return the column lists of the table's full unique indexes over NOT NULL columns."""
    return [tuple(row[0]) for row in db.rows("structure.unique_keys", oid=oid)]


def foreign_key_pairs(db: Database) -> list[tuple[TableName, TableName]]:
    """Return all foreign keys as (referencing table, referenced table)."""
    return [
        (QualifiedName(row[0], row[1]), QualifiedName(row[2], row[3])) for row in db.rows("structure.foreign_key_pairs")
    ]


@dataclass(frozen=True)
class Equality:
    """When two values of a key column are the same: the operator as SQL, whether equal values are the same bytes, which
    1.0 and 1.00 are not, and the collation as SQL where it is not the default one."""

    operator: str
    exact: bool
    collation: str | None


def key_operators(db: Database, oid: int, key: tuple[str, ...]) -> dict[str, Equality]:
    """Return the equality of each key column; empty without a unique index on `key`."""
    rows = db.rows("structure.key_operators", oid=oid, key=list(key))
    return {str(row[0]): Equality(str(row[1]), bool(row[2]), row[3]) for row in rows}
