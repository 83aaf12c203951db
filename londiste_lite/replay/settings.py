"""What a replay needs to know, free of INI and argv; built once by the command layer."""

from __future__ import annotations

from dataclasses import dataclass

from londiste_lite.connection_watch import look_after
from londiste_lite.db import Database, connect
from londiste_lite.errors import ConfigError, PrivilegeMissing
from londiste_lite.lock_wait import watch_locks


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """One subscriber's settings; times are seconds.

    `apply` is `bulk` or `ordered`, `on_error` is `stop` or `park`; `max_batch_rows` bounds how many events are merged
    into one batch; `parallel_copies` how many tables are copied at once, each by up to `copy_jobs` jobs, in ranges of
    up to about `copy_range_bytes` when it is larger than `copy_whole_bytes`; a batch of up to `few_events` is read as
    rows instead of streamed, and of one with `sampled_events` or more a sample is looked at before they are counted.
    `park_events` and `park_seconds` say how far behind the subscriber may be before it is parked, None for ever.
    """

    provider_dsn: str
    subscriber_dsn: str
    queue: str
    consumer: str
    job: str
    node: str | None = None
    apply: str = "bulk"
    loop_delay: float = 1.0
    lock_timeout: float = 10.0
    connection_lifetime: float = 1200.0
    on_error: str = "stop"
    parallel_copies: int = 2
    copy_jobs: int = 2
    copy_whole_bytes: int = 8 << 20
    copy_range_bytes: int = 32 << 20
    max_batch_rows: int = 500_000
    few_events: int = 200
    sampled_events: int = 20_000
    park_events: int | None = None
    park_seconds: float | None = None

    @property
    def may_be_parked(self) -> bool:
        """Whether the claim on the queue may be released under a replay that works."""
        return self.park_events is not None or self.park_seconds is not None

    @property
    def copy_consumer(self) -> str:
        """The consumer that holds the queue while tables are copied; Londiste's name for it."""
        return f"{self.consumer}_copy"


def open_provider(settings: ReplaySettings, role: str) -> Database:
    """Open a connection to the provider for reading events."""
    # Events that were never analyzed are taken for a handful, which the planner would sort to count them by kind.
    unsorted = {"enable_sort": "off"}
    return look_after(connect(settings.provider_dsn, job=settings.job, role=role, settings=unsorted))


def open_subscriber(settings: ReplaySettings, role: str) -> tuple[Database, bool]:
    """Open a connection to the subscriber for applying; return it and whether foreign keys and triggers will fire.

    They do not fire under `session_replication_role = replica`, which a superuser may set, or whoever was granted it.
    """
    tuned = {"work_mem": "128MB", "temp_buffers": "32MB", "maintenance_work_mem": "256MB", "synchronous_commit": "on"}
    db = look_after(connect(settings.subscriber_dsn, job=settings.job, role=role, settings=tuned))
    watch_locks(db)
    try:
        db.script("set session_replication_role = replica")
    except PrivilegeMissing:
        return db, True
    return db, False


def same_database(provider: Database, subscriber: Database) -> None:
    """Raise ConfigError when both connections lead to one database."""
    if _identity(provider) == _identity(subscriber):
        raise ConfigError(
            "provider_db and subscriber_db lead to the same database",
            hint="Check host, port and dbname of both in the INI file.",
        )


def _identity(db: Database) -> tuple[str, ...]:
    """What tells a database from every other: its oid, the cluster's identity where it may be read, its start time."""
    row = db.run(
        """select (select d.oid::text from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()),
                  pg_catalog.pg_postmaster_start_time()::text,
                  (select system_identifier::text from pg_catalog.pg_control_system())"""
    )[0]
    return tuple(str(part) for part in row)
