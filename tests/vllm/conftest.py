"""A real model in a real vLLM on CPU, and a gateway in front of it: SmolLM2-135M-Instruct from .venv-vllm.

`make test-vllm` prepares both.
"""

from __future__ import annotations

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

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = ROOT / ".cache" / "vllm" / "smollm2-135m-instruct"
START_SECONDS = 240
NAME = "smollm2"
COUNTERS = re.compile(r"^vllm:(prompt_tokens_total|generation_tokens_total)\{[^}]*\} ([0-9.e+]+)$", re.M)


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


@pytest.fixture(scope="session")
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


@pytest.fixture
def counted(vllm: str) -> Callable[[], tuple[int, int]]:
    """Prompt and generated tokens by vLLM's own metrics, since its start."""

    def count() -> tuple[int, int]:
        found = {name: int(float(value)) for name, value in COUNTERS.findall(get(f"{vllm}/metrics"))}
        return found["prompt_tokens_total"], found["generation_tokens_total"]

    return count
