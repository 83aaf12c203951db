"""What the text of a captured event says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from londiste_lite import events
from londiste_lite.events import Shape, UnknownEvent


@pytest.mark.parametrize("letter", ["I", "U", "D"])
def test_parse__row_change(letter: str) -> None:
    assert events.parse(letter + "{id,item}", None) == (letter, Shape(("id", "item"), (1, 2)))


def test_parse__columns_that_are_not_the_first_ones() -> None:
    assert events.parse("U{id,item}", "{1,4}") == ("U", Shape(("id", "item"), (1, 4)))


def test_parse__generated_column_keeps_its_place() -> None:
    assert events.parse('I{id,NULL,"null"}', None) == ("I", Shape(("id", None, "null"), (1, 2, 3)))


@pytest.mark.parametrize("text", ["R", "R{}", "R{id,item}"])
def test_parse__truncate(text: str) -> None:
    assert events.parse(text, None) == ("R", Shape((), ()))


@pytest.mark.parametrize("text", ["", "X", "X{id}", "I", "insert", "I:id", "I{id", "I{id}x", 'I{"id}', "Rx", "{id}"])
def test_parse__what_no_capture_trigger_writes(text: str) -> None:
    with pytest.raises(UnknownEvent):
        events.parse(text, None)


def test_parse__numbers_that_do_not_fit_the_names() -> None:
    with pytest.raises(UnknownEvent):
        events.parse("I{a,b}", "{1}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ()),
        ("{a}", ("a",)),
        ('{"a,b","c\\"d","e\\\\f",""}', ("a,b", 'c"d', "e\\f", "")),
        ("{NULL,null}", (None, None)),
        ('{"NULL"}', ("NULL",)),
        ('{"{x}"," "}', ("{x}", " ")),
    ],
)
def test_array__as_the_server_prints_it(text: str, expected: tuple[str | None, ...]) -> None:
    assert events.parse_array(text) == expected


def _printed(values: list[str | None]) -> str:
    """The text form of a text[], by the rules in PostgreSQL's documentation of array output."""

    def one(value: str | None) -> str:
        if value is None:
            return "NULL"
        if value and value.upper() != "NULL" and not set(value) & set('{}",\\ \t\n\r\v\f'):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(one(value) for value in values) + "}"


@settings(derandomize=True, max_examples=300)
@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)))
def test_array__any_names_are_read_back(values: list[str | None]) -> None:
    assert events.parse_array(_printed(values)) == tuple(values)
