"""Keys of every kind: whether a statement changed one is seen by its values where equal ones have equal texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog
from londiste_lite.triggers.refresh import refresh_capture
from tests.conftest import need
from tests.database.capture_oracle import QUEUE, publish
from tests.database.pgq_support import call, eager_queue
from tests.fixtures.servers import ServerPool, default_version


@pytest.fixture
def db(request: pytest.FixtureRequest, pool: ServerPool, new_database: Callable, open_connection: Callable) -> Database:
    # The embedded servers are built without ICU.
    loose = "loose" in request.node.callspec.params.get("name", "") if hasattr(request.node, "callspec") else False
    return open_connection(new_database(need(pool, 15 if loose else default_version()), schema.PROVIDER))


LOOSE = "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"

# Two values of each type, and where there is one a value that is equal to the first and reads otherwise.
TYPES = {
    "int2": ("1", "2", None),
    "int4": ("1", "2", None),
    "int8": ("1", "-9000000000", None),
    "uuid": ("00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b", None),
    "text": ("a", 'b "c", (d)', None),
    "varchar(20)": ("a", "b, c", None),
    "text collate loose": ("abc", "b", "ABC"),
    "varchar collate loose": ("abc", "b", "ABC"),
    "bpchar": ("a", "b", "a  "),
    "numeric": ("1.0", "2", "1.00"),
    "float8": ("0", "2", "-0"),
    "interval": ("1 day", "2 days", "24:00:00"),
    "number": ("1", "2", None),
    "date": ("2024-02-01", "2024-02-02", None),
    "int4[]": ("{1}", "{2}", None),
}


@pytest.mark.parametrize("more", ["", "int", "numeric"])
@pytest.mark.parametrize("name", TYPES)
def test_update__of_the_key_and_of_the_rest(db: Database, name: str, more: str) -> None:
    one, two, same = TYPES[name]
    db.script("create domain number as int")
    if "loose" in name:
        db.script(LOOSE)
    second = f", more {more} default 7" if more else ""
    db.script(f"create table t (id {name}{second}, v text, primary key (id{', more' if more else ''}))")
    t = publish(db, "t")
    assert t.capture.current_sequence

    def kinds(statement: str, *values: str) -> list[str]:
        db.run(statement, list(values)) if values else db.script(statement)
        return [event.type[0] for event in t.check()]

    assert kinds("insert into t (id, v) values (%s, 'a') returning 1", one) == ["I"]
    assert kinds("update t set v = 'b'") == ["U"]
    assert kinds("update t set id = id, v = 'c'") == ["U"]
    assert kinds("update t set v = 'd' where v = 'none'") == []
    assert kinds("update t set id = %s returning 1", two) == ["D", "I"]
    assert kinds("update t set id = %s returning 1", one) == ["D", "I"]
    if same is not None:
        # Another text is another key: the subscriber may compare keys by their texts.
        assert kinds("update t set id = %s returning 1", same) == ["D", "I"]
        assert kinds("update t set id = %s returning 1", one) == ["D", "I"]
    if more:
        assert kinds("update t set more = more + 1") == ["D", "I"]
    assert kinds("insert into t (id, v) values (%s, 'a') returning 1", two) == ["I"]
    assert kinds("update t set v = 'e'") == ["U", "U"]
    assert kinds("delete from t where v = 'none'") == []
    assert kinds("delete from t") == ["D", "D"]


@pytest.mark.parametrize("name", ["int", "bigint", "text", "numeric"])
def test_many_rows__keys_that_change_places(db: Database, name: str) -> None:
    """The first rows before and after a statement may have the same key while others have not, and the reverse."""
    db.script(f"create table t (id {name} primary key, v text); insert into t select g, g from generate_series(1, 9) g")
    t = publish(db, "t")
    for change in ("10 - t.id::int", "t.id::int + 1", "case when t.id::int = 5 then 50 else t.id::int end"):
        # In one statement, without a clash of keys on the way.
        db.script(
            "alter table t drop constraint t_pkey; begin;"
            f"update t set id = ({change})::{name}; commit; alter table t add primary key (id)"
        )
        t.check()
    db.script("update t set v = 'x'")
    assert {event.type[0] for event in t.check()} == {"U"}


def test_key_of_another_type__is_written_as_it_must_be(db: Database) -> None:
    db.script("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    t = publish(db, "t")
    db.script("update t set v = 'x' where id = 1; delete from t where id = 3")
    assert [event.type[0] for event in t.check()] == ["U", "D"]
    assert catalog.stale(db, QUEUE) == []
    db.script("alter table t alter id type text using 'no, ' || id")
    t.rows = t.actual()
    # Before anybody has refreshed it.
    db.script("update t set v = 'y' where id = 'no, 1'; update t set id = 'no (1)' where id = 'no, 1'")
    db.script("delete from t where id = 'no, 2'")
    assert [(event.type[0], event.data) for event in t.check()] == [
        ("U", '("no, 1",y)'),
        ("D", '("no, 1")'),
        ("I", '("no (1)",y)'),
        ("D", '("no, 2")'),
    ]
    assert catalog.stale(db, QUEUE) == [QualifiedName("public", "t")]
    assert refresh_capture(db, QUEUE, QualifiedName("public", "t"))
    assert catalog.stale(db, QUEUE) == []
    db.script("update t set v = 'z'; delete from t")
    assert [(event.type[0], event.data) for event in t.check()] == [("U", '("no (1)",z)'), ("D", '("no (1)")')]


def test_key_of_a_type_without_equality_in_pg_catalog__writers_go_on(db: Database) -> None:
    """Comparing its values would find no operator; the function in use was made for int."""
    db.script("create schema ext; create type ext.pair as (a int, b int)")
    db.script("create table t (id int primary key, v text); insert into t values (1, 'a'), (2, 'b')")
    t = publish(db, "t")
    db.script("update t set v = 'x'")
    t.check()
    db.script("alter table t alter id type ext.pair using row(id, 0)::ext.pair")
    t.rows = t.actual()
    db.script("update t set v = 'y'; delete from t where (id).a = 1; update t set id = row(5, 5)::ext.pair")
    t.check()


@pytest.mark.parametrize("level", ["read committed", "repeatable read"])
def test_role__is_followed_wherever_it_changes(db: Database, level: str) -> None:
    """It is a constant of plans that are kept, which the server throws away when it changes."""
    db.script("create table t (id int primary key, v text)")
    t = publish(db, "t")
    db.script(
        f"set default_transaction_isolation = '{level}'; insert into t values (1, 'logged'); update t set v = 'u';"
        "set session_replication_role = local; insert into t values (2, 'local');"
        "update t set v = 'local' where id = 2;"
        "delete from t where id = 2; reset session_replication_role; insert into t values (3, 'logged')"
    )
    db.script(
        "begin; insert into t values (4, 'logged'); savepoint s; set local session_replication_role = local;"
        "insert into t values (5, 'local'); rollback to s; insert into t values (6, 'logged');"
        "set local session_replication_role = local; insert into t values (7, 'local'); commit;"
        "delete from t where id = 7; insert into t values (8, 'logged')"
    )
    assert [(event.type[0], event.data) for event in t.new_events()] == [
        ("I", "(1,logged)"),
        ("U", "(1,u)"),
        ("I", "(3,logged)"),
        ("I", "(4,logged)"),
        ("I", "(6,logged)"),
        ("D", "(7)"),
        ("I", "(8,logged)"),
    ]


def test_upsert__while_one_has_to_ask_for_the_table(db: Database) -> None:
    """Between the steps of a rotation the sequence tells nothing, and what was seen of the rows must not count."""
    db.script("create table t (id int primary key, v text)")
    eager_queue(db, consumers=())
    t = publish(db, "t")
    upsert = "insert into t values {} on conflict (id) do update set v = excluded.v || '!'"
    for ask in (True, False):
        call(db, "maint_rotate_tables_step1" if ask else "maint_rotate_tables_step2", *(["q"] if ask else []))
        db.script(upsert.format("(1, 'a')"))
        db.script(upsert.format("(1, 'b')"))
        db.script(upsert.format("(1, 'c'), (2, 'd'), (3, 'e')"))
        db.script(upsert.format("(1, 'f'), (2, 'g')"))
        db.script("insert into t values (1, 'h') on conflict do nothing")
        db.script("insert into t values (1, 'h') on conflict (id) do update set v = 'i' where false")
        kinds = [event.type[0] for event in t.check()]
        assert kinds == (["I", "U", "U", "I", "I", "U", "U"] if ask else ["U", "U", "U", "U", "U", "U", "U"])


def test_upsert__that_changes_the_key(db: Database) -> None:
    db.script("create table t (id int primary key, v text); insert into t values (1, 'a')")
    t = publish(db, "t")
    db.script("insert into t values (1, 'b') on conflict (id) do update set id = 2, v = 'c'")
    assert [event.type[0] for event in t.check()] == ["D", "I"]
    db.script("insert into t values (2, 'b'), (3, 'd') on conflict (id) do update set id = 1, v = 'e'")
    t.check()
    assert db.run("select current_setting('londiste.open')") == [("",)]


@pytest.mark.parametrize("level", ["read committed", "repeatable read"])
@pytest.mark.parametrize("key", ["id int", "id numeric", "id int, more int default 7"])
@pytest.mark.parametrize("how", ["deferred", "dropped", "made deferrable"])
def test_key_that_is_there_twice_for_a_while(db: Database, how: str, key: str, level: str) -> None:
    """An UPDATE that leaves one of two rows with their key, and a DELETE of one of them: the other counts too."""
    columns = ", ".join(part.split()[0] for part in key.split(","))
    deferred = "deferrable initially deferred" if how == "deferred" else ""
    db.script(f"create table t ({key}, v text, constraint k primary key ({columns}) {deferred})")
    db.script("insert into t (id, v) values (1, 'a'), (2, 'b'), (3, 'c')")
    t = publish(db, "t")
    db.script("update t set v = 'x' where id = 3; delete from t where id = 3")  # plans are made while the key is there
    t.check()
    if how == "made deferrable":
        made = f"alter table t add constraint k primary key ({columns}) deferrable initially deferred"
        db.script(f"alter table t drop constraint k; {made}")
    drop = "alter table t drop constraint k;" if how == "dropped" else ""
    again = f"alter table t add constraint k primary key ({columns});" if how == "dropped" else ""
    db.script(
        f"begin isolation level {level}; {drop} update t set id = 1 where id = 2;"
        f"update t set id = case v when 'b' then 2 else id end where id = 1; {again} commit"
    )
    t.check()
    db.script(
        f"begin isolation level {level}; {drop} update t set id = 1 where id = 2;"
        f"delete from t where id = 1 and v = 'b'; {again} commit"
    )
    t.check()
    assert db.run("select v from t") == [("a",)]
    # The index of a constraint that is made again is another one.
    db.script("update t set v = 'z'; delete from t")
    assert [event.type[0] for event in t.check()] == ["U", "D"]
