"""Metrics by real scrapes of a running replay, and the examples that speak of them."""

from __future__ import annotations

import json
import logging
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from londiste_lite import __version__
from londiste_lite.metrics_service import MetricsService
from londiste_lite.scraped import Scraped
from londiste_lite.throwaway import free_port
from tests.fixtures.cli import PASSWORD, QUEUE, Site, until

MONITORING = Path(__file__).parents[2] / "examples" / "monitoring"
# What Prometheus itself knows.
FOREIGN = {"londiste_lite"}


def get(port: int, path: str) -> tuple[int, str]:
    """Status code and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=40) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Scrape:
    """One scrape, parsed as Prometheus does."""

    def __init__(self, port: int) -> None:
        code, self.text = get(port, "/metrics")
        assert code == 200
        assert PASSWORD not in self.text
        families = list(text_string_to_metric_families(self.text))
        self.names = {family.name for family in families}
        self.samples = [sample for family in families for sample in family.samples]
        self.names |= {sample.name for sample in self.samples}
        assert all(family.documentation for family in families)

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one sample with these labels, None when there is none."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert len(found) <= 1, (name, labels, found)
        return found[0] if found else None


@pytest.fixture
def entry(site: Site) -> Site:
    site.both("create table entry (id int primary key, item text)")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    return site


def test_scrape__figures_health_and_examples(entry: Site) -> None:
    port = free_port()
    ini = entry.ini("metrics.ini", job_name="replica", metrics_port=str(port))
    pid = entry.replay(ini)
    until(lambda: get_quietly(port, "/healthz") == (200, "ok\n"), "a healthy replay")
    entry.wait()  # rows that come with the first copy are not counted
    entry.provider.script("insert into entry select n, 'x' from generate_series(1, 50) n")
    entry.provider.script("update entry set item = 'y' where id <= 20; delete from entry where id = 50")
    entry.wait()
    labels = {"queue": QUEUE, "consumer": "replica", "node": "", "table": "public.entry"}
    until(
        lambda: Scrape(port).value("londiste_applied_tick") == Scrape(port).value("londiste_last_tick"), "all applied"
    )
    seen = Scrape(port)
    assert seen.value("londiste_lag_seconds") == 0
    assert seen.value("londiste_lag_events") == 0
    assert seen.value("londiste_ticker_alive") == 1
    assert seen.value("londiste_replay_working", consumer="replica") == 1
    assert seen.value("londiste_up", side="provider") == 1
    assert seen.value("londiste_up", side="subscriber") == 1
    assert seen.value("londiste_build_info", version=__version__) == 1
    inserted = seen.value("londiste_rows_total", operation="insert", **labels)
    deleted = seen.value("londiste_rows_total", operation="delete", **labels)
    assert (inserted or 0) - (deleted or 0) == 49
    assert seen.value("londiste_table_state", state="ok", **labels) == 1
    assert seen.value("londiste_table_state", state="in-copy", **labels) == 0
    assert seen.value("londiste_table_error", **labels) == 0
    assert (seen.value("londiste_batch_seconds_count") or 0) >= 1
    assert (seen.value("londiste_batch_rows_total") or 0) >= 49
    assert (seen.value("londiste_queue_bytes") or 0) > 8192
    assert seen.value("londiste_queue_lag_events", reader="replica") is not None
    assert seen.value("londiste_tick_age_seconds") is not None

    # What stops the replay is in the figures, and a load balancer hears of it.
    entry.subscriber.script("alter table entry add check (id <> 77)")
    entry.provider.script("insert into entry values (77, 'bad')")
    until(lambda: get(port, "/healthz")[0] == 503, "an unhealthy replay")
    assert "77" in get(port, "/healthz")[1]
    until(lambda: (Scrape(port).value("londiste_lag_events") or 0) >= 1, "lag")
    seen = Scrape(port)
    assert seen.value("londiste_replay_working") == 0
    assert [s for s in seen.samples if s.name == "londiste_errors_total"]
    assert seen.value("londiste_table_error", **labels) == 1
    entry.subscriber.script("alter table entry drop constraint entry_id_check")
    until(lambda: get(port, "/healthz")[0] == 200, "a replay that is well again")

    # Everything that the examples speak of is there.
    for path in sorted(MONITORING.iterdir()):
        spoken = set(re.findall(r"\blondiste_\w+", path.read_text())) - FOREIGN
        assert spoken, path
        assert spoken <= seen.names, f"{path.name}: {sorted(spoken - seen.names)}"
    missing = {n for n in seen.names if n.startswith("londiste_") and not n.endswith(("_created", "_sum", "_tick"))}
    dashboard = (MONITORING / "grafana-dashboard.json").read_text()
    assert {re.sub("_(total|bucket|count)$", "", n) for n in missing} - {"londiste_paused"} <= {
        re.sub("_(total|bucket|count)$", "", n) for n in re.findall(r"\blondiste_\w+", dashboard)
    }

    assert get(port, "/other")[0] == 404
    # A reload may move the port, and a port in use stops nothing.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        entry.ini("metrics.ini", job_name="replica", metrics_port=str(taken.getsockname()[1]))
        entry.cli.run("metrics.ini", "-r")
        until(lambda: "metrics cannot be served" in entry.cli.log(), "the message")
    assert get_quietly(port, "/healthz") is None
    entry.provider.script("insert into entry values (100, 'still replaying')")
    entry.wait()
    assert entry.cli.owner("replica.pid") == pid
    entry.assert_equal("entry")
    entry.cli.run("metrics.ini", "-s")


def get_quietly(port: int, path: str) -> tuple[int, str] | None:
    """Like `get`, None while nobody listens."""
    try:
        return get(port, path)
    except OSError:
        return None


def test_port_in_use__is_said_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scraped = Scraped("host=127.0.0.1 port=1 password=hush-4711", "host=127.0.0.1 port=1", "job", "q", "c", "7")
    service = MetricsService(lambda: scraped)
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.INFO):
        assert not service.serve(taken.getsockname()[1])
        assert "Hint: choose another metrics_port" in caplog.text
    service.works()
    service.batch(0.1, 5)
    # Both sides are away: the scrape works, and says so.
    port = free_port()
    assert service.serve(port)
    assert service.serve(port)
    try:
        seen = Scrape(port)
        assert seen.value("londiste_up", side="provider", node="7") == 0
        assert seen.value("londiste_batch_rows_total", node="7") == 5
        assert get(port, "/healthz") == (200, "ok\n")
        service.error(ValueError("password=hush-4711 is wrong"))
        assert get(port, "/healthz") == (503, "password=*** is wrong\n")
        assert Scrape(port).value("londiste_errors_total", kind="ValueError") == 1
    finally:
        service.close()
    assert get_quietly(port, "/metrics") is None
    assert not service.serve(0)


def test_examples__are_what_their_readers_take() -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert all(panel["targets"] for panel in dashboard["panels"])
    rules = (MONITORING / "alerts.yml").read_text()
    assert rules.count("- alert: ") == rules.count("expr: ") == rules.count("summary: ") >= 8
