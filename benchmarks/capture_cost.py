"""What capture costs the writer: the same statements on tables without triggers, with ours, and with PgQ's, in one run.

    python benchmarks/capture_cost.py [--version 15] [--rows 100000] [--seconds 2] [--rounds 5] [--no-fsync]
    python benchmarks/capture_cost.py --commit-delay 1000 --clients 1

Single rows: clients of pgbench send one autocommitted prepared statement after another. Bulk: one statement for all
rows. PgQ's C trigger `logutriga` takes part on a server that has the extension pgq; it lives in a database of its own.

What a trigger costs is a time per statement; which share of a transaction that is depends on how long a commit takes.
`--commit-delay` has every commit take so many microseconds more (the server's commit_delay).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Report, plain

from londiste_lite import schema
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.throwaway import ThrowawayServer, binaries
from londiste_lite.triggers.create import create_capture

SINGLE = {
    "insert": "insert into {t} (customer, item, amount) values (7, 'a thing', 12.50);",
    "update": "\\set id random(1, 1000)\nupdate {t} set amount = amount + 1 where id = :id;",
    "update key": "\\set id random(1, 1000)\nupdate {t} set id = -id where id = :id or id = - :id::int8;",
    "delete": "\\set id random(1, 100000000)\ndelete from {t} where id = (select min(id) from {t});",
    "upsert": "\\set id random(1, 2000)\n"
    "insert into {t} values (:id, 7, 'x', 1, now()) on conflict (id) do update set amount = {t}.amount + 1;",
}

BULK = {
    "insert": "insert into {t} (customer, item, amount) select g, 'item ' || g, g from generate_series(1, {n}) g",
    "update": "update {t} set amount = amount + 1",
    "update key": "update {t} set id = -id",
    "delete": "delete from {t}",
}


@dataclass(frozen=True)
class Captured:
    """A table `public.t`, captured by `name` or by nothing, in a database of its own."""

    name: str
    dbname: str
    db: Database


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, default=18, help="major version of the server")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a bulk statement")
    parser.add_argument("--seconds", type=float, default=2, help="length of one single-row run")
    parser.add_argument("--clients", default="1,2,8", help="numbers of clients of single rows, several by comma")
    parser.add_argument("--cases", default=",".join(SINGLE), help="of single rows, several by comma")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-fsync", action="store_true", help="commits cost nothing, so that capture shows most")
    parser.add_argument("--commit-delay", type=int, default=0, help="microseconds that each commit takes longer")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    fsync = "off" if options.no_fsync else "on"
    title = f"Capture, single rows, PostgreSQL {options.version}, fsync {fsync}"
    if options.commit_delay:
        title += f", each commit {options.commit_delay} us longer"
    single = Report(title, "transactions per second")
    bulk = Report(f"Capture, bulk, PostgreSQL {options.version}", "microseconds per row", digits=2)
    single.facts = bulk.facts = vars(options)
    settings = {"shared_buffers": "256MB", "autovacuum": "off", "fsync": fsync}
    if options.commit_delay:
        settings |= {"commit_delay": str(options.commit_delay), "commit_siblings": "0"}
    server = ThrowawayServer(options.version, settings=settings).create()
    try:
        server.start()
        tables = [_make(server, name, single.notes) for name in ("londiste_lite", "no triggers", "pgq's C trigger")]
        systems = [table for table in tables if table is not None]
        for _ in range(options.rounds):
            _single(single, systems, server, options)
            _bulk(bulk, systems, options.rows)
    finally:
        server.remove()
    for report, suffix in ((single, ""), (bulk, ".bulk")):
        report.show()
        report.write(options.json and options.json + suffix)


def _make(server: ThrowawayServer, name: str, notes: list[str]) -> Captured | None:
    """Make a database with the table; None for a trigger that is not installed."""
    dbname = "bench_" + re.sub("[^a-z]", "_", name)
    admin = plain(server.dsn())
    if name.startswith("pgq") and not admin.run("select 1 from pg_available_extensions where name = 'pgq'"):
        notes.append(f"{name}: not measured, the extension pgq is not installed for this version")
        return None
    admin.script(f"create database {dbname}")
    admin.close()
    db = plain(server.dsn(dbname))
    db.script(
        "create table public.t (id bigint generated by default as identity primary key, customer int, item text,"
        " amount numeric, made timestamptz default now())"
    )
    if name == "londiste_lite":
        schema.install(db, schema.PROVIDER)
        db.run("select pgq.create_queue('bench')")
        create_capture(db, "bench", QualifiedName("public", "t"))
    elif name.startswith("pgq"):
        db.script("create extension pgq")
        db.run("select pgq.create_queue('bench')")
        db.script(
            "create trigger log after insert or update or delete on public.t"
            " for each row execute function pgq.logutriga('bench')"
        )
    return Captured(name, dbname, db)


def _single(report: Report, systems: list[Captured], server: ThrowawayServer, options: argparse.Namespace) -> None:
    for kind in options.cases.split(","):
        for clients in (int(n) for n in options.clients.split(",")):
            for system in _that_can(systems, kind):
                _fill(system, 100_000 if kind == "delete" else 1000)
                script = SINGLE[kind].replace("{t}", "public.t")
                report.add(
                    system.name, f"{kind}, {clients} clients", _pgbench(server, system, script, clients, options)
                )
    print("single rows: a round done", flush=True)


def _bulk(report: Report, systems: list[Captured], rows: int) -> None:
    for system in systems:
        _fill(system, 0)
        for kind, sql in BULK.items():
            if not _that_can([system], kind):
                continue
            begun = time.perf_counter()
            system.db.script(sql.replace("{t}", "public.t").replace("{n}", str(rows)))
            report.add(system.name, kind, (time.perf_counter() - begun) / rows * 1e6)


def _that_can(systems: list[Captured], kind: str) -> list[Captured]:
    """PgQ's trigger refuses a key that changes."""
    return [system for system in systems if kind != "update key" or not system.name.startswith("pgq")]


def _fill(system: Captured, rows: int) -> None:
    """Empty table and queue, so that no round pays for the one before."""
    db = system.db
    db.script("set session_replication_role = replica; truncate public.t restart identity")
    if system.name != "no triggers":
        db.script("truncate pgq.event_1_0, pgq.event_1_1, pgq.event_1_2")
    db.script(
        "insert into public.t (customer, item, amount)"
        f" select g, 'item ' || g, g from generate_series(1, {rows}) g;"
        " set session_replication_role = origin"
    )
    db.script("analyze public.t")
    db.script("checkpoint")


def _pgbench(
    server: ThrowawayServer, system: Captured, script: str, clients: int, options: argparse.Namespace
) -> float:
    """Return the transactions per second of all clients."""
    program = next((folder / "pgbench" for folder in binaries().values() if (folder / "pgbench").exists()), None)
    if program is None:
        raise SystemExit("pgbench is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script)
        command = [str(program), "-n", "-c", str(clients), "-j", str(min(clients, 2)), "-M", "prepared"]
        command += ["-T", str(max(round(options.seconds), 1)), "-f", str(path)]
        command += ["-h", str(server.folder), "-p", str(server.port), "-U", "postgres", system.dbname]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found
    return float(found[1])


if __name__ == "__main__":
    main()
