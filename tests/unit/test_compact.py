"""The SQL that compacts a batch: what the text must and must not hold. What it does is tested on servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite.names import QualifiedName
from londiste_lite.replay import conflict_sql
from londiste_lite.replay.compact import KeyColumn, Source, TableSql, insert_only
from londiste_lite.replay.mapping import Field, Mapping
from londiste_lite.structure import Column, Equality, Table

EXACT = Equality("operator(pg_catalog.=)", True, None)


def column(attnum: int, name: str, kind: str, generated: str = "") -> Column:
    return Column(attnum, name, kind, kind, True, False, "", generated)


ID, ITEM, LOCAL = column(1, "id", "integer"), column(2, 'it"em', "text"), column(3, "local", "text")
TWICE = column(4, "twice", "integer", "s")
TABLE = Table(
    QualifiedName("public", "entry"), 1, "r", "p", ("id",), False, False, False, 0.0, (ID, ITEM, LOCAL, TWICE)
)
BOTH = Mapping((Field("integer", ID, None), Field("text", ITEM, "text")))
KEY_ONLY = Mapping((Field("integer", ID, None),))


def source(*types: str, number: int = 0, mapping: Mapping = BOTH, attnums: str | None = None) -> Source:
    return Source(number, "public.entry", types, attnums, mapping, "pg_temp.row")


def sql(*sources: Source, equality: Equality = EXACT, after: int | None = None, kind: str = "integer") -> TableSql:
    key = (KeyColumn("id", kind, equality),)
    return TableSql(TABLE, key, sources, after, "pg_temp.parsed", "pg_temp.winners", "pg_temp.saved")


@pytest.mark.parametrize(
    ("operations", "expected"), [([], True), (["I"], True), (["I", "I"], True), (["I", "U"], False), (["D"], False)]
)
def test_insert_only(operations: list[str], expected: bool) -> None:
    assert insert_only(operations) is expected


def test_source__is_found_by_table_type_and_numbers() -> None:
    assert source('U{id,"it\'em"}').where == ("tbl = 'public.entry' and typ in ('U{id,\"it''em\"}') and att is null")
    assert source("U{id}", attnums="{3}").where.endswith("and att = '{3}'")


def test_source__only_what_follows_a_truncate() -> None:
    assert "ev_id > 17" in source("I{id}").rows(17)
    assert "ev_id >" not in source("I{id}").rows(None)


def test_update__leaves_the_key_alone_when_equal_keys_are_the_same_bytes() -> None:
    text = sql(source("U{id,item}")).update(source("U{id,item}"))
    assert text is not None
    assert 'set "it""em" = w.r0c2::text from' in text
    inexact = Equality('operator("loose".=)', False, None)
    text = sql(source("U{id,item}"), equality=inexact).update(source("U{id,item}"))
    assert text is not None
    assert 'set "id" = w.k1, "it""em"' in text
    assert 't."id" operator("loose".=) w.k1' in text


def test_update__nothing_to_set_in_a_table_of_keys() -> None:
    assert sql(source("U{id}", mapping=KEY_ONLY)).update(source("U{id}", mapping=KEY_ONLY)) is None


def test_winners__keep_whole_rows_only_of_inserts_and_updates() -> None:
    deletes = source("D{id}", number=1, mapping=KEY_ONLY)
    text = sql(source("U{id,item}"), deletes).create_winners()
    assert "k1 integer" in text
    assert ", r0c2 text" in text
    assert "r1" not in text


def test_winners__are_the_parsed_events_where_no_key_has_two() -> None:
    text = replace(sql(source("I{id,item}", "U{id,item}"), source("D{id}", number=1, mapping=KEY_ONLY)), winners="")
    assert text.update(source("I{id,item}", "U{id,item}")) == (
        'update only "public"."entry" t set "it""em" = w.r0c2::text from pg_temp.parsed w '
        "where w.op <> 'D' and w.op <> 'I' and t.\"id\" operator(pg_catalog.=) w.k1"
    )
    assert "from pg_temp.parsed w" in text.insert_new(source("I{id,item}"))
    assert "pg_temp.parsed w where w.op = 'D'" in conflict_sql.delete(text)


def test_statements__have_no_condition_that_always_holds() -> None:
    only_updates = replace(sql(source("U{id,item}")), winners="")
    update = only_updates.update(source("U{id,item}"))
    assert update is not None
    assert update.endswith('from pg_temp.parsed w where t."id" operator(pg_catalog.=) w.k1')
    only_deletes = replace(sql(source("D{id}", mapping=KEY_ONLY)), winners="")
    deletes = conflict_sql.delete(only_deletes)
    assert deletes.endswith('pg_temp.parsed w where t."id" operator(pg_catalog.=) w.k1')
    two = sql(source("I{id,item}"), source("I{id,item,x}", number=1))
    assert "w.src = 1" in two.insert_new(source("I{id,item,x}", number=1))


def test_winners__use_the_collation_of_the_key() -> None:
    loose = Equality("operator(pg_catalog.=)", False, '"public"."nocase"')
    assert 'k1 text collate "public"."nocase"' in sql(source("I{id}"), equality=loose, kind="text").create_winners()


def test_careful_way__keeps_columns_of_the_subscriber_and_no_generated_ones() -> None:
    text = sql(source("U{id,item}"))
    assert text.extra_columns(source("U{id,item}")) == ["local"]
    assert "twice" not in text.create_saved() + text.save_and_delete() + text.insert_final(source("U{id,item}"))
    assert 'o."local"' in text.insert_final(source("U{id,item}"))
