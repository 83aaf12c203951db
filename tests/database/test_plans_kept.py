"""Statements that a session runs for one table after the other: the server plans them once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psycopg2
import pytest

from londiste_lite import structure
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from tests.conftest import need
from tests.fixtures.servers import ServerPool

NAME = QualifiedName("public", "entry")


def planned(db: Database) -> set[str]:
    return {str(row[0]) for row in db.run("select name from pg_catalog.pg_prepared_statements")}


def test_table__is_looked_up_without_a_plan_once_and_with_one_after_that(subscriber_db: Database) -> None:
    db = subscriber_db
    db.script("create table public.entry (id int primary key)")
    found = [structure.find_table(db, NAME)]
    assert planned(db) == set()
    for _ in range(8):  # the server makes five plans of its own before it keeps one
        found.append(structure.find_table(db, NAME))
    assert planned(db) == {"structure.tables", "structure.columns"}
    assert found == [found[0]] * 9
    db.script("alter table public.entry add item text")
    now = structure.find_table(db, NAME)
    assert now is not None
    assert [column.name for column in now.columns] == ["id", "item"]
    assert structure.find_table(db, QualifiedName("public", "none")) is None
    db.script("drop table public.entry")
    assert structure.find_table(db, NAME) is None


def test_plans__outlive_a_transaction_that_is_rolled_back(subscriber_db: Database) -> None:
    db = subscriber_db
    db.script("create table public.entry (id int primary key)")
    structure.find_table(db, NAME)
    with contextlib.suppress(ZeroDivisionError), db.transaction():
        structure.find_table(db, NAME)
        raise ZeroDivisionError
    assert structure.find_table(db, NAME) is not None
    assert planned(db) == {"structure.tables", "structure.columns"}


def test_plans__are_not_compiled(pool: ServerPool, new_database: Callable[..., str], open_connection: Callable) -> None:
    """Whatever the database says: on a server with LLVM that took seconds for a batch of tables never analyzed."""
    server = need(pool, 15)  # the embedded servers are built without it
    dsn = new_database(server)
    name = open_connection(dsn).dbname
    open_connection(dsn).script(f'alter database "{name}" set jit_above_cost = 0; alter database "{name}" set jit = on')
    plan = "explain (analyze) select count(*) from pg_catalog.pg_class"
    ours = "\n".join(row[0] for row in open_connection(dsn).run(plan))
    with contextlib.closing(psycopg2.connect(dsn)) as others, others.cursor() as cursor:
        cursor.execute("select pg_catalog.pg_jit_available()")
        if cursor.fetchone() != (True,):
            pytest.skip("this server does not compile plans")
        cursor.execute(plan)
        assert "JIT" in "\n".join(row[0] for row in cursor.fetchall())
    assert "JIT" not in ours
