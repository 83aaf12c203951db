"""Random histories: whatever statements, triggers, savepoints and moves do, replaying the log gives the table."""

from __future__ import annotations

import contextlib
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.capture_oracle import publish

KEYS = st.integers(0, 7)
WORDS = st.sampled_from(["a", "b", "", "c,d", '"', "x\\y", "(NULL)"])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@st.composite
def statement(draw: st.DrawFn) -> str:
    """A statement on table t, which has key (id) in 0..19 and is deferrable or partitioned at 4."""
    k, k2, word = draw(KEYS), draw(KEYS), _quoted(draw(WORDS))
    choices = [
        f"insert into t values ({k}, {word}, 0)",
        f"insert into t select g, {word}, g from generate_series({k}, {k} + {k2}) g",
        f"update t set v = {word} where id between {k} and {k} + {k2}",
        f"update t set id = {k2} where id = {k}",
        f"update t set id = id + {k2}",
        f"update t set id = 7 - id, v = {word}",
        f"update t set id = case id when {k} then {k2} else {k} end where id in ({k}, {k2})",
        f"delete from t where id between {k} and {k} + {k2}",
        f"insert into t values ({k}, {word}, 0), ({k2}, {word}, 1) on conflict do nothing",
        f"insert into t values ({k}, {word}, 1) on conflict (id) do update set v = excluded.v, n = t.n + 1",
        f"insert into t values ({k}, {word}, 1) on conflict (id) do update set id = {k2}",
        f"insert into t select g, {word}, 0 from generate_series({k}, {k} + {k2}) g"
        f" on conflict (id) do update set v = excluded.v || t.n, id = case when t.n > 2 then t.id + 10 else t.id end",
        f"with d as (delete from t where id <= {k} returning id) insert into t select id, {word}, 5 from d limit 2",
        f"with u as (update t set id = id + 10 where id = {k} returning id)"
        f" insert into t select id - 10, {word}, 0 from u",
        f"merge into t using (values ({k}, {word}), ({k2}, null)) s (id, v) on s.id = t.id"
        " when matched and s.v is null then delete when matched then update set v = s.v, n = n + 1"
        " when not matched then insert values (s.id, s.v, 9)",
        "truncate t",
        "savepoint s",
        "rollback to savepoint s",
        "commit; begin",
        f"delete from low where id = {k}",
        f"update low set v = {word}, id = {k} % 4 where id = {k2}",
        "truncate low",
    ]
    return choices[draw(st.integers(0, len(choices) - 1))]


TRIGGER_BODIES = st.sampled_from(
    [
        "",
        "update t set n = n + 1 where id = new.id;",
        "update t set v = v || '+' where id < new.id;",
        "update t set id = id + 20 where id = new.id and new.id % 3 = 0;",
        "delete from t where id = new.id and new.id % 2 = 0;",
        "delete from t where id = new.id; insert into t values (new.id, 'again', 1);",
        "insert into t values (new.id + 10, 'twin', 1) on conflict (id) do update set n = t.n + 1;",
        "begin update t set v = 'lost'; raise exception 'x'; exception when others then null; end;",
    ]
)

_TABLES = {
    "plain": "create table t (id int primary key, v text, n int); create view low as select * from t where id < 4",
    "deferrable": "create table t (id int primary key deferrable initially deferred, v text, n int);"
    "create view low as select * from t where id < 4",
    "partitioned": "create table t (id int primary key, v text, n int) partition by range (id);"
    "create table low partition of t for values from (minvalue) to (4);"
    "create table high (n int, x int, v text, id int not null); alter table high drop x;"
    "alter table t attach partition high for values from (4) to (maxvalue)",
}


def _run_history(
    db: Database, kind: str, body: str, when: str, order: str, followed: bool, statements: list[str]
) -> None:
    db.script("drop table if exists t cascade; drop view if exists low; set client_min_messages = error")
    db.script(_TABLES[kind])
    db.script(
        f'create or replace function "{order}"() returns trigger language plpgsql as $$ begin'
        f" if pg_trigger_depth() < 3 then {body} end if; return new; end $$;"
        f'create trigger "{order}" {when} insert or update on t for each row execute function "{order}"()'
    )
    db.script("select pgq.drop_queue('q', true) from pgq.queue")
    db.run("select pgq.create_queue('q'), londiste.follow_current_table('q')")
    db.script(f"alter table pgq.queue {'enable' if followed else 'disable'} trigger londiste_current_table")
    t = publish(db, "t")
    assert t.capture.current_sequence == followed
    db.script("begin")
    for one in statements:
        db.script("savepoint retry")
        try:
            db.script(one)
        except DatabaseError:
            try:
                db.script("rollback to savepoint retry")
            except DatabaseError:
                # A COMMIT that fails ends the transaction.
                db.script("rollback; begin")
    with contextlib.suppress(DatabaseError):
        db.script("commit")
    t.check()


@settings(
    max_examples=int(os.environ.get("LONDISTE_TEST_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    kind=st.sampled_from(sorted(_TABLES)),
    body=TRIGGER_BODIES,
    when=st.sampled_from(["before", "after"]),
    order=st.sampled_from(["A", "zz"]),
    followed=st.booleans(),
    statements=st.lists(statement(), min_size=1, max_size=12),
)
def test_history__replayed_log_is_the_table(
    provider_db: Database, kind: str, body: str, when: str, order: str, followed: bool, statements: list[str]
) -> None:
    _run_history(provider_db, kind, body, when, order, followed, statements)
