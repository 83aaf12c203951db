"""Every part of the program with a role that may do its part and nothing else, made by the SQL of docs/security.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from londiste_lite import locks
from londiste_lite.db import Database
from londiste_lite.errors import PrivilegeMissing
from londiste_lite.names import quote_ident
from londiste_lite.throwaway import ThrowawayServer
from tests.conftest import need
from tests.fixtures.cli import PASSWORD, CommandLine, until
from tests.fixtures.pair import DEBIAN, DOWN
from tests.fixtures.servers import ServerPool, connect

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
BLOCKS: dict[str, str] = dict(re.findall(r"^```sql ([^\n]+)\n(.*?)^```$", PAGE, re.M | re.S))

ROLES = ("lite_admin", "ticker", "replica", "shop_owner", "shop_app", "stranger")
MADE = ("londiste_capture", "londiste_ticker", "londiste_replay", "pgq_reader", "pgq_writer", "pgq_admin")

TABLES = """
    create table sales.entry (id serial primary key, item text);
    create table sales.line (id int primary key, entry int references sales.entry, n int);
"""


class Shop:
    """The two servers of the page, each with a database, and the roles that exist before step 1."""

    def __init__(self, provider: ThrowawayServer, subscriber: ThrowawayServer, folder: Path) -> None:
        self.servers = {"provider": provider, "subscriber": subscriber}
        self.databases = {"provider": "shop", "subscriber": "copy"}
        self.cli = CommandLine(folder)
        self._opened: list[Database] = []
        for side, name in self.databases.items():
            admin = connect(self.servers[side].dsn())
            admin.script("create role shop_owner login; create role shop_app login; create role stranger login")
            admin.script(f"create database {name} owner shop_owner")
            admin.close()
            self.run(side, "shop_owner", "create schema sales;" + TABLES)
        self.run(
            "provider",
            "shop_owner",
            "grant usage on schema sales to shop_app; grant usage on sequence sales.entry_id_seq to shop_app;"
            "grant insert, update, delete on sales.entry, sales.line to shop_app;"
            "grant select (id) on sales.entry, sales.line to shop_app",
        )

    def dsn(self, side: str, user: str) -> str:
        return self.servers[side].dsn(self.databases[side], user)

    def connect(self, side: str, user: str) -> Database:
        """A connection that is closed at the end."""
        conn = connect(self.dsn(side, user))
        self._opened.append(conn)
        return conn

    def run(self, side: str, user: str, sql: str) -> None:
        conn = connect(self.dsn(side, user))
        try:
            conn.script(sql)
        finally:
            conn.close()

    def rows(self, side: str, sql: str) -> list[tuple[object, ...]]:
        """What the tables' owner sees."""
        conn = connect(self.dsn(side, "shop_owner"))
        try:
            return conn.run(sql)
        finally:
            conn.close()

    def block(self, name: str) -> None:
        """Run one SQL block of the page, as its first words say."""
        side, user = name.split()[:2]
        who = {"administrator": "postgres", "superuser": "postgres"}.get(user, user)
        self.run(side, who, BLOCKS[name])

    def ini(self, user: str) -> str:
        """Write a [londiste] INI of which both DSNs have this user; return its name."""
        dsns = {side: f"{self.dsn(side, user)} password={PASSWORD}" for side in self.servers}
        self.cli.write(
            f"{user}.ini",
            f"[londiste]\njob_name = replica\nprovider_db = {dsns['provider']}\nsubscriber_db = {dsns['subscriber']}\n"
            "pgq_queue_name = shop\npidfile = replica.pid\nlogfile = replica.log\nlock_timeout = 5\n",
        )
        return f"{user}.ini"

    def ticker_ini(self) -> str:
        dsn = f"{self.dsn('provider', 'ticker')} password={PASSWORD}"
        keys = "pidfile = ticker.pid\nlogfile = ticker.log\nmaint_delay = 1\n"
        self.cli.write("ticker.ini", f"[pgqadm]\njob_name = ticker\ndb = {dsn}\n{keys}")
        return "ticker.ini"

    def set_up(self, *, ticker: bool = True, publish: bool = True) -> None:
        """The five steps of the page, up to the daemons' start."""
        self.block("provider administrator")
        self.block("subscriber administrator")
        self.cli.run(self.ini("lite_admin"), "provider", "install", "--roles")
        self.cli.run("lite_admin.ini", "subscriber", "install", "--roles")
        self.block("provider lite_admin")
        self.block("subscriber lite_admin")
        self.block("provider shop_owner")
        self.block("subscriber shop_owner")
        self.ini("replica")
        if publish:
            self.cli.run(self.ini("shop_owner"), "provider", "add", "sales.entry", "sales.line")
            self.cli.run("shop_owner.ini", "provider", "add-seq", "sales.entry_id_seq")
            self.cli.run("replica.ini", "subscriber", "add", "sales.entry", "sales.line")
            self.cli.run("replica.ini", "subscriber", "add-seq", "sales.entry_id_seq")
        if ticker:
            self.cli.daemon(self.ticker_ini(), "ticker", "-d", pid_file="ticker.pid")

    def replay(self) -> None:
        self.cli.daemon("replica.ini", "replay", "-d", pid_file="replica.pid")

    def wait(self) -> None:
        self.cli.run("replica.ini", "wait", "--timeout", "40")

    def assert_equal(self, *tables: str) -> None:
        for table in tables:
            provider, subscriber = (self.rows(side, f"select * from {table} order by 1") for side in self.servers)
            assert provider == subscriber, f"{table} differs\n{self.cli.describe()}"

    def close(self) -> None:
        try:
            self.cli.close()
        finally:
            for conn in self._opened:
                conn.close()
            for side, name in self.databases.items():
                admin = connect(self.servers[side].dsn())
                admin.script(f"drop database {name} with (force)")
                for (config,) in admin.run(
                    "select r.rolname::text from pg_catalog.pg_roles r where r.rolname = any(%s)", [[*ROLES, *MADE]]
                ):
                    admin.script(f"drop owned by {quote_ident(config)} cascade; drop role {quote_ident(config)}")
                admin.close()


@pytest.fixture
def shop(pool: ServerPool, versions: tuple[int, int], tmp_path: Path) -> Iterator[Shop]:
    """The page's servers before step 1. Clusters of their own, because roles belong to all databases of a cluster."""
    found = Shop(need(pool, versions[0], "roles"), need(pool, versions[1], "roles"), tmp_path)
    yield found
    found.close()


def test_page__shows_the_grants_that_install_makes() -> None:
    for side in ("provider", "subscriber"):
        assert BLOCKS[f"roles/{side}.sql"] == (ROOT / "sql" / "roles" / f"{side}.sql").read_text()


@pytest.mark.parametrize("versions", [DEBIAN, DOWN], ids=["15to18", "18to16"])
def test_whole_flow__with_the_grants_of_the_page(shop: Shop, versions: tuple[int, int]) -> None:
    shop.run("provider", "shop_app", "insert into sales.entry (item) values ('before')")
    shop.set_up()
    if versions == DEBIAN:
        shop.block("subscriber superuser")
    else:
        # Without the right the first copy drops foreign keys, which is the owner's business.
        shop.run("subscriber", "postgres", "grant shop_owner to replica")
    shop.replay()
    shop.wait()
    # The application has no right but INSERT, UPDATE, DELETE on its tables.
    shop.run("provider", "shop_app", "insert into sales.entry (item) values ('one'), ('two'), ('three')")
    shop.run("provider", "shop_app", "insert into sales.line values (1, 2, 10), (2, 2, 20), (3, 3, 30)")
    shop.run("provider", "shop_app", "update sales.line set n = 11 where id = 1; delete from sales.line where id = 3")
    shop.run("provider", "shop_app", "update sales.entry set id = 9 where id = 4")
    shop.wait()
    shop.assert_equal("sales.entry", "sales.line")
    assert len(shop.rows("subscriber", "select * from sales.line")) == 2
    shop.run("provider", "shop_owner", "truncate sales.line")
    shop.wait()
    shop.assert_equal("sales.line")
    assert shop.rows("subscriber", "select last_value from sales.entry_id_seq") == [(4,)]
    found = shop.cli.run("replica.ini", "status", "--json").json()
    assert [t["state"] for t in found["tables"]] == ["ok", "ok"]
    assert found["ticker_alive"]
    assert found["replay_alive"]
    # Comparing and mending need no more rights than replay.
    shop.run("subscriber", "shop_owner", "update sales.entry set item = 'damaged' where id = 9")
    shop.run(
        "subscriber", "shop_owner", "delete from sales.entry where id = 1; insert into sales.entry values (77, 'x')"
    )
    (entry, line) = shop.cli.run("replica.ini", "compare", "--json", code=4).json()
    assert (entry["missing"], entry["extra"], entry["changed"], line["equal"]) == (1, 1, 1, True)
    assert shop.cli.run("replica.ini", "repair", "--apply", "--json").json()[0]["fixed"] == 3
    shop.assert_equal("sales.entry")
    # The password is in the INI only: not where the system shows processes, nor where the servers show sessions.
    for name in ("replica.pid", "ticker.pid"):
        pid = shop.cli.owner(name)
        assert pid is not None
        assert PASSWORD.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    for side in shop.servers:
        sessions = shop.connect(side, "postgres").run("select a::text from pg_stat_activity a")
        assert len(sessions) > 2
        assert not [row for row in sessions if PASSWORD in str(row[0]) and "pg_stat_activity" not in str(row[0])]


def test_replay__without_session_replication_role(shop: Shop) -> None:
    shop.run("subscriber", "shop_owner", "alter table sales.line drop constraint line_entry_fkey")
    shop.set_up()
    shop.replay()
    shop.wait()
    shop.run("subscriber", "shop_owner", "alter table sales.line add foreign key (entry) references sales.entry")
    script = (
        "begin; insert into sales.entry values (7, 'parent'); insert into sales.line values (1, 7, 1); commit;"
        "begin; delete from sales.line where id = 1; delete from sales.entry where id = 7;"
        "insert into sales.entry values (8, 'other'); insert into sales.line values (2, 8, 2); commit"
    )
    shop.run("provider", "shop_app", script)
    shop.wait()
    shop.assert_equal("sales.entry", "sales.line")
    assert shop.rows("subscriber", "select count(*) from sales.line") == [(1,)]


def test_grants__suffice_for_lists_of_nodes_and_for_rows_that_move(shop: Shop) -> None:
    shop.set_up(publish=False)
    ddl = (
        "create table sales.part (id int primary key, nodes text) partition by range (id);"
        "create table sales.p0 partition of sales.part for values from (0) to (10);"
        "create table sales.p1 partition of sales.part for values from (10) to (20);"
    )
    shop.run("provider", "shop_owner", f"{ddl} grant select on sales.part, sales.p0, sales.p1 to londiste_replay")
    rights = "select, insert, update, delete, truncate"
    shop.run("subscriber", "shop_owner", f"{ddl} grant {rights} on sales.part, sales.p0, sales.p1 to londiste_replay")
    rows = "(1, 'a'), (2, 'b,a'), (3, ''), (4, null), (5, 'b')"
    shop.run("provider", "shop_owner", f"insert into sales.part values {rows}")
    rule = "string_to_array(nodes, ',')"
    owner = shop.ini("shop_owner")
    shop.cli.run(owner, "provider", "add", "sales.part", "--node-expr", rule, "--node-errors", "park")
    with (shop.cli.folder / "replica.ini").open("a") as file:
        file.write("node = a\n")
    shop.cli.run("replica.ini", "subscriber", "add", "sales.part")
    shop.replay()
    shop.wait()
    ids = "select array_agg(id order by id) from sales.part"
    assert shop.rows("subscriber", ids) == [([1, 2, 4],)]
    shop.run(
        "provider",
        "shop_owner",
        "merge into sales.part p using (values (1, 11), (2, 12)) s (id, now) on p.id = s.id"
        " when matched then update set id = now; update sales.part set nodes = 'a' where id in (3, 5)",
    )
    shop.wait()
    assert shop.rows("subscriber", ids) == [([3, 4, 5, 11, 12],)]


def test_execute__by_the_owner_of_the_tables(shop: Shop) -> None:
    shop.set_up()
    # The script runs on the subscriber with the rights of the replay's role.
    shop.run("subscriber", "postgres", "grant shop_owner to replica")
    shop.replay()
    shop.wait()
    script = "alter table sales.entry add column price numeric; update sales.entry set price = 1"
    shop.cli.run("shop_owner.ini", "provider", "execute", "--sql", script)
    shop.run("provider", "shop_app", "insert into sales.entry (item, price) values ('new', 2.50)")
    shop.wait()
    shop.assert_equal("sales.entry")
    assert shop.rows("subscriber", "select price::text from sales.entry where item = 'new'") == [("2.50",)]


def test_ticker__ticks_and_rotates_with_its_grants(shop: Shop) -> None:
    shop.set_up(publish=False)
    admin = shop.connect("provider", "lite_admin")
    admin.run("select pgq.register_consumer('shop', 'c')")
    admin.run("select pgq.insert_event('shop', 'first', '1')")

    found: list[tuple[object, object]] = []

    def event_came() -> bool:
        batch = admin.run("select pgq.next_batch('shop', 'c')")[0][0]
        if batch is None:
            return False
        events = admin.run("select ev_id from pgq.get_batch_events(%s)", [batch])
        if events:
            found.append((batch, events[0][0]))
        else:  # the ticker was faster than the event
            admin.run("select pgq.finish_batch(%s)", [batch])
        return bool(events)

    until(event_came, "a tick was made")
    batch, event = found[0]
    admin.run("select pgq.event_retry(%s, %s, 0)", [batch, event])
    admin.run("select pgq.finish_batch(%s)", [batch])
    admin.run("select pgq.set_queue_config('shop', 'rotation_period', '1 millisecond')")
    until(lambda: admin.run("select queue_cur_table > 0 from pgq.queue")[0][0], "the queue was rotated")
    # Retried events come back every 30 seconds, so the function is called here as the ticker calls it.
    ticker = shop.connect("provider", "ticker")
    until(lambda: ticker.run("select pgq.maint_retry_events() >= 0")[0][0], "retried events come back")
    until(lambda: not admin.run("select 1 from pgq.retry_queue"), "the retried event is back in the queue")
    assert "WARNING" not in shop.cli.log("ticker.log"), shop.cli.log("ticker.log")


def test_ticker__partitions_attached_later(shop: Shop) -> None:
    shop.set_up(publish=False, ticker=False)
    parts = "create table sales.part (id int primary key) partition by range (id);"
    shop.run(
        "provider", "shop_owner", parts + "create table sales.p1 partition of sales.part for values from (0) to (9)"
    )
    shop.cli.run(shop.ini("shop_owner"), "provider", "add", "sales.part")
    shop.cli.daemon(shop.ticker_ini(), "ticker", "-d", pid_file="ticker.pid")
    shop.run("provider", "shop_owner", "create table sales.p2 partition of sales.part for values from (10) to (19)")

    def captured(table: str) -> bool:
        sql = f"select 1 from pg_catalog.pg_trigger where tgrelid = '{table}'::regclass and tgname ~ '^_londiste_'"
        return bool(shop.rows("provider", sql))

    until(lambda: "does not fit" in shop.cli.log("ticker.log"), "the ticker says that it may not")
    assert not captured("sales.p2")
    done = shop.cli.run("shop_owner.ini", "provider", "refresh")
    assert "sales.part: made sales.p2" in done.err
    assert captured("sales.p2")
    assert "sales.part: in order" in shop.cli.run("shop_owner.ini", "provider", "refresh", "sales.part").err
    shop.block("provider administrator partitions")
    shop.run("provider", "shop_owner", "create table sales.p3 partition of sales.part for values from (20) to (29)")
    until(lambda: captured("sales.p3"), "the ticker gives the partition its triggers")
    shop.run("provider", "shop_owner", "insert into sales.part values (25)")
    events = "select ev_data from pgq.event_1 where ev_extra1 = 'sales.part'"
    assert shop.connect("provider", "lite_admin").run(events) == [("(25)",)]
    assert shop.cli.log("ticker.log").count("does not fit") == 1


def test_replay__leaves_ticking_to_those_who_may(shop: Shop) -> None:
    shop.set_up(ticker=False)
    shop.run("subscriber", "postgres", "grant shop_owner to replica")
    shop.replay()
    provider = shop.connect("provider", "postgres")
    # `wait` makes its own ticks, so it works without any ticker.
    shop.wait()
    assert locks.ticker_holder(provider) is None
    shop.block("provider lite_admin without-ticker")
    until(lambda: locks.ticker_holder(provider) is not None, "the replay ticks", 20)


REFUSED = {
    "replay role writes a provider table": ("provider", "replica", "insert into sales.entry (item) values ('x')"),
    "replay role deletes from a provider table": ("provider", "replica", "delete from sales.entry"),
    "replay role truncates a provider table": ("provider", "replica", "truncate sales.line"),
    "replay role alters a provider table": ("provider", "replica", "alter table sales.entry add x int"),
    "replay role switches capture off": ("provider", "replica", "alter table sales.entry disable trigger all"),
    "replay role publishes": ("provider", "replica", "delete from londiste.provider_table"),
    "replay role forges events": ("provider", "replica", "select pgq.insert_event('shop', 'a', 'b')"),
    "replay role drops the queue": ("provider", "replica", "select pgq.drop_queue('shop', true)"),
    "replay role makes a function": ("provider", "replica", "create function londiste.f() returns int return 1"),
    "replay role forges a version": ("subscriber", "replica", "update londiste.schema_version set version = 9"),
    "ticker reads a table": ("provider", "ticker", "select * from sales.entry"),
    "ticker drops the queue": ("provider", "ticker", "select pgq.drop_queue('shop', true)"),
    "ticker publishes": ("provider", "ticker", "delete from londiste.provider_table"),
    "capture role reads events": ("provider", "shop_owner", "select * from pgq.event_1"),
    "capture role ticks": ("provider", "shop_owner", "select londiste.tick('shop')"),
    "capture role moves a consumer": ("provider", "shop_owner", "select pgq.unregister_consumer('shop', 'replica')"),
    "application reads events": ("provider", "shop_app", "select * from pgq.event_1"),
    "application forges events": ("provider", "shop_app", "insert into pgq.event_1_0 (ev_type) values ('I')"),
    "application ticks": ("provider", "shop_app", "select londiste.tick('shop')"),
    "application reads registrations": ("provider", "shop_app", "select * from londiste.provider_table"),
    "stranger calls a helper": ("provider", "stranger", "select londiste.columns_of('pg_class')"),
    "stranger makes a function": ("provider", "stranger", "create function londiste.f() returns int return 1"),
}


def test_roles__may_not_do_the_work_of_others(shop: Shop) -> None:
    shop.set_up(ticker=False)
    allowed = []
    for what, (side, user, sql) in REFUSED.items():
        conn = shop.connect(side, user)
        try:
            with conn.transaction():
                conn.script(sql)
            allowed.append(what)
        except PrivilegeMissing:
            pass
    assert not allowed
    # The trigger function of a table cannot be hung on another one to forge its events.
    shop.run("provider", "postgres", "create table public.mine (id int); alter table public.mine owner to stranger")
    forge = "create trigger t after insert on public.mine for each statement execute function londiste.{}()"
    [(name,)] = shop.rows("provider", "select proname from pg_proc where proname ~ '^capture_1_[0-9]+_insert' limit 1")
    with pytest.raises(PrivilegeMissing):
        shop.run("provider", "stranger", forge.format(name))


def test_nothing__runs_as_superuser_or_for_everybody(shop: Shop) -> None:
    shop.set_up(ticker=False, publish=False)
    # Published by a superuser, the functions go to the tables' owner.
    superuser = shop.ini("postgres")
    shop.cli.run(superuser, "provider", "add", "sales.entry")
    own = "p.pronamespace::regnamespace::text in ('londiste', 'pgq', 'pgq_ext', 'pgq_coop')"
    owners = shop.rows(
        "provider", f"select distinct r.rolname::text from pg_proc p join pg_roles r on r.oid = p.proowner where {own}"
    )
    assert {row[0] for row in owners} == {"lite_admin", "shop_owner"}
    public = shop.rows(
        "provider",
        "select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'londiste'::regnamespace"
        "   and pg_catalog.has_function_privilege('stranger', p.oid, 'execute')",
    )
    assert public == []
    unpinned = shop.rows(
        "provider",
        f"select p.proname::text from pg_proc p where {own} and p.prosecdef and not exists (select from"
        "  unnest(p.proconfig) c where c like 'search_path=%pg_temp') order by 1",
    )
    # These qualify every name and operator instead; tests of capture run them with hostile search paths.
    names = {str(row[0]) for row in unpinned}
    assert {name for name in names if not name.startswith("capture_1_")} == {"insert_event", "next_batch_custom"}
    shop.run("provider", "shop_app", "insert into sales.entry (item) values ('x')")
    events = shop.connect("provider", "lite_admin").run("select ev_data from pgq.event_1 where ev_extra1 is not null")
    assert events == [("(1,x)",)]


def test_hostile_search_path__bends_no_function_that_is_not_pinned(shop: Shop) -> None:
    """A caller's own operators and functions, first in his path, must not run with the owner's rights."""
    shop.set_up(ticker=False, publish=False)
    shop.run("provider", "lite_admin", "grant execute on all functions in schema pgq to stranger")
    evil = shop.connect("provider", "stranger")
    shop.run("provider", "postgres", "create schema trap; alter schema trap owner to stranger")
    evil.script(
        "create table trap.seen (who text);"
        "create function trap.spring() returns bool language plpgsql as $$ begin"
        "  insert into trap.seen values (current_user); return true; end $$;"
        + "".join(
            f"create function trap.same({kind}, {kind}) returns bool language sql as 'select trap.spring()';"
            f"create operator trap.= (leftarg = {kind}, rightarg = {kind}, function = trap.same);"
            f"create operator trap.> (leftarg = {kind}, rightarg = {kind}, function = trap.same);"
            for kind in ("text", "int4", "int8", "interval")
        )
        + "create function trap.now() returns timestamptz language sql as"
        "  'select trap.spring(); select pg_catalog.now()';"
        "create function trap.concat(text, text) returns text language sql as"
        "  'select trap.spring(); select pg_catalog.concat($1, $2)';"
        "grant usage on schema trap to public; grant insert on trap.seen to public;"
        "set search_path = trap, pg_catalog"
    )
    shop.run("provider", "lite_admin", "select pgq.register_consumer('shop', 'c'); select londiste.tick('shop')")
    evil.run("select pgq.insert_event('shop', 'a', 'b')")
    evil.run("select pgq.next_batch_custom('shop', 'c', '0 s', 0, '0 s')")
    assert evil.run("select * from trap.seen") == []
    # The trap works: what is not qualified falls into it.
    evil.run("select 'a'::text = 'b'::text")
    assert evil.run("select * from trap.seen") == [("stranger",)]


def test_missing_right__is_said_with_a_hint(shop: Shop) -> None:
    shop.set_up(ticker=False, publish=False)
    stranger, replica = shop.ini("stranger"), "replica.ini"
    for words in (("provider", "tables"), ("provider", "add", "sales.entry"), ("subscriber", "tables"), ("status",)):
        found = shop.cli.run(stranger, *words, code=1)
        assert "permission denied" in found.err
        assert "hint: docs/security.md" in found.err
    found = shop.cli.run(replica, "provider", "add", "sales.entry", code=1)
    assert "may not write the events" in found.err
    assert "londiste_capture" in found.err
    found = shop.cli.run(stranger, "provider", "install", code=1)
    assert "permission denied" in found.err
    # One who may install but not make roles is told what an administrator has to do.
    shop.run("provider", "postgres", "create database other")
    shop.run("provider", "postgres", "grant create on database other to stranger")
    shop.run("provider", "postgres", "alter role londiste_capture rename to away")
    try:
        shop.databases["provider"] = "other"
        found = shop.cli.run(shop.ini("stranger"), "provider", "install", "--roles", code=1)
        assert "create role londiste_capture nologin;" in found.err
        assert connect(shop.dsn("provider", "postgres")).run("select to_regnamespace('londiste')") == [(None,)]
    finally:
        shop.databases["provider"] = "shop"
        shop.run("provider", "postgres", "alter role away rename to londiste_capture")
        shop.run("provider", "postgres", "drop database other with (force)")


def test_missing_right__of_the_replay_is_logged_and_mended(shop: Shop) -> None:
    shop.set_up()
    shop.run("subscriber", "postgres", "grant shop_owner to replica")
    shop.run("provider", "shop_owner", "revoke select on sales.entry from londiste_replay")
    shop.replay()
    until(lambda: "permission denied for table entry" in shop.cli.log(), "the copy is refused")
    shop.run("provider", "shop_owner", "grant select on sales.entry to londiste_replay")
    shop.wait()
    shop.assert_equal("sales.entry")


def test_install__again_renews_the_grants(shop: Shop) -> None:
    shop.set_up(ticker=False, publish=False)
    shop.run("provider", "lite_admin", "revoke execute on function londiste.tick from londiste_replay, pgq_reader")
    replica = shop.connect("provider", "replica")
    with pytest.raises(PrivilegeMissing):
        replica.run("select londiste.tick('shop')")
    shop.cli.run("lite_admin.ini", "provider", "install")
    replica.run("select londiste.tick('shop')")
    # A queue made later has the same rights.
    admin = shop.connect("provider", "lite_admin")
    admin.run("select pgq.create_queue('later')")
    assert replica.run("select count(*) from pgq.event_2") == [(0,)]
    owner = shop.connect("provider", "shop_owner")
    owner.script("insert into pgq.event_2_0 (ev_type, ev_data) values ('a', 'b')")


def test_install__without_roles_grants_nothing(shop: Shop, new_database: Callable[..., str]) -> None:
    """The roles of another database of the cluster get no rights in one that did not ask for them."""
    shop.set_up(ticker=False, publish=False)
    other = new_database(shop.servers["provider"])
    text = shop.cli.log("replica.ini").replace(shop.dsn("provider", "replica"), other)
    assert other in text
    shop.cli.write("other.ini", text)
    for _ in range(2):
        shop.cli.run("other.ini", "provider", "install")
    replica = connect(other.replace("user=postgres", "user=replica"))
    with pytest.raises(PrivilegeMissing):
        replica.run("select * from londiste.provider_table")
    replica.close()


def test_print__is_what_an_administrator_can_run(shop: Shop) -> None:
    shop.block("provider administrator")
    script = shop.cli.run(shop.ini("lite_admin"), "provider", "install", "--roles", "--print").out
    assert BLOCKS["roles/provider.sql"] in script
    shop.run("provider", "lite_admin", script)
    shop.run("provider", "lite_admin", script)
    done = shop.cli.run("lite_admin.ini", "provider", "install", "--roles")
    assert "schema londiste is up to date" in done.err
    assert "role londiste_replay is there" in done.err
