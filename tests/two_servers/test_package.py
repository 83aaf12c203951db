"""The package as it is installed: wheel and sdist are complete, and the program works outside of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from londiste_lite import __version__
from tests.conftest import need
from tests.fixtures.pair import UP
from tests.fixtures.servers import ServerPool, connect

ROOT = Path(__file__).parents[2]
OURS = ("londiste_lite", "sql", "docs", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PROGRAMS = ("londiste_lite", "londiste.py", "pgqadm.py")


def run(folder: Path, *words: object) -> str:
    """Run a command outside of the checkout and return what it printed; fail when it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=kept, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with an sdist, and a wheel that was built from it."""
    source = tmp_path / "source"
    source.mkdir()
    for name in OURS:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.exists():
            shutil.copy(path, source)
    run(source, sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", source)
    return tmp_path / "dist"


def test_package__complete_and_at_work_in_a_fresh_environment(
    built: Path, tmp_path: Path, pool: ServerPool, new_database: Callable[..., str]
) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    wanted = {str(p.relative_to(ROOT)) for p in (ROOT / "londiste_lite").rglob("*.py")}
    wanted |= {f"londiste_lite/{p.relative_to(ROOT)}" for p in (ROOT / "sql").rglob("*.sql")} | {
        "londiste_lite/py.typed"
    }
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()
        assert not [name for name in archive.namelist() if name.startswith("tests")]
        assert [name for name in archive.namelist() if name.endswith("/share/man/man1/londiste_lite.1")]
    with tarfile.open(sdist) as source:
        there = {name.partition("/")[2] for name in source.getnames()}
    assert "LICENSE" in there
    assert "sql/pgq/tables.sql" in there

    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False, symlinks=True)
    python = fresh / "bin" / "python"
    run(tmp_path, sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel)
    packages = run(tmp_path, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # The dependencies come from where the tests' are; a path in a .pth file does not bring the checkout along.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(packages, "dependencies.pth").write_text("\n".join(paths))
    where = run(
        tmp_path, python, "-c", "import londiste_lite.sql as s, londiste_lite as l; print(l.__file__, s.__file__)"
    )
    assert where.count(packages) == 2, where

    for name in PROGRAMS:
        assert __version__ in run(tmp_path, fresh / "bin" / name, "--version")
    ini = tmp_path / "replica.ini"
    ini.write_text("[londiste]\nprovider_db = dbname=a\nsubscriber_db = dbname=b\npgq_queue_name = q\n")
    script = run(tmp_path, fresh / "bin" / "londiste_lite", ini, "provider", "install", "--print")
    assert "create table if not exists londiste.provider_table" in script
    assert "pgq.next_batch" in script
    _at_work(fresh / "bin" / "londiste_lite", tmp_path, [new_database(need(pool, version)) for version in UP])


def _at_work(program: Path, folder: Path, dsns: Sequence[str]) -> None:
    """Replicate a table, with its first copy."""
    (folder / "at_work.ini").write_text(
        f"[londiste]\njob_name = at_work\nprovider_db = {dsns[0]}\nsubscriber_db = {dsns[1]}\npgq_queue_name = q\n"
    )
    provider, subscriber = map(connect, dsns)
    try:
        provider.script("create table entry (id int primary key, item text); insert into entry values (1, 'apple')")
        for words in (
            ("provider", "install"),
            ("provider", "add", "entry"),
            ("subscriber", "install"),
            ("subscriber", "add", "entry", "--create"),
        ):
            run(folder, program, "at_work.ini", *words)
        run(folder, program, "at_work.ini", "replay", "--once")
        provider.script("insert into entry values (2, 'fig')")
        run(folder, program, "at_work.ini", "replay", "--once")
        assert subscriber.run("select item from entry order by id") == [("apple",), ("fig",)]
    finally:
        provider.close()
        subscriber.close()
