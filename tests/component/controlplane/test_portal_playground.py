"""The playground calls with a key that is made for the session, and that nobody sees."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tollway.testkit.portal import Person, Rig, signed_in
from tollway.testkit.portal import rig as opened
from tollway.testkit.servers import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n'
ASKED = {"project": "alpha", "model": "sim/chat", "prompt": "Hello"}


@dataclass
class Gateway:
    """A data plane's address for clients: it hears of keys late, and remembers which ones came."""

    deaf: int = 0
    keys: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """A stream, or a refusal while a key has not arrived."""
        if self.deaf:
            self.deaf -= 1
            return web.json_response({"error": {"message": "Incorrect API key"}}, status=401)
        self.keys.append(request.headers["Authorization"].removeprefix("Bearer "))
        assert (await request.json())["model"] == "sim/chat"
        return web.Response(body=EVENTS, content_type="text/event-stream")


@dataclass
class Room:
    """A control plane with its gateway."""

    rig: Rig
    gateway: Gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(
    postgres: PostgresServer, make_settings: Callable[..., Any], make_api: Callable[..., Any]
) -> AsyncIterator[Room]:
    """Made once for the module."""
    gateway, app = Gateway(), web.Application()
    app.router.add_post("/v1/chat/completions", gateway.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with opened(postgres, make_settings, make_api, f"http://127.0.0.1:{port}") as rig:
        yield Room(rig, gateway)
    await runner.cleanup()


@asynccontextmanager
async def somebody(room: Room, name: str) -> AsyncIterator[tuple[Person, str]]:
    """A developer of the project with nothing made so far, and the id of the binding that makes it one."""
    async with signed_in(room.rig.plane, name) as person:
        role = {"role": "developer", "user": name, "project": "alpha"}
        yield person, (await room.rig.api.call("POST", "roles", role)).body["id"]


async def made(room: Room, name: str) -> list[tuple[Any, ...]]:
    """Somebody's keys of the playground: tags, seconds to live, revoked."""
    found: list[tuple[Any, ...]] = await room.rig.api.sql(
        "SELECT tags, extract(epoch FROM expires_at - now())::int, revoked_at IS NOT NULL FROM keys"
        " WHERE name LIKE 'playground-%%' AND user_name = %s ORDER BY id",
        name,
    )
    return found


async def test_a_key_is_made_for_the_session_used_again_and_never_shown(
    room: Room, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway, name = room.gateway, "first@example.com"
    async with somebody(room, name) as (person, _):
        gateway.deaf = 2
        for _ in range(2):
            status, text, headers = await person.post("/playground/stream", **ASKED)
            assert (status, text) == (200, EVENTS.decode())
            assert headers["content-type"].startswith("text/event-stream")
        secret, again = gateway.keys[-2:]
        assert secret == again
        assert secret.startswith("sk-tw-")
        ((tags, seconds, revoked),) = await made(room, name)
        assert (tags, revoked) == ({"made-for": "playground"}, False)
        assert 800 < seconds <= 900
        (entry,) = (await room.rig.api.call("GET", f"audit?action=keys.create&actor={name}")).body["events"]
        assert (entry["transport"], entry["reason"]) == ("portal", "a try in the playground")
        assert secret not in str(entry)
        for path in ("/playground", "/keys", "/audit"):
            for one in (person, room.rig.administrator):
                assert secret not in (await one.get(path))[1]
    said = capfd.readouterr()
    assert secret not in said.out + said.err


async def test_what_ended_is_replaced_and_goes_out_of_the_lists(room: Room) -> None:
    name = "second@example.com"
    async with somebody(room, name) as (person, _):
        await person.post("/playground/stream", **ASKED)
        past = "UPDATE keys SET expires_at = now() - interval '1 s' WHERE user_name = %s"
        await room.rig.api.sql(past, name)
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        assert [revoked for _, _, revoked in await made(room, name)] == [True, False]
        _, text, _ = await person.get("/keys")
        (page,) = re.findall(r'href="(/keys/[0-9a-f-]{36})">playground-', text)
        _, text, _ = await person.get(page)
        await person.post(f"{page}/revoke")
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        assert len(await made(room, name)) == 3
        assert len(set(room.gateway.keys[-2:])) == 2


async def test_who_may_not_make_keys_there_calls_nothing(room: Room) -> None:
    name = "dev@example.com"
    count, keys = len(room.gateway.keys), len(await made(room, name))
    status, text, _ = await room.rig.developer.post("/playground/stream", **ASKED | {"project": "secret-beta"})
    assert (status, "permission" in text or "no project" in text) == (400, True), text
    status, text, _ = await room.rig.developer.post("/playground", **ASKED | {"project": ""})
    assert (status, 'role="alert"' in text) == (400, True)
    assert (len(room.gateway.keys), len(await made(room, name))) == (count, keys)


async def test_who_has_left_the_project_does_not_go_on(room: Room) -> None:
    api = room.rig.api
    async with somebody(room, "gone@example.com") as (gone, binding):
        assert (await gone.post("/playground/stream", **ASKED))[0] == 200
        assert (await api.call("DELETE", f"roles/{binding}")).status == 200
        count = len(room.gateway.keys)
        assert (await gone.post("/playground/stream", **ASKED))[0] == 400
        assert len(room.gateway.keys) == count


async def test_a_refusal_of_the_gateway_is_shown(room: Room) -> None:
    await room.rig.manager.post("/playground/stream", **ASKED)
    room.gateway.deaf = 20
    key = "sk-tw-typed-by-a-person"
    status, text, _ = await room.rig.manager.post("/playground/stream", key=key, **ASKED)
    assert (status, "Incorrect API key (401)" in text, room.gateway.deaf) == (502, True, 19)
    status, text, _ = await room.rig.manager.post("/playground", key=key, **ASKED)
    assert (status, "Incorrect API key (401)" in text, key in text) == (200, True, False)
    room.gateway.deaf = 0
