"""Snapshots in text form, against a plain model of what PostgreSQL says of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from londiste_lite.snapshots import Snapshot


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    xmin = draw(st.integers(1, 30))
    xmax = draw(st.integers(xmin, 40))
    running = draw(st.sets(st.integers(xmin, xmax - 1))) if xmax > xmin else set()
    return Snapshot(min(running, default=xmax), xmax, frozenset(running))


def test_parse__text_of_the_server() -> None:
    assert Snapshot.parse("10:20:12,15") == Snapshot(10, 20, frozenset({12, 15}))
    assert Snapshot.parse("10:10:") == Snapshot(10, 10, frozenset())


@pytest.mark.parametrize("text", ["", "10", "10:20", "10:20:x", "a:b:c", "1:2:3:4"])
def test_parse__anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Snapshot.parse(text)


@settings(derandomize=True)
@given(snapshots())
def test_text__is_read_back(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot


def test_sees__below_between_and_beyond() -> None:
    snapshot = Snapshot.parse("10:20:10,15")
    assert [txid for txid in range(8, 23) if snapshot.sees(txid)] == [8, 9, 11, 12, 13, 14, 16, 17, 18, 19]


@settings(derandomize=True, max_examples=300)
@given(snapshots(), snapshots(), st.integers(0, 45))
def test_covers__is_a_comparison_of_what_both_see(one: Snapshot, other: Snapshot, ignoring: int) -> None:
    everything = range(1, 60)
    expected = all(one.sees(txid) for txid in everything if other.sees(txid))
    assert one.covers(other) == expected
    beyond = [txid for txid in everything if other.sees(txid) and not one.sees(txid)]
    if all(txid >= one.xmax for txid in beyond):
        assert one.covers(other, ignoring) == all(txid == ignoring for txid in beyond)


def test_covers__far_apart_snapshots_are_compared_at_once() -> None:
    assert not Snapshot(1, 1, frozenset()).covers(Snapshot(10**12, 10**12, frozenset()))
    assert Snapshot(10**12, 10**12, frozenset()).covers(Snapshot(1, 1, frozenset()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10:10:", "10:10:"),
        ("10:14:10,12", "12:13:12"),
        ("98:103:98,100", "100:104:100,102"),
        ("5:6:5", "20:25:20,22,24"),
        ("10:20:10,15,19", "11:13:11"),
    ],
)
def test_union__sees_what_either_sees(one: str, other: str) -> None:
    first, second = Snapshot.parse(one), Snapshot.parse(other)
    union = first.union(second)
    assert str(union) == str(second.union(first))
    for txid in range(1, 40):
        assert union.sees(txid) == (first.sees(txid) or second.sees(txid))
    assert union.covers(first)
    assert union.covers(second)
