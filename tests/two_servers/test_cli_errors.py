"""What goes wrong: a message and a hint, exit code 1, never a traceback, a password or a success that is none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from londiste_lite import db
from londiste_lite.errors import SchemaError
from tests.fixtures.cli import BIN, PASSWORD, CommandLine, Site

# One command of each kind, by the sides that it connects to.
PROVIDER = [
    ("provider", "install"),
    ("provider", "add", "entry"),
    ("provider", "remove", "entry"),
    ("provider", "tables"),
    ("provider", "add-seq", "entry_id_seq"),
    ("provider", "remove-seq", "entry_id_seq"),
    ("provider", "seqs"),
]
SUBSCRIBER = [
    ("subscriber", "install"),
    ("subscriber", "remove", "entry"),
    ("subscriber", "tables"),
    ("subscriber", "remove-seq", "entry_id_seq"),
    ("subscriber", "seqs"),
    ("subscriber", "resync", "--all"),
    ("replay", "--reset"),
]
BOTH = [
    ("subscriber", "add", "entry"),
    ("subscriber", "add-seq", "entry_id_seq"),
    ("subscriber", "missing"),
    ("subscriber", "register"),
    ("subscriber", "unregister"),
    ("replay", "--once"),
    ("replay", "--rewind"),
    ("wait", "--timeout", "1"),
    ("status",),
]


def test_not_installed__every_command_says_what_to_run(new_site: Callable[..., Site]) -> None:
    site = new_site(installed=False)
    site.both("create table entry (id serial primary key)")
    for words in PROVIDER[1:5:3] + PROVIDER[6:] + BOTH[:1] + BOTH[5:]:
        assert "Run `provider install` first" in site.run(*words, code=1).err
    for words in SUBSCRIBER[1:3]:
        assert "Run `subscriber install` first" in site.run(*words, code=1).err
    site.run("provider", "install")
    for words in BOTH[3:6]:
        assert "Run `subscriber install` first" in site.run(*words, code=1).err


def test_queue_is_not_there__nearest_name(site: Site) -> None:
    wrong = site.ini("wrong.ini", pgq_queue_name="londiste.wirte")
    for words in (*PROVIDER[1:], *BOTH):
        done = site.run(*words, ini=wrong, code=1)
        assert 'no event queue "londiste.wirte"' in done.err
        assert 'Did you mean "londiste.write"?' in done.err


def test_ini__what_is_wrong_with_it(shell: CommandLine) -> None:
    good = {"provider_db": "dbname=a", "subscriber_db": "dbname=b", "pgq_queue_name": "q"}
    for name, keys, expected in (
        ("key", {"pgq_queue_name": None}, "pgq_queue_name"),
        ("empty", {"provider_db": ""}, "provider_db"),
        ("dsn", {"provider_db": "dbname=a hots=b"}, "hots"),
        ("dsn2", {"subscriber_db": f"dbname=b password={PASSWORD} host"}, "subscriber_db"),
        ("uri", {"subscriber_db": f"postgresql://me:{PASSWORD}@[host/db"}, "subscriber_db"),
        ("same", {"subscriber_db": "dbname=a"}, "same database"),
        ("number", {"lock_timeout": "soon"}, "lock_timeout"),
        ("choice", {"apply": "bluk"}, "apply"),
    ):
        lines = [f"{key} = {value}" for key, value in {**good, **keys}.items() if value is not None]
        shell.write(f"{name}.ini", "[londiste]\n" + "\n".join(lines) + "\n")
        done = shell.run(f"{name}.ini", "provider", "tables", code=1)
        assert expected in done.err
        assert f"{name}.ini" in done.err
    assert "no such file" in shell.run("none.ini", "provider", "tables", code=1).err
    shell.write("section.ini", "[londsite]\npgq_queue_name = q\n")
    assert "[londiste]" in shell.run("section.ini", "replay", code=1).err
    shell.write("ticker.ini", "[pgqadm]\ndb = dbname=a\n")
    other = shell.run("ticker.ini", "provider", "tables", code=1)
    assert "[londiste]" in other.err
    assert "[pgqadm]" in other.err
    # A daemon that cannot start says so in the shell, and leaves nothing behind.
    assert "pgq_queue_name" in shell.run("key.ini", "replay", "-d", code=1).err
    shell.write("good.ini", "[londiste]\n" + "\n".join(f"{k} = {v}" for k, v in good.items()))
    assert "pidfile" in shell.run("good.ini", "replay", "-d", code=1).err
    shell.write(
        "log.ini", (shell.folder / "good.ini").read_text() + "\npidfile = x.pid\nlogfile = no/such/folder.log\n"
    )
    assert "logfile" in shell.run("log.ini", "replay", "-d", code=1).err
    assert not list(shell.folder.glob("*.pid"))


def test_same_database__under_different_spellings(site: Site) -> None:
    site.provider.script("create table entry (id int primary key)")
    server, name = site.servers[0], site.provider.dbname
    spellings = [
        server.tcp_dsn(name),
        f"postgresql://postgres@localhost:{server.port}/{name}",
        f"dbname='{name}' user=postgres host={server.folder} port={server.port} application_name=other",
    ]
    site.run("provider", "add", "entry")
    for number, dsn in enumerate(spellings):
        ini = site.ini(f"same{number}.ini", subscriber_db=dsn)
        for words in (("subscriber", "add", "entry"), ("replay", "--once"))[: 2 if number == 0 else 1]:
            done = site.run(*words, ini=ini, code=1)
            assert "same database" in done.err
    # The same name on another server is another database.
    site.run("subscriber", "missing")


def test_newer_schema__is_not_touched(site: Site) -> None:
    site.both("update londiste.schema_version set version = 4711 where component = 'londiste'")
    for words in (("provider", "install"), ("provider", "tables"), ("subscriber", "install"), ("subscriber", "tables"),
                  ("status",), ("replay", "--once"), ("wait", "--timeout", "1")):  # fmt: skip
        done = site.run(*words, code=1)
        assert "4711" in done.err
        assert "newer londiste_lite" in done.err
    assert site.provider.run("select version from londiste.schema_version where component = 'londiste'") == [(4711,)]


def test_older_schema__says_which_command_upgrades(site: Site) -> None:
    site.both("update londiste.schema_version set version = 0 where component = 'londiste'")
    assert "provider install" in site.run("provider", "tables", code=1).err
    assert "subscriber install" in site.run("subscriber", "tables", code=1).err
    assert "upgraded" in site.run("provider", "install").err
    site.run("provider", "tables")


def test_table_is_locked__lock_timeout(site: Site) -> None:
    site.provider.script("create table entry (id int primary key)")
    ini = site.ini("impatient.ini", lock_timeout="0.3")
    with site.provider.transaction():
        site.provider.script("lock table entry in row exclusive mode")
        done = site.run("provider", "add", "entry", ini=ini, code=1)
    assert "lock" in done.err
    assert "lock_timeout" in done.err
    assert site.run("provider", "tables").out == ""
    site.run("provider", "add", "entry", ini=ini)


def test_output_that_cannot_be_written__is_no_success(site: Site) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BIN / "londiste_lite", "replica.ini", "status"],
            cwd=site.cli.folder, env=site.cli.environment, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_old_server__is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # PostgreSQL 12 is not at hand, so the limit is raised instead of the server lowered.
    monkeypatch.setattr(db, "OLDEST_SERVER", 200000)
    with pytest.raises(SchemaError, match=r"is PostgreSQL 16\.\d+.*too old") as refused:
        db.connect(site.provider_dsn, job="test", role="test")
    assert "PostgreSQL 13 and later" in str(refused.value.hint)
    assert PASSWORD not in str(refused.value)
