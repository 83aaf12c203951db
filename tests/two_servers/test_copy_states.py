"""A table's way from state to state: nobody who comes late overwrites what somebody else asked for in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite import copies, event_queue, parked, subscribed
from londiste_lite.copies import Job
from londiste_lite.errors import RegistrationChanged
from londiste_lite.names import QualifiedName
from londiste_lite.replay.loop import Session
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy import worker
from londiste_lite.tablecopy.connections import Connections
from londiste_lite.tablecopy.load import TableLoad
from londiste_lite.tablecopy.tracker import Tracker
from londiste_lite.tablecopy.worker import CopyWorker
from tests.fixtures.pair import QUEUE, Pair
from tests.two_servers.test_copy import ENTRY


def move(pair: Pair, state: TableState, snapshot: str | None) -> Subscribed:
    """Put `entry` into a state, as another process would, and return how it is then."""
    pair.subscriber.run("update londiste.subscriber_table set merge_state = %s, snapshot = %s", [state.value, snapshot])
    return pair.table("entry")


def test_states__of_another_copy_are_never_overwritten(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The replay, a worker that catches up and one that loads each work by what they read before: the table has the
    same state since, but another copy of it."""
    caplog.set_level("INFO")
    monkeypatch.setattr(worker, "SMALL_GAP", -1)  # nothing is too little to be caught up by a worker
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    stop = StopFlag()
    session = Session(pair.settings, stop)
    session.open()
    try:
        early = session._at.snapshot
        event_queue.register(pair.provider, QUEUE, pair.settings.copy_consumer)
        pair.provider.script("insert into entry values (1, 'x', 1)")
        session.run_to(event_queue.make_tick(pair.provider, QUEUE))
        pair.provider.script("update entry set price = 2")
        session.run_to(event_queue.make_tick(pair.provider, QUEUE))
        assert pair.rows("entry")[1] == ["(1,x,2)"]
        pair.subscriber.script("truncate entry")

        stale = replace(move(pair, TableState.CATCHING_UP, "1:1:"), snapshot=early)
        now = pair.table("entry")
        session._join(stale)
        assert "does not join" in caplog.text

        connections = Connections(pair.settings)
        late = CopyWorker(pair.settings, stale, None, connections, stop, lambda: None)
        late.start()
        late.join(30)
        assert late.error is None
        assert "catching up" in caplog.text
        assert (pair.table("entry"), pair.rows("entry")[1]) == (now, [])

        # A load in one transaction, and one in ranges whose table beside is there and whose ranges are done.
        stale = replace(move(pair, TableState.IN_COPY, "1:1:"), snapshot=early)
        now = pair.table("entry")
        name = QualifiedName.parse("entry")
        for job in (None, Job(None, "", 1, 1, ())):
            if job is not None:
                copies.begin(pair.subscriber, QUEUE, name, job)
            with connections.lent() as sides:
                load = TableLoad(pair.settings, stale, session._queue, sides, connections.lent, Tracker())
                with pytest.raises(RegistrationChanged):
                    load.run()
            assert (pair.table("entry"), pair.rows("entry")[1]) == (now, [])
        connections.release()
        assert not subscribed.set_state(pair.subscriber, QUEUE, stale, TableState.MISSING)
    finally:
        session.close()


def test_catch_up__lets_later_events_of_a_key_wait_behind(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the batches of a worker too."""
    monkeypatch.setattr(worker, "SMALL_GAP", -1)
    pair.setup_table(ENTRY, "entry", other_ddl=ENTRY.replace("price int", "price int check (price >= 0)"))
    pair.both("insert into entry values (7, 'x', 1)")
    pair.settings = replace(pair.settings, on_error="park", max_batch_rows=1)
    first = event_queue.make_tick(pair.provider, QUEUE)
    event_queue.register(pair.provider, QUEUE, pair.settings.copy_consumer)
    event_queue.make_tick(pair.provider, QUEUE)
    for price in (-1, 5):
        pair.provider.script(f"update entry set price = {price}")
        event_queue.make_tick(pair.provider, QUEUE)
    connections = Connections(pair.settings)
    behind = move(pair, TableState.CATCHING_UP, first.snapshot)
    late = CopyWorker(pair.settings, behind, None, connections, StopFlag(), lambda: None)
    late.start()
    late.join(30)
    connections.release()
    assert late.error is None
    assert [e.sqlstate for e in parked.events(pair.subscriber, QUEUE)] == ["23514", None]
    assert pair.rows("entry")[1] == ["(7,x,1)"]
