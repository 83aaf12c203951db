"""`add --all`: what cannot be added is skipped and named, the rest is added, and the exit code says so."""

from __future__ import annotations

import pytest

from londiste_lite import output, published, registration, subscribed
from londiste_lite.errors import LondisteError
from londiste_lite.subscription import AddOptions
from tests.fixtures.pair import QUEUE, Pair

SOME = """create table good (id int primary key); create table nokey (a int);
    create table zlast (id int primary key); create table base (id int primary key);
    create table heir () inherits (base)"""


def test_provider_add_all__goes_on_and_names_what_it_skipped(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    pair.provider.script(SOME)
    done = registration.publish(pair.provider, QUEUE, ["*.*"], key=None, lock_timeout=5)
    assert sorted(str(t.table) for t in published.tables(pair.provider, QUEUE)) == ["public.good", "public.zlast"]
    with pytest.raises(LondisteError, match="3 of 5 failed"):
        output.outcomes(done)
    shown = capsys.readouterr().err
    assert 'table "public.nokey" has no primary key' in shown
    assert 'table "public.base" is part of an inheritance tree' in shown
    assert 'table "public.heir" is part of an inheritance tree' in shown
    assert "public.good: added" in shown
    # What was added stays, and a second time is no error for it.
    second = registration.publish(pair.provider, QUEUE, ["good", "zl*"], key=None, lock_timeout=5)
    again = {str(one.name): one.note for one in second}
    assert again == {"public.good": "already there", "public.zlast": "already there"}


def test_subscriber_add_all__goes_on_and_names_what_it_skipped(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    pair.provider.script(
        """create table a (id int primary key, x int); create table b (id int primary key);
        create table c (id int primary key); create table d (id int primary key)"""
    )
    pair.subscriber.script(
        """create table a (id int primary key); create table c (id int); create table d (id int unique);
        create table unrelated (id int)"""
    )
    pair.publish("a", "b", "c", "d")
    done = registration.subscribe(pair.provider, pair.subscriber, QUEUE, ["*.*"], AddOptions())
    assert [str(t.table) for t in subscribed.tables(pair.subscriber, QUEUE)] == ["public.d"]
    with pytest.raises(LondisteError, match="3 of 4 failed"):
        output.outcomes(done)
    shown = capsys.readouterr().err
    assert 'table "public.a" lacks columns' in shown
    assert 'table "public.b" does not exist on the subscriber' in shown
    assert 'table "public.c" has no unique key on (id)' in shown
    assert "unrelated" not in shown


def test_force__adds_what_a_check_would_stop_but_not_what_is_not_there(pair: Pair) -> None:
    pair.provider.script("create table a (id int primary key, x int); create table b (id int primary key)")
    pair.subscriber.script("create table a (id int primary key)")
    pair.publish("a", "b")
    done = registration.subscribe(pair.provider, pair.subscriber, QUEUE, ["a", "b"], AddOptions(force=True))
    assert [str(one.name) for one in done if one.error is None] == ["public.a"]
    assert [str(t.table) for t in subscribed.tables(pair.subscriber, QUEUE)] == ["public.a"]
    # Held with the reason until the column is there.
    pair.provider.script("insert into a values (1, 2)")
    pair.start()
    pair.until(lambda: "lacks columns" in str(pair.table("a").error), "the table says why it waits")
    pair.subscriber.script("alter table a add column x int")
    pair.wait()
    pair.assert_equal("a")
