"""Writers on the provider. Each remembers what was acknowledged; the rules that must hold are in `watchers`."""

from __future__ import annotations

import random
import threading
import time

from londiste_lite import scripts
from londiste_lite.db import Database
from londiste_lite.errors import ConnectionLost, DatabaseError, LondisteError
from tests.chaos.world import ACCOUNTS, LISTS, QUEUE, SWAPS, WAVE, World

# Seconds between scripts. Each ends a batch, and copies that are under way begin again: a script a second would keep
# everything else from happening.
SCRIPT_PAUSE = 5.0

_HARMLESS = ("40P01", "40001", "55P03", "57014", "23505")


class Writers:
    """Threads that write until the end of the world's writing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.stop = threading.Event()
        self.acknowledged: set[int] = set()
        self.doubtful: set[int] = set()
        self.appended = 0
        self._next_script = 0.0
        self._threads = [
            threading.Thread(target=self._write, args=(n, kind), daemon=True, name=f"writer {n}")
            for n, kind in enumerate(
                (self.transfer, self.transfer, self.append, self.insert, self.insert, self.swap, self.wave, self.grow)
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def _write(self, number: int, kind: object) -> None:
        dice = random.Random(f"{self._world.dice.random()} {number}")
        while not self.stop.is_set():
            try:
                with self._world.connect(self._world.dsns[0]) as db:
                    db.script("set lock_timeout = '5s'; set deadlock_timeout = '100ms'")
                    while not self.stop.is_set():
                        self._one(db, dice, kind)
                        self.stop.wait(dice.choice((0, 0.001, 0.005, 0.03)))
            except LondisteError as error:
                self._world.figures.add("writers' sessions lost")
                self._world.figures.note(f"{kind.__name__}: {error}")  # type: ignore[attr-defined]
                self.stop.wait(0.1)

    def _one(self, db: Database, dice: random.Random, kind: object) -> None:
        try:
            kind(db, dice)  # type: ignore[operator]
            self._world.figures.add("transactions")
        except ConnectionLost:
            raise
        except DatabaseError as error:
            if error.sqlstate not in _HARMLESS:
                raise
            self._world.figures.add("transactions rolled back")

    # --- kinds --------------------------------------------------------------------------------------------------

    def transfer(self, db: Database, dice: random.Random) -> None:
        """Move money; the sum of all accounts never changes, and each move leaves two lines in the journal."""
        a, b = dice.sample(range(1, ACCOUNTS + 1), 2)
        amount = dice.randrange(1, 50)
        with db.transaction():
            for account, change in ((a, -amount), (b, amount)):
                db.script(
                    f"update account set balance = balance + {change}, moves = moves + 1 where id = {account};"
                    f"insert into journal values (nextval('ids'), {account}, {change})"
                )
                if dice.random() < 0.05:
                    db.script("savepoint s; update account set balance = 0; rollback to s")
            if dice.random() < 0.01:
                time.sleep(dice.random())
        if dice.random() < 0.002:
            # Else the journal grows without end; both its lines and the moves go.
            with db.transaction():
                db.script("lock table account in share row exclusive mode")
                db.script("delete from journal; update account set moves = 0")

    def append(self, db: Database, dice: random.Random) -> None:
        """Append the next number to a list."""
        many = ", ".join(str(key) for key in dice.sample(range(1, LISTS + 1), dice.choice((1, 1, 1, 3))))
        db.script(f"update list set items = items || cardinality(items) + 1 where id in ({many})")
        if dice.random() < 0.01:
            db.script("update list set items = '{}' where cardinality(items) > 400")

    def insert(self, db: Database, dice: random.Random) -> None:
        """Insert rows and remember those whose commit was acknowledged."""
        ids = [
            int(row[0]) for row in db.run("select nextval('ids') from generate_series(1, %s)", [dice.choice((1, 20))])
        ]
        filler = "x" * dice.choice((1, 10, 300))
        self.doubtful.update(ids)
        with db.transaction():
            for number in ids:
                db.script(f"insert into ack values ({number}, 1, '{filler}')")
            if dice.random() < 0.1:
                db.script(f"update ack set writer = writer + 1 where id = {ids[0]}")
        self.acknowledged.update(ids)
        self.doubtful.difference_update(ids)
        self._world.figures.add("rows acknowledged", len(ids))

    def swap(self, db: Database, dice: random.Random) -> None:
        """Swap the keys, or the unique values, of two rows."""
        a, b = dice.sample(range(1, SWAPS + 1), 2)
        column = dice.choice(("id", "u"))
        with db.transaction():
            for old, new in ((a, -1), (b, a), (-1, b)):
                db.script(f"update swap set {column} = {new} where {column} = {old}")

    def wave(self, db: Database, dice: random.Random) -> None:
        """Empty the table and fill it anew, in one transaction."""
        with db.transaction():
            db.script(
                f"truncate wave; insert into wave select n, nextval('ids') + 0 * n from generate_series(1, {WAVE}) n;"
                "update wave set generation = (select max(generation) from wave)"
            )
        self.stop.wait(0.2)

    def grow(self, db: Database, dice: random.Random) -> None:
        """Add columns by a script, at one place of the stream, and fill them."""
        columns = (
            "select attname from pg_attribute "
            "where attrelid = 'grown'::regclass and attnum > 2 and not attisdropped order by attnum"
        )
        known = [row[0] for row in db.run(columns)]
        if time.monotonic() >= self._next_script:
            self._next_script = time.monotonic() + SCRIPT_PAUSE * dice.uniform(0.5, 1.5)
            name = f"c{int(db.run('select nextval($$ids$$)')[0][0])}"
            sql = f"alter table public.grown add column {name} int default 7"
            if len(known) > 8:
                sql = f"alter table public.grown drop column {known[0]}; {sql}"
            scripts.execute(db, QUEUE, name, sql, 5.0)
            self._world.figures.add("scripts")
        else:
            sets = "".join(f", {column} = {dice.randrange(100)}" for column in known[:2])
            db.script(
                "insert into grown (id, note) values (nextval('ids'), 'new');"
                f"update grown set note = note || '!'{sets} "
                "where id in (select id from grown order by random() limit 3);"
                "delete from grown where id in (select id from grown order by id desc offset 200)"
            )
