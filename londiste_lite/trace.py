"""Why a row is here or not: what the queue still holds of it, which rule sends it where, and how far this node is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from londiste_lite import claims, event_queue, events, parked, published, registration, structure
from londiste_lite.db import Database
from londiste_lite.dsn import describe
from londiste_lite.errors import ConnectionLost, DatabaseError, ObjectNotFound, RegistrationError
from londiste_lite.event_queue import Queue
from londiste_lite.names import QualifiedName, TableName, nearest_name, quote_ident, quote_literal
from londiste_lite.published import Published
from londiste_lite.replay import position
from londiste_lite.snapshots import Snapshot
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.triggers.capture_table import UNROUTED

# Events that hold the text of the key are read to see whether they are of this row; no more than this many.
MOST_READ = 100_000
_PLAIN = re.compile(r"[0-9A-Za-z_.:+-]+")
_OPERATIONS = {"I": "insert", "U": "update", "D": "delete", "R": "truncate"}


@dataclass(frozen=True)
class Change:
    """One event of the row. `node` None is every node; `tick` is the first one that sees it, with its time.

    `fate` is `applied`, `pending`, `filtered` (for another node), `unrouted` (for no node: the route failed), `copied`
    (part of the copy of the table), `held` (the table waits for its schema), or `parked` (it was refused here, or waits
    behind a change that was).
    """

    event: int
    captured: datetime
    operation: str
    node: str | None
    tick: int | None
    tick_time: datetime | None
    fate: str


@dataclass(frozen=True)
class Trace:
    """What is known of one row; `targets` None where the provider has no such row, a NULL element is every node.

    `parked` is why this subscriber is, `refused` why changes of this row wait aside.
    """

    table: str
    key: dict[str, str]
    node: str | None
    rule: str | None
    on_provider: bool
    targets: list[str | None] | None
    rule_error: str | None
    here: bool
    state: str
    applied_tick: int | None
    parked: str | None
    refused: str | None
    changes: list[Change]
    verdict: str


@dataclass(frozen=True)
class _Row:
    there: bool
    targets: list[str | None] | None
    error: str | None


def trace(
    provider: Database,
    subscriber: Database,
    queue_name: str,
    consumer: str,
    node: str | None,
    table: TableName,
    key: Sequence[str],
) -> Trace:
    """Return what is known of the row of `table` with this key, one value per key column, as text.

    Raises ObjectNotFound when the table is not published or not subscribed, RegistrationError for a key that cannot be.
    """
    queue = event_queue.find_queue(provider, queue_name)
    known = published.find_table(provider, queue_name, table)
    if known is None:
        near = nearest_name(table, [p.table for p in published.tables(provider, queue_name)])
        raise ObjectNotFound(
            f'table "{table}" is not published in queue "{queue_name}"',
            hint=f'Did you mean "{near}"?' if near else "See `provider tables`.",
        )
    wanted = registration.require_subscribed(subscriber, queue_name, table)
    values = _canonical(provider, known, key)
    row = _provider_row(provider, known, values)
    conditions = " and ".join(f"{quote_ident(n)} = {quote_literal(v)}" for n, v in values.items())
    here = bool(subscriber.run(f"select 1 from {wanted.local.quoted} where {conditions} limit 1"))
    at = position.stored(subscriber, consumer)
    tick = event_queue.tick_by_id(provider, queue, at) if at is not None else None
    seen = Snapshot.parse(tick.snapshot) if tick else None
    claim = claims.find(provider, queue_name, consumer)
    released = claim.reason if claim is not None and claim.parked is not None else None
    aside = _aside(subscriber, queue_name, table, values)
    changes = [
        replace(change, fate="parked") if change.event in aside else change
        for change in _changes(provider, queue, known, values, node, seen, wanted)
    ]
    refused = next((message for message in aside.values() if message is not None), None)
    return Trace(
        table=str(table),
        key=values,
        node=node,
        rule=known.route.route.text if known.route else None,
        on_provider=row.there,
        targets=row.targets,
        rule_error=row.error,
        here=here,
        state=wanted.state.shown,
        applied_tick=at,
        parked=released,
        refused=refused,
        changes=changes,
        verdict=_verdict(row, node, here, wanted, released, refused, changes),
    )


def _canonical(provider: Database, known: Published, key: Sequence[str]) -> dict[str, str]:
    """Return the key's values as the server writes them."""
    if len(key) != len(known.key):
        raise RegistrationError(
            f'the key of table "{known.table}" is ({", ".join(known.key)}), {len(key)} values are given',
            hint="Give one value for each column, in this order.",
        )
    columns = {c.name: c for c in structure.require_table(provider, known.table, "provider").columns}
    missing = [name for name in known.key if name not in columns]
    if missing:
        raise RegistrationError(f'key column "{missing[0]}" of table "{known.table}" is not there any more')
    casts = ", ".join(
        f"({quote_literal(value)}::{columns[name].type})::pg_catalog.text"
        for name, value in zip(known.key, key, strict=True)
    )
    try:
        row = provider.run(f"select {casts}")[0]
    except DatabaseError as error:
        if isinstance(error, ConnectionLost) or (error.sqlstate or "")[:2] != "22":
            raise
        raise RegistrationError(
            f'no key of table "{known.table}": {error.message}', hint="Write the values as PostgreSQL shows them."
        ) from error
    return dict(zip(known.key, (str(v) for v in row), strict=True))


def _provider_row(provider: Database, known: Published, values: dict[str, str]) -> _Row:
    """Look the row up, and work its route out."""
    conditions = " and ".join(f"{quote_ident(n)} = {quote_literal(v)}" for n, v in values.items())
    source = f"from {known.table.quoted} where {conditions} limit 1"
    if not provider.run(f"select 1 {source}"):
        return _Row(False, None, None)
    if known.route is None:
        return _Row(True, [None], None)
    try:
        return _Row(True, list(provider.run(f"select {known.route.targets} {source}")[0][0]), None)
    except ConnectionLost:
        raise
    except DatabaseError as error:
        return _Row(True, None, error.message.removeprefix(f"{describe(provider.dsn)}: "))


def _changes(
    provider: Database,
    queue: Queue,
    known: Published,
    values: dict[str, str],
    node: str | None,
    seen: Snapshot | None,
    wanted: Subscribed,
) -> list[Change]:
    """Return the row's events that are still in the queue, oldest first; a TRUNCATE is one of every row."""
    needle = next((v for v in values.values() if _PLAIN.fullmatch(v)), None)
    holds = f"and pg_catalog.strpos(ev_data, {quote_literal(needle)}) > 0" if needle else ""
    rows = provider.run(
        f"""select ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra2, ev_extra3
              from {QualifiedName.parse(queue.event_table).quoted}
             where ev_extra1 = {quote_literal(str(known.table))} and ev_owner is null
               and (ev_type like 'R%' or ev_type like any (array['I%', 'U%', 'D%']) {holds})
             order by ev_id desc limit {MOST_READ}"""
    )
    # A table that is held or catches up is complete up to a snapshot of its own.
    own = Snapshot.parse(wanted.snapshot) if wanted.snapshot else None
    found: list[Change] = []
    for event_id, captured, txid, kind, data, numbers, target in reversed(rows):
        operation, shape = events.parse(kind, numbers)
        if operation != events.TRUNCATE:
            fields = dict(zip(shape.names, events.parse_record(data), strict=False))
            if any(fields.get(name) != value for name, value in values.items()):
                continue
        first = provider.row("event_queue.first_tick_with", queue_id=queue.id, txid=txid)
        if node is not None and target is not None and target != node:
            fate = "unrouted" if target == UNROUTED else "filtered"
        elif wanted.held is not None:
            fate = "applied" if own is not None and own.sees(int(txid)) else "held"
        elif wanted.state is not TableState.OK:
            fate = "copied"
        else:
            fate = "applied" if seen is not None and seen.sees(int(txid)) else "pending"
        tick, time = (int(first[0]), first[1]) if first else (None, None)
        found.append(Change(int(event_id), captured, _OPERATIONS[operation], target, tick, time, fate))
    return found


def _aside(subscriber: Database, queue: str, table: TableName, values: dict[str, str]) -> dict[int, str | None]:
    """Return the events of the row that wait aside, with the reason of those that were refused."""
    found = parked.events(subscriber, queue, [table], [parked.key_text(list(values.values()))])
    return {event.event_id: event.message for event in found}


def _verdict(
    row: _Row,
    node: str | None,
    here: bool,
    wanted: Subscribed,
    released: str | None,
    refused: str | None,
    changes: Sequence[Change],
) -> str:
    """Return in one sentence why the row is here, or why not."""
    if released is not None:
        return (
            f"this subscriber is parked ({released}); its tables are copied anew when it is back, unless the queue"
            " still has what it missed"
        )
    if wanted.held is not None:
        return f"the table is held: {wanted.held}; its changes are applied when that is mended"
    if wanted.state is not TableState.OK:
        return "the table is being copied; the row is here with the copy if it belongs here"
    if refused is not None:
        return f"changes of this row wait aside, see `parked list`: {refused}"
    if any(change.fate == "pending" for change in changes):
        return "changes of this row wait to be applied"
    if not row.there:
        return "the provider has no such row" + ("; this one was written here" if here else "")
    if row.error is not None and node is not None:
        return f"the route cannot be worked out for this row, so it goes to no node: {row.error}"
    targets = row.targets or []
    if node is not None and None not in targets and node not in targets:
        named = ", ".join(f'"{target}"' for target in targets) or "no node"
        rest = "; the one here was written here, or the rule looks at something that changed since" if here else ""
        return f"the row is for {named}, not for this one{rest}"
    if here:
        return "the row belongs here, and is here"
    return "the row belongs here and is missing: it was deleted here, or the rule looks at something that changed since"
