"""Capture in hostile surroundings: names, search_paths, settings, roles without rights, restored databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, PrivilegeMissing
from londiste_lite.names import QualifiedName, quote_ident
from londiste_lite.throwaway import ThrowawayServer
from londiste_lite.triggers.capture_table import Route
from tests.database.capture_oracle import publish

LONG = "x" * 63
NAMES = [
    "n",
    "old",
    "new",
    "ev_type",
    "londiste_row",
    "londiste_new",
    "londiste_same",
    "londiste_target",
    "q",
    "select",
    "tg_op",
    'we ird""x',
    "Größe",
    LONG,
    "a,b",
    "{}",
    "null",
    "back\\slash",
    "it's",
    "$londiste$",
    "per%cent",
    "u(target)",
]


@pytest.fixture
def dsn(server: ThrowawayServer, new_database: Callable) -> str:
    return str(new_database(server, schema.PROVIDER))


@pytest.fixture
def db(dsn: str, open_connection: Callable) -> Database:
    return open_connection(dsn)


@pytest.mark.parametrize("route", [None, Route("column", "tg_op"), Route("column", "londiste_target")])
def test_names__every_column_hostile(db: Database, route: Route | None) -> None:
    columns = ", ".join(f"{quote_ident(n)} text" for n in NAMES)
    keys = ", ".join(quote_ident(n) for n in NAMES[:20])
    db.script(f"create table public.t ({columns}, primary key ({keys}))")
    t = publish(db, "t", route=route)
    values = ", ".join(f"'{i}'" for i in range(len(NAMES)))
    db.script(f"insert into t values ({values})")
    for name in NAMES:
        db.script(f"update t set {quote_ident(name)} = 'changed'")
    t.check()
    db.script("delete from t")
    t.check()
    assert t.rows == {}


def test_names__table_and_schema_hostile(db: Database) -> None:
    for name in NAMES:
        table = QualifiedName(name, name)
        db.script(f"create schema {quote_ident(name)}")
        db.script(f"create table {table.quoted} (id int primary key, {quote_ident(name)} int)")
        t = publish(db, str(table))
        db.script(f"insert into {table.quoted} values (1, 1), (2, 2); update {table.quoted} set id = id + 10")
        db.script(f"delete from {table.quoted} where id = 11; truncate {table.quoted}")
        assert t.check()[-1].table == str(table)


def test_roles__writer_needs_no_rights_on_the_queue(dsn: str, db: Database, open_connection: Callable) -> None:
    db.script(
        "create role writer login; create table t (id int primary key, v text);"
        "grant insert, update, delete, truncate on t to writer; grant select on t to writer"
    )
    t = publish(db, "t")
    try:
        writer = open_connection(dsn.replace("user=postgres", "user=writer"))
        writer.script("insert into t values (1, 'a'), (2, 'b'); update t set id = id + 5; delete from t where id = 6")
        writer.script("insert into t values (1, 'x') on conflict (id) do update set v = 'y'; set datestyle = 'German'")
        writer.script("update t set v = 'z'")
        t.check()
        for forbidden in ("insert into pgq.event_1_0 (ev_time) values (now())", "truncate pgq.event_1_0"):
            with pytest.raises(PrivilegeMissing):
                writer.script(forbidden)
        name = t.capture.function_name("insert")
        writer.script("create temporary table mine (id int, v text)")
        with pytest.raises(PrivilegeMissing):
            writer.script(
                "create trigger forge after insert on mine referencing new table as londiste_new"
                f' for each statement execute function londiste."{name}"()'
            )
        writer.script("truncate t")
        t.check()
    finally:
        db.script("drop owned by writer; drop role writer")


EVIL = """
create schema evil;
grant usage, create on schema evil to public;
create table evil.hits (what text); grant insert on evil.hits to public;
create function evil.hit(what text) returns void language plpgsql as
    $$ begin insert into evil.hits values (what || ' as ' || current_user); end $$;
"""


def _evil_operators() -> str:
    parts = [EVIL]
    types = ["text", "int4", "int8", "int2", "bool", "numeric", "oid", "record"]
    for left in types:
        for op in ("=", "<>", "||", ">", ">=", "<", "<=", "+", "*"):
            name = f"op_{left}_{len(parts)}"
            result = "text" if op == "||" else "bool" if op in ("=", "<>", ">", ">=", "<", "<=") else left
            parts.append(
                f"create function evil.{name}({left}, {left}) returns {result} language plpgsql as"
                f" $$ begin perform evil.hit('{left} {op}'); return null; end $$;"
                f"create operator evil.{op} (leftarg = {left}, rightarg = {left}, function = evil.{name});"
            )
    for signature, result in {
        "now()": "timestamptz",
        "concat(variadic text[])": "text",
        "left(text, int)": "text",
        "strpos(text, text)": "int",
        "set_config(text, text, bool)": "text",
        "current_setting(text)": "text",
        "current_setting(text, bool)": "text",
        "hashtextextended(text, int8)": "int8",
        "format(text, variadic text[])": "text",
        "columns_of(regclass)": "text",
        "overlay(text, text, int, int)": "text",
        "replace(text, text, text)": "text",
        "length(text)": "int",
        "translate(text, text, text)": "text",
        "lower(text)": "text",
    }.items():
        parts.append(
            f"create function evil.{signature} returns {result} language plpgsql as"
            " $$ begin perform evil.hit('function'); return null; end $$;"
        )
    for type_name in ("text", "int4", "bool", "int2", "regclass", "oid"):
        parts.append(f"create domain evil.{type_name} as pg_catalog.{type_name} check (false);")
    return "\n".join(parts)


@pytest.mark.parametrize(
    "route", [None, Route("column", "v"), Route("expr", "lower(v) || 'x'"), Route("expr", "array[v]")]
)
def test_search_path__cannot_be_used_against_the_owner(
    dsn: str, db: Database, open_connection: Callable, route: Route | None
) -> None:
    db.script("create table t (id int primary key, v text, n numeric)")
    t = publish(db, "t", route=route)
    db.script(_evil_operators())
    writer = open_connection(dsn)
    writer.script(
        "create temporary table londiste_new (id int); create temporary table londiste_old (id int);"
        "create temporary table queue (queue_id int); set search_path = evil, pg_temp, pg_catalog, public"
    )
    for nested in (False, True):
        if nested:
            db.script(
                "create function public.again() returns trigger language plpgsql"
                " set search_path = pg_catalog as $$ begin"
                " update public.t set n = n + 1 where id = new.id and n < 10; return null; end $$;"
                "create trigger again after insert or update on t for each row execute function public.again()"
            )
        writer.script("insert into public.t values (1, 'a', 5), (2, 'b', null)")
        writer.script("update public.t set v = 'c'")
        writer.script("update public.t set id = id OPERATOR(pg_catalog.+) 10")
        writer.script("insert into public.t values (11, 'x') on conflict (id) do update set v = 'up'")
        writer.script("set datestyle = 'SQL'; update public.t set v = 'again'; reset datestyle")
        writer.script("delete from public.t where id OPERATOR(pg_catalog.=) 11")
        t.check()
        writer.script("truncate public.t")
        t.check()
    assert db.run("select * from evil.hits") == []


SETTINGS = [
    "set datestyle = 'German'; set intervalstyle = 'iso_8601'; set extra_float_digits = -15; set bytea_output = escape",
    "set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard'; set extra_float_digits = 0",
    "set datestyle = 'Postgres, MDY'; set intervalstyle = 'postgres_verbose'; set timezone = 'Asia/Kathmandu'",
    "set datestyle = 'ISO, DMY'; set timezone = 'America/St_Johns'; set extra_float_digits = 3",
    "set quote_all_identifiers = on; set standard_conforming_strings = off; set escape_string_warning = off",
    "set transform_null_equals = on; set array_nulls = off; set plan_cache_mode = force_custom_plan",
    "set enable_hashjoin = off; set enable_seqscan = off; set jit_above_cost = 0; set work_mem = '64kB'",
    "set default_transaction_isolation = serializable; set plpgsql.extra_errors = 'all'",
]

# Every type whose text depends on a setting, also inside arrays, ranges, domains and composites.
AFFECTED = """
create type pair as (d date, f float8);
create domain moment as timestamptz;
create table source (id int primary key, d date, ts timestamptz, m moment, iv interval, f4 float4, f8 float8, b bytea,
    r tstzrange, a float8[], p pair, pa pair[], tt timetz, ar interval[], j jsonb, c money, rc regclass, pt point);
insert into source values (1, '2024-02-01', '2024-02-01 03:04:05.678901+05:45', '1850-01-01 00:00:00 BC',
    '1 year -2 mons 3 days -04:05:06.7', 1.1000001, 0.1::float8 + 0.2::float8, decode('00ff27', 'hex'),
    tstzrange('2024-03-04 01:02:03+00', null), array[0.1::float8 + 0.2::float8, 'NaN', null],
    row('2024-02-01', 1e-300), array[row('2024-02-03', pi())::pair], '01:02:03.4+05:45', array['-1 day 2 h'::interval],
    '{"a": 1.50}', (-1234.56)::numeric::money, 'source', '(0.1,0.30000000000000004)');
create table t (like source including all);
"""


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda text: text.split("'")[1] if "'" in text else text[4:20])
def test_settings__text_reads_back_as_the_same_row(
    dsn: str, db: Database, open_connection: Callable, setting: str
) -> None:
    db.script(AFFECTED)
    t = publish(db, "t")
    writer = open_connection(dsn)
    writer.script(setting)
    settings = "select name, setting from pg_settings where name not like 'plpgsql.%' order by 1"
    before = writer.run(settings)
    with writer.transaction():
        writer.script("insert into t select * from source; update t set id = 2")
        assert writer.run(settings) == before
    db.script("set search_path = pg_catalog")  # as replay reads
    for event, number in zip(t.new_events(), (1, 1, 2), strict=True):
        if event.type[0] != "D":
            assert event.data is not None
            same = "select pg_catalog.record_image_eq((%s::public.t), t) from public.t t"
            db.run("update public.t set id = %s", [number])
            assert db.run(same, [event.data]) == [(True,)], event


def test_settings__local_value_of_the_writer_survives(db: Database) -> None:
    db.script("create table t (id int primary key, d date)")
    t = publish(db, "t")
    with db.transaction():
        db.script(
            "set datestyle = 'German'; set local intervalstyle = 'iso_8601'; insert into t values (1, '2024-02-01')"
        )
        assert db.run("show datestyle") == [("German, DMY",)]
        assert db.run("show intervalstyle") == [("iso_8601",)]
    assert db.run("show datestyle") == [("German, DMY",)]
    assert db.run("show intervalstyle") == [("postgres",)]
    assert t.shapes() == [("I{id,d}", "(1,2024-02-01)")]


def test_keys__under_odd_settings(db: Database) -> None:
    db.script("create table t (d timestamptz, f float8, v text, primary key (d, f))")
    t = publish(db, "t")
    db.script(
        "set datestyle = 'German'; set extra_float_digits = -10; insert into t values ('2024-02-01 UTC', 0.1 + 0.2)"
    )
    db.script("update t set f = f * 2; update t set v = 'x'; delete from t")
    assert t.shapes()[-1] == ("D{d,f}", '("2024-02-01 00:00:00+00",0.6)')


def test_function_of_another_table__restored_database_logs_right(db: Database) -> None:
    """After a dump and restore the oids in the functions are another table's; here a function is moved to show it."""
    db.script("create table t (id int primary key, v text); create table u (id int primary key, x int, w text)")
    t = publish(db, "t")
    function = t.capture.function_name
    images = {"insert": "new table as londiste_new", "delete": "old table as londiste_old"}
    images["update"] = "old table as londiste_old new table as londiste_new"
    for operation, image in images.items():
        db.script(
            f"create trigger restored_{operation} after {operation} on u referencing {image}"
            f' for each statement execute function londiste."{function(operation)}"()'
        )
    db.script("insert into u values (1, 2, 'a'); update u set w = 'b'; update u set id = 5; delete from u")
    assert t.shapes() == [
        ("I{id,x,w}", "(1,2,a)"),
        ("U{id,x,w}", "(1,2,b)"),
        ("D{id}", "(1)"),
        ("I{id,x,w}", "(5,2,b)"),
        ("D{id}", "(5)"),
    ]


def test_missing_queue__says_so(db: Database) -> None:
    db.script("create table t (id int primary key)")
    publish(db, "t")
    db.script("delete from pgq.tick; delete from pgq.queue")
    with pytest.raises(DatabaseError, match="queue not found: q"):
        db.script("insert into t values (1)")
