"""Keeps capture in step with the catalog: partitions come and go, keys change, databases are restored."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from londiste_lite.db import Database
from londiste_lite.errors import RegistrationError
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog, install
from londiste_lite.triggers.capture_table import Route
from londiste_lite.triggers.drop import triggers_of
from londiste_lite.triggers.install import Existing, Registered

log = logging.getLogger(__name__)


def refresh_capture(
    db: Database,
    queue: str,
    table: QualifiedName,
    key: Sequence[str] | None = None,
    route: Route | None = None,
    lock_timeout: float = 10.0,
) -> list[str]:
    """Make the capture of a published table what it should be, and return what was done, empty when it was in order.

    Key and route are those it was created with, unless they are given, and follow renamed columns. Partitions get
    triggers or lose them, functions are made anew. Works in the caller's transaction when one is open. Raises
    RegistrationError when the table is not captured in `queue`, ObjectNotFound, NoPrimaryKey, PrivilegeMissing,
    LockNotGranted.
    """
    with install.own_transaction(db, lock_timeout):
        number = catalog.queue_id(db, queue)
        found = install.existing(db, number)
        before = _known(found, table, key, route)
        relation = db.row("triggers.relation", schema=table.schema, name=table.name)
        if relation is not None:
            before = install.followed(db, found, int(relation[0]), before)
        tables = catalog.read(db, queue, table, before.key, before.route)
        todo = [f"{one.relation}: {what}" for one in tables for what in install.differences(one, found)]
        members = {one.oid for one in tables}
        gone = [t for t in triggers_of(found, table) if t.oid not in members]
        if not todo and not gone and install.registered(found, table) == before:
            return []
        install.lock(db, table)
        tables = catalog.read(db, queue, table, before.key, before.route)
        found = install.existing(db, number)
        for one in tables:
            install.install(db, one, found, before.key)
        unused = {t.function for t in gone if t.function in found.bodies}
        unused |= set(install.route_functions_of(found, {t.oid for t in gone}, number))
        install.remove(db, gone, sorted(unused))
    done = [f"made {what}" for what in todo]
    done += [f"dropped {one.relation}: trigger {one.name}" for one in gone]
    if not done:
        done = [f"made {table}: key or route"]
    for line in done:
        log.info("capture of table %s: %s", table, line)
    return done


def registered_as(db: Database, queue: str, table: QualifiedName) -> Registered | None:
    """Return the key, where one was given, and the route that the table is captured with."""
    return install.registered(install.existing(db, catalog.queue_id(db, queue)), table)


def _known(found: Existing, table: QualifiedName, key: Sequence[str] | None, route: Route | None) -> Registered:
    known = install.registered(found, table)
    if known is None and not triggers_of(found, table):
        raise RegistrationError(f'table "{table}" is not captured', hint="Publish it with `provider add`.")
    known = known or Registered(None, None)
    return Registered(known.key if key is None else tuple(key), known.route if route is None else route)
