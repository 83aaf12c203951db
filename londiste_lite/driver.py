"""The driver's connections: opened in one place, bare for a user's own code.

The program itself works with `db.Database`, which is made of one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from londiste_lite.dsn import describe, hide_part, hide_password
from londiste_lite.errors import ConnectionRefused, DatabaseError

_KEEPALIVES: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30000,
    "connect_timeout": 15,
}

# Seconds that a server has to answer to a new connection once the process was told to stop.
LAST_SECONDS = 2.0
# What ends the waits of connections that are being opened, and whether they are to be ended.
_opening: list[Callable[[], object]] = []
_opening_lock = threading.Lock()
_stopping = threading.Event()

DriverError = psycopg2.Error
"""What a user's own statements raise; `db.translate` makes our exception of it."""


def open_connection(dsn: str, name: str, *, keep_name: bool = False, **more: Any) -> Any:
    """Open a connection of the driver to `dsn`, a libpq keyword string or a `postgresql://` URI.

    `name` is its `application_name`, unless the DSN has one and `keep_name` is set; `more` goes to the driver. Raises
    ConnectionRefused when the server cannot be reached, and DatabaseError for a DSN that libpq cannot read.
    """
    try:
        given = psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError as error:
        raise DatabaseError(f"not a connection string: {hide_password(str(error).strip())}") from error
    options: dict[str, Any] = {key: value for key, value in _KEEPALIVES.items() if key not in given}
    if not (keep_name and "application_name" in given):
        options["application_name"] = name[:63]
    try:
        raw = _open(dsn, options | more)
        if not keep_name and raw.get_parameter_status("standard_conforming_strings") == "off":
            # The driver writes literals as it found this setting when it connected, whatever is set afterwards.
            raw.close()
            options["options"] = f"{given.get('options', '')} -c standard_conforming_strings=on"
            raw = _open(dsn, options | more)
        return raw
    except psycopg2.OperationalError as error:
        raise _refused(dsn, given, str(error)) from None


def _refused(dsn: str, given: Mapping[str, str], said: str) -> ConnectionRefused:
    """Return what libpq said of a connection that it could not make, with what can be done."""
    host = given.get("host", "")
    for part in host.split(","):
        said = said.replace(part, hide_part(part)) if part else said
    lines = [hide_password(" ".join(line.split())).rstrip(".") for line in said.splitlines() if line.strip()]
    text = "; ".join(line for line in lines if not line.startswith("Is the server running"))
    if host != hide_part(host):
        hint = "In a URI an @ of the password has to be written as %40."
    elif any(words in said for words in ("password", "pg_hba.conf", "role ", "SSL", "certificate")):
        hint = "Check user and password in the connection string or in the password file, and the server's pg_hba.conf."
    elif "does not exist" in said:
        hint = "Check the database's name in the connection string."
    else:
        hint = "Check that the server runs there and that the connection string has its host and port."
    return ConnectionRefused(f"cannot connect to {describe(dsn)}: {text}", hint=hint)


def _open(dsn: str, options: dict[str, Any]) -> Any:
    """Connect, so that Ctrl-C in the main thread and `stop_connecting` end the wait for a server that does not answer.

    The driver comes back only at its time-out, so it waits in a thread of its own, which is left behind.
    """
    found: list[Any] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            found.append(psycopg2.connect(dsn, **options))
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    with given_up_by(ended.set):
        threading.Thread(target=work, name="connect", daemon=True).start()
        ended.wait(LAST_SECONDS if _stopping.is_set() else None)
    if failed:
        raise failed[0]
    if not found:
        raise psycopg2.OperationalError("it did not answer before this process was told to stop")
    return found[0]


@contextlib.contextmanager
def given_up_by(action: Callable[[], object]) -> Iterator[None]:
    """During the block, `stop_connecting` calls `action`."""
    with _opening_lock:
        _opening.append(action)
    try:
        yield
    finally:
        with _opening_lock:
            _opening.remove(action)


def stop_connecting() -> None:
    """End every wait for a server that does not answer to a new connection, for the process is to end.

    Those that begin later have LAST_SECONDS, until `go_on_connecting`. Callable from any thread, never raises.
    """
    _stopping.set()
    with _opening_lock:
        waiting = list(_opening)
    for action in waiting:
        action()


def go_on_connecting() -> None:
    """Let new connections wait again."""
    _stopping.clear()


def open_plain(dsn: str, *, job: str, role: str, autocommit: bool = False) -> Any:
    """Open a connection for a user's own code, with the database's own settings.

    Rows have their fields by number and by name. Raises what `open_connection` does.
    """
    raw = open_connection(dsn, f"londiste:{job}:{role}", keep_name=True, cursor_factory=psycopg2.extras.DictCursor)
    raw.set_client_encoding("UTF8")
    raw.autocommit = autocommit
    return raw


def close_plain(connection: Any) -> None:
    """Close a connection of `open_plain`; never raises."""
    with contextlib.suppress(psycopg2.Error):
        connection.close()


def cancel_plain(connection: Any) -> None:
    """Cancel the statement under way on a connection of `open_plain`, from any thread; never raises."""
    with contextlib.suppress(psycopg2.Error):
        connection.cancel()
