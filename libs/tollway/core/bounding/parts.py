"""Contents of messages that are no plain text: images, sound, documents, results of tools, in every dialect's words.

Owns what each kind of part can cost at most. The bytes of media are no text: they are taken off the bytes of the
request, and what the provider bills for them is added. A kind that is not known is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.bounding.fields import refused
from tollway.core.bounding.media import TOKENS_PER_SECOND, Size, audio_ms, image_size, image_tokens
from tollway.core.dialects.head import decoded

_TEXTS = frozenset(
    [
        "input_text",
        "output_text",
        "reasoning_text",
        "redacted_thinking",
        "refusal",
        "summary_text",
        "text",
        "thinking",
        "tool_use",
    ]
)
_OF_TOOLS = ("server_tool_use", "mcp_tool_use")
_MAX_DEPTH = 8
_BEGINNING = 1 << 18
"""Characters of base64 in which headers are looked for first; a multiple of four."""
_CITED = 8
_MEDIA_OVERHEAD = 64
"""Tokens that frame one image or piece of sound."""
WINDOW_REMEDY = "Send it as text, or have the model's context window set (capabilities.context_tokens)."


class _Typed(msgspec.Struct):
    """A part of which only the kind is read."""

    type: Any = None


_TYPED = msgspec.json.Decoder(list[_Typed | str])
_RAW_PARTS = msgspec.json.Decoder(list[Raw])


class Tally:
    """What the parts of a request add up to.

    `media_bytes` are bytes of the request that are no text; `tokens` is what is billed for them. `window`: the first
    place whose tokens nothing but the context window bounds, with the reason; None: there is none. `audio`, `image`:
    whether there is any.
    """

    __slots__ = ("_kind", "_model", "audio", "image", "media_bytes", "tokens", "window")

    def __init__(self, kind: str, model: str) -> None:
        """`kind` of provider and its name for the model."""
        self._kind = kind
        self._model = model
        self.media_bytes = 0
        self.tokens = 0
        self.window: tuple[str, str] | None = None
        self.audio = False
        self.image = False

    def add_raw(self, raw: Raw, path: str) -> None:
        """The content of one message, as JSON. Raises TollwayError(unsupported_parameter) naming the part."""
        try:
            kinds = _TYPED.decode(raw)
        except msgspec.ValidationError:
            self.add(decoded(raw), path)
            return
        if all(isinstance(part, str) or _is_text(part.type) for part in kinds):
            return
        parts = _RAW_PARTS.decode(raw)
        for index, part in enumerate(kinds):
            if not isinstance(part, str) and not _is_text(part.type):
                self._part(decoded(parts[index]), f"{path}[{index}]", 0)

    def add(self, content: Any, path: str, depth: int = 0) -> None:
        """Content that is decoded: text, a part, or a list of parts."""
        if isinstance(content, list):
            for index, part in enumerate(content):
                self._part(part, f"{path}[{index}]", depth)
        elif isinstance(content, dict):
            self._part(content, path, depth)

    def _part(self, part: Any, path: str, depth: int) -> None:
        if not isinstance(part, dict):
            return
        kind = part.get("type")
        match kind:
            case _ if _is_text(kind):
                pass
            case "tool_result" if depth < _MAX_DEPTH:
                self.add(part.get("content"), f"{path}.content", depth + 1)
            case "image":
                source = part.get("source")
                self._image(_member(source, "data" if _member(source, "type") == "base64" else "url"), f"{path}.source")
            case "image_url":
                self._image(_member(part.get("image_url"), "url"), f"{path}.image_url")
            case "input_image" | "computer_screenshot":
                self._image(part.get("image_url"), f"{path}.image_url")
            case "input_audio":
                self._audio(_member(part.get("input_audio"), "data"), f"{path}.input_audio")
            case "document" | "search_result":
                self._document(part, path, depth)
            case "file" | "input_file":
                self._file(path)
            case str() if kind.endswith("_tool_result") or kind in _OF_TOOLS:
                self.needs_window(path, "what a provider's own tool gave has no known size")
            case _:
                raise refused(f"{path}.type", "it is not known what such content costs", "Leave the part out.")

    def needs_window(self, path: str, why: str) -> None:
        """Nothing but the context window bounds what is at this place."""
        self.window = self.window or (path, why)

    def add_image(self, data: Any, path: str) -> None:
        """An image as plain base64."""
        self._image(data, path)

    def _image(self, source: Any, path: str) -> None:
        self.image = True
        text = _inline(source)
        self.media_bytes += len(text)
        tokens = image_tokens(self._kind, self._model, _size_of(text))
        if tokens is None:
            self.needs_window(path, "the size of the image is not known here")
        else:
            self.tokens += tokens + _MEDIA_OVERHEAD

    def _audio(self, source: Any, path: str) -> None:
        self.audio = True
        text = _inline(source)
        duration = audio_ms(_decoded(text[:_BEGINNING]), len(text))
        if duration is None:
            self.needs_window(path, "its length is not known; WAV and MP3 tell")
        else:
            self.media_bytes += len(text)
            self.tokens += -(-duration * TOKENS_PER_SECOND // 1000) + _MEDIA_OVERHEAD

    def _document(self, part: Mapping[str, Any], path: str, depth: int) -> None:
        source = part.get("source")
        kind = source.get("type") if isinstance(source, dict) else None
        if part.get("citations"):
            # Each sentence gets a number, and two bytes can be a sentence.
            self.tokens += _CITED * len(msgspec.json.encode(part))
        if kind == "content" and depth < _MAX_DEPTH and isinstance(source, dict):
            self.add(source.get("content"), f"{path}.source.content", depth + 1)
        elif kind not in ("text", None):
            self._file(f"{path}.source")

    def _file(self, path: str) -> None:
        """A PDF or the like: pages are billed as text and as images, and a few bytes can be many pages."""
        self.image = self.audio = True
        self.needs_window(path, "the pages of a file are not known here")


def _is_text(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _TEXTS


def _inline(source: Any) -> str:
    """The base64 of a data URL, or base64 as it is; empty where it is an address, or nothing."""
    if not isinstance(source, str):
        return ""
    if source[:5].lower() == "data:":
        return source.partition(",")[2]
    return "" if "://" in source[:64] else source


def _size_of(text: str) -> Size | None:
    """The size of an image in base64; None: not known."""
    size = image_size(_decoded(text[:_BEGINNING]))
    return image_size(_decoded(text)) if size is None and len(text) > _BEGINNING else size


def _decoded(text: str) -> bytes:
    """Strictly: what readers could take for different bytes is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
