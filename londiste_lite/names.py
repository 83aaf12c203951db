"""Names of database objects as data: parsing what a user types, quoting for SQL, matching globs.

Every identifier that reaches generated SQL passes through `quote_ident`, every literal through `quote_literal`;
no other module quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_QUOTED_PAIR = re.compile(r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"')


def quote_ident(name: str) -> str:
    """Return `name` as a quoted SQL identifier; always quoted, so that no keyword list is needed.

    Raises ValueError for a NUL byte or an empty name, which no PostgreSQL identifier can hold.
    """
    if not name or "\0" in name:
        raise ValueError(f"not a possible identifier: {name!r}")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str | None) -> str:
    """Return `value` as an SQL literal of unknown type that reads the same under any standard_conforming_strings."""
    if value is None:
        return "null"
    if "\0" in value:
        raise ValueError("a literal cannot hold a NUL byte")
    text = "'" + value.replace("'", "''") + "'"
    return "E" + text.replace("\\", "\\\\") if "\\" in value else text


def quote_array(values: list[str] | tuple[str, ...]) -> str:
    """Return a `text[]` literal expression of `values`."""
    return "array[" + ", ".join(quote_literal(v) for v in values) + "]::pg_catalog.text[]"


@dataclass(frozen=True, order=True)
class QualifiedName:
    """Schema and name of a table or a sequence, unquoted.

    `str()` gives the stored text form of Londiste: `schema.name`, split at the first dot. A schema whose name holds a
    dot cannot be written that way; it is stored in quoted form, `"my.schema"."table"`, as is a name that looks quoted.
    """

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str, default_schema: str = "public") -> QualifiedName:
        """Read what a user typed: `entry`, `schema.table`, or `"quoted.schema"."table"`.

        A name without a dot is in `default_schema`. Raises ValueError for an empty part.
        """
        pair = _QUOTED_PAIR.fullmatch(text)
        if pair:
            return cls(pair[1].replace('""', '"'), pair[2].replace('""', '"'))
        schema, dot, name = text.partition(".")
        if not dot:
            schema, name = default_schema, text
        if not schema or not name or "\0" in text:
            raise ValueError(f"not a table or sequence name: {text!r}")
        return cls(schema, name)

    @property
    def quoted(self) -> str:
        """The name as it stands in SQL, both parts quoted."""
        return f"{quote_ident(self.schema)}.{quote_ident(self.name)}"

    def __str__(self) -> str:
        plain = f"{self.schema}.{self.name}"
        if "." in self.schema or _QUOTED_PAIR.fullmatch(plain):
            return self.quoted
        return plain


TableName = QualifiedName
SequenceName = QualifiedName


def is_glob(text: str) -> bool:
    """Tell whether `text` holds one of the wildcards `*` and `?`."""
    return "*" in text or "?" in text


def glob_to_regex(text: str) -> re.Pattern[str]:
    """Compile a glob of `*` and `?`; every other character stands for itself."""
    parts = [".*" if ch == "*" else "." if ch == "?" else re.escape(ch) for ch in text]
    return re.compile("".join(parts), re.DOTALL)


def matches(pattern: str, name: QualifiedName, default_schema: str = "public") -> bool:
    """Tell whether `name` is meant by `pattern`, a name or a glob as typed by a user.

    A pattern without a dot looks in `default_schema` only; as in Londiste a glob is matched per part, so `*.*` is
    every table and `*` every table of `public`.
    """
    if not is_glob(pattern):
        return QualifiedName.parse(pattern, default_schema) == name
    schema, dot, rest = pattern.partition(".")
    if not dot:
        schema, rest = default_schema, pattern
    return bool(glob_to_regex(schema).fullmatch(name.schema) and glob_to_regex(rest).fullmatch(name.name))


def nearest(name: str, known: list[str], limit: int = 1) -> list[str]:
    """Return up to `limit` of `known` that look most like `name`, for hints; empty when none is near."""
    import difflib

    return difflib.get_close_matches(name, known, n=limit, cutoff=0.6)


def nearest_name(name: QualifiedName, known: Sequence[QualifiedName]) -> QualifiedName | None:
    """Return the one of `known` that looks most like `name`, of the same schema if there is one, None if none does.

    Schema and case do not count: who types `orders` may mean `sales.orders`, or `Orders`.
    """
    for candidates in ([k for k in known if k.schema == name.schema], known):
        by_name: dict[str, list[QualifiedName]] = {}
        for candidate in candidates:
            by_name.setdefault(candidate.name.lower(), []).append(candidate)
        near = nearest(name.name.lower(), list(by_name))
        if near:
            alike = by_name[near[0]]
            by_case = nearest(name.name, [k.name for k in alike])
            return next((k for k in alike if k.name in by_case), alike[0])
    return None
