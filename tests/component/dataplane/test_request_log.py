"""What the request log keeps of requests and answers, through the whole data plane on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tollway.core.catalog import Bodies, Caching, Logging, ProviderKind
from tollway.core.requestlog import LoggedBody
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, completion, event, stream, whole, words
from tollway.wire.bodies_codec import unpack

CREDENTIAL = "sk-upstream-canary-0123456789"
LIMIT = 4096


def content(body: LoggedBody) -> Any:
    """What was stored, unpacked."""
    assert len(body.content) == body.plain_bytes
    return json.loads(body.content)


async def logged(plane: LoneDataPlane, count: int, seconds: float = 5) -> list[LoggedBody]:
    """The bodies in the spool, once there are as many; and no more than these."""
    log = plane.process.bodies
    async with asyncio.timeout(seconds):
        while log.counts.captured < count or not log.writer.idle:
            await asyncio.sleep(0.01)
    bodies = [body for record in log.spool.batch(1 << 30, 10_000).records for body in unpack(record.data)]
    assert len(bodies) == count
    assert log.counts.dropped == 0
    assert log.memory.held == 0
    return bodies


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def plane(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[LoneDataPlane]:
    """Projects `p1` (full), `masked`, `none` and `caching` (masked too), with a key each in `keys`."""
    plane = LoneDataPlane(tmp_path / "data", valkey.url, max_logged_body_bytes=LIMIT)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url, api_key=CREDENTIAL)
    plane.add_provider("claude", ProviderKind.ANTHROPIC, upstream.url.removesuffix("/v1"), api_key=CREDENTIAL)
    plane.add_model("m", ("up", "up-model"))
    plane.add_project("masked", logging=Logging(bodies=Bodies.MASKED, retention_days=7))
    plane.add_project("none", logging=Logging(bodies=Bodies.NONE))
    plane.keys = {
        name: plane.add_key(project=name, user="ann@example.com", tags={"team": "a"}) for name in ("masked", "none")
    }
    plane.keys["revoked"] = plane.add_key(revoked=True)
    plane.add_project("caching", logging=Logging(bodies=Bodies.MASKED), caching=Caching(enabled=True))
    plane.keys["caching"] = plane.add_key(project="caching")
    async with plane:
        yield plane


async def test_a_chat_is_kept_with_its_metadata(plane: LoneDataPlane) -> None:
    headers = {"x-request-id": "mine-1", "x-tollway-tags": "run=7", "User-Agent": "probe/1", "Cookie": "secret-cookie"}
    body = b'{"model": "m",  "messages": [{"role": "user", "content": "Hello"}]}'
    answer = await plane.client.post(
        f"{plane.base_url}/chat/completions", data=body, headers={**headers, "Content-Type": "application/json"}
    )
    given = await answer.read()
    (kept,) = await logged(plane, 1)
    (row,) = await plane.wait_rows(1)
    assert kept.request_id == row.id
    assert (kept.project, kept.key_public_id, kept.model, kept.provider) == ("p1", row.key_public_id, "m", "up")
    assert (kept.endpoint, kept.status, kept.outcome, kept.error_code) == ("/v1/chat/completions", 200, "ok", "")
    assert (kept.client_request_id, kept.tags, kept.user_agent) == ("mine-1", {"run": "7"}, "probe/1")
    assert (kept.client_address, kept.retention_days) == ("127.0.0.1", 30)
    assert (kept.masked, kept.truncated, kept.stream) == (False, False, False)
    assert 0 <= kept.duration_ms < 5000
    found = content(kept)
    assert found["request"]["body"] == body.decode()
    assert found["request"]["headers"]["content-type"] == "application/json"
    assert found["response"]["body"] == given.decode()
    assert found["response"]["headers"]["x-tollway-provider"] == "up"
    assert (found["response"]["status"], found["response"]["streamed"]) == (200, False)
    told = json.dumps(found).lower()
    assert "cookie" not in told
    assert "authorization" not in told


async def test_a_stream_is_kept_whole_as_the_client_got_it(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(5))
    answer = await plane.chat(stream=True)
    given = await answer.read()
    (kept,) = await logged(plane, 1)
    found = content(kept)
    assert kept.stream
    assert found["response"]["body"] == given.decode()
    assert found["response"]["streamed"] is True
    assert found["response"]["headers"]["content-type"].startswith("text/event-stream")


async def test_messages_and_responses_streamed_and_not(plane: LoneDataPlane, upstream: Upstream) -> None:
    given = []
    for streamed in (False, True):
        upstream.script = stream(words(2)) if streamed else whole()
        for path, body in (
            ("messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
            ("responses", {"input": "Hi", "store": False}),
        ):
            answer = await plane.client.post(
                f"{plane.base_url}/{path}", json={"model": "m", "stream": streamed, **body}
            )
            given.append((f"/v1/{path}", streamed, (await answer.read()).decode()))
    bodies = await logged(plane, 4)
    assert [(kept.endpoint, kept.stream, content(kept)["response"]["body"]) for kept in bodies] == given


async def test_errors_and_refusals_are_kept(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole({"error": {"message": "slow down"}}, status=429)
    answers = [await plane.chat(), await plane.chat(model="nope")]
    broken = await plane.client.post(
        f"{plane.base_url}/chat/completions", data=b'{"model": "m", ', headers={"Content-Type": "application/json"}
    )
    answers.append(broken)
    bodies = await logged(plane, 3)
    assert [kept.status for kept in bodies] == [answer.status for answer in answers] == [429, 404, 400]
    assert [kept.error_code for kept in bodies] == ["provider_rate_limited", "model_not_found", "invalid_json"]
    assert [kept.model for kept in bodies] == ["m", "nope", ""]
    assert {kept.outcome for kept in bodies} == {"error"}
    for kept, answer in zip(bodies, answers, strict=True):
        assert content(kept)["response"]["body"] == (await answer.read()).decode()
    assert content(bodies[2])["request"]["body"] == '{"model": "m", '
    assert [row.id for row in await plane.wait_rows(1)] == [bodies[0].request_id]


async def test_nothing_is_kept_of_unknown_callers_and_where_the_project_wants_nothing(plane: LoneDataPlane) -> None:
    statuses = []
    for key in ("sk-tw-nobody", plane.keys["revoked"], plane.keys["none"]):
        for streamed in (False, True):
            answer = await plane.client.post(
                f"{plane.base_url}/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": streamed},
                headers={"Authorization": f"Bearer {key}"},
            )
            statuses.append(answer.status)
            await answer.read()
    assert statuses[:4] == [401] * 4
    await plane.chat()
    assert [kept.project for kept in await logged(plane, 1)] == ["p1"]
    assert plane.process.bodies.counts.captured == 1


async def test_an_answer_from_the_cache_is_kept_masked_like_any_other(plane: LoneDataPlane, upstream: Upstream) -> None:
    client = {"Authorization": f"Bearer {plane.keys['caching']}"}
    question = [{"role": "user", "content": "I am ann@example.com"}]
    said = f"Mail ann@example.com, key {CREDENTIAL}"
    for streamed in (True, False):
        upstream.script = stream([event({"content": said}), *words(1)[-3:]]) if streamed else whole(completion(said))
        for _ in range(2):
            answer = await plane.client.post(
                f"{plane.base_url}/chat/completions",
                json={"model": "m", "messages": question, "stream": streamed},
                headers=client,
            )
            assert said in (await answer.text())  # the client gets it as it is
    assert len(upstream.requests) == 2
    bodies = await logged(plane, 4)
    assert [content(kept)["response"]["headers"]["x-tollway-cache"] for kept in bodies] == ["miss", "hit"] * 2
    assert len({kept.request_id for kept in bodies}) == 4
    for called, given in (bodies[:2], bodies[2:]):
        assert content(given)["response"]["body"] == content(called)["response"]["body"]
        for kept in (called, given):
            assert (kept.masked, kept.provider, kept.status, kept.outcome) == (True, "up", 200, "ok")
            assert "ann" not in json.dumps(content(kept))
            assert CREDENTIAL not in json.dumps(content(kept))


async def test_a_masked_project(plane: LoneDataPlane, upstream: Upstream) -> None:
    parts = ["Mail ann", "@exam", "ple.com or 41", "11 1111 1111 1111."]
    client = {"Authorization": f"Bearer {plane.keys['masked']}", "User-Agent": "probe bob@example.com"}
    upstream.script = stream([*(event({"content": part}) for part in parts), event(finish="stop"), b"data: [DONE]\n\n"])
    question = [{"role": "user", "content": "I am ann@example.com, +49 30 1234567"}]
    for streamed in (True, False):
        answer = await plane.client.post(
            f"{plane.base_url}/chat/completions",
            json={"model": "m", "messages": question, "stream": streamed},
            headers=client,
        )
        assert "ann" in (await answer.text())  # the client gets it as it is
        upstream.script = whole(completion("Mail ann@example.com or 4111 1111 1111 1111."))
    live, plain = await logged(plane, 2)
    assert live.masked
    assert plain.masked
    assert (live.retention_days, live.user, live.tags) == (7, "ann@example.com", {"team": "a"})
    for kept in (live, plain):
        told = content(kept)
        asked = json.loads(told["request"]["body"])
        assert asked["messages"][0]["content"] == "I am [EMAIL], [PHONE]"
        assert told["request"]["headers"]["user-agent"] == "probe [EMAIL]"
        assert "ann" not in json.dumps(told)
    lines = [line[6:] for line in content(live)["response"]["body"].split("\n") if line.startswith("data: {")]
    deltas = [choice["delta"].get("content", "") for line in lines for choice in json.loads(line)["choices"]]
    assert "".join(deltas) == "Mail [EMAIL] or [CARD]."
    message = json.loads(content(plain)["response"]["body"])["choices"][0]["message"]
    assert message["content"] == "Mail [EMAIL] or [CARD]."


def form(filename: str, data: bytes) -> aiohttp.FormData:
    """An upload of a recording."""
    found = aiohttp.FormData()
    found.add_field("model", "m")
    found.add_field("prompt", "for ann@example.com")
    found.add_field("file", data, filename=filename, content_type="audio/wav")
    return found


async def test_forms_and_what_is_not_text(plane: LoneDataPlane, upstream: Upstream) -> None:
    sound = b"RIFF\xff\xfe\x00" + bytes(range(256))
    upstream.script = whole({"text": "said bob@example.com", "usage": {"type": "duration", "seconds": 1}})
    for key in (plane.key, plane.keys["masked"]):
        answer = await plane.client.post(
            f"{plane.base_url}/audio/transcriptions",
            data=form("ann.wav", sound),
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status == 200, await answer.text()
    full, masked = await logged(plane, 2)
    assert sound in base64.b64decode(content(full)["request"]["body"]["base64"])
    told = content(masked)
    assert told["request"]["body"] == f"model: m\nprompt: for [EMAIL]\nfile (ann.wav): [BINARY: {len(sound)} bytes]"
    assert json.loads(told["response"]["body"])["text"] == "said [EMAIL]"


async def test_secrets_in_what_is_not_text_are_not_stored(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole({"text": "hm", "usage": {"type": "duration", "seconds": 1}})
    credential = plane.providers["up"].credentials[0].api_key
    sound = b"\xff\xfe" + plane.key.encode() + b"\x00" + credential.encode() + b"\xff"
    answer = await plane.client.post(f"{plane.base_url}/audio/transcriptions", data=form("a.wav", sound))
    assert answer.status == 200, await answer.text()
    (full,) = await logged(plane, 1)
    kept = base64.b64decode(content(full)["request"]["body"]["base64"])
    assert b"RIFF" not in kept
    assert kept.count(b"[redacted]") == 2
    assert plane.key.encode() not in kept
    assert credential.encode() not in kept


async def test_long_bodies_are_cut_and_flagged(plane: LoneDataPlane, upstream: Upstream) -> None:
    long = "word " * LIMIT
    upstream.script = stream([event({"content": long}), *words(2)])
    answer = await plane.chat(stream=True, messages=[{"role": "user", "content": "Ä" * LIMIT}])
    given = await answer.read()
    upstream.script = whole(completion(long))
    await plane.chat()
    streamed, plain = await logged(plane, 2)
    assert streamed.truncated
    assert plain.truncated
    assert content(streamed)["response"]["body"] == given[:LIMIT].decode()
    assert len(content(plain)["response"]["body"]) == LIMIT
    assert LIMIT - 3 <= len(content(streamed)["request"]["body"].encode()) <= LIMIT


async def test_a_secret_that_is_cut_off_does_not_stay(plane: LoneDataPlane) -> None:
    for project, filler in (("p1", "a" * 4020), ("masked", "b" * 4020)):
        key = plane.key if project == "p1" else plane.keys["masked"]
        for secret in (key, "ann.with.a.rather.long.name@example.com"):
            for shift in range(0, 60, 7):
                body = json.dumps({"model": "m", "x": filler[shift:] + " " + secret + " " + "c" * 200})
                await plane.client.post(
                    f"{plane.base_url}/chat/completions",
                    data=body,
                    headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
                )
    for kept in await logged(plane, 36):
        told = content(kept)["request"]["body"]
        assert "sk-tw-" not in told or not kept.masked
        assert all(key[15:30] not in told for key in (plane.key, plane.keys["masked"]))
        if kept.masked:
            assert "ann.with" not in told


async def test_the_client_left(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(2)[:3], end="stuck")
    answer = await plane.chat(stream=True)
    await answer.content.readuntil(b"\n\n")
    answer.close()
    (kept,) = await logged(plane, 1)
    assert (kept.status, kept.outcome) == (200, "client_closed")
    assert "w0" in content(kept)["response"]["body"]
    upstream.script = stream([], end="stuck")
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.3):
            await plane.chat()
    _first, gone = await logged(plane, 2)
    assert (gone.status, gone.outcome) == (0, "client_closed")


async def test_keys_and_credentials_are_never_kept(plane: LoneDataPlane, upstream: Upstream) -> None:
    told = f"your key {plane.key}, mine {CREDENTIAL}"
    upstream.script = whole(completion(told))
    await plane.chat(messages=[{"role": "user", "content": f"I use {plane.key} and {plane.keys['none']}"}])
    upstream.script = stream([event({"content": told}), *words(1)])
    await (await plane.chat(stream=True)).read()
    upstream.script = whole({"error": {"message": f"bad key {CREDENTIAL}"}}, status=401)
    await plane.chat()
    for kept in await logged(plane, 3):
        stored = json.dumps(content(kept)) + repr(kept)
        for secret in (plane.key, plane.keys["none"], CREDENTIAL):
            assert secret.rsplit("-", 1)[1] not in stored
        assert kept.key_public_id in plane.key
    raw = b"".join(path.read_bytes() for path in plane.folder.rglob("*.bodies"))
    assert raw
    assert plane.key.encode()[15:] not in raw


async def test_a_header_that_is_no_text_neither_hides_a_request_nor_ends_the_log(plane: LoneDataPlane) -> None:
    """aiohttp gives such bytes as half surrogates, which cannot be encoded."""
    address = plane.base_url.split("/")[2]
    body = b'{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}'
    statuses = []
    for header in (b"User-Agent: \xff", b"x-tollway-tags: team=\xff", b"User-Agent: fine"):
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + b"Authorization: Bearer %b\r\nContent-Length: %d\r\n%b\r\n\r\n" % (plane.key.encode(), len(body), header)
            + body
        )
        statuses.append(int((await reader.read()).split(b" ")[1]))
        writer.close()
        await writer.wait_closed()
    assert statuses == [200, 400, 200]
    agents = [kept.user_agent for kept in await logged(plane, 3)]
    assert [agents[0], agents[2]] == ["?", "fine"]
