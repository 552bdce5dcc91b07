"""Several credentials of one provider: shares, quotas, what the provider tells, and what it refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tollway.core.catalog import Credential, Quota
from tollway.core.errors import Code
from tollway.dataplane.config.holder import Routes
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.routing.credentials import Cooling, pick_credential
from tollway.dataplane.routing.tickets import Ended

Make = Callable[..., Any]


def key(name: str, weight: int = 1, **quota: int) -> Credential:
    return Credential(id=name, name=name, api_key=f"secret {name}", weight=weight, quota=Quota(**quota))


def used(b: Any, calls: int = 200, tokens: int = 10) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(calls):
        choice = b.pick(tokens)
        found["cooling" if isinstance(choice, Cooling) else choice.credential.name] += 1
    return found


def refused(code: Code, status: int, wait: float | None = None) -> ProviderFault:
    return ProviderFault(code, "x", retryable=False, status=status, retry_after_seconds=wait)


LIMITED = refused(Code.PROVIDER_RATE_LIMITED, 429, 20.0)
UNTOLD = refused(Code.PROVIDER_RATE_LIMITED, 429)
UNKNOWN_KEY = refused(Code.PROVIDER_AUTH_FAILED, 401)
FORBIDDEN = refused(Code.PROVIDER_AUTH_FAILED, 403)
NO_MONEY = refused(Code.PROVIDER_ERROR, 402)


def fail(b: Any, name: str, fault: ProviderFault) -> None:
    """Calls until the credential is the one of this name, and fails with it."""
    while True:
        ticket = b.begin()
        if ticket.credential.name == name:
            ticket.end(b.now, fault)
            return
        ticket.end(b.now)


def test_they_are_used_by_weight(bench: Make) -> None:
    share = used(bench(1, keys=[key("a", 3), key("b", 1)]), 4000)["a"] / 4000
    assert 0.72 < share < 0.78
    assert pick_credential((), lambda: 0.5) is None
    assert pick_credential((key("a", 3), key("b", 1)), lambda: 0.9999999999999999) == key("b", 1)


@pytest.mark.parametrize(
    "fault", [LIMITED, UNTOLD, UNKNOWN_KEY, FORBIDDEN, NO_MONEY], ids=["429", "429-", "401", "403", "402"]
)
def test_one_that_is_refused_rests_while_another_is_used(bench: Make, fault: ProviderFault) -> None:
    b = bench(1, keys=[key("a"), key("b")])
    fail(b, "a", fault)
    assert used(b) == {"b": 200}
    b.clock.advance(30.1)
    assert set(used(b)) == {"a", "b"}


@pytest.mark.parametrize(
    ("fault", "still"), [(LIMITED, {"cooling"}), (UNTOLD, {"a"}), (UNKNOWN_KEY, {"a"}), (FORBIDDEN, {"a"})]
)
def test_only_a_retry_after_keeps_the_last_one_away(bench: Make, fault: ProviderFault, still: set[str]) -> None:
    b = bench(1, keys=[key("a")])
    fail(b, "a", fault)
    assert set(used(b)) == still


def test_a_refused_key_is_refused_everywhere_and_a_rate_at_its_target_alone(bench: Make) -> None:
    for fault, elsewhere in ((UNKNOWN_KEY, {"b"}), (LIMITED, {"a", "b"})):
        b = bench(1, keys=[key("a"), key("b")])
        fail(b, "a", fault)
        b.route = b.routes.find("n0/other")
        assert set(used(b)) == elsewhere


def test_rests_without_a_time_grow_and_are_forgotten_after_a_success(bench: Make) -> None:
    b = bench(1, keys=[key("a"), key("b")])
    rests = []
    for _ in range(4):
        fail(b, "a", UNTOLD)
        start = b.now
        while used(b, 50) == {"b": 50}:
            b.clock.advance(0.1)
        rests.append(b.now - start)
    assert rests[0] <= 1.2 < 3.0 < rests[3] <= 8.2
    fail(b, "a", Ended.OK)  # type: ignore[arg-type]
    fail(b, "a", UNTOLD)
    b.clock.advance(1.1)
    assert set(used(b)) == {"a", "b"}


def test_requests_of_a_minute(bench: Make) -> None:
    b = bench(1, keys=[key("a", requests_per_minute=5), key("b", requests_per_minute=3)])
    names = Counter(b.begin().credential.name for _ in range(8))
    assert names == {"a": 5, "b": 3}
    cooling = b.pick()
    assert isinstance(cooling, Cooling)
    assert 60.0 <= cooling.until - b.now <= 65.0
    assert cooling.code is Code.PROVIDER_RATE_LIMITED
    b.clock.advance(cooling.until - b.now)
    assert not isinstance(b.pick(), Cooling)


def test_tokens_of_a_minute_are_corrected_by_what_was_used(bench: Make) -> None:
    b = bench(1, keys=[key("a", tokens_per_minute=100)])
    ticket = b.begin(tokens=90)
    assert isinstance(b.pick(20), Cooling)
    ticket.end(b.now, Ended.OK, used=50)
    assert not isinstance(b.pick(50), Cooling)
    assert isinstance(b.pick(60), Cooling)


def test_calls_at_once(bench: Make) -> None:
    b = bench(2, keys=[key("a", concurrent=2)])
    tickets = [b.begin(), b.begin()]
    assert isinstance(b.pick(), Cooling) is False  # the same key at another provider is another credential
    more = [b.begin(), b.begin()]
    assert isinstance(b.pick(), Cooling)
    for ticket in (*tickets, *more):
        ticket.end(b.now)
    assert not isinstance(b.pick(), Cooling)


@pytest.mark.parametrize(
    ("headers", "tokens", "names"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}, 10, {"b"}),
        ({"x-ratelimit-remaining-tokens": "50", "x-ratelimit-reset-tokens": "20s"}, 60, {"b"}),
        ({"x-ratelimit-remaining-tokens": "50", "x-ratelimit-reset-tokens": "20s"}, 10, {"a", "b"}),
        ({}, 10, {"a", "b"}),
    ],
)
def test_what_the_provider_tells_is_heeded(bench: Make, headers: dict[str, str], tokens: int, names: set[str]) -> None:
    b = bench(1, keys=[key("a"), key("b")])
    while (ticket := b.begin()).credential.name != "a":
        ticket.end(b.now)
    ticket.told(headers, b.now, 0.0)
    ticket.end(b.now, Ended.OK)
    assert set(used(b, tokens=tokens)) == names
    b.clock.advance(20.1)
    assert set(used(b, tokens=tokens)) == {"a", "b"}


def test_a_told_shortage_keeps_nobody_from_the_only_one(bench: Make) -> None:
    b = bench(1, keys=[key("a")])
    ticket = b.begin()
    ticket.told({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}, b.now, 0.0)
    ticket.end(b.now, Ended.OK)
    assert b.choice().last_resort


def test_a_target_with_room_goes_before_one_whose_credentials_rest(bench: Make) -> None:
    b = bench(2, keys=[key("a")])
    ticket = b.begin("p0")
    ticket.told({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}, b.now, 0.0)
    ticket.end(b.now, Ended.OK)
    assert {b.choice().candidate.provider.id for _ in range(50)} == {"p1"}


def test_a_catalog_brings_quotas_and_new_keys(bench: Make) -> None:
    b = bench(1, keys=[key("a")])
    fail(b, "a", UNKNOWN_KEY)
    assert b.choice().last_resort

    def adopt(credential: Credential) -> None:
        provider = msgspec.structs.replace(b.providers["p0"], credentials=(credential,))
        b.routes = Routes(msgspec.structs.replace(b.routes.catalog, providers={"p0": provider}))
        b.router.prepare(b.routes)
        b.route = b.routes.find("chat")

    adopt(key("a", requests_per_minute=1))
    assert b.choice().last_resort
    adopt(msgspec.structs.replace(key("a", requests_per_minute=1), api_key="another"))
    assert not b.choice().last_resort
    b.begin()
    assert isinstance(b.pick(), Cooling)
    adopt(msgspec.structs.replace(key("a", requests_per_minute=2), api_key="".join(["ano", "ther"])))
    assert not isinstance(b.pick(), Cooling)


def test_no_error_shows_a_secret(bench: Make) -> None:
    b = bench(1, keys=[key("a", requests_per_minute=1)])
    b.begin()
    cooling = b.pick()
    assert "secret" not in repr(cooling)
    assert "secret" not in repr(cooling.error("chat", b.now))
