"""The limit of output that a hard budget affords arrives upstream, in each dialect's field, and raises nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.testkit.codecs import CHAT, send

MESSAGES, RESPONSES, COMPLETIONS = "/v1/messages", "/v1/responses", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HI},
    COMPLETIONS: {"prompt": "hi"},
    RESPONSES: {"input": "hi"},
    MESSAGES: {"messages": HI, "max_tokens": 4000},
}
LIMITS = {
    CHAT: "max_completion_tokens",
    COMPLETIONS: "max_tokens",
    RESPONSES: "max_output_tokens",
    MESSAGES: "max_tokens",
}
FIELDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# Kind, address, model, and where the limit goes for each call of clients.
TARGETS = [
    ("openai", "https://api.openai.com", "gpt-4o", "max_completion_tokens", "max_output_tokens"),
    ("openai", "https://api.openai.com", "o3", "max_completion_tokens", "max_output_tokens"),
    ("azure_openai", "https://x.openai.azure.com", "deployment", "max_completion_tokens", None),
    ("vllm", "http://localhost:8000", "llama", "max_tokens", None),
    ("huggingface", "https://router.huggingface.co", "org/model", "max_tokens", "max_tokens"),
    ("openai_compatible", "https://api.mistral.ai", "mistral-small", "max_tokens", None),
    ("anthropic", "https://api.anthropic.com", "claude-sonnet-4-5", "max_tokens", "max_tokens"),
]


def limits(target: tuple[str, str, str, str, str | None], path: str, cap: int | None, **fields: Any) -> dict[str, int]:
    kind, base_url, model, *_ = target
    body = json.dumps({"model": "alias", **ASKED[path], **fields}).encode()
    sent = json.loads(send(kind, base_url, path=path, model=model, output_cap=cap, body=body)[0].body)
    return {name: sent[name] for name in FIELDS if name in sent}


@pytest.mark.parametrize("path", sorted(ASKED))
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target[0]}-{target[2]}")
def test_the_cap_arrives_once_and_the_smaller_limit_stays(
    path: str, target: tuple[str, str, str, str, str | None]
) -> None:
    capped = limits(target, path, 700)
    # Legacy completions give 16 tokens to a client that sets no limit, also where they are translated.
    defaulted = path == COMPLETIONS and target[0] != "vllm" and target[0] != "openai_compatible"
    assert list(capped.values()) == [16 if defaulted else 700]
    own = LIMITS[path]
    assert list(limits(target, path, 700, **{own: 50}).values()) == [50]
    assert list(limits(target, path, 700, **{own: 701}).values()) == [700]
    (field,) = capped
    if path == CHAT:
        assert field == target[3]
    assert list(limits(target, path, None, **{own: 701}).values()) == [701], "without a cap nothing changes"


def test_one_of_two_limits_is_sent() -> None:
    """A service that reads the other one than the gateway would write more than is reserved."""
    both = {"max_tokens": 9000, "max_completion_tokens": 500}
    assert limits(TARGETS[0], CHAT, 700, **both) == {"max_completion_tokens": 500}
    assert limits(TARGETS[3], CHAT, 700, **both) == {"max_tokens": 500}


def test_values_are_spliced_byte_for_byte() -> None:
    body = b'{"model":"alias", "temperature": 1.00, "messages":[ {"role":"user","content":"h\\u0069"} ]}'
    sent = send("openai", "https://api.openai.com", model="gpt-4o", output_cap=9, body=body)[0].body
    assert b'"temperature":1.00' in sent
    assert b'[ {"role":"user","content":"h\\u0069"} ]' in sent


THINKING = {"type": "enabled", "budget_tokens": 3000}


def test_thinking_keeps_room_for_an_answer() -> None:
    """`budget_tokens` must be less than `max_tokens`, and at least 1,024."""
    body = json.dumps({"model": "alias", **ASKED[MESSAGES], "thinking": THINKING}).encode()

    def sent(cap: int | None) -> Any:
        return json.loads(send("anthropic", path=MESSAGES, model="claude", output_cap=cap, body=body)[0].body)

    assert sent(None)["thinking"] == THINKING
    assert sent(3500)["thinking"] == THINKING
    assert sent(2000) | {"messages": 0, "model": 0} == {
        "model": 0, "messages": 0, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1999},
    }  # fmt: skip
    with pytest.raises(TollwayError) as caught:
        sent(1024)
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, "thinking.budget_tokens")


def test_counting_has_no_limit_to_write() -> None:
    body = json.dumps({"model": "alias", "messages": HI}).encode()
    sent = send("anthropic", path="/v1/messages/count_tokens", model="claude", output_cap=9, body=body)[0]
    assert "max_tokens" not in json.loads(sent.body)


def test_other_calls_have_no_limit_to_write() -> None:
    body = json.dumps({"model": "alias", "input": "hi"}).encode()
    sent = json.loads(send("openai", path="/v1/embeddings", output_cap=9, body=body)[0].body)
    assert sent == {"model": "target", "input": "hi"}
