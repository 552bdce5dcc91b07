"""The official clients, through a virtual key, against a real model in a real vLLM; the ledger equals vLLM's own count.

vLLM serves SmolLM2-135M-Instruct on CPU from .venv-vllm (`make test-vllm` prepares both).
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = ROOT / ".cache" / "vllm" / "smollm2-135m-instruct"
START_SECONDS = 240
NAME = "smollm2"
QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
COUNTERS = re.compile(r"^vllm:(prompt_tokens_total|generation_tokens_total)\{[^}]*\} ([0-9.e+]+)$", re.M)

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def free_port() -> int:
    """A port that nobody uses at this moment; vLLM cannot pick one by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str) -> str:
    """The text of a page."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def answers(url: str) -> bool:
    """Whether vLLM says that it is healthy."""
    try:
        get(f"{url}/health")
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running vLLM."""
    assert PYTHON.exists(), "run this through `make test-vllm`, which installs vLLM"
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    port = free_port()
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--served-model-name", NAME, "--max-model-len", "2048", "--enforce-eager"]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    threads = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    with log.open("w") as out:
        server = subprocess.Popen(
            command, env={**os.environ, **quiet, **threads}, stdout=out, stderr=out, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert server.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # the session started above, nothing else
        server.wait(60)


@pytest.fixture(scope="module")
def gateway(one_machine: Callable[..., Any], vllm: str) -> Any:
    """A gateway whose one provider is vLLM, with a price so that cost can be checked."""
    target = {"provider": "local", "model": NAME}
    return one_machine(
        {
            "providers": [{"name": "local", "kind": "vllm", "base_url": f"{vllm}/v1"}],
            "models": [{"name": "small", "targets": [target], "price": {"input": "1", "output": "10"}}],
            "business_units": [{"name": "research"}],
            "projects": [{"name": "demo", "business_unit": "research", "models": ["*"], "keys": [{"name": "first"}]}],
        }
    )


def counted(url: str) -> tuple[int, int]:
    """Prompt and generated tokens by vLLM's own metrics, since its start."""
    found = {name: int(float(value)) for name, value in COUNTERS.findall(get(f"{url}/metrics"))}
    return found["prompt_tokens_total"], found["generation_tokens_total"]


def ask_node(gateway: Any) -> list[dict[str, Any]]:
    """Answers of the npm client: one object for each call it made."""
    script = ROOT / "tests" / "clients" / "chat.mjs"
    environment = {**os.environ, "OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": gateway.key}
    command = [str(PYTHON.parents[2] / ".venv" / "bin" / "node"), str(script), "small"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


async def test_official_clients_and_the_ledger_agree_with_vllm(gateway: Any, vllm: str, npm_openai: Path) -> None:
    before = counted(vllm)
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
    after = counted(vllm)
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
