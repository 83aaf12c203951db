"""Rotation: three tables take turns, emptied by TRUNCATE, and never one that a consumer still needs."""

from __future__ import annotations

import itertools

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import (
    Background,
    blocked,
    call,
    consume,
    consume_ready,
    eager_queue,
    insert,
    open_batch,
    rotate,
    tick,
    value,
)


def state(db: Database) -> tuple:
    return db.run(
        "select queue_cur_table, queue_switch_step2 is null, queue_switch_time = now() from pgq.queue"
        " where queue_name = 'q'"
    )[0][:2]


def counts(db: Database) -> list[int]:
    return [value(db, f"select count(*) from only pgq.event_1_{n}") for n in range(3)]


def test_rotation__goes_round_and_empties_the_next_table(queue_db: Database) -> None:
    eager_queue(queue_db)
    seen = []
    for n in range(7):
        insert(queue_db, str(n))
        seen += consume(queue_db)
        consume(queue_db)
        if rotate(queue_db):
            seen.append("|")
    assert [data for data in seen if data != "|"] == [str(n) for n in range(7)]
    assert seen.count("|") >= 5
    assert sum(counts(queue_db)) <= 4


def test_rotation__not_before_the_period_has_passed(queue_db: Database) -> None:
    call(queue_db, "create_queue", "q")
    call(queue_db, "set_queue_config", "q", "rotation_period", "1 hour")
    assert not rotate(queue_db)
    queue_db.script("update pgq.queue set queue_switch_time = now() - interval '61 minutes'")
    assert rotate(queue_db)
    assert not rotate(queue_db)
    assert value(queue_db, "select now() - queue_switch_time < '1 minute' from pgq.queue")


def test_rotation__step2_must_come_in_a_later_transaction(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    with queue_db.transaction():
        call(queue_db, "maint_rotate_tables_step1", "q")
        call(queue_db, "maint_rotate_tables_step2")
        assert state(queue_db) == (1, True)
    # Half done: no further step 1.
    call(queue_db, "maint_rotate_tables_step1", "q")
    assert state(queue_db) == (1, True)
    call(queue_db, "maint_rotate_tables_step2")
    assert state(queue_db) == (1, False)


def test_rotation__unknown_queue(queue_db: Database) -> None:
    for name in ("nope", None):
        assert call(queue_db, "maint_rotate_tables_step1", name) == 0


def test_rotation__a_slow_consumer_stops_it(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("c", "slow"))
    consume(queue_db)
    consume_ready(queue_db, consumer="slow")
    insert(queue_db, "needed")
    for _ in range(6):
        consume(queue_db)
        rotate(queue_db)
    assert state(queue_db)[0] == 1  # once: its events are in the table before the current one
    assert sum(counts(queue_db)) == 1
    # An open batch counts as not read.
    batch = open_batch(queue_db, consumer="slow")
    assert not rotate(queue_db)
    assert queue_db.run("select ev_data from pgq.get_batch_events(%s)", [batch]) == [("needed",)]
    call(queue_db, "finish_batch", batch)
    consume_ready(queue_db, consumer="slow")
    assert rotate(queue_db)


def test_rotation__an_open_transaction_with_events_stops_it(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    other.script("begin")
    insert(other, "late")
    for _ in range(6):
        insert(queue_db, "x")
        assert consume(queue_db) == ["x"]
        rotate(queue_db)
    assert state(queue_db)[0] == 1
    other.script("commit")
    assert consume(queue_db) == ["late"]
    consume(queue_db)
    assert rotate(queue_db)


def test_rotation__a_consumer_behind_the_event_of_a_stale_writer_stops_it(
    queue_db: Database, open_connection, server
) -> None:
    """The writer kept a table's name over two rotations; the tables' turn alone would empty it before it is read."""
    eager_queue(queue_db)
    stale = open_connection(server.dsn(queue_db.dbname))
    stale.script("begin isolation level repeatable read; select 1 from pgq.queue")
    for _ in range(2):
        consume(queue_db)
        consume(queue_db)
        assert rotate(queue_db)
    consume(queue_db)
    insert(stale, "stale")
    stale.script("commit")
    assert counts(queue_db)[0] == 1
    assert state(queue_db)[0] == 2
    tick(queue_db)
    open_batch(queue_db)
    assert not rotate(queue_db)
    assert consume_ready(queue_db) == ["stale"]
    consume(queue_db)
    assert rotate(queue_db)
    assert counts(queue_db)[0] == 0


def test_rotation__does_not_wait_for_a_reader_of_the_table(queue_db: Database, open_connection, server) -> None:
    eager_queue(queue_db)
    consume(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    other.script("begin; select count(*) from pgq.event_1_1")
    assert Background(lambda: rotate(queue_db)).finish(5) is False
    assert state(queue_db) == (0, False)
    other.script("commit")
    assert rotate(queue_db)


def test_rotation__old_ticks_go_and_the_consumers_stay(queue_db: Database) -> None:
    eager_queue(queue_db)
    for n in range(8):
        insert(queue_db, str(n))
        consume(queue_db)
        consume(queue_db)
        rotate(queue_db)
    for data in "xyz":
        insert(queue_db, data)
        consume(queue_db)
    left = [row[0] for row in queue_db.run("select tick_id from pgq.tick order by 1")]
    assert left == list(range(left[0], 21))
    assert 5 <= len(left) < 10
    # A consumer can be put on every tick that is left, and finds all that came after it.
    events = []
    for number in left:
        call(queue_db, "register_consumer_at", "q", "c", number)
        events.append("".join(consume_ready(queue_db)))
    assert events[-4:] == ["xyz", "yz", "z", ""]
    assert all(early.endswith(late) for early, late in itertools.pairwise(events))


def test_rotation__without_ticks_keeps_the_last_one(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    for _ in range(5):
        rotate(queue_db)
    assert value(queue_db, "select count(*) from pgq.tick") == 1
    assert call(queue_db, "register_consumer", "q", "c") == 1


def test_rotation__registering_at_an_old_tick_waits_for_it(queue_db: Database, open_connection, server) -> None:
    """Else the tick and its events could go between the look and the commit."""
    eager_queue(queue_db)
    for _ in range(3):
        consume(queue_db)
        consume(queue_db)
        rotate(queue_db)
    oldest = value(queue_db, "select min(tick_id) from pgq.tick")
    consume(queue_db)
    other = open_connection(server.dsn(queue_db.dbname))
    with queue_db.transaction():
        call(queue_db, "maint_rotate_tables_step1", "q")
        assert value(queue_db, "select min(tick_id) from pgq.tick") > oldest
        moved = Background(lambda: call(other, "register_consumer_at", "q", "new", oldest))
        assert blocked(queue_db, other.backend_pid)
    with pytest.raises(DatabaseError, match=f"cannot reposition, tick not found: {oldest}"):
        moved.finish()


def test_rotation__needs_read_committed(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    with pytest.raises(DatabaseError, match="rotation needs a READ COMMITTED transaction"):
        with queue_db.transaction("begin isolation level repeatable read"):
            call(queue_db, "maint_rotate_tables_step1", "q")
    assert state(queue_db) == (0, False)


def test_maint_operations__lists_what_is_due(queue_db: Database) -> None:
    def operations() -> list[tuple]:
        return queue_db.run("select func_name, func_arg from pgq.maint_operations()")

    step1, step2 = "pgq.maint_rotate_tables_step1", "pgq.maint_rotate_tables_step2"
    assert operations() == []
    eager_queue(queue_db, "b", consumers=())
    eager_queue(queue_db, "a", consumers=())
    call(queue_db, "create_queue", "patient")
    assert operations() == [(step1, "a"), (step1, "b"), (step2, None)]
    for name in ("a", "b"):
        call(queue_db, step1, name)
    assert operations() == [(step2, None)]
    call(queue_db, step2)
    call(queue_db, "set_queue_config", "a", "rotation_period", "1 hour")
    call(queue_db, "set_queue_config", "b", "rotation_period", "1 hour")
    assert operations() == []
    queue_db.script("update pgq.queue set queue_extra_maint = array['my.func', 'other'] where queue_name = 'b'")
    queue_db.script(
        "create schema pgq_node; create function pgq_node.maint_watermark() returns int language sql as 'select 1'"
    )
    assert operations() == [("my.func", "b"), ("other", "b"), ("pgq_node.maint_watermark", None)]


def test_maint_operations__vacuums_where_autovacuum_is_off(queue_db: Database, server) -> None:
    assert queue_db.run("select * from pgq.maint_tables_to_vacuum()") == []
    queue_db.script("alter system set autovacuum = off")
    try:
        queue_db.run("select pg_reload_conf()")
        for _ in range(200):
            if value(queue_db, "select current_setting('autovacuum')") == "off":
                break
            queue_db.run("select pg_sleep(0.01)")
        tables = [row[0] for row in queue_db.run("select * from pgq.maint_tables_to_vacuum()")]
        assert {"pgq.subscription", "pgq.tick", "pgq.queue", "pgq.consumer", "pgq.retry_queue"} <= set(tables)
        assert [("vacuum", name) for name in tables] == queue_db.run("select * from pgq.maint_operations()")
        for name in tables:
            queue_db.script(f"vacuum {name}")
    finally:
        queue_db.script("alter system reset autovacuum")
        queue_db.run("select pg_reload_conf()")


def test_metadata__stays_small_at_many_batches(queue_db: Database) -> None:
    """2000 batches of two consumers: the subscription table must not grow with their number."""
    eager_queue(queue_db, consumers=("c", "d"))
    for _ in range(4):
        queue_db.script("""do $$
            declare b int8; who text;
            begin
                for n in 1..250 loop
                    perform pgq.insert_event('q', 't', 'd');
                    commit;
                    perform pgq.ticker('q');
                    commit;
                    foreach who in array array['c', 'd'] loop
                        b := pgq.next_batch('q', who);
                        commit;
                        perform pgq.finish_batch(b);
                        commit;
                    end loop;
                end loop;
            end $$""")
        queue_db.script("vacuum pgq.subscription")
    assert value(queue_db, "select pg_relation_size('pgq.subscription')") <= 50 * 8192
    assert value(queue_db, "select pg_relation_size('pgq.queue')") <= 2 * 8192
    assert value(queue_db, "select count(*) from pgq.get_consumer_info() where pending_events = 0") == 2
