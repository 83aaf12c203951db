"""Python 2's INI rules, as old files use them."""

from __future__ import annotations

import pytest

from londiste_lite import ini_text
from londiste_lite.ini_text import BadReference


def section(body: str) -> dict[str, str]:
    found = ini_text.parse("[s]\n" + body)
    assert found.problems == []
    return found.sections["s"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a = 1 ; comment", {"a": "1"}),
        ("a = 1\t; comment", {"a": "1"}),
        ("a = x;y", {"a": "x;y"}),
        ("a = 1 # no comment", {"a": "1 # no comment"}),
        ("a = ; all of it", {"a": ""}),
        ("a = x;y ; c", {"a": "x;y"}),
        ("a = 1 ; rem [not] a section ; d", {"a": "1"}),
        ('a = "" ; none', {"a": ""}),
        ("a = b%(x)s", {"a": "b%(x)s"}),
        ("a = 1\na = 2", {"a": "2"}),
        ('a = ""', {"a": ""}),
        ('a = "x"', {"a": '"x"'}),
        ("a: 1", {"a": "1"}),
        ("a = b:c=d", {"a": "b:c=d"}),
        ("a:b=c", {"a": "b=c"}),
        ("KEY = Value", {"key": "Value"}),
        ("two words = 1", {"two words": "1"}),
        ("rem = 5\nREM x\na = 1", {"a": "1"}),
        ("remote = 5", {"remote": "5"}),
        ("# c\n; c\na = 1", {"a": "1"}),
        ("a = 1\n  two\n\tthree", {"a": "1\ntwo\nthree"}),
        ("a = 1\n  # part of it\n  two", {"a": "1\n# part of it\ntwo"}),
        ("a = 1\n# comment\n\n  two", {"a": "1\ntwo"}),
        ("a = 1\n  b = 2", {"a": "1\nb = 2"}),
        ("  a = 1\n  b = 2\n    c", {"a": "1", "b": "2\nc"}),
        ("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
        ("a=1\rb=2", {"a": "1", "b": "2"}),
        ("a =\n  x", {"a": "\nx"}),
        ("a = x\x0by\u2028z", {"a": "x\x0by\u2028z"}),
    ],
)
def test_values__as_python_2_read_them(body: str, expected: dict[str, str]) -> None:
    assert section(body) == expected


def test_sections__named_twice_are_joined() -> None:
    found = ini_text.parse("[s]\na=1\nb=1\n[t]\nc=3\n[s]\nb=2\n[DEFAULT]\nd=4\n")
    assert found.sections == {"s": {"a": "1", "b": "2"}, "t": {"c": "3"}}
    assert found.defaults == {"d": "4"}


@pytest.mark.parametrize(
    "line", ["[s]", "[s] ; c", "[s] # c", "[s] ; was [old] once", "[s]]", "[s] [t]", "[ s ]", "[s]\t"]
)
def test_section__ends_at_its_first_bracket(line: str) -> None:
    assert ini_text.parse(f"# c\n\n{line}\na = 1\n").sections == {"s": {"a": "1"}}


def test_problems__all_of_them_with_their_lines() -> None:
    found = ini_text.parse("early = 1\nmore = 2\n[s]\nword\n= x\na = 1\n")
    assert found.sections == {"s": {"a": "1"}}
    assert found.problems == [
        'line 1: expected a "[section]" line first, got "early.."',
        'line 4: expected "key = value", got "word"',
        'line 5: expected "key = value", got ".."',
    ]


def test_problems__a_password_out_of_place_is_not_shown() -> None:
    found = ini_text.parse("password=secret\n[s]\nhost x password=\n")
    assert "secret" not in "".join(found.problems)


def test_decode__bom_and_latin_1() -> None:
    assert ini_text.decode(b"\xef\xbb\xbf[s]") == "[s]"
    assert ini_text.decode("käse".encode("latin-1")) == "käse"
    assert ini_text.decode("käse".encode()) == "käse"
    with pytest.raises(ValueError, match="NUL"):
        ini_text.decode("[s]".encode("utf-16"))


VALUES = {"a": "1", "b": "%(a)s%(A)s", "loop": "%(pool)s", "pool": "%(loop)s", "bomb": "%(bomb2)s" * 40}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("%(a)s.pid", "1.pid"),
        ("%(b)s", "11"),
        ("%( A )s", "1"),
        ("100%%", "100%"),
        ("%%(a)s", "%(a)s"),
        ("p%40x", "p%40x"),
        ("%", "%"),
    ],
)
def test_expand(value: str, expected: str) -> None:
    assert ini_text.expand(value, VALUES) == expected


@pytest.mark.parametrize("value", ["%(nope)s", "%(loop)s", "%(a", "%(a)d"])
def test_expand__refuses(value: str) -> None:
    with pytest.raises(BadReference):
        ini_text.expand(value, VALUES)


def test_expand__a_value_that_grows_without_end_is_refused() -> None:
    values = {f"k{n}": f"%(k{n + 1})s" * 40 for n in range(9)} | {"k9": "x" * 40}
    with pytest.raises(BadReference, match="too long"):
        ini_text.expand("%(k0)s", values)
