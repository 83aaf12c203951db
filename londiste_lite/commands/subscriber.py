"""`subscriber ...`: what the subscriber takes. Reads arguments, calls `registration` and `subscribed`, prints."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from londiste_lite import (
    completion,
    copies,
    dropped_indexes,
    foreign_keys,
    output,
    registration,
    roles,
    schema,
    subscribed,
    user_triggers,
)
from londiste_lite.errors import RegistrationError, UsageError
from londiste_lite.preflight import subscriber_side
from londiste_lite.sides import both, of_subscriber, opened
from londiste_lite.subscription import AddOptions

app = typer.Typer(help="What the subscriber takes: tables, sequences, copies.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Names or globs, for example entry, sales.*.")]
Published = Annotated[
    list[str] | None,
    typer.Argument(help="Names or globs, for example entry, sales.*.", autocompletion=completion.published_tables),
]
Subscribed = Annotated[
    list[str] | None,
    typer.Argument(help="Names or globs, for example entry, sales.*.", autocompletion=completion.subscribed_tables),
]
All = Annotated[bool, typer.Option("--all", help="Everything there is.")]
Force = Annotated[bool, typer.Option("--force", help="Go on where a check would stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; nothing is changed.")]


class Which(str, enum.Enum):
    """Which foreign keys or triggers to list."""

    pending = "pending"
    active = "active"


Sections = Annotated[list[Which] | None, typer.Argument(help="pending (dropped, to be restored), active, or both.")]


def _patterns(names: list[str] | None, everything: bool, what: str) -> list[str]:
    if names:
        return names
    if everything:
        return [registration.EVERYTHING]
    raise RegistrationError(f"no {what} named", hint=f"Name one or more, or say --all for every {what}.")


@app.command(epilog="Example: londiste_lite replica.ini subscriber install")
def install(
    ctx: typer.Context,
    print_only: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
    with_roles: Annotated[bool, typer.Option("--roles", help="Make a role with the rights of replay.")] = False,
) -> None:
    """Install the registration tables on the subscriber, or upgrade them."""
    settings = ctx.obj.londiste()
    if print_only:
        output.lines([schema.printable(schema.SUBSCRIBER) + (roles.printable("subscriber") if with_roles else "")])
        return
    with opened(settings.subscriber_db, settings.job_name, None) as db:
        made = roles.create(db, "subscriber") if with_roles else {}
        done = schema.install(db, schema.SUBSCRIBER)
        if with_roles or roles.in_use(db, "subscriber"):
            roles.grant(db, "subscriber")
    output.installed(done.components)
    output.roles(made, roles.PURPOSE)


@app.command(epilog="Example: londiste_lite replica.ini subscriber add entry")
def add(
    ctx: typer.Context,
    names: Published = None,
    everything: All = False,
    expect_sync: Annotated[bool, typer.Option("--expect-sync", help="The rows are there already: no copy.")] = False,
    skip_truncate: Annotated[bool, typer.Option("--skip-truncate", help="The first copy keeps the rows.")] = False,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition of the first copy.")] = None,
    dest_table: Annotated[str | None, typer.Option("--dest-table", help="The table's name here.")] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make missing tables from the provider's definition.")
    ] = False,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Subscribe to tables: the replay copies them, then keeps them in step."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "table")
    if expect_sync and skip_truncate:
        raise UsageError("--expect-sync and --skip-truncate exclude each other")
    if dest_table and (len(patterns) != 1 or everything):
        raise UsageError("--dest-table needs exactly one table")
    options = AddOptions(
        expect_sync=expect_sync,
        skip_truncate=skip_truncate,
        force=force,
        condition=where,
        dest=registration.parse_name(dest_table) if dest_table else None,
        create=create,
        lock_timeout=settings.lock_timeout,
    )
    with both(settings.provider_db, settings.subscriber_db, settings.job_name, dry_run=dry_run) as (
        provider,
        subscriber,
    ):
        done = registration.subscribe(provider, subscriber, settings.queue, patterns, options)
    output.outcomes(done, dry_run)


@app.command(epilog="Example: londiste_lite replica.ini subscriber remove entry")
def remove(ctx: typer.Context, names: Subscribed = None, everything: All = False) -> None:
    """End the subscription of tables; their rows stay."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "table")
    with opened(settings.subscriber_db, settings.job_name, "subscriber") as db:
        done = registration.unsubscribe(db, settings.queue, patterns, lock_timeout=settings.lock_timeout)
    output.outcomes(done)


@app.command(epilog="Example: londiste_lite replica.ini subscriber tables")
def tables(ctx: typer.Context, json: Json = False) -> None:
    """List the subscribed tables and their states."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        registration.restore_indexes(db, settings.consumer, settings.lock_timeout)
        found = subscribed.tables(db, settings.queue)
        without = dropped_indexes.not_made(db)
    if json:
        errors = {t.table: "; ".join(each for each in (t.error, without.get(t.local)) if each) or None for t in found}
        output.json(
            [{"name": str(t.table), "state": t.state.shown, "error": errors[t.table], "held": t.held} for t in found]
        )
    else:
        output.table_states([(str(t.table), t.state.shown) for t in found])


@app.command("add-seq", epilog="Example: londiste_lite replica.ini subscriber add-seq entry_id_seq")
def add_seq(ctx: typer.Context, names: Names = None, everything: All = False) -> None:
    """Subscribe to sequences: their values follow the provider's."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "sequence")
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        done = registration.subscribe_sequences(provider, subscriber, settings.queue, patterns)
    output.outcomes(done)


@app.command("remove-seq", epilog="Example: londiste_lite replica.ini subscriber remove-seq entry_id_seq")
def remove_seq(ctx: typer.Context, names: Names = None, everything: All = False) -> None:
    """End the subscription of sequences."""
    settings = ctx.obj.londiste()
    patterns = _patterns(names, everything, "sequence")
    with opened(settings.subscriber_db, settings.job_name, "subscriber") as db:
        done = registration.unsubscribe_sequences(db, settings.queue, patterns)
    output.outcomes(done)


@app.command(epilog="Example: londiste_lite replica.ini subscriber seqs")
def seqs(ctx: typer.Context, json: Json = False) -> None:
    """List the subscribed sequences, one a line."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        found = [str(s) for s in subscribed.sequences(db, settings.queue)]
    if json:
        output.json(found)
    else:
        output.lines(found)


@app.command(epilog="Example: londiste_lite replica.ini subscriber missing")
def missing(ctx: typer.Context, json: Json = False) -> None:
    """List what the provider publishes and this subscriber does not take."""
    settings = ctx.obj.londiste()
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        found = registration.missing(provider, subscriber, settings.queue)
    if json:
        output.json({"tables": [str(t) for t in found.tables], "sequences": [str(s) for s in found.sequences]})
    else:
        output.lines([f"Table: {t}" for t in found.tables] + [f"Sequence: {s}" for s in found.sequences])


@app.command(epilog="Example: londiste_lite replica.ini subscriber resync entry")
def resync(
    ctx: typer.Context,
    names: Subscribed = None,
    everything: All = False,
    force: Annotated[bool, typer.Option("--force", help="Every table, when none is named.")] = False,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Empty the table first: less space, but readers miss rows meanwhile.")
    ] = False,
    where: Annotated[
        str | None, typer.Option("--where", metavar="COND", help="Only rows that fulfil this SQL condition.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Copy tables anew, whatever their state; --force or --all without names means every table."""
    settings = ctx.obj.londiste()
    if truncate and where is not None:
        raise UsageError("--truncate and --where exclude each other")
    if not names and not everything and not force:
        raise RegistrationError(
            "no table named", hint="Name the tables to copy anew, or say --all (or --force) for every table."
        )
    patterns = names or [registration.EVERYTHING]
    if where is not None:
        asked = copies.Request(condition=where)
        with both(settings.provider_db, settings.subscriber_db, settings.job_name, dry_run=dry_run) as (provider, db):
            output.outcomes(registration.resync(db, settings.queue, patterns, asked, provider), dry_run)
        return
    with of_subscriber(settings, dry_run=dry_run) as db:
        if not names and not subscribed.tables(db, settings.queue):
            output.message("no tables are subscribed")
            return
        request = copies.Request(truncate=True) if truncate else None
        done = registration.resync(db, settings.queue, patterns, request)
    output.outcomes(done, dry_run)


@app.command(epilog="Example: londiste_lite replica.ini subscriber register")
def register(ctx: typer.Context) -> None:
    """Register at the provider's queue: from now on events are kept for this subscriber."""
    settings = ctx.obj.londiste()
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        new = registration.register(provider, subscriber, settings.queue, settings.consumer, settings.node)
    output.message(f'consumer "{settings.consumer}" {"registered" if new else "is registered already"}')


@app.command(epilog="Example: londiste_lite replica.ini subscriber unregister")
def unregister(ctx: typer.Context) -> None:
    """Give up the claim on the provider's queue; every table is then to be copied anew."""
    settings = ctx.obj.londiste()
    copying = f"{settings.consumer}_copy"
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        was = registration.unregister(provider, subscriber, settings.queue, settings.consumer, copying)
    output.message(f'consumer "{settings.consumer}" {"unregistered" if was else "was not registered"}')


@app.command(epilog="Example: londiste_lite replica.ini subscriber fkeys pending")
def fkeys(ctx: typer.Context, which: Sections = None, json: Json = False) -> None:
    """List foreign keys of the subscribed tables: dropped ones that wait to be restored, and active ones."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        tables = [t.local for t in subscribed.tables(db, settings.queue)]
        found = {"pending": foreign_keys.pending(db), "active": foreign_keys.active(db, tables)}
    columns = ("from_table", "to_table", "fkey_name", "fkey_def")
    rows: dict[str, list[tuple[object, ...]]] = {
        kind: [(k.child, k.parent, k.name, k.definition) for k in keys] for kind, keys in found.items()
    }
    _show_sections("fkeys", which, columns, rows, json, bool(tables))


@app.command(epilog="Example: londiste_lite replica.ini subscriber triggers active")
def triggers(ctx: typer.Context, which: Sections = None, json: Json = False) -> None:
    """List the user's triggers on the subscribed tables: dropped ones that wait to be restored, and active ones."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        tables = [t.local for t in subscribed.tables(db, settings.queue)]
        found = {"pending": user_triggers.pending(db), "active": user_triggers.active(db, tables)}
    rows: dict[str, list[tuple[object, ...]]] = {
        kind: [(t.table, t.name, t.definition) for t in ones] for kind, ones in found.items()
    }
    _show_sections("triggers", which, ("table_name", "trigger_name", "trigger_def"), rows, json, bool(tables))


def _show_sections(
    what: str,
    which: list[Which] | None,
    columns: tuple[str, ...],
    found: dict[str, list[tuple[object, ...]]],
    json: bool,
    any_tables: bool,
) -> None:
    shown = list(dict.fromkeys(w.value for w in which or Which))
    if json:
        output.json({kind: [dict(zip(columns, row, strict=True)) for row in found[kind]] for kind in shown})
        return
    if not any_tables and not any(found.values()):
        output.message("no tables are subscribed")
    for kind in shown:
        output.table(f"{kind} {what}", columns, found[kind])


@app.command("restore-triggers", epilog="Example: londiste_lite replica.ini subscriber restore-triggers entry")
def restore_triggers(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    names: Annotated[list[str] | None, typer.Argument(help="Names of triggers; all pending ones without.")] = None,
) -> None:
    """Make triggers again that an older Londiste dropped from a table."""
    settings = ctx.obj.londiste()
    with of_subscriber(settings) as db:
        done = user_triggers.restore(db, settings.queue, table, names or [])
    output.outcomes(done)


@app.command(epilog="Example: londiste_lite replica.ini subscriber check")
def check(ctx: typer.Context, names: Subscribed = None, json: Json = False) -> None:
    """Look for what would stop or spoil replication: columns, types, keys, rights, triggers; exit code 4 if found."""
    settings = ctx.obj.londiste()
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        tables = subscriber_side.tables_to_check(provider, subscriber, settings.queue, names or [])
        found = subscriber_side.check_subscriber(provider, subscriber, settings.queue, tables)
    output.findings(found, json)
