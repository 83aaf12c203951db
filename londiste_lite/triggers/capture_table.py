"""What a capture trigger is generated from: the table, its key, its route, and the names derived from them.

Pure data. `catalog` reads it from the database, `function_text` turns it into SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from londiste_lite.names import QualifiedName, quote_ident

UNROUTED = " unrouted"
"""The target of a row whose route cannot be worked out. No node is called so: names in an INI begin with no blank."""


@dataclass(frozen=True)
class Route:
    """Which nodes get a row: a column, or an SQL expression over the row's columns.

    Its value as text is the target node. NULL is every node. An array names several targets: an event for each, for
    every node when an element is NULL, and none at all when the array is empty.
    """

    kind: Literal["column", "expr"]
    text: str
    parks: bool = False
    """Whether a row for which the expression fails is captured as unrouted; if not, the writer's transaction fails."""

    @property
    def sql(self) -> str:
        """The route as an SQL expression over the unqualified columns of the table."""
        return quote_ident(self.text) if self.kind == "column" else self.text


# The server's own types have the same numbers everywhere; a domain is a type of its own.
TEXT_TYPES = (25, 1043)  # text, varchar
PLAIN_TYPES = (20, 21, 23, 2950, *TEXT_TYPES)  # int8, int2, int4, uuid


@dataclass(frozen=True)
class Column:
    """A column that the capture functions name: where it stands in the relation, and where in the published table."""

    name: str
    attnum: int
    root_attnum: int
    type_oid: int = 0

    @property
    def plain(self) -> bool:
        """Whether equal values have equal texts, which depend on no setting."""
        return self.type_oid in PLAIN_TYPES


@dataclass(frozen=True)
class CaptureTable:
    """One relation with capture triggers: the published table, or a partition of it."""

    queue_id: int
    queue: str
    name: QualifiedName
    """The published table; for a partition its root."""
    relation: QualifiedName
    """The relation that has the triggers."""
    oid: int
    root_oid: int
    key: tuple[Column, ...]
    kind: Literal["table", "root", "branch", "leaf"] = "table"
    """An ordinary table; or of a partitioned one the root, a partitioned partition, a partition with rows."""
    deferrable: bool = False
    """Whether the key's index is checked at the end of the transaction, so that a key may be there twice meanwhile."""
    route: Route | None = None
    route_columns: tuple[Column, ...] = ()
    """The columns that the route reads."""
    route_many: bool = False
    """Whether the route gives an array."""
    route_path: str = ""
    """The search_path under which the route's expression was checked."""
    current_sequence: bool = False
    """Whether a sequence tells the queue's current event table, see londiste.note_current_table; or a query has to."""

    merges: bool = False
    """Whether the server has MERGE; see londiste.note_moved_row."""

    @property
    def takes_moved_rows(self) -> bool:
        """Whether rows may move between partitions in a statement on this relation without being among its rows."""
        return self.merges and self.kind in ("root", "branch")

    @property
    def route_source(self) -> str:
        """The FROM clause under which the route is read, given a FROM item `londiste_row`; empty for a column.

        An expression may name the table, as in a lookup where another table has a column of that name.
        """
        if self.route is None or self.route.kind == "column":
            return ""
        return f" from (select londiste_row.*) {quote_ident(self.name.name)}"

    @property
    def route_expression(self) -> str:
        """The route as an expression in parentheses over a FROM item `londiste_row`."""
        assert self.route is not None
        return f"(select {self.route.sql}{self.route_source})" if self.route_source else f"({self.route.sql})"

    @property
    def trigger_stem(self) -> str:
        """What the names of this queue's triggers begin with; sorts before what users call their triggers."""
        return trigger_stem(self.queue_id)

    @property
    def mark(self) -> str:
        """The id of queue and published table in the setting `londiste.open`."""
        return f"{self.queue_id}.{self.root_oid}"

    @property
    def plain_key(self) -> bool:
        """Whether the key may be compared by its values instead of their texts, and written under any settings."""
        return all(column.plain for column in self.key)

    @property
    def named_columns(self) -> tuple[Column, ...]:
        """Every column whose name stands in the function texts, without repeats."""
        return tuple(dict.fromkeys(self.key + self.route_columns))

    @property
    def route_function(self) -> str:
        """Name of the function that works the route out, where it parks."""
        return f"capture_{self.queue_id}_{self.root_oid}_route"

    def function_name(self, operation: str) -> str:
        """Name of the capture function in schema londiste."""
        return f"capture_{self.queue_id}_{self.oid}_{operation}"

    def trigger_name(self, operation: str) -> str:
        return f"{self.trigger_stem}_{operation}"


def trigger_stem(queue_id: int) -> str:
    """Return what the names of a queue's capture triggers begin with.

    An underscore sorts before lower case letters, so ours fire before the users' and log a statement before whatever
    those do in turn.
    """
    return f"_londiste_{queue_id}"
