"""What the documentation names must exist: linked places, files, commands, options, INI keys, make targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from londiste_lite import arguments, cli, options
from londiste_lite.arguments import Command
from londiste_lite.errors import UsageError
from londiste_lite.snapshots import Snapshot
from tests.fixtures import docs

PROGRAMS = ("londiste_lite", "londiste.py", "pgqadm.py")
WRITTEN = [page for page in docs.PAGES if page.name != "commands.md"]  # commands.md is generated

every_page = pytest.mark.parametrize("page", WRITTEN, ids=[str(page.relative_to(docs.ROOT)) for page in WRITTEN])


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_links__lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", docs.prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), target


@every_page
def test_paths__of_the_project_exist(page: Path) -> None:
    for code in docs.inline_code(page):
        if re.fullmatch(r"(londiste_lite|sql|tests|docs|examples|benchmarks)/[\w./-]*", code):
            assert (docs.ROOT / code).exists(), code


@pytest.fixture(scope="module")
def top() -> Command:
    return cli.describe(cli.build(pretty=False))


@every_page
def test_commands_in_blocks__are_known(page: Path, top: Command) -> None:
    for line in docs.commands(page):
        for words in _simple_commands(line):
            if words and Path(words[0]).name in PROGRAMS:
                _check(words[1:], top, line)


def _simple_commands(line: str) -> list[list[str]]:
    """Split a shell line at pipes and the like, outside of quotes."""
    found: list[list[str]] = [[]]
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    words.whitespace_split = True
    for word in words:
        if word.strip("|&;"):
            found[-1].append(word)
        else:
            found.append([])
    return found


@every_page
def test_commands_in_text__are_known(page: Path, top: Command) -> None:
    for code in docs.inline_code(page):
        words = shlex.split(code) if "'" not in code else code.split()
        if words[0] in PROGRAMS and len(words) > 1:
            _check(words[1:], top, code)
        elif words[0] in top.children and len(words) > 1:
            _check(["some.ini", *words], top, code)


def _check(words: list[str], top: Command, shown: str) -> None:
    try:
        ordered = arguments.order(words, top)
    except UsageError as error:
        raise AssertionError(f"{shown}: {error}") from None
    known, here = dict(top.options), top
    for word in ordered:
        if word in here.children:
            here = here.children[word]
            known.update(here.options)
    assert not here.children or here is top or words[-1] in ("--help", "-h"), f"{shown}: no command of the group"
    unknown = [word for word in ordered if word.startswith("-") and word.partition("=")[0] not in known]
    assert not unknown, f"{shown}: {unknown}"


@every_page
def test_ini_keys__are_known(page: Path) -> None:
    every = {row.name for row in options.OPTIONS}
    for block in docs.blocks(page):
        if block.language == "ini":
            section = ""
            for line in block.text.splitlines():
                if line.startswith("["):
                    section = line.strip("[]")
                elif "=" in line and not line.startswith(("#", ";")):
                    known = every if section == "DEFAULT" else set(options.of_section(section))
                    assert line.partition("=")[0].strip() in known, line
    for code in docs.inline_code(page):
        match = re.match(r"([a-z_]+) = ", code)
        assert not match or match[1] in every, code
    for key in _key_column(docs.prose(page)):
        assert key in every, key


def _key_column(text: str) -> list[str]:
    """The first column of tables whose first column is called `Key`."""
    found: list[str] = []
    for table in re.findall(r"^\| Key \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.M):
        for row in table.splitlines():
            found += re.findall(r"`([^`]+)`", row.split("|")[1])
    return found


@every_page
def test_make_targets__exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (docs.ROOT / "Makefile").read_text(), re.M))
    shown = [*docs.inline_code(page), *docs.commands(page)]
    for line in shown:
        match = re.match(r"make ([a-z]+)", line)
        assert not match or match[1] in targets, line


def test_changelog__is_about_this_version() -> None:
    from londiste_lite import __version__

    assert f"## {__version__} - " in (docs.ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("100:104:100,102", "106:106:", {100, 102, 104, 105}),
        ("100:104:100,102", "98:103:98,100", {102}),
        ("98:103:98,100", "105:105:", {98, 100, 103, 104}),
    ],
)
def test_worked_example__of_how_it_works(earlier: str, later: str, expected: set[int]) -> None:
    """The numbers of the page's example are what the rule gives."""
    text = (docs.ROOT / "docs/how-it-works.md").read_text()
    assert f"`{earlier}`" in text
    assert f"`{later}`" in text
    before, after = Snapshot.parse(earlier), Snapshot.parse(later)
    assert {txid for txid in range(90, 110) if after.sees(txid) and not before.sees(txid)} == expected
