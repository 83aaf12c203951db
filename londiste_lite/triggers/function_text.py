"""Generates the SQL text of the capture functions; pure, without a database.

What the functions call is in `sql/londiste/functions`; the triggers that call them are in `trigger_text`.

Rules for the text, since it runs with the rights of its owner inside whatever session a user has: every function, type
and operator is qualified; IS DISTINCT FROM, CASE x WHEN, IN and BETWEEN do not occur, for they find `=` through
search_path. A SET clause would be simpler, but costs 15 us a call.
"""

from __future__ import annotations

from collections.abc import Iterable

from londiste_lite.names import quote_array, quote_ident, quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable, Column

CHILD_TABLES = 3  # pgq.queue.queue_ntables of every queue

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
        null;{upsert}
    else
        londiste_open := pg_catalog.current_setting('londiste.open', true);
{nothing}        if (pg_catalog.right(londiste_open, {length}) OPERATOR(pg_catalog.=) '{marks}'
            and pg_catalog.strpos(pg_catalog.left(londiste_open, -{length}), '{mark},') OPERATOR(pg_catalog.=) 0
            and {usual}
            and pg_catalog.set_config('londiste.open',
                pg_catalog.left(londiste_open, -{length}), true) is not null) is true
        then
            null;
        else
            londiste_saved := londiste.capture_begin('{op}', '{mark}', exists (select from {image}),
                londiste.plain_text({me}));
            if londiste_saved is null then
                return null;
            end if;
            londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
                and TG_RELID OPERATOR(pg_catalog.=) {oid} and {holds}) is not true;
        end if;
    end if;
{table}
{inserts}
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

# The number of the current event table, null or -1 where one has to ask; see londiste.note_current_table.
_CURRENT = """    londiste_table :=
        pg_catalog.pg_sequence_last_value('londiste.event_{queue_id}_current'::pg_catalog.regclass);"""

_UNKNOWN = """        if londiste_table is null or londiste_table OPERATOR(pg_catalog.<) 0 then
{lookup}
        end if;
"""

# INSERT ... ON CONFLICT DO UPDATE and MERGE open INSERT before UPDATE and end UPDATE before INSERT. When UPDATE logged
# rows, `londiste.open` says so, and INSERT most often has none.
_UPSERT = """
    elsif (pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{both}'
        and {usual}
        and pg_catalog.set_config('londiste.open', '{insert}', true) is not null) is true
    then
        londiste_after := '{updated}';"""

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

# An expression is tried before anything is written: a block that catches errors and writes would cost a subtransaction
# number per statement.
_TRIED = """    begin
{work}
    exception when others then
        if {about_a_value}
        then
            raise exception 'the route of table "%" cannot be worked out for a row: %', {table}, sqlerrm
                using errcode = sqlstate, detail = {detail}, hint = {hint};
        end if;
        raise;
    end;"""

_TRY = """        if londiste_careful is not true then
            perform pg_catalog.count(londiste_route.londiste_target) from {source};
        end if;"""

_INSERT = """    {els}if londiste_table OPERATOR(pg_catalog.=) {child} and londiste_careful is not true then
        insert into {events}_{child} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), {type}, {data}::pg_catalog.text, {table}, {attnums}, {target}
          from {source};"""

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


def array_text(values: tuple[str, ...]) -> str:
    """Return the text form of a `text[]` with these elements, as PostgreSQL itself writes it."""

    def element(value: str) -> str:
        plain = value and value.upper() != "NULL" and not any(ch in '{}",\\ \t\n\r\v\f' for ch in value)
        return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(element(value) for value in values) + "}"


def attnums_text(columns: tuple[Column, ...]) -> str | None:
    """Return `ev_extra2` of an event that lists these columns: None when they are the first ones in order."""
    nums = [c.root_attnum for c in columns]
    return None if nums == list(range(1, len(nums) + 1)) else "{" + ",".join(map(str, nums)) + "}"


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


def truncate_function(table: CaptureTable) -> str:
    """Return the body of the function that logs TRUNCATE.

    For a partition it runs before the statement and logs the delete of every row, unless the whole published
    table is being truncated.
    """
    skip = ""
    event = _TRUNCATE_EVENT.format(
        insert=quote_literal(f"insert into {_events(table)}_"), table=quote_literal(str(table.name))
    )
    parks = table.route is not None and table.route.parks
    unlist = ""
    if parks:
        unlist = _UNLIST.format(queue=quote_literal(table.queue), table=quote_literal(str(table.name)))
    if table.kind == "leaf":
        skip = _TRUNCATE_OF_ROOT.format(mark=table.mark)
        event = _careful(table, "T", parks)
        if parks:
            unlist = f"    execute {parking_text.listing(table, 'T')};\n"
    return _TRUNCATE_FUNCTION.format(
        skip=skip,
        mark=table.mark,
        me=_regclass(table.oid),
        lookup=_LOOKUP.format(queue_id=table.queue_id),
        queue=quote_literal(table.queue),
        event=event,
        unlist=unlist,
    )


def _row_function(table: CaptureTable, op: str, image: str, named: tuple[Column, ...]) -> str:
    source = _routed(table, image)
    if op == "D":
        kind = quote_literal("D" + array_text(tuple(c.name for c in table.key)))
        data, attnums = _row_of(table.key), quote_literal(attnums_text(table.key))
    else:
        kind = f"'{op}'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of({_regclass(table.oid)})"
        data = "(londiste_row.*)"
        attnums = f"londiste.attnums_of({_regclass(table.oid)}, {_regclass(table.root_oid)})"
    target = "londiste_route.londiste_target" if table.route else "null"
    event = {"type": kind, "data": data, "attnums": attnums, "target": target, "source": source}
    insert, both, updated = (_marks(table, operations) for operations in ("I", "IU", "I*"))
    usual = _USUAL.format(oid=table.oid, me=_regclass(table.oid), holds=_holds(table, op, named))
    upsert, nothing, note, declare = "", "", "", ""
    if op == "U":
        upsert = _UPSERT.format(both=both, insert=insert, updated=updated, usual=usual)
        note = _NOTE_UPDATED.format(image=image)
        declare = "\n    londiste_after      pg_catalog.text;"
    elif op == "I":
        nothing = _NOTHING_INSERTED.format(updated=updated, image=image)
    careful = f"        execute {_careful(table, op)};"
    if table.route is not None and table.route.parks:
        declare += "\n    londiste_parks      pg_catalog.bool;"
        careful = parking_text.careful(
            _careful(table, op), _careful(table, op, parks=True), parking_text.listing(table, op)
        )
    elif table.route is not None and table.route.kind == "expr":
        careful = _tried(table, careful)
    reads_current = _reads_current(table, op)
    return _ROW_FUNCTION.format(
        marks=_marks(table, op),
        length=len(_marks(table, op)),
        usual=usual,
        upsert=upsert,
        table=_read_current(table, op, image, event) if reads_current else _ask(table, op, source),
        unknown=_UNKNOWN.format(lookup=_lookup(table)) if reads_current else "",
        nothing=nothing,
        holds=_holds(table, op, named),
        oid=table.oid,
        op=op,
        mark=table.mark,
        me=_regclass(table.oid),
        image=image,
        declare=declare,
        queue=quote_literal(table.queue),
        again=_again(table, event),
        careful=careful,
        inserts=_per_child(table, _INSERT, **event),
        note=note,
    )


def _reads_current(table: CaptureTable, op: str) -> bool:
    """Whether a sequence tells the table to write; not where the route has to be tried before anything is logged.

    An UPDATE of a row with several targets is compared as a whole.
    """
    tried = table.route is not None and (table.route.kind == "expr" or (op == "U" and table.route_many))
    return table.current_sequence and not tried


def _read_current(table: CaptureTable, op: str, image: str, event: dict[str, str]) -> str:
    """Return the statements that learn the table to write from the sequence, and what an UPDATE does then."""
    current = _CURRENT.format(queue_id=table.queue_id)
    if op != "U":
        return current
    pair, old = _pair(table), _routed(table, "londiste_old")
    if table.route is None and len(table.key) == 1:
        # One column's text without the parentheses of a row is quicker to make.
        pair = f"pg_catalog.concat({pair.removeprefix('row(')}"
    tries = _per_child(table, _INSERT_ONE, pair=pair, old=old, **event)
    return current + "\n" + _TRY_ONE.format(inserts=tries, compare=_compare(table), image=image)


def _ask(table: CaptureTable, op: str, source: str) -> str:
    """Return the statements that ask for the table to write, with the trial of a route that may fail."""
    lookup = _lookup(table)
    work = _TRY.format(source=source)
    if op == "U":
        indented = lookup.replace("\n", "\n    ")
        work = _LOOKUP_AND_COMPARE.format(compare=_compare(table), queue_id=table.queue_id, lookup=indented)
    if table.route is not None and table.route.parks:
        return parking_text.tried(table, op, work, _row_of(table.key), lookup)
    if table.route is not None and table.route.kind == "expr":
        return _tried(table, work) if op == "U" else f"{_tried(table, work)}\n{lookup}"
    return work if op == "U" else lookup


def _lookup(table: CaptureTable) -> str:
    return _LOOKUP.format(queue_id=table.queue_id)


def _compare(table: CaptureTable) -> str:
    """Return the expression that tells whether an UPDATE changed a key or a target."""
    old, new = _routed(table, "londiste_old"), _routed(table, "londiste_new")
    return _COMPARE.format(pair=_pair(table), old=old, new=new)


def _pair(table: CaptureTable) -> str:
    """Return key and target of `londiste_row` as a row."""
    return _row_of(table.key, "londiste_route.londiste_target" if table.route else None)


def _again(table: CaptureTable, event: dict[str, str]) -> str:
    """The statement that logs the image, as an expression, for a table whose number was not known beforehand."""
    columns = "(ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)"
    select = (
        f" {columns} select pg_catalog.now(), {event['type']}, {event['data']}::pg_catalog.text,"
        f" {quote_literal(str(table.name))}, {event['attnums']}, {event['target']} from {event['source']}"
    )
    into = quote_literal(f"insert into {_events(table)}_")
    return f"pg_catalog.concat({into}, londiste_table, {quote_literal(select)})"


def _marks(table: CaptureTable, operations: str) -> str:
    """What `londiste.open` holds while these statements are under way, the outermost first."""
    return "".join(f"{operation}{table.mark}," for operation in operations)


def _tried(table: CaptureTable, work: str) -> str:
    """Return statements under a handler that names the table and its route when the route's expression fails."""
    assert table.route is not None
    name = str(table.name)
    return _TRIED.format(
        work=work,
        about_a_value=parking_text.ABOUT_A_VALUE,
        table=quote_literal(name),
        detail=quote_literal(f"The route is: {table.route.text}"),
        hint=quote_literal(
            f"Correct the row, or set another route with: provider add {name} --node-expr ..., or --all-nodes; "
            "with --node-errors park such rows are captured, and go to no node."
        ),
    )


def _holds(table: CaptureTable, op: str, named: tuple[Column, ...]) -> str:
    if op == "D" and table.deferrable:
        # The key may be there twice until the transaction ends, so that deleting a row need not delete its key.
        return "false"
    if not named:
        return "true"
    names = quote_array([c.name for c in named])
    return f"londiste.columns_hold({_regclass(table.oid)}, {names}, {_int2_array(c.attnum for c in named)})"


def _careful(table: CaptureTable, op: str, parks: bool = False) -> str:
    """Return the careful statement as an expression, with `parks` the one that no row can make fail by its route.

    All arguments are literals, so that its text is made once per plan. In a database that was restored from a dump oids
    and attnums mean nothing, and TG_RELID is what there is.
    """
    keys = quote_array([c.name for c in table.key])
    attnums = f"{_int2_array(c.root_attnum for c in table.key)}"
    route, route_attnum = "null", "null"
    if table.route:
        route = quote_literal(table.route_expression)
        if table.route.kind == "column":
            route_attnum = str(table.route_columns[0].root_attnum)
    name, many = quote_literal(str(table.name)), str(table.route_many).lower()
    maker, more = "current_rows_sql", ""
    if parks:
        route, route_attnum, many = quote_literal(parking_text.image_route(table)), "null", "true"
        maker, more = "rows_now_sql", f", {quote_literal(parking_text.row_route(table))}"
    me, root = _regclass(table.oid), _regclass(table.root_oid)
    actual = "TG_RELID::pg_catalog.regclass"
    actual_root = f"coalesce(pg_catalog.pg_partition_root({actual}), {actual})"
    return (
        f"pg_catalog.concat({quote_literal(f'insert into {_events(table)}_')}, londiste_table,\n"
        f"            case when TG_RELID OPERATOR(pg_catalog.=) {table.oid} then pg_catalog.array_to_string(\n"
        f"                londiste.{maker}('{op}', {me}, {root}, {name},\n"
        f"                    {keys}, {attnums}, {route}, {route_attnum}::pg_catalog.int2, {many}{more}),\n"
        f"                {me if op == 'T' else root}::pg_catalog.text)\n"
        f"            else pg_catalog.array_to_string(\n"
        f"                londiste.{maker}('{op}', {actual}, {actual_root}, {name},\n"
        f"                    {keys}, null, {route}, null, {many}{more}),\n"
        f"                {actual if op == 'T' else actual_root}::pg_catalog.text) end)"
    )


def _per_child(table: CaptureTable, template: str, **parts: str) -> str:
    common = {"events": _events(table), "table": quote_literal(str(table.name)), **parts}
    return "\n".join(
        template.format(child=child, els="els" if child else "", **common) for child in range(CHILD_TABLES)
    )


def _routed(table: CaptureTable, image: str) -> str:
    """Return the FROM item for a transition table, each row joined with its targets."""
    source = f"{image} londiste_row"
    if table.route is None:
        return source
    if table.route_many:
        targets = (
            "(select distinct londiste_one.target::pg_catalog.text as londiste_target from pg_catalog.unnest("
            f"coalesce({table.route_expression}::pg_catalog.text[], array[null]::pg_catalog.text[])) "
            "londiste_one (target))"
        )
    else:
        targets = f"(select ({table.route.sql})::pg_catalog.text as londiste_target{table.route_source})"
    return f"{source} cross join lateral {targets} londiste_route"


def _row_of(columns: tuple[Column, ...], more: str | None = None) -> str:
    parts = [f"londiste_row.{quote_ident(c.name)}" for c in columns]
    return "row(" + ", ".join(parts + ([more] if more else [])) + ")"


def _int2_array(nums: Iterable[int]) -> str:
    return "'{" + ",".join(str(n) for n in nums) + "}'::pg_catalog.int2[]"


def _regclass(oid: int) -> str:
    # A literal, not a cast number: only a literal makes cached plans depend on the table.
    return f"'{oid}'::pg_catalog.regclass"


def _events(table: CaptureTable) -> str:
    return f"pgq.event_{table.queue_id}"
