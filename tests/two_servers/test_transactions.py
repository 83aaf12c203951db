"""Transactions that commit late, in another order than they began, in pieces, or after having been prepared."""

from __future__ import annotations

from londiste_lite import event_queue, progress, subscribed
from londiste_lite.db import Database
from tests.fixtures.pair import CONSUMER, QUEUE, Pair

ENTRY = "create table entry (id int primary key, item text)"


def ids(db: Database) -> list[int]:
    return [row[0] for row in db.run("select id from entry order by id")]


def ticks(pair: Pair, count: int) -> None:
    """Several ticks, as a busy queue has them while a transaction stays open."""
    for _ in range(count):
        event_queue.make_tick(pair.provider, QUEUE)


def test_prepared__holds_back_its_own_rows_and_no_others(pair: Pair) -> None:
    """Also over rotations of the queue, and a replay that begins anew in between."""
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    one = pair.connect_provider()
    one.script(
        """begin; insert into entry values (1, 'before'); savepoint a; insert into entry values (2, 'undone');
        rollback to a; insert into entry values (3, 'after'); savepoint b;
        update entry set item = 'changed' where id = 3; release b; prepare transaction 'first'"""
    )
    one.script("begin; insert into entry values (4, 'never'); prepare transaction 'second'")
    pair.provider.script("insert into entry values (10, 'later')")
    ticks(pair, 3)
    pair.wait()
    assert ids(pair.subscriber) == [10]
    status = progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None)
    assert status.pending_events == 0
    # Three rotations would empty every table of the queue: the one with the prepared rows must be left alone.
    pair.provider.script("select pgq.set_queue_config('londiste.test', 'rotation_period', '1 microsecond')")
    for number in range(11, 15):
        pair.provider.script(f"insert into entry values ({number}, 'later')")
        pair.wait()
        pair.provider.run("select pgq.maint_rotate_tables_step1(%s)", [QUEUE])
        pair.provider.run("select pgq.maint_rotate_tables_step2()")
    with pair.stopped():
        pair.provider.script("update entry set item = 'again' where id = 10")
        pair.provider.script("rollback prepared 'second'")
    pair.wait()
    assert ids(pair.subscriber) == [10, 11, 12, 13, 14]
    pair.provider.script("commit prepared 'first'")
    pair.wait()
    pair.assert_equal("entry")
    assert ids(pair.subscriber) == [1, 3, 10, 11, 12, 13, 14]
    assert pair.conflicts("entry") == 0


def test_commit__in_another_order_than_the_transactions_began(pair: Pair) -> None:
    """The first to take a number is the last to commit, behind many ticks; and its change of a row is the later one."""
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry values (1, 'old'), (2, 'old')")
    pair.start()
    pair.wait()
    first, second, third = (pair.connect_provider() for _ in range(3))
    first.script("begin; insert into entry values (3, 'first')")
    second.script("begin; insert into entry values (4, 'second')")
    third.script("begin; update entry set item = 'third' where id = 1; insert into entry values (5, 'third'); commit")
    ticks(pair, 20)
    pair.wait()
    assert ids(pair.subscriber) == [1, 2, 5]
    second.script("update entry set item = 'second' where id in (1, 2); commit")
    pair.wait()
    assert ids(pair.subscriber) == [1, 2, 4, 5]
    with pair.stopped():  # and once more in one batch, where the lower number's change must win
        first.script("update entry set item = 'first' where id = 1; commit")
        first.script("begin; insert into entry values (6, 'first')")
        second.script("begin; update entry set item = 'second' where id = 2; commit")
        first.script("update entry set item = 'first' where id = 2; commit")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.subscriber.run("select item from entry where id in (1, 2)") == [("first",), ("first",)]
    assert pair.conflicts("entry") == 0


def test_copy__while_a_transaction_is_prepared(pair: Pair) -> None:
    """The first copy does not see the rows; they arrive with the commit, whenever that is."""
    pair.provider.script(ENTRY)
    pair.subscriber.script(ENTRY)
    pair.publish("entry")
    pair.provider.script("insert into entry values (1, 'there')")
    one = pair.connect_provider()
    one.script("begin; insert into entry values (2, 'prepared'); prepare transaction 'copied'")
    pair.subscribe("entry")
    pair.start()
    pair.wait()
    assert ids(pair.subscriber) == [1]
    assert [t.state.shown for t in subscribed.tables(pair.subscriber, QUEUE)] == ["ok"]
    pair.provider.script("commit prepared 'copied'")
    pair.wait()
    pair.assert_equal("entry")
    assert ids(pair.subscriber) == [1, 2]
    assert pair.conflicts("entry") == 0
