"""What a captured event says: operation, columns, and where each column stands in the provider's table.

`triggers` writes this format, `replay` reads it:

    ev_type    operation letter and column names as an array literal: `U{id,item}`; NULL for a column whose value is to
               be ignored; `R` alone or with columns for TRUNCATE
    ev_data    the row as record text, one field per listed column; for D the key columns or the whole old row
    ev_extra1  the published table, `schema.table`
    ev_extra2  column numbers as an array literal where they are not 1..n
    ev_extra3  the target node, null for all
"""

from __future__ import annotations

from dataclasses import dataclass

INSERT = "I"
UPDATE = "U"
DELETE = "D"
TRUNCATE = "R"
ROW_OPERATIONS = (INSERT, UPDATE, DELETE)


class UnknownEvent(ValueError):
    """An event type that is none of a capture trigger's."""


@dataclass(frozen=True)
class Shape:
    """The columns of an event: names (None: ignore the value) and the attribute numbers they had on the provider."""

    names: tuple[str | None, ...]
    attnums: tuple[int, ...]


def parse(ev_type: str, ev_extra2: str | None) -> tuple[str, Shape]:
    """Return operation letter and shape. Raises UnknownEvent for anything that is not a row change or a TRUNCATE."""
    letter, rest = ev_type[:1], ev_type[1:]
    if letter == TRUNCATE and (not rest or rest.startswith("{")):
        return letter, Shape((), ())
    if letter not in ROW_OPERATIONS or not rest.startswith("{"):
        raise UnknownEvent(ev_type)
    names = parse_array(rest)
    attnums = tuple(int(n) for n in parse_array(ev_extra2) if n) if ev_extra2 else tuple(range(1, len(names) + 1))
    if len(attnums) != len(names):
        raise UnknownEvent(ev_type)
    return letter, Shape(names, attnums)


def parse_array(text: str) -> tuple[str | None, ...]:
    """Read a one-dimensional array literal as PostgreSQL prints it. Raises UnknownEvent for anything else."""
    if len(text) < 2 or text[0] != "{" or text[-1] != "}":
        raise UnknownEvent(text)
    found: list[str | None] = []
    position, end = 1, len(text) - 1
    while position < end:
        if text[position] == '"':
            piece, position = _quoted_element(text, position + 1)
            found.append(piece)
        else:
            stop = text.find(",", position, end)
            stop = end if stop < 0 else stop
            piece = text[position:stop]
            found.append(None if piece.upper() == "NULL" else piece)
            position = stop
        if position < end and text[position] != ",":
            raise UnknownEvent(text)
        position += 1
    return tuple(found)


def _quoted_element(text: str, position: int) -> tuple[str, int]:
    """Return the element whose opening quote stands before `position`, and the position after its closing quote."""
    piece: list[str] = []
    while position < len(text) - 1:
        char = text[position]
        if char == '"':
            return "".join(piece), position + 1
        if char == "\\":
            position += 1
            char = text[position]
        piece.append(char)
        position += 1
    raise UnknownEvent(text)


def parse_record(text: str) -> tuple[str | None, ...]:
    """Read a row's text as PostgreSQL prints it: its fields, None for NULL. Raises UnknownEvent for anything else."""
    if len(text) < 2 or text[0] != "(" or text[-1] != ")":
        raise UnknownEvent(text)
    found: list[str | None] = []
    piece: list[str] = []
    quoted = False
    null = True
    position, end = 1, len(text) - 1
    while position < end:
        char = text[position]
        position += 1
        if char == '"' and quoted and text[position] == '"':
            piece.append(char)
            position += 1
        elif char == '"':
            quoted, null = not quoted, False
        elif char == "\\":
            piece.append(text[position])
            position, null = position + 1, False
        elif char == "," and not quoted:
            found.append(None if null else "".join(piece))
            piece, null = [], True
        else:
            piece.append(char)
            null = False
    found.append(None if null else "".join(piece))
    return tuple(found)
