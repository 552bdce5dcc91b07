"""Streams through the product's relays without a process around them: fed in any pieces, and what came of it.

Owns the pairs of client and provider that exist, and what two runs of one stream must agree on.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tollway.core.catalog import Provider, ProviderKind
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.outgoing import target_of
from tollway.dataplane.endpoints.port import JSON, Asked, Codec, StreamRelay
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.registry import REGISTRY
from tollway.testkit.chunks_grammar import check_chunks
from tollway.testkit.messages_grammar import check_events
from tollway.testkit.responses_grammar import check_response_events

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
REQUEST_ID = "00000000-0000-7000-8000-000000000000"
HEADERS: Mapping[str, str] = {"content-type": "text/event-stream"}

_MESSAGE = {"messages": [{"role": "user", "content": "hi"}]}
BODIES: Mapping[str, Mapping[str, Any]] = {
    CHAT: _MESSAGE | {"stream_options": {"include_usage": True}},
    COMPLETIONS: {"prompt": "hi", "stream_options": {"include_usage": True}},
    RESPONSES: {"input": "hi"},
    MESSAGES: _MESSAGE | {"max_tokens": 9},
    "/v1/images/generations": {"prompt": "a cat"},
    "/v1/audio/speech": {"input": "a cat", "voice": "alloy", "stream_format": "sse"},
}
"""A small request for a stream, by its path."""

_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nalias\r\n'
    b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
)
_FORM_TYPE = "multipart/form-data; boundary=b"
# Who serves it: the form in which each is asked follows from the kind.
PROVIDERS: Mapping[str, tuple[str, str]] = {
    "chat": ("huggingface", "https://router.huggingface.co/v1"),
    "messages": ("anthropic", "https://example.com"),
    "openai": ("openai", "https://example.com"),
    "compatible": ("openai_compatible", "https://example.com"),
}
"""Name -> (kind, base URL) of a provider."""
SERVED: Mapping[str, tuple[str, ...]] = {
    "chat": (CHAT, COMPLETIONS, RESPONSES, MESSAGES),
    "messages": (CHAT, COMPLETIONS, RESPONSES, MESSAGES),
    "openai": (RESPONSES, COMPLETIONS, "/v1/images/generations", "/v1/audio/transcriptions", "/v1/audio/speech"),
}
"""Provider dialect -> paths of clients that it can answer with a stream; `openai` passes through alone."""


def asked_of(provider: str, path: str, body: bytes, content_type: str) -> Codec | None:
    """The codec between this request and one of `PROVIDERS`; None: it does not serve the call.

    Raises TollwayError for what is no such request.
    """
    endpoint = ENDPOINTS[path]
    kind, base_url = PROVIDERS[provider]
    at = Provider(id="p", name="p", kind=ProviderKind(kind), base_url=base_url)
    target = target_of(REGISTRY[at.kind], endpoint.operation, at, "gpt-3.5-turbo-instruct", None)
    if target is None:
        return None
    head = endpoint.read(body, content_type)
    memory = Memory("resp_1", store=True, previous_response_id=None)
    return endpoint.codec(Asked(head, body, content_type, {}, "shown-model", REQUEST_ID, 9, memory), target)


def relay_of(provider: str, path: str, **fields: Any) -> StreamRelay:
    """A relay between a small request for a stream, with `fields` in it, and a provider of `SERVED`."""
    if path in BODIES:
        body, kind = json.dumps({"model": "alias", "stream": True, **BODIES[path], **fields}).encode(), JSON
    else:
        body, kind = _FORM, _FORM_TYPE
    codec = asked_of(provider, path, body, kind)
    assert codec is not None, f"{provider} does not serve {path}"
    return codec.relay(HEADERS)


def translates(provider: str, path: str) -> bool:
    """Whether the stream is written anew for the client: then it must keep to the client's grammar."""
    return provider != "openai" and (provider, path) not in (("chat", CHAT), ("messages", MESSAGES))


class Fault(NamedTuple):
    """What the pipeline would act on."""

    code: str
    message: str
    retryable: bool | None
    status: int | None
    param: str | None
    note: str | None


class Outcome(NamedTuple):
    """What came of a stream. `out` is what the client got; before the commit point a fault leaves nothing of it."""

    out: bytes
    started: bool
    done: bool
    fault: Fault | None
    usage: Usage | None
    chars: int
    events: int


def run(relay: StreamRelay, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces and end the stream. Anything but a ProviderFault is a bug and passes."""
    out: list[bytes] = []
    fault = None
    try:
        out.extend(relay.feed(piece) for piece in pieces)
        out.append(relay.end())
    except ProviderFault as error:
        fault = Fault(error.code.value, error.message, error.retryable, error.status, error.param, error.operator_note)
    told = b"".join(out) if fault is None or relay.started else b""
    return Outcome(told, relay.started, relay.done, fault, relay.usage, relay.output_chars, relay.output_events)


def cuts(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The data in pieces that end at these offsets."""
    places = [0, *sorted({place for place in at if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def some_cuts(data: bytes, seed: int) -> list[bytes]:
    """Pieces that depend on the seed alone: single bytes, pieces of one size, or a few places."""
    dice = random.Random(seed)
    if seed % 3 == 0:
        return list(pieces_of(data, dice.randint(1, 9)))
    return cuts(data, (dice.randrange(len(data) + 1) for _ in range(dice.randint(1, 12))))


def check_stream(provider: str, path: str, stream: bytes, split: Iterable[bytes], **fields: Any) -> Outcome:
    """The invariants of one stream: the same at once and split, one end or one fault, and the client's grammar.

    Raises AssertionError. What is returned is the outcome at once.
    """
    relay = relay_of(provider, path, **fields)
    whole = run(relay, [stream])
    again = run(relay_of(provider, path, **fields), split)
    assert whole == again, f"the pieces matter: {whole} but {again}"
    assert (whole.fault is None) == whole.done, f"{whole.fault} and done is {whole.done}"
    assert relay.feed(b"data: x\n\n") == b"" if whole.done else True, "something follows the end"
    _check_usage(whole)
    assert provider == "openai" or 0 <= whole.events <= whole.chars, f"{whole.events} events of {whole.chars} letters"
    if translates(provider, path):
        check_written(path, whole, relay)
    return whole


def check_written(path: str, outcome: Outcome, relay: StreamRelay) -> None:
    """The grammar of the client's dialect; a stream that failed after its start ends with the error event."""
    if outcome.fault is None:
        check_grammar(path, outcome.out)
    elif outcome.started:
        error = relay.fail(outcome.fault.message, "api_error", "code", "param")
        check_grammar(path, outcome.out + error, may_fail=True)


def check_grammar(path: str, stream: bytes, *, may_fail: bool = False) -> None:
    """As the checks of the dialects' grammars, for clients of `path`; what the arguments of tools are is not ours."""
    if path == MESSAGES:
        check_events(stream, may_fail=may_fail, tool_json=False)
    elif path == RESPONSES:
        check_response_events(stream, may_fail=may_fail)
    else:
        check_chunks(stream, may_fail=may_fail)


def _check_usage(outcome: Outcome) -> None:
    """Counts are what a ledger can hold."""
    for name in outcome.usage.__struct_fields__ if outcome.usage is not None else ():
        count = getattr(outcome.usage, name)
        assert type(count) is int, f"{name} is no integer: {count!r}"
        assert 0 <= count <= 2**63 - 1, f"{name} is no count: {count}"
