"""How far copies and a backlog are, as the database knows them, told to a report while a command waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable

from londiste_lite import copies
from londiste_lite.db import Database
from londiste_lite.progress_report import ProgressReport

LOOK_SECONDS = 0.5
"""Seconds between two looks, and before the first: what is fast needs no bar."""
FEWEST_EVENTS = 1000
"""A backlog of fewer events is not worth a bar."""
BACKLOG = "changes in the queue"


class ProgressWatch:
    """Tells a report about the copies of one queue under way, and about its events up to a goal.

    `begin` and `goal` are numbers of events as ticks carry them.
    """

    def __init__(self, subscriber: Database, queue: str, told: ProgressReport, begin: int, goal: int) -> None:
        self._subscriber = subscriber
        self._queue = queue
        self._told = told
        self._begin = begin
        self._events = goal - begin
        self._shown: set[str] = set()
        self._copies: dict[str, copies.UnderWay] = {}
        self._look_at = time.monotonic() + LOOK_SECONDS

    def look(self, at: Callable[[], int]) -> None:
        """Tell how far it is, if the last look is long enough ago; `at` gives the event number that is reached."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        now: set[str] = set()
        for table, copy in copies.copies_under_way(self._subscriber, self._queue).items():
            name = f"copy of {table}"
            now.add(name)
            self._copies[name] = copy
            self._told.update(name, copy.rows, copy.bytes, copy.total_rows, copy.total_bytes)
        done = at() - self._begin if self._events >= FEWEST_EVENTS else self._events
        if done < self._events:
            now.add(BACKLOG)
            self._told.update(BACKLOG, max(done, 0), total=self._events)
        self._finish(self._shown - now)
        self._shown = now

    def end(self) -> None:
        """Tell that nothing more is to come."""
        self._finish(self._shown)
        self._shown = set()

    def _finish(self, names: set[str]) -> None:
        for name in names:
            copy = self._copies.pop(name, None)
            if copy is not None:  # the last look was before its end
                rows, size = max(copy.rows, copy.total_rows or 0), max(copy.bytes, copy.total_bytes)
                self._told.update(name, rows, size, copy.total_rows, copy.total_bytes)
            self._told.finish(name)
