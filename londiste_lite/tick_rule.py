"""When a queue needs a tick. Pure: fed with what a look at the server shows, it answers yes or no.

A tick marks a snapshot. It is needed when an event has become visible that the last tick's snapshot does not see. The
event sequence tells at little cost that events were written, but it moves before their transaction commits. So a
movement calls for a tick only when some transaction has ended since the look before, and the transactions that are in
progress while the sequence moves are remembered: each of them that ends later needs a tick of its own, for it may have
been the writer. A sequence that stands still can gain no new writers.

A snapshot does not list every transaction in progress: those that began after the last one that ended are beyond its
xmax. A tick is a transaction itself, so that each writer that began before it has a smaller number: one tick, a moment
after the sequence stopped, tells them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from londiste_lite.snapshots import Snapshot

# A writer takes its event number a moment before its transaction number, if the event is its first write. Looks after
# a movement therefore also remember transactions that were not there yet; ticks follow with growing gaps.
SECOND_LOOKS = 4
# Seconds to each of them: a writer of one row has most often committed a millisecond after it took its event number.
SECOND_PACES = (0.001, 0.002, 0.005, 0.005)
# Seconds between two looks while a transaction that may have written is open: lately, and longer.
BUSY_PACE = 0.005
IDLE_PACE = 0.015
BUSY_SECONDS = 2.0
GRACE_TICKS = (0.05, 0.25, 1.0, 4.0)
MOST_WRITERS = 10_000


@dataclass(frozen=True)
class QueueRule:
    """A queue's thresholds: events, seconds with events, seconds without."""

    max_count: int
    max_lag: float
    idle_period: float


@dataclass
class TickRule:
    """The memory of one queue between two looks. Times are seconds of any steady clock."""

    rule: QueueRule
    last_sequence: int
    last_tick: float
    previous: Snapshot
    unsettled: set[int] = field(default_factory=set)
    due: bool = False
    moved_at: float = float("-inf")
    looks_left: int = 0
    count_writers: bool = False
    grace_left: int = 0
    ticked_sequence: int = 0
    own: int = 0

    @classmethod
    def begin(cls, rule: QueueRule, sequence: int, tick_sequence: int, tick: Snapshot, now: float) -> TickRule:
        """Start watching a queue whose last tick has the snapshot `tick`: its open transactions may be writers."""
        found = cls(rule, sequence, now, tick, set(tick.in_progress), due=sequence != tick_sequence)
        found.looks_left = SECOND_LOOKS
        found.count_writers = True
        found.grace_left = len(GRACE_TICKS)
        found.moved_at = now
        found.ticked_sequence = tick_sequence
        return found

    def look(self, sequence: int, snapshot: Snapshot, now: float) -> bool:
        """Take in the present event sequence and snapshot; return whether a tick is needed now."""
        if sequence != self.last_sequence:
            self.last_sequence = sequence
            self.moved_at = now
            self.looks_left = SECOND_LOOKS + 1
            self.count_writers = True
            self.grace_left = len(GRACE_TICKS)
        if self.looks_left:
            self.looks_left -= 1
            self.unsettled |= snapshot.in_progress
            self.due = self.due or not self.previous.covers(snapshot, self.own)
        self.previous = snapshot
        ended = {txid for txid in self.unsettled if snapshot.sees(txid)}
        if ended:
            self.unsettled -= ended
            self.due = True
        if self.grace_left and now - self.moved_at >= GRACE_TICKS[len(GRACE_TICKS) - self.grace_left]:
            self.grace_left -= 1
            self.due = True
        age = now - self.last_tick
        if self.due:
            return age >= self.rule.max_lag or sequence - self.ticked_sequence >= self.rule.max_count
        return age >= self.rule.idle_period

    def ticked(self, tick: Snapshot, txid: int, now: float) -> None:
        """Take in that transaction `txid` made a tick; its snapshot was taken after the last look."""
        self.own = txid
        self.last_tick = now
        self.ticked_sequence = self.last_sequence
        self.due = False
        self.previous = tick
        if self.looks_left:
            self.unsettled |= tick.in_progress
        if self.count_writers and now - self.moved_at >= GRACE_TICKS[0]:
            self.count_writers = False
            self.unsettled |= tick.in_progress
            self.unsettled.update(range(tick.xmax, min(txid, tick.xmax + MOST_WRITERS)))
        self.unsettled = {txid for txid in self.unsettled if not tick.sees(txid)}

    def next_look(self, now: float) -> float | None:
        """Return in how many seconds to look again, None when nothing can happen before the event sequence moves."""
        if self.looks_left:
            pace = SECOND_PACES[SECOND_LOOKS - self.looks_left]
        elif self.due or self.unsettled:
            pace = BUSY_PACE if self.busy(now, BUSY_SECONDS) else IDLE_PACE
        else:
            return None
        return max(pace, self.next_tick(now))

    def next_tick(self, now: float) -> float:
        """Return in how many seconds the next tick may come: they are worth their cost only some time apart."""
        return max(BUSY_PACE - (now - self.last_tick), 0.0)

    def quiet_seconds(self, now: float) -> float | None:
        """Return in how many seconds a tick comes after the last movement if nothing happens, None when none does."""
        if not self.grace_left:
            return None
        return max(self.moved_at + GRACE_TICKS[len(GRACE_TICKS) - self.grace_left] - now, 0.001)

    def busy(self, now: float, seconds: float) -> bool:
        """Tell whether events came within the last `seconds`, or a writer of the last minute may still commit."""
        quiet = now - self.moved_at
        return quiet < seconds or (bool(self.unsettled) and quiet < 60.0)
