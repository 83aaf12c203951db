"""A star of N nodes on one server, all served by one process: how long one event takes to its node.

    python benchmarks/star.py 256

One node is away for the whole time and caught up with at the end. The latency is from the insert on the provider to the
insert on the node, by the clock of the server that both are on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

# Started as a script, the program's own package is found beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.harness import SETTINGS, plain
from londiste_lite import event_queue, registration, schema
from londiste_lite.db import Database
from londiste_lite.routing import given
from londiste_lite.subscription import AddOptions
from londiste_lite.throwaway import ThrowawayServer

TABLE = "create table inbox (id int primary key, node text, sent timestamptz not null)"
PATIENCE = 300.0


@dataclass
class Figures:
    """What was measured; times in seconds."""

    nodes: int
    set_up: float
    all_served: float
    one_by_one: list[float]
    burst: list[float]
    caught_up: float
    provider_connections: int
    node_connections: int
    memory_mb: float

    def write(self, path: str | None) -> None:
        """Write the figures as JSON."""
        if path:
            Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n")

    def show(self) -> None:
        print(f"{self.nodes} nodes, 1 process, one node away; databases made in {self.set_up:.1f} s")
        print(f"start until every node is served        {self.all_served:8.2f} s")
        for name, values in (
            ("an event to one node after the other", self.one_by_one),
            ("one to each at once", self.burst),
        ):
            found = sorted(values)
            p50, p99 = statistics.median(found), found[min(len(found) - 1, int(len(found) * 0.99))]
            print(f"{name:<40}p50 {1000 * p50:8.1f} ms   p99 {1000 * p99:8.1f} ms")
        print(f"the node that was away has everything   {self.caught_up:8.2f} s after it is back")
        print(f"connections: {self.provider_connections} to the provider, {self.node_connections} to the nodes")
        print(f"memory of the process: {self.memory_mb:.0f} MB")


def wait_for(condition: object, what: str) -> None:
    """Poll a function until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.05)


class Star:
    """A provider and `count` nodes in databases of one server, their names beginning with `prefix`."""

    def __init__(self, server: ThrowawayServer, count: int, folder: Path, prefix: str = "star") -> None:
        self.server, self.count, self.folder, self.prefix = server, count, folder, prefix
        self.away = count  # the number of the node that is away
        self._next = 1

    def set_up(self) -> None:
        """Make the databases: one node as a template for the others, subscribed already."""
        self.admin = plain(self.server.dsn())
        for name in (f"{self.prefix}_hub", f"{self.prefix}_tpl"):
            self.admin.script(f"create database {name} template template0")
        self.provider = plain(self.server.dsn(f"{self.prefix}_hub"))
        schema.install(self.provider, schema.PROVIDER)
        event_queue.create_queue(self.provider, "star")
        self.provider.script(TABLE)
        route = given("node", None, False)
        registration.publish(self.provider, "star", ["inbox"], key=None, route=route, lock_timeout=10)
        template = plain(self.server.dsn(f"{self.prefix}_tpl"))
        schema.install(template, schema.SUBSCRIBER)
        template.script(f"{TABLE}; alter table inbox add got timestamptz default clock_timestamp()")
        registration.subscribe(self.provider, template, "star", ["inbox"], AddOptions(expect_sync=True))
        template.close()
        for number in range(1, self.count + 1):
            self.admin.script(f"create database {self.prefix}_{number} template {self.prefix}_tpl")
        sections = "".join(
            f"[node:{n}]\nsubscriber_db = {self.server.dsn(f'{self.prefix}_{n}')}\n" for n in range(1, self.count + 1)
        )
        (self.folder / "cluster.ini").write_text(
            f"[londiste]\njob_name = star\nprovider_db = {self.server.dsn(f'{self.prefix}_hub')}\n"
            f"pgq_queue_name = star\nlogfile = star.log\n{sections}"
        )

    def _allow(self, allowed: bool) -> None:
        self.admin.script(f"alter database {self.prefix}_{self.away} allow_connections {str(allowed).lower()}")

    def node(self, number: int) -> Database:
        return plain(self.server.dsn(f"{self.prefix}_{number}"))

    def start(self) -> subprocess.Popen[bytes]:
        """Start the serving process, wait until it serves all nodes, and take one away."""
        command = [sys.executable, "-m", "londiste_lite", "cluster.ini", "replay"]
        out = open(self.folder / "output", "wb")  # noqa: SIM115
        process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        sql = "select count(*) from pgq.subscription"
        wait_for(lambda: self.provider.run(sql)[0][0] >= self.count, "every node is served")
        return process

    def take_away(self) -> None:
        """Let one node refuse connections."""
        self._allow(False)
        name = f"{self.prefix}_{self.away}"
        self.admin.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])

    def insert(self, nodes: list[int]) -> list[int]:
        """Insert a row for each of `nodes` in one transaction; return the rows' numbers."""
        ids = list(range(self._next, self._next + len(nodes)))
        self._next += len(nodes)
        self.provider.run(
            "insert into inbox select i, n::text, clock_timestamp() from unnest(%s::int[], %s::int[]) as u(i, n)",
            [ids, nodes],
        )
        return ids

    def latencies(self, ids: list[int], rows_each: int) -> list[float]:
        """Wait until every node but one has as many rows; return how long the rows `ids` took."""
        found: list[float] = []
        for number in range(1, self.count):
            db = self.node(number)
            count = "select count(*) from inbox"
            wait_for(lambda db=db, sql=count: db.run(sql)[0][0] >= rows_each, f"node {number} has its rows")
            sql = "select extract(epoch from got - sent)::float8 from inbox where id = any (%s)"
            found += [row[0] for row in db.run(sql, [ids])]
            db.close()
        return found

    def connections(self, condition: str) -> int:
        sql = f"select count(*) from pg_stat_activity where application_name like 'londiste:star:%' and {condition}"
        return int(self.admin.run(sql)[0][0])

    def measure(self, pause: float) -> Figures:
        """Measure everything; `pause` is the time in seconds between two events that go one after the other."""
        begun = time.monotonic()
        self.set_up()
        made = time.monotonic()
        process = self.start()
        try:
            served = time.monotonic()
            self.take_away()
            every = list(range(1, self.count + 1))
            first = []
            for number in every:
                first += self.insert([number])
                time.sleep(pause)
            one_by_one = self.latencies(first, 1)
            burst = self.latencies(self.insert(every), 2)
            hub = f"datname = '{self.prefix}_hub'"
            counts = (self.connections(hub), self.connections(f"not {hub}"))
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            self._allow(True)
            back = time.monotonic()
            db = self.node(self.away)
            wait_for(lambda: db.run("select count(*) from inbox")[0][0] == 2, "the node that was away catches up")
            caught_up = time.monotonic() - back
            db.close()
        finally:
            process.terminate()
            process.wait(60)
        return Figures(
            *(self.count, made - begun, served - made, one_by_one, burst, caught_up, *counts),
            memory,
        )

    def drop(self) -> None:
        """Drop the databases."""
        self.provider.close()
        for name in ("hub", "tpl", *range(1, self.count + 1)):
            self.admin.script(f"drop database if exists {self.prefix}_{name} with (force)")
        self.admin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nodes", type=int, nargs="?", default=256, help="how many nodes")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two events")
    parser.add_argument("--version", type=int, default=18, help="PostgreSQL's version")
    parser.add_argument("--json", help="write the figures to this file")
    given_ = parser.parse_args()
    settings = {**SETTINGS, "max_connections": str(given_.nodes + 100)}
    server = ThrowawayServer(given_.version, settings=settings, name="star")
    try:
        server.create().start()
        with tempfile.TemporaryDirectory(prefix="star") as folder:
            figures = Star(server, given_.nodes, Path(folder)).measure(given_.pause)
        figures.show()
        figures.write(given_.json)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
