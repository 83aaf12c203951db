"""The benchmark of many nodes, small: it must run, and every event must reach its node."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.star import Star
from tests.conftest import need
from tests.fixtures.servers import ServerPool


def test_star__of_six_nodes_with_one_away(pool: ServerPool, tmp_path: Path) -> None:
    star = Star(need(pool, 18), 6, tmp_path, prefix=f"star{os.getpid()}")
    try:
        found = star.measure(pause=0.01)
    finally:
        star.drop()
    assert len(found.one_by_one) == len(found.burst) == 5
    assert found.node_connections == 5
    assert found.provider_connections <= 16
    found.show()
