"""A data plane in front of the scripted upstream, with a model at each kind of provider; shared by many tests.

Owns the asking: one request at a time, and for each what the client got, what left for the provider and what was
booked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tollway.core.catalog import ProviderKind, Retries
from tollway.core.ledger import RequestRow
from tollway.core.usage import Usage
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Received, Script, Upstream

AZURE_VERSION = "2024-10-21"
_KINDS = {
    "openai": (ProviderKind.OPENAI, "gpt-4o"),
    "azure": (ProviderKind.AZURE_OPENAI, "gpt-4o"),
    "anthropic": (ProviderKind.ANTHROPIC, "claude-sonnet-4-5"),
    "huggingface": (ProviderKind.HUGGINGFACE, "org/model"),
    "vllm": (ProviderKind.VLLM, "org/model"),
    "compatible": (ProviderKind.OPENAI_COMPATIBLE, "some-model"),
}
TARGETS: Mapping[str, str] = {name: model for name, (_, model) in _KINDS.items()}
"""The models that clients may ask for, each at the provider kind of its name, and what they are called there."""


@dataclass(frozen=True)
class Reply:
    """What came of one request. `sent` is what left for the provider, None: nothing did. `row` is its ledger row."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: Received | None
    row: RequestRow | None

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def told(self) -> bool:
        """Whether the provider told its usage; else the booked one is an estimate."""
        return self.row is not None and not self.row.attempts[0].estimated

    @property
    def usage(self) -> Usage:
        """What was booked."""
        assert self.row is not None
        return self.row.attempts[0].usage

    @property
    def dropped(self) -> list[str]:
        """The fields that the provider was not told."""
        named = self.headers.get("x-tollway-dropped", "")
        return named.split(", ") if named else []


class ReplayGateway:
    """A data plane and its one upstream. Models are called as in `TARGETS`."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.plane = LoneDataPlane(folder, redis_url)
        self.upstream = Upstream()

    async def __aenter__(self) -> ReplayGateway:
        await self.upstream.__aenter__()
        bare = self.upstream.url.removesuffix("/v1")
        for name, (kind, model) in _KINDS.items():
            version = AZURE_VERSION if kind is ProviderKind.AZURE_OPENAI else ""
            url = bare if kind in (ProviderKind.AZURE_OPENAI, ProviderKind.ANTHROPIC) else self.upstream.url
            self.plane.add_provider(name, kind, url, api_version=version)
            self.plane.add_model(name, (name, model), retries=Retries(attempts=0))
        await self.plane.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.plane.__aexit__()
        await self.upstream.__aexit__()

    async def ask(self, path: str, body: Mapping[str, Any], script: Script) -> Reply:
        """One request, answered upstream by the script. Asserts that at most one request left, and one was booked."""
        upstream, plane = self.upstream, self.plane
        upstream.script = script
        upstream.requests.clear()
        plane.process.router.forget()  # what one exchange made of a target must not matter to the next
        booked = len(plane.rows())
        async with plane.client.post(plane.origin + path, json=body) as response:
            data = await response.read()
        assert len(upstream.requests) <= 1, [request.path for request in upstream.requests]
        rows = await plane.wait_rows(booked + len(upstream.requests))
        assert len(rows) == booked + len(upstream.requests)
        row = rows[-1] if upstream.requests else None
        assert row is None or len(row.attempts) == 1
        sent = upstream.requests[0] if upstream.requests else None
        return Reply(response.status, response.headers, data, sent, row)
