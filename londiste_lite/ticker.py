"""The ticker: marks snapshots of the provider whenever events became visible, wakes consumers, keeps the queue clean.

One per database, by an advisory lock. Runs as a daemon of its own (`ticker`) or as a thread inside `replay`.
`tick_rule` decides, this module looks, ticks and waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from londiste_lite import claims, event_queue, locks
from londiste_lite.backoff import Backoff
from londiste_lite.capture_watch import CaptureWatch
from londiste_lite.complaint import Complaint
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    LondisteError,
    PrivilegeMissing,
    QueryCanceled,
    SchemaError,
)
from londiste_lite.names import QualifiedName
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.tick_rule import BUSY_PACE, BUSY_SECONDS, IDLE_PACE, QueueRule, TickRule

log = logging.getLogger(__name__)

# Seconds between two looks at the event sequences inside the server, lately used ones and others, and the longest wait
# there: a long statement is in the way of who stops the ticker, of VACUUM, and in the log of slow statements.
WAIT_PACE = 0.002
IDLE_WAIT_PACE = 0.005
WAIT_SECONDS = 0.09
RETRY_SECONDS = 30.0
PARK_SECONDS = 2.0
LOCK_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class TickerSettings:
    """Where and how often: `loop_delay` is the longest pause between two looks, all times are seconds.

    `connection_lifetime` is the age at which the connection is opened anew, 0 for never.
    `quiet`: do not speak of another ticker that does the work, nor of a server that cannot be reached; the replay that
    this ticker belongs to does.
    """

    dsn: str
    job: str
    loop_delay: float = 1.0
    maint_delay: float = 300.0
    queue_refresh_period: float = 1.0
    ticker_log_delay: float = 300.0
    connection_lifetime: float = 1200.0
    quiet: bool = False


@dataclass
class _Watched:
    """One queue under watch."""

    id: int
    name: str
    sequence: str
    rule: TickRule


class Ticker:
    """Ticks all queues of one database until stopped; survives the server's restarts."""

    def __init__(self, settings: TickerSettings, stop: StopFlag) -> None:
        self._settings = settings
        self._stop = stop
        self._queues: dict[int, _Watched] = {}
        self._ticks = 0
        self._db: Database | None = None
        self._watches_claims = False
        self._may_wait = False
        self._make_tick: Callable[[Database, str], event_queue.Tick] = event_queue.make_tick
        self._captures = CaptureWatch(settings.dsn, settings.job)
        stop.on_stop_at_once(self._cancel)

    def _cancel(self) -> None:
        if self._db is not None:
            self._db.cancel()

    def run(self) -> None:
        """Work until the stop flag is set. Raises only what is a bug."""
        backoff = Backoff(first=0.2, longest=3.0)
        complaint = Complaint()
        while not self._stop.requested:
            pause = 0.0
            try:
                self._session(backoff, complaint)
            except (LondisteError, OSError) as error:
                if self._stop.requested:
                    break
                # A server that crashed may have taken sequences back.
                self._queues = {}
                pause = backoff.next_delay()
                if complaint.is_new(error):
                    log.log(logging.DEBUG if self._settings.quiet else logging.WARNING, "%s; trying again", error)
            finally:
                if self._db is not None:
                    self._db.close()
                    self._db = None
            self._stop.wait(pause)
        self._captures.close()

    def _session(self, backoff: Backoff, complaint: Complaint) -> None:
        db = self._db = look_after(connect(self._settings.dsn, job=self._settings.job, role="ticker"))
        if not event_queue.has_queues(db):
            raise SchemaError(f"{db.label} has no queue schema yet", hint="Run `provider install` first.")
        if not event_queue.may_maintain(db):
            raise PrivilegeMissing(
                f"this role may not tick the queues of {db.label}",
                hint="Grant it londiste_ticker, which `provider install --roles` makes, or start a ticker with one.",
            )
        self._make_tick = event_queue.tick_maker(db)
        self._watches_claims = claims.watched_here(db)
        self._may_wait = bool(db.value("ticker.may_wait"))
        self._take_lock(db)
        if self._stop.requested:
            return
        log.log(logging.DEBUG if self._queues else logging.INFO, "ticking %s", db.label)
        backoff.reset()
        complaint.over()
        self._loop(db)

    def _take_lock(self, db: Database) -> None:
        said = False
        while not self._stop.requested and not locks.try_ticker(db):
            self._queues = {}
            if not said and not self._settings.quiet:
                log.info("another ticker is at work on %s: %s; waiting for it", db.label, locks.ticker_holder(db))
                said = True
            self._stop.wait(LOCK_RETRY_SECONDS)

    def _loop(self, db: Database) -> None:
        now = opened = time.monotonic()
        refresh_at = now
        maintain_at = now + min(self._settings.maint_delay, 10.0)
        retry_at = now + RETRY_SECONDS
        park_at = now
        log_at = now + self._settings.ticker_log_delay
        while not self._stop.requested:
            now = time.monotonic()
            if now >= refresh_at:
                self._refresh(db, now)
                self._captures.look(db, [w.name for w in self._queues.values()], now)
                refresh_at = now + min(self._settings.queue_refresh_period, 1.0)
            if self._queues:
                self._look(db, now)
            if now >= park_at and self._watches_claims:
                self._park(db)
                park_at = now + PARK_SECONDS
            if now >= maintain_at:
                if self._watches_claims:
                    self._look_after_routes(db)
                maintain(db)
                maintain_at = now + self._settings.maint_delay
            if now >= retry_at:
                while int(db.value("ticker.retry_events") or 0) and not self._stop.requested:
                    pass
                retry_at = now + RETRY_SECONDS
            if now >= log_at:
                log.info("made %d ticks in %d queues", self._ticks, len(self._queues))
                self._ticks = 0
                log_at = now + self._settings.ticker_log_delay
            if 0 < self._settings.connection_lifetime < now - opened:
                log.debug("the connection is old, opening a new one")
                # The server may be slower to see that this session has ended than the next one is to begin.
                locks.end_ticker(db)
                return
            self._rest(db)

    def _rest(self, db: Database) -> None:
        """Wait until it is time for the next look."""
        now = time.monotonic()
        rules = [watched.rule for watched in self._queues.values()]
        looks = [pace for pace in (rule.next_look(now) for rule in rules) if pace is not None]
        if self._may_wait and rules and not looks:
            self._wait_there(db, now)
            return
        busy = any(rule.busy(now, BUSY_SECONDS) for rule in rules)
        pace = min([*looks, BUSY_PACE if busy else IDLE_PACE, self._settings.loop_delay])
        # A tick has to wait for a moment after the last one; after that a movement may end the wait.
        still = max((rule.next_tick(now) for rule in rules), default=pace)
        if self._may_wait and pace - still > WAIT_PACE:
            self._stop.wait(still)
            self._wait_there(db, now, pace - still)
        else:
            self._stop.wait(pace)

    def _wait_there(self, db: Database, now: float, most: float = WAIT_SECONDS) -> None:
        """Let the server look at the event sequences, for up to `most` seconds."""
        queues = list(self._queues.values())
        graces = [grace for grace in (watched.rule.quiet_seconds(now) for watched in queues) if grace is not None]
        longest = min([most, self._settings.loop_delay, *graces])
        busy = any(watched.rule.busy(now, BUSY_SECONDS) for watched in queues)
        try:
            db.value(
                "ticker.wait_for_events",
                queues=[watched.id for watched in queues],
                values=[watched.rule.last_sequence for watched in queues],
                pace=min(WAIT_PACE if busy else IDLE_WAIT_PACE, longest),
                seconds=longest,
            )
        except DatabaseError as error:
            if isinstance(error, ConnectionLost | QueryCanceled):
                raise
            log.debug("%s; looking from here", error)
            self._may_wait = False

    def _park(self, db: Database) -> None:
        """Release the claims of subscribers that are further behind than they said."""
        for parked in claims.park_behind(db):
            log.warning(
                'parked subscriber "%s" of queue "%s": %s; it copies its tables anew when it is back, unless the'
                " queue still has all that it missed",
                parked.consumer,
                parked.queue,
                parked.reason,
            )

    def _look_after_routes(self, db: Database) -> None:
        """Index targets and count events for unknown nodes, before rotation."""
        for watched in self._queues.values():
            claims.index_targets(db, watched.name)
            claims.count_unknown_nodes(db, watched.name)

    def _refresh(self, db: Database, now: float) -> None:
        """Look for new, dropped and changed queues."""
        found: dict[int, _Watched] = {}
        for queue_id, name, sequence, max_count, max_lag, idle in db.rows("ticker.queues"):
            rule = QueueRule(int(max_count), float(max_lag), float(idle))
            watched = self._queues.get(int(queue_id))
            if watched is None:
                tick = db.row("ticker.last_tick", queue_id=queue_id)
                value = int(db.value("event_queue.event_sequence", sequence=sequence))
                last = Snapshot.parse(tick[1]) if tick else Snapshot(1, 1, frozenset())
                begun = TickRule.begin(rule, value, int(tick[0] or 0) if tick else -1, last, now)
                watched = _Watched(int(queue_id), str(name), _quoted_sequence(str(sequence)), begun)
                log.info('watching queue "%s"', name)
            watched.rule.rule = rule
            found[int(queue_id)] = watched
        self._queues = found

    def _look(self, db: Database, now: float) -> None:
        # A sequence that was never used shows the number that it will give out first.
        value = "last_value - case when is_called then 0 else 1 end"
        parts = [f"(select {value} from {w.sequence})" for w in self._queues.values()]
        try:
            row = db.run(f"select pg_catalog.txid_current_snapshot()::text, {', '.join(parts)}")[0]
        except (SchemaError, DatabaseError) as error:
            if isinstance(error, DatabaseError) and error.sqlstate != "42P01":
                raise
            self._queues = {}  # a queue was dropped under our eyes
            return
        snapshot = Snapshot.parse(row[0])
        for watched, sequence in zip(list(self._queues.values()), row[1:], strict=True):
            if watched.rule.look(int(sequence), snapshot, now):
                self._tick(db, watched)

    def _tick(self, db: Database, watched: _Watched) -> None:
        try:
            tick = self._make_tick(db, watched.name)
        except ConnectionLost:
            raise
        except LondisteError as error:
            log.warning('queue "%s" cannot be ticked: %s', watched.name, error)
            del self._queues[watched.id]
            return
        self._ticks += 1
        watched.rule.ticked(Snapshot.parse(tick.snapshot), tick.txid, time.monotonic())


def _quoted_sequence(name: str) -> str:
    return QualifiedName.parse(name).quoted


def maintain(db: Database) -> None:
    """Run the queue's maintenance: rotation and what else `pgq.maint_operations` names, each in its own transaction."""
    for function, argument in db.rows("ticker.operations"):
        if function == "vacuum":
            db.script(f"vacuum {QualifiedName.parse(argument).quoted}")
            continue
        name = QualifiedName.parse(function).quoted
        if argument is None:
            db.run(f"select {name}()")
        else:
            db.run(f"select {name}(%s)", [argument])
