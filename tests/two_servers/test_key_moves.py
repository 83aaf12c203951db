"""A table's primary key goes to other columns: capture follows by itself, and the subscriber once it has that key."""

from __future__ import annotations

import json

from londiste_lite import publication
from londiste_lite.names import TableName
from tests.fixtures.pair import QUEUE, Pair

DDL = "create table t (id int primary key, code int not null unique, item text)"
MOVE = "alter table t drop constraint t_pkey; alter table t add primary key (code)"


def captured_by(pair: Pair, table: str) -> list[str]:
    """The columns that capture names: the key, as there is no route."""
    rows = pair.provider.run(
        "select obj_description(p.oid, 'pg_proc') from pg_proc p where p.proname like 'capture%update'"
    )
    found = [json.loads(row[0]) for row in rows]
    return [name for made in found if made["table"][1] == table for name in made["columns"]]


def test_key__moves_to_another_column(pair: Pair) -> None:
    pair.setup_table(DDL, "t")
    pair.provider.script("insert into t select g, g * 10, 'old' from generate_series(1, 5) g")
    pair.start()
    pair.wait()
    pair.provider.script(MOVE)
    pair.until(lambda: captured_by(pair, "t") == ["code"], "capture follows")
    # Two rows have one id now, and one row another id: by the former key none of this could be told.
    pair.provider.script(
        "update t set item = 'new' where id = 2; delete from t where id = 3; insert into t values (1, 60, 'twin');"
        "update t set code = 70 where code = 40; update t set id = 9 where code = 20"
    )
    pair.logged('events of table "public.t" do not carry the key column "id"')
    pair.subscriber.script(MOVE)
    pair.wait()
    pair.assert_equal("t")
    assert pair.subscriber.run("select count(*) from t where id = 1") == [(2,)]
    assert publication.refresh_table(pair.provider, QUEUE, TableName("public", "t")) == []


def test_key__that_is_still_unique_stays(pair: Pair) -> None:
    pair.setup_table(f"{DDL}; create table u (id int primary key, code int not null unique, item text)", "t", "u")
    pair.start()
    pair.provider.script(
        f"{MOVE}; alter table t add unique (id); {MOVE.replace('table t', 'table u').replace('t_', 'u_')}"
    )
    pair.until(lambda: captured_by(pair, "u") == ["code"], "capture follows where it has to")
    pair.provider.script("insert into t values (1, 10, 'x'); update t set code = 11")
    pair.wait()
    pair.assert_equal("t")
    assert captured_by(pair, "t") == ["id"]
