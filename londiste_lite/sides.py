"""Connections for commands: one side or both, checked for the schema they need, closed at the end of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from londiste_lite import schema
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.replay.settings import same_database


@contextmanager
def opened(dsn: str, job: str, side: str | None) -> Iterator[Database]:
    """A connection to one database; with `side` (`provider`, `subscriber`) its schema must be installed."""
    db = look_after(connect(dsn, job=job, role="admin"))
    try:
        if side is not None:
            schema.require(db, side)
        yield db
    finally:
        db.close()


@contextmanager
def both(provider_dsn: str, subscriber_dsn: str, job: str) -> Iterator[tuple[Database, Database]]:
    """Connections to provider and subscriber, both installed, which must not be one database."""
    with opened(provider_dsn, job, None) as provider, opened(subscriber_dsn, job, None) as subscriber:
        same_database(provider, subscriber)
        schema.require(provider, "provider")
        schema.require(subscriber, "subscriber")
        yield provider, subscriber
