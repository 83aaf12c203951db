"""The world that chaos happens to: two servers behind proxies, a replay and a ticker, tables, and figures."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from londiste_lite import event_queue, publication, registration, schema
from londiste_lite.db import Database, connect
from londiste_lite.names import QualifiedName
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.subscription import AddOptions
from londiste_lite.throwaway import ThrowawayServer
from tests.fixtures.proxy import Proxy

ROOT = Path(__file__).parents[2]
QUEUE = "londiste.chaos"
CONSUMER = "chaos"
ACCOUNTS, LISTS, SWAPS, WAVE = 60, 20, 30, 10
# Room for the acknowledged rows of an hour or so; what is left is filled at random.
TABLESPACE_MB = 512

TABLES = {
    "account": "(id int primary key, balance bigint not null, moves bigint not null)",
    "journal": "(id bigint primary key, account int not null references account (id), amount bigint not null)",
    "list": "(id int primary key, items int[] not null)",
    "ack": "(id bigint primary key, writer int not null, filler text) {tablespace}",
    "swap": "(id int primary key, u int unique not null, token int not null)",
    "wave": "(id int primary key, generation bigint not null)",
    "grown": "(id bigint primary key, note text)",
}
COPIED = ("account", "list", "swap", "grown")
"""Tables that are copied anew now and then."""

ROWS = f"""
    insert into account select n, 100, 0 from generate_series(1, {ACCOUNTS}) n;
    insert into list select n, '{{}}' from generate_series(1, {LISTS}) n;
    insert into swap select n, n, n from generate_series(1, {SWAPS}) n;
    insert into wave select n, 0 from generate_series(1, {WAVE}) n;
    create sequence ids"""

# Everything that is inserted twice, or updated by a second insert of the same row, is in here twice.
AUDIT = """
    create table ack_seen (id bigint not null);
    create function seen() returns trigger language plpgsql as
        $$ begin insert into public.ack_seen values (new.id); return null; end $$;
    create trigger seen after insert on ack for each row execute function seen();
    alter table ack enable always trigger seen"""

STRUCTURE = """
    select 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) from pg_constraint
     where connamespace = 'public'::regnamespace
    union all
    select 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
     where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
    union all
    select 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid) || tgenabled::text from pg_trigger
     where not tgisinternal and tgrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
    order by 1, 2, 3"""


class Figures:
    """What was done and seen; from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.log: list[str] = []
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def add(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def note(self, text: str) -> None:
        with self._lock:
            self.log.append(f"{time.monotonic() - self._begun:8.2f} {text}")

    def violated(self, text: str) -> None:
        self.note(f"VIOLATION {text}")
        with self._lock:
            self.violations.append(text)


class Process:
    """A program that is started again when it was killed, as a service manager does; any other end is a violation."""

    def __init__(self, name: str, command: list[str], folder: Path, figures: Figures) -> None:
        self.name = name
        self._command = command
        self._folder = folder
        self._figures = figures
        self._killed = False
        self._lock = threading.Lock()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self._folder / f"{self.name}.out", "ab") as out:
            return subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment()
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, and a new one."""
        with self._lock:
            self._look()
            self._process.kill()
            self._process.wait(20)
            self._process = self._start()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def look(self) -> None:
        """Start it again if it ended, which it must not."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        if self._process.poll() is not None:
            self._figures.violated(f"{self.name} ended by itself with {self._process.returncode}: {self.tail()}")
            self._process = self._start()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(20)

    def tail(self, lines: int = 15) -> str:
        return "\n".join((self._folder / f"{self.name}.out").read_text(errors="replace").splitlines()[-lines:])


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


class World:
    """All there is, started by `with`."""

    def __init__(self, versions: tuple[int, int], seed: int, *, superuser: bool) -> None:
        self.figures = Figures()
        self.dice = random.Random(seed)
        self._versions = versions
        self._superuser = superuser
        self._stack = contextlib.ExitStack()
        self.over = threading.Event()
        self.tablespace: Path | None = None

    def __enter__(self) -> World:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._stack.close()

    # --- building -----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chaos_", dir="/tmp"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.servers = [self._server(version, f"c{n}") for n, version in enumerate(self._versions)]
        self.proxies = [self._proxy(server) for server in self.servers]
        for server in self.servers:
            with self.connect(server.dsn()) as admin:
                admin.script('create database "chaos"')
        self.dsns = [server.dsn("chaos") for server in self.servers]
        self._mount()
        user = "postgres" if self._superuser else "plain"
        with self.connect(self.dsns[0]) as provider, self.connect(self.dsns[1]) as subscriber:
            schema.install(provider, schema.PROVIDER)
            event_queue.create_queue(provider, QUEUE)
            if not self._superuser:
                subscriber.script("create role plain login")
                subscriber.script("alter database chaos owner to plain; alter schema public owner to plain")
                if self.tablespace:
                    subscriber.script("grant create on tablespace small to plain")
        self.settings = ReplaySettings(
            provider_dsn=self.proxies[0].dsn(self.dsns[0]) + " connect_timeout=5",
            subscriber_dsn=self.proxies[1].dsn(self.dsns[1]).replace("user=postgres", f"user={user}")
            + " connect_timeout=5",
            queue=QUEUE,
            consumer=CONSUMER,
            job=CONSUMER,
            connection_lifetime=30.0,
        )
        owner = self.dsns[1].replace("user=postgres", f"user={user}")
        with self.connect(self.dsns[0]) as provider, self.connect(owner) as subscriber:
            schema.install(subscriber, schema.SUBSCRIBER)
            self._tables(provider, subscriber)
            self.structure = subscriber.run(STRUCTURE)
        self.replay = self._process(
            "replay", [sys.executable, "-m", "tests.fixtures.replay_process", json.dumps(asdict(self.settings))]
        )
        ini = self.folder / "ticker.ini"
        ini.write_text(f"[pgqadm]\njob_name = ticker\ndb = {self.settings.provider_dsn}\n")
        self.ticker = self._process("ticker", [sys.executable, "-m", "londiste_lite", str(ini), "ticker"])

    def _tables(self, provider: Database, subscriber: Database) -> None:
        for name, columns in TABLES.items():
            provider.script(f"create table {name} {columns.format(tablespace='')}")
            small = "tablespace small" if self.tablespace else ""
            subscriber.script(f"create table {name} {columns.format(tablespace=small)}")
            publication.add_table(provider, QUEUE, QualifiedName("public", name))
        provider.script(ROWS)
        subscriber.script(AUDIT)
        names = [f"public.{name}" for name in TABLES]
        for outcome in registration.subscribe(provider, subscriber, QUEUE, names, AddOptions()):
            if outcome.error is not None:
                raise outcome.error

    def _server(self, version: int, name: str) -> ThrowawayServer:
        settings = {"max_connections": "60", "log_min_messages": "fatal"}
        server = ThrowawayServer(version, name=name, settings=settings)
        self._stack.callback(server.remove)
        server.create().start(120)
        return server

    def _proxy(self, server: ThrowawayServer) -> Proxy:
        proxy = Proxy(server.port)
        self._stack.callback(proxy.close)
        return proxy

    def _process(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self.folder, self.figures)
        self._stack.callback(process.end)
        return process

    def _mount(self) -> None:
        """Give the subscriber a tablespace that is full soon, where mounting is allowed."""
        place = self.folder / "small"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={TABLESPACE_MB}m", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
            self.figures.note("no tablespace is filled: a small file system cannot be mounted here")
            return
        self._stack.callback(subprocess.run, ["umount", "-l", str(place)], capture_output=True, check=False)
        inner = place / "data"
        inner.mkdir()
        owner = (self.servers[1].data).stat()
        for path in (self.folder, place, inner):
            os.chown(path, owner.st_uid, owner.st_gid)
        with self.connect(self.dsns[1]) as admin:
            admin.run("create tablespace small location %s", [str(inner)])
        self.tablespace = place

    # --- use ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def connect(self, dsn: str) -> Iterator[Database]:
        """A connection past the proxies."""
        db = connect(dsn, job="test", role="test", settings={"search_path": "public, pg_catalog"})
        try:
            yield db
        finally:
            db.close()
