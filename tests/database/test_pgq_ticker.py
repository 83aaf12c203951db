"""Ticks: when one is due, what it may not do, and that its number and its snapshot have the same order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import (
    Background,
    blocked,
    call,
    consume,
    eager_queue,
    insert,
    module_database,
    tick,
    value,
)
from tests.fixtures.servers import ServerPool


@pytest.fixture(scope="module")
def shared_db(pool: ServerPool) -> Iterator[Database]:
    with module_database(pool) as db:
        call(db, "create_queue", "q")
        yield db


def set_scene(db: Database, age: float, previous: float | None, new: int) -> None:
    """Put two ticks (one when `previous` is None) of the given age and distance there, and `new` events after them."""
    db.script("delete from pgq.tick")
    db.run("select setval('pgq.event_1_id_seq', 10000), setval('pgq.event_1_tick_seq', 2)")
    ages = [(2, age, new)] if previous is None else [(1, age + previous, 500), (2, age, new)]
    for number, seconds, events in ages:
        db.run(
            "insert into pgq.tick values (1, %s, now() - %s * interval '1 s', txid_current_snapshot(), %s)",
            [number, seconds, 10000 - events],
        )


# Settings are the defaults: 500 events, 3 seconds, 1 minute.
@pytest.mark.parametrize(
    ("age", "previous", "new", "due"),
    [
        (0, 1, 499, False),
        (0, 1, 500, True),
        (0, 1, 501, True),
        (2.5, 1, 1, False),
        (3.5, 1, 1, True),
        (1.0, 0.1, 0, False),  # less than half of max_lag
        (1.6, 0.1, 0, True),  # and more than twice the interval before
        (1.6, 1, 0, False),
        (2.1, 1, 0, True),
        (15, 8, 0, False),
        (17, 8, 0, True),
        (55, 40, 0, False),
        (61, 40, 0, True),  # the idle period bounds the doubling
        (61, 4000, 0, True),
        (0, None, 0, True),  # the second tick of all
        (0, None, 1, False),
        (2, 1.5, -5, False),
        (4, 1.5, -5, True),
    ],
)
def test_ticker__is_due(shared_db: Database, age: float, previous: float | None, new: int, due: bool) -> None:
    set_scene(shared_db, age, previous, new)
    assert (call(shared_db, "ticker", "q") is not None) is due
    assert value(shared_db, "select tick_event_seq from pgq.tick order by tick_id desc limit 1") == (
        10000 if due else 10000 - new
    )


def test_ticker__of_all_queues_counts_those_that_ticked(queue_db: Database) -> None:
    for name in ("a", "b", "external", "paused"):
        eager_queue(queue_db, name)
    call(queue_db, "create_queue", "patient")
    call(queue_db, "ticker")
    call(queue_db, "set_queue_config", "external", "external_ticker", "1")
    call(queue_db, "set_queue_config", "paused", "ticker_paused", "1")
    before = queue_db.run("select tick_queue, count(*) from pgq.tick group by 1 order by 1")
    assert call(queue_db, "ticker") == 2
    after = queue_db.run("select tick_queue, count(*) from pgq.tick group by 1 order by 1")
    assert [late[1] - early[1] for late, early in zip(after, before, strict=True)] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("queue_external_ticker = true", "This queue has external tick source"),
        ("queue_ticker_paused = true", "Ticker has been paused for this queue"),
        ("queue_ticker_paused = true, queue_external_ticker = true", "This queue has external tick source"),
        ("queue_name = 'renamed'", "no such queue"),
    ],
)
def test_ticker__refuses(queue_db: Database, change: str, message: str) -> None:
    eager_queue(queue_db)
    queue_db.script(f"update pgq.queue set {change}")
    with pytest.raises(DatabaseError, match=message):
        call(queue_db, "ticker", "q")
    with pytest.raises(DatabaseError, match="no such queue"):
        call(queue_db, "ticker", None)


def test_ticker__after_a_restore_into_a_younger_cluster(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.tick set tick_snapshot = '999999999:999999999:'")
    with pytest.raises(DatabaseError, match="Invalid PgQ state: old xmin=999999999, old xmax=999999999, cur txid="):
        call(queue_db, "ticker", "q")


def test_ticker__warns_when_the_sequence_went_back(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.tick set tick_event_seq = 77")
    queue_db.notices()
    assert call(queue_db, "ticker", "q") == 2
    assert queue_db.notices()[0].split("\n")[0] == "WARNING:  Negative new_events?  old=77 cur=1"


def test_ticker_external__takes_number_time_and_count(queue_db: Database) -> None:
    eager_queue(queue_db)
    sql = "select pgq.ticker('q', %s, '2020-01-02 03:04:05+00'::timestamptz, %s)"
    with pytest.raises(DatabaseError, match="queue not found or ticker disabled: q"):
        queue_db.run(sql, [50, 700])
    call(queue_db, "set_queue_config", "q", "external_ticker", "1")
    assert value(queue_db, sql, 50, 700) == 50
    assert queue_db.run("select tick_time::text, tick_event_seq from pgq.tick where tick_id = 50") == [
        ("2020-01-02 03:04:05+00", 700)
    ]
    assert call(queue_db, "seq_getval", "pgq.event_1_tick_seq") == 50
    assert call(queue_db, "seq_getval", "pgq.event_1_id_seq") == 700
    with pytest.raises(DatabaseError, match="duplicate key"):
        queue_db.run(sql, [50, 800])
    # Back to our own ticker: numbers go on.
    call(queue_db, "set_queue_config", "q", "external_ticker", "0")
    assert call(queue_db, "ticker", "q") == 51


def test_force_tick__makes_a_tick_due(queue_db: Database) -> None:
    call(queue_db, "create_queue", "q")
    assert call(queue_db, "ticker", "q") == 2
    last = call(queue_db, "force_tick", "q")
    assert last == 2
    assert call(queue_db, "seq_getval", "pgq.event_1_id_seq") == 1 + 2 * 500 + 1000
    assert call(queue_db, "ticker", "q") == 3
    assert call(queue_db, "force_tick", "q") == 3
    assert call(queue_db, "force_tick", "nope") is None


def test_force_tick__leaves_a_paused_queue_alone(queue_db: Database) -> None:
    eager_queue(queue_db)
    call(queue_db, "set_queue_config", "q", "ticker_paused", "1")
    assert call(queue_db, "force_tick", "q") == 1
    assert call(queue_db, "seq_getval", "pgq.event_1_id_seq") == 1


def test_ticker__waits_for_the_one_before(queue_db: Database, open_connection, server) -> None:
    """The snapshot of the second tick is taken after the first tick is committed."""
    eager_queue(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    third = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        first = tick(queue_db)
        second = Background(lambda: call(other, "ticker", "q"))
        assert blocked(third, other.backend_pid)
        insert(third, "between")
    assert second.finish() == first + 1
    found = queue_db.run(
        "select txid_snapshot_xmax(tick_snapshot) from pgq.tick where tick_id >= %s order by tick_id", [first]
    )
    assert found[0][0] < found[1][0]
    assert consume(queue_db) == ["between"]


def test_ticker__other_queues_do_not_wait(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db, "a")
    eager_queue(queue_db, "b")
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        tick(queue_db, "a")
        assert Background(lambda: tick(other, "b")).finish(5) == 2


def test_ticker__many_at_once_keep_the_order_of_snapshots(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db)
    sessions = [open_connection(server.dsn(queue_db.dbname)) for _ in range(4)]

    def work(db: Database, ticking: bool) -> None:
        for _ in range(60):
            if ticking:
                call(db, "ticker", "q")  # null when another session's tick is younger than this transaction
            else:
                insert(db, "x")

    threads = [threading.Thread(target=work, args=(db, n < 3)) for n, db in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = queue_db.run(
        "select txid_snapshot_xmin(tick_snapshot), txid_snapshot_xmax(tick_snapshot), tick_event_seq"
        " from pgq.tick order by tick_id"
    )
    assert len(rows) > 60
    for column in range(3):
        assert [row[column] for row in rows] == sorted(row[column] for row in rows)


def test_ticker__in_a_transaction_with_an_old_snapshot(queue_db: Database, open_connection, server) -> None:
    """A repeatable read transaction ticks with its old snapshot: only while no tick was made since."""
    eager_queue(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():  # a number that is never used: the check must not stumble over it
        tick(queue_db)
        queue_db.script("rollback; begin")
    other.script("begin isolation level repeatable read; select 1")
    assert call(other, "ticker", "q") is not None
    other.script("commit")

    other.script("begin isolation level repeatable read; select 1")
    made = tick(queue_db)
    with pytest.raises(DatabaseError, match="this transaction is older than the last tick") as caught:
        call(other, "ticker", "q")
    assert caught.value.sqlstate == "40001"
    other.script("rollback")
    assert value(queue_db, "select max(tick_id) from pgq.tick") == made


def test_create_queue__in_a_repeatable_read_transaction(queue_db: Database) -> None:
    with queue_db.transaction("begin isolation level repeatable read"):
        assert call(queue_db, "create_queue", "q") == 1
    eager_queue(queue_db)
    insert(queue_db, "x")
    assert consume(queue_db) == ["x"]
