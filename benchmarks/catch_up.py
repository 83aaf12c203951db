"""Catch-up: rows changed while replication is stopped, then the time until both sides are equal.

    python benchmarks/catch_up.py --rows 500000 --rounds 5 --cases insert,update,delete
    python benchmarks/catch_up.py --peers londiste3,pglogical --rows 200000
    python benchmarks/catch_up.py --per-transaction 1 --rows 50000

Our figure and the peers', from the same two servers in alternating rounds: `native` is the server's own logical
replication, on PostgreSQL 18; `londiste3` and `pglogical` run on PostgreSQL 15. Each round changes the same rows of a
fresh table, so all systems do the same work on tables of the same size, and the servers are checkpointed before it. The
clock starts when replication is told to go on (ours: the process is started) and ends when the subscriber has the
last change.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import peers
from harness import Report, pair, until

from londiste_lite.db import Database


def table_ddl(name: str, columns: int) -> str:
    extra = "".join(f", c{n} text" for n in range(4, columns))
    return f"create table {name} (id int8 primary key, a text, b int4, c numeric(12,2){extra})"


def fill_sql(name: str, rows: int, columns: int, first: int = 1, width: int = 0) -> str:
    """INSERT of `rows` rows; `width` pads the first text to that many characters."""
    text = f"rpad('item number ' || i, {width}, 'x')" if width else "'item number ' || i"
    extra = "".join(f", 'column {n} of ' || i" for n in range(4, columns))
    return (
        f"insert into {name} select i, {text}, i % 1000, i * 1.25{extra} "
        f"from generate_series({first}, {first + rows - 1}) i"
    )


def change(db: Database, name: str, case: str, rows: int, columns: int, per_transaction: int, width: int = 0) -> None:
    """Change `rows` rows, `per_transaction` of them in a transaction (0: all in one)."""
    size = per_transaction or rows
    for first in range(1, rows + 1, size):
        last = min(first + size - 1, rows)
        if case == "insert":
            db.script(fill_sql(name, last - first + 1, columns, rows + first, width))
        elif case == "update":
            db.script(f"update {name} set b = b + 1, a = a || '!' where id between {first} and {last}")
        elif case == "delete":
            db.script(f"delete from {name} where id between {first} and {last}")
        else:
            third = max((last - first + 1) // 3, 1)
            db.script(
                f"begin; {fill_sql(name, third, columns, rows + first, width)};"
                f"update {name} set b = b + 1 where id between {first} and {first + third - 1};"
                f"delete from {name} where id between {last - third + 1} and {last}; commit"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--width", type=int, default=0, help="length of the first text; 0: about 18")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default="insert,update,delete,mix")
    parser.add_argument("--per-transaction", default="0", help="rows in a transaction, several by comma; 0: all in one")
    parser.add_argument("--batch", type=int, default=500_000, help="max_batch_rows of our replay")
    parser.add_argument("--peers", default="native", help="of native, londiste3, pglogical; several by comma")
    parser.add_argument("--version", type=int, default=18, help="PostgreSQL for ours and native")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()

    report = Report("Catch-up", "rows per second")
    report.facts = vars(options)
    chosen = [p for p in options.peers.split(",") if p]
    old = [p for p in chosen if p != "native"]
    if "native" in chosen or not old:
        compare(report, options, options.version, [p for p in chosen if p == "native"])
    if old:
        compare(report, options, 15, old)
    report.show()
    report.write(options.json)


def compare(report: Report, options: argparse.Namespace, version: int, others: list[str]) -> None:
    """Alternating rounds of ours and `others` on two servers of one version."""
    preload = {"shared_preload_libraries": "pglogical"} if "pglogical" in others else {}
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(version, **preload) as (left, right):
        systems: list[peers.System] = []
        try:
            for other in ["londiste_lite", *others]:
                try:
                    systems.append(peers.make(other, left, right, Path(name), options.batch))
                except peers.NotInstalled as error:
                    report.notes.append(f"{other}: not measured, {error}")
            for number in range(options.rounds):
                for size in (int(s) for s in options.per_transaction.split(",")):
                    for case in options.cases.split(","):
                        for system in systems:
                            seconds = measure(system, case, options, size)
                            label = f"{version} {case}" + (f", {size} a tx" if size else ", one tx")
                            report.add(system.name, label, options.rows / seconds)
                            print(f"round {number + 1}: {label}, {system.name}: {seconds:.2f} s", flush=True)
        finally:
            for system in systems:
                system.close()


def measure(system: peers.System, case: str, options: argparse.Namespace, size: int) -> float:
    """Return the seconds that one system needs."""
    table = f"t_{system.name}"
    for db in (system.provider, system.subscriber):
        db.script(f"drop table if exists {table}")
        db.script(table_ddl(table, options.columns))
        db.script(fill_sql(table, options.rows, options.columns, width=options.width))
        db.script(f"vacuum analyze {table}")
    system.attach([table])
    change(system.provider, table, case, options.rows, options.columns, size, options.width)
    for db in (system.provider, system.subscriber):
        db.script("checkpoint")
    system.mark()
    begun = time.monotonic()
    system.release()
    until(system.reached)
    seconds = time.monotonic() - begun
    system.hold()
    equal(system.provider, system.subscriber, table)
    system.detach([table])
    return seconds


def equal(provider: Database, subscriber: Database, table: str) -> None:
    """Both sides hold the same rows, and the benchmark has measured something."""
    sql = f"select count(*), sum(id), sum(hashtextextended(t::text, 0)::numeric) from {table} t"
    assert provider.run(sql) == subscriber.run(sql), "the sides differ"


if __name__ == "__main__":
    main()
