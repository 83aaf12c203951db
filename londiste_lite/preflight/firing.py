"""What on the subscriber would act on replicated rows by itself: triggers, rules, foreign keys."""

from __future__ import annotations

from collections.abc import Collection

from londiste_lite import foreign_keys, user_triggers
from londiste_lite.db import Database
from londiste_lite.errors import PrivilegeMissing
from londiste_lite.names import TableName, quote_ident
from londiste_lite.preflight.findings import Findings
from londiste_lite.structure import Table


def replica_role_free(db: Database) -> bool:
    """Tell whether this role may switch triggers, rules and foreign keys off for its session."""
    try:
        with db.transaction():
            db.script("set local session_replication_role = replica")
    except PrivilegeMissing:
        return False
    return True


def check_role(findings: Findings, db: Database) -> bool:
    """Look whether session_replication_role can be set; return that."""
    free = replica_role_free(db)
    if not free:
        role = str(db.value("preflight.role"))
        grant = f"GRANT SET ON PARAMETER session_replication_role TO {quote_ident(role)};"
        findings.warning(
            "replication-role",
            f'role "{role}"',
            "this role may not set session_replication_role: foreign keys are checked and triggers fire for each row",
            f"Run on the subscriber as superuser (PostgreSQL 15 and later): {grant}",
        )
    return free


def check_triggers(findings: Findings, db: Database, table: Table, free: bool) -> None:
    """Name the user's triggers and rules that fire while rows are applied; `free` as `check_role` says."""
    modes = ("A", "R") if free else ("O", "A")
    for trigger in user_triggers.active(db, [table.name]):
        if trigger.mode in modes:
            name, change = quote_ident(trigger.name), "ENABLE" if free else "DISABLE"
            findings.warning(
                "triggers",
                table.name,
                f'trigger "{trigger.name}" fires for replicated rows too',
                "Its function finds no search_path but pg_catalog: SET one, or qualify names. If it is not meant to"
                f" fire, run there: ALTER TABLE {table.name.quoted} {change} TRIGGER {name};",
            )
    for (rule,) in db.rows("preflight.rules", oid=table.oid, modes=list(modes)):
        findings.warning(
            "rules",
            table.name,
            f'rule "{rule}" rewrites replicated changes, though not the rows of the first copy',
            f"If that is not meant, run there: ALTER TABLE {table.name.quoted} DISABLE RULE {quote_ident(rule)};",
        )


def check_foreign_keys(findings: Findings, db: Database, tables: Collection[TableName], free: bool) -> None:
    """Name foreign keys that lead out of the replicated tables or into them, and those that are checked."""
    for key in foreign_keys.active(db, tables):
        what = f'foreign key "{key.name}" of "{key.child}" to "{key.parent}"'
        if key.parent not in tables:
            message = f"{what} leads out of the replicated tables"
            hint = "Replicate the referenced table too, or drop the foreign key on the subscriber."
            if free:
                findings.warning("foreign-keys", key.child, f"{message}, and is not checked for replicated rows", hint)
            else:
                findings.error("foreign-keys", key.child, f"{message}: a row without its parent stops replay", hint)
        elif key.child not in tables:
            message = f"{what} comes from a table that is not replicated"
            hint = "Drop it, or keep that table free of rows whose parents are deleted on the provider."
            if free:
                findings.warning("foreign-keys", key.child, f"{message}: deletes leave its rows without parents", hint)
            else:
                findings.error("foreign-keys", key.child, f"{message}: its rows make deletes fail", hint)
        elif not free:
            findings.warning(
                "foreign-keys",
                key.child,
                f"{what} is checked while rows are applied",
                "Replay keeps to the order of the tables; declare it DEFERRABLE if tables reference each other.",
            )
