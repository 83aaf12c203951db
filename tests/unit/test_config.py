"""Settings from INI files: defaults, old spellings, notes, and reports that name every problem."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from londiste_lite import config
from londiste_lite.config import BacklogBound, LondisteSettings, QueueSettings
from londiste_lite.errors import ConfigError

GOOD = """[londiste]
provider_db = dbname=a
subscriber_db = dbname=b
pgq_queue_name = londiste.write
"""
TICKER = "[pgqadm]\ndb = dbname=a\n"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str | bytes, name: str = "replica.ini") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def londiste(extra: str = "", text: str = GOOD) -> LondisteSettings:
    found = config.load(write(text + extra))
    assert isinstance(found, LondisteSettings)
    return found


def queue(extra: str = "") -> QueueSettings:
    found = config.load(write(TICKER + extra, "ticker.ini"))
    assert isinstance(found, QueueSettings)
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(write(text))
    return caught.value.message.split("\n")


def notes(settings: config.Settings, level: int) -> list[str]:
    return [note.text for note in settings.notes if note.level == level]


def test_load__defaults() -> None:
    found = londiste()
    assert (found.section, found.job_name, found.consumer, found.queue) == (
        "londiste",
        "londiste",
        "londiste",
        "londiste.write",
    )
    assert (found.pidfile, found.logfile, found.log_size, found.log_count) == (None, None, 10485760, 3)
    assert (found.loop_delay, found.connection_lifetime, found.lock_timeout) == (1.0, 1200.0, 10.0)
    assert (found.apply, found.on_error, found.parallel_copies, found.copy_jobs) == ("bulk", "stop", 2, 2)
    assert (found.max_batch_rows, found.park_after, found.metrics_port) == (500000, None, 0)
    assert (found.node, found.compare_sql, found.use_skylog) == (None, "", False)
    assert found.notes == ()
    assert dict(found.extra) == {}


def test_load__queue_defaults() -> None:
    found = queue()
    assert (found.db, found.maint_delay, found.queue_refresh_period, found.ticker_log_delay) == (
        "dbname=a",
        300.0,
        1.0,
        300.0,
    )


def test_load__files_of_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    found = queue(
        "job_name = ticker_master\nmaint_delay_min = 1\nloop_delay = 0.1\nlogfile = %(job_name)s.log\n"
        "pidfile = %(job_name)s.pid\nuse_skylog = 0\n"
    )
    assert found.maint_delay == 60.0
    assert found.loop_delay == 0.1
    assert found.pidfile == Path.cwd() / "ticker_master.pid"
    assert notes(found, logging.DEBUG) == [
        "ticker.ini: [pgqadm] maint_delay_min: the key is now called maint_delay (minutes there, seconds here)"
    ]
    assert notes(found, logging.WARNING) == []


def test_maint_delay__wins_over_the_old_spelling() -> None:
    found = queue("maint_delay_min = 1\nmaint_delay = 90\n")
    assert found.maint_delay == 90.0


def test_interpolation__builtin_names_and_default_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = londiste(
        "job_name = %(service_name)s_%(host_name)s\npidfile = ~/run/%(job_name)s.pid\nlogfile = %(where)s/x.log\n",
        "[DEFAULT]\nwhere = /var/log\nlog_count = 7\n" + GOOD,
    )
    assert found.job_name == f"londiste_{socket.gethostname()}"
    assert found.pidfile == Path(f"/home/me/run/{found.job_name}.pid")
    assert found.logfile == Path("/var/log/x.log")
    assert found.log_count == 7
    assert found.consumer == found.job_name


def test_consumer__named_apart_from_the_job() -> None:
    assert londiste("job_name = j\npgq_consumer_id = c\n").consumer == "c"


def test_connection_uri__keeps_percent_encoding() -> None:
    text = GOOD.replace("dbname=a", "postgresql://u:p%40x@h/db")
    assert londiste(text=text).provider_db == "postgresql://u:p%40x@h/db"


def test_connection_string__over_several_lines() -> None:
    text = GOOD.replace("dbname=a", "dbname=a\n    host=h")
    assert londiste(text=text).provider_db.split() == ["dbname=a", "host=h"]


def test_repr__holds_no_connection_string() -> None:
    assert "secret" not in repr(londiste(text=GOOD.replace("dbname=a", "dbname=a password=secret")))


def test_latin_1_and_bom__do_not_stop_the_reader() -> None:
    assert londiste(text="﻿" + GOOD).queue == "londiste.write"
    found = config.load(write(GOOD.replace("londiste.write", "käse").encode("latin-1")))
    assert isinstance(found, LondisteSettings)
    assert found.queue == "käse"


def test_unknown_key__warns_with_the_nearest() -> None:
    found = londiste("pgq_queu_name = x\nzzzz = 1\nqueue_refresh_period = 5\n")
    assert notes(found, logging.WARNING) == [
        'replica.ini: [londiste] pgq_queu_name: unknown key, ignored; did you mean "pgq_queue_name"?',
        "replica.ini: [londiste] zzzz: unknown key, ignored",
        "replica.ini: [londiste] queue_refresh_period: unknown key, ignored; it belongs to [pgqadm]",
    ]
    assert dict(found.extra) == {"pgq_queu_name": "x", "zzzz": "1", "queue_refresh_period": "5"}


def test_unknown_key__that_others_refer_to_is_no_mistake() -> None:
    found = londiste("base = /tmp\npidfile = %(base)s/x.pid\n")
    assert found.notes == ()
    assert found.pidfile == Path("/tmp/x.pid")


@pytest.mark.parametrize("key", ["mirror_queue", "method", "fake", "file_dst", "file_src", "maint_delay"])
def test_old_keys__are_accepted_with_one_line(key: str) -> None:
    found = londiste(f"{key} = 5\n")
    assert len(found.notes) == 1
    assert found.notes[0].level == logging.INFO
    assert f"{key}: ignored" in found.notes[0].text


def test_old_keys__say_nothing_when_empty_or_off() -> None:
    assert londiste('mirror_queue = ""\nfake = 0\n').notes == ()


@pytest.mark.parametrize("key", ["idle_interval", "max_events", "max_lag"])
def test_old_keys_of_the_ticker__say_where_they_are_set_now(key: str) -> None:
    (note,) = queue(f"{key} = 5\n").notes
    assert note.level == logging.INFO
    assert f"{key}: ignored: set it per queue: `config QUEUE ticker_" in note.text


def test_an_old_file__with_every_freedom_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = """# comment before
REM and of the other kind
[other]
job_name = not this
zork = %(nothing)s
[DEFAULT]
Base : ~/lon ; where all lies
job_name = from_default
[londiste] ; once [this]
JOB_NAME=old_%(Service_Name)s	; inline
provider_db = dbname=a host=h
    port=5433
  # port=1
provider_db = dbname=real
    host = h
subscriber_db: dbname=b password=100%% options='-c x=1;y'
pgq_queue_name=londiste.write # no comment: part of it
pgq_consumer_id = ""
pidfile = %(base)s/%(job_name)s.pid
logfile = log/%(job_name)s.log
lock_timeout = 0
connection_lifetime = 0
use_skylog = off
compare_sql = select count(1)
  # kept
  from _TABLE_
[londiste]
log_count = 5
"""
    found = londiste(text=text)
    assert found.job_name == found.consumer == "old_londiste"
    assert found.provider_db.split() == ["dbname=real", "host", "=", "h"]
    assert found.subscriber_db == "dbname=b password=100% options='-c x=1;y'"
    assert found.queue == "londiste.write # no comment: part of it"
    assert found.pidfile == Path("/home/me/lon/old_londiste.pid")
    assert found.logfile == Path.cwd() / "log/old_londiste.log"
    assert (found.lock_timeout, found.connection_lifetime, found.use_skylog, found.log_count) == (0.0, 0.0, False, 5)
    assert found.compare_sql == "select count(1)\n# kept\nfrom _TABLE_"
    assert found.notes == ()


def test_job_name__of_the_default_section_then_of_the_section_itself() -> None:
    assert londiste(text="[DEFAULT]\njob_name = d\n" + GOOD).job_name == "d"
    assert londiste('job_name = ""\n').job_name == "londiste"


@pytest.mark.parametrize("word", ["1", "on", "yes", "true", "TRUE", "Yes"])
def test_flags__on_in_every_spelling(word: str) -> None:
    assert londiste(f"use_skylog = {word}\n").use_skylog is True


@pytest.mark.parametrize("word", ["0", "off", "no", "false", "Off", '""'])
def test_flags__off_in_every_spelling(word: str) -> None:
    assert londiste(f"use_skylog = {word}\n").use_skylog is False


def test_use_skylog__says_what_it_does() -> None:
    found = londiste("use_skylog = 1\n")
    assert found.use_skylog is True
    assert "skylog.ini is not read" in found.notes[0].text


def test_loop_delay__below_the_least_is_lifted_not_refused() -> None:
    found = londiste("loop_delay = 0\n")
    assert found.loop_delay == 0.1
    assert "0 is below the smallest value; 0.1 is used" in found.notes[0].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5000000", BacklogBound(events=5000000)),
        ("24h", BacklogBound(seconds=86400.0)),
        ("1.5 d", BacklogBound(seconds=129600.0)),
        ('""', None),
    ],
)
def test_park_after(text: str, expected: BacklogBound | None) -> None:
    assert londiste(f"park_after = {text}\n").park_after == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("loop_delay = fast", 'loop_delay: expected a number of seconds between 0.1 and 3600, got "fast"'),
        ("loop_delay = -1", 'loop_delay: expected a number of seconds between 0.1 and 3600, got "-1"'),
        ("loop_delay = nan", 'loop_delay: expected a number of seconds between 0.1 and 3600, got "nan"'),
        ("loop_delay = 1e400", 'loop_delay: expected a number of seconds between 0.1 and 3600, got "1e400"'),
        ("lock_timeout = 0,5", 'lock_timeout: expected a number of seconds between 0 and 86400, got "0,5"'),
        ("log_count = 1_0", 'log_count: expected a whole number between 0 and 1000, got "1_0"'),
        ("log_size = 10MB", 'log_size: expected a whole number of bytes between 0 and 1099511627776, got "10MB"'),
        ("copy_jobs = 0", 'copy_jobs: expected a whole number between 1 and 64, got "0"'),
        ("metrics_port = 65536", 'metrics_port: expected a whole number between 0 and 65535, got "65536"'),
        ("use_skylog = maybe", 'use_skylog: expected 0 or 1, got "maybe"'),
        ("apply = all", 'apply: expected "bulk" or "ordered", got "all"'),
        ("on_error = go", 'on_error: expected "stop" or "park", got "go"'),
        ("park_after = soon", "park_after: expected a number of events (5000000) or a time (90m, 24h, 7d)"),
        ("pgq_queue_name = a\x01b", 'pgq_queue_name: expected a name without control characters, got "a?b"'),
        ("pgq_queue_name = " + "q" * 129, "pgq_queue_name: expected a name of at most 128 characters"),
        ("pidfile = %(nope)s.pid", 'pidfile: there is no key "nope" for %(nope)s'),
        ("node = %(node)s", "node: the references go round in a circle"),
    ],
)
def test_bad_value__names_file_section_key_and_what_was_expected(line: str, expected: str) -> None:
    found = problems(GOOD + line + "\n")
    assert len(found) == 1
    assert found[0].startswith(f"replica.ini: [londiste] {expected}")


def test_queue_name__dots_and_any_printable_characters() -> None:
    assert londiste(text=GOOD.replace("londiste.write", "Käse 'x' $1.a-b")).queue == "Käse 'x' $1.a-b"


def test_bad_dsn__is_not_shown() -> None:
    found = problems(GOOD.replace("dbname=a", "sekret"))
    assert found == [
        'replica.ini: [londiste] provider_db: expected keywords such as "dbname=shop host=db1" or a postgresql:// URI'
    ]


@pytest.mark.parametrize("key", ["provider_db", "subscriber_db"])
@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("dbname=x hots=y", 'not a connection string: invalid connection option "hots"'),
        ("dbname=x password=sekret twosekrets", "not a connection string: check its spelling and quotes"),
        ("postgresql://me:sekret@[h/x", "not a connection string: check its spelling and quotes"),
        ("nonsense", "expected keywords such as"),
    ],
)
def test_dsn_that_the_driver_cannot_read__names_the_key_and_hides_passwords(key: str, dsn: str, expected: str) -> None:
    before = {"provider_db": "dbname=a", "subscriber_db": "dbname=b"}[key]
    found = problems(GOOD.replace(before, dsn))
    assert len(found) == 1
    assert found[0].startswith(f"replica.ini: [londiste] {key}: {expected}")
    assert "sekret" not in found[0]


def test_all_problems__in_one_report() -> None:
    found = problems('oops\n[londiste]\nloop_delay = fast\npgq_queue_name = ""\nprovider_db = dbname=x\nzork\n')
    assert found == [
        'replica.ini: line 1: expected a "[section]" line first, got "oops"',
        'replica.ini: line 6: expected "key = value", got "zork"',
        'replica.ini: [londiste] loop_delay: expected a number of seconds between 0.1 and 3600, got "fast"',
        "replica.ini: [londiste] subscriber_db: is required, but missing",
        "replica.ini: [londiste] pgq_queue_name: is required, but empty",
    ]


@pytest.mark.parametrize("other", ["dbname=a", " dbname=a ", "dbname=a host=h"])
def test_same_database_twice__is_an_error(other: str) -> None:
    text = GOOD.replace("dbname=b", other).replace(
        "provider_db = dbname=a", f"provider_db = {' '.join(other.split()[::-1])}"
    )
    assert problems(text) == ["replica.ini: [londiste] provider_db and subscriber_db are the same database"]


def test_missing_section__says_which_there_are() -> None:
    assert problems("[replica]\na=1\n") == ["replica.ini: expected a section [londiste] or [pgqadm], found [replica]"]
    assert problems("") == ["replica.ini: expected a section [londiste] or [pgqadm], found no section at all"]
    assert problems("[Londiste]\na=1\n")[0].endswith("found [Londiste] (case matters)")


def test_file__missing_directory_unreadable() -> None:
    for path, expected in (("none.ini", "there is no such file"), (".", "this is a directory"), ("a\0b", "cannot be")):
        with pytest.raises(ConfigError, match=expected):
            config.load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file__not_readable() -> None:
    path = write(GOOD)
    os.chmod(path, 0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        config.load(path)


def test_both_sections__chosen_by_name() -> None:
    path = write(GOOD + TICKER)
    assert isinstance(config.load(path), LondisteSettings)
    assert isinstance(config.load(path, "pgqadm"), QueueSettings)
    assert config.sections_of(path) == ("londiste", "pgqadm")


def test_service__free_keys_and_other_sections() -> None:
    text = "[DEFAULT]\ndst = dbname=d\n[pull]\nnode = 7\nSrc_Db = dbname=%(node)s\n"
    text += "[node:7]\nx = %(service_name)s %(bad)s\n"
    found = config.load_service(write(text), "pull")
    assert found.values["node"] == "7"
    assert found.values["src_db"] == "dbname=7"
    assert found.values["dst"] == "dbname=d"
    assert found.sections["node:7"]["x"] == "%(service_name)s %(bad)s"
    assert found.job_name == "pull"
    assert found.notes == ()
    with pytest.raises(TypeError):
        found.values["node"] = "8"  # type: ignore[index]
