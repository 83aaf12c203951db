"""`--dry-run`: the same words and errors as without it, and both databases are as before, byte for byte."""

from __future__ import annotations

import subprocess

from tests.fixtures.cli import Site


def dumps(site: Site) -> list[str]:
    """Both databases, structure and rows; what sequences have handed out is nothing that anybody reads."""
    lines: list[str] = []
    for server, dsn in zip(site.servers, (site.provider_dsn, site.subscriber_dsn), strict=True):
        done = subprocess.run([str(server.bin / "pg_dump"), dsn], capture_output=True, text=True, check=True)
        lines += [
            line
            for line in done.stdout.splitlines()
            if not line.startswith(("\\restrict", "\\unrestrict")) and ".setval(" not in line
        ]
    return lines


def test_dry_run__says_what_would_be_and_changes_nothing(site: Site) -> None:
    site.both("create table entry (id int primary key, item text); create table bare (item text)")
    site.provider.script("create table fresh (id int primary key)")
    before = dumps(site)
    added = site.run("provider", "add", "entry", "fresh", "--dry-run")
    assert "dry run, nothing is changed:" in added.err
    assert "public.entry: added" in added.err
    assert "has no primary key" in site.run("provider", "add", "bare", "--dry-run", code=1).err
    assert dumps(site) == before

    site.run("provider", "add", "entry", "fresh")
    before = dumps(site)
    assert "public.fresh: " in site.run("subscriber", "add", "fresh", "--create", "--dry-run").err
    site.run("provider", "remove", "entry", "--dry-run")
    script = "alter table entry add column more int; update entry set more = 1; insert into entry values (1, 'x', 2)"
    assert "would work here" in site.run("provider", "execute", "--sql", script, "--dry-run").err
    assert "nowhere" in site.run("provider", "execute", "--sql", "drop table nowhere", "--dry-run", code=1).err
    assert dumps(site) == before

    site.run("subscriber", "add", "entry", "--expect-sync")
    before = dumps(site)
    assert "public.entry: " in site.run("subscriber", "resync", "entry", "--dry-run").err
    assert dumps(site) == before
