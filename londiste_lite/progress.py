"""How far a subscriber is: the status as data, and waiting until it has caught up. Only reads, and makes ticks."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from londiste_lite import (
    claims,
    conflicts,
    dropped_indexes,
    event_queue,
    locks,
    pausing,
    sequences,
    subscribed,
    unrouted,
)
from londiste_lite.claims import Claim, UnknownNode
from londiste_lite.conflicts import Counted
from londiste_lite.copies import UnderWay, copies_asked_for, copies_under_way
from londiste_lite.db import Database
from londiste_lite.errors import CopyError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import SequenceName, TableName
from londiste_lite.progress_report import ProgressReport, Silent
from londiste_lite.progress_watch import ProgressWatch
from londiste_lite.replay import fetch, position
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.table_state import TableState
from londiste_lite.unrouted import Unrouted

# A backlog is counted by reading it, so a status must not read all of a large one.
MOST_COUNTED = 1_000_000
# Seconds between two looks whether copies are done.
COPY_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class TableStatus:
    """One subscribed table; `error` says why it does not go on, or which of its indexes could not be made again; `copy`
    how far the copy of a big table is.

    `conflict_kinds` has the conflicts by kind (insert, update, delete), `conflict_keys` some of the last keys of each.
    """

    name: str
    state: str
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    conflicts: int
    parked: int
    error: str | None
    copy: UnderWay | None = None
    conflict_kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(conflicts.MEETING, 0))
    conflict_keys: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CopyStatus:
    """A copy under way: what it is at, and how far; `total_rows` and `total_bytes` are about how many there will be."""

    table: str
    phase: str
    rows: int
    bytes: int
    total_rows: int | None
    total_bytes: int | None
    seconds: float


@dataclass(frozen=True)
class SequenceStatus:
    """One subscribed sequence and its value on both sides, None where it does not exist."""

    name: str
    provider_value: int | None
    subscriber_value: int | None


@dataclass(frozen=True)
class Status:
    """The state of one subscriber. `lag_seconds` is 0 when nothing waits; ticks are numbers.

    `parked` says since when and why its claim on the queue is released. `unknown_nodes` are those that rows name and no
    subscriber of this queue is called, `unrouted` the rows that go to no node because their route cannot be worked out.
    """

    queue: str
    consumer: str
    node: str | None
    lag_seconds: float | None
    pending_events: int | None
    last_tick: int | None
    applied_tick: int | None
    ticker_alive: bool
    replay_alive: bool
    paused: bool
    parked: dict[str, Any] | None
    unknown_nodes: list[UnknownNode]
    unrouted: list[Unrouted]
    tables: list[TableStatus]
    sequences: list[SequenceStatus]
    last_error: str | None

    def as_json(self) -> dict[str, Any]:
        """The object that `status --json` prints."""
        return asdict(self)


def status(
    provider: Database,
    subscriber: Database,
    queue_name: str,
    consumer: str,
    node: str | None,
    most_counted: int = MOST_COUNTED,
) -> Status:
    """Return the status, counting up to `most_counted` events that wait.

    Raises ObjectNotFound when the provider has no such queue.
    """
    queue = event_queue.find_queue(provider, queue_name)
    newest = event_queue.last_tick(provider, queue)
    stored = position.progress(subscriber, consumer)
    held = event_queue.position(provider, queue_name, consumer)
    at = stored.tick_id if stored else held
    tick = event_queue.tick_by_id(provider, queue, at) if at is not None else None
    tables = subscribed.tables(subscriber, queue_name)
    pending, lag = (
        backlog(provider, queue, tick, [t.table for t in tables], node, most_counted) if tick else (None, None)
    )
    names = subscribed.sequences(subscriber, queue_name)
    under_way = copies_under_way(subscriber, queue_name)
    without = dropped_indexes.not_made(subscriber)
    met = conflicts.by_table(subscriber, queue_name)
    return Status(
        queue=queue_name,
        consumer=consumer,
        node=node,
        lag_seconds=lag,
        pending_events=pending,
        last_tick=newest.id,
        applied_tick=stored.tick_id if stored else None,
        ticker_alive=locks.ticker_holder(provider) is not None,
        replay_alive=locks.replay_holder(subscriber, consumer) is not None,
        paused=pausing.find(subscriber, consumer) is not None,
        parked=_parked(claims.find(provider, queue_name, consumer)),
        unknown_nodes=claims.unknown_nodes(provider, queue_name),
        unrouted=unrouted.find(provider, queue_name),
        tables=[_table_status(t, under_way.get(t.table), without.get(t.local), met.get(t.table, [])) for t in tables],
        sequences=_sequence_status(provider, subscriber, names),
        last_error=stored.last_error if stored else None,
    )


def _parked(claim: Claim | None) -> dict[str, Any] | None:
    """Return since when and why the subscriber is parked, None when it is not."""
    if claim is None or claim.parked is None:
        return None
    return {"since": claim.parked, "reason": claim.reason}


def copies(subscriber: Database, queue_name: str) -> list[CopyStatus]:
    """Return the copies under way that note how far they are."""
    if subscriber.run("select pg_catalog.to_regclass('londiste.copy_job')")[0][0] is None:
        return []
    rows = subscriber.run(
        "select table_name, phase, copied_rows, copied_bytes, total_rows, total_bytes,"
        " extract(epoch from pg_catalog.clock_timestamp() - started)::float8"
        " from londiste.copy_job where queue_name = %s order by started, table_name",
        [queue_name],
    )
    return [CopyStatus(*row) for row in rows]


def backlog(
    provider: Database, queue: Queue, tick: Tick, tables: list[TableName], node: str | None, most: int
) -> tuple[int, float]:
    """Return how many events of these tables wait behind a tick (no more than `most` are counted), and the age
    of the oldest in seconds, 0 when none waits."""
    if not tables:
        return 0, 0.0
    conditions = fetch.table_conditions(tables, {})
    reader = claims.reader(provider, queue.name, node)
    waiting = fetch.events_after(queue.event_table, Snapshot.parse(tick.snapshot), conditions, "ev_time", reader)
    sql = (
        "select pg_catalog.count(*)::int8, "
        "coalesce(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(ev_time)), 0)::float8 "
        f"from ({waiting} limit {most}) e"
    )
    count, age = provider.run(sql)[0]
    return int(count), round(max(0.0, float(age)), 3)


def _table_status(
    table: subscribed.Subscribed, copy: UnderWay | None, without: str | None, met: list[Counted]
) -> TableStatus:
    return TableStatus(
        name=str(table.table),
        state=table.state.shown,
        rows_inserted=table.inserted,
        rows_updated=table.updated,
        rows_deleted=table.deleted,
        conflicts=table.conflicts,
        parked=table.parked,
        error="; ".join(text for text in (table.error, without) if text) or None,
        copy=copy,
        conflict_kinds=dict.fromkeys(conflicts.MEETING, 0) | {m.kind: m.count for m in met},
        conflict_keys={m.kind: list(m.keys) for m in met},
    )


def _sequence_status(provider: Database, subscriber: Database, names: list[SequenceName]) -> list[SequenceStatus]:
    sides = [sequences.read(db, sequences.existing(db, names)) for db in (provider, subscriber)]
    values = [{name: value.last for name, value in side.items()} for side in sides]
    return [SequenceStatus(str(name), values[0].get(name), values[1].get(name)) for name in names]


def wait(
    provider: Database,
    subscriber: Database,
    queue_name: str,
    consumer: str,
    timeout: float | None,
    stop: StopFlag,
    told: ProgressReport | None = None,
) -> bool:
    """Wait until all that is committed on the provider now is visible on the subscriber, copies included.

    `timeout` is in seconds, None for ever; `told` gets to know how far it is. Return False when it ran out, or when a
    stop was asked for.
    """
    goal = event_queue.make_tick(provider, queue_name)
    queue = event_queue.find_queue(provider, queue_name)

    def reached(tick_id: int | None) -> int:
        tick = event_queue.tick_by_id(provider, queue, tick_id) if tick_id is not None else None
        return tick.event_seq if tick else 0

    begin = reached(position.stored(subscriber, consumer)) or goal.event_seq
    watch = ProgressWatch(subscriber, queue_name, told or Silent(), begin, goal.event_seq)
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.002
    while not stop.requested:
        at = position.stored(subscriber, consumer)
        if at is not None and at >= goal.id:
            tables = subscribed.tables(subscriber, queue_name)
            asked = copies_asked_for(subscriber, queue_name)
            if not asked and all(t.state is TableState.OK for t in tables):
                watch.end()
                return True
        watch.look(lambda at=at: reached(at))  # type: ignore[misc]
        if deadline is not None and time.monotonic() >= deadline:
            return False
        stop.wait(pause)
        pause = min(pause * 1.5, 0.1)
    return False


def wait_for_copies(
    subscriber: Database, queue_name: str, consumer: str, stop: StopFlag, told: ProgressReport
) -> int | None:
    """Wait until a running replay has finished the copies that are due; return how many tables are in sync then.

    None when no replay is running that would do them. Raises CopyError for a copy that failed, a table that is held,
    a replay that rests or ends.
    """
    watch = ProgressWatch(subscriber, queue_name, told, 0, 0)
    begun = False
    while not stop.requested:
        tables = subscribed.tables(subscriber, queue_name)
        asked = copies_asked_for(subscriber, queue_name)
        left = [t for t in tables if t.state is not TableState.OK or t.table in asked]
        if not left:
            break
        if pausing.find(subscriber, consumer) is not None:
            raise CopyError("the replay is paused", hint="Run `resume` first.")
        if locks.replay_holder(subscriber, consumer) is None:
            if not begun:
                return None
            raise CopyError("the replay ended before the copies were done", hint="Run `copy` again to go on with them.")
        begun = True
        for table in left:
            if table.held or table.error:
                why = table.held or table.error
                raise CopyError(f"{table.table}: {why}", hint="The replay tries again by itself; see `status`.")
        watch.look(lambda: 0)
        stop.wait(COPY_LOOK_SECONDS)
    watch.end()
    return len(subscribed.tables(subscriber, queue_name))
