"""The counts are exact, whatever the clients do."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http, until

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


async def ask(session: aiohttp.ClientSession, url: str, number: int) -> int:
    """One request, one in three streamed, one in five refused; tokens that were delivered."""
    model = f"m/tokens={number % 7 + 1}" if number % 5 else "m/fault=500"
    body = {"model": model, "messages": HELLO, "stream": number % 3 == 0}
    # Either header names the attempt; the data plane sends the second.
    headers = {("x-tollway-attempt", "x-client-request-id")[number % 2]: f"a{number}"}
    async with session.post(f"{url}/chat/completions", json=body, headers=headers) as response:
        await response.read()
        assert response.status == (200 if number % 5 else 500)
    return number % 7 + 1 if number % 5 else 0


async def test_counts_are_exact_under_load(simulator: SimulatorServer) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=40)) as session:
        tokens = await asyncio.gather(*(ask(session, simulator.openai_url, number) for number in range(600)))
    counts = simulator.settled(600)
    assert (counts["received"], counts["completed"], counts["failed"], counts["aborted"]) == (600, 480, 120, 0)
    assert counts["completion_tokens"] == counts["delivered_tokens"] == sum(tokens)
    assert counts["prompt_tokens"] == 480 * 6
    records = simulator.requests(limit=1000)
    assert sorted(record["attempt"] for record in records) == sorted(f"a{number}" for number in range(600))
    assert len({record["id"] for record in records}) == 600
    (one,) = simulator.requests(attempt="a8")
    assert (one["model"], one["outcome"], one["completion_tokens"]) == ("m/tokens=2", "completed", 2)


async def leave(simulator: SimulatorServer, events: int) -> int:
    """Reads so many events with content of a slow stream and leaves; the tokens that arrived."""
    body = {"model": "m/rate=200,tokens=1000", "messages": HELLO, "stream": True}
    seen = 0
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{simulator.openai_url}/chat/completions", json=body) as response,
    ):
        async for line in response.content:
            seen += line.count(b'"content":"') and b'"content":""' not in line
            if seen >= events:
                break
        response.close()
    return seen


async def test_clients_that_leave_are_counted_with_what_they_got(simulator: SimulatorServer) -> None:
    seen = await asyncio.gather(*(leave(simulator, number) for number in range(1, 41)))
    counts = simulator.settled(40)
    assert (counts["received"], counts["aborted"], counts["completed"]) == (40, 40, 0)
    assert counts["completion_tokens"] == 0
    delivered = sorted(record["delivered_tokens"] for record in simulator.requests())
    # A token may be on its way when the client leaves; it is none too few and hardly any too many.
    assert all(got <= sent <= got + 60 for got, sent in zip(sorted(seen), delivered, strict=True))
    assert counts["delivered_tokens"] == sum(delivered)
    until(lambda: simulator.counts()["open_connections"] == 0, 5, "closed connections")


async def test_a_request_counts_when_its_body_has_arrived(simulator: SimulatorServer) -> None:
    body = orjson.dumps({"model": "m/latency=300ms", "messages": HELLO})
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", simulator.service.ports["simulator"]), timeout=5) as half:
        half.sendall(head + body[:10])
        until(lambda: simulator.counts()["open_connections"] >= 1, 5, "the connection")
        assert simulator.counts()["received"] == 0
        half.sendall(body[10:])
        until(lambda: simulator.counts()["received"] == 1, 5, "the request")
        assert simulator.counts()["open"] == 1
        assert simulator.requests()[-1]["outcome"] == "open"
        assert half.recv(12) == b"HTTP/1.1 200"
    with socket.create_connection(("127.0.0.1", simulator.service.ports["simulator"]), timeout=5) as half:
        half.sendall(head + body[:10])
    until(lambda: simulator.counts()["incomplete"] == 1, 5, "the request that never arrived")
    assert simulator.settled(1)["received"] == 1


def test_reset_forgets_and_can_keep_the_behaviour(simulator: SimulatorServer) -> None:
    simulator.behave("m", fault="500")
    url, body = f"{simulator.openai_url}/chat/completions", {"model": "m", "messages": HELLO}
    assert http("POST", url, body=body)[0] == 500
    simulator.control("POST", "reset?keep=behaviour")
    assert simulator.counts()["received"] == 0
    assert simulator.requests() == []
    assert http("POST", url, body=body)[0] == 500
    assert simulator.control("GET", "behaviour") == {"m": {"fault": "500"}}
    assert simulator.control("DELETE", "behaviour") == {}
    assert http("POST", url, body=body)[0] == 200


def test_the_control_port_refuses_what_is_wrong(simulator: SimulatorServer) -> None:
    url = f"{simulator.origin}/control/behaviour"
    for body in (b"{", b"[1]", b"{}", b'{"model": "m", "fault": "melt"}', b'{"model": "m/tokens=1", "rate": 1}'):
        status, _headers, found = http("POST", url, body=body)
        assert status == 400
        assert found["error"]
    assert http("GET", f"{simulator.origin}/control/requests?limit=-1")[0] == 400
    assert simulator.control("GET", "behaviour") == {}


def test_probes_answer(simulator: SimulatorServer) -> None:
    assert [http("GET", f"{simulator.origin}/{path}")[0] for path in ("livez", "healthz", "readyz")] == [200] * 3


def test_it_ends_in_order_while_a_stream_runs(tmp_path: Path) -> None:
    server = SimulatorServer(tmp_path).start()
    body = orjson.dumps({"model": "m/rate=5,tokens=1000", "messages": HELLO, "stream": True})
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.service.ports["simulator"]), timeout=5) as stream:
        stream.sendall(head + body)
        assert stream.recv(12) == b"HTTP/1.1 200"
        server.stop()


def test_a_port_in_use_is_one_clear_line(simulator: SimulatorServer) -> None:
    environment = {"TOLLWAY_PORT_SIMULATOR": str(simulator.service.ports["simulator"])}
    command = [sys.executable, "-m", "tollway.simulator.main", "serve"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
