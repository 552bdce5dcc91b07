"""Every recorded chat exchange, replayed through the running gateway over real sockets.

The expectations are worked out here from the recording alone, by the conventions of tests/fixtures/providers/README.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.usage import Usage
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Script, Upstream, head

FOLDER = Path(__file__).parents[2] / "fixtures" / "providers"
KINDS = {
    "openai": ProviderKind.OPENAI,
    "azure": ProviderKind.AZURE_OPENAI,
    "anthropic": ProviderKind.ANTHROPIC,
    "huggingface": ProviderKind.HUGGINGFACE,
}
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
HIDDEN = ("server_tool_use", "web_search_tool_result")


def load(path: Path) -> dict[str, Any]:
    """One exchange."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


ALL = {path.stem: load(path) for path in sorted(FOLDER.glob("*.json"))}


def is_chat(exchange: dict[str, Any]) -> bool:
    """Whether the exchange is a chat completion or a message (the folder may hold other endpoints)."""
    body = exchange["body"]
    return exchange["status"] == 200 and ('"choices"' in body or "message_start" in body or '"type": "message"' in body
                                          or '"type":"message"' in body)  # fmt: skip


GOOD = [name for name, exchange in ALL.items() if is_chat(exchange) and name != "anthropic-qmid"]
BAD = [name for name, exchange in ALL.items() if exchange["status"] != 200]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[LoneDataPlane]:
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    for name, kind in KINDS.items():
        base = (
            upstream.url.removesuffix("/v1")
            if kind in (ProviderKind.ANTHROPIC, ProviderKind.AZURE_OPENAI)
            else upstream.url
        )
        plane.add_provider(name, kind, base, api_version="2024-10-21" if name == "azure" else "")
        plane.add_model(name, (name, "recorded-model"))
    async with plane:
        yield plane


def replay(exchange: dict[str, Any], pieces: int) -> Script:
    """Answers with the recording, its body cut into pieces of that many bytes."""
    body = exchange["body"].encode()
    kept = {
        name: value for name, value in exchange["headers"].items() if name.lower() in ("retry-after", "x-request-id")
    }
    content_type = exchange["headers"].get("content-type") or exchange["headers"].get(
        "Content-Type", "application/json"
    )

    async def script(_request: Any, writer: Any) -> None:
        start = head(exchange["status"], content_type, **kept)
        writer.write(start + b"transfer-encoding: chunked\r\n\r\n")
        for position in range(0, len(body), pieces):
            part = body[position : position + pieces]
            writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return script


def events(body: str) -> list[dict[str, Any]]:
    """The JSON of every data line of an event stream."""
    found = []
    for line in body.splitlines():
        text = line.removeprefix("data:").strip()
        if line.startswith("data:") and text and text != "[DONE]":
            found.append(json.loads(text))
    return found


def merged(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client of the OpenAI dialect makes of a stream."""
    told: dict[str, Any] = {"text": "", "reasoning": "", "tools": {}, "finish": None}
    for chunk in chunks:
        for choice in chunk.get("choices", []):
            delta = choice.get("delta") or {}
            told["text"] += delta.get("content") or ""
            told["reasoning"] += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or []:
                tool = told["tools"].setdefault(call["index"], ["", ""])
                tool[0] += (call.get("function") or {}).get("name") or ""
                tool[1] += (call.get("function") or {}).get("arguments") or ""
            told["finish"] = choice.get("finish_reason") or told["finish"]
    return told


def anthropic_truth(body: str, streamed: bool) -> dict[str, Any]:
    """Text, tools, finish reason and usage of an Anthropic recording, by its own protocol."""
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    stop = None
    if not streamed:
        answer = json.loads(body)
        stop, usage = answer["stop_reason"], answer["usage"]
        for index, block in enumerate(answer["content"]):
            blocks[index] = {**block, "json": json.dumps(block.get("input", {}))}
    for event in events(body) if streamed else []:
        if event["type"] == "message_start":
            usage.update({k: v for k, v in event["message"]["usage"].items() if v is not None})
        elif event["type"] == "content_block_start":
            blocks[event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta" and event["index"] in blocks:
            block, delta = blocks[event["index"]], event["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["json"] += delta.get("partial_json", "")
        elif event["type"] == "message_delta":
            stop = event["delta"].get("stop_reason") or stop
            usage.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return {
        "text": "".join(b.get("text", "") for b in blocks.values() if b["type"] == "text"),
        "tools": [(b["name"], json.loads(b["json"] or "{}")) for b in blocks.values() if b["type"] == "tool_use"],
        "finish": FINISH.get(stop or "", "stop"),
        "input": usage.get("input_tokens", 0) + read + written,
        "cached": read,
        "output": usage.get("output_tokens", 0),
        "iterations": usage.get("iterations"),
    }


async def ask(gateway: LoneDataPlane, name: str) -> tuple[int, str, Usage | None]:
    """Asks for the recording's provider as its client did; returns status, body and what was booked."""
    exchange = ALL[name]
    response = await gateway.chat(model=exchange["provider"], stream=exchange["stream"])
    text = (await response.read()).decode()
    rows = await gateway.wait_rows(1)
    attempt = rows[0].attempts[0]
    return response.status, text, None if attempt.estimated else attempt.usage


@pytest.mark.parametrize("pieces", [7, 1_000_000])
@pytest.mark.parametrize("name", [name for name in GOOD if ALL[name]["provider"] != "anthropic"])
async def test_the_same_dialect_passes_byte_for_byte(
    gateway: LoneDataPlane, upstream: Upstream, name: str, pieces: int
) -> None:
    exchange = ALL[name]
    upstream.script = replay(exchange, pieces)
    status, text, booked = await ask(gateway, name)
    assert status == 200, text
    if not exchange["stream"]:
        assert text == exchange["body"]
        told = json.loads(text).get("usage")
    else:
        given = events(exchange["body"])
        shown = [event for event in given if event.get("choices") or not event.get("usage")]
        assert events(text) == shown
        assert text.rstrip().endswith("[DONE]")
        told = next((event["usage"] for event in reversed(given) if event.get("usage")), None)
    if told is None:
        assert booked is None
    else:
        assert booked is not None
        assert (booked.input, booked.output) == (told["prompt_tokens"], told["completion_tokens"])
        details = told.get("prompt_tokens_details") or {}
        assert booked.cached_input == (details.get("cached_tokens") or told.get("cached_tokens") or 0)
        details = told.get("completion_tokens_details") or {}
        assert booked.reasoning == (details.get("reasoning_tokens") or 0)


@pytest.mark.parametrize("pieces", [5, 1_000_000])
@pytest.mark.parametrize("name", [name for name in GOOD if ALL[name]["provider"] == "anthropic"])
async def test_anthropic_is_translated_without_loss(
    gateway: LoneDataPlane, upstream: Upstream, name: str, pieces: int
) -> None:
    exchange = ALL[name]
    truth = anthropic_truth(exchange["body"], exchange["stream"])
    upstream.script = replay(exchange, pieces)
    status, text, booked = await ask(gateway, name)
    assert status == 200, text
    if exchange["stream"]:
        told = merged(events(text))
        tools = [(function, json.loads(arguments)) for function, arguments in told["tools"].values()]
        assert text.rstrip().endswith("[DONE]")
    else:
        answer = json.loads(text)
        message = answer["choices"][0]["message"]
        told = {"text": message["content"] or "", "finish": answer["choices"][0]["finish_reason"]}
        calls = message.get("tool_calls") or []
        tools = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
        if not truth["iterations"]:
            assert answer["usage"]["prompt_tokens"] == truth["input"]
            assert answer["usage"]["completion_tokens"] == truth["output"]
    assert told["text"] == truth["text"]
    assert tools == truth["tools"]
    assert told["finish"] == truth["finish"]
    assert booked is not None
    if not truth["iterations"]:
        assert (booked.input, booked.cached_input, booked.output) == (truth["input"], truth["cached"], truth["output"])
    else:  # turns that the top level leaves out are billed as well
        assert booked.input >= truth["input"]
        assert booked.output >= truth["output"]


@pytest.mark.parametrize("name", BAD)
async def test_recorded_errors_have_our_shape_and_no_secrets(
    gateway: LoneDataPlane, upstream: Upstream, name: str
) -> None:
    exchange = ALL[name]
    upstream.script = replay(exchange, 1_000_000)
    response = await gateway.chat(model=exchange["provider"], stream=exchange["stream"])
    body = json.loads(await response.read())
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert response.headers["x-tollway-error-code"] == body["error"]["code"]
    assert "<html" not in body["error"]["message"].lower()
    assert response.status in (400, 413, 429, 502, 504)
    if exchange["status"] in (401, 403):
        assert body["error"]["code"] == "provider_auth_failed"
    (row,) = await gateway.wait_rows(1)
    assert row.attempts[0].status == exchange["status"]
    assert row.attempts[0].cost_nano == 0


async def test_an_error_in_mid_stream_is_no_clean_end(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = replay(ALL["anthropic-qmid"], 11)
    response = await gateway.chat(model="anthropic", stream=True)
    text = (await response.read()).decode()
    assert "Partial answer" in text
    assert '"error"' in text
    assert "[DONE]" not in text
