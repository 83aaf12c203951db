"""Connections to PostgreSQL: pinned to known settings, errors translated by SQLSTATE.

Everybody above speaks of `Database` and of named statements (`sqlfiles`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions

from londiste_lite import driver, sqlfiles
from londiste_lite.dsn import describe, hide_password
from londiste_lite.errors import (
    ConnectionLost,
    DatabaseError,
    LockNotGranted,
    PrivilegeMissing,
    QueryCanceled,
    SchemaError,
)

log = logging.getLogger(__name__)

OLDEST_SERVER = 130000
OWN_SCHEMAS = ("londiste", "pgq", "pgq_ext", "pgq_coop")

# Text that goes through COPY or a record must read back the same on the other side whatever the role or database set.
PINNED = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "timezone": "UTC",
    "xmloption": "content",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "exit_on_error": "off",
    "search_path": "pg_catalog",
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "row_security": "off",
    # Compiling a statement takes seconds where tables were never analyzed, and is done anew for each batch.
    "jit": "off",
    # The server, too, finds out that the other end is gone, or its session would keep locks for hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# Since PostgreSQL 14: also while a statement runs.
_PINNED_14 = {"client_connection_check_interval": "10s", "idle_session_timeout": "0"}
_PINNED_17 = {"transaction_timeout": "0"}

# Seconds that a request to cancel may take: it needs a connection of its own, which may hang like the first.
CANCEL_SECONDS = 5

Row = tuple[Any, ...]

# What tells a server process from every other, for numbers are used again: its number and when it began.
BACKEND = "a.pid::text || ' ' || (extract(epoch from a.backend_start) * 1000000)::int8::text"

# All connections of this process, to be cancelled together.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_databases_lock = threading.Lock()

# Server processes of connections that this process lost, by DSN. The server may not know yet, and its session may hold
# locks that the next one needs, so the next connection ends them first.
_lost: dict[str, set[str]] = {}


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...

    def readline(self, size: int | None = ..., /) -> bytes: ...


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def translate(error: psycopg2.Error, where: str = "") -> DatabaseError | SchemaError:
    """Return our exception for a driver's `error`; decided by SQLSTATE, never by message text."""
    state: str | None = getattr(error, "pgcode", None)
    diag = getattr(error, "diag", None)
    # libpq's own messages run over several lines and end in a full stop.
    text = hide_password(" ".join((getattr(diag, "message_primary", None) or str(error)).split())).rstrip(".")
    message = f"{where}: {text}" if where else text
    detail = getattr(diag, "message_detail", None)
    hint = getattr(diag, "message_hint", None)
    fields: dict[str, Any] = {"sqlstate": state, "detail": detail, "hint": hint}
    fields["constraint"] = getattr(diag, "constraint_name", None)
    fields["table"] = getattr(diag, "table_name", None)
    fields["column"] = getattr(diag, "column_name", None)
    fields["in_function"] = _in_function(diag)
    # Without a SQLSTATE it is not the server that speaks. The driver's bare DatabaseError is libpq's word then: that an
    # answer broke off, where the driver has not noticed yet that the connection is gone.
    if state is None and (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or type(error) is psycopg2.DatabaseError
    ):
        return ConnectionLost(message, sqlstate=None)
    if state and (state[:2] == "08" or state in ("57P01", "57P02", "57P03")):
        return ConnectionLost(message, sqlstate=state)
    if state == "55P03":
        return LockNotGranted(message, sqlstate=state, detail=detail)
    if state == "57014":
        return QueryCanceled(message, **fields)
    if state == "42501":
        return PrivilegeMissing(message, **fields)
    if state in ("3F000", "42P01", "42883", "42703") and _names_own_schema(text):
        return SchemaError(message, hint="Run `provider install` or `subscriber install` (again) on this database.")
    return DatabaseError(message, **fields)


def _in_function(diag: Any) -> bool:
    """Tell whether a function of the users raised the error: one of a trigger, of a check, of a default."""
    # The ordered way hands the context on where it fits.
    context = "\n".join(str(getattr(diag, name, None) or "") for name in ("context", "datatype_name"))
    called = re.findall(r"^\S+ function (.*)", context, re.MULTILINE)
    return any(not name.startswith("inline_code_block") and "londiste" not in name for name in called)


def _names_own_schema(text: str) -> bool:
    # The message is only used to tell our schemas from the user's after the SQLSTATE has decided the class.
    return any(f'"{schema}' in text or f"{schema}." in text for schema in OWN_SCHEMAS)


class Database:
    """One connection, in autocommit mode; transactions are explicit blocks.

    Not for use by two threads at once, except `cancel`, `give_up` and what `connection_watch` reads, which any thread
    may call. `backend` names the server process, as the SQL of `BACKEND` does; `messages` counts what was sent.
    """

    def __init__(self, raw: psycopg2.extensions.connection, label: str, dsn: str) -> None:
        self._raw = raw
        self.label = label
        self.dsn = dsn
        self.backend = ""
        self._depth = 0
        self._rehearsing = False
        # What the next statement takes along: begin, savepoint and release cost no round trip of their own, nor does
        # what was handed to `later`.
        self._waiting: list[str] = []
        self._holds_work = False
        self._prepared: set[str] = set()
        self._used: set[str] = set()
        self.messages = 0
        self._given_up = ""
        self._waiting_since: float | None = None
        # A second descriptor of the TCP socket, so that another thread may look at it, or end it, at any moment.
        local = str(raw.info.host or "/").startswith(("/", "@"))
        self.socket = None if local else socket.socket(fileno=os.dup(raw.fileno()))
        with _databases_lock:
            _databases.add(self)

    @property
    def server_version(self) -> int:
        """The server's version number, 150004 for 15.4."""
        return int(self._raw.server_version)

    @property
    def dbname(self) -> str:
        return str(self._raw.info.dbname)

    @property
    def closed(self) -> bool:
        return self._raw.closed != 0

    @property
    def in_transaction(self) -> bool:
        return self._depth > 0

    @property
    def waiting_since(self) -> float | None:
        """Since when (`time.monotonic`) this connection waits for the server, None while it does not."""
        return self._waiting_since

    @property
    def backend_pid(self) -> int:
        return int(self._raw.info.backend_pid)

    def nearest_dsn(self, timeout: int) -> str:
        """Return a DSN for one more connection to this very server, of several that the DSN may name.

        `timeout` is in seconds.
        """
        parts = psycopg2.extensions.parse_dsn(self.dsn)
        if "," in parts.get("host", "") + parts.get("hostaddr", ""):
            parts.pop("hostaddr", None)
            parts |= {"host": str(self._raw.info.host), "port": str(self._raw.info.port)}
        parts |= {"target_session_attrs": "any", "connect_timeout": str(timeout)}
        return str(psycopg2.extensions.make_dsn(**parts))

    def fileno(self) -> int:
        """The socket's descriptor, for `select`."""
        return int(self._raw.fileno())

    def notices(self) -> list[str]:
        """Return and forget the server's notices since the last call."""
        found = [str(line).strip() for line in self._raw.notices]
        self._raw.notices.clear()
        return found

    # --- statements -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        self._waiting_since = time.monotonic()
        try:
            yield
        except psycopg2.Error as error:
            if self._given_up:
                found: DatabaseError | SchemaError = ConnectionLost(f"{self.label}: {self._given_up}")
            else:
                found = translate(error, self.label)
            if isinstance(found, ConnectionLost) and self.backend:
                _lost.setdefault(self.dsn, set()).add(self.backend)
            raise found from error
        finally:
            self._waiting_since = None

    @contextlib.contextmanager
    def busy_elsewhere(self) -> Iterator[None]:
        """For callbacks of a COPY: in this block the connection waits for this program, not for the server."""
        self._waiting_since = None
        try:
            yield
        finally:
            self._waiting_since = time.monotonic()

    def run(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> list[Row]:
        """Run SQL built at run time and return its rows, an empty list when it returns none.

        With `params` None the text is sent as it is, `%` included. Raises DatabaseError or one of its kinds.
        """
        with self._translated(), self._raw.cursor() as cursor:
            self._execute(cursor, sql, params)
            return cursor.fetchall() if cursor.description else []

    def _execute(self, cursor: Any, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> None:
        """Send a statement, in one message with those that wait for it."""
        self.messages += 1
        if not self._waiting:
            cursor.execute(sql, params)
            return
        waiting, self._waiting, self._holds_work = self._waiting, [], False
        last = sql if params is None else cursor.mogrify(sql, params).decode()
        # On a line of its own, for a statement may end in a comment.
        cursor.execute("\n;\n".join([*waiting, last]))

    def later(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> None:
        """Run a statement of a transaction together with the next one, the end of a savepoint, or the commit.

        For what gives no rows that anybody wants. Its errors are raised by the statement that takes it along.
        """
        if not self._depth:
            self.run(sql, params)
            return
        if params is not None:
            with self._translated(), self._raw.cursor() as cursor:
                sql = cursor.mogrify(sql, params).decode()
        self._waiting.append(sql)
        self._holds_work = True

    def _send_waiting(self) -> None:
        if self._waiting:
            self.script(self._waiting.pop())

    def count(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> int:
        """Run a statement and return how many rows it touched."""
        with self._translated(), self._raw.cursor() as cursor:
            self._execute(cursor, sql, params)
            return int(cursor.rowcount)

    def stream(self, sql: str, size: int = 5000) -> Iterator[Row]:
        """Run a query inside a transaction and give its rows, fetched `size` at a time; one such query at a time."""
        self.script(f"declare londiste_stream no scroll cursor for {sql}")
        while found := self.run(f"fetch {size} from londiste_stream"):
            yield from found
        self.script("close londiste_stream")

    def rows(self, name: str, /, **params: Any) -> list[Row]:
        """Run the named statement `module.name` of `sql/queries` and return its rows."""
        return self.run(sqlfiles.statement(name), params)

    def row(self, name: str, /, **params: Any) -> Row | None:
        """Run the named statement and return its first row, None when there is none."""
        found = self.rows(name, **params)
        return found[0] if found else None

    def rows_again(self, name: str, /, **params: Any) -> list[Row]:
        """`rows` for what a session asks of one table after the other: from the second time on it is planned once.

        Not for statements whose best plan depends on how large the tables have become.
        """
        if name not in self._used:
            self._used.add(name)
            return self.rows(name, **params)
        return self.run(*self._planned(name, params))

    def planned_row(self, name: str, /, **params: Any) -> Row | None:
        """Run the named statement, which the server plans once for this session, and return its first row.

        Not for statements whose best plan depends on how large the tables have become.
        """
        found = self.run(*self._planned(name, params))
        return found[0] if found else None

    def planned_later(self, name: str, /, **params: Any) -> None:
        """`later` for the named statement, which the server plans once for this session."""
        self.later(*self._planned(name, params))

    def _planned(self, name: str, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
        text, names = sqlfiles.preparable(name)
        if name not in self._prepared:
            # It stays when the transaction is rolled back.
            self.script(f'prepare "{name}" as {text}')
            self._prepared.add(name)
        return f'execute "{name}" ({", ".join(["%s"] * len(names))})', [params[one] for one in names]

    def value(self, name: str, /, **params: Any) -> Any:
        """Run the named statement and return the first column of its first row, None when there is no row."""
        found = self.row(name, **params)
        return found[0] if found else None

    def script(self, sql: str) -> None:
        """Run a script of several statements without parameters."""
        with self._translated(), self._raw.cursor() as cursor:
            self._execute(cursor, sql)

    def copy_out(self, sql: str, target: Writable, size: int = 1 << 16) -> None:
        """Run `COPY ... TO STDOUT` and write its bytes to `target`."""
        self._send_waiting()
        self.messages += 1
        with self._translated(), self._raw.cursor() as cursor:
            cursor.copy_expert(sql, target, size)

    def copy_in(self, sql: str, source: Readable, size: int = 1 << 16) -> int:
        """Run `COPY ... FROM STDIN` with the bytes of `source`; return the number of rows."""
        self._send_waiting()
        self.messages += 1
        with self._translated(), self._raw.cursor() as cursor:
            cursor.copy_expert(sql, _Fed(self, source), size)
            return int(cursor.rowcount)

    # --- transactions ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, begin: str = "begin") -> Iterator[None]:
        """A transaction block: committed at its end, rolled back when an exception leaves it.

        `begin` may name an isolation level, for example `begin isolation level repeatable read`. It is sent together
        with the first statement, so that a block without any costs nothing.
        """
        if self._depth:
            raise RuntimeError("transactions do not nest; use savepoint()")
        if self._rehearsing:
            self._depth = 1
            try:
                with self.savepoint("londiste_rehearsal"):
                    yield
            finally:
                self._depth = 0
            return
        self._waiting = [begin]
        self._depth, sent = 1, self.messages
        try:
            yield
            if self.messages != sent or self._holds_work:
                self.script("commit")
        except BaseException:
            self._depth = 0
            if self.messages != sent:
                self._quiet_rollback("rollback")
            raise
        finally:
            self._depth = 0
            self._waiting, self._holds_work = [], False

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A block of which nothing stays: its transactions are savepoints of one that is rolled back at its end."""
        self.script("begin")
        self._rehearsing = True
        try:
            yield
        finally:
            self._rehearsing = False
            self._quiet_rollback("rollback")

    @contextlib.contextmanager
    def savepoint(self, name: str = "londiste_step", *, joined: bool = False) -> Iterator[None]:
        """A savepoint inside a transaction: released at its end, rolled back to when an exception leaves it.

        What waits by `later` is sent before, so that its errors are not taken for the block's, unless `joined`: then
        the block's first statement takes it along, and a rollback to the savepoint may fail for its errors.
        """
        if self._holds_work and not joined:
            self._send_waiting()
        place, sent = len(self._waiting), self.messages
        self._waiting.append(f"savepoint {name}")
        try:
            yield
            if self._holds_work and (self.messages != sent or len(self._waiting) > place + 1):
                self._send_waiting()
        except BaseException:
            if self.messages != sent:
                self._quiet_rollback(f"rollback to savepoint {name}; release savepoint {name}")
            else:
                del self._waiting[place:]
            raise
        if self.messages != sent:
            self._waiting.append(f"release savepoint {name}")
        else:
            del self._waiting[place:]

    def _quiet_rollback(self, sql: str) -> None:
        # A failing rollback must not hide the error that is on its way.
        self._waiting, self._holds_work = [], False
        if self.closed:
            return
        try:
            self.script(sql)
        except (DatabaseError, SchemaError) as error:
            log.debug("%s: %s failed: %s", self.label, sql, error)

    # --- waking up ------------------------------------------------------------------------------------------

    def listen(self, channel: str) -> None:
        """Subscribe to notifications of `channel`, a plain identifier."""
        self.script(f'listen "{channel}"')

    def take_notifications(self) -> int:
        """Read what has arrived on the socket and return how many notifications there were."""
        with self._translated():
            self._raw.poll()
        found = len(self._raw.notifies)
        self._raw.notifies.clear()
        return found

    def cancel(self) -> None:
        """Ask the server to cancel the statement under way, and give the connection up when it cannot be asked.

        Callable from another thread, never raises.
        """
        if self.socket is None:
            with contextlib.suppress(psycopg2.Error):
                self._raw.cancel()
            return
        # Not by the driver, which waits for an answer without end and stops all other threads meanwhile.
        asking = threading.Thread(target=self._cancel_from_beside, name="cancel", daemon=True)
        asking.start()
        asking.join(CANCEL_SECONDS)
        if asking.is_alive():
            self.give_up("the server does not answer")

    def _cancel_from_beside(self) -> None:
        if not self.backend or self.closed:
            return
        try:
            second = psycopg2.connect(self.nearest_dsn(CANCEL_SECONDS))
            with contextlib.closing(second), second.cursor() as cursor:
                sql = "select pg_catalog.pg_cancel_backend(a.pid) from pg_catalog.pg_stat_activity a"
                cursor.execute(f"{sql} where {BACKEND} = %s", [self.backend])
        except psycopg2.Error:
            self.give_up("it was to be cancelled, and the server cannot be asked to")

    def give_up(self, reason: str) -> None:
        """End a TCP connection that does not answer: the statement under way raises ConnectionLost with `reason`.

        Callable from another thread, never raises; a connection over a local socket stays.
        """
        if self.socket is not None:
            self._given_up = reason
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back. Never raises."""
        with contextlib.suppress(psycopg2.Error):
            self._raw.close()
        if self.socket is not None:
            self.socket.close()


class _Fed:
    """What a COPY into the server reads from; while it waits for its source, it does not wait for the server."""

    def __init__(self, db: Database, source: Readable) -> None:
        self._db = db
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        with self._db.busy_elsewhere():
            return self._source.read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._source.readline(size)


def connect(
    dsn: str,
    *,
    job: str,
    role: str,
    settings: Mapping[str, str] | None = None,
    timeout: int | None = None,
) -> Database:
    """Open a pinned connection to `dsn`, a libpq keyword string or a `postgresql://` URI.

    `role` is a word for `application_name` (`londiste:<job>:<role>`), `settings` are further server settings, `timeout`
    is the longest wait for the server in seconds, in place of the DSN's. Raises ConnectionRefused when the server
    cannot be reached, SchemaError when it is older than PostgreSQL 13, and
    ConfigError-like DatabaseError for a DSN that libpq cannot read.
    """
    more: dict[str, Any] = {} if timeout is None else {"connect_timeout": timeout}
    raw = driver.open_connection(dsn, f"londiste:{job}:{role}", **more)
    raw.autocommit = True
    database = Database(raw, describe(dsn), dsn)
    try:
        with driver.given_up_by(lambda: database.give_up("it did not answer before this process was told to stop")):
            _pin(database, settings)
        _end_lost(database)
    except BaseException:
        database.close()
        raise
    return database


def _pin(database: Database, settings: Mapping[str, str] | None) -> None:
    """Check the server's version, give the session its settings and ask for its number."""
    if database.server_version < OLDEST_SERVER:
        raise SchemaError(
            f"{database.label} is PostgreSQL {database._raw.info.parameter_status('server_version')}, which is too old",
            hint="londiste_lite works with PostgreSQL 13 and later.",
        )
    pinned = dict(PINNED)
    for version, more in ((140000, _PINNED_14), (170000, _PINNED_17)):
        if database.server_version >= version:
            pinned |= more
    pinned |= settings or {}
    names = ", ".join("pg_catalog.set_config(%s, %s, false)" for _ in pinned)
    # The process's number is asked for, because a pooler between the two gives numbers of its own.
    own = f"(select {BACKEND} from pg_catalog.pg_stat_activity a where a.pid = pg_catalog.pg_backend_pid())"
    found = database.run(f"select {own}, {names}", [part for item in pinned.items() for part in item])
    database.backend = str(found[0][0])


def cancel_all() -> None:
    """Cancel the statements that this process waits for. Callable from any thread, never raises."""
    with _databases_lock:
        waiting = [database for database in _databases if database.waiting_since is not None]
    for database in waiting:
        database.cancel()


def _end_lost(database: Database) -> None:
    """End the server processes of connections to the same DSN that this process lost."""
    lost = sorted(_lost.pop(database.dsn, ()))
    if not lost:
        return
    try:
        ended = database.run(
            f"select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a"
            f" where {BACKEND} = any (%s::text[])",
            [lost],
        )
    except DatabaseError as error:
        log.debug("%s: lost sessions cannot be ended: %s", database.label, error)
    else:
        if ended:
            log.info("%s: ended %d sessions of connections that were lost", database.label, len(ended))
