"""From an event's columns to the subscriber's: by name, following renames by attribute number.

Decides for each listed column where its value goes, or that it goes nowhere, or that the table must wait for DDL.
"""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.errors import SchemaDrift
from londiste_lite.events import Shape
from londiste_lite.names import quote_ident
from londiste_lite.structure import Column, Table

VALUES = "Rows that do not change get their values in it with `subscriber resync`, or by the provider's DEFAULT."


@dataclass(frozen=True)
class Field:
    """One listed column: `type` reads its text, `column` is where it goes (None: ignored), `cast` a type to cast to."""

    type: str
    column: Column | None
    cast: str | None


@dataclass(frozen=True)
class Mapping:
    """An event shape applied to a subscriber table."""

    fields: tuple[Field, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the subscriber's columns that the event sets."""
        return tuple(f.column.name for f in self.fields if f.column)

    def position(self, column: str) -> int:
        """Return the 1-based place of the field that sets `column`. Raises KeyError when none does."""
        for place, found in enumerate(self.fields, 1):
            if found.column is not None and found.column.name == column:
                return place
        raise KeyError(column)


def map_shape(shape: Shape, subscriber: Table, provider: Table | None) -> Mapping:
    """Map the columns of an event shape.

    `provider` is the table's present definition there, None when unknown. Raises SchemaDrift for a column that the
    subscriber lacks although the provider has it.
    """
    fields: list[Field] = []
    missing: list[str] = []
    for name, attnum in zip(shape.names, shape.attnums, strict=True):
        if name is None:
            fields.append(Field("text", None, None))
            continue
        source = _source(attnum, provider)
        now = source.name if source is not None else name
        column = subscriber.column(now) or subscriber.column(name)
        if column is None and (source is not None or provider is None):
            missing.append(_missing_column(subscriber, now, source, provider))
        elif source is None and provider is not None and provider.column(name) is not None:
            # Dropped on the provider, and another column has the name: the value belongs to neither.
            fields.append(Field("text", None, None))
        else:
            fields.append(_field(column, source))
    if missing:
        raise SchemaDrift(
            f'table "{subscriber.name}" lacks columns that the provider sends',
            hint=f"Run on the subscriber: {' '.join(missing)} {VALUES}",
            table=str(provider.name if provider is not None else subscriber.name),
        )
    return Mapping(tuple(fields))


def _source(attnum: int, provider: Table | None) -> Column | None:
    """Return the provider's column of this number as it is today; None when it was dropped or is unknown."""
    if provider is None:
        return None
    return next((c for c in provider.columns if c.attnum == attnum), None)


def _field(column: Column | None, source: Column | None) -> Field:
    if column is None or column.generated:
        return Field("text", None, None)
    # Types without length and precision: reading into numeric(8,2) rounds and a cast to varchar(5) cuts off, silently
    # and perhaps by a definition that has changed since; the assignment to the column does what the server does.
    if source is not None and source.builtin and source.base != column.base:
        return Field(source.base, column, column.base)
    return Field(column.base, column, None)


def _missing_column(table: Table, name: str, source: Column | None, provider: Table | None) -> str:
    """Return the DDL that brings the column; a rename is offered when the table has a column that may be the same."""
    kind = source.type if source else "..."
    text = f"ALTER TABLE {table.name.quoted} ADD COLUMN {quote_ident(name)} {kind};"
    for other in table.columns:
        if source and provider and not provider.column(other.name) and other.type == source.type:
            old, new = quote_ident(other.name), quote_ident(name)
            text += f" (if it was renamed: ALTER TABLE {table.name.quoted} RENAME COLUMN {old} TO {new};)"
    return text


def change_type(table: Table, column: Column, kind: str) -> str:
    """Return the DDL that gives a column another type."""
    return f"ALTER TABLE {table.name.quoted} ALTER COLUMN {quote_ident(column.name)} TYPE {kind};"


def other_types(subscriber: Table, provider: Table) -> list[str]:
    """Return the DDL per column whose type differs from the provider's, columns matched by name."""
    found = []
    for source in provider.columns:
        column = subscriber.column(source.name)
        if column is not None and source.builtin and column.type != source.type:
            found.append(change_type(subscriber, column, source.type))
    return found
