"""Fixtures for tests with a provider and a subscriber on two clusters."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import need
from tests.fixtures.cli import new_site, roles, shell, site  # noqa: F401
from tests.fixtures.in_process import call  # noqa: F401
from tests.fixtures.pair import UP, Pair
from tests.fixtures.servers import ServerPool


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each variant of an `in_turn` test one pair of versions; one that is named with its pair stays."""
    if os.environ.get("LONDISTE_TEST_VERSIONS") == "all" or any("[" in argument for argument in config.args):
        return
    variants: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if item.get_closest_marker("in_turn"):
            spec = item.callspec  # type: ignore[attr-defined]
            rest = str(sorted((name, repr(value)) for name, value in spec.params.items() if name != "versions"))
            variants.setdefault(item.nodeid.partition("[")[0], {}).setdefault(rest, []).append(item)
    left_out = []
    for name, found in variants.items():
        for turn, pairs in enumerate(found.values(), zlib.crc32(name.encode())):
            left_out += [item for number, item in enumerate(pairs) if number != turn % len(pairs)]
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture
def versions() -> tuple[int, int]:
    """Versions of provider and subscriber; `tests.fixtures.pair.every_version` runs a test on all combinations."""
    return UP


@pytest.fixture
def new_pair(pool: ServerPool, versions: tuple[int, int]) -> Iterator[Callable[..., Pair]]:
    """Make pairs that are removed at the end of the test; `which` names clusters that no other test uses."""
    made: list[Pair] = []

    def maker(which: str = "a", **options: bool) -> Pair:
        provider = need(pool, versions[0], which)
        # Two clusters even when both are of one version.
        subscriber = need(pool, versions[1], which + "2" * (versions[0] == versions[1]))
        pair = Pair(pool, provider, subscriber, **options)
        made.append(pair)
        return pair

    yield maker
    for pair in made:
        pair.close()


@pytest.fixture
def pair(new_pair: Callable[..., Pair]) -> Pair:
    """A provider and a subscriber with the schemas installed and a queue, nothing published, no replay yet."""
    return new_pair()
