"""Speech, transcriptions and translations."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
import wave
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

FILE = ("toll.mp3", b"x" * 40_000, "audio/mpeg")
TEXT = "Simulated transcript of toll.mp3, 40000 bytes."


def posted(url: str, body: dict[str, Any]) -> tuple[str, bytes]:
    """Content type and bytes of an answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers["content-type"], answer.read()


@pytest.mark.parametrize(
    ("kind", "media", "begins"),
    [
        ("mp3", "audio/mpeg", b"\xff\xfb"),
        ("opus", "audio/opus", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b"\0\0"),
    ],
)
def test_speech_is_bytes_of_its_format(simulator: SimulatorServer, kind: str, media: str, begins: bytes) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello world", "response_format": kind}
    found, data = posted(f"{simulator.openai_url}/audio/speech", body)
    assert found == media
    assert data.startswith(begins)
    (record,) = simulator.requests()
    assert (record["outcome"], record["completion_tokens"], record["delivered_tokens"]) == ("completed", 3, 3)
    assert record["usage_sent"] is False


def test_a_wav_can_be_read(client: openai.OpenAI, azure: openai.AzureOpenAI) -> None:
    for speaker in (client, azure):
        answer = speaker.audio.speech.create(model="m/tokens=50", voice="alloy", input="Hi", response_format="wav")
        with wave.open(io.BytesIO(answer.content)) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
            assert sound.getnframes() == 50 * 240
            assert len(sound.readframes(50 * 240)) == 50 * 480


def test_speech_can_come_as_events(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    body = {"model": "gpt-4o-mini-tts/chunk=2", "voice": "alloy", "input": "Hello world", "response_format": "wav"}
    url = f"{simulator.openai_url}/audio/speech"
    media, data = posted(url, {**body, "stream_format": "sse"})
    assert media.startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    assert events[-1]["usage"] == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == posted(url, body)[1]
    with pytest.raises(openai.BadRequestError, match="stream_format"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hi", stream_format="sse")


def test_speech_comes_piece_by_piece_and_can_break(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    pieces = []
    with client.audio.speech.with_streaming_response.create(
        model="m/rate=20,tokens=6", voice="alloy", input="Hi", response_format="pcm"
    ) as answer:
        pieces = list(answer.iter_bytes())
    assert len(pieces) > 3
    assert sum(map(len, pieces)) == 6 * 480
    for fault in ("cut", "error-event", "reset"):
        with pytest.raises(openai.APIConnectionError):
            client.audio.speech.create(model=f"m/fault={fault},tokens=9", voice="alloy", input="Hi")
    assert simulator.settled(4)["failed"] == 3


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"voice": None}, "Invalid request"),
        ({"response_format": "midi"}, "response_format"),
        ({"stream_format": "x"}, "stream_format"),
        ({"speed": 5}, "speed"),
        ({"model": ""}, "model"),
        ({"model": "m/tokens=200001"}, "tokens"),
    ],
)
def test_speech_refuses_what_is_wrong(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post("/audio/speech", body={"model": "m", "voice": "alloy", "input": "Hi", **fields}, cast_to=object)


def test_transcripts_tell_tokens_or_seconds(
    client: openai.OpenAI, simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    answer = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE, prompt="Names")
    usage: Any = answer.usage
    assert answer.text == TEXT
    # 40,000 bytes are 3 seconds of 10 tokens, the prompt is 2; the text has 46 characters.
    assert (usage.type, usage.input_tokens, usage.output_tokens, usage.total_tokens) == ("tokens", 32, 12, 44)
    assert (usage.input_token_details.audio_tokens, usage.input_token_details.text_tokens) == (30, 2)
    whisper = client.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert whisper.to_dict()["usage"] == {"type": "duration", "seconds": 3}
    for found in (answer, whisper):
        assert breaks("CreateTranscriptionResponseJson", found.to_dict()) == []
    counts = simulator.settled(2)
    assert counts["by_endpoint"]["/v1/audio/transcriptions"]["completed"] == 2
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (62, 24)


def test_transcripts_come_in_all_formats(client: openai.OpenAI, breaks: Callable[[str, Any], list[str]]) -> None:
    def ask(kind: Any, **fields: Any) -> Any:
        return client.audio.transcriptions.create(model="whisper-1", file=FILE, response_format=kind, **fields)

    assert ask("text") == f"{TEXT}\n"
    assert ask("srt") == f"1\n00:00:00,000 --> 00:00:03,000\n{TEXT}\n\n"
    assert ask("vtt") == f"WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n{TEXT}\n\n"
    verbose = ask("verbose_json", language="en", timestamp_granularities=["word", "segment"])
    assert (verbose.language, verbose.duration, verbose.segments[0].text) == ("en", 3, TEXT)
    assert [word.word for word in verbose.words] == TEXT.split()
    assert breaks("CreateTranscriptionResponseVerboseJson", verbose.to_dict()) == []


def test_a_streamed_transcript_says_the_same(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    model = "gpt-4o-transcribe/chunk=5"
    whole = client.audio.transcriptions.create(model=model, file=FILE)
    events: list[Any] = list(client.audio.transcriptions.create(model=model, file=FILE, stream=True))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == whole.text
    assert events[-1].type == "transcript.text.done"
    assert events[-1].usage.to_dict() == whole.to_dict()["usage"]
    counts = simulator.settled(2)
    assert counts["delivered_tokens"] == counts["completion_tokens"] == 24


def test_translations_and_azures_path(
    client: openai.OpenAI, azure: openai.AzureOpenAI, simulator: SimulatorServer
) -> None:
    # The client warns that it will lose this call; the API has it.
    with pytest.deprecated_call():
        found = client.audio.translations.create(model="whisper-1", file=FILE)
    assert found.text == "Simulated translation of toll.mp3, 40000 bytes."
    with pytest.deprecated_call():
        verbose = client.audio.translations.create(model="whisper-1", file=FILE, response_format="verbose_json")
    assert (verbose.language, verbose.duration) == ("english", 3)
    # A form names its model itself: the client of Azure puts no deployment into the path.
    named = azure.with_options(base_url=f"{simulator.azure_url}/openai/deployments/m")
    assert named.audio.transcriptions.create(model="x", file=FILE).text == TEXT
    counts = simulator.settled(3)["by_endpoint"]
    assert counts["/v1/audio/translations"]["completed"] == 2
    assert counts["/openai/deployments/audio/transcriptions"]["completed"] == 1
    assert simulator.requests()[-1]["model"] == "m"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": ""}, "model"),
        ({"response_format": "doc"}, "response_format"),
        ({"model": "gpt-4o-transcribe", "response_format": "srt"}, "not compatible"),
        ({"temperature": "warm"}, "Invalid request"),
        ({"file": ("toll.mp3", b"")}, "not empty"),
    ],
)
def test_transcripts_refuse_what_is_wrong(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    request: dict[str, Any] = {"model": "whisper-1", "file": FILE, **fields}
    with pytest.raises(openai.BadRequestError, match=says):
        client.audio.transcriptions.create(**request)


def test_files_have_a_largest_size_and_forms_an_end(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", bytes((25 << 20) + 1)))
    assert caught.value.status_code == 413
    url = f"{simulator.openai_url}/audio/transcriptions"
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    for body, head in ((b"{}", {}), (b"--b\r\nno end", form), (b"", form), (b"--b--", form)):
        status, _headers, found = http("POST", url, body=body, headers=head)
        assert (status, found["error"]["type"]) == (400, "invalid_request_error")
