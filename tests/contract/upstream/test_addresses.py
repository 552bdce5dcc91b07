"""Names and addresses of our own client: what is looked up, what may be connected to, and which is tried next."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tollway.core.proxies import Proxies
from tollway.dataplane.upstream import resolve
from tollway.dataplane.upstream.native import NativeClient
from tollway.testkit.raw_server import RawServer, serves
from tollway.testkit.upstream_calls import UNREACHABLE, outcome, post

HELLO = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
WELL = (200, b"hello")


class Names:
    """What the resolver of the machine would say; `asked` counts the questions."""

    def __init__(self, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[tuple[str, int]] = []
        self.asked = 0
        self._real = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self._look_up)

    async def _look_up(self, host: str, port: int, **more: Any) -> list[Any]:
        if host[0].isdigit():  # uvloop asks again when it connects
            return list(await self._real(host, port, **more))
        self.asked += 1
        await asyncio.sleep(0.01)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip, port in self.addresses
        ]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(asyncio.get_running_loop(), monkeypatch)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "0xa9.0xfe.0xa9.0xfe",
        "100.100.100.200",
    ],
)
async def test_literal_addresses_that_are_never_called(native: NativeClient, host: str) -> None:
    assert await outcome(native, post(f"http://{host}/latest/meta-data")) == UNREACHABLE


async def test_a_name_of_a_forbidden_address(native: NativeClient, names: Names) -> None:
    names.addresses = [("169.254.169.254", 80), ("fd00:ec2::254", 80)]
    assert await outcome(native, post("http://innocent.example/v1")) == UNREACHABLE
    assert names.asked == 1


async def test_the_next_address_is_tried(native: NativeClient, names: Names) -> None:
    async with RawServer(serves(HELLO)) as server:
        names.addresses = [("169.254.169.254", server.port), ("127.0.0.1", 1), ("127.0.0.1", server.port)]
        for _ in range(2):
            assert await outcome(native, post(f"http://api.example:{server.port}/v1")) == WELL


async def test_a_name_is_looked_up_once(native: NativeClient, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(serves(HELLO)) as server:
        names.addresses = [("127.0.0.1", server.port)]
        request = post(f"http://api.example:{server.port}/v1")
        calls = [asyncio.ensure_future(outcome(native, request)) for _ in range(4)]
        await asyncio.sleep(0.002)
        calls[0].cancel()  # the one that asks: another takes over
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert found[1:] == [WELL] * 3
        assert names.asked == 2
        assert await outcome(native, request) == WELL
        assert names.asked == 2
        monkeypatch.setattr(resolve, "CACHE_SECONDS", 0.0)
        native._places.clear()
        await outcome(native, post(f"http://other.example:{server.port}/v1"))
        await outcome(native, post(f"http://other.example:{server.port}/v1"))
        assert names.asked == 4


async def test_a_failure_is_not_remembered(native: NativeClient, names: Names) -> None:
    async with RawServer(serves(HELLO)) as server:
        request = post(f"http://api.example:{server.port}/v1")
        assert await outcome(native, request) == UNREACHABLE
        names.addresses = [("127.0.0.1", server.port)]
        assert await outcome(native, request) == WELL


@pytest.mark.parametrize("host", ["a..example", "a" * 64])
async def test_a_host_that_no_name_server_can_be_asked_for(host: str) -> None:
    """Also where it is that of the operator's proxy, which no guard looks at."""
    native = NativeClient(proxies=Proxies(f"http://{host}:1", "", ""))
    assert await outcome(native, post("http://provider.example/v1")) == UNREACHABLE
    await native.close()
