"""Lists the capture triggers that are in the database, for `provider tables` and for checks."""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog, install

OPERATIONS = ("insert", "update", "delete", "truncate")


@dataclass(frozen=True)
class Captured:
    """A relation with capture triggers of one queue."""

    relation: QualifiedName
    operations: tuple[str, ...]
    """What is logged; the ordinary state is all of OPERATIONS, without truncate for a partitioned partition."""
    disabled: tuple[str, ...]
    """Names of triggers that ALTER TABLE ... DISABLE TRIGGER switched off."""


def captured_relations(db: Database, queue: str) -> list[Captured]:
    """Return the relations whose changes are logged in `queue`, by name. Raises ObjectNotFound for the queue."""
    number = catalog.queue_id(db, queue)
    by_relation: dict[QualifiedName, list[install.FoundTrigger]] = {}
    for trigger in install.existing(db, number).triggers:
        by_relation.setdefault(trigger.relation, []).append(trigger)
    return [
        Captured(
            relation,
            tuple(op for op in OPERATIONS if any(t.function.endswith(f"_{op}") and t.enabled for t in triggers)),
            tuple(t.name for t in triggers if not t.enabled),
        )
        for relation, triggers in sorted(by_relation.items())
    ]
