"""What replay knows of the tables it writes: definitions on both sides, keys, and the session's temporary objects.

Everything here is a cache. `forget` empties it: after a rollback (temporary objects made in the transaction are gone)
and after an error that a changed definition may have caused.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from londiste_lite import events, structure
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, ObjectNotFound, SchemaDrift
from londiste_lite.events import Shape
from londiste_lite.names import TableName, quote_ident
from londiste_lite.replay.compact import KeyColumn
from londiste_lite.replay.mapping import Mapping, change_type, map_shape
from londiste_lite.replay.records import RecordRead, record_read
from londiste_lite.replay.stage import Group, surviving
from londiste_lite.structure import Equality, Table
from londiste_lite.subscribed import Subscribed

Marked = tuple[dict[tuple[str, ...], str], dict[tuple[TableName, str], str], str]

_PLAIN = Equality("operator(pg_catalog.=)", True, None)

# For the names of temporary objects. One count for all, because a copy's connection outlives the catalogue that made
# objects there.
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Target:
    """A subscribed table as replay writes it."""

    subscribed: Subscribed
    table: Table
    key: tuple[KeyColumn, ...]

    @property
    def name(self) -> TableName:
        """The table's name on the provider, under which its events come."""
        return self.subscribed.table

    @property
    def has_identity_always(self) -> bool:
        """Whether a column outside the key may only be set by INSERT."""
        keys = {k.name for k in self.key}
        return any(c.identity == "a" and c.name not in keys for c in self.table.columns)


class Catalog:
    """Cached knowledge for one subscriber session."""

    def __init__(self, provider: Database, subscriber: Database) -> None:
        self._provider = provider
        self._subscriber = subscriber
        self._oids: dict[TableName, int] = {}
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self._targets: dict[TableName, Target] = {}
        self._provider_tables: dict[TableName, Table | None] = {}
        self._mappings: dict[TableName, dict[Shape, Mapping]] = {}
        self._row_types: dict[tuple[str, ...], str] = {}
        self._made: dict[tuple[TableName, str], str] = {}
        self._last_ddl = ""
        self._pairs: list[tuple[TableName, TableName]] | None = None

    @property
    def warm(self) -> bool:
        """Whether anything is cached, so that forgetting could help."""
        return bool(self._targets)

    def target(self, subscribed: Subscribed) -> Target:
        """Return the table behind a subscription. Raises SchemaDrift when it is gone or has no usable key."""
        found = self._targets.get(subscribed.table)
        if found is not None and found.subscribed.dest == subscribed.dest and found.subscribed.key == subscribed.key:
            return found
        table = structure.find_table(self._subscriber, subscribed.local)
        if table is None:
            drift = SchemaDrift(
                f'table "{subscribed.local}" does not exist on the subscriber',
                hint=f"Create it there: {self._missing_table(subscribed)} Or end the subscription with "
                "`subscriber remove`.",
                table=str(subscribed.table),
            )
            drift.gone_oid = self._oids.get(subscribed.table, 0)
            raise drift
        self._oids[subscribed.table] = table.oid
        target = Target(subscribed, table, self._key(subscribed, table))
        self._targets[subscribed.table] = target
        return target

    def _missing_table(self, subscribed: Subscribed) -> str:
        """Return the statements that make a table as the provider has it."""
        from londiste_lite.structure_copy import create  # only here, for it is seldom wanted
        from londiste_lite.structure_copy.table_ddl import TableDdl

        try:
            found = create.definition(self._provider, subscribed.table)
        except ObjectNotFound:
            return "the provider has it no longer."
        steps = TableDdl(found, subscribed.local, self._subscriber.server_version).steps(set())
        return " ".join(" ".join(f"{step.sql};".split()) for step in steps if step.otherwise is None)

    def _key(self, subscribed: Subscribed, table: Table) -> tuple[KeyColumn, ...]:
        names = subscribed.key or table.primary_key
        if subscribed.key and any(table.column(n) is None for n in subscribed.key):
            names = table.primary_key or self._only_unique_key(table)
        if not names:
            provider = structure.find_table(self._provider, subscribed.table)
            wanted = subscribed.key or (provider.primary_key if provider is not None else ())
            listed = ", ".join(quote_ident(name) for name in wanted) or "..."
            raise SchemaDrift(
                f'table "{table.name}" has no primary key on the subscriber',
                hint=f"Run on the subscriber: ALTER TABLE {table.name.quoted} ADD PRIMARY KEY ({listed});",
                table=str(subscribed.table),
            )
        operators = structure.key_operators(self._subscriber, table.oid, names)
        found = []
        for name in names:
            column = table.column(name)
            assert column is not None
            found.append(KeyColumn(name, column.base, operators.get(name, _PLAIN)))
        return tuple(found)

    def _only_unique_key(self, table: Table) -> tuple[str, ...]:
        """Return the key of a table without primary key whose registered key columns have been renamed."""
        keys = structure.unique_keys(self._subscriber, table.oid)
        return keys[0] if len(keys) == 1 else ()

    def mappings(self, target: Target, shapes: Collection[Shape]) -> dict[Shape, Mapping]:
        """Return where the columns of each event shape go. Raises SchemaDrift when the key is not among them.

        A shape that was not seen before tells that the provider's table may have changed: it is read anew, for a column
        that is not known would pass for one that was dropped, and its values would be lost.
        """
        known = self._mappings.setdefault(target.name, {})
        if any(shape not in known for shape in shapes):
            provider = structure.find_table(self._provider, target.name)
            if provider != self._provider_tables.get(target.name):
                known.clear()
                self._provider_tables[target.name] = provider
            for shape in shapes:
                known[shape] = self._mapping(target, shape, provider)
        return {shape: known[shape] for shape in shapes}

    def _mapping(self, target: Target, shape: Shape, provider: Table | None) -> Mapping:
        found = map_shape(shape, target.table, provider)
        absent = [k.name for k in target.key if k.name not in found.columns]
        if absent:
            raise SchemaDrift(
                f'events of table "{target.name}" do not carry the key column "{absent[0]}" of the subscriber',
                hint="The key must be the same on both sides.",
                table=str(target.name),
            )
        self._require_casts(target, found)
        return found

    def record_read(self, target: Target, groups: Sequence[Group]) -> RecordRead | None:
        """Return how the events of one table travel as lines of CSV to the subscriber, None when they cannot."""
        _, rows = surviving(groups)
        found = record_read(rows)
        if found is None:
            return None
        mappings = self.mappings(target, {g.shape for g in rows})
        whole = max(mappings.values(), key=lambda mapping: len(mapping.fields))
        keys = {k.name for k in target.key}
        only_keys = all(g.operation == events.DELETE for g in rows)
        for field in whole.fields:
            # Each field needs a column that takes it.
            if field.column is None or (only_keys and field.column.name not in keys):
                return None
            # COPY reads text as the column's type; where the types differ, a cast has to do it.
            if field.cast and (field.column.name in keys or all(g.operation == events.INSERT for g in rows)):
                return None
        return found

    def _require_casts(self, target: Target, mapping: Mapping) -> None:
        for field in mapping.fields:
            if field.column is None or field.cast is None:
                continue
            try:
                self._subscriber.run(f"select null::{field.type}::{field.cast} where false")
            except DatabaseError as error:
                if error.sqlstate != "42846":
                    raise
                raise SchemaDrift(
                    f'column "{field.column.name}" of table "{target.table.name}" cannot hold what the provider sends: '
                    f"no cast from {field.type} to {field.cast}",
                    hint=f"Run on the subscriber: {change_type(target.table, field.column, field.type)}",
                    table=str(target.name),
                ) from error

    def row_type(self, mapping: Mapping) -> str:
        """Return a composite type with the fields' types, creating it in this session when needed."""
        types = tuple(field.type for field in mapping.fields)
        found = self._row_types.get(types)
        if found is None:
            name = f'"londiste_row_{next(_numbers)}"'
            columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(types, 1))
            self._subscriber.script(f"create temp table {name} ({columns})")
            found = self._row_types[types] = f"pg_temp.{name}"
        return found

    def made(self, table: TableName, ddl: str) -> str:
        """Return the name of a temporary table that `table` has for itself, made by a DDL text with `{name}` in it."""
        found = self._made.get((table, ddl))
        if found is None:
            plain = f'"londiste_tmp_{next(_numbers)}"'
            self._subscriber.script(ddl.replace("{name}", plain))
            found = self._made[table, ddl] = f"pg_temp.{plain}"
        return found

    def mark(self) -> Marked:
        """Return which temporary objects there are, before a savepoint."""
        return dict(self._row_types), dict(self._made), self._last_ddl

    def reset(self, marked: Marked) -> None:
        """Forget the temporary objects made since `mark`: the savepoint was rolled back."""
        row_types, made, self._last_ddl = marked
        self._row_types, self._made = dict(row_types), dict(made)

    def empty_made(self) -> None:
        """Empty the tables of `made`, which otherwise happens at the commit."""
        if self._made:
            self._subscriber.script(f"truncate {', '.join(self._made.values())}")

    def once(self, ddl: str) -> None:
        """Run a DDL text unless it was the last one: a function made anew in each batch would bloat the catalog."""
        if ddl != self._last_ddl:
            self._subscriber.script(ddl)
            self._last_ddl = ddl

    def foreign_keys(self) -> list[tuple[TableName, TableName]]:
        """Return the subscriber's foreign keys as (referencing, referenced), local names."""
        if self._pairs is None:
            self._pairs = structure.foreign_key_pairs(self._subscriber)
        return self._pairs
