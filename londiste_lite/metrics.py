"""What monitoring sees: Prometheus text at /metrics and an answer to "are you well" at /healthz, on 127.0.0.1.

The only module that imports prometheus_client, loaded only when `metrics_port` is set, see `metrics_service`. Figures
about the databases are read at each scrape, over connections of their own; batches and errors are heard from the
replay.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from londiste_lite import __version__, event_queue, locks, progress
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.dsn import hide_password
from londiste_lite.errors import LondisteError
from londiste_lite.nodes.lags import of_nodes
from londiste_lite.progress import Status
from londiste_lite.scraped import ADDRESS, Nodes, Scraped
from londiste_lite.table_state import TableState

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# A scrape counts no more waiting events than this, for it comes every few seconds.
MOST_COUNTED = 100_000
STATES = [*(state.shown for state in TableState)]


class Metrics:
    """The figures of one replay: hears of its batches (a `ReplayObserver`) and reads the rest from the databases."""

    def __init__(self, scraped: Callable[[], Scraped], nodes: Nodes | None = None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._scraped = scraped
        self._nodes = nodes
        self._lock = threading.Lock()
        self._databases: dict[str, Database] = {}
        self._troubles: dict[str, str] = {}
        if nodes is None:
            self._troubles[scraped().consumer] = "the replay has not begun"
        self.registry = CollectorRegistry()
        names = ["queue", "consumer", "node"]
        seconds = Histogram(
            "londiste_batch_seconds", "Time from reading a batch to its commit.", names, buckets=BUCKETS, registry=None
        )
        rows = Counter("londiste_batch_rows", "Rows applied in batches.", names, registry=None)
        errors = Counter("londiste_errors", "Failed rounds of the replay, by kind.", [*names, "kind"], registry=None)
        working = Gauge(
            "londiste_replay_working", "1 when the last round of the replay went well.", names, registry=None
        )
        info = Gauge("londiste_build_info", "1, with the versions as labels.", ["version", "python"], registry=None)
        for each in (seconds, rows, errors, working, info):
            self.registry.register(each)
        self.registry.register(self)  # a collector is what has collect() and describe()
        info.labels(__version__, platform.python_version()).set(1)
        self._seconds, self._rows, self._errors, self._working = seconds, rows, errors, working
        for one in nodes() if nodes is not None else [scraped()]:
            working.labels(*one.labels).set(0)

    # --- what the replay tells --------------------------------------------------------------------------------

    def batch(self, of: Scraped, seconds: float, rows: int) -> None:
        """Count a batch."""
        self._seconds.labels(*of.labels).observe(seconds)
        self._rows.labels(*of.labels).inc(rows)

    def works(self, of: Scraped) -> None:
        """Note that the replay is well."""
        self._troubles.pop(of.consumer, None)
        self._working.labels(*of.labels).set(1)

    def error(self, of: Scraped, error: Exception) -> None:
        """Note what stops the replay."""
        self._troubles[of.consumer] = hide_password(str(error))
        self._errors.labels(*of.labels, type(error).__name__).inc()
        self._working.labels(*of.labels).set(0)

    @property
    def trouble(self) -> str:
        """What stops the replay, empty while it works; of many nodes only what stops the last of them."""
        troubles = list(self._troubles.values())
        return troubles[-1] if len(troubles) >= (len(self._nodes()) if self._nodes else 1) else ""

    # --- what a scrape reads ----------------------------------------------------------------------------------

    def describe(self) -> list[Metric]:
        """Return nothing: the names are known after the first scrape, and registering must not connect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures that are read from the databases; `londiste_up` 0 tells that a side does not answer."""
        from prometheus_client.core import GaugeMetricFamily

        if self._nodes is not None:
            yield from self._collect_nodes(self._nodes())
            return
        what = self._scraped()
        up = GaugeMetricFamily("londiste_up", "1 when the side answers.", labels=["queue", "consumer", "node", "side"])
        with self._lock:
            provider = self._open("provider", what.provider_dsn, what.job)
            subscriber = self._open("subscriber", what.subscriber_dsn, what.job)
            found: list[Metric] = []
            try:
                if provider is not None:
                    found += _of_provider(provider, what)
                if provider is not None and subscriber is not None:
                    status = progress.status(provider, subscriber, what.queue, what.consumer, what.node, MOST_COUNTED)
                    found += _of_status(status, what)
                    found += _of_copies(subscriber, what)
            except LondisteError as error:
                log.debug("metrics cannot be read: %s", error)
                self._close()
            for side, db in (("provider", provider), ("subscriber", subscriber)):
                up.add_metric([*what.labels, side], float(db is not None and not db.closed))
        yield up
        yield from found

    def _collect_nodes(self, nodes: Sequence[Scraped]) -> Iterator[Metric]:
        """Yield what the providers know of their nodes; the nodes themselves are not asked."""
        from prometheus_client.core import GaugeMetricFamily

        groups: dict[tuple[str, str], list[Scraped]] = {}
        for node in nodes:
            groups.setdefault((node.provider_dsn, node.queue), []).append(node)
        up = GaugeMetricFamily("londiste_up", "1 when the side answers.", labels=["queue", "consumer", "node", "side"])
        found: dict[str, Metric] = {}
        with self._lock:
            for number, members in enumerate(groups.values()):
                what = replace(members[0], consumer=members[0].job, node=None)
                provider = self._open(f"provider {number}", what.provider_dsn, what.job)
                try:
                    for family in _of_nodes(provider, what, members) if provider is not None else ():
                        if family.name in found:
                            found[family.name].samples += family.samples
                        else:
                            found[family.name] = family
                except LondisteError as error:
                    log.debug("metrics cannot be read: %s", error)
                    self._close()
                up.add_metric([*what.labels, "provider"], float(provider is not None and not provider.closed))
        yield up
        yield from found.values()

    def _open(self, side: str, dsn: str, job: str) -> Database | None:
        db = self._databases.get(side)
        if db is not None and not db.closed and db.dsn == dsn:
            return db
        if db is not None:
            db.close()
        try:
            self._databases[side] = look_after(connect(dsn, job=job, role="metrics"))
        except LondisteError as error:
            log.debug("metrics: %s", error)
            return None
        return self._databases[side]

    def _close(self) -> None:
        for db in self._databases.values():
            db.close()

    def close(self) -> None:
        """Close the connections of the scrapes."""
        with self._lock:
            self._close()


def _family(kind: str, name: str, text: str, labels: tuple[str, ...] = ()) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    return family(name, text, labels=["queue", "consumer", "node", *labels])


def _of_provider(provider: Database, what: Scraped) -> Iterator[Metric]:
    """The queue: its size, its ticks, and how far every consumer is that reads it."""
    queue = event_queue.find_queue(provider, what.queue)
    size = _family("gauge", "londiste_queue_bytes", "Size of the queue's event tables with their indexes.")
    size.add_metric(what.labels, float(event_queue.size(provider, queue)))
    yield size
    age = _family("gauge", "londiste_tick_age_seconds", "Age of the newest tick, by the provider's clock.")
    age.add_metric(what.labels, event_queue.last_tick_age(provider, queue) or 0.0)
    yield age
    lag = _family("gauge", "londiste_queue_lag_seconds", "Age of the tick of each consumer of the queue.", ("reader",))
    events = _family(
        "gauge", "londiste_queue_lag_events", "Events of all tables behind the tick of each consumer.", ("reader",)
    )
    for consumer, seconds, pending in event_queue.consumer_lags(provider, queue):
        lag.add_metric([*what.labels, consumer], seconds)
        events.add_metric([*what.labels, consumer], pending)
    yield lag
    yield events


def _of_nodes(provider: Database, what: Scraped, nodes: Sequence[Scraped]) -> Iterator[Metric]:
    """The queue, and how far each node is behind."""
    yield from _of_provider(provider, what)
    newest, lags = of_nodes(provider, what.queue, [(node.consumer, node.node) for node in nodes], MOST_COUNTED)
    last = _family("gauge", "londiste_last_tick", "Number of the queue's newest tick.")
    last.add_metric(what.labels, float(newest))
    ticker = _family("gauge", "londiste_ticker_alive", "1 when a ticker works on the provider.")
    ticker.add_metric(what.labels, float(locks.ticker_holder(provider) is not None))
    seconds = _family("gauge", "londiste_lag_seconds", "Age of the oldest event that waits for this subscriber.")
    events = _family("gauge", "londiste_lag_events", "Events that wait for this subscriber, counted up to 100000.")
    tick = _family("gauge", "londiste_applied_tick", "Number of the last applied tick.")
    for node, lag in zip(nodes, lags, strict=True):
        for family, value in ((seconds, lag.seconds), (events, lag.events), (tick, lag.tick)):
            if value is not None:
                family.add_metric(node.labels, float(value))
    yield from (last, ticker, seconds, events, tick)


def _of_status(status: Status, what: Scraped) -> Iterator[Metric]:
    """What `status` shows, as figures."""
    single: list[tuple[str, str, float | None]] = [
        ("londiste_lag_seconds", "Age of the oldest event that waits for this subscriber.", status.lag_seconds),
        ("londiste_lag_events", "Events that wait for this subscriber, counted up to 100000.", status.pending_events),
        ("londiste_last_tick", "Number of the queue's newest tick.", status.last_tick),
        ("londiste_applied_tick", "Number of the last applied tick.", status.applied_tick),
        ("londiste_ticker_alive", "1 when a ticker works on the provider.", float(status.ticker_alive)),
        ("londiste_paused", "1 while the replay is paused.", float(status.paused)),
    ]
    for name, text, value in single:
        family = _family("gauge", name, text)
        if value is not None:
            family.add_metric(what.labels, float(value))
        yield family
    rows = _family("counter", "londiste_rows", "Rows applied since the table was added.", ("table", "operation"))
    conflicts = _family("counter", "londiste_conflicts", "Events that met another row state.", ("table", "kind"))
    parked = _family("gauge", "londiste_parked_rows", "Rows that are set aside.", ("table",))
    state = _family("gauge", "londiste_table_state", "1 for the state that the table is in.", ("table", "state"))
    errors = _family("gauge", "londiste_table_error", "1 when the table has an error, see status.", ("table",))
    for table in status.tables:
        counts = {"insert": table.rows_inserted, "update": table.rows_updated, "delete": table.rows_deleted}
        for operation, count in counts.items():
            rows.add_metric([*what.labels, table.name, operation], count)
        for kind, count in table.conflict_kinds.items():
            conflicts.add_metric([*what.labels, table.name, kind], count)
        parked.add_metric([*what.labels, table.name], table.parked)
        errors.add_metric([*what.labels, table.name], float(table.error is not None))
        for each in sorted({*STATES, table.state}):
            state.add_metric([*what.labels, table.name, each], float(table.state == each))
    yield from (rows, conflicts, parked, state, errors)


def _of_copies(subscriber: Database, what: Scraped) -> Iterator[Metric]:
    """The copies that are under way."""
    texts = {
        "londiste_copy_rows": "Rows that the copy under way has brought.",
        "londiste_copy_bytes": "Bytes that the copy under way has brought.",
        "londiste_copy_expected_rows": "Rows that the copy will bring, about; 0 when unknown.",
        "londiste_copy_expected_bytes": "Bytes that the copy will bring, about; 0 when unknown.",
    }
    families = {name: _family("gauge", name, text, ("table",)) for name, text in texts.items()}
    for copy in progress.copies(subscriber, what.queue):
        values = (copy.rows, copy.bytes, copy.total_rows, copy.total_bytes)
        for family, value in zip(families.values(), values, strict=True):
            family.add_metric([*what.labels, copy.table], float(value or 0))
    yield from families.values()


def web_server(metrics: Metrics, port: int) -> ThreadingHTTPServer:
    """Return a server of these figures on `port` of the loopback address, not yet running. Raises OSError."""
    server = ThreadingHTTPServer((ADDRESS, port), _handler(metrics))
    server.daemon_threads = True
    return server


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    from prometheus_client.exposition import choose_encoder

    class Handler(BaseHTTPRequestHandler):
        timeout = 30
        server_version = f"londiste_lite/{__version__}"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encoder, kind = choose_encoder(self.headers.get("Accept") or "")
                try:
                    body = encoder(metrics.registry)
                except Exception:
                    log.exception("metrics cannot be made")
                    self._answer(500, "text/plain; charset=utf-8", b"internal error, see the log\n")
                    return
                self._answer(200, kind, body)
            elif path == "/healthz":
                trouble = metrics.trouble
                text = f"{trouble}\n" if trouble else "ok\n"
                self._answer(503 if trouble else 200, "text/plain; charset=utf-8", text.encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"there are /metrics and /healthz\n")

        do_HEAD = do_GET

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            with contextlib.suppress(OSError):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("metrics: " + format, *args)

    return Handler
