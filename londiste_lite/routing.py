"""Routes: which node a row is for. As a user gives them, as they are stored, and as a condition for copies.

Capture evaluates a route for every change (`triggers`); copies must pick the same rows, by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from londiste_lite.errors import UsageError
from londiste_lite.names import TableName, quote_ident, quote_literal
from londiste_lite.triggers.capture_table import Route


@dataclass(frozen=True)
class StoredRoute:
    """A table's route; `many` tells that it gives an array. Its SQL is read with search_path `pg_catalog`.

    `parking` is what capture calls to work it out where it parks: an array expression over a row of the table.
    """

    route: Route
    many: bool
    parking: str | None = None

    @property
    def targets(self) -> str:
        """An SQL expression over a row of the table: its nodes as `text[]`, NULL for every node.

        It fails where the route does, for a route that parks too.
        """
        rule, everyone = f"({self.route.sql})", "array[null]::pg_catalog.text[]"
        return f"coalesce({rule}::pg_catalog.text[], {everyone})" if self.many else f"array[{rule}::pg_catalog.text]"

    def condition(self, node: str) -> str:
        """Return the SQL condition for the rows that `node` gets: its own and those for all nodes.

        As in capture: NULL is every node, an array names several, with a NULL element every node, empty it names none.
        A row that cannot be routed is for no node where the route parks; otherwise the condition fails for it.
        """
        rule, name = f"({self.route.sql})", quote_literal(node)
        if not self.many and self.parking is None:
            return f"coalesce({rule}::pg_catalog.text = {name}, true)"
        targets = self.parking or f"coalesce({rule}::pg_catalog.text[], array[null]::pg_catalog.text[])"
        return f"exists (select from pg_catalog.unnest({targets}) londiste_t (n) where coalesce(n = {name}, true))"


def stored(column: str | None, rule: str | None, many: bool, parks: bool = False) -> StoredRoute | None:
    """Return the route that a row of `londiste.provider_table` holds, None for a table without one."""
    if column is not None:
        return StoredRoute(Route("column", column), many)
    if rule is not None:
        return StoredRoute(Route("expr", rule, parks), many)
    return None


def parking_call(function: str, table: TableName) -> str:
    """Return the call of a route's function in schema londiste over a FROM item that is called as the table is."""
    return f"londiste.{quote_ident(function)}({quote_ident(table.name)}.*, false)"


@dataclass(frozen=True)
class GivenRoute:
    """What a user says of a table's route: a new one, that there is none any more, or nothing.

    `parks` without a route is for the one that the table has: what happens to rows for which it fails.
    """

    route: Route | None = None
    ended: bool = False
    parks: bool | None = None

    @property
    def shown(self) -> str:
        """The route in words."""
        if self.route is None:
            return "every node gets every row"
        kind = "column" if self.route.kind == "column" else "the expression"
        parking = ", those for which it fails to no node" if self.route.parks else ""
        return f"rows go by {kind} {self.route.text}{parking}"


Errors = Literal["fail", "park"]


def given(column: str | None, expression: str | None, ended: bool = False, errors: Errors | None = None) -> GivenRoute:
    """Return the route that a user names. Raises UsageError when several are given, or what does not go together."""
    if sum((column is not None, expression is not None, ended)) > 1:
        raise UsageError("--node-column, --node-expr and --all-nodes exclude each other")
    if errors is not None and (column is not None or ended):
        raise UsageError("--node-errors goes with --node-expr", hint="A column's value as text cannot fail.")
    if column is not None:
        return GivenRoute(Route("column", column))
    if expression is not None:
        return GivenRoute(Route("expr", expression, errors == "park"))
    return GivenRoute(ended=ended, parks=None if errors is None else errors == "park")
