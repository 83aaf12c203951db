"""Capture after ALTER TABLE, with nobody refreshing anything, in sessions whose plans are warm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.conftest import need
from tests.database.capture_oracle import publish


class Sessions:
    """The altering session `db`, and a writer whose plans are warm."""

    def __init__(self, db: Database, writer: Database) -> None:
        self.db = db
        self.writer = writer
        db.script("create table t (id int primary key, v text, n int); insert into t values (1, 'a', 1)")
        self.t = publish(db, "t")

    def warm(self) -> None:
        for _ in range(8):
            self.writer.script("insert into t values (99); update t set v = 'w' where id = 99")
            self.writer.script("update t set id = 98 where id = 99; delete from t where id = 98")
        self.t.check()

    def types(self) -> list[str]:
        return [e.type for e in self.t.check()]


@pytest.fixture(params=[15, 18])
def s(request, pool, new_database: Callable, open_connection: Callable) -> Sessions:
    dsn = new_database(need(pool, request.param), schema.PROVIDER)
    sessions = Sessions(open_connection(dsn), open_connection(dsn))
    sessions.warm()
    return sessions


CHANGES = {
    "add": ("alter table t add w int default 5", "{id,v,n,w}", None),
    "add_first_null": ("alter table t add w int", "{id,v,n,w}", None),
    "drop": ("alter table t drop v", "{id,n}", "{1,3}"),
    "drop_last": ("alter table t drop n", "{id,v}", None),
    "rename": ("alter table t rename v to w", "{id,w,n}", None),
    "swap_names": (
        "alter table t rename v to x; alter table t rename n to v; alter table t rename x to n",
        "{id,n,v}",
        None,
    ),
    "drop_and_add": ("begin; alter table t drop v; alter table t add v text; commit", "{id,n,v}", "{1,3,4}"),
    "retype": ("alter table t alter n type numeric", "{id,v,n}", None),
    "retype_key": ("alter table t alter id type bigint", "{id,v,n}", None),
    "drop_expression": (
        "alter table t add g int generated always as (n * 2) stored; alter table t alter g drop expression",
        "{id,v,n,g}",
        None,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_alter__in_another_session(s: Sessions, change: str) -> None:
    sql, columns, attnums = CHANGES[change]
    s.db.script(sql)
    s.writer.script(
        "insert into t (id) values (2); update t set id = 3 where id = 2; update t set id = id where id = 3"
    )
    found = s.t.check()
    assert [(e.type, e.attnums) for e in found] == [
        ("I" + columns, attnums),
        ("D{id}", None),
        ("I" + columns, attnums),
        ("U" + columns, attnums),
    ]
    s.writer.script("delete from t where id in (1, 3)")
    assert [e.type for e in s.t.check()] == ["D{id}"] * 2


@pytest.mark.parametrize("change", CHANGES)
def test_alter__in_the_same_transaction_as_writes(s: Sessions, change: str) -> None:
    sql, columns, _ = CHANGES[change]
    with s.writer.transaction():
        s.writer.script("insert into t (id) values (2)")
        s.writer.script(sql.replace("begin;", "").replace("commit", ""))
        s.writer.script("update t set id = id where id = 2; delete from t where id = 2")
    assert s.types() == ["I{id,v,n}", "U" + columns, "D{id}"]


def test_alter__rolled_back(s: Sessions) -> None:
    with s.writer.transaction():
        s.writer.script("savepoint a; alter table t add w int; insert into t values (2, 'b', 3, 4)")
        s.writer.script("rollback to a; insert into t values (2, 'b', 3)")
    assert s.types() == ["I{id,v,n}"]


def test_rename_of_the_key__writes_go_on(s: Sessions) -> None:
    s.db.script("alter table t rename id to ident")
    s.writer.script("insert into t values (2, 'b'), (3, 'c'); update t set v = 'x' where ident = 2")
    s.writer.script("update t set ident = 9 where ident = 3; delete from t where ident = 2")
    assert s.types() == ["I{ident,v,n}"] * 2 + ["U{ident,v,n}", "D{ident}", "I{ident,v,n}", "D{ident}"]


def test_key_name_moves_to_another_column__key_is_known_by_its_place(s: Sessions) -> None:
    s.db.script("alter table t rename id to old_id; alter table t rename n to id")
    s.writer.script("insert into t values (2, 'b', 77); delete from t where old_id in (1, 2)")
    found = s.t.check()
    assert (found[0].type, found[0].data) == ("I{old_id,v,id}", "(2,b,77)")
    assert sorted((e.type, e.data) for e in found[1:]) == [("D{old_id}", "(1)"), ("D{old_id}", "(2)")]


def test_dropped_key__whole_rows_are_logged(s: Sessions) -> None:
    s.db.script("alter table t drop id")
    s.writer.script("insert into t values ('b', 2); update t set v = 'c' where n = 2; delete from t where n = 2")
    found = s.t.new_events()
    assert [(e.type, e.data, e.attnums) for e in found] == [
        ("I{v,n}", "(b,2)", "{2,3}"),
        ("D{v,n}", "(b,2)", "{2,3}"),
        ("U{v,n}", "(c,2)", "{2,3}"),
        ("D{v,n}", "(c,2)", "{2,3}"),
    ]


def test_dropped_and_new_key__found_by_name(s: Sessions) -> None:
    s.db.script("alter table t drop id; alter table t add id serial primary key")
    s.writer.script("delete from t")
    assert [(e.type, e.data, e.attnums) for e in s.t.new_events()] == [("D{id}", "(1)", "{4}")]


def test_renamed_table_and_schema__name_in_events_stays(s: Sessions) -> None:
    s.db.script("create schema o; alter table t set schema o; alter table o.t rename to u")
    s.writer.script("insert into o.u values (2); update o.u set id = 5 where id = 2; delete from o.u where id = 5")
    assert [(e.type[0], e.data, e.table) for e in s.t.new_events()] == [
        ("I", "(2,,)", "public.t"),
        ("D", "(2)", "public.t"),
        ("I", "(5,,)", "public.t"),
        ("D", "(5)", "public.t"),
    ]


def test_alter_while_the_writer_waits__new_columns_are_logged(s: Sessions, open_connection) -> None:
    """COPY takes its snapshot before it gets the table's lock."""
    import io
    import threading
    import time

    s.db.script("begin; alter table t add w int default 5")
    done = threading.Thread(target=lambda: s.writer.copy_in("copy t (id) from stdin", io.BytesIO(b"2\n")))
    done.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not s.db.run("select 1 from pg_locks where not granted"):
        time.sleep(0.01)
    s.db.script("commit")
    done.join(10)
    assert s.types() == ["I{id,v,n,w}"]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("change", ["add", "drop", "rename", "drop_and_add", "swap_names", "retype"])
def test_alter__after_the_snapshot_of_a_transaction(s: Sessions, level: str, change: str) -> None:
    """Such a transaction sees an old catalog: it must fail to serialize, and never log wrong columns."""
    sql, columns, _ = CHANGES[change]
    s.writer.script(f"begin isolation level {level}")
    s.writer.run("select 1 from pg_class limit 1")
    s.db.script(sql)
    with pytest.raises(DatabaseError, match="could not serialize") as failure:
        s.writer.script("insert into t (id) values (2)")
    s.writer.script("rollback")
    assert failure.value.sqlstate == "40001"
    assert s.types() == []
    s.writer.script(f"begin isolation level {level}; insert into t (id) values (2); commit")
    assert s.types() == ["I" + columns]


def test_snapshot_isolation__without_alter_nothing_fails(s: Sessions, open_connection) -> None:
    for level in ("repeatable read", "serializable"):
        with s.writer.transaction(f"begin isolation level {level}"):
            s.writer.script(
                "insert into t values (2, 'b', 3); update t set id = 3 where id = 2; delete from t where id = 3"
            )
    assert [kind[0] for kind in s.types()] == ["I", "D", "I", "D"] * 2
