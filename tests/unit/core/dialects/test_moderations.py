"""OpenAI's moderations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.openai_moderations import MODERATIONS
from tollway.core.dialects.passthrough import AnswerKind, Passthrough
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage
from tollway.testkit.sdk_requests import exchange

JSON = "application/json"
ANSWER = b'{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false,"categories":{}}]}'


def head_of(**fields: Any) -> Any:
    return MODERATIONS.read_head(json.dumps({"input": "hi", **fields}).encode(), JSON)


def image(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "http://10.0.0.1"}, {"type": "image_url", "image_url": {"url": url}}]


def test_the_model_is_optional() -> None:
    for fields in ({}, {"model": None}):
        head = head_of(**fields)
        assert head.model == "omni-moderation-latest"
        sent = MODERATIONS.outgoing(head, b"", JSON, "theirs")
        assert json.loads(sent.body) == {"input": "hi", "model": "theirs"}
    assert head_of(model="mine").model == "mine"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": {}}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": []}, "input"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        head_of(**fields)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_urls_of_images() -> None:
    for fine in ("https://example.com/a.png", "data:image/png;base64,AAAA"):
        MODERATIONS.check_urls(head_of(input=image(fine)))
    MODERATIONS.check_urls(head_of(input="http://10.0.0.1"))
    for url in ("http://169.254.169.254/latest", "http://localhost/a", "ftp://example.com/a"):
        with pytest.raises(TollwayError) as caught:
            MODERATIONS.check_urls(head_of(input=image(url)))
        assert caught.value.param == "input[1].image_url.url"


def test_the_official_client() -> None:
    made = exchange(lambda c: c.moderations.create(input=["a", "b"]), ANSWER)
    call: Passthrough = MODERATIONS
    head = call.read_head(made.body, made.content_type)
    assert (head.model, made.path, made.result.results[0].flagged) == (
        "omni-moderation-latest",
        "/v1/moderations",
        False,
    )
    assert (call.kind(head, JSON), call.view(head)) == (AnswerKind.JSON, None)


def test_usage_is_none_but_known() -> None:
    assert MODERATIONS.finished(head_of(), JSON, ANSWER) == (Usage(), 0)
    told = ANSWER[:-1] + b',"usage":{"prompt_tokens":7}}'
    assert MODERATIONS.finished(head_of(), JSON, told) == (Usage(input=7), 0)


def test_answers_that_are_none() -> None:
    for body in (b"{}", b'{"results":{}}', b"[]", b"nothing"):
        with pytest.raises(TollwayError) as caught:
            MODERATIONS.finished(head_of(), JSON, body)
        assert caught.value.code is Code.PROVIDER_ERROR
    with pytest.raises(ErrorEvent):
        MODERATIONS.finished(head_of(), JSON, b'{"error":{"message":"x"},"results":[]}')


def code_of(step: Callable[[], object]) -> Code | None:
    """The code of what a step raises."""
    try:
        step()
    except TollwayError as error:
        return error.code
    return None


@given(st.binary(max_size=60) | st.text().map(lambda text: json.dumps({"input": text, "results": text}).encode()))
def test_nothing_breaks_it(body: bytes) -> None:
    refused = code_of(lambda: MODERATIONS.check_urls(MODERATIONS.read_head(body, JSON)))
    assert refused in (None, Code.INVALID_JSON, Code.INVALID_REQUEST)
    with pytest.raises(TollwayError):
        MODERATIONS.finished(head_of(), JSON, body)
