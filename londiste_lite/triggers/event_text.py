"""The pieces of the capture functions' text: events, rows with their targets, marks, literals; pure.

`function_text` makes functions of them, with `current_text` for the table to write, `careful_text` for rows as they are
now, `parking_text` for routes that may fail; `truncate_text` makes the one of TRUNCATE.
"""

from __future__ import annotations

from collections.abc import Iterable

from londiste_lite.names import quote_ident, quote_literal
from londiste_lite.triggers.capture_table import TEXT_TYPES, CaptureTable, Column

CHILD_TABLES = 3  # pgq.queue.queue_ntables of every queue


def array_text(values: tuple[str, ...]) -> str:
    """Return the text form of a `text[]` with these elements, as PostgreSQL itself writes it."""

    def element(value: str) -> str:
        plain = value and value.upper() != "NULL" and not any(ch in '{}",\\ \t\n\r\v\f' for ch in value)
        return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(element(value) for value in values) + "}"


def attnums_text(columns: tuple[Column, ...]) -> str | None:
    """Return `ev_extra2` of an event that lists these columns: None when they are the first ones in order."""
    nums = [c.root_attnum for c in columns]
    return None if nums == list(range(1, len(nums) + 1)) else "{" + ",".join(map(str, nums)) + "}"


def marks(table: CaptureTable, operations: str) -> str:
    """What `londiste.open` holds while these statements are under way, the outermost first."""
    return "".join(f"{operation}{table.mark}," for operation in operations)


def routed(table: CaptureTable, image: str) -> str:
    """Return the FROM item for a transition table, each row joined with its targets."""
    source = f"{image} londiste_row"
    if table.route is None:
        return source
    if table.route_many:
        targets = (
            "(select distinct londiste_one.target::pg_catalog.text as londiste_target from pg_catalog.unnest("
            f"londiste.targets_of({table.route_expression}::pg_catalog.text[])) londiste_one (target))"
        )
    else:
        targets = f"(select ({table.route.sql})::pg_catalog.text as londiste_target{table.route_source})"
    return f"{source} cross join lateral {targets} londiste_route"


def pair(table: CaptureTable) -> str:
    """Return key and target of `londiste_row` as a row."""
    return row_of(table.key, "londiste_route.londiste_target" if table.route else None)


def row_of(columns: tuple[Column, ...], more: str | None = None) -> str:
    """Return a row of columns of `londiste_row`, and of one more expression."""
    parts = [f"londiste_row.{quote_ident(c.name)}" for c in columns]
    return "row(" + ", ".join(parts + ([more] if more else [])) + ")"


def key_text(table: CaptureTable) -> str:
    """Return an expression that has the text of the key of `londiste_row` as a row."""
    column = table.key[0]
    if len(table.key) == 1 and column.plain and column.type_oid not in TEXT_TYPES:
        # Numbers and UUIDs stand in a row as they are, and a row is slower to write.
        return f"pg_catalog.concat('(', londiste_row.{quote_ident(column.name)}, ')')"
    return row_of(table.key)


def same_pair(table: CaptureTable, image: str) -> str:
    """Return the condition that key and target of `londiste_row` are those of the only row of another image.

    Of each row, which is the same as long as the key is unique, and quicker to see.
    """
    if table.route is None and table.plain_key and not table.deferrable:
        mine = [
            f"londiste_row.{quote_ident(c.name)}" + (' collate pg_catalog."C"' if c.type_oid in TEXT_TYPES else "")
            for c in table.key
        ]
        one, theirs = ", ".join(mine), ", ".join(mine)
        if len(mine) > 1:
            one = f"row({one})"
    else:
        one = pair(table)
        if table.route is None and len(table.key) == 1:
            # One column's text without the parentheses of a row is quicker to make.
            one = f"pg_catalog.concat({one.removeprefix('row(')}"
        one = theirs = f'{one}::pg_catalog.text collate pg_catalog."C"'
    found = f"\n                    select {theirs} from {routed(table, image)}"
    if table.deferrable:
        return f"array[{one}] OPERATOR(pg_catalog.=) array({found} limit 2)"
    return f"{one} OPERATOR(pg_catalog.=) all ({found})"


def events(table: CaptureTable) -> str:
    """Return what the names of the queue's event tables begin with."""
    return f"pgq.event_{table.queue_id}"


def per_child(table: CaptureTable, template: str, **parts: str) -> str:
    """Return `template` once for each event table, as branches of an IF."""
    common = {"events": events(table), "table": quote_literal(str(table.name)), **parts}
    return "\n".join(
        template.format(child=child, els="els" if child else "", **common) for child in range(CHILD_TABLES)
    )


def int2_array(nums: Iterable[int]) -> str:
    """Return numbers of columns as an SQL literal."""
    return "'{" + ",".join(str(n) for n in nums) + "}'::pg_catalog.int2[]"


def regclass(oid: int) -> str:
    """Return a relation as an SQL literal."""
    # A literal, not a cast number: only a literal makes cached plans depend on the table.
    return f"'{oid}'::pg_catalog.regclass"
