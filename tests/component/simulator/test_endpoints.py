"""What holds for every endpoint alike: faults, counts, and that no input makes the simulator itself fail."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

MESSAGES = [{"role": "user", "content": "Hello"}]
FORM = {"Content-Type": "multipart/form-data; boundary=bound"}
VERSION = {"anthropic-version": "2023-06-01"}
SPEECH = {"input": "Hello", "voice": "alloy"}
# Path -> a request's fields besides its model; those in FORMS are sent as a form with a file under this name.
JSON: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": MESSAGES},
    "/completions": {"prompt": "Hello"},
    "/responses": {"input": "Hello"},
    "/embeddings": {"input": "Hello"},
    "/moderations": {"input": "Hello"},
    "/images/generations": {"prompt": "Hello"},
    "/audio/speech": SPEECH,
    "/rerank": {"query": "Hello", "documents": ["Hello"]},
}
FORMS = {"/images/edits": "image", "/audio/transcriptions": "file", "/audio/translations": "file"}
STREAMED: dict[str, tuple[str, dict[str, Any], str]] = {
    "/completions": ("m", {"prompt": "Hello", "stream": True}, "[DONE]"),
    "/responses": ("m", {"input": "Hello", "stream": True}, "response.completed"),
    "/images/generations": (
        "gpt-image-1",
        {"prompt": "Hello", "stream": True, "partial_images": 3},
        "image_generation.completed",
    ),
    "/audio/speech": ("m", {**SPEECH, "stream_format": "sse"}, "speech.audio.done"),
}
PATHS = [*JSON, *FORMS]
PLACES = ("/v1", "/openai/v1", "/hf/v1")
WRONG: list[Any] = [None, True, 5, 10**30, -1, 0.5, "", "\ufffd", [], [[]], {}, {"type": {}}, [None], [{"type": []}]]


def form(fields: dict[str, str], file: str, content: bytes = b"abc") -> bytes:
    """A multipart body with the boundary of FORM."""
    parts = [f'--bound\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--bound\r\nContent-Disposition: form-data; name="{file}"; filename="a.wav"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + content + b"\r\n--bound--\r\n"


def ask(simulator: SimulatorServer, path: str, model: str, place: str = "/v1") -> tuple[int, dict[str, str], Any]:
    """One good request to an endpoint."""
    url = simulator.origin + place + path
    if path in FORMS:
        body = form({"model": model, "prompt": "Hello"}, FORMS[path])
        return http("POST", url, body=body, headers=FORM)
    return http("POST", url, body={"model": model, **JSON[path]})


@pytest.mark.parametrize("place", PLACES)
def test_every_endpoint_answers_and_is_counted_by_its_path(simulator: SimulatorServer, place: str) -> None:
    for path in PATHS:
        assert ask(simulator, path, "m", place)[0] == 200, path
        assert ask(simulator, path, "m/fault=429", place)[0] == 429, path
    counts = simulator.settled(2 * len(PATHS))
    assert set(counts["by_endpoint"]) == {place + path for path in PATHS}
    for path, sums in counts["by_endpoint"].items():
        assert (sums["received"], sums["completed"], sums["failed"]) == (2, 1, 1), path
    assert len(simulator.requests(limit=100)) == 2 * len(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_every_endpoint_has_the_faults_before_an_answer(simulator: SimulatorServer, path: str) -> None:
    for status in (429, 500, 503):
        found, headers, body = ask(simulator, path, f"m/fault={status},retry_after=7s")
        assert found == status
        assert headers.get("retry-after") == ("7" if status in (429, 503) else None)
        assert body["error"]["message"]
    status, _headers, found = ask(simulator, path, "m/fault=garbage")
    assert status == 200
    # Not even what was meant to be an event stream has a data line that is JSON.
    assert isinstance(found, str)
    assert ask(simulator, path, "m/fault=html")[0] == 502
    assert ask(simulator, path, "m/fault=empty")[2] is None
    for model, text in (("m/fault=melt", "unknown fault"), ("m" * 301, "300 characters")):
        status, _headers, found = ask(simulator, path, model)
        assert (status, text in found["error"]["message"]) == (400, True)
    simulator.behave("m", fault="500", times=1)
    assert [ask(simulator, path, "m")[0] for _ in range(2)] == [500, 200]
    assert simulator.settled(10)["completed"] == 1


def raw(simulator: SimulatorServer, path: str, body: bytes, head: str = "", seconds: float = 0.3) -> tuple[bytes, str]:
    """All that a connection brings, and how it ends: closed by the simulator, reset, or silent."""
    with socket.create_connection(("127.0.0.1", simulator.service.ports["simulator"]), timeout=seconds) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        try:
            while chunk := sock.recv(65536):
                data += chunk
        except TimeoutError:
            return data, "silent"
        except ConnectionResetError:
            return data, "reset"
        return data, "closed"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("fault", "ended"), [("cut", "closed"), ("reset", "reset"), ("stall", "silent")])
def test_every_endpoint_can_break_within_its_answer(
    simulator: SimulatorServer, path: str, fault: str, ended: str
) -> None:
    model = f"m/fault={fault}"
    if path in FORMS:
        fields, head = {"model": model, "prompt": "Hello"}, f"Content-Type: {FORM['Content-Type']}\r\n"
        data, found = raw(simulator, f"/v1{path}", form(fields, FORMS[path]), head)
    else:
        data, found = raw(simulator, f"/v1{path}", json.dumps({"model": model, **JSON[path]}).encode())
    assert found == ended
    head_bytes, _blank, body = data.partition(b"\r\n\r\n")
    assert head_bytes.startswith(b"HTTP/1.1 200 ")
    assert not body.endswith((b"0\r\n\r\n", b"}"))
    if fault != "stall":
        assert simulator.settled(1)["failed"] == 1


@pytest.mark.parametrize("path", STREAMED)
def test_every_stream_has_the_faults_within(simulator: SimulatorServer, path: str) -> None:
    name, fields, end = STREAMED[path]

    def stream(options: str) -> tuple[bytes, str]:
        body = json.dumps({"model": f"{name}/tokens=8,{options}", **fields}).encode()
        return raw(simulator, f"/v1{path}", body, "Connection: close\r\n")

    good, ended = stream("after=2")
    assert (ended, end.encode() in good, good.endswith(b"0\r\n\r\n")) == ("closed", True, True)
    for fault, how in (("cut", "closed"), ("reset", "reset"), ("stall", "silent")):
        data, ended = stream(f"fault={fault},after=2")
        assert (ended, end.encode() in data, data.endswith(b"0\r\n\r\n")) == (how, False, False)
        assert 0 < len(data) < len(good)
    for fault in ("no-done", "error-event"):
        data, _ended = stream(f"fault={fault},after=2")
        assert (end.encode() in data, data.endswith(b"0\r\n\r\n")) == (False, True)
    assert b"error" in data
    bare, _ended = stream("fault=no-usage")
    assert end.encode() in bare
    assert b"total_tokens" in good or path == "/completions"
    assert b"total_tokens" not in bare
    records = simulator.requests()
    assert [record["stream"] for record in records] == [True] * len(records)
    assert {r["delivered_tokens"] for r in records if r["fault"] in ("cut", "reset", "error-event")} == {2}


@pytest.mark.parametrize("path", [*JSON, "/messages", "/messages/count_tokens"])
def test_no_field_that_is_wrong_is_a_failure(simulator: SimulatorServer, path: str) -> None:
    good = {"model": "m", "max_tokens": 20, **(JSON.get(path) or {"messages": MESSAGES})}
    extra: tuple[str, ...] = (
        "n",
        "stop",
        "tools",
        "tool_choice",
        "stream",
        "stream_options",
        "dimensions",
        "response_format",
        "input",
    )
    extra += ("images", "thinking", "system", "text", "reasoning", "include", "metadata", "partial_images", "speed")
    url = f"{simulator.openai_url}{path}"
    statuses = set()
    for name in {*good, *extra}:
        for value in WRONG:
            status, _headers, found = http("POST", url, body={**good, name: value}, headers=VERSION)
            statuses.add(status)
            assert status in (200, 400), (name, value, found)
            assert status == 200 or found["error"]["message"], (name, value)
    for body in (b"", b"null", b"[]", b'"x"', b"{" * 100_000, b'{"model":' + b"[" * 100_000, b"\xff\xfe", b'{"a":1}'):
        status, _headers, found = http("POST", url, body=body, headers=VERSION)
        assert (status, bool(found["error"]["message"])) == (400, True), body[:20]
    assert statuses == {200, 400}


@pytest.mark.parametrize("depth", [100, 200, 250, 260, 400, 900, 1100])
def test_what_is_nested_deeply_is_no_failure(simulator: SimulatorServer, depth: int) -> None:
    deep = '{"a":' * depth + '"x"' + "}" * depth
    quoted = json.dumps(f"call f {deep}")
    tool = f'"name": "f", "input_schema": {{"const": {deep}}}, "parameters": {{"const": {deep}}}'
    tools = f'"tools": [{{"type": "function", {tool}, "function": {{{tool}}}}}]'
    for text in ('"call f"', quoted):
        messages = f'"messages": [{{"role": "user", "content": {text}}}], "max_tokens": 5000, "model": "m"'
        asked = f'"model": "m", "input": {text}, "metadata": {{}}'
        for path, fields in (("/chat/completions", messages), ("/responses", asked)):
            for stream in ("true", "false"):
                body = f'{{{fields}, {tools}, "stream": {stream}}}'.encode()
                status, _headers, found = http("POST", simulator.openai_url + path, body=body)
                assert status == 200 or (status == 400 and found["error"]["message"]), (path, found)
        claude = f'{{{messages}, "tools": [{{{tool}}}]}}'.encode()
        status, _headers, found = http("POST", f"{simulator.openai_url}/messages", body=claude, headers=VERSION)
        assert status == 200 or (status == 400 and found["error"]["message"]), found
    assert simulator.settled(10)["received"] == 10
