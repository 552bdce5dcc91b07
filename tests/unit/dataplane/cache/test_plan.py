"""What the cache may do for a request, and under which key: no two tenants meet, no two meanings share a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollway.core.catalog import CacheScope, Credential, DialectPolicy, Model, Provider, ProviderKind, Target
from tollway.core.errors import TollwayError
from tollway.core.operations import Operation
from tollway.dataplane.cache.plan import Plan
from tollway.dataplane.config.holder import Candidate, Route
from tollway.dataplane.endpoints.memory import Memory

MakePlan = Callable[..., Plan | None]
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "How do I sort a list?"}]}
SHARED = {"scope": CacheScope.ORGANISATION}


@pytest.fixture
def planned(make_plan: MakePlan) -> Callable[..., Plan]:
    """As `make_plan`, for requests that are cached."""

    def make(*arguments: Any, **named: Any) -> Plan:
        plan = make_plan(*arguments, **named)
        assert plan is not None
        return plan

    return make


def other_route(route: Route, **changes: Any) -> Route:
    """The route with another model definition."""
    assert route.model is not None
    return msgspec.structs.replace(route, model=msgspec.structs.replace(route.model, **changes))


def test_the_very_same_request_has_one_key_in_every_process(make_plan: MakePlan, planned: Callable[..., Plan]) -> None:
    assert planned() == planned()
    assert planned(fleet_key=b"x" * 32).key != planned().key


def test_everything_that_changes_an_answer_changes_the_key(planned: Callable[..., Plan]) -> None:
    provider_key = Credential(id="c", name="c", api_key="k")
    first = planned()
    model = Model(id="m", name="m", targets=(Target(provider="p", model="x"),))
    route = Route("m", model, (), None)
    variants = [
        planned({**BODY, "temperature": 0}),
        planned({**BODY, "temperature": 0.0}),
        planned({**BODY, "stream": True}),
        planned({**BODY, "stream": True, "stream_options": {"include_usage": True}}),
        planned({**BODY, "user": "u"}),
        planned({**BODY, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        planned({**BODY, "messages": [{"role": "system", "content": "s"}, *BODY["messages"]]}),
        planned({**BODY, "messages": [{"role": "user", "content": "How do I sort a list"}]}),
        planned({**BODY, "max_tokens": 5}, path="/v1/messages"),
        planned({**BODY, "max_tokens": 5}),
        planned(headers={"openai-beta": "x"}),
        planned(headers={"Anthropic-Beta": "x"}),
        planned(headers={"anthropic-version": "2023-06-01"}),
        planned(guards=b"1"),
        planned(dialect_policy=DialectPolicy.STRICT),
        planned(route=route),
        planned(route=other_route(route, id="n")),
        planned(route=other_route(route, targets=())),
        planned(route=msgspec.structs.replace(route, name="n")),
        planned(id="p2"),
        planned(caching=SHARED),
        planned(caching=SHARED, organisation="o2"),
        planned(organisation="o2"),
    ]
    keys = {plan.key for plan in variants}
    assert first.key not in keys
    assert len(keys) == len(variants)
    same = [
        planned({"messages": BODY["messages"], "model": "m"}),
        planned({**BODY, "model": "an-alias"}),
        planned(headers={"x-request-id": "1", "user-agent": "a", "x-tollway-tags": "a=b", "authorization": "Bearer x"}),
        planned(caching={"ttl_seconds": 5}),
        planned(name="renamed", business_unit="v"),
    ]
    assert {plan.key for plan in same} == {first.key}
    with_key = Candidate(first_candidate().provider, "x", (provider_key,), 1, 0)
    assert planned(route=msgspec.structs.replace(usual_route(), candidates=(with_key,))).key == first.key


def usual_route() -> Route:
    """The route of the usual request, made anew."""
    model = Model(id="m", name="m", targets=(Target(provider="p", model="x"),))
    return Route("m", model, (first_candidate(),), None)


def first_candidate() -> Candidate:
    """Where the usual request goes."""
    provider = Provider(id="p", name="p", kind=ProviderKind.OPENAI, base_url="https://a.example/v1")
    return Candidate(provider, "x", (), 1, 0)


def test_a_catalog_of_the_same_content_keeps_the_keys(planned: Callable[..., Plan]) -> None:
    """Another version in which nothing changed that can change this answer, as when a key was made."""
    assert planned(route=usual_route()).key == planned().key


NAMES = st.text("ab|:{}p", max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(NAMES, NAMES, st.booleans()), st.tuples(NAMES, NAMES, st.booleans()))
def test_two_tenants_never_share(make_plan: MakePlan, one: tuple[str, str, bool], other: tuple[str, str, bool]) -> None:
    """Two projects have one key only when both are of one organisation and both chose to share within it."""
    plans = []
    for organisation, project, shared in (one, other):
        plan = make_plan(organisation=organisation, id=project, caching=SHARED if shared else None)
        assert plan is not None
        plans.append(plan)
    may_share = one[0] == other[0] and (one[2] and other[2] if one[1] != other[1] else one[2] == other[2])
    assert (plans[0].key == plans[1].key) is may_share
    assert (plans[0].partition == plans[1].partition) is may_share


@given(st.dictionaries(st.text("xtolway-che ", max_size=14), st.text(max_size=8), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_leads_to_anothers_answers(make_plan: MakePlan, headers: dict[str, str]) -> None:
    mine = make_plan()
    assert mine is not None
    try:
        theirs = make_plan(headers=headers, id="p2")
    except TollwayError:
        return
    assert theirs is None or theirs.key != mine.key


def test_what_a_client_asks_for(make_plan: MakePlan, planned: Callable[..., Plan]) -> None:
    name = "X-Tollway-Cache"
    assert make_plan(headers={name: "off"}) is None
    refresh = planned(headers={name: "refresh"})
    assert (refresh.read, refresh.write, refresh.seconds) == (False, True, 3600)
    assert (planned().read, planned().write, planned().seconds) == (True, True, 3600)
    assert planned(headers={name: "ttl=60"}).seconds == 60
    assert planned(headers={name: "ttl=60"}).key == planned().key
    assert planned(headers={name: "ttl=7200"}).seconds == 3600
    assert planned(caching={"ttl_seconds": 30}, headers={name: "ttl=60"}).seconds == 30
    with pytest.raises(TollwayError, match="x-tollway-cache"):
        make_plan(headers={name: "maybe"})
    with pytest.raises(TollwayError, match="only once"):
        make_plan(headers={name: "off", name.lower(): "refresh"})
    with pytest.raises(TollwayError, match="x-tollway-cache"):
        make_plan({"model": "m", "prompt": "x"}, path="/v1/images/generations", headers={name: "maybe"})


def test_a_project_without_caching_has_none_whatever_its_client_says(make_plan: MakePlan) -> None:
    off = {"enabled": False}
    assert make_plan(caching=off) is None
    assert make_plan(caching=off, headers={"x-tollway-cache": "refresh"}) is None
    assert make_plan(caching=off, headers={"x-tollway-cache": "?"}) is None


@pytest.mark.parametrize(
    ("path", "body", "cached"),
    [
        ("/v1/chat/completions", BODY, True),
        ("/v1/completions", {"model": "m", "prompt": "x"}, True),
        ("/v1/messages", {**BODY, "max_tokens": 5}, True),
        ("/v1/embeddings", {"model": "m", "input": "x"}, True),
        ("/v1/moderations", {"model": "m", "input": "x"}, True),
        ("/v1/rerank", {"model": "m", "query": "x", "documents": ["y"]}, True),
        ("/v1/images/generations", {"model": "m", "prompt": "x"}, False),
        ("/v1/audio/speech", {"model": "m", "input": "x", "voice": "v"}, False),
        ("/v1/chat/completions", {**BODY, "x": "y" * 10_000}, False),
    ],
)
def test_which_calls_are_cached(make_plan: MakePlan, path: str, body: dict[str, Any], cached: bool) -> None:
    assert (make_plan(body, path=path) is not None) is cached


def test_responses_are_cached_when_nothing_is_stored_or_gone_on_from(make_plan: MakePlan) -> None:
    body = {"model": "m", "input": "x", "store": False}

    def plan(**changes: Any) -> Plan | None:
        memory = Memory("resp_1", store=False, previous_response_id=None)
        for name, value in changes.items():
            setattr(memory, name, value)
        return make_plan(body, path="/v1/responses", memory=memory)

    assert plan() is not None
    assert plan(store=True) is None
    assert plan(previous_response_id="resp_0") is None
    assert plan(known={"a": msgspec.Raw(b"{}")}) is None
    assert plan(earlier=[msgspec.Raw(b"{}")]) is None
    assert make_plan(body, path="/v1/responses", memory=None) is None


def test_calls_with_different_time_limits_do_not_wait_for_each_other(planned: Callable[..., Plan]) -> None:
    usual, short = planned(), planned(headers={"x-tollway-timeout": "1"})
    assert usual.key == short.key
    assert usual.shared_key != short.shared_key


def asked(text: str, **more: Any) -> dict[str, Any]:
    """A chat that ends with this question."""
    return {**BODY, "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}], **more}


def test_meaning_is_compared_where_all_else_is_equal(make_plan: MakePlan, planned: Callable[..., Plan]) -> None:
    similar = {"similarity": 0.8}
    one = planned(asked("How do I sort a list?"), caching=similar).meaning
    other = planned(asked("Can you tell me how to sort a list?"), caching=similar).meaning
    assert one is not None
    assert other is not None
    assert (one.place, one.marks, one.threshold) == (other.place, other.marks, 0.8)
    assert one.text == "How do I sort a list?"
    elsewhere = [
        planned(asked("How do I sort a list?", temperature=1), caching=similar),
        planned(asked("How do I sort a list?", tools=[]), caching=similar),
        planned(asked("How do I sort a list?", stream=True), caching=similar),
        planned(asked("How do I sort a list?"), caching=similar, id="p2"),
        planned(asked("How do I sort a list?"), caching=similar, organisation="o2"),
        planned(asked("How do I sort a list?"), caching=similar | SHARED),
        planned(asked("How do I sort a list?"), caching=similar, guards=b"2"),
        planned(asked("How do I sort a list?"), caching=similar, route=other_route(usual_route(), id="n")),
        planned(BODY, caching=similar),
    ]
    places = {plan.meaning.place for plan in elsewhere if plan.meaning is not None}
    assert len(places) == len(elsewhere)
    assert one.place not in places


def test_meaning_is_off_by_default(planned: Callable[..., Plan]) -> None:
    assert planned(asked("How do I sort a list?")).meaning is None
    assert planned(asked("How do I sort a list?"), caching={"similarity": 0.8}, by_meaning=False).meaning is None
    embeddings = planned({"model": "m", "input": "How do I sort?"}, path="/v1/embeddings", caching={"similarity": 0.8})
    assert embeddings.operation is Operation.EMBEDDINGS
    assert embeddings.meaning is None
