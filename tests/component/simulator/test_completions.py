"""Legacy completions at OpenAI, Azure and Hugging Face, through the official client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

WITH_USAGE: Any = {"include_usage": True}


def texts_of(chunks: list[Any], choices: int) -> list[str]:
    found = [""] * choices
    for chunk in chunks:
        for choice in chunk.choices:
            found[choice.index] += choice.text
    return found


def test_an_answer_fits_the_official_description(
    client: openai.OpenAI, simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    answer = client.completions.create(model="sim-fast", prompt="Hello")
    assert answer.choices[0].text == "Simulated answer to: Hello"
    assert answer.usage is not None
    # A prompt is no message: "Hello" is 2 tokens, and there are no others.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 7, 9)
    assert breaks("CreateCompletionResponse", answer.to_dict()) == []
    counts = simulator.settled(1)
    assert counts["by_endpoint"]["/v1/completions"]["completed"] == 1
    assert (counts["prompt_tokens"], counts["completion_tokens"], counts["delivered_tokens"]) == (2, 7, 7)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "Hello"},
        {"prompt": ["one", "two"], "n": 2, "max_tokens": 4},
        {"prompt": [1, 2, 3], "stop": " to:"},
        {"prompt": [[1, 2], [3]], "echo": True},
    ],
)
async def test_a_stream_says_what_the_whole_answer_says(
    aclient: openai.AsyncOpenAI, fields: dict[str, Any], breaks: Callable[[str, Any], list[str]]
) -> None:
    request = {"model": "sim-fast/reasoning=1,cached=1", **fields}
    whole: Any = await aclient.completions.create(**request)
    stream: Any = await aclient.completions.create(**request, stream=True, stream_options=WITH_USAGE)
    chunks = [chunk async for chunk in stream]
    assert texts_of(chunks, len(whole.choices)) == [choice.text for choice in whole.choices]
    assert chunks[-1].usage == whole.usage
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    finishes = {c.choices[0].index: c.choices[0].finish_reason for c in chunks if c.choices}
    assert finishes == {choice.index: choice.finish_reason for choice in whole.choices}
    assert [found for chunk in chunks for found in breaks("CreateCompletionResponse", chunk.to_dict())] == []


def test_each_prompt_has_its_own_answers(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="sim-fast", prompt=["one", "two"], n=2)
    assert [choice.text for choice in answer.choices] == [
        "Simulated answer to: one",
        "Simulated answer 2 to: one",
        "Simulated answer 3 to: two",
        "Simulated answer 4 to: two",
    ]
    assert client.completions.create(model="sim-fast", prompt=[7, 8]).choices[0].text.endswith("to: 7 8")


def test_azure_annotates_and_asks_for_its_version(azure: openai.AzureOpenAI, simulator: SimulatorServer) -> None:
    answer: Any = azure.completions.create(model="sim-fast", prompt="Hello")
    assert answer.choices[0].content_filter_results["hate"]["filtered"] is False
    assert answer.prompt_filter_results[0]["prompt_index"] == 0
    assert http("POST", f"{simulator.azure_url}/openai/deployments/m/completions", body={"prompt": "x"})[0] == 404
    assert simulator.settled(2)["by_endpoint"]["/openai/deployments/completions"]["completed"] == 1


def test_hugging_face_completes_too(huggingface: openai.OpenAI) -> None:
    answer: Any = huggingface.completions.create(model="org/m/cached=1", prompt="Hello")
    assert answer.usage.cached_tokens == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": ""}, "must provide a model"),
        ({"prompt": []}, "must be a string"),
        ({"prompt": ["a", 1]}, "must be a string"),
        ({"prompt": [-1]}, "no model knows"),
        ({"prompt": {"a": 1}}, "Invalid request"),
        ({"prompt": ["a"] * 2049}, "'prompt'"),
        ({"n": 129}, "'n'"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
    ],
)
def test_what_is_wrong_is_refused(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post("/completions", body={"model": "m", "prompt": "Hello", **fields}, cast_to=object)
