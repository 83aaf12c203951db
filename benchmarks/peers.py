"""The systems that the benchmarks compare: ours and its peers, each held, released and asked for its progress alike.

A peer that is not installed raises NotInstalled with what is missing. All of them work on the same two servers; each
has databases of its own there, for Londiste 3 and londiste_lite both want the schemas `pgq` and `londiste`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

from harness import plain, program, start, until

from londiste_lite import event_queue
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from londiste_lite.throwaway import ThrowawayServer

INI = """[londiste]
job_name = bench
provider_db = {provider}
subscriber_db = {subscriber}
pgq_queue_name = bench
pidfile = bench.pid
logfile = replay.log
max_batch_rows = {batch}
"""


class NotInstalled(Exception):
    """A peer is not there; the text says what is missing."""


class System(Protocol):
    """One replication system on one pair of servers; `provider` and `subscriber` are connections to its databases."""

    name: str
    provider: Database
    subscriber: Database

    def attach(self, tables: list[str]) -> None:
        """Replicate tables that are equal on both sides; nothing runs afterwards."""

    def mark(self) -> None:
        """Note that what is committed now is to be reached."""

    def release(self) -> None:
        """Start replicating."""

    def reached(self) -> bool:
        """Whether the subscriber has all up to the mark."""

    def hold(self) -> None:
        """Stop replicating."""

    def detach(self, tables: list[str]) -> None:
        """End it for these tables."""

    def close(self) -> None:
        """End all processes and connections."""


def make(name: str, left: ThrowawayServer, right: ThrowawayServer, folder: Path, batch: int = 500_000) -> System:
    """Set up the system called `name`. Raises NotInstalled."""
    if name == "londiste_lite":
        return Ours(left, right, folder, batch)
    if name == "native":
        return Native(left, right)
    if name == "londiste3":
        return Londiste3(left, right, folder)
    if name == "pglogical":
        return Pglogical(left, right)
    raise ValueError(f"no peer called {name}")


class Ours:
    """londiste_lite as its commands run it: the clock runs from the start of its process."""

    name = "londiste_lite"

    def __init__(self, left: ThrowawayServer, right: ThrowawayServer, folder: Path, batch: int) -> None:
        self.folder = folder
        self.provider, self.subscriber = plain(left.dsn()), plain(right.dsn())
        (folder / "r.ini").write_text(INI.format(provider=left.dsn(), subscriber=right.dsn(), batch=batch))
        program(folder, "r.ini", "provider", "install")
        program(folder, "r.ini", "subscriber", "install")
        self.process: subprocess.Popen[bytes] | None = None
        self._goal = 0

    def attach(self, tables: list[str]) -> None:
        program(self.folder, "r.ini", "provider", "add", *tables)
        program(self.folder, "r.ini", "subscriber", "add", "--expect-sync", *tables)
        program(self.folder, "r.ini", "subscriber", "register")
        program(self.folder, "r.ini", "replay", "--once")

    def mark(self) -> None:
        self._goal = event_queue.make_tick(self.provider, "bench").id

    def release(self) -> None:
        self.process = start(self.folder, "r.ini", "replay")

    def reached(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"the replay ended: {(self.folder / 'bench.log').read_text()[-2000:]}")
        return bool(self.subscriber.run("select last_tick_id from londiste.completed")[0][0] >= self._goal)

    def hold(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def detach(self, tables: list[str]) -> None:
        program(self.folder, "r.ini", "subscriber", "remove", *tables)
        program(self.folder, "r.ini", "provider", "remove", *tables)

    def close(self) -> None:
        self.hold()
        self.provider.close()
        self.subscriber.close()


class Native:
    """The server's own logical replication, its defaults for streaming; the clock runs from ENABLE."""

    name = "native"

    def __init__(self, left: ThrowawayServer, right: ThrowawayServer) -> None:
        self._dsn = left.dsn()
        self.provider, self.subscriber = plain(left.dsn()), plain(right.dsn())
        self._end = ""

    def attach(self, tables: list[str]) -> None:
        self.provider.script(f"create publication bench for table {', '.join(tables)}")
        self.subscriber.run(
            f"create subscription bench connection '{self._dsn}' publication bench "
            "with (copy_data = false, slot_name = bench, create_slot = true)"
        )
        until(self._active)
        self.hold()

    def _active(self) -> bool:
        return bool(self._slot("active"))

    def _slot(self, expression: str) -> object:
        return self.provider.run(f"select {expression} from pg_replication_slots where slot_name = 'bench'")[0][0]

    def mark(self) -> None:
        self._end = self.provider.run("select pg_current_wal_insert_lsn()")[0][0]
        self.provider.script("select pg_logical_emit_message(false, 'bench', 'end')")

    def release(self) -> None:
        self.subscriber.script("alter subscription bench enable")

    def reached(self) -> bool:
        return bool(self._slot(f"confirmed_flush_lsn >= '{self._end}'"))

    def hold(self) -> None:
        self.subscriber.script("alter subscription bench disable")
        until(lambda: not self._active())

    def detach(self, tables: list[str]) -> None:
        self.subscriber.script("drop subscription bench")
        self.provider.script("drop publication bench")

    def close(self) -> None:
        self.provider.close()
        self.subscriber.close()


def _trust_plugin(db: Database) -> None:
    """Let pglogical decode: since the minor versions of 2026 a server asks for the names of those that may."""
    setting = "output_plugin_libraries"
    if known := db.run("select setting from pg_settings where name = %s", [setting]):
        db.script(f"alter system set {setting} = {known[0][0]}, pglogical_output")
        db.script("select pg_reload_conf()")


class Pglogical:
    """pglogical: the servers need `shared_preload_libraries = pglogical`."""

    name = "pglogical"

    def __init__(self, left: ThrowawayServer, right: ThrowawayServer) -> None:
        databases(left, right, "pglogical")
        self.provider, self.subscriber = plain(left.dsn("pglogical")), plain(right.dsn("pglogical"))
        self._end = ""
        try:
            for db, name, server in ((self.provider, "p", left), (self.subscriber, "s", right)):
                _trust_plugin(db)
                db.script("create extension pglogical")
                db.script(f"select pglogical.create_node('{name}', '{server.dsn('pglogical')}')")
        except DatabaseError as error:
            raise NotInstalled(f"pglogical: {error}") from error
        self._dsn = left.dsn("pglogical")

    def attach(self, tables: list[str]) -> None:
        for table in tables:
            self.provider.script(f"select pglogical.replication_set_add_table('default', '{table}')")
        self.subscriber.script(
            f"select pglogical.create_subscription('bench', '{self._dsn}', '{{default}}', false, false)"
        )
        until(self._active)
        self.hold()

    def _active(self) -> bool:
        return bool(self._slot("active"))

    def _slot(self, expression: str) -> object:
        rows = self.provider.run(f"select {expression} from pg_replication_slots where plugin = 'pglogical_output'")
        return rows[0][0] if rows else None

    def mark(self) -> None:
        self._end = self.provider.run("select pg_current_wal_insert_lsn()")[0][0]
        self.provider.script("select pg_logical_emit_message(false, 'bench', 'end')")

    def release(self) -> None:
        self.subscriber.script("select pglogical.alter_subscription_enable('bench', true)")

    def reached(self) -> bool:
        return bool(self._slot(f"confirmed_flush_lsn >= '{self._end}'"))

    def hold(self) -> None:
        self.subscriber.script("select pglogical.alter_subscription_disable('bench', true)")
        until(lambda: not self._active())

    def detach(self, tables: list[str]) -> None:
        self.subscriber.script("select pglogical.drop_subscription('bench')")
        for table in tables:
            self.provider.script(f"select pglogical.replication_set_remove_table('default', '{table}')")

    def close(self) -> None:
        self.provider.close()
        self.subscriber.close()


class Londiste3:
    """Londiste 3 with PgQ's C triggers, and `pgqd` as its ticker; the clock runs from the start of its worker."""

    name = "londiste3"

    def __init__(self, left: ThrowawayServer, right: ThrowawayServer, folder: Path) -> None:
        for command in ("londiste", "pgqd"):
            if shutil.which(command) is None:
                raise NotInstalled(f"{command} of Londiste 3 is not installed")
        if left.version != 15 or not Path("/usr/share/postgresql/15/extension/pgq.control").exists():
            raise NotInstalled("the pgq extension is not installed for this server")
        self._folder = folder
        databases(left, right, "londiste3")
        dsns = {"p": left.dsn("londiste3"), "s": right.dsn("londiste3")}
        self.provider, self.subscriber = plain(dsns["p"]), plain(dsns["s"])
        for name, dsn in dsns.items():
            (folder / f"{name}3.ini").write_text(
                f"[londiste]\njob_name = {name}3\ndb = {dsn}\nqueue_name = bench3\nloop_delay = 0.1\n"
                f"logfile = {folder}/{name}3.log\npidfile = {folder}/{name}3.pid\n"
            )
        base = f"host={left.folder} port={left.port} user=postgres"
        (folder / "pgqd.ini").write_text(
            f"[pgqd]\nbase_connstr = {base}\ninitial_database = londiste3\ndatabase_list = londiste3\n"
            f"logfile = {folder}/pgqd.log\npidfile = {folder}/pgqd.pid\nticker_period = 0.1\ncheck_period = 1\n"
        )
        self._worker: subprocess.Popen[bytes] | None = None
        self._goal = 0
        self._run("p3.ini", "create-root", "p", dsns["p"])
        self._run("s3.ini", "create-leaf", "s", dsns["s"], f"--provider={dsns['p']}")
        self._ticker = self._start("pgqd", "pgqd.ini")

    def _environment(self) -> dict[str, str]:
        # Its programs run with the system's Python; a virtual environment of ours must not get in between.
        path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p.startswith(("/usr", "/bin")))
        return {**os.environ, "PATH": path}

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            ["/usr/bin/londiste", *arguments],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotInstalled(f"londiste {' '.join(arguments)} failed: {done.stderr[-500:]}")

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        log = open(self._folder / "londiste3.log", "ab")  # noqa: SIM115  closed with the process
        return subprocess.Popen(command, cwd=self._folder, env=self._environment(), stdout=log, stderr=log)

    def attach(self, tables: list[str]) -> None:
        self.release()
        self._run("p3.ini", "add-table", *tables)
        self._run("s3.ini", "add-table", "--expect-sync", *tables)
        time.sleep(1.0)
        self.mark()
        until(self.reached)
        self.hold()

    def mark(self) -> None:
        """A tick that sees all that is committed."""
        last = "select max(tick_id) from pgq.tick join pgq.queue on queue_id = tick_queue where queue_name = 'bench3'"
        before = int(self.provider.run(last)[0][0])
        self.provider.run("select pgq.force_tick('bench3')")
        until(lambda: int(self.provider.run(last)[0][0]) > before)
        self._goal = int(self.provider.run(last)[0][0])

    def release(self) -> None:
        self._worker = self._start("/usr/bin/londiste", "s3.ini", "worker")

    def reached(self) -> bool:
        sql = "select max(last_tick_id) from pgq_node.local_state where queue_name = 'bench3' and consumer_name = 's3'"
        found = self.subscriber.run(sql)[0][0]
        return found is not None and int(found) >= self._goal

    def hold(self) -> None:
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM)
            self._worker.wait()
            self._worker = None
            (self._folder / "s3.pid").unlink(missing_ok=True)

    def detach(self, tables: list[str]) -> None:
        self.release()
        self._run("s3.ini", "remove-table", *tables)
        self._run("p3.ini", "remove-table", *tables)
        self.hold()

    def close(self) -> None:
        self.hold()
        self._ticker.terminate()
        self._ticker.wait()
        self.provider.close()
        self.subscriber.close()


def databases(left: ThrowawayServer, right: ThrowawayServer, name: str) -> None:
    """Create a database on both servers."""
    for server in (left, right):
        db = plain(server.dsn())
        db.script(f"create database {name}")
        db.close()
