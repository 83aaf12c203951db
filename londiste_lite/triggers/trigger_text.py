"""Generates CREATE FUNCTION and CREATE TRIGGER statements around the bodies of `function_text`; pure."""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.names import quote_ident, quote_literal
from londiste_lite.triggers import function_text, truncate_text
from londiste_lite.triggers.capture_table import CaptureTable
from londiste_lite.triggers.event_text import marks

_BODIES = {
    "insert": function_text.insert_function,
    "update": function_text.update_function,
    "delete": function_text.delete_function,
    "truncate": truncate_text.truncate_function,
}

_IMAGES = {
    "insert": " referencing new table as londiste_new",
    "update": " referencing old table as londiste_old new table as londiste_new",
    "delete": " referencing old table as londiste_old",
    "truncate": "",
}

# pg_trigger.tgtype.
_TYPE_BITS = {"insert": 4, "delete": 8, "update": 16, "truncate": 32}
_ROW, _BEFORE = 1, 2


@dataclass(frozen=True)
class Function:
    """A capture function: its name in schema londiste, and its body."""

    name: str
    body: str
    search_path: str
    """For the route's expression, empty when there is none."""
    definer: bool = True
    """Whether it works with the rights of its owner; without is quicker to call."""

    @property
    def sql(self) -> str:
        """CREATE OR REPLACE FUNCTION; to be followed by `private`."""
        path = f"\nset search_path = {self.search_path}" if self.search_path else ""
        security = "definer" if self.definer else "invoker"
        return (
            f"create or replace function londiste.{quote_ident(self.name)}() returns trigger\n"
            f"language plpgsql security {security}{path} as {quote_literal(self.body)}"
        )

    @property
    def private(self) -> str:
        """Without it anybody could hang the function on a table of his own and forge events."""
        return f"revoke all on function londiste.{quote_ident(self.name)}() from public"


@dataclass(frozen=True)
class Trigger:
    """A trigger of a captured relation: of statements, or with a condition of the rows that fulfil it."""

    name: str
    before: bool
    operation: str
    function: str
    argument: str
    condition: str = ""

    @property
    def type_bits(self) -> int:
        """The value of pg_trigger.tgtype."""
        return _TYPE_BITS[self.operation] + (_BEFORE if self.before else 0) + (_ROW if self.condition else 0)

    def sql(self, relation: str) -> str:
        """CREATE TRIGGER on `relation`, a quoted name."""
        when = "before" if self.before else "after"
        images = "" if self.before or self.condition else _IMAGES[self.operation]
        level = f"row when ({self.condition})" if self.condition else "statement"
        argument = quote_literal(self.argument) if self.argument else ""
        return (
            f"create trigger {quote_ident(self.name)} {when} {self.operation} on {relation}{images}\n"
            f"for each {level} execute function londiste.{quote_ident(self.function)}({argument})"
        )


def functions(table: CaptureTable) -> list[Function]:
    """Return the capture functions of one relation."""
    found = []
    for operation, body in _BODIES.items():
        if operation != "truncate" or table.kind != "branch":
            found.append(Function(table.function_name(operation), body(table), table.route_path))
        if operation != "truncate":
            opener = function_text.open_function(table, operation[0].upper())
            found.append(Function(table.function_name(f"{operation}_open"), opener, "", definer=False))
    return found


def triggers(table: CaptureTable) -> list[Trigger]:
    """Return the triggers of one relation: per operation one that opens the statement's mark and one that logs."""
    found = []
    for operation, letter in (("insert", "I"), ("update", "U"), ("delete", "D")):
        name = table.trigger_name(operation)
        # The function has the mark too; as an argument `drop` and the statement `stale` find it.
        opener = table.function_name(f"{operation}_open")
        found.append(Trigger(f"{name}_open", True, operation, opener, f"{letter}{table.mark},"))
        found.append(Trigger(name, False, operation, table.function_name(operation), ""))
    name = table.trigger_name("truncate")
    if table.kind == "root":
        # The partitions see the mark and leave it to the root to log the TRUNCATE.
        found.append(Trigger(f"{name}_open", True, "truncate", "capture_open", f"T{table.mark},"))
    if table.kind != "branch":
        found.append(Trigger(name, table.kind == "leaf", "truncate", table.function_name("truncate"), ""))
    if table.kind == "leaf" and table.merges:
        # Short, for it is prepared anew for each statement; what else matters the function sees.
        under_way = "pg_catalog.strpos(pg_catalog.current_setting('londiste.open', true), {}) OPERATOR(pg_catalog.>) 0"
        condition = under_way.format(quote_literal(marks(table, "U")))
        for direction, operation in (("out", "delete"), ("in", "insert")):
            name = table.trigger_name(f"moved_{direction}")
            found.append(Trigger(name, False, operation, "note_moved_row", marks(table, "U"), condition))
    return found
