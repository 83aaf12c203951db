"""When a queue needs a tick: the rule is fed with what a model of the server shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from londiste_lite.snapshots import Snapshot
from londiste_lite.tick_rule import QueueRule, TickRule

RULE = QueueRule(max_count=500, max_lag=0.0, idle_period=60.0)


@dataclass
class Server:
    """Transactions, one event sequence, and a ticker."""

    next_txid: int = 100
    last_done: int = 99
    running: set[int] = field(default_factory=set)
    sequence: int = 0
    now: float = 1000.0
    writers: set[int] = field(default_factory=set)
    seen: Snapshot = field(default_factory=lambda: Snapshot(100, 100, frozenset()))
    ticks: int = 0
    longest_wait: float = 0.0

    def __post_init__(self) -> None:
        self.waiting: dict[int, float] = {}
        self.rule = TickRule.begin(RULE, self.sequence, self.sequence, self.seen, self.now)

    def snapshot(self) -> Snapshot:
        """As the server makes them: what began after the last transaction that ended is not listed."""
        xmax = self.last_done + 1
        listed = frozenset(txid for txid in self.running if txid < xmax)
        return Snapshot(min(listed, default=xmax), xmax, listed)

    def begin(self) -> int:
        txid, self.next_txid = self.next_txid, self.next_txid + 1
        self.running.add(txid)
        return txid

    def write(self, txid: int) -> None:
        self.sequence += 1
        self.writers.add(txid)

    def end(self, txid: int) -> None:
        self.running.discard(txid)
        self.last_done = max(self.last_done, txid)
        if txid in self.writers:
            self.waiting[txid] = self.now

    def look(self) -> None:
        self.now += self._rest()
        if self.rule.look(self.sequence, self.snapshot(), self.now):
            seen, txid = self.snapshot(), self.begin()
            self.end(txid)
            self.rule.ticked(seen, txid, self.now)
            self.seen, self.ticks = seen, self.ticks + 1
        for txid in [t for t in self.waiting if self.seen.sees(t)]:
            self.longest_wait = max(self.longest_wait, self.now - self.waiting.pop(txid))

    def _rest(self) -> float:
        """As the ticker does: looks at its own pace, or a wait that a movement of the sequence ends."""
        pace = self.rule.next_look(self.now)
        if pace is not None:
            return pace
        grace = self.rule.quiet_seconds(self.now)
        longest = 0.09 if grace is None else min(grace, 0.09)
        return min(longest, 0.002) if self.sequence != self.rule.last_sequence else longest

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.look()


@pytest.fixture
def server() -> Server:
    found = Server()
    found.pass_time(10)
    found.ticks = 0
    return found


def test_event__committed_at_once(server: Server) -> None:
    txid = server.begin()
    server.write(txid)
    server.end(txid)
    server.look()
    assert server.ticks == 1
    assert not server.waiting


@pytest.mark.parametrize("open_for", [0.001, 0.01, 0.04, 0.06, 0.3, 2.0, 30.0, 600.0])
@pytest.mark.parametrize("others", [False, True])
def test_event__committed_later_without_further_traffic(server: Server, open_for: float, others: bool) -> None:
    txid = server.begin()
    server.write(txid)
    if others:
        server.end(server.begin())
    server.pass_time(open_for)
    server.end(txid)
    server.pass_time(0.1)
    assert not server.waiting
    assert server.longest_wait <= 0.06


def test_events__of_several_writers_that_end_one_after_the_other(server: Server) -> None:
    writers = [server.begin() for _ in range(5)]
    for txid in writers:
        server.write(txid)
    for txid in reversed(writers):
        server.pass_time(1.0)
        server.end(txid)
    server.pass_time(0.1)
    assert not server.waiting
    assert server.longest_wait <= 0.06


def test_idle__no_ticks_for_transactions_without_events(server: Server) -> None:
    for _ in range(500):
        server.end(server.begin())
        server.look()
    assert server.ticks == 0


def test_idle__one_tick_in_an_idle_period(server: Server) -> None:
    server.pass_time(200)
    assert 3 <= server.ticks <= 4


def test_open_transaction__that_writes_all_the_time_makes_no_flood(server: Server) -> None:
    txid = server.begin()
    for _ in range(2000):
        server.write(txid)
        server.look()
    assert server.ticks <= 20
    server.end(txid)
    server.pass_time(0.1)
    assert not server.waiting


def test_one_event__makes_few_ticks(server: Server) -> None:
    txid = server.begin()
    server.write(txid)
    server.end(txid)
    server.pass_time(30)
    assert server.ticks <= 6


def test_thresholds__lag_and_count_hold_ticks_back() -> None:
    server = Server()
    server.pass_time(10)
    server.rule.rule = QueueRule(max_count=50, max_lag=3.0, idle_period=60.0)
    txid = server.begin()
    server.write(txid)
    server.end(txid)
    server.look()
    server.ticks = 0
    for _ in range(49):
        txid = server.begin()
        server.write(txid)
        server.end(txid)
        server.look()
    assert server.ticks == 0
    for _ in range(60):
        txid = server.begin()
        server.write(txid)
        server.end(txid)
        server.look()
    assert 1 <= server.ticks <= 3
    server.pass_time(3.1)
    assert not server.waiting


def test_begin__a_writer_that_was_open_before_the_ticker() -> None:
    server = Server()
    txid = server.begin()
    server.write(txid)
    server.seen = server.snapshot()
    server.rule = TickRule.begin(RULE, server.sequence, server.sequence, server.seen, server.now)
    server.pass_time(5)
    server.end(txid)
    server.pass_time(0.1)
    assert not server.waiting


def test_busy__while_events_come_and_while_a_writer_is_open(server: Server) -> None:
    assert not server.rule.busy(server.now, 2.0)
    txid = server.begin()
    server.write(txid)
    server.pass_time(1.0)
    assert server.rule.busy(server.now, 2.0)
    server.pass_time(5.0)
    assert server.rule.busy(server.now, 2.0), "its writer may still commit"
    server.end(txid)
    server.pass_time(1.0)
    assert not server.rule.busy(server.now, 2.0)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "write", "write", "end", "other", "wait", "look"]), st.integers(0, 7)),
        max_size=80,
    )
)
def test_any_history__every_event_is_ticked_soon(steps: list[tuple[str, int]]) -> None:
    server = Server()
    open_ones: list[int] = []
    for what, number in steps:
        if what == "begin":
            open_ones.append(server.begin())
        elif what == "write" and open_ones:
            server.write(open_ones[number % len(open_ones)])
        elif what == "end" and open_ones:
            server.end(open_ones.pop(number % len(open_ones)))
        elif what == "other":
            server.end(server.begin())
        elif what == "wait":
            server.pass_time(0.03 * number)
        else:
            server.look()
    server.pass_time(0.1)
    assert not server.waiting
    assert server.longest_wait <= 0.07
