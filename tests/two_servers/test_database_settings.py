"""What a database or a role sets for its sessions changes nothing: text reads the same, and nothing waits or ends."""

from __future__ import annotations

import pytest

from londiste_lite.db import Database
from tests.fixtures.pair import Pair

SETTINGS = {
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "exit_on_error": "on",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "bytea_output": "escape",
    "extra_float_digits": "0",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "backslash_quote": "off",
    "lock_timeout": "50ms",
}
VALUES = r"""
    (1, 'C:\temp\new', '{a,NULL,\\b}', '\xdeadbeef', '{"k": "a\nb"}', 0.1::float8 / 3, '2021-02-03 04:05:06'),
    (2, 'ends with \', array[null, 'NULL'], '\x5c', null, 1e-300, '-infinity'),
    (3, E'tab\there', null, null, null, 0, null)
"""


def set_all(db: Database) -> None:
    (name,) = db.run("select quote_ident(current_database())")[0]
    for key, value in SETTINGS.items():
        db.script(f"alter database {name} set {key} = '{value}'")


@pytest.mark.parametrize("apply", ["bulk", "ordered"])
def test_settings__of_both_databases(pair: Pair, apply: str) -> None:
    ddl = "create table t (id int primary key, s text, a text[], b bytea, j jsonb, f float8, w timestamptz)"
    pair.both(ddl)
    pair.provider.script(f"insert into t values {VALUES}")
    set_all(pair.provider)
    set_all(pair.subscriber)
    pair.publish("t")
    pair.subscribe("t")
    pair.start(apply=apply)
    pair.wait()
    pair.assert_equal("t")
    writer = pair.connect_provider()  # pinned like every session of ours
    plain = pair.connect_provider()
    plain.script("reset all")
    for db, first in ((writer, 10), (plain, 20)):
        db.script(f"insert into t select id + {first}, s, a, b, j, f, w from t where id < 10")
        db.script(
            f"update t set s = s || '\\x', a = a || array['\\'] where id > {first};delete from t where id = {first + 3}"
        )
    pair.wait()
    pair.assert_equal("t")
    assert pair.subscriber.run("select s from t where id = 11") == [("C:\\temp\\new\\x",)]
