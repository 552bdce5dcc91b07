"""Keys that come with a configuration are checked, too, and no check holds anybody else up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.main import app
from tollway.cli.verified import warnings
from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.call import ApiCode, ApiError, Grant, Principal
from tollway.controlplane.catalog import api as catalog
from tollway.controlplane.configuration import api as configuration
from tollway.controlplane.credentials import checking
from tollway.controlplane.db.pool import create_pool
from tollway.runtime.clock import SystemClock
from tollway.sdk.routing import CredentialCheck
from tollway.testkit.model_listing import GOOD, StandIn, serve
from tollway.wire.contract import METHODS

ADMINISTRATOR = Principal(name="admin")
NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
async def provider() -> AsyncIterator[StandIn]:
    """A stand-in that takes the key GOOD."""
    made = StandIn({GOOD})
    runner = await serve(made)
    yield made
    made.released.set()
    await runner.cleanup()


def a_provider(url: str, name: str = "p", kind: str = "openai", **keys: str) -> dict[str, Any]:
    """A provider of a document, with credentials by name."""
    credentials = [{"name": key, "api_key": value} for key, value in keys.items()]
    return {"name": name, "kind": kind, "base_url": url, "credentials": credentials}


async def applied(api: Any, *providers: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The answer to an apply with checks."""
    body = {"configuration": {"providers": list(providers)}, "verify": True, **options}
    answer = await api.call("POST", "configuration:apply", body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.body
    return found


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    """Outcome by "<provider>/<credential>"."""
    return {check["credential"]: check["outcome"] for check in answer["checks"]}


async def kept(api: Any, name: str = "p") -> list[str | None]:
    """What is kept of the checks of a provider's credentials."""
    credentials = (await api.call("GET", f"providers/{name}")).body["credentials"]
    return [(credential.get("check") or {}).get("outcome") for credential in credentials]


async def test_an_apply_tells_of_new_and_changed_keys(api: Any, provider: StandIn, canary: str, capfd: Any) -> None:
    first = a_provider(provider.url, good=GOOD, wrong=canary)
    more = [a_provider(NOBODY_LISTENS, "down", main=canary), a_provider(provider.url, "s", "simulator", main=canary)]
    answer = await applied(api, first, *more)
    assert answer["applied"]
    assert outcomes(answer) == {"p/good": "accepted", "p/wrong": "refused", "down/main": "unreachable"}
    assert answer["checks"][1]["detail"] == "the provider refuses the key (HTTP 401)"
    assert await kept(api) == ["accepted", "refused"]
    assert (await kept(api, "down"), await kept(api, "s")) == (["unreachable"], [None])
    assert len(provider.seen) == 2

    again = await applied(api, first, *more)
    assert (again["changes"], again["checks"], len(provider.seen)) == ([], [], 2)
    first["credentials"][1]["api_key"] = GOOD
    first["credentials"][0]["weight"] = 2
    assert outcomes(await applied(api, first, *more)) == {"p/wrong": "accepted"}
    assert (await kept(api), len(provider.seen)) == (["accepted", "accepted"], 3)
    first["credentials"][1]["api_key"] = canary
    unasked = await applied(api, first, *more, verify=False)
    assert (unasked["applied"], unasked["checks"], len(provider.seen)) == (True, [], 3)
    assert await kept(api) == ["accepted", None]
    for text in (answer, unasked, (await api.call("GET", "audit")).body, capfd.readouterr()):
        assert canary not in str(text)


async def test_what_will_not_be_applied_is_not_asked_about(api: Any, provider: StandIn) -> None:
    document = {"providers": [a_provider(provider.url, main=GOOD)]}
    dry = await applied(api, *document["providers"], dry_run=True)
    assert (dry["applied"], outcomes(dry), len(provider.seen)) == (False, {"p/main": "accepted"}, 1)
    assert (await api.call("GET", "providers/p")).status == 404
    lost = {**document, "models": [{"name": "m", "targets": [{"provider": "nowhere", "model": "x"}]}]}
    refused = await api.call("POST", "configuration:apply", {"configuration": lost, "verify": True})
    assert (refused.status, len(provider.seen)) == (400, 1)
    await api.call("POST", "providers", {"name": "p", "kind": "openai", "base_url": provider.url + "/other"})
    conflict = await api.call("POST", "configuration:apply", {"configuration": document, "verify": True})
    assert (conflict.status, len(provider.seen)) == (409, 1)
    unusable = [a_provider(provider.url, "q", main="two words")]
    body = {"configuration": {"providers": unusable}, "verify": True}
    assert (await api.call("POST", "configuration:apply", body)).status == 400
    assert len(provider.seen) == 1


async def test_all_checks_together_are_bounded(api: Any, provider: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    await applied(api, a_provider(provider.url, "first", main=GOOD))  # loads the SDK
    monkeypatch.setattr(checking, "ALL_SECONDS", 0.5)
    monkeypatch.setattr(checking, "AT_ONCE", 2)
    provider.mode = "slow"
    keys = {f"k{n}": f"{GOOD}-{n}" for n in range(5)}
    answer = await asyncio.wait_for(applied(api, a_provider(provider.url, **keys)), 5)
    assert answer["applied"]
    assert {check["detail"] for check in answer["checks"]} == {"not checked: took too long"}
    assert (len(answer["checks"]), provider.most) == (5, 2)
    assert await kept(api) == [None] * 5


@pytest.fixture
async def narrow(plane: ControlPlane, database: str) -> AsyncIterator[Dispatcher]:
    """The management API of a process with a single connection to the database."""
    async with create_pool(database, 1) as pool:
        methods = {**catalog.METHODS, **configuration.METHODS}
        yield Dispatcher(pool, methods, plane.clock, plane.vault, Telemetry())


async def invoke(
    plane: Dispatcher, method: str, body: dict[str, Any], *, caller: Principal = ADMINISTRATOR, key: str = ""
) -> Any:
    """What a method answers."""
    contract = METHODS[f"tollway.control.v1.{method}"]
    context = CallContext(request_id="r", idempotency_key=key)
    return await plane.answer(caller, contract, contract.request(**body), context)


@pytest.fixture
async def calls(narrow: Dispatcher, provider: StandIn) -> list[tuple[str, dict[str, Any]]]:
    """Every way to have a key checked: method and request. There is a provider `old` with a key."""
    await invoke(narrow, "ProviderService/CreateProvider", a_provider(provider.url, "old", main=GOOD))
    one = {"api_key": GOOD, "provider": "old", "verify": True}
    document = {"providers": [a_provider(provider.url, "applied", main=GOOD)]}
    return [
        ("ProviderService/CreateProvider", {**a_provider(provider.url, "new", main=GOOD), "verify": True}),
        ("ProviderService/AddCredential", {**one, "name": "more"}),
        ("ProviderService/RotateCredential", {**one, "credential": "main"}),
        ("ProviderService/CheckProvider", {"provider": "new"}),
        ("ConfigurationService/Apply", {"configuration": document, "verify": True}),
    ]


async def test_a_silent_provider_holds_no_connection(narrow: Dispatcher, provider: StandIn, calls: Any) -> None:
    for number, (method, body) in enumerate(calls):
        provider.mode, provider.released = "slow", asyncio.Event()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(invoke(narrow, method, body))
            while not provider.waiting:
                await asyncio.sleep(0.01)
            # Others read and write meanwhile, with the only connection that there is.
            await asyncio.wait_for(invoke(narrow, "ProviderService/ListProviders", {}), 1)
            made = invoke(narrow, "ProviderService/CreateProvider", {"name": f"x{number}", "kind": "openai"})
            await asyncio.wait_for(made, 1)
            assert not asked.done()
            provider.mode = ""
            provider.released.set()
        assert "accepted" in str(asked.result().message), method


async def test_who_may_not_do_it_makes_nobody_call_out(narrow: Dispatcher, provider: StandIn, calls: Any) -> None:
    wrong = ({"provider": "no such place"}, {"name": "No Name"}, {"set": "No Name"}, {"base_url": "ftp://x"})
    for method, given in calls:
        body = given | {"provider": "old"} if "provider" in given else given
        permission = METHODS[f"tollway.control.v1.{method}"].permission
        elsewhere = Grant(role="unit", permissions=frozenset({permission}), unit=uuid4())
        for caller in (
            Principal(name="nobody", permissions=frozenset()),
            Principal(name="of-a-unit", kind="user", permissions=frozenset(), grants=(elsewhere,)),
        ):
            with pytest.raises(ApiError) as denied:
                await invoke(narrow, method, body, caller=caller)
            assert denied.value.code is ApiCode.PERMISSION_DENIED, method
        for change in wrong:
            if change.keys() <= body.keys() | ({"set"} if "Apply" in method else set()):
                with pytest.raises(ApiError):
                    await invoke(narrow, method, body | change)
    assert provider.seen == []


async def test_a_call_sent_again_asks_nobody_again(narrow: Dispatcher, provider: StandIn, calls: Any) -> None:
    for number, (method, body) in enumerate(calls, start=1):
        first = await invoke(narrow, method, body, key="k")
        assert len(provider.seen) == number
        again = await invoke(narrow, method, body, key="k")
        assert (again.replayed, again.message, len(provider.seen)) == (True, first.message, number)
        other = next(field for field in ("provider", "name", "set") if field in body or field == "set")
        with pytest.raises(ApiError) as reused:
            await invoke(narrow, method, {**body, other: "x"}, key="k")
        assert (reused.value.code, len(provider.seen)) == (ApiCode.KEY_REUSED, number)


class Jumping(SystemClock):
    """A clock that goes a day ahead after so many looks at it; 0: it does not."""

    looks = 0

    def now_ms(self) -> int:
        """As of any clock."""
        if self.looks:
            self.looks -= 1
            if not self.looks:
                return super().now_ms() + 25 * 3_600_000
        return super().now_ms()


async def test_a_record_that_ends_in_between_saves_nothing_unchecked(
    plane: ControlPlane, database: str, provider: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Jumping()
    async with create_pool(database, 1) as pool:
        narrow = Dispatcher(pool, catalog.METHODS, clock, plane.vault, Telemetry())
        body = {**a_provider(provider.url, main=GOOD), "verify": True}
        await invoke(narrow, "ProviderService/CreateProvider", body, key="k")
        clock.looks = 2
        with pytest.raises(ApiError, match="send it again") as ended:
            await invoke(narrow, "ProviderService/CreateProvider", body, key="k")
        assert ended.value.code is ApiCode.UNAVAILABLE


@pytest.fixture
def tollway(api: Any, tmp_path: Path) -> Iterator[Callable[..., Awaitable[Result]]]:
    """Runs a command in this process, whose own log is kept off its output."""
    token = tmp_path / "token"
    token.write_text("admin-token-canary-4711")

    async def run(*words: str, given: str = "") -> Result:
        line = ["--url", api.base, "--token-file", str(token), "-o", "json", *words]
        return await asyncio.to_thread(CliRunner().invoke, app, line, input=given)

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield run
    structlog.configure(**before)


async def test_the_command_says_a_line_for_each_key(provider: StandIn, tollway: Any, canary: str) -> None:
    def document(name: str) -> str:
        return json.dumps({"version": 1, "providers": [a_provider(provider.url, name, good=GOOD, wrong=canary)]})

    done = await tollway("apply", "-f", "-", given=document("p"))
    assert done.exit_code == 0, done.output
    assert "provider key p/good: accepted: the provider takes the key\n" in done.stderr
    assert "provider key p/wrong: refused: the provider refuses the key (HTTP 401)\n" in done.stderr
    assert [check["outcome"] for check in json.loads(done.stdout)["checks"]] == ["accepted", "refused"]
    assert canary not in done.output + done.stderr
    asked = len(provider.seen)
    unasked = await tollway("apply", "-f", "-", "--no-verify", given=document("q"))
    assert (unasked.exit_code, "provider key" in unasked.stderr, len(provider.seen)) == (0, False, asked)


def test_up_warns_of_keys_that_will_not_work() -> None:
    made = [
        CredentialCheck(credential=f"p/{outcome}", outcome=outcome, detail="why")
        for outcome in ("accepted", "unproven", "refused", "blocked", "unreachable", "unchecked")
    ]
    assert warnings(made) == [
        "warning: provider key p/refused: refused: why; put one that works into the configuration, and apply it again",
        "warning: provider key p/blocked: blocked: why",
        "provider key p/unreachable: unreachable: why",
        "provider key p/unchecked: unchecked: why",
    ]
