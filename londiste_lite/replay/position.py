"""The last applied tick: stored on the subscriber in the transaction that applied it, and where a replay starts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from londiste_lite import event_queue
from londiste_lite.db import Database
from londiste_lite.errors import ReplayError
from londiste_lite.event_queue import Queue, Tick

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """What the subscriber stores of a consumer: last applied tick, when, and what stops it."""

    tick_id: int
    applied: datetime | None
    tick_time: datetime | None
    last_error: str | None
    last_error_time: datetime | None


def stored(subscriber: Database, consumer: str) -> int | None:
    """Return the last applied tick, None when nothing was applied yet."""
    found = subscriber.value("position.stored", consumer=consumer)
    return None if found is None else int(found)


def lock(subscriber: Database, consumer: str) -> int | None:
    """Lock and return the last applied tick: no batch can be applied before the end of this transaction."""
    found = subscriber.value("position.lock", consumer=consumer)
    return None if found is None else int(found)


def store(subscriber: Database, queue: str, consumer: str, tick: Tick) -> None:
    """Store the last applied tick; belongs into the batch's transaction."""
    subscriber.planned_later("position.store", consumer=consumer, tick=tick.id, queue=queue, tick_time=tick.time)


def forget(subscriber: Database, consumer: str) -> bool:
    """Forget the stored tick (`--reset`); return False when there was none."""
    return bool(subscriber.rows("position.forget", consumer=consumer))


def set_error(subscriber: Database, consumer: str, error: str) -> None:
    """Store what stops the replay; the next applied batch clears it."""
    subscriber.rows("position.set_error", consumer=consumer, error=error)


def progress(subscriber: Database, consumer: str) -> Progress | None:
    """Return the stored progress, None when nothing was applied yet."""
    row = subscriber.row("position.status", consumer=consumer)
    return Progress(int(row[0]), row[1], row[2], row[3], row[4]) if row else None


def start(provider: Database, subscriber: Database, queue: Queue, consumer: str) -> Tick:
    """Return the tick from which replay goes on, registering the consumer when it is not.

    The subscriber's word counts, as it was written with the data. Raises ReplayError when the provider no longer has
    the events after it.
    """
    new = event_queue.register(provider, queue.name, consumer)
    if new:
        log.info('registered consumer "%s" at queue "%s"', consumer, queue.name)
    held = event_queue.position(provider, queue.name, consumer)
    applied = stored(subscriber, consumer)
    wanted = held if applied is None else applied
    tick = event_queue.tick_by_id(provider, queue, wanted) if wanted is not None else None
    if tick is None:
        raise ReplayError(
            f"lost position: the subscriber stands at tick {wanted}, which the provider no longer has",
            hint="Run `--reset` and then `subscriber resync --all`: all tables are copied anew.",
        )
    if held != tick.id:
        event_queue.move_to(provider, queue.name, consumer, tick.id)
    if applied is None:
        store(subscriber, queue.name, consumer, tick)
    return tick
