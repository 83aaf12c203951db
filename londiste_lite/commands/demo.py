"""`demo`: the tutorial on two throw-away servers, shown step by step."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from londiste_lite import output


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite demo --keep")
    def demo(
        keep: Annotated[bool, typer.Option("--keep", help="Leave servers and daemons running at the end.")] = False,
    ) -> None:
        """Walk through the tutorial on two throw-away PostgreSQL servers; needs nothing but this package."""
        from londiste_lite.walkthrough import Walkthrough

        walk = Walkthrough(lambda text: output.lines(["", f"== {text}"]), lambda line: output.lines([line]), (16, 18))
        kept = False
        # Whoever ends the demo, or closes its terminal, must not be left with its servers.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            walk.run()
            kept = keep
        finally:
            if not kept:
                walk.clean_up()
        if kept:
            output.lines(["", f"== Left running. INI files and logs: {walk.folder}"])
            provider, subscriber = walk.connection_strings()
            output.lines([f"provider:   psql '{provider}'", f"subscriber: psql '{subscriber}'"])
            output.lines([f"stop:       {walk.how_to_stop()}", f"delete:     {walk.how_to_delete()}"])
        else:
            output.lines(["", "== Done; servers and files are gone."])
