"""Where the columns of an event go."""

from __future__ import annotations

import pytest

from londiste_lite.errors import SchemaDrift
from londiste_lite.events import Shape
from londiste_lite.names import QualifiedName
from londiste_lite.replay.mapping import Mapping, map_shape
from londiste_lite.structure import Column, Table


def column(attnum: int, name: str, kind: str = "text", *, builtin: bool = True, generated: str = "") -> Column:
    base = kind.partition("(")[0]
    return Column(attnum, name, kind, base, builtin, False, "", generated)


def table(*columns: Column, name: str = "entry") -> Table:
    return Table(QualifiedName("public", name), 1, "r", "p", ("id",), False, False, False, 0.0, columns)


ID, ITEM, PRICE = column(1, "id", "integer"), column(2, "item"), column(3, "price", "numeric(8,2)")
PLAIN = table(ID, ITEM, PRICE)


def goes(found: Mapping) -> list[str | None]:
    return [field.column.name if field.column else None for field in found.fields]


def test_map__same_table_on_both_sides() -> None:
    found = map_shape(Shape(("id", "item", "price"), (1, 2, 3)), PLAIN, PLAIN)
    assert goes(found) == ["id", "item", "price"]
    assert found.columns == ("id", "item", "price")
    assert [field.cast for field in found.fields] == [None, None, None]


def test_map__other_order_and_extra_columns() -> None:
    subscriber = table(
        column(1, "price", "numeric(8,2)"), column(2, "local"), column(3, "id", "integer"), column(4, "item")
    )
    found = map_shape(Shape(("id", "item", "price"), (1, 2, 3)), subscriber, PLAIN)
    assert goes(found) == ["id", "item", "price"]
    assert found.position("price") == 3
    with pytest.raises(KeyError):
        found.position("local")


def test_map__other_builtin_type_is_read_as_the_provider_has_it_and_cast_without_length() -> None:
    subscriber = table(column(1, "id", "bigint"), column(2, "item", "character varying(5)"))
    found = map_shape(Shape(("id", "item"), (1, 2)), subscriber, PLAIN)
    assert [(field.type, field.cast) for field in found.fields] == [
        ("integer", "bigint"),
        ("text", "character varying"),
    ]


def test_map__type_of_an_extension_is_read_by_the_subscriber() -> None:
    provider = table(ID, column(2, "item", "mood", builtin=False))
    found = map_shape(Shape(("id", "item"), (1, 2)), PLAIN, provider)
    assert (found.fields[1].type, found.fields[1].cast) == ("text", None)


@pytest.mark.parametrize("generated", ["s", "v"])
def test_map__generated_columns_go_nowhere(generated: str) -> None:
    subscriber = table(ID, column(2, "item", generated=generated))
    assert goes(map_shape(Shape(("id", "item"), (1, 2)), subscriber, PLAIN)) == ["id", None]
    assert goes(map_shape(Shape(("id", None), (1, 2)), PLAIN, PLAIN)) == ["id", None]


def test_rename__followed_by_its_number_in_every_order() -> None:
    renamed = table(ID, column(2, "label"), PRICE)
    old, new = Shape(("id", "item"), (1, 2)), Shape(("id", "label"), (1, 2))
    assert goes(map_shape(old, PLAIN, renamed)) == ["id", "item"], "provider renamed, subscriber not yet"
    assert goes(map_shape(old, renamed, renamed)) == ["id", "label"], "both renamed, an old event"
    assert goes(map_shape(new, renamed, renamed)) == ["id", "label"]
    with pytest.raises(SchemaDrift) as drift:
        map_shape(new, PLAIN, renamed)
    assert drift.value.hint is not None
    assert 'RENAME COLUMN "item" TO "label"' in drift.value.hint


def test_drop__on_the_provider_first_writes_what_it_still_may() -> None:
    dropped = table(ID, PRICE)
    old = Shape(("id", "item", "price"), (1, 2, 3))
    assert goes(map_shape(old, PLAIN, dropped)) == ["id", "item", "price"]
    assert goes(map_shape(old, dropped, dropped)) == ["id", None, "price"]


def test_drop__on_the_subscriber_first_waits() -> None:
    with pytest.raises(SchemaDrift, match="lacks columns"):
        map_shape(Shape(("id", "item"), (1, 2)), table(ID, PRICE), PLAIN)


def test_drop_and_add__an_old_value_does_not_go_into_a_new_column() -> None:
    anew = table(ID, PRICE, column(4, "item"))
    assert goes(map_shape(Shape(("id", "item"), (1, 2)), anew, anew)) == ["id", None]
    assert goes(map_shape(Shape(("id", "item"), (1, 4)), anew, anew)) == ["id", "item"]


def test_add__names_the_missing_ddl() -> None:
    provider = table(
        *PLAIN.columns, column(4, "Two Words", "numeric(8,2)"), column(5, 'q"', "integer[]"), name="source"
    )
    with pytest.raises(SchemaDrift) as drift:
        map_shape(Shape(("id", "Two Words", 'q"'), (1, 4, 5)), PLAIN, provider)
    assert drift.value.table == "public.source"
    assert (drift.value.hint or "").startswith(
        'Run on the subscriber: ALTER TABLE "public"."entry" ADD COLUMN "Two Words" numeric(8,2); '
        'ALTER TABLE "public"."entry" ADD COLUMN "q""" integer[]; Rows that do not change get their values'
    )


def test_provider_unknown__names_decide() -> None:
    assert goes(map_shape(Shape(("id", "item"), (1, 9)), PLAIN, None)) == ["id", "item"]
    with pytest.raises(SchemaDrift):
        map_shape(Shape(("id", "nothing"), (1, 2)), PLAIN, None)
