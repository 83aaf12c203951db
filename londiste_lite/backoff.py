"""Growing, jittered delays between tries; the caller does the waiting."""

from __future__ import annotations

import random


class Backoff:
    """Delays in seconds that double from `first` up to `longest`, each shortened by up to a quarter at random.

    The jitter keeps many nodes that lost one provider from coming back in step.
    """

    def __init__(self, first: float = 0.25, longest: float = 15.0) -> None:
        self.first = first
        self.longest = longest
        self.tries = 0

    def next_delay(self) -> float:
        """Return the next delay in seconds and count the try."""
        delay = min(self.longest, self.first * (2.0 ** min(self.tries, 30)))
        self.tries += 1
        return delay * random.uniform(0.75, 1.0)

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self.tries = 0
