"""Flows of plain events out of a queue into another database: the loop and the position that relays and pulls share.

The position is a tick, stored on the destination (schema pgq_ext) in the transaction that holds what was done with the
events up to it. The source's own position only says what may be thrown away, and follows later.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from londiste_lite import event_queue, locks
from londiste_lite.backoff import Backoff
from londiste_lite.db import Database, connect
from londiste_lite.errors import AlreadyRunning, LondisteError, ReplayError, SchemaError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.replay.window import MOST_TICKS, choose_end
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)

FINISH_SECONDS = 1.0
LOCK_SECONDS = 1.0
REPEAT_SECONDS = 60.0
_PACE = 0.2


@dataclass(frozen=True, kw_only=True)
class Link:
    """One flow of events; times are seconds. What is done with a batch is up to its `Flow`."""

    kind: str
    src_dsn: str
    dst_dsn: str
    queue: str
    consumer: str
    job: str
    loop_delay: float = 1.0
    connection_lifetime: float = 1200.0
    max_batch_rows: int = 100_000


class Flow:
    """What a link does with its batches, over one pair of connections."""

    def __init__(self, source: Database, destination: Database, queue: Queue) -> None:
        self.source = source
        self.destination = destination
        self.queue = queue

    def open(self) -> None:
        """Prepare the destination's connection. Raises SchemaError when something is missing there."""

    def apply(self, start: Tick, end: Tick, finish: Callable[[], None]) -> int:
        """Bring the events between two ticks to the destination; `finish` runs in the same transaction.

        Return how many events there were.
        """
        raise NotImplementedError

    def rest(self) -> None:
        """Do what is due while no batch comes."""


MakeFlow = Callable[[Database, Database, Queue], Flow]


class LinkRunner:
    """Runs one link until stopped, through restarts of both servers."""

    def __init__(self, link: Link, make_flow: MakeFlow, stop: StopFlag) -> None:
        self._link = link
        self._make_flow = make_flow
        self._stop = stop

    def run(self) -> None:
        """Work until the stop flag is set. Raises only what is a bug."""
        backoff = Backoff(first=0.25, longest=15.0)
        complaint, said_at = "", 0.0
        while not self._stop.requested:
            session = _Session(self._link, self._make_flow, self._stop)
            try:
                session.open()
                session.run_until_stopped(backoff)
            except (LondisteError, OSError) as error:
                if self._stop.requested:
                    break
                if str(error) != complaint or time.monotonic() - said_at > REPEAT_SECONDS:
                    hint = f" Hint: {error.hint}" if isinstance(error, LondisteError) and error.hint else ""
                    log.error("%s: %s.%s Trying again", self._link.consumer, str(error).rstrip("."), hint)
                    complaint, said_at = str(error), time.monotonic()
                session.close()
                self._stop.wait(backoff.next_delay())
            finally:
                session.close()

    def run_once(self) -> int:
        """Bring over all that is committed at the source now; return the number of events. Nothing is retried."""
        session = _Session(self._link, self._make_flow, self._stop)
        try:
            session.open()
            return session.run_to_now()
        finally:
            session.close()


class _Session:
    """One life of a link, from connecting to the first error."""

    def __init__(self, link: Link, make_flow: MakeFlow, stop: StopFlag) -> None:
        self._link = link
        self._make_flow = make_flow
        self._stop = stop
        self._open: list[Database] = []
        self._forget = stop.on_stop_at_once(self._cancel)
        self._finish_at = 0.0

    def _cancel(self) -> None:
        for db in list(self._open):
            db.cancel()

    def open(self) -> None:
        """Connect, take the consumer's lock on the destination, find the position."""
        link = self._link
        self.destination = connect(link.dst_dsn, job=link.job, role=link.kind)
        self._open.append(self.destination)
        self._take_lock()
        self.source = connect(link.src_dsn, job=link.job, role=link.kind)
        self._open.append(self.source)
        if not event_queue.has_queues(self.source):
            raise SchemaError(
                f"{self.source.label} has no queue schema yet", hint="Run `pgqadm.py ticker.ini install`."
            )
        if not self.destination.value("links.has_schema", function="pgq_ext.get_last_tick(text)"):
            raise SchemaError(
                f"{self.destination.label} has no schema pgq_ext, which holds the position",
                hint="Run `install` with a [pgqadm] INI for this database.",
            )
        queue = event_queue.find_queue(self.source, link.queue)
        self.source.listen(queue.channel)
        self._queue = queue
        self._at = self._start()
        self._finished = self._at.id
        self._flow = self._make_flow(self.source, self.destination, queue)
        self._flow.open()
        self._opened = time.monotonic()
        log.info('%s: %s of queue "%s" from tick %d', link.consumer, link.kind, queue.name, self._at.id)

    def _take_lock(self) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while not locks.try_replay(self.destination, self._link.consumer):
            if time.monotonic() >= deadline or self._stop.wait(0.02):
                holder = locks.replay_holder(self.destination, self._link.consumer) or "it is just ending"
                raise AlreadyRunning(
                    f'another process works as "{self._link.consumer}" on {self.destination.label}: {holder}',
                    hint="Stop it first, or give this one another job_name or pgq_consumer_id.",
                )

    def _start(self) -> Tick:
        """Return the tick to go on from: the destination's word counts, unless the consumer was registered anew."""
        consumer = self._link.consumer
        there = self.destination.value("links.last_tick", consumer=consumer)
        new = event_queue.register(self.source, self._queue.name, consumer)
        held = event_queue.position(self.source, self._queue.name, consumer)
        if new:
            log.info('registered consumer "%s" at queue "%s"', consumer, self._queue.name)
            if there is not None:
                log.warning('"%s" was not registered any more: events since tick %s are lost', consumer, there)
        wanted = held if new or there is None else int(there)
        tick = event_queue.tick_by_id(self.source, self._queue, wanted) if wanted is not None else None
        if tick is None:
            raise ReplayError(
                f"lost position: the destination stands at tick {wanted}, which the source no longer has",
                hint="Unregister the consumer with `pgqadm.py ticker.ini unregister` to begin anew.",
            )
        if held != tick.id:
            event_queue.move_to(self.source, self._queue.name, consumer, tick.id)
        if there != tick.id:
            self.destination.rows("links.set_last_tick", consumer=consumer, tick=tick.id)
        return tick

    def close(self) -> None:
        """Close both connections."""
        self._forget()
        for db in self._open:
            db.close()
        self._open = []

    def run_until_stopped(self, backoff: Backoff) -> None:
        """Bring over batches as ticks come."""
        while not self._stop.requested:
            if self._turn() is not None:
                backoff.reset()
                continue
            self._flow.rest()
            if 0 < self._link.connection_lifetime < time.monotonic() - self._opened:
                return
            self._sleep()
        self._finish(force=True)

    def run_to_now(self) -> int:
        """Bring over everything up to a tick made now."""
        goal = event_queue.tick_maker(self.source)(self.source, self._queue.name)
        events = 0
        while self._at.id < goal.id and not self._stop.requested:
            events += self._turn() or 0
        self._flow.rest()
        self._finish(force=True)
        return events

    def _turn(self) -> int | None:
        """Bring over one batch; return its number of events, None when there is none."""
        ticks = event_queue.ticks_after(self.source, self._queue, self._at.id, MOST_TICKS)
        end = choose_end(self._at, ticks, self._link.max_batch_rows)
        if end is None:
            self._finish()
            return None

        def finish() -> None:
            self.destination.rows("links.set_last_tick", consumer=self._link.consumer, tick=end.id)

        events = self._flow.apply(self._at, end, finish)
        if events:
            log.info("%s: %d events, ticks %d to %d", self._link.consumer, events, self._at.id, end.id)
        self._at = end
        self._finish()
        return events

    def _finish(self, *, force: bool = False) -> None:
        """Move the claim on the source's queue up: at most once a second, for it is an UPDATE."""
        now = time.monotonic()
        if self._finished != self._at.id and (force or now >= self._finish_at):
            event_queue.move_to(self.source, self._queue.name, self._link.consumer, self._at.id)
            self._finished = self._at.id
            self._finish_at = now + FINISH_SECONDS

    def _sleep(self) -> None:
        deadline = time.monotonic() + self._link.loop_delay
        while not self._stop.requested and not self.source.take_notifications():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            select.select([self.source.fileno()], [], [], min(_PACE, left))


def run_all(runners: Sequence[LinkRunner]) -> None:
    """Run several links side by side, each in a thread, until they are stopped. Raises the first bug of any."""
    failures: list[BaseException] = []

    def guarded(runner: LinkRunner) -> None:
        try:
            runner.run()
        except BaseException as error:
            log.exception("a link ended")
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=(r,), name=f"link {n}", daemon=True) for n, r in enumerate(runners)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
