"""OpenAI's transcriptions and translations of audio. Source: https://platform.openai.com/docs/api-reference/audio

Nothing is heard: the text tells the file's name and size. A second of audio is 16,000 bytes, whatever is in them, and
10 tokens. Models whose name begins with `whisper` tell their usage in seconds and do not stream.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import Answer, Asked, count, pieces
from tollway.simulator.behaviour import split_name
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.multipart import parse
from tollway.simulator.dialects.openai import model_of
from tollway.simulator.dialects.port import BadRequest, Event, Part, Provider, named

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
BYTES_A_SECOND = 16_000
TOKENS_A_SECOND = 10
MAX_FILE_BYTES = 25 * (1 << 20)
LONGEST_NAME = 200
_LISTS = frozenset(("timestamp_granularities", "include"))
_MEDIA = {"text": "text/plain; charset=utf-8", "srt": "text/plain; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    model: str = ""
    language: str | None = None
    prompt: str | None = None
    response_format: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    timestamp_granularities: list[str] | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """What `detail` is here."""

    kind: str
    seconds: int
    prompt_text: int
    """Tokens of the prompt's text, beside those of the audio."""
    language: str
    whisper: bool
    words: bool


class Transcripts(Endpoint):
    """`/audio/transcriptions`, or `/audio/translations` where `translates`."""

    def __init__(self, provider: Provider, *, translates: bool) -> None:
        super().__init__(provider)
        self._translates = translates

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        form = parse(body, headers.get("content-type", ""))
        request: Request = form.convert(Request, _LISTS)
        model = model_of(path_model, request.model)
        name = split_name(model)[0].rpartition("/")[2]
        kind = request.response_format or "json"
        if kind not in FORMATS or (name.startswith("gpt-4o") and kind not in ("json", "text")):
            said = f"response_format '{kind}' is not compatible with model '{name}'."
            raise BadRequest(said, param="response_format", code="unsupported_value")
        files = form.files.get("file", [])
        if len(files) != 1 or not files[0].content:
            raise BadRequest("one file that is not empty is required.", param="file")
        if len(files[0].content) > MAX_FILE_BYTES:
            said = f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded."
            raise BadRequest(said, status=413, param="file")
        size = len(files[0].content)
        whisper = name.startswith("whisper")
        stream = bool(request.stream) and not whisper and not self._translates
        wanted = _Wanted(
            kind=kind,
            seconds=-(-size // BYTES_A_SECOND),
            prompt_text=count(request.prompt or ""),
            language="english" if self._translates else request.language or "english",
            whisper=whisper,
            words="word" in (request.timestamp_granularities or ()),
        )
        work = "translation" if self._translates else "transcript"
        return Asked(
            model=model,
            stream=stream,
            prompt_tokens=wanted.seconds * TOKENS_A_SECOND + wanted.prompt_text,
            last_user=work,
            may_call=False,
            says=f"Simulated {work} of {files[0].name[:LONGEST_NAME]}, {size} bytes.",
            include_usage=True,
            media="" if stream else _MEDIA.get(kind, ""),
            unmetered=kind in _MEDIA and not stream,
            hides_reasoning=True,
            detail=wanted,
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        wanted: _Wanted = asked.detail
        text = answer.choices[0].text
        match wanted.kind:
            case "text":
                return f"{text}\n".encode()
            case "srt":
                return f"1\n{_time(0, ',')} --> {_time(wanted.seconds, ',')}\n{text}\n\n".encode()
            case "vtt":
                return f"WEBVTT\n\n{_time(0, '.')} --> {_time(wanted.seconds, '.')}\n{text}\n\n".encode()
        found: dict[str, Any] = {"text": text}
        if wanted.kind == "verbose_json":
            found = {"task": "translate" if self._translates else "transcribe", **_verbose(wanted, text)}
        if usage and wanted.kind == "verbose_json":
            found["usage"] = {"type": "duration", "seconds": wanted.seconds}
        elif usage:
            found["usage"] = _usage(wanted, answer)
        return orjson.dumps(found)

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`."""
        text = answer.choices[0].text
        for piece in pieces(text, chunk):
            yield Event(named({"type": "transcript.text.delta", "delta": piece}), count(piece), Part.CONTENT)
        ended: dict[str, Any] = {"type": "transcript.text.done", "text": text}
        if usage:
            ended["usage"] = _usage(asked.detail, answer)
        yield Event(named(ended), 0, Part.DONE)


def _usage(wanted: _Wanted, answer: Answer) -> dict[str, Any]:
    if wanted.whisper:
        return {"type": "duration", "seconds": wanted.seconds}
    audio = answer.prompt_tokens - wanted.prompt_text
    return {
        "type": "tokens",
        "input_tokens": answer.prompt_tokens,
        "input_token_details": {"text_tokens": wanted.prompt_text, "audio_tokens": audio},
        "output_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _verbose(wanted: _Wanted, text: str) -> dict[str, Any]:
    """One segment over all of the audio; the words, where wanted, share it evenly."""
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": float(wanted.seconds),
        "text": text,
        "tokens": list(range(count(text))),
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }
    found = {"language": wanted.language, "duration": float(wanted.seconds), "text": text, "segments": [segment]}
    if wanted.words:
        words = text.split()
        each = wanted.seconds / max(1, len(words))
        spans = [(word, round(at * each, 3), round((at + 1) * each, 3)) for at, word in enumerate(words)]
        found["words"] = [{"word": word, "start": start, "end": end} for word, start, end in spans]
    return found


def _time(seconds: int, mark: str) -> str:
    """Hours, minutes, seconds and milliseconds, as subtitles have them."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}000"
