"""The replay of one node among many: it has the provider only during its turns, and shares the bounds for copies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from londiste_lite import locks
from londiste_lite.db import Database, Row
from londiste_lite.errors import AlreadyRunning
from londiste_lite.event_queue import Tick
from londiste_lite.nodes.provider_pool import LentProvider, ProviderPool
from londiste_lite.nodes.ticks import TickCache
from londiste_lite.replay.look import Ahead
from londiste_lite.replay.loop import Session
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.stop_flag import StopFlag
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.coordinator import CopyCoordinator

# Seconds that one node may keep a thread while others wait.
TURN_SECONDS = 1.0


class CopySlots:
    """How many tables of all nodes together may be copied at the same time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._coordinators: list[SharedCopies] = []
        self._lock = threading.Lock()

    def enter(self, coordinator: SharedCopies) -> None:
        with self._lock:
            self._coordinators.append(coordinator)

    def leave(self, coordinator: SharedCopies) -> None:
        with self._lock:
            if coordinator in self._coordinators:
                self._coordinators.remove(coordinator)

    def free(self) -> int:
        """How many more may be copied now."""
        with self._lock:
            return self._most - sum(c.at_work for c in self._coordinators)


class SharedCopies(CopyCoordinator):
    """Starts a copy only while the process has a slot for it."""

    slots: CopySlots

    @property
    def at_work(self) -> int:
        return len(self._workers)

    @property
    def _slots(self) -> int:
        return self.slots.free()


class NodeSession(Session):
    """One node's session; `turn` and `shut` borrow a connection to the provider for as long as they run."""

    coordinator = SharedCopies

    def __init__(
        self,
        settings: ReplaySettings,
        stop: StopFlag,
        pool: ProviderPool,
        cache: TickCache,
        slots: CopySlots,
        woken: Callable[[], None],
    ) -> None:
        super().__init__(settings, stop)
        self._pool = pool
        self._cache = cache
        self._slots = slots
        self._woken = woken
        self._lent = LentProvider()
        self._since = 0.0
        self._leased: Database | None = None
        self.unsettled = True
        self.old = False

    # --- what is shared -------------------------------------------------------------------------------------

    def _connect_provider(self) -> Database:
        self._lease()
        return self._lent.as_database()

    def _listen(self) -> None:
        """The watcher listens, for all nodes."""

    def _new_copies(self) -> CopyCoordinator:
        copies = super()._new_copies()
        assert isinstance(copies, SharedCopies)
        copies.slots = self._slots
        self._slots.enter(copies)
        return copies

    def _wake(self) -> None:
        self._woken()

    def _take_lock(self) -> None:
        """Take the consumer's lock at once or not at all: another process of the same nodes may well have it."""
        if not locks.try_replay(self.subscriber, self._settings.consumer):
            holder = locks.replay_holder(self.subscriber, self._settings.consumer) or "it is just ending"
            raise AlreadyRunning(f'"{self._settings.consumer}" is served by {holder}')

    def _look_ahead(self) -> Ahead:
        found = self._cache.after(self._at.id)
        if found is None:
            return super()._look_ahead()
        # Events that are shared have no scripts among them.
        shared = bool(found) and self._events_at_hand(found[-1]) is not None
        return Ahead(found, [] if shared else None)

    def _events_at_hand(self, end: Tick) -> Sequence[Row] | None:
        settings = self._settings
        return self._cache.events.between(self._at.id, end.id, settings.node, settings.few_events)

    def _lease(self) -> None:
        self._leased, self._since = self._pool.take()
        self._lent.lend(self._leased)

    def _release(self) -> None:
        if self._leased is not None:
            leased, self._leased = self._leased, None
            self._lent.take_back()
            self._pool.give(leased, self._since)

    # --- turns ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        try:
            super().open()
        finally:
            self._release()

    def turn(self) -> bool:
        """Apply what is there, for a second at most; return whether there may be more."""
        self._lease()
        try:
            deadline = time.monotonic() + TURN_SECONDS
            while self._turn():
                if self._stop.requested or time.monotonic() > deadline:
                    return True
            self.unsettled = any(t.state is not TableState.OK for t in self._tables())
            lifetime = self._settings.connection_lifetime
            self.old = not self.unsettled and 0 < lifetime < time.monotonic() - self._opened
            return False
        finally:
            self._release()

    def shut(self) -> None:
        """Put the provider's position right, then close. For an orderly end."""
        try:
            self._lease()
            self._finish(force=True)
        finally:
            self._release()
            self.close()

    def close(self) -> None:
        copies = self._copies
        super().close()
        if isinstance(copies, SharedCopies):
            self._slots.leave(copies)

    @property
    def tick(self) -> int:
        """The last applied tick."""
        return self._at.id
