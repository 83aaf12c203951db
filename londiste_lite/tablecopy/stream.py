"""The COPY statements that join a table's sides: which columns, which rows, in which form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from londiste_lite import published
from londiste_lite.db import Database
from londiste_lite.errors import SchemaDrift
from londiste_lite.names import quote_ident
from londiste_lite.routing import StoredRoute
from londiste_lite.structure import Column, Table
from londiste_lite.subscribed import Subscribed
from londiste_lite.tablecopy import formats


def plan_columns(source: Table, target: Table) -> list[tuple[Column, Column]]:
    """Return the columns to copy as (provider's, subscriber's), matched by name.

    Generated columns compute themselves. Raises SchemaDrift for columns that the subscriber lacks.
    """
    pairs: list[tuple[Column, Column]] = []
    missing: list[str] = []
    for column in source.columns:
        if column.generated:
            continue
        other = target.column(column.name)
        if other is None:
            missing.append(f"ALTER TABLE {target.name.quoted} ADD COLUMN {quote_ident(column.name)} {column.type};")
        elif not other.generated:
            pairs.append((column, other))
    if missing:
        raise SchemaDrift(
            f'table "{target.name}" lacks columns of the provider',
            hint="Run on the subscriber: " + " ".join(missing),
            table=str(source.name),
        )
    return pairs


@dataclass(frozen=True)
class CopySql:
    """How the rows of one table travel: the columns as selected on the provider and as named on the subscriber."""

    selected: tuple[str, ...]
    columns: tuple[str, ...]
    condition: str | None
    binary: bool
    name: str
    """What conditions may call the table, of a partition too."""

    @property
    def _form(self) -> str:
        return " (format binary)" if self.binary else ""

    def out(self, source: str, condition: str | None = None) -> str:
        """Return the COPY of the rows of `source` (a table as it stands in SQL) that fulfil `condition` too."""
        parts = [f"({c})" for c in (self.condition, condition) if c]
        where = f" where {' and '.join(parts)}" if parts else ""
        rows = f"select {', '.join(self.selected)} from {source} {quote_ident(self.name)}{where}"
        return f"copy ({rows}) to stdout{self._form}"

    @property
    def names(self) -> str:
        """The subscriber's columns as they stand in SQL."""
        return ", ".join(quote_ident(c) for c in self.columns)

    def into(self, table: str) -> str:
        """Return the COPY that reads them into `table`."""
        return f"copy {table}{f' ({self.names})' if self.columns else ''} from stdin{self._form}"


def copy_sql(source: Table, target: Table, condition: str | None, *, binary: bool = False) -> CopySql:
    """Return how a table's rows travel; a column of another built-in type is cast on the provider."""
    pairs = plan_columns(source, target)
    out = []
    for column, other in pairs:
        name = quote_ident(column.name)
        differs = column.builtin and other.builtin and column.type != other.type
        # Without its length, for a cast would cut a long value off, where COPY says that it is too long.
        out.append(f"{name}::{other.base}" if differs else name)
    return CopySql(tuple(out), tuple(other.name for _, other in pairs), condition, binary, source.name.name)


def best_sql(provider: Database, subscriber: Database, source: Table, target: Table, condition: str | None) -> CopySql:
    """Return how a table's rows travel, in binary form where both sides hold exactly the same types."""
    left, right = formats.sent(provider, [source]), formats.sent(subscriber, [target])
    return typed_sql(source, target, condition, left[source.name], right[target.name])


def typed_sql(
    source: Table, target: Table, condition: str | None, left: Mapping[str, str], right: Mapping[str, str]
) -> CopySql:
    """`best_sql` of what is known already: `left` and `right` are what `formats.sent` says of the two tables."""
    columns: Sequence[Column] = [column for column, _ in plan_columns(source, target)]
    return copy_sql(source, target, condition, binary=formats.binary(left, right, target, columns))


def condition_of(wanted: Subscribed, route: StoredRoute | None, node: str | None) -> str | None:
    """Return which of the provider's rows belong here: those of the copy's condition that are routed to this node."""
    parts = [f"({wanted.condition})"] if wanted.condition else []
    if route is not None and node is not None:
        parts.append(route.condition(node))
    return " and ".join(parts) or None


def route_of(provider: Database, queue: str, wanted: Subscribed) -> StoredRoute | None:
    """Return the route of a table, as the provider's transaction sees it."""
    found = published.find_table(provider, queue, wanted.table)
    return found.route if found else None
