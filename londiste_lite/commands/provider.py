"""`provider ...`: what the provider publishes. Reads arguments, calls `registration` and `published`, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from londiste_lite import completion, event_queue, output, published, registration, roles, routing, schema
from londiste_lite.errors import RegistrationError
from londiste_lite.preflight import provider_side
from londiste_lite.sides import opened
from londiste_lite.triggers.catalog import follow_current_table

app = typer.Typer(help="What the provider publishes: queue, tables, sequences.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Names or globs, for example entry, sales.*.")]
Published = Annotated[
    list[str] | None,
    typer.Argument(help="Names or globs, for example entry, sales.*.", autocompletion=completion.published_tables),
]
All = Annotated[bool, typer.Option("--all", help="Everything there is.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; nothing is changed.")]


def _patterns(names: list[str] | None, everything: bool, what: str) -> list[str]:
    if names:
        return names
    if everything:
        return [registration.EVERYTHING]
    raise RegistrationError(f"no {what} named", hint=f"Name one or more, or say --all for every {what}.")


@app.command(epilog="Example: londiste_lite replica.ini provider install")
def install(
    ctx: typer.Context,
    print_only: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
    with_roles: Annotated[bool, typer.Option("--roles", help="Make roles with the rights of each part.")] = False,
) -> None:
    """Install the queue and the registration tables on the provider, or upgrade them."""
    settings = ctx.obj.londiste()
    if print_only:
        output.lines([schema.printable(schema.PROVIDER) + (roles.printable("provider") if with_roles else "")])
        return
    with opened(settings.provider_db, settings.job_name, None) as db:
        made = roles.create(db, "provider") if with_roles else {}
        done = schema.install(db, schema.PROVIDER)
        created = event_queue.create_queue(db, settings.queue)
        follow_current_table(db, settings.queue)
        if with_roles or roles.in_use(db, "provider"):
            roles.grant(db, "provider")
        capture: list[registration.Outcome] = []
        if done.components["londiste"] == "upgraded":
            capture = registration.refresh(db, settings.queue, [], lock_timeout=settings.lock_timeout)
    output.installed(done.components)
    output.roles(made, roles.PURPOSE)
    output.message(f'queue "{settings.queue}" {"created" if created else "is there"}')
    if told := [table for table in capture if table.changed or table.error]:
        output.outcomes(told)


@app.command(epilog="Example: londiste_lite replica.ini provider add entry 'sales.*'")
def add(
    ctx: typer.Context,
    names: Names = None,
    everything: All = False,
    key: Annotated[str | None, typer.Option("--key", help="Key columns, with commas, not the primary key.")] = None,
    node_column: Annotated[str | None, typer.Option("--node-column", help="Column that names a row's node.")] = None,
    node_expr: Annotated[str | None, typer.Option("--node-expr", help="SQL that gives a row's node or nodes.")] = None,
    node_errors: Annotated[
        routing.Errors | None,
        typer.Option("--node-errors", help="What a row does for which --node-expr fails: fail the writer, or park."),
    ] = None,
    all_nodes: Annotated[bool, typer.Option("--all-nodes", help="End the route: every node gets every row.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Publish tables: create capture triggers and register.

    A table that is published already keeps its key and its route unless others are given. With a new route its rows
    follow: each node gets the rows that are new to it, and the deletes of those that it loses, through the queue.

    With --node-errors park a row for which the expression fails is captured and goes to no node; `status` lists it. It
    goes where it belongs with its next change for which the expression works, or by `provider add` again.
    """
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "table")
    columns = [part.strip() for part in key.split(",")] if key else None
    route = routing.given(node_column, node_expr, all_nodes, node_errors)
    with opened(settings.provider_db, settings.job_name, "provider", dry_run=dry_run) as db:
        done = registration.publish(
            db, settings.queue, patterns, key=columns, route=route, lock_timeout=settings.lock_timeout
        )
    output.outcomes(done, dry_run)


@app.command(epilog="Example: londiste_lite replica.ini provider remove entry")
def remove(ctx: typer.Context, names: Published = None, everything: All = False, dry_run: DryRun = False) -> None:
    """End the publication of tables: drop their capture triggers."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "table")
    with opened(settings.provider_db, settings.job_name, "provider", dry_run=dry_run) as db:
        done = registration.unpublish(db, settings.queue, patterns, lock_timeout=settings.lock_timeout)
    output.outcomes(done, dry_run)


@app.command(epilog="Example: londiste_lite replica.ini provider tables")
def tables(ctx: typer.Context, json: Json = False) -> None:
    """List the published tables, one a line, in the order of registration."""
    settings = ctx.obj.londiste()
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        event_queue.find_queue(db, settings.queue)
        found = published.tables(db, settings.queue)
    if json:
        output.json([{"name": str(t.table), "key": list(t.key), "node": t.route and t.route.route.text} for t in found])
    else:
        output.lines([str(t.table) for t in found])


@app.command(epilog="Example: londiste_lite replica.ini provider refresh")
def refresh(ctx: typer.Context, names: Published = None) -> None:
    """Make the capture triggers of published tables fit again: new partitions, another key, a restored database.

    The ticker does the same by itself within a second or two; without names every published table is looked at.
    """
    settings = ctx.obj.londiste()
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        done = registration.refresh(db, settings.queue, names or [], lock_timeout=settings.lock_timeout)
    if done:
        output.outcomes(done)
    else:
        output.message("no tables are published")


@app.command("add-seq", epilog="Example: londiste_lite replica.ini provider add-seq entry_id_seq")
def add_seq(ctx: typer.Context, names: Names = None, everything: All = False) -> None:
    """Publish sequences."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "sequence")
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        done = registration.publish_sequences(db, settings.queue, patterns)
    output.outcomes(done)


@app.command("remove-seq", epilog="Example: londiste_lite replica.ini provider remove-seq entry_id_seq")
def remove_seq(ctx: typer.Context, names: Names = None, everything: All = False) -> None:
    """End the publication of sequences."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "sequence")
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        done = registration.unpublish_sequences(db, settings.queue, patterns)
    output.outcomes(done)


@app.command(epilog="Example: londiste_lite replica.ini provider seqs")
def seqs(ctx: typer.Context, json: Json = False) -> None:
    """List the published sequences, one a line."""
    settings = ctx.obj.londiste()
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        event_queue.find_queue(db, settings.queue)
        found: list[Any] = [str(s) for s in published.published_sequences(db, settings.queue)]
    if json:
        output.json(found)
    else:
        output.lines(found)


@app.command(epilog="Example: londiste_lite replica.ini provider execute add_column.sql")
def execute(
    ctx: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="SQL scripts, run in this order.")] = None,
    sql: Annotated[str | None, typer.Option("--sql", help="The script itself, instead of files.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run scripts on the provider, and at the same place in the stream of changes on each subscriber."""
    from londiste_lite import scripts

    settings = ctx.obj.londiste()
    texts = scripts.given(files or [], sql)
    with opened(settings.provider_db, settings.job_name, "provider", dry_run=dry_run) as db:
        event_queue.find_queue(db, settings.queue)
        for name, text in texts:
            scripts.execute(db, settings.queue, name, text, settings.lock_timeout)
            done = "would work here" if dry_run else "done here, on its way to the subscribers"
            output.message(f"{name}: {done}")
    if dry_run:
        output.message("dry run, nothing is changed")


@app.command(epilog="Example: londiste_lite replica.ini provider check")
def check(ctx: typer.Context, names: Published = None, json: Json = False) -> None:
    """Look for what would keep changes from the subscribers: queue, ticker, triggers, keys; exit code 4 if found."""
    settings = ctx.obj.londiste()
    with opened(settings.provider_db, settings.job_name, "provider") as db:
        tables = provider_side.published_tables(db, settings.queue, names or [])
        found = provider_side.check_provider(db, settings.queue, tables)
    output.findings(found, json)
