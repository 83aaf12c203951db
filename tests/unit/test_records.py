"""Which events travel as lines of CSV, and how. What comes of it is tested on servers."""

from __future__ import annotations

import csv
import io
import random

import pytest

from londiste_lite.events import parse, parse_record
from londiste_lite.names import QualifiedName
from londiste_lite.replay.compact import KeyColumn, Source, TableSql
from londiste_lite.replay.mapping import Field, Mapping
from londiste_lite.replay.records import MOST_HELD, RecordLines, Unreadable, record_read
from londiste_lite.replay.stage import Group, is_like, surviving
from londiste_lite.structure import Column, Equality, Table

NAME = QualifiedName("public", "entry")
FIELDS = "pg_catalog.btrim(ev_data, '()')"
BEHIND = "pg_catalog.right(ev_data, -1)"


def group(type_text: str, attnums: str | None = None, first: int = 1, last: int = 10) -> Group:
    operation, shape = parse(type_text, attnums)
    return Group(NAME, type_text, attnums, operation, shape, 10, first, last)


def test_rows_of_one_shape_are_sent_as_they_are() -> None:
    found = record_read([group("I{shop,id,item}", "{1,2,4}"), group("U{shop,id,item}", "{1,2,4}")])
    assert found is not None
    assert found.rows == "ev_data"
    assert found.numbered == f"'(' || ev_id::text || ',' || pg_catalog.left(ev_type, 1) || ',' || {BEHIND}"
    alone = record_read([group("D{id}")])
    assert alone is not None
    assert alone.numbered == f"'(' || ev_id::text || ',' || 'D' || ',' || {BEHIND}"


@pytest.mark.parametrize(
    ("keys", "before", "behind"), [("{shop,id}", 0, 1), ("{id}", 1, 1), ("{item}", 2, 0), ("{shop,id,item}", 0, 0)]
)
def test_keys_get_the_places_of_the_columns_that_they_lack(keys: str, before: int, behind: int) -> None:
    numbers = {"{shop,id}": "{1,2}", "{id}": "{2}", "{item}": "{4}", "{shop,id,item}": "{1,2,4}"}
    found = record_read([group(f"D{keys}", numbers[keys]), group("U{shop,id,item}", "{1,2,4}")])
    assert found is not None
    padded = f"case when pg_catalog.left(ev_type, 1) = 'D' then '({',' * before}' || {FIELDS} || '{',' * behind})'"
    assert found.record == (f"{padded} else ev_data end" if before or behind else "ev_data")


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([group("I{shop,id,item}"), group("U{shop,id}")], id="a column was dropped meanwhile"),
        pytest.param([group("I{id,item}"), group("I{item,id}", "{2,1}")], id="another order, as of a partition"),
        pytest.param([group("I{id,item}"), group("D{item,id}", "{2,1}")], id="keys in another order"),
        pytest.param([group("I{shop,id,item}"), group("D{shop,item}", "{1,3}")], id="keys that are no neighbours"),
        pytest.param([group("I{id,item}"), group("D{shop}", "{7}")], id="a key that the rows do not have"),
        pytest.param([group("I{id,item}"), group("D{key}")], id="a key that was renamed meanwhile"),
        pytest.param([group("D{id}"), group("D{shop,id}", "{2,1}")], id="two kinds of keys"),
        pytest.param([], id="no rows at all"),
    ],
)
def test_events_of_several_shapes_are_not_sent(groups: list[Group]) -> None:
    assert record_read(groups) is None


def test_only_what_comes_after_a_truncate_counts() -> None:
    before, across = group("I{id}", last=15), group("U{id}", last=30)
    truncate = group("R", first=12, last=20)
    assert surviving([before, truncate, across]) == (20, [across])
    assert surviving([before, across]) == (None, [before, across])
    assert surviving([truncate]) == (20, [])


def test_a_guard_names_all_kinds() -> None:
    kinds = [group("I{id,item}", "{1,3}"), group("U{id,item}", "{1,3}"), group("D{id}")]
    assert is_like(kinds) == (
        "ev_extra1 = 'public.entry' and (ev_type in ('I{id,item}', 'U{id,item}') and ev_extra2 = '{1,3}' "
        "or ev_type in ('D{id}') and ev_extra2 is null)"
    )


def test_fields_go_where_their_columns_are() -> None:
    number, item = (Column(n, c, "text", "text", True, False, "", "") for n, c in ((2, "id"), (4, "item")))
    mapping = Mapping((Field("text", item, None), Field("text", number, None)))
    source = Source(0, str(NAME), ("U{item,id}",), None, mapping, "pg_temp.row")
    key = (KeyColumn("id", "text", Equality("operator(pg_catalog.=)", True, None)),)
    table = Table(NAME, 1, "r", "p", ("id",), False, False, False, 0.0, (number, item))
    sql = TableSql(table, key, (source,), None, "pg_temp.parsed")
    assert sql.copy_parsed(numbered=False) == "copy pg_temp.parsed (r0c1, k1) from stdin (format csv)"
    assert sql.copy_parsed(numbered=True) == "copy pg_temp.parsed (ev_id, op, r0c1, k1) from stdin (format csv)"
    assert sql.copy_all(source) == 'copy "public"."entry" ("item", "id") from stdin (format csv)'


def record_text(values: list[str | None]) -> str:
    """A row's text as the server prints it."""

    def field(value: str | None) -> str:
        if value is None:
            return ""
        if value and not any(c in '"\\(),' or c.isspace() for c in value):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '""') + '"'

    return f"({','.join(field(v) for v in values)})"


def copied_out(lines: list[str]) -> bytes:
    """What COPY with `TO_LINES` makes of lines."""
    text = ""
    for line in lines:
        special = any(c in line for c in "\x01\x02\r\n")
        text += ("\x01" + line.replace("\x01", "\x01\x01") + "\x01" if special else line) + "\n"
    return text.encode()


def turned(data: bytes, sizes: random.Random) -> bytes:
    lines, position, found = RecordLines(NAME), 0, b""
    while position < len(data):
        size = sizes.randint(1, 9)
        found += lines.turn(data[position : position + size])
        position += size
    return found + lines.turn(b"")


def test_lines__read_back_as_the_values_wherever_they_are_cut() -> None:
    chance = random.Random(7)
    for _ in range(4000):
        letters = chance.choice(['a,é"\\()\n\r\x02 \t', "()\n", "ab()", "\\)\n"])
        rows = [
            [
                None if chance.random() < 0.1 else "".join(chance.choice(letters) for _ in range(length))
                for length in chance.choices(range(9), k=3)
            ]
            for _ in range(chance.randint(0, 4))
        ]
        texts = [record_text(row) for row in rows]
        assert [list(parse_record(text)) for text in texts] == rows
        data = turned(copied_out([f"({n},{text[1:]}" for n, text in enumerate(texts)]), chance)
        read = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        # Python's reader does not tell an empty text from NULL.
        assert list(read) == [[str(n), *(value or "" for value in row)] for n, row in enumerate(rows)]


def test_lines__have_no_parentheses_and_no_doubled_backslashes() -> None:
    chance = random.Random(3)
    for _ in range(200):
        assert turned(copied_out(["(1,a)", '(2,"\n)\n(\\\\")', '("\n")', "()", '(")")']), chance) == (
            b'1,a\n2,"\n)\n(\\"\n"\n"\n\n")"\n'
        )


@pytest.mark.parametrize("value", ["\x01", "a\x01b", "\x01\x01", "\n\x01", "\\\x01\\", ")\n\x01", "\x01\n\x01("])
def test_lines__with_the_quote_character_in_a_value_are_refused(value: str) -> None:
    chance = random.Random(1)
    for _ in range(200):
        with pytest.raises(Unreadable) as found:
            turned(copied_out(["(0,a)", record_text(["x", value]), "(2,b)"]), chance)
        assert found.value.table == NAME


@pytest.mark.parametrize("odd", ["", "1,a", "(1,a", "1,a)"])
def test_lines__that_are_no_records_are_refused(odd: str) -> None:
    """Nothing that capture writes; taken for a record it would change the values of its neighbours."""
    chance = random.Random(1)
    for place in range(3):
        lines = ["(0,a)", "(2,b)"]
        lines.insert(place, odd)
        for _ in range(50):
            with pytest.raises(Unreadable):
                turned(copied_out(lines), chance)


def test_lines__that_end_in_the_middle_are_refused() -> None:
    lines = RecordLines(NAME)
    assert lines.turn(b"(1,a)\n\x01(") == b"1,a\n"
    with pytest.raises(Unreadable):
        lines.turn(b"")


def test_lines__grow_by_no_more_than_was_held() -> None:
    chance = random.Random(5)
    for _ in range(500):
        lines = RecordLines(NAME)
        data = copied_out([record_text(["".join(chance.choice("()\n\\a") for _ in range(9))]) for _ in range(4)])
        for start in range(0, len(data), size := chance.randint(1, 12)):
            assert len(lines.turn(data[start : start + size])) <= size + MOST_HELD
