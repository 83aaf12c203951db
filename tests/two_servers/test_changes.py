"""Row changes and transactions: whatever the provider commits is what the subscriber ends up with."""

from __future__ import annotations

import threading
import time

from londiste_lite.db import Database
from tests.fixtures.pair import Pair, both_modes, every_version, in_background

ENTRY = "create table entry (id int primary key, item text, price numeric(8,2))"


@every_version
@both_modes
def test_row_changes__insert_update_delete_truncate(pair: Pair, mode: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start(apply=mode)
    pair.wait()
    provider = pair.provider
    provider.script("insert into entry values (1, 'apple', 1.20), (2, 'pear', null), (3, null, 0)")
    pair.wait()
    pair.assert_equal("entry")
    provider.script("update entry set price = price * 2 where id <> 2; delete from entry where id = 3")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 2
    provider.script("truncate entry")
    pair.wait()
    assert pair.rows("entry") == ([], [])
    provider.script("insert into entry values (2, 'plum', 7)")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 1
    assert pair.conflicts("entry") == 0
    counted = pair.table("entry")
    assert (counted.inserted, counted.updated, counted.deleted) == (4, 2, 1)


@both_modes
def test_row_changes__all_in_one_batch(pair: Pair, mode: str) -> None:
    """What happened to one key while the replay was away is merged into one final state."""
    pair.setup_table(ENTRY, "entry")
    pair.start(apply=mode)
    pair.provider.script("insert into entry select n, 'old', n from generate_series(1, 10) n")
    pair.wait()
    with pair.stopped():
        for statement in (
            "insert into entry values (11, 'new', 1)",
            "update entry set item = 'changed' where id in (1, 11)",
            "delete from entry where id in (2, 3)",
            "insert into entry values (3, 'again', 3), (12, 'short', 0)",
            "delete from entry where id = 12",
            "update entry set id = 20 where id = 4",
            "insert into entry values (4, 'other', 4)",
            "update entry set id = 21 where id = 5; update entry set id = 5 where id = 21",
        ):
            pair.provider.script(statement)
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 11
    assert pair.conflicts("entry") == 0


@both_modes
def test_truncate__between_other_changes_in_one_transaction(pair: Pair, mode: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start(apply=mode)
    pair.provider.script("insert into entry values (1, 'before', 1), (2, 'before', 2)")
    pair.wait()
    pair.provider.script(
        "begin; insert into entry values (3, 'lost', 3); update entry set item = 'lost'; truncate entry;"
        "insert into entry values (2, 'kept', 2); update entry set item = 'kept too'; commit"
    )
    pair.wait()
    pair.assert_equal("entry")
    assert pair.rows("entry")[1] == ['(2,"kept too",2.00)']
    assert pair.conflicts("entry") == 0


def test_truncate__rolled_back(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.provider.script("insert into entry values (1, 'stays', 1)")
    pair.provider.script("begin; truncate entry; insert into entry values (9, 'no', 9); rollback")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 1


@both_modes
def test_key_changes__swaps_rotations_and_shifts(pair: Pair, mode: str) -> None:
    pair.setup_table(
        "create table item (id int primary key deferrable initially immediate, name text)",
        "item",
        other_ddl="create table item (id int primary key, name text)",
    )
    pair.start(apply=mode)
    pair.provider.script("insert into item select n, 'row ' || n from generate_series(1, 9) n")
    pair.wait()
    provider = pair.provider
    provider.script("update item set id = 3 - id where id in (1, 2)")
    pair.wait()
    pair.assert_equal("item")
    provider.script("update item set id = id % 9 + 1")
    provider.script("update item set id = id + 1")
    provider.script("update item set id = id - 100 where id > 5")
    provider.script("begin; update item set id = -1 where id = 2; update item set id = 2 where id = 3; commit")
    pair.wait()
    pair.assert_equal("item")
    assert len(pair.rows("item")[1]) == 9
    assert pair.conflicts("item") == 0


@both_modes
def test_unique_index__values_swapped_and_handed_on(pair: Pair, mode: str) -> None:
    """The order in which a batch's rows change must not trip over a second unique index."""
    pair.setup_table("create table seat (id int primary key, place int unique, who text)", "seat")
    pair.subscriber.script("alter table seat add local text default 'mine'")
    pair.start(apply=mode)
    pair.provider.script("insert into seat select n, n, 'guest ' || n from generate_series(1, 6) n")
    pair.wait()
    pair.subscriber.script("update seat set local = 'local ' || id")
    with pair.stopped():
        pair.provider.script(
            """begin;
            update seat set place = 100 where id = 1; update seat set place = 1 where id = 2;
            update seat set place = 2 where id = 1; commit;
            delete from seat where id = 3; insert into seat values (7, 3, 'new');
            update seat set place = 50 where id = 4; insert into seat values (8, 4, 'newer');
            update seat set place = -place where id in (5, 6); update seat set place = 11 + place where id in (5, 6)"""
        )
    pair.wait()
    pair.assert_equal("seat")
    assert pair.conflicts("seat") == 0
    kept = pair.subscriber.run("select local from seat where id in (1, 2, 4, 5, 6, 7, 8) order by id")
    assert [row[0] for row in kept] == ["local 1", "local 2", "local 4", "local 5", "local 6", "mine", "mine"]


@both_modes
def test_transactions__half_of_one_is_never_visible(pair: Pair, mode: str) -> None:
    """Money moves between two tables while a reader of the subscriber adds it up."""
    pair.setup_table(
        "create table debit (id int primary key, amount int); create table credit (id int primary key, amount int)",
        "debit",
        "credit",
    )
    pair.provider.script(
        "insert into debit select n, 1000 from generate_series(1, 20) n;"
        "insert into credit select n, 1000 from generate_series(1, 20) n"
    )
    pair.start(apply=mode)
    pair.wait()
    sums: list[int] = []

    def transfer(ended: threading.Event) -> None:
        conn = pair.connect_provider()
        number = 0
        while not ended.is_set():
            number += 1
            conn.script(
                f"begin; update debit set amount = amount - {number} where id = {number % 20 + 1};"
                f"update credit set amount = amount + {number} where id = {(number * 7) % 20 + 1}; commit"
            )

    def watch(ended: threading.Event) -> None:
        conn = pair.connect_subscriber()
        while not ended.is_set():
            query = "select (select sum(amount) from debit) + (select sum(amount) from credit)"
            sums.append(int(conn.run(query)[0][0]))

    before = pair.position()
    with in_background(transfer, transfer, watch):
        time.sleep(1.0)
    pair.wait()
    assert before is not None
    assert (pair.position() or 0) - before > 5, "there were hardly any batches to look between"
    pair.assert_equal("debit", "credit")
    assert set(sums) == {40000}
    assert pair.conflicts("debit") == 0


def test_transactions__many_small_ones_while_the_replay_runs_and_while_it_does_not(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start(max_batch_rows=300)
    pair.wait()

    def write(number: int) -> None:
        conn = pair.connect_provider()
        for step in range(150):
            key = number * 1000 + step
            conn.script(f"insert into entry values ({key}, 'x', 1); update entry set price = 2 where id = {key - 1}")

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    time.sleep(0.1)
    with pair.stopped():
        for writer in writers:
            writer.join()
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 450
    assert pair.conflicts("entry") == 0


@every_version
def test_transactions__that_commit_in_another_order_than_they_began(pair: Pair) -> None:
    """The event of a transaction belongs to the batch in which it became visible, however low its number is."""
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    slow, slower, prompt = (pair.connect_provider() for _ in range(3))
    slow.script("begin; insert into entry values (1, 'slow', 1)")
    slower.script("begin; insert into entry values (2, 'slower', 2)")
    for number in range(10, 20):
        prompt.script(f"insert into entry values ({number}, 'prompt', 3)")
        pair.until(lambda n=number: _has(pair.subscriber, n), f"row {number} arrived")  # type: ignore[misc]
    assert not _has(pair.subscriber, 1)
    prompt.script("insert into entry values (20, 'same tick', 4)")
    slow.script("commit")
    pair.until(lambda: _has(pair.subscriber, 1), "the slow transaction's row arrived")
    assert not _has(pair.subscriber, 2)
    slower.script("update entry set item = 'late' where id = 10; commit")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


@every_version
@both_modes
def test_transactions__each_is_in_exactly_one_batch(pair: Pair, mode: str) -> None:
    """One that is in progress at a tick and done when its events are read belongs to the next batch only."""
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    pair.start(apply=mode, max_batch_rows=1)
    pair.wait()
    pair.stop()
    slow = pair.connect_provider()
    for number in range(1, 4):
        slow.script(f"begin; insert into entry values ({number}, 'slow', 1)")
        pair.provider.script(f"insert into entry values ({number + 10}, 'prompt', 1), ({number + 20}, 'prompt', 1)")
        pair.provider.run("select londiste.tick('londiste.test')")
        slow.script("commit")
        pair.provider.run("select londiste.tick('londiste.test')")
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert pair.table("entry").inserted == 9


def _has(db: Database, key: int) -> bool:
    return bool(db.run("select 1 from entry where id = %s", [key]))


@both_modes
def test_transactions__with_savepoints_rolled_back(pair: Pair, mode: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start(apply=mode)
    pair.provider.script(
        """begin;
        insert into entry values (1, 'kept', 1);
        savepoint a; insert into entry values (2, 'gone', 2); update entry set item = 'gone'; rollback to a;
        savepoint b; insert into entry values (3, 'kept', 3); savepoint c; delete from entry where id = 1;
        rollback to c; update entry set price = 33 where id = 3; release b;
        commit;
        begin; insert into entry values (9, 'gone', 9); rollback"""
    )
    pair.wait()
    pair.assert_equal("entry")
    assert pair.rows("entry")[1] == ["(1,kept,1.00)", "(3,kept,33.00)"]


def test_transactions__prepared_ones(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.provider.script("begin; insert into entry values (1, 'two phases', 1); prepare transaction 'one'")
    pair.provider.script("begin; insert into entry values (2, 'two phases', 1); prepare transaction 'two'")
    pair.provider.script("insert into entry values (3, 'meanwhile', 3)")
    pair.wait()
    assert pair.rows("entry")[1] == ["(3,meanwhile,3.00)"]
    pair.provider.script("commit prepared 'one'")
    pair.provider.script("rollback prepared 'two'")
    pair.until(lambda: _has(pair.subscriber, 1), "the prepared transaction's row arrived")
    pair.wait()
    pair.assert_equal("entry")


def test_behind__ticks_are_merged_into_bounded_batches(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start(max_batch_rows=1000)
    pair.wait()
    pair.stop()
    for number in range(40):
        pair.provider.script(
            f"insert into entry select n, 'x', 1 from generate_series({number * 100 + 1}, {number * 100 + 100}) n;"
            "select londiste.tick('londiste.test')"
        )
    replay = pair.start()
    pair.wait()
    pair.assert_equal("entry")
    sizes = [int(line.split(": ")[2].split()[0]) for line in replay.log.lines if "applied ticks" in line]
    assert sum(sizes) == 4000
    assert max(sizes) <= 1100
    assert 4 <= len(sizes) <= 6


def test_local_changes__of_the_subscriber_do_not_come_back(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.provider.script("insert into entry values (1, 'shared', 1)")
    pair.wait()
    pair.subscriber.script("insert into entry values (100, 'local', 1); update entry set item = 'mine' where id = 1")
    pair.provider.script("insert into entry values (2, 'more', 1)")
    pair.wait()
    assert pair.rows("entry") == (
        ["(1,shared,1.00)", "(2,more,1.00)"],
        ["(1,mine,1.00)", "(100,local,1.00)", "(2,more,1.00)"],
    )


def test_audit__ordered_mode_applies_every_event_once_and_in_order(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(
        """create table audit (nr serial, what text);
        create function note() returns trigger language plpgsql as $$
        begin
            insert into public.audit (what) values (tg_op || ' ' || coalesce(new.item, old.item)); return null;
        end $$;
        create trigger note after insert or update or delete on entry for each row execute function note();
        alter table entry enable always trigger note"""
    )
    pair.start(apply="ordered")
    pair.wait()
    with pair.stopped():
        pair.provider.script(
            "insert into entry values (1, 'a', 1); update entry set item = 'b'; update entry set item = 'c';"
            "delete from entry; insert into entry values (1, 'd', 1)"
        )
        pair.provider.script("begin; update entry set item = 'e'; rollback")
    pair.wait()
    applied = [row[0] for row in pair.subscriber.run("select what from audit order by nr")]
    assert applied == ["INSERT a", "UPDATE b", "UPDATE c", "DELETE c", "INSERT d"]


def test_row_changes__of_columns_that_refuse_null(pair: Pair) -> None:
    """Of a deleted row only the key travels, and what stands for its other columns must not be checked."""
    pair.both("create domain filled as text not null")
    pair.setup_table("create table entry (id int primary key, item filled)", "entry")
    pair.start()
    pair.provider.script("insert into entry select n, 'item ' || n from generate_series(1, 10) n")
    pair.wait()
    pair.provider.script("delete from entry where id = 1; update entry set item = 'once' where id = 9")
    pair.wait()
    pair.assert_equal("entry")
    pair.provider.script(
        "delete from entry where id = 2; insert into entry values (2, 'again');"
        "update entry set item = 'twice' where id = 9; delete from entry where id = 9"
    )
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 8
    assert pair.conflicts("entry") == 0
