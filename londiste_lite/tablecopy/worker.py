"""The copy of one table, or of several small ones, in a thread of its own: load, then catch up from the queue until the
main replay can take over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from londiste_lite import event_queue, foreign_keys, subscribed
from londiste_lite.copies import Request
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError, RegistrationChanged, StopRequested
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import TableName
from londiste_lite.replay.batch import BatchRunner, Window
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.replay.window import MOST_TICKS, SMALL_GAP, choose_end
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import RowCounts, Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.connections import Connections, Sides
from londiste_lite.tablecopy.load import TableLoad
from londiste_lite.tablecopy.together import LoadTogether
from londiste_lite.tablecopy.tracker import Tracker

log = logging.getLogger(__name__)


class CopyWorker:
    """Brings tables from IN_COPY, or from CATCHING_UP at one snapshot, to where the main replay can join them.

    Several tables go only as long as nothing is out of the ordinary. Those that then need a worker of their own are in
    `apart`, in the state that they were in.
    """

    def __init__(
        self,
        settings: ReplaySettings,
        wanted: Sequence[Subscribed],
        request: Request | None,
        connections: Connections,
        stop: StopFlag,
        done: Callable[[], None],
    ) -> None:
        self.tables: tuple[TableName, ...] = tuple(one.table for one in wanted)
        self.apart: set[TableName] = set()
        self.error: LondisteError | None = None
        self.given_up = False
        self.tracker = Tracker()
        self._request = request
        self._connections = connections
        self._settings = settings
        self._wanted = list(wanted)
        self._stop = stop
        self._done = done
        self._cancelled = False
        self._used: list[Sides] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"copy {self._named}", daemon=True)
        self._forget = stop.on_stop_at_once(self.cancel)

    @property
    def _named(self) -> str:
        more = f" and {len(self.tables) - 1} more" if len(self.tables) > 1 else ""
        return f"{self.tables[0]}{more}"

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def cancel(self) -> None:
        """Cancel the statements under way: the copy is given up."""
        self._cancelled = True
        with self._lock:
            for sides in self._used:
                sides.cancel()

    @contextmanager
    def _borrowed(self) -> Iterator[Sides]:
        """A pair of connections, cancelled with the copy. Raises StopRequested when that was cancelled already."""
        with self._connections.lent() as sides:
            with self._lock:
                self._used.append(sides)
            try:
                if self._cancelled:
                    raise StopRequested(f"the copy of {self._named} was given up")
                yield sides
            finally:
                # What others borrow next is not this copy's to cancel.
                with self._lock:
                    self._used.remove(sides)

    def _run(self) -> None:
        try:
            self._work()
        except StopRequested as reason:
            self.given_up = True
            log.info("%s", reason.message)
        except LondisteError as error:
            if self._cancelled:
                self.given_up = True
                log.info("the copy of %s was given up", self._named)
            elif len(self.tables) > 1:
                self.apart = set(self.tables)
                log.info("%s are taken one by one: %s", self._named, error)
            else:
                self.error = error
        except Exception as error:
            log.exception("copy of %s failed", self._named)
            self.error = LondisteError(f"{type(error).__name__}: {error}")
        finally:
            self._forget()
            self._done()

    def _work(self) -> None:
        with self._borrowed() as sides:
            self._bring(sides)

    def _bring(self, sides: Sides) -> None:
        queue = event_queue.find_queue(sides.provider, self._settings.queue)
        if self._wanted[0].state is TableState.IN_COPY:
            if sides.checks_fire:
                for one in self._wanted:
                    foreign_keys.drop_for_copy(sides.subscriber, one.local, self._settings.lock_timeout)
            self._wanted = self._loaded(sides, queue)
            self.apart = set(self.tables) - {one.table for one in self._wanted}
            if not self._wanted:
                return
            sides.subscriber.script(f"analyze {', '.join(one.local.quoted for one in self._wanted)}")
            # Ticks are what a table catches up to, and the main replay's position is one.
            event_queue.make_tick(sides.provider, queue.name)
        self.tracker.phase("catch-up")
        self._catch_up(sides.provider, sides.subscriber, queue, sides.checks_fire)

    def _loaded(self, sides: Sides, queue: Queue) -> list[Subscribed]:
        """Load, and return the tables that were, as they are stored now."""
        if len(self._wanted) > 1:
            return LoadTogether(self._settings, self._wanted, queue, sides, lambda: self._cancelled).run()
        (one,) = self._wanted
        log.info("copying %s", one.table)
        begun = time.monotonic()
        load = TableLoad(
            *(self._settings, one, queue, sides, self._borrowed, self.tracker),
            self._request,
            lambda: self._cancelled,
        )
        loaded = load.run()
        seconds = max(time.monotonic() - begun, 0.001)
        log.info("copied %s: %d rows, %.1f s, %.0f rows/s", one.table, loaded.rows, seconds, loaded.rows / seconds)
        return [replace(one, state=TableState.CATCHING_UP, snapshot=loaded.snapshot)]

    def _catch_up(self, provider: Database, subscriber: Database, queue: Queue, checks_fire: bool) -> None:
        runner: BatchRunner | None = None
        at = self._first_tick(provider, queue)
        while at is not None and not self._stop.requested:
            if event_queue.last_tick(provider, queue).event_seq - at.event_seq <= SMALL_GAP:
                return
            if runner is None:
                runner = BatchRunner(
                    provider,
                    subscriber,
                    queue,
                    mode=self._settings.apply,
                    park=self._settings.on_error == "park",
                    node=self._settings.node,
                    checks_fire=checks_fire,
                )
            ticks = event_queue.ticks_after(provider, queue, at.id, MOST_TICKS)
            at = choose_end(at, ticks, self._settings.max_batch_rows)
            if at is not None:
                self._apply_to(runner, at)

    @property
    def _snapshot(self) -> str:
        """What all of the tables are complete up to."""
        snapshot = self._wanted[0].snapshot
        assert snapshot is not None
        return snapshot

    def _first_tick(self, provider: Database, queue: Queue) -> Tick | None:
        """Return the oldest tick that sees all that the tables hold already."""
        held = event_queue.position(provider, queue.name, self._settings.copy_consumer) or 0
        return event_queue.first_tick_covering(provider, queue, held, Snapshot.parse(self._snapshot))

    def _apply_to(self, runner: BatchRunner, tick: Tick) -> None:
        """Apply the tables' events up to a tick."""

        def store(counts: dict[TableName, RowCounts]) -> None:
            moved = subscribed.set_states(
                runner.subscriber,
                self._settings.queue,
                self._wanted,
                TableState.CATCHING_UP,
                tick.snapshot,
            )
            if len(moved) < len(self._wanted):
                raise RegistrationChanged(f"catching up {self._named} was given up: a registration changed")
            subscribed.count_rows(runner.subscriber, self._settings.queue, counts)

        claim = self._settings.copy_consumer if self._settings.may_be_parked else None
        runner.run(Window(self._snapshot, tick.snapshot, self._wanted, {}, claim=claim), store, "catchup")
        wanted = [replace(one, snapshot=tick.snapshot) for one in self._wanted]
        self._wanted = subscribed.with_parked(runner.subscriber, self._settings.queue, wanted)
