"""Events that travel as lines of CSV: the record text of a row, without its parentheses, is nearly that. Pure.

Where all events of a table have the same columns, nobody has to read them between the COPY that sends them and the one
that stores them: the first puts their text out as it is, and the second reads it with the types of where it goes. Three
things stand between the two forms:

- Record text is enclosed in parentheses. Values with a parenthesis are quoted in it, so whatever parentheses there are
  at either end of the text are those of the record.
- Record text doubles backslashes, which mean nothing to CSV. `RecordLines` halves them.
- COPY in CSV would quote such a text. With a delimiter and a quote character that no text has it does not; only a text
  with a line break is enclosed in these quote characters then. `RecordLines` takes them away: the line breaks are in
  values that the record text itself quotes.

https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX and the notes on CSV in the reference of COPY.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import events
from londiste_lite.errors import LondisteError
from londiste_lite.names import TableName, quote_literal
from londiste_lite.replay.stage import Group

_QUOTE, _DELIMITER = b"\x01", b"\x02"
TO_LINES = r"(format csv, quote E'\x01', escape E'\x01', delimiter E'\x02')"


class Unreadable(LondisteError):
    """a value holds a character by which a line of CSV cannot be read"""

    table: TableName


@dataclass(frozen=True)
class RecordRead:
    """How the events of one table become lines.

    `fields` and `operation` are expressions over the queue's columns: a row's fields in CSV, and its operation letter.
    `guard` is a condition that every event has to fulfil where they were not counted before: one that does not makes
    the statement fail.
    """

    fields: str
    operation: str
    guard: str | None = None

    @property
    def rows(self) -> str:
        """The line of a row: its fields."""
        return self._guarded(self.fields)

    @property
    def parsed(self) -> str:
        """The line of an event: its number, its operation, its fields."""
        return self._guarded(f"ev_id::text || ',' || {self.operation} || ',' || {self.fields}")

    def _guarded(self, line: str) -> str:
        # The text of no type is that of a number.
        return line if self.guard is None else f"case when {self.guard} then {line} else ev_type::int8::text end"


def record_read(groups: Sequence[Group]) -> RecordRead | None:
    """Return how these events of one table become lines of the same fields, None when they cannot.

    Those of a DELETE may have fewer columns than the others, if these are neighbours there: the lines get empty fields
    for what they lack, which CSV reads as NULL.
    """
    rows = {(g.shape, g.attnum_text) for g in groups if g.operation in (events.INSERT, events.UPDATE)}
    keys = {(g.shape, g.attnum_text) for g in groups if g.operation == events.DELETE}
    if len(rows) > 1 or len(keys) > 1 or not rows | keys:
        return None
    fields = "pg_catalog.btrim(ev_data, '()')"
    if rows and keys:
        (whole, _), (part, _) = *rows, *keys
        before = _columns_before(part, whole)
        if before is None:
            return None
        behind = len(whole.names) - before - len(part.names)
        if before or behind:
            padded = f"{quote_literal(',' * before)} || {fields} || {quote_literal(',' * behind)}"
            fields = f"case when pg_catalog.left(ev_type, 1) = 'D' then {padded} else {fields} end"
    letters = {g.operation for g in groups}
    operation = quote_literal(letters.pop()) if len(letters) == 1 else "pg_catalog.left(ev_type, 1)"
    return RecordRead(fields, operation)


def _columns_before(part: events.Shape, whole: events.Shape) -> int | None:
    """Return how many columns of `whole` come before those of `part`, None when they are not neighbours there."""
    if not part.attnums or part.attnums[0] not in whole.attnums:
        return None
    first = whole.attnums.index(part.attnums[0])
    last = first + len(part.attnums)
    found = events.Shape(whole.names[first:last], whole.attnums[first:last])
    return first if found == part else None


class RecordLines:
    """Turns what COPY wrote with `TO_LINES`, piece by piece, into CSV.

    The quote characters that COPY added go, and each pair of backslashes becomes one. A quote character that was in a
    value comes twice; then Unreadable is raised, for the line may be any.
    """

    def __init__(self, table: TableName) -> None:
        self._table = table
        self._held = b""

    def turn(self, data: bytes) -> bytes:
        """Return the next piece of CSV, maybe empty; an empty `data` tells that there is no more. Raises Unreadable."""
        if not data and self._held:
            raise self._unreadable()
        data = self._held + data
        if _QUOTE * 2 in data:
            raise self._unreadable()
        # One that may be half of a pair waits for the other half.
        odd = data.endswith(_QUOTE) or (len(data) - len(data.rstrip(b"\\"))) % 2
        data, self._held = (data[:-1], data[-1:]) if odd else (data, b"")
        return data.replace(_QUOTE, b"").replace(b"\\\\", b"\\")

    def _unreadable(self) -> Unreadable:
        found = Unreadable(f'a value of table "{self._table}" holds the character 0x01')
        found.table = self._table
        return found
