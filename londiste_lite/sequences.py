"""Sequences: the subscriber's value follows the provider's, `is_called` included, and is never behind it after a batch.

Sequences are not transactional and raise no events, so their values are read after a batch's end tick and set in the
batch's transaction; between batches they are looked at from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence as Listed
from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.names import SequenceName

log = logging.getLogger(__name__)

_NO_SUCH_TABLE = "42P01"


@dataclass(frozen=True)
class Value:
    """State of a sequence: the last value, and whether it was handed out already."""

    last: int
    called: bool


def read(db: Database, names: Listed[SequenceName]) -> dict[SequenceName, Value]:
    """Return the values of those of `names` that exist, in one statement per 500 sequences."""
    found: dict[SequenceName, Value] = {}
    for first in range(0, len(names), 500):
        part = names[first : first + 500]
        selects = [f"select {n}, last_value, is_called from {name.quoted}" for n, name in enumerate(part)]
        for number, last, called in db.run(" union all ".join(selects)):
            found[part[int(number)]] = Value(int(last), bool(called))
    return found


def existing(db: Database, names: Listed[SequenceName]) -> list[SequenceName]:
    """Return those of `names` that exist in this database."""
    if not names:
        return []
    rows = db.rows("sequences.existing", schemas=[n.schema for n in names], names=[n.name for n in names])
    return [names[int(row[0]) - 1] for row in rows]


def hold(db: Database, queue: str, names: Listed[SequenceName]) -> dict[SequenceName, tuple[int, int] | None]:
    """Return those of `names` that are subscribed, which they remain until the end of the caller's transaction.

    With the least and the greatest value of each, None for one that does not exist in this database.
    """
    listed = {"subscribed": [str(n) for n in names], "schemas": [n.schema for n in names]}
    rows = db.rows("sequences.hold", queue=queue, names=[n.name for n in names], **listed)
    return {names[int(p) - 1]: None if least is None else (int(least), int(most)) for p, least, most in rows}


def write(db: Database, name: SequenceName, value: Value) -> None:
    """Set a sequence."""
    db.rows("sequences.set", sequence=name.quoted, value=value.last, called=value.called)


class SequenceSync:
    """Carries values from provider to subscriber; remembers what was set, so that only changes are written."""

    def __init__(self, provider: Database, subscriber: Database, queue: str) -> None:
        self._provider = provider
        self._subscriber = subscriber
        self._queue = queue
        self._set: dict[SequenceName, Value] = {}
        self._pending: dict[SequenceName, Value] = {}
        self._complained: set[tuple[SequenceName, str]] = set()

    def look(self, names: Listed[SequenceName]) -> bool:
        """Read the provider's values; return whether any has changed since it was last set."""
        values = self._read(names)
        # One that was left and subscribed again is set anew.
        self._set = {name: value for name, value in self._set.items() if name in values}
        self._pending = {name: value for name, value in values.items() if self._set.get(name) != value}
        return bool(self._pending)

    def set_changed(self) -> None:
        """Set what `look` found and what is still subscribed, inside the caller's transaction."""
        if not self._pending:
            return
        held = hold(self._subscriber, self._queue, list(self._pending))
        self._pending = {name: value for name, value in self._pending.items() if name in held}
        for name, value in self._pending.items():
            limits = held[name]
            if limits is None:
                self._complain(name, "does not exist on the subscriber")
            elif not limits[0] <= value.last <= limits[1]:
                text = f"has limits {limits[0]} to {limits[1]} on the subscriber, the provider is outside of them"
                self._complain(name, text)
            else:
                write(self._subscriber, name, value)

    def committed(self) -> None:
        """Remember what was set, after the transaction's commit."""
        self._set.update(self._pending)
        self._pending = {}

    def _read(self, names: Listed[SequenceName]) -> dict[SequenceName, Value]:
        try:
            return read(self._provider, names)
        except DatabaseError as error:
            if error.sqlstate != _NO_SUCH_TABLE:
                raise
        there = existing(self._provider, names)
        for name in names:
            if name not in there:
                self._complain(name, "does not exist on the provider")
        return read(self._provider, there)

    def _complain(self, name: SequenceName, what: str) -> None:
        if (name, what) not in self._complained:
            self._complained.add((name, what))
            log.warning('sequence "%s" %s; it is left alone', name, what)
