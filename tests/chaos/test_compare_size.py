"""Compare on big tables and under load: exactly the damaged rows, a small part of the data, no false alarm."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from londiste_lite.compare.moment import Sides
from londiste_lite.compare.repair import Repair, repair
from londiste_lite.compare.run import Comparing, Comparison, compare
from londiste_lite.names import QualifiedName
from londiste_lite.progress_report import Silent
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.compared import moves
from tests.fixtures.pair import Pair, in_background
from tests.fixtures.proxy import proxy_to

ROWS = int(os.environ.get("LONDISTE_TEST_ROWS", "10000000"))
TABLE = QualifiedName("public", "entry")
DDL = "create table entry (id bigint primary key, item text, price numeric(12,2), at timestamptz)"
FILL = f"""insert into entry select n, 'item number ' || n, n % 1000, '2020-01-01'::timestamptz + n * interval '1s'
    from generate_series(0, {ROWS - 1}) n; analyze entry"""
DAMAGE = f"""delete from entry where id in (5, {ROWS // 2});
    update entry set item = 'other' where id in (17, {ROWS - 3}); update entry set price = null where id = {ROWS // 3};
    insert into entry values (-1, 'mine', 0, now()), ({ROWS * 2}, 'mine', 0, now())"""


@pytest.mark.chaos
def test_compare__seven_damaged_rows_among_millions(pair: Pair) -> None:
    pair.both(DDL)
    pair.both(FILL)
    pair.publish("entry")
    pair.subscribe("entry", expect_sync=True)
    pair.start()
    pair.wait()
    size = int(pair.provider.run("select pg_relation_size('entry')")[0][0])
    with in_background(writer(pair)), proxy_to(pair.provider_server) as one, proxy_to(pair.subscriber_server) as other:
        settings = replace(
            pair.settings,
            provider_dsn=one.dsn(pair.settings.provider_dsn),
            subscriber_dsn=other.dsn(pair.settings.subscriber_dsn),
        )
        begun = time.monotonic()
        (equal,) = compare(settings, [], "", StopFlag(), Silent())
        assert isinstance(equal, Comparison)
        assert equal.equal
        print(f"\n{ROWS:,} rows equal: {time.monotonic() - begun:.1f} s")
        pair.subscriber.script(DAMAGE)
        before, begun = one.moved + other.moved, time.monotonic()
        (found,) = compare(settings, [], "", StopFlag(), Silent())
        moved = one.moved + other.moved - before
        assert isinstance(found, Comparison)
        print(f"7 rows found: {time.monotonic() - begun:.1f} s, {moved:,} bytes of {size:,}, {moved / size:.2%}")
        assert (found.missing, found.extra, found.changed) == (2, 2, 3)
        assert moved < size / 100
        (mended,) = repair(settings, [], StopFlag(), Silent(), apply=True)
        assert isinstance(mended, Repair)
        assert mended.fixed == 7
        assert mended.after is not None
        assert mended.after.equal


def writer(pair: Pair) -> Callable[[threading.Event], None]:
    """Rows that come, change and go, among them none of the damaged ones."""

    def work(ended: threading.Event) -> None:
        db, number = pair.connect_provider(), 0
        while not ended.wait(0.01):
            number += 1
            db.script(
                f"update entry set price = price + 1 where id = {100 + number % 1000};"
                f"insert into entry values ({ROWS + number}, 'new', 1, now());"
                f"delete from entry where id = {ROWS + number - 50} and id > {ROWS}"
            )

    return work


@pytest.mark.chaos
def test_compare__no_false_difference_in_fifty_runs_under_load(pair: Pair) -> None:
    pair.setup_table("create table entry (id int primary key, item text, price numeric(12,2))", "entry")
    pair.provider.script("insert into entry select n, 'item', 0 from generate_series(0, 999) n")
    pair.start()
    pair.wait()
    stop = StopFlag()
    with in_background(moves(pair, 1), moves(pair, 2), moves(pair, 3)), Sides(pair.settings, stop) as sides:
        comparing = Comparing(sides, stop, Silent())
        for _ in range(50):
            rows, same, found = comparing.first_look(TABLE)
            assert (rows, found) == (same, [])
        assert pair.event_count() > 1000
