"""How far one table's copy is, told by the threads that work on it and read by the coordinator."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Reached:
    """How far a copy is: `phase` is copy, indexes, reconcile or catch-up; rows and bytes so far, and in all (about)."""

    phase: str
    rows: int
    bytes: int
    total_rows: int | None
    total_bytes: int


class Tracker:
    """Counts for one table. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phase = ""
        self._rows = 0
        self._bytes = 0
        self._total_rows: int | None = None
        self._total_bytes = 0
        self._backends: set[int] = set()

    def begin(self, total_rows: int | None, total_bytes: int, rows: int = 0, size: int = 0) -> None:
        """Say how much there is to be copied, and how much an earlier process did."""
        with self._lock:
            self._phase = "copy"
            self._total_rows, self._total_bytes = total_rows, total_bytes
            self._rows, self._bytes = rows, size

    def phase(self, name: str) -> None:
        """Say what is being done now."""
        with self._lock:
            self._phase = name

    def streaming(self, backend: int) -> None:
        """Say that a backend of the subscriber reads a COPY, whose rows the server counts."""
        with self._lock:
            self._backends.add(backend)

    def streamed(self, backend: int, rows: int) -> None:
        """Say that it has read all rows."""
        with self._lock:
            self._backends.discard(backend)
            self._rows += rows

    def seen(self, size: int) -> None:
        """Count bytes that went through."""
        with self._lock:
            self._bytes += size

    @property
    def backends(self) -> set[int]:
        """The subscriber's backends that read a COPY now."""
        with self._lock:
            return set(self._backends)

    def reached(self, under_way: int = 0) -> Reached | None:
        """Return how far the copy is, `under_way` rows included that a COPY has read; None before it began."""
        with self._lock:
            if not self._phase:
                return None
            return Reached(self._phase, self._rows + under_way, self._bytes, self._total_rows, self._total_bytes)
