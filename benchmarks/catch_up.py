"""Catch-up: rows changed while replication is stopped, then the time until both sides are equal.

    python benchmarks/catch_up.py --rows 500000 --rounds 5 --cases insert,update,delete

Our figure and the server's own logical replication, from the same two servers in alternating rounds. Each round changes
the same rows of a table of its own, so both systems do the same work on tables of the same size. The clock starts
when replication is told to go on (ours: the process is started) and ends when the subscriber has the last change.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from harness import Report, pair, plain, program, start, until

from londiste_lite import event_queue
from londiste_lite.db import Database

INI = """[londiste]
job_name = bench
provider_db = {provider}
subscriber_db = {subscriber}
pgq_queue_name = bench
pidfile = bench.pid
logfile = replay.log
max_batch_rows = {batch}
"""


def table_ddl(name: str, columns: int) -> str:
    extra = "".join(f", c{n} text" for n in range(4, columns))
    return f"create table {name} (id int8 primary key, a text, b int4, c numeric(12,2){extra})"


def fill_sql(name: str, rows: int, columns: int, first: int = 1) -> str:
    extra = "".join(f", 'column {n} of ' || i" for n in range(4, columns))
    return (
        f"insert into {name} select i, 'item number ' || i, i % 1000, i * 1.25{extra} "
        f"from generate_series({first}, {first + rows - 1}) i"
    )


def change(db: Database, name: str, case: str, rows: int, columns: int, per_transaction: int) -> None:
    """Change `rows` rows, `per_transaction` of them in a transaction (0: all in one)."""
    size = per_transaction or rows
    for first in range(1, rows + 1, size):
        last = min(first + size - 1, rows)
        if case == "insert":
            db.script(fill_sql(name, last - first + 1, columns, rows + first))
        elif case == "update":
            db.script(f"update {name} set b = b + 1, a = a || '!' where id between {first} and {last}")
        elif case == "delete":
            db.script(f"delete from {name} where id between {first} and {last}")
        else:
            third = (last - first + 1) // 3
            db.script(
                f"begin; {fill_sql(name, third, columns, rows + first)};"
                f"update {name} set b = b + 1 where id between {first} and {first + third - 1};"
                f"delete from {name} where id between {last - third + 1} and {last}; commit"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default="insert,update,delete,mix")
    parser.add_argument("--per-transaction", type=int, default=0, help="rows in a transaction; 0: all in one")
    parser.add_argument("--batch", type=int, default=500_000, help="max_batch_rows of our replay")
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--peers", default="native")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()

    report = Report("Catch-up", "rows per second")
    report.facts = vars(options)
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(options.version) as (left, right):
        folder = Path(name)
        ini = INI.format(provider=left.dsn(), subscriber=right.dsn(), batch=options.batch)
        (folder / "r.ini").write_text(ini)
        provider, subscriber = plain(left.dsn()), plain(right.dsn())
        program(folder, "r.ini", "provider", "install")
        program(folder, "r.ini", "subscriber", "install")
        for number in range(options.rounds):
            for case in options.cases.split(","):
                ours(report, folder, provider, subscriber, case, number, options)
                if "native" in options.peers:
                    native(report, provider, subscriber, left.dsn(), case, number, options)
        provider.close()
        subscriber.close()
    report.show()
    report.write(options.json)


def prepare(provider: Database, subscriber: Database, table: str, options: argparse.Namespace) -> None:
    for db in (provider, subscriber):
        db.script(f"drop table if exists {table}")
        db.script(table_ddl(table, options.columns))
        db.script(fill_sql(table, options.rows, options.columns))
        db.script(f"vacuum analyze {table}")
        db.script("checkpoint")


def equal(provider: Database, subscriber: Database, table: str) -> None:
    sql = f"select count(*), sum(id), sum(hashtextextended(t::text, 0)::numeric) from {table} t"
    assert provider.run(sql) == subscriber.run(sql), "the sides differ"


def ours(
    report: Report,
    folder: Path,
    provider: Database,
    subscriber: Database,
    case: str,
    number: int,
    options: argparse.Namespace,
) -> None:
    prepare(provider, subscriber, "t_ours", options)
    program(folder, "r.ini", "provider", "add", "t_ours")
    program(folder, "r.ini", "subscriber", "add", "--expect-sync", "t_ours")
    program(folder, "r.ini", "subscriber", "register")
    program(folder, "r.ini", "replay", "--once")
    change(provider, "t_ours", case, options.rows, options.columns, options.per_transaction)
    goal = event_queue.make_tick(provider, "bench").id
    begun = time.monotonic()
    process = start(folder, "r.ini", "replay")
    until(lambda: subscriber.run("select last_tick_id from londiste.completed")[0][0] >= goal)
    seconds = time.monotonic() - begun
    process.terminate()
    process.wait()
    equal(provider, subscriber, "t_ours")
    report.add("londiste_lite", case, options.rows / seconds)
    print(f"round {number + 1}: londiste_lite {case} {seconds:.2f} s", flush=True)
    program(folder, "r.ini", "subscriber", "remove", "t_ours")
    program(folder, "r.ini", "provider", "remove", "t_ours")


def native(
    report: Report,
    provider: Database,
    subscriber: Database,
    dsn: str,
    case: str,
    number: int,
    options: argparse.Namespace,
) -> None:
    prepare(provider, subscriber, "t_native", options)
    provider.script("create publication bench for table t_native")
    subscriber.run(
        f"create subscription bench connection '{dsn}' publication bench "
        "with (copy_data = false, slot_name = bench, create_slot = true)"
    )
    slot = "select active from pg_replication_slots where slot_name = 'bench'"
    until(lambda: bool(provider.run(slot)[0][0]))
    subscriber.script("alter subscription bench disable")
    until(lambda: not provider.run(slot)[0][0])
    change(provider, "t_native", case, options.rows, options.columns, options.per_transaction)
    end = provider.run("select pg_current_wal_lsn()")[0][0]
    begun = time.monotonic()
    subscriber.script("alter subscription bench enable")
    reached = f"select confirmed_flush_lsn >= '{end}' from pg_replication_slots where slot_name = 'bench'"
    provider.script("select pg_logical_emit_message(false, 'bench', 'end')")
    until(lambda: bool(provider.run(reached)[0][0]))
    seconds = time.monotonic() - begun
    equal(provider, subscriber, "t_native")
    report.add("native", case, options.rows / seconds)
    print(f"round {number + 1}: native {case} {seconds:.2f} s", flush=True)
    subscriber.script("drop subscription bench")
    provider.script("drop publication bench")


if __name__ == "__main__":
    main()
