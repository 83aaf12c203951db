"""Generates the SQL text of the capture functions; pure, without a database.

What the functions call is in `sql/londiste/functions`; the triggers that call them are in `trigger_text`.

Rules for the text, since it runs with the rights of its owner inside whatever session a user has: every function, type
and operator is qualified; IS DISTINCT FROM, CASE x WHEN, IN and BETWEEN do not occur, for they find `=` through
search_path. A SET clause would be simpler, but costs 15 us a call.
"""

from __future__ import annotations

from londiste_lite.names import quote_array, quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable, Column
from londiste_lite.triggers.careful_text import careful, tried
from londiste_lite.triggers.current_text import table_to_write
from londiste_lite.triggers.event_text import (
    array_text,
    attnums_text,
    events,
    int2_array,
    marks,
    per_child,
    regclass,
    routed,
    row_of,
)

# `londiste_careful` is true when the statement's own image of the rows will not do: columns are no longer called what
# they are called here, something else logged rows of the table while the statement ran, or a key or target changed.
# Then the statement that logs is made from the catalog by londiste.current_rows_sql.
#
# In a transaction of its own each expression is prepared anew, which costs some 0.3 us and 0.2 us more for each
# function or operator in it, whether it is reached or not, and each query costs 5 us and more. So the ordinary way is a
# few short expressions and one query, the INSERT, and what is rarely needed stands in expressions of its own.
_ROW_FUNCTION = """
#variable_conflict use_column
declare
    londiste_open       pg_catalog.text;{declare}
    londiste_table      pg_catalog.int8;
    londiste_careful    pg_catalog.bool;
    londiste_saved      pg_catalog.text[];
begin
    if (pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{marks}'
        and {usual}
        and pg_catalog.set_config('londiste.open', '', true) is not null) is true
    then
        {quick}{upsert}
    else
        londiste_open := pg_catalog.current_setting('londiste.open', true);
{nothing}        if (pg_catalog.right(londiste_open, {length}) OPERATOR(pg_catalog.=) '{marks}'
            and pg_catalog.strpos(pg_catalog.left(londiste_open, -{length}), '{mark},') OPERATOR(pg_catalog.=) 0
            and {usual}
            and pg_catalog.set_config('londiste.open',
                pg_catalog.left(londiste_open, -{length}), true) is not null) is true
        then
            {quick}
        else
            londiste_saved := londiste.capture_begin('{op}', '{mark}', exists (select from {image}),
                londiste.plain_text({me}));
            if londiste_saved is null then
                return null;
            end if;
            londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
                and TG_RELID OPERATOR(pg_catalog.=) {oid} and {holds}) is not true;
{otherwise}        end if;
    end if;
{then}{inserts}
    else
{unknown}        if londiste_table is null then
            raise exception 'queue not found: %', {queue};
        elsif londiste_table OPERATOR(pg_catalog.<) 0 then
            if exists (select from {image}) then
                raise exception 'Insert into queue disallowed';
            end if;
        elsif londiste_careful is not true then
            execute {again};
        else
{careful}
        end if;
    end if;
    if londiste_saved is not null then
        perform londiste.capture_end(londiste_saved);
    end if;{note}
    return null;
end
"""

# What has to be as usual for the image to be logged as it is. Text output of the columns' types may depend on settings;
# what does not is folded away, as are the other functions of a literal.
_USUAL = """TG_RELID OPERATOR(pg_catalog.=) {oid}
            and (not londiste.text_needs({me}, 'DateStyle')
                or pg_catalog.left(pg_catalog.current_setting('DateStyle'), 3) OPERATOR(pg_catalog.=) 'ISO')
            and (not londiste.text_needs({me}, 'IntervalStyle')
                or pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres')
            and (not londiste.text_needs({me}, 'extra_float_digits')
                or pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1)
            and pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin'
            and londiste.plain_text({me})
            and {holds}"""

# INSERT ... ON CONFLICT DO UPDATE and MERGE open INSERT before UPDATE and end UPDATE before INSERT. When UPDATE logged
# rows, `londiste.open` says so, and INSERT most often has none.
_UPSERT = """
    elsif (pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{both}'
        and {usual}
        and pg_catalog.set_config('londiste.open', '{insert}', true) is not null) is true
    then
        londiste_after := '{updated}';
        {quick}"""

_NOTE_UPDATED = """
    if londiste_after is not null then
        if exists (select from {image}) then
            londiste_after := pg_catalog.set_config('londiste.open', londiste_after, true);
        end if;
    end if;"""

_NOTHING_INSERTED = """        if londiste_open OPERATOR(pg_catalog.=) '{updated}' then
            if not exists (select from {image}) then
                londiste_open := pg_catalog.set_config('londiste.open', '', true);
                return null;
            end if;
        end if;
"""

_INSERT = """    {els}if londiste_table OPERATOR(pg_catalog.=) {child} and londiste_careful is not true then
        insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
          from {source};"""


def insert_function(table: CaptureTable) -> str:
    """Return the body of the function that logs INSERTs."""
    # Without a route it names no column, so no rename can concern it.
    return _row_function(table, "I", "londiste_new", table.route_columns)


def update_function(table: CaptureTable) -> str:
    """Return the body of the function that logs UPDATEs, changes of key and target included."""
    return _row_function(table, "U", "londiste_new", table.named_columns)


def delete_function(table: CaptureTable) -> str:
    """Return the body of the function that logs DELETEs."""
    return _row_function(table, "D", "londiste_old", table.named_columns)


def _row_function(table: CaptureTable, op: str, image: str, named: tuple[Column, ...]) -> str:
    if op == "D":
        kind = quote_literal("D" + array_text(tuple(c.name for c in table.key)))
        data, attnums = row_of(table.key), quote_literal(attnums_text(table.key))
    else:
        kind = f"'{op}'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of({regclass(table.oid)})"
        data = "(londiste_row.*)"
        attnums = f"londiste.attnums_of({regclass(table.oid)}, {regclass(table.root_oid)})"
    target = "londiste_route.londiste_target" if table.route else "null"
    event = {"type": kind, "data": data, "attnums": attnums, "target": target, "source": routed(table, image)}
    insert, both, updated = (marks(table, operations) for operations in ("I", "IU", "I*"))
    current = table_to_write(table, op, image, event)
    usual = _USUAL.format(oid=table.oid, me=regclass(table.oid), holds=_holds(table, op, named))
    upsert, nothing, note, declare = "", "", "", ""
    if op == "U":
        upsert = _UPSERT.format(both=both, insert=insert, updated=updated, usual=usual, quick=current.ordinary)
        note = _NOTE_UPDATED.format(image=image)
        declare = "\n    londiste_after      pg_catalog.text;"
    elif op == "I":
        nothing = _NOTHING_INSERTED.format(updated=updated, image=image)
    now = f"        execute {careful(table, op)};"
    if table.route is not None and table.route.parks:
        declare += "\n    londiste_parks      pg_catalog.bool;"
        now = parking_text.careful(careful(table, op), careful(table, op, parks=True), parking_text.listing(table, op))
    elif table.route is not None and table.route.kind == "expr":
        now = tried(table, now)
    return _ROW_FUNCTION.format(
        marks=marks(table, op),
        length=len(marks(table, op)),
        usual=usual,
        upsert=upsert,
        quick=current.ordinary,
        otherwise=current.general,
        then=current.after,
        unknown=current.unknown,
        nothing=nothing,
        holds=_holds(table, op, named),
        oid=table.oid,
        op=op,
        mark=table.mark,
        me=regclass(table.oid),
        image=image,
        declare=declare,
        queue=quote_literal(table.queue),
        again=_again(table, event),
        careful=now,
        inserts=per_child(table, _INSERT, **event),
        note=note,
    )


def _again(table: CaptureTable, event: dict[str, str]) -> str:
    """The statement that logs the image, as an expression, for a table whose number was not known beforehand."""
    columns = "(ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)"
    select = (
        f" {columns} select pg_catalog.now(), {event['type']}, {event['data']}::pg_catalog.text,"
        f" {quote_literal(str(table.name))}, {event['attnums']}, {event['target']} from {event['source']}"
    )
    into = quote_literal(f"insert into {events(table)}_")
    return f"pg_catalog.concat({into}, londiste_table, {quote_literal(select)})"


def _holds(table: CaptureTable, op: str, named: tuple[Column, ...]) -> str:
    if op == "D" and table.deferrable:
        # The key may be there twice until the transaction ends, so that deleting a row need not delete its key.
        return "false"
    if not named:
        return "true"
    names = quote_array([c.name for c in named])
    return f"londiste.columns_hold({regclass(table.oid)}, {names}, {int2_array(c.attnum for c in named)})"
