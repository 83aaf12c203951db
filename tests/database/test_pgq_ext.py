"""pgq_ext: what a consumer remembers on its destination, in the transaction that does the work there."""

from __future__ import annotations

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import as_role, call, drop_role, make_role, value


def ext(db: Database, function: str, *args):
    return call(db, f"pgq_ext.{function}", *args)


@pytest.mark.parametrize("who", [("c",), ("c", "sub")])
def test_batch_done__remembers_the_last_one(queue_db: Database, who: tuple) -> None:
    assert ext(queue_db, "is_batch_done", *who, 1) is False
    assert ext(queue_db, "set_batch_done", *who, 1) is True
    assert ext(queue_db, "is_batch_done", *who, 1) is True
    assert ext(queue_db, "set_batch_done", *who, 1) is False
    assert ext(queue_db, "set_batch_done", *who, 2) is True
    assert ext(queue_db, "is_batch_done", *who, 1) is False
    assert ext(queue_db, "is_batch_done", "other", 2) is False


@pytest.mark.parametrize("who", [("c",), ("c", "sub")])
def test_event_done__within_one_batch(queue_db: Database, who: tuple) -> None:
    assert ext(queue_db, "is_event_done", *who, 3, 101) is False
    assert ext(queue_db, "set_event_done", *who, 3, 101) is True
    assert ext(queue_db, "set_event_done", *who, 3, 102) is True
    assert ext(queue_db, "set_event_done", *who, 3, 101) is False
    assert ext(queue_db, "is_event_done", *who, 3, 101) is True
    assert ext(queue_db, "set_batch_done", *who, 3) is True
    assert value(queue_db, "select count(*) from pgq_ext.completed_event") == 2
    # The next batch forgets the events of the one before.
    assert ext(queue_db, "set_event_done", *who, 4, 101) is True
    assert ext(queue_db, "is_event_done", *who, 3, 101) is False
    assert queue_db.run("select consumer_id, batch_id, event_id from pgq_ext.completed_event") == [("c", 4, 101)]
    assert queue_db.run("select cur_batch_id from pgq_ext.partial_batch") == [(4,)]


@pytest.mark.parametrize("who", [("c",), ("c", "sub")])
def test_last_tick__set_and_forgotten(queue_db: Database, who: tuple) -> None:
    assert ext(queue_db, "get_last_tick", *who) is None
    for number in (5, 7, 6):
        assert ext(queue_db, "set_last_tick", *who, number) == 1
        assert ext(queue_db, "get_last_tick", *who) == number
    assert ext(queue_db, "get_last_tick", "other") is None
    assert value(queue_db, "select pgq_ext.set_last_tick('c', 'sub', null)") == 1
    assert value(queue_db, "select pgq_ext.set_last_tick('c', null)") == 1
    assert ext(queue_db, "get_last_tick", *who) is None


def test_subconsumers__are_apart(queue_db: Database) -> None:
    ext(queue_db, "set_last_tick", "c", 1)
    ext(queue_db, "set_last_tick", "c", "a", 2)
    assert ext(queue_db, "get_last_tick", "c") == 1
    assert ext(queue_db, "get_last_tick", "c", "") == 1
    assert ext(queue_db, "get_last_tick", "c", "a") == 2


def test_work_that_is_rolled_back__is_not_remembered(queue_db: Database) -> None:
    queue_db.script("begin")
    ext(queue_db, "set_batch_done", "c", 9)
    ext(queue_db, "set_last_tick", "c", 9)
    queue_db.script("rollback")
    assert ext(queue_db, "is_batch_done", "c", 9) is False
    assert ext(queue_db, "get_last_tick", "c") is None


def test_tables__have_the_originals_columns(queue_db: Database) -> None:
    rows = queue_db.run(
        "select relname::text, string_agg(attname::text, ' ' order by attnum) from pg_attribute join pg_class c"
        " on c.oid = attrelid where relnamespace = 'pgq_ext'::regnamespace and relkind = 'r' and attnum > 0"
        " group by 1 order by 1"
    )
    assert rows == [
        ("completed_batch", "consumer_id subconsumer_id last_batch_id"),
        ("completed_event", "consumer_id subconsumer_id batch_id event_id"),
        ("completed_tick", "consumer_id subconsumer_id last_tick_id"),
        ("partial_batch", "consumer_id subconsumer_id cur_batch_id"),
    ]


def test_grants__are_the_writers(queue_db: Database) -> None:
    writer, nobody = make_role(queue_db, "ext", "pgq_writer"), make_role(queue_db, "none")
    try:
        with as_role(queue_db, writer):
            assert ext(queue_db, "set_last_tick", "c", 1) == 1
            with pytest.raises(DatabaseError, match="permission denied"):
                queue_db.run("select * from pgq_ext.completed_tick")
        with as_role(queue_db, nobody):
            assert ext(queue_db, "version").startswith("3.")
            with pytest.raises(DatabaseError, match="permission denied"):
                ext(queue_db, "get_last_tick", "c")
    finally:
        drop_role(queue_db, writer)
        drop_role(queue_db, nobody)
