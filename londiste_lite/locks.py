"""Advisory locks that keep two processes from doing one job: two tickers, two replays, two changes of a publication."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from londiste_lite.db import Database
from londiste_lite.errors import LockNotGranted

TICKER_CLASS = 5067087
REPLAY_CLASS = 5067088
COPY_CLASS = 5067089
MEETING_CLASS = 5067090
PUBLISH_CLASS = 5067091


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the server's process number, the application's name and address."""

    pid: int
    application: str
    address: str | None

    def __str__(self) -> str:
        return f'"{self.application}" (backend {self.pid}, {self.address or "local"})'


def number(name: str) -> int:
    """A signed 32-bit number for a name."""
    value = zlib.crc32(name.encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def try_ticker(db: Database) -> bool:
    """Take the lock of this database's ticker for the session; return False when another has it."""
    return bool(db.value("ticker.try_lock", **{"class": TICKER_CLASS, "number": 0}))


def ticker_holder(db: Database) -> Holder | None:
    """Return who ticks this database, None when nobody of ours does."""
    return _holder(db, TICKER_CLASS, 0)


def try_replay(db: Database, consumer: str) -> bool:
    """Take the lock of a consumer's replay on its subscriber; return False when another has it."""
    return bool(db.value("ticker.try_lock", **{"class": REPLAY_CLASS, "number": number(consumer)}))


def replay_holder(db: Database, consumer: str) -> Holder | None:
    """Return who replays for this consumer, None when nobody does."""
    return _holder(db, REPLAY_CLASS, number(consumer))


def try_meeting(db: Database, consumer: str) -> bool:
    """Take the lock of who meets a consumer's replay, for the session; return False when another has it."""
    return bool(db.value("ticker.try_lock", **{"class": MEETING_CLASS, "number": number(consumer)}))


def end_meeting(db: Database, consumer: str) -> None:
    """Give the lock of `try_meeting` back."""
    db.rows("ticker.unlock", **{"class": MEETING_CLASS, "number": number(consumer)})


def hold_publication(db: Database, queue: str, lock_timeout: float) -> None:
    """Take the lock of what a queue publishes until the transaction ends, waiting up to `lock_timeout` seconds.

    Raises LockNotGranted, with who has it.
    """
    name = number(queue)
    before = db.value("triggers.lock_timeout", value=f"{max(int(lock_timeout * 1000), 1)}ms")
    try:
        db.value("ticker.wait_lock", **{"class": PUBLISH_CLASS, "number": name})
    except LockNotGranted as error:
        raise LockNotGranted(
            f'another command changes what queue "{queue}" publishes, and was not done after {lock_timeout:g} seconds',
            hint="Try again when it is done, or raise lock_timeout.",
        ) from error
    db.value("triggers.lock_timeout", value=before)


def _holder(db: Database, lock_class: int, number: int) -> Holder | None:
    row = db.row("ticker.lock_holder", **{"class": lock_class, "number": number})
    return Holder(int(row[0]), str(row[1]), row[2]) if row else None
