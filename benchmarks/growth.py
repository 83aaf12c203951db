"""How the cost of a batch grows: with its tables, its rows, the columns and the length of texts.

    python benchmarks/growth.py
    python benchmarks/growth.py --rows 10000,100000,1000000,5000000 --tables '' --shapes ''

Rows per second of catch-up with updates in one transaction, ours alone; twice the rows should take twice the time, and
the same rows in more tables hardly longer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import peers
from catch_up import change, equal, fill_sql, table_ddl
from harness import Report, pair, peak_memory, until

# Name: columns, length of the first text.
SHAPES = {"5 columns": (5, 0), "50 columns": (50, 0), "10 kB texts": (5, 10_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="1,4,16,64", help="numbers of tables, several by comma")
    parser.add_argument("--rows", default="10000,100000,1000000,5000000", help="numbers of rows, several by comma")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--case", default="update", choices=["insert", "update", "delete"])
    parser.add_argument("--size", type=int, default=128_000, help="rows of the runs over tables")
    parser.add_argument("--shape-rows", type=int, default=20_000, help="rows of the runs over shapes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    report = Report("Growth", "rows per second; MB for memory")
    report.facts = vars(options)
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(options.version) as (left, right):
        system = peers.Ours(left, right, Path(name), 500_000)
        try:
            for _ in range(options.rounds):
                for tables in (int(n) for n in options.tables.split(",") if n):
                    measure(report, system, f"{tables} tables", tables, options.size // tables, 5, 0, options.case)
                for rows in (int(n) for n in options.rows.split(",") if n):
                    measure(report, system, f"{rows:,} rows", 1, rows, 5, 0, options.case)
                for shape in (s for s in options.shapes.split(",") if s):
                    columns, width = SHAPES[shape]
                    measure(report, system, shape, 1, options.shape_rows, columns, width, options.case)
        finally:
            system.close()
    report.show()
    report.write(options.json)


def measure(
    report: Report, system: peers.Ours, label: str, tables: int, rows: int, columns: int, width: int, case: str
) -> None:
    """Change `rows` rows of each of `tables` tables in one transaction, and let the replay catch up."""
    names = [f"t_{n}" for n in range(tables)]
    for db in (system.provider, system.subscriber):
        for name in names:
            db.script(f"drop table if exists {name}")
            db.script(table_ddl(name, columns))
            db.script(fill_sql(name, rows, columns, width=width))
            db.script(f"vacuum analyze {name}")
    system.attach(names)
    with system.provider.transaction():
        for name in names:
            change(system.provider, name, case, rows, columns, 0, width)
    for db in (system.provider, system.subscriber):
        db.script("checkpoint")
    system.mark()
    begun = time.monotonic()
    system.release()
    until(system.reached)
    seconds = time.monotonic() - begun
    assert system.process is not None
    report.add("londiste_lite", label, rows * tables / seconds)
    report.add("londiste_lite", f"{label}: memory", peak_memory(system.process.pid))
    system.hold()
    for name in names:
        equal(system.provider, system.subscriber, name)
    system.detach(names)
    for db in (system.provider, system.subscriber):
        for name in names:
            db.script(f"drop table {name}")
    print(f"{label}: {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
