"""A table that does not fit what the provider sends is held, says why, and goes on by itself; the others never stop."""

from __future__ import annotations

import pytest

from londiste_lite import event_queue, registration, subscribed
from londiste_lite.errors import ReplayError
from londiste_lite.replay.loop import Replay
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.pair import QUEUE, Pair, both_modes

TWO = "create table entry (id int primary key, item text, price int); create table other (id int primary key, v int)"


def held(pair: Pair, text: str) -> None:
    """Wait until `entry` is held with a reason that contains `text`, then see that the other table goes on."""
    pair.until(lambda: text in str(pair.table("entry").held), f"held: {text}")
    pair.provider.script("insert into other select coalesce(max(id), 0) + 1, 1 from other")
    same = "select count(*) from other"
    pair.until(lambda: pair.provider.run(same) == pair.subscriber.run(same), "other goes on")
    assert pair.table("entry").state.shown == "catching-up"
    assert pair.table("other").state.shown == "ok"


@both_modes
def test_held__each_way_in_which_a_table_may_not_fit(pair: Pair, mode: str) -> None:
    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    pair.provider.script("insert into entry values (1, 'one', 1), (2, 'two', 2)")
    pair.start(apply=mode)
    pair.wait()
    number = "select oid from pg_class where relname = 'entry'"
    before = pair.subscriber.run(number)

    pair.provider.script("alter table entry add extra text; insert into entry values (3, 'three', 3, 'x')")
    held(pair, 'ALTER TABLE "public"."entry" ADD COLUMN "extra" text;')
    assert pair.event_count() > 0
    pair.provider.script("update entry set price = 30 where id = 3; delete from entry where id = 2")
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry", "other")

    # A type without a cast, and one whose values do not fit.
    pair.provider.script("alter table entry alter price type int[] using array[price]")
    pair.provider.script("insert into entry values (4, 'four', '{1,2}')")
    held(pair, 'ALTER TABLE "public"."entry" ALTER COLUMN "price" TYPE integer[];')
    pair.subscriber.script("alter table entry alter price type int[] using array[price]")
    pair.wait()
    pair.provider.script("alter table entry alter price type text using array_to_string(price, ',')")
    pair.provider.script("insert into entry values (5, 'five', 'much')")
    held(pair, 'ALTER TABLE "public"."entry" ALTER COLUMN "price" TYPE text;')
    pair.subscriber.script("alter table entry alter price type text using array_to_string(price, ',')")
    pair.wait()
    pair.assert_equal("entry", "other")

    # The key.
    with pair.stopped():
        pair.subscriber.script("alter table entry drop constraint entry_pkey")
        pair.provider.script("insert into entry values (6, 'six')")
    held(pair, 'ADD PRIMARY KEY ("id");')
    pair.subscriber.script("alter table entry add primary key (id)")
    pair.wait()
    pair.assert_equal("entry", "other")

    # Out of the way and back: the same table, so nothing is copied.
    pair.subscriber.script("alter table entry rename to away")
    pair.provider.script("insert into entry values (7, 'seven')")
    held(pair, 'create table "public"."entry"')
    pair.subscriber.script("alter table away rename to entry")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert "copied" not in pair.replay.output()  # type: ignore[union-attr]
    assert pair.subscriber.run(number) == before

    # Gone for good: another table of the name has none of its rows, so it is copied.
    pair.subscriber.script("drop table entry")
    pair.provider.script("insert into entry values (8, 'eight')")
    held(pair, 'create table "public"."entry"')
    pair.subscriber.script("create table entry (id int primary key, item text, price text, extra text)")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0
    assert pair.table("entry").error is None
    claim = pair.settings.copy_consumer
    pair.until(lambda: event_queue.position(pair.provider, QUEUE, claim) is None, "the copy's claim given up")


def test_held__survives_a_kill_and_keeps_its_events_in_the_queue(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    process = pair.start_process()
    pair.wait()
    pair.provider.script("alter table entry add extra text; insert into entry values (1, 'one', 1, 'x')")
    pair.until(lambda: pair.table("entry").held, "held")
    snapshot = pair.table("entry").snapshot
    process.kill()
    pair.replay = None
    pair.provider.script("insert into entry values (2, 'two', 2, 'y'); insert into other values (1, 1)")
    pair.start()
    pair.until(lambda: pair.subscriber.run("select 1 from other"), "other goes on")
    # Ticks and rotations pass; the queue may not forget what the table needs.
    for _ in range(4):
        event_queue.make_tick(pair.provider, QUEUE)
        pair.provider.script(
            "update pgq.queue set queue_rotation_period = '0'; select pgq.maint_rotate_tables_step1('" + QUEUE + "')"
        )
        pair.provider.script("select pgq.maint_rotate_tables_step2()")
    assert pair.table("entry").snapshot == snapshot
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0


def test_held__while_its_copy_was_ahead_of_the_replay(pair: Pair) -> None:
    """The table holds what the replay has applied and what its copy saw; neither may come a second time."""
    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    pair.start()
    pair.wait()
    with pair.stopped():
        pair.provider.script(
            "insert into entry values (1, 'one', 1); delete from entry; insert into entry values (1, 'a', 1)"
        )
        pair.resync("entry")
        pair.provider.script("insert into other values (1, 1)")
    pair.wait()
    pair.provider.script("alter table entry add extra text; update entry set extra = 'x'")
    pair.until(lambda: pair.table("entry").held, "held")
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry", "other")
    assert pair.conflicts("entry") == 0


def test_held__can_be_copied_anew_or_removed(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    pair.start()
    pair.wait()
    pair.provider.script("alter table entry add extra text; insert into entry values (1, 'one', 1, 'x')")
    pair.until(lambda: pair.table("entry").held, "held")
    pair.resync("entry")
    pair.until(lambda: pair.table("entry").held is None and pair.table("entry").error, "the copy fails and says why")
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry")
    pair.provider.script("alter table entry add more text; insert into entry values (2, 'two', 2, 'x', 'y')")
    pair.until(lambda: pair.table("entry").held, "held")
    registration.unsubscribe(pair.subscriber, QUEUE, ["entry"])
    gone = lambda: event_queue.position(pair.provider, QUEUE, pair.settings.copy_consumer) is None  # noqa: E731
    pair.until(gone, "the queue is released")
    pair.wait()


@both_modes
def test_held__goes_on_after_a_script_in_the_stream(pair: Pair, mode: str) -> None:
    from londiste_lite import scripts

    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    pair.provider.script("insert into entry values (1, 'one', 1)")
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script("alter table entry add extra text; update entry set extra = 'x'")
    pair.until(lambda: pair.table("entry").held, "held")
    text = "alter table entry add if not exists extra text"
    scripts.execute(pair.provider, QUEUE, "fix", text.replace("add if", "add column if"), 5.0)
    pair.wait()
    pair.assert_equal("entry", "other")
    assert "copied anew" not in pair.replay.output()  # type: ignore[union-attr]
    assert pair.conflicts("entry") == 0
    # One that changes its rows here, before the events that it lacks: only a copy makes that right.
    pair.provider.script("alter table entry add more text; insert into entry values (2, 'two', 2, 'x', 'y')")
    pair.until(lambda: pair.table("entry").held, "held")
    pair.subscriber.script("alter table entry disable trigger all")
    scripts.execute(
        pair.provider,
        QUEUE,
        "rows",
        "alter table entry add column if not exists more text; update entry set price = price + 1",
        5.0,
    )
    pair.wait()
    pair.assert_equal("entry", "other")
    assert "copied anew" in pair.replay.output()  # type: ignore[union-attr]


def test_held__once_applies_the_rest_and_fails(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(TWO, "entry", "other")
    Replay(pair.settings, StopFlag()).run_once()
    pair.provider.script(
        "alter table entry add extra text; insert into entry values (1, 'one', 1, 'x'); insert into other values (1, 1)"
    )
    for _ in range(2):
        with pytest.raises(ReplayError, match=r"public\.entry is held: .* ADD COLUMN"):
            Replay(pair.settings, StopFlag()).run_once()
    assert pair.subscriber.run("select * from other") == [(1, 1)]
    pair.subscriber.script("alter table entry add extra text")
    Replay(pair.settings, StopFlag()).run_once()
    pair.assert_equal("entry", "other")


def test_held__foreign_keys_that_are_checked_do_not_stop_its_children(pair: Pair) -> None:
    ddl = """create table entry (id int primary key, item text);
        create table part (id int primary key, entry int references entry)"""
    pair.detours = True
    pair.setup_table(ddl, "entry", "part")
    pair.subscribe_as("owner_of_held")
    pair.start()
    pair.wait()
    pair.provider.script("alter table entry add extra text; insert into entry values (1, 'one', 'x')")
    pair.until(lambda: pair.table("entry").held, "held")
    pair.provider.script("insert into part values (1, 1)")
    pair.until(lambda: pair.subscriber.run("select 1 from part"), "the child's row comes")
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry", "part")
    keys = "select conname, convalidated from pg_constraint where contype = 'f' and conrelid = 'part'::regclass"
    pair.until(lambda: pair.subscriber.run(keys) == [("part_entry_fkey", True)], "the foreign key is back")
    assert [t.held for t in subscribed.tables(pair.subscriber, QUEUE)] == [None, None]
