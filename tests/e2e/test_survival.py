"""Kill things: the data plane in mid-stream, the control plane, Postgres, Valkey. Nothing is lost or doubled or opened.

The simulator counts what it was asked for; the ledger must say the same.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from tollway.testkit.stack import SIMULATED, Stack, until

SLOW = "sim/sim-fast/rate=40,tokens=120"
BODY = {"model": SIMULATED, "messages": [{"role": "user", "content": "one two three four five"}]}


def totals(stack: Stack) -> dict[str, Any]:
    """The ledger's sums by project."""
    found: dict[str, Any] = stack.api("GET", "usage?by=project")["total"]
    return found


def counts(stack: Stack) -> dict[str, Any]:
    """What the simulator served."""
    found: dict[str, Any] = stack.simulate("GET", "counts")
    return found


def received(stack: Stack) -> int:
    """How many requests the simulator got."""
    return int(sums(stack)["received"])


def sums(stack: Stack) -> dict[str, Any]:
    """The simulator's sums over everything."""
    return counts(stack)


def ledger_reaches(stack: Stack, requests: int, seconds: float = 15) -> dict[str, Any]:
    """The ledger's total once it has that many requests; and it stays there."""
    until(lambda: int(totals(stack)["requests"]) >= requests, seconds, f"{requests} rows in the ledger")
    time.sleep(0.5)
    found = totals(stack)
    assert int(found["requests"]) == requests
    return found


class Streaming(NamedTuple):
    """A stream under way; it stays open as long as somebody holds it."""

    client: httpx.Client
    lines: Iterator[str]

    def close(self) -> None:
        """Hangs up."""
        self.client.close()


def stream_some(stack: Stack, events: int, *, number: int = 0, model: str = SLOW) -> Streaming:
    """Begins a stream and reads some events; the caller closes it to hang up."""
    client = httpx.Client(timeout=30)
    request = client.build_request(
        "POST",
        f"{stack.base_url(number)}/chat/completions",
        json={**BODY, "model": model, "stream": True},
        headers={"Authorization": f"Bearer {stack.key}"},
    )
    response = client.send(request, stream=True)
    assert response.status_code == 200
    lines = response.iter_lines()
    for _ in range(events):
        while not next(lines).startswith("data:"):
            pass
    return Streaming(client, lines)


def test_the_ledger_is_what_the_simulator_served(fresh_stack: Stack) -> None:
    stack = fresh_stack.start(dataplanes=2)
    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(stack.chat, number=n % 2, max_tokens=1 + n % 7) for n in range(60)]
        assert {job.result()[0] for job in jobs} == {200}
        streams = [pool.submit(stream_to_end, stack, n % 2) for n in range(20)]
        assert all("[DONE]" in job.result() for job in streams)
    found = ledger_reaches(stack, 80)
    served = sums(stack)
    assert received(stack) == 80
    assert int(found["input_tokens"]) == int(served["prompt_tokens"])
    assert int(found["output_tokens"]) == int(served["completion_tokens"])
    nano = int(served["prompt_tokens"]) * 1000
    rows = stack.sql("SELECT sum(cost_nano), bool_or(estimated), count(DISTINCT price_version) FROM ledger_attempts")
    priced = [
        row
        for row in stack.sql("SELECT input_tokens, output_tokens, cost_nano FROM ledger_attempts")
        if row[2] != row[0] * 1000 + row[1] * 2000
    ]
    assert rows[0][1] is False
    assert priced == []
    assert rows[0][0] == nano + int(served["completion_tokens"]) * 2000


def stream_to_end(stack: Stack, number: int = 0) -> str:
    """One whole stream."""
    with httpx.Client(timeout=30) as client:
        response = client.post(
            f"{stack.base_url(number)}/chat/completions",
            json={**BODY, "stream": True},
            headers={"Authorization": f"Bearer {stack.key}"},
        )
        return response.text


def test_a_data_plane_killed_in_mid_stream_loses_and_doubles_nothing(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    clients = [stream_some(stack, 3) for _ in range(8)]
    assert stack.chat()[0] == 200
    victim = stack.dataplanes[0]
    time.sleep(0.4)  # progress marks are written
    victim.kill()
    for client in clients:
        client.close()
    assert received(stack) == 9
    victim.start()
    found = ledger_reaches(stack, 9)
    assert int(found["output_tokens"]) > 8 * 2  # the first of the three events brings no content
    lost = stack.sql("SELECT count(*), bool_and(estimated) FROM ledger_attempts WHERE outcome = 'lost'")
    assert lost == [(8, True)], stack.sql("SELECT outcome, estimated, count(*) FROM ledger_attempts GROUP BY 1, 2")
    until(lambda: stack.chat()[0] == 200, 5, "service after the restart")


def test_killed_at_any_moment_of_many_requests(fresh_stack: Stack) -> None:
    """Load runs while the data plane is killed three times; each time a successor books what was left."""
    stack = fresh_stack.start()
    stop = threading.Event()
    delivered = 0
    lock = threading.Lock()

    def load(seed: int) -> None:
        nonlocal delivered
        with httpx.Client(timeout=10) as client:
            while not stop.is_set():
                try:
                    answer = client.post(
                        f"{stack.base_url()}/chat/completions",
                        json={**BODY, "stream": seed % 2 == 0, "max_tokens": 5},
                        headers={"Authorization": f"Bearer {stack.key}"},
                    )
                except httpx.HTTPError:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    with lock:
                        delivered += 1

    threads = [threading.Thread(target=load, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for pause in (0.7, 0.4, 0.9):
        time.sleep(pause)
        stack.dataplanes[0].kill()
        stack.dataplanes[0].start()
        until(lambda: stack.ready(stack.dataplanes[0]), 10, "readiness")
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    expected = received(stack)
    assert delivered > 50
    found = ledger_reaches(stack, expected, 20)
    assert int(found["requests"]) >= delivered
    exact = stack.sql(
        "SELECT count(*) FROM ledger_attempts"
        " WHERE NOT estimated AND cost_nano <> input_tokens * 1000 + output_tokens * 2000"
    )
    assert exact == [(0,)]


def test_without_control_plane_and_postgres_known_keys_are_served_and_nothing_is_lost(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    key_id, revoked = stack.create_key("revoked")
    _id, unseen = stack.create_key("never-used-before")
    until(lambda: stack.chat(key=revoked)[0] == 200, 5, "the new key")
    stack.api("POST", f"keys/{key_id}:revoke", {})
    until(lambda: stack.chat(key=revoked)[0] == 401, 5, "the revocation")
    before = received(stack)
    stack.control.kill()
    stack.postgres.kill()
    for _ in range(20):
        assert stack.chat()[0] == 200
    assert stack.chat(key=unseen)[0] == 200, "the directory knows keys that this process never saw"
    assert stack.chat(key=revoked)[2]["error"]["code"] == "key_revoked"
    assert stack.chat(key="sk-tw-nobody")[2]["error"]["code"] == "invalid_api_key"
    # A restart in this state: ready, and the same answers.
    stack.dataplanes[0].kill()
    began = time.monotonic()
    stack.dataplanes[0].start()
    until(lambda: stack.ready(stack.dataplanes[0]), 5, "readiness without the control plane")
    assert time.monotonic() - began < 3
    assert stack.chat()[0] == 200
    assert stack.chat(key=unseen)[0] == 200
    assert stack.chat(key=revoked)[2]["error"]["code"] == "key_revoked"
    assert stack.chat(key="sk-tw-nobody")[2]["error"]["code"] == "invalid_api_key"
    expected = received(stack)
    assert expected == before + 23
    stack.postgres.start()
    stack.control.start()
    ledger_reaches(stack, expected, 20)


def test_postgres_killed_while_rows_are_shipped(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            assert stack.chat(max_tokens=3)[0] == 200

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.5)
        stack.postgres.kill()
        time.sleep(0.3)
        stack.postgres.start()
    stop.set()
    for thread in threads:
        thread.join()
    ledger_reaches(stack, received(stack), 20)


def test_valkey_killed_known_keys_are_served_unknown_ones_get_503_and_it_heals(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    _id, unseen = stack.create_key("unseen")
    assert stack.chat()[0] == 200
    time.sleep(1)
    stack.valkey.kill()
    for _ in range(10):
        assert stack.chat()[0] == 200
    status, headers, body = stack.chat(key=unseen)
    assert (status, body["error"]["code"]) in [(503, "directory_unavailable"), (200, None)] or status == 200
    status, headers, body = stack.chat(key="sk-tw-nobody")
    assert (status, body["error"]["code"]) == (503, "directory_unavailable")
    assert headers["retry-after"] == "1"
    stack.valkey.start()
    until(lambda: stack.chat(key=unseen)[0] == 200, 10, "recovery")
    until(lambda: stack.chat(key="sk-tw-nobody")[0] == 401, 10, "recovery of refusals")


def test_started_without_valkey_the_directory_comes_from_the_control_plane(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    stack.valkey.kill()
    service = stack.add_dataplane()
    number = stack.dataplanes.index(service)
    assert stack.chat(number=number)[0] == 200
    assert stack.chat(number=number, key="sk-tw-nobody")[0] == 401
    stack.valkey.start()
    until(lambda: stack.chat(number=number)[0] == 200, 10, "service after the move")


def test_a_flushed_valkey_is_filled_again(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    _id, unseen = stack.create_key("unseen")
    time.sleep(0.7)
    stack.valkey.flush()
    until(lambda: stack.chat(key=unseen)[0] == 200, 10, "the directory")
    assert stack.chat()[0] == 200


def test_hanging_up_closes_the_upstream_within_a_second(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    client = stream_some(stack, 5)
    client.close()
    began = time.monotonic()
    until(lambda: int(sums(stack)["aborted"]) == 1, 1.0, "the abort at the provider")
    assert time.monotonic() - began < 1.0
    ledger_reaches(stack, 1)
    (row,) = stack.sql("SELECT outcome, estimated, output_tokens FROM ledger_attempts")
    assert row[0] == "client_closed"
    assert row[1] is True
    assert row[2] >= 4  # the first of the five events brings no content


def test_sigterm_lets_a_stream_end_and_ships_everything(fresh_stack: Stack) -> None:
    stack = fresh_stack.start()
    result: list[str] = []
    body = {**BODY, "model": "sim/sim-fast/rate=60,tokens=120", "stream": True}

    def whole() -> None:
        with httpx.Client(timeout=30) as client:
            headers = {"Authorization": f"Bearer {stack.key}"}
            result.append(client.post(f"{stack.base_url()}/chat/completions", json=body, headers=headers).text)

    thread = threading.Thread(target=whole)
    thread.start()
    until(lambda: received(stack) == 1, 5, "the stream's begin")
    assert stack.dataplanes[0].stop() == 0
    thread.join()
    assert result[0].rstrip().endswith("data: [DONE]")
    found = totals(stack)
    assert int(found["requests"]) == 1
    assert int(found["output_tokens"]) == 120


def test_a_steady_state_request_costs_no_database_query(fresh_stack: Stack) -> None:
    """Every statement that the database sees comes from polling and shipping, not from requests."""
    stack = fresh_stack.start()
    stack.chat()
    ledger_reaches(stack, 1)

    def statements() -> int:
        (row,) = stack.sql(
            "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(row[0])

    def spent(requests: int) -> int:
        before = statements()
        began = time.monotonic()
        for _ in range(requests):
            assert stack.chat()[0] == 200
        time.sleep(max(0.0, 4.0 - (time.monotonic() - began)))
        return statements() - before

    idle = spent(0)
    busy = spent(400)
    assert busy <= idle + 60, (idle, busy)  # batches of rows, not one statement a request


@pytest.mark.parametrize("processes", [2])
def test_a_crashed_process_is_replaced_and_its_rows_are_booked(fresh_stack: Stack, processes: int) -> None:
    stack = fresh_stack.start(processes=processes)
    import psutil

    supervisor = psutil.Process(stack.dataplanes[0].pid)
    children = supervisor.children()
    assert len(children) == processes
    clients = [stream_some(stack, 2) for _ in range(6)]
    children[0].kill()
    until(lambda: len([c for c in supervisor.children() if c.status() != "zombie"]) == processes, 10, "the successor")
    for _ in range(30):
        until(lambda: answered(stack), 5, "an answer")
    for client in clients:
        client.close()
    until(lambda: int(totals(stack)["requests"]) == received(stack), 20, "all rows")
    until(lambda: counted(stack) >= 30, 5, "metrics summed over the processes")


def counted(stack: Stack) -> float:
    """Requests by the data plane's own metrics."""
    metrics = httpx.get(f"http://127.0.0.1:{stack.dataplanes[0].ports['admin']}/metrics").text
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("tollway_requests_total"))


def answered(stack: Stack) -> bool:
    """Whether a request gets a 200; a reset connection counts as not yet."""
    try:
        return stack.chat()[0] == 200
    except OSError:
        return False


def test_a_frozen_process_is_replaced(fresh_stack: Stack) -> None:
    import psutil

    stack = fresh_stack.start(processes=2)
    supervisor = psutil.Process(stack.dataplanes[0].pid)
    frozen = supervisor.children()[0]
    frozen.suspend()
    until(lambda: frozen.pid not in [c.pid for c in supervisor.children()], 15, "the replacement")
    until(lambda: json.dumps(stack.ready(stack.dataplanes[0])) == "true", 10, "readiness")
