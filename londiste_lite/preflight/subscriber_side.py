"""Checks of a subscriber against its provider, over the subscribed tables."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite import event_queue, published, structure, subscribed
from londiste_lite.db import Database
from londiste_lite.names import SequenceName, quote_ident
from londiste_lite.preflight import firing, provider_side, table_fit
from londiste_lite.preflight.findings import Finding, Findings
from londiste_lite.published import Published
from londiste_lite.registration import expand
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState


def tables_to_check(provider: Database, subscriber: Database, queue: str, patterns: Sequence[str]) -> list[Subscribed]:
    """Return the subscribed tables, the published ones when there are none; with `patterns` those of either that match.

    Raises ObjectNotFound for a queue or a pattern that means nothing.
    """
    event_queue.find_queue(provider, queue)
    here = {t.table: t for t in subscribed.tables(subscriber, queue)}
    if not patterns and here:
        return list(here.values())
    known = dict.fromkeys([*here, *(p.table for p in published.tables(provider, queue))])
    names = expand(patterns, list(known), "table", f'published in queue "{queue}"') if patterns else list(known)
    return [here.get(name) or Subscribed(name, TableState.MISSING) for name in names]


def check_subscriber(
    provider: Database, subscriber: Database, queue: str, tables: Sequence[Subscribed]
) -> list[Finding]:
    """Run every check over `tables` and the queue's sequences."""
    findings = Findings()
    with findings.checking("encodings", "databases"):
        check_encodings(findings, provider, subscriber)
    provider_side.check_ticker(findings, provider, queue)
    free = False
    with findings.checking("replication-role", "subscriber"):
        free = firing.check_role(findings, subscriber)
    known = {p.table: p for p in published.tables(provider, queue)}
    for table in tables:
        with findings.checking("table", table.table):
            _check_table(findings, provider, subscriber, table, known.get(table.table), free)
    provider_side.check_capture(findings, provider, queue, [t.table for t in tables if t.table in known])
    with findings.checking("foreign-keys", "subscriber"):
        everything = {t.local for t in subscribed.tables(subscriber, queue)} | {t.local for t in tables}
        firing.check_foreign_keys(findings, subscriber, everything, free)
    for name in subscribed.sequences(subscriber, queue):
        with findings.checking("sequences", name):
            _check_sequence(findings, provider, subscriber, name)
    return findings.found


def _check_table(
    findings: Findings,
    provider: Database,
    subscriber: Database,
    table: Subscribed,
    known: Published | None,
    free: bool,
) -> None:
    source = structure.find_table(provider, table.table)
    target = structure.find_table(subscriber, table.local)
    if known is None:
        findings.error(
            "published",
            table.table,
            f'table "{table.table}" is not published any more',
            "Publish it with `provider add`, or end the subscription with `subscriber remove`.",
        )
    if source is None:
        provider_side.report_missing(findings, table.table)
    elif table_fit.check_kind(findings, source, "provider"):
        table_fit.check_access(findings, provider, source, "provider", ("select",))
        if known is not None:
            provider_side.check_key(findings, provider, known, source)
    if target is None:
        findings.error(
            "table",
            table.local,
            f'table "{table.local}" does not exist on the subscriber',
            "Make it with `subscriber add --create`.",
        )
        return
    if not table_fit.check_kind(findings, target, "subscriber"):
        return
    table_fit.check_access(findings, subscriber, target, "subscriber", table_fit.WRITING)
    firing.check_triggers(findings, subscriber, target, free)
    if source is not None:
        table_fit.check_columns(findings, provider, subscriber, source, target)
    if known is not None:
        table_fit.check_key(findings, subscriber, known, target)


def check_encodings(findings: Findings, provider: Database, subscriber: Database) -> None:
    """Look whether every text of the provider can be stored on the subscriber."""
    there, here = (str(db.value("preflight.encoding")) for db in (provider, subscriber))
    if there == here:
        return
    both = f"the provider's encoding is {there}, the subscriber's {here}"
    if there == "SQL_ASCII":
        findings.warning(
            "encodings",
            "databases",
            f"{both}: bytes that are not UTF-8 stop replay",
            "Clean the provider's texts.",
        )
    elif here != "UTF8":
        findings.error(
            "encodings",
            "databases",
            f"{both}: characters that the subscriber's encoding lacks stop replay",
            "Create the subscriber's database with ENCODING 'UTF8'.",
        )


def _check_sequence(findings: Findings, provider: Database, subscriber: Database, name: SequenceName) -> None:
    for db, side in ((provider, "provider"), (subscriber, "subscriber")):
        row = db.row("preflight.sequence", schema=name.schema, name=name.name)
        if row is None:
            findings.error(
                "sequences",
                name,
                f'sequence "{name}" does not exist on the {side}',
                f"Run there: CREATE SEQUENCE {name.quoted}; or end it with `{side} remove-seq`.",
            )
            continue
        update, select, schema = row
        right = "SELECT" if side == "provider" else "UPDATE"
        if not schema or not (select if side == "provider" else update):
            role = str(db.value("preflight.role"))
            findings.error(
                "privileges",
                name,
                f'role "{role}" lacks {right} on the {side}\'s sequence',
                f"Run there: GRANT {right} ON SEQUENCE {name.quoted} TO {quote_ident(role)};",
            )
