"""Foreign keys among replicated tables: the order in which tables must change, and dropping them for a copy.

They are dropped only where the role may not switch their checks off, and kept in `subscriber_pending_fkeys`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from londiste_lite import lock_wait
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, LockNotGranted
from londiste_lite.names import QualifiedName, TableName, quote_ident

log = logging.getLogger(__name__)

# The first server version that adds a foreign key NOT VALID to a partitioned table.
PARTITIONED_NOT_VALID = 180000


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


def drop_for_copy(db: Database, table: TableName, lock_timeout: float) -> list[ForeignKey]:
    """Drop the foreign keys from and to a table, each remembered in the database in the same transaction.

    `lock_timeout` is in seconds: others wait behind a lock that waits. Raises LockNotGranted.
    """
    found = of_table(db, table)
    for key in found:
        with db.transaction(), lock_wait.limited(db, lock_timeout):
            remember(db, key)
            # Two copies at once may both have found it.
            db.script(f"alter table {key.child.quoted} drop constraint if exists {quote_ident(key.name)}")
        log.info('dropped foreign key "%s" of "%s" for the copy', key.name, key.child)
    return found


@dataclass(frozen=True)
class Unvalidated:
    """A foreign key that is there and not validated; `table` is the one that has it, the child or a partition of it."""

    key: ForeignKey
    table: TableName

    @property
    def tables(self) -> set[TableName]:
        """Both ends, by the names under which tables are subscribed."""
        return {self.key.child, self.key.parent}


@dataclass
class Restored:
    """What came of an attempt to restore: what is left to be validated; how many could not be added at all, and how
    many met a lock."""

    unvalidated: list[Unvalidated] = field(default_factory=list)
    failed: int = 0
    locked: int = 0


def restore(db: Database, busy: Collection[TableName], lock_timeout: float = 10.0) -> Restored:
    """Add pending foreign keys again both of whose ends are in sync, NOT VALID at first; forget those that are valid.

    `busy` are the tables (local names) that are not in sync. A key that cannot be restored stays remembered, and is
    named in the log. `lock_timeout` is in seconds. Raises ConnectionLost.
    """
    found = Restored()
    for key in pending(db):
        if key.child in busy or key.parent in busy:
            continue
        try:
            found.unvalidated += _add(db, key, lock_timeout)
        except ConnectionLost:
            raise
        except LockNotGranted as error:
            found.locked += 1
            log.info('foreign key "%s" of "%s" is not restored yet: %s', key.name, key.child, error)
        except DatabaseError as error:
            found.failed += 1
            log.warning('foreign key "%s" of "%s" cannot be restored yet: %s', key.name, key.child, error)
    return found


def _add(db: Database, key: ForeignKey, lock_timeout: float) -> list[Unvalidated]:
    """Add a foreign key unless it is there; return what is to be validated before it is as it was."""
    definition = key.definition.removesuffix(" NOT VALID")
    as_it_is = definition != key.definition or definition.endswith(" NOT ENFORCED")
    # The server does not add one NOT VALID to a partitioned table before version 18, but takes over its partitions'.
    in_parts = False
    if db.server_version < PARTITIONED_NOT_VALID and not as_it_is:
        in_parts = bool(db.value("foreign_keys.is_partitioned", schema=key.child.schema, name=key.child.name))
    pieces = [key.child]
    if in_parts:
        rows = db.rows("foreign_keys.partitions", schema=key.child.schema, name=key.child.name)
        pieces = [QualifiedName(r[0], r[1]) for r in rows]
    unvalidated = []
    for table in pieces:
        valid = db.value("foreign_keys.exists", schema=table.schema, name=table.name, fkey=key.name)
        if valid is None:
            _add_constraint(db, table, key, f"{definition} not valid" if not as_it_is else key.definition, lock_timeout)
        if not valid and not as_it_is:
            unvalidated.append(Unvalidated(key, table))
    if unvalidated:
        return unvalidated
    if (
        in_parts
        and db.value("foreign_keys.exists", schema=key.child.schema, name=key.child.name, fkey=key.name) is None
    ):
        _add_constraint(db, key.child, key, definition, lock_timeout)
    _forget(db, key)
    return []


def _add_constraint(db: Database, table: TableName, key: ForeignKey, definition: str, lock_timeout: float) -> None:
    # Others wait behind a lock that waits.
    with db.transaction(), lock_wait.limited(db, lock_timeout):
        db.script(f"alter table {table.quoted} add constraint {quote_ident(key.name)} {definition}")


def validate(db: Database, found: Unvalidated) -> None:
    """Validate a foreign key: reads both tables, under locks that writers do not notice. Raises DatabaseError."""
    db.script(f"alter table {found.table.quoted} validate constraint {quote_ident(found.key.name)}")
    if found.table == found.key.child:  # otherwise that of the whole table is still to be added
        _forget(db, found.key)


def _forget(db: Database, key: ForeignKey) -> None:
    db.rows("foreign_keys.forget", from_table=str(key.child), fkey=key.name)
    log.info('restored foreign key "%s" of "%s"', key.name, key.child)
