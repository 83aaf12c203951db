"""A run of chaos: `python -m tests.chaos.run --minutes 30`; prints the figures, and the violations if there are any."""

from __future__ import annotations

import argparse
import random
import sys
import time

from londiste_lite import progress
from londiste_lite.stop_flag import StopFlag
from tests.chaos.nemesis import PAUSES, Nemesis
from tests.chaos.watchers import Watchers, finish
from tests.chaos.world import CONSUMER, QUEUE, Figures, World
from tests.chaos.writers import Writers

START_TIMEOUT = 180.0
# Seconds without any progress after the last blow that are a violation, and seconds for all of it.
END_PATIENCE, END_TIMEOUT = 120.0, 900.0


def run(
    seconds: float, versions: tuple[int, int], seed: int, *, superuser: bool, pauses: tuple[float, ...] = PAUSES
) -> Figures:
    """Let chaos rule for some seconds, at least until every kind of blow has struck once; return what was seen."""
    with World(versions, seed, superuser=superuser) as world:
        with world.connect(world.dsns[0]) as provider, world.connect(world.dsns[1]) as subscriber:
            if not progress.wait(provider, subscriber, QUEUE, CONSUMER, START_TIMEOUT, StopFlag()):
                raise RuntimeError(f"nothing arrives\n{world.replay.tail(40)}")
        begun = time.monotonic()
        writers, watchers = Writers(world), Watchers(world)
        writers.start()
        watchers.start()
        try:
            Nemesis(world, pauses).strike_all(begun + seconds)
        finally:
            writers.join()
            watchers.join()
        world.figures.add("seconds", round(time.monotonic() - begun))
        finish(world, writers, END_PATIENCE, END_TIMEOUT)
        if world.figures.violations:
            world.figures.note(f"replay:\n{world.replay.tail(80)}\nticker:\n{world.ticker.tail(10)}")
        return world.figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="the same blows again, though not at the same moments")
    parser.add_argument("--versions", default="16,18", help="PostgreSQL of provider and subscriber")
    parser.add_argument("--superuser", action="store_true", help="the replay may switch off foreign keys and triggers")
    parser.add_argument("--log", action="store_true", help="print what happened even if nothing was violated")
    given = parser.parse_args()
    seed = random.randrange(1 << 30) if given.seed is None else given.seed
    provider, subscriber = (int(part) for part in given.versions.split(","))
    figures = run(given.minutes * 60, (provider, subscriber), seed, superuser=given.superuser)
    print(f"seed {seed}, PostgreSQL {provider} to {subscriber}, superuser {given.superuser}")
    for name, count in sorted(figures.counts.items()):
        print(f"{count:>12,} {name}")
    print(f"{len(figures.violations):>12,} violations")
    if figures.violations or given.log:
        print("\n".join(figures.log))
    if figures.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
