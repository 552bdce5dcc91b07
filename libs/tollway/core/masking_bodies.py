"""Masks bodies without breaking their form: JSON keeps its structure, event streams their events.

JSON is masked literal by literal: every other byte stays, so that also what is no valid JSON can be masked. In an event
stream a text is split over many events: texts of one channel (a place in the answer) are joined, looked at, and what is
found is replaced where it began. Pure; never raises on any string; linear in the body.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from tollway.core.masking import Span, find, mask, replace

MAX_DEPTH = 3
"""How deep JSON inside of strings of JSON is looked into: arguments of tools, results of tools in them."""
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_HIDDEN = re.compile(r"\\(?:u|/)")
"""Escapes that can stand within what is looked for; the others end it."""
_HALVES = re.compile("[\ud800-\udfff]")


def mask_json(text: str, depth: int = MAX_DEPTH) -> str:
    """JSON text, whole, cut off, or broken, with its strings (keys too) masked; a number that is found becomes one."""
    return replace(text, _json_spans(text, depth))


def _json_spans(text: str, depth: int) -> list[Span]:
    """The strings and numbers of JSON text to be replaced, each with what takes its place."""
    escaped = "\\" in text
    spans = find(_ESCAPE.sub(lambda match: " " * len(match[0]), text) if escaped else text)
    hidden = [match.start() for match in _HIDDEN.finditer(text)] if escaped else []
    if not spans and not hidden:
        return []
    points = sorted([span.start for span in spans] + hidden)
    changed: list[Span] = []
    outside = 0  # where the text after the last string begins
    for literal in _STRING.finditer(text):
        start, end = literal.span()
        changed += _numbers(spans, outside, start)
        outside = end
        at = bisect_left(points, start)
        if at < len(points) and points[at] < end:
            masked = _literal(literal[0], depth)
            if masked != literal[0]:
                changed.append(Span(start, end, masked))
    return changed + _numbers(spans, outside, len(text))


def _numbers(spans: list[Span], start: int, end: int) -> list[Span]:
    """What was found between two strings: it becomes a string of its own."""
    first = bisect_left(spans, (start,))
    found = []
    while first < len(spans) and spans[first].start < end:
        span = spans[first]
        found.append(Span(span.start, min(span.end, end), f'"{span.placeholder}"'))
        first += 1
    return found


def _literal(literal: str, depth: int) -> str:
    """One JSON string, quotes included, masked. Its closing quote may be missing."""
    closed = len(literal) > 1 and literal.endswith('"') and _closes(literal)
    try:
        value = json.loads(literal if closed else literal.rstrip("\\") + '"', strict=False)
    except ValueError:
        value = _ESCAPE.sub(" ", literal[1:-1] if closed else literal[1:])  # not JSON: better unreadable than told
    masked = mask_text(value, depth)
    if masked == value:
        return literal
    written = _written(masked)
    return written if closed else written[:-1]


def _written(value: Any) -> str:
    """JSON text that can be encoded: half of a surrogate pair stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() or _HALVES.search(text) is None:
        return text
    return json.dumps(value, separators=(",", ":"))


def _closes(literal: str) -> bool:
    """Whether the last quote is not an escaped one."""
    body = literal[1:-1]
    return (len(body) - len(body.rstrip("\\"))) % 2 == 0


def mask_text(text: str, depth: int = MAX_DEPTH) -> str:
    """A text that may be JSON itself, as the arguments of a tool are."""
    if depth and text[:64].lstrip()[:1] in ("{", "[") and '"' in text:
        text = mask_json(text, depth - 1)
    return mask(text)


# -- event streams ------------------------------------------------------------------------------------------------

_UNJOINED = {
    *("id", "object", "model", "type", "role", "name", "status", "event"),
    *("finish_reason", "stop_reason", "native_finish_reason", "service_tier", "system_fingerprint"),
    *("item_id", "event_id", "call_id", "response_id", "previous_response_id"),
    *("signature", "encrypted_content", "obfuscation"),
}
"""Fields that are whole in every event: joined they would say something that nobody said."""
_ORDERED = ("index", "output_index", "content_index", "summary_index", "item_id")
_INDICES = frozenset(_ORDERED)


class _Piece(NamedTuple):
    """One string of an event and where it is: `holder[key]`, in the event of this number."""

    event: int
    holder: Any
    key: Any
    text: str


def mask_events(text: str) -> str:
    """An event stream masked: what is split over events goes where it begins, and its rest from the later ones."""
    ending = "\n" if "\n" in text else "\r"
    lines = text.split(ending)
    events: dict[int, Any] = {}
    channels: dict[tuple[Any, ...], list[_Piece]] = {}
    for number, line in enumerate(lines):
        event = _read(line[5:]) if line.startswith("data:") else None
        if event is None:
            continue
        events[number] = event
        for channel, piece in _pieces(event, number):
            channels.setdefault(channel, []).append(piece)
    changed = {number for pieces in channels.values() for number in _mask_channel(pieces)}
    for number in changed:
        lines[number] = f"data: {_written(events[number])}" + ("\r" if lines[number].endswith("\r") else "")
    return mask_json(ending.join(lines))


def _read(data: str) -> Any:
    """An event's JSON object; None for what is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _pieces(event: dict[str, Any], number: int) -> Iterator[tuple[tuple[Any, ...], _Piece]]:
    """The texts of an event that may go on in the next, each with its channel: event type, path, and indices."""
    kind = event.get("type")
    stack: list[tuple[Any, tuple[Any, ...]]] = [(event, (kind if isinstance(kind, str) else "",))]
    while stack:
        holder, channel = stack.pop()
        items: Any
        if isinstance(holder, dict):
            items = holder.items()
            if not _INDICES.isdisjoint(holder):
                channel += tuple(holder[name] for name in _ORDERED if isinstance(holder.get(name), (int, str)))
        else:
            items = enumerate(holder)
        for key, value in items:
            name = key if isinstance(key, str) else "*"
            if isinstance(value, str):
                if value and name not in _UNJOINED:
                    yield (*channel, name), _Piece(number, holder, key, value)
            elif value and isinstance(value, (dict, list)):
                stack.append((value, (*channel, name)))


def _mask_channel(pieces: list[_Piece]) -> Iterator[int]:
    """Masks the joined text of a channel in the events' own objects; the numbers of events that it changed."""
    if len(pieces) < 2:
        return  # it is masked with its line
    joined = "".join(piece.text for piece in pieces)
    spans = _json_spans(joined, MAX_DEPTH) if joined[:64].lstrip()[:1] in ("{", "[") else find(joined)
    if not spans:
        return
    ends = list(accumulate(len(piece.text) for piece in pieces))
    first = 0
    for piece, end in zip(pieces, ends, strict=True):
        at = begin = end - len(piece.text)
        while first < len(spans) and spans[first].end <= begin:
            first += 1
        kept: list[str] = []
        number = first
        while number < len(spans) and spans[number].start < end:
            span = spans[number]
            if span.start >= begin:
                kept += (joined[at : span.start], span.placeholder)
            at = min(span.end, end)
            number += 1
        if number > first:
            piece.holder[piece.key] = "".join(kept) + joined[at:end]
            yield piece.event
