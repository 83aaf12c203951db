"""Cooperative consumers: each batch of the main consumer goes to exactly one subconsumer."""

from __future__ import annotations

import threading

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import (
    as_role,
    call,
    consume,
    data_of,
    drop_role,
    eager_queue,
    insert,
    make_role,
    rotate,
    tick,
    value,
)


def coop(db: Database, function: str, *args):
    return call(db, f"pgq_coop.{function}", *args)


def consumers(db: Database) -> list[tuple]:
    return db.run("select consumer_name, last_tick, current_batch from pgq.get_consumer_info()")


def feed(db: Database, *data: str) -> None:
    for text in data:
        insert(db, text)
        tick(db)


def test_register_subconsumer__with_its_main_consumer(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    assert coop(queue_db, "register_subconsumer", "q", "main", "a") == 1
    assert coop(queue_db, "register_subconsumer", "q", "main", "a") == 0
    assert coop(queue_db, "register_subconsumer", "q", "main", "b") == 1
    assert consumers(queue_db) == [("main", 1, None), ("main.a", None, None), ("main.b", None, None)]
    assert value(queue_db, "select count(distinct sub_id) from pgq.subscription") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nope", "main", "a"), "Event queue not created yet"),
        (("q", None, "a"), "consumer name must not be NULL"),
        (("q", "main", None), "consumer name must not be NULL"),
        (("q", "x", "y"), 'consumer "x.y" is registered, but is not a subconsumer'),
    ],
)
def test_register_subconsumer__refuses(queue_db: Database, args: tuple, message: str) -> None:
    eager_queue(queue_db, consumers=("x.y",))
    with pytest.raises(DatabaseError, match=message):
        coop(queue_db, "register_subconsumer", *args)


def test_next_batch__each_batch_goes_to_one(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    assert coop(queue_db, "next_batch", "q", "main", "a") is None  # registers
    feed(queue_db, "1", "2")
    first = coop(queue_db, "next_batch", "q", "main", "a")
    assert coop(queue_db, "next_batch", "q", "main", "a") == first
    second = coop(queue_db, "next_batch", "q", "main", "b")
    assert data_of(queue_db, first) == ["1"]
    assert data_of(queue_db, second) == ["2"]
    assert coop(queue_db, "next_batch", "q", "main", "c") is None
    assert consumers(queue_db)[:3] == [("main", 3, None), ("main.a", 1, first), ("main.b", 2, second)]
    assert coop(queue_db, "finish_batch", second) == 1
    assert coop(queue_db, "finish_batch", first) == 1
    assert consumers(queue_db)[:3] == [("main", 3, None), ("main.a", None, None), ("main.b", None, None)]


def test_next_batch_custom__names_the_ticks(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    coop(queue_db, "register_subconsumer", "q", "main", "a")
    feed(queue_db, "1", "2", "3")
    names = (
        "batch_id, prev_tick_id, cur_tick_id, cur_tick_time > prev_tick_time, cur_tick_event_seq, prev_tick_event_seq"
    )
    sql = f"select {names} from pgq_coop.next_batch_custom('q', 'main', 'a', null, 2, null)"
    assert queue_db.run(sql) == [(1, 1, 3, True, 2, 1)] or queue_db.run(sql) == [(1, 1, 4, True, 3, 1)]
    assert queue_db.run(sql) == queue_db.run(sql.replace("null)", "null, '1 hour')"))
    assert queue_db.run("select * from pgq_coop.next_batch_custom('q', 'main', 'b', '1 hour', null, null)") == [
        (None,) * 7
    ]


def test_next_batch__main_consumer_at_work_itself(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("main",))
    feed(queue_db, "1")
    call(queue_db, "next_batch", "q", "main")
    with pytest.raises(DatabaseError, match='consumer "main" has an open batch of its own'):
        coop(queue_db, "next_batch", "q", "main", "a")


def test_next_batch__takes_over_from_a_silent_one(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    for name in ("a", "b"):
        coop(queue_db, "register_subconsumer", "q", "main", name)
    feed(queue_db, "1")
    batch = coop(queue_db, "next_batch", "q", "main", "a")
    assert coop(queue_db, "next_batch", "q", "main", "b", "1 hour") is None
    queue_db.script("update pgq.subscription set sub_active = now() - interval '2 hours' where sub_batch is not null")
    assert coop(queue_db, "next_batch", "q", "main", "b") is None  # nobody asked for it
    assert coop(queue_db, "next_batch", "q", "main", "b", "1 hour") == batch
    assert data_of(queue_db, batch) == ["1"]
    assert [row[0] for row in consumers(queue_db)] == ["main", "main.b"]
    # The silent one wakes up: it is registered again and gets the next batch, not this one.
    assert coop(queue_db, "next_batch", "q", "main", "a") is None
    assert coop(queue_db, "finish_batch", batch) == 1
    feed(queue_db, "2")
    assert data_of(queue_db, coop(queue_db, "next_batch", "q", "main", "a")) == ["2"]


def test_next_batch__asking_again_is_a_sign_of_life(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    coop(queue_db, "register_subconsumer", "q", "main", "a")
    feed(queue_db, "1")
    batch = coop(queue_db, "next_batch", "q", "main", "a")
    queue_db.script("update pgq.subscription set sub_active = now() - interval '2 hours'")
    assert coop(queue_db, "next_batch", "q", "main", "a") == batch
    assert coop(queue_db, "next_batch", "q", "main", "b", "1 hour") is None


def test_finish_batch__unknown_or_not_a_subconsumers(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("plain", "plain.too"))
    feed(queue_db, "1")
    own = call(queue_db, "next_batch", "q", "plain.too")
    queue_db.notices()
    for batch in (own, 99):
        assert coop(queue_db, "finish_batch", batch) == 0
        assert queue_db.notices()[0].split("\n")[0] == f"WARNING:  coop_finish_batch: batch {batch} not found"
    assert call(queue_db, "finish_batch", own) == 1


def test_unregister_subconsumer__with_an_open_batch(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    coop(queue_db, "register_subconsumer", "q", "main", "a")
    coop(queue_db, "register_subconsumer", "q", "main", "b")
    feed(queue_db, "1")
    coop(queue_db, "next_batch", "q", "main", "a")
    for handling in (0, None):
        with pytest.raises(DatabaseError, match="subconsumer has active batch"):
            coop(queue_db, "unregister_subconsumer", "q", "main", "a", handling)
    assert coop(queue_db, "unregister_subconsumer", "q", "main", "b", 0) == 1
    assert coop(queue_db, "unregister_subconsumer", "q", "main", "b", 0) == 0
    assert coop(queue_db, "unregister_subconsumer", "q", "main", "a", 1) == 1
    assert coop(queue_db, "unregister_subconsumer", "q", "nope", "a", 1) == 0
    assert consumers(queue_db) == [("main", 2, None)]
    assert queue_db.run("select co_name from pgq.consumer") == [("main",)]


def test_unregister_consumer__main_takes_its_subconsumers_along(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("mainly", "main.x"))
    for name in ("a", "b"):
        coop(queue_db, "register_subconsumer", "q", "main", name)
    assert call(queue_db, "unregister_consumer", "q", "main.a") == 1
    assert call(queue_db, "unregister_consumer", "q", "main") == 2
    assert [row[0] for row in consumers(queue_db)] == ["main.x", "mainly"]


def test_event_retry__comes_back_to_whoever_is_next(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("plain",))
    for name in ("a", "b"):
        coop(queue_db, "register_subconsumer", "q", "main", name)
    feed(queue_db, "1")
    batch = coop(queue_db, "next_batch", "q", "main", "a")
    assert call(queue_db, "event_retry", batch, 1, 0) == 1
    coop(queue_db, "finish_batch", batch)
    # Unregistering the one that asked for it does not lose it.
    coop(queue_db, "unregister_subconsumer", "q", "main", "a", 0)
    assert call(queue_db, "maint_retry_events") == 1
    tick(queue_db)
    batch = coop(queue_db, "next_batch", "q", "main", "b")
    assert data_of(queue_db, batch) == ["1"]
    assert consume(queue_db, consumer="plain") == ["1"]


def test_rotation__waits_for_the_open_batch_of_a_subconsumer(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    coop(queue_db, "register_subconsumer", "q", "main", "a")
    coop(queue_db, "register_subconsumer", "q", "main", "idle")
    feed(queue_db, "read")
    coop(queue_db, "finish_batch", coop(queue_db, "next_batch", "q", "main", "a"))
    feed(queue_db, "kept")
    batch = coop(queue_db, "next_batch", "q", "main", "a")
    for n in range(6):
        feed(queue_db, str(n))
        other = coop(queue_db, "next_batch", "q", "main", "b")
        coop(queue_db, "finish_batch", other)
        rotate(queue_db)
    assert data_of(queue_db, batch) == ["kept"]
    assert value(queue_db, "select queue_cur_table from pgq.queue") == 1
    coop(queue_db, "finish_batch", batch)
    assert rotate(queue_db)


def test_next_batch__many_workers_at_once_share_without_overlap(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db, consumers=())
    coop(queue_db, "register_subconsumer", "q", "main", "w0")
    feed(queue_db, *map(str, range(40)))
    done: list[str] = []
    errors: list[BaseException] = []

    def work(db: Database, name: str) -> None:
        try:
            while (batch := coop(db, "next_batch", "q", "main", name)) is not None:
                done.extend(data_of(db, batch))
                coop(db, "finish_batch", batch)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(open_connection(server.dsn(queue_db.dbname)), f"w{n}")) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(done, key=int) == list(map(str, range(40)))


def test_grants__are_the_readers(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    reader, nobody = make_role(queue_db, "coop", "pgq_reader"), make_role(queue_db, "none")
    try:
        with as_role(queue_db, reader):
            assert coop(queue_db, "register_subconsumer", "q", "main", "a") == 1
            feed_is_denied = pytest.raises(DatabaseError, match="permission denied")
            with feed_is_denied:
                feed(queue_db, "1")
        with as_role(queue_db, nobody), pytest.raises(DatabaseError, match="permission denied"):
            coop(queue_db, "next_batch", "q", "main", "a")
    finally:
        drop_role(queue_db, reader)
        drop_role(queue_db, nobody)
