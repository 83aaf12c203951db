"""Large batches of one kind of event, which are not counted first, and those that only look like it."""

from __future__ import annotations

import logging

import pytest

from londiste_lite import service
from londiste_lite.db import Database
from londiste_lite.replay import stage
from londiste_lite.replay.stage import Group
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.pair import Pair

DDL = "create table entry (id int primary key, item text)"
MANY = 30_000
FILL = f"insert into entry select i, 'item ' || i from generate_series(1, {MANY}) i"


def once(pair: Pair) -> None:
    service.run_once(pair.settings, StopFlag())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes that counted events before they were read."""
    found: list[str] = []
    groups_of = stage.groups_of

    def noted(db: Database, source: str) -> list[Group]:
        found.append(source)
        return groups_of(db, source)

    monkeypatch.setattr(stage, "groups_of", noted)
    return found


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that sees none of the last events."""
    alike = stage.alike

    def without_the_last(db: Database, sample: str) -> list[Group]:
        return alike(db, f"select * from ({sample}) s where ev_id < (select max(ev_id) - 10 from pgq.event_1)")

    monkeypatch.setattr(stage, "alike", without_the_last)


@pytest.mark.parametrize(
    "change",
    [
        FILL,
        "update entry set item = item || '!' where id > 2",
        "delete from entry where id > 2",
        "update entry set item = null",
    ],
)
def test_batch__of_one_kind_is_not_counted_first(pair: Pair, counted: list[str], change: str) -> None:
    pair.setup_table(DDL, "entry")
    if change != FILL:
        pair.provider.script(FILL)
    once(pair)
    counted.clear()
    pair.provider.script(change)
    once(pair)
    pair.assert_equal("entry")
    assert counted == []
    done = pair.table("entry")
    assert done.conflicts == 0
    expected = {"i": (MANY, 0, 0), "u": (0, MANY, 0), "d": (0, 0, MANY - 2)}[change[0]]
    if "> 2" in change and change[0] == "u":
        expected = (0, MANY - 2, 0)
    assert (done.inserted, done.updated, done.deleted) == expected


@pytest.mark.usefixtures("hidden")
@pytest.mark.parametrize(
    "odd",
    [
        "update entry set item = 'other' where id = 7",
        "delete from entry where id = 7",
        "truncate entry; insert into entry values (1, 'new')",
        "insert into other values (1)",
        "alter table entry add more int; insert into entry values (-1, 'x', 5)",
    ],
)
def test_batch__that_only_looks_alike_is_counted_after_all(
    pair: Pair, counted: list[str], odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "londiste_lite")
    pair.setup_table(DDL, "entry")
    pair.setup_table("create table other (id int primary key)", "other")
    once(pair)
    counted.clear()
    pair.provider.script(FILL)
    pair.provider.script(odd)
    if "alter" in odd:
        pair.subscriber.script("alter table entry add more int")
    once(pair)
    pair.assert_equal("entry", "other")
    assert counted
    assert "not all events are like" in caplog.text
    assert "batch failed" not in caplog.text


@pytest.mark.usefixtures("hidden")
def test_batch__of_deletes_with_keys_that_look_like_types(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """The text of a type, taken for a key, would be one that a text column takes."""
    pair.setup_table("create table word (word text primary key)", "word")
    pair.provider.script(f"insert into word select i::text from generate_series(0, {MANY}) i")
    caplog.set_level(logging.DEBUG, "londiste_lite")
    once(pair)
    pair.provider.script("delete from word where word <> '0'; insert into word values ('{word'), ('word}'), ('y')")
    once(pair)
    pair.assert_equal("word")
    assert "not all events are like" in caplog.text


def test_batch__of_rows_that_are_there_already(pair: Pair) -> None:
    """What trips over the key goes the careful way, and is counted as conflicts."""
    pair.setup_table(DDL, "entry")
    once(pair)
    pair.subscriber.script("insert into entry values (5, 'here before')")
    pair.provider.script(FILL)
    once(pair)
    pair.assert_equal("entry")
    assert pair.table("entry").conflicts == 1
