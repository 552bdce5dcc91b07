"""The endpoints beside conversations, with the official client: what is asked, told and booked is the simulator's."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import aiohttp
import openai
import pytest

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.simulator import SimulatorServer

SOUND = ("talk.wav", b"RIFF" + bytes(2000), "audio/wav")
PICTURE = ("cat.png", b"\x89PNG" + bytes(500), "image/png")


@pytest.fixture(params=["gpt", "other"])
def model(request: pytest.FixtureRequest) -> str:
    """Models of the kinds of provider that serve everything."""
    name: str = request.param
    return name


async def booked(gateway: LoneDataPlane, simulator: SimulatorServer) -> Any:
    """The usage in the ledger of the one request that was made."""
    assert simulator.settled(1)["received"] == 1
    (row,) = await gateway.wait_rows(1)
    (attempt,) = row.attempts
    assert (attempt.outcome, row.status) == ("ok", 200)
    return attempt.usage


@pytest.mark.parametrize("name", ["gpt", "azure", "hub", "local", "other"])
@pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"])
async def test_embeddings(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, name: str, encoding: Any
) -> None:
    answer = await openai_client.embeddings.create(
        model=name, input=["one text", "another"], dimensions=8, encoding_format=encoding
    )
    vectors: list[Any] = [item.embedding for item in answer.data]
    if encoding == "base64":
        assert all(len(base64.b64decode(vector)) == 8 * 4 for vector in vectors)
    else:
        assert [len(vector) for vector in vectors] == [8, 8]
    usage = await booked(gateway, simulator)
    assert (usage.input, usage.output) == (answer.usage.prompt_tokens, 0)


async def test_embeddings_need_a_provider_that_has_them(openai_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await openai_client.embeddings.create(model="claude", input="text")
    assert (refused.value.param, refused.value.code) == ("model", "invalid_request")
    assert "/v1/embeddings" in refused.value.message


async def test_moderations(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    answer = await openai_client.moderations.create(model=model, input=["fine", "flagme"])
    assert [result.flagged for result in answer.results] == [False, True]
    usage = await booked(gateway, simulator)
    assert (usage.input, usage.output) == (0, 0)


async def test_images(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    answer = await openai_client.images.generate(model=model, prompt="a cat", n=2, response_format="b64_json")
    assert answer.data is not None
    assert [base64.b64decode(image.b64_json or "")[:4] for image in answer.data] == [b"\x89PNG"] * 2
    assert (await booked(gateway, simulator)).images == 2


async def test_images_edited(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    answer = await openai_client.images.edit(model=model, image=PICTURE, prompt="add a hat")
    assert answer.data is not None
    assert len(answer.data) == 1
    (seen,) = simulator.requests()
    assert seen["model"].startswith("sim-")
    assert (await booked(gateway, simulator)).images == 1


async def test_images_streamed(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer
) -> None:
    stream = await openai_client.images.generate(model="painter", prompt="a cat", stream=True, partial_images=1)
    events: list[Any] = [event async for event in stream]
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    usage = await booked(gateway, simulator)
    assert (usage.images, usage.output) == (1, events[-1].usage.output_tokens)


async def test_speech(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    answer = await openai_client.audio.speech.create(model=model, voice="alloy", input="Hello", response_format="wav")
    assert answer.response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert sound.getnframes() > 0
    assert (await booked(gateway, simulator)).characters == 5


async def test_speech_as_events(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    answer = await openai_client.audio.speech.create(model=model, voice="alloy", input="Hello", stream_format="sse")
    events = answer.content.decode()
    assert events.count("speech.audio.done") >= 1
    usage = await booked(gateway, simulator)
    assert usage.output > 0


@pytest.mark.parametrize("name", ["gpt", "local", "other"])
@pytest.mark.parametrize("form", ["json", "text", "srt", "verbose_json"])
async def test_transcriptions(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, name: str, form: Any
) -> None:
    answer: Any = await openai_client.audio.transcriptions.create(model=name, file=SOUND, response_format=form)
    text = answer if isinstance(answer, str) else answer.text
    assert "talk.wav" in text
    await booked(gateway, simulator)


async def test_transcriptions_streamed(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer, model: str
) -> None:
    stream = await openai_client.audio.transcriptions.create(model=model, file=SOUND, stream=True)
    events: list[Any] = [event async for event in stream]
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    usage = await booked(gateway, simulator)
    assert usage.output > 0


async def test_translations(gateway: LoneDataPlane, simulator: SimulatorServer, model: str) -> None:
    form = aiohttp.FormData({"model": model})
    form.add_field("file", SOUND[1], filename=SOUND[0], content_type=SOUND[2])
    async with gateway.client.post(f"{gateway.base_url}/audio/translations", data=form) as response:
        assert "talk.wav" in (await response.json())["text"]
    await booked(gateway, simulator)


async def test_rerank(gateway: LoneDataPlane, simulator: SimulatorServer) -> None:
    body = {"model": "local", "query": "red apples", "documents": ["green pears", "red apples"], "top_n": 1}
    async with gateway.client.post(f"{gateway.base_url}/rerank", json=body) as response:
        answer = await response.json()
    assert [result["index"] for result in answer["results"]] == [1]
    assert (await booked(gateway, simulator)).input == answer["usage"]["total_tokens"]


async def test_azures_own_paths(azure_client: openai.AsyncAzureOpenAI, gateway: LoneDataPlane) -> None:
    answer = await azure_client.chat.completions.create(model="claude", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content
    vectors = await azure_client.embeddings.create(model="gpt", input="text")
    assert vectors.data[0].embedding
    text = await azure_client.audio.transcriptions.create(model="gpt", file=SOUND)
    assert "talk.wav" in text.text
    rows = await gateway.wait_rows(3)
    assert [row.model for row in rows] == ["claude", "gpt", "gpt"]


async def test_a_form_without_its_model_or_its_end_is_refused(gateway: LoneDataPlane) -> None:
    url = f"{gateway.base_url}/audio/transcriptions"
    nameless = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    for body, param in ((b"--x\r\nbroken", None), (nameless, "model")):
        async with gateway.client.post(
            url, data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        ) as response:
            error = (await response.json())["error"]
        assert (response.status, error["code"], error["param"]) == (400, "invalid_request", param)
    async with gateway.client.post(url, json={"model": "gpt"}) as response:
        assert response.status == 415


async def test_a_cut_speech_is_not_a_whole_one(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer
) -> None:
    simulator.behave("sim-gpt", fault="cut")
    with pytest.raises(openai.APIConnectionError):
        await openai_client.audio.speech.create(model="gpt", voice="alloy", input="Hello" * 200)
    (row,) = await gateway.wait_rows(1)
    assert (row.outcome, row.attempts[0].estimated) == ("error", True)
