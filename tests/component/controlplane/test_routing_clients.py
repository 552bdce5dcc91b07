"""Routing, quotas, caching and priorities through the SDK and the command line, against a real control plane."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.document.load import configuration
from tollway.cli.main import app
from tollway.sdk import errors
from tollway.sdk.client import AsyncClient
from tollway.sdk.models import NewCredential, Target
from tollway.sdk.routing import Breaker, Hedge, Quota, Retries

ADMIN = "admin-token-canary-4711"
DOCS = Path(__file__).parents[3] / "docs"
Tollway = Callable[..., Awaitable[Result]]


@pytest.fixture
def tollway(api: Any, tmp_path: Path) -> Iterator[Tollway]:
    """Runs a command in this process, whose own log is kept off its output."""
    token = tmp_path / "token"
    token.write_text(ADMIN)

    async def run(*arguments: str, **environ: str) -> Result:
        line = ["--url", api.base, "--token-file", str(token), *arguments]
        return await asyncio.to_thread(CliRunner(env=environ).invoke, app, line)

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield run
    structlog.configure(**before)


async def test_the_sdk_has_every_field(api: Any) -> None:
    async with AsyncClient(api.base, ADMIN) as client:
        quota = Quota(requests_per_minute=5, tokens_per_minute=10**12)
        main = NewCredential(name="main", api_key="k", quota=quota)
        provider = await client.providers.create("p", "openai", credentials=[main], probe_seconds=10)
        assert (provider.probe_seconds, provider.credentials[0].quota) == (10.0, quota)
        assert (await client.providers.update("p", probe_seconds=0)).probe_seconds == 0
        weighed = await client.providers.update_credential("p", "main", weight=3)
        assert (weighed.credentials[0].weight, weighed.credentials[0].quota) == (3, quota)
        bare = await client.providers.update_credential("p", "main", quota=Quota())
        assert (bare.credentials[0].weight, bare.credentials[0].quota) == (3, None)
        targets = [Target(provider="p", model="m")]
        plain = await client.models.create("b", targets)
        assert (plain.affinity, plain.retries, plain.hedge) == ("session", Retries(attempts=2, budget=0.1), None)
        chosen: dict[str, Any] = {
            "strategy": "affinity",
            "affinity": "prefix",
            "fallbacks": ["b"],
            "context_fallbacks": ["b"],
            "filter_fallbacks": ["b"],
            "retries": Retries(attempts=0, budget=1.0),
            "breaker": Breaker(enabled=False),
            "hedge": Hedge(percentile=0.5, least_seconds=2.5),
        }
        made = await client.models.create("a", targets, **chosen)
        assert {name: getattr(made, name) for name in chosen} == chosen
        with pytest.raises(errors.TollwayError, match="still a fallback of a"):
            await client.models.archive("b")
        assert (await client.models.update("a", hedge=False)).hedge is None
        assert (await client.models.update("a", hedge=Hedge())).hedge == Hedge(percentile=0.95, least_seconds=0.5)
        less = await client.models.update("a", fallbacks=[], context_fallbacks=[], filter_fallbacks=[])
        assert (less.fallbacks, less.context_fallbacks, less.filter_fallbacks) == ([], [], [])
        assert (less.retries, less.breaker) == (chosen["retries"], chosen["breaker"])
        cached = await client.projects.create("demo", cache_enabled=True, priority="batch")
        assert (cached.cache_ttl_seconds, cached.cache_scope, cached.cache_similarity) == (3600, "project", None)
        exact = await client.projects.update("demo", cache_similarity=False, cache_ttl_seconds=5)
        assert (exact.cache_enabled, exact.cache_similarity, exact.cache_ttl_seconds) == (True, None, 5)
        assert (exact.priority, (await client.projects.update("demo", cache_enabled=False)).cache_enabled) == (
            "batch",
            False,
        )


async def test_on_the_command_line(tollway: Tollway) -> None:
    async def shown(*line: str, **environ: str) -> Any:
        done = await tollway(*line, "-o", "json", **environ)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    made = await shown("providers", "create", "p", "--kind", "openai", "--probe", "1m")
    assert made["probe_seconds"] == 60
    parts = ("--requests-per-minute", "5", "--tokens-per-minute", "6", "--concurrent", "7")
    key = ("--api-key-env", "PROVIDER_KEY", "--no-verify")
    added = await shown("providers", "add-credential", "p", "main", *key, *parts, PROVIDER_KEY="k")
    assert added["credentials"][0]["quota"] == {"requests_per_minute": 5, "tokens_per_minute": 6, "concurrent": 7}
    target = ("--target", "p/m")
    for name in ("b", "c"):
        await shown("models", "create", name, *target)
    lists = ("--fallback", "b", "--fallback", "c", "--context-fallback", "c", "--filter-fallback", "b")
    tries = ("--retries", "1", "--retry-budget", "7%", "--no-breaker", "--hedge", "0.9", "--hedge-after", "0.25")
    model = await shown("models", "create", "a", *target, "--strategy", "cost", "--affinity", "prefix", *lists, *tries)
    assert (model["strategy"], model["affinity"], model["fallbacks"]) == ("cost", "prefix", ["b", "c"])
    assert (model["context_fallbacks"], model["filter_fallbacks"]) == (["c"], ["b"])
    assert (model["retries"], model["breaker"]) == ({"attempts": 1, "budget": 0.07}, {"enabled": False})
    assert model["hedge"] == {"percentile": 0.9, "least_seconds": 0.25}
    less = await shown("models", "update", "a", "--no-fallbacks", "--filter-fallback", "c", "--hedge", "off")
    assert (less["fallbacks"], less["context_fallbacks"], less["filter_fallbacks"]) == ([], [], ["c"])
    assert (less["hedge"], less["retries"]) == (None, model["retries"])
    cache = ("--cache", "--cache-ttl", "2h", "--cache-scope", "organisation")
    project = await shown("projects", "create", "demo", *cache, "--priority", "batch")
    assert (project["cache_ttl_seconds"], project["cache_similarity"], project["priority"]) == (7200, None, "batch")
    exact = await shown("projects", "update", "demo", "--cache-similarity", "off", "--no-cache")
    assert (exact["cache_enabled"], exact["cache_similarity"], exact["cache_scope"]) == (False, None, "organisation")
    for wrong in (
        "models update a",
        "models update a --retry-budget 0.1",
        "models update a --hedge often",
        "models update a --hedge off --hedge-after 1",
        "models update a --retries 11",
        "providers update p --probe often",
        "providers update-credential p main",
        "providers update-credential p main --no-quota --concurrent 1",
        "projects update demo --cache-ttl 31d",
        "projects update demo --cache-similarity near",
        "projects update demo --cache-similarity 0.9",
    ):
        assert (await tollway(*wrong.split())).exit_code in (1, 2), wrong


async def test_the_examples_of_the_guides_work(api: Any, tollway: Tollway, tmp_path: Path) -> None:
    models = (DOCS / "guide/models.md").read_text()
    routing = models[models.index("## Routing") : models.index("### Prices")]
    providers = (DOCS / "guide/providers.md").read_text()
    quotas = providers[providers.index("### Quotas") : providers.index("## Check")]
    (document,) = re.findall(r"^```yaml\n(.*?)^```$", quotas, re.M | re.S)
    (more,) = re.findall(r"^```yaml\nmodels:\n(.*?)^```$", routing, re.M | re.S)
    spare = "  - {name: anthropic, kind: anthropic}\n  - {name: azure, kind: openai}\n"
    file = tmp_path / "tollway.yaml"
    file.write_text(f"version: 1\n{document}{spare}models:\n{more}")
    first = await tollway("apply", "-f", str(file), OPENAI_API_KEY="k")
    assert first.exit_code == 0, first.output
    assert "no changes" in (await tollway("apply", "-f", str(file), OPENAI_API_KEY="k")).stderr
    lines = re.findall(r"^tollway (.*)$", routing + quotas, re.M)
    lines += re.findall(r"`tollway (providers update .*?)`", quotas)
    assert len(lines) == 6
    for line in lines:
        done = await tollway(*shlex.split(line))
        assert done.exit_code == 0, (line, done.output)
    ((verb, path, body),) = re.findall(r"`(PATCH) /api/v1/(models/chat)`.*?`(\{.*?\})`\.$", routing, re.M | re.S)
    answer = await api.call(verb, path, json.loads(body))
    assert answer.body["retries"] == {"attempts": 3, "budget": 0.2}


def test_the_reference_shows_a_file_that_is_one() -> None:
    text = (DOCS / "reference/config.md").read_text()
    (document,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    made = configuration(
        document, {"OPENAI_API_KEY": "k", "DEMO_KEY": "0123456789abcdefghijklmn", "OIDC_CLIENT_SECRET": "s"}
    )
    model, project = made["models"][0], made["projects"][0]
    assert (model["retries"], model["hedge"]) == (
        {"attempts": 2, "budget": 0.1},
        {"percentile": 0.95, "least_seconds": 0.5},
    )
    assert (project["cache"]["enabled"], project["priority"]) == (True, "interactive")
