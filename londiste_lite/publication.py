"""Publishing a table: its capture triggers and its registration, made, mended and ended together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from londiste_lite import lock_wait, structure, unrouted
from londiste_lite.db import Database
from londiste_lite.errors import RegistrationError
from londiste_lite.names import TableName
from londiste_lite.published import find_table
from londiste_lite.triggers.capture_table import Route
from londiste_lite.triggers.create import create_capture
from londiste_lite.triggers.drop import drop_capture
from londiste_lite.triggers.refresh import refresh_capture, registered_as
from londiste_lite.triggers.reroute import reroute


@dataclass(frozen=True)
class Added:
    """What `add_table` did: whether the table is `new`, and how many events take its rows to where they belong now.

    `rerouted` is None when the route stayed as it was; `settled` is then how many events that were for rows that could
    not be routed before, None when there were none.
    """

    new: bool
    rerouted: int | None = None
    settled: int | None = None


def add_table(
    db: Database,
    queue: str,
    table: TableName,
    *,
    key: Sequence[str] | None = None,
    route: Route | None = None,
    all_nodes: bool = False,
    parks: bool | None = None,
    lock_timeout: float = 10.0,
) -> Added:
    """Publish a table: create its capture triggers and register it, in one transaction.

    When it was published already its triggers are made as they should be; key and route stay as they are unless new
    ones are given, `all_nodes` ends the route, `parks` says of the one that is there whether rows for which it fails
    are captured. Rows that could not be routed are tried again. A new route takes the rows that are there along: each
    node that loses one gets its delete, each that gains one the row, in the same transaction and before any change that
    is captured by the new rule. Raises ObjectNotFound, NoPrimaryKey, RegistrationError, LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        before = find_table(db, queue, table)
        given = list(key) if key else None
        if given is None and before is not None and before.key_given:
            given = list(before.key)
        known = before.route.route if before is not None and before.route is not None else None
        if route is None and not all_nodes and known is not None:
            route = known if parks is None else replace(known, parks=parks)
        if parks is not None and (route is None or route.kind != "expr"):
            raise RegistrationError(
                f'table "{table}" has no route that could fail', hint="Say --node-errors together with --node-expr."
            )
        parked = known is not None and known.parks and unrouted.there_are(db, queue, table)
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
            parks=route is not None and route.parks,
        )
        if before is not None and known == route and not parked:
            return Added(new=False)
        events = None
        if before is not None:
            events = reroute(db, capture, known, before.route is not None and before.route.many)
        unrouted.list_anew(db, capture)
        return Added(before is None, *((None, events) if known == route else (events, None)))


def remove_table(db: Database, queue: str, table: TableName, *, lock_timeout: float = 10.0) -> bool:
    """End the publication of a table: drop its capture triggers and its registration.

    Return False when it was not published. Raises LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        found = bool(db.rows("published.remove_table", queue=queue, table=str(table)))
        unrouted.forget(db, queue, table)
        drop_capture(db, queue, table, lock_timeout)
    return found


def refresh_table(db: Database, queue: str, table: TableName, *, lock_timeout: float = 10.0) -> list[str]:
    """Make the capture of a published table fit it again; return what was done, empty when all was in order.

    Needed after partitions came or went, after another primary key, a renamed column of a route, a restore. Raises
    RegistrationError when the table is not captured, ObjectNotFound, NoPrimaryKey, PrivilegeMissing, LockNotGranted.
    """
    with db.transaction():
        lock_wait.hold_publication(db, queue, lock_timeout)
        done = refresh_capture(db, queue, table, lock_timeout=lock_timeout)
        found = structure.find_table(db, table)
        if found is not None and found.primary_key:
            key = list(found.primary_key)
            if db.rows("published.set_primary_key", queue=queue, table=str(table), key=key):
                done = [*done, f"key is now ({', '.join(key)})"]
        known = registered_as(db, queue, table) if done else None
        if known is not None and known.key is not None:
            key = list(known.key)
            if db.rows("published.set_given_key", queue=queue, table=str(table), key=key):
                done = [*done, f"key is now ({', '.join(key)})"]
        if known is not None and known.route is not None and known.route.kind == "column":
            column = known.route.text
            if db.rows("published.set_node_column", queue=queue, table=str(table), column=column):
                done = [*done, f"rows go by column {column} now"]
    return done
