"""The user's triggers on the subscriber's tables: which are there, and which Londiste 2.1 dropped and kept.

This program drops none; what an older one took away is restored from `subscriber_pending_triggers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from londiste_lite import subscribed
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, LondisteError, ObjectNotFound
from londiste_lite.names import QualifiedName, TableName, nearest, nearest_name, quote_ident
from londiste_lite.registration import Outcome, parse_name


@dataclass(frozen=True)
class UserTrigger:
    """A trigger of the user. `mode` is pg_trigger.tgenabled: O, A (also while replicating), R (only then), D."""

    table: TableName
    name: str
    definition: str
    mode: str = "O"


def active(db: Database, tables: Iterable[TableName]) -> list[UserTrigger]:
    """Return the triggers of `tables` that are there, disabled ones included."""
    names = list(tables)
    rows = db.rows("user_triggers.active", schemas=[n.schema for n in names], names=[n.name for n in names])
    return [UserTrigger(QualifiedName(r[0], r[1]), r[2], r[3], r[4]) for r in rows]


def pending(db: Database) -> list[UserTrigger]:
    """Return the triggers that were dropped and are not restored."""
    return [UserTrigger(QualifiedName.parse(r[0]), r[1], r[2]) for r in db.rows("user_triggers.pending")]


def restore(db: Database, queue: str, table: str, names: Sequence[str]) -> list[Outcome]:
    """Make the pending triggers of a table again, all of them or those named; return one outcome per trigger.

    Raises ObjectNotFound for a table that is neither subscribed nor has pending triggers.
    """
    local = _local_name(db, queue, parse_name(table))
    waiting = {t.name: t for t in pending(db) if t.table == local}
    there = {t.name: t for t in active(db, [local])}
    if not names and not waiting:
        return [Outcome(local, "no pending triggers")]
    done = []
    for name in dict.fromkeys(names or waiting):
        try:
            done.append(_restore_one(db, local, name, waiting, there))
        except ConnectionLost:
            raise
        except LondisteError as error:
            done.append(Outcome(local, error=error))
    return done


def _local_name(db: Database, queue: str, name: TableName) -> TableName:
    tables = subscribed.tables(db, queue)
    for one in tables:
        if name in (one.table, one.local):
            return one.local
    waiting = [t.table for t in pending(db)]
    if name in waiting:
        return name
    near = nearest_name(name, [*(t.local for t in tables), *waiting])
    raise ObjectNotFound(
        f'table "{name}" is not subscribed and has no pending triggers',
        hint=f'Did you mean "{near}"?' if near else "See `subscriber triggers pending`.",
    )


def _restore_one(
    db: Database, table: TableName, name: str, waiting: dict[str, UserTrigger], there: dict[str, UserTrigger]
) -> Outcome:
    if name not in waiting and name not in there:
        near = nearest(name, list(waiting))
        hint = f'Did you mean "{near[0]}"?' if near else "See `subscriber triggers`."
        raise ObjectNotFound(f'table "{table}" has no trigger "{name}"', hint=hint)
    if name in there:
        db.rows("user_triggers.forget", table=str(table), trigger=name)
        return Outcome(table, f'trigger "{name}" is active already')
    with db.transaction():
        db.rows("user_triggers.lookup_path", path=f"pg_catalog, {quote_ident(table.schema)}, public")
        db.script(waiting[name].definition)
        db.rows("user_triggers.forget", table=str(table), trigger=name)
    return Outcome(table, f'trigger "{name}" restored', True)
