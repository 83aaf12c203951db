"""First copy: a table that is full on the provider and empty on the subscriber, until all rows are there.

    python benchmarks/first_copy.py --megabytes 300 --rounds 5

Our copy and the server's own table synchronization, from the same two servers in alternating rounds, on a table with a
key and two more indexes. The clock starts when the copy is asked for (ours: the process is started) and ends when the
table is in sync: rows there and indexes made. The most memory that our process used is measured too. `--small 100`
copies that many small tables instead.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Report, arguments, pair, peak_memory, plain, program, start, until
from peers import INI

from londiste_lite.db import Database

DDL = """create table {name} (id int8 primary key, customer int4, item text, price numeric(12,2), made timestamptz);
create index {name}_customer on {name} (customer); create index {name}_made on {name} (made)"""

FILL = """insert into {name} select i, hashint4(i::int4) % 100000, 'item number ' || md5(i::text), i * 1.25,
       '2026-01-01'::timestamptz + i * interval '1 second' from generate_series(1, {rows}) i"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--megabytes", type=int, default=300, help="size of the table without its indexes")
    parser.add_argument("--small", type=int, default=0, help="copy this many tables of 100 rows instead")
    parser.add_argument("--jobs", type=int, default=2, help="copy_jobs of our replay")
    parser.add_argument("--copies", type=int, default=2, help="parallel_copies of our replay")
    parser.add_argument("--peers", default="native", help="native, or nothing")
    options = parser.parse_args()

    report = Report("First copy", "seconds", 2)
    report.facts = vars(options)
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(options.version) as (left, right):
        folder = Path(name)
        ini = INI.format(provider=left.dsn(), subscriber=right.dsn(), batch=500_000)
        (folder / "r.ini").write_text(f"{ini}copy_jobs = {options.jobs}\nparallel_copies = {options.copies}\n")
        provider, subscriber = plain(left.dsn()), plain(right.dsn())
        program(folder, "r.ini", "provider", "install")
        program(folder, "r.ini", "subscriber", "install")
        if options.small:
            small(report, folder, provider, subscriber, left.dsn(), options)
        else:
            big(report, folder, provider, subscriber, left.dsn(), options)
        provider.close()
        subscriber.close()
    report.show()
    report.write(options.json)


def big(
    report: Report, folder: Path, provider: Database, subscriber: Database, dsn: str, options: argparse.Namespace
) -> None:
    """One big table, ours and the server's own in turn."""
    provider.script(DDL.format(name="big"))
    rows = options.megabytes * 1_000_000 // 112
    provider.script(FILL.format(name="big", rows=rows))
    provider.script("vacuum analyze big")
    size = provider.run("select pg_table_size('big')")[0][0]
    report.facts["table_bytes"], report.facts["rows"] = size, rows
    print(f"table of {size / 1e6:.0f} MB, {rows} rows", flush=True)
    program(folder, "r.ini", "provider", "add", "big")
    for number in range(options.rounds):
        for system in ("londiste_lite", "native"):
            subscriber.script("drop table if exists big; checkpoint")
            subscriber.script(DDL.format(name="big"))
            if system == "londiste_lite":
                seconds = ours(report, folder, subscriber, "big")
            elif "native" in options.peers:
                seconds = native(provider, subscriber, dsn, "big")
            else:
                continue
            equal(provider, subscriber)
            report.add(system, f"{size / 1e6:.0f} MB", seconds)
            print(f"round {number + 1}: {system} {seconds:.2f} s", flush=True)


def equal(provider: Database, subscriber: Database) -> None:
    """Fail unless both sides hold the same rows and indexes."""
    sql = "select count(*), sum(id), sum(hashtextextended(t::text, 0)::numeric) from big t"
    assert provider.run(sql) == subscriber.run(sql), "the sides differ"
    assert subscriber.run("select count(*) from pg_index where indrelid = 'big'::regclass and indisvalid") == [(3,)]


def small(
    report: Report, folder: Path, provider: Database, subscriber: Database, dsn: str, options: argparse.Namespace
) -> None:
    """Many small tables, ours and the server's own in turn."""
    names = [f"small_{n}" for n in range(options.small)]
    for name in names:
        provider.script(f"create table {name} (id int primary key, item text)")
        provider.script(f"insert into {name} select n, 'item ' || n from generate_series(1, 100) n")
        subscriber.script(f"create table {name} (id int primary key, item text)")
    program(folder, "r.ini", "provider", "add", "--all")
    for number in range(options.rounds):
        for system in ("londiste_lite", *([] if "native" not in options.peers else ["native"])):
            for name in names:  # by themselves: all in one statement would need more locks than there are
                subscriber.script(f"truncate {name}")
            subscriber.script("checkpoint")
            if system == "londiste_lite":
                seconds = ours(report, folder, subscriber, *names)
            else:
                seconds = native(provider, subscriber, dsn, *names)
            for name in names:
                assert subscriber.run(f"select count(*) from {name}") == [(100,)]
            report.add(system, f"{options.small} small tables", seconds)
            print(f"round {number + 1}: {system} {seconds:.2f} s", flush=True)


def ours(report: Report, folder: Path, subscriber: Database, *tables: str) -> float:
    """Copy with our program; return the seconds."""
    program(folder, "r.ini", "subscriber", "add", *tables)
    most, looked = 0, 0.0
    sessions = "select count(*) from pg_stat_activity where application_name like 'londiste:%'"
    begun = time.monotonic()
    process = start(folder, "r.ini", "replay")
    try:
        while not synced(process, folder, subscriber):
            if time.monotonic() - looked > 0.2:  # seldom, for nobody asks so of the peer
                most, looked = max(most, int(subscriber.run(sessions)[0][0])), time.monotonic()
            time.sleep(0.01)
        seconds = time.monotonic() - begun
        report.add("londiste_lite", "memory of ours, MB", peak_memory(process.pid))
        report.add("londiste_lite", "sessions on the subscriber", most)
    finally:
        process.terminate()
        process.wait()
    program(folder, "r.ini", "subscriber", "remove", *tables)
    return seconds


def synced(process: subprocess.Popen[bytes], folder: Path, subscriber: Database) -> bool:
    """Whether every table is in sync. Raises RuntimeError when our process has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"the replay ended: {(folder / 'bench.log').read_text()[-2000:]}")
    left = "select count(*) from londiste.subscriber_table where merge_state is distinct from 'ok'"
    return subscriber.run(left) == [(0,)]


def native(provider: Database, subscriber: Database, dsn: str, *tables: str) -> float:
    """Copy with the server's own logical replication; return the seconds."""
    provider.script(f"create publication bench for table {', '.join(tables)}")
    begun = time.monotonic()
    subscriber.run(f"create subscription bench connection '{dsn}' publication bench")
    ready = "select count(*) from pg_subscription_rel where srsubstate = 'r'"
    until(lambda: subscriber.run(ready) == [(len(tables),)])
    seconds = time.monotonic() - begun
    subscriber.script("drop subscription bench")
    provider.script("drop publication bench")
    return seconds


if __name__ == "__main__":
    main()
