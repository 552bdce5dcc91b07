"""Only whole answers are kept."""

from __future__ import annotations

import pytest

from tollway.core.caching.complete import is_complete
from tollway.core.operations import Operation

CHAT, MESSAGES, RESPONSES = Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES


def events(*datas: str) -> bytes:
    """An event stream."""
    return "".join(f"data: {data}\n\n" for data in datas).encode()


def chunk(index: int, reason: str = "null") -> str:
    """One chunk of a chat."""
    return f'{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":{reason}}}]}}'


STOP, LENGTH = '"stop"', '"length"'
WHOLE = b'{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    ("body", "choices", "capped", "complete"),
    [
        (WHOLE, 1, False, True),
        (WHOLE, 2, False, False),
        (WHOLE.replace(b"stop", b"tool_calls"), 1, True, True),
        (WHOLE.replace(b"stop", b"length"), 1, False, True),
        (WHOLE.replace(b"stop", b"length"), 1, True, False),
        (WHOLE.replace(b"stop", b"content_filter"), 1, False, False),
        (WHOLE.replace(b'"stop"', b"null"), 1, False, False),
        (WHOLE[:-1] + b',"error":{"message":"x"}}', 1, False, False),
        (WHOLE[:-1], 1, False, False),
        (b'{"choices":[]}', 1, False, False),
        (b"{}", 1, False, False),
        (b"[1]", 1, False, False),
    ],
)
def test_a_whole_chat(body: bytes, choices: int, capped: bool, complete: bool) -> None:
    assert is_complete(CHAT, body, stream=False, choices=choices, capped=capped) is complete
    assert is_complete(Operation.COMPLETIONS, body, stream=False, choices=choices, capped=capped) is complete


@pytest.mark.parametrize(
    ("body", "choices", "complete"),
    [
        (events(chunk(0), chunk(0, STOP), '{"choices":[],"usage":{}}', "[DONE]"), 1, True),
        (events(chunk(0), chunk(1), chunk(0, STOP), chunk(1, LENGTH), "[DONE]"), 2, True),
        (events(chunk(0), chunk(1), chunk(0, STOP), "[DONE]"), 2, False),
        (events(chunk(0), chunk(0, STOP)), 1, False),
        (events(chunk(0), "[DONE]"), 1, False),
        (events("[DONE]"), 1, False),
        (events(chunk(0, STOP), '{"error":{"message":"x"}}', "[DONE]"), 1, False),
        (b"event: error\n" + events(chunk(0, STOP), "[DONE]"), 1, False),
        (b": ping\n\n" + events(chunk(0, STOP), "[DONE]"), 1, True),
        (events(chunk(0, STOP), "[DONE]").replace(b"\n", b"\r\n"), 1, True),
        (events(chunk(0), "[DONE]").replace(b"\n", b"\r\n"), 1, False),
        (events(chunk(0, STOP), "[DONE]") + b"data: x", 1, False),
        (b"<html>\n\n" + events(chunk(0, STOP), "[DONE]"), 1, False),
        (b"", 1, False),
    ],
)
def test_a_streamed_chat(body: bytes, choices: int, complete: bool) -> None:
    assert is_complete(CHAT, body, stream=True, choices=choices) is complete


END = '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}'
LAST = '{"type":"message_stop"}'


@pytest.mark.parametrize(
    ("body", "stream", "complete"),
    [
        (b'{"type":"message","stop_reason":"end_turn"}', False, True),
        (b'{"type":"message","stop_reason":"tool_use"}', False, True),
        (b'{"type":"message","stop_reason":"pause_turn"}', False, False),
        (b'{"type":"message","stop_reason":"refusal"}', False, False),
        (b'{"type":"message","stop_reason":null}', False, False),
        (b'{"type":"error","error":{}}', False, False),
        (events('{"type":"message_start","message":{"stop_reason":null}}', END, LAST), True, True),
        (events(END), True, False),
        (events(LAST), True, False),
        (events(END, '{"type":"error","error":{}}'), True, False),
        (events(END, '{"type":"error","error":{}}', LAST), True, False),
    ],
)
def test_messages(body: bytes, stream: bool, complete: bool) -> None:
    assert is_complete(MESSAGES, body, stream=stream) is complete


@pytest.mark.parametrize(
    ("body", "stream", "complete"),
    [
        (b'{"status":"completed","error":null}', False, True),
        (b'{"status":"incomplete"}', False, False),
        (b'{"status":"queued"}', False, False),
        (events('{"type":"response.created"}', '{"type":"response.completed","response":{"status":"completed"}}'),
         True, True),
        (events('{"type":"response.created","response":{"status":"in_progress"}}'), True, False),
        (events('{"type":"response.failed","response":{"status":"failed"}}'), True, False),
        (events('{"type":"error"}', '{"type":"response.completed","response":{"status":"completed"}}'), True, False),
        (b"", True, False),
    ],
)  # fmt: skip
def test_responses(body: bytes, stream: bool, complete: bool) -> None:
    assert is_complete(RESPONSES, body, stream=stream) is complete


@pytest.mark.parametrize(
    ("operation", "body", "complete"),
    [
        (Operation.EMBEDDINGS, b'{"data":[{}]}', True),
        (Operation.EMBEDDINGS, b'{"data":[]}', False),
        (Operation.EMBEDDINGS, b'{"results":[{}]}', False),
        (Operation.MODERATIONS, b'{"results":[{}]}', True),
        (Operation.RERANK, b'{"results":[{"index":0}]}', True),
        (Operation.RERANK, b'{"error":"x","results":[{"index":0}]}', False),
        (Operation.SPEECH, b'{"results":[{}]}', False),
        (Operation.IMAGE_GENERATION, b'{"data":[{}]}', False),
    ],
)
def test_other_calls(operation: Operation, body: bytes, complete: bool) -> None:
    assert is_complete(operation, body, stream=False) is complete
    assert is_complete(operation, body, stream=True) is False
