"""`compare`: whether both sides hold the same rows. Reads arguments, calls `compare`, prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from londiste_lite import completion, output
from londiste_lite.context import Context
from londiste_lite.engine_settings import engine_settings
from londiste_lite.errors import DifferencesFound, LondisteError

if TYPE_CHECKING:
    from londiste_lite.compare.run import Comparison, Failed

SHOWN = 20
COLUMNS = ("table", "source_rows", "target_rows", "missing", "extra", "changed", "equal")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command("compare", epilog="Example: londiste_lite replica.ini compare entry")
    def compare_command(
        ctx: typer.Context,
        tables: Annotated[
            list[str] | None,
            typer.Argument(help="Names or globs; all tables without.", autocompletion=completion.subscribed_tables),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Compare tables at one moment of both sides, while replay runs and users write; exit code 4 if they differ."""
        from londiste_lite.compare.run import compare

        context: Context = ctx.obj
        settings = context.londiste()
        with output.progress("compare") as told:
            found = context.run(
                lambda stop: list(compare(engine_settings(settings), tables or [], settings.compare_sql, stop, told))
            )
        _show(found, json)


def _show(found: list[Comparison | Failed], json: bool) -> None:
    from londiste_lite.compare.run import Comparison, Failed

    done = [each for each in found if isinstance(each, Comparison)]
    if json:
        output.json([_fields(each) for each in done])
    else:
        output.table("", COLUMNS, [[_fields(each)[name] for name in COLUMNS] for each in done])
        output.lines(line for each in done for line in _details(each))
    failed = [each for each in found if isinstance(each, Failed)]
    for one in failed:
        output.error(f"{one.table}: {one.error.message}")
        if one.error.hint:
            output.hint(one.error.hint)
    differing = [each for each in done if not each.equal]
    if failed and not differing:
        raise LondisteError(f"{len(failed)} of {len(found)} tables could not be compared")
    if differing:
        explained = sum(each.parked > 0 and each.parked == _rows(each) for each in differing)
        more = f", {explained} of them only in rows that are parked" if explained else ""
        if failed:
            more += f"; {len(failed)} could not be compared"
        raise DifferencesFound(f"{len(differing)} of {len(done)} tables differ{more}")


def _fields(each: Comparison) -> dict[str, object]:
    """Return a result as `--json` prints it."""
    names = ("table", "source_rows", "target_rows", "missing", "extra", "changed", "equal", "misplaced", "parked")
    fields: dict[str, object] = {name: getattr(each, name) for name in names}
    if each.source is not None:
        fields |= {"source": each.source, "target": each.target}
    fields["differences"] = [{"kind": d.kind, "key": list(d.key), "parked": d.parked} for d in each.differences]
    return fields


def _rows(each: Comparison) -> int:
    return (each.missing or 0) + (each.extra or 0) + (each.changed or 0)


def _details(each: Comparison) -> list[str]:
    """Return what a person wants to know of a table that differs."""
    if each.source is not None:
        return [] if each.equal else [f"{each.table}: {each.source} on the provider, {each.target} on the subscriber"]
    lines = [
        f"{each.table}: {d.kind} ({', '.join(d.key)}){', parked' if d.parked else ''}" for d in each.differences[:SHOWN]
    ]
    total = _rows(each)
    if total > len(lines):
        lines.append(f"{each.table}: and {total - len(lines)} more")
    if each.parked:
        lines.append(
            f"{each.table}: {each.parked} of {total} differ because their events are parked, see `parked list`"
        )
    if each.misplaced:
        lines.append(f"{each.table}: {each.misplaced} of the extra rows belong to other nodes")
    return lines
