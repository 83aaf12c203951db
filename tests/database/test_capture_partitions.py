"""Capture of partitioned tables: all levels log under the root's name; refresh follows what comes and goes."""

from __future__ import annotations

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import RegistrationError
from londiste_lite.names import QualifiedName
from londiste_lite.triggers import catalog
from londiste_lite.triggers.listing import captured_relations
from londiste_lite.triggers.refresh import refresh_capture
from tests.conftest import need
from tests.database.capture_oracle import QUEUE, Published, publish

P = QualifiedName("public", "p")


@pytest.fixture(params=[15, 16, 18])
def db(request, pool, new_database, open_connection) -> Database:
    return open_connection(new_database(need(pool, request.param), schema.PROVIDER))


@pytest.fixture
def p(db: Database) -> Published:
    """Root p; p0 like it; p1 with other column order and a dropped column; p2 partitioned again into p20 and p21."""
    db.script(
        "create table p (id int, v text, n int, primary key (id)) partition by range (id);"
        "create table p0 partition of p for values from (0) to (10);"
        "create table p1 (n int, gone int, v text, id int not null); alter table p1 drop gone;"
        "alter table p attach partition p1 for values from (10) to (20);"
        "create table p2 partition of p for values from (20) to (40) partition by range (id);"
        "create table p20 partition of p2 for values from (20) to (30);"
        "create table p21 partition of p2 for values from (30) to (40)"
    )
    return publish(db, "p")


ROWS = "insert into p select g, 'v' || g, g from unnest(array[1, 2, 11, 12, 21, 22, 31, 32]) g"


def test_root__statements_on_it_log_once(db: Database, p: Published) -> None:
    db.script(f"{ROWS}; update p set v = 'x'; delete from p where n % 2 = 0")
    found = p.check()
    assert [e.type[0] for e in found] == ["I"] * 8 + ["U"] * 8 + ["D"] * 4
    assert {e.table for e in found} == {"public.p"}


def test_partition__statements_on_it_log_under_the_root(db: Database, p: Published) -> None:
    db.script("insert into p1 values (1, 'a', 11); update p1 set v = 'b'; update p1 set id = 12; delete from p1")
    assert [(e.type, e.data, e.attnums) for e in p.new_events()] == [
        ("I{n,v,id}", "(1,a,11)", "{3,2,1}"),
        ("U{n,v,id}", "(1,b,11)", "{3,2,1}"),
        ("D{id}", "(11)", None),
        ("I{id,v,n}", "(12,b,1)", None),
        ("D{id}", "(12)", None),
    ]
    db.script("insert into p2 values (21, 'a', 1), (31, 'b', 2); update p20 set v = 'c'; delete from p2 where id = 31")
    assert [e.type[0] for e in p.check()] == ["I", "I", "U", "D"]


@pytest.mark.parametrize("target", ["p", "p2"])
def test_row_movement__delete_at_the_old_key(db: Database, p: Published, target: str) -> None:
    db.script(ROWS)
    p.check()
    step = {"p": "id + 10 where id in (1, 12)", "p2": "id + 5 where id > 20"}[target]
    db.script("delete from p where id in (11, 22)")
    db.script(f"update {target} set id = {step}")
    p.check()
    db.script("update p set id = 39 - id, v = 'back' where id not in (2, 37)")
    p.check()


def test_row_movement__by_one_of_two_key_columns(db: Database) -> None:
    """The partition key is part of the key, so the subscriber must drop the row where it was."""
    db.script(
        "create table m (id int, part int, v text, primary key (part, id)) partition by list (part);"
        "create table m1 partition of m for values in (1);"
        "create table m2 (v text, part int not null, id int not null);"
        "alter table m attach partition m2 for values in (2)"
    )
    m = publish(db, "m")
    db.script("insert into m values (1, 1, 'a'), (2, 2, 'b'); update m set part = 3 - part")
    found = m.check()
    assert [e.type[0] for e in found] == ["I", "I", "D", "D", "I", "I"]


def test_row_movement__into_a_partition_that_does_not_take_it(db: Database, p: Published) -> None:
    """A BEFORE INSERT trigger of the other partition drops the row, so an old row has no new one."""
    db.script("create function dropped() returns trigger language plpgsql as 'begin return null; end'")
    for statement in (
        "update p set id = id + 10 where id = 1",
        "update p set id = id + case id when 21 then 5 else 10 end where id in (1, 2, 21)",
        "update p set id = id + 10, v = 'moved' where id in (1, 2)",
        "update p set id = case when id = 1 then 13 else id end, v = 'changed'",
        "with other as (update p set v = 'other' where id = 31) update p set id = id + 10 where id = 1",
    ):
        db.script(f"truncate p; {ROWS}; delete from p where id in (11, 22)")
        p.check()
        db.script("create trigger dropped before insert on p1 for each row execute function dropped()")
        db.script(statement)
        assert "(1)" in [e.data for e in p.check() if e.type == "D{id}"]
        db.script("drop trigger dropped on p1")


MERGE = (
    "merge into p using (values (1, 11), (2, 3), (12, 25), (21, 31), (22, 38), (33, 26)) s (id, now) on p.id = s.id "
)


ACTIONS = (
    "when matched then update set id = now",
    "when matched and now < 31 then update set id = now, v = p.v || '!'",
    "when matched then update set id = now when not matched then insert values (s.id, 'new', 1)",
    "when matched and now = 38 then delete when matched then update set id = now",
    "when matched and now = 38 then delete when matched then update set id = now"
    " when not matched then insert values (s.id, 'new', 1)",
)


@pytest.mark.parametrize("taken", [True, False])
def test_merge__moves_rows_between_partitions(db: Database, p: Published, taken: bool) -> None:
    """The server shows such rows to no statement trigger of UPDATE."""
    if not taken:
        db.script(
            "create function dropped() returns trigger language plpgsql as"
            " 'begin if new.id in (11, 31) then return null; end if; return new; end';"
            "create trigger dropped before insert on p1 for each row execute function dropped();"
            "create trigger dropped before insert on p21 for each row execute function dropped()"
        )
    for target in ("p", "p2"):
        for actions in ACTIONS:
            db.script(f"truncate p; {ROWS.replace('11, 12', '12').replace(', 31', '')}")
            p.check()
            merge = (MERGE.replace("into p ", f"into {target} ") + actions).replace("p.", f"{target}.")
            if target == "p2":
                merge = merge.replace("(1, 11), (2, 3), (12, 25), ", "")
            db.script(merge)
            found = p.check()
            assert len({(e.type, e.data) for e in found}) == len(found), "an event twice"
            assert found or (target == "p2" and "now < 31" in actions)
            assert db.run("select count(*) from londiste.moved_row") == [(0,)]
            assert db.run("select current_setting('londiste.moved', true)") in ([("",)], [(None,)])


def test_merge__moves_rows_in_a_savepoint_and_inside_other_statements(db: Database, p: Published) -> None:
    db.script(f"{ROWS}; delete from p where id in (11, 22)")
    p.check()
    step = "when matched then update set id = p.id + 10"
    db.script(
        f"begin; merge into p using (values (1)) s (id) on p.id = 12 {step};"
        f"savepoint a; merge into p using (values (1)) s (id) on p.id = 2 {step}; rollback to a;"
        "update p set v = 'changed' where id = 1; commit"
    )
    assert [(e.type[0], e.data) for e in p.check()] == [("D", "(12)"), ("I", "(22,v12,12)"), ("U", "(1,changed,1)")]
    # A trigger's statement on the same table while the MERGE is under way, and a MERGE in a trigger.
    db.script(
        "create function other() returns trigger language plpgsql as $$begin"
        " update p set v = v || '+' where n = 21; return new; end$$;"
        "create trigger other before update on p0 for each row execute function other()"
    )
    db.script("merge into p using (values (1), (2)) s (id) on p.id = s.id when matched then update set id = p.id + 13")
    p.check()
    db.script(
        "drop trigger other on p0; create table started (id int);"
        "create function merges() returns trigger language plpgsql as $$begin"
        " merge into p using (values (14), (15)) s (id) on p.id = s.id when matched then update set id = p.id - 10;"
        " return new; end$$;"
        "create trigger merges after insert on started for each row execute function merges()"
    )
    db.script("insert into started values (1)")
    found = sorted((e.type[0], e.data[:3]) for e in p.check())
    assert found == [("D", "(14"), ("D", "(15"), ("I", "(4,"), ("I", "(5,")]


def test_swap_between_partitions__by_the_root(db: Database, p: Published) -> None:
    db.script("insert into p values (1, 'a', 1), (11, 'b', 2)")
    db.script("with gone as (delete from p where id = 11 returning *) update p set id = 11 from gone where p.id = 1")
    p.check()


def test_truncate__root_is_one_event(db: Database, p: Published) -> None:
    db.script(f"{ROWS}; truncate p")
    found = p.check()
    assert [e.type for e in found[8:]] == ["R"]


def test_truncate__of_a_partition_deletes_its_rows_only(db: Database, p: Published) -> None:
    db.script(ROWS)
    for name, rest in (("p1", 6), ("p20", 4), ("p2", 2)):
        db.script(f"truncate {name}")
        assert all(e.type[0] != "R" for e in p.check())
        assert len(p.rows) == rest
    db.script(f"truncate p0; {ROWS}; truncate p0, p")
    p.check()
    assert p.rows == {}


def test_truncate_in_a_rolled_back_savepoint__leaves_no_mark(db: Database, p: Published) -> None:
    with db.transaction():
        db.script(f"{ROWS}; savepoint s; truncate p; rollback to s; truncate p0")
    p.check()
    assert len(p.rows) == 6


def test_nested_statement_through_another_level__current_rows(db: Database, p: Published) -> None:
    db.script(
        "create function again() returns trigger language plpgsql as $$ begin"
        " if pg_trigger_depth() = 1 then update p set v = v || '!', id = case when id = 12 then 25 else id end; end if;"
        " return null; end $$;"
        "create trigger again after insert or update on p1 for each row execute function again()"
    )
    db.script("insert into p1 values (1, 'a', 11), (2, 'b', 12)")
    p.check()
    assert ("25",) in p.rows
    db.script("update p1 set v = 'c', id = 13")
    p.check()


def test_refresh__attached_and_detached(db: Database, p: Published) -> None:
    assert catalog.stale(db, QUEUE) == []
    assert refresh_capture(db, QUEUE, P) == []
    db.script("create table p4 partition of p for values from (40) to (50); insert into p values (41, 'via root', 1)")
    p.check()
    assert catalog.stale(db, QUEUE) == [P]
    done = refresh_capture(db, QUEUE, P)
    assert any("public.p4" in line for line in done)
    assert catalog.stale(db, QUEUE) == []
    assert refresh_capture(db, QUEUE, P) == []
    db.script("insert into p4 values (42, 'direct', 2)")
    p.check()
    db.script("alter table p detach partition p4")
    assert catalog.stale(db, QUEUE) == [P]
    assert any("dropped public.p4" in line for line in refresh_capture(db, QUEUE, P))
    db.script("insert into p4 values (43, 'not ours', 2)")
    assert p.new_events() == []
    assert catalog.stale(db, QUEUE) == []
    assert QualifiedName("public", "p4") not in [c.relation for c in captured_relations(db, QUEUE)]


def test_refresh__renamed_key(db: Database, p: Published) -> None:
    db.script(f"{ROWS}; alter table p rename id to ident")
    assert catalog.stale(db, QUEUE) == [P]
    db.script("update p1 set v = 'x'; update p set ident = 5 where ident = 11; delete from p0 where n = 2")
    p.check()
    assert refresh_capture(db, QUEUE, P) != []
    assert catalog.stale(db, QUEUE) == []
    db.script("update p set ident = 13 where ident = 12; delete from p1")
    p.check()


def test_listing__operations_of_every_level(db: Database, p: Published) -> None:
    found = {str(c.relation): c.operations for c in captured_relations(db, QUEUE)}
    every = ("insert", "update", "delete", "truncate")
    assert found == {f"public.{n}": every for n in ("p", "p0", "p1", "p20", "p21")} | {"public.p2": every[:3]}


def test_partition_alone__is_refused(db: Database, p: Published) -> None:
    with pytest.raises(RegistrationError, match=r'"public.p20" is a partition of "public.p"'):
        publish(db, "p20")
