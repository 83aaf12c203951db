"""Tables that differ between the sides, keys of all kinds, names that want to be SQL."""

from __future__ import annotations

import pytest

from tests.fixtures.pair import Pair, both_modes, every_version


@both_modes
def test_columns__other_order_and_extra_ones_on_the_subscriber(pair: Pair, mode: str) -> None:
    pair.setup_table(
        "create table entry (id int primary key, item text, price int)",
        "entry",
        other_ddl="create table entry (note text default 'mine', price int, id int primary key, local int, item text)",
    )
    pair.provider.script("insert into entry values (1, 'one', 10), (2, 'two', 20)")
    pair.start(apply=mode)
    pair.wait()
    pair.assert_equal("entry")
    pair.subscriber.script("update entry set local = id * 100, note = 'note ' || id")
    pair.provider.script("insert into entry values (3, 'three', 30); update entry set item = 'changed' where id = 1")
    pair.wait()
    pair.provider.script("update entry set id = 5 where id = 2")
    pair.wait()
    pair.assert_equal("entry")
    local = pair.subscriber.run("select id, local, note from entry order by id")
    assert local == [(1, 100, "note 1"), (3, None, "mine"), (5, None, "mine")]
    assert pair.conflicts("entry") == 0


@every_version
@both_modes
def test_columns__of_other_types_that_hold_the_same_values(pair: Pair, mode: str) -> None:
    pair.setup_table(
        """create table mixed (id int primary key, a varchar(20), b numeric(12,4), c text, d timestamptz, e smallint,
               f real, g text, h date, i json, j text)""",
        "mixed",
        other_ddl="""create type mood as enum ('sad', 'happy');
            create domain positive as int check (value > 0);
            create table mixed (id bigint primary key, a text, b int, c varchar(10), d timestamp, e positive,
               f double precision, g mood, h timestamp, i jsonb, j int)""",
    )
    pair.provider.script(
        """insert into mixed values (1, 'copied', 7, 'short', '2024-02-29 12:00+02', 3, 1.5, 'sad', '2024-01-01',
               '{"a": 1}', '12')"""
    )
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script(
        """insert into mixed values (2, 'streamed', 8, 'short', '2024-02-29 12:00+02', 4, 2.5, 'happy', '2024-01-02',
               '{"a": 2}', '13'), (3, null, null, null, null, null, null, null, null, null, null);
        update mixed set a = a || '!', b = b + 1, e = e + 1, g = 'happy', j = '99' where id = 1"""
    )
    pair.wait()
    expected = pair.provider.run(
        """select id, a, b::int, c, d::timestamp, e, f, g, h::timestamp, i::jsonb, j::int from mixed order by id"""
    )
    assert pair.subscriber.run("select id, a, b, c, d, e, f, g::text, h, i, j from mixed order by id") == expected
    assert len(expected) == 3
    assert pair.conflicts("mixed") == 0


@both_modes
def test_columns__too_narrow_on_the_subscriber(pair: Pair, mode: str) -> None:
    """A value that does not fit is an error that names it, never a shorter value."""
    pair.setup_table(
        "create table entry (id int primary key, item text, flags bit varying(20))",
        "entry",
        other_ddl="create table entry (id int primary key, item varchar(5), flags bit varying(4))",
    )
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script("insert into entry values (1, 'short', b'1010')")
    pair.wait()
    pair.provider.script("insert into entry values (2, 'too long', null)")
    pair.detours = True
    pair.logged("value too long for type character varying(5)")
    assert pair.rows("entry")[1] == ["(1,short,1010)"]
    pair.subscriber.script("alter table entry alter item type varchar(10)")
    pair.wait()
    pair.assert_equal("entry")
    pair.provider.script("insert into entry values (3, 'bits', b'10101')")
    pair.logged("bit string too long for type bit varying(4)")
    pair.provider.script("update entry set flags = null where id = 3; insert into entry values (4, 'fine', null)")
    pair.subscriber.script("alter table entry alter flags type bit varying(20)")
    pair.wait()
    pair.assert_equal("entry")


def test_copy__of_a_value_that_is_too_long_for_the_subscriber(pair: Pair) -> None:
    pair.setup_table(
        "create table entry (id int primary key, item text)",
        "entry",
        other_ddl="create table entry (id int primary key, item varchar(5))",
    )
    pair.provider.script("insert into entry values (1, 'too long')")
    pair.start()
    pair.detours = True
    pair.logged("value too long for type character varying(5)")
    pair.subscriber.script("alter table entry alter item type text")
    pair.wait()
    pair.assert_equal("entry")


@both_modes
def test_generated_columns__on_either_side(pair: Pair, mode: str) -> None:
    pair.setup_table(
        """create table both_sides (id int primary key, a int, u int unique,
            twice int generated always as (a * 2) stored);
        create table here (id int primary key, twice int generated always as (id * 2) stored, b text);
        create table there (id int primary key, a int, b text)""",
        "both_sides",
        "here",
        "there",
        other_ddl="""
        create table both_sides (id int primary key, a int, u int unique,
            twice int not null generated always as (a * 2) stored);
        create table here (id int primary key, twice int, b text);
        create table there (id int primary key, a int generated always as (id + 1) stored, b text)""",
    )
    pair.start(apply=mode)
    pair.provider.script("insert into both_sides (id, a, u) select n, n * 10, n from generate_series(1, 4) n")
    pair.provider.script("insert into here (id, b) values (1, 'x'); insert into there values (1, 77, 'y')")
    pair.wait()
    pair.provider.script("begin; update both_sides set u = 100 where id = 1; update both_sides set u = 1 where id = 2;")
    pair.provider.script("update both_sides set u = 2, a = 5 where id = 1; commit")
    pair.provider.script(
        "update here set b = 'xx'; update there set b = 'yy'; insert into here (id, b) values (2, 'z')"
    )
    pair.wait()
    pair.assert_equal("both_sides")
    assert pair.subscriber.run("select id, twice from both_sides order by id") == [(1, 10), (2, 40), (3, 60), (4, 80)]
    assert pair.subscriber.run("select id, twice, b from here order by id") == [(1, None, "xx"), (2, None, "z")]
    assert pair.subscriber.run("select id, a, b from there") == [(1, 2, "yy")]


@both_modes
def test_identity_columns__keep_the_values_of_the_provider(pair: Pair, mode: str) -> None:
    pair.setup_table(
        """create table by_key (id int generated always as identity primary key, item text);
        create table beside (id int primary key, nr int generated always as identity, item text)""",
        "by_key",
        "beside",
    )
    pair.subscriber.script("alter table beside add local text; alter table by_key add local text")
    pair.start(apply=mode)
    pair.provider.script(
        "insert into by_key (item) values ('a'), ('b'), ('c'); insert into beside (id) values (1), (2)"
    )
    pair.wait()
    pair.subscriber.script("update beside set local = 'mine'; update by_key set local = 'mine'")
    pair.provider.script(
        """update by_key set item = upper(item); delete from by_key where id = 2;
        update beside set item = 'changed'; insert into beside overriding system value values (3, 1000, 'given')"""
    )
    pair.wait()
    pair.assert_equal("by_key", "beside")
    assert pair.subscriber.run("select distinct local from by_key") == [("mine",)]
    assert pair.subscriber.run("select id, nr, local from beside order by id") == [
        (1, 1, "mine"),
        (2, 2, "mine"),
        (3, 1000, None),
    ]
    assert pair.conflicts("beside") == 0


@both_modes
def test_table__with_nothing_but_its_key(pair: Pair, mode: str) -> None:
    pair.setup_table(
        "create table link (a int, b int, primary key (b, a) deferrable)",
        "link",
        other_ddl="create table link (a int, b int, primary key (b, a))",
    )
    pair.start(apply=mode)
    pair.provider.script("insert into link values (1, 2), (2, 1), (3, 3)")
    pair.wait()
    with pair.stopped():
        pair.provider.script("update link set a = b, b = a; delete from link where a = 3")
        pair.provider.script("insert into link values (5, 5); update link set a = 6 where a = 5")
    pair.wait()
    pair.assert_equal("link")
    assert len(pair.rows("link")[1]) == 3
    assert pair.conflicts("link") == 0


KEYS = {
    "text": ("text", ["'a'", "'A'", "''", "'quote '' and \\ and \"'", "E'tab\\tnewline\\n'"]),
    "uuid": ("uuid", ["gen_random_uuid()", "'00000000-0000-0000-0000-000000000001'"]),
    "numeric": ("numeric", ["1.50", "'NaN'", "-0.001", "12345678901234567890.5"]),
    "timestamptz": ("timestamptz", ["'2024-03-31 01:30:00.123456+01'", "'infinity'", "'0044-03-15 BC'"]),
    "double": ("double precision", ["0.1", "'NaN'", "'-Infinity'", "1e-300"]),
    "interval": ("interval", ["'1 month 2 days 03:04:05.6'", "'-1 year'"]),
    "array": ("int[]", ["'{}'", "'{1,NULL,3}'", "'[0:1]={7,8}'"]),
    "bytea": ("bytea", ["'\\x00ff'", "''"]),
    "char": ("char(4)", ["'ab'", "'abcd'", "''"]),
    "enum": ("mood", ["'sad'", "'happy'"]),
    "domain": ("short_text", ["'x'", "'y'"]),
    "composite": ("point_key", ["(1, 'a')::point_key", "(1, null)::point_key"]),
    "range": ("int4range", ["'[1,5)'", "'empty'", "'(,3]'"]),
}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, "bulk") for kind in KEYS] + [(kind, "ordered") for kind in ("text", "numeric", "enum", "composite")],
)
def test_key__of_type(pair: Pair, kind: str, mode: str) -> None:
    sql_type, values = KEYS[kind]
    ddl = f"""create type mood as enum ('happy', 'sad'); create domain short_text as text check (length(value) < 5);
        create type point_key as (x int, y text);
        create table keyed (k {sql_type} primary key, v int)"""
    pair.setup_table(ddl, "keyed")
    pair.start(apply=mode)
    pair.wait()
    for value in values:
        pair.provider.script(f"insert into keyed values ({value}, 1)")
    pair.wait()
    pair.assert_equal("keyed")
    pair.provider.script("update keyed set v = 2")
    pair.wait()
    pair.assert_equal("keyed")
    pair.provider.script("delete from keyed where ctid = (select min(ctid) from keyed)")
    pair.wait()
    pair.assert_equal("keyed")
    assert len(pair.rows("keyed")[1]) == len(values) - 1
    assert pair.conflicts("keyed") == 0


@both_modes
def test_key__whose_equality_is_not_of_pg_catalog(pair: Pair, mode: str) -> None:
    """A type like citext: its operator lives in another schema and says that different texts are equal."""
    ddl = """create schema loose;
        create type loose.word as (t text);
        create function loose.eq(loose.word, loose.word) returns bool immutable strict language sql
            as $$ select lower(($1).t) operator(pg_catalog.=) lower(($2).t) $$;
        create function loose.lt(loose.word, loose.word) returns bool immutable strict language sql
            as $$ select lower(($1).t) operator(pg_catalog.<) lower(($2).t) $$;
        create function loose.le(loose.word, loose.word) returns bool immutable strict language sql
            as $$ select lower(($1).t) operator(pg_catalog.<=) lower(($2).t) $$;
        create function loose.gt(loose.word, loose.word) returns bool immutable strict language sql
            as $$ select lower(($1).t) operator(pg_catalog.>) lower(($2).t) $$;
        create function loose.ge(loose.word, loose.word) returns bool immutable strict language sql
            as $$ select lower(($1).t) operator(pg_catalog.>=) lower(($2).t) $$;
        create function loose.cmp(loose.word, loose.word) returns int immutable strict language sql
            as $$ select case when lower(($1).t) operator(pg_catalog.<) lower(($2).t) then -1
                         when lower(($1).t) operator(pg_catalog.=) lower(($2).t) then 0 else 1 end $$;
        create operator loose.= (leftarg = loose.word, rightarg = loose.word, function = loose.eq, merges);
        create operator loose.< (leftarg = loose.word, rightarg = loose.word, function = loose.lt);
        create operator loose.<= (leftarg = loose.word, rightarg = loose.word, function = loose.le);
        create operator loose.> (leftarg = loose.word, rightarg = loose.word, function = loose.gt);
        create operator loose.>= (leftarg = loose.word, rightarg = loose.word, function = loose.ge);
        create operator class loose.word_ops default for type loose.word using btree as
            operator 1 loose.<, operator 2 loose.<=, operator 3 loose.=, operator 4 loose.>=, operator 5 loose.>,
            function 1 loose.cmp(loose.word, loose.word);
        create table words (k loose.word primary key, v int)"""
    pair.setup_table(ddl, "words")
    pair.start(apply=mode)
    pair.provider.script("insert into words values (row('Apple')::loose.word, 1), (row('Pear')::loose.word, 2)")
    pair.wait()
    pair.provider.script("update words set v = 3")
    pair.wait()
    pair.assert_equal("words")
    pair.provider.script(
        "update words set k = row('APPLE')::loose.word where k operator(loose.=) row('apple')::loose.word"
    )
    pair.wait()
    pair.assert_equal("words")
    pair.provider.script("delete from words where k operator(loose.=) row('pear')::loose.word")
    pair.wait()
    pair.assert_equal("words")
    assert len(pair.rows("words")[1]) == 1
    assert pair.conflicts("words") == 0


@pytest.mark.parametrize("versions", [(15, 15)], ids=["15to15"])  # the embedded servers are built without ICU
@both_modes
def test_key__under_a_collation_that_ignores_case(pair: Pair, mode: str) -> None:
    pair.setup_table(
        """create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        create table words (k text collate nocase primary key, v int)""",
        "words",
    )
    pair.start(apply=mode)
    pair.provider.script("insert into words values ('Apple', 1), ('Pear', 2)")
    pair.wait()
    pair.provider.script("update words set k = 'APPLE' where k = 'apple'; update words set v = 5 where k = 'pear'")
    pair.wait()
    pair.assert_equal("words")
    with pair.stopped():
        pair.provider.script("delete from words where k = 'PEAR'; insert into words values ('pear', 7)")
    pair.wait()
    pair.assert_equal("words")
    assert pair.conflicts("words") == 0


@both_modes
def test_key__equal_values_that_are_written_differently(pair: Pair, mode: str) -> None:
    """1.0 becomes 1.00: the same key to the server, another text to people."""
    pair.setup_table("create table n (k numeric primary key, v int)", "n")
    pair.start(apply=mode)
    pair.provider.script("insert into n values (1.0, 1), (2.0, 2)")
    pair.wait()
    pair.provider.script("update n set k = 1.000 where k = 1")
    pair.wait()
    pair.assert_equal("n")
    with pair.stopped():
        pair.provider.script("delete from n where k = 2; insert into n values (2.00, 3)")
    pair.wait()
    pair.assert_equal("n")
    assert pair.conflicts("n") == 0


@both_modes
def test_key__named_for_a_table_without_primary_key(pair: Pair, mode: str) -> None:
    pair.setup_table(
        "create table entry (code text not null, part int not null, item text, unique (part, code))",
        "entry",
        key=["code", "part"],
    )
    pair.provider.script("insert into entry values ('copied', 1, 'x')")
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script("insert into entry values ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, null)")
    pair.provider.script("update entry set item = 'changed' where code = 'a'; delete from entry where code = 'copied'")
    pair.provider.script("update entry set part = part + 10 where code = 'a'")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 3
    assert pair.conflicts("entry") == 0


PLAIN = "create table sale (id int, region text, amount int, primary key (id, region))"
PARTITIONED = """
    create table sale (id int, region text, amount int, primary key (id, region)) partition by list (region);
    create table sale_north partition of sale for values in ('north');
    create table sale_south partition of sale for values in ('south') partition by range (id);
    create table sale_south_1 partition of sale_south for values from (0) to (100);
    create table sale_rest partition of sale default"""


@both_modes
@pytest.mark.parametrize(
    ("ddl", "other"),
    [(PARTITIONED, PLAIN), (PLAIN, PARTITIONED), (PARTITIONED, PARTITIONED)],
    ids=["out", "in", "both"],
)
def test_partitions__on_one_side_or_both(pair: Pair, ddl: str, other: str, mode: str) -> None:
    pair.setup_table(ddl, "sale", other_ddl=other)
    pair.provider.script("insert into sale values (1, 'north', 1), (2, 'south', 2), (3, 'west', 3)")
    pair.start(apply=mode)
    pair.wait()
    pair.assert_equal("sale")
    pair.provider.script(
        "insert into sale select n, r, n from generate_series(10, 20) n, unnest('{north,south,east}'::text[]) r"
    )
    pair.provider.script("update sale set amount = -amount where id < 15; delete from sale where id = 20")
    pair.provider.script("update sale set region = 'south' where region = 'north' and id = 1")
    pair.wait()
    pair.assert_equal("sale")
    assert len(pair.rows("sale")[1]) == 33
    assert pair.conflicts("sale") == 0
    pair.provider.script("truncate sale; insert into sale values (1, 'south', 1)")
    pair.wait()
    pair.assert_equal("sale")
    if ddl == PARTITIONED:
        pair.provider.script(
            "insert into sale values (2, 'north', 1); truncate sale_north; insert into sale values (3, 'north', 1)"
        )
        pair.wait()
        pair.assert_equal("sale")
        assert len(pair.rows("sale")[1]) == 2


@every_version
@both_modes
def test_names__that_want_to_be_sql(pair: Pair, mode: str) -> None:
    table = 'Order\'s "Table". $londiste$ %s {name} '
    columns = [
        't"able',
        "select",
        "w",
        "t",
        "r",
        "r0",
        "k1",
        "op",
        "londiste_event",
        "n",
        "ünïcödé ☃",
        "a.b,c\\",
        "%(x)s",
        "new",
    ]
    schema = 'my.Schema "x"'
    quoted = [f'"{c.replace(chr(34), chr(34) * 2)}"' for c in columns]
    ident = ".".join(f'"{part.replace(chr(34), chr(34) * 2)}"' for part in (schema, table))
    ddl = (
        f'create schema "my.Schema ""x"""; create table {ident} ({quoted[0]} text, {quoted[1]} int, '
        + ", ".join(f"{c} text" for c in quoted[2:])
        + f", primary key ({quoted[1]}, {quoted[0]}))"
    )
    name = f'"my.Schema ""x"""."{table.replace(chr(34), chr(34) * 2)}"'
    pair.setup_table(ddl, name)
    pair.start(apply=mode)
    pair.wait()
    listed = ", ".join(quoted)
    for key in (1, 2, 3):
        values = ", ".join(f"'{c.replace(chr(39), '')} {key}'" for c in columns[2:])
        pair.provider.script(f"insert into {ident} ({listed}) values ('k', {key}, {values})")
    pair.provider.script(f"update {ident} set {quoted[3]} = 'changed' where {quoted[1]} = 1")
    pair.provider.script(f"delete from {ident} where {quoted[1]} = 2")
    pair.wait()
    pair.provider.script(f"update {ident} set {quoted[0]} = 'other key' where {quoted[1]} = 3")
    pair.wait()
    pair.assert_equal(name)
    assert len(pair.rows(name)[1]) == 2
    assert pair.conflicts(name) == 0


def test_dest_table__has_another_name_on_the_subscriber(pair: Pair) -> None:
    from londiste_lite.names import QualifiedName

    pair.setup_table(
        "create table entry (id int primary key, item text)",
        "entry",
        other_ddl='create schema archive; create table archive."Entries" (id int primary key, item text)',
        dest=QualifiedName("archive", "Entries"),
    )
    pair.provider.script("insert into entry values (1, 'copied')")
    pair.start()
    pair.wait()
    pair.provider.script("insert into entry values (2, 'streamed'); update entry set item = upper(item)")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 2
