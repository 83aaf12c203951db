"""A table's way from state to state: nobody who comes late overwrites what somebody else asked for in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite import copies, event_queue, parked, registration, subscribed
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
from tests.fixtures.pair import QUEUE, Pair, succeed
from tests.two_servers.test_copy import ENTRY
from tests.two_servers.test_copy_ranges import left_behind, small_ranges


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
        session._joining.join([stale], session._at)
        assert "does not join" in caplog.text

        connections = Connections(pair.settings)
        late = CopyWorker(pair.settings, [stale], None, connections, stop, lambda: None)
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
    late = CopyWorker(pair.settings, [behind], None, connections, StopFlag(), lambda: None)
    late.start()
    late.join(30)
    connections.release()
    assert late.error is None
    assert [e.sqlstate for e in parked.events(pair.subscriber, QUEUE)] == ["23514", None]
    assert pair.rows("entry")[1] == ["(7,x,1)"]


WAITING = "select 1 from pg_stat_activity where application_name like 'londiste:%:{}' and wait_event_type = 'Lock'"
# An index that cannot be made as long as somebody holds the advisory lock 42, and rows that somebody locks: one that a
# copy has to change, one that only events change.
SLOW = """create function slow(int) returns int language plpgsql immutable as
    $$begin perform pg_catalog.pg_advisory_xact_lock_shared(42); return $1; end$$;
create index entry_slow on entry (slow(price))"""
PHASES = {
    "range": "lock table entry in exclusive mode",
    "index": "select pg_advisory_xact_lock(42)",
    "reconcile": "select 1 from entry where id = 1 for update",
    "catch-up": "select 1 from entry where id = 2 for update",
    "join": "select 1 from entry where id = 2 for update",
}


@pytest.mark.chaos
@pytest.mark.parametrize("phase", PHASES)
def test_copy__stopped_removed_and_copied_anew_in_every_phase(
    pair: Pair, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if phase == "catch-up":
        monkeypatch.setattr(worker, "SMALL_GAP", -1)
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'item ' || n, n from generate_series(1, 3000) n; analyze entry")
    if phase in ("range", "index"):
        pair.subscriber.script(SLOW)
    else:
        pair.subscriber.script("insert into entry values (1, 'old', 0), (2, 'item 2', 2)")
    index = "select indexdef from pg_indexes where tablename = 'entry' order by 1"
    before = pair.subscriber.run(index)
    small_ranges(pair, 50_000)
    blocker, first = pair.connect_subscriber(), pair.connect_subscriber()
    blocker.script("begin; " + PHASES[phase])
    late = phase in ("catch-up", "join")

    def blocked() -> None:
        if late:
            # What the copy does not hold yet is written while the copy waits for the row that it has to change.
            first.script("begin; select 1 from entry where id = 1 for update")
            pair.until(lambda: pair.states() != ["-"], "the copy begins")
            if pair.states() == ["in-copy"]:
                pair.until(lambda: pair.subscriber.run(WAITING.format("copy")), "the copy waits")
                pair.provider.script("update entry set price = price + 1 where id = 2")
                event_queue.make_tick(pair.provider, QUEUE)
            first.script("rollback")
        # A copy that was stopped while it caught up is taken over by the replay itself, which then waits.
        pair.until(lambda: pair.subscriber.run(WAITING.format("%")), f"waiting in phase {phase}")
        assert pair.states() == ["catching-up" if late else "in-copy"]

    for at_once in (False, True):
        pair.start()
        blocked()
        if phase == "range" and not at_once:
            # A worker that dies is noticed at once, and the copy goes on.
            pair.subscriber.script(WAITING.format("copy").replace("select 1", "select pg_terminate_backend(pid)"))
            pair.logged("the copy of public.entry failed", 5.0)
            pair.until(lambda: pair.subscriber.run(WAITING.format("copy")), "the copy waits again", 10.0)
        assert pair.replay is not None
        # A stop after the batch would wait for a join, which is one.
        joining = bool(pair.subscriber.run(WAITING.format("replay")))
        pair.replay.stop(at_once=at_once or joining)  # type: ignore[union-attr]
        pair.replay = None
        assert not pair.subscriber.run(WAITING.format("%"))
    pair.start()
    blocked()
    if phase in ("range", "index", "join"):
        pair.resync("entry")
    else:
        succeed(registration.unsubscribe(pair.subscriber, QUEUE, ["entry"], lock_timeout=0.2))
        pair.subscribe("entry")
    blocker.script("rollback")
    pair.wait()
    pair.assert_equal("entry")
    pair.until(lambda: pair.subscriber.run(index) == before, "the indexes are there")
    pair.until(lambda: left_behind(pair) == [], "nothing is left behind")
    assert pair.conflicts("entry") == 0
