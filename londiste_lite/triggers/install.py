"""Makes a relation's capture functions and triggers what they should be, touching only what differs.

`create` and `refresh` decide for which relations; a difference is found by comparing with what the generator gives.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from londiste_lite import lock_wait
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName, quote_ident, quote_literal
from londiste_lite.triggers import trigger_text
from londiste_lite.triggers.capture_table import CaptureTable, Route
from londiste_lite.triggers.parking_text import route_functions


@dataclass(frozen=True)
class FoundTrigger:
    """A capture trigger that is in the database."""

    oid: int
    relation: QualifiedName
    name: str
    type_bits: int
    function: str
    argument: str
    enabled: bool


@dataclass(frozen=True)
class Registered:
    """What the published table was captured with; kept in the comment of its update function."""

    key: tuple[str, ...] | None
    route: Route | None


@dataclass(frozen=True)
class Existing:
    """The capture functions and triggers of one queue."""

    bodies: dict[str, str]
    comments: dict[str, str]
    triggers: list[FoundTrigger]


@contextlib.contextmanager
def own_transaction(db: Database, lock_timeout: float) -> Iterator[None]:
    """Run the block in a transaction of its own, or in the caller's when one is open, with `lock_timeout` seconds."""
    with contextlib.ExitStack() as stack:
        if not db.in_transaction:
            stack.enter_context(db.transaction())
        stack.enter_context(lock_wait.limited(db, lock_timeout))
        yield


def existing(db: Database, queue_id: int, relations: Sequence[int] | None = None) -> Existing:
    """Read what there is of one queue: of the relations with these numbers, or of all."""
    oids = None if relations is None else list(relations)
    if oids is None:
        rows = db.rows("triggers.functions", queue_id=queue_id)
    else:
        rows = db.rows("triggers.functions_of", queue_id=queue_id, oids=oids)
    triggers = [
        FoundTrigger(oid, QualifiedName(schema, table), name, bits, function, args.removesuffix("\\000"), mode != "D")
        for oid, schema, table, name, bits, function, args, mode in db.rows(
            "triggers.triggers", queue_id=queue_id, oids=oids
        )
    ]
    return Existing({r[0]: r[1] for r in rows}, {r[0]: r[2] for r in rows if r[2]}, triggers)


def registered(found: Existing, table: CaptureTable | QualifiedName) -> Registered | None:
    """Return how the published table was captured, None when it is not."""
    name = table if isinstance(table, QualifiedName) else table.name
    for comment in found.comments.values():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            data = json.loads(comment)
            if data["table"] == [name.schema, name.name]:
                key = None if data["key"] is None else tuple(data["key"])
                return Registered(key, Route(**data["route"]) if data["route"] else None)
    return None


def followed(db: Database, found: Existing, oid: int, known: Registered) -> Registered:
    """Return `known` with the names that the columns of its route and of a given key have by now.

    A column is found at its place in the table `oid`, where capture finds it too. One that is gone keeps its name.
    """
    names = {int(row[1]): str(row[0]) for row in db.rows("triggers.columns", oid=oid, root=oid)}
    renamed: dict[str, str] = {}
    for function, comment in found.comments.items():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            data = json.loads(comment)
            if data["root"] and function.endswith(f"_{oid}_update"):
                renamed = {old: names.get(int(place), old) for old, place in data["columns"].items()}
    route = known.route
    if route is not None and route.kind == "column":
        route = replace(route, text=renamed.get(route.text, route.text))
    return Registered(None if known.key is None else tuple(renamed.get(name, name) for name in known.key), route)


def differences(table: CaptureTable, found: Existing) -> list[str]:
    """Return what is wrong with the capture of one relation, empty when it is as it should be."""
    wrong = [f"function {f.name}" for f in trigger_text.functions(table) if found.bodies.get(f.name) != f.body]
    wrong += [f"function {f.name}" for f in route_functions(table) if found.bodies.get(f.name) != f.body]
    there = {t.name: t for t in found.triggers if t.oid == table.oid}
    for trigger in trigger_text.triggers(table):
        got = there.pop(trigger.name, None)
        if got is None or not _fits(got, trigger):
            wrong.append(f"trigger {trigger.name}")
    return wrong + [f"trigger {name}" for name in there]


def _fits(got: FoundTrigger, wanted: trigger_text.Trigger) -> bool:
    return (got.type_bits, got.function, got.argument) == (wanted.type_bits, wanted.function, wanted.argument)


def lock(db: Database, table: QualifiedName) -> None:
    """Keep writers and ALTER TABLE off the table and its partitions until the transaction ends.

    Raises LockNotGranted.
    """
    db.script(f"lock table {table.quoted} in share row exclusive mode")


def install(db: Database, table: CaptureTable, found: Existing, key: Sequence[str] | None) -> None:
    """Make functions and triggers of one relation what they should be. Needs a transaction and `lock`."""
    for function in route_functions(table):
        # Not private: whoever copies the table works its route out, with his own rights.
        if found.bodies.get(function.name) != function.body:
            db.script(function.sql)
    wrong = [f for f in trigger_text.functions(table) if found.bodies.get(f.name) != f.body]
    owner = db.value("triggers.capture_owner", oid=table.oid) if wrong else None
    for capture in wrong:
        db.script(f"{capture.sql};\n{capture.private}")
        if owner is not None:
            # What a superuser makes would run as superuser, for everybody who writes to the table.
            db.script(f"alter function londiste.{quote_ident(capture.name)}() owner to {quote_ident(owner)}")
    comment = _comment(table, key)
    if found.comments.get(table.function_name("update")) != comment:
        name = f"londiste.{quote_ident(table.function_name('update'))}()"
        db.script(f"comment on function {name} is {quote_literal(comment)}")
    there = {t.name: t for t in found.triggers if t.oid == table.oid}
    for trigger in trigger_text.triggers(table):
        got = there.pop(trigger.name, None)
        if got is not None and _fits(got, trigger):
            continue
        if got is not None:
            db.script(f"drop trigger {quote_ident(got.name)} on {table.relation.quoted}")
        db.script(trigger.sql(table.relation.quoted))
    for name in there:
        db.script(f"drop trigger {quote_ident(name)} on {table.relation.quoted}")
    kept = {function.name for function in route_functions(table)}
    remove(db, [], [n for n in route_functions_of(found, [table.oid], table.queue_id) if n not in kept])


def _comment(table: CaptureTable, key: Sequence[str] | None) -> str:
    """Return what `registered` and the statement `stale` read again."""
    data: dict[str, object] = {
        "table": [table.name.schema, table.name.name],
        "root": table.oid == table.root_oid,
        "key": None if key is None else list(key),
        "route": _route(table.route),
        "columns": {c.name: c.attnum for c in table.named_columns},
    }
    if key is None and data["root"]:
        data["primary_key"] = [c.attnum for c in table.key]
    if table.plain_key:
        data["types"] = {c.name: c.type_oid for c in table.key}
    return json.dumps(data)


def _route(route: Route | None) -> dict[str, object] | None:
    if route is None:
        return None
    return {"kind": route.kind, "text": route.text, **({"parks": True} if route.parks else {})}


def route_functions_of(found: Existing, relations: Iterable[int], queue_id: int) -> list[str]:
    """Return the functions that work out routes for these relations."""
    names = [f"capture_{queue_id}_{oid}_{kind}" for oid in relations for kind in ("routetext", "route")]
    return [name for name in names if name in found.bodies]


def remove(db: Database, triggers: Sequence[FoundTrigger], functions: Sequence[str]) -> None:
    """Drop triggers, then functions that no trigger calls any more. Needs a transaction. Raises LockNotGranted."""
    for trigger in triggers:
        db.script(f"drop trigger if exists {quote_ident(trigger.name)} on {trigger.relation.quoted}")
    for name in functions:
        # Without arguments, for there is one function of each name.
        db.script(f"drop function if exists londiste.{quote_ident(name)}")
