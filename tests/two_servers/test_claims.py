"""Who reads a queue: nodes that no subscriber has, nodes that are parked and come back, the index of targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite import claims, event_queue, progress, registration, subscribed, ticker
from londiste_lite.errors import ClaimReleased
from londiste_lite.replay.batch import BatchRunner, Window
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair, ReplayProcess
from tests.fixtures.servers import ServerPool

DDL = "create table t (id int primary key, item text, node text)"
BY_COLUMN = "node is null or node = %(node)s"


@pytest.fixture
def nodes(pair: Pair, pool: ServerPool) -> Nodes:
    return Nodes(pair, pool, ["1", "2"])


def rotate(nodes: Nodes, *names: str) -> None:
    """Let the queue forget everything, with these nodes following."""
    nodes.provider.script("update pgq.queue set queue_rotation_period = '0'")
    for _ in range(4):
        nodes.replay(*names)
        ticker.maintain(nodes.provider)
    assert nodes.event_count() == 0


def set_bound(nodes: Nodes, name: str, events: int) -> None:
    nodes.settings[name] = replace(nodes.settings[name], park_events=events)


# --- nodes that no subscriber has ----------------------------------------------------------------------------------


def test_unknown_node__is_counted_and_gets_its_rows_when_it_is_there(
    nodes: Nodes, pool: ServerPool, pair: Pair
) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    assert claims.unknown_nodes(nodes.provider, QUEUE)[:0] == []
    nodes.replay()
    nodes.provider.script("insert into t select i, 'x', (i % 4)::text from generate_series(1, 40) i")
    nodes.provider.run("insert into t values (99, 'y', %s)", ['it\'s "x"; --'])

    def found() -> list[tuple[str, str, int]]:
        return [(u.table, u.node, u.events) for u in claims.unknown_nodes(nodes.provider, QUEUE)]

    expected = [("public.t", "0", 10), ("public.t", "3", 10), ("public.t", 'it\'s "x"; --', 1)]
    assert found() == expected
    claims.count_unknown_nodes(nodes.provider, QUEUE)
    claims.count_unknown_nodes(nodes.provider, QUEUE)
    assert found() == expected
    rotate(nodes)
    assert found() == expected
    nodes.provider.script("insert into t values (100, 'later', '3')")
    assert ("public.t", "3", 11) in found()
    shown = progress.status(nodes.provider, nodes.databases["1"], QUEUE, nodes.settings["1"].consumer, "1")
    assert [u.node for u in shown.unknown_nodes] == [node for _, node, _ in expected]

    nodes.add("3", pair, pool)
    nodes.subscribe("3", DDL, "t")
    nodes.replay()
    assert [node for _, node, _ in found()] == ["0", 'it\'s "x"; --']
    nodes.assert_routed(BY_COLUMN)
    registration.unregister(
        nodes.provider, nodes.databases["3"], QUEUE, nodes.settings["3"].consumer, nodes.settings["3"].copy_consumer
    )
    nodes.provider.script("insert into t values (101, 'nobody again', '3')")
    assert "3" in [node for _, node, _ in found()]


def test_other_node_name__copies_the_tables_anew(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.provider.script("insert into t values (1, 'a', '1'), (2, 'b', '2'), (3, 'c', '3')")
    nodes.replay()
    nodes.settings["1"] = replace(nodes.settings["1"], node="3")
    nodes.replay()
    assert nodes.keys("1") == [3]
    assert nodes.keys("2") == [2]


# --- parking ----------------------------------------------------------------------------------------------------


def test_parked_node__frees_the_queue_and_copies_its_tables_when_it_is_back(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.plain("create table plain (id int primary key)", "plain")
    set_bound(nodes, "2", 100)
    nodes.replay()
    nodes.provider.script("insert into t select i, 'x', (1 + i % 2)::text from generate_series(1, 50) i")
    assert claims.park_behind(nodes.provider) == []
    nodes.provider.script("insert into t select i, 'x', (1 + i % 2)::text from generate_series(51, 200) i")
    event_queue.make_tick(nodes.provider, QUEUE)
    [parked] = claims.park_behind(nodes.provider)
    assert (parked.queue, parked.consumer) == (QUEUE, nodes.settings["2"].consumer)
    assert "more than 100" in parked.reason
    assert claims.park_behind(nodes.provider) == []
    status = progress.status(nodes.provider, nodes.databases["2"], QUEUE, parked.consumer, "2")
    assert status.parked is not None
    assert status.parked["reason"] == parked.reason

    rotate(nodes, "1")
    nodes.provider.script("delete from t where id < 20; insert into plain values (1)")
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)
    assert nodes.databases["2"].run("select id from plain") == [(1,)]
    status = progress.status(nodes.provider, nodes.databases["2"], QUEUE, parked.consumer, "2")
    assert status.parked is None
    assert [t.state for t in status.tables] == ["ok", "ok"]


def test_parked_node__that_is_back_before_the_queue_forgot_copies_nothing(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    set_bound(nodes, "2", 5)
    nodes.replay()
    nodes.provider.script("insert into t select i, 'x', '2' from generate_series(1, 50) i")
    event_queue.make_tick(nodes.provider, QUEUE)
    assert len(claims.park_behind(nodes.provider)) == 1
    nodes.replay("2")
    assert nodes.keys("2") == list(range(1, 51))
    assert subscribed.tables(nodes.databases["2"], QUEUE)[0].inserted == 50


@pytest.mark.parametrize("point", ["arrival-registered", "arrival-announced"])
def test_parked_node__killed_on_its_way_back_loses_nothing(nodes: Nodes, point: str) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    set_bound(nodes, "2", 5)
    nodes.replay()
    nodes.provider.script("insert into t select i, 'x', '2' from generate_series(1, 50) i")
    event_queue.make_tick(nodes.provider, QUEUE)
    claims.park_behind(nodes.provider)
    rotate(nodes, "1")
    process = ReplayProcess(nodes.settings["2"], crash_at=point)
    try:
        process.died()
    finally:
        process.kill()
    nodes.provider.script("delete from t where id < 20")
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)


def test_parked_under_a_replay_that_works__applies_no_part_of_a_batch(nodes: Nodes, pair: Pair) -> None:
    """The claim goes, and the queue forgets, while a batch is being applied."""
    nodes.table(DDL, "t", Route("column", "node"))
    set_bound(nodes, "2", 5)
    nodes.replay()
    nodes.provider.script("insert into t select i, 'x', '2' from generate_series(1, 50) i")
    nodes.databases["2"].script(
        "create function slow() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock(7); return new; end $$;"
        "create trigger slow before insert on t for each row execute function slow();"
        "alter table t enable always trigger slow"
    )
    other = pair.connect_to(nodes.settings["2"].subscriber_dsn)
    other.run("select pg_advisory_lock(7)")
    process = ReplayProcess(nodes.settings["2"])
    try:
        pair.until(
            lambda: other.run("select 1 from pg_locks where locktype = 'advisory' and objid = 7 and not granted"),
            "the batch is being applied",
        )
        event_queue.make_tick(nodes.provider, QUEUE)
        pair.until(lambda: claims.park_behind(nodes.provider) or _parked(nodes), "parking")
        rotate(nodes, "1")
        nodes.provider.script("delete from t where id < 20")
        other.run("select pg_advisory_unlock(7)")
        nodes.databases["2"].script("drop trigger slow on t")
        pair.until(lambda: nodes.keys("2") == list(range(20, 51)) and not _parked(nodes), "the return")
    finally:
        process.stop()
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)


def test_batch__whose_claim_was_released_while_it_was_read_is_not_applied(nodes: Nodes, pair: Pair) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.replay("1")
    queue = event_queue.find_queue(nodes.provider, QUEUE)
    start = event_queue.last_tick(nodes.provider, queue)
    nodes.provider.script("insert into t values (1, 'x', '1')")
    end = event_queue.make_tick(nodes.provider, QUEUE)
    reader = pair.connect_provider()
    runner = BatchRunner(reader, nodes.databases["1"], queue, node="1")
    tables = subscribed.tables(nodes.databases["1"], QUEUE)
    window = Window(start.snapshot, end.snapshot, tables, {}, claim="somebody who is parked")
    with pytest.raises(ClaimReleased):
        runner.run(window, lambda counts: None)
    assert nodes.keys("1") == []
    runner.run(replace(window, claim=nodes.settings["1"].consumer), lambda counts: None)
    assert nodes.keys("1") == [1]


def _parked(nodes: Nodes) -> bool:
    claim = claims.find(nodes.provider, QUEUE, nodes.settings["2"].consumer)
    return claim is not None and claim.parked is not None
