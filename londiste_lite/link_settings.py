"""What the engine needs of a `[relay]` or `[pull]` section."""

from __future__ import annotations

from typing import Any

from londiste_lite.config import LinkSettings
from londiste_lite.links import Link
from londiste_lite.service import PullLink, RelayLink


def link(settings: LinkSettings) -> Link:
    """Return what the engine needs of a section's settings."""
    common: dict[str, Any] = {
        "kind": settings.link,
        "src_dsn": settings.src_db,
        "dst_dsn": settings.dst_db,
        "queue": settings.queue,
        "consumer": settings.consumer,
        "job": settings.job_name,
        "loop_delay": settings.loop_delay,
        "connection_lifetime": settings.connection_lifetime,
        "max_batch_rows": settings.max_batch_rows,
    }
    if settings.dst_queue is not None:
        return RelayLink(target=settings.dst_queue, **common)
    assert settings.node is not None
    assert settings.pull_function is not None
    park = settings.on_error == "park"
    return PullLink(node=settings.node, function=settings.pull_function, park=park, **common)
