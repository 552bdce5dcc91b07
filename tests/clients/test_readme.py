"""The README's own lines work as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(scope="module")
def gateway(one_machine: Callable[..., Any]) -> Any:
    """A gateway without a configuration, as the README starts it."""
    return one_machine()


def test_the_curl_line(gateway: Any, not_run: Callable[[str], Any]) -> None:
    if shutil.which("curl") is None:
        not_run("the README's curl line: there is no curl here")
    (line,) = re.findall(r"^source \.tollway/env && curl .*?\n```", README.read_text(), re.M | re.S)
    command = line.removesuffix("```").replace(".tollway/env", str(gateway.folder / "env"))
    done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]


def test_the_python_lines(gateway: Any) -> None:
    """The SDK with a base URL and a key, nothing else."""
    assert "client = OpenAI(base_url=" in README.read_text()
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key) as client:
        model = min(model.id for model in client.models.list())
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content
