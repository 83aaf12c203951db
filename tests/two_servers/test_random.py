"""A property: whatever random writers do to random tables, both sides are equal in the end, whoever is killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.fixtures.pair import Pair

KEYS = range(1, 9)
KEY_TYPES = ["int", "text", "numeric", "uuid", "timestamptz"]
COLUMNS = ["int", "text", "jsonb", "numeric(10,2)", "bytea", "timestamptz", "int[]", "double precision"]


def key_text(kind: str, number: int) -> str:
    """An SQL literal of the key type for a small number."""
    return {
        "int": str(number),
        "text": f"'Key {number}'",
        "numeric": f"{number}.50",
        "uuid": f"'00000000-0000-0000-0000-{number:012}'",
        "timestamptz": f"'2024-01-{number:02} 12:00+00'",
    }[kind]


def value_text(kind: str, number: int) -> str:
    """An SQL literal of a column type for any number, NULL now and then."""
    if number % 7 == 0:
        return "null"
    return {
        "int": str(number),
        "text": ["''", "'a, \"b\"'", f"'v{number}'", "E'\\\\\\n'"][number % 4],
        "jsonb": ["'null'", f"'{{\"n\": {number}}}'"][number % 2],
        "numeric(10,2)": f"{number}.25",
        "bytea": f"'\\x{number:08x}'",
        "timestamptz": f"timestamptz 'epoch' + {number} * interval '1 hour'",
        "int[]": f"'{{{number},NULL}}'",
        "double precision": f"{number} / 3.0",
    }[kind]


class Schema:
    """Two or three random tables; on the subscriber with extra columns, in another order.

    Unique values are below `unique_below`, and all of a table change at once to what is missing to ten times that. Two
    rows swap theirs when one got the number that another had before.
    """

    def __init__(self, rng: random.Random, unique_below: int) -> None:
        self._unique_below = unique_below
        self.tables: dict[str, tuple[list[str], list[str], bool]] = {}
        for number in range(rng.randint(2, 3)):
            keys = rng.choices(KEY_TYPES, k=rng.randint(1, 2))
            columns = rng.choices(COLUMNS, k=rng.randint(1, 3))
            self.tables[f"t{number}"] = (keys, columns, rng.random() < 0.5)
        self._rng = rng

    def ddl(self, *, subscriber: bool) -> str:
        return ";".join(self._table(name, subscriber=subscriber) for name in self.tables)

    def _table(self, name: str, *, subscriber: bool) -> str:
        keys, columns, unique = self.tables[name]
        parts = [f"k{n} {kind} not null" for n, kind in enumerate(keys)]
        parts += [f"c{n} {kind}" for n, kind in enumerate(columns)]
        parts.append("u int unique deferrable" if unique and not subscriber else "u int unique" if unique else "u int")
        if subscriber:
            parts.append("local text default 'mine'")
            self._rng.shuffle(parts)
        primary = ", ".join(f"k{n}" for n in range(len(keys)))
        return f"create table {name} ({', '.join(parts)}, primary key ({primary}){'' if subscriber else ' deferrable'})"

    def statement(self, rng: random.Random) -> str:
        """One random change."""
        name = rng.choice(list(self.tables))
        keys, columns, unique = self.tables[name]
        one, other = rng.choice(KEYS), rng.choice(KEYS)
        key = [key_text(kind, one) for kind in keys]
        where = " and ".join(f"k{n} = {text}" for n, text in enumerate(key))
        values = [value_text(kind, rng.randint(0, 1000)) for kind in columns]
        sets = ", ".join(f"c{n} = {text}" for n, text in enumerate(values))
        k0 = keys[0]
        choice = rng.random()
        if choice < 0.40:
            number = str(one)
            if unique:
                number = "null" if rng.random() < 0.5 else str(rng.randrange(self._unique_below))
            names = [f"k{n}" for n in range(len(keys))] + [f"c{n}" for n in range(len(columns))] + ["u"]
            taken = f"select from {name} where ({where})" + (f" or u = {number}" if unique else "")
            return (
                f"insert into {name} ({', '.join(names)}) select {', '.join([*key, *values])}, {number} "
                f"where not exists ({taken})"
            )
        if choice < 0.60:
            return f"update {name} set {sets} where {where}"
        if choice < 0.68:
            return f"update {name} set {sets}"
        if choice < 0.80:
            return f"delete from {name} where {where}"
        if choice < 0.88:
            a, b = key_text(k0, one), key_text(k0, other)
            swapped = f"case k0 when {a}::{k0} then {b}::{k0} else {a}::{k0} end"
            return f"update {name} set k0 = {swapped} where k0 in ({a}, {b})"
        if choice < 0.96:
            change = f"{10 * self._unique_below} - u" if unique else f"u + 1 where {where}"
            return f"update {name} set u = {change}"
        return f"truncate {name}"


def transaction(schema: Schema, rng: random.Random) -> list[str]:
    """Statements of one transaction, with savepoints, some rolled back."""
    script = []
    depth = 0
    for _ in range(rng.randint(1, 6)):
        choice = rng.random()
        if choice < 0.15:
            depth += 1
            script.append(f"savepoint s{depth}")
        elif choice < 0.25 and depth:
            script.append(f"rollback to s{depth}")
        elif choice < 0.30 and depth:
            script.append(f"release s{depth}")
            depth -= 1
        else:
            script.append(schema.statement(rng))
    return script


def write(db: Database, schema: Schema, seed: int, ended: threading.Event) -> None:
    """Run random transactions; one that trips over another writer or a key is rolled back."""
    rng = random.Random(seed)
    db.script("set lock_timeout = '2s'; set deadlock_timeout = '50ms'")
    while not ended.is_set():
        try:
            with db.transaction():
                for statement in transaction(schema, rng):
                    db.script(statement)
                if rng.random() < 0.1:
                    raise _Rollback
                if rng.random() < 0.1:
                    time.sleep(0.05)
        except DatabaseError as error:
            if error.sqlstate not in ("23505", "40P01", "55P03", "40001"):
                raise
        except _Rollback:
            pass


class _Rollback(Exception):
    pass


@pytest.mark.parametrize("mode", ["bulk", "ordered"])
def test_random__writers_tables_and_kills(new_pair: Callable[..., Pair], mode: str) -> None:
    @settings(
        max_examples=3,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**32))
    def run(seed: int) -> None:
        pair = new_pair()
        try:
            one_run(pair, seed, mode)
        finally:
            pair.stop()

    run()


def one_run(pair: Pair, seed: int, mode: str) -> None:
    rng = random.Random(seed)
    # Event by event a swap cannot be applied, so there no number comes twice, or hardly ever.
    schema = Schema(rng, unique_below=100_000 if mode == "bulk" else 200_000_000)
    pair.setup_table(schema.ddl(subscriber=False), *schema.tables, other_ddl=schema.ddl(subscriber=True))
    pair.detours = True
    ended = threading.Event()
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            write(pair.connect_provider(), schema, seed + number, ended)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            # Few events take another way than many, and most batches of a test have few.
            process = pair.start_process(
                apply=mode,
                max_batch_rows=rng.choice([1, 50, 500_000]),
                few_events=rng.choice([0, 20, 200]),
                sampled_events=rng.choice([1, 20_000]),
            )
            time.sleep(0.5 + rng.random())
            if rng.random() < 0.3:
                pair.resync(rng.choice(list(schema.tables)))
            process.kill()
        pair.start_process(few_events=rng.choice([0, 200]))
        time.sleep(0.3)
        pair.until(lambda: errors or pair.event_count() > 100, "a hundred events")
    finally:
        ended.set()
        for writer in writers:
            writer.join(30)
    if errors:
        raise errors[0]
    pair.wait()
    pair.assert_equal(*schema.tables)
    assert sum(pair.conflicts(table) for table in schema.tables) == 0
    assert pair.event_count() > 100, "the writers hardly wrote anything"
