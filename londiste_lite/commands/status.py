"""`status`: how far the subscriber is, or, with a [pgqadm] INI, what the queues of a database do."""

from __future__ import annotations

from typing import Annotated

import typer

from londiste_lite import output, progress, queue_admin
from londiste_lite.config import LondisteSettings, QueueSettings
from londiste_lite.progress import Status
from londiste_lite.queue_admin import DatabaseStatus
from londiste_lite.sides import both, opened


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite replica.ini status --json")
    def status(
        ctx: typer.Context,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show positions, lag, tables and the last error; with a [pgqadm] INI the queues and their consumers."""
        settings: LondisteSettings | QueueSettings = ctx.obj.either()
        if isinstance(settings, QueueSettings):
            with opened(settings.db, settings.job_name, None) as db:
                queues = queue_admin.status(db)
            if json:
                output.json(queues)
            else:
                output.lines(_queue_lines(queues))
            return
        with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
            found = progress.status(provider, subscriber, settings.queue, settings.consumer, settings.node)
        if json:
            output.json(found.as_json())
        else:
            _show(found)


def _queue_lines(found: DatabaseStatus) -> list[str]:
    """Return Londiste 2.1's page of 78 columns, which scripts parse."""
    ruler = "-" * 78
    lines = [
        f"Postgres version: {found.postgres_version}   PgQ version: {found.pgq_version}",
        "",
        f"{'Event queue':<45} {'Rotation':>9} {'Ticker':>13} {'TLag':>6}",
        ruler,
    ]
    for queue in found.queues:
        rotation = f"{queue.tables}/{_seconds(queue.rotation_period)}"
        ticker = f"{queue.ticker_max_count}/{_seconds(queue.ticker_max_lag)}/{_seconds(queue.ticker_idle_period)}"
        lines.append(f"{queue.name:<45} {rotation:>9} {ticker:>13} {_seconds(queue.ticker_lag):>6}")
    lines += [ruler, "", f"{'Consumer':<56} {'Lag':>9} {'LastSeen':>9}", ruler]
    for queue in found.queues:
        lines.append(f"{queue.name}:")
        for consumer in found.consumers:
            if consumer.queue == queue.name:
                lag, seen = _seconds(consumer.lag), _seconds(consumer.last_seen)
                lines.append(f"  {consumer.name:<54} {lag:>9} {seen:>9}")
    return [*lines, ruler]


def _seconds(value: float | None) -> str:
    return "NULL" if value is None else f"{value:.0f}s"


def _show(found: Status) -> None:
    alive = {True: "running", False: "not running"}
    output.pairs(
        [
            ("queue", found.queue),
            ("consumer", found.consumer),
            ("node", found.node),
            ("ticker", alive[found.ticker_alive]),
            ("replay", alive[found.replay_alive] + (", paused" if found.paused else "")),
            ("last tick", found.last_tick),
            ("applied tick", found.applied_tick),
            ("pending events", found.pending_events),
            ("lag", None if found.lag_seconds is None else f"{found.lag_seconds:.1f} s"),
            (
                "parked",
                f"since {found.parked['since']:%Y-%m-%d %H:%M:%S}: {found.parked['reason']}" if found.parked else None,
            ),
            ("last error", found.last_error),
        ]
    )
    columns = ("table", "state", "inserted", "updated", "deleted", "conflicts", "error")
    rows = [
        (t.name, t.state, t.rows_inserted, t.rows_updated, t.rows_deleted, t.conflicts, t.error) for t in found.tables
    ]
    output.table("", columns, rows)
    if found.unknown_nodes:
        unknown = [(n.table, n.node, n.events, f"{n.last_seen:%Y-%m-%d %H:%M:%S}") for n in found.unknown_nodes]
        output.table("", ("rows for a node that nobody is called", "node", "events", "last"), unknown)
    sequences = [(s.name, s.provider_value, s.subscriber_value) for s in found.sequences]
    output.table("", ("sequence", "provider", "subscriber"), sequences)
