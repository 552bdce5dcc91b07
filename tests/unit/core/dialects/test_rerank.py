"""Rerank, as Cohere, Jina, vLLM, Voyage and OpenRouter answer it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.passthrough import Passthrough
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.dialects.rerank import RERANK
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage

JSON = "application/json"
RESULTS: list[dict[str, Any]] = [{"index": 0, "relevance_score": 0.9}]


def head_of(**fields: Any) -> Any:
    return RERANK.read_head(json.dumps({"model": "r", "query": "q", "documents": ["a"], **fields}).encode(), JSON)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"query": None}, "query"),
        ({"query": ""}, "query"),
        ({"query": ["q"]}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 3]}, "documents[1]"),
        ({"documents": ["a"] * 10_001}, "documents"),
        ({"top_n": -1}, "top_n"),
        ({"top_n": "1"}, "top_n"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        head_of(**fields)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_the_request_is_sent_on() -> None:
    call: Passthrough = RERANK
    body = (
        b'{"model":"r","query":"q","documents":[ "a" , {"text":"http://10.0.0.1"}],"top_n":2,"return_documents":true}'
    )
    head = call.read_head(body, JSON)
    call.check_urls(head)
    sent = call.outgoing(head, body, JSON, "theirs", ("return_documents",))
    assert sent == (
        b'{"model":"theirs","query":"q","documents":[ "a" , {"text":"http://10.0.0.1"}],"top_n":2}',
        JSON,
    )
    assert call.view(head) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": ["a", {"image": "http://10.0.0.1/a.png"}]}, "documents[1].image"),
        ({"documents": [{"image": {"url": "http://[::1]/"}}]}, "documents[0].image.url"),
        (
            {"documents": {"content": [{"image_url": {"url": "file:///etc/passwd"}}]}},
            "documents.content[0].image_url.url",
        ),
        ({"query": {"image": " \thttp://127.0.0.1/"}}, "query.image"),
        ({"query": {"image": "ht\ntp://127.0.0.1/"}}, "query.image"),
        ({"query": {"image": "file:/etc/passwd"}}, "query.image"),
    ],
)
def test_urls_of_images(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        RERANK.check_urls(head_of(**fields))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_images_that_are_fine() -> None:
    for image in ("https://example.com/a.png", "data:image/png;base64,AA==", "iVBORw0KGgo=", "Note: a file"):
        RERANK.check_urls(head_of(documents=[{"image": image}]))


@pytest.mark.parametrize(
    ("answer", "documents", "usage"),
    [
        # vLLM and Jina
        ({"results": RESULTS, "usage": {"prompt_tokens": 9, "total_tokens": 9}}, 1, Usage(input=9)),
        # Voyage
        ({"object": "list", "data": RESULTS, "usage": {"total_tokens": 26}}, 1, Usage(input=26)),
        # Cohere
        ({"results": RESULTS, "meta": {"billed_units": {"search_units": 2.0}}}, 1, Usage(searches=2)),
        # SiliconFlow
        ({"results": RESULTS, "meta": {"tokens": {"input_tokens": 16, "output_tokens": 1}}}, 1, Usage(input=16)),
        ({"results": RESULTS, "meta": {"billed_units": {"total_tokens": 16}}}, 1, Usage(input=16)),
        # OpenRouter
        ({"results": RESULTS, "usage": {"search_units": 1, "total_tokens": 150}}, 1, Usage(input=150, searches=1)),
        ({"results": RESULTS}, 1, Usage(searches=1)),
        ({"results": RESULTS, "meta": None, "usage": {}}, 100, Usage(searches=1)),
        ({"results": RESULTS, "meta": []}, 101, Usage(searches=2)),
    ],
)
def test_usage(answer: dict[str, Any], documents: int, usage: Usage) -> None:
    head = head_of(documents=["d"] * documents)
    assert RERANK.finished(head, JSON, json.dumps(answer).encode()) == (usage, 0)


def test_answers_that_are_none() -> None:
    for body in (b"{}", b'{"results":{}}', b'[{"index":0,"score":1}]', b""):
        with pytest.raises(TollwayError) as caught:
            RERANK.finished(head_of(), JSON, body)
        assert caught.value.code is Code.PROVIDER_ERROR
    with pytest.raises(ErrorEvent):
        RERANK.finished(head_of(), JSON, b'{"error":"no"}')


values = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
tree = st.dictionaries(st.sampled_from(["total_tokens", "search_units", "image", "url"]), values)


requests = st.fixed_dictionaries({"query": values | tree, "documents": values | st.lists(tree)})
meta = tree | st.fixed_dictionaries({"billed_units": values | tree, "tokens": tree})
answers = st.fixed_dictionaries({"results": values, "usage": values | tree, "meta": meta})


def code_of(step: Callable[[], object]) -> Code | None:
    """The code of what a step raises."""
    try:
        step()
    except TollwayError as error:
        return error.code
    return None


@given(requests, answers)
def test_no_object_breaks_it(request: dict[str, Any], answer: dict[str, Any]) -> None:
    body = json.dumps({"model": "r", **request}).encode()
    refused = code_of(lambda: RERANK.check_urls(RERANK.read_head(body, JSON)))
    assert refused in (None, Code.INVALID_REQUEST, Code.INVALID_JSON)
    body = json.dumps(answer).encode()
    assert code_of(lambda: RERANK.finished(head_of(), JSON, body)) in (None, Code.PROVIDER_ERROR)
