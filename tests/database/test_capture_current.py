"""What spares capture a query: the current event table in a sequence, and what a row's text depends on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.throwaway import ThrowawayServer
from tests.database.capture_oracle import Published, publish
from tests.database.pgq_support import call, consume, eager_queue, rotate


@pytest.fixture
def dsn(server: ThrowawayServer, new_database: Callable) -> str:
    return str(new_database(server, schema.PROVIDER))


@pytest.fixture
def db(dsn: str, open_connection: Callable) -> Database:
    return open_connection(dsn)


@pytest.fixture
def t(db: Database) -> Published:
    db.script("create table t (id int primary key, v text)")
    eager_queue(db, consumers=())
    return publish(db, "t")


def noted(db: Database) -> int:
    return int(db.run("select last_value from londiste.event_1_current")[0][0])


def filled(db: Database) -> list[int]:
    return [int(db.run(f"select count(*) from only pgq.event_1_{n}")[0][0]) for n in range(3)]


def test_rotation__asks_from_step_1_to_step_2(db: Database, t: Published) -> None:
    assert t.capture.current_sequence
    assert noted(db) == 0
    with db.transaction():
        call(db, "maint_rotate_tables_step1", "q")
        assert noted(db) == -1
    db.script("insert into t values (1, 'a'); update t set v = 'b'; update t set id = 2; delete from t")
    assert filled(db) == [0, 5, 0]
    call(db, "maint_rotate_tables_step2")
    assert noted(db) == 1
    db.script("insert into t values (1, 'a')")
    assert filled(db) == [0, 6, 0]
    assert rotate(db)
    assert noted(db) == 2
    t.check()


def test_rotation__that_is_rolled_back(db: Database, t: Published) -> None:
    db.script("begin; select pgq.maint_rotate_tables_step1('q'); rollback")
    # The number is not rolled back, so capture asks, which is right, until the next rotation.
    assert noted(db) == -1
    db.script("insert into t values (1, 'a')")
    assert filled(db) == [1, 0, 0]
    assert rotate(db)
    assert noted(db) == 1


def test_step_2_that_is_rolled_back__knew_the_table_all_the_same(db: Database, t: Published) -> None:
    call(db, "maint_rotate_tables_step1", "q")
    db.script("begin; select pgq.maint_rotate_tables_step2(); rollback")
    assert noted(db) == 1
    assert call(db, "maint_rotate_tables_step2") == 0
    db.script("insert into t values (1, 'a')")
    assert filled(db) == [0, 1, 0]


def test_closed_queue__is_asked_and_refuses(db: Database, t: Published) -> None:
    db.script("update pgq.queue set queue_disable_insert = true")
    assert noted(db) == -1
    for statement in (
        "insert into t values (1, 'a')",
        "insert into t values (1) on conflict (id) do update set v = 'b'",
    ):
        with pytest.raises(DatabaseError, match="Insert into queue disallowed"):
            db.script(statement)
    call(db, "maint_rotate_tables_step1", "q")
    call(db, "maint_rotate_tables_step2")
    assert noted(db) == -1
    db.script("update pgq.queue set queue_disable_insert = false; insert into t values (1, 'a')")
    assert filled(db) == [0, 1, 0]


def test_foreign_queue__is_asked_each_time(db: Database, t: Published) -> None:
    db.script(
        "create role stranger;"
        "drop trigger londiste_current_table on pgq.queue; drop sequence londiste.event_1_current;"
        "alter function londiste.follow_current_table(text) owner to stranger"
    )
    try:
        assert db.run("select londiste.follow_current_table('q')") == [(False,)]
        db.script("create table u (id int primary key)")
        u = publish(db, "u")
        assert not u.capture.current_sequence
        db.script("insert into u values (1), (2); update u set id = id + 5; delete from u where id = 6")
        assert rotate(db)
        db.script("insert into u values (1)")
        u.check()
    finally:
        db.script("drop owned by stranger; drop role stranger")


def test_second_call__takes_no_lock(dsn: str, db: Database, open_connection: Callable, t: Published) -> None:
    other = open_connection(dsn)
    with other.transaction():
        other.script("update pgq.queue set queue_ticker_max_count = 501")
        db.script("set lock_timeout = '1s'")
        assert db.run("select londiste.follow_current_table('q')") == [(True,)]
    assert db.run("select londiste.follow_current_table('nope')") == [(False,)]


def test_rotation__under_writers_loses_nothing(dsn: str, db: Database, open_connection: Callable) -> None:
    """Statements that began before their first row was written, while the tables take turns all the time."""
    db.script("create table t (id int primary key, v text)")
    eager_queue(db)
    publish(db, "t")
    stop = threading.Event()
    written = [0, 0, 0]

    def write(number: int) -> None:
        own = open_connection(dsn)
        key = number * 1_000_000
        while not stop.is_set():
            key += 1
            own.script(f"insert into t select {key} from (select pg_sleep(0.004)) wait")
            own.script(f"update t set v = 'x' where id = {key}")
            written[number] += 2

    def turn() -> None:
        own = open_connection(dsn)
        while not stop.is_set():
            rotate(own)
            time.sleep(0.001)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    threads.append(threading.Thread(target=turn))
    for thread in threads:
        thread.start()
    found: list[str] = []
    turns: set[int] = set()
    ends = time.monotonic() + 4
    try:
        while time.monotonic() < ends:
            found += consume(db)
            turns.add(noted(db))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    found += consume(db)
    assert turns >= {0, 1, 2}
    assert len(found) == sum(written)
    assert len(set(found)) == len(found)


# What each type's text depends on, with whatever it is wrapped in.
NEEDS = {
    "int": "",
    "text[]": "",
    "numeric(8,2)": "",
    "mood": "",
    "word": "",
    "date": "DateStyle",
    "timestamptz[]": "DateStyle",
    "moment": "DateStyle",
    "tstzrange": "DateStyle",
    "interval": "IntervalStyle",
    "interval[]": "IntervalStyle",
    "float4": "extra_float_digits",
    "float8[]": "extra_float_digits",
    "point": "extra_float_digits",
    "path": "extra_float_digits",
    "circle[]": "extra_float_digits",
    "money": "lc_monetary",
    "regclass": "search_path",
    "pair": "DateStyle IntervalStyle extra_float_digits lc_monetary search_path",
    "pair[]": "DateStyle IntervalStyle extra_float_digits lc_monetary search_path",
    "base": "DateStyle IntervalStyle extra_float_digits",
    "base[]": "DateStyle IntervalStyle extra_float_digits",
}

TYPES = """
set client_min_messages = error;
create type mood as enum ('low', 'high');
create domain word as text;
create domain moment as timestamptz;
create type pair as (a int, b int);
create type base;
create function base_in(cstring) returns base language internal immutable strict as 'textin';
create function base_out(base) returns cstring language internal immutable strict as 'textout';
create type base (input = base_in, output = base_out, like = text);
"""


def test_text_settings__of_every_kind_of_type(db: Database) -> None:
    db.script(TYPES)
    for number, (name, settings) in enumerate(NEEDS.items()):
        db.script(f"create table n{number} (id int, x {name})")
        found = db.run("select londiste.text_settings(%s::regclass)", [f"n{number}"])[0][0]
        assert sorted(found) == sorted(settings.split()), name
        plain = not {"lc_monetary", "search_path"} & set(found)
        assert db.run("select londiste.plain_text(%s::regclass)", [f"n{number}"]) == [(plain,)]


def test_text__follows_a_column_that_is_added_later(db: Database, t: Published) -> None:
    db.script("set datestyle = 'German'; set intervalstyle = 'iso_8601'; set extra_float_digits = -10")
    db.script("insert into t values (1, 'a'); update t set v = 'b'")
    db.script("alter table t add d date, add i interval, add f float8")
    db.script("update t set d = '2024-02-01', i = '1 day', f = 0.1::float8 + 0.2::float8")
    db.script("alter table t drop d, drop i; update t set v = 'c'; delete from t")
    db.script("set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1")
    assert [data for _, data in t.shapes()] == [
        "(1,a)",
        "(1,b)",
        '(1,b,2024-02-01,"1 day",0.30000000000000004)',
        "(1,c,0.30000000000000004)",
        "(1)",
    ]


def test_trigger_of_another_table__writes_and_marks_as_usual(db: Database, t: Published) -> None:
    """The statement of a trigger goes the short way too: alone on its table, though not alone."""
    db.script(
        "create table line (id int primary key, t int);"
        "create function total() returns trigger language plpgsql as $$ begin"
        " insert into t values (new.t, 'x') on conflict (id) do update set v = t.v || 'y';"
        " update t set v = v || 'z' where id = new.t; delete from t where id = 99;"
        " perform set_config('test.open', current_setting('londiste.open'), true); return null; end $$;"
        "create trigger total after insert on line for each row execute function total()"
    )
    line = publish(db, "line")
    with db.transaction():
        db.script("insert into line values (1, 1), (2, 1), (3, 2)")
        mark = f"I{line.capture.mark},"
        assert db.run("select current_setting('test.open'), current_setting('londiste.open')") == [(mark, "")]
    line.check()
    assert [(e.type[0], e.data) for e in t.check()] == [
        ("I", "(1,x)"),
        ("U", "(1,xz)"),
        ("U", "(1,xzy)"),
        ("U", "(1,xzyz)"),
        ("I", "(2,x)"),
        ("U", "(2,xz)"),
    ]
