"""The code that the portal shows for each kind of model runs as it stands, in front of a whole gateway."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tollway.testkit.browser import Browser

MODELS = {
    "chat": "sim-fast",
    "embeddings": "text-embedding-3-small",
    "images": "dall-e-3",
    "speech": "tts-1",
    "transcription": "whisper-1",
    "rerank": "rerank-v3.5",
    "moderation": "omni-moderation-latest",
}
"""Of each kind, a model as providers name it. Speech comes before transcription, which reads what it wrote."""
SHOWN = re.compile(r'<pre id="code-([a-z-]+)"[^>]*>(.*?)</pre>', re.DOTALL)
SAID = {
    "chat": "Simulated answer to: Hello",
    "embeddings": "16",
    "images": "http",
    "transcription": "Simulated transcript of speech.mp3",
    "rerank": "0",
    "moderation": "alse",
}
PYTHON = """
import contextlib, io, json, sys
said = []
for name, code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        except Exception as error:
            out.write(f"FAILED {type(error).__name__} {error}")
    said.append(out.getvalue())
json.dump(said, sys.stdout)
"""
JAVASCRIPT = """
const said = [];
for (const name of process.argv.slice(2)) {
  const kept = [], log = console.log;
  console.log = (...words) => kept.push(JSON.stringify(words));
  try { await import(`./${name}`); } catch (error) { kept.push(`FAILED ${error.stack}`); }
  console.log = log;
  said.push(kept.join(" "));
}
console.log(JSON.stringify(said));
"""
Code = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def gateway(one_machine: Callable[..., Any]) -> Any:
    """A gateway with a model of each kind at the simulator."""
    models = [
        {"name": f"my/{kind}", "targets": [{"provider": "sim", "model": model}]} for kind, model in MODELS.items()
    ]
    sim = {"name": "sim", "kind": "simulator", "credentials": [{"name": "main", "api_key": "sk-sim"}]}
    return one_machine({"providers": [sim], "models": models, "projects": [{"name": "p", "keys": [{"name": "k"}]}]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(gateway: Any) -> Code:
    """What the pages of the models show: (kind, snippet) -> code."""
    found: Code = {}
    async with Browser() as browser:
        form = await browser.open(f"{gateway.control_url}/auth/local")
        await browser.submit(form, token=gateway.admin_token)
        for kind in MODELS:
            page = await browser.open(f"{gateway.control_url}/models/my/{kind}")
            assert page.status == 200, page.text
            found |= {(kind, name): html.unescape(code) for name, code in SHOWN.findall(page.text)}
    return found


@pytest.fixture
def environment(gateway: Any) -> dict[str, str]:
    """What somebody has who follows the page."""
    return {**os.environ, "TOLLWAY_KEY": gateway.key}


def check(names: list[tuple[str, str]], said: list[str]) -> None:
    """Every one has said what its kind says."""
    assert len(names) == len(said) > 0
    wrong = {name: text for name, text in zip(names, said, strict=True) if "FAILED" in text}
    assert wrong == {}
    for (kind, _), text in zip(names, said, strict=True):
        assert SAID.get(kind, "") in text, (kind, text)


def test_each_kind_has_code_for_each_client(shown: Code) -> None:
    clients = {kind: {name for of, name in shown if of == kind} for kind in MODELS}
    everywhere = {"curl", "python", "javascript"}
    assert clients.pop("chat") == everywhere | {"anthropic", "anthropic-javascript"}
    assert list(clients.values()) == [everywhere] * 6


def test_python_runs(shown: Code, environment: dict[str, str], tmp_path: Path) -> None:
    names = [one for one in shown if one[1] in ("python", "anthropic")]
    assert len(names) == 8
    done = subprocess.run(
        [sys.executable, "-c", PYTHON],
        input=json.dumps([["-".join(one), shown[one]] for one in names]),
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    check(names, json.loads(done.stdout))
    assert (tmp_path / "speech.mp3").stat().st_size > 100


def test_javascript_runs(shown: Code, environment: dict[str, str], tmp_path: Path, npm_openai: Path) -> None:
    names = [one for one in shown if "javascript" in one[1]]
    assert len(names) == 8
    (tmp_path / "node_modules").symlink_to(npm_openai / "node_modules")
    (tmp_path / "run.mjs").write_text(JAVASCRIPT)
    for one in names:
        (tmp_path / f"{'-'.join(one)}.mjs").write_text(shown[one])
    node = [str(Path(sys.executable).parent / "node"), "run.mjs", *(f"{'-'.join(one)}.mjs" for one in names)]
    done = subprocess.run(node, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    check(names, json.loads(done.stdout))


def test_curl_runs(shown: Code, environment: dict[str, str], tmp_path: Path, not_run: Callable[[str], Any]) -> None:
    if shutil.which("curl") is None:
        not_run("the portal's curl lines: there is no curl here")
    for (kind, name), code in shown.items():
        if name == "curl":
            command = ["bash", "-euc", code.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)]
            done = subprocess.run(
                command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
            )
            assert done.returncode == 0, (kind, done.stdout, done.stderr)
