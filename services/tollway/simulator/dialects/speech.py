"""OpenAI's speech. Source: https://platform.openai.com/docs/api-reference/audio/createSpeech

A token of audio is one frame: 10 ms of silence where the format is simple (wav, pcm), a frame with a valid header for
mp3 and aac, filler after the format's own first bytes for opus and flac.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from tollway.simulator.answer import Answer, Asked, count
from tollway.simulator.behaviour import split_name
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.openai import model_of
from tollway.simulator.dialects.port import BadRequest, Event, Part, decode, named, within

MAX_INPUT = 4096
SAMPLES_A_SECOND = 24_000
FRAME_BYTES = 480
"""10 ms of 16-bit samples of one channel."""


class _Format(NamedTuple):
    media: str
    head: bytes
    frame: bytes


FORMATS = {
    "mp3": _Format("audio/mpeg", b"", b"\xff\xfb\x90\xc4".ljust(417, b"\0")),
    "opus": _Format("audio/opus", b"OggS\0\x02".ljust(28, b"\0") + b"OpusHead", b"\xf8\xff\xfe".ljust(60, b"\0")),
    "aac": _Format("audio/aac", b"", b"\xff\xf1\x58\x40\x04\x1f\xfc".ljust(32, b"\0")),
    "flac": _Format("audio/flac", b"fLaC\x80\0\0\x22".ljust(42, b"\0"), bytes(120)),
    "wav": _Format("audio/wav", b"", bytes(FRAME_BYTES)),
    "pcm": _Format("audio/pcm", b"", bytes(FRAME_BYTES)),
}


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    input: str
    voice: str | dict[str, str]
    model: str = ""
    instructions: str | None = None
    response_format: str | None = None
    stream_format: str | None = None
    speed: float | None = None


def wav_head(size: int) -> bytes:
    """The head of a WAV file with so many bytes of samples."""
    form = struct.pack("<HHIIHH", 1, 1, SAMPLES_A_SECOND, 2 * SAMPLES_A_SECOND, 2, 16)
    return struct.pack("<4sI4s4sI16s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, form, b"data", size)


class Speech(Endpoint):
    """`/audio/speech`: bytes, written piece by piece, or events with `stream_format` sse."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        within("input", len(request.input), 1, MAX_INPUT)
        wanted = request.response_format or "mp3"
        if wanted not in FORMATS:
            raise BadRequest(f"'response_format' must be one of {', '.join(FORMATS)}.", param="response_format")
        if request.stream_format not in (None, "audio", "sse"):
            raise BadRequest("'stream_format' must be sse or audio.", param="stream_format")
        if request.speed is not None and not 0.25 <= request.speed <= 4:
            raise BadRequest("'speed' must be between 0.25 and 4.", param="speed")
        events = request.stream_format == "sse"
        if events and split_name(model)[0].startswith("tts-1"):
            raise BadRequest("'stream_format' sse is not supported by this model.", param="stream_format")
        return Asked(
            model=model,
            stream=True,
            prompt_tokens=count(request.input) + count(request.instructions or ""),
            last_user="",
            may_call=False,
            natural=count(request.input),
            include_usage=events,
            media="" if events else FORMATS[wanted].media,
            unmetered=not events,
            detail=wanted,
        )

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`; of bytes, the event is a piece of them."""
        found = FORMATS[asked.detail]
        left = answer.completion_tokens
        head = wav_head(left * FRAME_BYTES) if asked.detail == "wav" else found.head
        if asked.media:
            yield Event(head, 0, Part.HEAD)
        while left:
            tokens = min(chunk, left)
            audio = found.frame * tokens
            if not asked.media:
                first, head = head, b""
                audio = named({"type": "speech.audio.delta", "audio": base64.b64encode(first + audio).decode()})
            yield Event(audio, tokens, Part.CONTENT)
            left -= tokens
        if asked.media:
            yield Event(b"", 0, Part.DONE)
            return
        told = {
            "input_tokens": answer.prompt_tokens,
            "output_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        }
        yield Event(named({"type": "speech.audio.done", **({"usage": told} if usage else {})}), 0, Part.DONE)
