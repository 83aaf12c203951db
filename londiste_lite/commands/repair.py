"""`repair`: the SQL that gives the subscriber the provider's rows, printed or applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from londiste_lite import completion, output
from londiste_lite.context import Context
from londiste_lite.engine_settings import engine_settings
from londiste_lite.errors import DifferencesFound, LondisteError, UsageError
from londiste_lite.names import TableName

if TYPE_CHECKING:
    from londiste_lite.compare.repair import Repair
    from londiste_lite.compare.run import Failed

REMEDY = "`parked retry` applies them, `parked drop` discards them"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command("repair", epilog="Example: londiste_lite replica.ini repair entry --apply")
    def repair_command(
        ctx: typer.Context,
        tables: Annotated[
            list[str] | None,
            typer.Argument(help="Names or globs; all tables without.", autocompletion=completion.subscribed_tables),
        ] = None,
        apply: Annotated[bool, typer.Option("--apply", help="Run the SQL, then compare again.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print, which is the default.")] = False,
        fix_file: Annotated[
            bool, typer.Option("--fix-file", help="Write the SQL into fix.<table>.sql in the current directory.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Print the SQL that gives the subscriber the provider's rows; --apply runs it, beside a running replay."""
        from londiste_lite.compare.repair import Repair, repair

        context: Context = ctx.obj
        settings = context.londiste()
        if apply and dry_run:
            raise UsageError("--apply and --dry-run exclude each other")
        engine = engine_settings(settings)
        with output.progress("repair") as told:
            found = context.run(lambda stop: list(repair(engine, tables or [], stop, told, apply=apply)))
        done = [each for each in found if isinstance(each, Repair)]
        if fix_file:
            for each in done:
                _write_file(each)
        if json:
            output.json([_fields(each) for each in done])
        elif not (fix_file or apply):
            output.lines(_script(done))
        _say(done)
        _finish(found)


def _fields(each: Repair) -> dict[str, object]:
    equal = None if each.after is None else each.after.equal
    return {
        "table": each.table,
        "statements": each.statements,
        "fixed": each.fixed,
        "equal": equal,
        "parked": each.parked,
    }


def _script(done: list[Repair]) -> list[str]:
    """Return the SQL of all tables as a script for psql on the subscriber; empty when nothing differs."""
    from londiste_lite.compare import fixes

    lines = [line for each in done if each.statements for line in (f"-- {_comment(each.table)}", *each.statements)]
    return [*fixes.SETTINGS, *lines] if lines else []


def _comment(table: TableName) -> str:
    return "".join(ch if ch.isprintable() else "?" for ch in str(table))


def _write_file(each: Repair) -> None:
    """Write the script of a table that differs; a file of an earlier repair is removed."""
    path = Path(f"fix.{_comment(each.table).replace('/', '_')}.sql")
    path.unlink(missing_ok=True)
    if each.statements:
        path.write_text("\n".join(_script([each])) + "\n", encoding="utf-8")
        output.message(f"{path} written")


def _say(done: list[Repair]) -> None:
    for each in done:
        what = "would repair" if each.fixed is None else "repaired"
        count = len(each.statements)
        if count or not each.parked:
            output.message(f"{each.table}: {f'{count} statements {what} it' if count else 'equal'}")
        if each.parked:
            output.message(f"{each.table}: {each.parked} rows are left alone, for their events are parked: {REMEDY}")


def _finish(found: list[Repair | Failed]) -> None:
    from londiste_lite.compare.repair import Repair
    from londiste_lite.compare.run import Failed

    failed = [each for each in found if isinstance(each, Failed)]
    for one in failed:
        output.error(f"{one.table}: {one.error.message}")
        if one.error.hint:
            output.hint(one.error.hint)
    if failed:
        raise LondisteError(f"{len(failed)} of {len(found)} tables could not be repaired")
    left = [each.table for each in found if isinstance(each, Repair) and each.after and not each.after.equal]
    if left:
        aside = any(isinstance(each, Repair) and each.parked for each in found)
        hint = f"Rows whose events are parked are left alone: {REMEDY}." if aside else None
        raise DifferencesFound(f"{len(left)} of {len(found)} tables still differ", hint=hint)
