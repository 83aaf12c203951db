"""Installing schema londiste, and the SQL files themselves: idempotent, complete, every named statement fits."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from londiste_lite import schema, sqlfiles
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError, SchemaError
from tests.conftest import need
from tests.fixtures.catalogue import fingerprint
from tests.fixtures.servers import ServerPool

ROOT = Path(__file__).resolve().parents[2]
QUERIES = sorted(
    f"{path.stem}.{name}" for path in (ROOT / "sql" / "queries").glob("*.sql") for name in sqlfiles.named(path.stem)
)


def refusal(db: Database, sql: str) -> str | None:
    """The SQLSTATE with which the server refuses `sql`, None when it takes it."""
    try:
        db.script(sql)
    except LondisteError as error:
        return getattr(error, "sqlstate", None) or str(error)
    return None


@pytest.mark.parametrize("version", [15, 16, 18])
def test_install__twice_changes_nothing(
    pool: ServerPool, new_database: Callable[..., str], open_connection: Callable[[str], Database], version: int
) -> None:
    db = open_connection(new_database(need(pool, version)))
    first = schema.install(db, schema.PROVIDER)
    before = fingerprint(db)
    assert len(before) > 200
    assert set(first.components.values()) == {"installed"}
    assert set(schema.install(db, schema.PROVIDER).components.values()) == {"present"}
    db.script("update londiste.schema_version set checksum = 'of other files'")
    assert set(schema.install(db, schema.PROVIDER).components.values()) == {"upgraded"}
    assert fingerprint(db) == before


def test_install__four_at_once_on_an_empty_database(
    server: object, new_database: Callable[..., str], open_connection: Callable[[str], Database]
) -> None:
    dsn = new_database(server)
    connections = [open_connection(dsn) for _ in range(4)]
    errors: list[BaseException] = []

    def install(db: Database) -> None:
        try:
            schema.install(db, schema.PROVIDER)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=install, args=(db,)) for db in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    alone = open_connection(new_database(server))
    schema.install(alone, schema.PROVIDER)
    assert fingerprint(connections[0]) == fingerprint(alone)


def test_require__tells_missing_newer_and_older(
    server: object, new_database: Callable[..., str], open_connection: Callable[[str], Database]
) -> None:
    db = open_connection(new_database(server))
    with pytest.raises(SchemaError, match="no londiste schema") as missing:
        schema.require(db, "subscriber")
    assert "subscriber install" in (missing.value.hint or "")
    schema.install(db, schema.SUBSCRIBER)
    schema.require(db, "subscriber")
    db.script("update londiste.schema_version set version = version + 1 where component = 'londiste'")
    with pytest.raises(SchemaError, match="this program knows"):
        schema.require(db, "subscriber")
    with pytest.raises(SchemaError, match="this program knows"):
        schema.install(db, schema.SUBSCRIBER)
    db.script("update londiste.schema_version set version = 0 where component = 'londiste'")
    with pytest.raises(SchemaError, match="needs"):
        schema.require(db, "subscriber")


def test_named_statements__fit_the_installed_schema(provider_db: Database) -> None:
    # A parameter whose type only its use at run time gives is no fault of the statement.
    fine = (None, "42P18", "42P08", "42725")
    found = {name: refusal(provider_db, f"prepare londiste_{n} as {numbered(name)}") for n, name in enumerate(QUERIES)}
    assert {name: state for name, state in found.items() if state not in fine} == {}
    assert list(found.values()).count(None) > len(QUERIES) * 0.7


def numbered(name: str) -> str:
    """The text of a named statement with $1, $2 .. in the place of its named parameters."""
    numbers: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    return re.sub(r"%\((\w+)\)s", place, sqlfiles.statement(name)).replace("%%", "%").strip().rstrip(";")


def test_named_statements__are_all_used_and_all_exist() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "londiste_lite").rglob("*.py") if path.name != "manual.py")
    used = set(re.findall(r"""["'](\w+\.\w+)["']""", source)) | set(
        re.findall(r"""statement\(["'](\w+\.\w+)["']\)""", source)
    )
    modules = {name.partition(".")[0] for name in QUERIES}
    called = {name for name in used if name.partition(".")[0] in modules}
    # A name may be put together: f"structure_copy.existing_{kind}".
    for beginning in re.findall(r"""f["'](\w+\.\w+)\{""", source):
        called |= {name for name in QUERIES if name.startswith(beginning)}
    assert sorted(set(QUERIES) - called) == []
    wanted = re.findall(r"""(?<!source)\.(?:rows|row|value)\(\s*["'](\w+\.\w+)["']""", source)
    assert sorted(set(wanted) - set(QUERIES)) == []


@pytest.mark.parametrize("path", sorted((ROOT / "sql" / "londiste" / "functions").glob("*.sql")), ids=lambda p: p.stem)
def test_function_file__defines_its_own_name_with_a_header_and_a_pinned_path(path: Path) -> None:
    text = path.read_text()
    created = re.findall(r"create (?:or replace )?function ([\w.]+)", text)
    assert set(created) == {path.stem}
    for word in ("Function:", "Parameters:", "Returns:", "Raises:", "Locks taken:", "Called by:"):
        assert word in text, word
    if "security definer" in text.lower():
        assert "set search_path = pg_catalog, pg_temp" in text
