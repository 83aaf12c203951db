"""Rows whose route cannot be worked out, where it parks: capture lists them on the provider, and they go to no node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database
from londiste_lite.names import TableName, quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable

# So many rows of a table are listed by `status`; all of them are counted.
MOST_LISTED = 20


@dataclass(frozen=True)
class UnroutedRow:
    """A row that goes to no node: its key as record text, why, and since when."""

    key: str
    error: str
    since: datetime


@dataclass(frozen=True)
class Unrouted:
    """The unrouted rows of a table: how many, and the last ones of them."""

    table: str
    rows: int
    listed: list[UnroutedRow]


def find(db: Database, queue: str) -> list[Unrouted]:
    """Return the tables with unrouted rows, by name."""
    found: dict[str, Unrouted] = {}
    for table, rows, key, error, since in db.rows("unrouted.listed", queue=queue, most=MOST_LISTED):
        found.setdefault(table, Unrouted(table, int(rows), [])).listed.append(UnroutedRow(key, error, since))
    return list(found.values())


def there_are(db: Database, queue: str, table: TableName) -> bool:
    """Tell whether rows of the table are listed."""
    return bool(db.value("unrouted.there_are", queue=queue, table=str(table)))


def forget(db: Database, queue: str, table: TableName) -> None:
    """Empty the list of a table."""
    db.rows("unrouted.forget", queue=queue, table=str(table))


def list_anew(db: Database, table: CaptureTable) -> None:
    """List the rows that are there and cannot be routed now. Needs the transaction that holds the table's lock."""
    forget(db, table.queue, table.name)
    if table.route is not None and table.route.parks:
        why = parking_text.row_route(table, why=True)
        db.count(
            "insert into londiste.unrouted_row (queue_name, table_name, row_key, error)\n"
            f"select {quote_literal(table.queue)}, {quote_literal(str(table.name))}, {parking_text.row_key(table)},"
            " londiste_why[1]\n"
            f"  from {table.name.quoted} londiste_row cross join lateral {why} londiste_why\n"
            " where londiste_why is not null"
        )
