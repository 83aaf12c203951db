"""Creates the capture triggers of a table. What they do is in `function_text`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog, install
from londiste_lite.triggers.capture_table import CaptureTable, Route

log = logging.getLogger(__name__)


def create_capture(
    db: Database,
    queue: str,
    table: QualifiedName,
    key: Sequence[str] | None = None,
    route: Route | None = None,
    lock_timeout: float = 10.0,
) -> CaptureTable:
    """Log every change of `table` and of its partitions in `queue`, from the moment the transaction commits.

    `key` names the key columns where it is not the primary key; `lock_timeout` is in seconds. Works in the caller's
    transaction when one is open. Repeating it changes nothing and takes no lock; other arguments replace the
    former ones. Raises ObjectNotFound, NoPrimaryKey, RegistrationError, PrivilegeMissing, LockNotGranted.
    """
    if not db.in_transaction:
        # In a transaction of its own, for its locks hold up the ticker.
        catalog.follow_current_table(db, queue)
    with install.own_transaction(db, lock_timeout):
        tables = catalog.read(db, queue, table, key, route)
        found = install.existing(db, tables[0].queue_id, [one.oid for one in tables])
        given = None if key is None else tuple(key)
        same = install.registered(found, tables[0]) == install.Registered(given, route)
        if same and not any(install.differences(one, found) for one in tables):
            return tables[0]
        install.lock(db, table)
        # Read again: what was read before the lock may have been altered while it was waited for.
        tables = catalog.read(db, queue, table, key, route)
        found = install.existing(db, tables[0].queue_id, [one.oid for one in tables])
        for one in tables:
            install.install(db, one, found, key)
    log.debug("capture of table %s: %d relation(s)", table, len(tables))
    return tables[0]
