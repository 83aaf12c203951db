"""Fixtures for runs that take minutes."""

from tests.two_servers.conftest import new_pair, pair, versions  # noqa: F401
