"""Foreign keys among replicated tables: the order in which tables must change, and dropping them for a copy.

They are dropped only where the role may not switch their checks off, and kept in `subscriber_pending_fkeys`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from londiste_lite import lock_wait
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.names import QualifiedName, TableName, quote_ident

log = logging.getLogger(__name__)


def parents_first(tables: Iterable[TableName], pairs: Iterable[tuple[TableName, TableName]]) -> list[TableName] | None:
    """Return `tables` so that a referenced table stands before those that reference it; None when there is a cycle.

    `pairs` are (referencing, referenced). A table that references itself does not count as a cycle here: its own
    statements see all of its rows at their end.
    """
    names = list(tables)
    waiting: dict[TableName, set[TableName]] = {name: set() for name in names}
    for child, parent in pairs:
        if child in waiting and parent in waiting and child != parent:
            waiting[child].add(parent)
    ordered: list[TableName] = []
    while waiting:
        free = [name for name in names if name in waiting and not waiting[name]]
        if not free:
            return None
        for name in free:
            del waiting[name]
        for parents in waiting.values():
            parents.difference_update(free)
        ordered.extend(free)
    return ordered


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key on the subscriber: both ends, its name, and the text behind ADD CONSTRAINT."""

    child: TableName
    parent: TableName
    name: str
    definition: str


def of_table(db: Database, table: TableName) -> list[ForeignKey]:
    """Return the foreign keys from and to a table."""
    rows = db.rows("foreign_keys.of_table", schema=table.schema, name=table.name)
    return [ForeignKey(QualifiedName(r[0], r[1]), QualifiedName(r[2], r[3]), r[4], r[5]) for r in rows]


def pending(db: Database) -> list[ForeignKey]:
    """Return the foreign keys that were dropped for a copy and are not restored yet."""
    return [
        ForeignKey(QualifiedName.parse(r[0]), QualifiedName.parse(r[1]), r[2], r[3])
        for r in db.rows("foreign_keys.pending")
    ]


def active(db: Database, tables: Iterable[TableName]) -> list[ForeignKey]:
    """Return the foreign keys from and to `tables` that are there."""
    names = list(tables)
    rows = db.rows("foreign_keys.active", schemas=[n.schema for n in names], names=[n.name for n in names])
    return [ForeignKey(QualifiedName(r[0], r[1]), QualifiedName(r[2], r[3]), r[4], r[5]) for r in rows]


def remember(db: Database, key: ForeignKey) -> None:
    """Store a foreign key for `restore` to add; one that is stored already stays as it is."""
    db.rows(
        "foreign_keys.remember",
        from_table=str(key.child),
        to_table=str(key.parent),
        fkey=key.name,
        definition=key.definition,
    )


def drop_for_copy(db: Database, table: TableName) -> list[ForeignKey]:
    """Drop the foreign keys from and to a table, each remembered in the database in the same transaction."""
    found = of_table(db, table)
    for key in found:
        with db.transaction():
            remember(db, key)
            # Two copies at once may both have found it.
            db.script(f"alter table {key.child.quoted} drop constraint if exists {quote_ident(key.name)}")
        log.info('dropped foreign key "%s" of "%s" for the copy', key.name, key.child)
    return found


def restore(db: Database, busy: Collection[TableName], lock_timeout: float = 10.0) -> int:
    """Restore pending foreign keys both of whose ends are in sync: added NOT VALID at once, then validated.

    `busy` are the tables (local names) that are not in sync. A key that cannot be restored stays remembered, and is
    named in the log; returns how many these are. `lock_timeout` is in seconds.
    """
    failed = 0
    for key in pending(db):
        if key.child in busy or key.parent in busy:
            continue
        try:
            _restore_one(db, key, lock_timeout)
        except DatabaseError as error:
            failed += 1
            log.warning('foreign key "%s" of "%s" cannot be restored yet: %s', key.name, key.child, error)
    return failed


def _restore_one(db: Database, key: ForeignKey, lock_timeout: float) -> None:
    table, name = key.child.quoted, quote_ident(key.name)
    there = db.value("foreign_keys.exists", schema=key.child.schema, name=key.child.name, fkey=key.name)
    if there is None:
        definition = key.definition.removesuffix(" NOT VALID")
        # Others wait behind a lock that waits; the validation takes none that they would notice.
        with db.transaction(), lock_wait.limited(db, lock_timeout):
            db.script(f"alter table {table} add constraint {name} {definition} not valid")
    if not there:
        db.script(f"alter table {table} validate constraint {name}")
    db.rows("foreign_keys.forget", from_table=str(key.child), fkey=key.name)
    log.info('restored foreign key "%s" of "%s"', key.name, key.child)
