"""Scripts written with `londiste_lite.pgq`, run as their users run them."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from londiste_lite import event_queue, schema
from londiste_lite.db import Database
from londiste_lite.throwaway import ThrowawayServer
from tests.conftest import need
from tests.fixtures.cli import CommandLine, until
from tests.fixtures.servers import ServerPool

# Crashes on demand: after the destination's commit, before the source hears of it.
REMOTE = """
import os, signal, sys
from londiste_lite import pgq

class Copier(pgq.RemoteConsumer):
    def process_remote_batch(self, db, batch_id, event_list, dst_db):
        curs = dst_db.cursor()
        for ev in event_list:
            if ev.type == "later" and ev.retry is None:
                ev.tag_retry(0)
                continue
            curs.execute("insert into got values (%s, %s)", [ev.ev_data, ev.extra1 + ev.ev_extra4])
            if ev.type != "untagged":
                ev.tag_done()

    def _finish(self, *args):
        if os.path.exists("crash"):
            os.unlink("crash")
            os.kill(os.getpid(), signal.SIGKILL)
        super()._finish(*args)

if __name__ == "__main__":
    script = Copier("copier", "src_db", "dst_db", sys.argv[1:])
    script.start()
"""

SERIAL = """
import os, signal, sys
from londiste_lite import pgq

class Copier(pgq.SerialConsumer):
    def process_remote_batch(self, db, batch_id, event_list, dst_db):
        curs = dst_db.cursor()
        for ev in event_list:
            curs.execute("insert into got values (%s, %s)", [ev.data, self.cf.get("mark")])
            ev.tag_done()

Copier("serial", "src_db", "dst_db", sys.argv[1:]).start()
"""

LOCAL = """
import sys
from londiste_lite import pgq

class Counter(pgq.Consumer):
    def process_event(self, db, ev):
        curs = db.cursor()
        curs.execute("insert into local values (%s)", [ev.id])
        pgq.insert_event(curs, "out", "copied", ev.data, 7)
        pgq.bulk_insert_events(curs, [(ev.data, 1), (ev.data, 2)], ["data", "extra2"], "out")
        ev.tag_done()

Counter("local", "src_db", sys.argv[1:]).start()
"""


ONCE = """
import sys
from londiste_lite import pgq

class Once(pgq.DBScript):
    def startup(self):
        self.set_single_loop(True)

    def reset(self):
        print("reset")
        super().reset()

    def work(self):
        curs = self.get_database("src_db").cursor()
        curs.execute("select count(*) from " + self.cf.get_wildcard("table.*.*", ["main", "now"], "local"))
        self.stat_add("rounds", 7)
        self.stat_add("rounds", curs.fetchone()[0] + 1)
        return True

Once("local", sys.argv[1:]).start()
"""


class Desk:
    """A database with queues, a destination, a folder with scripts; ticks are made by hand."""

    def __init__(self, shell: CommandLine, source: str, destination: str, open_: Callable[[str], Database]) -> None:
        self.shell = shell
        self.source, self.destination = open_(source), open_(destination)
        self.source.script("select pgq.create_queue('in'); select pgq.create_queue('out')")
        self.source.script("create table local (id int8)")
        self.destination.script("create table got (data text, extra text)")
        for name, text in {"remote.py": REMOTE, "serial.py": SERIAL, "local.py": LOCAL}.items():
            shell.write(name, text)
        for section in ("copier", "serial", "local"):
            shell.write(
                f"{section}.ini",
                f"[{section}]\njob_name = {section}\nsrc_db = {source}\ndst_db = {destination}\nmark = m\n"
                "pgq_queue_name = in\nlogfile = %(job_name)s.log\npidfile = %(job_name)s.pid\nloop_delay = 0.2\n",
            )

    def tick(self, queue: str = "in") -> None:
        event_queue.tick_maker(self.source)(self.source, queue)

    def insert(self, data: str, kind: str = "now") -> None:
        self.source.run("select pgq.insert_event('in', %s, %s, 'a', null, null, 'z')", [kind, data])

    def registered(self, consumer: str) -> None:
        until(lambda: event_queue.position(self.source, "in", consumer) is not None, f"{consumer} registers")

    def got(self) -> list[tuple[str, str]]:
        return self.destination.run("select data, extra from got order by 1, 2")

    def gets(self, *rows: tuple[str, str]) -> None:
        until(lambda: self.got() == sorted(rows), f"{rows} arrive")


@pytest.fixture
def desk(
    shell: CommandLine, pool: ServerPool, new_database: Callable[..., str], open_connection: Callable[..., Database]
) -> Desk:
    server: ThrowawayServer = need(pool, 18)
    source, destination = (new_database(server, part) for part in (schema.QUEUE_ONLY, schema.SUBSCRIBER))
    return Desk(shell, source, destination, open_connection)


def test_remote_consumer__applies_each_event_once_over_crashes_retries_and_restarts(desk: Desk) -> None:
    script = desk.shell.start("remote.py", "copier.ini", program="python")
    desk.registered("copier")
    desk.insert("1")
    desk.insert("2", "untagged")
    desk.tick()
    desk.gets(("1", "az"), ("2", "az"))
    until(lambda: "count as done" in desk.shell.log("copier.log"), "the warning about untagged events")

    # The destination has the batch, the source does not know, and one of its events was to be retried.
    desk.shell.write("crash", "")
    desk.insert("3")
    desk.insert("4", "later")
    desk.tick()
    assert script.ended() == -signal.SIGKILL
    desk.gets(("1", "az"), ("2", "az"), ("3", "az"))
    script = desk.shell.start("remote.py", "copier.ini", program="python")
    until(lambda: desk.source.run("select count(*) from pgq.retry_queue") == [(1,)], "event 4 waits to be retried")
    desk.source.script("update pgq.retry_queue set ev_retry_after = now() - interval '1 second'")
    desk.source.script("select pgq.maint_retry_events()")
    desk.insert("5", "untagged")
    desk.tick()
    desk.gets(*((n, "az") for n in "12345"))
    script.signal(signal.SIGINT)
    assert script.ended() == 130
    assert desk.shell.log("copier.log").count("count as done") == 2  # once in each process


def test_serial_consumer__is_a_daemon_and_continues_where_the_destination_is(desk: Desk) -> None:
    shell = desk.shell

    def run(*words: str, code: int = 0) -> str:
        done = shell.run("serial.py", *words, "serial.ini", program="python", code=code)
        return done.out + done.err

    # `python serial.py -d serial.ini`: the shell gets its prompt back when the script works.
    shell.daemon("serial.py", "-d", "serial.ini", program="python", pid_file="serial.pid")
    desk.registered("serial")
    desk.insert("1")
    desk.tick()
    desk.gets(("1", "m"))
    assert "was told to stop" in run("-s")
    until(lambda: shell.owner("serial.pid") is None, "the daemon ends")
    assert "nothing is running" in run("-s")

    # The destination goes back in time: the script says so and does not apply half of it.
    desk.insert("2")
    desk.tick()
    back = desk.destination.run("update pgq_ext.completed_tick set last_tick_id = 1 returning last_tick_id")
    assert back == [(1,)]
    script = shell.start("serial.py", "serial.ini", program="python")
    script.shows("lost position: the destination stands at tick 1")
    assert "Traceback" not in script.text()
    script.signal(signal.SIGTERM)
    script.ended()
    assert desk.got() == [("1", "m")]
    assert "stands at tick 1" in run("--rewind")
    desk.destination.script("truncate got")
    shell.start("serial.py", "serial.ini", program="python")
    desk.gets(("1", "m"), ("2", "m"))


def test_consumer__works_in_the_transaction_of_its_batch(desk: Desk) -> None:
    desk.shell.start("local.py", "local.ini", program="python")
    desk.registered("local")
    desk.insert("x")
    desk.tick()
    until(lambda: desk.source.run("select count(*) from local") == [(1,)], "the event is processed")
    events = desk.source.run("select ev_type, ev_data, ev_extra1, ev_extra2 from pgq.event_2 order by ev_id")
    assert events == [("copied", "x", "7", None), (None, "x", None, "1"), (None, "x", None, "2")]


def test_script__says_what_is_wrong_with_its_ini(desk: Desk) -> None:
    shell = desk.shell
    shell.write("other.ini", "[copier]\nsrc_db = dbname=x\ndst_db = dbname=y\n")
    shell.write("half.ini", "[copier]\nsrc_db = dbname=x\npgq_queue_name = q\n")
    for words, message in {
        ("none.ini",): "none.ini: there is no such file",
        ("local.ini",): "local.ini: expected a section [copier], found [local]",
        ("other.ini",): "[copier] pgq_queue_name: is required, but missing",
        ("half.ini",): "[copier] dst_db: is required, but missing",
    }.items():
        assert message in shell.run("remote.py", *words, program="python", code=1).err
    assert "need an INI file" in shell.run("remote.py", program="python", code=2).err


def test_script__of_one_round(desk: Desk) -> None:
    shell = desk.shell
    shell.write("once.py", ONCE)
    settings = shell.folder.joinpath("local.ini").read_text()
    done = shell.run("once.py", "local.ini", program="python")
    assert "rounds: 1" in done.err
    assert done.out == ""
    desk.source.script("create table most (); insert into most default values; create table half ()")
    shell.write("local.ini", f"{settings}table.main.* = half\ntable.main.now = most\n")
    assert "rounds: 2" in shell.run("once.py", "local.ini", program="python").err
    shell.write("local.ini", f"{settings}table.main.* = nowhere\n")
    failed = shell.run("once.py", "local.ini", program="python", code=1)
    assert failed.out == "reset\n"
    assert 'relation "nowhere" does not exist' in failed.err
    assert "Traceback" not in failed.err
