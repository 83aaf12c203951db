"""The stage: a session's temporary table on the subscriber into which a batch's events stream as captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite import events
from londiste_lite.db import Database, Row
from londiste_lite.names import QualifiedName, TableName, quote_literal
from londiste_lite.scripts import EVENT_TYPE, Script

STAGE = 'pg_temp."londiste_stage"'
EVENT_COLUMNS = "ev_id, ev_extra1, ev_type, ev_extra2, ev_data"
COPY_IN = f"copy {STAGE} (ev_id, tbl, typ, att, data) from stdin"

# ON COMMIT DELETE ROWS: the stage empties itself with the batch's transaction, without a new file for each batch.
_CREATE = """create temp table if not exists "londiste_stage" (
    ev_id int8 not null, tbl text, typ text not null, att text, data text) on commit delete rows"""

_LATER = 'pg_temp."londiste_later"'

_GROUPS = """select tbl, typ, att, pg_catalog.count(*)::int8, pg_catalog.min(ev_id)::int8, pg_catalog.max(ev_id)::int8
from {source} e (ev_id, tbl, typ, att) group by tbl, typ, att order by 5"""
GROUP_COLUMNS = "ev_id, ev_extra1, ev_type, ev_extra2"


@dataclass(frozen=True)
class Group:
    """Events of one table with one type text: how many, and their first and last number."""

    table: TableName
    type_text: str
    attnum_text: str | None
    operation: str
    shape: events.Shape
    count: int
    first: int
    last: int


def prepare(db: Database) -> None:
    """Create the stage of this session when it is not there."""
    db.script(_CREATE)


def staged_scripts(db: Database) -> list[Script]:
    """Return the scripts among the staged events, in their order."""
    sql = f"select ev_id, tbl, data, att from {STAGE} where typ = '{EVENT_TYPE}' order by ev_id"
    return [Script(int(number), str(name), str(text), int(txid)) for number, name, text, txid in db.run(sql)]


def hold_back(db: Database, event_id: int) -> None:
    """Take what follows an event out of the stage, until `bring_back`; the event itself is gone."""
    db.script(
        'create temp table if not exists "londiste_later" (like "londiste_stage") on commit delete rows;'
        f"with later as (delete from {STAGE} where ev_id >= {event_id} returning *) "
        f"insert into {_LATER} select * from later where ev_id > {event_id}"
    )


def bring_back(db: Database) -> None:
    """Put in the stage's place what was held back."""
    db.script(
        f"delete from {STAGE}; with later as (delete from {_LATER} returning *) insert into {STAGE} select * from later"
    )


def bring_in(db: Database, queue: str, tables: Sequence[str], numbers: Sequence[int]) -> None:
    """Move parked events into the stage."""
    db.run(
        "with back as (delete from londiste.parked_event where queue_name = %s and table_name = any (%s) "
        "and event_id = any (%s::int8[]) returning *) "
        f"insert into {STAGE} (ev_id, tbl, typ, att, data) "
        "select event_id, table_name, ev_type, ev_extra2, ev_data from back",
        [queue, list(tables), list(numbers)],
    )


def put(db: Database, rows: Sequence[Row]) -> None:
    """Stage a few events, rows of `EVENT_COLUMNS`, together with the next statement."""
    values = ", ".join(["(%s, %s, %s, %s, %s)"] * len(rows))
    db.later(
        f"insert into {STAGE} (ev_id, tbl, typ, att, data) values {values}", [part for row in rows for part in row]
    )


def groups(db: Database) -> list[Group]:
    """Return what is staged. Raises events.UnknownEvent for an event that no capture trigger writes."""
    return groups_of(db, f"(select ev_id, tbl, typ, att from {STAGE})")


def groups_of(db: Database, source: str) -> list[Group]:
    """Return what `source` holds, a FROM item with number, table, type and attribute numbers of events."""
    return [_group(*row) for row in db.run(_GROUPS.format(source=source))]


def alike(db: Database, sample: str) -> list[Group]:
    """Return the kinds of the sampled events when all are row changes of one table, otherwise an empty list.

    `sample` is a SELECT of `GROUP_COLUMNS`; how many events there are is not known. Raises events.UnknownEvent.
    """
    rows = db.run(
        "select tbl, typ, att, pg_catalog.count(*)::int8, 0, 0 "
        f"from ({sample}) e (ev_id, tbl, typ, att) group by tbl, typ, att"
    )
    if len({table for table, *_ in rows}) != 1:
        return []
    found = [_group(*row) for row in rows]
    return [] if any(g.operation == events.TRUNCATE for g in found) else found


def is_like(found: Sequence[Group]) -> str:
    """Return the condition that an event of the queue is of one of these kinds of one table."""
    types: dict[str | None, list[str]] = {}
    for group in found:
        types.setdefault(group.attnum_text, []).append(quote_literal(group.type_text))
    kinds = " or ".join(
        f"ev_type in ({', '.join(texts)}) and ev_extra2 {'is null' if att is None else f'= {quote_literal(att)}'}"
        for att, texts in types.items()
    )
    return f"ev_extra1 = {quote_literal(str(found[0].table))} and ({kinds})"


def surviving(groups: Sequence[Group]) -> tuple[int | None, list[Group]]:
    """Return the number of the last TRUNCATE among one table's events, and the groups of rows that come behind it."""
    after = max((g.last for g in groups if g.operation == events.TRUNCATE), default=None)
    return after, [g for g in groups if g.operation != events.TRUNCATE and (after is None or g.last > after)]


def groups_among(rows: Sequence[Row]) -> list[Group]:
    """Return what is in events that were read as rows of `EVENT_COLUMNS`. Raises events.UnknownEvent."""
    numbers: dict[tuple[str, str, str | None], list[int]] = {}
    for number, table, typ, att, _ in sorted(rows, key=lambda row: int(row[0])):
        numbers.setdefault((table, typ, att), []).append(int(number))
    return [_group(*kind, len(found), found[0], found[-1]) for kind, found in numbers.items()]


def _group(table: str, typ: str, att: str | None, count: int, first: int, last: int) -> Group:
    operation, shape = events.parse(typ, att)
    return Group(QualifiedName.parse(table), typ, att, operation, shape, int(count), int(first), int(last))
