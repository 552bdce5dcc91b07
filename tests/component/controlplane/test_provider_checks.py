"""Provider keys are checked with the official SDKs before they are saved: over real HTTP, against stand-ins."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.main import app
from tollway.cli.up.certificate import self_signed
from tollway.controlplane.credentials.checking import NOT_A_KEY, Checked, Outcome, check
from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard
from tollway.core.proxies import Proxies
from tollway.testkit.model_listing import ENTRA, GOOD, StandIn, serve


@pytest.fixture
async def provider() -> AsyncIterator[StandIn]:
    """A stand-in that takes the key GOOD."""
    made = StandIn({GOOD, ENTRA})
    runner = await serve(made)
    yield made
    made.released.set()
    await runner.cleanup()


async def ask(kind: str, url: str, key: str = GOOD, version: str = "", guard: Guard = Guard.OPERATOR) -> Checked:
    """One check."""
    return await check(ProviderKind(kind), url, version, key, guard, Proxies())


@pytest.mark.parametrize(
    ("kind", "suffix", "version", "path"),
    [
        ("openai", "", "", "/v1/models"),
        ("openai", "/some/place", "", "/some/place/models"),
        ("openai_compatible", "/v1", "", "/v1/models"),
        ("anthropic", "/v1", "", "/v1/models"),
        ("azure_openai", "/openai", "2024-10-21", "/openai/models?api-version=2024-10-21"),
        ("azure_openai", "", "preview", "/openai/v1/models?api-version=preview"),
    ],
)
async def test_each_kind_is_asked_in_its_own_way(
    provider: StandIn, kind: str, suffix: str, version: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://of-the-environment.invalid")
    taken = await ask(kind, provider.url + suffix, GOOD, version)
    assert (taken.outcome, taken.status) == (Outcome.ACCEPTED, 200)
    assert provider.seen[0] == path
    sent = provider.headers[0]
    assert not any("of-the-environment" in value for value in sent.values())
    assert ("x-api-key" in sent, "api-key" in sent) == (kind == "anthropic", version == "2024-10-21")
    refused = await ask(kind, provider.url + suffix, "sk-wrong-key", version)
    assert (refused.outcome, refused.status) == (Outcome.REFUSED, 401)
    assert "sk-wrong" not in refused.detail


async def test_an_access_token_of_azure_is_a_bearer(provider: StandIn) -> None:
    taken = await ask("azure_openai", provider.url, ENTRA, "2024-10-21")
    assert (taken.outcome, provider.headers[0]["authorization"]) == (Outcome.ACCEPTED, f"Bearer {ENTRA}")


@pytest.mark.parametrize(
    ("mode", "kind", "outcome", "status"),
    [
        ("open", "vllm", Outcome.UNPROVEN, 200),
        ("restricted", "openai", Outcome.UNPROVEN, 403),
        ("page", "openai", Outcome.UNPROVEN, 200),
        ("moved", "openai", Outcome.UNPROVEN, 302),
        ("down", "anthropic", Outcome.UNREACHABLE, 503),
        ("packed", "openai", Outcome.UNREACHABLE, 0),
        ("endless", "openai", Outcome.UNREACHABLE, 0),
        ("slow", "openai", Outcome.UNREACHABLE, 0),
    ],
)
async def test_what_does_not_tell_is_not_taken_for_an_answer(
    provider: StandIn, mode: str, kind: str, outcome: Outcome, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.controlplane.credentials.checking.CHECK_SECONDS", 0.5 if mode == "slow" else 8.0)
    provider.mode = mode
    found = await ask(kind, provider.url)
    assert (found.outcome, found.status) == (outcome, status)
    assert GOOD not in found.detail
    assert "/elsewhere" not in provider.seen
    expected = {"open": (2,), "slow": (0, 1)}.get(mode, (1,))
    assert len(provider.seen) in expected, "no retries"
    assert (NOT_A_KEY in str(provider.headers)) == (mode == "open")


async def test_the_address_that_is_connected_to_is_guarded(provider: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask("openai", provider.url, guard=Guard.TENANT)).outcome is Outcome.BLOCKED
    addresses = {"metadata.example": "169.254.169.254", "inside.example": "127.0.0.1"}
    loop = asyncio.get_running_loop()

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (addresses.get(host, host), port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    assert (await ask("openai", "http://metadata.example/v1")).outcome is Outcome.BLOCKED
    port = provider.url.rpartition(":")[2]
    assert (await ask("openai", f"http://inside.example:{port}", guard=Guard.TENANT)).outcome is Outcome.BLOCKED
    assert provider.seen == []
    assert (await ask("openai", f"http://inside.example:{port}")).outcome is Outcome.ACCEPTED
    assert provider.headers[0]["host"] == f"inside.example:{port}"


async def test_the_certificate_is_that_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path / "tls", "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    stand_in = StandIn({GOOD})
    runner = await serve(stand_in, tls)
    try:
        assert (await ask("openai", stand_in.url)).outcome is Outcome.ACCEPTED

        async def resolve(host: str, port: int, **_: Any) -> list[Any]:
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        port = stand_in.url.rpartition(":")[2]
        assert (await ask("openai", f"https://localhost:{port}")).outcome is Outcome.ACCEPTED
        other = await ask("openai", f"https://not-in-the-certificate.example:{port}")
        assert other.outcome is Outcome.UNREACHABLE
    finally:
        await runner.cleanup()


async def test_a_refused_key_is_not_saved(api: Any, provider: StandIn, canary: str, capfd: Any) -> None:
    body = {"name": "p", "kind": "openai", "base_url": provider.url, "verify": True}
    refused = await api.call("POST", "providers", body | {"credentials": [{"name": "main", "api_key": canary}]})
    assert (refused.status, refused.error["field"]) == (400, "credentials[0].api_key")
    assert "nothing was saved" in refused.error["message"]
    assert (await api.call("GET", "providers/p")).status == 404
    made = await api.call("POST", "providers", body | {"credentials": [{"name": "main", "api_key": GOOD}]})
    assert made.body["credentials"][0]["check"]["outcome"] == "accepted"
    for path, more in (("credentials", {"name": "spare"}), ("credentials/main:rotate", {})):
        answer = await api.call("POST", f"providers/p/{path}", {"api_key": canary, "verify": True, **more})
        assert (answer.status, answer.error["field"]) == (400, "api_key")
    assert [c["name"] for c in (await api.call("GET", "providers/p")).body["credentials"]] == ["main"]
    unchecked = await api.call("POST", "providers/p/credentials/main:rotate", {"api_key": canary})
    assert unchecked.body["credentials"][0].get("check") is None, "of the value before"
    found = await api.call("POST", "providers/p:check", {})
    assert [(c["credential"], c["outcome"], c["status"]) for c in found.body["checks"]] == [("main", "refused", 401)]
    shown = (await api.call("GET", "providers/p")).body["credentials"][0]["check"]
    assert shown == found.body["checks"][0]
    for text in (refused.body, found.body, (await api.call("GET", "audit")).body, capfd.readouterr()):
        assert canary not in str(text)


async def test_a_provider_that_is_down_keeps_nobody_from_saving(api: Any, provider: StandIn) -> None:
    provider.mode = "down"
    body = {"name": "p", "kind": "anthropic", "base_url": provider.url, "verify": True}
    made = await api.call("POST", "providers", body | {"credentials": [{"name": "main", "api_key": GOOD}]})
    assert made.status == 200
    said = made.body["credentials"][0]["check"]
    assert (said["outcome"], said["status"]) == ("unreachable", 503)
    assert "not checked" in said["detail"]
    provider.mode = ""
    assert (await api.call("POST", "providers/p:check", {"credential": "main"})).body["checks"][0]["status"] == 200
    assert (await api.call("POST", "providers/p:check", {"credential": "x"})).status == 404
    await api.call("POST", "providers", {"name": "keyless", "kind": "openai", "base_url": provider.url})
    (alone,) = (await api.call("POST", "providers/keyless:check", {})).body["checks"]
    assert (alone["credential"], alone["detail"]) == ("", "the provider wants a key, and there is none here")


@pytest.fixture
def tollway(api: Any, tmp_path: Path) -> Iterator[Callable[..., Awaitable[Result]]]:
    """Runs a command in this process, whose own log is kept off its output."""
    token = tmp_path / "token"
    token.write_text("admin-token-canary-4711")

    async def run(*words: str, key: str = "") -> Result:
        line = ["--url", api.base, "--token-file", str(token), "-o", "json", *words]
        return await asyncio.to_thread(CliRunner().invoke, app, line, input=key)

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield run
    structlog.configure(**before)


async def test_the_command_checks_and_says_so(api: Any, provider: StandIn, tollway: Any) -> None:
    await api.call("POST", "providers", {"name": "p", "kind": "openai", "base_url": provider.url})
    refused = await tollway("providers", "add-credential", "p", "main", key="sk-wrong-key\n")
    assert "refuses the key" in str(refused.exception)
    added = await tollway("providers", "add-credential", "p", "main", "--no-verify", key="sk-wrong-key\n")
    assert (added.exit_code, added.stderr) == (0, "")
    checked = await tollway("providers", "check", "p")
    assert json.loads(checked.stdout)[0]["outcome"] == "refused"
    assert "not every key is accepted" in str(checked.exception)
    provider.mode = "down"
    rotated = await tollway("providers", "rotate-credential", "p", "main", key=f"{GOOD}\n")
    assert "saved, but the provider does not work at present" in rotated.stderr
    assert rotated.exit_code == 0


async def test_the_commands_of_secrets(api: Any, tollway: Any) -> None:
    done = await tollway("secrets", "rotate-data-key")
    assert done.exit_code == 0, done.output
    rotation = json.loads(done.stdout)
    assert (rotation["state"], rotation["left"], rotation["problem"]) == ("done", 0, "")
    status = json.loads((await tollway("secrets", "status")).stdout)
    assert [key["current"] for key in status["data_keys"]] == [False, True]
    assert [kek["data_keys"] for kek in status["keks"]] == [2]
    table = await tollway("secrets", "status", "-o", "table")
    assert status["data_keys"][1]["id"] in table.stdout
    nothing = await tollway("secrets", "rotate-kek")
    assert "nothing to do" in nothing.stderr
