"""What a provider publishes, as registered: tables and sequences. `publication` begins and ends it for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from londiste_lite import routing, sequences, structure
from londiste_lite.db import Database, Row
from londiste_lite.errors import ObjectNotFound
from londiste_lite.names import QualifiedName, SequenceName, TableName, nearest_name
from londiste_lite.routing import StoredRoute
from londiste_lite.triggers import catalog


@dataclass(frozen=True)
class Published:
    """A published table, as stored; `route` is None for a table whose rows go to all nodes."""

    table: TableName
    key: tuple[str, ...]
    key_given: bool
    route: StoredRoute | None


def tables(db: Database, queue: str) -> list[Published]:
    """Return the published tables in the order of registration."""
    return [_published(db, queue, row) for row in db.rows("published.tables", queue=queue, tables=None)]


def find_table(db: Database, queue: str, table: TableName) -> Published | None:
    """Return one published table, None when it is not published."""
    return find_tables(db, queue, [table]).get(table)


def find_tables(db: Database, queue: str, names: Sequence[TableName]) -> dict[TableName, Published]:
    """Return those of `names` that are published."""
    rows = db.rows("published.tables", queue=queue, tables=[str(name) for name in names])
    return {one.table: one for one in (_published(db, queue, row) for row in rows)}


def _published(db: Database, queue: str, row: Row) -> Published:
    name, key, key_given, column, rule, many, parks = row
    table = QualifiedName.parse(name)
    route = routing.stored(column, rule, bool(many), bool(parks))
    if route is not None and parks and (function := catalog.route_function(db, queue, table)):
        route = replace(route, parking=routing.parking_call(function, table))
    return Published(table, tuple(key), bool(key_given), route)


def published_sequences(db: Database, queue: str) -> list[SequenceName]:
    """Return the published sequences in the order of registration."""
    return [QualifiedName.parse(row[0]) for row in db.rows("published.sequences", queue=queue)]


def add_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """Publish a sequence; return False when it was already. Raises ObjectNotFound when there is no such sequence."""
    if not sequences.existing(db, [sequence]):
        near = nearest_name(sequence, structure.user_sequences(db))
        hint = f'Did you mean "{near}"?' if near else None
        raise ObjectNotFound(f'sequence "{sequence}" does not exist on the provider', hint=hint)
    return bool(db.rows("published.add_sequence", queue=queue, sequence=str(sequence)))


def remove_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """End the publication of a sequence; return False when it was not published."""
    return bool(db.rows("published.remove_sequence", queue=queue, sequence=str(sequence)))
