"""Creating and dropping capture: what is refused and why, repeating it, locks, keys, routes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import (
    DatabaseError,
    LockNotGranted,
    NoPrimaryKey,
    ObjectNotFound,
    PrivilegeMissing,
    RegistrationError,
)
from londiste_lite.names import QualifiedName
from londiste_lite.triggers.capture_table import Route
from londiste_lite.triggers.create import create_capture
from londiste_lite.triggers.drop import drop_capture
from londiste_lite.triggers.listing import captured_relations
from londiste_lite.triggers.refresh import refresh_capture
from tests.database.capture_oracle import QUEUE, publish

T = QualifiedName("public", "t")


@pytest.fixture
def db(provider_db: Database) -> Database:
    provider_db.run("select pgq.create_queue(%s)", [QUEUE])
    return provider_db


@pytest.mark.parametrize(
    ("prepare", "error", "message"),
    [
        ("create table t (id int)", NoPrimaryKey, 'table "public.t" has no primary key'),
        ("create table tt (id int)", ObjectNotFound, 'no table "public.t"'),
        ("create view t as select 1 as id", RegistrationError, '"public.t" is a view'),
        ("create materialized view t as select 1 as id", RegistrationError, '"public.t" is a materialized view'),
        ("create sequence t", RegistrationError, '"public.t" is a sequence'),
        ("create table a (id int primary key); create table t () inherits (a)", RegistrationError, "inheritance tree"),
        ("create table t (id int primary key); create table a () inherits (t)", RegistrationError, "inheritance tree"),
    ],
)
def test_create__refused(db: Database, prepare: str, error: type[Exception], message: str) -> None:
    db.script(prepare)
    with pytest.raises(error, match=message) as failure:
        create_capture(db, QUEUE, T)
    assert failure.value.hint  # type: ignore[attr-defined]
    assert captured_relations(db, QUEUE) == []


def test_create__system_tables_and_missing_queue_refused(db: Database) -> None:
    for name in (
        "pg_catalog.pg_class",
        "information_schema.sql_features",
        "pgq.queue",
        "londiste.completed",
        "pg_temp.x",
    ):
        with pytest.raises(RegistrationError, match="belongs to the system"):
            create_capture(db, QUEUE, QualifiedName.parse(name))
    with pytest.raises(ObjectNotFound, match='no queue "nope"'):
        create_capture(db, "nope", T)


def test_create__temporary_table_refused(db: Database) -> None:
    db.script("create temporary table t (id int primary key)")
    name = db.run("select nspname from pg_namespace where oid = pg_my_temp_schema()")[0][0]
    with pytest.raises(RegistrationError, match="system"):
        create_capture(db, QUEUE, QualifiedName(name, "t"))


def test_create__unlogged_table_works(db: Database) -> None:
    db.script("create unlogged table t (id int primary key)")
    t = publish(db, "t")
    db.script("insert into t values (1)")
    assert t.shapes() == [("I{id}", "(1)")]


@pytest.mark.parametrize(
    ("index", "key", "message"),
    [
        ("", ["a"], "are not unique"),
        ("create unique index on t (a) where a > 0", ["a"], "are not unique"),
        ("create unique index on t ((a + 1))", ["a"], "are not unique"),
        ("create unique index on t (a, b)", ["a"], "are not unique"),
        ("create unique index on t (n)", ["n"], 'key column "n" of table "public.t" may be NULL'),
        ("", ["nope"], 'has no column "nope"'),
        ("", [], "no key columns"),
    ],
)
def test_key__refused(db: Database, index: str, key: list[str], message: str) -> None:
    db.script("create table t (id int primary key, a int not null, b text not null, n int);" + index)
    with pytest.raises(RegistrationError, match=message) as failure:
        create_capture(db, QUEUE, T, key)
    assert failure.value.hint


@pytest.mark.parametrize(
    "index",
    ["create unique index on t (b, a) include (n)", "alter table t add unique (a, b) deferrable initially deferred"],
)
def test_key__given_columns(db: Database, index: str) -> None:
    db.script("create table t (id int, a int not null, b text not null, n int);" + index)
    t = publish(db, "t", key=["a", "b"])
    assert t.key_attnums == (2, 3)
    db.script(
        "insert into t values (1, 1, 'x', 1), (2, 1, 'y', 2); update t set b = b || '!'; delete from t where n = 1"
    )
    found = t.check()
    assert (found[-1].type, found[-1].data, found[-1].attnums) == ("D{a,b}", "(1,x!)", "{2,3}")


def test_create__again_changes_nothing_and_waits_for_nobody(db: Database, open_connection: Callable) -> None:
    db.script("create table t (id int primary key)")
    first = create_capture(db, QUEUE, T)
    state = "select oid, xmin, * from pg_trigger order by 1"
    functions = "select oid, xmin, prosrc from pg_proc where pronamespace = 'londiste'::regnamespace order by 1"
    before = db.run(state), db.run(functions)
    writer = open_connection(f"{_dsn(db)}")
    with writer.transaction():
        writer.script("insert into t values (1)")
        assert create_capture(db, QUEUE, T) == first
    assert (db.run(state), db.run(functions)) == before


def test_create__repairs_what_was_broken(db: Database) -> None:
    db.script("create table t (id int primary key)")
    t = publish(db, "t")
    name = t.capture.trigger_name("update")
    db.script(f'drop trigger "{name}" on t; drop trigger "{name}_open" on t')
    create_capture(db, QUEUE, T)
    db.script("insert into t values (1); update t set id = 2")
    assert [e.type[0] for e in t.check()] == ["I", "D", "I"]


def test_create__lock_timeout(db: Database, open_connection: Callable) -> None:
    db.script("create table t (id int primary key)")
    writer = open_connection(_dsn(db))
    with writer.transaction():
        writer.script("insert into t values (1)")
        begun = time.monotonic()
        with pytest.raises(LockNotGranted):
            create_capture(db, QUEUE, T, lock_timeout=0.1)
        assert time.monotonic() - begun < 5
    assert captured_relations(db, QUEUE) == []
    assert db.run("show lock_timeout") == [("0",)]
    create_capture(db, QUEUE, T, lock_timeout=0.1)
    with writer.transaction():
        writer.script("insert into t values (2)")
        with pytest.raises(LockNotGranted):
            drop_capture(db, QUEUE, T, lock_timeout=0.1)
    assert len(captured_relations(db, QUEUE)) == 1


def test_create__in_the_callers_transaction(db: Database) -> None:
    db.script("create table t (id int primary key); set lock_timeout = '7s'")
    with pytest.raises(DatabaseError, match="does not exist"), db.transaction():  # noqa: PT012
        create_capture(db, QUEUE, T)
        assert db.run("show lock_timeout") == [("7s",)]
        db.script("drop table nowhere")
    assert captured_relations(db, QUEUE) == []


def test_drop__leaves_nothing(db: Database) -> None:
    db.script("create table t (id int primary key); create table u (id int primary key)")
    t = publish(db, "t")
    publish(db, "t", queue="second")
    publish(db, "u")
    assert drop_capture(db, QUEUE, T) is True
    assert drop_capture(db, QUEUE, T) is False
    db.script("insert into t values (1); insert into u values (1)")
    assert t.new_events() == []
    left = (
        "select count(*) from pg_proc where pronamespace = 'londiste'::regnamespace and proname like 'capture\\_{}\\_%'"
    )
    assert db.run(left.format(1)) == [(7,)]
    assert [str(c.relation) for c in captured_relations(db, "second")] == ["public.t"]
    db.script("drop table u")
    drop_capture(db, QUEUE, QualifiedName("public", "u"))
    assert db.run(left.format(1)) == [(0,)]
    assert db.run(left.format(2)) == [(7,)]


def test_refresh__of_a_table_that_is_not_captured(db: Database) -> None:
    db.script("create table t (id int primary key)")
    with pytest.raises(RegistrationError, match="is not captured"):
        refresh_capture(db, QUEUE, T)


def test_refresh__keeps_key_and_route(db: Database) -> None:
    db.script("create table t (a int not null unique, r text, b int primary key)")
    t = publish(db, "t", key=["a"], route=Route("column", "r"))
    db.script("drop trigger _londiste_1_delete on t")
    assert refresh_capture(db, QUEUE, T) == ["made public.t: trigger _londiste_1_delete"]
    db.script("insert into t values (1, 'x', 2); delete from t")
    assert [(e.type, e.target) for e in t.check()] == [("I{a,r,b}", "x"), ("D{a}", "x")]


def test_roles__without_rights_refused(db: Database, open_connection: Callable) -> None:
    db.script("create role adder login; grant create on schema londiste to adder; grant all on schema public to adder")
    try:
        adder = open_connection(_dsn(db).replace("user=postgres", "user=adder"))
        adder.script("create table public.t (id int primary key)")
        with pytest.raises(PrivilegeMissing) as failure:
            create_capture(adder, QUEUE, T)
        assert failure.value.hint
        db.script(
            "grant usage on schema pgq to adder; grant insert on all tables in schema pgq to adder;"
            "grant select on pgq.queue to adder; grant usage on all sequences in schema pgq to adder;"
            "grant execute on all functions in schema londiste to adder;"
            "grant execute on all functions in schema londiste to adder"
        )
        create_capture(adder, QUEUE, T)
        adder.script("insert into public.t values (1)")
        db.script("create table public.u (id int primary key); grant trigger, references on public.u to adder")
        with pytest.raises(PrivilegeMissing, match="may not read"):
            create_capture(adder, QUEUE, QualifiedName("public", "u"))
        db.script("alter table public.u enable row level security; grant all on public.u to adder")
        with pytest.raises(RegistrationError, match="row security"):
            create_capture(adder, QUEUE, QualifiedName("public", "u"))
    finally:
        db.script("drop owned by adder cascade; drop role adder")


@pytest.mark.parametrize(
    ("route", "many"),
    [
        (Route("column", "node"), False),
        (Route("expr", "case when n > 0 then node end"), False),
        (Route("column", "nodes"), True),
        (Route("expr", "nodes || node"), True),
    ],
)
def test_route__each_node_gets_its_rows(db: Database, route: Route, many: bool) -> None:
    db.script("create table t (id int primary key, node int, nodes int[], n int default 1)")
    t = publish(db, "t", route=route)
    statements = [
        "insert into t values (1, 1, '{1,2}'), (2, 2, '{}'), (3, null, null), (4, 1, '{3,null}')",
        "update t set n = 2",
        "update t set node = 3 - node, nodes = '{2,3}' where id < 3",
        "update t set id = id + 10, node = 1, nodes = '{1}' where id in (1, 4)",
        "update t set n = 0 where id = 2; update t set node = null, nodes = null where id = 2",
        "update t set node = 2, nodes = '{2}'",
        "insert into t values (2, 1, '{1}') on conflict (id) do update set node = 3, nodes = '{3}'",
        "delete from t where id = 11",
        "delete from t",
    ]
    replicas = {node: publish(db, "t", route=route) for node in ("1", "2", "3")}
    condition = (
        "x is null or x = {0}" if not many else "x is null or {0} = any (x) or array_position(x, null) is not null"
    )
    for sql in statements:
        db.script(sql)
        for node, replica in replicas.items():
            replica.check(node, f"(select x is null or {condition.format(node)} from (select ({route.sql}) as x) r)")
    events = t.new_events()
    assert {e.target for e in events} >= {"1", "2", None}


def test_route__renamed_column_is_followed(db: Database) -> None:
    db.script("create table t (id int primary key, node int, v text)")
    t = publish(db, "t", route=Route("column", "node"))
    db.script("insert into t values (1, 1); alter table t rename node to place")
    db.script("insert into t values (2, 2); update t set place = 3 where id = 1; delete from t where id = 2")
    assert [(e.type[0], e.target) for e in t.new_events()] == [
        ("I", "1"),
        ("I", "2"),
        ("D", "1"),
        ("I", "3"),
        ("D", "2"),
    ]


def test_route__unusable_is_refused(db: Database) -> None:
    db.script("create table t (id int primary key, node int)")
    with pytest.raises(ObjectNotFound, match='has no column "nod"') as failure:
        create_capture(db, QUEUE, T, route=Route("column", "nod"))
    assert failure.value.hint == 'Did you mean "node"?'
    for text in ("nope + 1", "node) from t; drop table t; --", ""):
        with pytest.raises(RegistrationError, match="cannot be used"):
            create_capture(db, QUEUE, T, route=Route("expr", text))
    assert captured_relations(db, QUEUE) == []


def _dsn(db: Database) -> str:
    row = db.run("select current_setting('unix_socket_directories'), current_setting('port'), current_database()")[0]
    return "host={} port={} dbname={} user=postgres".format(*row)
