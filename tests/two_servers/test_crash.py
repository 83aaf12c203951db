"""The replay is killed at every named point, and at random: both sides equal, nothing lost, nothing applied twice."""

from __future__ import annotations

import random
import time

import pytest

from londiste_lite import crash_points, event_queue
from tests.fixtures.pair import QUEUE, Pair, in_background
from tests.two_servers.test_copy import FAMILY, fkeys, writer
from tests.two_servers.test_copy_ranges import RANGE_POINTS

ENTRY = "create table entry (id int primary key, item text, price int)"

AUDIT = """create table audit (what text);
create function note() returns trigger language plpgsql as $$
begin
    insert into public.audit values (tg_op || coalesce(new.id, old.id) || coalesce(new.item, '')); return null;
end $$;
create trigger note after insert or update or delete on entry for each row execute function note();
alter table entry enable always trigger note"""

CHANGES = (
    "insert into entry select n, 'new', n from generate_series(1, 5) n",
    "update entry set item = 'changed' where id < 4",
    "delete from entry where id = 5",
    "update entry set item = 'twice' where id = 1",
)
APPLIED = sorted(
    [f"INSERT{n}new" for n in range(1, 6)] + [f"UPDATE{n}changed" for n in (1, 2, 3)] + ["DELETE5", "UPDATE1twice"]
)


@pytest.mark.parametrize("mode", ["bulk", "ordered"])
@pytest.mark.parametrize("point", ["batch-staged", "batch-applied", "batch-committed"])
def test_kill__in_a_batch(pair: Pair, point: str, mode: str) -> None:
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    pair.subscriber.script(AUDIT)
    pair.start(apply=mode)
    pair.wait()
    pair.stop()
    for statement in CHANGES:
        pair.provider.script(statement)
    # So that the first batch holds them all: a tick of before them may be waiting.
    event_queue.make_tick(pair.provider, QUEUE)
    process = pair.start_process(crash_at=point)
    process.died()
    if point == "batch-committed":
        pair.assert_equal("entry")
    else:
        assert pair.rows("entry")[1] == []
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    counted = pair.table("entry")
    assert (counted.inserted, counted.updated, counted.deleted) == (5, 4, 1)
    if mode == "ordered":
        assert sorted(row[0] for row in pair.subscriber.run("select what from audit")) == APPLIED


@pytest.mark.parametrize("point", ["copy-started", "copy-loaded", "copy-committed"])
@pytest.mark.parametrize("role", ["postgres", "plain"])
def test_kill__in_a_copy(pair: Pair, point: str, role: str) -> None:
    pair.setup_table(FAMILY, "parent", "child")
    if role != "postgres":
        pair.subscribe_as(role)
    before = fkeys(pair)
    pair.provider.script("insert into parent select n, 'x' from generate_series(1, 1000) n")
    pair.provider.script("insert into child select n, n from generate_series(1, 1000) n")
    pair.subscriber.script("insert into parent values (-1, 'mine')")
    # One table after the other, so that the second start has a copy left in which it can die.
    pair.start_process(crash_at=point, parallel_copies=1).died()
    pair.provider.script("update parent set name = 'meanwhile' where id < 10; delete from child where id = 7")
    pair.start_process(crash_at=point, parallel_copies=1).died()
    pair.provider.script("insert into parent values (2000, 'more')")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("parent", "child")
    assert pair.conflicts("parent") == 0
    pair.until(lambda: fkeys(pair) == before, "foreign keys are back")


@pytest.mark.parametrize("point", ["join-staged", "join-applied", "join-committed"])
def test_kill__while_a_table_joins(pair: Pair, point: str) -> None:
    pair.setup_table(FAMILY, "parent", "child")
    if point != "join-staged":  # the plain role drops foreign keys first, and would wait for the blocker there
        pair.subscribe_as("plain")
    before = fkeys(pair)
    pair.start()
    pair.wait()
    pair.stop()
    pair.provider.script("insert into parent select n, 'x' from generate_series(1, 100) n")
    # The copy's snapshot is taken before it waits for the blocker; what is written then is the join's to apply.
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table parent in exclusive mode")
    pair.resync("parent")
    process = pair.start_process(crash_at=point)
    pair.until(lambda: pair.states()[0] == "in-copy", "the copy")
    pair.until(
        lambda: pair.subscriber.run("select 1 from pg_catalog.pg_locks where not granted"),
        "the copy waits for the lock",
    )
    pair.provider.script("insert into parent values (500, 'late')")
    goal = int(pair.provider.run("select tick_id from londiste.tick('londiste.test')")[0][0])
    pair.until(lambda: (pair.position() or 0) >= goal, "the main replay is past it")
    blocker.script("rollback")
    process.died()
    pair.provider.script("update parent set name = 'meanwhile' where id < 10")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("parent", "child")
    assert pair.conflicts("parent") == 0
    pair.until(lambda: fkeys(pair) == before, "foreign keys are back")


@pytest.mark.parametrize("point", ["catchup-staged", "catchup-applied", "catchup-committed"])
def test_kill__while_a_table_catches_up(pair: Pair, point: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'x', 0 from generate_series(1, 100) n")
    pair.start()
    pair.wait()
    pair.stop()
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table entry in exclusive mode")
    pair.resync("entry")
    process = pair.start_process(crash_at=point, max_batch_rows=10_000)
    # The copy's snapshot is taken before it waits for the blocker.
    pair.until(
        lambda: pair.subscriber.run("select 1 from pg_catalog.pg_locks where not granted"),
        "the copy waits for the lock",
    )
    for number in range(5):
        first = number * 9000 + 1000
        pair.provider.script(f"insert into entry select n, 'x', 0 from generate_series({first}, {first + 8999}) n")
        pair.provider.script(
            "update entry set price = price + 1 where id <= 100; select londiste.tick('londiste.test')"
        )
    time.sleep(0.2)
    blocker.script("rollback")
    process.died()
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


def test_kill__points_are_all_named(pair: Pair) -> None:
    steps = ("staged", "applied", "committed")
    named = {f"{part}-{step}" for part in ("batch", "catchup", "join", "copy-catchup") for step in steps}
    named |= {"copy-started", "copy-loaded", "copy-committed", *RANGE_POINTS}
    named |= {"arrival-registered", "arrival-announced"}  # in test_claims
    named |= {f"{part}-{step}" for part in ("relay", "pull") for step in steps[1:]}  # in test_push_pull
    assert set(crash_points.POINTS) == named


@pytest.mark.parametrize("mode", ["bulk", "ordered"])
def test_kill__again_and_again_at_random_moments(pair: Pair, mode: str) -> None:
    pair.setup_table(ENTRY + "; create table other (id int primary key, item text, price int)", "entry", "other")
    pair.provider.script("insert into entry select n, 'old', 0 from generate_series(1, 2000) n")
    pair.settings = pair.settings.__class__(**{**pair.settings.__dict__, "apply": mode})
    moments = random.Random(mode)
    with in_background(writer(pair, 1), writer(pair, 2, "other")):
        for turn in range(4):
            process = pair.start_process()
            time.sleep(0.5 + moments.random())
            if turn == 2:
                pair.resync("entry")
                time.sleep(moments.random() / 10)
            process.kill()
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0
    assert pair.conflicts("other") == 0


def test_stop__after_the_batch_and_at_once(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start_process()
    pair.wait()
    pair.stop()
    # A session ends a moment after its connection.
    sessions = "select count(*) from pg_catalog.pg_stat_activity where application_name like 'londiste:replica%'"
    pair.until(lambda: pair.provider.run(sessions) == [(0,)], "its sessions end")
    # At once: a statement that waits for a lock is cancelled.
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table entry")
    process = pair.start_process()
    pair.provider.script("insert into entry values (1, 'x', 1)")
    pair.until(lambda: pair.subscriber.run("select 1 from pg_catalog.pg_locks where not granted"), "the batch waits")
    begun = time.monotonic()
    process.stop(at_once=True)
    assert time.monotonic() - begun < 15
    blocker.script("rollback")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")


def test_second_replay__of_one_consumer_waits_for_the_first(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start_process()
    pair.wait()
    first, pair.replay = pair.replay, None
    second = pair.start()
    pair.logged("another replay of")
    assert first is not None
    pair.provider.script("insert into entry values (1, 'by the first', 1)")
    pair.wait()
    first.kill()  # type: ignore[union-attr]
    pair.logged("replaying queue")
    pair.provider.script("insert into entry values (2, 'by the second', 1)")
    pair.wait()
    assert second.alive
    pair.assert_equal("entry")
