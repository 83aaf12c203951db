"""Applying a staged batch event by event, in the order of capture, inside the server.

Used with `apply = ordered`, where foreign keys form a circle that this role cannot switch off, and after a failed bulk
apply, to name the event that cannot be applied. The generated function ends with an error whose COLUMN is the event's
number and whose TABLE is the provider's table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from londiste_lite.conflicts import KINDS, MOST_KEYS
from londiste_lite.db import Database
from londiste_lite.names import TableName, quote_ident, quote_literal
from londiste_lite.replay import conflict_sql
from londiste_lite.replay.apply import TablePlan, build_plans
from londiste_lite.replay.catalog import Catalog
from londiste_lite.replay.compact import Source
from londiste_lite.replay.stage import STAGE, Group
from londiste_lite.subscribed import RowCounts, Subscribed

FUNCTION = 'pg_temp."londiste_ordered"'

# Of what events expect: per table the counts of conflicts stand in this order.
_LETTERS = tuple(KINDS)


@dataclass(frozen=True)
class _Branch:
    """One kind of event: the condition that finds it in the stage, and the statements that apply it."""

    condition: str
    body: str


def apply(
    db: Database, catalog: Catalog, groups: Sequence[Group], tables: Mapping[TableName, Subscribed]
) -> dict[TableName, RowCounts]:
    """Apply what is staged in order; return the counts per table. Raises DatabaseError with the event's number."""
    plans = build_plans(catalog, groups, tables)
    if not plans:
        return {}
    catalog.once(function_text(plans))
    for place, count, ring in db.run(f"select i, n, k from {FUNCTION}() f (i, n, k)"):
        table, letter = divmod(int(place), len(_LETTERS))
        last_first = [ring[(int(count) - 1 - n) % MOST_KEYS] for n in range(min(int(count), MOST_KEYS))]
        plans[table].counts.conflicts.add(_LETTERS[letter], int(count), last_first)
    return {plan.target.name: plan.counts for plan in plans}


def function_text(plans: list[TablePlan]) -> str:
    """Return the DDL of the function that applies the stage to the tables of `plans`."""
    variables: list[str] = []
    branches: list[_Branch] = []
    for number, plan in enumerate(plans):
        name = quote_literal(str(plan.target.name))
        if plan.truncated:
            verb = "delete from" if plan.target.table.referenced else "truncate"
            branches.append(
                _Branch(f"tbl = {name} and pg_catalog.left(typ, 1) = 'R'", f"{verb} {plan.target.table.target};")
            )
        for source in plan.sql.sources:
            variable = f"londiste_row_{len(variables)}"
            variables.append(f"{variable} {source.row_type};")
            branches.append(_Branch(source.where, _row_body(plan, source, number, variable)))
    cases = " ".join(f"when {b.condition} then {n}" for n, b in enumerate(branches))
    steps = " els".join(f"if londiste_event.kind = {n} then {b.body}" for n, b in enumerate(branches))
    names = ", ".join(quote_literal(str(plan.target.name)) for plan in plans)
    later = " ".join(
        f"when tbl = {quote_literal(str(p.target.name))} then ev_id >= {p.sql.after}"
        for p in plans
        if p.sql.after is not None
    )
    only = f"where case {later} else true end" if later else ""
    body = _body(plans, variables, cases, steps, names, only)
    tag = "$londiste$"
    while tag in body:
        tag = f"$_{tag[1:]}"
    return f"""create or replace function {FUNCTION}()
returns table (londiste_i int4, londiste_n int8, londiste_k text[]) language plpgsql as {tag}{body}{tag}"""


def _body(plans: list[TablePlan], variables: list[str], cases: str, steps: str, names: str, only: str) -> str:
    return f"""
#variable_conflict use_column
declare
    londiste_event record;
    londiste_conflicts int8[] := pg_catalog.array_fill(0::int8, array[{len(plans) * len(_LETTERS)}]);
    londiste_keys text[] := pg_catalog.array_fill(null::text, array[{len(plans) * len(_LETTERS) * MOST_KEYS}]);
    londiste_place int4;
    londiste_names text[] := array[{names}]::text[];
    londiste_message text; londiste_detail text; londiste_constraint text; londiste_context text;
    {" ".join(variables)}
begin
    for londiste_event in
        select ev_id, tbl, pg_catalog.left(typ, 1) as op, data, case {cases} end as kind
        from {STAGE} {only} order by ev_id
    loop
        {steps} end if;
    end loop;
    return query select n - 1, londiste_conflicts[n], londiste_keys[(n - 1) * {MOST_KEYS} + 1 : n * {MOST_KEYS}]
                 from pg_catalog.generate_series(1, {len(plans) * len(_LETTERS)}) n
                 where londiste_conflicts[n] > 0;
exception when others then
    get stacked diagnostics londiste_message = message_text, londiste_detail = pg_exception_detail,
                            londiste_constraint = constraint_name, londiste_context = pg_exception_context;
    raise exception using message = londiste_message, detail = londiste_detail, errcode = sqlstate,
        constraint = londiste_constraint, column = londiste_event.ev_id::text, table = londiste_event.tbl,
        datatype = londiste_context;
end
"""


def _row_body(plan: TablePlan, source: Source, number: int, variable: str) -> str:
    """Statements for one event of one source: its row is parsed into `variable` first."""
    table = plan.target.table
    keys = {k.name for k in plan.target.key if k.equality.exact}
    key = conflict_sql.key_text([source.value(variable, k.name) for k in plan.target.key])
    count = {letter: _count(number * len(_LETTERS) + n, key) for n, letter in enumerate(_LETTERS, 1)}
    match = " and ".join(
        f"t.{quote_ident(k.name)} {k.equality.operator} {source.value(variable, k.name)}" for k in plan.target.key
    )
    exists = f"exists (select 1 from {table.target} t where {match})"
    delete = f"delete from {table.target} t where {match}; if not found then {count['D']} end if;"
    insert = (
        f"insert into {table.name.quoted} ({', '.join(quote_ident(c) for c in source.writable)}) "
        f"overriding system value values ({', '.join(source.value(variable, c) for c in source.writable)});"
    )
    fixed = [c.name for c in table.columns if c.identity == "a" and c.name in source.writable and c.name not in keys]
    same = "".join(f" and t.{quote_ident(c)} = {source.value(variable, c)}" for c in fixed)
    changed = [c for c in source.writable if c not in keys and c not in fixed]
    if changed:
        sets = ", ".join(f"{quote_ident(c)} = {source.value(variable, c)}" for c in changed)
        update = f"update {table.target} t set {sets} where {match}{same};"
    else:
        update = f"perform 1 from {table.target} t where {match}{same};"
    if fixed:
        update += f" if not found then {_replace_row(plan, source, variable, match)} end if;"
    upsert = f"{update} if not found then {count['U']} {insert} end if;"
    careful = f"if {exists} then {count['I']} {update} else {insert} end if;"
    body = f"{variable} := londiste_event.data::{source.row_type}; "
    return (
        f"{body} if londiste_event.op = 'D' then {delete} elsif londiste_event.op = 'I' then {careful} "
        f"else {upsert} end if;"
    )


def _count(place: int, key: str) -> str:
    """Statements that count a conflict at a place of the array, and keep its key in the ring of the last ones."""
    counter = f"londiste_conflicts[{place}]"
    return (
        f"londiste_place := {(place - 1) * MOST_KEYS + 1} + ({counter} % {MOST_KEYS})::int4; "
        f"{counter} := {counter} + 1; londiste_keys[londiste_place] := {key};"
    )


def _replace_row(plan: TablePlan, source: Source, variable: str, match: str) -> str:
    """A statement for a row whose GENERATED ALWAYS identity differs, which no UPDATE may set: delete and insert it."""
    table = plan.target.table
    extra = [quote_ident(c) for c in plan.sql.extra_columns(source)]
    names = ", ".join([*(quote_ident(c) for c in source.writable), *extra])
    values = ", ".join([*(source.value(variable, c) for c in source.writable), *(f"gone.{c}" for c in extra)])
    return (
        f"with gone as (delete from {table.target} t where {match} returning t.*) "
        f"insert into {table.name.quoted} ({names}) overriding system value select {values} from gone;"
    )
