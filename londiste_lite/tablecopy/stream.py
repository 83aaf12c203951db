"""Loading one table: its rows at one moment of the provider, streamed to the subscriber in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite import crash_points, published, structure, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import SchemaDrift, StopRequested
from londiste_lite.names import quote_ident
from londiste_lite.replay import fetch
from londiste_lite.routing import StoredRoute
from londiste_lite.structure import Column, Table
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState


@dataclass(frozen=True)
class Loaded:
    """What a copy brought: rows, and the provider's snapshot (text form) that they are complete up to."""

    rows: int
    snapshot: str


@dataclass(frozen=True)
class CopySql:
    """The two COPY statements that join a table's sides."""

    copy_out: str
    copy_in: str


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


def copy_sql(source: Table, target: Table, condition: str | None) -> CopySql:
    """Return the COPY statements; a column of another built-in type is cast on the provider."""
    pairs = plan_columns(source, target)
    out = []
    for column, other in pairs:
        name = quote_ident(column.name)
        differs = column.builtin and other.builtin and column.type != other.type
        # Without its length, for a cast would cut a long value off, where COPY says that it is too long.
        out.append(f"{name}::{other.base}" if differs else name)
    where = f" where {condition}" if condition else ""
    into = ", ".join(quote_ident(other.name) for _, other in pairs)
    columns = f" ({into})" if into else ""
    return CopySql(
        f"copy (select {', '.join(out)} from {source.target}{where}) to stdout",
        f"copy {target.name.quoted}{columns} from stdin",
    )


def condition_of(wanted: Subscribed, route: StoredRoute | None, node: str | None) -> str | None:
    """Return which of the provider's rows belong here: those of the copy's condition that are routed to this node."""
    parts = [f"({wanted.condition})"] if wanted.condition else []
    if route is not None and node is not None:
        parts.append(route.condition(node))
    return " and ".join(parts) or None


def load(provider: Database, subscriber: Database, queue: str, wanted: Subscribed, node: str | None = None) -> Loaded:
    """Copy one table that is in state IN_COPY; it is then CATCHING_UP, in the same transaction.

    `node` is this subscriber's name in routes: of a routed table only its rows are copied, and those for all nodes.
    Rows that are there already are deleted first unless the subscription says otherwise: readers see the old rows until
    the new ones are complete, and no lock keeps them out. Raises StopRequested when somebody changed the table's state
    meanwhile, SchemaDrift when the tables do not fit, DatabaseError.
    """
    source = structure.require_table(provider, wanted.table, "provider")
    target = structure.require_table(subscriber, wanted.local, "subscriber")
    with provider.transaction("begin isolation level repeatable read, read only"):
        # Before the snapshot: TRUNCATE and rewriting ALTER TABLE do not respect older snapshots, which would find the
        # table empty at a moment when it was not.
        provider.script(f"lock table {source.target} in access share mode")
        snapshot = str(provider.run("select pg_catalog.txid_current_snapshot()::text")[0][0])
        # By the same snapshot, so that the rows are picked by the route whose events the copy holds already.
        routes = {table.table: table.route for table in published.tables(provider, queue)}
        statements = copy_sql(source, target, condition_of(wanted, routes.get(wanted.table), node))
        crash_points.reached("copy-started")
        with subscriber.transaction():
            if not wanted.skip_truncate:
                subscriber.script(f"delete from {target.target}")
            rows = fetch.pump(provider, statements.copy_out, subscriber, statements.copy_in)
            crash_points.reached("copy-loaded")
            states = (TableState.IN_COPY, TableState.CATCHING_UP)
            if not subscribed.set_state(subscriber, queue, wanted.table, *states, snapshot):
                raise StopRequested(f'the copy of "{wanted.table}" was given up: its registration changed')
    crash_points.reached("copy-committed")
    return Loaded(rows, snapshot)
