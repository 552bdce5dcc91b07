"""Neutral events in any order to the writers of all four dialects: each keeps to its grammar, and says what a whole
answer of the same blocks says.
"""

from __future__ import annotations

from collections.abc import Iterator

from tollway.core import chat
from tollway.core.usage import Usage
from tollway.testkit.fuzzing import amplified
from tollway.testkit.written_events import WRITERS, check_whole, events_of, write_stream

FACTOR = 40
LEAST = 40
"""Bytes of a provider's shortest event."""
MAX_BYTES = 120

_TEXTS = ("", "a", '{"a":1}', "{", "}", '"', "\\", "é\U0001f600", "\ud800", "\r\n\n", "data: x", "0" * 500)


def one(data: bytes) -> None:
    """The grammars, and the whole."""
    data = data[:MAX_BYTES]
    events = [chat.Opened("id", "model"), *_events(data)]
    size = LEAST * len(events) + sum(len(getattr(event, name)) for event in events for name in _long(event))
    for path in WRITERS:
        amplified(size, len(write_stream(path, events)), FACTOR)
    blocks = tuple(_blocks(data))
    for path in WRITERS:
        check_whole(path, blocks, chat.Finish.STOP)
    assert events_of(()) == []


def _long(event: chat.Event) -> list[str]:
    return [name for name in event.__struct_fields__ if isinstance(getattr(event, name), str)]


def _events(data: bytes) -> Iterator[chat.Event]:
    """Two bytes an event: its kind with the call that it is of, and its text."""
    started = 0
    for kind, text in zip(data[::2], data[1::2], strict=False):
        words = _TEXTS[text % len(_TEXTS)]
        match kind % 7:
            case 0:
                yield chat.TextDelta(words)
            case 1:
                yield chat.ReasoningDelta(words)
            case 2:
                yield chat.RefusalDelta(words)
            case 3:
                yield chat.ThinkingSigned(words)
            case 4:
                yield chat.ThinkingRedacted(words)
            case 5:
                yield chat.ToolStarted(started, words, "f" + words)
                started += 1
            case 6:
                if started:
                    yield chat.ToolDelta(kind // 7 % started, words)
    finish = list(chat.Finish)[len(data) % 4]
    yield chat.Closed(finish, Usage(input=3, output=4) if len(data) % 3 else None, "END" if len(data) % 5 else None)


def _blocks(data: bytes) -> Iterator[chat.Block]:
    """The same bytes as blocks of an answer; calls have arguments that are JSON."""
    for kind, text in zip(data[::2], data[1::2], strict=False):
        words = _TEXTS[text % len(_TEXTS)]
        match kind % 5:
            case 0:
                yield chat.Text(words)
            case 1:
                yield chat.Thinking(words, _TEXTS[kind % len(_TEXTS)] or None)
            case 2:
                yield chat.Refusal(words or "no")
            case 3:
                yield chat.RedactedThinking(words)
            case 4:
                yield chat.ToolCall(f"call_{kind}_{text}", "f", '{"a": 1}' if text % 2 else "{}")


def seeds() -> list[bytes]:
    """Every kind of event after every other."""
    pairs = [bytes((a, 1, b, 2, a, 4)) for a in range(7) for b in range(7)]
    return [*pairs, bytes((5, 1, 5, 1, 6, 3, 13, 2, 6, 4, 0, 1)), bytes(range(64))]
