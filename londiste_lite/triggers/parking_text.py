"""Generates what capture needs for a route that parks: the functions that work it out, and the careful branch.

Where the route's expression fails for a row, the row goes to no node and is listed in `londiste.unrouted_row`. The
ordinary way stays that of any route; only a statement in which a row fails is logged row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.names import quote_array, quote_ident, quote_literal
from londiste_lite.triggers.capture_table import UNROUTED, CaptureTable

# What is about the expression or the row, and not about the server: data, syntax and names, what functions raise.
ABOUT_A_VALUE = (
    "pg_catalog.left(sqlstate, 2) OPERATOR(pg_catalog.=) any ('{21,22,23,2F,38,39,42,0A,P0}'::pg_catalog.text[])"
)

# The literal makes the cached plan depend on the table, see londiste.columns_of.
_ROUTE = """
#variable_conflict use_column
declare
    londiste_targets    pg_catalog.text[];
begin
    select {targets} into londiste_targets where {root} is not null;
    if londiste_why then
        return null;
    end if;
    -- As in londiste.targets_of, which not everybody who copies may call.
    return case when londiste_targets is null then array[null]::pg_catalog.text[]
                when pg_catalog.cardinality(londiste_targets) OPERATOR(pg_catalog.=) 0 then array[{unrouted}]
                else londiste_targets end;
exception when others then
    if {about_a_value} then
        return array[case when londiste_why then sqlerrm else {unrouted} end];
    end if;
    raise;
end
"""

# A row of a transition table has no type with a name: it comes as text, which is lossless.
_ROUTE_OF_TEXT = """
declare
    londiste_targets    pg_catalog.text[];
begin
    execute pg_catalog.concat({call}, {me}::pg_catalog.text, ', false)')
       into londiste_targets using londiste_text;
    return londiste_targets;
end
"""

_TRIED = """    begin
{listed}{work}
    exception when others then
        if not {about_a_value} then
            raise;
        end if;
        londiste_parks := true;
        londiste_careful := true;
    end;
    if coalesce(londiste_table, -1) OPERATOR(pg_catalog.<) 0 then
    {lookup}
    end if;"""

_LISTED = """        if exists (select from londiste_old londiste_row
                     join londiste.unrouted_row u on u.row_key OPERATOR(pg_catalog.=) {key}::pg_catalog.text
                    where u.queue_name OPERATOR(pg_catalog.=) {queue}
                      and u.table_name OPERATOR(pg_catalog.=) {table}) then
            londiste_parks := true;
            londiste_careful := true;
        end if;
"""

_CAREFUL = """        if londiste_parks is not true then
            begin
                execute {plain};
            exception when others then
                if not {about_a_value} then
                    raise;
                end if;
                londiste_parks := true;
            end;
        end if;
        if londiste_parks then
            execute {parking};
            execute {listing};
        end if;"""


@dataclass(frozen=True)
class RouteFunction:
    """A function that capture and copies call to work a route out: its name in schema londiste, arguments and body."""

    name: str
    arguments: str
    body: str

    @property
    def sql(self) -> str:
        """CREATE OR REPLACE FUNCTION."""
        return (
            f"create or replace function londiste.{quote_ident(self.name)}({self.arguments})\n"
            f"returns pg_catalog.text[] language plpgsql stable as {quote_literal(self.body)}"
        )


def route_functions(table: CaptureTable) -> list[RouteFunction]:
    """Return the functions of one relation: for the published table over its rows, for each relation over their text.

    Both give the nodes of a row, NULL for every node, and UNROUTED where the expression fails.
    """
    if table.route is None or not table.route.parks:
        return []
    rule = table.route_expression
    targets = f"{rule}::pg_catalog.text[]" if table.route_many else f"array[{rule}::pg_catalog.text]"
    found = []
    if table.oid == table.root_oid:
        body = _ROUTE.format(
            targets=targets,
            root=f"'{table.root_oid}'::pg_catalog.regclass",
            about_a_value=ABOUT_A_VALUE,
            unrouted=quote_literal(UNROUTED),
        )
        found.append(RouteFunction(table.route_function, "londiste_row anyelement, londiste_why pg_catalog.bool", body))
    call = quote_literal(f"select londiste.{quote_ident(table.route_function)}($1::")
    body = _ROUTE_OF_TEXT.format(call=call, me=f"'{table.oid}'::pg_catalog.regclass")
    found.append(RouteFunction(table.function_name("routetext"), "londiste_text pg_catalog.text", body))
    return found


def tried(table: CaptureTable, op: str, work: str, key: str, lookup: str) -> str:
    """Return statements that decide by a trial whether the ordinary way will do; `key` is the key as a row."""
    listed = ""
    if op != "I":
        listed = _LISTED.format(key=key, queue=quote_literal(table.queue), table=quote_literal(str(table.name)))
    return _TRIED.format(listed=listed, work=work, about_a_value=ABOUT_A_VALUE, lookup=lookup)


def careful(plain: str, parking: str, listing: str) -> str:
    """Return the branch that logs the current rows, by the rule itself while it works for all of them."""
    return _CAREFUL.format(plain=plain, parking=parking, listing=listing, about_a_value=ABOUT_A_VALUE)


def image_route(table: CaptureTable) -> str:
    """The route as an array expression over `londiste_row`, a row of a transition table or of the relation."""
    return f"londiste.{quote_ident(table.function_name('routetext'))}((londiste_row.*)::pg_catalog.text)"


def row_route(table: CaptureTable, why: bool = False) -> str:
    """The same over `londiste_row`, a row of the published table; with `why` the reason why it fails, else NULL."""
    return f"londiste.{quote_ident(table.route_function)}((londiste_row.*), {str(why).lower()})"


def row_key(table: CaptureTable) -> str:
    """The key of `londiste_row` as the list of unrouted rows has it."""
    return "row(" + ", ".join(f"londiste_row.{quote_ident(c.name)}" for c in table.key) + ")::pg_catalog.text"


def is_listed(table: CaptureTable) -> str:
    """The condition that `londiste_row`, a row of the published table, is listed as unrouted."""
    return (
        "exists (select from londiste.unrouted_row londiste_u"
        f" where londiste_u.queue_name OPERATOR(pg_catalog.=) {quote_literal(table.queue)}"
        f" and londiste_u.table_name OPERATOR(pg_catalog.=) {quote_literal(str(table.name))}"
        f" and londiste_u.row_key OPERATOR(pg_catalog.=) {row_key(table)})"
    )


def listing(table: CaptureTable, op: str) -> str:
    """Return the statement that keeps the list of unrouted rows, as an expression."""
    names = (
        f"{quote_literal(table.queue)}, {quote_literal(str(table.name))}, {quote_array([c.name for c in table.key])}"
    )
    attnums = "'{" + ",".join(str(c.root_attnum) for c in table.key) + "}'::pg_catalog.int2[]"
    me = f"'{table.oid}'::pg_catalog.regclass"
    root = f"'{table.root_oid}'::pg_catalog.regclass"
    return (
        f"pg_catalog.array_to_string(londiste.list_unrouted_sql('{op}', {root}, {names}, {attnums},\n"
        f"                {quote_literal(row_route(table, why=True))}), {me if op == 'T' else root}::pg_catalog.text)"
    )
