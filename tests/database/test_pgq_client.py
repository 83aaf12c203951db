"""A client of PgQ that others wrote, the package `pgq`, works on our queue unchanged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from londiste_lite import event_queue, schema
from londiste_lite.db import Database
from londiste_lite.throwaway import ThrowawayServer

for _package in ("pgq", "skytools"):
    pytest.importorskip(_package, reason="the packages pgq and skytools are not installed (extra `test`)")

# One look each, as with `--once`-like single loops of the client: the consumer registers, then gets two batches.
_SCRIPT = """
import sys
import pgq

class Plain(pgq.Consumer):
    pgq_lazy_fetch = {lazy}
    def process_event(self, db, ev):
        if ev.ev_type == "again" and ev.ev_retry is None:
            ev.tag_retry(0)
            return
        db.cursor().execute("insert into seen values (%s, %s)", [ev.ev_data, ev.ev_extra1])
        ev.tag_done()

class Coop(pgq.CoopConsumer):
    def process_event(self, db, ev):
        db.cursor().execute("insert into seen values (%s, %s)", [ev.ev_data, self.subconsumer_name])
        ev.tag_done()

consumer = {kind}("client", "src_db", sys.argv[1:])
consumer.set_single_loop(1)
consumer.start()
"""


class Client:
    """Runs the client's consumers, one look each, in processes of their own."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.folder = folder
        db.script("select pgq.create_queue('q'); create table seen (data text, extra text)")

    def write(self, name: str, dsn: str, kind: str, lazy: int = 300, **keys: str) -> None:
        lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
        ini = f"[client]\njob_name = {name}\nsrc_db = {dsn}\nqueue_name = q\nuse_skylog = 0\n{lines}"
        (self.folder / f"{name}.ini").write_text(ini)
        (self.folder / f"{name}.py").write_text(_SCRIPT.format(kind=kind, lazy=lazy))

    def look(self, name: str, *options: str) -> None:
        command = [sys.executable, f"{name}.py", f"{name}.ini", *options]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr

    def tick(self) -> None:
        event_queue.tick_maker(self.db)(self.db, "q")

    def seen(self) -> list[tuple[str, str]]:
        return self.db.run("select data, extra from seen order by data")


@pytest.fixture
def dsn(server: ThrowawayServer, new_database: Callable[..., str]) -> str:
    return new_database(server, schema.QUEUE_ONLY)


@pytest.fixture
def client(dsn: str, tmp_path: Path, open_connection: Callable[[str], Database]) -> Client:
    return Client(open_connection(dsn), tmp_path)


def test_consumer__registers_reads_retries_and_finishes(client: Client, dsn: str) -> None:
    client.write("plain", dsn, "Plain", pgq_consumer_id="plain")
    client.look("plain", "--register")
    insert = "select pgq.insert_event('q', %s, %s, %s, null, null, null)"
    for row in (("now", "1", "a"), ("again", "2", None), ("now", "3", "ü")):
        client.db.run(insert, row)
    client.tick()
    client.look("plain")
    assert client.seen() == [("1", "a"), ("3", "ü")]
    client.db.script("update pgq.retry_queue set ev_retry_after = now() - interval '1 s'")
    assert client.db.run("select pgq.maint_retry_events()") == [(1,)]
    client.tick()
    client.look("plain")
    assert client.seen() == [("1", "a"), ("2", None), ("3", "ü")]
    assert client.db.run("select pending_events from pgq.get_consumer_info('q', 'plain')") == [(0,)]


def test_cooperative_consumers__share_the_batches(client: Client, dsn: str) -> None:
    for name in ("one", "two"):
        client.write(name, dsn, "Coop", pgq_consumer_id="crew", subconsumer_name=name)
        client.look(name, "--register")
    for data in ("1", "2"):
        client.db.run("select pgq.insert_event('q', 'x', %s)", [data])
        client.tick()
    client.look("one")
    client.look("two")
    assert [data for data, _ in client.seen()] == ["1", "2"]
    assert {name for _, name in client.seen()} == {"one", "two"}
