"""`trace`: why a row is here, or not."""

from __future__ import annotations

from typing import Annotated

import typer

from londiste_lite import completion, output
from londiste_lite.sides import both


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite replica.ini trace orders 4711")
    def trace(
        ctx: typer.Context,
        table: Annotated[
            str,
            typer.Argument(
                help="A table, for example orders, sales.orders.", autocompletion=completion.subscribed_tables
            ),
        ],
        key: Annotated[list[str], typer.Argument(help="The key of a row, one value for each of its columns.")],
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show why a row is here, or not: its route, its changes in the queue, and what became of them here."""
        from londiste_lite import registration
        from londiste_lite import trace as tracing

        settings = ctx.obj.londiste()
        name = registration.parse_name(table)
        with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
            found = tracing.trace(provider, subscriber, settings.queue, settings.consumer, settings.node, name, key)
        if json:
            output.json(found)
            return
        nodes = None
        if found.targets is not None:
            nodes = ", ".join("every node" if n is None else f'"{n}"' for n in found.targets) or "no node"
        output.pairs(
            [
                ("table", found.table),
                ("key", ", ".join(f"{name}={value}" for name, value in found.key.items())),
                ("this node", found.node),
                ("route", found.rule),
                ("goes to", nodes),
                ("on provider", "yes" if found.on_provider else "no"),
                ("here", "yes" if found.here else "no"),
                ("table state", found.state),
                ("applied tick", found.applied_tick),
                ("parked", found.parked),
                ("waits aside", found.refused),
            ]
        )
        rows = [
            (c.event, f"{c.captured:%Y-%m-%d %H:%M:%S}", c.operation, c.node or "every node", c.tick, c.fate)
            for c in found.changes
        ]
        output.table("", ("event", "captured", "operation", "for", "tick", "fate"), rows)
        output.lines([found.verdict])
