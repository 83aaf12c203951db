"""Servers that stop, crash, come late, and connections that are cut: replay goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from londiste_lite import schema
from tests.fixtures.pair import Pair

ENTRY = "create table entry (id int primary key, item text)"
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'londiste:replica:%' and datname = current_database()"""


@pytest.fixture
def lone(new_pair: Callable[..., Pair]) -> Iterator[Pair]:
    """A pair on servers that no other test of this process is using."""
    pair = new_pair("lone")
    yield pair
    for server in (pair.provider_server, pair.subscriber_server):
        if not server.running:
            server.start()


@pytest.mark.parametrize("how", ["fast", "immediate"])
@pytest.mark.parametrize("side", ["provider", "subscriber"])
def test_server__stopped_and_started(lone: Pair, side: str, how: str) -> None:
    lone.setup_table(ENTRY, "entry")
    replay = lone.start()
    lone.provider.script("insert into entry values (1, 'before')")
    lone.wait()
    server = lone.provider_server if side == "provider" else lone.subscriber_server
    server.stop(how)
    if side == "subscriber":
        lone.provider.script(
            "insert into entry values (2, 'meanwhile'); update entry set item = 'changed' where id = 1"
        )
    lone.logged("Trying again")
    server.start()
    lone.reconnect()
    lone.provider.script("insert into entry values (3, 'after')")
    lone.wait()
    lone.assert_equal("entry")
    assert len(lone.rows("entry")[1]) == (3 if side == "subscriber" else 2)
    assert lone.conflicts("entry") == 0
    assert replay.alive


def test_connections__cut_one_by_one(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    replay = pair.start()
    pair.wait()
    for number in range(4):
        for db in (pair.provider, pair.subscriber):
            db.run(CUT)
            pair.provider.script(f"insert into entry values ({number * 2 + (db is pair.provider)}, 'x')")
            pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 8
    assert replay.alive


def test_connections__cut_in_the_middle_of_batches_and_copies(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.detours = True
    pair.provider.script("insert into entry select n, repeat('x', 1000) from generate_series(1, 10000) n")
    replay = pair.start()
    for turn in range(6):
        pair.provider.script(f"update entry set item = item || {turn} where id % 6 = {turn}")
        (pair.provider if turn % 2 else pair.subscriber).run(CUT + " and state <> 'idle'")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert replay.alive


def test_start__before_the_provider_is_up(lone: Pair) -> None:
    lone.setup_table(ENTRY, "entry")
    lone.provider.script("insert into entry values (1, 'waiting')")
    lone.provider_server.stop()
    replay = lone.start()
    lone.logged("cannot connect")
    lone.provider_server.start()
    lone.reconnect()
    lone.wait()
    lone.assert_equal("entry")
    assert replay.alive
    assert len(lone.rows("entry")[1]) == 1


def test_start__before_the_subscriber_is_installed(new_pair: Callable[..., Pair]) -> None:
    pair = new_pair(install_subscriber=False)
    pair.start()
    pair.logged("has no londiste schema")
    assert "Run `subscriber install` first" in pair.replay.output()  # type: ignore[union-attr]
    schema.install(pair.subscriber, schema.SUBSCRIBER)
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry values (1, 'x')")
    pair.wait()
    pair.assert_equal("entry")


def test_connection_lifetime__connections_are_opened_anew(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    replay = pair.start(connection_lifetime=0.5)
    for number in range(6):
        pair.provider.script(f"insert into entry values ({number}, 'x')")
        pair.wait()
        pair.until(lambda n=number: replay.output().count("replaying queue") > n // 2, "a new connection")  # type: ignore[misc]
    pair.assert_equal("entry")
    assert "ERROR" not in replay.output()


def test_position__lost_on_the_provider_is_said(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    pair.stop()
    pair.provider.run("select pgq.unregister_consumer('londiste.test', 'replica')")
    pair.provider.script("insert into entry values (1, 'lost')")
    for _ in range(3):
        pair.provider.run("select londiste.tick('londiste.test')")
    pair.provider.script("delete from pgq.tick where tick_id < (select max(tick_id) from pgq.tick)")
    pair.start()
    pair.logged("lost position")
    assert "subscriber resync --all" in pair.replay.output()  # type: ignore[union-attr]
