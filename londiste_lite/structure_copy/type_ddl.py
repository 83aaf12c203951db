"""Statements that make types which the subscriber lacks: enums, domains, composites; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from londiste_lite.errors import RegistrationError
from londiste_lite.names import QualifiedName, quote_ident, quote_literal
from londiste_lite.structure_copy.definition import Step, TypeDef

_KINDS = {"b": "a base type", "r": "a range type", "m": "a multirange type", "p": "a pseudo-type"}


def missing_types(types: Iterable[TypeDef], there: Collection[QualifiedName]) -> list[TypeDef]:
    """Return the types that are not `there`, each after those that it is made of.

    Raises RegistrationError, naming the type, for one that cannot be made from here.
    """
    by_oid = {found.oid: found for found in types}
    ordered: dict[int, TypeDef] = {}

    def visit(found: TypeDef) -> None:
        if found.oid in ordered or found.name in there:
            return
        _require_simple(found)
        for part in found.parts:
            if part in by_oid:
                visit(by_oid[part])
        ordered[found.oid] = found

    for found in by_oid.values():
        visit(found)
    return list(ordered.values())


def _require_simple(found: TypeDef) -> None:
    if found.extension is not None:
        raise RegistrationError(
            f'type "{found.name}" of extension "{found.extension}" does not exist on the subscriber',
            hint=f"Run there: CREATE EXTENSION {quote_ident(found.extension)};",
        )
    if found.name.schema == "pg_catalog":
        raise RegistrationError(
            f'the subscriber\'s server is too old for type "{found.name.name}"',
            hint="Create the table there yourself, with another type in that column.",
        )
    if found.kind == "row":
        raise RegistrationError(
            f'type "{found.name}" is the row of a table, and does not exist on the subscriber',
            hint=f'Create table "{found.name}" there first.',
        )
    if found.kind not in ("e", "d", "c"):
        kind = _KINDS.get(found.kind, "no ordinary type")
        raise RegistrationError(
            f'type "{found.name}" is {kind}, and does not exist on the subscriber',
            hint="Create it there first; enums, domains and composite types are made along with the table.",
        )


def steps(found: TypeDef) -> list[Step]:
    """Return the statements that make one type."""
    name = found.name.quoted
    what = "type"
    if found.kind == "e":
        made = f"create type {name} as enum ({', '.join(quote_literal(label) for label in found.labels)})"
    elif found.kind == "c":
        parts = [f"{quote_ident(n)} {kind}{_collate(collation)}" for n, kind, collation in found.attributes]
        made = f"create type {name} as ({', '.join(parts)})"
    else:
        what = "domain"
        made = f"create domain {name} as {found.base}{_collate(found.collation)}"
        made += f" default {found.default}" if found.default is not None else ""
        made += " not null" if found.not_null else ""
    todo = [Step(made)]
    todo += [Step(f"alter domain {name} add constraint {quote_ident(check)} {sql}") for check, sql in found.checks]
    if found.comment is not None:
        todo.append(Step(f"comment on {what} {name} is {quote_literal(found.comment)}"))
    return todo


def _collate(collation: str | None) -> str:
    return f" collate {collation}" if collation else ""
