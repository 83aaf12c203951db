"""Provider snapshots in text form, `xmin:xmax:xip,xip..`, and what is visible in them.

The rules are PostgreSQL's (documentation, "Transaction ID and Snapshot Information Functions"): a transaction is
visible when it is below xmin, or below xmax and not in the list of those in progress.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """A txid snapshot: transactions as 64-bit numbers that do not wrap."""

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read the server's text form. Raises ValueError when it is none."""
        xmin, xmax, listed = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(part) for part in listed.split(",") if part))

    def sees(self, txid: int) -> bool:
        """Tell whether transaction `txid` had committed or aborted when the snapshot was taken."""
        return txid < self.xmin or (txid < self.xmax and txid not in self.in_progress)

    def covers(self, other: Snapshot, ignoring: int = 0) -> bool:
        """Tell whether everything that `other` sees is seen here too, the transaction `ignoring` aside."""
        if any(other.sees(txid) for txid in self.in_progress):
            return False
        # Ends at the first transaction that only `other` sees, so after as many steps as it has in progress.
        return not any(other.sees(txid) and txid != ignoring for txid in range(self.xmax, other.xmax))

    def union(self, other: Snapshot) -> Snapshot:
        """Return the snapshot that sees what either of the two sees."""
        later = max(self, other, key=lambda snapshot: snapshot.xmax)
        earlier = other if later is self else self
        unseen = frozenset(txid for txid in later.in_progress if not earlier.sees(txid))
        return Snapshot(min(unseen, default=later.xmax), later.xmax, unseen)

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(str(txid) for txid in sorted(self.in_progress))}"
