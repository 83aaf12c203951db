"""Generates how a capture function learns which event table to write, and whether an UPDATE changed a key; pure."""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable
from londiste_lite.triggers.careful_text import tried
from londiste_lite.triggers.event_text import pair, per_child, routed, row_of

# The number of the current event table, null or -1 where one has to ask; see londiste.note_current_table.
_CURRENT = (
    "londiste_table := pg_catalog.pg_sequence_last_value('londiste.event_{queue_id}_current'::pg_catalog.regclass);"
)

_UNKNOWN = """        if londiste_table is null or londiste_table OPERATOR(pg_catalog.<) 0 then
{lookup}
        end if;
"""

# A statement on one row whose key and target are the same before and after: a try that logs nothing otherwise.
_TRY_ONE = """    if londiste_saved is null then
{inserts}
        end if;
        if found then
            if londiste_after is not null then
                londiste_after := pg_catalog.set_config('londiste.open', londiste_after, true);
            end if;
            return null;
        end if;
        if not exists (select from {image}) then
            return null;
        end if;
    end if;
    if londiste_careful is not true then
        londiste_careful := {compare};
    end if;"""

_INSERT_ONE = """        {els}if londiste_table OPERATOR(pg_catalog.=) {child} then
            insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
            select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
              from {source}
             where array[{pair}::pg_catalog.text] OPERATOR(pg_catalog.=)
                   array(select {pair}::pg_catalog.text from {old} limit 2);"""

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
    """In the ordinary way."""
    general: str
    """In the general way, where nothing is taken for granted: the sequence of a restored database is kept by nobody."""
    after: str
    """After either."""
    unknown: str
    """Where the ordinary way did not tell."""


def table_to_write(table: CaptureTable, op: str, image: str, event: dict[str, str]) -> TableToWrite:
    """Return how the function of one operation learns the table; `event` has the parts of the logging INSERT."""
    if not _reads_current(table, op):
        return TableToWrite("null;", "", f"{_ask(table, op, event['source'])}\n", "")
    after = ""
    if op == "U":
        one, old = pair(table), routed(table, "londiste_old")
        if table.route is None and len(table.key) == 1:
            # One column's text without the parentheses of a row is quicker to make.
            one = f"pg_catalog.concat({one.removeprefix('row(')}"
        tries = per_child(table, _INSERT_ONE, pair=one, old=old, **event)
        after = _TRY_ONE.format(inserts=tries, compare=_compare(table), image=image) + "\n"
    asked = lookup(table)
    return TableToWrite(_CURRENT.format(queue_id=table.queue_id), f"{asked}\n", after, _UNKNOWN.format(lookup=asked))


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
