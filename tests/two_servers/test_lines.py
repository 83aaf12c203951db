"""Events that travel as lines of CSV: each value arrives, and what cannot travel this way takes another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from londiste_lite import service
from londiste_lite.names import TableName
from londiste_lite.replay.compact import TableSql
from londiste_lite.replay.fetch import RecordStream
from londiste_lite.replay.records import RecordRead
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.pair import Pair, every_version
from tests.two_servers.test_types import kinds_table

TEXTS = [
    "''",
    r"'\.'",
    r"E'\\.\n\\.\n'",
    r"E'one\ntwo'",
    r"E'\r'",
    r"E'one\r\ntwo\n\nthree\n'",
    r"E'\x02'",
    r"E'\x02\n\x03'",
    r"E'\t,\\t'",
    r"E'\\'",
    r"E'\\\\\\'",
    r"E'\\\n\\'",
    "'\"'",
    "'\"\"'",
    r"E'\"\\\"'",
    "'(x)'",
    "'('",
    "')'",
    "',,'",
    "' '",
    "'NULL'",
    r"'\N'",
    "'ünï ☃ 𝄞 ❤'",
    "repeat(E'long \\\\ \\n', 30000)",
]

_VALUES = ", ".join(f"({n}, {text})" for n, text in enumerate(TEXTS))
VIEW = f"create view texts as select * from (values {_VALUES}) v (n, u)"


def once(pair: Pair) -> None:
    service.run_once(replace(pair.settings, few_events=0), StopFlag())


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables whose events were sent as lines."""
    found: list[str] = []
    copy = RecordStream.copy

    def noted(
        self: RecordStream, table: TableName, read: RecordRead, line: str, more: Sequence[str], copy_in: str
    ) -> int:
        found.append(str(table))
        return copy(self, table, read, line, more, copy_in)

    monkeypatch.setattr(RecordStream, "copy", noted)
    return found


@every_version
def test_lines__of_every_type(pair: Pair, streamed: list[str]) -> None:
    ddl, rows, count = kinds_table()
    pair.setup_table(ddl, "kinds")
    once(pair)
    listed = ", ".join(f"c{n} = s.c{n}" for n in range(count))
    for change in (
        *["; ".join(f"insert into kinds values ({number}, {row})" for number, row in enumerate(rows))],
        f"update kinds k set {listed} from kinds s where s.id = {len(rows) - 1} - k.id",
        "update kinds set id = id + 1000 where id % 2 = 0; delete from kinds where id % 5 = 0",
        "delete from kinds",
    ):
        streamed.clear()
        pair.provider.script(change)
        once(pair)
        assert streamed == ["public.kinds"], change
        pair.assert_equal("kinds")
        assert pair.conflicts("kinds") == 0


@every_version
def test_lines__of_awkward_texts(pair: Pair, streamed: list[str]) -> None:
    pair.setup_table("create table entry (t text primary key, n int, u text)", "entry")
    pair.provider.script(VIEW)
    once(pair)
    for change in (
        "insert into entry select left(u, 99), n, u from texts",
        "insert into entry select n::text || 'n', n, null from texts",
        "update entry set u = u || t || u",
        "update entry set u = reverse(u), n = n + 1 where n % 2 = 0",
        "update entry set u = 'changed'; delete from entry where n % 3 = 1",
        "delete from entry",
    ):
        streamed.clear()
        pair.provider.script(change)
        once(pair)
        assert streamed == ["public.entry"], change
        pair.assert_equal("entry")
        assert pair.conflicts("entry") == 0


@every_version
def test_lines__of_awkward_texts_alone(pair: Pair, streamed: list[str]) -> None:
    pair.setup_table("create table word (word text primary key)", "word")
    pair.provider.script(VIEW)
    once(pair)
    pair.provider.script("insert into word select u from texts where length(u) < 99")
    once(pair)
    pair.assert_equal("word")
    pair.provider.script("delete from word")
    once(pair)
    pair.assert_equal("word")
    assert streamed == ["public.word"] * 2
    assert pair.conflicts("word") == 0


@pytest.mark.parametrize("place", ["insert", "update"])
def test_lines__with_the_quote_character_in_a_text_go_another_way(
    pair: Pair, streamed: list[str], place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "londiste_lite")
    pair.setup_table("create table entry (id int primary key, t text)", "entry")
    pair.setup_table("create table other (id int primary key, t text)", "other")
    once(pair)
    pair.provider.script("insert into entry select n, 'text ' || n from generate_series(1, 5000) n")
    once(pair)
    bad = {
        "insert": r"insert into entry values (-1, E'a\x01b')",
        "update": r"update entry set t = E'\x01' where id = 7",
    }
    pair.provider.script(f"{bad[place]}; update entry set t = 'new' where id > 10; insert into other values (1, 'x')")
    streamed.clear()
    once(pair)
    assert "holds the character 0x01: its events are staged as text" in caplog.text
    assert "batch failed" not in caplog.text
    assert streamed.count("public.entry") == 1
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0


def test_lines__are_not_tried_again_for_a_table_that_has_the_quote_character(pair: Pair, streamed: list[str]) -> None:
    pair.setup_table("create table entry (id int primary key, t text)", "entry")
    pair.start(few_events=0)
    pair.wait()
    streamed.clear()
    for number in range(3):
        pair.provider.script(rf"insert into entry values ({number}, E'\x01')")
        pair.wait()
    assert len(streamed) == 1
    pair.assert_equal("entry")


@pytest.mark.parametrize("key", ["a", "b, c", "c", "b, d", "d, a"])
def test_lines__of_all_operations_with_the_key_anywhere(pair: Pair, streamed: list[str], key: str) -> None:
    pair.setup_table(
        "create domain filled as text check (value <> '') not null;"
        f"create table entry (a int not null, b text, c filled, d int, e text not null, primary key ({key}))",
        "entry",
    )
    once(pair)
    pair.provider.script("insert into entry select n, 'b' || n, 'c' || n, n, 'e' from generate_series(1, 300) n")
    once(pair)
    streamed.clear()
    pair.provider.script(
        "update entry set e = 'f' where a % 2 = 0; delete from entry where a % 3 = 0;"
        "insert into entry select n, 'b' || n, 'c' || n, n, 'e' from generate_series(301, 400) n;"
        "update entry set e = 'g', b = b || '!' where a > 350; delete from entry where a > 390"
    )
    once(pair)
    # Fields of a key in another order than the table's cannot be told from it.
    assert streamed == (["public.entry"] if key in ("a", "b, c", "c") else [])
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


def test_lines__of_columns_in_another_order_and_of_other_types(pair: Pair, streamed: list[str]) -> None:
    other = "create table entry (n bigint, more text default 'own', yes text, id int primary key, at date)"
    pair.setup_table(
        "create table entry (id int primary key, yes bool, at timestamptz, n int)", "entry", other_ddl=other
    )
    once(pair)
    pair.provider.script("insert into entry select i, i % 2 = 0, '2026-01-02 03:04Z', i from generate_series(1, 50) i")
    once(pair)
    assert streamed == []  # the values have to be cast
    pair.provider.script("update entry set n = -n, yes = not yes; delete from entry where id > 40")
    once(pair)
    assert streamed == ["public.entry"]
    found = pair.subscriber.run("select n, more, yes, id, at::text from entry order by id")
    assert found == [(-i, "own", "false" if i % 2 == 0 else "true", i, "2026-01-02") for i in range(1, 41)]


MANY = 30_000
FILL = f"insert into entry select i, 'item ' || i, i from generate_series(1, {MANY}) i"


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sample that shows a key twice."""
    monkeypatch.setattr(TableSql, "seems_repeated", lambda self: "select false")


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize(
    ("change", "counts", "tries"),
    [
        ("update entry set n = n + 1", (0, MANY, 0), 1),
        ("delete from entry where n > 5", (0, 0, MANY - 5), 1),
        ("update entry set n = n + 1; update entry set item = 'again' where id = 7", (0, MANY + 1, 0), 2),
        ("update entry set n = -n; update entry set n = -n", (0, 2 * MANY, 0), 2),
        ("update entry set n = n + 1; delete from entry where id > 9; " + FILL.replace("1,", "10,"), None, 1),
    ],
)
def test_alike__is_tried_without_looking_for_repeated_keys(
    pair: Pair, streamed: list[str], change: str, counts: tuple[int, int, int] | None, tries: int
) -> None:
    pair.setup_table("create table entry (id int primary key, item text, n int)", "entry")
    pair.provider.script(FILL)
    once(pair)
    streamed.clear()
    pair.provider.script(change)
    once(pair)
    pair.assert_equal("entry")
    assert len(streamed) == tries
    done = pair.table("entry")
    assert (done.inserted, done.updated, done.deleted) == (counts or (MANY - 9, MANY, MANY - 9))
    assert done.conflicts == 0


@pytest.mark.parametrize(
    ("change", "times"), [("update entry set n = n + 1;", 2), ("update entry set n = n + 1 where id < 301;", 100)]
)
def test_alike__is_not_tried_again_for_a_table_whose_keys_repeat(
    pair: Pair, streamed: list[str], change: str, times: int
) -> None:
    """Where they are seen, and where no sample shows them; the batch is read once more, and those after it are not."""
    pair.setup_table("create table entry (id int primary key, item text, n int)", "entry")
    pair.provider.script(FILL)
    pair.start(few_events=0, sampled_events=1)  # a tick may come in the middle
    pair.wait()
    for number in range(1, 4):
        streamed.clear()
        pair.provider.script(f"begin; {change * times} commit")
        pair.wait()
        pair.assert_equal("entry")
        assert len(streamed) == (2 if number == 1 else 1)
    assert pair.table("entry").updated == 3 * (2 * MANY if times == 2 else 30_000)
    assert pair.conflicts("entry") == 0


@pytest.mark.parametrize("change", ["update entry set n = 0", "delete from entry"])
def test_alike__counts_rows_that_are_not_there(pair: Pair, streamed: list[str], change: str) -> None:
    pair.setup_table("create table entry (id int primary key, item text, n int)", "entry")
    pair.provider.script(FILL)
    once(pair)
    pair.subscriber.script("delete from entry where id in (5, 500, 20000)")
    streamed.clear()
    pair.provider.script(change)
    once(pair)
    pair.assert_equal("entry")
    assert len(streamed) == 2
    assert pair.conflicts("entry") == 3


@pytest.mark.usefixtures("unseen")
def test_alike__that_trips_over_a_unique_value_and_has_a_key_twice(pair: Pair, streamed: list[str]) -> None:
    pair.setup_table("create table entry (id int primary key, item text, n int unique deferrable)", "entry")
    pair.subscriber.script("alter table entry drop constraint entry_n_key, add unique (n)")
    pair.provider.script(FILL)
    once(pair)
    streamed.clear()
    pair.provider.script(f"update entry set n = {MANY} + 1 - n; update entry set item = 'twice' where id = 3")
    once(pair)
    pair.assert_equal("entry")
    assert len(streamed) == 2
    assert pair.conflicts("entry") == 0


@pytest.mark.usefixtures("unseen")
def test_alike__of_a_table_that_is_all_key(pair: Pair, streamed: list[str]) -> None:
    pair.setup_table("create table word (word text primary key)", "word")
    pair.provider.script(f"insert into word select 'w' || i from generate_series(1, {MANY}) i")
    once(pair)
    streamed.clear()
    pair.provider.script("update word set word = word")
    once(pair)
    pair.assert_equal("word")
    assert streamed == ["public.word"]
    assert (pair.table("word").updated, pair.conflicts("word")) == (MANY, 0)


def test_lines__of_rows_that_need_a_cast_after_a_truncate(pair: Pair) -> None:
    other = "create table entry (id int primary key, yes text)"
    pair.setup_table("create table entry (id int primary key, yes bool)", "entry", other_ddl=other)
    once(pair)
    pair.provider.script("truncate entry; insert into entry select n, n % 2 = 0 from generate_series(1, 50) n")
    once(pair)
    # As a cast makes it, and not as the server prints it.
    assert pair.subscriber.run("select distinct yes from entry order by 1") == [("false",), ("true",)]
