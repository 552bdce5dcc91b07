"""OpenAI's speech, transcriptions and translations: forms and JSON, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects import sse
from tollway.core.dialects.openai_audio import SPEECH, TRANSCRIPTIONS, TRANSLATIONS, read_audio_usage
from tollway.core.dialects.passthrough import AnswerKind, Passthrough, View
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage
from tollway.testkit.sdk_requests import exchange

SCHEMAS = Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json"
JSON = "application/json"
FORM = "multipart/form-data; boundary=B"
EVENTS = "text/event-stream"
TOKENS = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
    "output_tokens": 45,
    "total_tokens": 59,
}
TOLD = Usage(input=14, audio_input=10, output=45)


def form(**fields: str) -> bytes:
    parts = {"model": "w", "file": "RIFF", **fields}
    made = "".join(f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    return (made + "--B--\r\n").encode()


def heard(**fields: str) -> Any:
    return TRANSCRIPTIONS.read_head(form(**fields), FORM)


def spoken(**fields: Any) -> Any:
    return SPEECH.read_head(json.dumps({"model": "t", "input": "schön", "voice": "alloy", **fields}).encode(), JSON)


def data(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def watch(view: View, stream: bytes, cut: int = 1 << 20) -> list[bytes]:
    framer = sse.Framer()
    blocks = [b for at in range(0, len(stream), cut) for b in framer.feed(stream[at : at + cut])] + [framer.rest()]
    return [block for block in blocks if block and view.see(block)]


def test_transcriptions_of_the_official_client() -> None:
    audio = b"RIFF\x00\xff\r\n--\r\n\r\n"
    answer = {"task": "transcribe", "language": "de", "duration": 1.25, "text": "hallo"}
    made = exchange(
        lambda c: c.audio.transcriptions.create(
            file=("a.wav", audio, "audio/wav"),
            model="mine",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        ),
        json.dumps(answer).encode(),
    )
    call: Passthrough = TRANSCRIPTIONS
    head = call.read_head(made.body, made.content_type)
    assert (head.model, head.stream, call.accept(head), call.kind(head, JSON)) == ("mine", False, JSON, AnswerKind.JSON)
    call.check_urls(head)
    sent = call.outgoing(head, made.body, made.content_type, "whisper-large")
    assert sent == (made.body.replace(b"mine", b"whisper-large"), made.content_type)
    left = call.outgoing(head, made.body, made.content_type, "mine", ("timestamp_granularities",)).body
    assert audio in left
    assert b"granularities" not in left
    assert call.finished(head, JSON, json.dumps(answer).encode()) == (Usage(audio_ms=1250), 5)
    assert made.result.duration == 1.25


def test_translations() -> None:
    # As httpx makes forms, which the official client sends; its own method is deprecated.
    made = httpx2.Request("POST", "http://x", files={"file": b"x"}, data={"model": "mine", "prompt": "é"})
    head = TRANSLATIONS.read_head(made.read(), made.headers["content-type"])
    assert head.model == "mine"
    assert TRANSLATIONS.finished(head, JSON, b'{"text":"hello"}') == (None, 5)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(model=""), "model"),
        (form(stream="maybe"), "stream"),
        (form(response_format=""), "response_format"),
        (form().replace(b'"file"', b'"voice"'), "file"),
        (form().replace(b'"model"', b'"modell"'), "model"),
        (form(**{"model[]": "other"}), "model"),
    ],
)
def test_wrong_fields_of_forms_are_named(body: bytes, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        TRANSCRIPTIONS.read_head(body, FORM)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_a_transcription_must_be_a_form() -> None:
    with pytest.raises(TollwayError) as caught:
        TRANSCRIPTIONS.read_head(b'{"model":"w"}', JSON)
    assert caught.value.code is Code.UNSUPPORTED_MEDIA_TYPE


def test_urls_of_audio() -> None:
    url = form(url="https://example.com/a.mp3").replace(b'"file"', b'"user"')
    TRANSCRIPTIONS.check_urls(TRANSCRIPTIONS.read_head(url, FORM))
    TRANSCRIPTIONS.check_urls(heard(prompt="http://10.0.0.1"))
    for fields in ({"url": "http://10.0.0.1/a.mp3"}, {"file": "http://localhost/"}):
        with pytest.raises(TollwayError) as caught:
            TRANSCRIPTIONS.check_urls(heard(**fields))
        assert caught.value.param in fields
    with pytest.raises(TollwayError):
        TRANSCRIPTIONS.check_urls(heard(**{"known_speaker_references[]": "file:///etc/passwd"}))


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": TOKENS}, TOLD),
        ({"usage": {"type": "duration", "seconds": 3}}, Usage(audio_ms=3000)),
        ({"usage": {"type": "duration", "seconds": 0.0314}, "duration": 9}, Usage(audio_ms=31)),
        ({"duration": 8.470000267028809}, Usage(audio_ms=8470)),
        ({"duration": "5.5"}, Usage(audio_ms=5500)),  # vLLM
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}, Usage(input=5, output=2)),
        ({"usage": {"seconds": -1}, "duration": "long"}, None),
        ({"usage": {"seconds": True}, "duration": [1]}, None),
        ({}, None),
    ],
)
def test_usage(answer: dict[str, Any], usage: Usage | None) -> None:
    body = json.dumps({"text": "hi", **answer}).encode()
    assert TRANSCRIPTIONS.finished(heard(), JSON, body) == (usage, 2)


def test_the_usage_objects_fit_the_official_description() -> None:
    schemas = json.loads(SCHEMAS.read_text())
    for usage in (TOKENS, {"type": "duration", "seconds": 3}):
        schema = {**schemas, "$ref": "#/components/schemas/CreateTranscriptionResponseJson"}
        jsonschema.Draft202012Validator(schema).validate({"text": "x", "usage": usage})


@pytest.mark.parametrize("fmt", ["text", "srt", "vtt"])
def test_answers_that_are_text(fmt: str) -> None:
    head = heard(response_format=fmt)
    assert (TRANSCRIPTIONS.accept(head), TRANSCRIPTIONS.kind(head, "text/plain")) == ("*/*", AnswerKind.TEXT)
    for text in ("1\n00:00 --> 00:01\nschön\n", "{laughs}", "", "[1]", "{}"):
        assert TRANSCRIPTIONS.finished(head, "text/plain", text.encode()) == (None, len(text))
    told = TRANSCRIPTIONS.finished(head, JSON, b'{"text":"hi","duration":2}')
    assert told == (Usage(audio_ms=2000), 2)
    with pytest.raises(ErrorEvent):
        TRANSCRIPTIONS.finished(head, "text/plain", b' {"error":"no"}')


@pytest.mark.parametrize("body", [b"", b"hello", b"{}", b'{"text":1}', b"[]"])
def test_garbage_in_place_of_json(body: bytes) -> None:
    with pytest.raises(TollwayError) as caught:
        TRANSCRIPTIONS.finished(heard(), JSON, body)
    assert caught.value.code is Code.PROVIDER_ERROR


DELTAS = data(type="transcript.text.delta", delta="Hal") + data(type="transcript.text.delta", delta="lo")
DONE = data(type="transcript.text.done", text="Hallo", usage=TOKENS)


def test_a_stream_of_openai() -> None:
    head = heard(stream="true")
    assert (head.stream, TRANSCRIPTIONS.accept(head), TRANSCRIPTIONS.kind(head, EVENTS)) == (
        True,
        EVENTS,
        AnswerKind.EVENTS,
    )
    assert TRANSCRIPTIONS.kind(head, JSON) is AnswerKind.JSON  # whisper-1 cannot stream
    view = TRANSCRIPTIONS.view(head)
    assert len(watch(view, DELTAS)) == 2
    assert (view.started, view.done, view.usage, view.output_chars, view.output_events) == (True, False, None, 5, 2)
    assert len(watch(view, DONE + b"data: [DONE]\n\n")) == 1
    assert (view.done, view.usage, view.output_chars, view.failure) == (True, TOLD, 5, None)
    read = exchange(
        lambda c: c.audio.transcriptions.create(file=b"x", model="m", stream=True), DELTAS + DONE, EVENTS
    ).result
    assert [event.type for event in read] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]


def test_a_diarized_stream() -> None:
    view = TRANSCRIPTIONS.view(heard(stream="true"))
    watch(view, data(type="transcript.text.segment", id="s", text="Hallo", speaker="A") + DONE)
    assert (view.done, view.output_chars) == (True, 5)


def test_a_stream_of_vllm() -> None:
    chunk = {"object": "transcription.chunk", "choices": [{"delta": {"content": "Hallo"}}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    view = TRANSCRIPTIONS.view(heard(stream="true"))
    watch(view, data(**chunk) + data(choices=[], usage=usage))
    assert (view.started, view.done, view.output_chars, view.usage) == (True, False, 5, Usage(input=9, output=3))
    assert watch(view, b"data: [DONE]") == [b"data: [DONE]"]
    assert view.done


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ["a"]}, "input"),
        ({"input": ""}, "input"),
        ({"model": 1}, "model"),
        ({"voice": None}, "voice"),
        ({"voice": 3}, "voice"),
        ({"stream_format": "wav"}, "stream_format"),
        ({"stream_format": True}, "stream_format"),
    ],
)
def test_wrong_fields_of_speech_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        spoken(**fields)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_speech_of_the_official_client() -> None:
    made = exchange(
        lambda c: c.audio.speech.create(input="schön", model="mine", voice="alloy"), b"ID3\x00", "audio/mpeg"
    )
    call: Passthrough = SPEECH
    head = call.read_head(made.body, made.content_type)
    assert (head.model, head.stream, call.accept(head)) == ("mine", False, "*/*")
    assert call.kind(head, "audio/mpeg") is AnswerKind.BINARY
    assert call.finished(head, "audio/mpeg", b"ID3\x00") == (Usage(characters=5), 0)
    assert made.result.content == b"ID3\x00"
    assert json.loads(call.outgoing(head, made.body, JSON, "x").body)["model"] == "x"
    call.check_urls(head)


def test_speech_that_is_none() -> None:
    assert SPEECH.kind(spoken(), "application/json; charset=utf-8") is AnswerKind.JSON
    with pytest.raises(ErrorEvent):
        SPEECH.finished(spoken(), JSON, b'{"error":"no"}')
    for content_type, body in ((JSON, b"{}"), ("audio/mpeg", b"")):
        with pytest.raises(TollwayError) as caught:
            SPEECH.finished(spoken(), content_type, body)
        assert caught.value.code is Code.PROVIDER_ERROR


def test_speech_as_events() -> None:
    head = spoken(stream_format="sse", voice={"id": "voice_1"})
    assert (head.stream, SPEECH.accept(head), SPEECH.kind(head, EVENTS)) == (True, EVENTS, AnswerKind.EVENTS)
    view = SPEECH.view(head)
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    watch(view, data(type="speech.audio.delta", audio="AAAA") * 2)
    assert (view.started, view.done, view.output_events) == (True, False, 2)
    watch(view, data(type="speech.audio.done", usage=usage))
    assert (view.done, view.usage) == (True, Usage(input=14, output=101, audio_output=101, characters=5))


def test_an_error_ends_a_stream() -> None:
    for view in (SPEECH.view(spoken()), TRANSCRIPTIONS.view(heard())):
        assert watch(view, data(type="error", error={"message": "no"}) + DONE) == []
        assert isinstance(view.failure, ErrorEvent)
        assert view.failure.error == {"message": "no"}
        assert not view.done


@given(st.integers(1, 120))
def test_any_split_gives_the_same(cut: int) -> None:
    view = TRANSCRIPTIONS.view(heard())
    assert b"".join(watch(view, DELTAS + DONE, cut)) == DELTAS + DONE
    assert (view.done, view.usage, view.output_chars, view.output_events) == (True, TOLD, 5, 2)


values = st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.text())
KINDS = ["transcript.text.delta", "transcript.text.done", "speech.audio.done", "transcript.text.segment", "", "x"]
events = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "delta": values,
        "text": values,
        "usage": values | st.dictionaries(st.sampled_from(["seconds", "input_tokens", "prompt_tokens"]), values),
        "choices": values | st.lists(values | st.dictionaries(st.just("delta"), values | st.just({"content": 1}))),
        "error": values,
    },
)


@given(st.lists(events, max_size=4))
def test_no_event_breaks_it(sent: list[dict[str, Any]]) -> None:
    stream = b"".join(data(**event) for event in sent)
    for view in (SPEECH.view(spoken()), TRANSCRIPTIONS.view(heard())):
        watch(view, stream)
        assert view.failure is None or view.failure.code is Code.PROVIDER_ERROR
    for event in sent:
        usage = read_audio_usage(event.get("usage"), event.get("delta"))
        assert usage is None or usage.audio_ms >= 0


@given(st.binary(max_size=60))
def test_no_bytes_break_it(body: bytes) -> None:
    for step in (
        lambda: SPEECH.read_head(body, JSON),
        lambda: TRANSCRIPTIONS.read_head(body, FORM),
        lambda: TRANSCRIPTIONS.finished(heard(), JSON, body),
        lambda: SPEECH.finished(spoken(), JSON, body),
    ):
        with pytest.raises(TollwayError):
            step()
    for view in (SPEECH.view(spoken()), TRANSCRIPTIONS.view(heard())):
        watch(view, body)
        assert not view.started
    assert TRANSCRIPTIONS.finished(heard(response_format="text"), "text/plain", body).usage is None
