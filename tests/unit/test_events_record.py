"""Reading the text of a row."""

from __future__ import annotations

import pytest

from londiste_lite.events import UnknownEvent, parse_record


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("(1,two)", ("1", "two")),
        ("(,)", (None, None)),
        ("()", (None,)),
        ('(1,"")', ("1", "")),
        ('("a ""b"" \\\\ c",",")', ('a "b" \\ c', ",")),
        ('("(1,""x"")")', ('(1,"x")',)),
    ],
)
def test_parse_record(text: str, fields: tuple[str | None, ...]) -> None:
    assert parse_record(text) == fields


def test_parse_record__of_something_else() -> None:
    with pytest.raises(UnknownEvent):
        parse_record("1,2")
