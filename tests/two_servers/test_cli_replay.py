"""Running replay, ticker, wait and status as processes: start, stop, reload, kill, and what is said about them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.fixtures.cli import BIN, Site, alive, until
from tests.fixtures.in_process import Call
from tests.fixtures.proxy import proxy_to


@pytest.fixture
def entry(site: Site) -> Site:
    """A site with one table published and subscribed; nothing runs."""
    site.both("create table entry (id int primary key, item text)")
    site.provider.script("insert into entry values (1, 'before')")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    return site


def test_once__applies_all_and_finishes_copies(entry: Site) -> None:
    entry.once()
    entry.assert_equal("entry")
    assert entry.run("subscriber", "tables").lines[1].split() == ["public.entry", "ok"]
    entry.provider.script(
        "insert into entry select g, 'row' from generate_series(2, 5000) g; delete from entry where id = 7"
    )
    entry.once()
    entry.assert_equal("entry")
    status = entry.run("status", "--json").json()
    assert status["pending_events"] == 0
    assert status["applied_tick"] == status["last_tick"]
    entry.once()
    assert not (entry.cli.folder / "replica.pid").exists()


def test_once__leaves_nobody_behind_who_holds_the_queue(entry: Site) -> None:
    entry.once()
    assert entry.provider.run("select consumer_name from pgq.get_consumer_info()") == [("replica",)]


def test_once__what_cannot_be_applied_is_exit_1_and_in_status(entry: Site) -> None:
    entry.once()
    entry.subscriber.script("alter table entry add constraint short check (length(item) < 10)")
    entry.provider.script("insert into entry values (2, 'this is too long for the subscriber')")
    failed = entry.run("replay", "--once", code=1)
    assert "short" in failed.err
    assert "public.entry" in failed.err
    entry.provider.script("insert into entry values (3, 'fine')")
    status = entry.run("status", "--json").json()
    assert status["pending_events"] > 0
    assert status["lag_seconds"] > 0
    entry.subscriber.script("alter table entry drop constraint short")
    entry.once()
    entry.assert_equal("entry")
    assert entry.run("status", "--json").json()["last_error"] is None


def test_once__a_copy_that_fails_is_exit_1(entry: Site) -> None:
    entry.subscriber.script("alter table entry add constraint short check (length(item) < 3)")
    failed = entry.run("replay", "--once", code=1)
    assert "copy" in failed.err
    assert "short" in failed.err
    (table,) = entry.run("subscriber", "tables", "--json").json()
    assert table["state"] != "ok"
    assert "short" in table["error"]


def test_wait__done_or_timeout_with_the_reason(entry: Site) -> None:
    begun = time.monotonic()
    nobody = entry.run("wait", "--timeout", "0.5", code=1)
    assert time.monotonic() - begun < 20
    assert "No replay is running" in nobody.err
    assert "0.5 seconds" in nobody.err
    entry.replay()
    # Copies are part of it.
    entry.wait()
    entry.assert_equal("entry")
    with entry.provider.transaction():
        # Not committed before the call, so not waited for.
        entry.provider.script("insert into entry values (2, 'open')")
        entry.wait()
    # Behind a lock of the subscriber's users it is not there in time, and then it is.
    with entry.subscriber.transaction():
        entry.subscriber.script("lock table entry")
        late = entry.run("wait", "--timeout", "0.5", code=1)
        assert "`status` shows" in late.err
    entry.wait()
    entry.assert_equal("entry")


def test_wait__interrupted_is_130(entry: Site) -> None:
    last = "select max(tick_id) from pgq.tick"
    for number in (signal.SIGINT, signal.SIGTERM):
        before = entry.provider.run(last)
        waiting = entry.cli.start("replica.ini", "wait")
        until(lambda before=before: entry.provider.run(last) != before, "wait has made its tick")
        waiting.signal(number)
        assert waiting.ended() == 130
        assert "interrupted" in waiting.text()


def test_replay_in_the_foreground__interrupted_is_130_and_terminated_is_0(entry: Site) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        running = entry.cli.start("replica.ini", "replay")
        running.shows("replaying queue")
        entry.wait()
        running.signal(number)
        assert running.ended() == code, running.text()
        assert entry.cli.owner("replica.pid") is None


def test_status__says_who_is_alive_and_how_far(entry: Site) -> None:
    status = entry.run("status", "--json").json()
    assert (status["ticker_alive"], status["replay_alive"], status["applied_tick"]) == (False, False, None)
    assert status["tables"][0]["state"] == "-"
    replay = entry.replay()
    entry.wait()
    entry.provider.script("insert into entry values (2, 'x'), (3, 'y'); update entry set item = 'z' where id = 1")
    entry.provider.script("delete from entry where id = 3")
    entry.wait()
    status = entry.run("status", "--json").json()
    assert (status["ticker_alive"], status["replay_alive"]) == (True, True)
    assert (status["queue"], status["consumer"], status["node"]) == ("londiste.write", "replica", None)
    assert (status["pending_events"], status["lag_seconds"], status["last_error"]) == (0, 0.0, None)
    assert status["applied_tick"] == status["last_tick"]
    (table,) = status["tables"]
    assert (table["name"], table["state"], table["conflicts"], table["parked"], table["error"]) == (
        "public.entry", "ok", 0, 0, None,
    )  # fmt: skip
    assert table["rows_inserted"] + table["rows_deleted"] >= 2
    assert table["rows_updated"] >= 1
    # Lagging: its work is held up.
    with entry.subscriber.transaction():
        entry.subscriber.script("lock table entry")
        entry.provider.script("insert into entry values (4, 'later')")
        time.sleep(1.1)  # what is measured is time
        status = entry.run("status", "--json").json()
        assert status["replay_alive"]
        assert status["pending_events"] >= 1
        assert status["lag_seconds"] >= 1
    entry.wait()
    # A ticker of its own takes over when the replay's is gone.
    entry.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    os.kill(replay, signal.SIGKILL)
    until(lambda: not entry.run("status", "--json").json()["replay_alive"], "replay is seen as dead")
    until(lambda: entry.run("status", "--json").json()["ticker_alive"], "the other ticker takes over")
    entry.provider.script("insert into entry values (5, 'nobody applies')")
    status = entry.run("status", "--json").json()
    assert status["pending_events"] >= 1
    shown = entry.run("status").out
    assert "replay:         not running" in shown
    # After kill -9 the stale pidfile is no obstacle, and nothing is lost.
    entry.replay()
    entry.wait()
    entry.assert_equal("entry")
    assert "stale pidfile" in entry.cli.log()


def test_status__counts_rows_that_are_set_aside(entry: Site) -> None:
    ini = entry.ini("park.ini", on_error="park")
    entry.run("replay", "--once", ini=ini)
    entry.subscriber.script("alter table entry add check (item <> 'bad')")
    entry.provider.script("insert into entry values (2, 'bad'), (3, 'good')")
    entry.run("replay", "--once", ini=ini)
    assert "public.entry: 1 row is set aside, see `parked list`" in entry.run("status", ini=ini).lines
    entry.provider.script("insert into entry values (4, 'bad')")
    entry.run("replay", "--once", ini=ini)
    assert "public.entry: 2 rows are set aside, see `parked list`" in entry.run("status", ini=ini).lines


def test_two_replays_of_one_job__the_second_says_who_is_at_work(entry: Site) -> None:
    first = entry.replay()
    entry.wait()
    for words in (("replay",), ("replay", "-d")):
        second = entry.run(*words, code=1)
        assert f"pid {first}" in second.err
    # From another folder or with another pidfile only the lock in the database tells.
    other = entry.ini("other.ini", pidfile="other.pid", logfile="other.log")
    once = entry.run("replay", "--once", ini=other, code=1)
    assert "another replay" in once.err
    assert "londiste:replica:replay" in once.err
    third = entry.cli.start(other, "replay")
    third.shows("another replay")
    entry.provider.script("insert into entry values (2, 'once')")
    entry.wait()
    assert entry.run("status", "--json").json()["tables"][0]["conflicts"] == 0
    # It takes over when the first has gone.
    entry.run("-s")
    third.shows("replaying queue")
    until(lambda: not alive(first), "the first replay ends")
    entry.provider.script("insert into entry values (3, 'other')")
    entry.run("wait", "--timeout", "40", ini=other)
    entry.assert_equal("entry")


def test_two_tickers_of_one_database__the_second_waits(entry: Site) -> None:
    entry.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    text = (entry.cli.folder / "ticker.ini").read_text()
    entry.cli.write("ticker2.ini", text.replace("%(job_name)s", "second"))
    again = entry.cli.run("ticker.ini", "ticker", code=1)
    assert "holds pidfile" in again.err
    until(lambda: "watching queue" in entry.cli.log("ticker.log"), "the first ticker works")
    second = entry.cli.start("ticker2.ini", "ticker")
    second.shows("another ticker is at work")
    second.shows("londiste:ticker:ticker")
    entry.cli.run("ticker.ini", "-k")
    second.shows("watching queue")


def test_daemon__bad_ini_is_not_started(entry: Site) -> None:
    bad = entry.ini("bad.ini", apply="never")
    assert "apply" in entry.run("replay", "-d", ini=bad, code=1).err
    assert entry.cli.owner("replica.pid") is None


def test_daemon__started_while_both_servers_are_down(entry: Site) -> None:
    for server in entry.servers:
        server.stop()
    replay = entry.replay()
    entry.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    until(lambda: "cannot connect" in entry.cli.log(), "replay says that it cannot connect")
    entry.servers[1].start()
    entry.servers[0].start()
    entry.reconnect()
    entry.provider.script("insert into entry values (2, 'after')")
    entry.wait()
    entry.assert_equal("entry")
    assert entry.cli.owner("replica.pid") == replay


def test_reload__changed_log_file_and_connection(entry: Site, new_site: Callable[..., Site]) -> None:
    replay = entry.replay()
    entry.wait()
    # The same provider, another subscriber: its own tables are copied there.
    target = new_site()
    target.subscriber.script("create table entry (id int primary key, item text)")
    text = (entry.cli.folder / "replica.ini").read_text()
    changed = text.replace(entry.subscriber_dsn, target.subscriber_dsn).replace("%(job_name)s.log", "changed.log")
    entry.cli.write("replica.ini", changed)
    assert "reload" in entry.run("-r").err
    until(lambda: "replaying queue" in entry.cli.log("changed.log"), "replay goes on with the new settings")
    entry.run("subscriber", "add", "entry")
    entry.provider.script("insert into entry values (2, 'for the new one')")
    entry.wait()
    assert target.rows(target.subscriber, "entry") == entry.rows(entry.provider, "entry")
    assert len(entry.rows(entry.subscriber, "entry")) == 1
    assert entry.cli.owner("replica.pid") == replay
    # What is wrong now is logged, and the old settings stay.
    entry.cli.write("replica.ini", changed.replace("pgq_queue_name", "queue_name"))
    os.kill(replay, signal.SIGHUP)
    until(lambda: "pgq_queue_name" in entry.cli.log("changed.log"), "the bad INI is logged")
    entry.cli.write("replica.ini", changed)
    entry.provider.script("insert into entry values (3, 'still')")
    entry.wait()
    assert target.rows(target.subscriber, "entry") == entry.rows(entry.provider, "entry")


def test_signals__nothing_runs_is_no_error(entry: Site) -> None:
    for option in ("-s", "-k", "-r"):
        assert "nothing is running" in entry.cli.run("replica.ini", option, program="londiste.py").err
    entry.cli.write("replica.pid", f"{os.getpid()}\n")
    # The number of a live stranger in a stale pidfile.
    assert "stale" in entry.run("-k").err
    replay = entry.replay()
    assert replay != os.getpid()
    assert f"process {replay}" in entry.run("-k").err
    until(lambda: not alive(replay), "replay ends after -k")
    assert not (entry.cli.folder / "replica.pid").exists()


def test_servers_restart__replay_and_ticker_go_on(entry: Site) -> None:
    replay = entry.replay()
    entry.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    entry.wait()
    for number, server in enumerate(entry.servers):
        server.stop("immediate")
        server.start()
        entry.reconnect()
        entry.provider.script(f"insert into entry values ({10 + number}, 'after a crash')")
        entry.wait()
        entry.assert_equal("entry")
    assert entry.cli.owner("replica.pid") == replay


def test_stop__while_a_server_does_not_answer_is_at_once_and_clean(site: Site, call: Call) -> None:
    """Stopped by signals and by options, in the foreground and in the background, while connecting."""
    with proxy_to(site.servers[1]) as way:
        way.stall()
        # A time-out that no test would survive, so that it is not what ends them.
        dsn = way.dsn(site.subscriber_dsn) + " connect_timeout=600"
        names = [f"job{number}" for number in range(4)]
        inis = [site.ini(f"{name}.ini", job_name=name, subscriber_db=dsn) for name in names]
        site.cli.write("away.ini", f"[pgqadm]\njob_name = away\ndb = {dsn}\npidfile = %(job_name)s.pid\n")
        pids = [site.cli.daemon(ini, "replay", "-d", pid_file=f"{ini[:-4]}.pid") for ini in inis[:2]]
        interrupted, killed = site.cli.start(inis[2], "replay"), site.cli.start(inis[3], "replay", "--once")
        ticker = site.cli.start("away.ini", "ticker")
        until(lambda: way.accepted >= 5, "all wait for the server")
        call(site.cli.folder, inis[0], "-s")
        call(site.cli.folder, inis[1], "-k")
        interrupted.signal(signal.SIGINT)
        killed.signal(signal.SIGTERM)
        ticker.signal(signal.SIGTERM)
        assert [interrupted.ended(), killed.ended(), ticker.ended()] == [130, 130, 0]
        until(lambda: not any(alive(pid) for pid in pids), "the daemons end")
    assert [site.cli.log(f"{name}.log").count("replay ended by SIG") for name in names[:2]] == [1, 1]
    assert not list(site.cli.folder.glob("*.pid"))
    assert "unexpected" not in site.cli.describe()


def test_copy__finishes_what_is_due_with_and_without_a_replay(site: Site, call: Call) -> None:
    def run(*words: str, code: int = 0) -> str:
        return call(site.cli.folder, "replica.ini", *words, code=code).err

    assert "no tables are subscribed" in run("copy")
    site.both("create table entry (id int primary key, item text); create table other (id int primary key)")
    site.provider.script("insert into entry select n, 'x' from generate_series(1, 1000) n")
    run("provider", "add", "entry", "other")
    run("subscriber", "add", "entry", "other")
    assert "2 tables are in sync" in run("copy")
    site.assert_equal("entry", "other")
    site.replay()
    site.subscriber.script("delete from entry where id < 500")
    run("subscriber", "resync", "entry")
    assert "2 tables are in sync" in run("copy")
    site.assert_equal("entry")
    run("pause")
    run("subscriber", "resync", "entry")
    assert "the replay is paused\nhint: Run `resume` first." in run("copy", code=1)
    run("resume")
    # A copy that cannot be done is no success.
    site.subscriber.script("delete from entry; alter table entry add check (id < 10)")
    run("subscriber", "resync", "entry")
    until(lambda: site.subscriber.run("select 1 from londiste.subscriber_table where error is not null"), "the failure")
    assert "public.entry: " in run("copy", code=1)


def test_interrupt__cancels_the_statement_of_a_command(site: Site) -> None:
    def count() -> int:
        sql = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"
        return int(site.provider.run(sql)[0][0])

    command = [str(BIN / "londiste_lite"), "replica.ini", "provider", "execute", "--sql", "select pg_sleep(600)"]
    waiting = subprocess.Popen(
        command,
        cwd=site.cli.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A test run in the background of a shell ignores SIGINT, and its children would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    try:
        until(count, "the statement is at work")
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
        waiting.wait()
    assert (waiting.returncode, said.decode()) == (130, "interrupted\n")
    until(lambda: not count(), "the server has ended it")
