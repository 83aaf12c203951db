"""Advisory locks that keep two processes from doing one job: two tickers, two replays, two changes of a publication."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from londiste_lite.db import Database

TICKER_CLASS = 5067087
REPLAY_CLASS = 5067088
COPY_CLASS = 5067089
MEETING_CLASS = 5067090
PUBLISH_CLASS = 5067091


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the server's process number, application, role, address, and since when, as far as one may see.

    `since` is when its session began, or its transaction where that is what holds the lock.
    """

    pid: int
    application: str | None
    user: str | None
    address: str | None
    since: datetime | None

    def __str__(self) -> str:
        user = f", user {self.user}" if self.user else ""
        address = f" from {self.address}" if self.address else ""
        since = f", since {self.since.astimezone():%Y-%m-%d %H:%M:%S}" if self.since else ""
        return f'"{self.application or "a session without a name"}" (backend {self.pid}{user}{address}{since})'


def number(name: str) -> int:
    """A signed 32-bit number for a name."""
    value = zlib.crc32(name.encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def try_ticker(db: Database) -> bool:
    """Take the lock of this database's ticker for the session; return False when another has it."""
    return bool(db.value("ticker.try_lock", **{"class": TICKER_CLASS, "number": 0}))


def end_ticker(db: Database) -> None:
    """Give the lock of `try_ticker` back."""
    db.rows("ticker.unlock", **{"class": TICKER_CLASS, "number": 0})


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


def meeting_holder(db: Database, consumer: str) -> Holder | None:
    """Return who meets this consumer's replay, None when nobody does."""
    return _holder(db, MEETING_CLASS, number(consumer))


def _holder(db: Database, lock_class: int, number: int) -> Holder | None:
    row = db.row("ticker.lock_holder", **{"class": lock_class, "number": number})
    return Holder(*row) if row else None
