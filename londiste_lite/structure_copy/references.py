"""Foreign keys of tables that were made on the subscriber: added once both of their ends are replicated there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from londiste_lite import foreign_keys
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.foreign_keys import ForeignKey
from londiste_lite.names import TableName, quote_ident, quote_literal
from londiste_lite.structure_copy.definition import ReferenceDef, TableDef
from londiste_lite.structure_copy.limits import reference_obstacle

_ROWS_BROKEN = "23503"
_BUSY = ("55P03", "40P01")


def add_references(
    subscriber: Database,
    table: TableDef,
    locals_: Mapping[TableName, TableName],
    coming: Collection[TableName] = (),
) -> list[str]:
    """Add the foreign keys from and to a table whose ends are both among `locals_`, replicated tables.

    `locals_` gives their names on the subscriber; `coming` are tables that are about to be added, so that nothing need
    be said of keys to them. Needs a transaction. A key that the rows there do not satisfy yet, or whose tables are in
    use for too long, is left to the replay, which adds it when both ends are in sync. Return phrases about keys that
    are not added.
    """
    notes = []
    own = table.root.name
    for reference in table.references:
        what = f'foreign key "{reference.name}" of "{reference.child_root}"'
        outside = [n for n in (reference.child_root, reference.parent_root) if n not in locals_]
        if outside:
            if reference.child_root == own and not set(outside) <= set(coming):
                notes.append(f'{what} to "{reference.parent_root}", which is not replicated yet')
            continue
        obstacle = reference_obstacle(reference, subscriber.server_version)
        if obstacle is not None:
            notes.append(f"{what}: {obstacle}")
            continue
        problem = _add(subscriber, reference, locals_)
        if problem is not None:
            notes.append(f"{what}: {problem}")
    return notes


def _add(subscriber: Database, reference: ReferenceDef, locals_: Mapping[TableName, TableName]) -> str | None:
    child = _local(reference.child, reference.child_root, locals_)
    parent = _local(reference.parent, reference.parent_root, locals_)
    where = {"schema": child.schema, "name": child.name, "constraint": reference.name}
    if subscriber.value("structure_copy.own_constraint", **where):
        return None
    definition = f"{reference.head}{parent.quoted}{reference.tail}"
    name = quote_ident(reference.name)
    try:
        with subscriber.savepoint("londiste_reference"):
            subscriber.script(f"alter table {child.quoted} add constraint {name} {definition}")
            if reference.comment is not None:
                comment = quote_literal(reference.comment)
                subscriber.script(f"comment on constraint {name} on {child.quoted} is {comment}")
    except DatabaseError as error:
        if error.sqlstate is None:
            raise
        if error.sqlstate not in (_ROWS_BROKEN, *_BUSY):
            return error.message
        foreign_keys.remember(subscriber, ForeignKey(child, parent, reference.name, definition))
        return "is added when both tables are in sync"
    return None


def _local(name: TableName, root: TableName, locals_: Mapping[TableName, TableName]) -> TableName:
    """The subscriber's name of a relation: only the replicated table itself can have another one there."""
    return locals_[root] if name == root else name
