"""The manual page: complete, and roff that a formatter takes without a complaint."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from londiste_lite import cli
from londiste_lite.man_page import man_page
from londiste_lite.options import OPTIONS
from tests.fixtures.command_rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "londiste_lite.1"


def test_man_page__has_every_command_option_and_key() -> None:
    text = man_page(cli.build(pretty=False)).replace("\\-", "-")
    for row in ROWS:
        assert re.search(rf'^\.SS "{re.escape(row.path)}[ "]', text, re.MULTILINE), row.path
    for key in OPTIONS:
        assert key.ignored or f'.B "{key.name}"' in text, key.name
    for option in ("--daemon", "--dest-table DEST_TABLE", "--node-column NODE_COLUMN", "--timeout TIMEOUT"):
        assert re.search(rf'^\.B ".*{re.escape(option)}"', text, re.MULTILINE), option
    assert "\n.SH EXIT STATUS\n" in text


def test_man_page__no_line_acts_by_mistake() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        assert not line.startswith("'"), line
        if line.startswith("."):
            assert re.match(r'\.(\\"|TH|SH|SS|PP|TP|B|BR)( |$)', line), line


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_page__is_formatted_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(PAGE)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert "restore-triggers" in done.stdout
