"""Which sequence values are carried; the two databases are played by small stand-ins."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from londiste_lite.errors import DatabaseError
from londiste_lite.names import QualifiedName
from londiste_lite.sequences import SequenceSync

A, B = QualifiedName("public", "a"), QualifiedName("public", "b")
BIG = 2**63 - 1


class Side:
    """Answers the statements of sequences.py for a dictionary of sequences."""

    def __init__(self, values: dict[QualifiedName, tuple[int, bool]], greatest: int = BIG) -> None:
        self.values = values
        self.greatest = greatest
        self.written: list[QualifiedName] = []
        self.left: set[QualifiedName] = set()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        found = []
        for part in sql.split(" union all "):
            number, _, rest = part.removeprefix("select ").partition(",")
            name = next((n for n in (A, B) if rest.endswith(f" from {n.quoted}")), None)
            if name not in self.values:
                raise DatabaseError("no such table", sqlstate="42P01")
            found.append((int(number), *self.values[name]))
        return found

    def rows(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        if statement == "sequences.set":
            name = next(n for n in (A, B) if n.quoted == params["sequence"])
            self.values[name] = (params["value"], params["called"])
            self.written.append(name)
            return [(params["value"],)]
        names = [QualifiedName(s, n) for s, n in zip(params["schemas"], params["names"], strict=True)]
        there = [(place, name) for place, name in enumerate(names, 1) if name in self.values]
        if statement == "sequences.existing":
            return [(place,) for place, _ in there]
        assert statement == "sequences.hold"
        assert params["queue"] == "q"
        assert params["subscribed"] == [str(name) for name in names]
        limits = {place: (1, self.greatest) for place, _ in there}
        return [(n, *limits.get(n, (None, None))) for n, name in enumerate(names, 1) if name not in self.left]


def turn(sync: SequenceSync, *names: QualifiedName) -> bool:
    changed = sync.look(names)
    sync.set_changed()
    sync.committed()
    return changed


def test_sync__writes_only_what_changed() -> None:
    provider, subscriber = Side({A: (5, True), B: (1, False)}), Side({A: (1, False), B: (1, False)})
    sync = SequenceSync(provider, subscriber, "q")  # type: ignore[arg-type]
    assert turn(sync, A, B)
    assert subscriber.values == {A: (5, True), B: (1, False)}
    assert not turn(sync, A, B)
    provider.values[B] = (1, True)
    subscriber.written = []
    assert turn(sync, A, B)
    assert subscriber.written == [B]
    assert subscriber.values[B] == (1, True)


def test_sync__rolled_back_batch_sets_again() -> None:
    provider, subscriber = Side({A: (5, True)}), Side({A: (1, False)})
    sync = SequenceSync(provider, subscriber, "q")  # type: ignore[arg-type]
    sync.look([A])
    sync.set_changed()  # and the transaction fails: `committed` is not called
    assert turn(sync, A)


def test_sync__missing_ones_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    provider, subscriber = Side({A: (5, True)}), Side({B: (1, False)})
    sync = SequenceSync(provider, subscriber, "q")  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        turn(sync, A, B)
        provider.values[A] = (6, True)
        turn(sync, A, B)
    assert sorted(record.getMessage() for record in caplog.records) == [
        'sequence "public.a" does not exist on the subscriber; it is left alone',
        'sequence "public.b" does not exist on the provider; it is left alone',
    ]


def test_sync__value_beyond_the_subscribers_limits(caplog: pytest.LogCaptureFixture) -> None:
    provider, subscriber = Side({A: (40000, True)}), Side({A: (1, False)}, greatest=32767)
    turn(SequenceSync(provider, subscriber, "q"), A)  # type: ignore[arg-type]
    assert subscriber.values[A] == (1, False)
    assert "has limits 1 to 32767 on the subscriber" in caplog.text


def test_sync__left_and_taken_again() -> None:
    provider, subscriber = Side({A: (5, True)}), Side({A: (1, False)})
    sync = SequenceSync(provider, subscriber, "q")  # type: ignore[arg-type]
    turn(sync, A)
    turn(sync)
    subscriber.values[A] = (99, True)
    assert turn(sync, A)
    assert subscriber.values[A] == (5, True)


def test_sync__left_after_it_was_looked_at() -> None:
    provider, subscriber = Side({A: (5, True), B: (7, True)}), Side({A: (1, False), B: (1, False)})
    sync = SequenceSync(provider, subscriber, "q")  # type: ignore[arg-type]
    subscriber.left = {A}
    assert turn(sync, A, B)
    assert subscriber.values == {A: (1, False), B: (7, True)}
    subscriber.left = set()
    assert turn(sync, A, B), "what was not set is set when it is taken again"
    assert subscriber.values[A] == (5, True)


def test_sync__other_errors_are_raised() -> None:
    class Broken(Side):
        def run(self, sql: str) -> list[tuple[Any, ...]]:
            raise DatabaseError("permission denied", sqlstate="42501")

    with pytest.raises(DatabaseError):
        SequenceSync(Broken({}), Side({}), "q").look([A])  # type: ignore[arg-type]
