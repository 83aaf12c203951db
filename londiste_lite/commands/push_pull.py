"""`relay`, `pull` and `push-pull`: flows of plain events between nodes and a hub."""

from __future__ import annotations

from typing import Annotated

import typer

from londiste_lite import output
from londiste_lite.context import Context
from londiste_lite.errors import UsageError
from londiste_lite.options import LINKS, PULL, RELAY
from londiste_lite.stop_flag import StopFlag

Once = Annotated[bool, typer.Option("--once", help="Bring over what is committed now, then end.")]


def _run(context: Context, once: bool, *kinds: str) -> None:
    from londiste_lite import service
    from londiste_lite.link_settings import link

    sections = context.links(*kinds)
    if once:
        if context.daemon:
            raise UsageError("--once cannot run in the background", hint="Leave out -d, or --once to go on.")
        moved = context.run(lambda stop: service.run_links_once([link(s) for s in sections], stop))
        for section, events in zip(sections, moved, strict=True):
            output.message(f"{section.consumer}: {events} events")
        return

    def work(stop: StopFlag) -> None:
        service.run_links([link(s) for s in sections], stop, lambda: [link(s) for s in context.links(*kinds)])

    context.run_service(sections[0], work)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite push.ini relay -d")
    def relay(ctx: typer.Context, once: Once = False) -> None:
        """Move events from one queue into another, for each [relay] section of the INI; exactly once."""
        _run(ctx.obj, once, RELAY)

    @app.command(epilog="Example: londiste_lite pull.ini pull -d")
    def pull(ctx: typer.Context, once: Once = False) -> None:
        """Call a function for each event addressed to a node, for each [pull] section of the INI; exactly once."""
        _run(ctx.obj, once, PULL)

    @app.command("push-pull", epilog="Example: londiste_lite node.ini push-pull -d")
    def push_pull(ctx: typer.Context, once: Once = False) -> None:
        """Do what `relay` and `pull` do, for all their sections in one process."""
        _run(ctx.obj, once, *LINKS)
