"""The playground calls with a key that is made for the session, and that nobody sees."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from psycopg import AsyncConnection

from tollway.controlplane.portal import sessionkeys
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
    garbled: bool = False
    keys: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """A stream, or a refusal while a key has not arrived."""
        if self.deaf:
            self.deaf -= 1
            return web.json_response({"error": {"message": "Incorrect API key"}}, status=401)
        if self.garbled:
            return web.Response(body=b'{"error": {"message": "\xff"}}', content_type="application/json")
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


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(20):
        while not await done():
            await asyncio.sleep(0.05)


async def expire(room: Room, name: str) -> None:
    """Somebody's keys are over."""
    await room.rig.api.sql("UPDATE keys SET expires_at = now() - interval '1 s' WHERE user_name = %s", name)


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
        await expire(room, name)
        async with await AsyncConnection.connect(room.rig.api.database_url) as slow:
            await slow.execute("SELECT 1 FROM keys WHERE user_name = %s FOR UPDATE", [name])
            async with asyncio.timeout(15):  # the answer does not wait for what is revoked
                assert (await person.post("/playground/stream", **ASKED))[0] == 200
            assert [revoked for _, _, revoked in await made(room, name)] == [False, False]

        async def swept() -> bool:
            return [revoked for _, _, revoked in await made(room, name)] == [True, False]

        await until(swept)
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


async def test_old_keys_are_found_behind_many_others(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked through at a time is bounded, and the next time goes on from there."""
    monkeypatch.setattr(sessionkeys, "PAGE", 1)
    monkeypatch.setattr(sessionkeys, "PAGES", 2)
    api, name, tries = room.rig.api, "crowd@example.com", 0
    assert (await api.call("POST", "projects", {"name": "crowded"})).status == 200
    assert (await api.call("POST", "roles", {"role": "developer", "user": name, "project": "crowded"})).status == 200
    for number in range(3):
        wanted = {"project": "crowded", "name": f"real-{number}", "user": name}
        assert (await api.call("POST", "keys", wanted)).status == 200

    async def first_is_revoked() -> bool:
        nonlocal tries
        tries += 1
        await expire(room, name)
        assert (await person.post("/playground/stream", **ASKED | {"project": "crowded"}))[0] == 200
        return bool((await made(room, name))[0][2])

    async with signed_in(room.rig.plane, name) as person:
        await until(first_is_revoked)
    assert tries > 2, "it was beyond the first look"
    left = await api.sql("SELECT count(*)::int FROM keys WHERE name LIKE 'real-%%' AND revoked_at IS NULL")
    assert left == [(3,)]


async def test_who_is_refused_takes_nobodys_place(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessionkeys, "MAX_HELD", 2)
    async with somebody(room, "third@example.com") as (person, _):
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        for project in ("junk-1", "junk-2", "junk-3", "x" * 101):
            status, text, _ = await room.rig.developer.post("/playground/stream", **ASKED | {"project": project})
            assert (status, "at most 100 characters" in text) == (400, len(project) > 100), text
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        assert len(set(room.gateway.keys[-2:])) == 1


async def test_who_may_still_look_at_the_key_but_make_none_does_not_go_on(room: Room) -> None:
    api, name = room.rig.api, "looks@example.com"
    async with somebody(room, name) as (person, binding):
        assert (await api.call("POST", "roles", {"role": "auditor", "user": name, "project": "alpha"})).status == 200
        elsewhere = {"role": "developer", "user": name, "project": "secret-beta"}
        assert (await api.call("POST", "roles", elsewhere)).status == 200
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        assert (await api.call("DELETE", f"roles/{binding}")).status == 200
        count = len(room.gateway.keys)
        status, text, _ = await person.post("/playground/stream", **ASKED)
        assert (status, "permission" in text, len(room.gateway.keys)) == (400, True, count)


def in_memory(secret: str) -> bool:
    """Whether this process still has the secret for a session."""
    return any(one.secret == secret for one in gc.get_objects() if isinstance(one, sessionkeys.Held))


async def test_who_signs_out_leaves_neither_key_nor_secret(room: Room) -> None:
    name = "leaves@example.com"
    async with somebody(room, name) as (person, _):
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        secret = room.gateway.keys[-1]
        assert in_memory(secret)
        assert (await person.post("/auth/logout"))[0] == 200

        async def gone() -> bool:
            return (await made(room, name))[0][2] and not in_memory(secret)

        await until(gone)


async def test_a_secret_is_forgotten_in_time_by_itself(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessionkeys, "SECONDS", sessionkeys.LEAST_SECONDS + 1)
    async with somebody(room, "idle@example.com") as (person, _):
        assert (await person.post("/playground/stream", **ASKED))[0] == 200
        secret = room.gateway.keys[-1]
        assert in_memory(secret)

        async def gone() -> bool:
            return not in_memory(secret)

        await until(gone)


async def test_an_answer_that_is_no_text_is_said_to_be_unreadable(room: Room) -> None:
    """As a provider may send what is not UTF-8."""
    await room.rig.manager.post("/playground/stream", **ASKED)
    room.gateway.garbled = True
    status, text, _ = await room.rig.manager.post("/playground", **ASKED)
    assert (status, "the answer cannot be read" in text) == (200, True), text
    status, text, _ = await room.rig.manager.post("/playground/stream", **ASKED)
    assert (status, text) == (502, "the gateway's answer cannot be read (200)")
    room.gateway.garbled = False


async def test_a_try_takes_no_place_among_the_keys_that_one_may_have(room: Room) -> None:
    api, name = room.rig.api, "tight@example.com"
    assert (await api.call("POST", "projects", {"name": "tight", "max_keys": 1, "max_keys_per_user": 1})).status == 200
    assert (await api.call("POST", "roles", {"role": "developer", "user": name, "project": "tight"})).status == 200
    async with signed_in(room.rig.plane, name) as person:
        assert (await person.post("/playground/stream", **ASKED | {"project": "tight"}))[0] == 200
        real = {"project": "tight", "user": name}
        assert (await api.call("POST", "keys", real | {"name": "one"})).status == 200
        assert (await api.call("POST", "keys", real | {"name": "two"})).status == 409
        await expire(room, name)
        await api.sql("UPDATE keys SET expires_at = NULL WHERE name = 'one' AND user_name = %s", name)
        assert (await person.post("/playground/stream", **ASKED | {"project": "tight"}))[0] == 200
