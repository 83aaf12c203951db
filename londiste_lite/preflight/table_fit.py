"""One replicated table: whether the subscriber's can take the provider's rows, and whether the roles may work on it."""

from __future__ import annotations

from londiste_lite import structure
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.names import TableName, quote_ident
from londiste_lite.preflight.findings import Findings
from londiste_lite.preflight.type_fit import narrower
from londiste_lite.published import Published
from londiste_lite.structure import Column, Table

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_CANNOT_CAST = ("42846", "42704", "3F000", "42804")
WRITING = ("select", "insert", "update", "delete", "truncate")


def check_kind(findings: Findings, table: Table, side: str) -> bool:
    """Look at what the table is; return False when it cannot be replicated at all."""
    where = f'"{table.name}" on the {side}'
    if table.kind in _KINDS:
        findings.error(
            "kind", table.name, f"{where} is {_KINDS[table.kind]}", "Only tables can be replicated; rename or drop it."
        )
        return False
    if table.persistence == "t":
        findings.error("kind", table.name, f"table {where} is temporary", "Only permanent tables can be replicated.")
        return False
    if table.persistence == "u":
        findings.warning(
            "kind",
            table.name,
            f"table {where} is unlogged: a crash of that server empties it, unseen by the other side",
            f"Run on the {side}: ALTER TABLE {table.name.quoted} SET LOGGED;",
        )
    return True


def check_columns(findings: Findings, provider: Database, subscriber: Database, source: Table, target: Table) -> None:
    """Compare the columns of both sides: missing ones, types, generated and identity ones, those only one side has."""
    for column in source.columns:
        other = target.column(column.name)
        if other is not None:
            _check_pair(findings, subscriber, target.name, column, other)
        elif not column.generated:
            findings.error(
                "columns",
                target.name,
                f'column "{column.name}" is missing on the subscriber',
                f"Run there: ALTER TABLE {target.name.quoted} ADD COLUMN {quote_ident(column.name)} {column.type};",
            )
    sent = {column.name for column in source.columns if not column.generated}
    for (name,) in subscriber.rows("preflight.required_columns", oid=target.oid):
        if name not in sent:
            findings.error(
                "columns",
                target.name,
                f'column "{name}" of the subscriber is NOT NULL without a default, and the provider does not send it',
                f"Run there: ALTER TABLE {target.name.quoted} ALTER COLUMN {quote_ident(name)} DROP NOT NULL;",
            )
    _check_enums(findings, provider, subscriber, source, target)


def _check_pair(findings: Findings, subscriber: Database, table: TableName, source: Column, target: Column) -> None:
    about = f'column "{source.name}"'
    if target.generated and not source.generated:
        findings.warning(
            "generated", table, f"{about} computes itself on the subscriber only, so its values may differ", ""
        )
        return
    if source.generated and not target.generated:
        findings.warning(
            "generated",
            table,
            f"{about} is generated on the provider only: its values do not come across",
            "Make it a generated column on the subscriber too.",
        )
        return
    if source.identity != target.identity and target.identity == "a":
        findings.warning(
            "identity",
            table,
            f"{about} is GENERATED ALWAYS AS IDENTITY on the subscriber only: it counts for itself there",
            f"Run there: ALTER TABLE {table.quoted} ALTER COLUMN {quote_ident(source.name)} DROP IDENTITY;",
        )
    if source.type == target.type:
        return
    hint = f"Run there: ALTER TABLE {table.quoted} ALTER COLUMN {quote_ident(source.name)} TYPE {source.type};"
    types = f"{source.type} on the provider, {target.type} on the subscriber"
    if not (source.builtin and target.builtin):
        findings.warning("types", table, f"{about} is {types}: its values go across as text", hint)
    elif not _castable(subscriber, source.type, target.type):
        findings.error("types", table, f"{about} is {types}, between which there is no cast", hint)
    else:
        loss = narrower(source.type, target.type)
        if loss:
            findings.warning("types", table, f"{about} is {types}: {loss}", hint)


def _castable(subscriber: Database, source: str, target: str) -> bool:
    try:
        subscriber.run(f"select null::{source}::{target}")
    except DatabaseError as error:
        if error.sqlstate in _CANNOT_CAST:
            return False
        raise
    return True


def _check_enums(findings: Findings, provider: Database, subscriber: Database, source: Table, target: Table) -> None:
    here: dict[str, list[str]] = {row[0]: row[1] for row in subscriber.rows("preflight.enums", oid=target.oid)}
    there: dict[str, list[str]] = {row[0]: row[1] for row in provider.rows("preflight.enums", oid=source.oid)}
    for name, labels in there.items():
        column = target.column(name)
        lost = [label for label in labels if label not in here.get(name, labels)]
        if lost and column is not None:
            shown = ", ".join(f'"{label}"' for label in lost)
            findings.error(
                "types",
                target.name,
                f'column "{name}": the subscriber\'s type {column.type} lacks {shown}',
                f"Run there: ALTER TYPE {column.type} ADD VALUE for each.",
            )


def check_key(findings: Findings, subscriber: Database, table: Published, target: Table) -> None:
    """Look whether the subscriber finds rows by the provider's key."""
    key = ", ".join(quote_ident(name) for name in table.key)
    if set(target.primary_key) == set(table.key):
        return
    add = f"Run there: ALTER TABLE {target.name.quoted} ADD UNIQUE ({key});"
    if not structure.has_unique_index(subscriber, target.oid, table.key):
        if target.primary_key:
            findings.error(
                "key",
                target.name,
                f"the provider's key is ({key}), and nothing is unique on these columns on the subscriber",
                add,
            )
        else:
            findings.error("key", target.name, f"there is no unique key on ({key}) on the subscriber", add)
    elif target.primary_key:
        here = ", ".join(quote_ident(name) for name in target.primary_key)
        findings.warning("key", target.name, f"the key is ({key}), the subscriber's primary key ({here})")


def check_access(findings: Findings, db: Database, table: Table, side: str, needed: tuple[str, ...]) -> None:
    """Look whether this connection's role may work on the table and sees all of its rows."""
    role = str(db.value("preflight.role"))
    lacking = [str(r[0]) for r in db.rows("preflight.table_privileges", oid=table.oid, names=list(needed)) if not r[1]]
    if lacking:
        rights = ", ".join(lacking).upper()
        findings.error(
            "privileges",
            table.name,
            f'role "{role}" lacks {rights} on the {side}',
            f"Run there: GRANT {rights} ON {table.name.quoted} TO {quote_ident(role)}; "
            f"GRANT USAGE ON SCHEMA {quote_ident(table.name.schema)} TO {quote_ident(role)};",
        )
    if db.value("preflight.row_security", oid=table.oid):
        findings.error(
            "row-security",
            table.name,
            f'row security hides rows of the {side}\'s table from role "{role}"',
            f"Use the table's owner without FORCE ROW LEVEL SECURITY, or run there: "
            f"ALTER ROLE {quote_ident(role)} BYPASSRLS;",
        )
