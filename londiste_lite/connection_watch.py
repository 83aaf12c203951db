"""Finds connections that hang half-open while a statement is under way, and gives them up.

TCP keepalives find a machine that is gone. They do not find a proxy or a firewall that answers for it: then a statement
waits for ever. A statement that gets no byte for SILENCE seconds is therefore looked at over a second connection: one
that the server still works on may take as long as it likes.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import socket
import struct
import termios
import time
from dataclasses import dataclass

from londiste_lite.db import BACKEND, Database, connect
from londiste_lite.errors import ConnectionRefused, LondisteError
from londiste_lite.rounds import Rounds

log = logging.getLogger(__name__)

# Seconds without a byte after which a statement is looked at; and for how long the look itself may wait.
SILENCE = 20.0
LOOK_TIMEOUT = 5
# How many looks in vain it takes when the server cannot be asked at all.
MOST_STRIKES = 2
PACE = 1.0

_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_TCP_INFO_COUNTERS = 120  # offset in Linux's struct tcp_info of two 64-bit counters: bytes acknowledged, bytes received


@dataclass
class _Watched:
    """What was last seen of one connection; `since` is when it last moved."""

    traffic: tuple[int, int] | None = None
    since: float = 0.0
    strikes: int = 0
    misses: int = 0


@dataclass(frozen=True)
class Seen:
    """What the server says of a session, None where it does not tell; `seconds` is how long it has been so."""

    state: str | None
    waits_for: str | None
    seconds: float | None = None


class ConnectionWatch:
    """Looks after connections until they are closed."""

    def __init__(self) -> None:
        self._rounds = Rounds("connection watch", _pace, lambda: _Watched(since=time.monotonic()), self._check)

    def add(self, db: Database) -> None:
        """Look after `db` from now on; one over a local socket cannot hang half-open and is left alone."""
        if db.socket is not None:
            self._rounds.add(db)

    def _check(self, db: Database, seen: _Watched) -> None:
        now = time.monotonic()
        began, traffic = db.waiting_since, _traffic(db)
        if began is None or traffic != seen.traffic or _unread(db):
            seen.traffic, seen.since, seen.strikes, seen.misses = traffic, now, 0, 0
            return
        if now - max(began, seen.since) < SILENCE:
            return
        reason = self._look(db, seen, known=traffic is not None)
        if reason and db.waiting_since == began and _traffic(db) == traffic:
            log.warning("%s: no answer for %.0f s, %s; giving this connection up", db.label, now - began, reason)
            db.give_up(f"no answer, {reason}")
        elif not reason and not seen.strikes:
            seen.since = time.monotonic()

    def _look(self, db: Database, seen: _Watched, *, known: bool) -> str:
        """Ask the server about the session; return why the connection is dead, empty when it may live.

        `known` tells that it is known that no bytes move.
        """
        try:
            second = connect(db.nearest_dsn(LOOK_TIMEOUT), job="watch", role="watch")
        except ConnectionRefused as error:
            if _answers(db):
                seen.strikes = 0
                return ""  # a server that is full, or starting; it will end dead sessions itself
            seen.strikes += 1
            return f"and the server is not there ({error})" if seen.strikes >= MOST_STRIKES else ""
        except LondisteError as error:
            log.debug("%s: the session cannot be looked at: %s", db.label, error)
            return ""
        seen.strikes = 0
        try:
            since = "extract(epoch from pg_catalog.clock_timestamp() - a.state_change)::float8"
            sql = f"select a.state, a.wait_event_type, {since} from pg_catalog.pg_stat_activity a where {BACKEND} = %s"
            found = second.run(sql, [db.backend])
            if found:
                return verdict(Seen(*found[0]), known=known)
            # Its end may be on the way to here: only the second look counts.
            seen.misses += 1
            return "the server has no such session any more" if seen.misses > 1 else ""
        except LondisteError as error:
            log.debug("%s: the session cannot be looked at: %s", db.label, error)
            return ""
        finally:
            second.close()


def _pace() -> float:
    return min(PACE, SILENCE / 4)


def verdict(session: Seen, *, known: bool) -> str:
    """Return why a connection that waits in silence is dead, empty when it may live.

    `known` tells that it is known that no bytes move.
    """
    # An answer of this moment is still on its way.
    if session.state is not None and session.state.startswith("idle") and (session.seconds or 0.0) >= SILENCE:
        return "the server has answered long ago"
    if session.state == "active" and session.waits_for == "Client" and known:
        return "the server waits for this side"
    return ""


def _traffic(db: Database) -> tuple[int, int] | None:
    """Return how many bytes were acknowledged and received so far; None where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None or db.socket is None:
        return None
    with contextlib.suppress(OSError):
        info = db.socket.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_COUNTERS + 16)
        if len(info) == _TCP_INFO_COUNTERS + 16:
            acknowledged, received = struct.unpack_from("=QQ", info, _TCP_INFO_COUNTERS)
            return acknowledged, received
    return None


def _unread(db: Database) -> bool:
    """Tell whether bytes have come in that this program has not read yet: then it is not the server that is slow."""
    with contextlib.suppress(OSError, ValueError):
        if db.socket is not None:
            waiting = fcntl.ioctl(db.socket.fileno(), termios.FIONREAD, b"\0\0\0\0")
            return int.from_bytes(waiting, "little") > 0
    return False


def _answers(db: Database) -> bool:
    """Tell whether a PostgreSQL server answers where this connection leads, even if it takes no session now."""
    assert db.socket is not None
    with contextlib.suppress(OSError), socket.socket(db.socket.family, socket.SOCK_STREAM) as probe:
        probe.settimeout(LOOK_TIMEOUT)
        probe.connect(db.socket.getpeername())
        probe.sendall(_SSL_REQUEST)
        return probe.recv(1) in (b"S", b"N", b"E")
    return False


_watch = ConnectionWatch()


def look_after(db: Database) -> Database:
    """Have the process's watch look after `db`, and return it."""
    _watch.add(db)
    return db
