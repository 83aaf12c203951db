"""What a provider publishes: tables with their capture triggers, and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import lock_wait, routing, sequences, structure
from londiste_lite.db import Database
from londiste_lite.errors import ObjectNotFound
from londiste_lite.names import QualifiedName, SequenceName, TableName, nearest_name
from londiste_lite.routing import StoredRoute
from londiste_lite.triggers.capture_table import Route
from londiste_lite.triggers.create import create_capture
from londiste_lite.triggers.drop import drop_capture
from londiste_lite.triggers.refresh import refresh_capture
from londiste_lite.triggers.reroute import reroute


@dataclass(frozen=True)
class Published:
    """A published table, as stored; `route` is None for a table whose rows go to all nodes."""

    table: TableName
    key: tuple[str, ...]
    key_given: bool
    route: StoredRoute | None


def tables(db: Database, queue: str) -> list[Published]:
    """Return the published tables in the order of registration."""
    return [
        Published(
            QualifiedName.parse(row[0]), tuple(row[1]), bool(row[2]), routing.stored(row[3], row[4], bool(row[5]))
        )
        for row in db.rows("published.tables", queue=queue)
    ]


@dataclass(frozen=True)
class Added:
    """What `add_table` did: whether the table is `new`, and how many events take its rows to where they belong now.

    `rerouted` is None when the route stayed as it was.
    """

    new: bool
    rerouted: int | None = None


def add_table(
    db: Database,
    queue: str,
    table: TableName,
    *,
    key: Sequence[str] | None = None,
    route: Route | None = None,
    unrouted: bool = False,
    lock_timeout: float = 10.0,
) -> Added:
    """Publish a table: create its capture triggers and register it, in one transaction.

    When it was published already its triggers are made as they should be; key and route stay as they are unless new
    ones are given, `unrouted` ends the route. A new route takes the rows that are there along: each node that loses
    one gets its delete, each that gains one the row, in the same transaction and before any change that is captured by
    the new rule. Raises ObjectNotFound, NoPrimaryKey, RegistrationError, LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        before = {published.table: published for published in tables(db, queue)}.get(table)
        given = list(key) if key else None
        if given is None and before is not None and before.key_given:
            given = list(before.key)
        if route is None and not unrouted and before is not None and before.route is not None:
            route = before.route.route
        capture = create_capture(db, queue, table, given, route, lock_timeout)
        db.rows(
            "published.add_table",
            queue=queue,
            table=str(table),
            trigger=capture.trigger_stem,
            key=[column.name for column in capture.key],
            key_given=given is not None,
            column=route.text if route and route.kind == "column" else None,
            rule=route.text if route and route.kind == "expr" else None,
            many=capture.route_many,
        )
        if before is None:
            return Added(new=True)
        known = before.route.route if before.route else None
        if known == route:
            return Added(new=False)
        return Added(False, reroute(db, capture, known, before.route.many if before.route else False))


def remove_table(db: Database, queue: str, table: TableName, *, lock_timeout: float = 10.0) -> bool:
    """End the publication of a table: drop its capture triggers and its registration.

    Return False when it was not published. Raises LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        found = bool(db.rows("published.remove_table", queue=queue, table=str(table)))
        drop_capture(db, queue, table, lock_timeout)
    return found


def refresh_table(db: Database, queue: str, table: TableName, *, lock_timeout: float = 10.0) -> list[str]:
    """Make the capture of a published table fit it again; return what was done, empty when all was in order.

    Needed after partitions came or went, after another primary key, after a restore. Raises RegistrationError when the
    table is not captured, ObjectNotFound, NoPrimaryKey, PrivilegeMissing, LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        done = refresh_capture(db, queue, table, lock_timeout=lock_timeout)
        found = structure.find_table(db, table)
        if found is not None and found.primary_key:
            key = list(found.primary_key)
            if db.rows("published.set_primary_key", queue=queue, table=str(table), key=key):
                done = [*done, f"key is now ({', '.join(key)})"]
    return done


def published_sequences(db: Database, queue: str) -> list[SequenceName]:
    """Return the published sequences in the order of registration."""
    return [QualifiedName.parse(row[0]) for row in db.rows("published.sequences", queue=queue)]


def add_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """Publish a sequence; return False when it was already. Raises ObjectNotFound when there is no such sequence."""
    if not sequences.existing(db, [sequence]):
        near = nearest_name(sequence, structure.user_sequences(db))
        hint = f'Did you mean "{near}"?' if near else None
        raise ObjectNotFound(f'sequence "{sequence}" does not exist on the provider', hint=hint)
    return bool(db.rows("published.add_sequence", queue=queue, sequence=str(sequence)))


def remove_sequence(db: Database, queue: str, sequence: SequenceName) -> bool:
    """End the publication of a sequence; return False when it was not published."""
    return bool(db.rows("published.remove_sequence", queue=queue, sequence=str(sequence)))
