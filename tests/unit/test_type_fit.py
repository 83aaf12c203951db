"""Which type changes lose values."""

from __future__ import annotations

import pytest

from londiste_lite.preflight.type_fit import narrower


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("bigint", "integer"),
        ("integer", "smallint"),
        ("numeric(10,2)", "integer"),
        ("double precision", "bigint"),
        ("double precision", "real"),
        ("numeric", "numeric(5,2)"),
        ("numeric(8,2)", "numeric(8,3)"),
        ("numeric(8,2)", "numeric(8,1)"),
        ("integer", "numeric(3,0)"),
        ("text", "character varying(10)"),
        ("character varying(11)", "character varying(10)"),
        ("character varying", "character(4)"),
        ("timestamp(3) without time zone", "timestamp(0) without time zone"),
        ("timestamp with time zone", "date"),
        ("bit varying(9)", "bit varying(8)"),
    ],
)
def test_narrower__loses(source: str, target: str) -> None:
    assert narrower(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("integer", "bigint"),
        ("integer", "numeric"),
        ("real", "double precision"),
        ("numeric(8,2)", "numeric(9,2)"),
        ("numeric(8,2)", "numeric"),
        ("character varying(10)", "character varying(11)"),
        ("character varying(10)", "text"),
        ("json", "jsonb"),
        ("date", "timestamp without time zone"),
        ("timestamp(0) without time zone", "timestamp(3) without time zone"),
        ("public.something", "integer[]"),
    ],
)
def test_narrower__keeps(source: str, target: str) -> None:
    assert narrower(source, target) is None
