"""Which ticks make the next batch: small when caught up, merged when behind, bounded by a number of rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite.event_queue import Tick
from londiste_lite.snapshots import Snapshot

MOST_TICKS = 5000
# Events that a copied table may be behind when the main replay takes it over: what it applies in a moment.
SMALL_GAP = 20_000

# A replay that is interrupted again and again gets on by batches that fit between two interruptions.
FIRST_ROWS = 2_000
QUICK_SECONDS = 5.0
SLOW_SECONDS = 20.0


class RowLimit:
    """How many events are merged into the next batch: few at first, more while batches are quick, never over `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = min(FIRST_ROWS, most)

    def applied(self, seconds: float) -> None:
        """Tell how long the last batch took."""
        if seconds < QUICK_SECONDS:
            self.rows = min(self.rows * 2, self._most)
        elif seconds > SLOW_SECONDS:
            self.rows = max(self.rows // 2, min(FIRST_ROWS, self._most))


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


def end_at_script(start: Tick, ticks: Sequence[Tick], end: Tick, scripts: Sequence[int]) -> Tick:
    """Return the first tick up to `end` that sees one of `scripts` (transactions) which `start` does not, else `end`.

    A script splits its batch, and what comes after it is put aside meanwhile: little, when the batch ends there.
    """
    begun = Snapshot.parse(start.snapshot)
    waiting = [txid for txid in scripts if not begun.sees(txid)]
    if not waiting:
        return end
    for tick in ticks:
        if tick.id >= end.id:
            break
        seen = Snapshot.parse(tick.snapshot)
        if any(seen.sees(txid) for txid in waiting):
            return tick
    return end


def scripts_coming(start: Tick, ticks: Sequence[Tick], scripts: Sequence[int]) -> bool:
    """Tell whether any of `scripts` (transactions) is seen by the last of `ticks`, and not by `start`."""
    if not ticks or not scripts:
        return False
    begun, last = Snapshot.parse(start.snapshot), Snapshot.parse(ticks[-1].snapshot)
    return any(last.sees(txid) and not begun.sees(txid) for txid in scripts)
