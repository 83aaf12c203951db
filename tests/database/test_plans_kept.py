"""Statements that a session runs for one table after the other: the server plans them once."""

from __future__ import annotations

import contextlib

from londiste_lite import structure
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName

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
