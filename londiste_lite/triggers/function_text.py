"""Generates the SQL text of the capture functions; pure, without a database.

What the functions call is in `sql/londiste/functions`; the triggers that call them are in `trigger_text`.

Rules for the text, since it runs with the rights of its owner inside whatever session a user has: every function, type
and operator is qualified; IS DISTINCT FROM, CASE x WHEN, IN and BETWEEN do not occur, for they find `=` through
search_path. A SET clause would be simpler, but costs 15 us a call.
"""

from __future__ import annotations

import textwrap

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
    key_text,
    marks,
    per_child,
    regclass,
    routed,
)

# `londiste_careful` is true when the statement's own image of the rows will not do: columns are no longer called what
# they are called here, something else logged rows of the table while the statement ran, or a key or target changed.
# Then the statement that logs is made from the catalog by londiste.current_rows_sql.
#
# In a transaction of its own each expression is prepared anew, which costs some 0.3 us and 0.2 us more for each
# function or operator in it, whether it is reached or not, and each query costs 5 us and more. So the ordinary way,
# which comes first, is a few short expressions and one query, the INSERT; what is rarely needed stands in expressions
# of its own, and the functions return NEW, which is null here, for NULL would be one more expression.
#
# While `londiste_table` is null the statement's mark is there; -1 means that one has to ask for the table to write.
_ROW_FUNCTION = """
#variable_conflict use_column
declare
    londiste_open       pg_catalog.text;{declare}
    londiste_table      pg_catalog.int8;
    londiste_careful    pg_catalog.bool;
    londiste_saved      pg_catalog.text[];
begin
{moved}{start}    if londiste_table is null then
{marked}    end if;
{then}{inserts}
    else
{unknown}        if londiste_table is null then
            raise exception 'queue not found: %', {queue};
        elsif londiste_table OPERATOR(pg_catalog.<) 0 then
            if {any_rows} then
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
    end if;
{moved_end}    return new;
end
"""

# Rows that a MERGE moved between partitions are not among those of the statement; see londiste.note_moved_row.
_MOVED = """    if pg_catalog.strpos(pg_catalog.current_setting('londiste.moved', true), '{mark}')
        OPERATOR(pg_catalog.>) 0
    then
        londiste_moved := londiste.moved_rows_sql(TG_RELID::pg_catalog.regclass, '{mark}');
    end if;
"""

_MOVED_END = """    if londiste_moved is not null then
        perform londiste.forget_moved_rows('{mark}');
    end if;
"""

_START = """    londiste_table := case
        when pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{marks}'
            and {usual}
            and pg_catalog.set_config('londiste.open', '', true) is not null
        then {number} end;
{quick}"""

_OPEN_FUNCTION = """
declare
    unused  pg_catalog.text;
begin
    unused := pg_catalog.set_config('londiste.open', coalesce(pg_catalog.current_setting('londiste.open', true), '')
        OPERATOR(pg_catalog.||) '{mark}', true);
    return new;
end
"""

# The mark of a statement that is not alone, or that finds something out of the ordinary.
_MARKED = """        londiste_open := pg_catalog.current_setting('londiste.open', true);
        londiste_table := case
            when pg_catalog.right(londiste_open, {length}) OPERATOR(pg_catalog.=) '{marks}'
                and pg_catalog.strpos(pg_catalog.left(londiste_open, -{length}), '{mark},') OPERATOR(pg_catalog.=) 0
                and {usual}
                and pg_catalog.set_config('londiste.open',
                    pg_catalog.left(londiste_open, -{length}), true) is not null
            then {number} end;
        if londiste_table is null then
            londiste_saved := londiste.capture_begin('{op}', '{mark}', {any_rows},
                londiste.plain_text({me}));
            if londiste_saved is null then
                return new;
            end if;
            londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
                and TG_RELID OPERATOR(pg_catalog.=) {oid} and {holds}{not_moved}) is not true;
{otherwise}        end if;
"""

# What has to be as usual for the image to be logged as it is; what is no matter of the moment is folded away.
_USUAL = "TG_RELID OPERATOR(pg_catalog.=) {oid}{settings} and londiste.role_is_origin() and {fits}{not_moved}"

# Text output of the columns' types may depend on settings.
_SETTINGS = """
            and (not londiste.text_needs({me}, 'DateStyle')
                or pg_catalog.starts_with(pg_catalog.current_setting('DateStyle'), 'ISO'))
            and (not londiste.text_needs({me}, 'IntervalStyle')
                or pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres')
            and (not londiste.text_needs({me}, 'extra_float_digits')
                or pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1)
            and londiste.plain_text({me})"""

# INSERT ... ON CONFLICT DO UPDATE and MERGE open INSERT before UPDATE and end UPDATE before INSERT. When UPDATE logs
# rows, `londiste.open` says so, and INSERT most often has none. Whether there are any is seen with the shortest query.
_START_INSERT = """    if pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{marks}' then
        londiste_table := case
            when {usual}
                and pg_catalog.set_config('londiste.open', '', true) is not null
            then {number} end;
{quick}    elsif pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{updated}' then
        perform from {image} limit 1;
        if not found then
            londiste_open := pg_catalog.set_config('londiste.open', '', true);
            return new;
        end if;
    end if;
"""

_MARKED_UPDATE = """        if pg_catalog.current_setting('londiste.open', true)
            OPERATOR(pg_catalog.=) '{both}'{not_moved}
        then
            perform from {image} limit 1;
            if not found then
                londiste_open := pg_catalog.set_config('londiste.open', '{insert}', true);
                return new;
            end if;
            londiste_table := case
                when {usual}
                    and pg_catalog.set_config('londiste.open', '{updated}', true) is not null
                then {number} end;
        end if;
        if londiste_table is null then
{marked}        end if;
"""

_INSERT = """    {els}if londiste_table OPERATOR(pg_catalog.=) {child} and londiste_careful is not true then
        insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
          from {source};"""


def open_function(table: CaptureTable, op: str) -> str:
    """Return the body of the function that notes that a statement of one kind is under way.

    It runs before the statement. The function that ends the mark can then tell whether it was alone, or whether another
    statement (of a user's trigger, of a function called in the statement, of the same MERGE or WITH) logged rows of the
    table meanwhile. The note is a setting, because that goes back with savepoints.
    """
    return _OPEN_FUNCTION.format(mark=marks(table, op))


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
        data, attnums = key_text(table), quote_literal(attnums_text(table.key))
    else:
        kind = f"'{op}'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of({regclass(table.oid)})"
        data = "(londiste_row.*)"
        attnums = f"londiste.attnums_of({regclass(table.oid)}, {regclass(table.root_oid)})"
    target = "londiste_route.londiste_target" if table.route else "null"
    event = {"type": kind, "data": data, "attnums": attnums, "target": target, "source": routed(table, image)}
    # Whether there are any: a row that goes to a partition whose trigger does not take it has an old image only.
    met = "londiste_old" if op == "U" else image
    current = table_to_write(table, op, met, event)
    # The text of a plain key needs no setting.
    settings = "" if op == "D" and table.plain_key else _SETTINGS.format(me=regclass(table.oid))
    takes_moved_rows = op == "U" and table.takes_moved_rows
    not_moved = " and londiste_moved is null" if takes_moved_rows else ""
    any_rows = f"{'londiste_moved is not null or ' if takes_moved_rows else ''}exists (select from {met})"
    usual = _USUAL.format(oid=table.oid, settings=settings, fits=_fits(table, op, named), not_moved=not_moved)
    parts = {
        "marks": marks(table, op),
        "length": len(marks(table, op)),
        "mark": table.mark,
        "usual": usual,
        "number": current.ordinary,
        "op": op,
        "image": met,
        "any_rows": any_rows,
        "not_moved": not_moved,
        "me": regclass(table.oid),
        "oid": table.oid,
        # A delete writes a plain key as only its type may be written, and takes all rows of a key along.
        "holds": _fits(table, op, named) if op == "D" else _holds(table, op, named),
    }
    marked = _MARKED.format(otherwise=current.general, **parts)
    start = _START.format(quick=current.quick, **parts)
    updated = marks(table, "I*")
    if op == "U":
        marked = textwrap.indent(marked, " " * 4)
        both, insert = marks(table, "IU"), marks(table, "I")
        marked = _MARKED_UPDATE.format(both=both, insert=insert, updated=updated, marked=marked, **parts)
    elif op == "I":
        quick = textwrap.indent(current.quick, " " * 4)
        start = _START_INSERT.format(updated=updated, quick=quick, **parts)
    declare = ""
    moved = moved_end = ""
    if takes_moved_rows:
        declare = "\n    londiste_moved      pg_catalog.text;"
        moved, moved_end = (text.format(mark=marks(table, "U")) for text in (_MOVED, _MOVED_END))

    def over_all(statement: str) -> str:
        return f"londiste.with_moved_rows(londiste_moved, {statement})" if takes_moved_rows else statement

    now = f"        execute {over_all(careful(table, op))};"
    if table.route is not None and table.route.parks:
        declare += "\n    londiste_parks      pg_catalog.bool;"
        ways = careful(table, op), careful(table, op, parks=True), parking_text.listing(table, op)
        now = parking_text.careful(*map(over_all, ways))
    elif table.route is not None and table.route.kind == "expr":
        now = tried(table, now)
    return _ROW_FUNCTION.format(
        start=start,
        marked=marked + current.nested,
        then=current.after,
        unknown=current.unknown,
        any_rows=any_rows,
        moved=moved,
        moved_end=moved_end,
        declare=declare,
        queue=quote_literal(table.queue),
        again=_again(table, event),
        careful=now,
        inserts=per_child(table, _INSERT, **event),
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


def _fits(table: CaptureTable, op: str, named: tuple[Column, ...]) -> str:
    """The condition of the ordinary way, which counts on a key that is there once, and on the types of a plain one."""
    if op == "I" or (op == "D" and table.deferrable):
        return _holds(table, op, named)
    key = int2_array(c.attnum for c in table.key)
    # Where a deferrable key was known, an UPDATE makes sure by itself.
    once = "" if table.deferrable else f" and londiste.key_is_unique({regclass(table.oid)}, {key})"
    if not table.plain_key:
        return _holds(table, op, named) + once
    names = quote_array([c.name for c in named])
    types = ",".join(str(c.type_oid if c in table.key else 0) for c in named)
    attnums = int2_array(c.attnum for c in named)
    return f"londiste.columns_fit({regclass(table.oid)}, {names}, {attnums}, '{{{types}}}'::pg_catalog.oid[]){once}"


def _holds(table: CaptureTable, op: str, named: tuple[Column, ...]) -> str:
    if op == "D" and table.deferrable:
        # The key may be there twice until the transaction ends, so that deleting a row need not delete its key.
        return "false"
    if not named:
        return "true"
    names = quote_array([c.name for c in named])
    return f"londiste.columns_hold({regclass(table.oid)}, {names}, {int2_array(c.attnum for c in named)})"
