"""Resync of a part of a table, or into an emptied one; copies between tables of different make."""

from __future__ import annotations

import pytest

from londiste_lite import copies, parked, progress, registration
from londiste_lite.copies import Request
from londiste_lite.errors import RegistrationError
from londiste_lite.names import QualifiedName
from londiste_lite.replay.catalog import Catalog
from londiste_lite.replay.retry import retry
from tests.fixtures.pair import CONSUMER, QUEUE, Pair, in_background, succeed
from tests.two_servers.test_copy import ENTRY, writer
from tests.two_servers.test_copy_ranges import FINGERPRINT, INDEXES, fill, left_behind, small_ranges


def resync_part(pair: Pair, condition: str) -> None:
    request = Request(condition=condition)
    succeed(registration.resync(pair.subscriber, QUEUE, ["entry"], request, pair.provider))


def test_names__of_temporary_objects_do_not_meet_on_a_connection_used_again(pair: Pair) -> None:
    """A copy's connection serves the next copy too, with a catalogue of its own."""
    made = [
        Catalog(pair.provider, pair.subscriber).made(QualifiedName("public", "t"), "create temp table {name} (i int)")
        for _ in range(2)
    ]
    assert made[0] != made[1]


def test_resync__of_some_rows(pair: Pair) -> None:
    """Missing, extra and changed rows are made as on the provider, and one that fulfils the condition only here."""
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'x', n from generate_series(1, 1000) n")
    pair.start()
    pair.wait()
    pair.subscriber.script(
        """delete from entry where id between 100 and 110; update entry set item = 'mine' where id between 200 and 210;
        insert into entry values (5000, 'extra', 150); update entry set price = 200 where id = 900;
        update entry set item = 'stays' where id = 950"""
    )
    with in_background(writer(pair, 1), writer(pair, 2)):
        for _ in range(3):
            resync_part(pair, "price between 100 and 300")
        pair.wait()
        pair.until(lambda: not copies.copies_asked_for(pair.subscriber, QUEUE), "the copy of a part")
        pair.until(lambda: pair.states() == ["ok"], "the copy of a part")
    pair.wait()
    assert pair.subscriber.run("select id, item, price from entry where id in (900, 950) order by id") == [
        (900, "x", 900),
        (950, "stays", 950),
    ]
    pair.subscriber.script("update entry set item = 'x' where id = 950")
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    with pytest.raises(RegistrationError, match="--where cannot be used"):
        resync_part(pair, "nothing = 1")


def test_resync__of_some_rows_of_a_table_that_was_copied_in_part(pair: Pair) -> None:
    """The condition of the first copy says nothing of what is copied anew."""
    pair.setup_table(ENTRY, "entry", condition="id <= 10")
    pair.provider.script("insert into entry select n, 'x', n from generate_series(1, 100) n")
    pair.start()
    pair.wait()
    pair.provider.script("update entry set item = 'changed' where id in (50, 95)")
    pair.wait()
    held = "select array_agg(id order by id) from entry where id > 10"
    assert pair.subscriber.run(held) == [([50, 95],)]
    resync_part(pair, "id > 90")
    pair.until(lambda: not copies.copies_asked_for(pair.subscriber, QUEUE), "the copy of a part")
    pair.until(lambda: pair.states() == ["ok"], "the copy of a part")
    assert pair.subscriber.run(held) == [([50, *range(91, 101)],)]


def test_resync__of_some_rows_that_wait_aside(pair: Pair) -> None:
    """The copy brings the rows as they are now, so what waits for them is discarded: it would make them older again."""
    pair.detours = True
    pair.setup_table(ENTRY, "entry", other_ddl=ENTRY.replace("price int", "price int check (price >= 0)"))
    pair.provider.script("insert into entry select n, 'x', n from generate_series(1, 20) n")
    pair.start(on_error="park")
    pair.wait()
    for price in (-1, -2):
        pair.provider.script(f"update entry set price = {price} where id in (3, 4, 5)")
        pair.wait()
    pair.provider.script("delete from entry where id = 3; update entry set price = 40 where id = 4")
    pair.wait()
    assert {e.key for e in parked.events(pair.subscriber, QUEUE)} == {"3", "4", "5"}
    resync_part(pair, "id < 5")
    resync_part(pair, "id = 20")  # one that is asked for while the first is under way is done as well
    pair.subscriber.script("update entry set item = 'mine' where id = 20")
    pair.until(lambda: not copies.copies_asked_for(pair.subscriber, QUEUE), "the copy of both parts")
    pair.wait()
    assert {e.key for e in parked.events(pair.subscriber, QUEUE)} == {"5"}
    # These rows follow the provider again, and no retry can bring older ones.
    pair.provider.script("update entry set item = 'y' where id in (4, 5)")
    pair.wait()
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    assert retry(pair.settings, None, None).remaining == 0
    pair.assert_equal("entry")


@pytest.mark.parametrize("point", ["copy-catchup-applied", "copy-loaded", "copy-committed"])
def test_kill__in_a_resync_of_some_rows(pair: Pair, point: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'x', n from generate_series(1, 1000) n")
    pair.start()
    pair.wait()
    pair.stop()
    pair.subscriber.script("delete from entry where id < 50; update entry set item = 'mine' where id = 60")
    resync_part(pair, "id < 100")
    process = pair.start_process(crash_at=point)
    pair.provider.script("update entry set price = 7 where id % 3 = 0; delete from entry where id = 61")
    pair.provider.script("select londiste.tick('londiste.test')")
    process.died()
    pair.provider.script("insert into entry select n, 'y', n from generate_series(-10, 0) n")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert left_behind(pair) == []


def test_resync__into_an_emptied_table(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(INDEXES)
    before = pair.subscriber.run(FINGERPRINT)
    small_ranges(pair)
    fill(pair, 5000)
    pair.start()
    pair.wait()
    file = "select pg_relation_filenode('entry')"
    was = pair.subscriber.run(file)
    pair.subscriber.script("update entry set item = 'mine'; insert into entry values (-1, 'mine', 0)")
    succeed(registration.resync(pair.subscriber, QUEUE, ["entry"], Request(truncate=True)))
    pair.wait()
    pair.assert_equal("entry")
    assert pair.subscriber.run(file) != was
    assert pair.subscriber.run(FINGERPRINT) == before
    assert left_behind(pair) == []


WIDE = "id int, part int, item text, price numeric(8,2), made timestamptz default now(), primary key (id, part)"
PARTITIONS = """create table entry_1 partition of entry for values from (0) to (10);
create table entry_2 partition of entry for values from (10) to (1000)"""
DIFFERENT = {
    "partitioned to plain": (f"create table entry ({WIDE}) partition by range (part); {PARTITIONS}", None),
    "plain to partitioned": (None, f"create table entry ({WIDE}) partition by range (part); {PARTITIONS}"),
    "differently partitioned": (
        f"create table entry ({WIDE}) partition by range (part); {PARTITIONS}",
        f"""create table entry ({WIDE}) partition by hash (id);
        create table entry_a partition of entry for values with (modulus 2, remainder 0);
        create table entry_b partition of entry for values with (modulus 2, remainder 1)""",
    ),
    "plain to one with children": (None, f"create table entry ({WIDE}); create table child () inherits (entry)"),
    "other order, identity, generated, own columns": (
        f"create table entry ({WIDE}, sum int generated always as (id + part) stored)",
        """create table entry (mine text default 'own', made timestamptz, id int generated always as identity,
            twice int generated always as (id * 2) stored not null, price numeric(10,2), item varchar(100), part int,
            sum int, primary key (part, id))""",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
@pytest.mark.parametrize("size", [60_000, 1 << 30], ids=["in ranges", "at once"])
def test_copy__between_tables_of_different_make(pair: Pair, case: str, size: int) -> None:
    """First into an empty table, then beside it."""
    plain = f"create table entry ({WIDE})"
    provider, subscriber = DIFFERENT[case]
    pair.setup_table(provider or plain, "entry", other_ddl=subscriber or plain)
    pair.provider.script("insert into entry select n, n % 100, 'item ' || n, n / 4.0 from generate_series(1, 5000) n")
    if "children" in case:
        pair.subscriber.script("insert into child values (-1, 0, 'of the child')")
    small_ranges(pair, size)
    pair.start()
    pair.wait()
    columns = ["id", "part", "item", "price", "made"]
    own = "only entry" if "children" in case else "entry"
    rows = f"select (id, part, item, price, made)::text from {own} order by 1"

    def same() -> bool:
        return pair.provider.run(rows) == pair.subscriber.run(rows)

    assert same(), columns
    pair.subscriber.script(
        "delete from entry where id between 1 and 30; update entry set item = 'mine' where id between 40 and 60"
    )
    pair.provider.script("update entry set part = 500 where id between 50 and 70; delete from entry where id = 80")
    pair.resync("entry")
    pair.wait()
    assert same(), columns
    if "children" in case:
        assert pair.subscriber.run("select id, item from child") == [(-1, "of the child")]
    if "own columns" in case:
        assert pair.subscriber.run("select distinct mine, twice = id * 2 from entry") == [("own", True)]
    assert left_behind(pair) == []


def test_copy__of_a_table_with_nothing_but_its_key(pair: Pair) -> None:
    pair.setup_table("create table tag (name text primary key)", "tag")
    pair.provider.script("insert into tag select 'n' || n from generate_series(1, 3000) n")
    small_ranges(pair, 60_000)
    pair.start()
    pair.wait()
    pair.subscriber.script("delete from tag where name like 'n1%'; insert into tag values ('mine')")
    pair.resync("tag")
    pair.wait()
    pair.assert_equal("tag")


def test_status__tells_how_far_a_copy_is(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    small_ranges(pair)
    fill(pair)
    pair.start_process(crash_at="copy-ranges-done").died()
    pair.replay = None
    copies.note(pair.subscriber, QUEUE, QualifiedName.parse("entry"), "copy", 15_000, 300_000)
    found = progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None).tables[0].copy
    assert found is not None
    assert (found.phase, found.rows, found.bytes, found.total_rows) == ("copy", 15_000, 300_000, 20_000)
    assert found.rows_per_second > 0
    assert found.seconds_left is not None
    pair.start()
    pair.wait()
    assert progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None).tables[0].copy is None
