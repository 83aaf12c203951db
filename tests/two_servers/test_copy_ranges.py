"""Copies in ranges: several connections, indexes made again, killed and gone on with, loaded beside a table in use."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from londiste_lite import copies, locks, registration
from londiste_lite.names import QualifiedName
from tests.fixtures.pair import CONSUMER, QUEUE, Pair, in_background, succeed
from tests.two_servers.test_copy import writer

# Points that only copies in ranges have; the others of a copy are in test_crash.
RANGE_POINTS = (
    "copy-begun",
    "copy-range-loaded",
    "copy-range-committed",
    "copy-ranges-done",
    "copy-index-made",
    "copy-resumed",
)
CATCH_UP_POINTS = ("copy-catchup-staged", "copy-catchup-applied", "copy-catchup-committed")

ENTRY = "create table entry (id int primary key, item text, price int)"
INDEXES = """create unique index entry_item on entry (item, id) with (fillfactor = 70);
alter table entry add constraint "Both!" unique (price, id) deferrable initially deferred;
create index entry_expr on entry ((price + 1), upper(item)) where price >= 0;
alter index entry_expr alter column 1 set statistics 333;
comment on index entry_expr is 'an index''s comment';
comment on constraint "Both!" on entry is 'a constraint''s';
create index entry_brin on entry using brin (price);
alter table entry replica identity using index entry_pkey;
alter table entry cluster on entry_item"""
FINGERPRINT = """select c.relname, pg_get_indexdef(c.oid), c.reloptions, i.indisclustered, i.indisreplident,
       obj_description(c.oid, 'pg_class'), pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'),
       array(select coalesce((to_jsonb(a) - 'attmissingval' ->> 'attstattarget')::int, -1)
               from pg_attribute a where a.attrelid = c.oid order by a.attnum)
  from pg_index i join pg_class c on c.oid = i.indexrelid
       left join pg_constraint k on k.conindid = c.oid and k.contype in ('p', 'u', 'x')
 where i.indrelid = 'entry'::regclass order by 1"""


def fill(pair: Pair, rows: int = 20_000) -> None:
    pair.provider.script(
        f"insert into entry select n, 'item ' || n, n % 100 from generate_series(1, {rows}) n; analyze entry"
    )


def small_ranges(pair: Pair, size: int = 100_000) -> None:
    pair.settings = replace(pair.settings, copy_whole_bytes=size, copy_range_bytes=size)


def left_behind(pair: Pair) -> list[tuple[object, ...]]:
    """What copies leave in the database when they are done: nothing."""
    return pair.subscriber.run(
        """select 'job', table_name from londiste.copy_job union all
           select 'range', table_name from londiste.copy_range union all
           select 'index', index_name from londiste.subscriber_pending_indexes union all
           select 'table', relname from pg_class where relname like 'copy\\_of\\_%'"""
    )


@pytest.mark.parametrize("jobs", [1, 3])
def test_ranges__into_an_empty_table_and_into_one_in_use(pair: Pair, jobs: int) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(INDEXES)
    small_ranges(pair)
    fill(pair)
    before = pair.subscriber.run(FINGERPRINT)
    with in_background(writer(pair, 1), writer(pair, 2)):
        pair.start(copy_jobs=jobs)
        pair.until(lambda: pair.states() == ["ok"], "the copy")
        pair.subscriber.script(
            "delete from entry where id between 100 and 500;"
            "update entry set item = 'mine' where id between 700 and 900;"
            "insert into entry select -n, 'mine', 0 from generate_series(1000, 1100) n"
        )
        pair.resync("entry")
        pair.until(lambda: pair.states() == ["ok"], "the copy")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert pair.subscriber.run(FINGERPRINT) == before
    assert left_behind(pair) == []
    pair.logged('made index "Both!"')


@pytest.mark.parametrize(("jobs", "ranges"), [(1, 1), (2, 2), (3, 2)])
def test_ranges__of_some_megabytes_are_one_for_each_job(pair: Pair, jobs: int, ranges: int) -> None:
    """Of 11 MB, as long as each has 4; the indexes come after the rows."""
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script("create index entry_price on entry (price)")
    pair.provider.script("insert into entry select n, repeat(md5(n::text), 32), n from generate_series(1, 10000) n")
    pair.start_process(crash_at="copy-begun", copy_jobs=jobs).died()
    found = "select count(*), sum(bytes) between 10000000 and 12000000, max(bytes) < 12000000 from londiste.copy_range"
    assert pair.subscriber.run(found) == [(ranges, True, True)]
    assert pair.subscriber.run("select index_name from londiste.subscriber_pending_indexes") == [("entry_price",)]
    pair.start_process()
    pair.wait()
    pair.assert_equal("entry")
    assert left_behind(pair) == []


@pytest.mark.parametrize("held", [False, True], ids=["empty", "in use"])
def test_ranges__killed_and_gone_on_with_while_rows_move(pair: Pair, held: bool) -> None:
    """Between the two processes rows change, move to other pages, swap unique values, go and come back."""
    pair.setup_table(ENTRY, "entry")
    pair.both("create unique index entry_price on entry (price)")
    pair.provider.script("insert into entry select n, 'item ' || n, n from generate_series(1, 20000) n; analyze entry")
    if held:
        pair.subscriber.script("insert into entry select n, 'old', -n from generate_series(15000, 25000) n")
    small_ranges(pair)
    chance = random.Random(4)
    price = 0
    for _ in range(3):
        process = pair.start_process(crash_at="copy-range-committed", copy_jobs=1)
        process.died()
        changes = []
        for _ in range(100):
            one, other = chance.randrange(1, 20_000), chance.randrange(1, 20_000)
            price -= 2
            changes.append(
                f"""begin; update entry set item = item || '.' where id between {one} and {one + 3};
                update entry set price = {price} where id = {one};
                update entry set price = {price - 1} where id = {other};
                update entry set price = {other} where id = {one}
                   and not exists (select 1 from entry where price = {other}); commit;"""
            )
        first = chance.randrange(1, 20_000)
        pair.provider.script("".join(changes) + f"delete from entry where id between {first} and {first + 500}")
        pair.provider.script(
            f"insert into entry select n, 'again', {price} * 10000 - n from generate_series({first}, {first + 200}) n"
            " on conflict do nothing; select londiste.tick('londiste.test')"
        )
        pair.provider.script("vacuum entry")
    job = copies.find(pair.subscriber, QUEUE, QualifiedName.parse("entry"))
    assert job is not None
    assert 0 < len(job.left) < len(job.ranges)
    pair.replay = None
    done = len(job.ranges) - len(job.left)
    replay = pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert f"{len(job.left)} of {len(job.ranges)} ranges left" in replay.output()
    assert done >= 3
    assert pair.conflicts("entry") == 0
    assert left_behind(pair) == []


@pytest.mark.parametrize("point", RANGE_POINTS + CATCH_UP_POINTS)
def test_kill__in_a_copy_in_ranges(pair: Pair, point: str) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(INDEXES)
    before = pair.subscriber.run(FINGERPRINT)
    small_ranges(pair, 300_000)
    fill(pair)
    if point not in RANGE_POINTS[:-1]:
        pair.start_process(crash_at="copy-range-committed").died()
        pair.provider.script("update entry set price = price + 1000 where id % 7 = 0; delete from entry where id = 3")
    pair.start_process(crash_at=point).died()
    pair.provider.script("update entry set item = 'meanwhile' where id % 5 = 0; delete from entry where id = 2")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert pair.subscriber.run(FINGERPRINT) == before
    assert left_behind(pair) == []


def test_ranges__start_over_when_the_provider_wrote_the_table_anew(pair: Pair) -> None:
    """VACUUM FULL gives every row another place, without an event."""
    pair.setup_table(ENTRY, "entry")
    small_ranges(pair)
    fill(pair)
    pair.provider.script("delete from entry where id < 10000")
    pair.start_process(crash_at="copy-range-committed").died()
    pair.provider.script("vacuum full entry")
    pair.replay = None
    pair.start()
    pair.logged("starts over: the provider's table was written anew")
    pair.wait()
    pair.assert_equal("entry")
    assert left_behind(pair) == []


def test_ranges__removed_or_copied_anew_after_a_crash(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(INDEXES)
    before = pair.subscriber.run(FINGERPRINT)
    small_ranges(pair)
    fill(pair)
    pair.start_process(crash_at="copy-range-committed").died()
    assert pair.subscriber.run(FINGERPRINT) != before
    pair.until(lambda: locks.replay_holder(pair.subscriber, CONSUMER) is None, "the end of the killed one's sessions")
    registration.restore_indexes(pair.subscriber, CONSUMER, 10.0)  # as `subscriber tables` does
    assert pair.subscriber.run(FINGERPRINT) == before
    pair.resync("entry")
    assert left_behind(pair) == []
    pair.provider.script("update entry set price = 7")
    pair.subscriber.script("truncate entry")
    pair.start_process(crash_at="copy-range-committed").died()
    assert len(left_behind(pair)) > 3
    succeed(registration.unsubscribe(pair.subscriber, QUEUE, ["entry"]))
    assert left_behind(pair) == []
    assert pair.subscriber.run(FINGERPRINT) == before
    pair.subscribe("entry")
    pair.replay = None
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert left_behind(pair) == []
