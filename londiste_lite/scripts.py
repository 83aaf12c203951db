"""Scripts that run at one place of the stream of changes: on the provider now, on each subscriber when it gets there.

The script's event is written in the transaction that runs it, after it, so that its number stands behind every change
made under the old definitions and before every change made under the new ones: DDL holds its locks until the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from londiste_lite import lock_wait, script_text, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, LondisteError, ReplayError, UsageError
from londiste_lite.names import TableName
from londiste_lite.script_text import Statement

log = logging.getLogger(__name__)

EVENT_TYPE = "EXECUTE"


class ScriptFailed(ReplayError):
    """a script failed"""


@dataclass(frozen=True)
class Script:
    """A script in the queue: its event's number, its name, its text, the provider's transaction that ran it."""

    event_id: int
    name: str
    text: str
    txid: int


def check(name: str, text: str) -> list[Statement]:
    """Return the script's statements. Raises LondisteError for one that cannot be part of the stream."""
    found = script_text.statements(text)
    if not found:
        raise LondisteError(f'script "{name}" holds no statement')
    for statement in found:
        if statement.text.startswith("\\"):
            raise LondisteError(f'script "{name}", line {statement.line}: psql commands are not SQL')
        if statement.ends_transaction:
            raise LondisteError(
                f'script "{name}", line {statement.line}: a script may not begin or end a transaction',
                hint="It runs in one transaction with its event; leave BEGIN and COMMIT out.",
            )
    return found


def execute(provider: Database, queue: str, name: str, text: str, lock_timeout: float) -> int:
    """Run a script on the provider and put it into the queue, in one transaction; return its event's number.

    Raises LondisteError for a script that cannot be replayed, ScriptFailed with the line when a statement fails.
    """
    found = check(name, text)
    with provider.transaction(), lock_wait.limited(provider, lock_timeout):
        _run(provider, name, found)
        row = provider.row("scripts.publish", queue=queue, script=text, name=name)
    assert row is not None
    return int(row[0])


def replay(subscriber: Database, queue: str, script: Script) -> None:
    """Run a script at its place, in the batch's transaction.

    Tables that are being copied, or whose copy saw the script's transaction, are marked to be copied anew: the script
    would otherwise change rows that hold its changes already. A held table goes on when the script left its rows alone,
    for then their changes come as events. Raises ScriptFailed.
    """
    log.info('running script "%s" (event %d)', script.name, script.event_id)
    _run(subscriber, script.name, script_text.statements(script.text), script.event_id)
    held = [t for t in subscribed.tables(subscriber, queue) if t.held]
    kept = [str(t.table) for t in held if not _rows_changed(subscriber, t.local)]
    for (table,) in subscriber.rows("scripts.restart_copies", queue=queue, txid=script.txid, kept=kept):
        log.info("%s is copied anew, for a script changed what was being copied", table)


def _rows_changed(subscriber: Database, table: TableName) -> bool:
    """Tell whether this transaction may have changed rows of a table; statistics that are off say yes."""
    return bool(subscriber.value("scripts.rows_changed", schema=table.schema, name=table.name))


def transactions_between(provider: Database, queue: str, low: int, high: int) -> list[int]:
    """Return the transactions from `low` to below `high` that ran scripts."""
    return [int(row[0]) for row in provider.rows("scripts.between", queue=queue, low=low, high=high)]


def _run(db: Database, name: str, found: list[Statement], event_id: int | None = None) -> None:
    """Run statements in the search_path of an ordinary session; triggers and foreign keys fire as they do there."""
    role = str(db.run("select pg_catalog.current_setting('session_replication_role')")[0][0])
    db.script("set local search_path to default")
    if role != "origin":
        db.script("set local session_replication_role to origin")
    for statement in found:
        try:
            db.script(statement.text)
        except DatabaseError as error:
            raise ScriptFailed(
                f'script "{name}", line {statement.line}: {error.message}',
                hint=error.hint or "Nothing of the script was kept.",
                event_id=event_id,
                sqlstate=error.sqlstate,
            ) from error
    db.script("set local search_path to pg_catalog")
    if role != "origin":
        db.script(f"set local session_replication_role to {role}")


def given(files: Sequence[Path], sql: str | None) -> list[tuple[str, str]]:
    """Return names and texts of the scripts that a user names, all checked.

    Raises UsageError when neither a file nor a text is given or both are, LondisteError for a file that cannot be read.
    """
    if bool(files) == (sql is not None):
        raise UsageError("name script files, or give the script with --sql")
    found: list[tuple[str, str]] = [] if sql is None else [("--sql", sql)]
    for path in files:
        try:
            found.append((path.name, path.read_text(encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise LondisteError(f"script {path} cannot be read: {why}") from error
    for name, text in found:
        check(name, text)
    return found
