"""The request log through a whole gateway: what is kept is what was said, found again, masked, read in the open.

Then its worst days: deaths of the data plane, of the control plane and of Postgres. Requests never wait for the log,
the ledger has every one of them, and what the log lost is counted.
"""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tollway.testkit.machine import Machine
from tollway.testkit.stack import SIMULATED, Stack, http, until

ADDRESS, CARD = "ann.canary@example.com", "4111 1111 1111 1111"
QUESTION = f"I am {ADDRESS} and pay with {CARD} please"
CREDENTIAL = "sk-sim-canary-0123456789"
TAGS = {"x-tollway-tags": "team=web,stage=prod"}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway with the projects `demo` (full), `veiled` (masked) and `silent` (none), each with a key `k`."""
    stack = Stack(tmp_path_factory.mktemp("logged"))
    stack.log_level = "debug"
    try:
        stack.start()
        document = stack.demo()
        document["providers"][0]["credentials"][0]["api_key"] = CREDENTIAL
        document["projects"] += [
            {"name": name, "keys": [{"name": "k"}], "logging": {"bodies": bodies, "retention_days": 7}}
            for name, bodies in (("veiled", "masked"), ("silent", "none"))
        ]
        keys = {made["project"]: made["secret"] for made in stack.apply(document)}
        stack.secrets = {"demo": stack.key, **keys}  # type: ignore[attr-defined]
        until(lambda: stack.chat(key=keys["silent"], max_tokens=1)[0] == 200, 10, "the new keys")
        yield stack
    finally:
        stack.stop()


def key_of(stack: Stack, project: str) -> str:
    """The secret of a project's key."""
    found: dict[str, str] = stack.secrets  # type: ignore[attr-defined]
    return found[project]


def ask(stack: Stack, project: str, path: str, body: Any, **headers: str) -> str:
    """One request; the whole answer as its client read it."""
    with httpx.Client(timeout=30) as client:
        answer = client.post(
            f"{stack.base_url()}/{path}",
            json=body,
            headers={"Authorization": f"Bearer {key_of(stack, project)}", **headers},
        )
        return answer.text


def search(stack: Stack, **filters: Any) -> list[dict[str, Any]]:
    """A page of the log over REST."""
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    found: list[dict[str, Any]] = stack.api("GET", f"request-log?{query}")["requests"]
    return found


def read(stack: Stack, request_id: str) -> dict[str, Any]:
    """One request with its bodies."""
    found: dict[str, Any] = stack.api("POST", f"request-log/{request_id}:read", {})
    return found


def one(stack: Stack, client_id: str) -> dict[str, Any]:
    """The one request of that client id, once it is there, with its bodies."""
    (found,) = until(lambda: search(stack, request_id=client_id), 10, f"{client_id} in the log")
    return read(stack, found["request_id"])


BODIES: list[tuple[str, dict[str, Any]]] = [
    ("chat/completions", {"messages": [{"role": "user", "content": QUESTION}]}),
    ("messages", {"max_tokens": 99, "messages": [{"role": "user", "content": QUESTION}]}),
    ("responses", {"input": QUESTION, "store": False}),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("path", "body"), BODIES, ids=[path for path, _ in BODIES])
def test_each_project_keeps_what_it_wants(logged: Stack, path: str, body: dict[str, Any], streamed: bool) -> None:
    mark = f"{path.replace('/', '-')}-{streamed}"
    given = {}
    for project in ("demo", "veiled", "silent"):
        headers = {"x-request-id": f"{mark}-{project}", **TAGS}
        given[project] = ask(logged, project, path, {"model": SIMULATED, "stream": streamed, **body}, **headers)
    assert ADDRESS in given["demo"] or streamed
    full = one(logged, f"{mark}-demo")
    assert full["response"]["body"] == given["demo"]
    assert QUESTION in full["request"]["body"]
    row = full["metadata"]
    assert (row["project"], row["model"], row["status"], row["outcome"]) == ("demo", SIMULATED, 200, "ok")
    assert (row["endpoint"], row["stream"], row["masked"]) == (f"/v1/{path}", streamed, False)
    assert (row["tags"], row["retention_days"]) == ({"team": "web", "stage": "prod"}, 30)
    veiled = one(logged, f"{mark}-veiled")
    assert veiled["metadata"]["masked"] is True
    assert veiled["metadata"]["retention_days"] == 7
    assert "I am [EMAIL] and pay with [CARD] please" in veiled["request"]["body"]
    told = json.dumps(veiled)
    assert "[EMAIL]" in veiled["response"]["body"]
    assert not [word for word in ("ann.canary", "example.com", "4111", "1111 1111") if word in told], told
    assert search(logged, project="silent") == []
    ledger = logged.sql(f"SELECT count(*) FROM ledger_requests WHERE client_request_id LIKE '{mark}-%'")
    assert until(lambda: ledger == [(3,)] or logged.sql(
        f"SELECT count(*) FROM ledger_requests WHERE client_request_id LIKE '{mark}-%'") == [(3,)])  # fmt: skip


def test_an_upload_and_errors(logged: Stack) -> None:
    picture = b"\x89PNG\r\n\x1a\n\xff\xfe" + bytes(range(256))
    for project in ("demo", "veiled"):
        answer = httpx.post(
            f"{logged.base_url()}/images/edits",
            data={"model": "sim/gpt-image-1", "prompt": f"for {ADDRESS}"},
            files={"image": ("x.png", picture, "image/png")},
            headers={"Authorization": f"Bearer {key_of(logged, project)}", "x-request-id": f"upload-{project}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
    kept = one(logged, "upload-demo")["request"]
    assert kept["body"] == ""
    assert picture in base64.b64decode(kept["body_base64"])
    veiled = one(logged, "upload-veiled")["request"]["body"]
    assert "prompt: for [EMAIL]" in veiled
    assert f"[BINARY: {len(picture)} bytes]" in veiled

    question = [{"role": "user", "content": "hi"}]
    ask(logged, "demo", "chat/completions", {"model": "nope", "messages": question}, **{"x-request-id": "no-model"})
    down = {"model": "sim/sim-fast/fault=500", "messages": question}
    refusal = ask(logged, "demo", "chat/completions", down, **{"x-request-id": "down"})
    cut = {"model": "sim/sim-fast/fault=cut,tokens=9", "messages": question, "stream": True}
    ask(logged, "demo", "chat/completions", cut, **{"x-request-id": "cut"})
    found = one(logged, "no-model")
    assert (found["metadata"]["status"], found["metadata"]["error_code"]) == (404, "model_not_found")
    found = one(logged, "down")
    assert found["metadata"]["outcome"] == "error"
    assert found["response"]["body"] == refusal
    found = one(logged, "cut")
    assert (found["metadata"]["outcome"], found["metadata"]["status"]) == ("error", 200)
    assert {row["client_request_id"] for row in search(logged, outcome="error")} == {"no-model", "down", "cut"}
    assert [row["client_request_id"] for row in search(logged, error_code="model_not_found")] == ["no-model"]


def test_the_command_line_finds_and_shows_and_reading_is_audited(logged: Stack, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{logged.control.ports['control']}"
    tollway = Machine(
        tmp_path, {"TOLLWAY_CONTROL_URL": url, "TOLLWAY_ADMIN_TOKEN": logged.admin_token, "HOME": str(tmp_path)}
    )
    body = {"model": SIMULATED, "messages": [{"role": "user", "content": "say it"}], "stream": True}
    ask(logged, "demo", "chat/completions", body, **{"x-request-id": "cli-1", "x-tollway-tags": "who=cli"})
    request_id = one(logged, "cli-1")["metadata"]["request_id"]

    def out(*arguments: str) -> str:
        done: subprocess.CompletedProcess[str] = tollway.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert request_id in out("logs", "--project", "demo", "--from", "1h", "--tag", "who=cli", "--status", "200")
    assert json.loads(out("logs", "list", "--key", "demo/demo-key", "--tag", "who=nobody", "-o", "json")) == []
    (row,) = json.loads(out("logs", "--request-id", "cli-1", "--endpoint", "/v1/chat/completions", "-o", "json"))
    assert row["request_id"] == request_id
    before = len(json.loads(out("audit", "list", "--action", "requestlog.read_bodies", "-o", "json")))
    shown = out("logs", "show", request_id)
    assert "Simulated answer to: say it" in shown
    assert "ANSWER, STREAMED 200" in shown
    assert "data: {" in out("logs", "show", request_id, "--raw")
    entries = json.loads(out("audit", "list", "--action", "requestlog.read_bodies", "-o", "json"))
    assert len(entries) == before + 2
    assert request_id in json.dumps(entries[0])
    assert json.loads(out("logs", "delete", request_id, "--yes", "-o", "json")) == {"deleted": 1}
    gone = tollway.run("logs", "show", request_id)
    assert gone.returncode == 4
    assert request_id in gone.stderr


def test_no_secret_and_no_masked_word_is_anywhere(logged: Stack) -> None:
    """In no row outside of the full project, no audit entry and no log file."""
    for number, (path, body) in enumerate(BODIES):
        ask(logged, "veiled", path, {"model": SIMULATED, **body}, **{"x-request-id": f"veiled-{number}"})
        one(logged, f"veiled-{number}")
    stored = logged.sql("SELECT row_to_json(r)::text FROM request_log r WHERE masked")
    audited = logged.sql("SELECT row_to_json(a)::text FROM audit_events a")
    assert stored
    assert audited
    texts = [str(row[0]) for row in (*stored, *audited)]
    texts += [path.read_text() for path in logged.folder.glob("*.log")]
    secrets = [key.rsplit("-", 1)[1] for key in logged.secrets.values()]  # type: ignore[attr-defined]
    secrets += [CREDENTIAL, ADDRESS, "ann.canary", CARD, "4111111111111111", "I am "]
    assert [secret for secret in secrets for text in texts if secret in text] == []


# -- the worst days -----------------------------------------------------------------------------------------------


LOADS = itertools.count()


class Load:
    """Clients that ask without a pause, streamed and not. `ids` are those of whole answers, with when they ended."""

    def __init__(self, stack: Stack, number: int, clients: int = 3) -> None:
        self.ids: dict[str, float] = {}
        self.slowest = 0.0
        self.failed: list[str] = []
        self._name = f"load-{next(LOADS)}"
        self._stack = stack
        self._number = number
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        number = 0
        with httpx.Client(timeout=10) as client:
            while not self._stop.is_set():
                number += 1
                identifier = f"{self._name}-{seed}-{number}"
                body = {"model": SIMULATED, "messages": [{"role": "user", "content": identifier}], "max_tokens": 4}
                began = time.monotonic()
                try:
                    answer = client.post(
                        f"{self._stack.base_url(self._number)}/chat/completions",
                        json={**body, "stream": number % 2 == 0},
                        headers={"Authorization": f"Bearer {self._stack.key}", "x-request-id": identifier},
                    )
                except httpx.HTTPError as error:
                    with self._lock:
                        self.failed.append(type(error).__name__)
                    time.sleep(0.05)
                    continue
                ended = time.monotonic()
                with self._lock:
                    self.slowest = max(self.slowest, ended - began)
                    if answer.status_code == 200:
                        self.ids[identifier] = ended
                    else:
                        self.failed.append(answer.text[:200])
                time.sleep(0.02)


def in_log(stack: Stack) -> set[str]:
    """The client's ids of everything in the log."""
    return {str(row[0]) for row in stack.sql("SELECT client_request_id FROM request_log")}


def in_ledger(stack: Stack) -> set[str]:
    """The client's ids of everything in the ledger."""
    return {str(row[0]) for row in stack.sql("SELECT client_request_id FROM ledger_requests")}


def losses(stack: Stack) -> int:
    """Bodies that a data plane dropped, as the control plane knows of them."""
    return int(stack.sql("SELECT coalesce(sum(dropped), 0) FROM request_log_losses")[0][0])


def metric(stack: Stack, number: int, name: str) -> float:
    """The sum of a metric of a data plane."""
    port = stack.dataplanes[number].ports["admin"]
    _status, _headers, text = http("GET", f"http://127.0.0.1:{port}/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in str(text).splitlines() if line.startswith(name))


@contextmanager
def nothing_suffers(stack: Stack, number: int) -> Iterator[Load]:
    """Load during which no request may fail or wait for long, all of which must be in the ledger afterwards."""
    with Load(stack, number) as load:
        yield load
    assert load.failed == []
    assert len(load.ids) > 50
    assert load.slowest < 2.0
    until(lambda: load.ids.keys() <= in_ledger(stack), 20, "every request in the ledger")


def test_on_its_worst_days_nothing_waits_and_what_is_lost_is_counted(fresh_stack: Stack) -> None:
    """The second data plane has next to no room for bodies."""
    stack = fresh_stack.start()
    stack.add_dataplane(TOLLWAY_BODIES_SPOOL_BYTES="40000")
    control_plane_and_postgres_away(stack)
    data_plane_killed(stack)


def control_plane_and_postgres_away(stack: Stack) -> None:
    """Every body arrives later where there was room for it; elsewhere each is stored or counted, and an alert tells."""
    with nothing_suffers(stack, 0) as roomy, nothing_suffers(stack, 1) as full:
        time.sleep(0.5)
        stack.control.kill()
        time.sleep(10)
        assert len(roomy.ids) > len(in_log(stack) & roomy.ids.keys()), "the log waits, requests do not"
        assert metric(stack, 1, "tollway_bodies_dropped_total") > 20
        stack.control.start()
        until(lambda: len(in_log(stack)) > 100, 15, "bodies in the log again")
        stack.postgres.kill()
        time.sleep(3)
        stack.postgres.start()
        time.sleep(0.5)
    everything = len(roomy.ids) + len(full.ids)
    until(lambda: roomy.ids.keys() <= in_log(stack), 20, "every body in the log")
    until(lambda: losses(stack) + len(in_log(stack)) >= everything, 20, "each body stored or counted")
    assert metric(stack, 0, "tollway_bodies_dropped_total") == 0
    dropped = metric(stack, 1, "tollway_bodies_dropped_total")
    assert dropped + len(in_log(stack)) == everything
    assert losses(stack) >= dropped, "an answer that got lost can make it too high, never too low"
    until(lambda: metric(stack, 0, "tollway_bodies_spool_bytes") == 0, 5, "an empty spool")
    until(lambda: stack.api("GET", "alerts?kind=bodies_dropped")["alerts"], 15, "the alert")


def data_plane_killed(stack: Stack) -> None:
    """With the control plane away: what ended well before the kill is in the log later, sent by a successor, once."""
    stack.control.kill()
    with Load(stack, 0) as load:
        time.sleep(2.5)
        killed = time.monotonic()
        stack.dataplanes[0].kill()
        stack.dataplanes[0].start()
        until(lambda: stack.ready(stack.dataplanes[0]), 10, "readiness")
        time.sleep(0.5)
    stack.control.start()
    until(lambda: load.ids.keys() <= in_ledger(stack), 20, "every request in the ledger")
    written = {identifier for identifier, ended in load.ids.items() if not killed - 1.5 < ended <= killed}
    assert len(written) > 50
    until(lambda: written <= in_log(stack), 15, "every body that was written in the log")
    found = stack.sql("SELECT count(*), count(DISTINCT client_request_id) FROM request_log")
    assert found[0][0] == found[0][1], "no body is there twice"
    alerts = stack.api("GET", "alerts?kind=bodies_dropped")["alerts"]
    assert len(alerts) == 1, [alert["summary"] for alert in alerts]
