"""The replay: one batch after another, reconnecting as long as it must. The only place of the engine that waits."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Sequence

from londiste_lite import event_queue, locks, pausing, schema, scripts, subscribed
from londiste_lite.backoff import Backoff
from londiste_lite.complaint import Complaint
from londiste_lite.db import Database, Row
from londiste_lite.errors import (
    AlreadyRunning,
    ClaimReleased,
    ConfigError,
    ConnectionLost,
    LondisteError,
    ReplayError,
    SchemaDrift,
)
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import SequenceName, TableName
from londiste_lite.progress_report import ProgressReport, Silent
from londiste_lite.progress_watch import ProgressWatch
from londiste_lite.replay import position
from londiste_lite.replay.arrival import arrive
from londiste_lite.replay.batch import BatchRunner, Window
from londiste_lite.replay.held import HeldTables
from londiste_lite.replay.joining import Joining
from londiste_lite.replay.look import Ahead, Look
from londiste_lite.replay.observer import Nobody, ReplayObserver
from londiste_lite.replay.settings import ReplaySettings, open_provider, open_subscriber, same_database
from londiste_lite.replay.window import MOST_TICKS, RowLimit, choose_end, end_at_script, scripts_coming
from londiste_lite.sequences import SequenceSync
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import RowCounts, Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.coordinator import CopyCoordinator
from londiste_lite.tablecopy.foreign_key_restore import ForeignKeyRestore

log = logging.getLogger(__name__)

# Seconds between two looks at registrations and sequences while no batch comes, and at the provider's own position.
LOOK_SECONDS = 0.25
FINISH_SECONDS = 1.0
# The longest time in seconds that a comparison may hold the replay at a tick, and between two looks meanwhile.
MEETING_SECONDS = 10.0
MEETING_LOOK_SECONDS = 0.003
# Seconds that a lock which somebody holds is waited for before it is said.
LOCK_SECONDS = 1.0


class Replay:
    """Applies a queue to one subscriber until stopped."""

    def __init__(self, settings: ReplaySettings, stop: StopFlag, observer: ReplayObserver | None = None) -> None:
        self._settings = settings
        self._stop = stop
        self._observer = observer or Nobody()

    def run(self) -> None:
        """Work until the stop flag is set, through restarts of both servers. Raises only what is a bug."""
        # A server that is back should not wait long; a batch that fails costs more to try again.
        outage, failure = Backoff(first=0.25, longest=3.0), Backoff(first=0.25, longest=10.0)
        complaint = Complaint()

        def works() -> None:
            outage.reset()
            failure.reset()
            complaint.over()
            self._observer.works()

        while not self._stop.requested:
            session = Session(self._settings, self._stop)
            session.observer = self._observer
            try:
                session.open()
                session.run_until_stopped(works)
            except (LondisteError, OSError) as error:
                if self._stop.requested:
                    break
                session.note_error(error)
                self._observer.error(error)
                if complaint.is_new(error):
                    hint = f" Hint: {error.hint}" if isinstance(error, LondisteError) and error.hint else ""
                    log.error("%s.%s Trying again", str(error).rstrip("."), hint)
                # The subscriber's connection, if there is one, holds the consumer's lock meanwhile: a replay that waits
                # for the provider is a replay at work, for `status` and for others that want to take over.
                session.rest()
                self._stop.wait((outage if isinstance(error, ConnectionLost) else failure).next_delay())
            finally:
                session.close()

    def run_once(self, told: ProgressReport | None = None) -> None:
        """Apply all that is committed on the provider now and finish the copies that are due, telling how far they are.

        Raises whatever stops it: nothing is retried.
        """
        session = Session(self._settings, self._stop)
        try:
            session.open()
            session.run_to(event_queue.make_tick(session.provider, self._settings.queue), told)
        except LondisteError as error:
            if not self._stop.requested:
                session.note_error(error)
            raise
        finally:
            session.close()


class Session:
    """One life of the replay, from connecting to the first lost connection."""

    provider: Database
    subscriber: Database
    observer: ReplayObserver = Nobody()
    coordinator: type[CopyCoordinator] = CopyCoordinator

    def __init__(self, settings: ReplaySettings, stop: StopFlag) -> None:
        self._settings = settings
        self._stop = stop
        self._open: list[Database] = []
        self._copies: CopyCoordinator | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._keys: ForeignKeyRestore | None = None
        self._finished = 0
        self._finish_at = 0.0
        self._resting = False
        self._met, self._met_at, self._missed = -1, 0.0, -1
        self._limit = RowLimit(settings.max_batch_rows)
        self._forget: Callable[[], None] = lambda: None

    # --- opening and closing --------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect to both sides, check them, take the consumer's lock, find the position."""
        settings = self._settings
        self._forget = self._stop.on_stop_at_once(self.cancel)
        self.subscriber, self._checks_fire = open_subscriber(settings, "replay")
        self._open.append(self.subscriber)
        self._take_lock()
        self.provider = self._connect_provider()
        self._open.append(self.provider)
        same_database(self.provider, self.subscriber)
        schema.require(self.provider, "provider")
        schema.require(self.subscriber, "subscriber")
        self._queue: Queue = event_queue.find_queue(self.provider, settings.queue)
        self._listen()
        arrive(self.provider, self.subscriber, self._queue, settings)
        self._at = position.start(self.provider, self.subscriber, self._queue, settings.consumer)
        self._finished = self._at.id
        self._runner = BatchRunner(
            self.provider,
            self.subscriber,
            self._queue,
            mode=settings.apply,
            park=settings.on_error == "park",
            node=settings.node,
            checks_fire=self._checks_fire,
            before_scripts=self._stop_copies,
        )
        self._look = Look(self.subscriber, self._queue, settings.consumer)
        self._sequences = SequenceSync(self.provider, self.subscriber, self._queue.name)
        self._keys = ForeignKeyRestore(settings, self.subscriber, self._stop, self._wake)
        self._copies = self._new_copies()
        self._copies.start()
        self._held = HeldTables(
            self.provider,
            self.subscriber,
            self._queue.name,
            keep_events=self._copies.keep_events,
            checks_fire=self._checks_fire,
            lock_timeout=settings.lock_timeout,
            give_way=self._keys.give_way,
        )
        sides = (self.provider, self._queue, self._runner)
        self._joining = Joining(settings, *sides, self._copies, self._held)
        self._opened = time.monotonic()
        log.info('replaying queue "%s" from tick %d', self._queue.name, self._at.id)

    # What a session that shares its provider's connection with others does in another way, see `nodes`.

    def _connect_provider(self) -> Database:
        return open_provider(self._settings, "replay")

    def _listen(self) -> None:
        self.provider.listen(self._queue.channel)

    def _look_ahead(self) -> Ahead:
        low = Snapshot.parse(self._at.snapshot).xmin
        return self._look.ahead(self.provider, self._at.id, low, MOST_TICKS)

    def _events_at_hand(self, end: Tick) -> Sequence[Row] | None:
        return None

    def _new_copies(self) -> CopyCoordinator:
        assert self._keys is not None
        sides = (self.provider, self.subscriber, self._queue)
        return self.coordinator(self._settings, *sides, self._stop, self._wake, self._keys.give_way)

    def _take_lock(self) -> None:
        """Take the consumer's lock; the backend of a connection that was just closed may hold it for a moment yet."""
        deadline = time.monotonic() + LOCK_SECONDS
        while not locks.try_replay(self.subscriber, self._settings.consumer):
            if time.monotonic() >= deadline or self._stop.wait(0.02):
                holder = locks.replay_holder(self.subscriber, self._settings.consumer) or "it is just ending"
                raise AlreadyRunning(
                    f'another replay of "{self._settings.consumer}" is at work on {self.subscriber.label}: {holder}',
                    hint="Stop it first, or give this one another job_name or pgq_consumer_id.",
                )

    def rest(self) -> None:
        """End everything but the connection that holds the consumer's lock."""
        self._end_threads()
        for db in self._open[1:]:
            db.close()

    def close(self) -> None:
        """End copies and connections."""
        self._forget()
        self._end_threads()
        for db in self._open:
            db.close()
        self._open = []
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _end_threads(self) -> None:
        if self._keys is not None:
            self._keys.close()
        if self._copies is not None:
            self._copies.stop()

    def cancel(self) -> None:
        """Cancel the statements under way, from another thread."""
        for db in list(self._open):
            db.cancel()

    def note_error(self, error: Exception) -> None:
        """Store what stops the replay, for `status`; gives up quietly when the subscriber cannot be reached."""
        if not self._open or self.subscriber.closed or isinstance(error, AlreadyRunning | ConfigError):
            return
        try:
            position.set_error(self.subscriber, self._settings.consumer, str(error))
            if isinstance(error, ReplayError) and error.table:
                name = TableName.parse(error.table)
                subscribed.set_error(self.subscriber, self._settings.queue, name, str(error))
        except LondisteError as second:
            log.debug("the error cannot be stored: %s", second)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"w")
        except OSError:
            log.debug("woken after the end")

    # --- working --------------------------------------------------------------------------------------------

    def run_until_stopped(self, works: Callable[[], None]) -> None:
        """Apply batches as ticks come; `works` is called whenever a round has gone well."""
        while not self._stop.requested:
            busy = self._turn()
            works()
            if busy:
                continue
            if 0 < self._settings.connection_lifetime < time.monotonic() - self._opened:
                log.debug("connections are old, opening new ones")
                return
            self._sleep(min(LOOK_SECONDS, self._settings.loop_delay))
        self._finish(force=True)

    def run_to(self, goal: Tick, told: ProgressReport | None = None) -> None:
        """Apply batches until tick `goal` is reached and every table is in sync."""
        assert self._copies is not None
        assert self._keys is not None
        watch = ProgressWatch(self.subscriber, self._queue.name, told or Silent(), self._at.event_seq, goal.event_seq)
        while not self._stop.requested:
            worked = self._turn()
            watch.look(lambda: self._at.event_seq)
            if self._resting:
                raise ReplayError("the replay is paused", hint="Run `resume` first.")
            failed = self._copies.failures()
            if failed:
                name = next(iter(failed))
                stored = subscribed.find_table(self.subscriber, self._queue.name, name)
                reason = stored.error if stored else None
                raise ReplayError(f'the copy of "{name}" failed: {reason}', table=str(name))
            tables = self._tables()
            held = next((t for t in tables if t.held), None)
            if self._at.id >= goal.id and held and self._copies.idle([t for t in tables if not t.held]):
                self._finish(force=True)
                raise ReplayError(f"{held.table} is held: {held.held}", table=str(held.table))
            if self._at.id >= goal.id and self._copies.idle(tables) and self._keys.idle:
                self._copies.turn(tables, self._at)  # gives up the copies' hold on the queue
                break
            if not worked:
                self._sleep(0.05)
        watch.end()
        self._finish(force=True)

    def _tables(self) -> Sequence[Subscribed]:
        return self._look.here().tables

    def _turn(self) -> bool:
        """Do what is due once; return whether there was anything."""
        assert self._copies is not None
        assert self._keys is not None
        ahead = self._look_ahead()
        # After the ticks: whoever calls for a meeting does so before its tick can be seen.
        here = self._look.here()
        if self._rests(here.paused):
            return False
        tables = here.tables
        # A script ends the copies that are under way.
        may_start = not scripts_coming(self._at, ahead.ticks, ahead.scripts or ())
        ready = self._copies.turn(tables, self._at, asked=here.copies_asked, may_start=may_start)
        joined = self._joining.turn(ready, self._at)
        if joined:
            tables = self._tables()
        self._keys.turn(self._tables, joined=joined)
        ticks = ahead.ticks
        met_at = self._meeting(here.meeting)
        if met_at == self._at.id:
            self._stop.wait(MEETING_LOOK_SECONDS)
            return True
        if met_at is not None:
            ticks = [tick for tick in ticks if tick.id <= met_at]
        end = choose_end(self._at, ticks, self._limit.rows)
        if end is None:
            self._sync_sequences(here.sequences)
            self._finish()
            return joined
        ran = ahead.scripts
        if ran is None:
            low, high = Snapshot.parse(self._at.snapshot).xmin, Snapshot.parse(end.snapshot).xmax
            ran = scripts.transactions_between(self.provider, self._queue.name, low, high)
        end = end_at_script(self._at, ticks, end, ran)
        self._batch(tables, end, ran, here.sequences)
        self._finish()
        return True

    def _stop_copies(self) -> None:
        """End all copies: a script may want locks on what they write."""
        assert self._copies is not None
        self._copies.stop()

    def _rests(self, paused: bool) -> bool:
        """Tell whether a pause was asked for, logging each change."""
        pause = pausing.find(self.subscriber, self._settings.consumer) if paused else None
        if pause is not None and not self._resting:
            log.info("paused by %s since %s", pause.by, f"{pause.since.astimezone():%Y-%m-%d %H:%M:%S}")
        elif pause is None and self._resting:
            log.info("resumed")
        self._resting = pause is not None
        return self._resting

    def _meeting(self, tick: int | None) -> int | None:
        """Return the tick at which a comparison wants to meet this replay, if that is here or still to come."""
        if tick is None or tick < self._at.id or tick == self._missed:
            return None
        if tick > self._at.id:
            return tick
        now = time.monotonic()
        if self._met != tick:
            self._met, self._met_at = tick, now
        elif now - self._met_at > MEETING_SECONDS:
            log.warning("a comparison holds the replay for %.0f s, going on without it", now - self._met_at)
            self._missed = tick
            return None
        return tick

    def _batch(
        self, tables: Sequence[Subscribed], end: Tick, ran: Sequence[int], sequences: Sequence[SequenceName]
    ) -> None:
        """Apply everything up to tick `end` to the tables that are in sync."""
        begun = time.monotonic()
        wanted = [t for t in tables if t.state is TableState.OK]
        after = {t.table: t.snapshot for t in wanted if t.snapshot is not None}
        seen = Snapshot.parse(end.snapshot)
        passed = [name for name, snapshot in after.items() if seen.covers(Snapshot.parse(snapshot))]
        self._sequences.look(sequences)

        def finish(counts: dict[TableName, RowCounts]) -> None:
            subscribed.count_rows(self.subscriber, self._queue.name, counts)
            if passed:
                subscribed.clear_snapshots(self.subscriber, self._queue.name, passed)
            if any(t.error for t in wanted):
                subscribed.clear_errors(self.subscriber, self._queue.name)
            self._sequences.set_changed()
            position.store(self.subscriber, self._queue.name, self._settings.consumer, end)

        claim = self._settings.consumer if self._settings.may_be_parked else None
        most = end.event_seq - self._at.event_seq
        events = self._events_at_hand(end)
        window = Window(
            *(self._at.snapshot, end.snapshot, wanted, after),
            with_scripts=True,
            claim=claim,
            scripts=ran,
            few=self._settings.few_events if most <= self._settings.few_events else 0,
            sample=most >= self._settings.sampled_events,
            events=events,
        )
        try:
            counts = self._runner.run(window, finish)
        except SchemaDrift as drift:
            self._held.hold(drift, wanted, self._at)
            return
        self._sequences.committed()
        rows = sum(c.total for c in counts.values())
        self.observer.batch(time.monotonic() - begun, rows)
        self._limit.applied(time.monotonic() - begun)
        if rows:
            log.info(
                "applied ticks %d to %d: %d rows in %d tables, %.2f s",
                self._at.id,
                end.id,
                rows,
                len(counts),
                time.monotonic() - begun,
            )
        self._at = end

    def _sync_sequences(self, names: Sequence[SequenceName]) -> None:
        if self._sequences.look(names):
            with self.subscriber.transaction():
                self._sequences.set_changed()
            self._sequences.committed()

    def _finish(self, *, force: bool = False) -> None:
        """Move the consumer's claim on the queue up to what is applied: at most once a second, for it is an UPDATE."""
        now = time.monotonic()
        if self._finished != self._at.id and (force or now >= self._finish_at):
            name, consumer = self._queue.name, self._settings.consumer
            if self._settings.may_be_parked and event_queue.position(self.provider, name, consumer) is None:
                raise ClaimReleased
            event_queue.move_to(self.provider, name, consumer, self._at.id)
            self._finished = self._at.id
            self._finish_at = now + FINISH_SECONDS

    def _sleep(self, seconds: float) -> None:
        """Wait for a tick, a copy worker's end, a stop, or `seconds`."""
        # A notification may have come in with the answer to some statement after the last look for ticks.
        if self._stop.requested or self.provider.take_notifications():
            return
        ready, _, _ = select.select([self.provider.fileno(), self._wake_read], [], [], seconds)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self.provider.fileno() in ready:
            self.provider.take_notifications()
