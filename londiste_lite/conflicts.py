"""Row states that replay did not expect on the subscriber, by kind: `londiste.conflict`.

A conflict says that somebody else wrote there. The key gets the provider's state, and what was met is counted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from londiste_lite.db import Database
from londiste_lite.names import QualifiedName, TableName

# Named like the letters of the events: an insert that meets a row, an update or a delete that meets none.
KINDS = {"I": "insert", "U": "update", "D": "delete"}
MEETING = {"insert": "met a row", "update": "met none", "delete": "met none"}

MOST_KEYS = 5
"""How many keys of each table and kind are remembered, the last ones."""

LONGEST_KEY = 200
"""Characters of a remembered key; a longer one is cut."""


@dataclass(frozen=True)
class Met:
    """Conflicts of one kind: how many, and some of the keys, the last one first."""

    kind: str
    count: int
    keys: tuple[str, ...]


@dataclass
class Conflicts:
    """The conflicts of one table in one batch."""

    _met: dict[str, Met] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(met.count for met in self._met.values())

    def add(self, letter: str, count: int, keys: Sequence[str | None] | None = None) -> None:
        """Count conflicts of the events with this operation letter."""
        if count > 0:
            kind = KINDS[letter]
            found = tuple(key[:LONGEST_KEY] for key in keys or () if key is not None)
            self._merge(Met(kind, count, found))

    def update(self, other: Conflicts) -> None:
        """Add the conflicts of a later piece of the batch."""
        for met in other:
            self._merge(met)

    def _merge(self, later: Met) -> None:
        before = self._met.get(later.kind, Met(later.kind, 0, ()))
        keys = tuple(dict.fromkeys([*later.keys, *before.keys]))[:MOST_KEYS]
        self._met[later.kind] = Met(later.kind, before.count + later.count, keys)

    def copy(self) -> Conflicts:
        """Return the same conflicts, to go back to."""
        return Conflicts(dict(self._met))

    def __iter__(self) -> Iterator[Met]:
        return iter(self._met.values())


@dataclass(frozen=True)
class Counted:
    """The conflicts of one table and kind since the table was added, and the last keys, the newest first."""

    kind: str
    count: int
    keys: tuple[str, ...]
    last_seen: datetime


def store(db: Database, queue: str, found: Mapping[TableName, Conflicts]) -> None:
    """Add what a batch met to what is stored, in the batch's transaction; nothing is asked for when it met nothing."""
    for table, conflicts in found.items():
        for met in conflicts:
            db.rows(
                "conflicts.store",
                queue=queue,
                table=str(table),
                kind=met.kind,
                count=met.count,
                keys=list(met.keys),
                most=MOST_KEYS,
            )


def by_table(db: Database, queue: str) -> dict[TableName, list[Counted]]:
    """Return the stored conflicts of each table that has any."""
    found: dict[TableName, list[Counted]] = {}
    for name, kind, count, keys, seen in db.rows("conflicts.by_table", queue=queue):
        found.setdefault(QualifiedName.parse(name), []).append(Counted(kind, int(count), tuple(keys), seen))
    return found
