"""The newest events of the provider, read once for all nodes, and handed to each that is where they begin."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.db import Row
from londiste_lite.scripts import EVENT_TYPE

# How many events may lie between two looks of the watcher, and how long their texts may be together, in bytes.
MOST_AT_ONCE = 20_000
MOST_BYTES_AT_ONCE = 4 << 20
# What is kept in all, with about what a row takes beside its text, and what is kept of a tick without events.
MOST_BYTES_KEPT = 32 << 20
_ROW_BYTES = 300
_SPAN_BYTES = 600


@dataclass(frozen=True)
class _Span:
    """The events after one tick and up to tick `end`, by the node that they are for; None: for all."""

    end: int
    size: int
    events: dict[str | None, list[Row]]


class SharedEvents:
    """Events between ticks as rows of `stage.EVENT_COLUMNS`."""

    def __init__(self) -> None:
        self._spans: OrderedDict[int, _Span] = OrderedDict()
        self._kept = 0
        self._lock = threading.Lock()

    def add(self, start: int, end: int, rows: Sequence[Row]) -> None:
        """Add all events after tick `start` up to tick `end`: rows of `stage.EVENT_COLUMNS` and the node."""
        if any(row[2] == EVENT_TYPE for row in rows):
            return  # scripts split a batch, which needs more than is known here
        events: dict[str | None, list[Row]] = {}
        for *event, node in rows:
            events.setdefault(node, []).append(tuple(event))
        size = _SPAN_BYTES + sum(_ROW_BYTES + len(row[4] or "") for row in rows)
        with self._lock:
            self._spans[start] = _Span(end, size, events)
            self._kept += size
            while self._kept > MOST_BYTES_KEPT:
                self._kept -= self._spans.popitem(last=False)[1].size

    def clear(self) -> None:
        with self._lock:
            self._spans.clear()
            self._kept = 0

    def between(self, start: int, end: int, node: str | None, most: int) -> list[Row] | None:
        """Return the events after tick `start` up to `end` for a node and for all, every event without a node.

        None when they are not all here, when scripts are among them, or when they are more than `most`.
        """
        found: list[Row] = []
        with self._lock:
            while start != end:
                span = self._spans.get(start)
                if span is None or span.end > end:
                    return None
                for name in span.events if node is None else (None, node):
                    found += span.events.get(name, ())
                if len(found) > most:
                    return None
                start = span.end
        return found
