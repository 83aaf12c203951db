"""`install`, `create`, `drop`, `register`, `unregister`, `config` with a [pgqadm] INI: the queues of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from londiste_lite import output, queue_admin, schema
from londiste_lite.config import QueueSettings
from londiste_lite.db import Database
from londiste_lite.errors import UsageError
from londiste_lite.queue_admin import QueueStatus
from londiste_lite.sides import opened

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.")]
ConsumerName = Annotated[str, typer.Argument(metavar="CONSUMER", help="Name of the consumer.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _database(ctx: typer.Context) -> Iterator[Database]:
    settings: QueueSettings = ctx.obj.queue()
    with opened(settings.db, settings.job_name, None) as db:
        yield db


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: pgqadm.py ticker.ini install")
    def install(
        ctx: typer.Context,
        print_only: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
    ) -> None:
        """Install the queue in the database of a [pgqadm] INI, or upgrade it."""
        ctx.obj.queue()
        if print_only:
            output.lines([schema.printable(schema.QUEUE_ONLY)])
            return
        with _database(ctx) as db:
            done = schema.install(db, schema.QUEUE_ONLY)
        output.installed(done.components)

    @app.command(epilog="Example: pgqadm.py ticker.ini create orders")
    def create(ctx: typer.Context, queue: QueueName) -> None:
        """Create a queue."""
        _require_name("queue", queue)
        with _database(ctx) as db:
            new = queue_admin.create(db, queue)
        output.message(f'queue "{queue}" {"created" if new else "is there already"}')

    @app.command(epilog="Example: pgqadm.py ticker.ini drop orders")
    def drop(
        ctx: typer.Context,
        queue: QueueName,
        force: Annotated[bool, typer.Option("--force", help="Drop its consumers as well.")] = False,
    ) -> None:
        """Drop a queue with the events that are in it."""
        with _database(ctx) as db:
            queue_admin.drop(db, queue, force=force)
        output.message(f'queue "{queue}" dropped')

    @app.command("register", epilog="Example: pgqadm.py ticker.ini register orders mailer")
    def register_consumer(ctx: typer.Context, queue: QueueName, consumer: ConsumerName) -> None:
        """Register a consumer: from now on events are kept for it."""
        _require_name("consumer", consumer)
        with _database(ctx) as db:
            new = queue_admin.register(db, queue, consumer)
        output.message(f'consumer "{consumer}" {"registered" if new else "is registered already"} at queue "{queue}"')

    @app.command("unregister", epilog="Example: pgqadm.py ticker.ini unregister orders mailer")
    def unregister_consumer(ctx: typer.Context, queue: QueueName, consumer: ConsumerName) -> None:
        """End the registration of a consumer: its events need not be kept any more."""
        with _database(ctx) as db:
            queue_admin.unregister(db, queue, consumer)
        output.message(f'consumer "{consumer}" unregistered from queue "{queue}"')

    @app.command(epilog="Example: pgqadm.py ticker.ini config orders ticker_max_lag=1 rotation_period='4 hours'")
    def config(
        ctx: typer.Context,
        queue: Annotated[str | None, typer.Argument(metavar="[QUEUE]", help="Name of the queue; none: all.")] = None,
        changes: Annotated[
            list[str] | None, typer.Argument(metavar="[PARAMETER=VALUE]...", help="What to change.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Show the parameters of queues, or change those of one.

        ticker_max_lag: seconds that an event waits at most for its tick. ticker_max_count: events that call for a tick
        at once. ticker_idle_period: seconds between ticks without events. rotation_period: seconds after which an event
        table that everybody has read is emptied.
        """
        values = dict(_assignment(each) for each in changes or [])
        with _database(ctx) as db:
            if queue is not None and values:
                changed = queue_admin.configure(db, queue, values)
                output.message(
                    f'queue "{queue}": ' + (f"{', '.join(changed)} changed" if changed else "was so already")
                )
            found = [queue_admin.queue(db, queue)] if queue is not None else queue_admin.queues(db)
        if json:
            output.json([_as_json(each) for each in found])
        elif not values:
            output.lines(line for each in found for line in _config_lines(each))


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(f'expected PARAMETER=VALUE, got "{text}"', hint='For example: ticker_max_lag="2 seconds".')
    return name.strip(), value


def _config_lines(queue: QueueStatus) -> list[str]:
    return [queue.name, *(f"    {name}\t={_number(queue.parameter(name)):>7}" for name in queue_admin.PARAMETERS)]


def _as_json(queue: QueueStatus) -> dict[str, object]:
    return {"queue": queue.name, **{name: getattr(queue, name) for name in queue_admin.PARAMETERS}}


def _number(value: float) -> str:
    """Return a number without a fraction that says nothing."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0")


def _require_name(what: str, name: str) -> None:
    if not name.strip():
        raise UsageError(f"the {what} needs a name")
