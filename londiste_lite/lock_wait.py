"""Waiting for a lock of the server: how long, and who holds it meanwhile.

Once a wait has timed out the server no longer knows for whom it was, so a second connection asks while it lasts: only
after a good part of it, so that what goes fast costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from londiste_lite.db import Database, connect
from londiste_lite.errors import LockNotGranted, LondisteError
from londiste_lite.locks import PUBLISH_CLASS, Holder, number
from londiste_lite.rounds import Rounds

log = logging.getLogger(__name__)

# Seconds after which a wait is said aloud, and those between two looks.
SAY_AFTER = 2.0
LOOK_SECONDS = 0.25
# The part of a limited wait that passes before the first look.
PATIENCE = 0.3
MOST_NAMED = 3


def milliseconds(lock_timeout: float) -> int:
    """Return the server's lock_timeout for one of an INI, in seconds: 0 is no limit for both."""
    return max(int(lock_timeout * 1000), 1) if lock_timeout > 0 else 0


@contextlib.contextmanager
def named(db: Database, lock_timeout: float) -> Iterator[None]:
    """Run a block of statements on `db` that may wait for locks, up to `lock_timeout` seconds each, 0 without end.

    A lock that is not granted in time raises what the block raises, with who held it in the message; a wait that goes
    on for SAY_AFTER seconds is logged with the same.
    """
    looking = _Looking(db, min(lock_timeout * PATIENCE, SAY_AFTER) if lock_timeout > 0 else SAY_AFTER)
    try:
        yield
    except LondisteError as error:
        looking.end()
        if getattr(error, "sqlstate", None) == "55P03" and looking.held_by:
            error.args = (f"{error.message}; the lock is held by {looking.held_by}",)
        raise
    finally:
        looking.end()


def hold_publication(db: Database, queue: str, lock_timeout: float) -> None:
    """Take the lock of what a queue publishes until the transaction ends, waiting up to `lock_timeout` seconds.

    Raises LockNotGranted, with who has it.
    """
    with limited(db, lock_timeout):
        try:
            db.value("ticker.wait_lock", **{"class": PUBLISH_CLASS, "number": number(queue)})
        except LockNotGranted as error:
            after = f"and was not done after {lock_timeout:g} seconds"
            raise LockNotGranted(
                f'another command changes what queue "{queue}" publishes, {after}',
                hint="Try again when it is done, or raise lock_timeout.",
                sqlstate=error.sqlstate,
            ) from error


@contextlib.contextmanager
def limited(db: Database, lock_timeout: float) -> Iterator[None]:
    """As `named`, and the server's limit is `lock_timeout` during the block. Needs a transaction."""
    before = db.value("triggers.lock_timeout", value=f"{milliseconds(lock_timeout)}ms")
    with named(db, lock_timeout):
        yield
    db.value("triggers.lock_timeout", value=before)


class _Looking:
    """A thread that looks who blocks a connection, from some time on until it is told to end."""

    def __init__(self, db: Database, patience: float) -> None:
        self.held_by = ""
        self._db = db
        self._ended = threading.Event()
        self._patience = patience
        threading.Thread(target=self._run, name="lock watch", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        if self._ended.wait(self._patience):
            return
        try:
            with _beside(self._db) as other:
                waited = self._patience
                while not self._ended.is_set():
                    held_by = _held_by(self._db, other)
                    if held_by and not self._ended.is_set():
                        self._note(held_by, waited)
                    self._ended.wait(LOOK_SECONDS)
                    waited += LOOK_SECONDS
        except LondisteError as error:
            _say_nothing(self._db, error)

    def _note(self, held_by: str, waited: float) -> None:
        before, self.held_by = self.held_by, held_by
        if waited >= SAY_AFTER and (self.held_by != before or waited - LOOK_SECONDS < SAY_AFTER):
            _say(self._db, held_by)


class _Waiting:
    """What was seen of one connection: the statement under way since when, and for whom it waited."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = SAY_AFTER
        self._told = ""

    def look(self, db: Database) -> None:
        """Say who holds the lock that a statement waits for, again when it is somebody else."""
        now, since = time.monotonic(), db.waiting_since
        if since != self._since:
            self._since, self._pause, self._told = since, SAY_AFTER, ""
        if since is None or now - since < self._pause:
            return
        # A statement that takes long by itself should not be looked at every second.
        self._pause = 1.5 * (now - since)
        try:
            with _beside(db) as other:
                held_by = _held_by(db, other)
        except LondisteError as error:
            _say_nothing(db, error)
            return
        if held_by and held_by != self._told and db.waiting_since == since:
            _say(db, held_by)
            self._told = held_by


@contextlib.contextmanager
def _beside(db: Database) -> Iterator[Database]:
    """A second connection to the server of `db`."""
    with contextlib.closing(connect(db.nearest_dsn(2), job="watch", role="locks")) as other:
        yield other


def _held_by(db: Database, other: Database) -> str:
    """Return who holds the lock that `db` waits for, empty when it waits for none."""
    # The server's number of the session, which a pooler between the two would hide.
    found = other.rows("lock_wait.blockers", pid=int(db.backend.split()[0]))
    holders = [Holder(*row) for row in found]
    more = f" and {len(holders) - MOST_NAMED} others" if len(holders) > MOST_NAMED else ""
    return ", ".join(map(str, holders[:MOST_NAMED])) + more


def _say(db: Database, held_by: str) -> None:
    log.info("%s: waiting for a lock that is held by %s", db.label, held_by)


def _say_nothing(db: Database, error: LondisteError) -> None:
    log.debug("%s: who holds the lock cannot be seen: %s", db.label, error)


_rounds = Rounds("lock watch", lambda: SAY_AFTER / 2, _Waiting, lambda db, waiting: waiting.look(db))


def watch_locks(db: Database) -> Database:
    """Say of `db`, as long as it is open, for whose locks it waits, and return it.

    For statements that wait as long as it takes: a replay behind somebody's LOCK TABLE.
    """
    _rounds.add(db)
    return db
