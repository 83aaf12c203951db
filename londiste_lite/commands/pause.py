"""`pause` and `resume`: let the replay rest between batches, without stopping its process."""

from __future__ import annotations

import typer

from londiste_lite import output, pausing
from londiste_lite.sides import of_subscriber


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite replica.ini pause")
    def pause(ctx: typer.Context) -> None:
        """Let the replay rest after its batch, also after restarts, until `resume`."""
        settings = ctx.obj.londiste()
        with of_subscriber(settings) as db:
            new = pausing.pause(db, settings.consumer)
        output.message(f'replay of "{settings.consumer}" {"pauses" if new else "is paused already"}')

    @app.command(epilog="Example: londiste_lite replica.ini resume")
    def resume(ctx: typer.Context) -> None:
        """Let a paused replay go on."""
        settings = ctx.obj.londiste()
        with of_subscriber(settings) as db:
            was = pausing.resume(db, settings.consumer)
        output.message(f'replay of "{settings.consumer}" {"goes on" if was else "was not paused"}')
