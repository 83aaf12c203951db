"""Long-running work put together: a replay with its built-in ticker, a ticker alone; both can be told to reload.

The built-in ticker works only while no other ticker does. A reload ends the work after the current batch and starts it
again with new settings, in the same process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from londiste_lite.db import Database
from londiste_lite.errors import LondisteError
from londiste_lite.event_queue import Queue
from londiste_lite.links import Flow, Link, LinkRunner, run_all
from londiste_lite.nodes.serve import serve
from londiste_lite.progress_report import ProgressReport
from londiste_lite.pull import Pull
from londiste_lite.relay import Relay
from londiste_lite.replay.loop import Replay
from londiste_lite.replay.observer import Nobody, ReplayObserver
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.stop_flag import StopFlag
from londiste_lite.ticker import Ticker, TickerSettings

log = logging.getLogger(__name__)

_Settings = TypeVar("_Settings")

# Seconds between two looks at the stop flag and at a request to reload.
_PACE = 0.1


def run_replay(
    settings: ReplaySettings,
    stop: StopFlag,
    read_again: Callable[[], ReplaySettings] | None = None,
    observer: ReplayObserver | None = None,
) -> None:
    """Replay until the stop flag is set; `read_again` gives the settings after a request to reload."""

    def works(current: ReplaySettings, inner: StopFlag) -> list[Callable[[], None]]:
        ticker = Ticker(_beside(current.provider_dsn, current), inner)
        return [Replay(current, inner, observer).run, ticker.run]

    _run(settings, works, stop, read_again)


def run_nodes(
    nodes: Sequence[ReplaySettings],
    stop: StopFlag,
    read_again: Callable[[], Sequence[ReplaySettings]] | None = None,
    observe: Callable[[str], ReplayObserver] = lambda _: Nobody(),
) -> None:
    """Serve many nodes until the stop flag is set, and tick their providers while nobody else does.

    `observe` gives what hears of the batches and errors of a consumer.
    """

    def works(current: Sequence[ReplaySettings], inner: StopFlag) -> list[Callable[[], None]]:
        providers = {one.provider_dsn: _beside(one.provider_dsn, one) for one in current}
        return [
            lambda: serve(current, inner, observe),
            *(Ticker(settings, inner).run for settings in providers.values()),
        ]

    _run(nodes, works, stop, read_again)


def run_ticker(
    settings: TickerSettings, stop: StopFlag, read_again: Callable[[], TickerSettings] | None = None
) -> None:
    """Tick until the stop flag is set; `read_again` gives the settings after a request to reload."""

    def works(current: TickerSettings, inner: StopFlag) -> list[Callable[[], None]]:
        return [Ticker(current, inner).run]

    _run(settings, works, stop, read_again)


@dataclass(frozen=True, kw_only=True)
class RelayLink(Link):
    """Events into the queue `target`."""

    target: str


@dataclass(frozen=True, kw_only=True)
class PullLink(Link):
    """Events of `node` into calls of `function`; `park` sets those aside that fail."""

    node: str
    function: str
    park: bool


def run_links(links: Sequence[Link], stop: StopFlag, read_again: Callable[[], Sequence[Link]] | None = None) -> None:
    """Run relays and pulls until the stop flag is set, and tick their sources while nobody else does."""

    def works(current: Sequence[Link], inner: StopFlag) -> list[Callable[[], None]]:
        sources = {link.src_dsn: _beside(link.src_dsn, link) for link in current}
        runners = [_runner(link, inner) for link in current]
        return [lambda: run_all(runners), *(Ticker(settings, inner).run for settings in sources.values())]

    _run(links, works, stop, read_again)


def _beside(dsn: str, settings: ReplaySettings | Link) -> TickerSettings:
    """Return the settings of a ticker that runs beside what has these."""
    return TickerSettings(dsn, settings.job, connection_lifetime=settings.connection_lifetime, quiet=True)


def run_links_once(links: Sequence[Link], stop: StopFlag) -> list[int]:
    """Bring over what is committed at each source now; return the numbers of events."""
    return [_runner(link, stop).run_once() for link in links]


def _runner(link: Link, stop: StopFlag) -> LinkRunner:
    def flow(source: Database, destination: Database, queue: Queue) -> Flow:
        if isinstance(link, RelayLink):
            return Relay(source, destination, queue, link.target)
        assert isinstance(link, PullLink)
        return Pull(
            source,
            destination,
            queue,
            node=link.node,
            function=link.function,
            consumer=link.consumer,
            park=link.park,
        )

    return LinkRunner(link, flow, stop)


def run_once(settings: ReplaySettings, stop: StopFlag, told: ProgressReport | None = None) -> None:
    """Apply all that is committed on the provider now, finish the copies that are due, and return."""
    Replay(settings, stop).run_once(told)


def _run(
    settings: _Settings,
    works: Callable[[_Settings, StopFlag], list[Callable[[], None]]],
    stop: StopFlag,
    read_again: Callable[[], _Settings] | None,
) -> None:
    """Run the functions of `works` in threads, again after each reload, until a stop or until the first ends."""
    while not stop.requested:
        inner = StopFlag()
        crew = _Crew(works(settings, inner), inner)
        forget = stop.on_stop_at_once(lambda inner=inner: inner.request(at_once=True, reason=stop.reason))  # type: ignore[misc]
        try:
            while crew.working and not inner.requested:
                if stop.wait(_PACE):
                    inner.request(reason=stop.reason)
                elif read_again is not None and stop.take_reload():
                    settings = _reloaded(settings, read_again)
                    inner.request(reason="reload")
            crew.finish()
        finally:
            inner.request()
            forget()
        crew.raise_failure()


def _reloaded(settings: _Settings, read_again: Callable[[], _Settings]) -> _Settings:
    try:
        return read_again()
    except LondisteError as error:
        log.error("the settings stay as they were: %s", error)
        return settings


class _Crew:
    """Threads of which the first is the work proper; the others only help."""

    def __init__(self, works: list[Callable[[], None]], stop: StopFlag) -> None:
        self._stop = stop
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(work, n == 0), name="ticker" if n else "work", daemon=True)
            for n, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def working(self) -> bool:
        return self._threads[0].is_alive()

    def finish(self) -> None:
        """Wait for the work, then end the helpers."""
        self._threads[0].join()
        self._stop.request()
        for thread in self._threads[1:]:
            thread.join(10.0)

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[], None], first: bool) -> None:
        try:
            work()
        except BaseException as error:
            if first:
                self._failure = error
            else:
                log.exception("the built-in ticker ended; start one of its own with `ticker -d`")
