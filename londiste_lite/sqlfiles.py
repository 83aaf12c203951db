"""The SQL files that ship with the package: install scripts and named statements.

Files live in the project's `sql/` folder, which is the package `londiste_lite.sql`. `db` runs what this module reads.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Any

_NAME_LINE = re.compile(r"^-- name: *([a-z0-9_]+) *$", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s")


def _root() -> Any:
    return resources.files("londiste_lite.sql")


def read(path: str) -> str:
    """Return the text of `path`, relative to `sql/`, for example `londiste/tables.sql`."""
    node = _root()
    for part in path.split("/"):
        node = node / part
    return str(node.read_text(encoding="utf-8"))


def folder(path: str) -> list[str]:
    """Return the paths of all `.sql` files directly in folder `path`, sorted by name; empty when there is none."""
    node = _root()
    for part in path.split("/"):
        node = node / part
    if not node.is_dir():
        return []
    return sorted(f"{path}/{child.name}" for child in node.iterdir() if child.name.endswith(".sql"))


@functools.cache
def named(module: str) -> dict[str, str]:
    """Return the statements of `sql/queries/<module>.sql` by name.

    A statement follows a line `-- name: its_name` and ends before the next one.
    """
    text = read(f"queries/{module}.sql")
    pieces = _NAME_LINE.split(text)
    return dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))


def statement(name: str) -> str:
    """Return the text of the statement `module.name`. Raises KeyError when there is none."""
    module, _, key = name.partition(".")
    return named(module)[key]


@functools.cache
def preparable(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement `module.name` as PREPARE takes it, with `$1`.., and the names of its parameters in order."""
    text = statement(name)
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text).replace("%%", "%"), names
