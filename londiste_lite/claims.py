"""Who reads a queue: the subscribers as they name themselves on the provider, nodes that no subscriber has, parking.

A subscriber that is registered keeps the queue from forgetting what it has not read. One that said how far it may be
behind is *parked* when it is further: its claim is released. `replay.arrival` takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database


@dataclass(frozen=True)
class Claim:
    """One subscriber, as it named itself last; `parked` is when its claim was released, None when it was not."""

    node: str | None
    parked: datetime | None
    reason: str | None


@dataclass(frozen=True)
class UnknownNode:
    """Events of a table for a node that no subscriber is called."""

    table: str
    node: str
    events: int
    last_seen: datetime


@dataclass(frozen=True)
class Parked:
    """A subscriber that was parked just now, and why."""

    queue: str
    consumer: str
    reason: str


@dataclass(frozen=True)
class Reader:
    """Whose events are read: those for `node` and those for all. `indexed`: every event table has the node index."""

    node: str
    indexed: bool = True


def reader(provider: Database, queue: str, node: str | None) -> Reader | None:
    """Return how a node's events are found in the queue, None for a subscriber that takes those of every node."""
    return None if node is None else Reader(node, bool(provider.value("claims.all_indexed", queue=queue)))


def find(provider: Database, queue: str, consumer: str) -> Claim | None:
    """Return what a subscriber said of itself, None when it never did."""
    row = provider.row("claims.find", queue=queue, consumer=consumer)
    return Claim(row[0], row[1], row[2]) if row else None


def announce(
    provider: Database,
    queue: str,
    consumer: str,
    node: str | None,
    park_events: int | None = None,
    park_seconds: float | None = None,
) -> None:
    """Store who this subscriber is and how far it may be behind; it is not parked any more, and its node is known."""
    with provider.transaction():
        provider.rows(
            "claims.announce",
            queue=queue,
            consumer=consumer,
            node=node,
            park_events=park_events,
            park_seconds=park_seconds,
        )
        if node is not None:
            provider.rows("claims.known_now", queue=queue, node=node)


def forget(provider: Database, queue: str, consumer: str) -> None:
    """Forget a subscriber that ends its registration; its node is then one that no subscriber has."""
    provider.rows("claims.forget", queue=queue, consumer=consumer)


def unknown_nodes(provider: Database, queue: str) -> list[UnknownNode]:
    """Return the nodes that rows name and no subscriber is called, with the events that went to nobody."""
    if not provider.value("claims.has_routes", queue=queue):
        return []
    return [UnknownNode(*row) for row in provider.rows("claims.unknown_nodes", queue=queue)]


def watched_here(db: Database) -> bool:
    """Tell whether this database has what the functions below need; one with the queue alone has not."""
    return bool(db.value("claims.installed"))


def park_behind(db: Database) -> list[Parked]:
    """Park the subscribers that are further behind than they said; return them."""
    return [Parked(*row) for row in db.rows("claims.park_behind")]


def count_unknown_nodes(db: Database, queue: str) -> None:
    """Keep the count of events for unknown nodes, before the queue forgets them."""
    db.rows("claims.count_unknown_nodes", queue=queue)


def index_targets(db: Database, queue: str) -> int:
    """Make the index by which nodes find their events, where a queue has routes; return how many tables lack it yet."""
    return int(db.value("claims.index_targets", queue=queue))
