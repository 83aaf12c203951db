"""Making the indexes again that were dropped for a load, several at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from londiste_lite import crash_points, dropped_indexes
from londiste_lite.db import Database
from londiste_lite.dropped_indexes import DroppedIndex
from londiste_lite.names import TableName
from londiste_lite.tablecopy.connections import Sides


def make_again(
    db: Database,
    table: TableName,
    indexes: Sequence[DroppedIndex],
    *,
    jobs: int,
    lock_timeout: float,
    borrow: Callable[[], AbstractContextManager[Sides]],
    cancelled: Callable[[], bool],
) -> None:
    """Make indexes of a table by `db` and up to `jobs` - 1 borrowed connections beside it; one that cannot be made is
    noted and stops nothing.

    Raises the first error of any job when all have ended; ends early, without one, when the copy is cancelled.
    """
    left = deque(indexes)
    failures: list[BaseException] = []

    def work(one: Database) -> None:
        while not failures and not cancelled():
            try:
                index = left.popleft()
            except IndexError:
                return
            dropped_indexes.restore(one, index, lock_timeout)
            crash_points.reached("copy-index-made")

    def other() -> None:
        try:
            with borrow() as sides:
                work(sides.subscriber)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=other, name=f"copy {table} index", daemon=True)
        for _ in range(min(jobs, len(indexes)) - 1)
    ]
    for thread in threads:
        thread.start()
    try:
        work(db)
    except BaseException as error:
        failures.append(error)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
