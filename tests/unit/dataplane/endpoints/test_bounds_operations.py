"""The bound of every operation: what it counts, and that media are billed by their formula and not by their bytes."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from tollway.core.bounds import Bound, most
from tollway.core.errors import TollwayError
from tollway.core.money import format_dollars
from tollway.core.pricing import Price
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.memory import Memory
from tollway.testkit.codecs import CHAT, PRICE, bound

MESSAGES, RESPONSES, COMPLETIONS = "/v1/messages", "/v1/responses", "/v1/completions"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 200, 200) + bytes(60_000)
DATA = base64.b64encode(PNG).decode()
PIXELS = f"data:image/png;base64,{DATA}"
BY_UNIT = Price(version="t", input=0, output=0, image=10**9, audio_hour=10**9, characters=10**9, search=10**9)
WAV = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16) + b"data\0\0\0\0"


def of(path: str, kind: str = "openai", price: Price = PRICE, model: str = "gpt-4o", **fields: Any) -> Bound:
    body = json.dumps({"model": "alias", **fields}).encode()
    return bound(kind, path=path, model=model, body=body, price=price, context_tokens=None)


def form(
    path: str, file: bytes, name: str = "file", price: Price = BY_UNIT, model: str = "whisper-1", **fields: str
) -> Bound:
    lines = [b'--b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n' % (name.encode(), file)]
    for key, value in {"model": "alias", **fields}.items():
        lines.append(f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode())
    body = b"".join(lines) + b"--b--\r\n"
    content_type = "multipart/form-data; boundary=b"
    return bound("openai", path=path, model=model, body=body, content_type=content_type, price=price)


def test_limits_of_output_count_for_each_answer_that_is_written() -> None:
    hi = [{"role": "user", "content": "hi"}]
    found = of(CHAT, messages=hi, max_completion_tokens=50, n=3)
    assert (found.output, found.choices, found.total_output) == (50, 3, 150)
    assert of(CHAT, messages=hi, max_completion_tokens=50, max_tokens=90).output == 90, "some read the other one"
    assert of(CHAT, messages=hi, max_completion_tokens=None, max_tokens=None).output is None
    found = of(COMPLETIONS, "vllm", prompt=["a", "b"], max_tokens=7, n=2, best_of=5)
    assert (found.output, found.choices) == (7, 10)
    assert of(COMPLETIONS, "vllm", prompt="a", max_tokens=0).output == 1, "some write a token all the same"
    assert of(COMPLETIONS, "anthropic", prompt="a").output == 16
    assert of(RESPONSES, input="hi", max_output_tokens=20).output == 20
    assert of(MESSAGES, "anthropic", messages=hi, max_tokens=20).output == 20
    for path, fields in ((CHAT, {"messages": hi}), (RESPONSES, {"input": "hi"})):
        assert of(path, **fields).output is None


def test_the_example_of_the_guide() -> None:
    text = (Path(__file__).parents[4] / "docs" / "guide" / "bounds.md").read_text()
    body = text.partition("```json\n")[2].partition("\n```")[0].encode()
    price = Price(version="t", input=2_500_000_000, output=10_000_000_000)
    reserved = most(bound("openai", model="gpt-4o", body=body), price)
    assert f"{format_dollars(reserved)} dollars:" in text
    assert f"reserves {len(body)} + 256 tokens" in text


def test_the_least_limit_that_a_provider_takes_is_told() -> None:
    hi = [{"role": "user", "content": "hi"}]
    thinking = {"type": "enabled", "budget_tokens": 2000}
    assert of(MESSAGES, "anthropic", messages=hi, max_tokens=4000, thinking=thinking).least == 1025
    assert of(RESPONSES, input="hi").least == 16
    assert of(CHAT, messages=hi).least == 1


def test_the_window_bounds_long_text() -> None:
    long = json.dumps({"model": "alias", "messages": [{"role": "user", "content": "x" * 500_000}]}).encode()
    assert bound("openai", model="gpt-4o", body=long).input > 500_000
    found = bound("openai", model="gpt-4o", body=long, context_tokens=128_000, max_output_tokens=16_384)
    assert (found.input, found.ceiling) == (128_000, 16_000)


def test_a_limit_that_is_chosen_fits_the_model_and_its_window() -> None:
    """A service refuses what it cannot write: "max_tokens is too large", "maximum context length"."""
    body = json.dumps({"model": "alias", "messages": [{"role": "user", "content": "x" * 2000}]}).encode()

    def ceiling(window: int | None, output: int | None) -> int | None:
        return bound("vllm", body=body, context_tokens=window, max_output_tokens=output).ceiling

    assert ceiling(None, None) is None
    assert ceiling(None, 4096) == 4096
    assert ceiling(128_000, None) == 16_384
    assert ceiling(128_000, 4096) == 4096
    assert ceiling(4096, 4096) == 4096 - len(body) // 2
    assert ceiling(512, None) == 64


@pytest.mark.parametrize("kind", ["openai", "anthropic", "vllm"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_an_image_is_no_text(kind: str, path: str) -> None:
    """80,000 bytes of base64 are a small image, in every dialect's words."""
    content = {
        CHAT: {"type": "image_url", "image_url": {"url": PIXELS}},
        RESPONSES: {"type": "input_image", "image_url": PIXELS},
        MESSAGES: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
    }[path]
    turns = [{"role": "user", "content": [content]}]
    named = {"input": turns} if path == RESPONSES else {"messages": turns, "max_tokens": 9}
    found = of(path, kind, **named)
    assert 85 <= found.input < 20_000
    assert "image_input" not in found.absent
    assert "audio_input" in found.absent


def test_images_in_results_of_tools_and_of_earlier_turns_count() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}, {"type": "text", "text": "x"},
    ]}  # fmt: skip
    found = of(MESSAGES, "anthropic", messages=[{"role": "user", "content": [result]}], max_tokens=9)
    assert found.input > 5000
    made = {"type": "image_generation_call", "id": "ig_1", "result": DATA}
    shot = {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": PIXELS}}
    given = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": PIXELS}]}
    assert 3 * 3900 < of(RESPONSES, input=[made, shot, given]).input < 20_000


def test_an_address_does_not_borrow_the_size_of_other_data() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "data": DATA}}
    with pytest.raises(TollwayError, match="size of the image"):
        of(CHAT, model="gpt-9", messages=[{"role": "user", "content": [part]}])
    assert of(
        CHAT, model="gpt-9", messages=[{"role": "user", "content": [{**part, "image_url": {"url": PIXELS}}]}]
    ).input


def test_sound_lasts_as_long_as_its_header_makes_it() -> None:
    data = base64.b64encode(WAV + bytes(320_000)).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    found = of(CHAT, model="gpt-audio", messages=[{"role": "user", "content": [part]}])
    assert 100 <= found.input < 5000
    assert "audio_input" not in found.absent


def test_stored_turns_count_as_often_as_they_are_named() -> None:
    memory = Memory("resp_0", store=False, previous_response_id="resp_1")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 10_000}]}
    seen = {"role": "user", "content": [{"type": "input_image", "image_url": PIXELS}]}
    body = json.dumps({"model": "alias", "input": [{"type": "item_reference", "id": "i"}] * 3}).encode()
    memory.earlier = [Raw(json.dumps(each).encode()) for each in (item, seen)]
    memory.known = {"i": Raw(json.dumps(item).encode())}
    found = bound("openai", path=RESPONSES, model="gpt-4o", body=body, memory=memory)
    assert 40_000 < found.input < 50_000
    alone = bound(
        "openai", path=RESPONSES, model="gpt-4o", body=body, memory=Memory("r", store=False, previous_response_id=None)
    )
    assert alone.input < 1000


def test_cache_writes_are_reserved_only_where_they_are_asked_for() -> None:
    hi = [{"role": "user", "content": "hi"}]
    assert "cache_write_1h" in of(MESSAGES, "anthropic", messages=hi, max_tokens=9).absent
    kept = [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}]
    assert "cache_write_1h" not in of(MESSAGES, "anthropic", messages=kept, max_tokens=9).absent
    assert "cache_write_5m" not in of(CHAT, messages=hi).absent, "newer models keep what they read by themselves"


def test_counting_is_free() -> None:
    found = of("/v1/messages/count_tokens", "anthropic", messages=[{"role": "user", "content": "x" * 999}])
    assert most(found, PRICE) == 0


def test_calls_without_output() -> None:
    assert of("/v1/embeddings", input=["a" * 100, [1, 2, 3]]).admits(Usage(input=120))
    assert of("/v1/moderations", input="a" * 100).admits(Usage(input=120))
    pictured = of("/v1/moderations", input=[{"type": "image_url", "image_url": {"url": PIXELS}}])
    assert 85 <= pictured.input < 10_000


def test_a_query_is_read_with_every_document() -> None:
    found = of("/v1/rerank", "openai_compatible", query="q" * 50, documents=["d" * 10] * 300)
    assert found.admits(Usage(input=300 * 62))
    assert found.searches >= 3
    long = of("/v1/rerank", "openai_compatible", query="q", documents=["d" * 60_000] * 10)
    assert long.searches >= 10 * 60_000 // 500 // 100, "long documents are cut up, and the pieces counted"


def test_images_are_bounded_by_the_published_table() -> None:
    tokens = Price(version="t", input=1, output=1)
    dearest = of("/v1/images/generations", price=tokens, model="gpt-image-1", prompt="a cat", n=3)
    assert (dearest.images, dearest.total_output) == (3, 3 * 6240)
    low = of("/v1/images/generations", price=tokens, model="gpt-image-1-mini", prompt="a cat", quality="low")
    assert low.total_output == 408
    streamed = of(
        "/v1/images/generations", price=tokens, model="gpt-image-1", prompt="a", partial_images=2, stream=True
    )
    assert streamed.total_output == 6440
    by_image = of("/v1/images/generations", price=BY_UNIT, model="dall-e-3", prompt="a cat", n=2)
    assert most(by_image, BY_UNIT) == 2 * 10**9
    edited = form("/v1/images/edits", PNG, "image", tokens, "gpt-image-1", prompt="a hat")
    assert 6000 < edited.input < 60_000


def test_speech_is_bounded_by_its_characters() -> None:
    found = of("/v1/audio/speech", price=BY_UNIT, input="z\u00fcrich", voice="alloy")
    assert found.characters == 6
    assert most(found, BY_UNIT) == 6000
    priced = Price(version="t", input=1, output=1, characters=1)
    with pytest.raises(TollwayError) as caught:
        of("/v1/audio/speech", price=priced, input="a", voice="alloy", stream_format="sse")
    assert caught.value.param == "stream_format"


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_what_is_heard_is_bounded_by_its_length(path: str) -> None:
    found = form(path, WAV + bytes(320_000))
    assert 10_000 <= found.audio_ms <= 12_000
    assert 2_777_777 <= most(found, BY_UNIT) < 3_500_000
    tokens = Price(version="t", input=1, output=1)
    for file, price, param in ((b"fLaC" + bytes(99), BY_UNIT, "file"), (WAV, tokens, "model")):
        with pytest.raises(TollwayError) as caught:
            form(path, file, price=price)
        assert caught.value.param == param


def test_unknown_parts_of_a_form_are_refused() -> None:
    with pytest.raises(TollwayError) as caught:
        form("/v1/audio/transcriptions", WAV, webhook="https://example.org")
    assert caught.value.param == "webhook"
