"""States of a subscribed table."""

from __future__ import annotations

import itertools

import pytest

from londiste_lite.table_state import MOVES, BadTableState, TableState, check_move, parse


@pytest.mark.parametrize(
    ("stored", "state"),
    [
        (None, TableState.MISSING),
        ("in-copy", TableState.IN_COPY),
        ("catching-up", TableState.CATCHING_UP),
        ("ok", TableState.OK),
        ("?", TableState.OK),
        ("wanna-sync:77", TableState.CATCHING_UP),
        ("do-sync:5", TableState.CATCHING_UP),
    ],
)
def test_parse__words_of_londiste(stored: str | None, state: TableState) -> None:
    assert parse(stored) is state


@pytest.mark.parametrize("stored", ["", "OK", "done", "wannasync:1"])
def test_parse__unknown_word(stored: str) -> None:
    with pytest.raises(BadTableState) as error:
        parse(stored)
    assert stored in error.value.message
    assert error.value.hint


def test_shown__is_a_dash_for_missing() -> None:
    assert [state.shown for state in TableState] == ["-", "in-copy", "catching-up", "ok"]


def test_moves__only_the_listed_ones() -> None:
    for before, after in itertools.product(TableState, TableState):
        if (before, after) in MOVES:
            check_move(before, after)
        else:
            with pytest.raises(ValueError, match="forbidden move"):
                check_move(before, after)


def test_moves__nobody_skips_the_catching_up() -> None:
    assert (TableState.IN_COPY, TableState.OK) not in MOVES
    assert MOVES[TableState.IN_COPY, TableState.CATCHING_UP] == "copy"


def test_moves__every_state_can_be_left_and_reached() -> None:
    assert {before for before, _ in MOVES} == set(TableState) == {after for _, after in MOVES}
