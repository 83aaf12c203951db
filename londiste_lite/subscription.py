"""Adding one table to what a subscriber takes: checked, made from the provider's definition if asked, registered.

`registration` finds the tables that names and globs mean, and calls `add_table` for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from londiste_lite import lock_wait, published, structure, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    NoPrimaryKey,
    ObjectNotFound,
    RegistrationError,
    SchemaDrift,
)
from londiste_lite.names import TableName, nearest_name
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.stream import plan_columns


@dataclass(frozen=True)
class AddOptions:
    """Options of `subscriber add`; `lock_timeout` in seconds, for tables there that get a foreign key."""

    expect_sync: bool = False
    skip_truncate: bool = False
    force: bool = False
    condition: str | None = None
    dest: TableName | None = None
    create: bool = False
    lock_timeout: float = 10.0


@dataclass(frozen=True)
class Added:
    """What was done, in words, and whether that changed anything."""

    note: str
    changed: bool


def add_table(
    provider: Database,
    subscriber: Database,
    queue: str,
    table: published.Published,
    options: AddOptions,
    taken: dict[TableName, TableName],
    coming: Collection[TableName],
) -> Added:
    """Subscribe to one table; `coming` are the tables that are added by the same command.

    `taken` gives the names on the subscriber of the tables that are subscribed, to which this one is added.
    Raises RegistrationError and its kinds, SchemaDrift, DatabaseError; nothing is left behind then.
    """
    # Loaded when a table is made, which is rare: every command that reads the registration would pay for it.
    from londiste_lite.structure_copy.create import create_table, definition
    from londiste_lite.structure_copy.references import add_references

    name = table.table
    local = _local_name(taken, name, options.dest)
    if options.condition is not None:
        check_condition(provider, name, options.condition)
    absent = options.create and structure.find_table(subscriber, local) is None
    wanted = definition(provider, name) if absent else None
    with subscriber.transaction(), lock_wait.limited(subscriber, options.lock_timeout):
        left_out = create_table(subscriber, wanted, local) if wanted else []
        added = _register(provider, subscriber, queue, table, local, options)
        if wanted:
            left_out += add_references(subscriber, wanted, {**taken, name: local}, coming)
    taken[name] = local
    words = ["created"] if wanted else ["exists, not created"] if options.create else []
    words.append("added" if added else "already there")
    without = f" (without {'; '.join(left_out)})" if left_out else ""
    return Added(", ".join(words) + without, added or wanted is not None)


def _local_name(taken: Mapping[TableName, TableName], name: TableName, dest: TableName | None) -> TableName:
    """Return the table's name on the subscriber. Raises RegistrationError when it goes elsewhere or takes another's."""
    there = taken.get(name)
    if there is not None and dest is not None and there != dest:
        raise RegistrationError(
            f'"{name}" is subscribed into "{there}" already',
            hint="To change that, end the subscription with `subscriber remove` first.",
        )
    local = there or dest or name
    other = next((table for table, held in taken.items() if held == local and table != name), None)
    if other is not None:
        raise RegistrationError(
            f'"{local}" holds the rows of "{other}" already', hint="Name another table with --dest-table."
        )
    return local


def _register(
    provider: Database,
    subscriber: Database,
    queue: str,
    table: published.Published,
    local: TableName,
    options: AddOptions,
) -> bool:
    key = None
    try:
        key = check_fit(provider, subscriber, table, local)
    except (SchemaDrift, NoPrimaryKey):
        if not options.force:
            raise
    return subscribed.add_table(
        subscriber,
        queue,
        table.table,
        state=TableState.OK if options.expect_sync else TableState.MISSING,
        skip_truncate=options.skip_truncate,
        dest=local if local != table.table else None,
        condition=options.condition,
        key=key,
    )


def check_condition(provider: Database, table: TableName, condition: str, where: str = "provider") -> None:
    """Let a side read the condition of a copy. Raises RegistrationError when it cannot be used."""
    source = structure.require_table(provider, table, where)
    try:
        with provider.transaction("begin read only"):
            provider.script(f"explain select from {source.target} where ({condition})")
    except ConnectionLost:
        raise
    except DatabaseError as error:
        raise RegistrationError(
            f'--where cannot be used for table "{table}": {error.message}',
            hint="Give an SQL condition over the table's columns; qualify names outside of pg_catalog.",
        ) from error


def check_fit(
    provider: Database, subscriber: Database, table: published.Published, local: TableName
) -> tuple[str, ...] | None:
    """Check that the subscriber's table can take the provider's rows.

    Return the key to use where it is not the subscriber's primary key. Raises ObjectNotFound, SchemaDrift,
    NoPrimaryKey.
    """
    source = structure.require_table(provider, table.table, "provider")
    target = structure.find_table(subscriber, local)
    if target is None:
        near = nearest_name(local, structure.user_tables(subscriber))
        meant = f'Did you mean "{near}"? ' if near else ""
        raise ObjectNotFound(
            f'table "{local}" does not exist on the subscriber',
            hint=f"{meant}Say --create to have it made from the provider's definition, or make it there yourself.",
        )
    plan_columns(source, target)
    if set(target.primary_key) == set(table.key):
        return None
    if structure.has_unique_index(subscriber, target.oid, table.key):
        return table.key
    key = ", ".join(table.key)
    raise NoPrimaryKey(
        f'table "{local}" has no unique key on ({key}) on the subscriber',
        hint=f"Rows are found by the provider's key. Run there: ALTER TABLE {local.quoted} ADD PRIMARY KEY ({key});",
    )
