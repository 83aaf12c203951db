"""Which ticks make a batch."""

from __future__ import annotations

from datetime import datetime, timezone

from londiste_lite.event_queue import Tick
from londiste_lite.replay.window import FIRST_ROWS, RowLimit, choose_end, end_at_script

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)


def ticks(*sequences: int) -> list[Tick]:
    return [Tick(n, "1:1:", sequence, NOW) for n, sequence in enumerate(sequences, 1)]


START = Tick(0, "1:1:", 100, NOW)


def test_end__none_without_ticks() -> None:
    assert choose_end(START, [], 1000) is None


def test_end__the_only_tick_however_large() -> None:
    found = choose_end(START, ticks(1_000_000), 10)
    assert found is not None
    assert found.id == 1


def test_end__newest_tick_within_the_bound() -> None:
    found = choose_end(START, ticks(200, 400, 1100, 1101, 5000), 1000)
    assert found is not None
    assert found.id == 3


def test_end__all_ticks_when_they_fit() -> None:
    found = choose_end(START, ticks(100, 100, 100), 1)
    assert found is not None
    assert found.id == 3


def test_end__large_tick_ends_the_search() -> None:
    """A tick beyond the bound is not jumped over, even when a later one shows a smaller number."""
    found = choose_end(START, ticks(150, 9000, 160), 100)
    assert found is not None
    assert found.id == 1


def test_limit__grows_while_batches_are_quick_and_shrinks_when_they_are_slow() -> None:
    limit = RowLimit(10_000)
    assert limit.rows == FIRST_ROWS == 2000
    sizes = []
    for seconds in (0.1, 0.1, 0.1, 10, 40, 40, 40, 0.1):
        limit.applied(seconds)
        sizes.append(limit.rows)
    assert sizes == [4000, 8000, 10_000, 10_000, 5000, 2500, 2000, 4000]


def test_limit__never_over_the_setting() -> None:
    limit = RowLimit(10)
    for seconds in (0.1, 100):
        limit.applied(seconds)
        assert limit.rows == 10


def test_script__ends_the_batch_at_the_first_tick_that_sees_it() -> None:
    start = Tick(0, "5:9:5", 100, NOW)
    found = [Tick(n, snapshot, 100 + n, NOW) for n, snapshot in enumerate(("5:10:5", "5:12:5", "12:12:", "14:14:"), 1)]
    end = found[-1]
    assert end_at_script(start, found, end, []) is end
    assert end_at_script(start, found, end, [3, 8]) is end, "what the start sees is past"
    assert end_at_script(start, found, end, [13, 11]).id == 2
    assert end_at_script(start, found, end, [5]).id == 3, "it was in progress at the start"
    assert end_at_script(start, found, found[0], [11]).id == 1, "never later than without it"
