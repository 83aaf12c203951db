"""Delays between tries."""

from __future__ import annotations

from londiste_lite.backoff import Backoff


def test_delays__double_up_to_the_longest_with_jitter_downwards() -> None:
    backoff = Backoff(first=1.0, longest=10.0)
    delays = [backoff.next_delay() for _ in range(200)]
    for delay, full in zip(delays, [1, 2, 4, 8, *([10] * 196)], strict=True):
        assert 0.75 * full <= delay <= full
    assert backoff.tries == 200
    assert len({round(d, 6) for d in delays[10:]}) > 100, "without jitter nodes come back in step"


def test_delays__start_again_after_a_success() -> None:
    backoff = Backoff(first=0.5, longest=8.0)
    for _ in range(5):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= 0.5


def test_delays__stay_finite_for_ever() -> None:
    backoff = Backoff(first=0.1, longest=5.0)
    backoff.tries = 10**6
    assert backoff.next_delay() <= 5.0
