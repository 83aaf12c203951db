"""The SQL that gives one row of the subscriber the provider's values. Pure.

Each statement names the row by its key and says what it holds now, so that a row that changed meanwhile stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from londiste_lite.compare.shape import Shape
from londiste_lite.names import quote_ident, quote_literal

Values = tuple[str | None, ...]

# What the text of values depends on; the statements are written under these.
SETTINGS = (
    "set client_encoding = 'UTF8';",
    "set datestyle = 'ISO, YMD';",
    "set intervalstyle = 'postgres';",
    "set timezone = 'UTC';",
    "set extra_float_digits = 1;",
    "set bytea_output = 'hex';",
    "set lc_monetary = 'C';",
    "set search_path = pg_catalog;",
)


@dataclass(frozen=True)
class TargetRow:
    """A row of the subscriber: its key as text, the compared values, their row text, and the values of the columns that
    only the subscriber has."""

    key: tuple[str, ...]
    values: Values
    text: str
    own: Values


@dataclass(frozen=True)
class Fix:
    """What one row takes: statements in their order."""

    key: tuple[str, ...]
    statements: tuple[str, ...]


def own_columns(shape: Shape) -> list[str]:
    """Return the columns that only the subscriber has and that can be set."""
    compared = {f.name for f in shape.fields}
    return [c.name for c in shape.target.table.columns if c.name not in compared and not c.generated]


def fix(shape: Shape, wanted: Values | None, found: TargetRow | None) -> Fix | None:
    """Return what makes the row `found` hold `wanted`, the provider's values (None: no row); None when it does."""
    if wanted is None:
        return Fix(found.key, (delete(shape, found),)) if found is not None else None
    if found is None:
        return Fix(_key_of(shape, wanted), (insert(shape, wanted),))
    changed = {f.name: (new, old) for f, new, old in zip(shape.fields, wanted, found.values, strict=True) if new != old}
    if not changed:
        return None
    target = shape.target.table
    if any(c.identity == "a" and c.name in changed for c in target.columns):
        return Fix(found.key, (delete(shape, found), insert(shape, wanted, found)))
    return Fix(found.key, (_update(shape, found, changed),))


def delete(shape: Shape, found: TargetRow) -> str:
    """Return the DELETE of a row."""
    same = f"{shape.target.row_text} = {quote_literal(found.text)}"
    return f"delete from {shape.target.table.target} where {_match(shape, found.key)} and {same};"


def insert(shape: Shape, wanted: Values, found: TargetRow | None = None) -> str:
    """Return the INSERT of a row; what only the subscriber has is taken from the row `found` that it replaces."""
    names = [f.name for f in shape.fields]
    values = list(wanted)
    if found is not None:
        names += own_columns(shape)
        values += found.own
    columns = ", ".join(quote_ident(name) for name in names)
    literals = ", ".join(quote_literal(value) for value in values)
    return (
        f"insert into {shape.target.table.name.quoted} ({columns}) overriding system value values ({literals}) "
        "on conflict do nothing;"
    )


def _update(shape: Shape, found: TargetRow, changed: Mapping[str, tuple[str | None, str | None]]) -> str:
    expressions = {f.name: f.target for f in shape.fields}
    sets = ", ".join(f"{quote_ident(name)} = {quote_literal(new)}" for name, (new, _) in changed.items())
    same = [
        f"{quote_ident(name)} is null" if old is None else f"concat({expressions[name]}) = {quote_literal(old)}"
        for name, (_, old) in changed.items()
    ]
    return f"update {shape.target.table.target} set {sets} where {' and '.join([_match(shape, found.key), *same])};"


def _match(shape: Shape, key: Sequence[str]) -> str:
    return shape.target.match([quote_literal(part) for part in key]).replace("operator(pg_catalog.=)", "=")


def _key_of(shape: Shape, values: Values) -> tuple[str, ...]:
    by_name = {f.name: value for f, value in zip(shape.fields, values, strict=True)}
    return tuple(str(by_name[name]) for name in shape.key)
