"""Which events a batch holds when transactions overlap: each committed event once, at the first tick after it."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections import Counter

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.conftest import need
from tests.database.pgq_support import (
    call,
    consume,
    consume_ready,
    data_of,
    eager_queue,
    insert,
    open_batch,
    record,
    rotate,
    tick,
    value,
)


@pytest.fixture
def sessions(queue_db: Database, open_connection, server):
    """Open `n` further sessions on the queue's database."""

    def opener(n: int) -> list[Database]:
        return [open_connection(server.dsn(queue_db.dbname)) for _ in range(n)]

    eager_queue(queue_db)
    return opener


def test_batch__transactions_that_commit_out_of_order(queue_db: Database, sessions) -> None:
    first, second, third = sessions(3)
    for number, db in enumerate((first, second, third)):
        db.script("begin")
        insert(db, f"{number}a")
    third.script("commit")
    assert consume(queue_db) == ["2a"]
    insert(first, "0b")
    first.script("commit")
    insert(queue_db, "single")
    assert consume(queue_db) == ["0a", "0b", "single"]
    assert consume(queue_db) == []
    second.script("commit")
    assert consume(queue_db) == ["1a"]
    assert consume(queue_db) == []


def test_batch__open_transaction_at_both_ticks(queue_db: Database, sessions) -> None:
    (slow,) = sessions(1)
    slow.script("begin")
    insert(slow, "slow")
    for n in range(5):
        insert(queue_db, str(n))
        assert consume(queue_db) == [str(n)]
    slow.script("commit")
    assert consume(queue_db) == ["slow"]


def test_batch__a_transaction_that_ticks_does_not_see_itself(queue_db: Database, sessions) -> None:
    with queue_db.transaction():
        insert(queue_db, "before")
        tick(queue_db)
        insert(queue_db, "after")
    assert consume_ready(queue_db) == []
    assert consume(queue_db) == ["before", "after"]


def test_batch__rollback_and_savepoints(queue_db: Database, sessions) -> None:
    (other,) = sessions(1)
    other.script("begin")
    insert(other, "gone")
    tick(queue_db)
    other.script("rollback")
    with queue_db.transaction():
        insert(queue_db, "kept")
        queue_db.script("savepoint a")
        insert(queue_db, "undone")
        queue_db.script("rollback to a; savepoint b")
        insert(queue_db, "in savepoint")
        queue_db.script("release b")
        with contextlib.suppress(DatabaseError), queue_db.savepoint():
            insert(queue_db, "failed")
            queue_db.run("select 1 / 0")
    assert consume(queue_db) == ["kept", "in savepoint"]


def test_batch__prepared_transactions(queue_db: Database, sessions) -> None:
    name = f"tx_{queue_db.dbname}"
    for end, expected in (("commit", ["prepared"]), ("rollback", [])):
        queue_db.script("begin")
        insert(queue_db, "prepared")
        queue_db.script(f"prepare transaction '{name}'")
        assert consume(queue_db) == []
        insert(queue_db, "meanwhile")
        assert consume(queue_db) == ["meanwhile"]
        queue_db.script(f"{end} prepared '{name}'")
        assert consume(queue_db) == expected


def test_batch__very_old_transaction_is_looked_up_by_itself(queue_db: Database, sessions) -> None:
    """A range back to an old transaction would read all events since: its number must be looked up instead."""
    (old,) = sessions(1)
    old.script("begin")
    insert(old, "old")
    queue_db.script(
        "do $$ begin for n in 1..300 loop perform pgq.insert_event('q', 't', 'x'); commit; end loop; end $$"
    )
    assert consume(queue_db) == ["x"] * 300
    insert(queue_db, "new")
    old.script("commit")
    tick(queue_db)
    batch = open_batch(queue_db)
    sql = call(queue_db, "batch_event_sql", batch)
    old_txid = value(queue_db, "select ev_txid from pgq.event_1 where ev_data = 'old'")
    low = int(re.search(r"ev_txid >= (\d+)", sql)[1])
    assert low > old_txid + 200
    assert data_of(queue_db, batch) == ["old", "new"]
    queue_db.script("analyze pgq.event_1_0; set enable_seqscan = off")
    plan = "\n".join(row[0] for row in queue_db.run("explain " + sql))
    assert "Seq Scan on event_1_0" not in plan


def test_batch__nearby_transaction_extends_the_range(queue_db: Database, sessions) -> None:
    near, nearer = sessions(2)
    for db, data in ((near, "near"), (nearer, "nearer")):
        db.script("begin")
        insert(db, data)
        for _ in range(20):
            insert(queue_db, "x")
    consume(queue_db)
    near.script("commit")
    nearer.script("commit")
    tick(queue_db)
    batch = open_batch(queue_db)
    assert "any" not in call(queue_db, "batch_event_sql", batch)
    assert data_of(queue_db, batch) == ["near", "nearer"]


def test_batch__hundreds_of_transactions_in_progress(queue_db: Database, sessions) -> None:
    """Prepared transactions are limited by the server, so the long list comes from the stored snapshot itself."""
    expected = []
    txids = []
    for n in range(400):
        insert(queue_db, str(n))
        txids.append(value(queue_db, "select max(ev_txid) from pgq.event_1"))
        expected.append(str(n))
    tick(queue_db)
    # As if every second one had still been running at the first tick.
    late = txids[::2]
    xmax = txids[-1] + 1
    queue_db.run(
        "update pgq.tick set tick_snapshot = %s::txid_snapshot where tick_id = 1",
        [f"{late[0]}:{xmax}:{','.join(map(str, late))}"],
    )
    batch = open_batch(queue_db)
    assert data_of(queue_db, batch) == expected[::2]


def test_batch__other_consumers_retries_are_not_in_it(queue_db: Database, sessions) -> None:
    call(queue_db, "register_consumer", "q", "d")
    ids = insert(queue_db, "x")
    tick(queue_db)
    call(queue_db, "event_retry", open_batch(queue_db), ids[0], 0)
    assert consume_ready(queue_db) == ["x"]
    assert consume_ready(queue_db, consumer="d") == ["x"]
    call(queue_db, "maint_retry_events")
    assert consume(queue_db, consumer="d") == []
    assert consume_ready(queue_db) == ["x"]


def test_batch_event_tables__around_a_rotation(queue_db: Database, sessions) -> None:
    def tables() -> list[str]:
        return [row[0] for row in queue_db.run("select pgq.batch_event_tables(%s)", [open_batch(queue_db)])]

    consume(queue_db)
    tick(queue_db)
    assert tables() == ["pgq.event_1_0"]
    consume_ready(queue_db)
    insert(queue_db, "before")
    assert rotate(queue_db)
    insert(queue_db, "after")
    tick(queue_db)
    assert tables() == ["pgq.event_1_0", "pgq.event_1_1"]
    assert consume_ready(queue_db) == ["before", "after"]
    tick(queue_db)
    assert tables() == ["pgq.event_1_1"]


def test_batch__writer_with_a_snapshot_older_than_the_rotation(queue_db: Database, sessions) -> None:
    """It still sees the old table as the current one, but gets its transaction number after both steps."""
    (stale,) = sessions(1)
    consume(queue_db)
    stale.script("begin isolation level repeatable read; select 1 from pgq.queue")
    assert rotate(queue_db)
    for _ in range(3):
        insert(queue_db, "x")
        assert consume(queue_db) == ["x"]
    insert(stale, "stale")
    assert value(stale, "select count(*) from pgq.event_1_0") == 1
    stale.script("commit")
    assert consume(queue_db) == ["stale"]


@pytest.mark.parametrize("version", [15, 18])
def test_batches__storm_of_writers_tickers_rotations_and_consumers(
    pool, new_database, open_connection, version: int
) -> None:
    """Every committed event reaches every consumer exactly once, and no other, whatever else goes on."""
    server = need(pool, version)
    dsn = new_database(server, schema.QUEUE_ONLY)
    main = open_connection(dsn)
    consumers = ("c", "d", "slow")
    eager_queue(main, consumers=consumers)
    stop = threading.Event()
    committed: list[list[str]] = [[] for _ in range(4)]
    received: dict[str, list[str]] = {name: [] for name in consumers}
    rotations = []
    errors: list[BaseException] = []

    def writer(db: Database, number: int) -> None:
        dice = random.Random(number * 1000 + version)
        serial = 0
        while not stop.is_set():
            level = "repeatable read" if dice.random() < 0.3 else "read committed"
            db.script(f"begin isolation level {level}; select 1 from pgq.queue")
            mine = []
            for _ in range(dice.randrange(4)):
                if dice.random() < 0.2:
                    time.sleep(dice.random() * 0.05)
                undo = dice.random() < 0.2
                if undo:
                    db.script("savepoint s")
                for _ in range(dice.randrange(3)):
                    serial += 1
                    data = f"{number}-{serial}"
                    insert(db, data)
                    if not undo:
                        mine.append(data)
                if undo:
                    db.script("rollback to s")
            if dice.random() < 0.2:
                db.script("rollback")
            else:
                db.script("commit")
                committed[number] += mine

    def ticker(db: Database) -> None:
        while not stop.is_set():
            call(db, "ticker", "q")
            time.sleep(0.005)

    def maintenance(db: Database) -> None:
        while not stop.is_set():
            if rotate(db):
                rotations.append(1)
            time.sleep(0.02)

    def reader(db: Database, name: str) -> None:
        while not stop.is_set():
            merge = "50 ms" if name == "slow" else None
            batch = record(db, "next_batch_custom", "q", name, None, None, merge)[0]
            if batch is None:
                time.sleep(0.005)
                continue
            if name == "slow":
                time.sleep(0.05)
            received[name] += data_of(db, batch)
            call(db, "finish_batch", batch)

    jobs = [(writer, n) for n in range(4)] + [(ticker,)] * 2 + [(maintenance,)] + [(reader, name) for name in consumers]

    threads = []
    for job in jobs:
        db = open_connection(dsn)

        def run(db: Database = db, job: tuple = job) -> None:
            try:
                job[0](db, *job[1:])
            except BaseException as error:
                errors.append(error)
                stop.set()

        threads.append(threading.Thread(target=run))
    for thread in threads:
        thread.start()
    stop.wait(2.0)
    deadline = time.monotonic() + 60
    while (len(rotations) < 3 or sum(map(len, committed)) <= 50) and time.monotonic() < deadline:
        stop.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    tick(main)
    expected = sorted(data for part in committed for data in part)
    assert len(expected) > 50
    assert len(rotations) >= 3
    for name in consumers:
        found = received[name] + consume_ready(main, consumer=name)
        assert [data for data, times in Counter(found).items() if times > 1] == []
        assert sorted(found) == expected
