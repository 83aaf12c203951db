"""What a subscriber's older server cannot hold of a table, and what is left out on purpose; pure."""

from __future__ import annotations

from londiste_lite.errors import RegistrationError
from londiste_lite.structure_copy.definition import ReferenceDef, RelationDef, TableDef

V15, V18 = 150000, 180000


def require_supported(table: TableDef, version: int) -> None:
    """Raise RegistrationError, naming the thing, when a server of `version` cannot hold the table as it is."""
    for relation in table.relations:
        if relation.kind == "f":
            raise RegistrationError(
                f'partition "{relation.name}" of table "{table.root.name}" is a foreign table',
                hint="Create the table on the subscriber yourself.",
            )
        if version < V18:
            for column in relation.columns:
                if column.generated == "v":
                    raise _too_old(f'virtual generated column "{column.name}" of table "{relation.name}"', 18)
        for constraint in relation.constraints:
            if constraint.period and version < V18:
                raise _too_old(f'constraint "{constraint.name}" of table "{relation.name}", WITHOUT OVERLAPS', 18)
        for found in relation.indexed:
            if found.nulls_not_distinct and version < V15:
                raise _too_old(f'NULLS NOT DISTINCT of "{found.name}" on table "{relation.name}"', 15)


def _too_old(what: str, needed: int) -> RegistrationError:
    return RegistrationError(
        f"{what} needs PostgreSQL {needed} on the subscriber",
        hint="Create the table there yourself, without it.",
    )


def reference_obstacle(reference: ReferenceDef, version: int) -> str | None:
    """Return why a server of `version` cannot have this foreign key, None when it can."""
    if reference.period and version < V18:
        return "PERIOD needs PostgreSQL 18"
    if not reference.enforced and version < V18:
        return "NOT ENFORCED needs PostgreSQL 18"
    if reference.set_columns and version < V15:
        return "SET NULL of single columns needs PostgreSQL 15"
    return None


def left_out(table: TableDef, version: int) -> list[str]:
    """Return what the subscriber's table does without, each as a phrase for people."""
    found: list[str] = []
    for relation in table.relations:
        found += _left_out_of(relation, version)
    return found


def _left_out_of(relation: RelationDef, version: int) -> list[str]:
    found = []
    if relation.inherits:
        found.append(f'inheritance of "{relation.name}"')
    if relation.row_security:
        found.append(f'row security of "{relation.name}"')
    if relation.access_method != "heap":
        found.append(f'access method "{relation.access_method}" of "{relation.name}"')
    found += [f'invalid index "{index.name}"' for index in relation.indexes if unusable(relation, index.valid)]
    if version < V18:
        found += [f'check "{c.name}", which is NOT ENFORCED' for c in relation.constraints if not c.enforced]
        found += [f'NOT NULL of "{c.name}", which is NOT VALID' for c in relation.columns if c.not_null_unproven]
    return found


def unusable(relation: RelationDef, valid: bool) -> bool:
    """Tell whether an index is not there for queries; a partitioned table's is invalid until all parts have one."""
    return not valid and not relation.partitioned
