"""Repair: exactly the damaged rows get the provider's values, beside a running replay, and nothing else changes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from londiste_lite.compare.repair import Repair, repair
from londiste_lite.compare.run import Failed
from londiste_lite.progress_report import Silent
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.compared import DAMAGE, SHAPES, fill, moves
from tests.fixtures.pair import Pair, in_background

ENTRY = "create table entry (id int primary key, item text, price numeric(8,2))"


def repaired(pair: Pair, *tables: str, apply: bool = True) -> dict[str, Repair]:
    found = {}
    for each in repair(pair.settings, tables, StopFlag(), Silent(), apply=apply):
        if isinstance(each, Failed):
            raise each.error
        found[str(each.table)] = each
    return found


@pytest.mark.parametrize("how", ["apply", "print"])
def test_repair__tables_of_every_shape(pair: Pair, how: str) -> None:
    fill(pair)
    pair.start()
    pair.wait()
    pair.subscriber.script(DAMAGE)
    found = repaired(pair, apply=how == "apply")
    assert sum(len(each.statements) for each in found.values()) == 14
    assert found["public.generated"].statements == []
    if how == "print":
        db = pair.connect_subscriber()
        db.script("set search_path = pg_catalog")
        for each in found.values():
            assert [db.count(sql) for sql in each.statements] == [1] * len(each.statements)
    after = repaired(pair, apply=False)
    assert [each.statements for each in after.values()] == [[]] * len(SHAPES)
    if how == "apply":
        assert all(each.after is not None and each.after.equal for each in found.values())
    assert pair.subscriber.run("select count(*) from \"order\" where mine = 'y'") == [(300,)]


def test_repair__rows_that_wait_for_each_others_values(pair: Pair) -> None:
    ddl = "create table entry (id int primary key, u int unique, big bigint generated always as identity)"
    pair.setup_table(ddl, "entry", other_ddl=ddl.replace("big bigint", "mine text default 'm', big bigint"))
    pair.provider.script("insert into entry values (1, 1), (2, 2), (3, 3), (4, 4)")
    pair.start()
    pair.wait()
    pair.subscriber.script(
        "update entry set u = -u; update entry set u = case id when 1 then 2 when 2 then 1 else id + 10 end;"
        "delete from entry where id = 4; insert into entry (id, u, mine) values (5, 4, 'five'); "
        "update entry set mine = 'kept' where id = 2; update entry set big = default where id = 3"
    )
    found = repaired(pair)["public.entry"]
    assert found.after is not None
    assert found.after.equal
    pair.assert_equal("entry")
    assert pair.subscriber.run("select id, mine from entry order by id") == [(1, "m"), (2, "kept"), (3, "m"), (4, "m")]


def test_repair__beside_writers_and_a_running_replay(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'item', 0 from generate_series(0, 999) n")
    pair.detours = True
    pair.start()
    pair.wait()
    with in_background(moves(pair, 1), moves(pair, 2), damage(pair)):
        for _ in range(3):
            repaired(pair)
    found = repaired(pair)["public.entry"]
    assert found.after is not None
    assert found.after.equal
    pair.wait()
    pair.assert_equal("entry")


def damage(pair: Pair) -> Callable[[threading.Event], None]:
    """Somebody who writes on the subscriber."""

    def work(ended: threading.Event) -> None:
        db, dice = pair.connect_subscriber(), random.Random(3)
        while not ended.wait(0.02):
            key = dice.randrange(1000)
            db.script(f"update entry set item = 'damaged' where id = {key}; delete from entry where id = {key + 1}")

    return work
