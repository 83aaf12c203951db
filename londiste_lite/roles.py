"""Roles with exactly the rights that each part of the program needs, so that nothing has to run as superuser.

They cannot log in: login roles become members of them. The grants are in `sql/roles` and in docs/security.md.
"""

from __future__ import annotations

from londiste_lite import sqlfiles
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, PrivilegeMissing

PURPOSE = {
    "londiste_capture": "publishes tables; grant it to the owners of tables",
    "londiste_ticker": "ticks the queues and rotates their tables",
    "londiste_replay": "reads events on the provider, keeps positions on the subscriber",
}
OF_SIDE = {"provider": ("londiste_capture", "londiste_ticker", "londiste_replay"), "subscriber": ("londiste_replay",)}

_DUPLICATE = ("42710", "23505")


def create(db: Database, side: str) -> dict[str, bool]:
    """Create the roles of `side` (`provider`, `subscriber`) that the cluster lacks; return name -> made now.

    Raises PrivilegeMissing with the statements for an administrator when this role may not create roles.
    """
    there = {str(row[0]) for row in db.run("select rolname from pg_catalog.pg_roles")}
    made = {}
    for role in OF_SIDE[side]:
        made[role] = role not in there and _create_one(db, role, [r for r in OF_SIDE[side] if r not in there])
    return made


def _create_one(db: Database, role: str, missing: list[str]) -> bool:
    try:
        db.script(f"create role {role} nologin")
    except PrivilegeMissing as error:
        statements = " ".join(f"create role {each} nologin;" for each in missing)
        raise PrivilegeMissing(
            error.message,
            sqlstate=error.sqlstate,
            detail=error.detail,
            hint=f"Let an administrator run, and try again: {statements}",
        ) from error
    except DatabaseError as error:
        if error.sqlstate not in _DUPLICATE:  # another install was faster
            raise
        return False
    return True


def grant(db: Database, side: str) -> None:
    """Grant the roles of `side` what they need, in one transaction. Raises PrivilegeMissing."""
    with db.transaction():
        db.script(script(side))


def in_use(db: Database, side: str) -> bool:
    """Tell whether the roles of `side` were given their rights in this database before."""
    return all(
        db.run(
            """select coalesce(pg_catalog.has_schema_privilege(pg_catalog.to_regrole(%s), 'londiste', 'usage')
                           and pg_catalog.has_table_privilege(pg_catalog.to_regrole(%s), 'londiste.schema_version',
                                                              'select'), false)""",
            [role, role],
        )[0][0]
        for role in OF_SIDE[side]
    )


def script(side: str) -> str:
    """Return the GRANT statements of `side`."""
    return sqlfiles.read(f"roles/{side}.sql")


def printable(side: str) -> str:
    """Return the script that `install --roles --print` shows after the schema's: roles if missing, then grants."""
    creates = "".join(
        f"    if pg_catalog.to_regrole('{role}') is null then create role {role} nologin; end if;\n"
        for role in OF_SIDE[side]
    )
    return f"begin;\ndo $$\nbegin\n{creates}end;\n$$;\n{script(side)}commit;\n"
