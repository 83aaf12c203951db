"""What the engine needs of an INI file's settings, the one place where the two meet."""

from __future__ import annotations

from londiste_lite.config import LondisteSettings
from londiste_lite.replay.settings import ReplaySettings


def engine_settings(settings: LondisteSettings) -> ReplaySettings:
    """Return what replay, comparison and retrying need of an INI's settings."""
    return ReplaySettings(
        provider_dsn=settings.provider_db,
        subscriber_dsn=settings.subscriber_db,
        queue=settings.queue,
        consumer=settings.consumer,
        job=settings.job_name,
        node=settings.node,
        apply=settings.apply,
        on_error=settings.on_error,
        loop_delay=settings.loop_delay,
        lock_timeout=settings.lock_timeout,
        connection_lifetime=settings.connection_lifetime,
        parallel_copies=settings.parallel_copies,
        copy_jobs=settings.copy_jobs,
        max_batch_rows=settings.max_batch_rows,
        park_events=settings.park_after.events if settings.park_after else None,
        park_seconds=settings.park_after.seconds if settings.park_after else None,
    )
