"""INI files that nobody should write: each gives one clear report and exit code 1 on the command line, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from londiste_lite import config
from londiste_lite.errors import ConfigError

HEAD = "[londiste]\nprovider_db = dbname=a\nsubscriber_db = dbname=b\npgq_queue_name = q\n"

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "found no section at all"),
    "only comments": (b"# a\n; b\nrem c\n", "found no section at all"),
    "nul bytes": (b"[londiste]\0\n", "not a text file"),
    "utf-16": (HEAD.encode("utf-16"), "not a text file"),
    "binary": (bytes(range(1, 256)) * 20, "expected a section"),
    "json": (b'{"londiste": {"provider_db": "x"}}', 'expected a "[section]" line first'),
    "no section": (b"provider_db = dbname=a\n", 'line 1: expected a "[section]" line first'),
    "unclosed section": (b"[londiste\nprovider_db = x=1\n", 'line 1: expected a "[section]" line first'),
    "empty section name": (b"[]\na = 1\n", 'line 1: expected a "[section]" line first'),
    "section only": (b"[londiste]\n", "[londiste] pgq_queue_name: is required, but missing"),
    "values missing": (b"[londiste]\nprovider_db\nsubscriber_db\n", 'line 2: expected "key = value"'),
    "circle": (
        HEAD.encode() + b"node = %(job_name)s\njob_name = %(node)s\n",
        "[londiste] job_name: the references go round in a circle",
    ),
    "self reference": (HEAD.encode() + b"job_name = %(job_name)s_x\n", "[londiste] job_name: the references go round"),
    "bomb": (
        HEAD.encode() + b"".join(b"k%d = %s\n" % (n, b"%%(k%d)s" % (n + 1) * 50) for n in range(9)) + b"k9 = xxxxxx\n",
        "too long",
    ),
    "huge number": (HEAD.encode() + b"copy_jobs = " + b"9" * 10000, "[londiste] copy_jobs: expected a whole number"),
    "other digits": (HEAD.encode() + "copy_jobs = ٣\n".encode(), "[londiste] copy_jobs: expected a whole number"),
    "infinite": (HEAD.encode() + b"loop_delay = inf\n", "[londiste] loop_delay: expected a number of seconds"),
    "escape in a name": (
        HEAD.encode() + b"job_name = a\x1b[31mb\n",
        '[londiste] job_name: expected a name without control characters, got "a?[31mb"',
    ),
    "newline in a name": (HEAD.encode() + b"job_name = a\n  b\n", "[londiste] job_name: expected a name without"),
    "huge name": (
        HEAD.encode() + b"job_name = " + b"x" * 1000,
        "[londiste] job_name: expected a name of at most 128 characters",
    ),
    "huge value": (
        HEAD.encode() + b"job_name = " + b"x" * 1_000_000,
        "[londiste] job_name: the value becomes too long",
    ),
    "directory as pidfile name": (HEAD.encode() + b"pidfile = a\x07b\n", "[londiste] pidfile: expected a file name"),
    "same database": (HEAD.replace("dbname=b", "dbname=a").encode(), "are the same database"),
    "open reference": (HEAD.encode() + b"job_name = %(\n", '[londiste] job_name: "%(" without ")s"'),
    "ticker without database": (b"[pgqadm]\nmaint_delay_min = 5\n", "[pgqadm] db: is required, but missing"),
    "ticker every never": (b"[pgqadm]\ndb = dbname=a\nmaint_delay_min = 1e9\n", "[pgqadm] maint_delay_min: expected"),
    "binary behind a good head": (HEAD.encode() + b"\x80\xff\x01\x02 \x1b[2J\n", "line 5: expected"),
    "two sections on one line": (
        b"[londiste] [pgqadm]\nprovider_db = dbname=a\n",
        "[londiste] subscriber_db: is required",
    ),
    "typographic quotes": (
        HEAD.replace("dbname=a", "\u201cdbname=a\u201d").encode(),
        "[londiste] provider_db: expected",
    ),
    "uri without end": (
        HEAD.replace("dbname=a", "postgresql://[::1").encode(),
        "[londiste] provider_db: not a connection",
    ),
    "quoted dsn": (
        HEAD.replace("dbname=a", '"dbname=a"').encode(),
        "[londiste] provider_db: expected keywords such as",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_report__is_clear(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    path = tmp_path / "x.ini"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    lines = caught.value.message.split("\n")
    assert expected in caught.value.message
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert all(line.isprintable() and len(line) < 400 for line in lines)
    assert len(lines) == len(set(lines)) <= 20


@pytest.mark.parametrize("name", ["binary", "json", "bomb", "section only", "huge number"])
def test_command_line__one_report_and_no_traceback(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ini"
    path.write_bytes(FILES[name][0])
    done = subprocess.run(
        [sys.executable, "-m", "londiste_lite", str(path), "provider", "tables"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert FILES[name][1] in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())
    assert done.stdout == ""
