"""The generated text of capture functions and triggers, without a server."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from londiste_lite import events
from londiste_lite.names import QualifiedName, quote_ident, quote_literal
from londiste_lite.triggers import event_text, function_text, trigger_text
from londiste_lite.triggers.capture_table import CaptureTable, Column, Route

PLAIN = CaptureTable(
    queue_id=3,
    queue="q",
    name=QualifiedName("public", "t"),
    relation=QualifiedName("public", "t"),
    oid=16384,
    root_oid=16384,
    key=(Column("id", 1, 1),),
)
ROUTED = dataclasses.replace(PLAIN, route=Route("column", "node"), route_columns=(Column("node", 2, 2),))
MANY = dataclasses.replace(ROUTED, route_many=True)
LEAF = dataclasses.replace(PLAIN, oid=16390, kind="leaf", relation=QualifiedName("public", "t1"))
INT8, TEXT, NUMERIC = 20, 25, 1700
NUMBER = dataclasses.replace(PLAIN, key=(Column("id", 1, 1, INT8),))
WORDS = dataclasses.replace(PLAIN, key=(Column("id", 1, 1, INT8), Column("word", 2, 2, TEXT)))
MIXED = dataclasses.replace(PLAIN, key=(Column("id", 1, 1, INT8), Column("n", 2, 2, NUMERIC)))
KINDS = (PLAIN, ROUTED, MANY, LEAF, NUMBER, WORDS, MIXED)
FOLLOWED = [dataclasses.replace(table, current_sequence=True) for table in KINDS]
ALL = [
    *KINDS,
    *FOLLOWED,
    dataclasses.replace(PLAIN, kind="root"),
    dataclasses.replace(LEAF, kind="branch"),
]

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=63)


def _without_quoted(body: str) -> str:
    """Return SQL text without its comments, literals and quoted identifiers."""
    return re.sub(r"--[^\n]*|E?'(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"", "''", body)


@pytest.mark.parametrize("table", ALL)
def test_body__every_function_type_and_operator_is_qualified(table: CaptureTable) -> None:
    keywords = ["array", "row", "coalesce", "select", "in", "exists", "and", "or", "not", "from", "into", "if"]
    keywords += ["elsif", "when", "all"]
    for function in trigger_text.functions(table):
        text = _without_quoted(function.body.replace("#variable_conflict use_column", ""))
        for name in re.findall(r"(?<![\w.])([a-z_]+)\s*\(", text):
            assert name in keywords or name.startswith("londiste_") or "event_3_" in text, name
        assert re.findall(r"::(?!pg_catalog\.)\w*", text) == []
        bare = re.sub(r"-\d+|OPERATOR\(pg_catalog\.[^)]+\)|:=|::|count\(\*\)|\.\*", "", text)
        assert re.findall(r"[=<>+*/~|!@#&^-]", bare) == [], bare
        assert not re.search(r"(?i)\bis (not )?distinct from\b|\bin \(\'|\bbetween\b|\bcase \w+ when\b|\blike\b", text)


@pytest.mark.parametrize("table", ALL)
def test_triggers__open_before_and_log_after(table: CaptureTable) -> None:
    found = {t.name: t for t in trigger_text.triggers(table)}
    for operation, letter in (("insert", "I"), ("update", "U"), ("delete", "D")):
        opener, logger = found[f"_londiste_3_{operation}_open"], found[f"_londiste_3_{operation}"]
        assert opener.before
        assert opener.argument == f"{letter}3.16384,"
        assert not logger.before
        assert logger.function == f"capture_3_{table.oid}_{operation}"
        # What the function compares with is what the opener writes.
        bodies = {f.name: f.body for f in trigger_text.functions(table)}
        assert f"'{opener.argument}'" in bodies[opener.function]
        assert f"'{opener.argument}'" in bodies[logger.function]
    assert ("_londiste_3_truncate" in found) == (table.kind != "branch")
    assert ("_londiste_3_truncate_open" in found) == (table.kind == "root")


def test_trigger_bits__as_the_server_counts_them() -> None:
    bits = {t.name.removeprefix("_londiste_3_"): t.type_bits for t in trigger_text.triggers(PLAIN)}
    assert bits == {
        "insert_open": 6,
        "insert": 4,
        "update_open": 18,
        "update": 16,
        "delete_open": 10,
        "delete": 8,
        "truncate": 32,
    }


def test_names__fit_into_63_bytes() -> None:
    table = dataclasses.replace(PLAIN, queue_id=2**31 - 1, oid=2**32 - 1)
    assert all(len(f.name) <= 63 for f in trigger_text.functions(table))
    assert all(len(t.name) <= 63 for t in trigger_text.triggers(table))


def test_function__is_private_and_definers_where_it_writes() -> None:
    for function in trigger_text.functions(PLAIN):
        opener = function.name.endswith("_open")
        assert f"security {'invoker' if opener else 'definer'} as" in function.sql
        assert function.private == f'revoke all on function londiste."{function.name}"() from public'


def test_route_of_an_expression__pins_the_search_path() -> None:
    table = dataclasses.replace(PLAIN, route=Route("expr", "lower(v)"), route_path="pg_catalog, pg_temp")
    assert all(
        ("set search_path = pg_catalog, pg_temp as" in f.sql) == f.definer for f in trigger_text.functions(table)
    )


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_array_text__reads_back(names: list[str]) -> None:
    assert events.parse_array(event_text.array_text(tuple(names))) == tuple(names)


@given(NAMES, NAMES)
def test_body__hostile_names_stay_quoted(column: str, table: str) -> None:
    capture = dataclasses.replace(
        PLAIN,
        name=QualifiedName("public", table),
        key=(Column(column, 2, 2),),
        route=Route("column", column),
        route_columns=(Column(column, 2, 2),),
    )
    body = function_text.delete_function(capture)
    assert f"row(londiste_row.{quote_ident(column)})" in body
    assert quote_literal(str(capture.name)) in body
    assert "'{2}'" in body


@pytest.mark.parametrize(
    ("nums", "text"), [((1,), None), ((1, 2), None), ((2, 1), "{2,1}"), ((1, 3), "{1,3}"), ((2,), "{2}")]
)
def test_attnums_text__only_where_not_the_first_in_order(nums: tuple[int, ...], text: str | None) -> None:
    assert event_text.attnums_text(tuple(Column("c", n, n) for n in nums)) == text


def test_deferrable_key__delete_looks_at_what_is_left() -> None:
    body = function_text.delete_function(dataclasses.replace(PLAIN, deferrable=True))
    assert " and false\n" in body


def test_plain_key__compared_by_its_values_and_written_as_it_is() -> None:
    def bodies(table: CaptureTable) -> tuple[str, str]:
        followed = dataclasses.replace(table, current_sequence=True)
        return function_text.update_function(followed), function_text.delete_function(followed)

    update, delete = bodies(NUMBER)
    assert 'where londiste_row."id" OPERATOR(pg_catalog.=) all (' in update
    assert "'{20}'::pg_catalog.oid[]" in update
    assert "pg_catalog.concat('(', londiste_row.\"id\", ')')" in delete
    assert "DateStyle" in update
    assert "DateStyle" not in delete
    update, delete = bodies(WORDS)
    assert 'where row(londiste_row."id", londiste_row."word" collate pg_catalog."C") OPERATOR' in update
    assert 'row(londiste_row."id", londiste_row."word")::pg_catalog.text' in delete
    for table in (PLAIN, MIXED, dataclasses.replace(NUMBER, route=ROUTED.route, route_columns=ROUTED.route_columns)):
        update, delete = bodies(table)
        assert '::pg_catalog.text collate pg_catalog."C" OPERATOR(pg_catalog.=) all (' in update
    assert "DateStyle" in bodies(MIXED)[1]
