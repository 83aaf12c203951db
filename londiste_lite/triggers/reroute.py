"""What a new route means for the rows that are there: the nodes that lose one get its delete, the new ones the row.

One statement writes these events, in the transaction that changes the capture and under its lock: a change of the
table is either in the rows that the statement reads, or comes later and is captured by the new rule. Rows whose
targets stay the same cost a read and write nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, QueryCanceled, RegistrationError
from londiste_lite.names import QualifiedName, quote_array, quote_ident, quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import UNROUTED, CaptureTable, Route
from londiste_lite.triggers.event_text import array_text

log = logging.getLogger(__name__)

_EVENTS = """insert into {events} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
select pg_catalog.now(), londiste_event.type, londiste_event.data, {table}, londiste_event.attnums,
       londiste_event.target
  from {source} londiste_row
 cross join lateral (select {before}) londiste_before (londiste_was)
 cross join lateral (select {after}) londiste_after (londiste_is)
 cross join lateral (
        select 1, {delete}, row({key})::pg_catalog.text, {key_attnums}, g.target
          from (select target from pg_catalog.unnest(londiste_before.londiste_was) target
                except select target from pg_catalog.unnest(londiste_after.londiste_is) target) g
        union all
        select 2, {insert}, (londiste_row.*)::pg_catalog.text, {attnums}, g.target
          from (select target from pg_catalog.unnest(londiste_after.londiste_is) target
                except select target from pg_catalog.unnest(londiste_before.londiste_was) target) g
         order by 1) londiste_event (step, type, data, attnums, target)
 where londiste_before.londiste_was OPERATOR(pg_catalog.<>) londiste_after.londiste_is"""

_EVERY_NODE = "array[null]::pg_catalog.text[]"
# Who has a row whose former route nobody knows: everybody, when one asks who must lose it, and nobody, when every node
# is to have it.
_NOBODY_KNOWS = (
    "case when pg_catalog.array_position({now}, null) is null"
    " then array[null]::pg_catalog.text[] else '{{}}'::pg_catalog.text[] end"
)


def _targets(table: CaptureTable, route: Route | None, many: bool) -> str:
    """Return a `text[]` expression over `londiste_row`: the nodes that get the row, NULL for every node."""
    if route is None:
        return _EVERY_NODE
    rule = replace(table, route=route).route_expression
    return f"londiste.targets_of({rule}::pg_catalog.text[])" if many else f"array[{rule}::pg_catalog.text]"


def reroute(db: Database, table: CaptureTable, before: Route | None, before_many: bool) -> int:
    """Write the events that take the table's rows from the route `before` to its new one; return how many.

    Needs the transaction that changed the capture, and the list of unrouted rows as it was before. Where the former
    rule cannot be worked out any more, every row is sent anew to where it belongs, and its delete to everybody else.
    Raises RegistrationError when the new rule fails for a row and does not park.
    """
    now = _targets(table, table.route, table.route_many)
    if table.route is not None and table.route.parks:
        now = parking_text.row_route(table)
    was = _targets(table, before, before_many)
    if before is not None and before.parks:
        # Where capture could not work it out, whatever the rule gives by now.
        was = f"case when {parking_text.is_listed(table)} then {quote_array([UNROUTED])} else {was} end"
    try:
        with db.savepoint("londiste_reroute"):
            return _write(db, table, was, now)
    except DatabaseError as error:
        if isinstance(error, ConnectionLost | QueryCanceled) or not _about_a_value(error):
            raise
        log.info("the former route of %s cannot be worked out any more (%s)", table.name, error.message)
    try:
        with db.savepoint("londiste_reroute"):
            return _write(db, table, _NOBODY_KNOWS.format(now=now), now)
    except DatabaseError as error:
        if isinstance(error, ConnectionLost | QueryCanceled) or not _about_a_value(error):
            raise
        raise RegistrationError(
            f'the route of table "{table.name}" fails for a row that is there: {error.message}',
            hint="Write an expression that gives a value for every row, NULL for all nodes; or say --node-errors park.",
        ) from error


def _about_a_value(error: DatabaseError) -> bool:
    """Tell whether an expression failed, not the server: data, syntax and name errors, and what functions raise."""
    return (error.sqlstate or "")[:2] in ("22", "23", "2F", "38", "39", "42", "P0", "21", "0A")


def _write(db: Database, table: CaptureTable, before: str, after: str) -> int:
    name, columns, attnums, key_attnums = db.rows(
        "triggers.event_form",
        queue_id=table.queue_id,
        oid=table.root_oid,
        key=[column.name for column in table.key],
    )[0]
    if name is None:
        raise RegistrationError(f'queue "{table.queue}" takes no events', hint="Its inserts are disabled.")
    sql = _EVENTS.format(
        events=QualifiedName.parse(name).quoted,
        table=quote_literal(str(table.name)),
        source=table.name.quoted,
        before=before,
        after=after,
        key=", ".join(f"londiste_row.{quote_ident(column.name)}" for column in table.key),
        delete=quote_literal("D" + array_text(tuple(column.name for column in table.key))),
        insert=quote_literal(f"I{columns}"),
        attnums=quote_literal(attnums),
        key_attnums=quote_literal(key_attnums),
    )
    return db.count(sql)
