"""The table of INI keys, and the sample files made from it."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from londiste_lite import config, manual, option_values, options
from londiste_lite.config import LondisteSettings, QueueSettings
from londiste_lite.options import LONDISTE, OPTIONS, QUEUE

ROOT = Path(__file__).resolve().parents[2]

COMMON = {"job_name", "pidfile", "logfile", "log_size", "log_count", "use_skylog", "loop_delay", "connection_lifetime"}
CONTRACT = {
    LONDISTE: {
        *COMMON,
        *("provider_db", "subscriber_db", "pgq_queue_name", "pgq_consumer_id", "lock_timeout", "compare_sql", "node"),
        *("apply", "on_error", "parallel_copies", "copy_jobs", "max_batch_rows", "park_after", "metrics_port"),
    },
    QUEUE: {*COMMON, "db", "maint_delay", "maint_delay_min", "queue_refresh_period", "ticker_log_delay"},
}
SAMPLES = {LONDISTE: ("examples/replica.ini", LondisteSettings), QUEUE: ("examples/ticker.ini", QueueSettings)}


@pytest.mark.parametrize("section", options.SECTIONS)
def test_table__has_every_key_once(section: str) -> None:
    names = [row.name for row in OPTIONS if section in row.sections and not row.ignored]
    assert sorted(names) == sorted(CONTRACT[section])
    every = [row.name for row in OPTIONS if section in row.sections]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: f"{row.sections[-1]}-{row.name}")
def test_row__is_complete(row: options.Option) -> None:
    assert row.help.endswith(".")
    assert "\n" not in row.help
    assert len(row.help) <= 118
    option_values.parse(row, row.default)
    if row.sample:
        option_values.parse(row, row.sample)
    if row.kind in ("integer", "seconds"):
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.high


@pytest.mark.parametrize("section", options.SECTIONS)
def test_sample__lists_each_key_with_a_line_of_help(section: str) -> None:
    text = (ROOT / SAMPLES[section][0]).read_text()
    keys = re.findall(r"^# .*\.\n#?(\w+) = .*\S$", text, re.MULTILINE)
    assert sorted(keys) == sorted(CONTRACT[section])


@pytest.mark.parametrize("section", options.SECTIONS)
def test_sample__loads_and_its_comments_are_the_defaults(section: str, tmp_path: Path) -> None:
    name, kind = SAMPLES[section]
    text = (ROOT / name).read_text()
    as_is, spelt_out = tmp_path / "as_is.ini", tmp_path / "spelt_out.ini"
    as_is.write_text(text)
    samples = {row.name for row in OPTIONS if row.sample and not row.default}
    spelt_out.write_text(
        re.sub(r"^#(\w+)(?= = )", lambda m: m[0] if m[1] in samples else m[1], text, flags=re.MULTILINE)
    )
    first, second = config.load(as_is), config.load(spelt_out)
    assert isinstance(first, kind)
    assert first.notes == ()
    assert not [note for note in second.notes if note.level >= logging.WARNING]
    assert first == replace(second, path=first.path)


@pytest.mark.parametrize("section", options.SECTIONS)
def test_sample__every_commented_key_may_be_uncommented(section: str, tmp_path: Path) -> None:
    text = (ROOT / SAMPLES[section][0]).read_text()
    path = tmp_path / "all.ini"
    path.write_text(re.sub(r"^#(?=\w)", "", text, flags=re.MULTILINE))
    warned = [note.text for note in config.load(path).notes if note.level >= logging.WARNING]
    planned = [row.name for row in OPTIONS if row.planned and section in row.sections]
    assert [text for text in warned if not text.endswith("it has no effect yet")] == []
    assert all(any(f" {name}: " in text for name in planned) for text in warned)


@pytest.mark.parametrize("name", sorted(manual.files()))
def test_generated_file__is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == manual.files()[name], "run `make docs`"


def test_manual__writes_what_is_stale_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manual.main(tmp_path, check=True) == 1
    assert not (tmp_path / "examples").exists()
    assert manual.main(tmp_path, check=False) == 0
    assert (tmp_path / "examples/replica.ini").read_text() == manual.sample_ini(LONDISTE, "replica")
    assert "wrote: examples/ticker.ini" in capsys.readouterr().out
    assert manual.main(tmp_path, check=True) == 0
