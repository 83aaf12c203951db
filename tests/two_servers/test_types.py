"""Every built-in type arrives byte for byte, whatever the settings of the session that wrote it."""

from __future__ import annotations

import pytest

from tests.fixtures.pair import Pair, every_version

TYPES = """create type mood as enum ('sad', 'so so', 'happy, very');
create type pair_of as (a int, b text);
create domain percent as numeric(5,2) check (value between 0 and 100);
"""

VALUES = {
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0.000000000000000000001", "123456789012345678901234567890.5"],
    "numeric(10,3)": ["1.500", "-0.001"],
    "real": ["'NaN'", "'Infinity'", "1.17549e-38", "3.4028235e38", "0.1", "-0"],
    "double precision": ["'NaN'", "'-Infinity'", "2.2250738585072014e-308", "1.7976931348623157e308", "0.1", "5e-324"],
    "smallint": ["-32768", "32767"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "timestamptz": ["'infinity'", "'-infinity'", "'2024-10-27 02:30:00.123456+02'", "'0044-03-15 12:00:00+00 BC'"],
    "timestamp": ["'infinity'", "'2024-02-29 23:59:59.999999'", "'0001-01-01 00:00:00 BC'"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'2024-03-04'"],
    "time": ["'24:00:00'", "'12:34:56.789'"],
    "timetz": ["'12:34:56.789+05:30'"],
    "interval": [
        "'1 year -2 mons +3 days -04:05:06.789'",
        "'-1 mons'",
        "'-1 days -04:05:06'",
        "'00:00:00.000001'",
        "'178000000 years'",
    ],
    "bytea": ["'\\x00ff5c27'", "''"],
    "text": [
        "''",
        "'null'",
        "'NULL'",
        "E'a\\tb\\nc\\rd\\be\\\\f'",
        "'quote '' \" ( ) , {}'",
        "'ünï ☃ 𝄞'",
        "'  spaces  '",
    ],
    "char(5)": ["'ab'", "''"],
    "varchar(5)": ["'ab   '"],
    '"char"': ["'x'", "''"],
    "name": ["'a name'"],
    "json": ["'null'", '\'{"a" : [1,  2.50, null], "a": 2}\'', "'\"\"'"],
    "jsonb": ["'null'", '\'{"a": [1, 2.50, null], "☃": "\\\\u0041\\\\n"}\'', "'1e5'"],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "int[]": ["'{}'", "'[-2:0]={1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:0][5:6]={{1,2}}'"],
    "text[]": ['\'{NULL,"NULL","","a,b","q\\"\\\\"}\''],
    "int4range": ["'empty'", "'[1,10)'", "'(,)'"],
    "numrange": ["'(1.5,2.50]'", "'[,NaN]'"],
    "tstzrange": ["'[2024-01-01 00:00+00,infinity)'", "'(,2024-01-01 00:00:00.5+01]'"],
    "int4multirange": ["'{}'", "'{[1,3),[5,7)}'"],
    "tsmultirange": ["'{[2024-01-01,2024-01-02)}'"],
    "mood": ["'happy, very'", "'so so'"],
    "mood[]": ["'{sad,\"so so\"}'"],
    "pair_of": ["row(1, 'x, \"y\"')", "row(null, '')", "row(null, null)"],
    "pair_of[]": ["array[row(1, 'a')::pair_of, null]"],
    "percent": ["99.5"],
    "bit(5)": ["b'10110'"],
    "bit varying": ["b''", "b'101'"],
    "inet": ["'192.168.0.1/24'", "'2001:db8::1'"],
    "cidr": ["'10.0.0.0/8'", "'2001:db8::/32'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "tsvector": ["'a:1A ''b c'':2,3B'"],
    "tsquery": ["'a & (b | !c:*A)'"],
    "money": ["'-1234567.89'", "'0.05'"],
    "boolean": ["true", "false"],
    "oid": ["4294967295"],
    "pg_lsn": ["'FFFFFFFF/FFFFFFFF'"],
    "point": ["'(0.1,-1e300)'"],
    "line": ["'{1,-1,0.1}'"],
    "box": ["'(2,2),(0.1,0)'"],
    "path": ["'[(0,0),(1,0.1)]'", "'((0,0),(1,1))'"],
    "polygon": ["'((0,0),(1,1),(0.1,2))'"],
    "circle": ["'<(0.1,1),2>'"],
    "regclass": ["'pg_class'"],
    "regtype": ["'integer'"],
    "xid": ["'4294967295'"],
    "txid_snapshot": ["'10:20:10,14,15'"],
}

SETTINGS = {
    "plain": "",
    "german": """set DateStyle = 'German, DMY'; set IntervalStyle = 'postgres_verbose'; set bytea_output = 'escape';
        set extra_float_digits = -15; set TimeZone = 'Asia/Kolkata'; set lc_monetary = 'C'""",
    "sql": """set DateStyle = 'SQL, MDY'; set IntervalStyle = 'sql_standard'; set extra_float_digits = 0;
        set TimeZone = 'America/St_Johns'; set search_path = public, pg_catalog; set xmlbinary = 'hex'""",
    "iso": """set DateStyle = 'Postgres, DMY'; set IntervalStyle = 'iso_8601'; set bytea_output = 'escape';
        set extra_float_digits = 3; set TimeZone = 'UTC'; set standard_conforming_strings = on;
        set array_nulls = off; set quote_all_identifiers = on""",
}


def kinds_table(*kinds: str) -> tuple[str, list[str], int]:
    """Return the DDL, the expression lists of the rows, and the number of columns; of some types or of all."""
    values = {kind: VALUES[kind] for kind in kinds or VALUES}
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(values))
    depth = max(len(v) for v in values.values())
    rows = [", ".join(f"({found[row % len(found)]})::{kind}" for kind, found in values.items()) for row in range(depth)]
    rows.append(", ".join("null" for _ in values))
    return f"{TYPES} create table kinds (id int primary key, {columns})", rows, len(values)


@every_version
@pytest.mark.parametrize("settings", SETTINGS)
def test_types__arrive_as_they_were_written(pair: Pair, settings: str) -> None:
    ddl, rows, count = kinds_table()
    pair.setup_table(ddl, "kinds")
    writer = pair.connect_provider()
    half = len(rows) // 2
    for number, row in enumerate(rows[:half]):
        writer.script(f"insert into kinds values ({number}, {row})")
    pair.start(apply="ordered" if settings == "sql" else "bulk")
    pair.wait()
    pair.assert_equal("kinds")
    # Values as the pinned session reads them, changes as the unusual one writes them.
    writer.script(f"create table source as select * from kinds with no data; {SETTINGS[settings]}")
    for number, row in enumerate(rows):
        pair.provider.script(f"insert into source values ({number}, {row})")
    shown = writer.run("show DateStyle")[0][0]
    listed = ", ".join(f"c{n} = s.c{n}" for n in range(count))
    writer.script(f"update kinds k set {listed} from source s where s.id = {len(rows) - 1} - k.id")
    writer.script("update source set id = id + 100; insert into kinds select * from source")
    assert writer.run("show DateStyle")[0][0] == shown, "capture changed the writer's settings"
    pair.wait()
    pair.assert_equal("kinds")
    assert len(pair.rows("kinds")[1]) == len(rows) + half
    writer.script("delete from kinds")
    pair.wait()
    assert pair.rows("kinds")[1] == []
    assert pair.conflicts("kinds") == 0


ALONE = [
    "DateStyle = 'SQL, MDY'",
    "IntervalStyle = 'sql_standard'",
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
    "TimeZone = 'Asia/Kolkata'",
    "search_path = public, pg_catalog",
    "quote_all_identifiers = on",
]


def test_types__written_under_one_unusual_setting_at_a_time(pair: Pair) -> None:
    # Types that capture has a quick way for, which must not be taken when a setting is unusual.
    ddl, rows, _ = kinds_table(
        "real", "double precision", "timestamptz", "date", "interval", "bytea", "tstzrange", "text"
    )
    pair.setup_table(ddl, "kinds")
    pair.provider.script("create table source as select * from kinds with no data")
    for number, row in enumerate(rows):
        pair.provider.script(f"insert into source values ({number}, {row})")
    pair.start()
    pair.wait()
    for place, setting in enumerate(ALONE):
        writer = pair.connect_provider()
        writer.script(f"set {setting}")
        writer.script("update source set id = id + 100; insert into kinds select * from source")
        pair.wait()
        pair.assert_equal("kinds")
        assert len(pair.rows("kinds")[1]) == (place + 1) * len(rows), setting


def test_types__xml_where_the_server_knows_it(pair: Pair) -> None:
    try:
        for db in (pair.provider, pair.subscriber):
            db.run("select xmlparse(content '<a/>')")
    except Exception:
        pytest.skip("a server is built without libxml")
    pair.setup_table("create table doc (id int primary key, x xml)", "doc")
    pair.start()
    pair.wait()
    pair.provider.script("insert into doc values (1, '<a b=\"c\">text</a>'), (2, 'content only'), (3, null)")
    pair.provider.script("set xmloption = document; insert into doc values (4, '<?xml version=\"1.0\"?><a/>')")
    pair.wait()
    pair.assert_equal("doc")


@pytest.mark.parametrize("mode", ["bulk", "ordered"])
def test_types__text_of_ten_megabytes(pair: Pair, mode: str) -> None:
    pair.setup_table("create table big (id int primary key, t text, b bytea)", "big")
    pair.provider.script("insert into big values (0, repeat('copied ', 1500000))")
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script("insert into big select n, repeat('☃' || n, 2500000) from generate_series(1, 2) n")
    pair.provider.script("update big set b = decode(repeat('00ff27', 1000000), 'hex') where id = 1")
    pair.wait()
    sums = "select id, md5(t), length(t), md5(b) from big order by id"
    expected = pair.provider.run(sums)
    assert pair.subscriber.run(sums) == expected
    assert expected[1][2] == 10_000_000 // 2


def test_types__empty_text_and_null_are_told_apart(pair: Pair) -> None:
    pair.setup_table("create table t (a text primary key, b text, c text[], d json)", "t")
    pair.start()
    pair.provider.script(
        "insert into t values ('', '', '{}', 'null'), ('x', null, null, null), ('y', 'null', '{NULL}', '[]')"
    )
    pair.wait()
    query = "select b is null, b = '', c is null, c = '{}', d is null, d::text from t order by a"
    assert pair.subscriber.run(query) == pair.provider.run(query)
    pair.assert_equal("t")
