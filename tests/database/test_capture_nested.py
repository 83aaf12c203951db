"""Capture of statements inside others on the same table: what is logged last must be what the table holds."""

from __future__ import annotations

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from tests.conftest import need
from tests.database.capture_oracle import Published, publish


@pytest.fixture(params=[15, 18])
def db(request, pool, new_database, open_connection) -> Database:
    return open_connection(new_database(need(pool, request.param), schema.PROVIDER))


@pytest.fixture
def t(db: Database) -> Published:
    db.script("create table t (id int primary key, v text, n int default 0)")
    return publish(db, "t")


def trigger(db: Database, when: str, body: str, name: str = "u", result: str = "new", each: str = "row") -> None:
    """Create a user's trigger on t; its body is skipped when another trigger fired it."""
    db.script(
        f"create function {name}() returns trigger language plpgsql as $$ begin"
        f" if pg_trigger_depth() = 1 then {body} end if; return {result}; end $$;"
        f"create trigger {name} {when} on t for each {each} execute function {name}()"
    )


# The same with a name before and after ours in firing order.
@pytest.mark.parametrize("name", ["A", "zz"])
@pytest.mark.parametrize("each", ["row", "statement"])
def test_after_trigger__changes_the_row_again(db: Database, t: Published, name: str, each: str) -> None:
    body = "update t set n = n + 1, v = v || '!';"
    db.script(
        f'create function "{name}"() returns trigger language plpgsql as $$ begin'
        f" if pg_trigger_depth() = 1 then {body} end if; return null; end $$"
    )
    db.script(f'create trigger "{name}" after insert or update on t for each {each} execute function "{name}"()')
    db.script("insert into t values (1, 'a'), (2, 'b')")
    t.check()
    db.script("update t set v = 'c' where id = 1")
    t.check()
    db.script("update t set id = id + 10")
    t.check()


def test_after_trigger__deletes_the_row_just_inserted(db: Database, t: Published) -> None:
    trigger(db, "after insert", "delete from t where id = new.id and new.id > 1;")
    db.script("insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    t.check()
    assert set(t.rows) == {("1",)}


def test_after_trigger__inserts_the_row_just_deleted(db: Database, t: Published) -> None:
    trigger(db, "after delete", "insert into t values (old.id, 'back');", result="null")
    db.script("insert into t values (1, 'a'), (2, 'b'); delete from t where id = 1")
    t.check()
    assert t.rows[("1",)][2] == "back"


def test_after_trigger__takes_the_key_just_given_up(db: Database, t: Published) -> None:
    trigger(db, "after update", "insert into t values (old.id, 'new owner') on conflict do nothing;")
    db.script("insert into t values (1, 'a'); update t set id = 2")
    t.check()
    assert set(t.rows) == {("1",), ("2",)}


def test_after_trigger__moves_the_key_on(db: Database, t: Published) -> None:
    trigger(db, "after update", "update t set id = id + 100 where id = new.id;")
    db.script("insert into t values (1, 'a'), (2, 'b'); update t set id = id + 10")
    t.check()
    assert set(t.rows) == {("111",), ("112",)}


@pytest.mark.parametrize("when", ["before insert", "before insert or update"])
def test_before_trigger__writes_the_same_table(db: Database, t: Published, when: str) -> None:
    trigger(db, when, "insert into t values (new.id + 100, 'shadow') on conflict (id) do update set n = t.n + 1;")
    db.script("insert into t values (1, 'a'), (2, 'b'); update t set v = 'c' where id = 1")
    t.check()
    assert len(t.rows) == 4


def test_function__updates_the_row_its_statement_inserted(db: Database, t: Published) -> None:
    # Not inside any trigger, so the trigger depth tells nothing.
    db.script(
        "create function finish(i int) returns int language plpgsql as $$"
        " begin update t set v = 'finished' where id = i; return i; end $$"
    )
    db.script("with i as (insert into t values (1, 'raw'), (2, 'raw') returning id) select finish(id) from i")
    t.check()
    assert {row[2] for row in t.rows.values()} == {"finished"}


def test_function__updates_a_row_its_statement_updated(db: Database, t: Published) -> None:
    db.script(
        "insert into t values (1, 'a'), (2, 'b');"
        "create function other(i int) returns text language plpgsql as $$"
        " begin update t set v = 'inner' where id < i; return 'outer'; end $$"
    )
    db.script("update t set v = other(id)")
    t.check()
    assert t.rows[("1",)][2] == "inner"


def test_two_levels__three_statements_on_one_row(db: Database, t: Published) -> None:
    db.script(
        "create function deeper() returns trigger language plpgsql as $$ begin"
        " if new.n < 3 then update t set n = n + 1, v = v || n where id = new.id; end if; return null; end $$;"
        "create trigger deeper after insert or update on t for each row execute function deeper();"
        "insert into t values (1, 'a')"
    )
    t.check()
    assert t.rows[("1",)] == {1: "1", 2: "a012", 3: "3"}


def test_error_in_nested_block__mark_goes_back_with_it(db: Database, t: Published) -> None:
    trigger(
        db,
        "after insert",
        "begin update t set v = 'x' where id = new.id; raise exception 'no'; exception when others then null; end;",
    )
    db.script("insert into t values (1, 'a')")
    assert [(e.type, e.data) for e in t.check()] == [("I{id,v,n}", "(1,a,0)")]


def test_deferred_constraint_trigger__runs_at_commit(db: Database, t: Published) -> None:
    db.script(
        "create function late() returns trigger language plpgsql as $$ begin"
        " if pg_trigger_depth() = 1 then update t set v = v || '-late' where id = new.id; end if; return null; end $$;"
        "create constraint trigger late after insert on t deferrable initially deferred"
        " for each row execute function late();"
    )
    with db.transaction():
        db.script("insert into t values (1, 'a'); update t set v = 'b'")
    t.check()
    assert t.rows[("1",)][2] == "b-late"


def test_trigger_on_another_table__both_are_right(db: Database, t: Published) -> None:
    db.script(
        "create table line (id int primary key, t int);"
        "create function total() returns trigger language plpgsql as $$ begin"
        " update t set n = n + 1 where id = new.t; return null; end $$;"
        "create trigger total after insert on line for each row execute function total()"
    )
    line = publish(db, "line")
    with db.transaction():
        db.script("insert into t values (1, 'order'); insert into line values (1, 1), (2, 1)")
        db.script("update t set v = 'sum'")
    line.check()
    assert [(e.type[0], e.data) for e in t.check()] == [
        ("I", "(1,order,0)"),
        ("U", "(1,order,1)"),
        ("U", "(1,order,2)"),
        ("U", "(1,sum,2)"),
    ]


def test_marks__none_is_left_behind(db: Database, t: Published) -> None:
    trigger(db, "after insert or update", "update t set n = n + 1;")
    with db.transaction():
        db.script("insert into t values (1, 'a'), (2, 'b'); savepoint s; update t set v = 'c'; rollback to s")
        db.script("insert into t values (1, 'x') on conflict (id) do update set v = 'd'; delete from t where id = 9")
        db.script("truncate t")
        assert db.run("select current_setting('londiste.open', true)") == [("",)]
    t.check()


def test_key_with_an_equality_of_its_own__finds_current_rows(db: Database) -> None:
    """A type like citext: its operator is in no search_path that capture could use."""
    functions = "".join(
        f"create function ext.{name}(ext.word, ext.word) returns {result}"
        f" language internal immutable strict as '{source}';"
        for name, result, source in [
            ("lt", "bool", "text_lt"),
            ("le", "bool", "text_le"),
            ("eq", "bool", "texteq"),
            ("ge", "bool", "text_ge"),
            ("gt", "bool", "text_gt"),
            ("cmp", "int4", "bttextcmp"),
        ]
    )
    operators = "".join(
        f"create operator ext.{op} (leftarg = ext.word, rightarg = ext.word, function = ext.{name});"
        for op, name in [("<", "lt"), ("<=", "le"), ("==", "eq"), (">=", "ge"), (">", "gt")]
    )
    db.script(
        "set client_min_messages = error; create schema ext; create type ext.word;"
        "create function ext.word_in(cstring) returns ext.word language internal immutable strict as 'textin';"
        "create function ext.word_out(ext.word) returns cstring language internal immutable strict as 'textout';"
        "create type ext.word (input = ext.word_in, output = ext.word_out, like = text, collatable = true);"
        f"{functions}{operators}"
        "create operator class ext.word_ops default for type ext.word using btree as"
        " operator 1 ext.<, operator 2 ext.<=, operator 3 ext.==,"
        " operator 4 ext.>=, operator 5 ext.>, function 1 ext.cmp(ext.word, ext.word);"
        "create table t (id ext.word primary key, v text)"
    )
    t = publish(db, "t")
    trigger(db, "after insert", "update t set v = v || '!' where id OPERATOR(ext.==) new.id;")
    db.script("insert into t values ('a', 'x'), ('b', 'y'); update t set id = 'c' where v = 'x!'")
    t.check()
    assert {key: row[2] for key, row in t.rows.items()} == {("b",): "y!", ("c",): "x!"}
