"""What the tests of the queue share: short calls of its API, a queue that ticks on demand, outcomes to compare."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from londiste_lite import schema
from londiste_lite.db import Database, Row
from tests.fixtures.servers import ServerPool, connect, default_version

EXTENSION_FILE = Path("/usr/share/postgresql/15/extension/pgq.control")

Event = tuple[int, str, str]


@contextlib.contextmanager
def module_database(pool: ServerPool) -> Iterator[Database]:
    """A database with the queue for many small tests that leave nothing behind which the others could notice."""
    server = pool.get(default_version())
    dsn = pool.installed_database(server, schema.QUEUE_ONLY)
    db = connect(dsn)
    try:
        yield db
    finally:
        name = db.dbname
        db.close()
        pool.drop_database(server, name)


def value(db: Database, sql: str, *params: Any) -> Any:
    """Run a query and return the only column of its only row."""
    rows = db.run(sql, list(params) if params else None)
    assert len(rows) == 1
    assert len(rows[0]) == 1
    return rows[0][0]


def call(db: Database, function: str, *args: Any) -> Any:
    """Call `pgq.function(args)` (or `schema.function`) and return its result."""
    name = function if "." in function else f"pgq.{function}"
    marks = ", ".join(["%s"] * len(args))
    return value(db, f"select {name}({marks})", *args) if args else value(db, f"select {name}()")


def record(db: Database, function: str, *args: Any) -> Row:
    """Call a function that returns one row and return it."""
    rows = db.run(f"select * from pgq.{function}({', '.join(['%s'] * len(args))})", list(args))
    assert len(rows) == 1
    return rows[0]


def eager_queue(db: Database, name: str = "q", consumers: tuple[str, ...] = ("c",)) -> str:
    """Create a queue on which every call of the ticker makes a tick and every rotation is due."""
    call(db, "create_queue", name)
    for setting in ("ticker_max_lag", "ticker_idle_period", "rotation_period"):
        call(db, "set_queue_config", name, setting, "0")
    for consumer in consumers:
        call(db, "register_consumer", name, consumer)
    return name


def insert(db: Database, *data: str, queue: str = "q") -> list[int]:
    """Insert one event of type `t` per text and return their numbers."""
    return [call(db, "insert_event", queue, "t", text) for text in data]


def tick(db: Database, queue: str = "q") -> int:
    """Make a tick on an eager queue."""
    made = call(db, "ticker", queue)
    assert made is not None
    return int(made)


def open_batch(db: Database, queue: str = "q", consumer: str = "c") -> int:
    batch = call(db, "next_batch", queue, consumer)
    assert batch is not None
    return int(batch)


def data_of(db: Database, batch: int) -> list[str]:
    return [row[0] for row in db.run("select ev_data from pgq.get_batch_events(%s)", [batch])]


def consume(db: Database, queue: str = "q", consumer: str = "c") -> list[str]:
    """Tick, read and finish the consumer's next batch; return its events' data."""
    tick(db, queue)
    return consume_ready(db, queue, consumer)


def consume_ready(db: Database, queue: str = "q", consumer: str = "c") -> list[str]:
    """Read and finish all batches that are ready; return their events' data."""
    found: list[str] = []
    while (batch := call(db, "next_batch", queue, consumer)) is not None:
        found += data_of(db, batch)
        assert call(db, "finish_batch", batch) == 1
    return found


def rotate(db: Database, queue: str = "q") -> bool:
    """Run both steps of a rotation and tell whether the current table has changed."""
    before = value(db, "select queue_cur_table from pgq.queue where queue_name = %s", queue)
    assert call(db, "maint_rotate_tables_step1", queue) == 0
    assert call(db, "maint_rotate_tables_step2") == 0
    return value(db, "select queue_cur_table from pgq.queue where queue_name = %s", queue) != before


def dbname(db: Database) -> str:
    return value(db, "select current_database()::text")


@contextlib.contextmanager
def as_role(db: Database, role: str) -> Iterator[None]:
    db.script(f'set role "{role}"')
    try:
        yield
    finally:
        db.script("reset role")


def make_role(db: Database, name: str, member_of: str = "", options: str = "") -> str:
    """Create a role of its own for this database (roles belong to the cluster) and return its name."""
    role = f"{name}_{dbname(db)}"
    db.script(f'create role "{role}" login {options}')
    if member_of:
        db.script(f'grant {member_of} to "{role}"')
    return role


def drop_role(db: Database, role: str) -> None:
    db.script(f'drop owned by "{role}"; drop role "{role}"')


# --- outcomes, to compare two implementations ---------------------------------------------------------------

_VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00(:00)?"), "TIME"),
    (re.compile(r"\b\d+:\d+:(\d+(,\d+)*)?"), "SNAPSHOT"),
    (re.compile(r"cur txid=\d+"), "cur txid=N"),
]


def outcome(raw: psycopg2.extensions.connection, sql: str) -> list[Any]:
    """Run `sql` and return all of it that a client can see: columns, types, rows, messages; times left out."""
    raw.notices.clear()
    seen: list[Any] = []
    with raw.cursor() as cursor:
        try:
            cursor.execute(sql)
            if cursor.description:
                seen.append([(column.name, column.type_code) for column in cursor.description])
                seen += [tuple(_steady(cell) for cell in row) for row in cursor.fetchall()]
            else:
                seen.append(cursor.statusmessage)
        except psycopg2.Error as error:
            seen.append(("error", _steady(error.diag.message_primary)))
    seen += [_steady(line.strip().split("\n")[0]) for line in raw.notices]
    return seen


def _steady(cell: Any) -> Any:
    import datetime

    if isinstance(cell, datetime.datetime | datetime.timedelta):
        return type(cell).__name__
    if isinstance(cell, str):
        for pattern, word in _VARYING:
            cell = pattern.sub(word, cell)
    return cell


# --- several sessions ---------------------------------------------------------------------------------------


class Background:
    """Runs a call in a thread, so that a test can see it wait."""

    def __init__(self, target: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._target = target
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._target()
        except BaseException as error:
            self.error = error

    @property
    def waiting(self) -> bool:
        return self._thread.is_alive()

    def finish(self, timeout: float = 20.0) -> Any:
        """Wait for the call's end and return its result, or raise its error."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "still waiting"
        if self.error:
            raise self.error
        return self.result


def blocked(observer: Database, pid: int, timeout: float = 10.0) -> bool:
    """Wait until session `pid` waits for a lock; False when it does not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if observer.run("select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'", [pid]):
            return True
        time.sleep(0.01)
    return False
