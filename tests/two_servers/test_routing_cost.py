"""What a node costs the provider: it reads the events for it and those for all, and not the other nodes'."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from londiste_lite import claims, event_queue, service
from londiste_lite.db import Database, Row
from londiste_lite.replay import fetch, stage
from londiste_lite.snapshots import Snapshot
from londiste_lite.stop_flag import StopFlag
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.cli import until
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair
from tests.fixtures.servers import ServerPool

EVENTS = 10_000


@pytest.fixture
def nodes(pair: Pair, pool: ServerPool) -> Nodes:
    return Nodes(pair, pool, [])


@pytest.mark.parametrize("analyzed", [False, True])
def test_provider__reads_for_256_nodes_less_than_twice_what_it_reads_for_4(nodes: Nodes, analyzed: bool) -> None:
    nodes.table("create table t (id int primary key, item text, node int)", "t", Route("column", "node"))
    read = {count: _read(nodes, count, analyzed) for count in (4, 256)}
    assert read[4][0] == read[256][0] == EVENTS
    assert read[256][1] < 2 * read[4][1], read


def _read(nodes: Nodes, count: int, analyzed: bool) -> tuple[int, int]:
    """Let each of `count` nodes read its part of EVENTS in two batches: events, and rows read."""
    provider = nodes.provider
    queue = event_queue.find_queue(provider, QUEUE)
    ticks = [event_queue.make_tick(provider, QUEUE)]
    for _ in range(2):
        provider.run(
            "insert into t select coalesce((select max(id) from t), 0) + i, 'item', i %% %s"
            " from generate_series(1, %s) i",
            [count, EVENTS // 2],
        )
        ticks.append(event_queue.make_tick(provider, QUEUE))
    if analyzed:
        provider.script("analyze pgq.event_1_0; analyze pgq.event_1_1; analyze pgq.event_1_2")
    events, rows = 0, 0
    for node in range(count):
        for start, end in pairwise(ticks):
            select = fetch.events_between(
                queue.event_table,
                Snapshot.parse(start.snapshot),
                Snapshot.parse(end.snapshot),
                fetch.table_conditions([nodes.name("t")], {}),
                stage.EVENT_COLUMNS,
                claims.Reader(str(node)),
            )
            plan = provider.run(f"explain (analyze, timing off, format json) {select}")[0][0][0]["Plan"]
            events += int(plan["Actual Rows"])
            rows += _rows(plan)
    return events, rows


def _rows(plan: dict) -> int:  # type: ignore[type-arg]
    """Rows that the scans of a plan looked at, those thrown away by a filter or a recheck included."""
    below = sum(_rows(part) for part in plan.get("Plans", []))
    if "Relation Name" not in plan:
        return below
    thrown = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return int((plan["Actual Rows"] + thrown) * plan["Actual Loops"])


def test_events__are_read_once_by_a_process_that_serves_several_nodes(
    pair: Pair, pool: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(pair, pool, ["1", "2", "3"])
    nodes.table("create table t (id int primary key, item text, node text)", "t", Route("column", "node"))
    nodes.replay()
    by_nodes: list[str] = []
    few = fetch.few

    def noted(provider: Database, select: str, *more: int) -> list[Row] | None:
        by_nodes.append(select)
        return few(provider, select, *more)

    # The name by which batches know it; the watcher has its own.
    monkeypatch.setattr(fetch, "few", noted)
    stop = StopFlag()
    serving = threading.Thread(target=service.run_nodes, args=([*nodes.settings.values()], stop))
    serving.start()
    try:
        nodes.provider.script("insert into t values (1, 'a', null)")
        until(lambda: all(nodes.keys(name) == [1] for name in nodes.databases), "all nodes are at work")
        by_nodes.clear()
        for number in range(2, 30):
            nodes.provider.script(f"insert into t values ({number}, 'b', '{number % 4}'), ({-number}, 'c', null)")
            if number % 9 == 0:
                nodes.provider.script(f"update t set node = '{number % 3 + 1}' where id % 3 = 0")
        until(lambda: all(nodes.keys(name)[:1] == [-29] for name in nodes.databases), "all of it arrives")
    finally:
        stop.request()
        serving.join(30)
    nodes.assert_routed("node is null or node = %(node)s")
    assert by_nodes == []


def test_index_of_targets__is_only_there_where_routes_are(nodes: Nodes) -> None:
    index = "select count(*) from pg_catalog.pg_indexes where indexname like 'event_1%node_idx'"
    nodes.plain("create table p (id int primary key)", "p")
    assert nodes.provider.run(index) == [(0,)]
    assert claims.index_targets(nodes.provider, QUEUE) == 0
    assert nodes.provider.run(index) == [(0,)]
    nodes.table("create table t (id int primary key, node int)", "t", Route("column", "node"))
    assert nodes.provider.run(index) == [(3,)]


def test_index_of_targets__waits_for_a_table_that_is_in_use(nodes: Nodes, pair: Pair) -> None:
    nodes.plain("create table p (id int primary key)", "p")
    other = pair.connect_provider()
    with other.transaction():
        other.script("insert into p values (1)")
        nodes.table("create table t (id int primary key, node int)", "t", Route("column", "node"))
        assert claims.index_targets(nodes.provider, QUEUE) == 1
    assert claims.index_targets(nodes.provider, QUEUE) == 0
