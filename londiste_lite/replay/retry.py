"""What a person does with parked events: apply them in their order, or discard them. Safe beside a running replay.

A retry takes the same lock on a table's registration as the replay does before it lets events wait, so of two changes
of one key the later one can never be applied first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import parked, schema, subscribed
from londiste_lite.db import Database
from londiste_lite.event_queue import find_queue
from londiste_lite.names import TableName
from londiste_lite.parked import DroppedKey
from londiste_lite.replay import stage
from londiste_lite.replay.batch import BatchRunner
from londiste_lite.replay.settings import ReplaySettings, open_provider, open_subscriber


@dataclass(frozen=True)
class Retried:
    """How many events were applied, and how many of those that were tried still wait."""

    applied: int
    remaining: int


def retry(settings: ReplaySettings, tables: Sequence[TableName] | None, keys: Sequence[str] | None) -> Retried:
    """Apply parked events of some tables and keys, all of them for None; what is refused again goes on waiting.

    Tables are done together, in one transaction, for a row may need one of another table. Raises DatabaseError for what
    no row is to blame for.
    """
    subscriber, checks_fire = open_subscriber(settings, "retry")
    try:
        schema.require(subscriber, "subscriber")
        provider = open_provider(settings, "retry")
        try:
            runner = BatchRunner(
                provider,
                subscriber,
                find_queue(provider, settings.queue),
                mode=settings.apply,
                park=True,
                node=settings.node,
                checks_fire=checks_fire,
            )
            return _retry(runner, subscriber, settings.queue, tables, keys)
        finally:
            provider.close()
    finally:
        subscriber.close()


def _retry(
    runner: BatchRunner,
    subscriber: Database,
    queue: str,
    tables: Sequence[TableName] | None,
    keys: Sequence[str] | None,
) -> Retried:
    with subscriber.transaction():
        parked.lock(subscriber, queue, sorted({e.table for e in parked.events(subscriber, queue, tables, keys)}))
        found = parked.events(subscriber, queue, tables, keys)
        if not found:
            return Retried(0, 0)
        names = {e.table for e in found}
        known = {t.table: t for t in subscribed.tables(subscriber, queue) if t.table in names}
        numbers = [e.event_id for e in found]
        stage.bring_in(subscriber, queue, [str(name) for name in known], numbers)
        counts = runner.apply_parked(known)
        subscribed.count_rows(subscriber, queue, counts)
        left = set(numbers) & {e.event_id for e in parked.events(subscriber, queue, tables, keys)}
    return Retried(len(found) - len(left), len(left))


def drop(subscriber: Database, queue: str, tables: Sequence[TableName], keys: Sequence[str] | None) -> list[DroppedKey]:
    """Discard the parked events of tables, of some keys only; return the keys, which then differ from the provider."""
    return [one for table in tables for one in parked.drop(subscriber, queue, table, keys)]
