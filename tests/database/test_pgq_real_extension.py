"""Our queue against the real extension PgQ 3.5 on PostgreSQL 15: the same statements must show the same outcome.

Where ours differs on purpose, the statement is not here but in the test that says why.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

import psycopg2
import psycopg2.extensions
import pytest

from tests.conftest import need
from tests.database.pgq_support import EXTENSION_FILE, outcome
from tests.fixtures.servers import ServerPool, connect

Pair = tuple[psycopg2.extensions.connection, psycopg2.extensions.connection]


@pytest.fixture
def pair(pool: ServerPool) -> Iterator[Pair]:
    """Connections to a database with the real extension and to one with ours, both fresh."""
    if not EXTENSION_FILE.exists():
        pytest.skip("PostgreSQL 15's extension pgq is not installed")
    server = need(pool, 15)
    dsns = [pool.new_database(server), pool.installed_database(server, ("pgq",))]
    real = connect(dsns[0])
    real.script("create extension pgq")
    real.close()
    opened = []
    for dsn in dsns:
        raw = psycopg2.connect(dsn)
        raw.autocommit = True
        with raw.cursor() as cursor:
            cursor.execute("set timezone = 'UTC'; set client_min_messages = 'notice'")
        opened.append(raw)
    yield opened[0], opened[1]
    for raw in opened:
        name = raw.info.dbname
        raw.close()
        pool.drop_database(server, name)


def statements(script: str) -> list[str]:
    """Split a script: each line is a statement; one that starts further in than the first belongs to the one before."""
    return re.split(r"\n(?=\S)", textwrap.dedent(script.strip("\n")).strip())


def same(pair: Pair, script: str) -> None:
    """Run a script on both, statement by statement, and compare all that a client sees."""
    for statement in statements(script):
        real, ours = (outcome(raw, statement) for raw in pair)
        assert ours == real, statement


def test_catalogue__functions(pair: Pair) -> None:
    """Names, arguments with their names, results, volatility, strictness and privileges of all public functions."""
    sql = """select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.provolatile,
        p.proisstrict,
        (select string_agg(x, ' ' order by x) from unnest(coalesce(proacl, acldefault('f', proowner))::text[]) x)
        from pg_proc p where pronamespace = 'pgq'::regnamespace and left(proname, 1) <> '_' order by 1, 2"""
    real, ours = (outcome(raw, sql) for raw in pair)
    assert len(real) > 45
    assert ours == real


def test_catalogue__tables(pair: Pair) -> None:
    same(pair, "select pgq.create_queue('q')")
    for sql in (
        """select attrelid::regclass::text, attnum, attname, atttypid::regtype::text, attnotnull,
           case when attname = 'ev_time' then null else pg_get_expr(adbin, adrelid) end
           from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
           join pg_class c on c.oid = attrelid
           where relnamespace = 'pgq'::regnamespace and relkind in ('r', 'S') and attnum > 0 order by 1, 2""",
        """select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
           where connamespace = 'pgq'::regnamespace order by 1, 2""",
        """select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index
           join pg_class c on c.oid = indrelid where relnamespace = 'pgq'::regnamespace order by 1""",
        """select inhrelid::regclass::text, inhparent::regclass::text from pg_inherits order by 1""",
        """select relname::text, grantee::regrole::text, privilege_type from pg_class
           cross join lateral aclexplode(relacl) where relnamespace = 'pgq'::regnamespace and relkind = 'r'
           and grantee <> 0 and grantee <> relowner order by 1, 2, 3""",
    ):
        real, ours = (outcome(raw, sql) for raw in pair)
        assert ours == real


def test_arguments__missing_unknown_null(pair: Pair) -> None:
    same(
        pair,
        """
        select pgq.create_queue('q'), pgq.create_queue('q')
        select pgq.create_queue(null)
        select pgq.register_consumer('q', 'c')
        select pgq.drop_queue('nope')
        select pgq.drop_queue(null)
        select pgq.drop_queue('nope', true)
        select pgq.drop_queue(null, true)
        select pgq.drop_queue('q')
        select pgq.register_consumer('nope', 'c')
        select pgq.register_consumer('q', null)
        select pgq.register_consumer(null, 'c')
        select pgq.register_consumer_at('q', 'c', 99)
        select pgq.register_consumer_at('q', 'new', 99)
        select pgq.register_consumer_at('q', 'c', 1), pgq.register_consumer_at('q', 'c', null)
        select pgq.unregister_consumer('nope', 'c'), pgq.unregister_consumer('q', 'nope')
        select pgq.unregister_consumer(null, null)
        select pgq.insert_event('nope', 'a', 'b')
        select pgq.insert_event(null, 'a', 'b')
        select pgq.insert_event('q', null, null)
        select pgq.current_event_table('q')
        select pgq.current_event_table('nope')
        select pgq.current_event_table(null)
        select pgq.next_batch('nope', 'c')
        select pgq.next_batch('q', 'nope')
        select pgq.next_batch(null, null)
        select * from pgq.next_batch_info('q', 'c')
        select * from pgq.next_batch_custom('q', 'c', null, null, null)
        select pgq.finish_batch(9)
        select pgq.finish_batch(null)
        select * from pgq.get_batch_events(9)
        select * from pgq.get_batch_events(null)
        select * from pgq.get_batch_info(9)
        select * from pgq.get_batch_info(null)
        select * from pgq.get_batch_cursor(9, 'x', 10)
        select * from pgq.get_batch_cursor(null, 'x', 10)
        select pgq.event_retry(9, 1, 3)
        select pgq.event_retry(9, 1, now())
        select pgq.batch_retry(9, 3)
        select pgq.event_retry_raw('nope', 'c', now(), 1, now(), 0, 'a', 'b', null, null, null, null)
        select pgq.event_retry_raw('q', 'c', now(), 1, now(), 0, 'a', 'b', null, null, null, null)
        select pgq.event_retry_raw('q', 'c', now(), 1, now(), 0, 'a', 'b', null, null, null, null)
        select pgq.event_retry_raw('q', 'c', null, null, null, null, 'a', 'b', null, null, null, null)
        select * from pgq.retry_queue
        select pgq.ticker('nope')
        select pgq.ticker(null)
        select pgq.ticker('q')
        select pgq.ticker()
        select pgq.ticker('q', 5, now(), 3)
        select pgq.force_tick('nope'), pgq.force_tick(null)
        select pgq.force_tick('q')
        select pgq.seq_getval('pgq.event_1_id_seq')
        select * from pgq.get_queue_info('nope')
        select * from pgq.get_consumer_info('nope', 'c')
        select * from pgq.get_consumer_info(null)
        select * from pgq.get_consumer_info()
        select * from pgq.get_consumer_info(null, 'c')
        select pgq.set_queue_config('nope', 'ticker_max_lag', '3')
        select pgq.set_queue_config('q', 'ticker_max_lag', 'soon')
        select pgq.set_queue_config('q', 'ticker_max_lag', '5s')
        select * from pgq.maint_operations()
        select pgq.maint_rotate_tables_step1('nope')
        select pgq.maint_rotate_tables_step1(null)
        select pgq.maint_rotate_tables_step2()
        select pgq.maint_retry_events(), pgq.maint_retry_events()
        select pgq.maint_tables_to_vacuum()
        select pgq.seq_getval('nope')
        select pgq.seq_getval(null)
        select pgq.seq_setval('pgq.event_1_id_seq', 100), pgq.seq_setval('pgq.event_1_id_seq', 100000)
        select pgq.batch_event_sql(9)
        select pgq.batch_event_tables(9)
        select pgq.batch_event_tables(null)
        select pgq.quote_fqname('a.b'), pgq.quote_fqname('a'), pgq.quote_fqname('a.b.c'), pgq.quote_fqname('')
        select pgq.quote_fqname('A b.C"d'), pgq.quote_fqname('select.from')
        select pgq.quote_fqname('.x'), pgq.quote_fqname('x.')
        select pgq.tune_storage('nope'), pgq.tune_storage('q'), pgq.tune_storage(null)
        select pgq.grant_perms('nope')
        select pgq.grant_perms('q')
        select pgq.upgrade_schema()
        """,
    )


def test_life_of_a_queue(pair: Pair) -> None:
    same(
        pair,
        """
        select pgq.create_queue('q'), pgq.register_consumer('q', 'c'), pgq.register_consumer('q', 'd')
        update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0', queue_rotation_period = '0'
        select * from pgq.maint_operations()
        select pgq.insert_event('q', 't' || g, 'd' || g) from generate_series(1, 5) g
        select pgq.ticker('q')
        select * from pgq.next_batch_info('q', 'c')
        select ev_id, ev_retry, ev_type, ev_data, ev_extra1 from pgq.get_batch_events(1)
        select * from pgq.get_batch_info(1)
        select pgq.batch_event_tables(1)
        begin
        select ev_id, ev_type from pgq.get_batch_cursor(1, 'cur', 2)
        move 1 from cur
        close cur
        select ev_id, ev_type from pgq.get_batch_cursor(1, 'cur', 2, 'ev_id > 3')
        rollback
        select pgq.event_retry(1, 2, 0), pgq.event_retry(1, 2, 100), pgq.event_retry(1, 3, '2020-01-01'::timestamptz)
        select pgq.event_retry(1, 99, 0)
        select pgq.batch_retry(1, 0), pgq.batch_retry(1, 0)
        select * from pgq.retry_queue order by ev_id
        select pgq.finish_batch(1)
        select pgq.maint_retry_events(), pgq.maint_retry_events()
        select ev_id, ev_owner, ev_retry, ev_type from pgq.event_1 order by ev_txid, ev_id
        select pgq.ticker()
        select pgq.next_batch('q', 'c'), pgq.next_batch('q', 'd')
        select ev_id, ev_retry, ev_type from pgq.get_batch_events(2)
        select ev_id, ev_retry, ev_type from pgq.get_batch_events(3)
        select * from pgq.get_consumer_info()
        select queue_name, queue_cur_table, ev_new, last_tick_id from pgq.get_queue_info()
        select pgq.event_retry(2, 2, 0)
        select ev_id, ev_retry from pgq.retry_queue
        select pgq.finish_batch(2), pgq.finish_batch(3), pgq.finish_batch(3)
        select pgq.next_batch('q', 'd')
        select pgq.finish_batch(4)
        select pgq.unregister_consumer('q', 'c')
        select * from pgq.retry_queue
        select co_name from pgq.consumer
        select pgq.ticker('q')
        select pgq.next_batch('q', 'd')
        select pgq.finish_batch(5)
        select pgq.maint_rotate_tables_step1('q')
        select queue_cur_table, queue_switch_step2 is null from pgq.queue
        select * from pgq.maint_operations()
        select pgq.maint_rotate_tables_step2()
        select queue_cur_table, queue_switch_step2 is null from pgq.queue
        select pgq.insert_event('q', 't', 'd') from generate_series(6, 8) g
        select count(*) from pgq.event_1_0
        select count(*) from pgq.event_1_1
        select pgq.ticker('q')
        select pgq.next_batch('q', 'd')
        select pgq.batch_event_tables(6)
        select ev_id from pgq.get_batch_events(6)
        select pgq.maint_rotate_tables_step1('q')
        select queue_cur_table from pgq.queue
        select pgq.finish_batch(6)
        select pgq.ticker('q')
        select pgq.next_batch('q', 'd')
        select pgq.finish_batch(7)
        select pgq.maint_rotate_tables_step1('q')
        select pgq.maint_rotate_tables_step2()
        select queue_cur_table from pgq.queue
        select tick_id, tick_event_seq from pgq.tick
        select pgq.ticker('q')
        select pgq.next_batch('q', 'd')
        select pgq.finish_batch(8)
        select pgq.maint_rotate_tables_step1('q')
        select pgq.maint_rotate_tables_step2()
        select queue_cur_table from pgq.queue
        select tick_id from pgq.tick
        select count(*) from pgq.event_1
        select pgq.register_consumer_at('q', 'd', (select min(tick_id) from pgq.tick))
        select pgq.next_batch('q', 'd')
        select pgq.register_consumer_at('q', 'd', (select max(tick_id) from pgq.tick))
        select sub_last_tick, sub_batch, sub_next_tick from pgq.subscription
        select pgq.drop_queue('q', true)
        select relname::text from pg_class where relnamespace = 'pgq'::regnamespace and relname ~ 'event_[0-9]'
        select count(*) from pgq.tick
        """,
    )


def test_states_that_should_not_be(pair: Pair) -> None:
    same(
        pair,
        """
        select pgq.create_queue('q'), pgq.register_consumer('q', 'c')
        update pgq.queue set queue_ticker_max_lag = '0', queue_ticker_idle_period = '0'
        update pgq.tick set tick_snapshot = '999999999:999999999:'
        select pgq.ticker('q')
        update pgq.tick set tick_snapshot = txid_current_snapshot(), tick_event_seq = 99
        select pgq.ticker('q')
        delete from pgq.tick
        select pgq.ticker('q')
        delete from pgq.tick
        select pgq.register_consumer('q', 'z')
        select pgq.force_tick('q')
        select queue_name, ticker_lag, ev_per_sec, ev_new, last_tick_id from pgq.get_queue_info()
        update pgq.subscription set sub_last_tick = null
        select pgq.next_batch('q', 'c')
        select * from pgq.get_consumer_info()
        update pgq.queue set queue_external_ticker = true
        select pgq.ticker('q')
        select pgq.ticker()
        select pgq.ticker('q', 50, '2020-01-01', 77)
        select pgq.ticker('q', 50, '2020-01-01', 77)
        select pgq.ticker('q', 60, '2020-01-01', null)
        select pgq.ticker('q', null, '2020-01-01', 77)
        select pgq.force_tick('q')
        select tick_id, tick_event_seq from pgq.tick
        select nextval('pgq.event_1_tick_seq'), nextval('pgq.event_1_id_seq')
        update pgq.queue set queue_ticker_paused = true
        select pgq.ticker('q')
        select pgq.ticker('q', 70, '2020-01-01', 77)
        update pgq.queue set queue_external_ticker = false
        select pgq.ticker('q')
        select pgq.ticker()
        select pgq.force_tick('q')
        update pgq.queue set queue_per_tx_limit = 2
        select pgq.insert_event('q', 'a', 'b') from generate_series(1, 2)
        select pgq.insert_event('q', 'a', 'b') from generate_series(1, 3)
        update pgq.queue set queue_per_tx_limit = 0
        select pgq.insert_event('q', 'a', 'b')
        update pgq.queue set queue_per_tx_limit = -1
        select pgq.insert_event('q', 'a', 'b')
        update pgq.queue set queue_disable_insert = true
        select pgq.insert_event('q', 'a', 'b')
        select pgq.current_event_table('q')
        set session_replication_role = replica
        select pgq.insert_event('q', 'a', 'b')
        select pgq.current_event_table('q')
        set session_replication_role = local
        select pgq.insert_event('q', 'a', 'b')
        select pgq.current_event_table('q')
        """,
    )


def test_ticker__when_a_tick_is_due(pair: Pair) -> None:
    """Hundreds of combinations of age, interval before, waiting events and settings."""
    same(
        pair,
        """
        select pgq.create_queue('q')
        create table res (k text, v text)
        """,
    )
    script = """do $$
        declare a float; pv float; nw int; lag float; idle float; r bigint;
        begin
            foreach a in array array[0, 1.4, 1.6, 2.9, 3.1, 59, 61] loop
            foreach pv in array array[0, 0.7, 1, 40] loop
            foreach nw in array array[-5, 0, 499, 500] loop
            foreach lag in array array[0, 3] loop
            foreach idle in array array[0, 2, 60] loop
                delete from pgq.tick;
                update pgq.queue set queue_ticker_max_lag = lag * interval '1s',
                                     queue_ticker_idle_period = idle * interval '1s';
                perform setval('pgq.event_1_id_seq', 10000), setval('pgq.event_1_tick_seq', 2);
                insert into pgq.tick values
                    (1, 1, now() - (a + pv) * interval '1s', '1:1:', 500),
                    (1, 2, now() - a * interval '1s', '1:1:', 10000 - nw);
                r := pgq.ticker('q');
                insert into res values (format('%s %s %s %s %s', a, pv, nw, lag, idle), r::text);
            end loop; end loop; end loop; end loop; end loop;
        end $$"""
    for raw in pair:
        with raw.cursor() as cursor:
            cursor.execute("set client_min_messages = error; " + script)
    real, ours = (outcome(raw, "select * from res order by k") for raw in pair)
    assert len([row for row in real if isinstance(row, tuple)]) == 7 * 4 * 4 * 2 * 3
    assert ours == real


def test_get_queue_info__events_per_second(pair: Pair) -> None:
    same(pair, "select pgq.create_queue('q')")
    for ticks in (1, 2, 5, 20, 21, 22, 23, 40):
        same(
            pair,
            f"""
            delete from pgq.tick
            insert into pgq.tick
                select 1, g + 100, '2020-01-01'::timestamptz + g * g * interval '1 second', '1:1:', g * g * g
                from generate_series(1, {ticks}) g where g not in (7, 8, 20)
            select ev_per_sec, last_tick_id from pgq.get_queue_info('q')
            """,
        )


TRIGGER_SCRIPT = r"""
create table t1 (id int, b bool, i2 int2, i8 int8, n numeric, f8 float8, t text, v varchar(10), c char(5),
    ts timestamp, tz timestamptz, d date, tm time, iv interval, by bytea, j json, jb jsonb, a int[],
    ta text[], u uuid, r int4range, primary key (id))
select mk('t1')
insert into t1 (id) values (1)
insert into t1 values (2, true, 3, 4, 5.50, 1.5, E'it''s \\ a "q" &=+%\n\t~-_.aé€', 'v v', 'c',
    '2020-01-02 03:04:05.5', '2020-01-02 03:04:05.25+02', '2020-12-31', '01:02:03', '1 day 2 hours',
    '\xdeadBEEF', '{"a": [1, null]}', '{"b":"c"}', '{1,NULL,3}', array['a b', null, 'c"d', E'\\'],
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '[1,5)')
insert into t1 values (3, false, null, -1, 'NaN', 'Infinity', '', '', '', 'infinity', '-infinity',
    'infinity', '24:00', '-1 mon', '', 'null', 'null', '{}', '{}', null, 'empty')
update t1 set t = 'x' where id = 1
update t1 set t = t where id = 1
update t1 set t = null, b = not b, j = '{"a":[1,null]}' where id = 2
update t1 set id = 9 where id = 1
delete from t1
create schema "S x"
create table "S x"."T.y&z'q" ("Id" int, "a b" text, "select" text, "c""d" text, "é=" text,
    primary key ("a b", "Id"))
select mk('"S x"."T.y&z''q"')
insert into "S x"."T.y&z'q" values (1, 'k', 'v', 'w', 'z')
update "S x"."T.y&z'q" set "select" = 'new', "c""d" = null
update "S x"."T.y&z'q" set "select" = "select"
delete from "S x"."T.y&z'q"
create domain dint as int
create type en as enum ('a', 'b c')
create type cp as (x int, y text)
create table t2 (drop1 int, id dint primary key, di dint, e en, c cp, drop2 int, last text,
    g int generated always as (7) stored)
alter table t2 drop column drop1, drop column drop2, add extra text default 'dflt'
select mk('t2')
insert into t2 values (1, 5, 'b c', row(1, 'a "b'), null)
update t2 set di = 6
delete from t2
create table t3 (id int primary key, a text, b text, c text)
select mk('t3', 'ignore=b, c')
insert into t3 values (1, 'a', 'b', 'c')
update t3 set b = 'x'
update t3 set a = 'x', c = 'y'
update t3 set a = a
delete from t3
select mk('t3', 'ignore=id')
insert into t3 values (1, 'a', 'b', 'c')
update t3 set id = 2
delete from t3
select mk('t3', 'pkey=a,b')
insert into t3 values (1, 'a', 'b', 'c')
update t3 set c = 'x'
update t3 set a = 'z'
update t3 set id = 5
delete from t3
select mk('t3', 'pkey=')
insert into t3 values (1, 'a', 'b', 'c')
delete from t3
select mk('t3', 'backup', 'ignore=a')
update t3 set c = 'x y&'
update t3 set c = c
select mk('t3', 'backup', 'ev_extra2=b')
update t3 set c = 'z'
select mk('t3', 'deny')
update t3 set c = 'x'
select mk('t3', 'deny', 'when=false')
delete from t3
select mk('t3', 'when=a is null')
update t3 set a = 'x'
update t3 set a = null
select mk('t3', 'when=a = c')
update t3 set b = 'x'
select mk('t3', 'when=1')
update t3 set b = 'x'
select mk('t3', 'ev_type=a', 'ev_data=b||id', 'ev_extra1=id', 'ev_extra2=now() is null', 'ev_extra3=null',
    'ev_extra4=1.50')
insert into t3 values (8, 'ty', 'dat')
insert into t3 values (9)
update t3 set c = 'y'
delete from t3
select mk('t3', 'nonsense')
insert into t3 values (1)
select mk('t3', '')
insert into t3 values (1)
select mk('t3', 'ev_extra5=1')
insert into t3 values (1)
select mk('t3', 'SKIP')
insert into t3 values (1)
drop table t3
create table t4 (a int, b text)
select mk('t4')
insert into t4 values (1)
update t4 set a = 2
delete from t4
create table t5 (id int primary key, a text, _pgq_ev_type text, _pgq_ev_extra1 text default 'e1',
    _pgq_ev_extra2 text, _pgq_ev_extra3 text, _pgq_ev_extra4 text, _pgq_foo text)
select mk('t5')
insert into t5 values (1, 'x')
update t5 set a = 'y'
update t5 set _pgq_ev_extra2 = '5'
update t5 set _pgq_foo = '5'
update t5 set _pgq_ev_type = 'TT', a = 'z'
delete from t5
create table t6 (id int primary key, a text, _pgq_ev_data text, _pgq_ev_extra1 int)
select mk('t6')
insert into t6 values (1, 'x', 'DATA', 3)
update t6 set a = 'y'
update t6 set _pgq_ev_data = null
create table t7 (id int primary key, _pgq_ev_zzz text)
select mk('t7')
insert into t7 values (1)
create table pt (id int primary key, a text) partition by list (id)
create table pt1 partition of pt for values in (1, 2, 3)
select mk('pt')
insert into pt values (1, 'a')
update pt set a = 'b'
delete from pt
create table t8 (id int primary key)
select mk('t8')
set session_replication_role = local
insert into t8 values (1)
set session_replication_role = replica
insert into t8 values (2)
alter table t8 enable always trigger a_logutriga
insert into t8 values (3)
reset session_replication_role
set datestyle = 'German'
create table t9 (id int primary key, d date, t timestamptz)
select mk('t9')
insert into t9 values (1, '2020-03-04', '2020-03-04 05:06:07')
update t9 set d = '2021-01-01'
reset datestyle
create table tt (id int primary key)
create trigger x after truncate on tt for each statement execute procedure pgq.logutriga('q')
create trigger y after truncate on tt for each statement execute procedure pgq.sqltriga('q')
create trigger z after truncate on tt for each statement execute procedure pgq.jsontriga('q')
truncate tt
"""


def test_triggers(pair: Pair) -> None:
    for raw in pair:
        with raw.cursor() as cursor:
            cursor.execute("""
                create or replace function pgq.insert_event(
                    queue_name text, ev_type text, ev_data text,
                    ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
                returns bigint language plpgsql as $$
                begin
                    raise notice '%', to_json(array[queue_name, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3,
                                                    ev_extra4]);
                    return 1;
                end $$;
                create function mk(tbl text, variadic args text[] default '{}') returns void language plpgsql as $$
                declare f text;
                begin
                    foreach f in array array['logutriga', 'sqltriga', 'jsontriga'] loop
                        execute format('drop trigger if exists %I on %s', 'a_' || f, tbl);
                        execute format('create trigger %I after insert or update or delete on %s for each row'
                                       ' execute procedure pgq.%I(%s)', 'a_' || f, tbl, f,
                                       (select string_agg(quote_literal(x), ',') from unnest(f || args) x));
                    end loop;
                end $$;
                set bytea_output = hex""")
    events = 0
    for statement in statements(TRIGGER_SCRIPT):
        real, ours = ([part for part in outcome(raw, statement) if "skipping" not in str(part)] for raw in pair)
        assert ours == real, statement
        events += sum("NOTICE" in str(part) for part in real)
    assert events > 150
