"""The oracle of the capture tests: replays captured events into dictionaries and compares them with the real table."""

from __future__ import annotations

from dataclasses import dataclass, field

from londiste_lite import events
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.triggers.capture_table import CaptureTable, Route
from londiste_lite.triggers.create import create_capture

QUEUE = "q"


def record_fields(text: str) -> list[str | None]:
    """Split the text of a record into its fields, None for NULL."""
    assert text[0] == "("
    assert text[-1] == ")"
    fields: list[str | None] = []
    piece, quoted, was_quoted, position = "", False, False, 1
    while position < len(text):
        char = text[position]
        if quoted:
            if char in '"\\' and text[position + 1] in '"\\' and (char == "\\" or text[position + 1] == '"'):
                piece += text[position + 1]
                position += 1
            elif char == '"':
                quoted = False
            else:
                piece += char
        elif char == '"':
            quoted = was_quoted = True
        elif char in ",)":
            fields.append(piece if piece or was_quoted else None)
            piece, was_quoted = "", False
        else:
            piece += char
        position += 1
    return fields


@dataclass
class Event:
    id: int
    type: str
    data: str | None
    table: str
    attnums: str | None
    target: str | None


Row = dict[int, str | None]


@dataclass
class Published:
    """A published table and what replaying its events must give."""

    db: Database
    capture: CaptureTable
    key_attnums: tuple[int, ...]
    rows: dict[tuple[str | None, ...], Row] = field(default_factory=dict)
    seen: int = 0

    def new_events(self) -> list[Event]:
        """Return the events of this table since the last call."""
        found = self.db.run(
            "select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3"
            f" from pgq.event_{self.capture.queue_id} where ev_extra1 = %s and ev_id > %s order by ev_id",
            [str(self.capture.name), self.seen],
        )
        result = [Event(*row) for row in found]
        self.seen = result[-1].id if result else self.seen
        return result

    def shapes(self) -> list[tuple[str, str | None]]:
        """Return type and data of the new events."""
        return [(e.type, e.data) for e in self.new_events()]

    def replay(self, node: str | None = None) -> list[Event]:
        """Apply the new events; with `node` only those for it and for all."""
        found = self.new_events()
        for event in found:
            if node is not None and event.target not in (None, node):
                continue
            letter, shape = events.parse(event.type, event.attnums)
            if letter == "R":
                self.rows.clear()
                continue
            assert event.data is not None
            values = record_fields(event.data)
            assert len(values) == len(shape.names), event
            pairs = zip(shape.attnums, shape.names, values, strict=True)
            row: Row = {num: value for num, name, value in pairs if name is not None}
            key = tuple(row[num] for num in self.key_attnums)
            assert None not in key, event
            if letter == "D":
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        return found

    def actual(self, where: str = "true") -> dict[tuple[str | None, ...], Row]:
        """Read the real table."""
        columns = [
            (num, generated)
            for num, generated in self.db.run(
                "select attnum, attgenerated <> '' from pg_catalog.pg_attribute"
                " where attrelid = %s and attnum > 0 and not attisdropped order by attnum",
                [self.capture.oid],
            )
        ]
        found: dict[tuple[str | None, ...], Row] = {}
        for (text,) in self.db.run(f"select (t.*)::text from {self.capture.name.quoted} t where {where}"):
            values = record_fields(text)
            row = {num: v for (num, generated), v in zip(columns, values, strict=True) if not generated}
            found[tuple(row[num] for num in self.key_attnums)] = row
        return found

    def check(self, node: str | None = None, where: str = "true") -> list[Event]:
        """Replay what is new and compare; return the new events."""
        found = self.replay(node)
        actual = self.actual(where)
        # A column that was added gets its default in rows for which there was no event since, and one that was dropped
        # stays in the replica's memory: only what both know can be compared.
        shared = {key: {num: row[num] for num in row if num in actual.get(key, row)} for key, row in self.rows.items()}
        expected = {
            key: {num: row[num] for num in row if num in self.rows.get(key, row)} for key, row in actual.items()
        }
        assert shared == expected, found
        return found


def publish(
    db: Database, table: str, key: list[str] | None = None, route: Route | None = None, queue: str = QUEUE
) -> Published:
    """Create the queue when it is missing, capture a table, and take its present rows as the first copy."""
    db.run("select pgq.create_queue(%s)", [queue])
    capture = create_capture(db, queue, QualifiedName.parse(table), key, route)
    result = Published(db, capture, tuple(c.attnum for c in capture.key))
    result.rows = result.actual()
    return result
