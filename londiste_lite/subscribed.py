"""What a subscriber takes from a queue, and how far each table is: `londiste.subscriber_table`, `subscriber_seq`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from londiste_lite import conflicts, table_state
from londiste_lite.conflicts import Conflicts
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName, SequenceName, TableName
from londiste_lite.table_state import TableState


@dataclass(frozen=True)
class Subscribed:
    """One subscribed table, as stored.

    `snapshot` is the provider snapshot up to which the table is complete, as text; None when the main replay's position
    says it all. `key` is set only where the key is not the subscriber's primary key. `held` is why the table waits for
    the subscriber's schema, `held_oid` the number that it had while the table is gone (0: unknown), else None. `parked`
    counts the events that wait aside.
    """

    table: TableName
    state: TableState
    snapshot: str | None = None
    skip_truncate: bool = False
    dest: TableName | None = None
    condition: str | None = None
    key: tuple[str, ...] | None = None
    error: str | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: int = 0
    held: str | None = None
    held_oid: int | None = None
    parked: int = 0

    @property
    def local(self) -> TableName:
        """The table's name on the subscriber."""
        return self.dest or self.table


@dataclass
class RowCounts:
    """Rows that one batch changed in one table."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: Conflicts = field(default_factory=Conflicts)

    @property
    def total(self) -> int:
        return self.inserted + self.updated + self.deleted


def tables(db: Database, queue: str) -> list[Subscribed]:
    """Return the subscribed tables in the order of registration."""
    return [parse(row) for row in db.rows("subscribed.tables", queue=queue, tables=None)]


def find_table(db: Database, queue: str, table: TableName) -> Subscribed | None:
    """Return one subscribed table, None when it is not subscribed."""
    found = find_tables(db, queue, [table])
    return found[0] if found else None


def find_tables(db: Database, queue: str, names: Iterable[TableName]) -> list[Subscribed]:
    """Return those of `names` that are subscribed, in the order of registration."""
    return [parse(row) for row in db.rows("subscribed.tables", queue=queue, tables=[str(name) for name in names])]


def parse(row: Sequence[Any]) -> Subscribed:
    """Return the table of a row with the columns of the statement `subscribed.tables`."""
    return Subscribed(
        table=QualifiedName.parse(row[0]),
        state=table_state.parse(row[1]),
        snapshot=row[2],
        skip_truncate=bool(row[3]),
        dest=QualifiedName.parse(row[4]) if row[4] else None,
        condition=row[5],
        key=tuple(row[6]) if row[6] else None,
        error=row[7],
        inserted=int(row[8]),
        updated=int(row[9]),
        deleted=int(row[10]),
        conflicts=int(row[11]),
        held=row[12],
        held_oid=None if row[13] is None else int(row[13]),
        parked=int(row[14]),
    )


def add_table(
    db: Database,
    queue: str,
    table: TableName,
    *,
    state: TableState = TableState.MISSING,
    skip_truncate: bool = False,
    dest: TableName | None = None,
    condition: str | None = None,
    key: Sequence[str] | None = None,
) -> bool:
    """Subscribe to a table; return False when it is subscribed already."""
    found = db.rows(
        "subscribed.add_table",
        queue=queue,
        table=str(table),
        state=state.value,
        skip_truncate=skip_truncate or None,
        dest=str(dest) if dest else None,
        condition=condition,
        key=list(key) if key else None,
    )
    return bool(found)


def remove_table(db: Database, queue: str, table: TableName) -> bool:
    """End the subscription of a table; the table itself is left alone. Return False when there was none."""
    return bool(db.rows("subscribed.remove_table", queue=queue, table=str(table)))


def with_parked(db: Database, queue: str, tables: Sequence[Subscribed]) -> list[Subscribed]:
    """Return `tables` with the number of events that wait aside now: later ones of their keys have to wait behind."""
    found = {one.table: one.parked for one in find_tables(db, queue, [table.table for table in tables])}
    return [replace(table, parked=found.get(table.table, 0)) for table in tables]


def lock_table(db: Database, queue: str, table: TableName) -> Subscribed | None:
    """Lock the subscription of a table until the end of this transaction and return it, None when there is none."""
    if not db.rows("subscribed.lock_table", queue=queue, table=str(table)):
        return None
    return find_table(db, queue, table)


def set_state(db: Database, queue: str, table: Subscribed, after: TableState, snapshot: str | None = None) -> bool:
    """Move a table to another state; return False when state or snapshot are no longer those of `table`.

    What a transaction did on their ground is then to be rolled back: the table was removed or is to be copied anew.
    """
    return bool(set_states(db, queue, [table], after, snapshot))


def set_states(
    db: Database, queue: str, tables: Sequence[Subscribed], after: TableState, snapshot: str | None = None
) -> list[TableName]:
    """Move tables to another state; return those that moved, which leaves out what `set_state` says False of."""
    for table in tables:
        table_state.check_move(table.state, after)
    found = db.rows(
        "subscribed.set_states",
        queue=queue,
        tables=[str(table.table) for table in tables],
        expected=[table.state.value for table in tables],
        before=[table.snapshot for table in tables],
        state=after.value,
        snapshot=snapshot,
    )
    return [QualifiedName.parse(row[0]) for row in found]


def hold(
    db: Database, queue: str, table: TableName, reason: str, *, snapshot: str | None = None, oid: int | None = None
) -> bool:
    """Let a table wait for the subscriber's schema, at `snapshot` or where it is; False when it is not part of replay.

    `oid` is the number that the table had, 0 when unknown, if it is gone.
    """
    found = db.rows("subscribed.hold", queue=queue, table=str(table), reason=reason, snapshot=snapshot, oid=oid)
    return bool(found)


def restart_copies(db: Database, queue: str, table: TableName | None = None) -> list[TableName]:
    """Put tables (or one) whose copy was cut short back to those that are to be copied; return them."""
    rows = db.rows("subscribed.restart_copies", queue=queue, table=str(table) if table else None)
    return [QualifiedName.parse(row[0]) for row in rows]


def forget_all(db: Database, queue: str) -> None:
    """Mark every table as one to be copied."""
    db.rows("subscribed.forget_all", queue=queue)


def resync(db: Database, queue: str, table: TableName) -> bool:
    """Mark a table to be copied anew, whatever its state; return False when it is not subscribed."""
    return bool(db.rows("subscribed.resync", queue=queue, table=str(table)))


def clear_snapshots(db: Database, queue: str, names: Iterable[TableName]) -> None:
    """Forget the snapshots of tables that the main replay has passed."""
    db.rows("subscribed.clear_snapshot", queue=queue, tables=[str(name) for name in names])


def set_error(db: Database, queue: str, table: TableName, error: str | None) -> None:
    """Store why a table does not go on, None when it does."""
    db.rows("subscribed.set_error", queue=queue, table=str(table), error=error)


def clear_errors(db: Database, queue: str) -> None:
    """Forget the errors of tables that replay works on again."""
    db.rows("subscribed.clear_errors", queue=queue)


def count_rows(db: Database, queue: str, counts: dict[TableName, RowCounts]) -> None:
    """Add what a batch changed to the stored counts, in the batch's transaction."""
    found = {name: c for name, c in counts.items() if c.total or c.conflicts.total}
    if not found:
        return
    db.planned_later(
        "subscribed.count_rows",
        queue=queue,
        tables=[str(name) for name in found],
        inserted=[c.inserted for c in found.values()],
        updated=[c.updated for c in found.values()],
        deleted=[c.deleted for c in found.values()],
        conflicts=[c.conflicts.total for c in found.values()],
    )
    conflicts.store(db, queue, {name: c.conflicts for name, c in found.items()})


def sequences(db: Database, queue: str) -> list[SequenceName]:
    """Return the subscribed sequences in the order of registration."""
    return [QualifiedName.parse(row[0]) for row in db.rows("subscribed.sequences", queue=queue)]


def add_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """Subscribe to a sequence; return False when it is subscribed already."""
    return bool(db.rows("subscribed.add_sequence", queue=queue, sequence=str(sequence)))


def remove_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """End the subscription of a sequence; return False when there was none."""
    return bool(db.rows("subscribed.remove_sequence", queue=queue, sequence=str(sequence)))
