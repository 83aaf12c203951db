"""Every command has a row in the table of exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from londiste_lite import cli
from tests.fixtures.command_rows import ROWS
from tests.fixtures.in_process import Call


def commands(group: Any, path: str = "") -> Iterator[str]:
    """The paths of all commands below `group`."""
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from commands(child, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command__has_a_row_and_every_row_a_command() -> None:
    there, tried = set(commands(cli.build(False))), {row.path for row in ROWS}
    assert there - tried == set(), "add a row to tests/fixtures/command_rows.py"
    assert tried - there == set()


def test_row__of_a_command_that_takes_a_name_has_one_that_is_not_there() -> None:
    def arguments(path: str) -> list[str]:
        command: Any = cli.build(False)
        for name in path.split():
            command = command.commands[name]
        return [each.name for each in command.params if each.param_type_name == "argument"]

    named = {"names", "table", "tables", "queue"}
    tried = {row.path for row in ROWS if row.unknown}
    for row in ROWS:
        # What is created is a new name.
        if row.path != "create" and not row.alone and named & set(arguments(row.path)) and row.path not in tried:
            raise AssertionError(f"{row.path}: a row with an unknown name is missing")


def test_daemon_option__is_refused_where_it_means_nothing(tmp_path: Path, call: Call) -> None:
    assert {row.path for row in ROWS if row.alone} == {*cli.SERVICES, "demo"} - {"replay"}
    (tmp_path / "replica.ini").write_text(
        "[londiste]\nprovider_db = dbname=a\nsubscriber_db = dbname=b\npgq_queue_name = q\n"
    )
    for row in ROWS:
        if row.path.split()[0] not in cli.SERVICES:
            done = call(tmp_path, *row.command_line, "-d", code=2)
            assert "cannot run in the background" in done.err
            assert "-d is for `replay`, `relay`, `pull`, `push-pull`, `ticker`" in done.err
    assert "--once cannot run in the background" in call(tmp_path, "replica.ini", "replay", "-d", "--once", code=2).err
