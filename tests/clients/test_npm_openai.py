"""The official npm `openai` client against a whole gateway: chat, streams, and the error classes it raises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def gateway(one_machine: Callable[..., Any]) -> Any:
    """A gateway as `tollway up` starts it without a configuration: the simulator's models answer."""
    return one_machine()


@pytest.fixture(scope="module")
def model(gateway: Any) -> str:
    """The first of the simulator's models."""
    found: list[dict[str, Any]] = gateway.management("/api/v1/models")["models"]
    return min(str(item["name"]) for item in found)


def node(folder: Path, script: str, gateway: Any, model: str) -> Any:
    """What a script printed."""
    environment = {**os.environ, "OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": gateway.key}
    command = [str(Path(sys.executable).parent / "node"), str(folder / script), model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_chat_and_stream(npm_openai: Path, gateway: Any, model: str) -> None:
    plain, streamed = node(npm_openai, "chat.mjs", gateway, model)
    assert plain["text"]
    assert plain["finish"] == streamed["finish"] == "stop"
    assert plain["usage"]["prompt_tokens"] == streamed["usage"]["prompt_tokens"] > 0
    assert streamed["text"]
    assert streamed["chunks"] > 2


def test_error_classes(npm_openai: Path, gateway: Any, model: str) -> None:
    found = node(npm_openai, "errors.mjs", gateway, model)
    kind = "invalid_request_error"
    assert found == {
        "wrong_key": {"class": "AuthenticationError", "status": 401, "code": "invalid_api_key", "type": kind},
        "unknown_model": {"class": "NotFoundError", "status": 404, "code": "model_not_found", "type": kind},
        "wrong_type": {"class": "BadRequestError", "status": 400, "code": "invalid_request", "type": kind},
        "unknown_endpoint": {"class": "NotFoundError", "status": 404, "code": "endpoint_not_found", "type": kind},
    }
