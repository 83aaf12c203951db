"""Copies of a big table with four writers beside them, killed at random moments; no writer waits for a lock."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from londiste_lite import event_queue
from tests.fixtures.pair import QUEUE, Pair, in_background
from tests.two_servers.conftest import new_pair, pair, versions  # noqa: F401
from tests.two_servers.test_copy import ENTRY, writer
from tests.two_servers.test_copy_ranges import FINGERPRINT, INDEXES, fill, left_behind, small_ranges

pytestmark = pytest.mark.chaos
LOCK_TIMEOUT = 10_000
WAIT = 300.0


def polite(pair: Pair, number: int) -> Callable[[threading.Event], None]:  # noqa: F811
    """A writer of its own rows that fails when a lock is not granted within lock_timeout."""

    def work(ended: threading.Event) -> None:
        conn = pair.connect_provider()
        conn.script(f"set lock_timeout = {LOCK_TIMEOUT}")
        step = number * 10_000_000
        while not ended.is_set():
            step += 1
            conn.script(
                f"begin; insert into entry values ({step}, 'polite', 0); update entry set price = price + 1"
                f" where id = {number * 1000 + step % 900}; delete from entry where id = {step - 50}; commit"
            )

    return work


@pytest.mark.parametrize("held", [False, True], ids=["empty", "in use"])
def test_copies__killed_ten_times_while_four_writers_work(pair: Pair, held: bool) -> None:  # noqa: F811
    pair.setup_table(ENTRY, "entry")
    pair.subscriber.script(INDEXES)
    before = pair.subscriber.run(FINGERPRINT)
    fill(pair, 400_000)
    if held:
        pair.subscriber.script("insert into entry select n, 'old', 0 from generate_series(1, 300000) n")
    small_ranges(pair, 1_000_000)
    moments = random.Random(held)
    with in_background(*(polite(pair, n) for n in (1, 2, 3)), writer(pair, 4)):
        for turn in range(10):
            process = pair.start_process(copy_jobs=2)
            time.sleep(0.6 + moments.random() * 3)
            if turn == 6:
                pair.resync("entry")
                time.sleep(moments.random())
            process.kill()
        pair.replay = None
        pair.start()
        pair.until(lambda: pair.states() == ["ok"], "the copy", WAIT)
    pair.wait(WAIT)
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert pair.subscriber.run(FINGERPRINT) == before
    assert left_behind(pair) == []
    pair.until(
        lambda: event_queue.position(pair.provider, QUEUE, pair.settings.copy_consumer) is None, "the queue's release"
    )
