"""How far the nodes of a queue are behind, by what the provider knows: no connection to any of them is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import event_queue, progress, published
from londiste_lite.db import Database


@dataclass(frozen=True)
class NodeLag:
    """One consumer: the tick that it is at, None when it is not registered, and what waits for it."""

    consumer: str
    tick: int | None
    events: int | None
    seconds: float | None


def of_nodes(
    provider: Database, queue_name: str, nodes: Sequence[tuple[str, str | None]], most: int
) -> tuple[int, list[NodeLag]]:
    """Return the newest tick, and the lag of each consumer and node, counting up to `most` events for each.

    The provider hears of a position about a second late. Raises ObjectNotFound when there is no such queue.
    """
    queue = event_queue.find_queue(provider, queue_name)
    newest = event_queue.last_tick(provider, queue)
    tables = [table.table for table in published.tables(provider, queue_name)]
    found = []
    for consumer, node in nodes:
        at = event_queue.position(provider, queue_name, consumer)
        tick = event_queue.tick_by_id(provider, queue, at) if at is not None else None
        events, seconds = progress.backlog(provider, queue, tick, tables, node, most) if tick else (None, None)
        found.append(NodeLag(consumer, at, events, seconds))
    return newest.id, found
