"""Reads a table's definition from the catalogue: columns, constraints, indexes, sequences, types, partitions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from londiste_lite.db import Database, Row
from londiste_lite.names import QualifiedName
from londiste_lite.structure_copy.definition import (
    ColumnDef,
    ConstraintDef,
    IndexDef,
    ReferenceDef,
    RelationDef,
    SequenceDef,
    TableDef,
    TypeDef,
)


def table(db: Database, oid: int) -> TableDef:
    """Return the definition of the table `oid` with all of its partitions, as of one moment."""
    with db.transaction("begin isolation level repeatable read, read only"):
        # Names in the server's texts are then qualified, whatever the session's search_path is.
        db.script("set local search_path = pg_catalog")
        found = [_relation(row) for row in db.rows("structure_copy.relations", oid=oid)]
        oids = [relation.oid for relation in found]
        columns = _grouped(db.rows("structure_copy.columns", oids=oids))
        constraints = _grouped(db.rows("structure_copy.constraints", oids=oids))
        indexes = _grouped(db.rows("structure_copy.indexes", oids=oids))
        relations = tuple(
            replace(
                relation,
                columns=tuple(ColumnDef(*row) for row in columns[relation.oid]),
                constraints=tuple(_constraint(row) for row in constraints[relation.oid]),
                indexes=tuple(IndexDef(*row) for row in indexes[relation.oid]),
            )
            for relation in found
        )
        return TableDef(
            relations,
            tuple(_sequence(row) for row in db.rows("structure_copy.sequences", oids=oids)),
            _types(db, oids),
            tuple(_reference(row) for row in db.rows("structure_copy.foreign_keys", oids=oids)),
        )


def _grouped(rows: list[Row]) -> dict[int, list[Row]]:
    """Return rows by their first column, the relation, without it."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[int(row[0])].append(row[1:])
    return found


def _relation(row: Row) -> RelationDef:
    oid, schema, name, kind, persistence, parent, key, bound, options, comment, identity, security, method, tree = row
    return RelationDef(
        oid=int(oid),
        name=QualifiedName(schema, name),
        kind=kind,
        persistence=persistence,
        parent=parent,
        partition_key=key,
        bound=bound,
        options=tuple(options),
        comment=comment,
        replica_identity=identity,
        row_security=security,
        access_method=method,
        inherits=tree,
    )


def _constraint(row: Row) -> ConstraintDef:
    fields: list[Any] = list(row)
    fields[-2] = tuple(fields[-2])
    return ConstraintDef(*fields)


def _sequence(row: Row) -> SequenceDef:
    relation, column, how, schema, name, *rest = row
    return SequenceDef(QualifiedName(schema, name), int(relation), column, how, *rest)


def _reference(row: Row) -> ReferenceDef:
    child, child_root, parent, parent_root = (QualifiedName(row[n], row[n + 1]) for n in (1, 3, 5, 7))
    return ReferenceDef(child, child_root, parent, parent_root, *row[9:])


def _types(db: Database, relations: list[int]) -> tuple[TypeDef, ...]:
    rows = db.rows("structure_copy.types", oids=relations)
    oids = [int(row[0]) for row in rows]
    parts = _grouped(db.rows("structure_copy.type_parts", oids=oids))
    checks = _grouped(db.rows("structure_copy.domain_checks", oids=oids))
    return tuple(
        TypeDef(
            oid=int(oid),
            name=QualifiedName(schema, name),
            kind=kind,
            extension=extension,
            labels=tuple(labels),
            base=base,
            collation=collation,
            not_null=not_null,
            default=default,
            comment=comment,
            parts=tuple(int(part[3]) for part in parts[int(oid)]),
            attributes=tuple((part[0], part[1], part[2]) for part in parts[int(oid)] if part[0] is not None),
            checks=tuple((check[0], check[1]) for check in checks[int(oid)]),
        )
        for oid, schema, name, kind, extension, labels, base, collation, not_null, default, comment in rows
    )
