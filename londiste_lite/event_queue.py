"""The event queue in words of the domain: queues, consumers and their positions, ticks.

Works on `sql/pgq` and on the real pgq extension alike. `replay.fetch` reads the events between two ticks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database, Row
from londiste_lite.errors import ObjectNotFound, SchemaError
from londiste_lite.names import nearest
from londiste_lite.snapshots import Snapshot

_TICKS_AT_ONCE = 1000


@dataclass(frozen=True)
class Queue:
    """An event queue: its number, the name of the parent event table and of the event sequence."""

    id: int
    name: str
    event_table: str
    event_sequence: str
    external_ticker: bool

    @property
    def channel(self) -> str:
        """The channel on which each tick of this queue is notified."""
        return tick_channel(self.id)


@dataclass(frozen=True)
class Tick:
    """A moment of the provider: everything its snapshot sees has happened before it.

    `event_seq` is the value of the event sequence at that time, which counts events only roughly: a sequence moves
    before its transaction commits, and for good when it rolls back. `txid` is the transaction that made the tick, 0 for
    a tick that was read from the queue.
    """

    id: int
    snapshot: str
    event_seq: int
    time: datetime
    txid: int = 0


def tick_channel(queue_id: int) -> str:
    """The channel that `londiste.tick` notifies."""
    return f"londiste_tick_{queue_id}"


def tick(row: Row) -> Tick:
    """Return the tick of a row: number, snapshot as text, event sequence, time, and perhaps the transaction."""
    return Tick(int(row[0]), str(row[1]), int(row[2] or 0), row[3], int(row[4]) if len(row) > 4 else 0)


def create_queue(db: Database, queue: str, *, at_once: bool = True) -> bool:
    """Create the queue and, `at_once`, set it up for ticks without delay; return False when it is there already.

    A queue made by somebody else keeps its settings.
    """
    created = bool(db.value("event_queue.create_queue", queue=queue))
    if created and at_once:
        db.rows("event_queue.configure_queue", queue=queue, parameter="ticker_max_lag", value="0")
    return created


def find_queue(db: Database, queue: str) -> Queue:
    """Return the queue. Raises SchemaError when no queue schema is installed, ObjectNotFound when no such queue."""
    row = db.row("event_queue.queue", queue=queue)
    if row is None:
        near = nearest(queue, [str(r[0]) for r in db.rows("event_queue.queue_names")])
        hint = f'Did you mean "{near[0]}"?' if near else "Run `provider install` first."
        raise ObjectNotFound(f'no event queue "{queue}" on the provider', hint=hint)
    return Queue(int(row[0]), queue, str(row[1]), str(row[2]), bool(row[3]))


def has_queues(db: Database) -> bool:
    """Tell whether the queue's schema is installed in this database."""
    return db.run("select pg_catalog.to_regclass('pgq.queue')")[0][0] is not None


def register(db: Database, queue: str, consumer: str) -> bool:
    """Register the consumer at the queue's last tick; return False when it was registered already."""
    return bool(db.value("event_queue.register", queue=queue, consumer=consumer))


def move_to(db: Database, queue: str, consumer: str, tick_id: int) -> None:
    """Put the consumer at a tick that still exists; what lies before it may then be thrown away."""
    db.rows("event_queue.register_at", queue=queue, consumer=consumer, tick=tick_id)


def unregister(db: Database, queue: str, consumer: str) -> bool:
    """Give up the consumer's claim on the queue; return False when it had none."""
    return bool(db.value("event_queue.unregister", queue=queue, consumer=consumer))


def position(db: Database, queue: str, consumer: str) -> int | None:
    """Return the consumer's last finished tick, None when it is not registered."""
    found = db.value("event_queue.position", queue=queue, consumer=consumer)
    return None if found is None else int(found)


def tick_by_id(db: Database, queue: Queue, tick_id: int) -> Tick | None:
    """Return the tick, None when it is not there (any more)."""
    row = db.row("event_queue.tick", queue_id=queue.id, tick=tick_id)
    return tick(row) if row else None


def last_tick(db: Database, queue: Queue) -> Tick:
    """Return the newest tick. Raises SchemaError for a queue without any, which `create_queue` never leaves behind."""
    row = db.row("event_queue.last_tick", queue_id=queue.id)
    if row is None:
        raise SchemaError(f'queue "{queue.name}" has no ticks', hint="Start a ticker, or run `provider install` again.")
    return tick(row)


def last_tick_age(db: Database, queue: Queue) -> float | None:
    """Return the age of the newest tick in seconds by the provider's clock, None when there is none."""
    found = db.value("event_queue.tick_age", queue_id=queue.id)
    return None if found is None else float(found)


def size(db: Database, queue: Queue) -> int:
    """Return the size of the queue's event tables in bytes, with indexes and what is stored out of line."""
    return int(db.value("event_queue.size", queue_id=queue.id))


def consumer_lags(db: Database, queue: Queue) -> list[tuple[str, float, int]]:
    """Return each consumer with the seconds and the events that it is behind the newest tick."""
    return [
        (str(name), float(age), int(events))
        for name, age, events in db.rows("event_queue.consumer_lags", queue_id=queue.id)
    ]


def ticks_after(db: Database, queue: Queue, tick_id: int, most: int, xmax: int = 0) -> list[Tick]:
    """Return up to `most` ticks after `tick_id`, oldest first; only those whose snapshots end at `xmax` or later."""
    rows = db.rows("event_queue.ticks_after", queue_id=queue.id, tick=tick_id, most=most, xmax=xmax)
    return [tick(row) for row in rows]


def first_tick_covering(db: Database, queue: Queue, tick_id: int, snapshot: Snapshot) -> Tick | None:
    """Return the oldest tick after `tick_id` that sees all that `snapshot` sees, None when there is none yet."""
    while True:
        # The transaction before a snapshot's xmax had ended, so a tick whose own xmax is lower does not see it.
        ticks = ticks_after(db, queue, tick_id, _TICKS_AT_ONCE, snapshot.xmax)
        for each in ticks:
            if Snapshot.parse(each.snapshot).covers(snapshot):
                return each
        if len(ticks) < _TICKS_AT_ONCE:
            return None
        tick_id = ticks[-1].id


def make_tick(db: Database, queue: str) -> Tick:
    """Make a tick now, whatever the queue's thresholds say, and notify its channel."""
    row = db.row("event_queue.make_tick", queue=queue)
    assert row is not None
    return tick(row)


@contextlib.contextmanager
def no_other_ticks(db: Database, queue: Queue) -> Iterator[None]:
    """Keep everybody else from making ticks during the block, which must not be inside a transaction."""
    db.rows("event_queue.keep_ticks", queue_id=queue.id)
    try:
        yield
    finally:
        if not db.closed:
            db.rows("event_queue.free_ticks", queue_id=queue.id)


def tick_maker(db: Database) -> Callable[[Database, str], Tick]:
    """Return `make_tick`, or what does the same in a database with the queue's schema alone."""
    return make_tick if db.value("event_queue.has_tick_function") else _make_plain_tick


def _make_plain_tick(db: Database, queue: str) -> Tick:
    with db.transaction():
        # A statement of its own: the snapshot of the tick must be taken after the lock.
        db.rows("event_queue.lock_ticks", queue=queue)
        row = db.row("event_queue.make_plain_tick", queue=queue)
    if row is None:
        raise ObjectNotFound(f'no event queue "{queue}" that is ticked from here')
    return tick(row)


def may_maintain(db: Database) -> bool:
    """Tell whether this role may tick the queues of the database and rotate their tables."""
    return bool(db.value("event_queue.may_maintain"))
