"""Capture of every kind of statement, on each supported server: what replay makes of the events is the table."""

from __future__ import annotations

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.conftest import need
from tests.database.capture_oracle import Published, publish

ALL_COLUMNS = "{id,v,n}"


@pytest.fixture(params=[15, 16, 18])
def db(request, pool, new_database, open_connection) -> Database:
    return open_connection(new_database(need(pool, request.param), schema.PROVIDER))


@pytest.fixture
def t(db: Database) -> Published:
    db.script("create table t (id int primary key, v text, n int default 7)")
    return publish(db, "t")


def test_insert__several_rows_and_none(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a', null), (2, '', 2), (3, null, default)")
    db.script("insert into t select 1 where false")
    assert t.shapes() == [(f"I{ALL_COLUMNS}", "(1,a,)"), (f"I{ALL_COLUMNS}", '(2,"",2)'), (f"I{ALL_COLUMNS}", "(3,,7)")]


def test_update__logs_the_new_rows(db: Database, t: Published) -> None:
    db.script("insert into t values (1), (2), (3)")
    t.check()
    db.script("update t set v = 'x' where id > 1; update t set v = 'y' where id > 10")
    assert t.shapes() == [(f"U{ALL_COLUMNS}", "(2,x,7)"), (f"U{ALL_COLUMNS}", "(3,x,7)")]


def test_delete__logs_the_key(db: Database, t: Published) -> None:
    db.script("insert into t values (1), (2), (3)")
    t.check()
    db.script("delete from t where id > 1; delete from t where id > 10")
    assert t.shapes() == [("D{id}", "(2)"), ("D{id}", "(3)")]


def test_truncate__one_event(db: Database, t: Published) -> None:
    db.script("insert into t values (1); truncate t; insert into t values (2)")
    assert [e.type[0] for e in t.check()] == ["I", "R", "I"]


def test_event_columns__table_time_transaction(db: Database, t: Published) -> None:
    db.script("insert into t values (1)")
    found = db.run(
        "select ev_extra1, ev_extra2, ev_extra3, ev_extra4, ev_retry, ev_txid <= txid_current(),"
        " ev_time > now() - interval '1 minute' from pgq.event_1"
    )
    assert found == [("public.t", None, None, None, None, True, True)]


def test_copy__is_captured(db: Database, t: Published) -> None:
    import io

    db.copy_in("copy t from stdin", io.BytesIO(b"1\ta\t\\N\n2\tb\\tc\t5\n"))
    assert t.shapes() == [(f"I{ALL_COLUMNS}", "(1,a,)"), (f"I{ALL_COLUMNS}", '(2,"b\tc",5)')]


def test_key_change__deletes_the_old_key(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a'), (2, 'b')")
    t.check()
    db.script("update t set id = 9 where id = 1")
    assert t.shapes() == [("D{id}", "(1)"), (f"I{ALL_COLUMNS}", "(9,a,7)")]


def test_key_change__shift_of_all_keys(db: Database) -> None:
    db.script("create table s (id int primary key deferrable, v text)")
    s = publish(db, "s")
    db.script("insert into s select g, 'v' || g from generate_series(1, 50) g")
    db.script("update s set id = id + 1")
    found = s.check()
    assert [(e.type, e.data) for e in found if e.type[0] == "D"] == [("D{id}", "(1)")]
    assert sorted(e.type[0] for e in found[50:]) == ["D", "I"] + ["U"] * 49
    db.script("update s set id = 100 - id")
    s.check()


def test_key_change__swap(db: Database) -> None:
    db.script("create table s (id int primary key deferrable, v text); insert into s values (1, 'a'), (2, 'b')")
    s = publish(db, "s")
    db.script("update s set id = 3 - id")
    assert s.check()
    assert s.rows == {("1",): {1: "1", 2: "b"}, ("2",): {1: "2", 2: "a"}}


def test_deferred_key__twice_until_commit(db: Database) -> None:
    db.script(
        "create table s (id int primary key deferrable initially deferred, v text);"
        "insert into s values (1, 'old'), (2, 'old')"
    )
    s = publish(db, "s")
    with db.transaction():
        db.script("insert into s values (1, 'new'), (2, 'new')")
        db.script("delete from s where v = 'old' and id = 1")
        db.script("update s set id = 3 where v = 'old'")
    s.check()
    assert s.rows[("1",)] == {1: "1", 2: "new"}


def test_on_conflict__update_and_insert(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a'), (2, 'b')")
    t.check()
    upsert = "on conflict (id) do update set v = excluded.v"
    db.script(f"insert into t values (1, 'x'), (3, 'y') {upsert}")
    assert sorted((e.type[0], e.data) for e in t.check()) == [("I", "(3,y,7)"), ("U", "(1,x,7)")]
    db.script(f"insert into t values (4, 'z') {upsert}; insert into t values (4, 'zz') {upsert}")
    assert [(e.type[0], e.data) for e in t.check()] == [("I", "(4,z,7)"), ("U", "(4,zz,7)")]
    db.script("insert into t values (4, 'no'), (5, 'yes') on conflict do nothing")
    assert [(e.type[0], e.data) for e in t.check()] == [("I", "(5,yes,7)")]


def test_on_conflict__moves_the_key_and_takes_its_place(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a')")
    db.script("insert into t values (1, 'b'), (1, 'c') on conflict (id) do update set id = 5")
    t.check()
    assert set(t.rows) == {("1",), ("5",)}


def test_merge__all_actions(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    db.script(
        "merge into t using (values (1, 'x'), (2, null), (9, 'new')) s (id, v) on s.id = t.id"
        " when matched and s.v is null then delete when matched then update set v = s.v"
        " when not matched then insert values (s.id, s.v)"
    )
    t.check()
    assert set(t.rows) == {("1",), ("3",), ("9",)}


def test_merge__deletes_a_key_and_inserts_it_again(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'old')")
    db.script(
        "merge into t using (values (1, 'old'), (1, 'new')) s (id, v) on s.v = t.v"
        " when matched then delete when not matched then insert values (s.id, s.v)"
    )
    t.check()
    assert t.rows == {("1",): {1: "1", 2: "new", 3: "7"}}


def test_with__delete_and_insert_of_one_key(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    db.script("with d as (delete from t returning *) insert into t select id, 'again' from d where id < 3")
    t.check()
    # Here the INSERT is complete before the DELETE is.
    db.script("with d as (delete from t returning *) insert into t select id, 'third' from d limit 1")
    t.check()
    assert len(t.rows) == 1


def test_with__update_makes_room_for_insert(db: Database, t: Published) -> None:
    db.script("insert into t values (1, 'a'), (2, 'b')")
    db.script(
        "with u as (update t set id = id + 10 returning id - 10 as id) insert into t select id, 'i' from u limit 1"
    )
    t.check()
    assert len(t.rows) == 3


def test_with__several_writes(db: Database, t: Published) -> None:
    db.script("insert into t select g from generate_series(1, 9) g")
    db.script(
        "with a as (update t set v = 'a' where id < 4), b as (delete from t where id between 4 and 6),"
        " c as (update t set v = 'c' where id = 7) insert into t values (10, 'd')"
    )
    t.check()


def test_rollback__of_transaction_and_savepoint(db: Database, t: Published) -> None:
    with db.transaction():
        db.script("insert into t values (1, 'a'); savepoint a; update t set v = 'b'; insert into t values (2)")
        db.script("rollback to a; savepoint b; delete from t; rollback to b; update t set v = 'c'")
    assert [e.type[0] for e in t.check()] == ["I", "U"]
    db.script("begin; delete from t; rollback")
    assert t.check() == []


def test_foreign_keys__cascades(db: Database) -> None:
    db.script(
        "create table p (id int primary key);"
        "create table del (id int primary key, p int references p on delete cascade on update cascade);"
        "create table nul (id int primary key, p int references p on delete set null on update cascade)"
    )
    tables = [publish(db, name) for name in ("p", "del", "nul")]
    db.script(
        "insert into p select g from generate_series(1, 5) g; insert into del select g, g from generate_series(1, 5) g;"
        "insert into nul select g, g from generate_series(1, 5) g"
    )
    db.script("delete from p where id < 3; update p set id = id + 10 where id = 3; truncate p cascade")
    for one in tables:
        one.check()


def test_foreign_keys__table_that_references_itself(db: Database) -> None:
    db.script(
        "create table tree (id int primary key, up int references tree on update cascade on delete cascade);"
        "insert into tree values (1, 1), (2, 1), (3, 2), (4, null), (5, 4)"
    )
    tree = publish(db, "tree")
    db.script("update tree set id = id + 100 where id in (1, 2)")
    tree.check()
    assert tree.rows[("101",)] == {1: "101", 2: "101"}
    assert tree.rows[("3",)] == {1: "3", 2: "102"}
    db.script("delete from tree where id = 101")
    tree.check()
    assert set(tree.rows) == {("4",), ("5",)}


def test_replication_role__replica_and_local_log_nothing(db: Database, t: Published) -> None:
    for role in ("replica", "local"):
        db.script(
            f"set session_replication_role = {role}; insert into t values (1); update t set v = 'x'; delete from t"
        )
        assert t.new_events() == []
    db.script("set session_replication_role = origin; insert into t values (2)")
    assert len(t.new_events()) == 1


def test_disabled_queue__refuses_rows(db: Database, t: Published) -> None:
    db.script("insert into t values (1); update pgq.queue set queue_disable_insert = true")
    for statement in ("insert into t values (2)", "update t set v = 'x'", "delete from t", "truncate t"):
        with pytest.raises(DatabaseError, match="Insert into queue disallowed"):
            db.script(statement)
    db.script("update t set v = 'x' where false")
    db.script("set session_replication_role = replica; insert into t values (3)")


def test_rotation__writes_the_current_table(db: Database, t: Published) -> None:
    for current in (1, 2, 0, 1):
        db.run("update pgq.queue set queue_cur_table = %s", [current])
        db.script(f"insert into t values ({current}); update t set v = 'x'; delete from t; truncate t")
        assert {e.type[0] for e in t.check()} == {"I", "U", "D", "R"}
        assert db.run(f"select count(*) from only pgq.event_1_{current}")[0][0] >= 4


def test_generated_columns__keep_their_place_without_name(db: Database, pool) -> None:
    virtual = ", w int generated always as (id + 1) virtual" if db.server_version >= 180000 else ""
    db.script(
        "create table g (id int generated always as identity primary key, d int generated always as (id * 2) stored"
        f"{virtual}, v text, s serial)"
    )
    g = publish(db, "g")
    names = "{id,NULL,NULL,v,s}" if virtual else "{id,NULL,v,s}"
    db.script("insert into g (v) values ('a'); update g set v = 'b'")
    assert [e.type for e in g.check()] == [f"I{names}", f"U{names}"]


def test_two_queues__both_get_every_event(db: Database) -> None:
    db.script("create table t (id int primary key, v text)")
    first, second = publish(db, "t"), publish(db, "t", queue="second")
    db.script(
        "insert into t values (1, 'a'), (2, 'b'); update t set id = id + 10; delete from t where id = 11; truncate t;"
        "insert into t values (5, 'x')"
    )
    assert [(e.type, e.data) for e in first.check()] == [(e.type, e.data) for e in second.check()]
    assert first.rows == second.rows == {("5",): {1: "5", 2: "x"}}
