"""Events that the subscriber refused and that wait aside, with later events of their keys: `londiste.parked_event`.

`replay.parking` puts them there and applies them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database
from londiste_lite.names import QualifiedName, TableName

OPERATIONS = {"I": "insert", "U": "update", "D": "delete"}


@dataclass(frozen=True)
class ParkedEvent:
    """One event that waits; `sqlstate` and `message` are None for one that only waits behind another of its key."""

    table: TableName
    key: str
    operation: str
    event_id: int
    sqlstate: str | None
    message: str | None
    parked: datetime


@dataclass(frozen=True)
class DroppedKey:
    """A key whose parked events were discarded; `operation` is what the provider did last."""

    table: TableName
    key: str
    operation: str
    events: int


def key_text(values: Sequence[str]) -> str:
    """Return a key for people: the value, or the values of several columns in parentheses."""
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def events(
    db: Database, queue: str, tables: Sequence[TableName] | None = None, keys: Sequence[str] | None = None
) -> list[ParkedEvent]:
    """Return the parked events by table, in their order; of some tables and keys only."""
    names = None if tables is None else [str(table) for table in tables]
    rows = db.rows("parked.events", queue=queue, tables=names, keys=None if keys is None else list(keys))
    return [ParkedEvent(QualifiedName.parse(r[0]), r[1], OPERATIONS[r[2]], int(r[3]), *r[4:]) for r in rows]


def keys(db: Database, queue: str, table: TableName) -> list[tuple[str, ...]]:
    """Return the keys of a table that wait, each with its columns as the provider wrote them, in the replay's order."""
    return [tuple(row[0]) for row in db.rows("parked.keys", queue=queue, table=str(table))]


def lock(db: Database, queue: str, tables: Sequence[TableName]) -> None:
    """Keep others from touching the parked events of these tables until the end of the transaction."""
    db.rows("parked.lock", queue=queue, tables=[str(table) for table in tables])


def truncated(db: Database, queue: str, table: TableName, event_id: int) -> None:
    """Discard what was parked before a TRUNCATE of the table."""
    db.rows("parked.truncated", queue=queue, table=str(table), event=event_id)


def drop(db: Database, queue: str, table: TableName, keys: Sequence[str] | None = None) -> list[DroppedKey]:
    """Discard the parked events of a table, of some keys only; return those keys."""
    with db.transaction():
        lock(db, queue, [table])
        found = db.rows("parked.drop", queue=queue, table=str(table), keys=None if keys is None else list(keys))
    by_key: dict[str, list[tuple[int, str]]] = {}
    for key, event_id, letter in found:
        by_key.setdefault(key, []).append((int(event_id), str(letter)))
    return [DroppedKey(table, key, OPERATIONS[max(ones)[1]], len(ones)) for key, ones in by_key.items()]
