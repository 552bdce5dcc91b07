"""OpenAI's image generations and edits: JSON and forms, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects import sse
from tollway.core.dialects.multipart import read_form
from tollway.core.dialects.openai_images import EDITS, GENERATIONS
from tollway.core.dialects.passthrough import AnswerKind, Passthrough
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage
from tollway.testkit.sdk_requests import exchange

SCHEMAS = Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json"
JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 4160,
    "total_tokens": 4210,
}
TOLD = Usage(input=50, image_input=40, output=4160, image_output=4160, images=1)


def head_of(**fields: Any) -> Any:
    return GENERATIONS.read_head(json.dumps({"model": "i", "prompt": "a cat", **fields}).encode(), JSON)


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, "b64_json": "QUJD" * 100, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


PARTIAL = event("image_generation.partial_image", partial_image_index=0)
COMPLETED = event("image_generation.completed", usage=USAGE)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 129}, "n"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        head_of(**fields)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_generations_of_the_official_client() -> None:
    answer = {"created": 1, "data": [{"b64_json": "QQ=="}, {"b64_json": "Qg=="}], "usage": USAGE}
    body = json.dumps(answer).encode()
    made = exchange(lambda c: c.images.generate(model="mine", prompt="a cat", n=2, size="1024x1024"), body)
    call: Passthrough = GENERATIONS
    head = call.read_head(made.body, made.content_type)
    assert (head.model, head.n, head.stream, call.accept(head)) == ("mine", 2, False, JSON)
    call.check_urls(head)
    sent = call.outgoing(head, made.body, made.content_type, "theirs")
    assert json.loads(sent.body) == json.loads(made.body) | {"model": "theirs"}
    assert call.kind(head, JSON) is AnswerKind.JSON
    assert call.finished(head, JSON, body).usage == Usage(
        input=50, image_input=40, output=4160, image_output=4160, images=2
    )
    schema = {**json.loads(SCHEMAS.read_text()), "$ref": "#/components/schemas/ImagesResponse"}
    jsonschema.Draft202012Validator(schema).validate(answer)
    assert len(made.result.data) == 2


def test_edits_of_the_official_client() -> None:
    made = exchange(
        lambda c: c.images.edit(
            image=[("a.png", b"\x89PNG\r\n\x1a\n"), ("b.png", b"--")],
            mask=b"m",
            prompt="é",
            model="mine",
            n=2,
            stream=True,
        ),
        event("image_edit.completed", usage=USAGE) * 2,
        EVENTS,
    )
    call: Passthrough = EDITS
    head = call.read_head(made.body, made.content_type)
    assert (head.model, head.n, head.stream, call.accept(head)) == ("mine", 2, True, "text/event-stream")
    call.check_urls(head)
    sent = call.outgoing(head, made.body, made.content_type, "gpt-image-theirs")
    assert sent == (made.body.replace(b"mine", b"gpt-image-theirs"), made.content_type)
    left = call.outgoing(head, made.body, made.content_type, "x", ("n", "stream")).body
    assert [p.name for p in read_form(left, sent.content_type).parts] == [
        "prompt",
        "model",
        "image[]",
        "image[]",
        "mask",
    ]
    assert len(made.result) == 2


def test_edits_as_json() -> None:
    body = b'{"model":"i","prompt":"p","images":[{"image_url":"%s"}],"mask":{"image_url":"data:image/png;base64,AA"}}'
    head = EDITS.read_head(body % b"https://example.com/a.png", JSON)
    EDITS.check_urls(head)
    assert EDITS.outgoing(head, b"", JSON, "o") == ((body % b"https://example.com/a.png").replace(b'"i"', b'"o"'), JSON)
    with pytest.raises(TollwayError) as caught:
        EDITS.check_urls(EDITS.read_head(body % b"http://192.168.0.1/a.png", JSON))
    assert caught.value.param == "images[0].image_url"


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "http://127.0.0.1/a"},
        {"image": ["https://example.com/a", "http://127.0.0.1/a"]},
        {"image_url": "http://127.0.0.1/a"},
        {"mask": {"anything": "file:///etc/passwd"}},
        {"extra": {"url": "http://localhost"}},
    ],
)
def test_urls_in_other_places(fields: dict[str, Any]) -> None:
    with pytest.raises(TollwayError):
        GENERATIONS.check_urls(head_of(**fields))
    GENERATIONS.check_urls(head_of(prompt="draw http://127.0.0.1/a", user="http://127.0.0.1", size="auto"))


def form(*parts: tuple[str, str]) -> bytes:
    made = "".join(f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{value}\r\n' for n, value in parts)
    return (made + "--B--\r\n").encode()


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([("model", "i"), ("prompt", "p")], "image"),
        ([("model", "i"), ("image", "x")], "prompt"),
        ([("prompt", "p"), ("image", "x")], "model"),
        ([("model", "i"), ("model", "j"), ("prompt", "p"), ("image", "x")], "model"),
        ([("model", "i"), ("prompt", "p"), ("prompt", "q"), ("image", "x")], "prompt"),
        ([("model", "i"), ("prompt", "p"), ("image", "x"), ("n", "two")], "n"),
        ([("model", "i"), ("prompt", "p"), ("image", "x"), ("n", "0")], "n"),
        ([("model", "i"), ("prompt", "p"), ("image", "x"), ("stream", "maybe")], "stream"),
        ([("model", "i"), ("prompt", "p"), ("image[]", "http://127.0.0.1/a"), ("image[]", "y")], "image[0]"),
        ([("model", "i"), ("prompt", "p"), ("image", "http://127.0.0.1/a")], "image"),
    ],
)
def test_wrong_fields_of_forms_are_named(parts: list[tuple[str, str]], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        EDITS.check_urls(EDITS.read_head(form(*parts), "multipart/form-data; boundary=B"))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_a_json_edit_needs_an_image() -> None:
    with pytest.raises(TollwayError) as caught:
        EDITS.read_head(b'{"model":"i","prompt":"p"}', JSON)
    assert caught.value.param == "images"


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (USAGE, TOLD),
        (None, Usage(images=1)),
        ("x", Usage(images=1)),
        (
            {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 9,
                "output_tokens_details": {"image_tokens": 7, "text_tokens": 2},
            },
            Usage(input=10, cached_input=4, output=9, image_output=7, images=1),
        ),
    ],
)
def test_usage(usage: Any, told: Usage) -> None:
    body = json.dumps({"created": 1, "data": [{"url": "https://x"}], "usage": usage}).encode()
    assert GENERATIONS.finished(head_of(), JSON, body) == (told, 0)


def test_answers_that_are_none() -> None:
    for body in (b"{}", b'{"data":{}}', b"<html>", b'{"data":[1]}'):
        with pytest.raises(TollwayError) as caught:
            GENERATIONS.finished(head_of(), JSON, body)
        assert caught.value.code is Code.PROVIDER_ERROR
    with pytest.raises(ErrorEvent) as told:
        GENERATIONS.finished(head_of(), JSON, b'{"error":{"code":"moderation_blocked"}}')
    assert told.value.error == {"code": "moderation_blocked"}


def view_of(stream: bytes, n: int = 1, cut: int = 1 << 20) -> tuple[Any, list[bytes]]:
    view = GENERATIONS.view(head_of(stream=True, n=n))
    framer = sse.Framer()
    blocks = [b for at in range(0, len(stream), cut) for b in framer.feed(stream[at : at + cut])] + [framer.rest()]
    return view, [block for block in blocks if block and view.see(block)]


def test_a_stream() -> None:
    assert GENERATIONS.kind(head_of(stream=True), EVENTS) is AnswerKind.EVENTS
    assert GENERATIONS.kind(head_of(stream=True), JSON) is AnswerKind.JSON
    view, shown = view_of(PARTIAL)
    assert (view.started, view.done, view.usage, view.output_events, shown) == (True, False, None, 1, [PARTIAL])
    view, shown = view_of(b": hello\n\n" + PARTIAL + event("image_generation.new") + COMPLETED + b"data: [DONE]\n\n")
    assert (view.started, view.done, view.usage, view.output_events, view.failure) == (True, True, TOLD, 2, None)
    assert len(shown) == 4  # not what follows the end


def test_a_stream_of_several_images_ends_with_the_last() -> None:
    view, _ = view_of(COMPLETED, n=2)
    assert (view.done, view.usage) == (False, TOLD)
    view, shown = view_of(COMPLETED + PARTIAL + COMPLETED, n=2)
    assert (view.done, len(shown)) == (True, 3)
    assert view.usage == Usage(input=100, image_input=80, output=8320, image_output=8320, images=2)
    view, _ = view_of(COMPLETED + b"data: [DONE]\n\n", n=2)
    assert (view.done, view.usage) == (True, TOLD)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b'data: {"error":{"message":"no"}}\n\n', {"message": "no"}),
        (b'event: error\ndata: {"message":"no"}\n\n', {"message": "no"}),
        (b'data: {"type":"error","code":"x"}\n\n', {"type": "error", "code": "x"}),
        (b'{"error":{"message":"no"}}', {"message": "no"}),
    ],
)
def test_error_events(block: bytes, error: Any) -> None:
    view, shown = view_of(PARTIAL + block)
    assert isinstance(view.failure, ErrorEvent)
    assert (view.failure.error, view.done, shown) == (error, False, [PARTIAL])
    assert not view.see(COMPLETED)


@pytest.mark.parametrize("block", [b"<html></html>\n\n", b"data: {\n\n", b"data: 1\n\n", b"data: \xff\n\n"])
def test_streams_that_are_garbage(block: bytes) -> None:
    view, shown = view_of(block)
    assert view.failure is not None
    assert (view.failure.code, isinstance(view.failure, ErrorEvent), shown) == (Code.PROVIDER_ERROR, False, [])


@given(st.integers(1, 200))
def test_any_split_gives_the_same(cut: int) -> None:
    stream = PARTIAL + COMPLETED.replace(b"\n", b"\r\n")
    view, shown = view_of(stream, cut=cut)
    assert (view.done, view.usage, b"".join(shown)) == (True, TOLD, stream)


scraps = st.sampled_from(
    [b"data: ", b"{", b"}", b'"type":', b'"image_edit.completed"', b"\n", b'"usage":', b"[DONE]", b"1"]
)


@given(st.lists(scraps | st.binary(max_size=6), max_size=12).map(b"".join))
def test_no_bytes_break_it(body: bytes) -> None:
    view, _ = view_of(body)
    assert view.failure is None or view.failure.code is Code.PROVIDER_ERROR
    for step in (lambda: GENERATIONS.read_head(body, JSON), lambda: GENERATIONS.finished(head_of(), JSON, body)):
        with pytest.raises(TollwayError):
            step()
    with pytest.raises(TollwayError):
        EDITS.read_head(body, "multipart/form-data; boundary=B")
