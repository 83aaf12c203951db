"""Fixtures for all tests: servers, databases, connections. `tests/fixtures` holds what they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.throwaway import ThrowawayServer
from tests.fixtures.servers import ServerPool, available, connect, default_version


@pytest.fixture(scope="session")
def pool() -> Iterator[ServerPool]:
    """The process-wide pool of servers."""
    found = ServerPool()
    try:
        yield found
    finally:
        found.remove_all()


@pytest.fixture
def server(pool: ServerPool) -> ThrowawayServer:
    """The server for tests that need only one: PostgreSQL 18, or LONDISTE_TEST_PG."""
    return need(pool, default_version())


def need(pool: ServerPool, version: int, which: str = "a") -> ThrowawayServer:
    """Return the server of `version`; skip the test, saying so, when its binaries are not installed."""
    if not available(version):
        pytest.skip(f"PostgreSQL {version} is not installed")
    return pool.get(version, which)


@pytest.fixture
def open_connection() -> Iterator[Callable[[str], Database]]:
    """Open connections that are closed at the end of the test."""
    opened: list[Database] = []

    def opener(dsn: str) -> Database:
        conn = connect(dsn)
        opened.append(conn)
        return conn

    yield opener
    for conn in opened:
        conn.close()


@pytest.fixture
def new_database(pool: ServerPool) -> Iterator[Callable[..., str]]:
    """Make databases that are dropped at the end of the test: `new_database(server, components=())` -> DSN."""
    made: list[tuple[ThrowawayServer, str]] = []

    def maker(server: ThrowawayServer, components: tuple[str, ...] = ()) -> str:
        dsn = pool.installed_database(server, components) if components else pool.new_database(server)
        made.append((server, dbname_of(dsn)))
        return dsn

    yield maker
    for server, name in made:
        pool.drop_database(server, name)


@pytest.fixture
def queue_db(server: ThrowawayServer, new_database: Callable[..., str], open_connection: Callable) -> Database:
    """A connection to a fresh database with the queue installed."""
    return open_connection(new_database(server, schema.QUEUE_ONLY))


@pytest.fixture
def provider_db(server: ThrowawayServer, new_database: Callable[..., str], open_connection: Callable) -> Database:
    """A connection to a fresh provider database: queue and londiste installed."""
    return open_connection(new_database(server, schema.PROVIDER))


@pytest.fixture
def subscriber_db(server: ThrowawayServer, new_database: Callable[..., str], open_connection: Callable) -> Database:
    """A connection to a fresh subscriber database: londiste installed."""
    return open_connection(new_database(server, schema.SUBSCRIBER))


def dbname_of(dsn: str) -> str:
    """The database's name in a keyword DSN."""
    found = re.search(r"dbname=(\S+)", dsn)
    assert found
    return found[1]
