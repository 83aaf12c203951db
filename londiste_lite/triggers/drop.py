"""Drops the capture triggers of a table."""

from __future__ import annotations

from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog, install
from londiste_lite.triggers.install import Existing, FoundTrigger


def drop_capture(db: Database, queue: str, table: QualifiedName, lock_timeout: float = 10.0) -> bool:
    """Stop logging the changes of `table` and its partitions in `queue`; return False when nothing logged them.

    Works in the caller's transaction when one is open. Raises LockNotGranted, and ObjectNotFound for the queue.
    """
    with install.own_transaction(db, lock_timeout):
        number = catalog.queue_id(db, queue)
        found = install.existing(db, number)
        triggers = triggers_of(found, table)
        functions = {t.function for t in triggers if t.function in found.bodies}
        # A table that was dropped took its triggers along and left the functions.
        used = {t.function for t in found.triggers}
        relations = {t.oid for t in found.triggers}
        used |= set(install.route_functions_of(found, relations, number))
        functions |= {name for name in found.bodies if name not in used}
        functions |= set(install.route_functions_of(found, {t.oid for t in triggers}, number))
        install.remove(db, triggers, sorted(functions))
    return bool(triggers)


def triggers_of(found: Existing, table: QualifiedName) -> list[FoundTrigger]:
    """Return the capture triggers of the published table and of its partitions, past ones included.

    They belong together by the mark of the published table, the argument of the triggers that open a statement.
    """
    marks = {t.argument[1:] for t in found.triggers if t.relation == table and t.argument}
    relations = {t.oid for t in found.triggers if t.argument and t.argument[1:] in marks}
    relations |= {t.oid for t in found.triggers if t.relation == table}
    return [t for t in found.triggers if t.oid in relations]
