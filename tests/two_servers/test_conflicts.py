"""Rows that the subscriber has changed by itself: the provider's state wins, and it is counted."""

from __future__ import annotations

import pytest

from londiste_lite import conflicts, progress, registration
from londiste_lite.names import TableName
from londiste_lite.progress import Status
from londiste_lite.status_screen import screen
from tests.fixtures.pair import CONSUMER, QUEUE, Pair, both_modes

ENTRY = "create table entry (id int primary key, item text, price int)"


@pytest.fixture
def synced(pair: Pair, mode: str) -> Pair:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'row ' || n, n from generate_series(1, 10) n")
    pair.start(apply=mode)
    pair.wait()
    return pair


def met(pair: Pair, table: str = "entry") -> dict[str, tuple[int, set[str]]]:
    found = conflicts.by_table(pair.subscriber, QUEUE)[TableName("public", table)]
    return {one.kind: (one.count, set(one.keys)) for one in found}


def status_of(pair: Pair) -> Status:
    return progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None)


@both_modes
def test_conflict__update_meets_no_row(synced: Pair, mode: str) -> None:
    synced.subscriber.script("delete from entry where id in (1, 2)")
    synced.provider.script("update entry set price = 100 where id < 4")
    synced.wait()
    synced.assert_equal("entry")
    assert synced.conflicts("entry") == 2
    assert met(synced) == {"update": (2, {"1", "2"})}


@both_modes
def test_conflict__delete_meets_no_row(synced: Pair, mode: str) -> None:
    synced.subscriber.script("delete from entry where id in (1, 2)")
    synced.provider.script("delete from entry where id < 4")
    synced.wait()
    synced.assert_equal("entry")
    assert synced.conflicts("entry") == 2
    assert met(synced) == {"delete": (2, {"1", "2"})}


@both_modes
def test_conflict__insert_meets_a_row(synced: Pair, mode: str) -> None:
    synced.subscriber.script("insert into entry values (11, 'mine', 1), (12, 'mine', 1), (13, 'mine', 1)")
    synced.provider.script("insert into entry values (11, 'theirs', 2), (12, 'theirs', 2), (14, 'theirs', 2)")
    synced.wait()
    synced.assert_equal_except("entry", "id = 13")
    assert synced.conflicts("entry") == 2
    assert met(synced) == {"insert": (2, {"11", "12"})}


@both_modes
def test_conflict__of_every_kind_in_one_batch(synced: Pair, mode: str) -> None:
    with synced.stopped():
        synced.subscriber.script(
            "delete from entry where id in (1, 2, 3); insert into entry values (20, 'mine', 0), (21, 'mine', 0)"
        )
        for statement in (
            "update entry set price = 0 where id in (1, 5)",  # 1 is gone: a conflict
            "delete from entry where id in (2, 6)",  # 2 is gone: a conflict
            "insert into entry values (20, 'theirs', 0), (30, 'theirs', 0)",  # 20 is there: a conflict
            "update entry set price = 1 where id in (1, 20)",  # already counted
            "insert into entry values (21, 'short', 0)",  # is there: a conflict, whatever follows
            "delete from entry where id = 21",
            "insert into entry values (31, 'short', 0)",
            "delete from entry where id = 31",
            "delete from entry where id = 3",  # is gone: a conflict, whatever follows
            "insert into entry values (3, 'again', 0)",
        ):
            synced.provider.script(statement)
    synced.wait()
    synced.assert_equal("entry")
    assert synced.conflicts("entry") == 5
    assert met(synced) == {"insert": (2, {"20", "21"}), "update": (1, {"1"}), "delete": (2, {"2", "3"})}
    # A later batch: the last keys come first, and no more are kept than some.
    for first in (40, 50):
        with synced.stopped():
            synced.subscriber.script(
                f"insert into entry select n, 'mine', 0 from generate_series({first}, {first + 3}) n"
            )
            synced.provider.script(f"insert into entry select n, 'it', 0 from generate_series({first}, {first + 3}) n")
        synced.wait()
    synced.assert_equal("entry")
    [found] = status_of(synced).tables
    assert found.conflicts == 13
    assert found.conflict_kinds == {"insert": 10, "update": 1, "delete": 2}
    assert set(found.conflict_keys["insert"][:4]) == {"50", "51", "52", "53"}
    assert found.conflict_keys["insert"][4] in {"40", "41", "42", "43"}
    shown = "\n".join("".join(piece for piece, _ in line) for line in screen(status_of(synced), [], ("a", "b"), 80))
    assert "  1 updates met none, last keys: 1" in shown
    # They go with the subscription.
    synced.stop()
    registration.unsubscribe(synced.subscriber, QUEUE, ["public.entry"])
    assert conflicts.by_table(synced.subscriber, QUEUE) == {}


@both_modes
def test_conflict__keys_of_several_columns_and_a_table_of_keys(pair: Pair, mode: str) -> None:
    """A table that holds nothing but its key, and the way that deletes every touched key first."""
    pair.setup_table(
        """create table link (a int, b text, primary key (a, b));
        create table seat (id int primary key, place int unique)""",
        "link",
        "seat",
    )
    pair.provider.script("insert into link values (1, 'x'), (2, 'y'); insert into seat values (1, 1), (2, 2), (3, 3)")
    pair.start(apply=mode)
    pair.wait()
    with pair.stopped():
        pair.subscriber.script(
            "delete from link; insert into link values (3, 'z'); delete from seat where id in (1, 3)"
        )
        pair.subscriber.script("insert into seat values (4, 4)")
        pair.provider.script(
            """update link set a = a where a = 1; delete from link where a = 2; insert into link values (3, 'z');
            update seat set place = 0 where id = 1; update seat set place = 1 where id = 2;
            update seat set place = 2 where id = 1; delete from seat where id = 3; insert into seat values (4, 5)"""
        )
    pair.wait()
    pair.assert_equal("link", "seat")
    assert met(pair, "link") == {"update": (1, {"(1, x)"}), "delete": (1, {"(2, y)"}), "insert": (1, {"(3, z)"})}
    assert met(pair, "seat") == {"update": (1, {"1"}), "delete": (1, {"3"}), "insert": (1, {"4"})}


@both_modes
def test_conflict__with_a_row_that_has_the_same_value_in_a_unique_index(pair: Pair, mode: str) -> None:
    """Nobody can say which of the two rows is right, so replay names the event and waits."""
    pair.setup_table("create table seat (id int primary key, place int unique)", "seat")
    pair.start(apply=mode)
    pair.wait()
    pair.subscriber.script("insert into seat values (100, 1)")
    pair.provider.script("insert into seat values (1, 1)")
    pair.logged('of table "public.seat" cannot be applied')
    assert pair.table("seat").error
    pair.subscriber.script("delete from seat where id = 100")
    pair.detours = True
    pair.wait()
    pair.assert_equal("seat")
    assert pair.table("seat").error is None


@both_modes
def test_conflict__none_where_keys_change_and_swap(synced: Pair, mode: str) -> None:
    with synced.stopped():
        for statement in (
            "update entry set id = id + 100",
            "update entry set id = id - 99",
            "begin; update entry set id = 0 where id = 2; update entry set id = 2 where id = 3; commit",
            "update entry set id = 3 where id = 0",
            "delete from entry where id = 5",
            "insert into entry values (5, 'new', 5)",
        ):
            synced.provider.script(statement)
    synced.wait()
    synced.assert_equal("entry")
    assert synced.conflicts("entry") == 0


@pytest.mark.parametrize("other", ["", "price int unique,"])
def test_bulk__no_conflict_where_a_trigger_changes_a_row_while_it_is_inserted(pair: Pair, other: str) -> None:
    ddl = f"create table entry (id int primary key, {other} item text)"
    pair.setup_table(ddl, "entry")
    pair.provider.script(
        "create function more() returns trigger language plpgsql as $$begin"
        " update entry set item = item || '+' where id = new.id; return new; end$$;"
        "create trigger more after insert on entry for each row execute function more()"
    )
    pair.start()
    pair.wait()
    with pair.stopped():
        pair.provider.script("insert into entry (id, item) select g, 'x' from generate_series(1, 20) g")
        pair.provider.script("delete from entry where id = 3; insert into entry (id, item) values (3, 'y')")
        pair.provider.script("update entry set item = 'z' where id = 4")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    # What is amiss is counted as before: that the row was there is what the first of these says.
    with pair.stopped():
        pair.subscriber.script("delete from entry where id in (5, 6)")
        pair.provider.script("update entry set item = 'a' where id = 5; delete from entry where id = 5")
        pair.provider.script(
            "insert into entry (id, item) values (5, 'b'); update entry set item = 'c' where id in (6, 7)"
        )
        pair.provider.script("update entry set item = 'd' where id = 6")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 2


def test_bulk__exclusion_constraint_on_the_way_to_the_final_state(pair: Pair) -> None:
    pair.setup_table(
        "create table booking (id int primary key, during int4range, exclude using gist (during with &&))", "booking"
    )
    pair.start()
    pair.provider.script("insert into booking values (1, '[1,5)'), (2, '[5,9)')")
    pair.wait()
    with pair.stopped():
        pair.provider.script("update booking set during = '[100,105)' where id = 1")
        pair.provider.script("update booking set during = '[1,5)' where id = 2")
        pair.provider.script("update booking set during = '[5,9)' where id = 1")
    pair.wait()
    pair.assert_equal("booking")


def test_bulk__subscribers_column_made_while_the_replay_runs_is_kept(pair: Pair) -> None:
    """The careful way deletes rows and inserts them anew: with every column that the table has by then."""
    pair.setup_table("create table seat (id int primary key, place int unique)", "seat")
    pair.provider.script("insert into seat values (1, 1), (2, 2), (3, 3)")
    pair.start()
    pair.wait()
    swap = """begin; update seat set place = 0 where id = 1; update seat set place = {} where id = 2;
        update seat set place = {} where id = 1; commit"""
    pair.provider.script(swap.format(1, 2))
    pair.wait()
    pair.subscriber.script("alter table seat add local text; update seat set local = 'mine ' || id")
    pair.detours = True
    pair.provider.script(swap.format(2, 1))
    pair.wait()
    pair.assert_equal("seat")
    assert pair.subscriber.run("select local from seat order by id") == [("mine 1",), ("mine 2",), ("mine 3",)]
