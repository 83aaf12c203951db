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
# In a transaction of its own each expression costs about 1 us and each query 10 us, so the ordinary way is four
# expressions at most and two queries: the first IF, which also ends the mark, the lookup, the INSERT.
_ROW_FUNCTION = """
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_careful    pg_catalog.bool;{declare}
    londiste_saved      pg_catalog.text[];
begin
    if (TG_RELID OPERATOR(pg_catalog.=) {oid}
        and pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) '{op}{mark},'
        and pg_catalog.left(pg_catalog.current_setting('DateStyle'), 3) OPERATOR(pg_catalog.=) 'ISO'
        and pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres'
        and pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1
        and pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin'
        and londiste.plain_text({me})
        and {holds}
        and pg_catalog.set_config('londiste.open', '', true) OPERATOR(pg_catalog.=) '') is not true
    then
        londiste_saved := londiste.capture_begin('{op}', '{mark}', exists (select from {image}),
            londiste.plain_text({me}));
        if londiste_saved is null then
            return null;
        end if;
        londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
            and TG_RELID OPERATOR(pg_catalog.=) {oid} and {holds}) is not true;
    end if;
{lookup}
{inserts}
    elsif londiste_table is null then
        raise exception 'queue not found: %', {queue};
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        if exists (select from {image}) then
            raise exception 'Insert into queue disallowed';
        end if;
    else
{careful}
    end if;
    if londiste_saved is not null then
        perform londiste.capture_end(londiste_saved);
    end if;
    return null;
end
"""

# -1 stands for a queue that takes no events.
_LOOKUP = """    select case when q.queue_disable_insert then -1 else q.queue_cur_table end
      into londiste_table
      from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) {queue_id};"""

# Whether the keys and targets after the statement are those before it: a sum of hashes does not mind their order, and
# as hash + ~hash is -1, the whole is minus the number of pairs. Two different sets pass once in 2^64.
_LOOKUP_AND_COMPARE = """    if londiste_careful then
    {lookup}
    else
        select case when q.queue_disable_insert then -1 else q.queue_cur_table end,
               (select coalesce(pg_catalog.sum(h.hash), 0) OPERATOR(pg_catalog.*) 2
                           OPERATOR(pg_catalog.+) pg_catalog.count(*) OPERATOR(pg_catalog.<>) 0
                  from (select pg_catalog.hashtextextended({key}::pg_catalog.text, 0) as hash
                          from {old}
                        union all
                        select OPERATOR(pg_catalog.~) pg_catalog.hashtextextended({key}::pg_catalog.text, 0)
                          from {new}) h)
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
    lookup = _LOOKUP.format(queue_id=table.queue_id)
    target = "londiste_route.londiste_target" if table.route else "null"
    if op == "U":
        pair = _row_of(table.key, target if table.route else None)
        old, new = _routed(table, "londiste_old"), _routed(table, "londiste_new")
        indented = lookup.replace("\n", "\n    ")
        lookup = _LOOKUP_AND_COMPARE.format(key=pair, old=old, new=new, queue_id=table.queue_id, lookup=indented)
    if op == "D":
        kind = quote_literal("D" + array_text(tuple(c.name for c in table.key)))
        data, attnums = _row_of(table.key), quote_literal(attnums_text(table.key))
    else:
        kind = f"'{op}'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of({_regclass(table.oid)})"
        data = "(londiste_row.*)"
        attnums = f"londiste.attnums_of({_regclass(table.oid)}, {_regclass(table.root_oid)})"
    inserts = _per_child(
        table, _INSERT, type=kind, data=data, attnums=attnums, target=target, source=_routed(table, image)
    )
    careful = f"        execute {_careful(table, op)};"
    parks = table.route is not None and table.route.parks
    if parks:
        work = lookup if op == "U" else _TRY.format(source=_routed(table, image))
        plain = _LOOKUP.format(queue_id=table.queue_id)
        lookup = parking_text.tried(table, op, work, _row_of(table.key), plain)
        careful = parking_text.careful(
            _careful(table, op), _careful(table, op, parks=True), parking_text.listing(table, op)
        )
    elif table.route is not None and table.route.kind == "expr":
        careful = _tried(table, careful)
        trial = _tried(table, _TRY.format(source=_routed(table, image)))
        lookup = _tried(table, lookup) if op == "U" else f"{trial}\n{lookup}"
    return _ROW_FUNCTION.format(
        holds=_holds(table, op, named),
        oid=table.oid,
        op=op,
        mark=table.mark,
        me=_regclass(table.oid),
        image=image,
        declare="\n    londiste_parks      pg_catalog.bool;" if parks else "",
        lookup=lookup,
        queue=quote_literal(table.queue),
        careful=careful,
        inserts=inserts,
    )


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
