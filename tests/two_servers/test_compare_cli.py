"""`compare` and `repair` as a user runs them: exit codes, what it prints, what keeps a table from being compared."""

from __future__ import annotations

from tests.fixtures.cli import Site


def test_compare_and_repair__what_they_print_and_how_they_end(site: Site) -> None:
    site.both("create table entry (id int primary key, item text); create table other (id int primary key)")
    site.provider.script("insert into entry select n, 'x' from generate_series(1, 500) n")
    site.run("provider", "add", "entry", "other")
    site.run("subscriber", "add", "entry", "other")
    assert "not in sync" in site.run("compare", code=1).err
    site.replay()
    site.run("wait", "--timeout", "60")
    equal = site.run("compare", "--json").json()
    fields = {"source_rows": 500, "target_rows": 500, "missing": 0, "extra": 0, "changed": 0, "equal": True}
    assert {name: equal[0][name] for name in fields} == fields
    assert [each["table"] for each in equal] == ["public.entry", "public.other"]
    site.subscriber.script("delete from entry where id = 3; update entry set item = 'y' where id = 4")
    shown = site.run("compare", "entry", code=4)
    assert "public.entry: missing (3)" in shown.lines
    assert "public.entry: changed (4)" in shown.lines
    found = site.run("compare", "*", "--json", code=4).json()
    assert [(each["missing"], each["extra"], each["changed"], each["equal"]) for each in found] == [
        (1, 0, 1, False),
        (0, 0, 0, True),
    ]
    assert 'there is no table "public.entri"' in site.run("compare", "entri", code=1).err
    own = site.ini("own.ini", compare_sql="select count(1) from only _TABLE_")
    assert "500 on the provider, 499 on the subscriber" in site.run("compare", "entry", code=4, ini=own).out
    script = site.run("repair", "entry")
    assert sum(line.startswith(("insert into", "update ")) for line in script.lines) == 2
    assert not list(site.cli.folder.glob("fix.*"))
    site.run("repair", "--fix-file")
    written = site.cli.folder / "fix.public.entry.sql"
    assert written.read_text() == script.out
    assert list(site.cli.folder.glob("fix.*")) == [written]
    site.run("repair", "--apply", "--dry-run", code=2)
    site.run("compare", "entry", code=4)
    applied = site.run("repair", "--apply", "--json").json()
    assert [(each["fixed"], each["equal"]) for each in applied] == [(2, True), (0, True)]
    site.run("compare")
    assert site.run("repair").out == ""
