"""A stored request to a replay to rest between batches: it outlives restarts, and says who asked and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database


@dataclass(frozen=True)
class Pause:
    """Since when a consumer's replay rests, by the subscriber's clock, and which role asked for it."""

    since: datetime
    by: str


def pause(subscriber: Database, consumer: str) -> bool:
    """Ask the consumer's replay to rest after its batch; return False when it was asked already."""
    return bool(subscriber.rows("pausing.pause", consumer=consumer))


def resume(subscriber: Database, consumer: str) -> bool:
    """Let the consumer's replay go on; return False when it was not paused."""
    return bool(subscriber.rows("pausing.resume", consumer=consumer))


def find(subscriber: Database, consumer: str) -> Pause | None:
    """Return the pause of a consumer, None when it is to work."""
    row = subscriber.row("pausing.paused", consumer=consumer)
    return Pause(row[0], str(row[1])) if row else None
