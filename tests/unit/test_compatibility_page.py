"""The page about Londiste 2.1 names tests that exist, at least one for each line."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page__each_line_is_shown_by_tests_that_exist() -> None:
    page = (ROOT / "docs" / "londiste-2.1-compatibility.md").read_text(encoding="utf-8")
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.endswith("| Shown by |")]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1])
        assert named, row
        assert set(named) <= there, row
