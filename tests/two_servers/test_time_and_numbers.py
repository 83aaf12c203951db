"""Transaction numbers that pass 2^32, and clocks that jump, on servers of their own. Minutes of work: marked chaos."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from londiste_lite import event_queue, progress
from tests.conftest import need
from tests.fixtures.pair import CONSUMER, QUEUE, UP, Pair
from tests.fixtures.servers import ServerPool, connect

pytestmark = pytest.mark.chaos

ENTRY = "create table entry (id int primary key, item text)"

# Numbers at the beginning of a page of transaction states, each less than 2^31 beyond the one before.
PAGE = 32768
FIRST, SECOND, LAST = 45776 * PAGE, 88501 * PAGE, 2**32 - PAGE

# gettimeofday() and its kin, moved by as many seconds as a file says.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *moved;
static long none;
static long shift(void) {
    if (!moved) {
        const char *path = getenv("LONDISTE_TEST_CLOCK");
        int fd = path ? open(path, O_RDONLY) : -1;
        void *found = fd < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
        moved = found == MAP_FAILED ? &none : found;
        if (fd >= 0) close(fd);
    }
    return *moved;
}
int clock_gettime(clockid_t which, struct timespec *found) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, found);
    if (!done && which == CLOCK_REALTIME) found->tv_sec += shift();
    return done;
}
int gettimeofday(struct timeval *found, void *zone) {
    struct timespec now;
    int done = clock_gettime(CLOCK_REALTIME, &now);
    if (!done) { found->tv_sec = now.tv_sec; found->tv_usec = now.tv_nsec / 1000; }
    return done;
}
time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
"""


def rotate(pair: Pair) -> int:
    """One round of the queue's maintenance; returns the table that takes events from now on."""
    pair.provider.run("select pgq.maint_rotate_tables_step1(%s)", [QUEUE])
    pair.provider.run("select pgq.maint_rotate_tables_step2()")
    return int(pair.provider.run("select queue_cur_table from pgq.queue")[0][0])


def set_number(pair: Pair, number: int) -> None:
    """Give the provider's next transaction this number, after everything older was frozen."""
    server = pair.provider_server
    pair.provider.script("alter database template0 allow_connections true")
    for (name,) in pair.provider.run("select datname::text from pg_catalog.pg_database"):
        one = connect(server.dsn(str(name)))
        one.script("vacuum freeze")
        one.close()
    pair.provider.script("checkpoint")
    server.stop("fast")
    command = [str(server.bin / "pg_resetwal"), "-x", str(number), "-D", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **server._safe_user())
    assert done.returncode == 0, done.stderr
    server.start()
    pair.reconnect()
    assert int(pair.provider.run("select pg_catalog.txid_current()")[0][0]) == number


def test_transaction_numbers__on_the_way_past_32_bits(new_pair: Callable[..., Pair]) -> None:
    pair = new_pair("wrap")
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    pair.provider.script("insert into entry values (1, 'early')")
    pair.wait()
    for step, number in enumerate((FIRST, SECOND, LAST), 1):
        pair.stop()
        # Events and a prepared transaction of before the jump, which only arrive after it.
        pair.provider.script(
            f"insert into entry values ({step * 10}, 'before'); update entry set item = '{step}' where id = 1"
        )
        set_number(pair, number)
        pair.provider.script(f"insert into entry values ({step * 10 + 1}, 'after')")
        pair.start()
        pair.wait()
        pair.assert_equal("entry")
    late, prepared = pair.connect_provider(), pair.connect_provider()
    late.script("begin; insert into entry values (100, 'began before')")
    prepared.script("begin; insert into entry values (101, 'prepared before'); prepare transaction 'wrap'")
    burn = "do $$ begin for i in 1..{} loop perform pg_catalog.txid_current(); commit; end loop; end $$"
    for part in range(4):
        pair.provider.script(burn.format(PAGE // 4 + 10))
        pair.provider.script(
            f"insert into entry values ({200 + part}, 'near'); delete from entry where id = {199 + part}"
        )
        pair.wait()
    assert int(pair.provider.run("select pg_catalog.txid_current()")[0][0]) > 2**32
    with pair.stopped():
        pair.provider.script("insert into entry values (300, 'beyond')")
        late.script("update entry set item = 'committed beyond' where id = 1; commit")
    pair.wait()
    pair.provider.script("commit prepared 'wrap'")
    pair.wait()
    pair.assert_equal("entry")
    # The queue forgets what is read, and copies and restarts go on at such numbers.
    pair.provider.run("select pgq.set_queue_config(%s, 'rotation_period', '1 microsecond')", [QUEUE])
    tables = set()
    for number in range(400, 404):
        pair.provider.script(f"insert into entry values ({number}, 'rotated')")
        pair.wait()
        tables.add(rotate(pair))
    assert tables == {0, 1, 2}
    pair.resync("entry")
    pair.provider.script("update entry set item = item || '!'")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


class Clocks:
    """The files by which the clocks of provider and subscriber are moved."""

    def __init__(self, folder: Path) -> None:
        self.files = {side: folder / side for side in ("provider", "subscriber")}
        for path in self.files.values():
            path.write_bytes(struct.pack("l", 0))
            path.chmod(0o644)

    def move(self, side: str, seconds: int) -> None:
        with self.files[side].open("r+b") as file:
            file.write(struct.pack("l", seconds))


@pytest.fixture
def clocks(pool: ServerPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    """Two servers named "clock" whose clocks can be moved."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a clock that can be moved")
    folder = Path(tempfile.mkdtemp(prefix="clock_", dir="/tmp"))
    folder.chmod(0o755)
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    library.chmod(0o755)
    found = Clocks(folder)
    servers = []
    for version, side in zip(UP, found.files, strict=True):
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("LONDISTE_TEST_CLOCK", str(found.files[side]))
        servers.append(need(pool, version, "clock"))
    monkeypatch.delenv("LD_PRELOAD")
    yield found
    for server in servers:
        server.stop()
    shutil.rmtree(folder)
    assert "LD_PRELOAD" not in os.environ


YEARS = 10 * 365 * 86400


def test_clocks__that_jump_change_nothing_but_figures(clocks: Clocks, new_pair: Callable[..., Pair]) -> None:
    pair = new_pair("clock")
    pair.setup_table(ENTRY, "entry")
    pair.provider.run("select pgq.set_queue_config(%s, 'rotation_period', '2 hours')", [QUEUE])
    pair.provider.script(
        f"insert into londiste.provider_subscriber (queue_name, consumer_name) values ('{QUEUE}', 'x')"
    )
    pair.start()
    pair.wait()
    number, seen, tables = 0, set(), set()
    long_one = pair.connect_provider()
    for provider, subscriber in (
        (YEARS, 0), (YEARS, YEARS), (0, YEARS), (-YEARS, 0), (-YEARS + 3600, -YEARS), (0, 0), (-3 * 3600, 0), (0, -1)
    ):  # fmt: skip
        long_one.script(f"begin; insert into entry values ({number + 9}, 'over the jump')")
        clocks.move("provider", provider)
        clocks.move("subscriber", subscriber)
        for db in (pair.provider, pair.subscriber):
            seen.add(str(db.run("select date_part('year', clock_timestamp())")[0][0]))
        pair.provider.script(f"insert into entry values ({number}, 'new'); update entry set item = item || '!'")
        pair.wait()
        long_one.script("commit")
        pair.wait()
        # Without this program's ticker, too.
        assert pair.provider.run("select pgq.ticker(%s)", [QUEUE]) is not None
        # A subscriber in step does not look old to the bound on its backlog.
        pair.provider.script("update londiste.provider_subscriber set park_seconds = 600")
        assert pair.provider.run("select * from londiste.park_behind()") == []
        status = progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None)
        assert status.pending_events == 0
        tables.add(rotate(pair))
        number += 10
    assert len(seen) >= 3, "the servers' clocks did not jump"
    pair.assert_equal("entry")
    # Rotation does not wait for a time that the clock has been set back from.
    assert tables == {0, 1, 2}
    pair.resync("entry")
    clocks.move("provider", YEARS)
    pair.wait()
    with pair.stopped():
        pair.provider.script("delete from entry where id % 20 = 0")
        clocks.move("provider", 0)
        # What has waited for a moment only does not look old to the bound on the backlog.
        event_queue.make_tick(pair.provider, QUEUE)
        clocks.move("provider", YEARS)
        assert pair.provider.run("select * from londiste.park_behind()") == []
        clocks.move("provider", 0)
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
