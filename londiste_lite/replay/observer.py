"""What a replay tells about itself while it works, for metrics: the interface, and the one that listens to nothing."""

from __future__ import annotations

from typing import Protocol


class ReplayObserver(Protocol):
    """Hears of batches and errors, from the replay's thread; must be quick and must not raise."""

    def batch(self, seconds: float, rows: int) -> None:
        """A batch of `rows` rows was committed after `seconds`."""

    def works(self) -> None:
        """A round has gone well: both servers answer and nothing stops the replay."""

    def error(self, error: Exception) -> None:
        """Something stops the replay for now."""


class Nobody:
    """An observer that does nothing."""

    def batch(self, seconds: float, rows: int) -> None:
        """Do nothing."""

    def works(self) -> None:
        """Do nothing."""

    def error(self, error: Exception) -> None:
        """Do nothing."""
