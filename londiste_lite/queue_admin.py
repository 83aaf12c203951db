"""What the queue commands do: show queues and consumers, create, drop, register, configure.

`event_queue` has the queue's words for the engine; here is what an administrator asks for, with names checked first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from londiste_lite import event_queue, locks
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, ObjectNotFound, RegistrationError, SchemaError
from londiste_lite.names import nearest

# In the order in which Londiste 2.1 shows them; all but the count are times.
PARAMETERS = ("ticker_max_lag", "ticker_idle_period", "rotation_period", "ticker_max_count")
_COUNTS = ("ticker_max_count",)
_MAY_BE_ZERO = ("ticker_max_lag",)
_LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True)
class QueueStatus:
    """One queue: its settings, and how it is doing. Times are seconds; None where there is no tick to measure from."""

    name: str
    tables: int
    current_table: int
    rotation_period: float
    ticker_max_count: int
    ticker_max_lag: float
    ticker_idle_period: float
    external_ticker: bool
    ticker_paused: bool
    ticker_lag: float | None
    events_per_second: float | None
    new_events: int | None
    last_tick: int | None

    def parameter(self, name: str) -> float:
        """Return the value of one of PARAMETERS."""
        return float(getattr(self, name))


@dataclass(frozen=True)
class ConsumerStatus:
    """One consumer of one queue. `lag` is the age of its last finished tick, `last_seen` that of its last activity."""

    queue: str
    name: str
    lag: float | None
    last_seen: float | None
    last_tick: int | None
    pending_events: int | None


@dataclass(frozen=True)
class DatabaseStatus:
    """All queues of a database. `pgq_version` None: the queue does not say."""

    postgres_version: str
    pgq_version: str | None
    ticker_alive: bool
    queues: list[QueueStatus]
    consumers: list[ConsumerStatus]


def status(db: Database) -> DatabaseStatus:
    """Return the state of all queues. Raises SchemaError when no queue schema is installed."""
    require_installed(db)
    row = db.row("queue_admin.versions")
    assert row is not None
    return DatabaseStatus(
        postgres_version=str(row[0]),
        pgq_version=row[1],
        ticker_alive=locks.ticker_holder(db) is not None,
        queues=queues(db),
        consumers=[ConsumerStatus(*found) for found in db.rows("queue_admin.consumers")],
    )


def queues(db: Database) -> list[QueueStatus]:
    """Return all queues by name. Raises SchemaError when no queue schema is installed."""
    require_installed(db)
    return [QueueStatus(*row) for row in db.rows("queue_admin.queues")]


def queue(db: Database, name: str) -> QueueStatus:
    """Return one queue. Raises ObjectNotFound with the nearest name, SchemaError."""
    found = {each.name: each for each in queues(db)}
    if name not in found:
        near = nearest(name, list(found))
        hint = f'Did you mean "{near[0]}"?' if near else "Make it with `create`; `config` lists those that are there."
        raise ObjectNotFound(f'no event queue "{name}"', hint=hint)
    return found[name]


def require_installed(db: Database) -> None:
    """Raise SchemaError when no queue schema is installed."""
    if not event_queue.has_queues(db):
        raise SchemaError(f"{db.label} has no queue schema", hint="Run `install` first.")


def create(db: Database, name: str) -> bool:
    """Create a queue with PgQ's settings; return False when it is there already. Raises SchemaError."""
    require_installed(db)
    return event_queue.create_queue(db, name, at_once=False)


def drop(db: Database, name: str, *, force: bool) -> None:
    """Drop a queue with its events; with `force` its consumers as well.

    Raises ObjectNotFound, and RegistrationError while consumers are attached or tables write to it: without the queue
    every write to such a table would fail.
    """
    queue(db, name)
    tables = [str(row[0]) for row in db.rows("queue_admin.capturing", queue=name)]
    if tables:
        raise RegistrationError(
            f'queue "{name}" takes the changes of {_listed("table", tables)}',
            hint="End their publication first: `provider remove --all` with this queue's [londiste] INI.",
        )
    attached = consumers_of(db, name)
    if attached and not force:
        raise RegistrationError(
            f'queue "{name}" still has {_listed("consumer", attached)}',
            hint="Unregister them first, or say --force to drop the queue together with them.",
        )
    db.rows("queue_admin.drop_queue", queue=name, force=force)


def consumers_of(db: Database, name: str) -> list[str]:
    """Return the names of a queue's consumers."""
    return [str(row[0]) for row in db.rows("event_queue.consumers", queue=name)]


def register(db: Database, name: str, consumer: str) -> bool:
    """Register a consumer at the queue's last tick; return False when it was. Raises ObjectNotFound."""
    queue(db, name)
    return event_queue.register(db, name, consumer)


def unregister(db: Database, name: str, consumer: str) -> None:
    """End a consumer's registration. Raises ObjectNotFound for the queue or the consumer, with the nearest name."""
    queue(db, name)
    there = consumers_of(db, name)
    if consumer not in there:
        near = nearest(consumer, there)
        hint = f'Did you mean "{near[0]}"?' if near else f"It has {_listed('consumer', there)}."
        raise ObjectNotFound(f'queue "{name}" has no consumer "{consumer}"', hint=hint)
    event_queue.unregister(db, name, consumer)


def configure(db: Database, name: str, values: Mapping[str, str]) -> list[str]:
    """Change parameters of a queue, all or none; return the names of those that had another value before.

    A name may have the prefix `queue_`; a time is anything that PostgreSQL takes as an interval, a bare number means
    seconds. Raises ObjectNotFound for the queue or a parameter, RegistrationError for a value that does not fit.
    """
    wanted = {_parameter(given): value for given, value in values.items()}
    with db.transaction():
        before = queue(db, name)
        for parameter, value in wanted.items():
            _check(db, parameter, value)
            db.rows("queue_admin.set_config", queue=name, parameter=parameter, value=value.strip())
        after = queue(db, name)
    return [each for each in wanted if before.parameter(each) != after.parameter(each)]


def _parameter(given: str) -> str:
    name = given.removeprefix("queue_")
    if name not in PARAMETERS:
        near = nearest(name, list(PARAMETERS))
        hint = f'Did you mean "{near[0]}"?' if near else f"There are {', '.join(PARAMETERS)}."
        raise ObjectNotFound(f'no queue parameter "{given}"', hint=hint)
    return name


def _check(db: Database, parameter: str, value: str) -> None:
    if parameter in _COUNTS:
        text = value.strip()
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LARGEST_COUNT):
            raise RegistrationError(f'{parameter}: expected a number of events, 1 or more, got "{value}"')
        return
    hint = 'Write seconds, or a time with its unit, for example "2 minutes".'
    try:
        seconds = float(db.value("queue_admin.seconds", value=value.strip()))
    except DatabaseError as error:
        if (error.sqlstate or "")[:2] != "22":
            raise
        raise RegistrationError(f'{parameter}: expected a time, got "{value}"', hint=hint) from None
    if seconds < 0 or (seconds == 0 and parameter not in _MAY_BE_ZERO):
        least = "0 or more" if parameter in _MAY_BE_ZERO else "more than 0"
        raise RegistrationError(f'{parameter}: expected a time of {least}, got "{value}"', hint=hint)


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"no {what}s"
    shown = ", ".join(f'"{name}"' for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{what} {shown}" if len(names) == 1 else f"{len(names)} {what}s: {shown}"
