"""One event of a batch, with the tag that its consumer gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNTAGGED, DONE, RETRY = "untagged", "done", "retry"
RETRY_SECONDS = 60

_FIELDS = ("id", "txid", "time", "type", "data", "retry", "extra1", "extra2", "extra3", "extra4")


class Event:
    """An event as `pgq.get_batch_events` gives it; every field has a short name and one with `ev_` before it.

    `id`, `txid`, `retry` (how often it was retried, None for never) are numbers, `time` is a datetime, the others are
    text or None.
    """

    id: int
    ev_id: int
    txid: int
    ev_txid: int
    time: Any
    ev_time: Any
    retry: int | None
    ev_retry: int | None
    type: str
    ev_type: str
    data: str | None
    ev_data: str | None
    extra1: str | None
    ev_extra1: str | None
    extra2: str | None
    ev_extra2: str | None
    extra3: str | None
    ev_extra3: str | None
    extra4: str | None
    ev_extra4: str | None

    def __init__(self, queue_name: str, row: Mapping[str, Any]) -> None:
        self.queue_name = queue_name
        self._row = {name: row[f"ev_{name}"] for name in _FIELDS}
        self.tag = UNTAGGED
        self.retry_seconds = RETRY_SECONDS

    def __getattr__(self, name: str) -> Any:
        row = self.__dict__.get("_row", {})
        short = name.removeprefix("ev_")
        if short in row:
            return row[short]
        raise AttributeError(f"an event has no {name!r}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"<Event {self.id} {self.type!r}: {self.data!r}>"

    def tag_done(self) -> None:
        """Say that the event has been dealt with."""
        self.tag = DONE

    def tag_retry(self, seconds: int = RETRY_SECONDS) -> None:
        """Ask for the event again, in a later batch, `seconds` from now at the earliest."""
        self.tag = RETRY
        self.retry_seconds = int(seconds)
