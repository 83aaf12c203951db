"""What keeps work from going on, said once when it begins or changes, and once in a while as long as it lasts."""

from __future__ import annotations

import time

from londiste_lite.errors import ConnectionLost

# Seconds until an error that stays the same is said again.
REPEAT_SECONDS = 60.0


class Complaint:
    """Decides which of many failed tries is worth a log line.

    All ways in which one server cannot be reached (refused, starting, cut) are one state.
    """

    def __init__(self) -> None:
        self._about = ""
        self._said_at = 0.0

    def is_new(self, error: Exception) -> bool:
        """Tell whether `error` is to be said now, and remember that it was."""
        about = str(error)
        if isinstance(error, ConnectionLost):
            about = about.removeprefix("cannot connect to ").partition(": ")[0]
        now = time.monotonic()
        if about == self._about and now - self._said_at < REPEAT_SECONDS:
            return False
        self._about, self._said_at = about, now
        return True

    def over(self) -> None:
        """Forget it: the work goes on."""
        self._about = ""
