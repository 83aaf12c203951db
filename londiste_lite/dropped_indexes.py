"""Indexes and unique constraints that are dropped while a big table is loaded, and made again afterwards.

Each is noted in `londiste.subscriber_pending_indexes`, in the transaction that drops it, with all that makes it what it
was: tablespace, options, constraint, comments, statistics targets, replica identity, cluster mark.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from londiste_lite import lock_wait
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, LockNotGranted, QueryCanceled
from londiste_lite.names import QualifiedName, TableName, quote_ident, quote_literal
from londiste_lite.structure import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DroppedIndex:
    """An index to be made again: its table, the statement that makes it, and what follows it."""

    table: TableName
    name: str
    definition: str
    tablespace: str
    extras: str
    error: str | None = None


def drop_for_load(db: Database, table: Table, key: Sequence[str], lock_timeout: float) -> int:
    """Drop the indexes of a table that a load is faster without, all but those on `key`; return how many.

    Leaves them when the table is in use, or belongs to somebody else: then the load is only slower.
    """
    found = db.rows("dropped_indexes.droppable", oid=table.oid, key=list(key))
    if not found:
        return 0
    try:
        with db.transaction(), lock_wait.limited(db, lock_timeout):
            db.script(f"lock table only {table.name.quoted} in access exclusive mode")
            return sum(_drop_one(db, table.name, *row) for row in found)
    except (ConnectionLost, QueryCanceled):
        raise
    except DatabaseError as error:
        log.info("the indexes of %s stay for its copy: %s", table.name, error)
        return 0


def _drop_one(
    db: Database, table: TableName, name: str, schema: str, constraint: str | None, sql: str, space: str, extras: str
) -> bool:
    try:
        with db.savepoint():
            db.rows(
                "dropped_indexes.remember",
                table=str(table),
                index=name,
                definition=sql,
                tablespace=space,
                extras=extras,
            )
            if constraint is not None:
                db.script(f"alter table {table.quoted} drop constraint {quote_ident(constraint)}")
            else:
                db.script(f"drop index {QualifiedName(schema, name).quoted}")
    except (ConnectionLost, QueryCanceled, LockNotGranted):
        raise
    except DatabaseError as error:
        log.info('index "%s" of %s stays for its copy: %s', name, table, error)
        return False
    log.info('dropped index "%s" of %s for its copy', name, table)
    return True


def pending(db: Database, tables: Collection[TableName] | None = None) -> list[DroppedIndex]:
    """Return the indexes that are not made again yet, of `tables` or of all."""
    found = [
        DroppedIndex(QualifiedName.parse(r[0]), str(r[1]), str(r[2]), str(r[3]), str(r[4]), r[5])
        for r in db.rows("dropped_indexes.pending")
    ]
    return [one for one in found if tables is None or one.table in tables]


def not_made(db: Database) -> dict[TableName, str]:
    """Return, by the subscriber's table, why indexes could not be made again, and the statements that make them."""
    found: dict[TableName, str] = {}
    for table, index, error, statements in db.rows("dropped_indexes.not_made"):
        name = QualifiedName.parse(table)
        text = f'index "{index}" could not be made again: {error}; to make it: {statements}'
        found[name] = f"{found[name]}; {text}" if name in found else text
    return found


def restore(db: Database, index: DroppedIndex, lock_timeout: float) -> bool:
    """Make one index again; return False, with the reason in the log and in the database, when that fails.

    First the index, which readers do not notice, then what needs a short lock of its own: a lock that is not granted
    does not cost the index. Raises ConnectionLost and QueryCanceled.
    """
    where = {"table": str(index.table), "index": index.name}
    try:
        for step in (_make, _finish):
            with db.transaction():
                claimed = db.row("dropped_indexes.claim", **where)
                if claimed is None:
                    return True  # somebody else was faster
                step(db, index, str(claimed[0]), str(claimed[1]), str(claimed[2]), lock_timeout)
    except (ConnectionLost, QueryCanceled):
        raise
    except DatabaseError as error:
        db.rows("dropped_indexes.failed", **where, error=str(error))
        log.error('index "%s" of %s cannot be made again: %s', index.name, index.table, error)
        return False
    log.info('made index "%s" of %s again', index.name, index.table)
    return True


def _make(
    db: Database, index: DroppedIndex, definition: str, tablespace: str, extras: str, lock_timeout: float
) -> None:
    table = index.table
    there = db.row("dropped_indexes.exists", schema=table.schema, name=table.name, index=index.name)
    if definition and not there:
        db.script(f"set local default_tablespace = {quote_literal(tablespace)}")
        db.script(definition)
    db.rows("dropped_indexes.made", table=str(table), index=index.name)


def _finish(
    db: Database, index: DroppedIndex, definition: str, tablespace: str, extras: str, lock_timeout: float
) -> None:
    if extras:
        with lock_wait.limited(db, lock_timeout):
            db.script(extras)
    db.rows("dropped_indexes.forget", table=str(index.table), index=index.name)


def restore_all(db: Database, lock_timeout: float, tables: Collection[TableName] | None = None) -> list[DroppedIndex]:
    """Make all pending indexes again, of `tables` or of all, one after another; return those that failed."""
    return [one for one in pending(db, tables) if not restore(db, one, lock_timeout)]
