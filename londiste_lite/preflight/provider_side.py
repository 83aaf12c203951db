"""Checks of the provider: queue, ticker, consumers, published tables with their capture triggers and keys."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite import event_queue, locks, published, sequences, structure
from londiste_lite.db import Database
from londiste_lite.errors import ObjectNotFound
from londiste_lite.names import TableName, quote_ident
from londiste_lite.preflight import table_fit
from londiste_lite.preflight.findings import Finding, Findings
from londiste_lite.published import Published
from londiste_lite.registration import expand
from londiste_lite.structure import Table
from londiste_lite.triggers import catalog, listing

DEAD_SECONDS = 3600.0
"""A consumer that did nothing for so long is taken for dead."""

TICK_SECONDS = 600.0
"""With somebody else's ticker: the age of the last tick from which on it counts as stopped."""


def published_tables(provider: Database, queue: str, patterns: Sequence[str]) -> list[Published]:
    """Return the published tables that `patterns` mean, all without any. Raises ObjectNotFound."""
    event_queue.find_queue(provider, queue)
    known = {p.table: p for p in published.tables(provider, queue)}
    if not patterns:
        return list(known.values())
    names: list[TableName] = expand(patterns, list(known), "table", f'published in queue "{queue}"')
    return [known[name] for name in names]


def check_provider(db: Database, queue: str, tables: Sequence[Published]) -> list[Finding]:
    """Run every check of the provider over `tables`. Raises ObjectNotFound when there is no such queue."""
    event_queue.find_queue(db, queue)
    findings = Findings()
    check_ticker(findings, db, queue)
    with findings.checking("consumers", f'queue "{queue}"'):
        check_consumers(findings, db, queue)
    for table in tables:
        with findings.checking("table", table.table):
            source = structure.find_table(db, table.table)
            if source is None:
                report_missing(findings, table.table)
                continue
            if table_fit.check_kind(findings, source, "provider"):
                check_key(findings, db, table, source)
                table_fit.check_access(findings, db, source, "provider", ("select",))
    check_capture(findings, db, queue, [t.table for t in tables])
    with findings.checking("sequences", f'queue "{queue}"'):
        names = published.published_sequences(db, queue)
        there = sequences.existing(db, names)
        for name in names:
            if name not in there:
                findings.error(
                    "sequences",
                    name,
                    f'sequence "{name}" does not exist on the provider',
                    "End its publication with `provider remove-seq`.",
                )
    return findings.found


def report_missing(findings: Findings, table: TableName) -> None:
    """Add the finding that a published table is gone."""
    findings.error(
        "table",
        table,
        f'table "{table}" does not exist on the provider',
        "End its publication with `provider remove`, or create it and publish it anew.",
    )


def check_ticker(findings: Findings, db: Database, queue: str) -> None:
    """Look whether something ticks the queue."""
    about = f'queue "{queue}"'
    with findings.checking("ticker", about):
        if locks.ticker_holder(db) is not None:
            return
        if db.value("preflight.foreign_ticker"):
            age = db.value("preflight.last_tick_age", queue=queue)
            if age is not None and float(age) < TICK_SECONDS:
                return
        findings.error(
            "ticker",
            about,
            "no ticker is at work, so nothing is replicated",
            "Start `ticker -d`, or `replay`, which ticks by itself.",
        )


def check_consumers(findings: Findings, db: Database, queue: str) -> None:
    """Name consumers that hold the queue's events and seem dead."""
    for name, behind, silent in db.rows("preflight.dead_consumers", queue=queue, seconds=DEAD_SECONDS):
        hours = float(silent) / 3600
        lag = f", {float(behind) / 3600:.1f} hours behind" if behind is not None else ""
        findings.warning(
            "consumers",
            f'consumer "{name}"',
            f"it has done nothing for {hours:.1f} hours{lag}; the queue keeps every event for it",
            "Start it again, or give it up with `subscriber unregister` (or `unregister` with a [pgqadm] INI).",
        )


def check_key(findings: Findings, db: Database, table: Published, source: Table) -> None:
    """Look whether the key that a table was published with still is one."""
    gone, nullable = db.rows("preflight.key_state", oid=source.oid, key=list(table.key))[0]
    key = ", ".join(quote_ident(name) for name in table.key)
    hint = "Make it unique and NOT NULL, or publish the table anew with another --key."
    if gone:
        findings.error("key", table.table, f'key column "{gone[0]}" does not exist any more on the provider', hint)
    elif nullable:
        findings.error("key", table.table, f'key column "{nullable[0]}" may be NULL on the provider', hint)
    elif not structure.has_unique_index(db, source.oid, table.key):
        findings.error("key", table.table, f"the key ({key}) is not unique any more on the provider", hint)


def check_capture(findings: Findings, db: Database, queue: str, tables: Sequence[TableName]) -> None:
    """Look whether every change of the tables is logged."""
    with findings.checking("capture", f'queue "{queue}"'):
        captured = {c.relation: c for c in listing.captured_relations(db, queue)}
        try:
            stale = set(catalog.stale(db, queue))
        except ObjectNotFound:
            stale = set()
        for table in tables:
            there = captured.get(table)
            if there is None:
                if structure.find_table(db, table) is not None:
                    findings.error(
                        "capture", table, "its capture triggers are missing", "Run `provider add` for it again."
                    )
                continue
            lacking = [op for op in listing.OPERATIONS if op not in there.operations]
            if lacking and not there.disabled:
                ops = ", ".join(lacking).upper()
                findings.error("capture", table, f"its triggers for {ops} are missing", "Run `provider refresh`.")
            elif table in stale:
                findings.warning(
                    "capture", table, "its capture does not fit the table any more", "Run `provider refresh`."
                )
        for relation, found in captured.items():
            if found.disabled and _belongs(db, relation, tables):
                findings.error(
                    "capture",
                    relation,
                    f'its capture triggers are disabled, "{found.disabled[0]}" first of all: changes are lost',
                    f"Run on the provider: ALTER TABLE {relation.quoted} ENABLE TRIGGER for each, then resync it.",
                )


def _belongs(db: Database, relation: TableName, tables: Sequence[TableName]) -> bool:
    if relation in tables:
        return True
    found = structure.find_table(db, relation)
    return found is not None and found.is_partition
