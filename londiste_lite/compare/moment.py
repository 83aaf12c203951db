"""Both sides at the same moment, while users write and replay runs: a tick with exactly the provider's snapshot.

The provider's transaction exports its snapshot, and a tick is made from that very snapshot while nobody else may make
ticks. The replay stops at this tick for as long as it takes to open a snapshot on the subscriber, some milliseconds.
That snapshot holds the replay's position too, so that a moment that was missed is noticed and tried again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from londiste_lite import claims, event_queue, lock_wait, locks, meeting, pausing, subscribed
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.errors import LondisteError, StopRequested
from londiste_lite.event_queue import Queue
from londiste_lite.names import TableName, quote_literal
from londiste_lite.replay import fetch, position
from londiste_lite.replay.settings import ReplaySettings, same_database
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.structure import Table
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState

log = logging.getLogger(__name__)

MOST_TRIES = 50
# Seconds without progress of a replay that has an error, or that nobody sees at work, until that is said.
STUCK_SECONDS = 30.0
ALIVE_SECONDS = 2.0

REPEATABLE = "begin isolation level repeatable read, read only"
REPEATABLE_WRITE = "begin isolation level repeatable read"


class NotComparable(LondisteError):
    """the table cannot be compared now"""


@dataclass(frozen=True)
class Moment:
    """Two open transactions that show one moment. `tick` is the replay's position; `release` lets the replay go on
    when it was asked to wait until the end."""

    provider: Database
    subscriber: Database
    tick: int
    release: Callable[[], None]


class Sides:
    """The connections of a comparison, and the way to a moment. Use as a context manager."""

    def __init__(self, settings: ReplaySettings, stop: StopFlag) -> None:
        self.settings = settings
        self._stop = stop
        self._open: list[Database] = []
        self._forget: Callable[[], None] = lambda: None

    def __enter__(self) -> Sides:
        self._forget = self._stop.on_stop_at_once(self.cancel)
        try:
            self.provider = self._connect(self.settings.provider_dsn)
            self._maker = self._connect(self.settings.provider_dsn)
            self.subscriber = self._connect(self.settings.subscriber_dsn)
            self.control = self._connect(self.settings.subscriber_dsn)
            same_database(self.provider, self.subscriber)
            self.queue: Queue = event_queue.find_queue(self.provider, self.settings.queue)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        for db in self._open:
            db.close()
        self._open = []

    def _connect(self, dsn: str) -> Database:
        db = look_after(connect(dsn, job=self.settings.job, role="compare"))
        self._open.append(db)
        return db

    def cancel(self) -> None:
        """Cancel the statements under way, from another thread."""
        for db in list(self._open):
            db.cancel()

    # --- the moment -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def moment(self, table: TableName, source: Table, target: Table, *, hold: bool = False) -> Iterator[Moment]:
        """Both sides of a table as they were at one moment, in two open read-only transactions.

        With `hold` the replay rests until `release`, or the end of the block, but never longer than it wants to.
        Raises NotComparable when the table is not in sync or there is no replay to meet, StopRequested.
        """
        with contextlib.ExitStack() as stack:
            for _ in range(MOST_TRIES):
                release = self._take_meeting(stack)
                tick = self._open_both(stack, table, source, target)
                if tick is not None:
                    break
                log.debug("%s: the replay was not met, trying again", table)
                stack.close()
                self._wait(0.02)
            else:
                raise NotComparable(
                    f'the replay was not met in {MOST_TRIES} tries to compare table "{table}"',
                    hint="Look at `status`; a replay of an older version does not wait.",
                )
            if not hold:
                release()
            yield Moment(self.provider, self.subscriber, tick, release)

    def _take_meeting(self, stack: contextlib.ExitStack) -> Callable[[], None]:
        """Take the right to meet the replay, one comparison at a time; return what gives it back."""
        begun, said = time.monotonic(), False
        while not locks.try_meeting(self.control, self.settings.consumer):
            self._wait(0.05)
            if not said and time.monotonic() - begun > lock_wait.SAY_AFTER:
                said = True
                other = locks.meeting_holder(self.control, self.settings.consumer) or "it is just ending"
                log.info("another comparison or repair meets this replay: %s; waiting for it", other)
        held = [True]

        def release() -> None:
            if held and not self.control.closed:
                held.clear()
                meeting.dismiss(self.control, self.settings.consumer)
                locks.end_meeting(self.control, self.settings.consumer)

        stack.callback(release)
        return release

    def _open_both(self, stack: contextlib.ExitStack, table: TableName, source: Table, target: Table) -> int | None:
        """Open both transactions; return the tick of the moment, None when they do not show the same one."""
        self._require_in_sync(table)
        replayed = self._replay_at_work()
        if replayed:
            # The replay is at most a moment behind when the provider's transaction begins, so that it stays short.
            self._await(event_queue.make_tick(self._maker, self.queue.name).id)
        stack.enter_context(self.provider.transaction(REPEATABLE))
        # Before the snapshot: TRUNCATE and rewriting ALTER TABLE empty a table for older snapshots too.
        self.provider.script(f"lock table {source.target} in access share mode")
        goal = self._tick_of_snapshot() if replayed else None
        if goal is not None:
            self._await(goal)
        stack.enter_context(self.subscriber.transaction(REPEATABLE))
        self.subscriber.script(f"lock table {target.target} in access share mode")
        at = position.stored(self.subscriber, self.settings.consumer)
        subscription = self._subscription(table)
        if at is None or subscription.state is not TableState.OK or subscription.snapshot is not None:
            return None
        if at == goal:
            return at
        if goal is None and not self._waiting(table, at):
            return at
        return None

    def _tick_of_snapshot(self) -> int:
        """Give the provider's transaction a snapshot and make a tick with the same one; return its number.

        The replay is called to the tick before it can be seen.
        """
        maker = self._maker
        with event_queue.no_other_ticks(maker, self.queue), maker.transaction(REPEATABLE_WRITE):
            name = str(maker.run("select pg_catalog.pg_export_snapshot()")[0][0])
            self.provider.script(f"set transaction snapshot {quote_literal(name)}")
            self.provider.run("select 1")
            tick = event_queue.make_tick(maker, self.queue.name)
            meeting.call(self.control, self.settings.consumer, tick.id)
        return tick.id

    def _waiting(self, table: TableName, at: int) -> bool:
        """Without a replay at work: tell whether events of the table, as the provider's snapshot sees them, wait.

        Raises NotComparable when there are any.
        """
        tick = event_queue.tick_by_id(self.provider, self.queue, at)
        if tick is None:
            return True
        conditions = fetch.table_conditions([table], {})
        reader = claims.reader(self.provider, self.queue.name, self.settings.node)
        waiting = fetch.events_after(self.queue.event_table, Snapshot.parse(tick.snapshot), conditions, "1", reader)
        if not self.provider.run(f"select 1 from ({waiting} limit 1) e"):
            return False
        raise NotComparable(
            f'changes of table "{table}" are not applied yet, and no replay is at work',
            hint="Start one with `replay -d`, or run `replay --once`; `resume` ends a pause.",
        )

    # --- the replay -------------------------------------------------------------------------------------------

    def _replay_at_work(self) -> bool:
        consumer = self.settings.consumer
        return locks.replay_holder(self.control, consumer) is not None and pausing.find(self.control, consumer) is None

    def _require_in_sync(self, table: TableName) -> None:
        found = self._subscription(table, self.control)
        if found.state is not TableState.OK:
            raise NotComparable(
                f'table "{table}" is not in sync, its state is "{found.state.shown}"',
                hint="Compare it when `subscriber tables` says ok." + (f" ({found.error})" if found.error else ""),
            )

    def _subscription(self, table: TableName, db: Database | None = None) -> Subscribed:
        found = {t.table: t for t in subscribed.tables(db or self.subscriber, self.settings.queue)}
        if table not in found:
            raise NotComparable(f'table "{table}" is not subscribed any more')
        return found[table]

    def _await(self, goal: int) -> None:
        """Wait until the replay has applied a tick. Raises NotComparable when it ends or cannot go on."""
        pause, last, since = 0.002, -1, time.monotonic()
        look_at = since + ALIVE_SECONDS
        while True:
            at = position.stored(self.control, self.settings.consumer)
            if at is not None and at >= goal:
                return
            now = time.monotonic()
            if at != last:
                last, since = at or 0, now
            if now >= look_at:
                look_at = now + ALIVE_SECONDS
                if not self._replay_at_work():
                    raise NotComparable(
                        "the replay ended or was paused while a table was compared",
                        hint="Start it again with `replay -d`, or let it go on with `resume`.",
                    )
                found = position.progress(self.control, self.settings.consumer)
                if found is not None and found.last_error and now - since > STUCK_SECONDS:
                    raise NotComparable(f"the replay does not go on: {found.last_error}", hint="See `status`.")
            self._wait(pause)
            pause = min(pause * 1.3, 0.05)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StopRequested("the comparison was asked to stop")
