"""What a replay has to know between two batches, of each side in one round trip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from londiste_lite import event_queue, locks, subscribed
from londiste_lite.db import Database
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.names import QualifiedName, SequenceName
from londiste_lite.subscribed import Subscribed


@dataclass(frozen=True)
class Ahead:
    """What the provider has after the last applied tick: ticks, oldest first, and transactions that ran scripts.

    `scripts` None: nobody looked.
    """

    ticks: Sequence[Tick]
    scripts: Sequence[int] | None = None


@dataclass(frozen=True)
class Here:
    """What is stored on the subscriber: whether the replay is to rest, whether resyncs asked for copies, the tick at
    which a comparison wants to meet, what is subscribed. The tables come without their counts of rows."""

    paused: bool
    copies_asked: bool
    meeting: int | None
    sequences: Sequence[SequenceName]
    tables: Sequence[Subscribed]


class Look:
    """Looks at both sides; what is read of the tables is taken apart only when it has changed."""

    def __init__(self, subscriber: Database, queue: Queue, consumer: str) -> None:
        self._subscriber = subscriber
        self._queue = queue
        self._consumer = consumer
        self._text: str | None = None
        self._tables: dict[str, tuple[list[Any], Subscribed]] = {}

    def here(self) -> Here:
        """Look at the subscriber."""
        row = self._subscriber.planned_row(
            "look.subscriber",
            queue=self._queue.name,
            consumer=self._consumer,
            **{"class": locks.MEETING_CLASS, "number": locks.number(self._consumer)},
        )
        assert row is not None
        paused, asked, meeting, sequences, text = row
        if text != self._text:
            self._take_in(json.loads(text or "[]"))
            self._text = text
        names = [QualifiedName.parse(name) for name in sequences]
        tables = [table for _, table in self._tables.values()]
        return Here(bool(paused), bool(asked), None if meeting is None else int(meeting), names, tables)

    def _take_in(self, rows: Sequence[list[Any]]) -> None:
        """Note what is subscribed; of thousands of tables only a few are different from the look before."""
        before = self._tables
        self._tables = {}
        for row in rows:
            known = before.get(row[0])
            self._tables[row[0]] = known if known and known[0] == row else (row, subscribed.parse(row))

    def ahead(self, provider: Database, tick_id: int, low: int, most: int) -> Ahead:
        """Look at the provider: up to `most` ticks after `tick_id`, scripts of transactions from `low` on."""
        rows = provider.rows(
            "look.provider", queue=self._queue.name, queue_id=self._queue.id, tick=tick_id, low=low, most=most
        )
        scripts = [int(txid) for row in rows if row[0] is None for txid in row[4]]
        ticks = sorted((event_queue.tick(row[:4]) for row in rows if row[0] is not None), key=lambda tick: tick.id)
        return Ahead(ticks, scripts)
