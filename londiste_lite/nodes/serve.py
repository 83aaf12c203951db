"""Serving many nodes: a few threads give them turns, those with events first; a node that is away costs nobody else.

Two kinds of threads: some connect to nodes, the others apply. A node that hangs keeps a thread; when all are kept that
way and others wait, more are started, up to a bound.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from londiste_lite.backoff import Backoff
from londiste_lite.errors import AlreadyRunning, LondisteError
from londiste_lite.nodes.provider_pool import ProviderPool
from londiste_lite.nodes.session import CopySlots, NodeSession
from londiste_lite.nodes.ticks import TickCache, Watcher
from londiste_lite.replay.observer import Nobody, ReplayObserver
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)

APPLIERS = 4
MOST_APPLIERS = 32
CONNECTORS = 8
# Seconds after which a turn counts as hanging: the others get one more thread.
HANGING_SECONDS = 2.0
# Seconds between two turns of a node without events, for its registrations, sequences and position: one a node a second
# for a few nodes, and for many not more than so many turns a second in all.
IDLE_SECONDS = 1.0
IDLE_TURNS_A_SECOND = 16.0
UNSETTLED_SECONDS = 0.25
# Seconds between two looks at a node that another process serves, and how many looks a second in all.
ELSEWHERE_SECONDS = 2.0
ELSEWHERE_LOOKS_A_SECOND = 32.0
REPEAT_SECONDS = 60.0


@dataclass
class _Node:
    """One node and when it is due; `wanted_at` is since when it has events, None when it has none that are known."""

    settings: ReplaySettings
    session: NodeSession | None = None
    busy: bool = False
    wanted_at: float | None = 0.0
    due_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.25, longest=15.0))
    complaint: str = ""
    said_at: float = 0.0


class NodeGroup:
    """The nodes of one queue of one provider."""

    def __init__(
        self, nodes: Sequence[ReplaySettings], stop: StopFlag, observe: Callable[[str], ReplayObserver]
    ) -> None:
        self._observe = observe
        # In another order in each process, so that two that start together share the nodes.
        self._nodes = [_Node(settings) for settings in random.sample(list(nodes), len(nodes))]
        self._stop = stop
        self._changed = threading.Condition()
        self._pool = ProviderPool(nodes[0])
        self._cache = TickCache()
        self._slots = CopySlots(nodes[0].parallel_copies)
        self._watcher = Watcher(nodes[0], self._cache, stop, self._want)
        self._appliers: dict[int, float | None] = {}  # number of a thread -> when its turn began
        self._failures: list[BaseException] = []
        self._idle = max(IDLE_SECONDS, len(nodes) / IDLE_TURNS_A_SECOND)
        self._elsewhere = max(ELSEWHERE_SECONDS, len(nodes) / ELSEWHERE_LOOKS_A_SECOND)

    def run(self) -> None:
        """Serve until the stop flag is set, then close every session. Raises only what is a bug."""
        helpers = [self._thread("watch", self._watcher.run)]
        helpers += [self._thread(f"connect {n}", self._connect) for n in range(min(CONNECTORS, len(self._nodes)))]
        appliers = [self._add_applier() for _ in range(min(APPLIERS, len(self._nodes)))]
        while not self._stop.wait(0.2) and not self._failures:
            if self._hangs():
                appliers.append(self._add_applier())
        self._stop.request()
        with self._changed:
            self._changed.notify_all()
        for thread in [*appliers, *helpers]:
            thread.join(60.0)
        for node in self._nodes:
            if node.session is not None and not node.busy:
                self._shut(node.session)
        self._pool.close()
        if self._failures:
            raise self._failures[0]

    # --- threads --------------------------------------------------------------------------------------------

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                log.exception("a thread ended")
                self._failures.append(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _add_applier(self) -> threading.Thread:
        number = len(self._appliers)
        self._appliers[number] = None
        return self._thread(f"apply {number}", lambda: self._apply(number))

    def _hangs(self) -> bool:
        """Tell whether nodes wait and every thread has been busy with one node for long."""
        now = time.monotonic()
        with self._changed:
            stuck = all(begun is not None and now - begun > HANGING_SECONDS for begun in self._appliers.values())
            return stuck and len(self._appliers) < MOST_APPLIERS and self._next_open(now)[0] is not None

    def _want(self, targets: set[str] | None) -> None:
        """Note that these nodes have events; None stands for all."""
        now = time.monotonic()
        with self._changed:
            for node in self._nodes:
                if targets is None or node.settings.node is None or node.settings.node in targets:
                    node.wanted_at = node.wanted_at or now
            self._changed.notify_all()

    def _wake(self, node: _Node) -> None:
        with self._changed:
            node.wanted_at = node.wanted_at or time.monotonic()
            self._changed.notify_all()

    def _next_open(self, now: float) -> tuple[_Node | None, float]:
        """Return the node whose turn it is, or how many seconds there are until one is due."""
        free = [node for node in self._nodes if node.session is not None and not node.busy]
        wanted = [node for node in free if node.wanted_at is not None and node.due_at <= now + self._idle]
        if wanted:
            return min(wanted, key=lambda node: node.wanted_at or 0.0), 0.0
        return self._earliest(free, now)

    def _next_away(self, now: float) -> tuple[_Node | None, float]:
        """Return the node to connect to; those that failed least come first."""
        away = [node for node in self._nodes if node.session is None and not node.busy]
        due = [node for node in away if node.due_at <= now]
        if due:
            return min(due, key=lambda node: node.backoff.tries), 0.0
        return self._earliest(away, now)

    def _earliest(self, nodes: list[_Node], now: float) -> tuple[_Node | None, float]:
        node = min(nodes, key=lambda node: node.due_at, default=None)
        if node is None:
            return None, 1.0
        return (node, 0.0) if node.due_at <= now else (None, min(1.0, node.due_at - now))

    def _take(self, choose: Callable[[float], tuple[_Node | None, float]]) -> _Node | None:
        """Wait for a node to work for; return None at the stop."""
        with self._changed:
            while not self._stop.requested:
                node, seconds = choose(time.monotonic())
                if node is not None:
                    node.busy = True
                    return node
                self._changed.wait(min(seconds, 0.5))
        return None

    def _done(self, node: _Node, due_in: float) -> None:
        with self._changed:
            node.busy = False
            node.due_at = time.monotonic() + due_in
            self._changed.notify_all()

    # --- what they do ---------------------------------------------------------------------------------------

    def _connect(self) -> None:
        while (node := self._take(self._next_away)) is not None:
            session = NodeSession(
                *(node.settings, self._stop, self._pool, self._cache, self._slots),
                lambda node=node: self._wake(node),  # type: ignore[misc]
            )
            try:
                session.observer = self._observe(node.settings.consumer)
                session.open()
            except AlreadyRunning as error:
                self._close(session)
                if node.complaint != "elsewhere":
                    log.info("%s; looking again", error)
                    node.complaint = "elsewhere"
                self._done(node, self._elsewhere * random.uniform(0.75, 1.0))
            except (LondisteError, OSError) as error:
                self._failed(node, session, error)
            else:
                node.wanted_at = time.monotonic()
                node.session = session
                self._done(node, 0.0)

    def _apply(self, number: int) -> None:
        while (node := self._take(self._next_open)) is not None:
            session = node.session
            assert session is not None
            node.wanted_at = None
            self._appliers[number] = time.monotonic()
            try:
                more = session.turn()
            except (LondisteError, OSError) as error:
                node.session = None
                self._failed(node, session, error)
            else:
                session.observer.works()
                node.backoff.reset()
                node.complaint = ""
                if session.old:
                    node.session = None
                    self._shut(session)
                if more:
                    node.wanted_at = node.wanted_at or time.monotonic()
                self._done(node, 0.0 if more else UNSETTLED_SECONDS if session.unsettled else self._idle)
            finally:
                self._appliers[number] = None

    def _failed(self, node: _Node, session: NodeSession, error: Exception) -> None:
        """Note what went wrong, close the session, and let the node wait."""
        if not self._stop.requested:
            session.note_error(error)
            session.observer.error(error)
            if str(error) != node.complaint or time.monotonic() - node.said_at > REPEAT_SECONDS:
                hint = f" Hint: {error.hint}" if isinstance(error, LondisteError) and error.hint else ""
                name = node.settings.node or node.settings.consumer
                log.error('node "%s": %s.%s Trying again', name, str(error).rstrip("."), hint)
                node.complaint, node.said_at = str(error), time.monotonic()
        self._close(session)
        self._done(node, node.backoff.next_delay())

    def _close(self, session: NodeSession) -> None:
        try:
            session.close()
        except (LondisteError, OSError) as error:
            log.debug("closing a session: %s", error)

    def _shut(self, session: NodeSession) -> None:
        try:
            session.shut()
        except (LondisteError, OSError) as error:
            log.debug("closing a session: %s", error)


def serve(
    nodes: Sequence[ReplaySettings], stop: StopFlag, observe: Callable[[str], ReplayObserver] = lambda _: Nobody()
) -> None:
    """Serve all nodes until the stop flag is set; those of one queue share its connections.

    `observe` gives what hears of the batches and errors of a consumer.
    """
    groups: dict[tuple[str, str], list[ReplaySettings]] = {}
    for settings in nodes:
        groups.setdefault((settings.provider_dsn, settings.queue), []).append(settings)
    _raise_file_limit()
    failures: list[BaseException] = []

    def run(group: NodeGroup) -> None:
        try:
            group.run()
        except BaseException as error:
            failures.append(error)
            stop.request()

    threads = [
        threading.Thread(target=run, args=(NodeGroup(members, stop, observe),), name=f"queue {number}", daemon=True)
        for number, members in enumerate(groups.values())
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _raise_file_limit() -> None:
    """Let the process open as many files as it may: a node takes four."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
