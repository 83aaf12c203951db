"""What replication takes: bytes of the queue per event, CPU and memory of our process.

    python benchmarks/footprint.py --rows 1000000
    python benchmarks/footprint.py --rows 5000000 --cases insert --rounds 1

For each kind of change in one transaction: the size of the event tables with their indexes, the CPU seconds that our
process takes to start and then per million rows, and the most memory that it had.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import peers
from catch_up import change, equal, fill_sql, table_ddl
from harness import Report, cpu_seconds, pair, peak_memory, program, until


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--width", type=int, default=0, help="length of the first text; 0: about 18")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="insert,update,delete")
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    report = Report("Footprint", "as named", digits=2)
    report.facts = vars(options)
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(options.version) as (left, right):
        system = peers.Ours(left, right, Path(name), 500_000)
        try:
            for _ in range(options.rounds):
                for case in options.cases.split(","):
                    measure(report, system, case, options)
        finally:
            system.close()
    report.show()
    report.write(options.json)


def start_seconds(system: peers.Ours) -> float:
    """Return the CPU time of a process that finds nothing to do."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program(system.folder, "r.ini", "replay", "--once")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(report: Report, system: peers.Ours, case: str, options: argparse.Namespace) -> None:
    table = "t_footprint"
    size = "select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'pgq.event_1'::regclass"
    for db in (system.provider, system.subscriber):
        db.script(f"drop table if exists {table}")
        db.script(table_ddl(table, options.columns))
        db.script(fill_sql(table, options.rows, options.columns, width=options.width))
    system.attach([table])
    started = start_seconds(system)
    before = int(system.provider.run(size)[0][0])
    change(system.provider, table, case, options.rows, options.columns, 0, options.width)
    grown = int(system.provider.run(size)[0][0]) - before
    report.add("londiste_lite", f"{case}: queue bytes per event", grown / options.rows)
    system.mark()
    system.release()
    assert system.process is not None
    until(system.reached)
    millions = options.rows / 1_000_000
    report.add("londiste_lite", f"{case}: CPU s of the start", started)
    report.add("londiste_lite", f"{case}: CPU s per million", (cpu_seconds(system.process.pid) - started) / millions)
    report.add("londiste_lite", f"{case}: peak memory, MB", peak_memory(system.process.pid))
    system.hold()
    equal(system.provider, system.subscriber, table)
    system.detach([table])
    print(f"{case} done", flush=True)


if __name__ == "__main__":
    main()
