"""Putting events into a queue from a script's own transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_COLUMNS = {
    **{name: f"ev_{name}" for name in ("type", "data", "extra1", "extra2", "extra3", "extra4")},
    **{f"ev_{name}": f"ev_{name}" for name in ("type", "data", "extra1", "extra2", "extra3", "extra4")},
}


def insert_event(
    curs: Any,
    queue: str,
    ev_type: str | None,
    ev_data: str | None,
    extra1: str | None = None,
    extra2: str | None = None,
    extra3: str | None = None,
    extra4: str | None = None,
) -> int:
    """Put one event into `queue` through the cursor `curs` and return its number; it appears with the commit."""
    # Numbers are welcome as fields, as they were when PostgreSQL still turned them into text by itself.
    fields = [None if f is None else str(f) for f in (ev_type, ev_data, extra1, extra2, extra3, extra4)]
    curs.execute("select pgq.insert_event(%s, %s, %s, %s, %s, %s, %s)", [queue, *fields])
    return int(curs.fetchone()[0])


def bulk_insert_events(curs: Any, rows: Iterable[Sequence[Any]], fields: Sequence[str], queue: str) -> None:
    """Put many events into `queue`; `fields` names what the values of each row are: `type`, `data`, `extra1`, .."""
    columns = [_COLUMNS[field] for field in fields]
    arguments = ", ".join(f"{column} => %s" for column in columns)
    missing = "".join(f", {column} => null" for column in ("ev_type", "ev_data") if column not in columns)
    extras = [f"ev_extra{n}" for n in range(1, 5)]
    missing += "".join(f", {column} => null" for column in extras if column not in columns)
    for row in rows:
        values = [None if value is None else str(value) for value in row]
        curs.execute(f"select pgq.insert_event(queue_name => %s, {arguments}{missing})", [queue, *values])
