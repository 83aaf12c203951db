"""Which events the provider can read with its table's row type, and how. What comes of it is tested on servers."""

from __future__ import annotations

import pytest

from londiste_lite.events import Shape, parse
from londiste_lite.names import QualifiedName
from londiste_lite.replay.compact import KeyColumn, Source, TableSql
from londiste_lite.replay.mapping import Field, Mapping
from londiste_lite.replay.stage import Group
from londiste_lite.replay.typed import TypedRead, full_shape, row_expression
from londiste_lite.structure import Column, Equality, Table

NAME = QualifiedName("public", "entry")


def column(attnum: int, name: str, generated: str = "") -> Column:
    return Column(attnum, name, "text", "text", True, False, "", generated)


def table(*columns: Column) -> Table:
    return Table(NAME, 1, "r", "p", ("id",), False, False, False, 0.0, columns)


def group(type_text: str, attnums: str | None = None) -> Group:
    operation, shape = parse(type_text, attnums)
    return Group(NAME, type_text, attnums, operation, shape, 10, 1, 10)


# A column between them was dropped, so that places and numbers differ.
THREE = table(column(1, "shop"), column(2, "id"), column(4, "item"))


def test_full_shape__lists_what_the_table_has_now() -> None:
    assert full_shape(THREE) == Shape(("shop", "id", "item"), (1, 2, 4))


def test_whole_rows_are_cast_as_they_are() -> None:
    found = row_expression(THREE, [group("I{shop,id,item}", "{1,2,4}"), group("U{shop,id,item}", "{1,2,4}")])
    assert found == 'ev_data::"public"."entry"'


def test_keys_are_made_whole_rows_where_they_are_neighbours() -> None:
    found = row_expression(THREE, [group("D{id}", "{2}")])
    assert found is not None
    assert "concat('(,', " in found
    assert ", ',)')" in found
    assert "case" not in found
    both = row_expression(THREE, [group("D{shop,id}"), group("U{shop,id,item}", "{1,2,4}")])
    assert both is not None
    assert "concat('(', " in both
    assert both.startswith("(case when pg_catalog.left(ev_type, 1) = 'D' then ")


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([group("I{shop,id,gone,item}")], id="a column was dropped since"),
        pytest.param([group("I{shop,id}")], id="a column was added since"),
        pytest.param([group("I{shop,id,thing}", "{1,2,4}")], id="a column was renamed since"),
        pytest.param([group("I{shop,id,item}", "{1,2,3}")], id="dropped and added again under its name"),
        pytest.param([group("D{item,shop}", "{4,1}")], id="keys that are no neighbours"),
        pytest.param([group("D{id}", "{2}"), group("D{shop,id}")], id="two kinds of keys"),
        pytest.param([group("I{id,shop,item}", "{2,1,4}")], id="another order, as of a partition"),
    ],
)
def test_events_of_another_definition_are_not_read(groups: list[Group]) -> None:
    assert row_expression(THREE, groups) is None


def test_a_table_with_generated_columns_is_not_read_this_way() -> None:
    assert row_expression(table(column(1, "id"), column(2, "twice", "s")), [group("I{id}")]) is None


def test_keys_are_not_made_whole_where_a_column_may_refuse_null() -> None:
    domain = table(column(1, "id"), Column(2, "item", "filled", "filled", False, False, "", ""))
    assert row_expression(domain, [group("D{id}")]) is None
    assert row_expression(domain, [group("U{id,item}")]) is not None


def test_columns_are_named_by_place_and_sent_in_the_order_of_the_parsed_events() -> None:
    _, number, item = THREE.columns
    mapping = Mapping((Field("text", None, None), Field("text", number, None), Field("text", item, None)))
    source = Source(0, str(NAME), ("U{shop,id,item}",), "{1,2,4}", mapping, "pg_temp.row")
    key = (KeyColumn("id", "text", Equality("operator(pg_catalog.=)", True, None)),)
    sql = TableSql(table(number, item), key, (source,), None, "pg_temp.parsed")
    read = TypedRead(THREE, mapping, "ev_data::x")
    assert read.parsed(sql) == "ev_id, op, c2, c3"
    assert sql.copy_parsed() == "copy pg_temp.parsed (ev_id, op, k1, r0c3) from stdin"
    assert read.rows() == "c2, c3"
    assert sql.copy_all(source) == 'copy "public"."entry" ("id", "item") from stdin'
    assert read.source("select 1").endswith("e (ev_id, op, c1, c2, c3)")
