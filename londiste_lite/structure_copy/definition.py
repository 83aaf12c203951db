"""What makes a table, as plain data: `read` fills it, `table_ddl` and `type_ddl` turn it into statements.

Texts named `sql` are the server's own, with every name in them qualified and quoted.
"""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.names import QualifiedName, SequenceName, TableName


@dataclass(frozen=True)
class ColumnDef:
    """A column. `identity` is `a`, `d` or empty, `generated` `s`, `v` or empty, `default` the expression of either.

    `not_null_name` is the constraint's name where the server keeps one; `not_null_unproven` a NOT NULL that is NOT
    VALID. `storage` and `compression` are set where they are not the type's own.
    """

    name: str
    type: str
    collation: str | None = None
    not_null: bool = False
    not_null_name: str | None = None
    not_null_unproven: bool = False
    identity: str = ""
    generated: str = ""
    default: str | None = None
    storage: str | None = None
    compression: str | None = None
    statistics: int | None = None
    comment: str | None = None


@dataclass(frozen=True)
class ConstraintDef:
    """A primary key (`p`), unique (`u`), exclusion (`x`) or check (`c`) constraint.

    `index` and `parent_index` are the provider's oids of its index and of the index that this one is a part of.
    """

    name: str
    kind: str
    sql: str
    index: int | None = None
    parent_index: int | None = None
    enforced: bool = True
    period: bool = False
    nulls_not_distinct: bool = False
    replica_identity: bool = False
    options: tuple[str, ...] = ()
    comment: str | None = None


@dataclass(frozen=True)
class IndexDef:
    """An index that belongs to no constraint; `sql` is what follows the table's name, from USING on."""

    name: str
    unique: bool
    sql: str
    index: int
    parent_index: int | None = None
    valid: bool = True
    nulls_not_distinct: bool = False
    replica_identity: bool = False
    comment: str | None = None


@dataclass(frozen=True)
class SequenceDef:
    """A sequence: `how` it belongs to `column` of relation `relation` is `a` owned, `i` identity, `n` only used."""

    name: SequenceName
    relation: int
    column: str
    how: str
    type: str
    start: int
    increment: int
    least: int
    most: int
    cache: int
    cycle: bool
    comment: str | None = None


@dataclass(frozen=True)
class RelationDef:
    """A table or a partition: `parent` is the provider's oid of what it is a partition of, `bound` its FOR VALUES."""

    oid: int
    name: TableName
    kind: str = "r"
    persistence: str = "p"
    parent: int | None = None
    partition_key: str | None = None
    bound: str | None = None
    options: tuple[str, ...] = ()
    comment: str | None = None
    replica_identity: str = "d"
    row_security: bool = False
    access_method: str = "heap"
    inherits: bool = False
    columns: tuple[ColumnDef, ...] = ()
    constraints: tuple[ConstraintDef, ...] = ()
    indexes: tuple[IndexDef, ...] = ()

    @property
    def partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def indexed(self) -> list[ConstraintDef | IndexDef]:
        """What has an index, or is one."""
        return [*(c for c in self.constraints if c.index is not None), *self.indexes]


@dataclass(frozen=True)
class TypeDef:
    """A type outside of arrays. `kind` is that of pg_type (`e` enum, `d` domain, `c` composite, ..) or `row`.

    `parts` are the oids of the types that it is made of, `attributes` (name, type, collation) of a composite.
    """

    oid: int
    name: QualifiedName
    kind: str
    extension: str | None = None
    labels: tuple[str, ...] = ()
    base: str | None = None
    collation: str | None = None
    not_null: bool = False
    default: str | None = None
    comment: str | None = None
    parts: tuple[int, ...] = ()
    attributes: tuple[tuple[str, str, str | None], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ReferenceDef:
    """A foreign key. `head` ends and `tail` begins where the name of the referenced table stands.

    `child_root` and `parent_root` are the tables that are replicated, when an end is a partition.
    """

    child: TableName
    child_root: TableName
    parent: TableName
    parent_root: TableName
    name: str
    head: str
    tail: str
    enforced: bool = True
    period: bool = False
    set_columns: bool = False
    comment: str | None = None


@dataclass(frozen=True)
class TableDef:
    """A table with all of its partitions, parents before children; the first relation is the table itself."""

    relations: tuple[RelationDef, ...]
    sequences: tuple[SequenceDef, ...] = ()
    types: tuple[TypeDef, ...] = ()
    references: tuple[ReferenceDef, ...] = ()

    @property
    def root(self) -> RelationDef:
        return self.relations[0]


@dataclass(frozen=True)
class Step:
    """One statement. When an optional one fails, `otherwise` says what the table does without."""

    sql: str
    otherwise: str | None = None
