"""Embeddings, feature extraction, moderations and rerank."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http


def test_vectors_are_of_the_text_and_of_length_one(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    both = client.embeddings.create(model="sim-fast", input=["Hello", "world!"])
    first, second = (item.embedding for item in both.data)
    assert [item.index for item in both.data] == [0, 1]
    assert (both.usage.prompt_tokens, both.usage.total_tokens) == (4, 4)
    assert first != second
    assert len(first) == 16
    assert math.hypot(*first) == pytest.approx(1, abs=1e-6)
    assert client.embeddings.create(model="other", input="Hello").data[0].embedding == first
    assert len(client.embeddings.create(model="m", input="Hello", dimensions=256).data[0].embedding) == 256
    counts = simulator.settled(3)
    assert (counts["completed"], counts["prompt_tokens"], counts["completion_tokens"]) == (3, 8, 0)
    assert counts["by_endpoint"]["/v1/embeddings"]["completed"] == 3


def test_both_encodings_have_the_same_numbers(
    simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    url, body = f"{simulator.openai_url}/embeddings", {"model": "m", "input": "Hello", "dimensions": 5}
    plain = http("POST", url, body=body)[2]
    packed = http("POST", url, body={**body, "encoding_format": "base64"})[2]
    assert breaks("CreateEmbeddingResponse", plain) == []
    text = packed["data"][0]["embedding"]
    assert list(struct.unpack("<5f", base64.b64decode(text))) == plain["data"][0]["embedding"]


def test_tokens_count_as_tokens(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="m", input=[5, 6, 7]).usage.prompt_tokens == 3
    several = client.embeddings.create(model="m", input=[[5, 6], [7]])
    assert (len(several.data), several.usage.prompt_tokens) == (2, 3)


def test_azure_and_hugging_face_embed_too(
    azure: openai.AzureOpenAI, huggingface: openai.OpenAI, client: openai.OpenAI, simulator: SimulatorServer
) -> None:
    wanted = client.embeddings.create(model="m", input="Hello").data[0].embedding
    assert azure.embeddings.create(model="m", input="Hello").data[0].embedding == wanted
    assert huggingface.embeddings.create(model="org/m", input="Hello").data[0].embedding == wanted
    for path in ("/models/org/m", "/hf-inference/models/org/m", "/hf/models/org/m", "/hf/nebius/models/org/m"):
        url = f"{simulator.origin}{path}/pipeline/feature-extraction"
        assert http("POST", url, body={"inputs": ["Hello"]})[2] == [wanted]
        assert http("POST", url, body={"inputs": "Hello"})[2] == [wanted]
    counts = simulator.settled(11)["by_endpoint"]
    assert counts["/openai/deployments/embeddings"]["completed"] == counts["/hf/v1/embeddings"]["completed"] == 1
    assert counts["/models/pipeline/feature-extraction"]["completed"] == 8
    assert {record["model"] for record in simulator.requests()} == {"m", "org/m"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": ""}, "must provide a model"),
        ({"input": ""}, "empty string"),
        ({"input": ["a", ""]}, "empty string"),
        ({"input": []}, "must be a string"),
        ({"input": [[]]}, "empty string"),
        ({"input": ["a"] * 2049}, "'input'"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 4097}, "dimensions"),
        ({"dimensions": 4096, "input": ["a"] * 2000}, "numbers"),
        ({"encoding_format": "hex"}, "Invalid request"),
    ],
)
def test_embeddings_refuse_what_is_wrong(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post("/embeddings", body={"model": "m", "input": "Hello", **fields}, cast_to=object)


def test_hugging_faces_errors_have_its_shape(simulator: SimulatorServer) -> None:
    url = f"{simulator.origin}/models/org/m/pipeline/feature-extraction"
    status, _headers, found = http("POST", url, body={"inputs": []})
    assert (status, type(found["error"])) == (400, list)


def test_moderations_flag_one_word(
    client: openai.OpenAI, simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    answer = client.moderations.create(input=["Hello", "please FlagMe now", "flagmeister"])
    assert [result.flagged for result in answer.results] == [False, True, False]
    assert answer.results[1].categories.violence is True
    assert answer.results[1].category_scores.violence > 0.9
    image: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    parts = client.moderations.create(model="m", input=[{"type": "text", "text": "flagme"}, image])
    assert [result.flagged for result in parts.results] == [True]
    assert parts.results[0].category_applied_input_types.violence == ["text", "image"]
    assert client.moderations.create(input="flagme").results[0].flagged is True
    assert breaks("CreateModerationResponse", parts.to_dict()) == []
    counts = simulator.settled(3)
    assert counts["by_endpoint"]["/v1/moderations"]["completed"] == 3
    assert [record["usage_sent"] for record in simulator.requests()] == [False] * 3
    assert simulator.requests()[0]["model"] == "omni-moderation-latest"


@pytest.mark.parametrize("given", [[], ["a", {"type": "text", "text": "b"}], [{"type": "audio"}], 5, ["a"] * 1001])
def test_moderations_refuse_what_is_wrong(client: openai.OpenAI, given: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        client.post("/moderations", body={"input": given}, cast_to=object)


def test_rerank_puts_the_most_alike_first(simulator: SimulatorServer) -> None:
    documents = ["Bread is baked.", {"text": "The toll road is long."}, "the toll", "a b c d"]
    body = {"model": "m", "query": "The toll", "documents": documents}
    for path in ("/v1/rerank", "/rerank", "/v2/rerank", "/hf/v1/rerank"):
        status, _headers, found = http("POST", simulator.origin + path, body=body)
        assert status == 200
        assert [result["index"] for result in found["results"]] == [2, 1, 0, 3]
        scores = [result["relevance_score"] for result in found["results"]]
        assert scores[0] == 1
        assert scores == sorted(scores, reverse=True)
        assert found["results"][1]["document"] == {"text": "The toll road is long."}
        # 8 characters, then 15, 22, 8 and 7.
        assert found["usage"] == {"total_tokens": 2 + 4 + 6 + 2 + 2}
        assert simulator.settled(1)["by_endpoint"][path]["completed"] == 1
    best = http("POST", f"{simulator.origin}/v1/rerank", body={**body, "top_n": 1, "return_documents": False})[2]
    assert best["results"] == [{"index": 2, "relevance_score": 1.0}]


@pytest.mark.parametrize(
    "fields",
    [{"documents": []}, {"documents": [{}]}, {"documents": [5]}, {"query": None}, {"top_n": 0}, {"model": ""}],
)
def test_rerank_refuses_what_is_wrong(simulator: SimulatorServer, fields: dict[str, Any]) -> None:
    body = {"model": "m", "query": "q", "documents": ["d"], **fields}
    status, _headers, found = http("POST", f"{simulator.origin}/v1/rerank", body=body)
    assert (status, found["error"]["type"]) == (400, "invalid_request_error")
