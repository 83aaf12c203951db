"""`parked`: the rows that the subscriber refused, with `on_error = park`, and that wait aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from londiste_lite import completion, output, parked, registration
from londiste_lite.engine_settings import engine_settings
from londiste_lite.errors import RegistrationError, ReplayError
from londiste_lite.sides import of_subscriber

app = typer.Typer(
    help="Rows that the subscriber refused and that wait aside: list, apply or discard them.",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TABLE]...",
        help="Tables, with `*` and `?`; all without.",
        autocompletion=completion.subscribed_tables,
    ),
]
Keys = Annotated[list[str] | None, typer.Option("--key", help="A key as `parked list` shows it; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_LEFT = {
    "insert": "the provider's row is not on the subscriber, or an older one is",
    "update": "the subscriber keeps an older row, or none",
    "delete": "the subscriber keeps a row that the provider has deleted",
}


@app.command("list", epilog="Example: londiste_lite replica.ini parked list entry --json")
def list_events(ctx: typer.Context, names: Names = None, keys: Keys = None, json: Json = False) -> None:
    """List parked events in their order: table, key, operation, event, and why the first of each key was refused."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        found = parked.events(db, settings.queue, registration.expand_subscribed(db, settings.queue, names), keys)
    if json:
        output.json(
            [
                {
                    "table": str(e.table),
                    "key": e.key,
                    "operation": e.operation,
                    "event_id": e.event_id,
                    "sqlstate": e.sqlstate,
                    "message": e.message,
                    "parked": e.parked,
                }
                for e in found
            ]
        )
        return
    if not found:
        output.message("nothing is parked")
    rows = [(str(e.table), e.key, e.operation, e.event_id, e.message or "waits behind") for e in found]
    output.table("", ("table", "key", "operation", "event", "reason"), rows)


def _not_parked(keys: list[str]) -> RegistrationError:
    return RegistrationError(f"nothing is parked there with the key {' or '.join(keys)}", hint="See `parked list`.")


@app.command(epilog="Example: londiste_lite replica.ini parked retry entry --key 7")
def retry(ctx: typer.Context, names: Names = None, keys: Keys = None, json: Json = False) -> None:
    """Apply parked events in their order; what is refused again goes on waiting (exit code 1)."""
    from londiste_lite.replay import retry as retrying

    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        tables = registration.expand_subscribed(db, settings.queue, names)
        if keys and not parked.events(db, settings.queue, tables, keys):
            raise _not_parked(keys)
    done = retrying.retry(replace(engine_settings(settings), on_error="park"), tables, keys)
    if json:
        output.json({"applied": done.applied, "remaining": done.remaining})
    else:
        output.message(f"{done.applied} parked events applied, {done.remaining} still wait")
    if done.remaining:
        raise ReplayError(
            f"{done.remaining} events were refused again or wait behind one that was",
            hint="`parked list` says why.",
        )


@app.command(epilog="Example: londiste_lite replica.ini parked drop entry --key 7")
def drop(
    ctx: typer.Context,
    names: Names = None,
    keys: Keys = None,
    everything: Annotated[bool, typer.Option("--all", help="Every parked event.")] = False,
    json: Json = False,
) -> None:
    """Discard parked events and say what then differs; the keys follow the provider again with their next change."""
    from londiste_lite.replay import retry as retrying

    settings = ctx.obj.londiste()
    if not names and not everything:
        raise RegistrationError("no table named", hint="Name tables whose parked events to discard, or say --all.")
    with of_subscriber(settings) as db:
        tables = registration.expand_subscribed(db, settings.queue, names)
        done = retrying.drop(db, settings.queue, tables, keys)
    if keys and not done:
        raise _not_parked(keys)
    if json:
        output.json([{"table": str(d.table), "key": d.key, "operation": d.operation, "events": d.events} for d in done])
        return
    if not done:
        output.message("nothing is parked there")
    output.lines(f"{d.table}, key {d.key}: {d.events} events discarded; {_LEFT[d.operation]}" for d in done)
