"""Generates what logs rows as the table holds them now, where a statement's own image will not do; pure."""

from __future__ import annotations

from londiste_lite.names import quote_array, quote_literal
from londiste_lite.triggers import parking_text
from londiste_lite.triggers.capture_table import CaptureTable
from londiste_lite.triggers.event_text import events, int2_array, regclass

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


def careful(table: CaptureTable, op: str, parks: bool = False) -> str:
    """Return the careful statement as an expression, with `parks` the one that no row can make fail by its route.

    All arguments are literals, so that its text is made once per plan. In a database that was restored from a dump oids
    and attnums mean nothing, and TG_RELID is what there is.
    """
    keys = quote_array([c.name for c in table.key])
    attnums = f"{int2_array(c.root_attnum for c in table.key)}"
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
    me, root = regclass(table.oid), regclass(table.root_oid)
    actual = "TG_RELID::pg_catalog.regclass"
    actual_root = f"coalesce(pg_catalog.pg_partition_root({actual}), {actual})"
    return (
        f"pg_catalog.concat({quote_literal(f'insert into {events(table)}_')}, londiste_table,\n"
        f"            case when TG_RELID OPERATOR(pg_catalog.=) {table.oid} then pg_catalog.array_to_string(\n"
        f"                londiste.{maker}('{op}', {me}, {root}, {name},\n"
        f"                    {keys}, {attnums}, {route}, {route_attnum}::pg_catalog.int2, {many}{more}),\n"
        f"                {me if op == 'T' else root}::pg_catalog.text)\n"
        f"            else pg_catalog.array_to_string(\n"
        f"                londiste.{maker}('{op}', {actual}, {actual_root}, {name},\n"
        f"                    {keys}, null, {route}, null, {many}{more}),\n"
        f"                {actual if op == 'T' else actual_root}::pg_catalog.text) end)"
    )


def tried(table: CaptureTable, work: str) -> str:
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
