"""The command line as a user meets it: help at each level, exit codes, the wrong kind of INI. No database."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from londiste_lite import __version__, cli

LONDISTE = "[londiste]\nprovider_db = dbname=a\nsubscriber_db = dbname=b\npgq_queue_name = q\n"
TICKER = "[pgqadm]\ndb = dbname=a\n"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    Path("replica.ini").write_text(LONDISTE)
    Path("ticker.ini").write_text(TICKER)
    Path("both.ini").write_text(LONDISTE + TICKER.replace("[pgqadm]\n", "[pgqadm]\npidfile = t.pid\n"))


def run(*words: str, program: str = "londiste_lite") -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).parent / program
    return subprocess.run([str(path), *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("program", ["londiste_lite", "londiste.py", "pgqadm.py"])
def test_version_and_help__under_each_name(program: str) -> None:
    for option in ("-V", "--version"):
        done = run(option, program=program)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"londiste_lite {__version__}\n", "")
    for option in ("-h", "--help"):
        done = run(option, program=program)
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: {program} [OPTIONS] [INI] COMMAND")


@pytest.mark.parametrize("words", ["provider --help", "replica.ini provider -h", "--help replica.ini provider"])
def test_help__of_a_group_with_and_without_ini(words: str) -> None:
    done = run(*words.split())
    assert done.returncode == 0
    assert "Usage: londiste_lite [INI] provider" in done.stdout
    assert "add-seq" in done.stdout


@pytest.mark.parametrize("words", ["provider add --help", "nofile.ini provider -h add"])
def test_help__of_a_command(words: str) -> None:
    done = run(*words.split())
    assert done.returncode == 0
    assert "Usage: londiste_lite [INI] provider add" in done.stdout
    assert "Example: londiste_lite replica.ini provider add" in done.stdout


def test_help__has_no_boxes_or_colours_in_a_pipe() -> None:
    text = run("--help").stdout
    assert "\x1b" not in text
    assert "╭" not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "Usage: londiste_lite"),
        ("replica.ini", "error: no command given"),
        ("replica.ini provder tables", 'error: no such command "provder"\nhint: Did you mean "provider"?'),
        ("replica.ini provider tabels", 'error: no such command "tabels" of "provider"\nhint: Did you mean "tables"?'),
        ("replica.ini provider", "Usage: londiste_lite [INI] provider"),
        ("replica.ini provider tables --jsn", "No such option: --jsn"),
        ("replica.ini provider tables surplus", "unexpected extra argument"),
        ("replica.ini wait --timeout soon", "Invalid value for '--timeout'"),
        ("provider tables", 'error: "provider" needs an INI file\nhint: Name it first: londiste_lite replica.ini'),
        ("create q", "hint: Name it first: londiste_lite ticker.ini create"),
        ("-s", 'error: "--stop" needs an INI file'),
    ],
)
def test_usage_error__is_exit_code_2(words: str, expected: str) -> None:
    done = run(*words.split())
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "ticker.ini provider tables",
            'error: "provider" needs an INI with a [londiste] section; ticker.ini has [pgqadm]\n',
        ),
        ("ticker.ini replay", 'error: "replay" needs an INI with a [londiste] section; ticker.ini has [pgqadm]\n'),
        ("replica.ini create q", 'error: "create" needs an INI with a [pgqadm] section; replica.ini has [londiste]\n'),
        ("none.ini provider tables", "error: none.ini: there is no such file\n"),
        (". provider tables", "error: .: expected an INI file, this is a directory\n"),
    ],
)
def test_wrong_ini__is_exit_code_1(words: str, expected: str) -> None:
    done = run(*words.split())
    assert done.returncode == 1
    assert done.stderr.startswith(expected)
    assert "Traceback" not in done.stderr


def test_unreachable_server__is_exit_code_1_without_the_password() -> None:
    text = LONDISTE.replace("dbname=a", "host=127.0.0.1 port=1 dbname=a password=hunter2 user=u")
    Path("replica.ini").write_text(text)
    done = run("replica.ini", "provider", "tables")
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot connect to")
    assert "hunter2" not in done.stderr


def test_log_file__that_cannot_be_opened_is_exit_code_1() -> None:
    Path("replica.ini").write_text(LONDISTE + "logfile = none/x.log\n")
    done = run("replica.ini", "provider", "tables")
    assert done.returncode == 1
    assert "error: replica.ini: [londiste] logfile: cannot write" in done.stderr


def test_both_sections__the_program_name_chooses() -> None:
    assert "no pidfile is configured" in run("both.ini", "-s").stderr
    assert "nothing is running: no process holds" in run("both.ini", "-s", program="pgqadm.py").stderr


def test_notes__go_to_standard_error_once_and_not_with_quiet() -> None:
    Path("replica.ini").write_text(LONDISTE + "pidfile = replica.pid\nnods = 7\nmethod = direct\n")
    done = run("replica.ini", "-s")
    assert done.stderr.count('nods: unknown key, ignored; did you mean "node"?') == 1
    assert done.stderr.count("method: ignored") == 1
    quiet = run("-q", "replica.ini", "-s").stderr
    assert "nods: unknown key" in quiet
    assert "method: ignored" not in quiet
    assert "nothing is running" not in quiet


@pytest.mark.parametrize(
    ("closed", "code"),
    [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), ("2>/dev/full", 0), (">/dev/full", 1)],
)
def test_streams__that_are_closed_or_full(closed: str, code: int) -> None:
    program = Path(sys.executable).with_name("londiste_lite")
    done = subprocess.run(["sh", "-c", f"{program} --version {closed}"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == code
    assert "bug" not in done.stderr
    wrong = subprocess.run(["sh", "-c", f"{program} replica.ini -s --bogus 2>&-"], stdout=subprocess.PIPE, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_interrupt__while_the_program_is_loaded() -> None:
    program = Path(sys.executable).with_name("londiste_lite")
    for pause in (0.08, 0.12, 0.16, 0.2):
        started = subprocess.Popen([program, "replica.ini", "provider", "tables"], stderr=subprocess.PIPE, text=True)
        time.sleep(pause)  # what is tried are moments
        started.send_signal(signal.SIGINT)
        said = started.communicate(timeout=30)[1]
        # Before the program begins the interpreter itself is interrupted, after its end there is nothing to interrupt.
        assert started.returncode in (130, -signal.SIGINT, 1), said
        assert "londiste_lite/cli.py" not in said


def test_directory__that_is_gone(tmp_path: Path) -> None:
    Path("replica.ini").write_text(LONDISTE + "logfile = x.log\n")
    program = Path(sys.executable).with_name("londiste_lite")
    script = f"mkdir gone; cd gone; rmdir ../gone; {program} {tmp_path}/replica.ini provider tables"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the current directory does not exist any more\nhint: ")


def test_rewind_and_reset__exclude_each_other() -> None:
    assert "exclude each other" in run("replica.ini", "--rewind", "--reset").stderr


def test_dsn_in_the_place_of_the_ini__shows_no_password() -> None:
    done = run("postgresql://user:Secret@host/db", "status")
    assert done.returncode == 1
    assert "Secret" not in done.stderr


def test_misspelt_required_key__is_named_in_the_same_report() -> None:
    Path("replica.ini").write_text(LONDISTE.replace("provider_db", "provder_db"))
    done = run("replica.ini", "provider", "tables")
    assert done.returncode == 1
    assert "provider_db: is required, but missing" in done.stderr
    assert 'provder_db: unknown key, ignored; did you mean "provider_db"?' in done.stderr


@pytest.mark.parametrize("words", [("compare",), ("repair",), ("provider", "add", "t"), ("subscriber", "remove", "t")])
def test_force__is_taken_everywhere_as_in_londiste_2_1(words: tuple[str, ...]) -> None:
    assert "No such option" not in run("replica.ini", *words, "--force").stderr
    assert "No such option" in run("replica.ini", "parked", "drop", "t", "--force").stderr


@pytest.mark.parametrize("timeout", ["-1", "nan"])
def test_wait__timeout_that_is_none(timeout: str) -> None:
    assert run("replica.ini", "wait", f"--timeout={timeout}").returncode == 2


def test_json__in_an_encoding_without_the_names() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from londiste_lite import output; output.json({'name': 's\u00e9q'})"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert json.loads(done.stdout) == {"name": "s\u00e9q"}


def test_script__that_cannot_be_read() -> None:
    done = run("replica.ini", "provider", "execute", "nowhere.sql")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: script nowhere.sql cannot be read: No such file or directory\n"
    Path("latin.sql").write_bytes(b"select '\xe4'")
    done = run("replica.ini", "provider", "execute", "latin.sql")
    assert done.returncode == 1
    assert done.stderr.startswith("error: script latin.sql cannot be read: 'utf-8' codec")


def test_completion__in_bash_for_every_name_of_the_program() -> None:
    script = """
        ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $shell_function "$1"; echo "${COMPREPLY[*]}"; }
        for program in londiste_lite londiste.py pgqadm.py; do
            source <("$program" --show-completion)
            shell_function=$(complete -p "$program" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
            ask "$program" -v replica.ini subscriber resync --tr
        done
        ask pgqadm.py repl
        ask pgqadm.py replica.ini prov
    """
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
    )
    assert (done.stdout.splitlines(), done.stderr) == (["--truncate"] * 3 + ["replica.ini", "provider"], "")


@pytest.mark.parametrize("program", ["londiste_lite", "londiste.py", "pgqadm.py"])
def test_completion__in_other_shells(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(shell: str, words: str, action: str = "get-args") -> str:
        with monkeypatch.context() as patch:
            patch.setenv(f"_{program}_COMPLETE".upper(), f"complete_{shell}")
            patch.setenv("_TYPER_COMPLETE_ARGS", f"{program} {words}")
            patch.setenv("_TYPER_COMPLETE_FISH_ACTION", action)
            cli.main([], program)
        return capsys.readouterr().out

    assert '"remove-seq":"End the subscription of sequences' in asked("zsh", "replica.ini subscriber re")
    assert asked("zsh", "repl") == "_arguments '*: :((\"replica.ini\"))'\n"
    assert [line.split("\t")[0] for line in asked("fish", "replica.ini status --w").splitlines()] == ["--watch"]


def test_completion__of_names_says_nothing_when_they_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_LONDISTE_LITE_COMPLETE", "complete_bash")
    for ini in ("replica.ini", "none.ini", "ticker.ini"):
        monkeypatch.setenv("COMP_WORDS", f"londiste_lite {ini} compare e")
        monkeypatch.setenv("COMP_CWORD", "3")
        cli.main([], "londiste_lite")
        assert "".join(capsys.readouterr()).strip() == ""


def test_help__on_a_terminal_keeps_words_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.build(pretty=True)
    with pytest.raises(SystemExit):
        command.main(args=["--help"], prog_name="londiste_lite")
    shown = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    for text in ("One of the [node:NAME] sections", "with a [pgqadm] INI the queues", "--kill -k Tell it to stop"):
        assert text in shown, shown
    assert "\\[" not in shown


def test_odd_words__in_a_terminal_of_another_encoding() -> None:
    path = Path(sys.executable).parent / "londiste_lite"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [str(path), "replica.ini", "provider", b"k\xe4se\xff"],
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert b'no such command "k' in done.stderr
    assert b"Traceback" not in done.stderr


def test_interrupt__while_a_server_does_not_answer_is_at_once() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dsn = f"host=127.0.0.1 port={silent.getsockname()[1]} connect_timeout=300"
        Path("replica.ini").write_text(LONDISTE.replace("dbname=a", f"{dsn} dbname=a"))
        path = Path(sys.executable).parent / "londiste_lite"
        waiting = subprocess.Popen(
            [str(path), "replica.ini", "wait"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A test run in the background of a shell ignores SIGINT, and its children would, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        try:
            silent.settimeout(60)
            accepted, _ = silent.accept()
            waiting.send_signal(signal.SIGINT)
            _, said = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
            waiting.wait()
        accepted.close()
    assert waiting.returncode == 130
    assert said.decode() == "interrupted\n"
