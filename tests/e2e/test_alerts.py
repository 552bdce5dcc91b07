"""Alerts through a whole gateway: what is crossed is told once, signed, to those whom it concerns, crashes or not."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tollway.testkit.stack import Stack, until

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "alerts.md"
SECRET, WRONG_KEY = "canary-signing-secret-0123456789", "sk-invalid-canary-0123456789"
DEAR = "sim/dear"


class Receiver:
    """A webhook on loopback. `told` are the messages by path, `forged` those whose signature is not right."""

    def __init__(self, verify: Callable[[str, str, bytes], bool]) -> None:
        self.told: dict[str, list[dict[str, Any]]] = {}
        self.forged = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not verify(SECRET, self.headers.get("X-Tollway-Signature", ""), body):
                    receiver.forged += 1
                receiver.told.setdefault(self.path, []).append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def crossings(self, path: str) -> list[str]:
        """What came: kind, and the threshold or the credential."""
        alerts = [message["alert"] for message in self.told.get(path, []) if not message["test"]]
        return [
            " ".join([alert["kind"], alert["details"].get("threshold", "") or alert["details"].get("credential", "")])
            for alert in alerts
        ]

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def verify() -> Callable[[str, str, bytes], bool]:
    """The check of signatures that the guide tells receivers to make."""
    block = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block[1], names)
    found: Callable[[str, str, bytes], bool] = names["verify"]
    return found


@pytest.fixture(scope="module")
def receiver(verify: Callable[[str, str, bytes], bool]) -> Iterator[Receiver]:
    made = Receiver(verify)
    yield made
    made.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    """A gateway with a soft budget of one dollar and channels for everything, for its project, and for another."""
    stack = Stack(tmp_path_factory.mktemp("watched"))
    stack.control_settings = {"TOLLWAY_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    try:
        stack.start()
        document = stack.demo()
        url = document["providers"][0]["base_url"]
        document["providers"].append({
            "name": "shut", "kind": "simulator", "base_url": url,
            "credentials": [{"name": "stale", "api_key": WRONG_KEY}],
        })  # fmt: skip
        document["models"] += [
            {
                "name": DEAR,
                "targets": [{"provider": "sim", "model": "sim-fast/tokens=50"}],
                "price": {"input": "0", "output": "10000"},
            },
            {
                "name": "shut",
                "targets": [{"provider": "shut", "model": "sim-fast"}],
                "price": {"input": "0", "output": "0"},
            },
        ]
        budget = {"limit": "1", "period": "month", "mode": "soft", "alerts": [0.5, 0.8]}
        document["projects"][0]["budget"] = budget
        document["projects"].append({"name": "other"})
        document["alert_channels"] = [
            {"name": name, "kind": "webhook", "url": f"{receiver.url}/{name}", "secret": SECRET, **more}
            for name, more in (
                ("all", {}),
                ("mine", {"scope": "project", "subject": "demo"}),
                ("others", {"scope": "project", "subject": "other"}),
            )
        ]
        stack.apply(document)
        until(lambda: stack.chat(model="shut")[0] == 502, 10, "the new models")
        yield stack
    finally:
        stack.stop()


def spent(stack: Stack) -> int:
    """Nano-dollars in the ledger."""
    return int(stack.sql("SELECT coalesce(sum(cost_nano), 0) FROM ledger_attempts")[0][0])


def spend(stack: Stack) -> None:
    """Uses half a dollar, and returns when the ledger has it."""
    wanted = spent(stack) + 500_000_000
    assert stack.chat(model=DEAR)[0] == 200
    until(lambda: spent(stack) == wanted, 10, "the row in the ledger")


def noted(stack: Stack) -> None:
    """Returns when every delivery is noted as such: what a process that dies before has sent may come twice."""
    states = "SELECT DISTINCT state FROM alert_deliveries"
    until(lambda: stack.sql(states) == [("delivered",)], 5, "the deliveries in their log")


def test_each_threshold_is_told_once_to_whom_it_concerns_though_the_control_plane_dies(
    watched: Stack, receiver: Receiver
) -> None:
    test = watched.api("POST", "alert-channels/mine:test", {})
    assert (test["delivered"], test["status"]) == (True, 204)
    spend(watched)
    until(lambda: receiver.crossings("/mine") == ["budget_threshold 0.5"], 15, "the first threshold")
    noted(watched)
    watched.control.kill()
    watched.control.start()  # it looks at once: what was told is not told again
    spend(watched)
    expected = ["budget_threshold 0.5", "budget_threshold 0.8", "budget_exhausted "]
    until(lambda: len(receiver.crossings("/mine")) >= 3, 15, "the second threshold, and the end")
    noted(watched)
    watched.control.kill()
    assert watched.chat(model=DEAR)[0] == 200, "a soft budget refuses nothing"
    watched.control.start()
    time.sleep(1.5)
    for channel in ("/all", "/mine"):  # that so much in an hour is unusual may be told, too
        told = [crossing for crossing in receiver.crossings(channel) if crossing.startswith("budget")]
        assert sorted(told) == sorted(expected)
    assert receiver.crossings("/others") == []
    assert receiver.forged == 0
    first = next(message for message in receiver.told["/mine"] if not message["test"])["alert"]
    assert (first["scope"], first["subject"], first["project"]) == ("project", "demo", "demo")
    assert (first["details"]["used"], first["details"]["limit"]) == ("0.5", "1")
    noted(watched)


def test_a_wrong_provider_key_is_told_once_without_the_key(watched: Stack, receiver: Receiver) -> None:
    for _ in range(5):
        assert watched.chat(model="shut")[2]["error"]["code"] == "provider_auth_failed"
    # It ends at once: what it has to tell goes out first.
    watched.dataplanes[0].stop()
    until(lambda: "credential_failed stale" in receiver.crossings("/all"), 5, "the alert")
    watched.dataplanes[0].start()
    until(lambda: watched.ready(watched.dataplanes[0]), 10, "readiness")
    for _ in range(3):
        watched.chat(model="shut")
    again = "SELECT occurrences FROM alerts WHERE kind = 'credential_failed'"
    until(lambda: watched.sql(again)[0][0] > 5, 10, "further refusals counted")
    assert receiver.crossings("/all").count("credential_failed stale") == 1
    assert "credential_failed stale" not in receiver.crossings("/mine"), "it concerns the installation"


def test_no_secret_is_told_logged_or_stored(watched: Stack, receiver: Receiver) -> None:
    texts = [json.dumps(receiver.told), *(path.read_text() for path in watched.folder.glob("*.log"))]
    for table in ("alerts", "alert_deliveries", "alert_channels", "audit_events"):
        texts += [str(row[0]) for row in watched.sql(f"SELECT row_to_json(t)::text FROM {table} t")]
    texts += [json.dumps(watched.api("GET", path)) for path in ("alerts", "alert-channels", "alert-deliveries")]
    for secret in (SECRET, WRONG_KEY, "canary", f"{receiver.url}/all"):
        assert [text[:200] for text in texts if secret in text] == []
