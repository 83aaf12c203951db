"""Runs of chaos with every kind of blow; `python -m tests.chaos.run --minutes 30` is one of any length."""

from __future__ import annotations

import pytest

from tests.chaos.run import run
from tests.fixtures.servers import available


@pytest.mark.chaos
def test_chaos__nothing_is_lost_and_nothing_reversed() -> None:
    if not (available(16) and available(18)):
        pytest.skip("PostgreSQL 16 and 18 are not installed")
    figures = run(seconds=15, versions=(16, 18), seed=20, superuser=False, pauses=(0.05, 0.3, 1.0))
    assert not figures.violations, "\n".join(figures.log)
    for name in ("transactions", "rows acknowledged", "moments looked at"):
        assert figures.counts[name] > 0, f"{name}\n" + "\n".join(figures.log)


@pytest.mark.chaos
@pytest.mark.parametrize("superuser", [False, True], ids=["plain role", "superuser"])
@pytest.mark.parametrize("versions", [(18, 16), (15, 18)], ids=["18to16", "15to18"])
def test_chaos__for_minutes(versions: tuple[int, int], superuser: bool) -> None:
    if not all(available(version) for version in versions):
        pytest.skip("the servers' versions are not installed")
    figures = run(seconds=300, versions=versions, seed=versions[0] + superuser, superuser=superuser)
    assert not figures.violations, "\n".join(figures.log)
