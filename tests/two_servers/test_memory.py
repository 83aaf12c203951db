"""A million rows in one transaction: the replay process stays small."""

from __future__ import annotations

from tests.fixtures.pair import Pair

ROWS = 1_000_000
LIMIT = 200 * 1024 * 1024


def test_memory__of_a_million_rows_changed_in_one_transaction(pair: Pair) -> None:
    pair.setup_table("create table entry (id int primary key, item text)", "entry")
    process = pair.start_process()
    pair.wait()
    for change in (
        f"insert into entry select n, repeat('x', 250) from generate_series(1, {ROWS}) n",
        "update entry set item = 'changed ' || id",
        "delete from entry where id > 10",
    ):
        pair.provider.script(change)
        pair.wait(180)
        assert process.alive, process.output()
        assert process.peak_memory() < LIMIT, f"{process.peak_memory() // 1024 // 1024} MB after: {change}"
        sums = "select count(*), sum(id), sum(hashtext(item)::int8) from entry"
        assert pair.subscriber.run(sums) == pair.provider.run(sums)
    counted = pair.table("entry")
    assert (counted.inserted, counted.updated, counted.deleted) == (ROWS, ROWS, ROWS - 10)
    assert "batch failed" not in process.output()
