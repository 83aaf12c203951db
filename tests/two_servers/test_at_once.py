"""Two commands at the same moment on the same things: both work, or one says why not; nothing is done by halves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import pytest

from londiste_lite import lock_wait, locks, published, registration, schema, scripts, subscribed
from londiste_lite.db import Database
from londiste_lite.registration import Outcome
from londiste_lite.scripts import ScriptFailed
from londiste_lite.subscription import AddOptions
from londiste_lite.triggers.listing import captured_relations
from tests.fixtures.pair import QUEUE, Pair, in_background

Result = TypeVar("Result")


def together(*work: Callable[[], Result]) -> list[Result]:
    """Begin all at the same moment, each in a thread, and return what they returned."""
    start = threading.Barrier(len(work))
    found: dict[int, Result] = {}
    failed: list[BaseException] = []

    def one(number: int, act: Callable[[], Result]) -> None:
        try:
            start.wait(60)
            found[number] = act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=each, daemon=True) for each in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert len(found) == len(work), "not all came back"
    return [found[number] for number in range(len(work))]


def add(db: Database) -> str:
    """Publish the table; what became of it, or the reason."""
    (outcome,) = registration.publish(db, QUEUE, ["entry"], key=None, lock_timeout=40)
    return told(outcome)


def remove(db: Database) -> str:
    done = registration.unpublish(db, QUEUE, ["entry"], lock_timeout=40)
    return told(done[0])


def told(outcome: Outcome) -> str:
    return outcome.note if outcome.error is None else f"error: {outcome.error.message}"


def assert_whole(pair: Pair) -> bool:
    """The table is published with all of its triggers, or neither is there; return which."""
    listed = [str(p.table) for p in published.tables(pair.provider, QUEUE)]
    captured = {str(c.relation): c.operations for c in captured_relations(pair.provider, QUEUE)}
    assert captured == dict.fromkeys(listed, ("insert", "update", "delete", "truncate"))
    return bool(listed)


def test_provider_add__twice_at_once_is_one(pair: Pair) -> None:
    pair.provider.script("create table entry (id int primary key)")
    others = [pair.connect_provider() for _ in range(3)]
    for _ in range(3):
        said = together(*(lambda db=db: add(db) for db in others))
        assert sorted(said) == ["added", "already there", "already there"]
        assert assert_whole(pair)
        assert remove(pair.provider) == "removed"
        assert not assert_whole(pair)


def test_provider_add_and_remove__at_once_is_one_or_the_other(pair: Pair) -> None:
    pair.provider.script("create table entry (id int primary key)")
    one, other = pair.connect_provider(), pair.connect_provider()
    for _ in range(5):
        add(pair.provider)
        added, removed = together(lambda: add(one), lambda: remove(other))
        assert added in ("added", "already there")
        assert removed == "removed"
        assert_whole(pair)


def test_provider_add__that_would_wait_too_long_says_for_what(pair: Pair) -> None:
    pair.provider.script("create table entry (id int primary key)")
    holder = pair.connect_provider()
    with holder.transaction():
        lock_wait.hold_publication(holder, QUEUE, 10)
        (outcome,) = registration.publish(pair.provider, QUEUE, ["entry"], key=None, lock_timeout=0.2)
    assert "another command changes what queue" in told(outcome)
    assert not assert_whole(pair)
    assert add(pair.provider) == "added"


def test_provider_add__during_an_upgrade(pair: Pair) -> None:
    pair.provider.script("create table entry (id int primary key)")
    one, other = pair.connect_provider(), pair.connect_provider()
    for _ in range(3):
        pair.provider.script("update londiste.schema_version set checksum = 'of other files'")
        done, added = together(lambda: schema.install(one, schema.PROVIDER), lambda: add(other))
        assert "londiste" in str(done)
        assert added == "added"
        assert assert_whole(pair)
        assert remove(pair.provider) == "removed"


def test_subscriber__add_and_resync_twice_at_once(pair: Pair) -> None:
    pair.both("create table entry (id int primary key)")
    pair.publish("entry")
    sides = [(pair.connect_provider(), pair.connect_subscriber()) for _ in range(3)]

    def subscribe(provider: Database, subscriber: Database) -> str:
        return told(registration.subscribe(provider, subscriber, QUEUE, ["entry"], AddOptions())[0])

    said = together(*(lambda two=two: subscribe(*two) for two in sides))
    assert sorted(said) == ["added", "already there", "already there"]
    assert [str(t.table) for t in subscribed.tables(pair.subscriber, QUEUE)] == ["public.entry"]
    pair.provider.script("insert into entry select generate_series(1, 1000)")
    pair.start()
    pair.wait()
    for _ in range(3):
        again = together(*(lambda db=db: told(registration.resync(db, QUEUE, ["entry"])[0]) for _, db in sides))
        assert not [text for text in again if text.startswith("error")]
        pair.wait()
        pair.assert_equal("entry")


def test_lock_that_is_not_granted__names_its_holder(pair: Pair) -> None:
    """Whoever holds it: a writer, for a publication or a script; another command; another replay; another ticker."""
    pair.both("create table entry (id int primary key)")
    writer = pair.connect_provider()
    pid = f"(backend {writer.backend_pid}, user "
    since = f", since {datetime.now():%Y-%m-%d} "

    def named(text: str) -> None:
        assert text.count("the lock is held by") == 1
        assert pid in text
        assert since in text

    with writer.transaction():
        writer.script("insert into entry values (1)")
        (outcome,) = registration.publish(pair.provider, QUEUE, ["entry"], key=None, lock_timeout=1.5)
        named(told(outcome))
        with pytest.raises(ScriptFailed) as failed:
            scripts.execute(pair.provider, QUEUE, "x.sql", "select 1;\nalter table entry add x int", 1.5)
        named(failed.value.message)
        assert failed.value.message.startswith('script "x.sql", line 2: ')
    with writer.transaction():
        lock_wait.hold_publication(writer, QUEUE, 10)
        (outcome,) = registration.publish(pair.provider, QUEUE, ["entry"], key=None, lock_timeout=1.5)
        named(told(outcome))
    assert pair.provider.run("show lock_timeout") == [("0",)]
    assert locks.try_ticker(writer)
    assert pid in str(locks.ticker_holder(pair.provider))
    assert since in str(locks.ticker_holder(pair.provider))


def test_lock_timeout_0__is_no_limit_and_the_wait_is_said(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock_wait, "SAY_AFTER", 0.1)
    caplog.set_level("INFO", "londiste_lite.lock_wait")
    pair.provider.script("create table entry (id int primary key)")
    writer = pair.connect_provider()
    done: list[Outcome] = []

    def publish(_: threading.Event) -> None:
        done.extend(registration.publish(pair.provider, QUEUE, ["entry"], key=None, lock_timeout=0))

    with in_background(publish):
        with writer.transaction():
            writer.script("insert into entry values (1)")
            pair.until(lambda: "waiting for a lock that is held by" in caplog.text, "a word about the lock")
        pair.until(lambda: done, "the publication")
    assert told(done[0]) == "added"
    assert f"(backend {writer.backend_pid}, user " in caplog.text
    assert caplog.text.count("waiting for a lock") == 1
    assert lock_wait.milliseconds(0.0001) == 1


def test_replay__says_for_whose_lock_it_waits(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "londiste_lite.lock_wait")
    pair.setup_table("create table entry (id int primary key)", "entry")
    pair.start()
    pair.wait()
    user = pair.connect_subscriber()
    with user.transaction():
        user.script("lock table entry in share mode")
        pair.provider.script("insert into entry values (1)")
        pair.until(lambda: "waiting for a lock that is held by" in caplog.text, "a word about the lock")
    pair.wait()
    pair.assert_equal("entry")
    assert f"(backend {user.backend_pid}, user " in caplog.text
    assert caplog.text.count("waiting for a lock") == 1
