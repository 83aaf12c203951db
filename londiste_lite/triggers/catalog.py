"""Reads from the database what the generator needs to know of a table; refuses tables that cannot be captured."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite import script_text
from londiste_lite.db import Database
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    LockNotGranted,
    NoPrimaryKey,
    ObjectNotFound,
    PrivilegeMissing,
    QueryCanceled,
    RegistrationError,
)
from londiste_lite.names import QualifiedName, nearest
from londiste_lite.triggers.capture_table import CaptureTable, Column, Route

_OWN_SCHEMAS = ("londiste", "pgq", "pgq_ext", "pgq_coop", "pgq_node")

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a composite type",
    "t": "a TOAST table",
}


def queue_id(db: Database, queue: str) -> int:
    """Return the id of `queue`. Raises ObjectNotFound."""
    found = db.value("triggers.queue_id", queue=queue)
    if found is None:
        raise ObjectNotFound(f'no queue "{queue}"', hint="Run `provider install` first.")
    return int(found)


def stale(db: Database, queue: str) -> list[QualifiedName]:
    """Return the published tables of `queue` whose capture no longer fits them; a few cheap reads, no lock.

    Raises ObjectNotFound.
    """
    number = queue_id(db, queue)
    return [QualifiedName(schema, name) for schema, name in db.rows("triggers.stale", queue_id=number)]


def follow_current_table(db: Database, queue: str) -> None:
    """Have a sequence tell capture functions the queue's current event table, where this role may see to that."""
    db.rows("triggers.follow_current_table", queue=queue)


def route_function(db: Database, queue: str, table: QualifiedName) -> str | None:
    """Return the name of the function that works a parking route out, None while there is none."""
    found: str | None = db.value("triggers.route_function", queue=queue, schema=table.schema, name=table.name)
    return found


def read(
    db: Database, queue: str, table: QualifiedName, key: Sequence[str] | None, route: Route | None
) -> list[CaptureTable]:
    """Return the published table, then each of its partitions.

    Raises ObjectNotFound, NoPrimaryKey, and RegistrationError when the table, the key or the route cannot be used.
    """
    number = queue_id(db, queue)
    oid, relkind = _captured_relation(db, table)
    if not db.value("triggers.may_log", queue_id=number):
        raise PrivilegeMissing(
            f'this role may not write the events of queue "{queue}"',
            hint="Grant it londiste_capture, which `provider install --roles` makes; see docs/security.md.",
        )
    keys, deferrable = _key(db, table, oid, key)
    route_names, route_many, route_path = _route(db, table, oid, route)
    current_sequence = bool(db.value("triggers.current_sequence", queue_id=number))
    found: list[CaptureTable] = []
    relations = db.rows("triggers.tree", oid=oid) if relkind == "p" else [(oid, table.schema, table.name, relkind)]
    for rel_oid, schema, name, kind in relations:
        relation = QualifiedName(schema, name)
        if kind == "f":
            raise RegistrationError(
                f'partition "{relation}" of table "{table}" is a foreign table',
                hint="Detach it, or publish the other partitions' rows from a table of their own.",
            )
        columns = {
            row[0]: Column(row[0], row[1], row[2], row[5]) for row in db.rows("triggers.columns", oid=rel_oid, root=oid)
        }
        found.append(
            CaptureTable(
                queue_id=number,
                queue=queue,
                name=table,
                relation=relation,
                oid=rel_oid,
                root_oid=oid,
                key=tuple(columns[k] for k in keys),
                kind=("root" if kind == "p" else "table") if rel_oid == oid else "branch" if kind == "p" else "leaf",
                deferrable=deferrable,
                route=route,
                route_columns=tuple(columns[c] for c in route_names),
                route_many=route_many,
                route_path=route_path,
                current_sequence=current_sequence,
                merges=db.server_version >= 150000,
            )
        )
    return found


def _captured_relation(db: Database, table: QualifiedName) -> tuple[int, str]:
    """Return oid and relkind of `table` after checking that its kind can be captured."""
    if table.schema in _OWN_SCHEMAS or table.schema.startswith("pg_") or table.schema == "information_schema":
        raise RegistrationError(
            f'table "{table}" belongs to the system', hint="Only tables of the application can be published."
        )
    row = db.row("triggers.relation", schema=table.schema, name=table.name)
    if row is None:
        names = [str(r[0]) for r in db.rows("triggers.table_names", schema=table.schema)]
        near = nearest(table.name, names)
        hint = f'Did you mean "{QualifiedName(table.schema, near[0])}"?' if near else "Check schema and spelling."
        raise ObjectNotFound(f'no table "{table}"', hint=hint)
    oid, relkind, persistence, is_partition, inherits, row_security, readable = row
    if relkind not in ("r", "p"):
        raise RegistrationError(
            f'"{table}" is {_KINDS.get(relkind, "not a table")}', hint="Only tables can be published."
        )
    if persistence == "t":
        raise RegistrationError(f'table "{table}" is temporary', hint="Only permanent tables can be published.")
    if is_partition:
        root = db.row("triggers.root_of", oid=oid)
        name = QualifiedName(*root) if root else table
        raise RegistrationError(f'table "{table}" is a partition of "{name}"', hint=f'Publish "{name}" instead.')
    if inherits:
        raise RegistrationError(
            f'table "{table}" is part of an inheritance tree',
            hint="Statements on a parent change rows of its children unseen; use declarative partitioning.",
        )
    if not readable:
        raise PrivilegeMissing(
            f'this role may not read table "{table}"', hint="Add tables with the role that owns them."
        )
    if row_security:
        raise RegistrationError(
            f'row security hides rows of table "{table}" from this role',
            hint="Add it with its owner, or a role that has BYPASSRLS.",
        )
    return int(oid), str(relkind)


def _key(db: Database, table: QualifiedName, oid: int, given: Sequence[str] | None) -> tuple[tuple[str, ...], bool]:
    """Return the key columns, and whether their index is deferrable."""
    unique = db.rows("triggers.unique_keys", oid=oid)
    if given is None:
        for columns, primary, deferrable in unique:
            if primary:
                return tuple(columns), bool(deferrable)
        raise NoPrimaryKey(f'table "{table}" has no primary key')
    keys = tuple(dict.fromkeys(given))
    known = {row[0]: row for row in db.rows("triggers.columns", oid=oid, root=oid)}
    if not keys:
        raise RegistrationError(f'no key columns given for table "{table}"', hint="Name at least one column.")
    for name in keys:
        if name not in known:
            raise _no_column(table, name, list(known))
        if not known[name][3]:
            raise RegistrationError(
                f'key column "{name}" of table "{table}" may be NULL',
                hint="Declare it NOT NULL, or name other columns.",
            )
        if known[name][4] == "v":
            raise RegistrationError(
                f'key column "{name}" of table "{table}" is a virtual column', hint="Name columns that are stored."
            )
    for columns, _, deferrable in unique:
        if set(columns) == set(keys):
            return keys, bool(deferrable)
    raise RegistrationError(
        f'columns {", ".join(keys)} of table "{table}" are not unique',
        hint="Create a unique index on exactly these columns, without WHERE and without expressions.",
    )


def _route(db: Database, table: QualifiedName, oid: int, route: Route | None) -> tuple[tuple[str, ...], bool, str]:
    """Return the columns that the route reads, whether it gives an array, and the search_path its SQL needs.

    A temporary view lets the server say all that; it is gone when this returns. Needs a transaction.
    """
    if route is None:
        return (), False, ""
    known = [row[0] for row in db.rows("triggers.columns", oid=oid, root=oid)]
    if route.kind == "column" and route.text not in known:
        raise _no_column(table, route.text, known)
    if route.kind == "expr" and not script_text.is_one_expression(route.text):
        raise RegistrationError(
            f'the route of table "{table}" cannot be used: "{route.text}" is not one expression',
            hint="Name a column, or an SQL expression over the columns of one row; without semicolons and comments.",
        )
    try:
        with db.savepoint("londiste_route"):
            db.script(f"create temporary view londiste_route as select ({route.sql}) as target from {table.quoted}")
            columns, many = db.rows("triggers.route", oid=oid)[0]
            db.script("drop view pg_temp.londiste_route")
            # A copy has it as a condition, where an aggregate or a set has no place.
            db.script(f"explain select from {table.quoted} where ({route.sql}) is null")
    except DatabaseError as error:
        if isinstance(error, ConnectionLost | LockNotGranted | QueryCanceled):
            raise
        raise RegistrationError(
            f'the route of table "{table}" cannot be used: {error.message}',
            hint="Name a column, or an SQL expression over the columns of one row; qualify functions of your own.",
        ) from error
    # Only an expression can hold operators and functions that a writer's search_path might replace.
    return tuple(columns), bool(many), "" if route.kind == "column" else "pg_catalog, pg_temp"


def _no_column(table: QualifiedName, name: str, known: list[str]) -> ObjectNotFound:
    near = nearest(name, known)
    hint = f'Did you mean "{near[0]}"?' if near else f"It has {', '.join(known)}."
    return ObjectNotFound(f'table "{table}" has no column "{name}"', hint=hint)
