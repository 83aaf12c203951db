"""Push and pull: events from the nodes into the hub and out again, each exactly once, whatever is killed in between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from londiste_lite import config, event_queue, schema, service
from londiste_lite.db import Database
from londiste_lite.errors import AlreadyRunning, ConfigError, ObjectNotFound, ReplayError, SchemaError
from londiste_lite.link_settings import link
from londiste_lite.locks import try_replay
from londiste_lite.options import LINKS
from londiste_lite.service import PullLink, RelayLink
from londiste_lite.stop_flag import StopFlag
from londiste_lite.throwaway import binaries
from tests.conftest import need
from tests.fixtures import docs
from tests.fixtures.cli import CommandLine, until
from tests.fixtures.servers import ServerPool

EXAMPLE = docs.ROOT / "examples" / "push_pull"
SHOWN = ("host=db0 dbname=hub user=app", "host=db1 dbname=node user=app", "host=db2 dbname=node user=app")


@pytest.fixture
def dsns(pool: ServerPool, new_database: Callable[..., str]) -> tuple[str, ...]:
    """A hub and two nodes, on servers of different versions, nothing installed."""
    return tuple(new_database(need(pool, version)) for version in (18, 16, 18))


def test_example__followed_word_for_word(dsns: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    for ini in folder.glob("*.ini"):
        text = ini.read_text()
        for shown, mine in zip(SHOWN, dsns, strict=True):
            text = text.replace(shown, mine)
        ini.write_text(text)
    path = os.pathsep.join([str(Path(sys.executable).parent), str(binaries()[18]), os.environ["PATH"]])
    variables = dict(zip(("HUB", "NODE1", "NODE2"), dsns, strict=True))
    environment = {**os.environ, **variables, "PATH": path, "PSQLRC": os.devnull, "LC_ALL": "C.UTF-8"}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            check=False,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    try:
        for block in docs.blocks(EXAMPLE / "README.md"):
            for step in docs.steps(block) if block.language == "console" else []:
                done = run(step.command)
                logs = "".join(f"== {log.name}\n{log.read_text()}" for log in folder.glob("*.log"))
                assert done.returncode == step.exit_code, f"{step.command}\n{done.stdout}\n{logs}"
                assert docs.matches(step.output, done.stdout), f"{step.command}\n{done.stdout}\n{logs}"
    finally:
        for number in (1, 2):
            run(f"python pull.py -k pull{number}.ini; londiste_lite push{number}.ini -k")
        run("pgqadm.py hub.ini -k")


@dataclass
class Star:
    """A hub with the queue `pull`, a node with the queue `push`, a table and a function; links are run on demand."""

    hub: Database
    node: Database
    hub_dsn: str
    node_dsn: str

    def relay(self, **changes: Any) -> RelayLink:
        given: dict[str, Any] = {"src_dsn": self.node_dsn, "dst_dsn": self.hub_dsn, "queue": "push", "target": "pull"}
        return RelayLink(**{"kind": "relay", "consumer": "push_7", "job": "test", **given, **changes})

    def pull(self, **changes: Any) -> PullLink:
        given: dict[str, Any] = {"src_dsn": self.hub_dsn, "dst_dsn": self.node_dsn, "queue": "pull", "node": "7"}
        given.update(function="__data_copier", park=False)
        return PullLink(**{"kind": "pull", "consumer": "pull_7", "job": "test", **given, **changes})

    def push(self, data: str, target: str = "7") -> None:
        self.node.run("select pgq.insert_event('push', 'row', %s, %s, '2', null, E'4\\\\')", [data, target])

    def got(self) -> list[str]:
        return [row[0] for row in self.node.run("select data from got order by nr")]

    def pushed(self) -> list[tuple[Any, ...]]:
        """What is in the hub's queue."""
        columns = "ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"
        return self.hub.run(f"select {columns} from pgq.event_1 order by ev_id")


@pytest.fixture
def star(pool: ServerPool, new_database: Callable[..., str], open_connection: Callable[..., Database]) -> Star:
    hub = new_database(need(pool, 18), schema.QUEUE_ONLY)
    node = new_database(need(pool, 16), schema.PROVIDER)
    found = Star(open_connection(hub), open_connection(node), hub, node)
    event_queue.create_queue(found.hub, "pull")
    event_queue.create_queue(found.node, "push")
    found.node.script(
        """create table got (nr serial, node text, data text check (data <> 'bad'));
           create function __data_copier(node int, data text) returns void as $$
               insert into got (node, data) values (node, data) $$ language sql"""
    )
    once(found.relay())
    once(found.pull())
    return found


def once(link_: Any) -> int:
    return service.run_links_once([link_], StopFlag())[0]


def test_relay__keeps_every_field_and_the_order(star: Star) -> None:
    with star.node.transaction():
        for number in range(300):
            star.push(f"{number}\t\\ \n'", f"n{number % 2}")
    assert once(star.relay(max_batch_rows=10)) == 300
    expected = [("row", f"{n}\t\\ \n'", f"n{n % 2}", "2", None, "4\\") for n in range(300)]
    assert star.pushed() == expected
    assert once(star.relay()) == 0


def test_pull__takes_only_the_events_of_its_node_in_their_order(star: Star) -> None:
    for number in range(20):
        star.push(str(number), "7" if number % 2 else "8")
    once(star.relay())
    assert once(star.pull()) == 10
    assert star.got() == [str(n) for n in range(20) if n % 2]
    assert once(star.pull()) == 0


def test_pull__stops_at_an_event_whose_call_fails_and_names_it(star: Star) -> None:
    for data in ("a", "bad", "b"):
        star.push(data)
    once(star.relay())
    with pytest.raises(ReplayError, match=r'for node "7" fails at .* event \d+ \(row\): .*got_data_check'):
        once(star.pull())
    assert star.got() == []
    star.node.script("alter table got drop constraint got_data_check")
    assert once(star.pull()) == 3
    assert star.got() == ["a", "bad", "b"]


def test_pull__parks_what_fails_and_tries_it_again(star: Star) -> None:
    for data in ("a", "bad", "b"):
        star.push(data)
    once(star.relay())
    assert once(star.pull(park=True)) == 3
    assert star.got() == ["a", "b"]
    assert star.node.run("select ev_data, tries from londiste.parked_pull") == [("bad", 1)]
    star.node.script("update londiste.parked_pull set next_try = now()")
    once(star.pull(park=True))
    assert star.node.run("select tries, next_try > now() + interval '5 s' from londiste.parked_pull") == [(2, True)]
    star.node.script("alter table got drop constraint got_data_check; update londiste.parked_pull set next_try = now()")
    once(star.pull(park=True))
    assert star.got() == ["a", "b", "bad"]
    assert star.node.run("select count(*) from londiste.parked_pull") == [(0,)]


def test_links__say_what_is_missing(star: Star) -> None:
    with pytest.raises(SchemaError, match='no function "nothing" with two arguments'):
        once(star.pull(function="nothing"))
    with pytest.raises(ObjectNotFound, match='no event queue "elsewhere" in'):
        once(star.relay(target="elsewhere"))
    until(lambda: try_replay(star.hub, "push_7"), "the last relay's session has ended")
    with pytest.raises(AlreadyRunning, match='another process works as "push_7"'):
        once(star.relay())


@pytest.mark.parametrize("point", ["relay-applied", "relay-committed", "pull-applied", "pull-committed"])
def test_process__killed_at_a_crash_point_loses_and_repeats_nothing(star: Star, shell: CommandLine, point: str) -> None:
    shell.write(
        "node.ini",
        f"[relay]\njob_name = push_7\nsrc_db = {star.node_dsn}\ndst_db = {star.hub_dsn}\npgq_queue_name = push\n"
        f"dst_queue_name = pull\n[pull:7]\nsrc_db = {star.hub_dsn}\ndst_db = {star.node_dsn}\npgq_queue_name = pull\n"
        "pull_function = __data_copier\n",
    )
    star.push("1")
    star.push("2")
    shell.run("node.ini", "push-pull", "--once", code=-9, LONDISTE_LITE_CRASH_AT=point)
    star.push("3")
    shell.run("node.ini", "push-pull", "--once")
    assert star.got() == ["1", "2", "3"]
    assert [row[1] for row in star.pushed()] == ["1", "2", "3"]


def test_push_pull__serves_several_nodes_from_one_process(
    star: Star, shell: CommandLine, pool: ServerPool, new_database: Callable[..., str]
) -> None:
    # A second node that does not exist must not keep the first from working.
    away = re.sub(r"dbname=\S+", "dbname=nowhere", star.node_dsn)
    text = f"[DEFAULT]\njob_name = all\nsrc_db = {star.hub_dsn}\npgq_queue_name = pull\npull_function = __data_copier\n"
    text += f"[pull:7]\npgq_consumer_id = pull_7\ndst_db = {star.node_dsn}\n[pull:8]\ndst_db = {away}\n"
    text += f"[relay]\npgq_consumer_id = push_7\nsrc_db = {star.node_dsn}\ndst_db = {star.hub_dsn}\n"
    text += "pgq_queue_name = push\ndst_queue_name = pull\n"
    shell.write("all.ini", text)
    running = shell.start("all.ini", "push-pull")
    running.shows("cannot connect to")
    star.push("1")
    until(lambda: star.got() == ["1"], "the event goes to the hub and back")
    running.kill()


def test_ini__of_the_wrong_kind_or_with_problems(shell: CommandLine) -> None:
    shell.write("replica.ini", "[londiste]\nprovider_db = dbname=a\nsubscriber_db = dbname=b\npgq_queue_name = q\n")
    shell.write("bad.ini", "[relay:a]\nsrc_db = dbname=x\n[pull]\ndst_db = dbname=x\non_error = perhaps\n")
    done = shell.run("replica.ini", "relay", code=1)
    assert '"relay" needs an INI with a [relay] section; replica.ini has [londiste]' in done.err
    with pytest.raises(ConfigError) as caught:
        config.load_links(shell.folder / "bad.ini", LINKS)
    for part in ("[relay:a] dst_queue_name: is required", "[pull] on_error: expected", "[pull] node: is required"):
        assert part in caught.value.message, caught.value.message


def test_links__take_names_from_their_sections(shell: CommandLine) -> None:
    keys = "src_db = dbname=a\ndst_db = dbname=b\npgq_queue_name = q\npull_function = f\n"
    shell.write(
        "a.ini", f"[DEFAULT]\njob_name = j\n[pull:7]\n{keys}[pull:8]\nnode = eight\npgq_consumer_id = c\n{keys}"
    )
    shell.write("b.ini", f"[pull:7]\n{keys}")
    shell.write("c.ini", f"[pull:7]\npgq_consumer_id = c\n{keys}[pull:8]\npgq_consumer_id = c\n{keys}")
    seven, eight = config.load_links(shell.folder / "a.ini", LINKS)
    assert (seven.consumer, seven.node, seven.job_name) == ("j_7", "7", "j")
    assert (eight.consumer, eight.node) == ("c", "eight")
    assert config.load_links(shell.folder / "b.ini", LINKS)[0].consumer == "pull_7"
    assert isinstance(link(seven), PullLink)
    with pytest.raises(ConfigError, match='has the consumer "c" of'):
        config.load_links(shell.folder / "c.ini", LINKS)
