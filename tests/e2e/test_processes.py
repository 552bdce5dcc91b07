"""Several processes on one port: one that crashes, hangs or is renewed costs nobody a request; and how all end.

The simulator counts what it was asked for; the ledger must say the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx2 as httpx
import psutil
import pytest

from tollway.testkit.stack import SIMULATED, Service, Stack, until

BODY: dict[str, Any] = {"model": SIMULATED, "messages": [{"role": "user", "content": "one two three"}]}


def children(service: Service) -> list[int]:
    """The pids of its processes."""
    return [child.pid for child in psutil.Process(service.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def rows(stack: Stack) -> int:
    """Requests in the ledger."""
    return int(stack.api("GET", "usage?by=project")["total"]["requests"])


def received(stack: Stack) -> int:
    """Requests that the simulator got."""
    return int(stack.simulate("GET", "counts")["received"])


def outcomes(stack: Stack) -> Counter[str]:
    """How the attempts in the ledger ended."""
    return Counter(str(row[0]) for row in stack.sql("SELECT outcome FROM ledger_attempts"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with one data plane of two processes; each test leaves it so."""
    shared = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield shared.start(processes=2)
    finally:
        shared.stop()


class Load:
    """Clients that ask all the time on kept connections, until they are told to stop."""

    def __init__(self, stack: Stack, clients: int = 6) -> None:
        self._url = f"{stack.base_url()}/chat/completions"
        self._headers = {"Authorization": f"Bearer {stack.key}"}
        self._clients = clients
        self._stop = asyncio.Event()
        self.outcomes: Counter[str] = Counter()

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        while not self._stop.is_set():
            body = {**BODY, "stream": number % 2 == 0, "max_tokens": 5}
            try:
                async with session.post(self._url, json=body, headers=self._headers) as response:
                    text = await response.read()
                    cut = number % 2 == 0 and b"[DONE]" not in text
                    self.outcomes["cut" if cut else str(response.status)] += 1
            except aiohttp.ClientError as error:
                self.outcomes[repr(error)] += 1
            await asyncio.sleep(0.01 * (1 + number % 3))

    async def during(self, work: Any) -> None:
        """Asks while `work`, in a thread, runs."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            running = [asyncio.ensure_future(self._client(session, number)) for number in range(self._clients)]
            try:
                await asyncio.to_thread(work)
                await asyncio.sleep(0.5)
            finally:
                self._stop.set()
                await asyncio.gather(*running)


def test_renewing_all_processes_under_load_fails_no_request(pair: Stack) -> None:
    stack, service = pair, pair.dataplanes[0]
    before = children(service)
    states = []

    def renew() -> None:
        service.send(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while set(children(service)) & set(before) or len(children(service)) != 2:
            assert time.monotonic() < deadline, children(service)
            states.append((len(children(service)), stack.ready(service)))
            time.sleep(0.1)

    load = Load(stack)
    asyncio.run(load.during(renew))
    assert set(load.outcomes) == {"200"}, load.outcomes
    assert load.outcomes["200"] > 50
    assert {ready for _count, ready in states} == {True}
    assert max(count for count, _ready in states) == 3  # one at a time
    until(lambda: rows(stack) == received(stack), 20, "all rows")
    assert len(children(service)) == 2


def test_a_renewal_that_fails_leaves_the_old_processes_as_they_are(pair: Stack) -> None:
    stack, service = pair, pair.dataplanes[0]
    before = sorted(children(service))
    journal = stack.folder / "dataplane-0" / "journal"
    moved = journal.with_name("journal.away")
    journal.rename(moved)
    journal.write_text("no folder: a new process cannot start")
    service.send(signal.SIGHUP)
    until(lambda: "does not become ready" in service.tail(), 40, "the log line")
    assert sorted(children(service)) == before
    assert stack.chat()[0] == 200
    journal.unlink()
    moved.rename(journal)
    until(lambda: rows(stack) == received(stack), 20, "all rows")


def test_a_connection_in_the_queue_of_a_process_that_died_is_served_by_its_successor(pair: Stack) -> None:
    stack, service = pair, pair.dataplanes[0]
    for pid in children(service):
        os.kill(pid, signal.SIGSTOP)
    begun = received(stack)
    queued = [_ask(stack) for _ in range(10)]
    for pid in children(service):
        os.kill(pid, signal.SIGKILL)
    for one in queued:
        one.settimeout(20)
        assert one.recv(100).startswith(b"HTTP/1.1 200 ")
        one.close()
    until(lambda: rows(stack) == received(stack) == begun + 10, 20, "all rows")


def _ask(stack: Stack) -> socket.socket:
    """A connection on which a request was sent."""
    body = json.dumps(BODY).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {stack.key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    made = socket.create_connection(("127.0.0.1", stack.dataplanes[0].ports["proxy"]))
    made.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    return made


class Streamed(threading.Thread):
    """A stream that is read to its end, in a thread."""

    def __init__(self, stack: Stack, number: int, path: str, tokens: int) -> None:
        super().__init__()
        self._url = stack.base_url(number).removesuffix("/v1") + path
        self._headers = {"Authorization": f"Bearer {stack.key}"}
        self._body = {**BODY, "model": f"sim/sim-fast/rate=40,tokens={tokens}", "stream": True, "max_tokens": tokens}
        self.text = ""

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            self.text = client.post(self._url, json=self._body, headers=self._headers).text


@pytest.mark.parametrize("processes", [1, 2])
def test_drain(pair: Stack, processes: int) -> None:
    """Not ready at once, closed after the delay; a short stream ends, a longer one is told; all is booked."""
    stack = pair
    until(lambda: rows(stack) == received(stack), 20, "the rows of before")
    begun, before = received(stack), outcomes(stack)
    service = stack.add_dataplane(processes=processes, TOLLWAY_DRAIN_SECONDS="3", TOLLWAY_DRAIN_DELAY_SECONDS="2")
    number = len(stack.dataplanes) - 1
    streams = [
        Streamed(stack, number, "/v1/chat/completions", 80),
        Streamed(stack, number, "/v1/chat/completions", 1200),
        Streamed(stack, number, "/v1/messages", 1200),
    ]
    for one in streams:
        one.start()
    until(lambda: received(stack) == begun + 3, 10, "the streams")
    time.sleep(0.5)
    assert service.process is not None
    service.process.terminate()
    began = time.monotonic()
    until(lambda: not stack.ready(service), 1, "readiness off")
    status, headers, _body = stack.chat(number=number)
    assert (status, headers["connection"]) == (200, "close")
    until(lambda: not accepts(service), 6, "refusal of connections")
    assert time.monotonic() - began > 1.5
    for one in streams:
        one.join()
    assert service.stop(30) == 0
    assert streams[0].text.rstrip().endswith("[DONE]")
    assert '"code":"overloaded"' in streams[1].text
    assert "event: error" in streams[2].text
    assert "[DONE]" not in streams[1].text
    assert "message_stop" not in streams[2].text
    assert rows(stack) == received(stack) == begun + 4
    assert outcomes(stack) - before == {"ok": 2, "error": 2}


def accepts(service: Service) -> bool:
    """Whether connections are taken."""
    try:
        socket.create_connection(("127.0.0.1", service.ports["proxy"]), timeout=1).close()
    except OSError:
        return False
    return True


def test_sighup_does_not_end_a_single_process(pair: Stack) -> None:
    service = pair.add_dataplane()
    service.send(signal.SIGHUP)
    until(lambda: "SIGHUP is ignored" in service.tail(), 5, "the log line")
    assert pair.ready(service)
    service.kill()
