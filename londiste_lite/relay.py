"""The relay: events of one queue into another, in their order, exactly once. Rows stream from COPY into COPY."""

from __future__ import annotations

from collections.abc import Callable

from londiste_lite import crash_points, event_queue
from londiste_lite.db import Database
from londiste_lite.errors import ObjectNotFound, SchemaError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.links import Flow
from londiste_lite.names import QualifiedName
from londiste_lite.replay.fetch import events_between, pump
from londiste_lite.snapshots import Snapshot

_COLUMNS = "ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"


class Relay(Flow):
    """Puts events into the queue `target`; they get new numbers there, all else is kept."""

    def __init__(self, source: Database, destination: Database, queue: Queue, target: str) -> None:
        super().__init__(source, destination, queue)
        self._target = target

    def open(self) -> None:
        if not self.destination.value("links.has_schema", function="pgq.current_event_table(text)"):
            raise SchemaError(
                f"{self.destination.label} has no queue schema yet", hint="Run `pgqadm.py ticker.ini install` for it."
            )
        try:
            event_queue.find_queue(self.destination, self._target)
        except ObjectNotFound:
            raise ObjectNotFound(
                f'no event queue "{self._target}" in {self.destination.label}',
                hint="Make it with `pgqadm.py ticker.ini create`, or correct dst_queue_name.",
            ) from None

    def apply(self, start: Tick, end: Tick, finish: Callable[[], None]) -> int:
        events = events_between(
            self.queue.event_table,
            Snapshot.parse(start.snapshot),
            Snapshot.parse(end.snapshot),
            [],
            f"ev_id, {_COLUMNS}",
        )
        copy_out = f"copy (select {_COLUMNS} from ({events}) as e order by ev_id) to stdout"
        with self.destination.transaction():
            # Asked for in each transaction: the queue's rotation may go on to another table between two.
            table = QualifiedName.parse(str(self.destination.value("links.writable_table", queue=self._target)))
            rows = pump(self.source, copy_out, self.destination, f"copy {table.quoted} ({_COLUMNS}) from stdin")
            crash_points.reached("relay-applied")
            finish()
        crash_points.reached("relay-committed")
        return rows
