"""What of a table is compared, as SQL for each side: columns by name, the key, the rows that belong here. Pure.

Values meet as text. A value is written the way the subscriber would hold it: cast to the subscriber's type where the
types differ, as replay does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from londiste_lite.errors import SchemaDrift
from londiste_lite.names import quote_ident
from londiste_lite.structure import Column, Equality, Table

_TEXTS = ("text", "character varying", "bpchar", "character")
_PLAIN = "operator(pg_catalog.=)"


@dataclass(frozen=True)
class Field:
    """One compared column: its name on both sides, and its value there as SQL; `plain` tells that the types agree."""

    name: str
    source: str
    target: str
    plain: bool


@dataclass(frozen=True)
class Side:
    """One side of a compared table as SQL: what to read FROM, which rows count, `belongs` or None for all.

    `values` are the fields' expressions, `key` those of the key; `matches` holds for each part of the key what stands
    before and behind its text in the condition that finds a row.
    """

    table: Table
    values: tuple[str, ...]
    key: tuple[str, ...]
    matches: tuple[tuple[str, str], ...]
    belongs: str | None

    @property
    def row_text(self) -> str:
        """The compared values of a row as one text."""
        return f"row({', '.join(self.values)})::text"

    @property
    def key_text(self) -> str:
        """The key as one text, to hash."""
        return f"pg_catalog.concat({self.key[0]})" if len(self.key) == 1 else f"row({', '.join(self.key)})::text"

    @property
    def key_array(self) -> str:
        """The key as an array of texts, each as its type's output writes it."""
        return f"array[{', '.join(f'pg_catalog.concat({part})' for part in self.key)}]::pg_catalog.text[]"

    def match(self, texts: Sequence[str]) -> str:
        """Return the condition that finds a row by its key, whose parts as text are the SQL expressions `texts`."""
        return " and ".join(
            f"{before}{text}{behind}" for (before, behind), text in zip(self.matches, texts, strict=True)
        )

    def where(self, *conditions: str) -> str:
        """Return a WHERE clause of what belongs here and further conditions."""
        parts = [c for c in (self.belongs and f"({self.belongs})", *conditions) if c]
        return f" where {' and '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Shape:
    """A table as it is compared: `key` holds the names of the key's columns."""

    fields: tuple[Field, ...]
    key: tuple[str, ...]
    source: Side
    target: Side


def build_shape(
    source: Table,
    target: Table,
    key: Sequence[str],
    equalities: tuple[Mapping[str, Equality], Mapping[str, Equality]],
    belongs: tuple[str | None, str | None],
) -> Shape:
    """Return how `source` on the provider and `target` on the subscriber are compared.

    `equalities` holds each side's equality of the key columns, as far as a unique index tells it; `belongs` each side's
    condition. Generated columns and columns that only the subscriber has are left out. Raises SchemaDrift when the
    subscriber lacks a column.
    """
    fields = []
    missing = []
    for column in source.columns:
        other = target.column(column.name)
        if column.generated:
            continue
        if other is None:
            missing.append(column)
        elif not other.generated:
            fields.append(_field(column, other))
    names = [f.name for f in fields]
    lost = [c.name for c in missing] + [k for k in key if k not in names]
    if lost:
        ddl = "".join(f" ALTER TABLE {target.name.quoted} ADD COLUMN {quote_ident(c.name)} {c.type};" for c in missing)
        raise SchemaDrift(
            f'table "{target.name}" on the subscriber lacks column "{lost[0]}" of the provider',
            hint=f"Run there:{ddl}" if ddl else "The key must be the same on both sides.",
            table=str(source.name),
        )
    by_name = {f.name: f for f in fields}
    parts = [by_name[name] for name in key]
    return Shape(
        tuple(fields),
        tuple(key),
        _side(source, [f.source for f in fields], parts, [p.source for p in parts], equalities[0], belongs[0]),
        _side(target, [f.target for f in fields], parts, [p.target for p in parts], equalities[1], belongs[1]),
    )


def _side(
    table: Table,
    values: list[str],
    parts: list[Field],
    key: list[str],
    equalities: Mapping[str, Equality],
    belongs: str | None,
) -> Side:
    matches = []
    for part, value in zip(parts, key, strict=True):
        column = table.column(part.name)
        assert column is not None
        known = equalities.get(part.name)
        if part.plain:
            collation = f" collate {known.collation}" if known and known.collation else ""
            operator = known.operator if known else _PLAIN
            matches.append((f"{quote_ident(part.name)} {operator} ", f"::{column.base}{collation}"))
        else:
            matches.append((f"pg_catalog.concat({value}) {_PLAIN} ", ""))
    return Side(table, tuple(values), tuple(key), tuple(matches), belongs)


def _field(source: Column, target: Column) -> Field:
    name = quote_ident(source.name)
    if source.type == target.type:
        return Field(source.name, name, name, True)
    if not target.builtin:
        return Field(source.name, name, name, False)
    if target.base in _TEXTS:
        # Without their lengths, for a cast would cut off what is too long; blanks that pad char(n) do not count.
        return Field(source.name, f"{name}::pg_catalog.text", f"{name}::pg_catalog.text", False)
    through = name if source.builtin else f"{name}::pg_catalog.text"
    return Field(source.name, f"{through}::{target.type}", name, False)
