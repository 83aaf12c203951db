"""Sequences follow: value and is_called, never behind after a batch."""

from __future__ import annotations

import threading
import time

import pytest

from londiste_lite import registration, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import LockNotGranted
from londiste_lite.names import QualifiedName
from londiste_lite.sequences import SequenceSync
from tests.fixtures.pair import QUEUE, Pair, every_version, in_background, succeed

ENTRY = "create table entry (id serial primary key, item text)"


def value(db: Database, name: str = "entry_id_seq") -> tuple[int, bool]:
    last, called = db.run(f"select last_value, is_called from {name}")[0]
    return int(last), bool(called)


@every_version
def test_sequence__follows_with_its_rows(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    pair.start()
    pair.wait()
    assert value(pair.subscriber) == (1, False)
    pair.provider.script("insert into entry (item) values ('a')")
    pair.wait()
    assert value(pair.subscriber) == (1, True)
    pair.provider.script("insert into entry (item) select 'x' from generate_series(1, 50)")
    pair.wait()
    assert value(pair.subscriber) == (51, True)


def test_sequence__is_never_behind_the_rows_that_can_be_seen(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    pair.start()
    pair.wait()
    looks = 0

    def write(ended: threading.Event) -> None:
        conn = pair.connect_provider()
        while not ended.is_set():
            conn.script("insert into entry (item) values ('x')")

    def watch(ended: threading.Event) -> None:
        nonlocal looks
        conn = pair.connect_subscriber()
        while not ended.is_set():
            # The rows first: the sequence may only be further by then.
            newest = conn.run("select coalesce(max(id), 0) from entry")[0][0]
            assert value(conn)[0] >= newest
            looks += 1

    with in_background(write, write, watch):
        time.sleep(1.0)
    pair.wait()
    assert looks > 20
    assert value(pair.subscriber) == value(pair.provider)


def test_sequence__moved_without_any_row(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    pair.start()
    pair.wait()
    pair.provider.run("select nextval('entry_id_seq') from generate_series(1, 7)")
    pair.until(lambda: value(pair.subscriber) == (7, True), "the value arrived", 20)
    pair.provider.run("select setval('entry_id_seq', 3, false)")
    pair.until(lambda: value(pair.subscriber) == (3, False), "the value arrived", 20)


def test_sequence__dropped_on_either_side_is_a_message(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.both('create sequence here; create sequence there; create sequence "Odd ""Name"" %s"')
    pair.sequence("here", "there", 'Odd "Name" %s', "entry_id_seq")
    pair.start()
    pair.wait()
    pair.provider.script("drop sequence here")
    pair.subscriber.script("drop sequence there")
    pair.provider.run("select nextval('there')")
    pair.provider.script("insert into entry (item) values ('goes on')")
    pair.wait()
    pair.assert_equal("entry")
    pair.logged('sequence "public.here" does not exist on the provider')
    pair.logged('sequence "public.there" does not exist on the subscriber')
    pair.provider.run("""select nextval('"Odd ""Name"" %s"')""")
    pair.until(lambda: value(pair.subscriber, '"Odd ""Name"" %s"') == (1, True), "the other sequence still follows", 20)
    said = pair.replay.output().count("does not exist") if pair.replay else 0
    assert said == 2


def test_sequence__value_that_the_subscriber_cannot_hold_is_a_message(pair: Pair) -> None:
    pair.setup_table(
        "create table entry (id bigserial primary key, item text)",
        "entry",
        other_ddl=ENTRY.replace("id serial", "id bigint"),
    )
    pair.provider.script("create sequence wide")
    pair.subscriber.script("create sequence wide as smallint")
    pair.sequence("wide")
    pair.start()
    pair.wait()
    pair.provider.run("select setval('wide', 100000)")
    pair.provider.script("insert into entry (item) values ('goes on')")
    pair.wait()
    pair.assert_equal("entry")
    pair.logged('sequence "public.wide" has limits 1 to 32767 on the subscriber')
    assert value(pair.subscriber, "wide") == (1, False)


def test_sequence__left_and_subscribed_again_is_set_anew(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    pair.start()
    pair.provider.script("insert into entry (item) values ('a'), ('b')")
    pair.wait()
    succeed(registration.unsubscribe_sequences(pair.subscriber, QUEUE, ["entry_id_seq"]))
    pair.subscriber.run("select setval('entry_id_seq', 1000)")
    pair.provider.script("insert into entry (item) values ('c')")
    pair.wait()
    time.sleep(0.3)
    assert value(pair.subscriber) == (1000, True)
    pair.provider.run("select setval('entry_id_seq', 2)")
    succeed(registration.subscribe_sequences(pair.provider, pair.subscriber, QUEUE, ["entry_id_seq"]))
    pair.until(lambda: value(pair.subscriber) == (2, True), "the value arrived", 20)


def test_sequence__is_never_set_once_its_subscription_has_ended(pair: Pair) -> None:
    """Whoever leaves it and goes on with it here is not overtaken by a turn that had begun before."""
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    name = QualifiedName("public", "entry_id_seq")
    sync = SequenceSync(pair.provider, pair.subscriber, QUEUE)
    pair.provider.script("insert into entry (item) values ('a'), ('b')")
    other = pair.connect_subscriber()
    other.script("set lock_timeout = '200ms'")
    assert sync.look([name])
    with pair.subscriber.transaction():
        sync.set_changed()
        with pytest.raises(LockNotGranted):
            subscribed.remove_sequence(other, QUEUE, name)
    sync.committed()
    pair.provider.script("insert into entry (item) values ('c')")
    assert sync.look([name])
    assert subscribed.remove_sequence(other, QUEUE, name)
    other.run("select setval('entry_id_seq', 1000)")
    with pair.subscriber.transaction():
        sync.set_changed()
    assert value(pair.subscriber) == (1000, True)


def test_sequence__is_not_written_while_it_stands_still(pair: Pair) -> None:
    """What the subscriber does with its own sequence stays until the provider's moves on."""
    pair.setup_table(ENTRY, "entry")
    pair.sequence("entry_id_seq")
    pair.start()
    pair.provider.script("insert into entry (item) values ('a')")
    pair.wait()
    pair.subscriber.run("select setval('entry_id_seq', 500)")
    pair.provider.script("update entry set item = 'b'")
    pair.wait()
    assert value(pair.subscriber) == (500, True)
    pair.provider.script("insert into entry (item) values ('c')")
    pair.wait()
    assert value(pair.subscriber) == (2, True)
