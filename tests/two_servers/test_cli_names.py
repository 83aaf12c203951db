"""Names are data: tables, sequences, queues and jobs of any name through every command, their rows through replay."""

from __future__ import annotations

import os

import pytest

from londiste_lite.names import QualifiedName, quote_ident
from tests.fixtures.cli import Site

LONG = "ä" * 31 + "x"  # 63 bytes
TABLES = [
    "public.My Table",
    "public.quo\"ted 'name'",
    "public.select",
    "public.a.dot and.another",
    "public.Größe ☃",
    f"public.{LONG}",
    "public.back\\slash % %s %(x)s {x} $1",
    "public.semi; drop table entry; --",
    "Sales Dept.CamelCase",
    '"dotted.schema"."t.able"',
]


@pytest.mark.parametrize("encoding", ["C.UTF-8", "C"])
def test_names__through_every_command(site: Site, encoding: str) -> None:
    site.cli.environment["LC_ALL"] = encoding
    tables = TABLES if encoding != "C" else TABLES[4:6]
    names = [QualifiedName.parse(name) for name in tables]
    schemas = sorted({name.schema for name in names} - {"public"})
    for schema in schemas:
        site.both(f"create schema {quote_ident(schema)}")
    for name in names:
        sequence = f"{quote_ident(name.schema)}.{quote_ident('q' + name.name[:-1])}"
        columns = '"key" int, "Val ""x" text, primary key ("key")'
        site.both(f"create table {name.quoted} ({columns}); create sequence {sequence}")
        site.provider.script(
            f"insert into {name.quoted} values (1, 'before'); select setval('{_literal(sequence)}', 7)"
        )
    sequences = [str(QualifiedName(name.schema, "q" + name.name[:-1])) for name in names]

    site.run("provider", "add", *tables)
    site.run("provider", "add-seq", *sequences)
    assert [t["name"] for t in site.run("provider", "tables", "--json").json()] == tables
    if encoding != "C":
        assert site.run("provider", "tables").lines == tables
        assert site.run("provider", "seqs").lines == sequences
        missing = site.run("subscriber", "missing").lines
        assert missing == [f"Table: {t}" for t in tables] + [f"Sequence: {s}" for s in sequences]
    site.run("subscriber", "add", *tables)
    site.run("subscriber", "add-seq", *sequences)
    site.once()
    for name in names:
        site.provider.script(f"update {name.quoted} set \"key\" = 2; insert into {name.quoted} values (3, 'after')")
    site.once()
    site.assert_equal(*tables)
    assert [s["subscriber_value"] for s in site.run("status", "--json").json()["sequences"]] == [7] * len(names)
    assert [t["state"] for t in site.run("subscriber", "tables", "--json").json()] == ["ok"] * len(names)
    site.run("subscriber", "resync", *tables)
    site.run("subscriber", "remove", *tables)
    site.run("subscriber", "remove-seq", *sequences)
    site.run("provider", "remove-seq", *sequences)
    site.run("provider", "remove", *tables)
    assert site.run("provider", "tables").out == ""


def _literal(text: str) -> str:
    return text.replace("'", "''")


@pytest.mark.parametrize(
    ("queue", "job"),
    [
        ("my queue.with \"quotes\" and 'more'", "Größe; job"),
        ("q" * 63, "j" * 63),
        ("select", "%s {x} \\ $1"),
    ],
)
def test_queue_and_job__of_any_name(site: Site, queue: str, job: str) -> None:
    ini = site.ini("odd.ini", pgq_queue_name=queue, job_name=job, pidfile="odd.pid", logfile="odd.log")
    site.both("create table entry (id serial primary key, item text)")
    site.provider.script("insert into entry (item) values ('before')")
    site.run("provider", "install", ini=ini)
    assert (queue,) in site.provider.run("select queue_name from pgq.queue")
    site.run("provider", "add", "entry", ini=ini)
    site.run("subscriber", "add", "entry", ini=ini)
    site.replay(ini, "odd.pid")
    site.provider.script("insert into entry (item) values ('after')")
    site.run("wait", "--timeout", "40", ini=ini)
    site.assert_equal("entry")
    status = site.run("status", "--json", ini=ini).json()
    assert (status["queue"], status["consumer"]) == (queue, job)
    assert status["replay_alive"]
    site.run("-s", ini=ini)


@pytest.mark.parametrize("name", ["", ".", "a.", ".b", "x" * 64, "nul\N{SYMBOL FOR NULL}", "*", "no*"])
def test_names__that_are_none_or_not_there(site: Site, name: str) -> None:
    for words in (("provider", "add", name), ("subscriber", "remove", name), ("provider", "remove-seq", name)):
        site.run(*words, code=1)


def test_names__that_are_not_text(site: Site) -> None:
    site.run("provider", "add", os.fsdecode(b"bad\xff"), code=1)
    site.run("subscriber", "resync", os.fsdecode(b"bad\xff"), code=1)
    site.run("subscriber", "add", "entry", "--dest-table", "a.", code=1)
