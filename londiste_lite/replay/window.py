"""Which ticks make the next batch: small when caught up, merged when behind, bounded by a number of rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite.event_queue import Tick

MOST_TICKS = 5000


def choose_end(start: Tick, ticks: Sequence[Tick], max_rows: int) -> Tick | None:
    """Return the tick that ends the next batch, None when there is none after `start`.

    `ticks` are those after `start`, oldest first. The newest tick within about `max_rows` events is taken, at least
    the next one: a batch cannot be smaller than one tick. The number of events is judged by the event sequence.
    """
    if not ticks:
        return None
    chosen = ticks[0]
    for tick in ticks:
        if tick.event_seq - start.event_seq > max_rows:
            break
        chosen = tick
    return chosen
