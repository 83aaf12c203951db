"""Watchers on the subscriber: what must hold at every moment, and what must hold at the end."""

from __future__ import annotations

import threading
import time

from londiste_lite import progress, subscribed
from londiste_lite.compare.moment import NotComparable, Sides
from londiste_lite.compare.run import Comparing, Failed, compare
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError
from londiste_lite.names import QualifiedName
from londiste_lite.progress_report import Silent
from londiste_lite.replay import position
from londiste_lite.stop_flag import StopFlag
from tests.chaos.world import ACCOUNTS, CONSUMER, QUEUE, STRUCTURE, SWAPS, TABLES, WAVE, Figures, World
from tests.chaos.writers import Writers

# One statement sees one moment.
MOMENT = """
    select (select array[count(*), sum(balance)] from account),
           (select array[count(distinct token), count(distinct u), count(distinct id)] from swap),
           (select array[count(*), count(distinct generation), max(generation)] from wave),
           (select bool_and(items = array(select generate_series(1, cardinality(items)))) from list),
           (select sum(moves) from account), (select count(*) from journal),
           not exists (select from londiste.subscriber_table where merge_state is distinct from 'ok'
                                                                or snapshot is not null)"""


class Watchers:
    """Threads that look at the subscriber all the time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._figures = world.figures
        self._generation = 0
        self._stop = threading.Event()
        self._flag = StopFlag()
        self._threads = [
            threading.Thread(target=self._watch, daemon=True, name="watcher"),
            threading.Thread(target=self._compare, daemon=True, name="comparer"),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._stop.set()
        self._flag.request(at_once=True)
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with self._world.connect(self._world.dsns[1]) as db:
                    while not self._stop.wait(0.02):
                        self.look(db)
            except LondisteError:
                self._stop.wait(0.1)

    def look(self, db: Database) -> None:
        """Look at one moment."""
        accounts, swaps, wave, ordered, moves, journal, in_sync = db.run(MOMENT)[0]
        self._figures.add("moments looked at")
        if accounts != [ACCOUNTS, ACCOUNTS * 100]:
            self._figures.violated(f"accounts and their sum are {accounts}")
        if swaps != [SWAPS] * 3:
            self._figures.violated(f"swapped rows are {swaps}")
        if wave[:2] != [WAVE, 1]:
            self._figures.violated(f"a wave is {wave}")
        elif wave[2] < self._generation:
            self._figures.violated(f"wave {wave[2]} came after {self._generation}")
        self._generation = max(self._generation, wave[2] or 0)
        if not ordered:
            self._figures.violated("a list is not in its order")
        if in_sync:
            self._figures.add("moments over several tables")
            if moves != journal:
                self._figures.violated(f"{moves} moves and {journal} lines in the journal at one moment")

    def _compare(self) -> None:
        """Compare tables at the first look; both sides are at the same moment or there is no result."""
        while not self._stop.is_set():
            try:
                with Sides(self._world.settings, self._flag) as sides:
                    comparing = Comparing(sides, self._flag, Silent())
                    while not self._stop.wait(0.3):
                        self._compare_one(comparing)
            except LondisteError as error:
                self._figures.add("comparisons that were cut short")
                self._figures.note(f"comparison: {error}")
                self._stop.wait(0.2)

    def _compare_one(self, comparing: Comparing) -> None:
        name = QualifiedName("public", self._world.dice.choice(list(TABLES)))
        try:
            differences = comparing.first_look(name)[2]
        except NotComparable as error:
            self._figures.add("comparisons put off")
            self._figures.note(f"comparison: {error}")
            return
        self._figures.add("comparisons")
        if differences:
            self._figures.violated(f"{name} differs: {differences[:5]}")


def _caught_up(provider: Database, subscriber: Database, patience: float, timeout: float) -> bool:
    """Wait until all has arrived; return False when nothing gets on for `patience` seconds, or after `timeout`."""
    stop, last, begun = StopFlag(), None, time.monotonic()
    moved = begun
    while not progress.wait(provider, subscriber, QUEUE, CONSUMER, 5.0, stop):
        now = time.monotonic()
        seen = (position.stored(subscriber, CONSUMER), [t.state for t in subscribed.tables(subscriber, QUEUE)])
        if seen != last:
            last, moved = seen, now
        if now - moved > patience or now - begun > timeout:
            return False
    return True


def finish(world: World, writers: Writers, patience: float, timeout: float) -> None:
    """Wait until the subscriber has caught up by itself, then look at everything."""
    figures = world.figures
    begun = time.monotonic()
    with world.connect(world.dsns[0]) as provider, world.connect(world.dsns[1]) as subscriber:
        if not _caught_up(provider, subscriber, patience, timeout):
            status = progress.status(provider, subscriber, QUEUE, CONSUMER, None)
            waited = time.monotonic() - begun
            figures.violated(f"not recovered after {waited:.0f} s: {status.as_json()}\n{world.replay.tail(40)}")
            return
        figures.add("seconds to catch up in the end", round(time.monotonic() - begun))
        world.replay.look()
        world.ticker.look()
        _acknowledged(figures, writers, provider, subscriber)
        for table in subscribed.tables(subscriber, QUEUE):
            if table.conflicts:
                figures.violated(f"{table.table}: {table.conflicts} conflicts")
            if table.error:
                figures.violated(f"{table.table}: {table.error}")
        after = [row for row in subscriber.run(STRUCTURE) if row not in world.structure]
        lost = [row for row in world.structure if row not in subscriber.run(STRUCTURE)]
        if after or lost:
            figures.violated(f"structure: {lost} became {after}")
        figures.add("rows at the end", sum(int(provider.run(f"select count(*) from {t}")[0][0]) for t in TABLES))
        figures.add("events", int(provider.run("select pgq.seq_getval('pgq.event_1_id_seq')")[0][0]))
    for each in compare(world.settings, [], "", StopFlag(), Silent()):
        if isinstance(each, Failed):
            figures.violated(f"{each.table} cannot be compared: {each.error}")
        elif not each.equal:
            figures.violated(f"{each.table} differs at the end: {each.differences[:10]}")


def _acknowledged(figures: Figures, writers: Writers, provider: Database, subscriber: Database) -> None:
    there = {int(row[0]) for row in subscriber.run("select id from ack")}
    lost = writers.acknowledged - there
    if lost:
        figures.violated(f"{len(lost)} acknowledged rows are lost: {sorted(lost)[:10]}")
    strange = there - writers.acknowledged - writers.doubtful
    if strange:
        figures.violated(f"{len(strange)} rows that nobody wrote: {sorted(strange)[:10]}")
    twice = subscriber.run("select id, count(*) from ack_seen group by id having count(*) > 1 limit 10")
    if twice:
        figures.violated(f"rows that came twice: {twice}")
    unseen = subscriber.run("select count(*) from ack a where not exists (select from ack_seen s where s.id = a.id)")
    if unseen[0][0]:
        figures.violated(f"{unseen[0][0]} rows came without being seen")
