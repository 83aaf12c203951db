"""Latency: from commit on the provider to visible on the subscriber, at steady rates and from idle.

    python benchmarks/latency.py --rates 10,100,1000 --seconds 10
    python benchmarks/latency.py --idle 20 --pause 3 --rates ''

One writer inserts single rows at a steady rate, each in a transaction of its own; one reader asks the subscriber for
new rows again and again (every millisecond, so a figure is at most that much too high). `idle` inserts one row after a
pause in which nothing happened. The last lines tell the CPU that ticker and replay take when nothing happens at all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import peers
from harness import Report, cpu_seconds, pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="10,100,1000", help="transactions per second, several by comma")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run")
    parser.add_argument("--idle", type=int, default=10, help="rows inserted from idle in a round")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds of idleness before each of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="native", help="of native, londiste3, pglogical; several by comma")
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    report = Report("Latency", "milliseconds", digits=1)
    report.facts = vars(options)
    with tempfile.TemporaryDirectory(dir="/tmp") as name, pair(options.version) as (left, right):
        systems: list[peers.System] = []
        try:
            for other in ["londiste_lite", *(p for p in options.peers.split(",") if p)]:
                try:
                    systems.append(peers.make(other, left, right, Path(name)))
                except peers.NotInstalled as error:
                    report.notes.append(f"{other}: not measured, {error}")
            for number in range(options.rounds):
                for system in systems:
                    measure(report, system, options)
                    print(f"round {number + 1}: {system.name} done", flush=True)
        finally:
            for system in systems:
                system.close()
    report.show()
    report.write(options.json)


def measure(report: Report, system: peers.System, options: argparse.Namespace) -> None:
    """One round of one system: every rate, then from idle."""
    table = f"t_{system.name}"
    for db in (system.provider, system.subscriber):
        db.script(f"drop table if exists {table}; create table {table} (id int8 primary key, item text)")
    system.attach([table])
    system.release()
    run(system, table, 20, 20.0)  # warms both up
    for rate in (float(r) for r in options.rates.split(",") if r):
        found = run(system, table, max(int(rate * options.seconds), 20), rate)
        for label, value in percentiles(found).items():
            report.add(system.name, f"{rate:.0f}/s {label}", value)
    if options.idle:
        found = run(system, table, options.idle, 1 / options.pause)
        for label, value in percentiles(found).items():
            report.add(system.name, f"idle {label}", value)
        if isinstance(system, peers.Ours) and system.process is not None:
            before, begun = cpu_seconds(system.process.pid), time.monotonic()
            time.sleep(max(options.pause * 3, 5.0))
            share = (cpu_seconds(system.process.pid) - before) / (time.monotonic() - begun)
            report.add(system.name, "idle pair, % of a core", share * 100)
    system.hold()
    system.detach([table])


def run(system: peers.System, table: str, count: int, rate: float) -> list[float]:
    """Insert `count` rows at `rate` per second; return the milliseconds from commit to visible of each."""
    first = int(system.provider.run(f"select coalesce(max(id), 0) from {table}")[0][0]) + 1
    committed: dict[int, float] = {}
    seen: dict[int, float] = {}

    def watch() -> None:
        last, deadline = first - 1, time.monotonic() + count / rate + 60
        while last < first + count - 1 and time.monotonic() < deadline:
            rows = system.subscriber.run(f"select id from {table} where id > {last} order by id")
            now = time.monotonic()
            for (number,) in rows:
                seen[int(number)] = now
                last = int(number)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    begun = time.monotonic()
    for place in range(count):
        time.sleep(max(begun + place / rate - time.monotonic(), 0.0))
        system.provider.run(f"insert into {table} values ({first + place}, 'a thing')")
        committed[first + place] = time.monotonic()
    thread.join()
    missing = [n for n in committed if n not in seen]
    if missing:
        raise RuntimeError(f"{system.name}: {len(missing)} of {count} rows did not arrive")
    return [max(seen[n] - committed[n], 0.0) * 1000 for n in committed]


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and p99; only the median where there are few values."""
    if len(values) < 20:
        return {"p50": statistics.median(values)}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


if __name__ == "__main__":
    main()
