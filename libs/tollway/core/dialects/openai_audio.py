"""`POST /v1/audio/speech`, `/v1/audio/transcriptions` and `/v1/audio/translations` of OpenAI, whole and streamed.

Owns partial reading of both directions. Shapes: `CreateSpeechRequest`, `CreateTranscriptionRequest`, the responses and
stream events of both in OpenAI's API description; `transcription.chunk` is what vLLM streams in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects import lenient_json
from tollway.core.dialects.head import Head, flag_field, invalid, present, read_fields, text_field
from tollway.core.dialects.multipart import check_single, form_fields, read_form, replace_field
from tollway.core.dialects.openai_usage import read_usage
from tollway.core.dialects.passthrough import (
    ANYTHING,
    EVENTS,
    JSON,
    Answer,
    AnswerKind,
    EventView,
    JSONCall,
    Sent,
    StreamEvent,
    Told,
    View,
    check_url,
    count,
    error_in,
    media_type,
    read_answer,
    required,
    string_field,
    wrong_type,
)
from tollway.core.dialects.ports import garbage
from tollway.core.usage import Usage

MAX_PARTS = 256
"""Keywords and speakers are a part each."""

_TEXT_FORMATS = frozenset({"text", "srt", "vtt"})
_TEXT_DECODER = msgspec.json.Decoder(str)
_LIST_DECODER = msgspec.json.Decoder(list[Raw])


class Speech(JSONCall):
    """A `Passthrough`. `Head.stream`: the client wants events; else the audio itself, as it comes."""

    def read_head(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Passthrough.read_head`."""
        fields = read_fields(body)
        model = text_field(fields, "model")
        string_field(fields, "input")
        voice = required(fields, "voice")
        if voice[0] not in b'"{':
            raise wrong_type("voice", "a string or an object", voice)
        form = None if present(fields, "stream_format") is None else string_field(fields, "stream_format")
        if form not in (None, "sse", "audio"):
            raise invalid("Invalid 'stream_format': expected 'sse' or 'audio'.", "stream_format")
        return Head(model=model, stream=form == "sse", fields=fields)

    def accept(self, head: Head) -> str:
        """As `Passthrough.accept`."""
        return EVENTS if head.stream else ANYTHING

    def kind(self, head: Head, content_type: str) -> AnswerKind:  # noqa: ARG002 - the port's signature
        """As `Passthrough.kind`. JSON is no audio: `finished` says what is wrong."""
        match media_type(content_type):
            case "text/event-stream":
                return AnswerKind.EVENTS
            case "application/json":
                return AnswerKind.JSON
            case _:
                return AnswerKind.BINARY

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:
        """As `Passthrough.finished`; the characters that were spoken are all that can be known.

        For audio that was passed on as it came, `body` is what there is of it, and may be any part of it.
        """
        if media_type(content_type) == JSON:
            raise error_in(body) or garbage("it is JSON and no audio")
        if not body:
            raise garbage("it is empty")
        return Told(Usage(characters=_characters(head)), 0)

    def view(self, head: Head) -> View:
        """As `Passthrough.view`."""
        return SpeechView(_characters(head))


class _Transcription(Answer):
    text: Any = None
    duration: Any = None


_DECODER = msgspec.json.Decoder(_Transcription)


class Transcriptions:
    """A `Passthrough` whose requests are forms. Translations are asked for and answered in the same way."""

    def read_head(self, body: bytes, content_type: str) -> Head:
        """As `Passthrough.read_head`; `Head.fields` are the plain fields. Groq takes `url` in place of `file`."""
        form = read_form(body, content_type, max_parts=MAX_PARTS)
        check_single(form, "model")
        fields = form_fields(form, flags=("stream",))
        model = text_field(fields, "model")
        if "url" not in fields and not any(part.name == "file" for part in form.parts):
            raise invalid("Missing required parameter: 'file'.", "file")
        if "response_format" in fields:
            string_field(fields, "response_format")
        return Head(model=model, stream=flag_field(fields, "stream"), fields=fields)

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: some services fetch the audio, and samples of speakers may be URLs."""
        for name in ("url", "file", "known_speaker_references", "known_speaker_references[]"):
            raw = head.fields.get(name)
            if raw is not None:
                for item in _LIST_DECODER.decode(raw) if memoryview(raw)[0] == ord("[") else [raw]:
                    check_url(_TEXT_DECODER.decode(item), name)

    def outgoing(
        self,
        head: Head,  # noqa: ARG002 - the port's signature
        body: bytes,
        content_type: str,
        model: str,
        without: Sequence[str] = (),
    ) -> Sent:
        """As `Passthrough.outgoing`."""
        form = read_form(body, content_type, max_parts=MAX_PARTS)
        return Sent(replace_field(form, "model", model, without), content_type)

    def accept(self, head: Head) -> str:
        """As `Passthrough.accept`."""
        if head.stream:
            return EVENTS
        return ANYTHING if _wants_text(head) else JSON

    def kind(self, head: Head, content_type: str) -> AnswerKind:
        """As `Passthrough.kind`: what the provider says it is, for models that cannot stream answer whole."""
        if media_type(content_type) == EVENTS:
            return AnswerKind.EVENTS
        return AnswerKind.TEXT if _wants_text(head) else AnswerKind.JSON

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:  # noqa: ARG002 - the port's signature
        """As `Passthrough.finished`. Subtitles and plain text tell no usage."""
        answer = _object_of(body) if _wants_text(head) else read_answer(_DECODER, _Transcription, body)
        if answer is None:
            return Told(None, len(body.decode("utf-8", "replace")))
        if not isinstance(answer.text, str):
            raise garbage("it has no text")
        return Told(read_audio_usage(answer.usage, answer.duration), len(answer.text))

    def view(self, head: Head) -> View:  # noqa: ARG002 - the port's signature
        """As `Passthrough.view`."""
        return TranscriptView()


SPEECH = Speech()
TRANSCRIPTIONS = Transcriptions()
TRANSLATIONS = Transcriptions()


def read_audio_usage(value: Any, duration: Any = None) -> Usage | None:
    """The usage of a decoded usage object, of tokens or of seconds; `duration` is the answer's own. None: not told."""
    tokens = count(value, "input_tokens")
    if tokens is not None:
        details = value.get("input_token_details")
        audio = count(details, "audio_tokens") or 0
        return Usage(input=tokens, audio_input=min(audio, tokens), output=count(value, "output_tokens") or 0)
    counted = read_usage(value)
    if counted is not None:
        return counted
    told = _milliseconds(value.get("seconds")) if isinstance(value, dict) else None
    milliseconds = _milliseconds(duration) if told is None else told
    return None if milliseconds is None else Usage(audio_ms=milliseconds)


class TranscriptView(EventView):
    """A `View` of a transcription, by OpenAI or by vLLM."""

    __slots__ = ()

    def _take(self, kind: str, event: StreamEvent) -> None:
        match kind:
            case "transcript.text.delta":
                self._content(_length(event.delta))
            case "transcript.text.segment":
                # The text of a segment comes in deltas as well where the model writes them.
                self._content(0 if self.output_chars else _length(event.text))
            case "transcript.text.done":
                self.started = True
                self.output_chars = max(self.output_chars, _length(event.text))
                self.usage = read_audio_usage(event.usage) or self.usage
                self.done = True
            case _ if isinstance(event.choices, list):
                self._take_chunk(event.choices, event.usage)

    def _take_chunk(self, choices: list[Any], usage: Any) -> None:
        for choice in choices:
            delta = choice.get("delta") if isinstance(choice, dict) else None
            chars = _length(delta.get("content")) if isinstance(delta, dict) else 0
            if chars:
                self._content(chars)
        self.usage = read_audio_usage(usage) or self.usage


class SpeechView(EventView):
    """A `View` of speech as events."""

    __slots__ = ("_characters",)

    def __init__(self, characters: int) -> None:
        """`characters`: how many are to be spoken."""
        super().__init__()
        self._characters = characters

    def _take(self, kind: str, event: StreamEvent) -> None:
        if kind == "speech.audio.delta":
            self._content()
        elif kind == "speech.audio.done":
            self.started = True
            tokens = count(event.usage, "input_tokens") or 0
            output = count(event.usage, "output_tokens") or 0
            self.usage = Usage(input=tokens, output=output, audio_output=output, characters=self._characters)
            self.done = True


def _characters(head: Head) -> int:
    return len(_TEXT_DECODER.decode(head.fields["input"]))


def _wants_text(head: Head) -> bool:
    raw = present(head.fields, "response_format")
    return raw is not None and _TEXT_DECODER.decode(raw) in _TEXT_FORMATS


def _object_of(body: bytes) -> _Transcription | None:
    """The JSON answer of a service that has no other format, where text was asked for; None: the body is text.

    Text that happens to be JSON is text. Raises ErrorEvent for an error object.
    """
    if not body.lstrip().startswith(b"{"):
        return None
    error = error_in(body)
    if error is not None:
        raise error
    try:
        answer = lenient_json.decode(_DECODER, _Transcription, body)
    except ValueError:
        return None
    return answer if isinstance(answer.text, str) else None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _milliseconds(seconds: Any) -> int | None:
    """Seconds, which vLLM writes as a string in `duration`, as whole milliseconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        return None
    try:
        value = float(seconds)
    except (ValueError, OverflowError):
        return None
    return round(value * 1000) if 0 <= value <= 2**32 else None
