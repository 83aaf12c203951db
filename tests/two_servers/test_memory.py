"""A large transaction: the replay process stays small, however many rows it has."""

from __future__ import annotations

import pytest

from tests.fixtures.pair import Pair

LIMIT = 200 * 1024 * 1024


def change_all(pair: Pair, rows: int, width: int, timeout: float, *, delete: bool) -> None:
    """Insert rows with texts of `width` characters, update and maybe delete them, each in one transaction."""
    pair.setup_table("create table entry (id int primary key, item text)", "entry")
    process = pair.start_process()
    pair.wait()
    for change in (
        f"insert into entry select n, repeat('x', {width}) from generate_series(1, {rows}) n",
        "update entry set item = 'changed ' || id",
        *(["delete from entry where id > 10"] if delete else []),
    ):
        pair.provider.script(change)
        pair.wait(timeout)
        assert process.alive, process.output()
        assert process.peak_memory() < LIMIT, f"{process.peak_memory() // 1024 // 1024} MB after: {change}"
        sums = "select count(*), sum(id), sum(hashtext(item)::int8) from entry"
        assert pair.subscriber.run(sums) == pair.provider.run(sums)
    counted = pair.table("entry")
    assert (counted.inserted, counted.updated, counted.deleted) == (rows, rows, (rows - 10) * delete)
    assert "batch failed" not in process.output()


def test_memory__of_a_million_rows_changed_in_one_transaction(pair: Pair) -> None:
    change_all(pair, 1_000_000, 100, 180, delete=False)


@pytest.mark.chaos
def test_memory__of_five_million_rows_changed_in_one_transaction(pair: Pair) -> None:
    change_all(pair, 5_000_000, 40, 3600, delete=True)
