"""The table of what services do differently, and what it changes in a body that passes through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.dialects.openai_chat import changes, habits_of, read_head, splice
from tollway.core.dialects.openai_habits import UNCHANGED


def passed(kind: str, host: str, model: str, /, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body that the service is sent, without model and messages, and what was dropped."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields
    head = read_head(json.dumps(body).encode())
    habits = habits_of(kind, host, model)
    found = changes(habits, head)
    sent = json.loads(
        splice(head, model, want_usage=habits.stream_options, changes=found.changes, without=found.without)
    )
    assert sent.pop("model") == model
    messages = sent.pop("messages")
    return sent | ({"messages": messages} if messages != body["messages"] else {}), found.dropped


COMPATIBLE = "openai_compatible"


@pytest.mark.parametrize(
    ("kind", "host", "model", "field"),
    [
        ("openai", "api.openai.com", "gpt-4o", "max_completion_tokens"),
        ("openai", "api.openai.com", "gpt-5-mini", "max_completion_tokens"),
        ("azure_openai", "r.openai.azure.com", "prod", "max_completion_tokens"),
        ("vllm", "gpu:8000", "gpt-5-lookalike", "max_tokens"),
        ("huggingface", "router.huggingface.co", "openai/gpt-oss-20b", "max_tokens"),
        (COMPATIBLE, "localhost:11434", "gpt-oss", "max_tokens"),
        (COMPATIBLE, "api.deepseek.com", "deepseek-chat", "max_tokens"),
        (COMPATIBLE, "api.mistral.ai:443", "mistral-small", "max_tokens"),
        (COMPATIBLE, "API.X.AI", "grok-4", "max_completion_tokens"),
        (COMPATIBLE, "example.com", "llama", "max_tokens"),
        (COMPATIBLE, "example.com", "openai/o3", "max_completion_tokens"),
    ],
)
def test_the_field_of_the_limit(kind: str, host: str, model: str, field: str) -> None:
    assert habits_of(kind, host, model).max_tokens_field == field


@pytest.mark.parametrize(
    ("model", "sampling", "reasoning", "stops"),
    [
        ("gpt-4o", True, False, 4),
        ("gpt-4.1-mini", True, False, 4),
        ("chatgpt-4o-latest", True, False, 4),
        ("o1", False, True, 4),
        ("o3-mini-2025-01-31", False, True, 4),
        ("o3", False, True, 0),
        ("o4-mini", False, True, 0),
        ("gpt-5-nano", False, True, 0),
        ("gpt-5-chat-latest", True, False, 4),
        ("gpt-5.2", False, True, 0),
        ("gpt-5.1-codex", False, True, 0),
    ],
)
def test_families_of_openais_models(model: str, sampling: bool, reasoning: bool, stops: int) -> None:
    habits = habits_of("openai", "api.openai.com", model)
    assert (habits.sampling, habits.reasoning, habits.stops) == (sampling, reasoning, stops)
    assert habits.sampling_idle is (model == "gpt-5.2")
    assert habits.both_max_tokens is not reasoning


def test_models_that_reason_elsewhere() -> None:
    def efforts(host: str, model: str) -> tuple[str, ...]:
        return habits_of(COMPATIBLE, host, model).efforts

    assert efforts("api.x.ai", "grok-3-mini") == ("low", "high")
    assert efforts("api.x.ai", "grok-4") == ()
    assert habits_of(COMPATIBLE, "api.x.ai", "grok-4").stops == 0
    assert habits_of(COMPATIBLE, "api.x.ai", "grok-4-fast-non-reasoning").stops == 4
    assert efforts("api.groq.com", "openai/gpt-oss-120b") == ("low", "medium", "high")
    assert efforts("api.groq.com", "llama-3.3-70b-versatile") == ()


def test_azures_older_versions() -> None:
    old = habits_of("azure_openai", "r.openai.azure.com", "d", "2024-06-01")
    assert (old.stream_options, old.max_tokens_field) == (False, "max_tokens")
    assert "stream_options" in old.refused
    for version in ("2024-09-01-preview", "2024-10-21", "v1", "preview", ""):
        assert habits_of("azure_openai", "r.openai.azure.com", "d", version).stream_options


@pytest.mark.parametrize(
    ("kind", "host", "model"),
    [
        ("openai", "api.openai.com", "gpt-4o"),
        ("vllm", "gpu", "m"),
        ("simulator", "localhost", "sim-fast"),
        (COMPATIBLE, "openrouter.ai", "anthropic/claude"),
    ],
)
def test_nothing_changes_where_both_limits_are_read(kind: str, host: str, model: str) -> None:
    head = read_head(
        b'{"model":"m","messages":[{"role":"developer","content":"x"}],"max_tokens":3,"max_completion_tokens":4,'
        b'"user":"u","seed":1,"store":true,"unheard_of":1}'
    )
    assert changes(habits_of(kind, host, model), head) is UNCHANGED


def test_a_limit_that_would_be_passed_over_is_renamed() -> None:
    ollama = (COMPATIBLE, "localhost:11434", "llama3")
    assert passed(*ollama, max_completion_tokens=7, x=1) == ({"max_tokens": 7, "x": 1}, ())
    assert passed(*ollama, max_tokens=5) == ({"max_tokens": 5}, ())
    assert passed(*ollama, max_tokens=5, max_completion_tokens=7) == ({"max_tokens": 7}, ())
    assert passed(*ollama, max_tokens=5, max_completion_tokens=None) == ({"max_tokens": 5}, ())
    assert passed(*ollama, max_completion_tokens=None) == ({}, ())


def test_models_that_reason_get_the_limit_that_they_take() -> None:
    o3 = ("openai", "api.openai.com", "o3")
    assert passed(*o3, max_tokens=5) == ({"max_completion_tokens": 5}, ())
    assert passed(*o3, max_tokens=5, max_completion_tokens=7) == ({"max_completion_tokens": 7}, ())
    assert passed(*o3, temperature=0.5) == ({"temperature": 0.5}, ())


def test_a_strict_service_gets_what_it_knows() -> None:
    mistral = (COMPATIBLE, "api.mistral.ai", "mistral-small")
    sent, dropped = passed(
        *mistral,
        stream=True,
        stream_options={"include_usage": True},
        seed=4,
        user="u",
        safe_prompt=True,
        max_completion_tokens=9,
    )
    assert sent == {"stream": True, "random_seed": 4, "safe_prompt": True, "max_tokens": 9}
    assert dropped == ("stream_options", "user")


def test_the_role_developer_becomes_system_where_it_is_unknown() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief", "extra": 1.50},
        {"role": "user", "content": 'say "developer"'},
    ]
    sent, dropped = passed(COMPATIBLE, "api.deepseek.com", "deepseek-chat", messages=messages)
    assert sent == {"messages": [messages[0] | {"role": "system"}, messages[1]]}
    assert dropped == ()
    assert passed(COMPATIBLE, "api.deepseek.com", "deepseek-chat", messages=messages[1:]) == ({}, ())
    assert passed("openai", "api.openai.com", "gpt-4o", messages=messages) == ({}, ())


def test_usage_is_asked_for_beside_other_changes() -> None:
    sent, _ = passed(COMPATIBLE, "localhost:11434", "llama3", stream=True, max_completion_tokens=7)
    assert sent == {"stream": True, "max_tokens": 7, "stream_options": {"include_usage": True}}
