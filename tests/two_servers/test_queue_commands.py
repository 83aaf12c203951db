"""pgqadm from outside: the commands with a [pgqadm] INI, their output and exit codes, the ticker that serves them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from londiste_lite import schema
from londiste_lite.db import Database
from tests.fixtures.cli import QUEUE, CommandLine, Done, Roles, Site, until

RULER = "-" * 78


@pytest.fixture
def bare(new_site: Callable[..., Site]) -> Site:
    """A site without any schema."""
    return new_site(installed=False)


def last(done: Done) -> str:
    """The last message; the sample INI has an old key, which is noted before."""
    return done.err.splitlines()[-1]


def pgqadm(cli: CommandLine, *words: str, code: int = 0) -> Done:
    return cli.run("ticker.ini", *words, code=code, program="pgqadm.py")


def test_tutorial__of_a_queue(bare: Site) -> None:
    cli = bare.cli
    assert "no queue schema" in pgqadm(cli, "status", code=1).err
    assert "schema pgq installed" in pgqadm(cli, "install").err
    assert "schema pgq is up to date" in pgqadm(cli, "install").err
    assert last(pgqadm(cli, "create", "orders")) == 'queue "orders" created'
    assert last(pgqadm(cli, "create", "orders")) == 'queue "orders" is there already'
    assert last(pgqadm(cli, "register", "orders", "mailer")) == 'consumer "mailer" registered at queue "orders"'
    assert "is registered already" in pgqadm(cli, "register", "orders", "mailer").err
    assert "still has consumer" in pgqadm(cli, "drop", "orders", code=1).err
    assert 'Did you mean "mailer"?' in pgqadm(cli, "unregister", "orders", "mailerr", code=1).err
    pgqadm(cli, "unregister", "orders", "mailer")
    pgqadm(cli, "unregister", "orders", "mailer", code=1)
    pgqadm(cli, "register", "orders", "mailer")
    pgqadm(cli, "drop", "--force", "orders")
    assert 'no event queue "orders"' in pgqadm(cli, "drop", "orders", code=1).err
    assert pgqadm(cli, "config").out == ""
    script = pgqadm(cli, "install", "--print").out
    assert script.startswith("-- londiste_lite")
    assert "create schema if not exists londiste" not in script
    assert bare.provider.run("select to_regnamespace('londiste')") == [(None,)]


def test_status__in_the_layout_of_londiste_2_1(site: Site) -> None:
    name = "a queue with a name of exactly 45 characters."
    pgqadm(site.cli, "create", name)
    pgqadm(site.cli, "register", name, "mailer")
    site.provider.run("select pgq.set_queue_config(%s, 'ticker_max_lag', '2 seconds')", [name])
    lines = pgqadm(site.cli, "status").lines
    assert re.fullmatch(r"Postgres version: \S+   PgQ version: 3\.\d+\.\d+", lines[0])
    assert lines[1] == ""
    assert lines[2] == "Event queue" + " " * 35 + " Rotation        Ticker   TLag"
    assert lines[3] == RULER
    # Ages are whole seconds, in a column of their own.
    shown = [re.sub(r" {5}\ds$| {4}\d\ds$", "   <age>", line) for line in lines[4:6]]
    assert shown == [f"{name}   3/7200s    500/2s/60s   <age>", f"{QUEUE:<45}   3/7200s    500/0s/60s   <age>"]
    assert lines[6:8] == [RULER, ""]
    assert lines[8] == "Consumer" + " " * 48 + "       Lag  LastSeen"
    assert lines[9] == RULER
    assert lines[10] == f"{name}:"
    assert re.sub(r" {8}\ds| {7}\d\ds", "     <age>", lines[11]) == "  mailer" + " " * 48 + "     <age>     <age>"
    assert lines[12:] == [f"{QUEUE}:", RULER]


def test_status__of_a_queue_without_ticks(site: Site) -> None:
    site.provider.script("delete from pgq.tick")
    assert site.cli.run("ticker.ini", "status").lines[4].endswith("   NULL")


def test_status__as_json_for_either_ini(site: Site) -> None:
    pgqadm(site.cli, "register", QUEUE, "mailer")
    found = site.cli.run("ticker.ini", "status", "--json").json()
    assert found["ticker_alive"] is False
    assert found["pgq_version"].startswith("3.")
    [queue] = found["queues"]
    assert (queue["name"], queue["rotation_period"], queue["ticker_max_lag"], queue["last_tick"]) == (QUEUE, 7200, 0, 1)
    [consumer] = found["consumers"]
    assert (consumer["queue"], consumer["name"], consumer["pending_events"]) == (QUEUE, "mailer", 0)
    # The same word with the other kind of INI is the replica's status.
    found = site.run("status", "--json").json()
    assert (found["queue"], found["consumer"], found["ticker_alive"]) == (QUEUE, "replica", False)


def test_config__shows_and_sets(site: Site) -> None:
    cli = site.cli
    pgqadm(cli, "create", "orders")
    shown = (
        "    ticker_max_lag\t=      3\n    ticker_idle_period\t=     60\n"
        "    rotation_period\t=   7200\n    ticker_max_count\t=    500\n"
    )
    assert pgqadm(cli, "config", "orders").out == "orders\n" + shown
    assert pgqadm(cli, "config").out == f"{QUEUE}\n{shown.replace('      3', '      0')}orders\n{shown}"
    done = pgqadm(cli, "config", "orders", "ticker_max_lag=2 minutes", "queue_ticker_max_count=7")
    assert last(done) == 'queue "orders": ticker_max_lag, ticker_max_count changed'
    again = pgqadm(cli, "config", "orders", "ticker_max_lag=120")
    assert "was so already" in again.err
    pgqadm(cli, "config", "orders", "rotation_period=0.5")
    text = pgqadm(cli, "config", "orders").out
    assert "    ticker_max_lag\t=    120\n" in text
    assert "    ticker_max_count\t=      7\n" in text
    assert "    rotation_period\t=    0.5\n" in text
    assert pgqadm(cli, "config", "orders", "--json").json() == [
        {
            "queue": "orders",
            "ticker_max_lag": 120,
            "ticker_idle_period": 60,
            "rotation_period": 0.5,
            "ticker_max_count": 7,
        }
    ]


def test_faults__have_their_exit_codes(site: Site, roles: Roles) -> None:
    cli = site.cli
    pgqadm(cli, "create", "orders")
    for words in (("create",), ("drop",), ("register", "orders"), ("unregister", "orders"), ("config", "orders", "x")):
        pgqadm(cli, *words, code=2)
    for words, hint in (
        (("config", "order"), 'Did you mean "orders"?'),
        (("config", "order", "ticker_max_lag=1"), 'Did you mean "orders"?'),
        (("config", "orders", "ticker_max_lagg=1"), 'Did you mean "ticker_max_lag"?'),
        (("config", "orders", "ticker_max_lag=soon"), "2 minutes"),
        (("register", "order", "c"), 'Did you mean "orders"?'),
        (("drop", "order"), 'Did you mean "orders"?'),
    ):
        assert hint in pgqadm(cli, *words, code=1).err
    # The wrong kind of INI.
    for words in (("install",), ("create", "q"), ("drop", "q"), ("register", "q", "c"), ("config",)):
        assert "needs an INI with a [pgqadm] section" in site.run(*words, code=1).err
    assert "needs an INI with a [londiste] section" in pgqadm(cli, "provider", "tables", code=1).err
    # A server that is away, a role that may not.
    cli.write("away.ini", re.sub(r"port=\d+", "port=1", cli.log("ticker.ini")))
    for words in (("status",), ("create", "q")):
        assert "cannot connect" in cli.run("away.ini", *words, code=1).err
    dsn = roles.make(site, site.provider_dsn, "queue_stranger")
    cli.write("stranger.ini", cli.log("ticker.ini").replace(site.provider_dsn, dsn))
    for words in (("create", "q"), ("register", "orders", "c"), ("config", "orders", "ticker_max_lag=1")):
        found = cli.run("stranger.ini", *words, code=1).err
        assert "permission denied" in found
        assert "hint: " in found
    assert cli.run("stranger.ini", "status").lines[4].startswith(QUEUE)


def batch_of(db: Database, queue: str) -> list[str]:
    """The data of the consumer's next batch, which is then finished; empty when there is none yet."""
    batch = db.run("select pgq.next_batch(%s, 'c')", [queue])[0][0]
    if batch is None:
        return []
    found = [row[0] for row in db.run("select ev_data from pgq.get_batch_events(%s)", [batch])]
    db.run("select pgq.finish_batch(%s)", [batch])
    return found


def next_event(db: Database, queue: str, within: float) -> str:
    """The only event that the consumer gets next, waited for."""
    got: list[str] = []
    until(lambda: got.extend(batch_of(db, queue)) or got, "the event arrives", within)
    assert len(got) == 1
    return got[0]


@pytest.mark.parametrize("components", [schema.QUEUE_ONLY, schema.PROVIDER], ids=["queue alone", "provider"])
def test_ticker__serves_queues_made_later(bare: Site, components: tuple[str, ...]) -> None:
    """Started before anything is installed, it needs no restart for the schema or for a queue."""
    cli = bare.cli
    cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    until(lambda: "no queue schema yet" in cli.log("ticker.log"), "the ticker says what is missing")
    schema.install(bare.provider, components)
    for queue in ("one", "two"):
        pgqadm(cli, "create", queue)
        pgqadm(cli, "config", queue, "ticker_max_lag=0")
        pgqadm(cli, "register", queue, "c")
        until(lambda queue=queue: f'watching queue "{queue}"' in cli.log("ticker.log"), "the queue is watched", 15)
        # The first event of a queue leaves the number that its sequence shows as it was.
        bare.provider.run("select pgq.insert_event(%s, 'a', 'first')", [queue])
        assert next_event(bare.provider, queue, within=3) == "first"
    assert cli.run("ticker.ini", "status", "--json").json()["ticker_alive"]
    # A dropped queue does not disturb the other one.
    pgqadm(cli, "drop", "one", "--force")
    bare.provider.run("select pgq.insert_event('two', 'a', 'second')")
    assert next_event(bare.provider, "two", within=5) == "second"
    assert "ERROR" not in cli.log("ticker.log")


def test_ticker__captures_partitions_attached_later(site: Site) -> None:
    """A busy table is waited for in the background: the ticks of other tables go on meanwhile."""
    db = site.provider
    db.script(
        "create table public.part (id int primary key) partition by range (id);"
        "create table public.p1 partition of public.part for values from (0) to (10);"
        "create table public.plain (id int primary key)"
    )
    site.run("provider", "add", "part", "plain")
    db.run("select pgq.register_consumer(%s, 'c')", [QUEUE])
    site.cli.daemon("ticker.ini", "ticker", "-d", program="pgqadm.py", pid_file="ticker.pid")
    writer = site.connect(site.provider_dsn)
    with writer.transaction():
        writer.script("insert into public.part values (1)")
        db.script("create table public.p2 (id int primary key)")
        # Attached behind the writer's back: a lock on the root is not needed for it, but one for its triggers is.
        db.script("alter table public.part attach partition public.p2 for values from (10) to (20)")
        until(lambda: "cannot be made anew" in site.cli.log("ticker.log"), "the lock is not granted")
        db.script("insert into public.plain values (7)")
        got: list[str] = []
        until(lambda: got.extend(batch_of(db, QUEUE)) or "(7)" in got, "ticks go on while the lock is waited for", 2)
    captured = "select 1 from pg_trigger where tgrelid = 'public.p2'::regclass and tgname = '_londiste_1_insert'"
    until(lambda: db.run(captured), "the partition gets its triggers")
    db.script("insert into public.p2 values (12); insert into public.part values (13)")
    until(lambda: got.extend(batch_of(db, QUEUE)) or "(13)" in got, "its rows are captured")
    assert {"(1)", "(12)", "(13)"} <= set(got)
    assert site.cli.log("ticker.log").count("cannot be made anew") == 1


def test_refresh__says_what_it_did(site: Site) -> None:
    db = site.provider
    assert last(site.run("provider", "refresh")) == "no tables are published"
    db.script(
        "create table public.part (id int primary key, n int) partition by range (id);"
        "create table public.plain (id int primary key, code int not null unique)"
    )
    site.run("provider", "add", "part", "plain")
    done = site.run("provider", "refresh")
    assert "public.part: in order" in done.err
    assert "public.plain: in order" in done.err
    db.script("create table public.p1 partition of public.part for values from (0) to (10)")
    assert "public.part: made public.p1" in site.run("provider", "refresh", "part").err
    db.script("insert into public.p1 values (3, 3)")
    assert db.run("select ev_data from pgq.event_1") == [("(3,3)",)]
    # Another primary key: capture and registration follow.
    db.script("alter table public.plain drop constraint plain_pkey; alter table public.plain add primary key (code)")
    assert "key is now (code)" in site.run("provider", "refresh", "pl*").err
    keys = {t["name"]: t["key"] for t in site.run("provider", "tables", "--json").json()}
    assert keys == {"public.part": ["id"], "public.plain": ["code"]}
    db.script("insert into public.plain values (1, 5); delete from public.plain")
    assert db.run("select ev_type, ev_data from pgq.event_1 order by ev_id desc limit 1") == [("D{code}", "(5)")]
    # Detached: its rows are nobody's business any more.
    db.script("alter table public.part detach partition public.p1")
    assert "dropped public.p1" in site.run("provider", "refresh").err
    db.script("insert into public.p1 values (4, 4)")
    assert db.run("select count(*) from pgq.event_1 where ev_data = '(4,4)'") == [(0,)]
    assert 'Did you mean "public.part"?' in site.run("provider", "refresh", "parts", code=1).err
