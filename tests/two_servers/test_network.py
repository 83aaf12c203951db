"""Networks that cut, refuse, swallow and lead elsewhere: replay finds out by itself and loses nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from londiste_lite import connection_watch, db
from londiste_lite.connection_watch import Seen
from londiste_lite.throwaway import free_port
from tests.fixtures.pair import Pair, ThreadedReplay
from tests.fixtures.proxy import Proxy, proxy_to

ENTRY = "create table entry (id int primary key, item text)"
GIVEN_UP = "giving this connection up"


@pytest.fixture(autouse=True)
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed in a moment instead of after 20 seconds."""
    monkeypatch.setattr(connection_watch, "SILENCE", 0.6)
    monkeypatch.setattr(db, "CANCEL_SECONDS", 2)


@pytest.fixture
def provider_way(pair: Pair) -> Iterator[Proxy]:
    with proxy_to(pair.provider_server) as found:
        yield found


@pytest.fixture
def subscriber_way(pair: Pair) -> Iterator[Proxy]:
    with proxy_to(pair.subscriber_server) as found:
        yield found


def start(pair: Pair, provider_way: Proxy | None, subscriber_way: Proxy | None) -> ThreadedReplay:
    """Start a replay whose connections go through proxies."""
    dsns = {}
    if provider_way:
        dsns["provider_dsn"] = provider_way.dsn(pair.settings.provider_dsn)
    if subscriber_way:
        dsns["subscriber_dsn"] = subscriber_way.dsn(pair.settings.subscriber_dsn)
    return pair.start(**dsns)


def test_outage__is_said_once_each_time_and_ends_by_itself(pair: Pair, provider_way: Proxy) -> None:
    pair.setup_table(ENTRY, "entry")
    replay = start(pair, provider_way, None)
    pair.wait()
    for number in (1, 2):
        provider_way.refuse()
        pair.provider.script(f"insert into entry values ({number}, 'meanwhile')")
        pair.until(lambda n=number: replay.output().count("Trying again") == n, "the message")  # type: ignore[misc]
        time.sleep(1.5)  # several tries
        provider_way.accept()
        pair.wait()
        assert replay.output().count("Trying again") == number, replay.output()
    pair.assert_equal("entry")


def test_half_open__each_side_while_idle_and_during_a_copy(
    pair: Pair, provider_way: Proxy, subscriber_way: Proxy
) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, repeat('x', 200) from generate_series(1, 20000) n")
    replay = start(pair, provider_way, subscriber_way)
    for number, way in enumerate((provider_way, subscriber_way)):
        pair.wait()
        way.strand()
        pair.provider.script(f"update entry set item = 'after {number}' where id <= 100")
        pair.wait()
    for number, way in enumerate((provider_way, subscriber_way), 1):
        pair.resync("entry")
        pair.until(lambda n=number: replay.output().count("copying public.entry") > n, "a copy")  # type: ignore[misc]
        way.strand()
        pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert replay.output().count(GIVEN_UP) >= 3  # the last copy may have been done before


# The proxies are threads of this process: where it has to wait for a core, they are as silent as a dead network.
@pytest.mark.chaos
def test_long_statements__are_left_alone(pair: Pair, provider_way: Proxy, subscriber_way: Proxy) -> None:
    pair.both(ENTRY + "; create table slow (id int primary key)")
    pair.subscriber.script(
        "create function nap() returns trigger language plpgsql as 'begin perform pg_sleep(2.5); return null; end';"
        "create trigger nap after insert on entry for each statement execute function nap();"
        "alter table entry enable always trigger nap"
    )
    pair.provider.script("insert into slow values (1), (2)")
    pair.publish("entry", "slow")
    pair.subscribe("entry")
    replay = start(pair, provider_way, subscriber_way)
    pair.wait()
    # The one side works without a byte on the wire, the other waits for this program.
    pair.subscribe("slow", condition="pg_sleep(1.3) is not null")
    pair.wait()
    pair.provider.script("insert into entry values (1, 'long')")
    pair.wait()
    pair.assert_equal("entry", "slow")
    assert GIVEN_UP not in replay.output()
    assert "Trying again" not in replay.output()


def test_stall__goes_on_where_it_was(pair: Pair, provider_way: Proxy, subscriber_way: Proxy) -> None:
    pair.setup_table(ENTRY, "entry")
    start(pair, provider_way, subscriber_way)
    for way in (provider_way, subscriber_way):
        pair.wait()
        way.stall()
        pair.provider.script("insert into entry select coalesce(max(id), 0) + 1, 'x' from entry")
        time.sleep(1.5)
        way.resume()
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 2


def test_stop_at_once__does_not_wait_for_a_stalled_server(pair: Pair, subscriber_way: Proxy) -> None:
    pair.setup_table(ENTRY, "entry")
    replay = start(pair, None, subscriber_way)
    pair.wait()
    subscriber_way.stall()
    replay.stop(at_once=True)  # fails after 30 seconds
    pair.replay = None


def test_host_list__the_server_that_is_there_is_taken(pair: Pair, provider_way: Proxy) -> None:
    pair.setup_table(ENTRY, "entry")
    with proxy_to(pair.provider_server) as other:
        single = provider_way.dsn(pair.settings.provider_dsn)
        ports = f"port={provider_way.port},{other.port} target_session_attrs=read-write"
        replay = pair.start(provider_dsn=re.sub(r"port=\d+", ports, single).replace("host=", "host=127.0.0.1,"))
        for number, (away, back) in enumerate(((None, None), (provider_way, None), (other, provider_way))):
            if back:
                back.accept()
            if away:
                away.refuse()
            pair.provider.script(f"insert into entry values ({number}, 'x')")
            pair.wait()
        # Half-open on a DSN with several hosts: the look goes to the very server of the connection.
        provider_way.strand()
        pair.provider.script("insert into entry values (9, 'x')")
        pair.wait()
        other.accept()
    pair.assert_equal("entry")
    assert GIVEN_UP in replay.output()


def test_failover__another_server_behind_the_same_address(pair: Pair, provider_way: Proxy) -> None:
    pair.setup_table(ENTRY, "entry")
    replay = start(pair, provider_way, None)
    pair.wait()
    provider_way.repoint(free_port())
    provider_way.cut()
    pair.logged("Trying again")
    provider_way.repoint(pair.provider_server.port)
    pair.provider.script("insert into entry values (1, 'from the new address')")
    pair.wait()
    pair.assert_equal("entry")
    assert replay.output().count("Trying again") == 1


@pytest.mark.parametrize(
    ("session", "known", "dead"),
    [
        (Seen("idle", "Client", 1.0), True, True),
        (Seen("idle", "Client", 0.1), True, False),  # the answer may be on its way
        (Seen("idle in transaction", "Client", 1.0), False, True),
        (Seen("active", "Client", 0.1), True, True),
        (Seen("active", "Client", 1.0), False, False),
        (Seen("active", "Lock", 1.0), True, False),
        (Seen("active", None, 1.0), True, False),
        (Seen("active", "IO", 1.0), True, False),
        (Seen(None, None, None), True, False),
        (Seen("disabled", None, None), True, False),
    ],
)
def test_verdict__only_what_the_server_does_not_work_on(session: Seen, known: bool, dead: bool) -> None:
    assert bool(connection_watch.verdict(session, known=known)) is dead
