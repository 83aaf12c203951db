"""Connections for commands: one side or both, checked for the schema they need, closed at the end of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from londiste_lite import event_queue, schema, subscribed
from londiste_lite.config import LondisteSettings
from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.errors import DatabaseError
from londiste_lite.replay.settings import same_database


@contextmanager
def opened(dsn: str, job: str, side: str | None, *, dry_run: bool = False) -> Iterator[Database]:
    """A connection to one database; with `side` (`provider`, `subscriber`) its schema must be installed.

    With `dry_run` nothing that the block does stays.
    """
    db = look_after(connect(dsn, job=job, role="admin"))
    try:
        if side is not None:
            schema.require(db, side)
        with db.rehearsal() if dry_run else contextlib.nullcontext():
            yield db
    finally:
        db.close()


@contextmanager
def both(
    provider_dsn: str, subscriber_dsn: str, job: str, *, dry_run: bool = False
) -> Iterator[tuple[Database, Database]]:
    """Connections to provider and subscriber, both installed, which must not be one database.

    With `dry_run` nothing that the block does stays.
    """
    with opened(provider_dsn, job, None) as provider, opened(subscriber_dsn, job, None) as subscriber:
        same_database(provider, subscriber)
        schema.require(provider, "provider")
        schema.require(subscriber, "subscriber")
        with contextlib.ExitStack() as rehearsals:
            if dry_run:
                rehearsals.enter_context(provider.rehearsal())
                rehearsals.enter_context(subscriber.rehearsal())
            yield provider, subscriber


@contextmanager
def of_subscriber(settings: LondisteSettings, *, dry_run: bool = False) -> Iterator[Database]:
    """A connection to the subscriber, for commands about what it takes of the INI's queue.

    Where it takes nothing the provider is asked, if it can be reached and this role may look there: a queue that is not
    there is an error and no empty list. Raises ObjectNotFound with the nearest name.
    """
    with opened(settings.subscriber_db, settings.job_name, "subscriber", dry_run=dry_run) as db:
        if not subscribed.tables(db, settings.queue) and not subscribed.sequences(db, settings.queue):
            with contextlib.suppress(DatabaseError), opened(settings.provider_db, settings.job_name, None) as provider:
                if event_queue.has_queues(provider):
                    event_queue.find_queue(provider, settings.queue)
        yield db
