"""Named points at which a test can kill the process, to prove that a crash there loses and repeats nothing.

`LONDISTE_LITE_CRASH_AT=name` makes the process kill itself (SIGKILL) when it reaches that point; otherwise no effect.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "batch-staged",
    "batch-applied",
    "batch-committed",
    "copy-started",
    "copy-begun",
    "copy-range-loaded",
    "copy-range-committed",
    "copy-ranges-done",
    "copy-index-made",
    "copy-resumed",
    "copy-catchup-staged",
    "copy-catchup-applied",
    "copy-catchup-committed",
    "copy-loaded",
    "copy-committed",
    "catchup-staged",
    "catchup-applied",
    "catchup-committed",
    "join-staged",
    "join-applied",
    "join-committed",
    "arrival-registered",
    "arrival-announced",
    "relay-applied",
    "relay-committed",
    "pull-applied",
    "pull-committed",
)


def reached(name: str) -> None:
    """Kill this process when the environment names this point."""
    if os.environ.get("LONDISTE_LITE_CRASH_AT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
