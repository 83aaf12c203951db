"""In which form a copy's rows travel, and what they are cut by where their places cannot be used."""

from __future__ import annotations

import pytest

from londiste_lite import structure
from londiste_lite.names import QualifiedName
from londiste_lite.tablecopy import formats, plan
from londiste_lite.tablecopy.stream import plan_columns
from tests.fixtures.pair import Pair
from tests.two_servers.test_copy_ranges import left_behind, small_ranges

# Types that are the same by name: on the subscriber labels have another order, and others are something else.
TYPES = """create extension vector; create schema app;
create type mood as enum ({labels}); create type app.mood as enum ({labels}); create domain feeling as mood;
create domain positive as int check (value > 0); create domain amount as {amount};
create type spot as (x int, y text)"""
PROVIDER = TYPES.format(labels="'sad', 'so', 'glad'", amount="numeric")
SUBSCRIBER = TYPES.format(labels="'glad', 'so', 'sad', 'more'", amount="text")

# Column on the provider, on the subscriber (None: the same), whether the rows may travel in binary form, two values.
CASES = {
    "enum": ("mood", None, True, "'sad'", "'glad'"),
    "enum_in_array": ("mood[]", None, False, "'{sad,glad}'", "null"),
    "enum_elsewhere": ("mood", "app.mood", False, "'sad'", "'glad'"),
    "domain_of_enum": ("feeling", None, True, "'sad'", "'so'"),
    "domain": ("positive", None, True, "1", "null"),
    "domain_in_array": ("positive[]", None, False, "'{1,2}'", "'{}'"),
    "domain_of_another_type": ("amount", None, False, "1.50", "'NaN'"),
    "composite": ("spot", None, False, "'(1,a)'", "'(,)'"),
    "composite_in_array": ("spot[]", None, False, """'{"(1,a)",NULL}'""", "null"),
    "of_an_extension": ("vector(3)", None, False, "'[1,2,3]'", "null"),
    "longer": ("varchar(5)", "varchar(9)", False, "'abcde'", "''"),
    "wider": ("numeric(8,2)", "numeric(12,2)", False, "123456.78", "'NaN'"),
    "arrays": ("text[]", None, True, """'[0:1]={a,NULL}'""", "'{{1,2},{3,4}}'"),
    "ranges": ("int4range[]", None, True, """'{"[1,5)",empty}'""", "null"),
    "numbered_by_the_server": ("regtype", None, False, "'mood'", "'int4'"),
}


def test_form__of_types_that_look_the_same(pair: Pair) -> None:
    sides = [PROVIDER, SUBSCRIBER]
    for name, (there, here, _, one, other) in CASES.items():
        sides[0] += (
            f"; create table {name} (id int primary key, v {there}); insert into {name} values (1, {one}), (2, {other})"
        )
        sides[1] += f"; create table {name} (id int primary key, v {here or there})"
    pair.setup_table(sides[0], *CASES, other_ddl=sides[1])
    found = {}
    for name in CASES:
        source = structure.require_table(pair.provider, QualifiedName.parse(name), "provider")
        target = structure.require_table(pair.subscriber, QualifiedName.parse(name), "subscriber")
        columns = [column for column, _ in plan_columns(source, target)]
        left, right = formats.sent(pair.provider, [source]), formats.sent(pair.subscriber, [target])
        found[name] = formats.binary(left[source.name], right[target.name], target, columns)
    assert found == {name: case[2] for name, case in CASES.items()}
    pair.start()
    pair.wait()
    pair.assert_equal(*CASES)


def test_ranges__of_keys_copied_by_an_ordinary_role(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on PostgreSQL 13, and for a table with nothing but its key, whose values need quoting."""
    monkeypatch.setattr(plan, "PLACE_RANGES", 10**9)
    ddl = "create table tag (name text, part int, primary key (name, part))"
    pair.setup_table(ddl, "tag")
    pair.subscribe_as("plain")
    pair.subscriber.script("create index tag_part on tag (part)")
    index = "select indexdef from pg_indexes where tablename = 'tag' order by 1"
    before = pair.subscriber.run(index)
    pair.provider.script(
        "insert into tag select e'it''s \\\\ \"' || chr(200 + n % 300) || n, n % 3 from generate_series(1, 6000) n;"
        "analyze tag"
    )
    small_ranges(pair)
    source = structure.require_table(pair.provider, QualifiedName.parse("tag"), "provider")
    cut = plan.cut(pair.provider, source, ("name", "part"), plan.pieces(pair.provider, source), 100_000)
    assert len(cut) >= 3
    assert all(one.condition and '"name"' in one.condition for one in cut)
    counts = [pair.provider.run(f"select count(*) from {one.source} where {one.condition}")[0][0] for one in cut]
    assert sum(counts) == 6000
    pair.start(copy_jobs=2)
    pair.wait()
    pair.assert_equal("tag")
    assert pair.subscriber.run(index) == before
    pair.logged('made index "tag_part"')
    # Beside rows that are there.
    pair.subscriber.script("delete from tag where part = 1; insert into tag values ('mine', 0)")
    pair.resync("tag")
    pair.wait()
    pair.assert_equal("tag")
    assert left_behind(pair) == []


KEYS = {
    "int[]": "array[n, n / 2]",
    "jsonb": "jsonb_build_object('a', n)",
    "numeric": "n / 7.0 + 1e20",
    "timestamptz": "timestamptz '2026-01-01 00:00:00+01' + n * interval '1.5 s'",
    "bytea": "decode(lpad(to_hex(n), 8, '0'), 'hex')",
    "bool": "n % 2 = 0",
}


def test_ranges__bounds_of_any_type_can_be_read_back(pair: Pair) -> None:
    for number, (key, value) in enumerate(KEYS.items()):
        pair.provider.script(
            f"create table t{number} (k {key}, id int, primary key (k, id));"
            f"insert into t{number} select {value}, n from generate_series(1, 500) n; analyze t{number}"
        )
        cut = plan.key_ranges("k", plan.bounds(pair.provider, QualifiedName.parse(f"t{number}"), "k"), 5)
        assert len(cut) == (1 if key == "bool" else 5), key
        counts = [pair.provider.run(f"select count(*) from t{number} where {c or 'true'}")[0][0] for c in cut]
        assert sum(counts) == 500, key
