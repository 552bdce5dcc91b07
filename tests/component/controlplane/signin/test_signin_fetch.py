"""Calls of identity providers over real sockets: bounded in size and time, guarded, and going nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tollway.controlplane.signin.fetch import MAX_ANSWER_BYTES, Fetcher, ProviderUnavailable


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    made = Fetcher(seconds=0.5)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def provider() -> AsyncIterator[str]:
    """The address of a provider that behaves badly in many ways."""
    app = web.Application()
    asked: list[str] = []
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        match request.path:
            case "/good":
                return web.json_response({"ok": True})
            case "/large":
                return web.Response(body=b'{"x":"' + b"x" * MAX_ANSWER_BYTES + b'"}')
            case "/redirect":
                raise web.HTTPFound("/good")
            case "/slow":
                await over.wait()
            case "/list":
                return web.json_response([1])
            case "/deep":
                return web.Response(body=b"[" * 100_000)
            case "/asked":
                return web.json_response({"asked": asked})
        return web.Response(status=500)

    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    over.set()
    await runner.cleanup()


async def test_only_a_small_object_in_time_is_an_answer(fetcher: Fetcher, provider: str) -> None:
    assert await fetcher.get(f"{provider}/good") == {"ok": True}
    for path in ("large", "redirect", "slow", "list", "deep", "broken"):
        with pytest.raises(ProviderUnavailable):
            await fetcher.get(f"{provider}/{path}")
    with pytest.raises(ProviderUnavailable):
        await fetcher.post(f"{provider}/broken", "a=b", {})
    assert (await fetcher.get(f"{provider}/asked"))["asked"].count("/good") == 1  # no redirect was followed


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/latest", "https://[fd00:ec2::254]/", "http://192.0.2.1/", "https://metadata/x"]
)
async def test_addresses_that_must_not_be_called_are_not(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(ProviderUnavailable, match="address of the identity provider"):
        await fetcher.get(url)


async def test_a_name_that_means_a_link_local_address_is_not_called(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name passes, and its address is looked at when the connection is made."""
    import socket

    def resolve(*_args: object, **_more: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ProviderUnavailable, match="link-local"):
        await fetcher.get("https://id.example.com/")


async def test_a_provider_that_is_not_there_is_a_clear_error(fetcher: Fetcher) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot connect"):
        await fetcher.get("http://127.0.0.1:1/")
