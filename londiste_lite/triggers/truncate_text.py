"""Generates the capture function of TRUNCATE; pure."""

from __future__ import annotations

from londiste_lite.names import quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable
from londiste_lite.triggers.careful_text import careful
from londiste_lite.triggers.current_text import lookup
from londiste_lite.triggers.event_text import events, regclass

_TRUNCATE_FUNCTION = """
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_saved      pg_catalog.text[];
begin
{skip}    londiste_saved := londiste.capture_begin('T', '{mark}', true, londiste.plain_text({me}));
    if londiste_saved is null then
        return null;
    end if;
{lookup}
    if londiste_table is null then
        raise exception 'queue not found: %', {queue};
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        raise exception 'Insert into queue disallowed';
    end if;
    execute {event};
{unlist}    perform londiste.capture_end(londiste_saved);
    return null;
end
"""

_UNLIST = """    delete from londiste.unrouted_row u
     where u.queue_name OPERATOR(pg_catalog.=) {queue} and u.table_name OPERATOR(pg_catalog.=) {table};
"""

_TRUNCATE_OF_ROOT = """    if pg_catalog.strpos(pg_catalog.current_setting('londiste.open', true), 'T{mark},')
            OPERATOR(pg_catalog.>) 0 then
        return null;
    end if;
"""

_TRUNCATE_EVENT = """pg_catalog.concat({insert}, londiste_table,
            ' (ev_time, ev_type, ev_extra1) values (pg_catalog.now(), ''R'', ',
            pg_catalog.quote_literal({table}), ')')"""


def truncate_function(table: CaptureTable) -> str:
    """Return the body of the function that logs TRUNCATE.

    For a partition it runs before the statement and logs the delete of every row, unless the whole published
    table is being truncated.
    """
    skip = ""
    event = _TRUNCATE_EVENT.format(
        insert=quote_literal(f"insert into {events(table)}_"), table=quote_literal(str(table.name))
    )
    parks = table.route is not None and table.route.parks
    unlist = ""
    if parks:
        unlist = _UNLIST.format(queue=quote_literal(table.queue), table=quote_literal(str(table.name)))
    if table.kind == "leaf":
        skip = _TRUNCATE_OF_ROOT.format(mark=table.mark)
        event = careful(table, "T", parks)
        if parks:
            unlist = f"    execute {parking_text.listing(table, 'T')};\n"
    return _TRUNCATE_FUNCTION.format(
        skip=skip,
        mark=table.mark,
        me=regclass(table.oid),
        lookup=lookup(table),
        queue=quote_literal(table.queue),
        event=event,
        unlist=unlist,
    )
