"""Installing and checking the schemas `pgq` and `londiste`; the SQL itself is in the files under `sql/`.

Install is one transaction under an advisory lock: upgrades, tables in their final state, functions, grants, then the
version. Upgrades change what an older version left, so that the files after them meet tables that have all columns. A
new database skips them. Running install again changes nothing: a checksum of the SQL is kept with the version, in
`londiste.schema_version`, or in the comment of the component's schema where only the queue is installed.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass

from londiste_lite import __version__, lock_wait, sqlfiles
from londiste_lite.db import Database
from londiste_lite.errors import SchemaError
from londiste_lite.names import quote_ident, quote_literal

log = logging.getLogger(__name__)

VERSION = 2
INSTALL_LOCK = 0x4C4F4E44  # "LOND": one fixed number, so that two installs of any kind wait for each other

# What is installed where: the queue lives on the provider only; registration, positions and capture on both sides.
PROVIDER = ("pgq", "pgq_coop", "pgq_ext", "londiste")
SUBSCRIBER = ("pgq_ext", "londiste")
QUEUE_ONLY = ("pgq", "pgq_coop", "pgq_ext")


@dataclass(frozen=True)
class Installed:
    """What `install` did per component: `installed`, `upgraded`, `present`, or `extension` (left alone)."""

    components: dict[str, str]


def files_of(component: str) -> list[str]:
    """Return the install files of one component in the order in which they are run."""
    there = set(sqlfiles.folder(component))

    def single(*names: str) -> list[str]:
        return [path for name in names if (path := f"{component}/{name}.sql") in there]

    upgrades = sqlfiles.folder(f"{component}/upgrades")
    functions = sqlfiles.folder(f"{component}/functions")
    return [*single("schema"), *upgrades, *single("tables"), *functions, *single("own_triggers", "grants")]


def script_of(component: str) -> str:
    """Return the concatenated install script of one component, without upgrades, for people who install by hand."""
    paths = [path for path in files_of(component) if _upgrade_number(path) is None]
    parts = [f"-- file: sql/{path}\n{sqlfiles.read(path)}" for path in paths]
    return "\n".join(parts)


def _upgrade_number(path: str) -> int | None:
    """Return the version that an upgrade file leads to, None for any other file."""
    folder, _, name = path.rpartition("/")
    return int(name.partition("_")[0]) if folder.endswith("/upgrades") else None


def checksum_of(component: str) -> str:
    """Return a checksum over all SQL of one component."""
    digest = hashlib.sha256()
    for path in files_of(component):
        digest.update(sqlfiles.read(path).encode())
    return digest.hexdigest()[:32]


def printable(components: tuple[str, ...]) -> str:
    """Return the script that `install --print` shows: all components in one transaction."""
    head = f"-- londiste_lite {__version__}, schema version {VERSION}\nbegin;\nset local check_function_bodies = off;\n"
    versions = "".join(
        "insert into londiste.schema_version (component, version, program_version, checksum)\n"
        f"values ('{c}', {VERSION}, '{__version__}', '{checksum_of(c)}')\n"
        "on conflict (component) do update set version = excluded.version,\n"
        "    program_version = excluded.program_version, checksum = excluded.checksum, installed = now();\n"
        for c in components
    )
    if "londiste" not in components:
        versions = "".join(f"{_comment_sql(c)};\n" for c in components)
    return head + "\n".join(script_of(c) for c in components) + versions + "commit;\n"


def install(db: Database, components: tuple[str, ...]) -> Installed:
    """Install or upgrade `components` in one transaction.

    Raises SchemaError when the database holds a newer schema than this program knows.
    """
    done: dict[str, str] = {}
    with db.transaction():
        with lock_wait.named(db, 0):
            db.run("select pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
        db.script("set local check_function_bodies = off; set local client_min_messages = warning")
        for component in components:
            done[component] = _install_one(db, component)
        for component, what in done.items():
            if what != "extension":
                _record(db, component)
    for component, what in done.items():
        log.debug("schema %s: %s", component, what)
    return Installed(done)


def _install_one(db: Database, component: str) -> str:
    if component != "londiste" and _is_extension(db, component):
        return "extension"
    version, checksum = _stored(db, component)
    if version is not None and version > VERSION:
        raise _too_new(component, version)
    if version == VERSION and checksum == checksum_of(component):
        return "present"
    for path in files_of(component):
        number = _upgrade_number(path)
        # Those of the current number are run again: one may have been added since this database was installed.
        if number is not None and (version is None or number < version):
            continue
        db.script(sqlfiles.read(path))
    return "installed" if version is None else "upgraded"


def _record(db: Database, component: str) -> None:
    """Note what is installed; only after all components, for the table belongs to the last of them."""
    noted = _COMMENT.fullmatch(_comment(db, component))
    if not _has_version_table(db):
        if _stored(db, component) != (VERSION, checksum_of(component)):
            db.script(_comment_sql(component))
        return
    db.run(
        """insert into londiste.schema_version as v (component, version, program_version, checksum)
           values (%s, %s, %s, %s)
           on conflict (component) do update set version = excluded.version,
               program_version = excluded.program_version, checksum = excluded.checksum,
               installed = pg_catalog.now()
           where (v.version, v.checksum) <> (excluded.version, excluded.checksum)""",
        [component, VERSION, __version__, checksum_of(component)],
    )
    if noted:
        db.script(f"comment on schema {quote_ident(component)} is null")


def _is_extension(db: Database, name: str) -> bool:
    return bool(db.run("select 1 from pg_catalog.pg_extension where extname = %s", [name]))


def _has_version_table(db: Database) -> bool:
    return db.run("select pg_catalog.to_regclass('londiste.schema_version')")[0][0] is not None


_COMMENT = re.compile(r"londiste_lite [^,]*, schema version (\d+), checksum ([0-9a-f]+)")


def _comment_sql(component: str) -> str:
    text = f"londiste_lite {__version__}, schema version {VERSION}, checksum {checksum_of(component)}"
    return f"comment on schema {quote_ident(component)} is {quote_literal(text)}"


def _comment(db: Database, component: str) -> str:
    sql = "select pg_catalog.obj_description(pg_catalog.to_regnamespace(%s)::oid, 'pg_namespace')"
    return str(db.run(sql, [component])[0][0] or "")


def _stored(db: Database, component: str) -> tuple[int | None, str | None]:
    if _has_version_table(db):
        found = db.run("select version, checksum from londiste.schema_version where component = %s", [component])
        if found:
            return int(found[0][0]), str(found[0][1])
    noted = _COMMENT.fullmatch(_comment(db, component))
    return (int(noted[1]), noted[2]) if noted else (None, None)


def _too_new(component: str, version: int) -> SchemaError:
    return SchemaError(
        f'schema "{component}" of this database has version {version}, this program knows {VERSION}',
        hint="Use a newer londiste_lite; an older program must not work on a newer schema.",
    )


def require(db: Database, side: str) -> None:
    """Check that the londiste schema of `db` fits this program.

    `side` is `provider` or `subscriber`, for the hint. Raises SchemaError when it is missing, older or newer.
    """
    version, _ = _stored(db, "londiste")
    if version is None:
        raise SchemaError(f"{db.label} has no londiste schema", hint=f"Run `{side} install` first.")
    if version > VERSION:
        raise _too_new("londiste", version)
    if version < VERSION:
        raise SchemaError(
            f"the londiste schema of {db.label} has version {version}, this program needs {VERSION}",
            hint=f"Run `{side} install` to upgrade it.",
        )
