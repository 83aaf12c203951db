"""First copy and resync: consistent through snapshots while everybody goes on writing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from londiste_lite import event_queue, registration, subscribed
from londiste_lite.errors import DatabaseError
from londiste_lite.snapshots import Snapshot
from londiste_lite.subscription import AddOptions
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy.connections import Connections
from londiste_lite.tablecopy.load import Loaded, TableLoad
from londiste_lite.tablecopy.tracker import Tracker
from tests.fixtures.pair import QUEUE, Pair, both_modes, every_version, in_background, succeed

ENTRY = "create table entry (id int primary key, item text, price int)"


def writer(pair: Pair, number: int, table: str = "entry") -> Callable[[threading.Event], None]:
    """Inserts, updates, deletes and moves rows of its own range and of one that all writers share."""

    def work(ended: threading.Event) -> None:
        conn = pair.connect_provider()
        step = number * 1_000_000
        while not ended.is_set():
            step += 1
            try:
                conn.script(
                    f"begin; insert into {table} values ({step}, 'w{number}', 0);"
                    f"update {table} set price = price + 1 where id = {step % 50 + 1};"
                    f"delete from {table} where id = {step - 20}; savepoint s;"
                    f"update {table} set item = 'no' where id = {step % 70 + 1}; rollback to s; commit;"
                )
            except DatabaseError as error:
                conn.script("rollback")
                if error.sqlstate != "40P01":  # two writers met in the shared range
                    raise
            if step % 10 == 0:
                conn.script(f"update {table} set id = -id where id = {step - 5}")

    return work


@every_version
@both_modes
def test_copy__while_three_writers_work(pair: Pair, mode: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'old', 0 from generate_series(1, 5000) n")
    with in_background(*(writer(pair, n) for n in (1, 2, 3))):
        time.sleep(0.2)
        pair.start(apply=mode)
        pair.until(lambda: pair.states() == ["ok"], "the copy")
        for _ in range(2):
            pair.resync("entry")
            pair.until(lambda: pair.states() == ["ok"], "the copy")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


def test_copy__starts_while_a_transaction_of_before_is_open(pair: Pair) -> None:
    """Its rows are neither in the copy nor after it by number; they must come all the same."""
    pair.setup_table(ENTRY, "entry")
    early = pair.connect_provider()
    early.script("begin; insert into entry values (1, 'early', 0)")
    pair.provider.script("insert into entry values (2, 'copied', 0)")
    pair.start()
    pair.until(lambda: pair.states() == ["ok"], "the copy")
    pair.provider.script("insert into entry values (3, 'later', 0)")
    early.script("update entry set price = 5 where id = 2; commit")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 3
    assert pair.conflicts("entry") == 0


def test_copy__does_not_stop_other_tables(pair: Pair) -> None:
    pair.setup_table(ENTRY + "; create table other (id int primary key, item text)", "entry", "other")
    pair.start()
    pair.wait()
    pair.provider.script("insert into entry select n, 'x', 0 from generate_series(1, 100) n")
    pair.wait()
    # The copy of `entry` is held up by another session's lock.
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table entry in exclusive mode")
    pair.resync("entry")
    pair.until(lambda: pair.states() == ["in-copy", "ok"], "the copy")
    for number in range(5):
        pair.provider.script(f"insert into other values ({number}, 'goes on'); update entry set price = {number}")
        pair.until(
            lambda n=number: pair.subscriber.run("select 1 from other where id = %s", [n]),  # type: ignore[misc]
            "the other table's row",
        )
    assert pair.states() == ["in-copy", "ok"]
    blocker.script("rollback")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0


def test_copy__readers_never_see_the_table_empty(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'x', 0 from generate_series(1, 3000) n")
    pair.start()
    pair.wait()
    seen: set[int] = set()

    def watch(ended: threading.Event) -> None:
        conn = pair.connect_subscriber()
        while not ended.is_set():
            seen.add(int(conn.run("select count(*) from entry")[0][0]))

    with in_background(watch):
        for _ in range(3):
            pair.resync("entry")
            pair.wait()
    assert seen == {3000}


def test_copy__two_in_parallel_and_a_third_waits(pair: Pair) -> None:
    tables = ["one", "two", "three"]
    ddl = "; ".join(f"create table {t} (id int primary key, item text, price int)" for t in tables)
    pair.setup_table(ddl, *tables)
    for table in tables:
        pair.provider.script(f"insert into {table} select n, 'x', 0 from generate_series(1, 500) n")
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table one, two, three in exclusive mode")
    two = ["-", "in-copy", "in-copy"]
    with in_background(*(writer(pair, n + 1, t) for n, t in enumerate(tables))):
        pair.start(parallel_copies=2)
        # Two of them would go together, were they not locked.
        pair.logged("are taken one by one")
        pair.until(lambda: sorted(pair.states()) == two, "two copies")
        time.sleep(0.5)
        assert sorted(pair.states()) == two
        blocker.script("rollback")
        pair.until(lambda: pair.states() == ["ok"] * 3, "all copies")
    pair.wait()
    pair.assert_equal(*tables)
    assert sum(pair.conflicts(t) for t in tables) == 0


def test_resync__of_all_tables(pair: Pair) -> None:
    pair.setup_table(ENTRY + "; create table other (id int primary key, item text)", "entry", "other")
    pair.provider.script("insert into entry values (1, 'a', 1), (2, 'b', 2); insert into other values (1, 'x')")
    pair.start()
    pair.wait()
    pair.subscriber.script("delete from entry where id = 1; update other set item = 'mine'")
    pair.subscriber.script("insert into other values (9, 'mine')")
    succeed(registration.resync(pair.subscriber, QUEUE, ["*"]))
    pair.wait()
    pair.assert_equal("entry", "other")
    pair.until(
        lambda: event_queue.position(pair.provider, QUEUE, pair.settings.copy_consumer) is None, "the queue's release"
    )


def test_resync__during_a_copy(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'x', 0 from generate_series(1, 2000) n")
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table entry in exclusive mode")
    pair.start()
    pair.until(lambda: pair.states() == ["in-copy"], "the copy")
    pair.resync("entry")
    pair.provider.script("update entry set price = 1 where id < 100")
    time.sleep(0.5)
    blocker.script("rollback")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.table("entry").error is None
    assert pair.replay is not None
    assert "failed" not in pair.replay.output()


def test_remove__during_a_copy(pair: Pair) -> None:
    pair.setup_table(ENTRY + "; create table other (id int primary key)", "entry", "other")
    pair.provider.script("insert into entry values (1, 'x', 0); insert into other values (1)")
    pair.subscriber.script("insert into entry values (100, 'was there', 0)")
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table entry in exclusive mode")
    pair.start()
    pair.until(lambda: pair.states()[0] == "in-copy", "the copy")
    succeed(registration.unsubscribe(pair.subscriber, QUEUE, ["entry"]))
    pair.wait()
    blocker.script("rollback")
    pair.until(
        lambda: event_queue.position(pair.provider, QUEUE, pair.settings.copy_consumer) is None, "the queue's release"
    )
    pair.assert_equal("other")
    assert pair.subscriber.run("select id from entry") == [(100,)]
    pair.subscribe("entry")
    pair.wait()
    pair.assert_equal("entry")


def test_copy__skip_truncate_keeps_what_is_there(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry", skip_truncate=True)
    pair.provider.script("insert into entry values (1, 'theirs', 1)")
    pair.subscriber.script("insert into entry values (100, 'mine', 1)")
    pair.start()
    pair.wait()
    assert pair.rows("entry")[1] == ["(1,theirs,1)", "(100,mine,1)"]
    pair.resync("entry")
    pair.wait()
    pair.assert_equal("entry")


def test_copy__condition_chooses_rows(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry", condition="price > 10 and item not like '%no%'")
    pair.provider.script("insert into entry values (1, 'a', 1), (2, 'b', 20), (3, 'no', 30)")
    pair.start()
    pair.wait()
    assert pair.rows("entry")[1] == ["(2,b,20)"]


def test_copy__expect_sync_copies_nothing(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    pair.subscriber.script("insert into entry values (100, 'mine', 1)")
    pair.start()
    pair.wait()
    pair.provider.script("insert into entry values (1, 'x', 1)")
    pair.wait()
    assert pair.rows("entry")[1] == ["(1,x,1)", "(100,mine,1)"]


def test_copy__of_an_empty_table_and_of_one_that_fails_first(pair: Pair) -> None:
    pair.setup_table(ENTRY + "; create table empty (id int primary key)", "entry", "empty")
    pair.provider.script("insert into entry values (1, 'x', 1)")
    pair.subscriber.script("alter table entry add check (price > 100) not valid")
    pair.start()
    pair.logged("the copy of public.entry failed")
    pair.until(lambda: pair.states() == ["-", "ok"] and pair.table("entry").error, "the copy failed, the other did not")
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    pair.wait()
    pair.assert_equal("entry", "empty")
    assert pair.table("entry").error is None


def test_table_added_while_the_replay_runs__twice_and_after_a_removal(pair: Pair) -> None:
    pair.both(ENTRY)
    pair.start()
    pair.provider.script("insert into entry values (1, 'before', 1)")
    pair.publish("entry")
    pair.provider.script("insert into entry values (2, 'published', 1)")
    pair.subscribe("entry")
    pair.subscribe("entry")
    pair.provider.script("insert into entry values (3, 'subscribed', 1)")
    pair.wait()
    pair.assert_equal("entry")
    succeed(registration.unsubscribe(pair.subscriber, QUEUE, ["entry"]))
    pair.provider.script("update entry set price = 2")
    pair.wait()
    outcomes = registration.subscribe(pair.provider, pair.subscriber, QUEUE, ["entry"], AddOptions())
    succeed(outcomes)
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


def test_catch_up__of_a_table_that_is_far_behind(pair: Pair) -> None:
    """A worker brings it near, and other tables go on meanwhile."""
    pair.setup_table(ENTRY + "; create table other (id int primary key)", "entry", "other")
    pair.start()
    pair.wait()
    blocker = pair.connect_subscriber()
    pair.provider.script("insert into entry select n, 'x', 0 from generate_series(1, 100) n")
    pair.wait()
    blocker.script("begin; lock table entry in exclusive mode")
    pair.resync("entry")
    pair.until(
        lambda: pair.subscriber.run("select 1 from pg_catalog.pg_locks where not granted"),
        "the copy waits for the lock",
    )
    for number in range(5):
        pair.provider.script(
            "insert into entry select n, 'x', 0 from"
            f" generate_series({number * 15000 + 1000}, {number * 15000 + 15999}) n"
        )
        pair.provider.script("update entry set price = price + 1 where id <= 100")
    pair.provider.script("insert into other values (1)")
    pair.until(lambda: pair.subscriber.run("select 1 from other"), "the other table's row")
    blocker.script("rollback")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0


# --- a role that may not switch foreign keys off ------------------------------------------------------------

FAMILY = """create table parent (id int primary key, name text);
create table child (id int primary key, parent_id int not null, foreign key (parent_id) references parent);
create table pet (id int primary key, owner int, constraint "Owner's key" foreign key (owner) references child
    on delete set null deferrable initially immediate)"""


@pytest.fixture(params=["superuser", "ordinary role"])
def family(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    pair.setup_table(FAMILY, "pet", "child", "parent")
    if request.param == "ordinary role":
        pair.subscribe_as("plain")
    pair.provider.script(
        "insert into parent values (1, 'a'), (2, 'b'); insert into child values (1, 1), (2, 2);"
        "insert into pet values (1, 2)"
    )
    return pair


def fkeys(pair: Pair) -> list[tuple[str, str, bool]]:
    return pair.subscriber.run(  # type: ignore[return-value]
        """select conrelid::regclass::text, pg_get_constraintdef(oid), convalidated from pg_constraint
            where contype = 'f' and connamespace = 'public'::regnamespace order by 1, 2"""
    )


def test_foreign_keys__are_there_and_valid_after_copies(family: Pair) -> None:
    before = fkeys(family)
    assert len(before) == 2
    family.start()
    family.wait()
    family.assert_equal("parent", "child", "pet")
    family.until(lambda: fkeys(family) == before, "foreign keys are back")
    for table in ("parent", "child", "pet"):
        family.resync(table)
        family.provider.script("update parent set name = name || '!'")
        family.wait()
    family.until(lambda: fkeys(family) == before, "foreign keys are back")
    family.assert_equal("parent", "child", "pet")
    assert family.subscriber.run("select count(*) from londiste.subscriber_pending_fkeys") == [(0,)]


def test_foreign_keys__are_respected_by_the_order_of_statements(family: Pair) -> None:
    family.start()
    family.wait()
    with family.stopped():
        family.provider.script(
            """begin;
            insert into parent values (3, 'c'); insert into child values (3, 3); insert into pet values (3, 3);
            delete from pet where id = 1; delete from child where id = 2; delete from parent where id = 2;
            update parent set name = 'changed'; commit"""
        )
    family.wait()
    family.assert_equal("parent", "child", "pet")
    family.provider.script("begin; delete from pet; delete from child; delete from parent; commit")
    family.wait()
    assert family.rows("parent") == ([], [])
    family.provider.script("insert into parent values (1, 'new'); insert into child values (1, 1)")
    family.wait()
    family.provider.script("truncate parent, child, pet; insert into parent values (7, 'after truncate')")
    family.wait()
    family.assert_equal("parent", "child", "pet")
    assert sum(family.conflicts(t) for t in ("parent", "child", "pet")) == 0


def test_foreign_keys__child_moves_to_another_parent_and_the_first_one_goes(family: Pair) -> None:
    family.start()
    family.wait()
    family.detours = True
    family.provider.script(
        "begin; insert into parent values (9, 'new'); update child set parent_id = 9 where parent_id = 1;"
        "delete from parent where id = 1; commit"
    )
    family.wait()
    family.assert_equal("parent", "child", "pet")
    family.provider.script("delete from pet; delete from child where id = 2")
    family.wait()
    family.assert_equal("parent", "child", "pet")
    assert sum(family.conflicts(t) for t in ("parent", "child", "pet")) == 0


@pytest.mark.parametrize("role", ["postgres", "plain"])
def test_foreign_keys__in_a_circle(pair: Pair, role: str) -> None:
    pair.setup_table(
        """create table hen (id int primary key, egg int);
        create table egg (id int primary key, hen int not null references hen);
        alter table hen add foreign key (egg) references egg;
        create table node (id int primary key, up int references node)""",
        "hen",
        "egg",
        "node",
    )
    if role != "postgres":
        pair.subscribe_as(role)
        pair.detours = True  # rows that reference rows of their own table need the order of the events
    pair.provider.script("insert into hen values (1, null); insert into egg values (1, 1); update hen set egg = 1")
    pair.start()
    pair.wait()
    pair.provider.script(
        "begin; insert into hen values (2, 1); insert into egg values (2, 2); update hen set egg = 2; commit"
    )
    pair.wait()
    pair.provider.script("update hen set egg = null; delete from egg; delete from hen")
    pair.provider.script("insert into node values (1, null), (2, 1), (3, 2); update node set up = 3 where id = 1")
    pair.wait()
    pair.provider.script(
        "update node set up = null where id = 1; delete from node where id = 3; delete from node where id = 2"
    )
    pair.wait()
    pair.assert_equal("hen", "egg", "node")
    assert sum(pair.conflicts(t) for t in ("hen", "egg", "node")) == 0


def test_foreign_keys__that_cannot_be_restored_are_remembered(pair: Pair) -> None:
    pair.setup_table(FAMILY, "child")
    pair.subscribe_as("plain")
    pair.provider.script("insert into parent values (1, 'a'); insert into child values (1, 1)")
    pair.start()
    pair.wait()
    pair.logged("cannot be restored yet")
    remembered = "select from_table, fkey_name from londiste.subscriber_pending_fkeys"
    pair.until(
        lambda: pair.subscriber.run(remembered) == [("public.child", "child_parent_id_fkey")],
        "the other one is restored",
    )
    assert len(fkeys(pair)) == 2, "it is there for new rows, but not validated"
    pair.publish("parent")
    pair.subscribe("parent")
    pair.wait()
    pair.until(lambda: all(valid for _, _, valid in fkeys(pair)), "foreign keys are valid")
    pair.until(lambda: pair.subscriber.run(remembered) == [], "nothing is pending")


def test_roles__an_ordinary_owner_can_do_everything(pair: Pair) -> None:
    """Insert, key change, unique swap, truncate, sequence, ordered mode: none needs a superuser on the subscriber."""
    pair.setup_table("create table seat (id serial primary key, place int unique)", "seat")
    pair.sequence("seat_id_seq")
    pair.subscribe_as("plain")
    pair.provider.script("insert into seat (place) select n from generate_series(1, 5) n")
    pair.start()
    pair.wait()
    pair.provider.script("update seat set id = id + 10; begin; update seat set place = 0 where id = 11; commit")
    pair.provider.script(
        "begin; update seat set place = 1 where id = 12; update seat set place = 2 where id = 11; commit"
    )
    pair.wait()
    pair.assert_equal("seat")
    pair.stop()
    pair.start(apply="ordered")
    pair.provider.script("truncate seat; insert into seat (place) values (1)")
    pair.wait()
    pair.assert_equal("seat")
    assert pair.subscriber.run("select last_value from seat_id_seq") == [(6,)]
    assert subscribed.tables(pair.subscriber, QUEUE)[0].conflicts == 0


def test_copy__waits_for_a_truncate_that_is_under_way(pair: Pair) -> None:
    """A snapshot from before it would go with rows from after it: TRUNCATE empties the table for old snapshots too."""
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry values (1, 'old', 0)")
    subscribed.set_state(pair.subscriber, QUEUE, pair.table("entry"), TableState.IN_COPY)
    emptying = pair.connect_provider()
    emptying.script("begin; truncate entry; insert into entry values (2, 'new', 0)")
    txid = int(emptying.run("select txid_current()")[0][0])
    connections = Connections(pair.settings)
    loaded: list[Loaded] = []

    def load(_: threading.Event) -> None:
        with connections.lent() as sides:
            queue = event_queue.find_queue(sides.provider, QUEUE)
            table = pair.table("entry")
            loaded.append(TableLoad(pair.settings, table, queue, sides, connections.lent, Tracker()).run())
        connections.release()

    with in_background(load):
        waiting = "select 1 from pg_stat_activity where application_name like '%:copy' and wait_event_type = 'Lock'"
        pair.until(lambda: pair.provider.run(waiting), "the copy's wait")
        emptying.script("commit")
    assert Snapshot.parse(loaded[0].snapshot).sees(txid)
    assert pair.rows("entry")[1] == ["(2,new,0)"]
