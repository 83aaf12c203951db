"""How often a replay that is up to date asks its servers: latency is round trips before it is anything else."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from londiste_lite import event_queue
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.replay.loop import Session
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.pair import QUEUE, Pair


class _Steps(Session):
    """A session whose turns the test takes."""

    def step(self) -> int:
        """Apply what is there, and return the tick that was reached."""
        self._turn()
        return self._at.id


def test_few_round_trips_for_a_small_batch(pair: Pair) -> None:
    pair.setup_table("create table t (id int primary key, item text)", "t", expect_sync=True)
    session = _Steps(replace(pair.settings, loop_delay=0.01), StopFlag())
    session.open()
    try:

        def batch(sql: str) -> tuple[int, int]:
            """Run one statement and replay it; return the messages to provider and subscriber."""
            pair.provider.script(sql)
            tick = event_queue.make_tick(pair.provider, QUEUE)
            before = session.provider.messages, session.subscriber.messages
            assert session.step() == tick.id
            return session.provider.messages - before[0], session.subscriber.messages - before[1]

        for _ in range(2):  # what the tables are is read once
            batch("insert into t values (0, 'a')")
            batch("update t set item = 'b' where id = 0")
            batch("delete from t where id = 0")
        # Ticks and scripts, events; and once a second the position. What is stored, the rows with the commit.
        many = "insert into t select n, 'item' from generate_series(1, 20) n"
        assert batch("insert into t values (0, 'it''s')") <= (3, 2)
        assert batch(many) <= (3, 2)
        # The rows by themselves, where it matters how many were met.
        assert batch("update t set item = '50 %s' where id = 0") <= (3, 3)
        assert batch("update t set item = item || '!' where id > 1") <= (3, 4)  # whether a key is there twice
        assert batch("delete from t where id = 1") <= (3, 3)
        assert batch("select") <= (3, 2)
        pair.assert_equal("t")
        assert pair.conflicts("t") == 0
        assert pair.table("t").inserted == 23
    finally:
        session.close()


def test_a_message_takes_along_what_waits(pair: Pair) -> None:
    db: Database = pair.connect_provider()
    db.script("create table t (id int primary key)")

    def count() -> int:
        return int(db.run("select count(*) from t")[0][0])

    sent = db.messages
    with db.transaction():
        pass
    with db.transaction(), db.savepoint():
        pass
    assert db.messages == sent, "nothing was to be done"
    with db.transaction():
        db.later("insert into t values (%s) -- a comment", [1])
        with db.savepoint():
            db.script("insert into t values (2)")
        db.later("insert into t values (3)")
    assert db.messages == sent + 3
    assert count() == 3

    def within(block: AbstractContextManager[None], *numbers: int) -> None:
        with block:
            for number in numbers:
                db.later("insert into t values (%s)", [number])

    # A savepoint's errors are its own, and leave what waited before it alone.
    with db.transaction():
        db.later("insert into t values (4)")
        with pytest.raises(DatabaseError, match="duplicate"):
            within(db.savepoint(), 5, 1)
        with db.savepoint():
            with pytest.raises(DatabaseError, match="duplicate"):
                within(db.savepoint("londiste_inner"), 6, 1)
            db.later("insert into t values (7)")
    assert db.run("select array_agg(id order by id) from t where id > 3")[0][0] == [4, 7]

    # What fails at the end fails the whole, and what nothing was sent of was never there.
    with pytest.raises(DatabaseError, match="duplicate"):
        within(db.transaction(), 8, 1)
    assert not db.in_transaction
    with db.transaction():
        db.later("insert into t values (9)")
        with contextlib.suppress(ZeroDivisionError), db.savepoint(joined=True):
            db.later("insert into t values (%s)", [1 // 0])
    sent = db.messages
    with contextlib.suppress(ZeroDivisionError), db.transaction():
        db.later("insert into t values (10)")
        db.later("insert into t values (%s)", [1 // 0])
    assert db.messages == sent
    assert db.run("select array_agg(id order by id) from t where id > 7")[0][0] == [9]
