"""The router: orders by strategy and health, cool-downs, and the steps after a failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tollway.core.catalog import Breaker, Credential, Hedge, Model, Priority, Retries, Strategy, Target
from tollway.core.errors import Code, TollwayError
from tollway.core.pricing import Price
from tollway.core.routing.breaker import CONSECUTIVE, FIRST_SECONDS
from tollway.core.routing.retries import Kind
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.routing.credentials import Cooling
from tollway.dataplane.routing.router import Step
from tollway.dataplane.routing.tickets import Ended

Make = Callable[..., Any]
BROKEN = ProviderFault(Code.PROVIDER_ERROR, "x", retryable=True, status=500)
UNSEEN = ProviderFault(Code.PROVIDER_UNAVAILABLE, "x", retryable=True)
SLOW = ProviderFault(Code.PROVIDER_TIMEOUT, "x", retryable=True, param="first_byte")
KEYS = tuple(Credential(id=name, name=name, api_key=name) for name in "ab")


def limited(seconds: float | None = None) -> ProviderFault:
    return ProviderFault(Code.PROVIDER_RATE_LIMITED, "x", retryable=True, status=429, retry_after_seconds=seconds)


def away(seconds: float) -> ProviderFault:
    return ProviderFault(Code.PROVIDER_UNAVAILABLE, "x", retryable=True, status=503, retry_after_seconds=seconds)


NOT_THE_TARGETS = [
    TollwayError(Code.INVALID_REQUEST, "x"),
    ProviderFault(Code.CONTEXT_LENGTH_EXCEEDED, "x", retryable=False, status=400),
    ProviderFault(Code.CONTENT_FILTER, "x", retryable=False, status=400),
    ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=404),
    ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=402),
    ProviderFault(Code.PROVIDER_AUTH_FAILED, "x", retryable=False, status=401),
    ProviderFault(Code.PROVIDER_TIMEOUT, "x", retryable=False, param="total"),
    TollwayError(Code.OVERLOADED, "x"),
    limited(),
]


def test_least_busy(bench: Make) -> None:
    b = bench(3, strategy=Strategy.LEAST_BUSY)
    tickets = [b.begin() for _ in range(9)]
    assert Counter(t.candidate.provider.id for t in tickets) == {"p0": 3, "p1": 3, "p2": 3}
    for ticket in tickets:
        if ticket.candidate.provider.id == "p1":
            ticket.end(b.now)
    assert b.names()[0] == "p1"


def test_latency(bench: Make) -> None:
    b = bench(2, strategy=Strategy.LATENCY)
    b.call("p0", seconds=1.0)
    b.call("p1", seconds=0.1)
    assert b.names() == ["p1", "p0"]
    busy = [b.begin("p1") for _ in range(12)]
    assert b.names() == ["p0", "p1"]
    for ticket in busy:
        ticket.end(b.now)
    b.call("p1", BROKEN, seconds=0.001)  # quick to fail is not quick
    assert b.names() == ["p0", "p1"]


def test_cost_is_that_of_the_model_that_is_the_target_alone(bench: Make) -> None:
    prices = {"p0": 20, "p1": 3}
    alone = [
        Model(
            id=f"only-{name}",
            name=f"only-{name}",
            targets=(Target(provider=name, model="m"),),
            price=Price(version="v", input=rate, output=rate),
        )
        for name, rate in prices.items()
    ]
    b = bench(3, strategy=Strategy.COST, models=alone)
    orders = {tuple(b.names()) for _ in range(20)}
    assert orders == {("p1", "p2", "p0")}  # p2: by the price of the model itself, 10 and 20


def test_affinity_stays_and_returns(bench: Make) -> None:
    b = bench(4, strategy=Strategy.AFFINITY)
    home = b.names(12345)[0]
    assert {b.names(12345)[0] for _ in range(20)} == {home}
    for _ in range(CONSECUTIVE):
        b.call(home, BROKEN)
    assert home not in b.names(12345)
    b.clock.advance(FIRST_SECONDS)
    assert b.names(12345)[0] == home


@pytest.mark.parametrize("fault", [BROKEN, UNSEEN, SLOW], ids=lambda f: f.code.value)
def test_a_target_that_fails_is_left_alone_until_a_probe_succeeds(bench: Make, fault: ProviderFault) -> None:
    b = bench(2)
    for _ in range(CONSECUTIVE):
        assert b.router.available("p0", "m")
        b.call("p0", fault)
    assert not b.router.available("p0", "m")
    assert {tuple(b.names()) for _ in range(30)} == {("p1",)}
    b.clock.advance(FIRST_SECONDS)
    assert {len(b.names()) for _ in range(30)} == {2}
    b.call("p0")
    assert b.router.available("p0", "m")


@pytest.mark.parametrize("fault", NOT_THE_TARGETS, ids=lambda f: f.code.value)
def test_what_is_not_the_targets_fault_never_opens_it(bench: Make, fault: TollwayError) -> None:
    b = bench(2)
    for _ in range(50):
        b.begin("p0").end(b.now, fault)
        b.clock.advance(700.0)  # past any rest of the credential
    assert b.router.available("p0", "m")
    assert len(b.names()) == 2


def test_without_a_breaker_a_failing_target_is_called_all_the_same(bench: Make) -> None:
    b = bench(2, breaker=Breaker(enabled=False))
    for _ in range(50):
        b.call("p0", BROKEN)
    assert {b.names()[0] for _ in range(50)} == {"p0", "p1"}
    assert {b.choice().candidate.provider.id for _ in range(50)} == {"p0", "p1"}


def test_when_all_are_open_the_one_that_opened_first_is_tried(bench: Make) -> None:
    b = bench(3)
    for name in ("p1", "p2", "p0"):
        for _ in range(CONSECUTIVE):
            b.call(name, BROKEN, seconds=0.001)
    assert b.names() == ["p1", "p2", "p0"]
    assert b.choice().candidate.provider.id == "p1"
    assert b.choice().last_resort


def test_at_most_half_are_left_alone_for_their_rate(bench: Make) -> None:
    b = bench(4)
    for _ in range(10):
        for name in ("p0", "p1", "p2"):
            b.call(name, seconds=0.001)
            b.call(name, BROKEN, seconds=0.001)
    names = {tuple(sorted(b.names())) for _ in range(20)}
    assert names == {("p0", "p3")}  # of the three, the one that opened first is back
    assert {b.choice().candidate.provider.id for _ in range(50)} == {"p0", "p3"}


def test_half_open_lets_no_more_than_the_probes_through(bench: Make) -> None:
    b = bench(2)
    for _ in range(CONSECUTIVE):
        b.call("p0", BROKEN)
    b.clock.advance(FIRST_SECONDS)
    tickets = [b.begin() for _ in range(40)]
    assert sum(t.candidate.provider.id == "p0" for t in tickets) == 2


def test_retry_after_of_a_target_holds_for_its_time(bench: Make) -> None:
    b = bench(2)
    b.call("p0", away(20.0))
    for _ in range(19):
        assert {b.choice().candidate.provider.id for _ in range(10)} == {"p1"}
        b.clock.advance(1.0)
    b.clock.advance(1.1)
    assert {b.choice().candidate.provider.id for _ in range(50)} == {"p0", "p1"}


@pytest.mark.parametrize(
    ("fault", "code"), [(limited(20.0), Code.PROVIDER_RATE_LIMITED), (away(20.0), Code.PROVIDER_UNAVAILABLE)]
)
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("keys", [(), KEYS[:1]])
def test_when_all_cool_down_the_client_learns_for_how_long(
    bench: Make, fault: ProviderFault, code: Code, targets: int, keys: tuple[Credential, ...]
) -> None:
    b = bench(targets, keys=keys)
    for name in b.providers:
        b.call(name, fault)
    b.clock.advance(5.0)
    cooling = b.pick()
    assert isinstance(cooling, Cooling)
    error = cooling.error("chat", b.now)
    assert error.code is code
    assert error.retry_after_seconds == pytest.approx(15.0, abs=0.2)
    b.clock.advance(15.1)
    assert b.choice().candidate.provider.id == "p0" or targets == 2


def after(b: Any, at: str, fault: TollwayError, made: int = 1, **more: Any) -> Step:
    ticket = b.begin(at)
    found: Step = b.router.after(b.route, b.order(), ticket, fault, made, b.now, **more)
    return found


def test_steps_after_a_failure(bench: Make) -> None:
    b = bench(2, fallbacks=("x", "y"), context_fallbacks=("long",), retries=Retries(attempts=2))
    step = after(b, "p0", BROKEN)
    assert (step.kind, [c.provider.id for c in step.order]) == (Kind.TARGET, ["p1"])
    assert after(b, "p0", BROKEN, made=3).models == ("x", "y")
    assert after(b, "p0", BROKEN, made=3, asked=("x",)).models == ("y",)
    assert after(b, "p0", BROKEN, made=3, asked=("x", "y")).kind is Kind.GIVE_UP
    assert after(b, "p0", BROKEN, committed=True).kind is Kind.GIVE_UP
    long = after(b, "p0", ProviderFault(Code.CONTEXT_LENGTH_EXCEEDED, "x", retryable=False, status=400))
    assert (long.kind, long.models) == (Kind.CONTEXT_FALLBACK, ("long",))


def test_a_sole_target_is_asked_again_after_a_pause_unless_it_is_open(bench: Make) -> None:
    b = bench(1)
    step = after(b, "p0", BROKEN)
    assert (step.kind, step.order) == (Kind.SAME, list(b.route.candidates))
    assert 0.0 <= step.delay <= 0.1
    for _ in range(CONSECUTIVE):
        b.call("p0", BROKEN)
    assert after(b, "p0", BROKEN).kind is Kind.GIVE_UP


def test_another_credential_is_tried_at_once(bench: Make) -> None:
    b = bench(1, keys=KEYS)
    ticket = b.begin()
    step = b.router.after(b.route, b.order(), ticket, limited(30.0), 1, b.now)
    assert step.kind is Kind.CREDENTIAL
    again = b.router.pick(b.route, step.order, 10, b.now)
    assert again.credential.name != ticket.credential.name
    second = b.router.begin(b.route, again, 10, b.now)
    assert b.router.after(b.route, step.order, second, limited(30.0), 2, b.now).kind is Kind.GIVE_UP
    assert isinstance(b.pick(), Cooling)


def test_retries_are_a_share_of_requests(bench: Make) -> None:
    b = bench(2, retries=Retries(attempts=2, budget=0.1), breaker=Breaker(enabled=False))
    kinds = Counter(after(b, "p0", BROKEN).kind for _ in range(1000))
    assert kinds[Kind.TARGET] <= 0.1 * 1000 * 2 + 10  # `after` above begins two requests for each failure


def test_hedging_waits_for_the_percentile_and_its_budget(bench: Make) -> None:
    assert bench(2).router.hedge_after(bench(2).route, 1000.0) is None
    b = bench(2, hedge=Hedge(percentile=0.95, least_seconds=0.2), retries=Retries(budget=0.0))
    assert b.router.hedge_after(b.route, b.now) is None
    for step in range(100):
        b.call("p0", seconds=2.0 if step % 10 == 0 else 0.1)
    b.clock.advance(1.0)
    assert b.router.hedge_after(b.route, b.now) == pytest.approx(2.0, rel=0.05)
    assert sum(b.router.may_hedge(b.route, b.now) for _ in range(500)) <= 100


def test_a_new_catalog_keeps_what_is_known_and_forgets_what_is_gone(bench: Make) -> None:
    b = bench(2)
    for _ in range(CONSECUTIVE):
        b.call("p0", BROKEN)
    b.router.prepare(b.routes)
    assert not b.router.available("p0", "m")
    b.router.prepare(bench(0, models=[]).routes)
    assert list(b.router.targets()) == []


async def test_an_overloaded_target_is_passed_over_and_in_the_end_waited_for(bench: Make) -> None:
    b = bench(2)
    b.router.state(b.route.candidates[0]).limit.limit = 1.0
    b.router.state(b.route.candidates[1]).limit.limit = 1.0
    first, second = b.begin(), b.begin()
    assert {first.candidate.provider.id, second.candidate.provider.id} == {"p0", "p1"}
    third = b.router.begin(b.route, b.choice(), 10, b.now, Priority.BATCH, 5.0)
    assert third.waiting is not None
    (first if third.candidate is first.candidate else second).end(b.now, Ended.OK)
    await third.waiting
    third.end(b.now)
    assert third.state.gate.in_flight == 0
