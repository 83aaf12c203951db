"""Serves a replay's metrics or not, as `metrics_port` says; what is served is in `metrics`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from londiste_lite.replay.observer import ReplayObserver
from londiste_lite.scraped import ADDRESS, Nodes, Scraped

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    from londiste_lite.metrics import Metrics

log = logging.getLogger(__name__)


class MetricsService:
    """The metrics of a replay that may be served or not: the port is set when it starts and at each reload.

    `scraped` tells what is replayed; where it is many nodes, `nodes` tells which, and `scraped` what they share.
    """

    def __init__(self, scraped: Callable[[], Scraped], nodes: Nodes | None = None) -> None:
        self._scraped = scraped
        self._nodes = nodes
        self._metrics: Metrics | None = None
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def batch(self, seconds: float, rows: int) -> None:
        """Count a batch."""
        if self._metrics is not None:
            self._metrics.batch(self._scraped(), seconds, rows)

    def works(self) -> None:
        """Note that the replay is well."""
        if self._metrics is not None:
            self._metrics.works(self._scraped())

    def error(self, error: Exception) -> None:
        """Note what stops the replay."""
        if self._metrics is not None:
            self._metrics.error(self._scraped(), error)

    def of_consumer(self, consumer: str) -> ReplayObserver:
        """Return what hears of the batches of one of the nodes."""
        return _NodeObserver(self, consumer)

    def about(self, consumer: str) -> tuple[Metrics, Scraped] | None:
        """Return where figures of a node go, None when there are no metrics, or no such node any more."""
        if self._metrics is None or self._nodes is None:
            return None
        found = next((node for node in self._nodes() if node.consumer == consumer), None)
        return (self._metrics, found) if found is not None else None

    def serve(self, port: int) -> bool:
        """Serve on `port` of the loopback address from now on, not at all with 0; return whether it is served.

        A port that cannot be had is logged, and no reason to stop anything else.
        """
        if self._server is not None and port == self._port:
            return True
        self.close()
        if not port:
            return False
        from londiste_lite import metrics  # only here: it takes a tenth of a replay's start

        if self._metrics is None:
            self._metrics = metrics.Metrics(self._scraped, self._nodes)
        try:
            self._server = metrics.web_server(self._metrics, port)
        except OSError as error:
            log.error(
                "metrics cannot be served on %s:%d: %s; the replay goes on without them. "
                "Hint: choose another metrics_port and reload (-r)",
                ADDRESS,
                port,
                error.strerror or error,
            )
            return False
        self._port = port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        log.info("metrics are at http://%s:%d/metrics", ADDRESS, port)
        return True

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._metrics is not None:
            self._metrics.close()


class _NodeObserver:
    """Hears of one node's batches, a `ReplayObserver`."""

    def __init__(self, service: MetricsService, consumer: str) -> None:
        self._service = service
        self._consumer = consumer

    def batch(self, seconds: float, rows: int) -> None:
        if about := self._service.about(self._consumer):
            about[0].batch(about[1], seconds, rows)

    def works(self) -> None:
        if about := self._service.about(self._consumer):
            about[0].works(about[1])

    def error(self, error: Exception) -> None:
        if about := self._service.about(self._consumer):
            about[0].error(about[1], error)
