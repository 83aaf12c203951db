"""Commands that set up: done, already so, unknown name, output formats, globs. Run as a user runs them."""

from __future__ import annotations

from collections.abc import Callable

from tests.fixtures.cli import QUEUE, Site

STATUS_FIELDS = {
    "queue", "consumer", "node", "lag_seconds", "pending_events", "last_tick", "applied_tick", "ticker_alive",
    "replay_alive", "tables", "sequences", "last_error",
}  # fmt: skip
TABLE_FIELDS = {"name", "state", "rows_inserted", "rows_updated", "rows_deleted", "conflicts", "parked", "error"}


def test_install__again_changes_nothing_and_says_so(new_site: Callable[..., Site]) -> None:
    site = new_site(installed=False)
    first = site.run("provider", "install")
    assert "pgq installed" in first.err
    assert f'queue "{QUEUE}" created' in first.err
    again = site.run("provider", "install")
    assert "installed" not in again.err
    assert "created" not in again.err
    assert "londiste is up to date" in again.err
    assert "londiste installed" in site.run("subscriber", "install").err
    assert "installed" not in site.run("subscriber", "install").err
    assert first.out == again.out == ""


def test_install_print__is_a_script_that_installs(new_site: Callable[..., Site]) -> None:
    site = new_site(installed=False)
    for side, db in (("provider", site.provider), ("subscriber", site.subscriber)):
        script = site.run(side, "install", "--print").out
        assert db.run("select 1 from pg_namespace where nspname = 'londiste'") == []
        db.script(script)
    done = site.run("provider", "install")
    assert "installed" not in done.err
    assert "upgraded" not in done.err
    assert "installed" not in site.run("subscriber", "install").err


def test_tables_and_sequences__from_nothing_to_nothing(site: Site) -> None:
    site.both(
        "create schema sales; create table entry (id serial primary key); create table sales.bill (id int primary key)"
    )
    # Done, in the formats of Londiste 2.1.
    assert "public.entry: added" in site.run("provider", "add", "entry", "sales.bill").err
    assert "public.entry_id_seq: added" in site.run("provider", "add-seq", "entry_id_seq").err
    assert site.run("provider", "tables").out == "public.entry\nsales.bill\n"
    assert site.run("provider", "seqs").out == "public.entry_id_seq\n"
    assert site.run("subscriber", "missing").out == (
        "Table: public.entry\nTable: sales.bill\nSequence: public.entry_id_seq\n"
    )
    assert "public.entry: added" in site.run("subscriber", "add", "entry").err
    site.run("subscriber", "add-seq", "entry_id_seq")
    header, line = site.run("subscriber", "tables").lines
    assert header == f"{'Table':<30}   {'State':>20}"
    assert line == f"{'public.entry':<30}   {'-':>20}"
    assert site.run("subscriber", "seqs").out == "public.entry_id_seq\n"
    assert site.run("subscriber", "missing").out == "Table: sales.bill\n"
    # As data.
    assert [t["name"] for t in site.run("provider", "tables", "--json").json()] == ["public.entry", "sales.bill"]
    assert site.run("provider", "seqs", "--json").json() == ["public.entry_id_seq"]
    assert site.run("subscriber", "seqs", "--json").json() == ["public.entry_id_seq"]
    assert site.run("subscriber", "missing", "--json").json() == {"tables": ["sales.bill"], "sequences": []}
    (table,) = site.run("subscriber", "tables", "--json").json()
    assert (table["name"], table["state"], table["error"]) == ("public.entry", "-", None)
    status = site.run("status", "--json").json()
    assert set(status) >= STATUS_FIELDS
    assert set(status["tables"][0]) >= TABLE_FIELDS
    # Already so: said, and no error.
    for words in (
        ("provider", "add", "entry"),
        ("provider", "add-seq", "entry_id_seq"),
        ("subscriber", "add", "entry"),
        ("subscriber", "add-seq", "entry_id_seq"),
    ):
        assert "already there" in site.run(*words).err
    # And back.
    for words in (
        ("subscriber", "remove-seq", "entry_id_seq"),
        ("subscriber", "remove", "entry"),
        ("provider", "remove-seq", "entry_id_seq"),
        ("provider", "remove", "entry"),
    ):
        assert "removed" in site.run(*words).err
    assert site.run("provider", "tables").out == "sales.bill\n"
    assert site.run("subscriber", "tables").lines == [header]
    assert site.provider.run("select count(*) from pg_trigger where tgrelid = 'entry'::regclass")[0][0] == 0


def test_unknown_name__nearest_one_in_the_hint(site: Site) -> None:
    site.both("create table entry (id serial primary key); create table big (id int primary key)")
    assert 'Did you mean "public.entry"?' in site.run("provider", "add", "entyr", code=1).err
    assert 'Did you mean "public.entry_id_seq"?' in site.run("provider", "add-seq", "entry_id_sq", code=1).err
    # What exists and is not published is no typing mistake.
    assert "Run `provider add public.big` first" in site.run("subscriber", "add", "big", code=1).err
    assert (
        "Run `provider add-seq public.entry_id_seq` first"
        in site.run("subscriber", "add-seq", "entry_id_seq", code=1).err
    )
    site.run("provider", "add", "entry")
    site.run("provider", "add-seq", "entry_id_seq")
    site.run("subscriber", "add", "entry")
    site.run("subscriber", "add-seq", "entry_id_seq")
    for words in (
        ("provider", "remove", "entri"),
        ("subscriber", "add", "enry"),
        ("subscriber", "remove", "ENTRY"),
        ("subscriber", "resync", "entr"),
    ):
        assert 'Did you mean "public.entry"?' in site.run(*words, code=1).err
    for words in (("provider", "remove-seq"), ("subscriber", "add-seq"), ("subscriber", "remove-seq")):
        assert 'Did you mean "public.entry_id_seq"?' in site.run(*words, "entry_id", code=1).err
    # One that is unknown does not keep the others from being done.
    mixed = site.run("provider", "add", "nonesuch", "big", code=1)
    assert "public.big: added" in mixed.err
    assert "1 of 2 failed" in mixed.err
    assert site.run("provider", "tables").out == "public.entry\npublic.big\n"


def test_nothing_named__exit_1_with_a_hint(site: Site) -> None:
    for words in (
        ("provider", "add"),
        ("provider", "remove"),
        ("provider", "add-seq"),
        ("subscriber", "add"),
        ("subscriber", "remove-seq"),
        ("subscriber", "resync"),
    ):
        done = site.run(*words, code=1)
        assert "named" in done.err
        assert "--all" in done.err
    # Everything there is, when there is nothing, is nothing to do.
    assert "nothing to do" in site.run("provider", "add", "--all").err
    assert "no tables" in site.run("subscriber", "resync", "--all").err


def test_globs__and_all(site: Site) -> None:
    site.both(
        "create schema sales; create table entry1 (id serial primary key); create table entry2 (id serial primary key);"
        "create table other (id int primary key); create table sales.entry3 (id int primary key)"
    )
    site.run("provider", "add", "entry?")
    assert site.run("provider", "tables").out == "public.entry1\npublic.entry2\n"
    assert "no table" in site.run("provider", "add", "zz*", code=1).err
    site.run("provider", "add", "s*.*")
    assert site.run("provider", "tables").lines[2:] == ["sales.entry3"]
    site.run("provider", "remove", "*2")
    site.run("provider", "add", "--all")
    assert sorted(site.run("provider", "tables").lines) == [
        "public.entry1", "public.entry2", "public.other", "sales.entry3",
    ]  # fmt: skip
    site.run("provider", "add-seq", "*1_id_seq")
    assert site.run("provider", "seqs").out == "public.entry1_id_seq\n"
    site.run("subscriber", "add", "*.entry*")
    site.run("subscriber", "add-seq", "--all")
    assert site.run("subscriber", "seqs").out == "public.entry1_id_seq\n"
    listed = [line.split()[0] for line in site.run("subscriber", "tables").lines[1:]]
    assert sorted(listed) == ["public.entry1", "public.entry2", "sales.entry3"]
    assert site.run("subscriber", "resync", "entry*").err.count("public.entry") == 2
    site.run("subscriber", "remove", "--all")
    site.run("provider", "remove", "--all")
    assert site.run("provider", "tables").out == ""
    assert len(site.run("subscriber", "tables").lines) == 1


def test_what_cannot_be_published__one_reason_each(site: Site) -> None:
    site.both(
        "create table nokey (a int, b text); create table part (id int primary key) partition by range (id);"
        "create table part1 partition of part for values from (0) to (9); create view seen as select 1 as x"
    )
    done = site.run("provider", "add", "nokey", "part1", "seen", "pg_catalog.pg_class", "pgq.queue", "part", code=1)
    assert "no primary key" in done.err
    assert "--key" in done.err
    assert 'partition of "public.part"' in done.err
    assert "is a view" in done.err
    assert done.err.count("belongs to the system") == 2
    assert "5 of 6 failed" in done.err
    assert site.run("provider", "tables").out == "public.part\n"


def test_what_cannot_be_subscribed__one_reason_each(site: Site) -> None:
    site.provider.script(
        "create table absent (id int primary key); create table narrow (id int primary key, more text);"
        "create table keyless (id int primary key); create sequence counter"
    )
    site.subscriber.script("create table narrow (id int primary key); create table keyless (id int)")
    site.run("provider", "add", "--all")
    site.run("provider", "add-seq", "counter")
    done = site.run("subscriber", "add", "--all", code=1)
    assert '"public.absent" does not exist on the subscriber' in done.err
    assert '"more"' in done.err
    assert "no unique key on (id) on the subscriber" in done.err
    assert "ADD PRIMARY KEY (id)" in done.err
    assert "3 of 3 failed" in done.err
    assert "CREATE SEQUENCE" in site.run("subscriber", "add-seq", "counter", code=1).err
    assert len(site.run("subscriber", "tables").lines) == 1


def test_options__stand_anywhere(site: Site) -> None:
    site.both("create table entry (id int primary key)")
    site.cli.run("--all", "replica.ini", "-v", "provider", "add")
    site.cli.run("replica.ini", "subscriber", "-q", "--expect-sync", "add", "entry")
    for words in (
        ("replica.ini", "subscriber", "resync", "-v", "--force"),
        ("-v", "replica.ini", "subscriber", "resync", "--force"),
        ("--force", "-v", "replica.ini", "subscriber", "resync"),
    ):
        assert "public.entry" in site.cli.run(*words, program="londiste.py").err
    assert site.cli.run("replica.ini", "--json", "provider", "-q", "tables").json()[0]["name"] == "public.entry"
    quiet = site.cli.run("replica.ini", "provider", "remove", "entry", "-q")
    assert quiet.err == quiet.out == ""


def test_usage__exit_2(site: Site) -> None:
    for words, expected in (
        (["replica.ini", "provider", "ad", "entry"], 'Did you mean "add"?'),
        (["replica.ini", "replya"], 'Did you mean "replay"?'),
        (["replica.ini", "subscriber", "add", "--bogus", "entry"], "--bogus"),
        (["replica.ini", "wait", "--timeout", "soon"], "--timeout"),
        (["provider", "add", "entry"], "INI"),
        (["replica.ini"], "--help"),
    ):
        assert expected in site.cli.run(*words, code=2).err
    for words in (["--help"], ["replica.ini", "provider", "-h"], ["provider", "add", "--help"], ["-V"]):
        assert site.cli.run(*words).out


def test_replay_of_two_jobs__each_its_own_consumer(site: Site) -> None:
    site.both("create table entry (id int primary key)")
    site.run("provider", "add", "entry")
    assert '"replica" registered' in site.run("subscriber", "register").err
    assert "registered already" in site.run("subscriber", "register").err
    other = site.ini("other.ini", job_name="other one", pgq_consumer_id="other's")
    site.run("subscriber", "register", ini=other)
    found = site.provider.run("select consumer_name from pgq.get_consumer_info() order by 1")
    assert found == [("other's",), ("replica",)]
    assert "unregistered" in site.run("subscriber", "unregister", ini=other).err
    assert "was not registered" in site.run("subscriber", "unregister", ini=other).err
    assert site.provider.run("select consumer_name from pgq.get_consumer_info()") == [("replica",)]
