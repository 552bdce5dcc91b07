"""Image generation and edits, whole and in events."""

from __future__ import annotations

import base64
import struct
import urllib.request
import zlib
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tollway.testkit.simulator import SimulatorServer

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def checked(picture: bytes) -> bytes:
    """The pixels of a PNG whose every chunk is sound."""
    assert picture.startswith(SIGNATURE)
    at, pixels, kinds = len(SIGNATURE), b"", []
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        assert struct.unpack(">I", picture[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        kinds.append(kind)
        pixels = zlib.decompress(data) if kind == b"IDAT" else pixels
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    return pixels


def unpacked(text: str | None) -> bytes:
    assert text is not None
    return checked(base64.b64decode(text))


def test_pictures_come_as_urls_or_in_the_answer(
    client: openai.OpenAI, simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    by_url = client.images.generate(model="dall-e-3", prompt="A mill", n=2)
    packed = client.images.generate(model="dall-e-3", prompt="A mill", n=2, response_format="b64_json")
    assert by_url.data is not None
    assert packed.data is not None
    assert (by_url.usage, len(by_url.data), len(packed.data)) == (None, 2, 2)
    for shown, other in zip(by_url.data, packed.data, strict=True):
        assert shown.url is not None
        assert shown.url.startswith(f"{simulator.origin}/")
        with urllib.request.urlopen(shown.url, timeout=5) as answer:
            assert answer.headers["content-type"] == "image/png"
            assert checked(answer.read()) == unpacked(other.b64_json)
    assert unpacked(packed.data[0].b64_json) != unpacked(packed.data[1].b64_json)
    assert breaks("ImagesResponse", by_url.to_dict()) == breaks("ImagesResponse", packed.to_dict()) == []
    counts = simulator.settled(2)
    assert counts["received"] == counts["by_endpoint"]["/v1/images/generations"]["completed"] == 2
    assert [record["usage_sent"] for record in simulator.requests()] == [False, False]


def test_newer_models_tell_their_usage(
    client: openai.OpenAI, simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    answer = client.images.generate(model="gpt-image-1", prompt="A mill", n=2, quality="low", size="1024x1536")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (2, 816, 818)
    assert answer.usage.input_tokens_details.text_tokens == 2
    assert (answer.size, answer.quality, answer.output_format) == ("1024x1536", "low", "png")
    assert breaks("ImagesResponse", answer.to_dict()) == []
    assert simulator.settled(1)["completion_tokens"] == 816
    with pytest.raises(openai.BadRequestError, match="response_format"):
        client.images.generate(model="gpt-image-1", prompt="A mill", response_format="url")


def test_a_stream_has_partial_pictures_and_the_whole_ones_usage(
    client: openai.OpenAI, simulator: SimulatorServer
) -> None:
    request: dict[str, Any] = {"model": "gpt-image-1/tokens=10", "prompt": "A mill"}
    whole = client.images.generate(**request)
    events: list[Any] = list(client.images.generate(**request, stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert whole.data is not None
    assert whole.usage is not None
    assert unpacked(events[-1].b64_json) == unpacked(whole.data[0].b64_json)
    assert events[-1].usage.to_dict() == whole.usage.to_dict()
    assert len({unpacked(event.b64_json) for event in events}) == 3
    counts = simulator.settled(2)
    assert (counts["completed"], counts["delivered_tokens"], counts["completion_tokens"]) == (2, 20, 20)
    broken: list[Any] = []
    request["model"] = "gpt-image-1/tokens=10,fault=cut,after=5"
    with pytest.raises(openai.APIConnectionError):
        broken.extend(client.images.generate(**request, stream=True, partial_images=2))
    assert simulator.settled(3)["failed"] == 1


def test_edits_take_files_and_count_them(
    client: openai.OpenAI, azure: openai.AzureOpenAI, simulator: SimulatorServer
) -> None:
    picture = ("a.png", b"\x89PNG any", "image/png")
    answer = client.images.edit(model="gpt-image-1", image=[picture, picture], mask=picture, prompt="Red", n=1)
    assert answer.usage is not None
    assert (answer.usage.input_tokens_details.image_tokens, answer.usage.input_tokens_details.text_tokens) == (170, 1)
    events: list[Any] = list(
        client.images.edit(model="gpt-image-1", image=picture, prompt="Red", stream=True, partial_images=1)
    )
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    body = {"model": "gpt-image-1", "prompt": "Red", "images": [{"image_url": "https://x.example/a.png"}]}
    found: Any = client.post("/images/edits", body=body, cast_to=object)
    assert found["usage"]["input_tokens_details"]["image_tokens"] == 85
    assert azure.images.generate(model="dall-e-3", prompt="A mill").data
    counts = simulator.settled(4)["by_endpoint"]
    assert counts["/v1/images/edits"]["completed"] == 3
    assert counts["/openai/deployments/images/generations"]["completed"] == 1


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("generations", {"prompt": ""}, "prompt"),
        ("generations", {"prompt": "x" * 32001}, "prompt"),
        ("generations", {"n": 0}, "'n'"),
        ("generations", {"response_format": "svg"}, "response_format"),
        ("generations", {"stream": True}, "Streaming"),
        ("generations", {"model": "gpt-image-1", "partial_images": 4}, "partial_images"),
        ("generations", {"model": "gpt-image-1/fault=filter"}, "safety system"),
        ("edits", {}, "images are required"),
    ],
)
def test_what_is_wrong_is_refused(client: openai.OpenAI, path: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post(f"/images/{path}", body={"model": "m", "prompt": "A mill", **fields}, cast_to=object)
