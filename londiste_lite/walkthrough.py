"""The tutorial as a program: two throw-away servers, the commands of the documentation, the rows on both sides.

`demo` shows it; a test runs it. It types the same commands as a user, in a process of their own each.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from londiste_lite.db import Database, connect
from londiste_lite.errors import LondisteError
from londiste_lite.throwaway import NoServerBinaries, ThrowawayServer, binaries

TICKER_INI = """[pgqadm]
job_name = ticker
db = {provider}
maint_delay_min = 1
loop_delay = 0.1
logfile = {folder}/%(job_name)s.log
pidfile = {folder}/%(job_name)s.pid
use_skylog = 0
"""

REPLICA_INI = """[londiste]
job_name = replica
provider_db = {provider}
subscriber_db = {subscriber}
pgq_queue_name = londiste.write
logfile = {folder}/%(job_name)s.log
pidfile = {folder}/%(job_name)s.pid
use_skylog = 0
"""

NODE_INI = """[londiste]
job_name = node{node}
node = {node}
provider_db = {provider}
subscriber_db = {subscriber}
pgq_queue_name = londiste.write
logfile = {folder}/%(job_name)s.log
pidfile = {folder}/%(job_name)s.pid
"""

ORDERS = "create table orders (id serial primary key, item text, node text)"

TABLE = "create table entry (id serial primary key, item text, price numeric(8,2))"


class DemoFailed(LondisteError):
    """a step of the demo failed"""


class Walkthrough:
    """Runs the tutorial; `say` gets headings and explanations, `show` commands and their output, line by line."""

    def __init__(self, say: Callable[[str], None], show: Callable[[str], None], versions: tuple[int, int]) -> None:
        self._say = say
        self._show = show
        self._versions = versions
        self._servers: list[ThrowawayServer] = []
        self._folder = Path(tempfile.mkdtemp(prefix="londiste_demo_", dir="/tmp"))
        self._running: list[list[str]] = []

    @property
    def folder(self) -> Path:
        """Where the INI files, logs and pidfiles are."""
        return self._folder

    def connection_strings(self) -> list[str]:
        """How to connect to provider and subscriber."""
        return [server.dsn() for server in self._servers]

    def run(self) -> None:
        """Walk through all steps. Raises DemoFailed with the output of a command that failed."""
        self._start_servers()
        provider, subscriber = (connect(s.dsn(), job="demo", role="demo", settings=_PLAIN) for s in self._servers)
        try:
            self._set_up(provider, subscriber)
            self._replicate(provider, subscriber)
            self._outage(provider)
            subscriber.close()
            subscriber = connect(self._servers[1].dsn(), job="demo", role="demo", settings=_PLAIN)
            self._both(provider, subscriber, "entry")
            self._say("How far is it?")
            self._command("londiste.py", "replica.ini", "status")
            self._say("Resync: every table is copied anew, while replay goes on.")
            self._command("londiste.py", "replica.ini", "subscriber", "resync", "-v", "--force")
            self._command("londiste.py", "replica.ini", "wait", "--timeout", "60")
            self._both(provider, subscriber, "entry")
            self._route(provider)
        finally:
            provider.close()
            subscriber.close()

    def how_to_stop(self) -> str:
        """A shell command that ends everything that `run` left running."""
        daemons = "; ".join(shlex.join(command) for command in reversed(self._running))
        pids = " ".join(f"$(head -1 {server.data}/postmaster.pid)" for server in self._servers)
        return f"cd {self._folder} && {daemons}; kill -INT {pids}"

    def how_to_delete(self) -> str:
        """A shell command that deletes the files of what was stopped."""
        return "rm -r " + " ".join(str(folder) for folder in (self._folder, *(s.folder for s in self._servers)))

    def clean_up(self) -> None:
        """Stop what was started and delete it."""
        self.stop_daemons()
        for server in self._servers:
            server.remove()
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def stop_daemons(self) -> None:
        """Stop replay and ticker."""
        for command in reversed(self._running):
            subprocess.run(command, check=False, cwd=self._folder, capture_output=True, timeout=60)
        self._running = []

    # --- the steps ------------------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        found = binaries()
        for version in self._versions:
            if version not in found:
                raise NoServerBinaries(f"no binaries of PostgreSQL {version} found")
        self._say(f"Two fresh servers: provider PostgreSQL {self._versions[0]}, subscriber {self._versions[1]}.")
        for version in self._versions:
            server = ThrowawayServer(version)
            self._servers.append(server)
            server.create().start()
        names = {"provider": self._servers[0].dsn(), "subscriber": self._servers[1].dsn(), "folder": self._folder}
        for name, text in (("ticker.ini", TICKER_INI), ("replica.ini", REPLICA_INI)):
            content = text.format(**names)
            (self._folder / name).write_text(content)
            self._say(name)
            for line in content.strip().splitlines():
                self._show(f"    {line}")

    def _set_up(self, provider: Database, subscriber: Database) -> None:
        self._say("The table is on both sides; the provider has rows already.")
        self._sql(provider, "provider", TABLE)
        self._sql(subscriber, "subscriber", TABLE)
        self._sql(provider, "provider", "insert into entry (item, price) values ('apple', 1.20), ('pear', 1.50)")
        self._say("A ticker, the queue, the registration tables, the replay: four commands.")
        self._command("pgqadm.py", "ticker.ini", "ticker", "-d")
        self._running.append(self._argv("pgqadm.py", "ticker.ini", "-k"))
        self._command("londiste.py", "replica.ini", "provider", "install")
        self._command("londiste.py", "replica.ini", "subscriber", "install")
        self._command("londiste.py", "replica.ini", "replay", "-d")
        self._running.append(self._argv("londiste.py", "replica.ini", "-k"))
        self._say("Which tables and sequences?")
        self._command("londiste.py", "replica.ini", "provider", "add", "entry")
        self._command("londiste.py", "replica.ini", "provider", "add-seq", "entry_id_seq")
        self._command("londiste.py", "replica.ini", "subscriber", "add", "entry")
        self._command("londiste.py", "replica.ini", "subscriber", "add-seq", "entry_id_seq")

    def _replicate(self, provider: Database, subscriber: Database) -> None:
        self._command("londiste.py", "replica.ini", "wait", "--timeout", "60")
        self._command("londiste.py", "replica.ini", "subscriber", "tables")
        self._say("Rows that were there before came by copy.")
        self._both(provider, subscriber, "entry")
        self._say("Inserts, updates and deletes follow.")
        self._sql(provider, "provider", "insert into entry (item, price) values ('plum', 2.00), ('fig', 3.10)")
        self._sql(provider, "provider", "update entry set price = price * 2 where item = 'apple'")
        self._sql(provider, "provider", "delete from entry where item = 'pear'")
        self._command("londiste.py", "replica.ini", "wait", "--timeout", "60")
        self._both(provider, subscriber, "entry")
        self._say("The sequence has followed too, so the subscriber could take over.")
        self._sql(subscriber, "subscriber", "select last_value, is_called from entry_id_seq")

    def _outage(self, provider: Database) -> None:
        self._say("The subscriber's server goes away. What is written meanwhile arrives when it is back.")
        self._servers[1].stop()
        self._sql(provider, "provider", "insert into entry (item, price) values ('quince', 4.00)")
        self._servers[1].start()
        self._command("londiste.py", "replica.ini", "wait", "--timeout", "60")

    def _route(self, provider: Database) -> None:
        self._say("Routing: a row goes only to the node that its column names; NULL is for all nodes.")
        self._sql(provider, "provider", ORDERS)
        values = "('desk', '1'), ('lamp', '2'), ('list of prices', null)"
        self._sql(provider, "provider", f"insert into orders (item, node) values {values}")
        self._command("londiste.py", "replica.ini", "provider", "add", "orders", "--node-column", "node")
        admin = connect(self._servers[1].dsn(), job="demo", role="demo")
        nodes: dict[str, Database] = {}
        for node in ("1", "2"):
            admin.script(f"create database node{node}")
            dsn = self._servers[1].dsn(f"node{node}")
            nodes[node] = connect(dsn, job="demo", role="demo", settings=_PLAIN)
            nodes[node].script(ORDERS)
            ini = NODE_INI.format(node=node, provider=self._servers[0].dsn(), subscriber=dsn, folder=self._folder)
            (self._folder / f"node{node}.ini").write_text(ini)
            self._command("londiste.py", f"node{node}.ini", "subscriber", "install")
            self._command("londiste.py", f"node{node}.ini", "subscriber", "add", "orders")
            self._command("londiste.py", f"node{node}.ini", "replay", "-d")
            self._running.append(self._argv("londiste.py", f"node{node}.ini", "-k"))
        admin.close()
        self._nodes(provider, nodes)
        self._say("A row moves: the old node loses it, the new node gets the whole row, in one unit.")
        self._sql(provider, "provider", "update orders set node = '2' where item = 'desk'")
        self._nodes(provider, nodes)
        for db in nodes.values():
            db.close()

    def _nodes(self, provider: Database, nodes: dict[str, Database]) -> None:
        for node in nodes:
            self._command("londiste.py", f"node{node}.ini", "wait", "--timeout", "60")
        self._columns({"provider": provider, **{f"node {name}": db for name, db in nodes.items()}}, "orders")

    # --- how they are shown ---------------------------------------------------------------------------------

    def _argv(self, program: str, *arguments: str) -> list[str]:
        script = Path(sys.executable).parent / program
        start = [str(script)] if script.exists() else [sys.executable, "-m", "londiste_lite"]
        return [*start, *arguments]

    def _command(self, program: str, *arguments: str) -> None:
        self._show(f"$ {program} {' '.join(arguments)}")
        done = subprocess.run(
            self._argv(program, *arguments), check=False, cwd=self._folder, capture_output=True, text=True, timeout=120
        )
        for line in (done.stdout + done.stderr).rstrip().splitlines():
            self._show(f"  {line}")
        if done.returncode:
            raise DemoFailed(
                f"`{program} {' '.join(arguments)}` ended with code {done.returncode}: {done.stderr.strip()}",
                hint=f"Logs are in {self._folder} when the demo runs with --keep.",
            )

    def _sql(self, db: Database, side: str, sql: str) -> None:
        self._show(f"{side}=# {sql};")
        for row in db.run(sql):
            self._show("  " + " | ".join(_shown(value) for value in row))

    def _both(self, provider: Database, subscriber: Database, table: str) -> None:
        self._columns({"provider": provider, "subscriber": subscriber}, table)

    def _columns(self, databases: dict[str, Database], table: str) -> None:
        """Show a table's rows in several databases beside each other."""
        columns: list[list[str]] = []
        for title, db in databases.items():
            rows = db.run(f"select * from {table} order by 1")
            lines = [title, *(" | ".join(_shown(value) for value in row) for row in rows)]
            width = max(len(line) for line in lines)
            columns.append([line.ljust(width) for line in lines])
        for cells in itertools.zip_longest(*columns, fillvalue=""):
            padded = (cell.ljust(len(column[0])) for cell, column in zip(cells, columns, strict=True))
            self._show(("  " + "    ".join(padded)).rstrip())


_PLAIN = {"search_path": "public, pg_catalog"}


def _shown(value: object) -> str:
    return "" if value is None else str(value)
