"""Makes a table on the subscriber from the provider's definition, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from londiste_lite import structure
from londiste_lite.db import Database
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    LockNotGranted,
    PrivilegeMissing,
    QueryCanceled,
    RegistrationError,
)
from londiste_lite.names import QualifiedName, TableName, quote_ident
from londiste_lite.structure_copy import limits, read, type_ddl
from londiste_lite.structure_copy.definition import Step, TableDef
from londiste_lite.structure_copy.table_ddl import TableDdl


def definition(provider: Database, table: TableName) -> TableDef:
    """Return the provider's definition of a table. Raises ObjectNotFound."""
    return read.table(provider, structure.require_table(provider, table, "provider").oid)


def create_table(subscriber: Database, table: TableDef, local: TableName) -> list[str]:
    """Make a table that is not there: schemas, types, sequences, the table with its partitions, keys, indexes.

    Needs a transaction. Return what was left out, as phrases for people. Raises RegistrationError when the subscriber
    cannot have the table; PrivilegeMissing when the role may not make it.
    """
    version = subscriber.server_version
    limits.require_supported(table, version)
    subscriber.script("set local search_path = pg_catalog; set local client_min_messages = warning")
    ddl = TableDdl(table, local, version)
    _require_free(subscriber, ddl.relation_names)
    types = type_ddl.missing_types(table.types, _existing(subscriber, "types", [t.name for t in table.types]))
    there = _existing(subscriber, "relations", [s.name for s in table.sequences if s.how != "i"])
    made = [*ddl.relation_names, *(t.name for t in types)]
    made += [s.name for s in table.sequences if s.how != "i" and s.name not in there]
    steps = _create_schemas(subscriber, made)
    for found in types:
        steps += type_ddl.steps(found)
    steps += ddl.steps(there)
    return run(subscriber, steps, local) + limits.left_out(table, version)


def run(subscriber: Database, steps: Iterable[Step], local: TableName) -> list[str]:
    """Run statements; return what the table does without because an optional one failed."""
    missing = []
    for step in steps:
        if step.otherwise is None:
            _run_one(subscriber, step.sql, local)
            continue
        try:
            with subscriber.savepoint():
                subscriber.script(step.sql)
        except (ConnectionLost, LockNotGranted, QueryCanceled):
            raise
        except DatabaseError:
            missing.append(step.otherwise)
    return missing


def _run_one(subscriber: Database, sql: str, local: TableName) -> None:
    try:
        subscriber.script(sql)
    except (ConnectionLost, LockNotGranted, QueryCanceled, PrivilegeMissing):
        raise
    except DatabaseError as error:
        first = sql.partition("\n")[0].removesuffix(" (")
        raise RegistrationError(
            f'table "{local}" cannot be made: {error.message}',
            hint=f"{error.hint or 'Make it, or what it needs, on the subscriber first.'} The statement was: {first}",
        ) from error


def _require_free(subscriber: Database, names: Sequence[TableName]) -> None:
    taken = _existing(subscriber, "relations", names)
    for name in names:
        if name in taken:
            raise RegistrationError(
                f'"{name}" exists on the subscriber already',
                hint="Drop or rename it there, or make the table by hand.",
            )


def _create_schemas(subscriber: Database, names: Iterable[QualifiedName]) -> list[Step]:
    needed = sorted({name.schema for name in names})
    # IF NOT EXISTS asks for the privilege to create even where there is nothing to do.
    there = {str(row[0]) for row in subscriber.rows("structure_copy.existing_schemas", names=needed)}
    return [Step(f"create schema {quote_ident(schema)}") for schema in needed if schema not in there]


def _existing(subscriber: Database, kind: str, names: Sequence[QualifiedName]) -> set[QualifiedName]:
    if not names:
        return set()
    listed = {"schemas": [n.schema for n in names], "names": [n.name for n in names]}
    return {names[int(row[0]) - 1] for row in subscriber.rows(f"structure_copy.existing_{kind}", **listed)}
