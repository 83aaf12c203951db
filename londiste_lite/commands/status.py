"""`status`: how far the subscriber is, or, with a [pgqadm] INI, what the queues of a database do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from londiste_lite import output, progress, queue_admin, status_screen
from londiste_lite.config import LondisteSettings, QueueSettings
from londiste_lite.context import Context
from londiste_lite.dsn import describe
from londiste_lite.errors import LondisteError, UsageError
from londiste_lite.progress import Status
from londiste_lite.queue_admin import DatabaseStatus
from londiste_lite.sides import both, opened
from londiste_lite.stop_flag import StopFlag

Show = Callable[[Sequence[output.Line]], None]

# Seconds between two looks of --watch, and how many waiting events each of them counts at most.
PACE = 1.0
MOST_COUNTED = 100_000


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite replica.ini status --json")
    def status(
        ctx: typer.Context,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        watch: Annotated[bool, typer.Option("--watch", help="Go on showing it, until Ctrl-C.")] = False,
    ) -> None:
        """Show positions, lag, tables and the last error; with a [pgqadm] INI the queues and their consumers."""
        context: Context = ctx.obj
        settings: LondisteSettings | QueueSettings = context.either()
        if watch and json:
            raise UsageError("--watch and --json do not go together", hint="Call `status --json` as often as you like.")
        if watch:
            context.run(lambda stop: _watch(settings, stop))
            return
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
            copies = progress.copies(subscriber, settings.queue)
        if json:
            output.json(found.as_json())
        elif output.on_terminal():
            output.screen(status_screen.screen(found, copies, _sides(settings), output.screen_width()))
        else:
            _show(found)


def _sides(settings: LondisteSettings) -> tuple[str, str]:
    return describe(settings.provider_db), describe(settings.subscriber_db)


def _watch(settings: LondisteSettings | QueueSettings, stop: StopFlag) -> None:
    """Show the status again and again; a server that is away is shown, too."""
    history = status_screen.History()
    with output.live() as show:
        while not stop.requested:
            try:
                if isinstance(settings, QueueSettings):
                    _watch_queues(settings, stop, show)
                else:
                    _watch_replay(settings, stop, show, history)
            except LondisteError as error:
                show([_clock(), [], [("error: ", "bold red"), (error.message, "")]])
                stop.wait(PACE)


def _watch_replay(settings: LondisteSettings, stop: StopFlag, show: Show, history: status_screen.History) -> None:
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        while not stop.requested:
            wanted = (settings.queue, settings.consumer, settings.node, MOST_COUNTED)
            found = progress.status(provider, subscriber, *wanted)
            copies = progress.copies(subscriber, settings.queue)
            history.add(found, time.monotonic())
            width = output.screen_width()
            show([_clock(), [], *status_screen.screen(found, copies, _sides(settings), width, history)])
            stop.wait(PACE)


def _watch_queues(settings: QueueSettings, stop: StopFlag, show: Show) -> None:
    with opened(settings.db, settings.job_name, None) as db:
        while not stop.requested:
            show([_clock(), [], *([(line, "")] for line in _queue_lines(queue_admin.status(db)))])
            stop.wait(PACE)


def _clock() -> output.Line:
    return [(f"{time.strftime('%H:%M:%S')}   Ctrl-C ends", "dim")]


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
            ("last error", found.last_error),
        ]
    )
    if found.parked:
        output.lines([f"parked since {found.parked['since']:%Y-%m-%d %H:%M:%S}: {found.parked['reason']}"])
    columns = ("table", "state", "inserted", "updated", "deleted", "conflicts", "error")
    rows = [
        (t.name, t.state, t.rows_inserted, t.rows_updated, t.rows_deleted, t.conflicts, t.error) for t in found.tables
    ]
    output.table("", columns, rows)
    output.lines(f"{t.name}:{line[1:]}" for t in found.tables for line in status_screen.trouble_lines(t))
    if found.unknown_nodes:
        unknown = [(n.table, n.node, n.events, f"{n.last_seen:%Y-%m-%d %H:%M:%S}") for n in found.unknown_nodes]
        output.table("", ("rows for a node that no subscriber has", "node", "events", "last"), unknown)
    if found.unrouted:
        listed = [
            (t.table, t.rows, r.key, r.error, f"{r.since:%Y-%m-%d %H:%M:%S}") for t in found.unrouted for r in t.listed
        ]
        output.table("", ("rows that cannot be routed", "in all", "key", "why", "since"), listed)
    sequences = [(s.name, s.provider_value, s.subscriber_value) for s in found.sequences]
    output.table("", ("sequence", "provider", "subscriber"), sequences)
