"""How far long work is, told while it goes on: the interface that copies and comparisons report to.

Log lines are made here; bars on a terminal are made by `output.progress`, which hands out the same interface.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

LOG_PAUSE = 10.0
"""Seconds between two log lines about one table."""


class ProgressReport(Protocol):
    """What long work tells about each table. Every method may be called from any thread and is cheap."""

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        """Tell that `rows` rows and `bytes` bytes of `table` are done, both counted since its start.

        `total` and `total_bytes` are how many there will be, exactly or about; None and 0 when nobody knows.
        """

    def finish(self, table: str) -> None:
        """Tell that no more is to come of `table`: it is done, or was given up."""


class Silent:
    """A report that nobody reads."""

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        """Do nothing."""

    def finish(self, table: str) -> None:
        """Do nothing."""


class Both:
    """A report to several others, for example to a terminal and to a table of the database."""

    def __init__(self, *others: ProgressReport) -> None:
        self._others: Sequence[ProgressReport] = others

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        """Pass it on."""
        for other in self._others:
            other.update(table, rows, bytes, total, total_bytes)

    def finish(self, table: str) -> None:
        """Pass it on."""
        for other in self._others:
            other.finish(table)


@dataclass
class Pace:
    """How fast one table goes, from what was told of it; `started` and `now` are seconds of one clock.

    `first_rows` and `first_bytes` had been done at `started`: whoever looks on may have come late.
    """

    started: float
    now: float
    rows: int = 0
    bytes: int = 0
    total: int | None = None
    total_bytes: int = 0
    first_rows: int = 0
    first_bytes: int = 0

    @property
    def seconds(self) -> float:
        return max(self.now - self.started, 0.0)

    @property
    def rows_per_second(self) -> float:
        return (self.rows - self.first_rows) / self.seconds if self.seconds else 0.0

    @property
    def part(self) -> float | None:
        """The part that is done, from 0 to 1, by rows or else by bytes; None when the whole is unknown."""
        if self.total:
            return min(self.rows / self.total, 1.0)
        return min(self.bytes / self.total_bytes, 1.0) if self.total_bytes else None

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the pace so far; None when nobody can know."""
        part = self.part
        if part is None:
            return None
        before = self.first_rows / self.total if self.total else self.first_bytes / self.total_bytes
        return self.seconds * (1 - part) / (part - before) if part > before else None


class LoggedProgress:
    """A report as log lines: at most one per table in LOG_PAUSE seconds, and one at its end.

    `what` is done with each table (`copy`); empty where the names say so themselves.
    """

    def __init__(self, what: str) -> None:
        self._what = f"{what} of " if what else ""
        self._tables: dict[str, Pace] = {}
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        """Note how far `table` is, and log it if the last line is long enough ago."""
        now = time.monotonic()
        with self._lock:
            first = self._tables.get(table)
            pace = Pace(first.started if first else now, now, rows, bytes, total, total_bytes)
            pace.first_rows, pace.first_bytes = (first.first_rows, first.first_bytes) if first else (rows, bytes)
            self._tables[table] = pace
            if now - self._said.setdefault(table, now) < LOG_PAUSE:
                return
            self._said[table] = now
        of = f" of {total}" if total else ""
        left = f", {pace.seconds_left:.0f} s left" if pace.seconds_left else ""
        size = f", {size_text(bytes)}" if bytes else ""
        log.info("%s%s: %d%s rows%s, %.0f rows/s%s", self._what, table, rows, of, size, pace.rows_per_second, left)

    def finish(self, table: str) -> None:
        """Log what was done of `table` in all; nothing when it never began."""
        with self._lock:
            pace = self._tables.pop(table, None)
            self._said.pop(table, None)
        if pace is None:
            return
        size = f", {size_text(pace.bytes)}" if pace.bytes else ""
        seconds = time.monotonic() - pace.started
        log.info("%s%s: done, %d rows%s in %.1f s", self._what, table, pace.rows, size, seconds)


def size_text(count: int) -> str:
    """Return a number of bytes for people: `734 B`, `1.5 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError(unit)
