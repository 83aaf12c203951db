"""Events that travel as lines of CSV: the record text of a row, without its parentheses, is nearly that. Pure.

Where all events of a table have the same columns, nobody has to read them between the COPY that sends them and the one
that stores them: the first puts their text out as it is, and the second reads it with the types of where it goes. Three
things stand between the two forms, and `RecordLines` takes each away on the way, for that costs less than expressions
on the provider:

- Record text is enclosed in parentheses. Where no line is quoted each `)`, line break, `(` is the end of one record and
  the beginning of the next.
- Record text doubles backslashes, which mean nothing to CSV.
- COPY in CSV would quote such a text. With a delimiter and a quote character that no text has it does not; only a text
  with a line break is enclosed in these quote characters then. They can go, for the line breaks are in values that the
  record text itself quotes.

https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX and the notes on CSV in the reference of COPY.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import events
from londiste_lite.errors import LondisteError
from londiste_lite.names import TableName, quote_literal
from londiste_lite.replay.stage import Group

_QUOTE = b"\x01"
TO_LINES = r"(format csv, quote E'\x01', escape E'\x01', delimiter E'\x02')"
# What of a piece's end may belong to what stands between two records: at most all of it but the last parenthesis.
_ENDS = b")\n\x01"
MOST_HELD = 4


class Unreadable(LondisteError):
    """events of a table cannot be read as lines of CSV"""

    table: TableName


@dataclass(frozen=True)
class RecordRead:
    """How the events of one table become lines, each in the parentheses that `RecordLines` takes away.

    `record` and `operation` are expressions over the queue's columns: the record text of a row with all fields, and its
    operation letter. `guard` is a condition that every event has to fulfil where they were not counted before: one that
    does not makes the statement fail.
    """

    record: str
    operation: str
    guard: str | None = None

    @property
    def rows(self) -> str:
        """The line of a row: its fields."""
        return self._guarded(self.record)

    @property
    def numbered(self) -> str:
        """The line of an event: its number, its operation, its fields."""
        before = f"'(' || ev_id::text || ',' || {self.operation} || ','"
        return self._guarded(f"{before} || pg_catalog.right({self.record}, -1)")

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
    record = "ev_data"
    if rows and keys:
        (whole, _), (part, _) = *rows, *keys
        before = _columns_before(part, whole)
        if before is None:
            return None
        behind = len(whole.names) - before - len(part.names)
        if before or behind:
            # Values with a parenthesis are quoted, so those at either end are the record's.
            fields = "pg_catalog.btrim(ev_data, '()')"
            padded = f"{quote_literal('(' + ',' * before)} || {fields} || {quote_literal(',' * behind + ')')}"
            record = f"case when pg_catalog.left(ev_type, 1) = 'D' then {padded} else ev_data end"
    letters = {g.operation for g in groups}
    operation = quote_literal(letters.pop()) if len(letters) == 1 else "pg_catalog.left(ev_type, 1)"
    return RecordRead(record, operation)


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

    The parentheses of the records go, the quote characters that COPY added, and one of each pair of backslashes. A
    quote character that was in a value comes twice; then Unreadable is raised, for the line may be any.
    """

    def __init__(self, table: TableName) -> None:
        self._table = table
        # As if a record went before the first: what lies between two is then the same everywhere.
        self._held = b")\n"
        self._begun = False
        self._quoted = False

    def turn(self, data: bytes) -> bytes:
        """Return the next piece of CSV, maybe empty, of at most MOST_HELD bytes more than `data`.

        An empty `data` tells that there is no more. Raises Unreadable.
        """
        ends = not data
        data = self._held + data
        if _QUOTE in data and _QUOTE * 2 in data:
            raise self._unreadable("a value holds the character 0x01")
        cut = len(data) - (0 if ends else _unfinished(data))
        data, self._held = data[:cut], data[cut:]
        if data and (ends or _QUOTE in data):
            data = self._between_quotes(data, ends)
        elif not self._quoted:
            data = self._outside(data)
        if ends and self._quoted:
            raise self._unreadable("its last line does not end")
        if data and not self._begun:
            self._begun, data = True, data[1:]
        return data.replace(b"\\\\", b"\\") if b"\\" in data else data

    def _between_quotes(self, data: bytes, ends: bool) -> bytes:
        """Return `data` without quote characters and without the parentheses of records, quoted or not."""
        turned = []
        parts = data.split(_QUOTE)
        for place, part in enumerate(parts):
            first, last = place == 0, place == len(parts) - 1
            if self._quoted:
                turned.append(part[(0 if first else 1) : (None if last else -1)])
            else:
                turned.append(self._outside(part, after_quote=not first, to_end=ends or not last))
            if not last:
                self._quoted = not self._quoted
        return b"".join(turned)

    def _outside(self, data: bytes, *, after_quote: bool = False, to_end: bool = False) -> bytes:
        """Return lines that COPY did not quote without the parentheses of their records."""
        # A quoted line's parentheses are on the other side of its quote characters.
        if after_quote or to_end:
            data = (b")" if after_quote else b"") + data + (b"(" if to_end else b"")
        records = data.split(b")\n(")
        if data.count(b"\n") >= len(records):
            raise self._unreadable("an event is no record")
        return b"\n".join(records)

    def _unreadable(self, why: str) -> Unreadable:
        found = Unreadable(f'table "{self._table}": {why}')
        found.table = self._table
        return found


def _unfinished(data: bytes) -> int:
    """How many bytes at the end of `data` may mean something else with what follows."""
    last = data[-MOST_HELD:]
    return len(last) - len(last.rstrip(_ENDS)) or (len(data) - len(data.rstrip(b"\\"))) % 2
