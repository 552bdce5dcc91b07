"""Every client dialect against a real vLLM, with the official SDKs: the same model, whichever way it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
COLD = {"temperature": 0}
"""The SDK has no argument for it any more; the API has."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_messages_responses_and_completions(gateway: Any, counted: Callable[[], tuple[int, int]]) -> None:
    before, usages = counted(), []
    booked = gateway.usage(requests=0)
    claude = anthropic.Anthropic(base_url=gateway.anthropic_url, api_key=gateway.key, max_retries=0)
    client = openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)
    with claude, client:
        message = claude.messages.create(model="small", max_tokens=24, messages=QUESTION, extra_body=COLD)
        texts = ["".join(block.text for block in message.content if block.type == "text")]
        usages.append((message.usage.input_tokens, message.usage.output_tokens))
        with claude.messages.stream(model="small", max_tokens=24, messages=QUESTION, extra_body=COLD) as stream:
            final = stream.get_final_message()
        texts.append("".join(block.text for block in final.content if block.type == "text"))
        usages.append((final.usage.input_tokens, final.usage.output_tokens))
        assert final.stop_reason == message.stop_reason

        wish: dict[str, Any] = {"model": "small", "max_output_tokens": 24, "temperature": 0}
        response = client.responses.create(input=QUESTION, **wish)
        assert response.usage is not None
        texts.append(response.output_text)
        usages.append((response.usage.input_tokens, response.usage.output_tokens))
        with client.responses.stream(input=QUESTION, **wish) as events:
            last = events.get_final_response()
        assert last.usage is not None
        texts.append(last.output_text)
        usages.append((last.usage.input_tokens, last.usage.output_tokens))

        assert "Paris" in texts[0]
        assert set(texts) == {texts[0]}, "greedy answers are the same in every dialect, streamed or not"

        following = client.responses.create(input="And of Italy?", previous_response_id=response.id, **wish)
        assert following.usage is not None
        assert following.usage.input_tokens > response.usage.total_tokens
        usages.append((following.usage.input_tokens, following.usage.output_tokens))

        completion = client.completions.create(model="small", prompt="Paris is the capital of", max_tokens=4)
        assert completion.usage is not None
        usages.append((completion.usage.prompt_tokens, completion.usage.completion_tokens))

    sums = (sum(given for given, _ in usages), sum(made for _, made in usages))
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == sums
    total = gateway.usage(requests=int(booked["requests"]) + len(usages))
    told = (int(total["input_tokens"]), int(total["output_tokens"]))
    assert (told[0] - int(booked["input_tokens"]), told[1] - int(booked["output_tokens"])) == sums


def test_a_schema_is_kept_to_in_every_dialect(gateway: Any) -> None:
    claude = anthropic.Anthropic(base_url=gateway.anthropic_url, api_key=gateway.key, max_retries=0)
    client = openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)
    form: Any = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
    with claude, client:
        response = client.responses.create(
            model="small",
            input=QUESTION,
            max_output_tokens=40,
            temperature=0,
            text={"format": form},
        )
        message = claude.messages.create(
            model="small",
            max_tokens=40,
            messages=QUESTION,
            extra_body={**COLD, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        )
    told = [response.output_text, "".join(block.text for block in message.content if block.type == "text")]
    assert [set(json.loads(text)) for text in told] == [{"city"}, {"city"}]


def test_counting_tokens_and_errors(gateway: Any) -> None:
    with anthropic.Anthropic(base_url=gateway.anthropic_url, api_key=gateway.key, max_retries=0) as claude:
        assert claude.messages.count_tokens(model="small", messages=QUESTION).input_tokens > 5
        with pytest.raises(anthropic.BadRequestError) as refused:
            claude.messages.create(model="small", max_tokens=10, messages=[{"role": "user", "content": "word " * 4000}])
        assert refused.value.response.headers["x-tollway-error-code"] == "context_length_exceeded"
