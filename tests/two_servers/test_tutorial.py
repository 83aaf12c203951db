"""The tutorial of Londiste 2.1 as written: its INI files, its command lines, run as a user runs them."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from londiste_lite.walkthrough import Walkthrough
from tests.fixtures.cli import CommandLine, Site, alive, until
from tests.fixtures.in_process import Call
from tests.fixtures.pair import all_versions

TABLE = "create table entry (id serial primary key, item text, price numeric(8,2))"


def value(site: Site, side: str) -> tuple[int, bool]:
    """Last value and is_called of the sequence."""
    return tuple(getattr(site, side).run("select last_value, is_called from entry_id_seq")[0])


def londiste(site: Site, *words: str) -> None:
    site.cli.run("replica.ini", *words, program="londiste.py")


def start_ticker(site: Site) -> int:
    return site.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")


def start_replay(site: Site) -> int:
    return site.cli.daemon("replica.ini", "replay", "-d", program="londiste.py", pid_file="replica.pid")


@all_versions
@pytest.mark.parametrize("replay_first", [False, True], ids=["as_written", "replay_first"])
def test_tutorial__word_for_word(new_site: Callable[..., Site], versions: tuple[int, int], replay_first: bool) -> None:
    if replay_first and versions == (15, 18):
        pytest.skip("the order of the commands does not depend on the version; 16 to 18 and 18 to 16 run both")
    site = new_site(installed=False)
    site.both(TABLE)
    site.provider.script("insert into entry (item, price) values ('apple', 1.20), ('pear', 1.50), (null, null)")

    if replay_first:
        replay = start_replay(site)
        ticker = start_ticker(site)
    else:
        ticker = start_ticker(site)
    londiste(site, "provider", "install")
    londiste(site, "subscriber", "install")
    if not replay_first:
        replay = start_replay(site)
    assert site.provider.run("select queue_name from pgq.queue") == [("londiste.write",)]
    for name in ("ticker", "replica"):
        assert (site.cli.folder / f"{name}.pid").exists()
        assert (site.cli.folder / f"{name}.log").exists()
    londiste(site, "provider", "add", "entry")
    londiste(site, "provider", "add-seq", "entry_id_seq")
    londiste(site, "subscriber", "add", "entry")
    londiste(site, "subscriber", "add-seq", "entry_id_seq")

    # Rows that were there before arrive by copy; the sequence follows.
    site.wait()
    site.assert_equal("entry")
    assert len(site.rows(site.subscriber, "entry")) == 3
    assert value(site, "subscriber") == value(site, "provider") == (3, True)

    # Inserts, updates and deletes follow, and the sequence with them.
    site.provider.script("insert into entry (item, price) values ('plum', 2.00), ('fig', 3.10)")
    site.provider.script("update entry set price = price * 2, item = 'Apple' where item = 'apple'")
    site.provider.script("delete from entry where item = 'pear'")
    site.wait()
    site.assert_equal("entry")
    assert [row[1] for row in site.rows(site.subscriber, "entry")] == ["Apple", None, "plum", "fig"]
    assert value(site, "subscriber") == value(site, "provider") == (5, True)

    # Rows written while the subscriber's server is down arrive when it is back, and the daemons live through it.
    site.servers[1].stop()
    site.provider.script(
        "insert into entry (item, price) values ('quince', 4.00); delete from entry where item = 'fig'"
    )
    site.run("wait", "--timeout", "1", code=1)
    site.servers[1].start()
    site.reconnect()
    site.wait()
    site.assert_equal("entry")
    assert site.cli.owner("replica.pid") == replay
    assert site.cli.owner("ticker.pid") == ticker

    # What is changed on the subscriber stays there and does not come back; resync repairs it.
    site.subscriber.script(
        "insert into entry values (900, 'local', 1); update entry set price = 0 where item = 'plum';"
        "delete from entry where item = 'Apple'; select setval('entry_id_seq', 1)"
    )
    site.provider.script("insert into entry (item) values ('date')")
    site.wait()
    assert [row[1] for row in site.rows(site.provider, "entry")] == ["Apple", None, "plum", "quince", "date"]
    assert [row[1] for row in site.rows(site.subscriber, "entry")] == [None, "plum", "quince", "date", "local"]
    assert value(site, "subscriber") == value(site, "provider")
    londiste(site, "subscriber", "resync", "-v", "--force")
    site.wait()
    site.assert_equal("entry")
    assert site.run("subscriber", "tables").lines[1].split() == ["public.entry", "ok"]

    # -s and -k end exactly the process of the INI.
    londiste(site, "-s")
    until(lambda: not alive(replay), "replay ends after -s")
    assert site.cli.owner("ticker.pid") == ticker
    site.cli.run("ticker.ini", "-k", program="pgqadm.py")
    until(lambda: not alive(ticker), "ticker ends after -k")
    assert not list(site.cli.folder.glob("*.pid"))
    # What was written meanwhile waits for the next start.
    site.provider.script("insert into entry (item) values ('elder')")
    start_replay(site)
    site.wait()
    site.assert_equal("entry")


def test_tutorial__resync_of_several_tables_without_names(site: Site) -> None:
    tables = ["entry", "other", "third"]
    for table in tables:
        site.both(f"create table {table} (id int primary key, item text)")
        site.provider.script(f"insert into {table} select g, 'row ' || g from generate_series(1, 200) g")
    site.run("provider", "add", *tables)
    site.run("subscriber", "add", *tables)
    site.replay()
    site.wait()
    for table in tables:
        site.subscriber.script(f"delete from {table} where id % 2 = 0; update {table} set item = 'damaged'")
    done = site.cli.run("-v", "replica.ini", "subscriber", "resync", "--force", program="londiste.py")
    assert all(f"public.{table}" in done.err for table in tables)
    site.provider.script("insert into entry values (1000, 'meanwhile')")
    site.wait()
    site.assert_equal(*tables)


def test_tutorial__demo_runs_to_its_end_and_keeps_running(shell: CommandLine) -> None:
    done = shell.run("demo", "--keep", timeout=170)
    said = dict(re.findall(r"^(provider|subscriber|stop|delete): +(.*)$", done.out, re.MULTILINE))
    assert set(said) == {"provider", "subscriber", "stop", "delete"}, done.out
    folders = [Path(name) for name in said["delete"].split()[2:]]
    pids = [int(path.read_text().split()[0]) for f in folders for path in (*f.glob("*.pid"), *f.glob("data/*.pid"))]
    try:
        assert done.err == ""
        assert "1 | apple | 2.40     1 | apple | 2.40" in done.out
        assert "5 | quince | 4.00    5 | quince | 4.00" in done.out
        assert "replica.ini subscriber resync -v --force" in done.out
        assert len(pids) >= 4, done.out  # two servers, replay, ticker
        assert all(alive(pid) for pid in pids)
        status = shell.run(str(folders[0] / "replica.ini"), "status", "--json").out
        assert '"replay_alive": true' in status
        assert '"ticker_alive": true' in status
    finally:
        subprocess.run(["sh", "-c", said["stop"]], cwd=folders[0], env=shell.environment, check=True)
    until(lambda: not any(alive(pid) for pid in pids), "what demo --keep left running ends as it says")
    subprocess.run(["sh", "-c", said["delete"]], check=True)
    assert not any(f.exists() for f in folders)


def test_tutorial__demo_that_is_done_cleans_up(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first of its steps only: the others are walked through above."""
    walks: list[Walkthrough] = []

    def first_step(walk: Walkthrough) -> None:
        walks.append(walk)
        walk._start_servers()
        assert all(folder.exists() for folder in folders(walk))

    def folders(walk: Walkthrough) -> list[Path]:
        return [Path(name) for name in walk.how_to_delete().split()[2:]]

    monkeypatch.setattr(Walkthrough, "run", first_step)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        done = call(tmp_path, "demo")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "servers and files are gone" in done.out
    (walk,) = walks
    assert len(folders(walk)) == 3
    assert not [folder for folder in folders(walk) if folder.exists()]


def test_tutorial__demo_that_is_ended_cleans_up(shell: CommandLine) -> None:
    demo = shell.start("demo")
    demo.shows("ticker.ini ticker -d")
    folders = [Path(name) for name in re.findall(r"/tmp/\w+", demo.text())]
    assert len(set(folders)) == 3
    demo.signal(signal.SIGTERM)
    assert demo.ended() == 130
    assert not [folder for folder in folders if folder.exists()]
