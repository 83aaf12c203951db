"""What the shell's completion offers beyond commands and options: INI files, and names of tables.

A name costs a connection, so it is waited for with little patience, and completion never complains.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable
from typing import Any

PATIENCE = 2
"""Seconds that a server has to answer."""


def ini_files(incomplete: str) -> list[str]:
    """Return the INI files whose names begin with `incomplete`; when there is none the shell offers any file."""
    return sorted(glob.glob(glob.escape(incomplete) + "*.ini"))


def published_tables(ctx: Any, incomplete: str) -> list[str]:
    """Return the tables that the provider publishes whose names begin with `incomplete`."""
    from londiste_lite import published

    return _names(ctx, "provider", incomplete, published.tables)


def subscribed_tables(ctx: Any, incomplete: str) -> list[str]:
    """Return the tables that are subscribed whose names begin with `incomplete`."""
    from londiste_lite import subscribed

    return _names(ctx, "subscriber", incomplete, subscribed.tables)


def _names(ctx: Any, side: str, incomplete: str, tables: Callable[..., Any]) -> list[str]:
    """Return names as a user writes them: without `public.`, unless its beginning was typed."""
    from londiste_lite import config, db

    # Whatever keeps the names away: a message in the middle of a command line that is being written helps nobody.
    with contextlib.suppress(Exception):
        given = ctx.find_root().params
        nodes = config.load_nodes(given["ini"])
        settings: Any = nodes.get(given.get("node")) or next(iter(nodes.values()), None) or config.load(given["ini"])
        dsn = getattr(settings, f"{side}_db")
        connection = db.connect(dsn, job=settings.job_name, role="completion", timeout=PATIENCE)
        with contextlib.closing(connection):
            names = [each.table for each in tables(connection, settings.queue)]
        short = [name.name for name in names if name.schema == "public" and "." not in name.name]
        full = [str(name) for name in names if name.schema != "public" or incomplete]
        return sorted(name for name in {*short, *full} if name.startswith(incomplete))
    return []
