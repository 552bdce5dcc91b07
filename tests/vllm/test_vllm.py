"""The official clients, through a virtual key, against a real model in a real vLLM; the ledger equals vLLM's own count.

vLLM serves SmolLM2-135M-Instruct on CPU from .venv-vllm (`make test-vllm` prepares both).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def ask_node(gateway: Any) -> list[dict[str, Any]]:
    """Answers of the npm client: one object for each call it made."""
    script = ROOT / "tests" / "clients" / "chat.mjs"
    environment = {**os.environ, "OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": gateway.key}
    command = [str(ROOT / ".venv" / "bin" / "node"), str(script), "small"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


async def test_official_clients_and_the_ledger_agree_with_vllm(
    gateway: Any, counted: Callable[[], tuple[int, int]], npm_openai: Path
) -> None:
    before = counted()
    usages: list[tuple[int, int]] = []
    texts: list[str] = []
    wish: dict[str, Any] = {"model": "small", "messages": QUESTION, "temperature": 0, "max_tokens": 24}

    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
        answer = client.chat.completions.create(**wish)
        assert answer.usage is not None
        texts.append(answer.choices[0].message.content or "")
        usages.append((answer.usage.prompt_tokens, answer.usage.completion_tokens))
        with client.chat.completions.create(**wish, stream=True, stream_options={"include_usage": True}) as stream:
            texts.append(take(list(stream), usages))

    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as asynchronous:
        answer = await asynchronous.chat.completions.create(**wish)
        assert answer.usage is not None
        texts.append(answer.choices[0].message.content or "")
        usages.append((answer.usage.prompt_tokens, answer.usage.completion_tokens))
        chunks = [chunk async for chunk in await asynchronous.chat.completions.create(**wish, stream=True)]
        assert all(chunk.usage is None for chunk in chunks), "usage is shown only to a client that asked"
        texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
        usages.append(usages[0])  # the same greedy answer: the ledger must have counted what was not shown

    for made in ask_node(gateway):
        texts.append(made["text"])
        usages.append((made["usage"]["prompt_tokens"], made["usage"]["completion_tokens"]))

    assert "Paris" in texts[0]
    assert set(texts) == {texts[0]}, "greedy answers are the same through every client, streamed or not"
    after = counted()
    sums = (sum(prompt for prompt, _ in usages), sum(completion for _, completion in usages))
    assert (after[0] - before[0], after[1] - before[1]) == sums
    total = gateway.usage(requests=len(usages))
    assert int(total["requests"]) == len(usages)
    assert (int(total["input_tokens"]), int(total["output_tokens"])) == sums
    # 1 USD and 10 USD per million tokens, in nano-dollars.
    assert round(float(total["cost"]) * 1e9) == sums[0] * 1_000 + sums[1] * 10_000


def take(chunks: list[Any], usages: list[tuple[int, int]]) -> str:
    """The text of a stream; its usage is added to `usages`."""
    last = chunks[-1].usage
    usages.append((last.prompt_tokens, last.completion_tokens))
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
