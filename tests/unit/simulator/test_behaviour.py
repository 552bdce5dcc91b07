"""The grammar of model names, what wins over what, and faults that end by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tollway.simulator.behaviour import FAULTS, PROFILES, Behaviour, BehaviourError, Behaviours


def behaviours() -> Behaviours:
    return Behaviours(max_tokens=1000, max_seconds=60)


@pytest.mark.parametrize(
    ("model", "base", "expected"),
    [
        ("sim-fast", "sim-fast", Behaviour()),
        ("gpt-4o", "gpt-4o", Behaviour()),
        ("org/model", "org/model", Behaviour()),
        ("sim-fast/latency=200ms,rate=50,tokens=100", "sim-fast", Behaviour(latency=0.2, rate=50, tokens=100)),
        ("sim-fast/latency=1.5s", "sim-fast", Behaviour(latency=1.5)),
        ("org/model/fault=429,retry_after=7", "org/model", Behaviour(fault="429", retry_after=7)),
        ("sim-small/tokens=0", "sim-small", Behaviour(**PROFILES["sim-small"], tokens=0)),
    ],
)
def test_names_carry_options(model: str, base: str, expected: Behaviour) -> None:
    assert behaviours().take(model) == (base, expected)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("m/latency=soon", "latency"),
        ("m/latency=61s", "latency must be between 0 and 60"),
        ("m/latency=-1", "latency must be between"),
        ("m/latency=nan", "latency must be between"),
        ("m/tokens=1001", "tokens must be between 0 and 1000"),
        ("m/chunk=0", "chunk must be between 1"),
        ("m/speed=9", "speed"),
        ("m/fault=melt", "unknown fault 'melt'"),
        ("m/tokens=1,rate", "'rate' in the model's name is not option=value"),
        ("m/tokens=", "is not option=value"),
    ],
)
def test_wrong_options_are_refused_with_the_reason(model: str, says: str) -> None:
    with pytest.raises(BehaviourError, match=says):
        behaviours().take(model)


def test_later_layers_win_over_earlier_ones() -> None:
    found = behaviours()
    found.set([("*", {"latency": 0.5, "tokens": 5}), ("sim-small", {"tokens": 7})])
    assert found.take("sim-small/rate=9")[1] == Behaviour(latency=0.5, tokens=7, rate=9)
    assert found.take("other")[1] == Behaviour(latency=0.5, tokens=5)


def test_a_fault_brings_its_own_times_and_retry_after() -> None:
    found = behaviours()
    found.set([("*", {"fault": "429", "times": 5, "retry_after": "30s"})])
    assert found.take("m/fault=503")[1] == Behaviour(fault="503")
    assert found.take("m")[1] == Behaviour(fault="429", times=5, retry_after=30)


def test_a_fault_ends_after_its_times_and_starts_anew_when_set_again() -> None:
    found = behaviours()
    found.set([("m", {"fault": "500", "times": 2})])
    assert [found.take("m")[1].fault for _ in range(4)] == ["500", "500", "", ""]
    assert found.shown() == {"m": {"fault": "500", "times": 2, "left": 0}}
    found.set([("m", {"fault": "500", "times": 1})])
    assert [found.take("m")[1].fault for _ in range(2)] == ["500", ""]
    assert [found.take("n/fault=500,times=1")[1].fault for _ in range(2)] == ["500", ""]


def test_nothing_is_set_when_one_of_several_is_wrong() -> None:
    found = behaviours()
    with pytest.raises(BehaviourError):
        found.set([("m", {"tokens": 3}), ("n", {"fault": "melt"})])
    assert found.shown() == {}


@pytest.mark.parametrize(
    "options", [{"tokens": "many"}, {"tokens": 1.5}, {"fault": 7}, {"latency": [1]}, {"model": "x"}]
)
def test_wrong_types_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BehaviourError):
        behaviours().set([("m", options)])


def test_without_options_a_model_is_as_its_profile_says_again() -> None:
    found = behaviours()
    found.set([("sim-small", {"latency": 3})])
    found.set([("sim-small", {})])
    assert found.take("sim-small")[1] == Behaviour(**PROFILES["sim-small"])


def test_every_fault_can_be_named_in_a_model() -> None:
    assert {behaviours().take(f"m/fault={fault}")[1].fault for fault in FAULTS} == FAULTS
