"""Statements that make a table with its partitions, in the order of pg_dump; pure.

A partition is made as a table of its own and then attached, so that its columns may stand in another order; indexes
are made with ONLY and attached too, which keeps the names.
"""

from __future__ import annotations

from collections.abc import Iterator

from londiste_lite.names import SequenceName, TableName, quote_ident, quote_literal
from londiste_lite.structure_copy.definition import (
    ColumnDef,
    ConstraintDef,
    IndexDef,
    RelationDef,
    SequenceDef,
    Step,
    TableDef,
)
from londiste_lite.structure_copy.limits import V18, unusable

_STORAGE = {"p": "plain", "e": "external", "m": "main", "x": "extended"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}


class TableDdl:
    """The statements for one table on a server of `version`, where its name is `local`."""

    def __init__(self, table: TableDef, local: TableName, version: int) -> None:
        self._table = table
        self._version = version
        self._names = {relation.oid: relation.name for relation in table.relations}
        self._names[table.root.oid] = local
        self._schemas = {relation.oid: self._names[relation.oid].schema for relation in table.relations}

    @property
    def relation_names(self) -> list[TableName]:
        """The names of the table and its partitions on the subscriber."""
        return list(self._names.values())

    def steps(self, sequences_there: set[SequenceName]) -> list[Step]:
        """Return all statements but those for types and foreign keys; sequences that are there are left alone."""
        relations = self._table.relations
        made = [s for s in self._table.sequences if s.how != "i" and s.name not in sequences_there]
        found = [_create_sequence(sequence) for sequence in made]
        for relation in relations:
            found += self._create(relation)
        found += [
            Step(f"alter sequence {s.name.quoted} owned by {self._name(s.relation)}.{quote_ident(s.column)}")
            for s in made
            # A sequence can only belong to a table of its own schema.
            if s.how == "a" and s.name.schema == self._schemas[s.relation]
        ]
        indexes = self._index_names()
        for relation in relations:
            found += self._keys(relation, indexes)
            found += self._indexes(relation, indexes)
        for relation in relations:
            found += self._settings(relation)
            found += self._comments(relation)
        found += [
            Step(f"comment on sequence {self._sequence_name(s).quoted} is {quote_literal(s.comment)}")
            for s in (*made, *(s for s in self._table.sequences if s.how == "i"))
            if s.comment is not None
        ]
        return found

    def _name(self, oid: int) -> str:
        return self._names[oid].quoted

    # --- tables -----------------------------------------------------------------------------------------------------

    def _create(self, relation: RelationDef) -> Iterator[Step]:
        name = self._name(relation.oid)
        unlogged = "unlogged " if relation.persistence == "u" else ""
        columns = ",\n".join(f"    {self._column(relation, column)}" for column in relation.columns)
        split = f" partition by {relation.partition_key}" if relation.partition_key else ""
        yield Step(f"create {unlogged}table {name} (\n{columns}\n){split}")
        for constraint in relation.constraints:
            if constraint.kind == "c" and (constraint.enforced or self._version >= V18):
                yield Step(f"alter table only {name} add constraint {quote_ident(constraint.name)} {constraint.sql}")
        if self._version >= V18:
            for column in relation.columns:
                if column.not_null_unproven:
                    named = f"constraint {quote_ident(column.not_null_name)} " if column.not_null_name else ""
                    column_name = quote_ident(column.name)
                    yield Step(f"alter table only {name} add {named}not null {column_name} not valid")
        if relation.parent is not None:
            parent = self._name(relation.parent)
            yield Step(f"alter table only {parent} attach partition {name} {relation.bound}")

    def _column(self, relation: RelationDef, column: ColumnDef) -> str:
        parts = [quote_ident(column.name), column.type]
        if column.collation:
            parts.append(f"collate {column.collation}")
        if column.generated:
            parts.append(f"generated always as ({column.default}) {'stored' if column.generated == 's' else 'virtual'}")
        elif column.identity and relation.parent is None:
            parts.append(self._identity(relation, column))
        elif column.default is not None:
            parts.append(f"default {column.default}")
        if column.not_null:
            # Servers before 18 read the name and forget it.
            named = f"constraint {quote_ident(column.not_null_name)} " if column.not_null_name else ""
            parts.append(f"{named}not null")
        return " ".join(parts)

    def _identity(self, relation: RelationDef, column: ColumnDef) -> str:
        when = "always" if column.identity == "a" else "by default"
        owned = [s for s in self._table.sequences if s.how == "i" and s.relation == relation.oid]
        sequence = next((s for s in owned if s.column == column.name), None)
        if sequence is None:
            return f"generated {when} as identity"
        named = self._sequence_name(sequence).quoted
        return f"generated {when} as identity (sequence name {named} {_sequence_options(sequence)})"

    def _sequence_name(self, sequence: SequenceDef) -> SequenceName:
        if sequence.how == "i":
            return SequenceName(self._schemas[sequence.relation], sequence.name.name)
        return sequence.name

    # --- keys and indexes -------------------------------------------------------------------------------------------

    def _index_names(self) -> dict[int, str]:
        """The quoted names of all indexes on the subscriber, by the provider's oid."""
        found = {}
        for relation in self._table.relations:
            for one in relation.indexed:
                if one.index is not None:
                    found[one.index] = f"{quote_ident(self._schemas[relation.oid])}.{quote_ident(one.name)}"
        return found

    def _keys(self, relation: RelationDef, names: dict[int, str]) -> Iterator[Step]:
        for one in relation.constraints:
            if one.index is None or one.kind == "c":
                continue
            yield Step(f"alter table only {self._name(relation.oid)} add constraint {quote_ident(one.name)} {one.sql}")
            if one.options and not relation.partitioned:
                yield from _options("index", names[one.index], one.options)
            yield from _attach(one, names)

    def _indexes(self, relation: RelationDef, names: dict[int, str]) -> Iterator[Step]:
        only = "only " if relation.partitioned else ""
        for one in relation.indexes:
            if unusable(relation, one.valid):
                continue
            unique = "unique " if one.unique else ""
            yield Step(f"create {unique}index {quote_ident(one.name)} on {only}{self._name(relation.oid)}{one.sql}")
            yield from _attach(one, names)

    # --- settings and comments --------------------------------------------------------------------------------------

    def _settings(self, relation: RelationDef) -> Iterator[Step]:
        name = self._name(relation.oid)
        if not relation.partitioned:
            yield from _options("table", name, relation.options)
        for column in relation.columns:
            alter = f"alter table only {name} alter column {quote_ident(column.name)}"
            where = f'of column "{column.name}"'
            if column.storage in _STORAGE:
                yield Step(f"{alter} set storage {_STORAGE[column.storage]}", f"the storage {where}")
            if column.compression in _COMPRESSION:
                yield Step(f"{alter} set compression {_COMPRESSION[column.compression]}", f"the compression {where}")
            if column.statistics is not None:
                yield Step(f"{alter} set statistics {column.statistics}", f"the statistics target {where}")
        if relation.replica_identity in ("f", "n"):
            kind = "full" if relation.replica_identity == "f" else "nothing"
            yield Step(f"alter table only {name} replica identity {kind}")
        for one in relation.indexed:
            if one.replica_identity:
                yield Step(f"alter table only {name} replica identity using index {quote_ident(one.name)}")

    def _comments(self, relation: RelationDef) -> Iterator[Step]:
        name = self._name(relation.oid)
        if relation.comment is not None:
            yield Step(f"comment on table {name} is {quote_literal(relation.comment)}")
        for column in relation.columns:
            if column.comment is not None:
                yield Step(f"comment on column {name}.{quote_ident(column.name)} is {quote_literal(column.comment)}")
        for constraint in relation.constraints:
            if constraint.comment is not None and (constraint.enforced or self._version >= V18):
                what = f"constraint {quote_ident(constraint.name)} on {name}"
                yield Step(f"comment on {what} is {quote_literal(constraint.comment)}")
        for index in relation.indexes:
            if index.comment is not None and not unusable(relation, index.valid):
                what = f"{quote_ident(self._schemas[relation.oid])}.{quote_ident(index.name)}"
                yield Step(f"comment on index {what} is {quote_literal(index.comment)}")


def _attach(one: ConstraintDef | IndexDef, names: dict[int, str]) -> Iterator[Step]:
    if one.index is not None and one.parent_index is not None and one.parent_index in names:
        yield Step(f"alter index {names[one.parent_index]} attach partition {names[one.index]}")


def _options(kind: str, name: str, options: tuple[str, ...]) -> Iterator[Step]:
    """Storage parameters one by one: an older server may not know all of them."""
    for option in options:
        key, _, value = option.partition("=")
        dotted = ".".join(quote_ident(part) for part in key.split("."))
        yield Step(f"alter {kind} {name} set ({dotted} = {quote_literal(value)})", f'storage parameter "{key}"')


def _create_sequence(sequence: SequenceDef) -> Step:
    return Step(f"create sequence {sequence.name.quoted} as {sequence.type} {_sequence_options(sequence)}")


def _sequence_options(sequence: SequenceDef) -> str:
    cycle = "cycle" if sequence.cycle else "no cycle"
    return (
        f"increment {sequence.increment} minvalue {sequence.least} maxvalue {sequence.most} "
        f"start {sequence.start} cache {sequence.cache} {cycle}"
    )
