"""What dead processes counted stays in the totals, and their files do not stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tollway.dataplane.metrics.remains import bury
from tollway.dataplane.telemetry import render

PROCESS = """
import os, sys
from tollway.dataplane.telemetry import Telemetry
telemetry = Telemetry(most_series=1000)
for project in sys.argv[1].split(","):
    telemetry.request("/v1/chat/completions", "m", project, 200, 0.02)
    telemetry.attempt(("up", "m", project, "ok"), 0.01, 3, 4, 500_000_000)
telemetry.in_flight.set(7)
telemetry.flush()
print(os.getpid())
"""


def live_and_die(folder: Path, projects: str) -> int:
    """A process that counts a request of each project; returns its id."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, projects],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return int(done.stdout)


def scrape(folder: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All series of the folder."""
    text = render(CollectorRegistry(), str(folder)).decode()
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_totals_of_dead_processes_stay_and_their_files_go(tmp_path: Path) -> None:
    dead = [live_and_die(tmp_path, "a,b"), live_and_die(tmp_path, "b,c")]
    before = scrape(tmp_path)
    requests = ("tollway_requests_total", (("endpoint", "/v1/chat/completions"), ("model", "m"), ("project", "b")))
    assert before[requests[0], (*requests[1], ("status", "200"))] == 2
    assert before["tollway_requests_in_flight", ()] == 14
    for pid in dead:
        bury(tmp_path, pid, 1000)
    after = scrape(tmp_path)
    gauges = {name for name in before if name not in after}
    assert all(not name[0].endswith(("_total", "_count", "_sum", "_bucket")) for name in gauges)
    assert ("tollway_requests_in_flight", ()) in gauges
    assert {name: before[name] for name in after} == after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_dead.db", "histogram_dead.db"]


def test_what_the_dead_leave_is_bounded_too(tmp_path: Path) -> None:
    for generation in range(3):
        names = ",".join(f"{generation}-{number}" for number in range(4))
        bury(tmp_path, live_and_die(tmp_path, names), 5)
    found = {
        dict(labels)["project"]: value
        for (name, labels), value in scrape(tmp_path).items()
        if name == "tollway_requests_total"
    }
    assert sum(found.values()) == 12
    assert len(found) == 6
    assert found["other"] == 7


def test_a_file_that_was_cut_is_given_up(tmp_path: Path) -> None:
    pid = live_and_die(tmp_path, "a")
    (tmp_path / f"counter_{pid}.db").write_bytes(b"\xff\x00\x00\x00\x00\x00\x00\x00\xf0\x00\x00\x00")
    bury(tmp_path, pid, 5)
    assert not list(tmp_path.glob(f"*_{pid}.db"))
    assert any(name == "tollway_request_seconds_count" for name, _ in scrape(tmp_path))
