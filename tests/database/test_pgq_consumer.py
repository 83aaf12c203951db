"""Consumers and batches: registration, positions, opening, reading, retrying and finishing batches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import (
    Background,
    blocked,
    call,
    consume,
    consume_ready,
    data_of,
    eager_queue,
    insert,
    module_database,
    open_batch,
    record,
    tick,
    value,
)
from tests.fixtures.servers import ServerPool

NO_BATCH = (None,) * 7


@pytest.fixture(scope="module")
def shared_db(pool: ServerPool) -> Iterator[Database]:
    with module_database(pool) as db:
        eager_queue(db)
        yield db


def positions(db: Database) -> list[tuple]:
    return db.run(
        "select c.co_name, s.sub_last_tick, s.sub_batch, s.sub_next_tick"
        " from pgq.subscription s join pgq.consumer c on c.co_id = s.sub_consumer order by 1"
    )


# --- registration -------------------------------------------------------------------------------------------


def test_register_consumer__starts_at_the_last_tick(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    insert(queue_db, "before")
    tick(queue_db)
    assert call(queue_db, "register_consumer", "q", "c") == 1
    assert call(queue_db, "register_consumer", "q", "c") == 0
    insert(queue_db, "after")
    assert consume(queue_db) == ["after"]


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        ("register_consumer", ("nope", "c"), "Event queue not created yet"),
        ("register_consumer", (None, "c"), "Event queue not created yet"),
        ("register_consumer", ("q", None), "null value in column"),
        ("register_consumer_at", ("nope", "c", 1), "Event queue not created yet"),
        ("register_consumer_at", ("q", "new", 99), "cannot reposition, tick not found: 99"),
        ("register_consumer_at", ("q", "c", 99), "cannot reposition, tick not found: 99"),
    ],
)
def test_register_consumer__refuses(shared_db: Database, function: str, args: tuple, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        call(shared_db, function, *args)
    assert positions(shared_db) == [("c", 1, None, None)]


def test_register_consumer__without_ticks(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    queue_db.script("delete from pgq.tick")
    with pytest.raises(DatabaseError, match=r"No ticks for this queue\. +Please run ticker on database"):
        call(queue_db, "register_consumer", "q", "c")
    assert call(queue_db, "force_tick", "q") is None


def test_register_consumer_at__moves_and_drops_the_open_batch(queue_db: Database) -> None:
    eager_queue(queue_db)
    for data in ("a", "b", "c"):
        insert(queue_db, data)
        tick(queue_db)
    assert consume_ready(queue_db) == ["a", "b", "c"]
    insert(queue_db, "d")
    tick(queue_db)
    open_batch(queue_db)
    assert call(queue_db, "register_consumer_at", "q", "c", 2) == 0
    assert positions(queue_db) == [("c", 2, None, None)]
    assert consume_ready(queue_db) == ["b", "c", "d"]
    assert call(queue_db, "register_consumer_at", "q", "c", None) == 0
    assert positions(queue_db) == [("c", 5, None, None)]
    assert call(queue_db, "register_consumer_at", "q", "late", 3) == 1
    assert consume_ready(queue_db, consumer="late") == ["c", "d"]


def test_register_consumer__by_two_sessions_at_once(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db, consumers=())
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        assert call(queue_db, "register_consumer", "q", "c") == 1
        second = Background(lambda: call(other, "register_consumer", "q", "c"))
        assert blocked(queue_db, other.backend_pid)
    assert second.finish() == 0
    assert positions(queue_db) == [("c", 1, None, None)]


def test_unregister_consumer__forgets_all_of_it(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("c", "d"))
    eager_queue(queue_db, "other", consumers=("c",))
    ids = insert(queue_db, "x")
    tick(queue_db)
    for consumer in ("c", "d"):
        call(queue_db, "event_retry", open_batch(queue_db, consumer=consumer), ids[0], 100)
    assert call(queue_db, "unregister_consumer", "q", "c") == 1
    assert call(queue_db, "unregister_consumer", "q", "c") == 0
    assert value(queue_db, "select count(*) from pgq.retry_queue") == 1
    # Its name stays as long as it reads another queue.
    assert queue_db.run("select co_name from pgq.consumer order by 1") == [("c",), ("d",)]
    assert call(queue_db, "unregister_consumer", "other", "c") == 1
    assert queue_db.run("select co_name from pgq.consumer") == [("d",)]
    for args in (("nope", "d"), ("q", "nope"), (None, None)):
        assert call(queue_db, "unregister_consumer", *args) == 0


def test_unregister_consumer__while_another_session_registers_it_elsewhere(
    queue_db: Database, open_connection, server
) -> None:
    eager_queue(queue_db)
    eager_queue(queue_db, "other", consumers=())
    second = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        assert call(queue_db, "register_consumer", "other", "c") == 1
        gone = Background(lambda: call(second, "unregister_consumer", "q", "c"))
        assert blocked(queue_db, second.backend_pid)
    assert gone.finish() == 1
    insert(queue_db, "x", queue="other")
    assert consume(queue_db, "other") == ["x"]


# --- batches ------------------------------------------------------------------------------------------------


def test_next_batch__stays_open_until_finished(queue_db: Database) -> None:
    eager_queue(queue_db)
    assert call(queue_db, "next_batch", "q", "c") is None
    ids = insert(queue_db, "a", "b")
    tick(queue_db)
    batch = open_batch(queue_db)
    insert(queue_db, "later")
    tick(queue_db)
    assert open_batch(queue_db) == batch
    assert data_of(queue_db, batch) == ["a", "b"]
    info = record(queue_db, "next_batch_info", "q", "c")
    assert info[:3] == (batch, 2, 1)
    assert info[3] > info[4]
    assert info[5:] == (2, 1)
    assert record(queue_db, "next_batch_custom", "q", "c", None, None, None) == info
    assert call(queue_db, "finish_batch", batch) == 1
    assert open_batch(queue_db) == batch + 1
    assert [row[0] for row in queue_db.run("select ev_id from pgq.event_1 order by 1")][:2] == ids


def test_next_batch__result_names(queue_db: Database) -> None:
    eager_queue(queue_db)
    tick(queue_db)
    names = (
        "batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq"
    )
    by_name = queue_db.run(f"select {names} from pgq.next_batch_custom('q', 'c', null, null, null)")
    assert by_name == queue_db.run("select * from pgq.next_batch_info('q', 'c')")


@pytest.mark.parametrize(
    ("queue", "consumer", "shown"),
    [("nope", "c", "nope/c"), ("q", "nope", "q/nope"), (None, None, "NULL/NULL")],
)
def test_next_batch__of_a_stranger(shared_db: Database, queue: str, consumer: str, shown: str) -> None:
    with pytest.raises(DatabaseError, match=f"Not subscriber to queue: {shown}"):
        call(shared_db, "next_batch", queue, consumer)


def test_next_batch__whose_tick_is_gone(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.subscription set sub_last_tick = 77")
    with pytest.raises(DatabaseError, match="PgQ corruption: Consumer c on queue q does not see tick"):
        call(queue_db, "next_batch", "q", "c")


def test_next_batch__a_poll_without_result_writes_nothing(queue_db: Database) -> None:
    eager_queue(queue_db)
    before = queue_db.run("select ctid::text, xmin::text, xmax::text from pgq.subscription")
    for _ in range(3):
        assert record(queue_db, "next_batch_custom", "q", "c", "1 hour", 10, "1 hour") == NO_BATCH
        assert call(queue_db, "next_batch", "q", "c") is None
    assert queue_db.run("select ctid::text, xmin::text, xmax::text from pgq.subscription") == before


def test_next_batch__by_two_sessions_at_once_is_one_batch(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db)
    tick(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        first = open_batch(queue_db)
        second = Background(lambda: call(other, "next_batch", "q", "c"))
        assert blocked(queue_db, other.backend_pid)
    assert second.finish() == first
    # And when the first one finishes the batch meanwhile, the second gets the next one.
    tick(queue_db)
    with queue_db.transaction():
        assert call(queue_db, "finish_batch", first) == 1
        third = open_batch(queue_db)
        second = Background(lambda: call(other, "next_batch", "q", "c"))
        assert second.finish() == first  # not committed yet: the old one is still open for others
    assert call(other, "next_batch", "q", "c") == third


@pytest.fixture(scope="module")
def many_db(pool: ServerPool) -> Iterator[Database]:
    with module_database(pool) as db:
        eager_queue(db)
        yield db


@pytest.fixture
def many_ticks(many_db: Database) -> Database:
    """A queue with ticks 1..40, ten seconds apart, the last one now, at event sequence 10 n^2; consumer at tick 3."""
    many_db.script(
        "delete from pgq.tick; insert into pgq.tick select 1, n, now() - (40 - n) * interval '10 s',"
        " txid_current_snapshot(), n * n * 10 from generate_series(1, 40) n;"
        " update pgq.subscription set sub_last_tick = 3, sub_batch = null, sub_next_tick = null"
    )
    return many_db


@pytest.mark.parametrize(
    ("lag", "count", "interval", "ends_at"),
    [
        (None, None, None, 4),
        (None, 1, None, 4),
        (None, 71, None, 5),
        (None, 1000, None, 11),
        (None, 1001, None, 11),
        (None, 100000, None, None),
        (None, None, "10 s", 4),
        (None, None, "95 s", 13),
        (None, None, "1 day", None),
        (None, 1000, "30 s", 6),
        (None, 71, "1 day", 5),
        ("0", None, None, 4),
        ("300 s", None, None, 4),
        ("1 hour", None, None, None),
        ("300 s", 1000, None, None),
        ("200 s", 1000, None, 11),
    ],
)
def test_next_batch_custom__smallest_batch_that_is_enough(
    many_ticks: Database, lag: str | None, count: int | None, interval: str | None, ends_at: int | None
) -> None:
    found = record(many_ticks, "next_batch_custom", "q", "c", lag, count, interval)
    assert found[1] == ends_at
    if ends_at is None:
        assert found == NO_BATCH
        assert positions(many_ticks) == [("c", 3, None, None)]
    else:
        assert found[2] == 3
        assert found[5:] == (ends_at**2 * 10, 90)
        assert positions(many_ticks) == [("c", 3, found[0], ends_at)]


def test_find_tick_helper__tells_the_tick(many_ticks: Database) -> None:
    found = many_ticks.run(
        "select f.next_tick_id, f.next_tick_seq, f.next_tick_time = t.tick_time from pgq.tick p"
        " cross join lateral pgq.find_tick_helper(1, 3, p.tick_time, p.tick_event_seq, 1000, null) f"
        " join pgq.tick t on t.tick_id = f.next_tick_id where p.tick_id = 3"
    )
    assert found == [(11, 1210, True)]


def test_finish_batch__unknown_batch_warns(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.notices()
    for batch, shown in ((9, "9"), (None, "<NULL>")):
        assert call(queue_db, "finish_batch", batch) == 0
        assert queue_db.notices()[0].split("\n")[0] == f"WARNING:  finish_batch: batch {shown} not found"


def test_get_batch_info__of_an_open_batch(queue_db: Database) -> None:
    eager_queue(queue_db)
    insert(queue_db, "a", "b", "c")
    tick(queue_db)
    batch = open_batch(queue_db)
    names = "queue_name, consumer_name, prev_tick_id, tick_id, seq_start, seq_end"
    assert queue_db.run(f"select {names} from pgq.get_batch_info({batch})") == [("q", "c", 1, 2, 1, 3)]
    row = record(queue_db, "get_batch_info", batch)
    assert len(row) == 9
    assert row[2] < row[3]
    assert 0 <= row[6].total_seconds() < 60
    assert record(queue_db, "get_batch_info", 99) == (None,) * 9


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from pgq.get_batch_events(99)", "batch not found"),
        ("select * from pgq.get_batch_events(null)", "batch not found"),
        ("select * from pgq.get_batch_cursor(99, 'x', 10)", "batch not found"),
        ("select pgq.batch_event_sql(99)", "batch not found"),
        ("select pgq.batch_event_tables(99)", "Cannot find data for batch 99"),
        ("select pgq.event_retry(99, 1, 1)", "event not found"),
        ("select pgq.event_retry(99, 1, now())", "event not found"),
        ("select pgq.batch_retry(99, 1)", "batch_retry: batch 99 not found"),
    ],
)
def test_batch_functions__unknown_batch(shared_db: Database, sql: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        shared_db.run(sql)


def test_get_batch_events__columns_and_order(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script(
        "select pgq.insert_event_raw('q', n, null, null, null, 't', n::text, null, null, null, null)"
        " from unnest(array[30, 10, 20]) n"
    )
    call(queue_db, "insert_event", "q", "t", "d", "1", "2", "3", "4")
    tick(queue_db)
    batch = open_batch(queue_db)
    names = "ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
    rows = queue_db.run(f"select {names} from pgq.get_batch_events({batch})")
    assert rows == queue_db.run(f"select * from pgq.get_batch_events({batch})")
    assert [row[0] for row in rows] == [4, 10, 20, 30]
    assert rows[0][3:] == (None, "t", "d", "1", "2", "3", "4")
    assert rows[0][2] == value(queue_db, "select ev_txid from pgq.event_1 where ev_id = 4")


def test_get_batch_cursor__returns_the_first_and_leaves_the_others(queue_db: Database) -> None:
    eager_queue(queue_db)
    insert(queue_db, *"abcdef")
    tick(queue_db)
    batch = open_batch(queue_db)
    with queue_db.transaction():
        for name in ("walker", 'Odd "name"'):
            quoted = '"' + name.replace('"', '""') + '"'
            first = queue_db.run("select ev_data from pgq.get_batch_cursor(%s, %s, 2)", [batch, name])
            assert first == [("a",), ("b",)]
            assert [row[5] for row in queue_db.run(f"fetch 3 from {quoted}")] == ["c", "d", "e"]
            assert [row[5] for row in queue_db.run(f"fetch 3 from {quoted}")] == ["f"]
            queue_db.script(f"close {quoted}")
        sql = "select ev_data from pgq.get_batch_cursor(%s, 'w', %s, %s)"
        assert queue_db.run(sql, [batch, 100, "ev_data > 'd' or ev_id = 1 -- no comment"]) == [("a",), ("e",), ("f",)]
        queue_db.script("close w")
        assert queue_db.run(sql, [batch, 0, None]) == []
        assert len(queue_db.run("fetch all from w")) == 6


def test_get_batch_cursor__condition_finds_the_callers_functions(queue_db: Database) -> None:
    eager_queue(queue_db)
    insert(queue_db, "a", "b")
    tick(queue_db)
    queue_db.script("create function public.wanted(text) returns bool language sql as $$ select $1 = 'b' $$")
    batch = open_batch(queue_db)
    with queue_db.transaction():
        sql = "select ev_data from pgq.get_batch_cursor(%s, 'w', 9, 'wanted(ev_data)')"
        assert queue_db.run(sql, [batch]) == [("b",)]


def test_get_consumer_info__columns_and_values(queue_db: Database) -> None:
    eager_queue(queue_db, "b", consumers=("y", "x"))
    eager_queue(queue_db, "a", consumers=("x",))
    insert(queue_db, *"12345", queue="a")
    tick(queue_db, "a")
    batch = open_batch(queue_db, "a", "x")
    rows = queue_db.run("select * from pgq.get_consumer_info()")
    assert [row[:2] for row in rows] == [("a", "x"), ("b", "x"), ("b", "y")]
    names = "queue_name, consumer_name, last_tick, current_batch, next_tick, pending_events"
    assert queue_db.run(f"select {names} from pgq.get_consumer_info('a', 'x')") == [("a", "x", 1, batch, 2, 4)]
    assert all(0 <= cell.total_seconds() < 60 for row in rows for cell in row[2:4])
    assert queue_db.run("select consumer_name from pgq.get_consumer_info('b')") == [("x",), ("y",)]
    assert queue_db.run("select queue_name from pgq.get_consumer_info(null, 'x')") == [("a",), ("b",)]
    assert queue_db.run("select * from pgq.get_consumer_info('nope')") == []


# --- retry --------------------------------------------------------------------------------------------------


def test_event_retry__comes_back_to_this_consumer_only(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("c", "d"))
    ids = insert(queue_db, "a", "b", "c")
    tick(queue_db)
    batch = open_batch(queue_db)
    assert call(queue_db, "event_retry", batch, ids[0], 0) == 1
    assert call(queue_db, "event_retry", batch, ids[0], 0) == 0
    assert value(queue_db, "select pgq.event_retry(%s, %s, now() - interval '1 s')", batch, ids[2]) == 1
    assert call(queue_db, "event_retry", batch, ids[1], 3600) == 1
    assert call(queue_db, "finish_batch", batch) == 1
    assert call(queue_db, "maint_retry_events") == 2
    assert call(queue_db, "maint_retry_events") == 0
    tick(queue_db)
    batch = open_batch(queue_db)
    rows = queue_db.run("select ev_id, ev_retry, ev_data from pgq.get_batch_events(%s)", [batch])
    assert rows == [(ids[0], 1, "a"), (ids[2], 1, "c")]
    # A second time: the counter goes up.
    assert call(queue_db, "event_retry", batch, ids[0], 0) == 1
    call(queue_db, "finish_batch", batch)
    assert call(queue_db, "maint_retry_events") == 1
    tick(queue_db)
    batch = open_batch(queue_db)
    assert queue_db.run("select ev_id, ev_retry from pgq.get_batch_events(%s)", [batch]) == [(ids[0], 2)]
    assert consume_ready(queue_db, consumer="d") == ["a", "b", "c"]
    assert value(queue_db, "select count(*) from pgq.retry_queue") == 1


def test_event_retry__event_outside_the_batch(queue_db: Database) -> None:
    eager_queue(queue_db)
    insert(queue_db, "earlier")
    consume(queue_db)
    insert(queue_db, "in")
    tick(queue_db)
    batch = open_batch(queue_db)
    insert(queue_db, "later")
    for event in (1, 3, None):
        with pytest.raises(DatabaseError, match="event not found"):
            call(queue_db, "event_retry", batch, event, 0)
    assert call(queue_db, "event_retry", batch, 2, 0) == 1


def test_batch_retry__all_that_are_not_waiting_yet(queue_db: Database) -> None:
    eager_queue(queue_db)
    ids = insert(queue_db, *"abcde")
    tick(queue_db)
    batch = open_batch(queue_db)
    call(queue_db, "event_retry", batch, ids[1], 0)
    assert call(queue_db, "batch_retry", batch, 0) == 4
    assert call(queue_db, "batch_retry", batch, 0) == 0
    call(queue_db, "finish_batch", batch)
    assert call(queue_db, "maint_retry_events") == 5
    assert consume(queue_db) == list("abcde")


def test_event_retry_raw__any_event(queue_db: Database) -> None:
    eager_queue(queue_db)
    sql = "select pgq.event_retry_raw('q', %s, now(), %s, %s::timestamptz, %s, 't', 'd', '1', '2', '3', '4')"
    assert value(queue_db, sql, "c", 666, "2020-01-01", 0) == 666
    assert value(queue_db, sql, "c", None, "2020-01-01", None) == 1
    for consumer in ("nope", None):
        with pytest.raises(DatabaseError, match="consumer not registered"):
            queue_db.run(sql, [consumer, 1, "2020-01-01", 0])
    assert call(queue_db, "maint_retry_events") == 2
    tick(queue_db)
    rows = queue_db.run(
        "select ev_id, ev_time::date::text, ev_retry, ev_extra4 from pgq.get_batch_events(%s)", [open_batch(queue_db)]
    )
    assert rows == [(1, "2020-01-01", None, "4"), (666, "2020-01-01", 0, "4")]


def test_maint_retry_events__ten_at_a_call(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.run("select pgq.insert_event('q', 't', n::text) from generate_series(1, 25) n")
    tick(queue_db)
    batch = open_batch(queue_db)
    assert call(queue_db, "batch_retry", batch, 0) == 25
    call(queue_db, "finish_batch", batch)
    assert [call(queue_db, "maint_retry_events") for _ in range(4)] == [10, 10, 5, 0]
    assert sorted(map(int, consume(queue_db))) == list(range(1, 26))


def test_maint_retry_events__neither_limit_nor_disabled_queue_stops_it(queue_db: Database) -> None:
    for name in ("disabled", "limited"):
        eager_queue(queue_db, name)
        insert(queue_db, "a", "b", queue=name)
        tick(queue_db, name)
        batch = open_batch(queue_db, name)
        assert call(queue_db, "batch_retry", batch, 0) == 2
        call(queue_db, "finish_batch", batch)
    queue_db.script("update pgq.queue set queue_disable_insert = true where queue_name = 'disabled'")
    queue_db.script("update pgq.queue set queue_per_tx_limit = 1 where queue_name = 'limited'")
    assert call(queue_db, "maint_retry_events") == 2
    assert call(queue_db, "maint_retry_events") == 0
    assert consume(queue_db, "limited") == ["a", "b"]
    assert value(queue_db, "select count(*) from pgq.retry_queue") == 2


def test_maint_retry_events__two_at_once_move_each_event_once(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db)
    insert(queue_db, "a", "b")
    tick(queue_db)
    batch = open_batch(queue_db)
    call(queue_db, "batch_retry", batch, 0)
    call(queue_db, "finish_batch", batch)
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        assert call(queue_db, "maint_retry_events") == 2
        second = Background(lambda: call(other, "maint_retry_events"))
        assert blocked(queue_db, other.backend_pid)
    assert second.finish() == 0
    assert consume(queue_db) == ["a", "b"]
