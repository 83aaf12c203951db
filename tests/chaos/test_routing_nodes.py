"""Eight nodes, ten thousand changes, replays killed at random; and a move of a million rows in bounded memory."""

from __future__ import annotations

import random

import pytest

from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes, random_history
from tests.fixtures.pair import Pair, ReplayProcess
from tests.fixtures.servers import ServerPool

pytestmark = pytest.mark.chaos

DDL = "create table t (id int primary key, item text, node text)"
BY_COLUMN = "node is null or node = %(node)s"


@pytest.mark.parametrize(("seed", "together"), [(1, False), (2, True)])
def test_random_history__ends_with_every_row_at_exactly_the_nodes_that_it_names(
    pair: Pair, pool: ServerPool, seed: int, together: bool
) -> None:
    nodes = Nodes(pair, pool, [str(number) for number in range(8)])
    nodes.table(DDL, "t", Route("column", "node"))
    random_history(nodes, random.Random(seed), changes=10_000, kills=100, together=together)
    nodes.assert_routed(BY_COLUMN)


def test_move_of_a_million_rows__is_applied_in_bounded_memory(pair: Pair, pool: ServerPool) -> None:
    nodes = Nodes(pair, pool, ["1", "2"])
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.provider.script("insert into t select i, repeat('x', 50), '1' from generate_series(1, 1000000) i")
    nodes.replay()
    nodes.provider.script("update t set node = '2'")
    processes = {name: ReplayProcess(settings) for name, settings in nodes.settings.items()}
    try:
        counted = "select count(*) from t"
        pair.until(lambda: nodes.databases["1"].run(counted) == [(0,)], "the loss at node 1", 600)
        pair.until(lambda: nodes.databases["2"].run(counted) == [(1_000_000,)], "the gain at node 2", 600)
        assert all(process.peak_memory() < 150 << 20 for process in processes.values())
    finally:
        for process in processes.values():
            process.stop()
