"""Events that the provider reads as columns, with the table's own row type. Pure.

Where a table is still as it was when its events were captured, the provider itself can read their record text. The
columns then stream straight to where they belong: nothing is staged as text first, and the two servers share the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import events
from londiste_lite.replay.compact import TableSql
from londiste_lite.replay.mapping import Mapping
from londiste_lite.replay.stage import Group
from londiste_lite.structure import Table


@dataclass(frozen=True)
class TypedRead:
    """How the provider reads the events of one table.

    `row` is an expression over `ev_type` and `ev_data`; `provider` is the table there, `mapping` where its columns go.
    `guard` is a condition that every event has to fulfil where they were not counted before: one that does not makes
    the statement fail.
    """

    provider: Table
    mapping: Mapping
    row: str
    guard: str | None = None

    def parsed(self, sql: TableSql) -> str:
        """The columns of `TableSql.copy_parsed`, over `source`."""
        return ", ".join(["ev_id", "op", *(self._value(c) for c in sql.parsed_fields)])

    def rows(self) -> str:
        """The columns of the mapping in its order, over `source`."""
        return ", ".join(self._value(c) for c in self.mapping.columns)

    @property
    def event_columns(self) -> str:
        """What is read of the events."""
        row = self.row
        if self.guard is not None:
            # The text of no type is that of a record, which begins with a parenthesis.
            row = f"case when {self.guard} then {row} else ev_type::{self.provider.name.quoted} end"
        return f'ev_id, pg_catalog.left(ev_type, 1)::"char" as op, {row} as r'

    def source(self, select: str) -> str:
        """A FROM item of the events in columns; `select` reads `event_columns`."""
        # By place and not by name: the table may have been altered since its definition was read. OFFSET 0 keeps the
        # planner from pulling the cast up, which would parse the text once per column.
        places = ", ".join(f"c{n}" for n in range(1, len(self.provider.columns) + 1))
        return f"(select ev_id, op, (r).* from ({select} offset 0) e) e (ev_id, op, {places})"

    def _value(self, column: str) -> str:
        return f"c{self.mapping.position(column)}"


def full_shape(provider: Table) -> events.Shape:
    """Return the shape of the events that hold whole rows of the table as it is."""
    return events.Shape(tuple(c.name for c in provider.columns), tuple(c.attnum for c in provider.columns))


def row_expression(provider: Table, groups: Sequence[Group]) -> str | None:
    """Return the expression that reads these events of one table with its row type, None when it cannot.

    Their columns must be all that the table has, in its order; those of a DELETE may be neighbours among them, for a
    record is then made whole with empty fields, which all types of the server itself allow.
    """
    if any(c.generated for c in provider.columns):
        return None
    full, kind = full_shape(provider), provider.name.quoted
    paddings: set[tuple[int, int]] = set()
    for group in groups:
        if group.operation == events.DELETE:
            before = _columns_before(group.shape, full)
            if before is None:
                return None
            paddings.add((before, len(full.names) - before - len(group.shape.names)))
        elif group.operation != events.TRUNCATE and group.shape != full:
            return None
    if len(paddings) > 1:
        return None
    before, behind = paddings.pop() if paddings else (0, 0)
    if not before and not behind:
        return f"ev_data::{kind}"
    if not all(c.builtin for c in provider.columns):  # one may be a domain that refuses NULL
        return None
    fields = "pg_catalog.substr(ev_data, 2, pg_catalog.length(ev_data) - 2)"
    text = f"pg_catalog.concat('({',' * before}', {fields}, '{',' * behind})')"
    if any(group.operation in (events.INSERT, events.UPDATE) for group in groups):
        text = f"case when pg_catalog.left(ev_type, 1) = 'D' then {text} else ev_data end"
    return f"({text})::{kind}"


def _columns_before(shape: events.Shape, full: events.Shape) -> int | None:
    """Return how many columns of `full` come before those of `shape`, None when they are not neighbours there."""
    if not shape.attnums or shape.attnums[0] not in full.attnums:
        return None
    first = full.attnums.index(shape.attnums[0])
    last = first + len(shape.attnums)
    found = events.Shape(full.names[first:last], full.attnums[first:last])
    return first if found == shape else None
