"""Routes: which node a row is for. As a user gives them, as they are stored, and as a condition for copies.

Capture evaluates a route for every change (`triggers`); copies must pick the same rows, by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.errors import UsageError
from londiste_lite.names import quote_literal
from londiste_lite.triggers.capture_table import Route


@dataclass(frozen=True)
class StoredRoute:
    """A table's route; `many` tells that it gives an array. Its SQL is read with search_path `pg_catalog`."""

    route: Route
    many: bool

    @property
    def targets(self) -> str:
        """An SQL expression over a row of the table: its nodes as `text[]`, NULL for every node."""
        rule, everyone = f"({self.route.sql})", "array[null]::pg_catalog.text[]"
        return f"coalesce({rule}::pg_catalog.text[], {everyone})" if self.many else f"array[{rule}::pg_catalog.text]"

    def condition(self, node: str) -> str:
        """Return the SQL condition for the rows that `node` gets: its own and those for all nodes.

        As in capture: NULL is every node, an array names several, with a NULL element every node, empty it names none.
        """
        rule, name = f"({self.route.sql})", quote_literal(node)
        if not self.many:
            return f"coalesce({rule}::pg_catalog.text = {name}, true)"
        targets = f"coalesce({rule}::pg_catalog.text[], array[null]::pg_catalog.text[])"
        return f"exists (select from pg_catalog.unnest({targets}) londiste_t (n) where coalesce(n = {name}, true))"


def stored(column: str | None, rule: str | None, many: bool) -> StoredRoute | None:
    """Return the route that a row of `londiste.provider_table` holds, None for a table without one."""
    if column is not None:
        return StoredRoute(Route("column", column), many)
    if rule is not None:
        return StoredRoute(Route("expr", rule), many)
    return None


@dataclass(frozen=True)
class GivenRoute:
    """What a user says of a table's route: a new one, that there is none any more, or nothing."""

    route: Route | None = None
    ended: bool = False

    @property
    def shown(self) -> str:
        """The route in words."""
        if self.route is None:
            return "every node gets every row"
        return f"rows go by {'column' if self.route.kind == 'column' else 'the expression'} {self.route.text}"


def given(column: str | None, expression: str | None, ended: bool = False) -> GivenRoute:
    """Return the route that a user names. Raises UsageError when several are given."""
    if sum((column is not None, expression is not None, ended)) > 1:
        raise UsageError("--node-column, --node-expr and --all-nodes exclude each other")
    if column is not None:
        return GivenRoute(Route("column", column))
    if expression is not None:
        return GivenRoute(Route("expr", expression))
    return GivenRoute(ended=ended)
