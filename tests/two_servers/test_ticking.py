"""The ticker: what is committed arrives soon, an idle database is left in peace, rotation loses nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from londiste_lite import locks
from londiste_lite.stop_flag import StopFlag
from londiste_lite.ticker import Ticker, TickerSettings, maintain
from tests.fixtures.pair import QUEUE, TIMEOUT, Pair, in_background

ENTRY = "create table entry (id int primary key, item text)"


class RunningTicker:
    """A ticker in a thread."""

    def __init__(self, dsn: str, **settings: float) -> None:
        self._stop = StopFlag()
        self._ticker = Ticker(TickerSettings(dsn, "test", **settings), self._stop)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._ticker.run, name="own ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.request(at_once=True)
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def ticker() -> Iterator[Callable[..., RunningTicker]]:
    made: list[RunningTicker] = []

    def start(dsn: str, **settings: float) -> RunningTicker:
        made.append(RunningTicker(dsn, **settings))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def ticks(pair: Pair) -> int:
    return int(pair.provider.run("select max(tick_id) from pgq.tick")[0][0])


def arrival(pair: Pair, query: str) -> float:
    """Seconds until the query on the subscriber gives a row."""
    begun = time.monotonic()
    pair.until(lambda: pair.subscriber.run(query), query, 30)
    return time.monotonic() - begun


def test_tick__for_a_transaction_that_commits_long_after_its_events(pair: Pair) -> None:
    """The sequence moved long ago and no later traffic calls for a tick."""
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    times = []
    for number in range(3):
        late = pair.connect_provider()
        late.script(f"begin; insert into entry values ({number}, 'late')")
        time.sleep(2.5)
        late.script("commit")
        times.append(arrival(pair, f"select 1 from entry where id = {number}"))
    assert min(times) < 0.5, "only a later look brought it"
    assert max(times) < 3.0


def test_tick__for_a_transaction_open_since_before_the_ticker(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    late = pair.connect_provider()
    late.script("begin; insert into entry values (1, 'late')")
    pair.provider.run("select londiste.tick(%s)", [QUEUE])
    pair.start()
    pair.until(lambda: pair.position() is not None, "the start")
    time.sleep(1.5)
    late.script("commit")
    assert arrival(pair, "select 1 from entry") < 1.5


def test_tick__row_changes_arrive_soon_and_from_idle_too(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    times = []
    for number in range(20):
        pair.provider.script(f"insert into entry values ({number}, 'x')")
        times.append(arrival(pair, f"select 1 from entry where id = {number}"))
        time.sleep(0.02)
    assert sorted(times)[10] < 0.5
    assert max(times) < 3.0


def test_tick__few_of_them_on_an_idle_database(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.provider.script("insert into entry values (1, 'x')")
    pair.wait()
    time.sleep(2)
    before = ticks(pair)
    noise = pair.connect_provider()
    noise.script("create table noise (n int)")
    for number in range(50):
        noise.script(f"insert into noise values ({number})")
        time.sleep(0.04)
    assert ticks(pair) - before <= 3, "transactions without events made ticks"


def test_tick__no_flood_while_a_transaction_is_open(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    late = pair.connect_provider()
    late.script("begin; insert into entry values (1, 'late')")
    before = ticks(pair)
    for number in range(100):
        # The sequence moves all the time, and nothing becomes visible: a tick at each look would make hundreds.
        late.script(f"insert into entry values ({number + 10}, 'x')")
        time.sleep(0.02)
    assert ticks(pair) - before <= 60
    late.script("commit")
    pair.wait()
    pair.assert_equal("entry")


def test_tickers__two_never_work_on_one_database(
    pair: Pair, ticker: Callable[..., RunningTicker], caplog: pytest.LogCaptureFixture
) -> None:
    pair.setup_table(ENTRY, "entry")
    with caplog.at_level(logging.INFO, "londiste_lite"):
        first = ticker(pair.settings.provider_dsn)
        pair.until(lambda: locks.ticker_holder(pair.provider), "the first ticker")
        holder = locks.ticker_holder(pair.provider)
        second = ticker(pair.settings.provider_dsn)
        pair.until(lambda: any("another ticker is at work" in line for line in caplog.messages), "the second one waits")
        pair.start()  # with a third one built in
        pair.provider.script("insert into entry values (1, 'x')")
        pair.wait()
        pair.assert_equal("entry")
        assert locks.ticker_holder(pair.provider) == holder
        assert sum("ticking" in line for line in caplog.messages) == 1
        first.stop()
        pair.until(lambda: locks.ticker_holder(pair.provider) not in (None, holder), "another one takes over")
        pair.provider.script("insert into entry values (2, 'x')")
        assert arrival(pair, "select 1 from entry where id = 2") < 5
        second.stop()


def test_ticker__opens_its_connection_anew_and_goes_on(
    pair: Pair, ticker: Callable[..., RunningTicker], caplog: pytest.LogCaptureFixture
) -> None:
    pair.setup_table(ENTRY, "entry", expect_sync=True)
    # The sequence shows the same number before its first use and after.
    pair.provider.script("insert into entry values (0, 'x')")
    with caplog.at_level(logging.INFO, "londiste_lite"):
        ticker(pair.settings.provider_dsn, connection_lifetime=0.2)
        sessions = set()
        event_tick = "select max(tick_event_seq) from pgq.tick"
        for number in range(1, 9):
            before = pair.provider.run(event_tick)
            pair.provider.script(f"insert into entry values ({number}, 'x')")
            # A second lost at each new connection, for the old one's lock, would be seen here.
            begun = time.monotonic()
            pair.until(lambda before=before: pair.provider.run(event_tick) != before, "a tick", 5)  # type: ignore[misc]
            assert time.monotonic() - begun < 0.9
            holder = locks.ticker_holder(pair.provider)
            sessions.add(holder.pid if holder else None)
            time.sleep(0.15)
    assert len(sessions) >= 3
    assert len([line for line in caplog.messages if line.startswith("ticking")]) == 1


def test_ticker__survives_restarts_of_the_server(
    new_pair: Callable[..., Pair], ticker: Callable[..., RunningTicker]
) -> None:
    pair = new_pair("lone")
    ticker(pair.settings.provider_dsn)
    for how in ("fast", "immediate"):
        pair.until(lambda: locks.ticker_holder(pair.provider), "the ticker")
        pair.provider_server.stop(how)
        time.sleep(0.3)
        pair.provider_server.start()
        pair.reconnect()
    pair.until(lambda: locks.ticker_holder(pair.provider), "the ticker")
    before = ticks(pair)
    pair.provider.run("select pgq.insert_event(%s, 'x', 'y')", [QUEUE])
    pair.until(lambda: ticks(pair) > before, "a tick", 10)


def test_ticker__sees_queues_that_come_and_go(pair: Pair, ticker: Callable[..., RunningTicker]) -> None:
    ticker(pair.settings.provider_dsn)
    pair.until(lambda: locks.ticker_holder(pair.provider), "the ticker")
    holder = locks.ticker_holder(pair.provider)
    last = "select max(tick_id) from pgq.tick join pgq.queue on queue_id = tick_queue where queue_name = 'another'"

    def newest() -> int:
        return int(pair.provider.run(last)[0][0])

    for _ in range(3):
        pair.provider.run("select pgq.create_queue('another')")
        pair.provider.run("select pgq.register_consumer('another', 'somebody')")
        before = newest()
        pair.provider.run("select pgq.insert_event('another', 'x', 'y')")
        deadline = time.monotonic() + 15
        while newest() == before:
            assert time.monotonic() < deadline, "no tick of the new queue"
            time.sleep(0.01)
        pair.provider.run("select pgq.drop_queue('another', true)")
        time.sleep(0.1)
    assert locks.ticker_holder(pair.provider) == holder, "the ticker lost its connection"


def test_rotation__under_load_with_a_slow_consumer(pair: Pair) -> None:
    """Event tables are rotated as fast as they may, while the replay is away half of the time."""
    pair.setup_table(ENTRY, "entry")
    pair.provider.run("select pgq.set_queue_config(%s, 'rotation_period', '1 millisecond')", [QUEUE])
    pair.start()
    pair.wait()

    def write(number: int) -> Callable[[threading.Event], None]:
        def work(ended: threading.Event) -> None:
            conn = pair.connect_provider()
            step = number * 1_000_000
            while not ended.is_set():
                step += 1
                conn.script(
                    f"insert into entry values ({step}, 'x'); update entry set item = 'y' where id = {step - 3}"
                )

        return work

    def rotate(ended: threading.Event) -> None:
        conn = pair.connect_provider()
        while not ended.is_set():
            maintain(conn)
            time.sleep(0.02)

    with in_background(write(1), write(2), rotate):
        for _ in range(2):
            time.sleep(0.4)
            pair.stop()
            time.sleep(0.4)
            pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    turned = pair.provider.run("select queue_switch_step1 is not null, queue_cur_table from pgq.queue")
    assert turned[0][0], "the tables were never rotated"
    for _ in range(6):
        pair.provider.run("select londiste.tick(%s)", [QUEUE])
        pair.wait()
        time.sleep(1.05)
        maintain(pair.provider)
    assert pair.event_count() == 0, "what everybody has seen is thrown away"


def test_wait_for_events__ends_when_a_number_is_taken(pair: Pair) -> None:
    (queue_id,) = pair.provider.run("select queue_id from pgq.queue where queue_name = %s", [QUEUE])[0]

    def wait(value: int, seconds: float, *queues: int) -> float | None:
        """Return how long it took, None when the time was up."""
        db = pair.connect_provider()
        begun = time.monotonic()
        numbers = [queue_id, *queues]
        arguments = [numbers, [value] * len(numbers), 0.001, seconds]
        (moved,) = db.run("select londiste.wait_for_events(%s, %s, %s, %s)", arguments)[0]
        return time.monotonic() - begun if moved else None

    assert wait(0, 0.01) is None, "a sequence that was never used stands still"
    found: list[float | None] = []
    thread = threading.Thread(target=lambda: found.append(wait(0, TIMEOUT)), daemon=True)
    thread.start()
    active = "select 1 from pg_stat_activity where query like '%londiste.wait_for_events%' and wait_event = 'PgSleep'"
    pair.until(lambda: pair.provider.run(active), "the wait")
    pair.provider.run("select pgq.insert_event(%s, 't', 'd')", [QUEUE])
    thread.join(TIMEOUT)
    assert found
    assert found[0] is not None, "the event did not end the wait"
    assert wait(1, 0.01) is None
    assert wait(0, TIMEOUT) is not None, "what came before the wait"
    assert wait(1, TIMEOUT, 999) is not None, "there is no such queue"
