"""Generates how a capture function learns which event table to write, and whether an UPDATE changed a key; pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable
from londiste_lite.triggers.careful_text import tried
from londiste_lite.triggers.event_text import CHILD_TABLES, pair, per_child, routed, row_of, same_pair

# The number of the current event table, null or -1 where one has to ask; see londiste.note_current_table.
_CURRENT = "coalesce(pg_catalog.pg_sequence_last_value('londiste.event_{queue_id}_current'::pg_catalog.regclass), -1)"

_UNKNOWN = """        if londiste_table is null or londiste_table OPERATOR(pg_catalog.<) 0 then
{lookup}
        end if;
"""

_QUICK = """{inserts}
    end if;
"""

_QUICK_INSERT = """    {els}if londiste_table OPERATOR(pg_catalog.=) {child} then
        insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
          from {source};
        return new;"""

# A statement on one row whose key and target are the same before and after: a try that logs nothing otherwise.
_TRY_ONE = """{inserts}
    end if;
    if found then
        return new;
    end if;
"""

# Only where one of the tries is made, for FOUND may speak of an earlier query.
_TRY_NESTED = """        if londiste_saved is null and londiste_table OPERATOR(pg_catalog.>=) 0
            and londiste_table OPERATOR(pg_catalog.<) {children}
        then
{inserts}
            end if;
            if found then
                return new;
            end if;
        end if;
"""

_LOOK_AT_ALL = """    if londiste_saved is null then
        if not exists (select from {image}) then
            return new;
        end if;
    end if;
    if londiste_careful is not true then
        londiste_careful := {compare};
    end if;"""

_INSERT_ONE = """    {els}if londiste_table OPERATOR(pg_catalog.=) {child} then
        insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
          from {source}
         where {same};"""

# -1 stands for a queue that takes no events.
_LOOKUP = """    select case when q.queue_disable_insert then -1 else q.queue_cur_table end
      into londiste_table
      from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) {queue_id};"""

# Whether the keys and targets after the statement are those before it: a sum of hashes does not mind their order, and
# as hash + ~hash is -1, the whole is minus the number of pairs. Two different sets pass once in 2^64.
_COMPARE = """(select coalesce(pg_catalog.sum(h.hash), 0) OPERATOR(pg_catalog.*) 2
                           OPERATOR(pg_catalog.+) pg_catalog.count(*) OPERATOR(pg_catalog.<>) 0
                  from (select pg_catalog.hashtextextended({pair}::pg_catalog.text, 0) as hash
                          from {old}
                        union all
                        select OPERATOR(pg_catalog.~) pg_catalog.hashtextextended({pair}::pg_catalog.text, 0)
                          from {new}) h)"""

_LOOKUP_AND_COMPARE = """    if londiste_careful then
    {lookup}
    else
        select case when q.queue_disable_insert then -1 else q.queue_cur_table end,
               {compare}
          into londiste_table, londiste_careful
          from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) {queue_id};
    end if;"""

_TRY = """        if londiste_careful is not true then
            perform pg_catalog.count(londiste_route.londiste_target) from {source};
        end if;"""


@dataclass(frozen=True)
class TableToWrite:
    """Statements that give `londiste_table` its value, and what an UPDATE does with it; each may be empty."""

    ordinary: str
    """In the ordinary way, an expression; -1 where one has to ask."""
    quick: str
    """Where that told, the statements that log at once and return; an UPDATE goes on where it was not on one row."""
    nested: str
    """The same for an UPDATE inside another statement."""
    general: str
    """In the general way, where nothing is taken for granted: the sequence of a restored database is kept by nobody."""
    after: str
    """After either."""
    unknown: str
    """Where the ordinary way did not tell."""


def table_to_write(table: CaptureTable, op: str, image: str, event: dict[str, str]) -> TableToWrite:
    """Return how the function of one operation learns the table; `event` has the parts of the logging INSERT."""
    if not _reads_current(table, op):
        return TableToWrite("-1", "", "", "", f"{_ask(table, op, event['source'])}\n", "")
    nested, after = "", ""
    if op == "U":
        tries = per_child(table, _INSERT_ONE, same=same_pair(table, "londiste_old"), **event)
        quick = _TRY_ONE.format(inserts=tries)
        nested = _TRY_NESTED.format(children=CHILD_TABLES, inserts=textwrap.indent(tries, " " * 8))
        after = _LOOK_AT_ALL.format(compare=_compare(table), image=image) + "\n"
    else:
        quick = _QUICK.format(inserts=per_child(table, _QUICK_INSERT, **event))
    asked = lookup(table)
    return TableToWrite(
        ordinary=_CURRENT.format(queue_id=table.queue_id),
        quick=quick,
        nested=nested,
        general=f"{asked}\n",
        after=after,
        unknown=_UNKNOWN.format(lookup=asked),
    )


def _reads_current(table: CaptureTable, op: str) -> bool:
    """Whether a sequence tells the table to write; not where the route has to be tried before anything is logged.

    An UPDATE of a row with several targets is compared as a whole.
    """
    trial = table.route is not None and (table.route.kind == "expr" or (op == "U" and table.route_many))
    return table.current_sequence and not trial


def _ask(table: CaptureTable, op: str, source: str) -> str:
    """Return the statements that ask for the table to write, with the trial of a route that may fail."""
    asked = lookup(table)
    work = _TRY.format(source=source)
    if op == "U":
        indented = asked.replace("\n", "\n    ")
        work = _LOOKUP_AND_COMPARE.format(compare=_compare(table), queue_id=table.queue_id, lookup=indented)
    if table.route is not None and table.route.parks:
        return parking_text.tried(table, op, work, row_of(table.key), asked)
    if table.route is not None and table.route.kind == "expr":
        return tried(table, work) if op == "U" else f"{tried(table, work)}\n{asked}"
    return work if op == "U" else asked


def lookup(table: CaptureTable) -> str:
    """Return the query for the table to write."""
    return _LOOKUP.format(queue_id=table.queue_id)


def _compare(table: CaptureTable) -> str:
    """Return the expression that tells whether an UPDATE changed a key or a target."""
    old, new = routed(table, "londiste_old"), routed(table, "londiste_new")
    return _COMPARE.format(pair=pair(table), old=old, new=new)
