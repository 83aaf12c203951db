"""Many nodes from one process, from an INI with [node:NAME] sections."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from londiste_lite import config, event_queue, registration, schema
from londiste_lite.db import Database
from londiste_lite.errors import ConfigError
from londiste_lite.routing import given
from londiste_lite.subscription import AddOptions
from londiste_lite.throwaway import free_port
from tests.conftest import need
from tests.fixtures.cli import CommandLine, until
from tests.fixtures.pair import succeed
from tests.fixtures.servers import ServerPool
from tests.two_servers.test_metrics import Scrape, get

QUEUE = "q"
# Names of nodes are data, to INI files, SQL and log lines alike.
THREE = 'it\'s "7";drop table t--\\ %s $1'


@dataclass
class Cluster:
    """A provider with a routed table, three nodes that subscribe to it, and an INI for all of them."""

    shell: CommandLine
    pool: ServerPool
    provider: Database
    nodes: dict[str, Database]
    port: int

    def insert(self, *rows: tuple[int, str | None]) -> None:
        for row in rows:
            self.provider.run("insert into t values (%s, %s)", row)

    def keys(self, node: str) -> list[int]:
        return [row[0] for row in self.nodes[node].run("select id from t order by 1")]

    def has(self, node: str, *keys: int) -> None:
        until(lambda: self.keys(node) == list(keys), f"node {node} has {keys}\n{self.shell.log('cluster.log')}")

    def provider_sessions(self) -> int:
        return int(
            self.provider.run(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )[0][0]
        )


@pytest.fixture
def cluster(
    shell: CommandLine, pool: ServerPool, new_database: Callable[..., str], open_connection: Callable[..., Database]
) -> Cluster:
    provider_dsn = new_database(need(pool, 16), schema.PROVIDER)
    dsns = {name: new_database(need(pool, 18), schema.SUBSCRIBER) for name in ("1", "2", THREE)}
    provider = open_connection(provider_dsn)
    event_queue.create_queue(provider, QUEUE)
    provider.script("create table t (id int primary key, node text)")
    succeed(registration.publish(provider, QUEUE, ["t"], key=None, route=given("node", None, False), lock_timeout=10))
    nodes = {}
    for name, dsn in dsns.items():
        nodes[name] = db = open_connection(dsn)
        db.script("create table t (id int primary key, node text)")
        succeed(registration.subscribe(provider, db, QUEUE, ["t"], AddOptions()))
    port = free_port()
    sections = "".join(f"[node:{name}]\nsubscriber_db = {dsn}\n" for name, dsn in dsns.items())
    shell.write(
        "cluster.ini",
        f"[londiste]\njob_name = cluster\nprovider_db = {provider_dsn}\npgq_queue_name = {QUEUE}\n"
        f"logfile = cluster.log\npidfile = %(job_name)s.pid\nmetrics_port = {port}\n{sections}",
    )
    return Cluster(shell, pool, provider, nodes, port)


def test_one_process__serves_all_nodes_and_the_commands_go_through_them(cluster: Cluster) -> None:
    shell = cluster.shell
    cluster.insert((1, "1"), (2, "2"), (3, THREE), (4, None))
    pid = shell.daemon("cluster.ini", "replay", "-d", pid_file="cluster.pid")
    for name, keys in {"1": (1, 4), "2": (2, 4), THREE: (3, 4)}.items():
        cluster.has(name, *keys)

    # A node that is away keeps nobody else from its rows, and gets its own when it is back.
    away = cluster.nodes["2"]
    name = away.dbname
    admin = cluster.nodes["1"]
    admin.script(
        f'alter database "{name}" allow_connections false;'
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        " and application_name like 'londiste:cluster:%'"
    )
    cluster.insert((5, "1"), (6, "2"), (7, THREE))
    cluster.has("1", 1, 4, 5)
    cluster.has(THREE, 3, 4, 7)
    until(lambda: 'node "2": ' in shell.log("cluster.log"), "the node is named in the log")
    assert cluster.keys("2") == [2, 4]

    # The metrics of each, also of the one that is away.
    until(lambda: Scrape(cluster.port).value("londiste_lag_events", consumer="cluster_1") == 0, "node 1 has no lag")
    seen = Scrape(cluster.port)
    assert [seen.value("londiste_lag_events", node=node) for node in ("2", THREE)] == [1, 0]
    assert (seen.value("londiste_lag_seconds", node="2") or 0) > 0
    assert [seen.value("londiste_replay_working", node=node) for node in ("1", "2", THREE)] == [1, 0, 1]
    assert (seen.value("londiste_batch_rows_total", node=THREE) or 0) >= 1
    assert {s.labels["node"] for s in seen.samples if s.name == "londiste_errors_total"} == {"2"}
    assert seen.value("londiste_up", side="provider") == 1
    assert get(cluster.port, "/healthz") == (200, "ok\n")

    admin.script(f'alter database "{name}" allow_connections true')
    cluster.has("2", 2, 4, 6)

    # A ticker, a watcher, and not more than the threads that apply, connect and copy.
    assert cluster.provider_sessions() <= 16

    found = shell.run("cluster.ini", "status", "--json").json()
    assert sorted(found) == ["1", "2", THREE]
    assert [found[n]["consumer"] for n in sorted(found)] == ["cluster_1", "cluster_2", f"cluster_{THREE}"]
    assert all(one["replay_alive"] and one["node"] == n for n, one in found.items())
    shell.run("cluster.ini", "wait", "--timeout", "60")
    done = shell.run("cluster.ini", "--node", THREE, "subscriber", "tables")
    assert done.lines[-1].split() == ["public.t", "ok"]
    assert len(done.lines) == 2
    assert shell.run("cluster.ini", "--node", THREE, "compare", "--json").json()
    traced = shell.run("cluster.ini", "--node", THREE, "trace", "t", "1", "--json").json()
    assert (traced["node"], traced["verdict"]) == (THREE, 'the row is for "1", not for this one')
    assert f'the row is for "{THREE}", not for this one' in shell.run(
        "cluster.ini", "--node", "1", "trace", "t", "3"
    ).out.replace("\n", "")
    assert "no section [node:4]" in shell.run("cluster.ini", "status", "--node", "4", code=1).err
    shell.run("cluster.ini", "provider", "tables")
    assert "was told to stop" in (stopped := shell.run("cluster.ini", "-s")).out + stopped.err
    until(lambda: shell.owner("cluster.pid") is None, f"process {pid} ends")
    position = event_queue.position(cluster.provider, QUEUE, f"cluster_{THREE}")
    assert [(position,)] == cluster.nodes[THREE].run("select last_tick_id from londiste.completed")


def test_two_processes__share_the_nodes_and_take_over_from_one_that_is_killed(cluster: Cluster) -> None:
    shell = cluster.shell
    other = (shell.folder / "cluster.ini").read_text().replace("%(job_name)s.pid", "other.pid")
    shell.write("other.ini", other.replace("logfile = cluster.log\n", ""))
    first = shell.start("cluster.ini", "replay")
    cluster.insert((1, "1"), (2, "2"), (3, THREE))
    for name, key in {"1": 1, "2": 2, THREE: 3}.items():
        cluster.has(name, key)
    second = shell.start("other.ini", "replay")
    second.shows("is served by")
    assert second.text().count("is served by") <= 3
    cluster.insert((11, "1"))
    cluster.has("1", 1, 11)
    first.signal(signal.SIGKILL)
    first.ended()
    cluster.insert((12, "1"), (13, "2"), (14, THREE))
    for name, keys in {"1": (1, 11, 12), "2": (2, 13), THREE: (3, 14)}.items():
        cluster.has(name, *keys)
    second.signal(signal.SIGTERM)
    second.ended()


def test_settings__of_nodes_come_from_both_sections(tmp_path: Path) -> None:
    path = tmp_path / "cluster.ini"
    common = "[londiste]\njob_name = c\nprovider_db = dbname=p\npgq_queue_name = q\n"
    path.write_text(
        f"{common}pidfile = %(job_name)s.pid\napply = ordered\n[node:1]\nsubscriber_db = dbname=a\n"
        "[node:b c]\nsubscriber_db = dbname=b\nnode = 2\napply = bulk\npgq_consumer_id = own\n"
    )
    one, two = config.load_nodes(path).values()
    assert (one.consumer, one.node, one.job_name, one.apply) == ("c_1", "1", "c", "ordered")
    assert (two.consumer, two.node, two.job_name, two.apply) == ("own", "2", "c", "bulk")
    assert one.pidfile is not None
    assert one.pidfile.name == "c.pid"
    assert one.notes == two.notes == ()

    same = "subscriber_db = dbname=a\n"
    path.write_text(f"{common}[node:1]\napply = perhaps\n[node:2]\n{same}[node:3]\n{same}")
    with pytest.raises(ConfigError) as caught:
        config.load_nodes(path)
    for part in (
        "[node:1] apply: expected",
        "[node:1] subscriber_db: is required",
        "[node:3] has the subscriber_db of",
    ):
        assert part in caught.value.message, caught.value.message
