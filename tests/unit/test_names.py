"""Names as data: parsing, quoting, globs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from londiste_lite.names import QualifiedName, matches, nearest, nearest_name, quote_array, quote_ident, quote_literal

parts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=63)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("entry", "public", "entry"),
        ("sales.entry", "sales", "entry"),
        ("sales.a.b", "sales", "a.b"),
        ("Sales.My Table", "Sales", "My Table"),
        ('"my.schema"."t""x"', "my.schema", 't"x'),
        ('we"ird', "public", 'we"ird'),
        ("select", "public", "select"),
    ],
)
def test_parse(text: str, schema: str, name: str) -> None:
    assert QualifiedName.parse(text) == QualifiedName(schema, name)


@pytest.mark.parametrize("text", ["", ".", "a.", ".b", "a\0b"])
def test_parse__refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a table or sequence name"):
        QualifiedName.parse(text)


@given(parts, parts)
def test_text_form__reads_back_as_the_same_name(schema: str, name: str) -> None:
    found = QualifiedName(schema, name)
    assert QualifiedName.parse(str(found)) == found


@given(parts)
def test_quote_ident__one_identifier_whatever_is_in_it(name: str) -> None:
    quoted = quote_ident(name)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")
    assert quoted[1:-1].replace('""', '"') == name


@pytest.mark.parametrize("name", ["", "a\0"])
def test_quote_ident__refuses(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quote_ident(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "null"), ("it's", "'it''s'"), ("a\\b", "E'a\\\\b'"), ("a\\'b", "E'a\\\\''b'"), ("", "''")],
)
def test_quote_literal(value: str | None, expected: str) -> None:
    assert quote_literal(value) == expected


def test_quote_array() -> None:
    assert quote_array(["a", "b'c"]) == "array['a', 'b''c']::pg_catalog.text[]"
    assert quote_array([]) == "array[]::pg_catalog.text[]"


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "public.a", True),
        ("*", "sales.a", False),
        ("*.*", "sales.a", True),
        ("sales.*", "sales.a.b", True),
        ("s?les.e*", "sales.entry", True),
        ("e.try", "e.try", True),
        ("entry.", "public.entry", None),
        ("ent?y", "public.entry", True),
        ("ent?y", "public.entrry", False),
        ("a.+", "a.bb", False),
        ("a+*", "public.aab", False),
        ("ENTRY", "public.entry", False),
    ],
)
def test_matches(pattern: str, name: str, expected: bool | None) -> None:
    found = QualifiedName.parse(name)
    if expected is None:
        with pytest.raises(ValueError, match="name"):
            matches(pattern, found)
    else:
        assert matches(pattern, found) is expected


def test_nearest() -> None:
    assert nearest("subscribr", ["provider", "subscriber"]) == ["subscriber"]
    assert nearest("zzz", ["provider"]) == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("entyr", "public.entry"),
        ("orders", "sales.orders"),
        ("salse.orders", "sales.orders"),
        ("mixed", "public.Mixed"),
        ("Entyr", "public.Entry"),
        ("public.big", None),  # the schema alone makes no name alike
        ("sales.entr", "sales.entries"),
    ],
)
def test_nearest_name(typed: str, expected: str | None) -> None:
    known = ["public.Entry", "public.entry", "public.Mixed", "public.nopk", "sales.orders", "sales.entries"]
    found = nearest_name(QualifiedName.parse(typed), [QualifiedName.parse(name) for name in known])
    assert (None if found is None else str(found)) == expected
