"""Where a comparison and a replay meet: at one tick, at which the replay rests until the other side has its snapshot.

The one who calls holds an advisory lock on the subscriber for as long as the replay is to rest. A caller that dies
loses the lock with its connection, and the replay goes on; what it left in the table then means nothing.
"""

from __future__ import annotations

from londiste_lite.db import Database


def call(caller: Database, consumer: str, tick: int) -> None:
    """Ask the consumer's replay to rest at a tick, which must not be visible yet; needs `locks.try_meeting`."""
    caller.rows("meeting.call", consumer=consumer, tick=tick)


def dismiss(caller: Database, consumer: str) -> None:
    """Let the replay go on."""
    caller.rows("meeting.dismiss", consumer=consumer)
