"""What is answered: exact tokens, limits, stop sequences, and tool calls that fit their schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.simulator.answer import Answer, Asked, Choice, Tool, compose, count, pieces, sample
from tollway.simulator.behaviour import Behaviour


def ask(text: str = "Hello", **fields: Any) -> Asked:
    return Asked(**{"model": "m", "stream": False, "prompt_tokens": 6, "last_user": text, "may_call": True, **fields})


def only(answer: Answer) -> Choice:
    (choice,) = answer.choices
    return choice


@given(st.text(max_size=200), st.integers(1, 9))
def test_the_pieces_are_the_text_and_count_as_it(text: str, size: int) -> None:
    found = list(pieces(text, size))
    assert "".join(found) == text
    assert sum(map(count, found)) == count(text)


@given(
    st.text(max_size=50), st.integers(0, 300), st.none() | st.integers(1, 300), st.integers(0, 20), st.integers(1, 3)
)
def test_tokens_are_as_many_as_said_and_never_over_the_limit(
    text: str, tokens: int, limit: int | None, reasoning: int, n: int
) -> None:
    answer = compose(ask(text, limit=limit, n=n), Behaviour(tokens=tokens, reasoning=reasoning))
    wanted = tokens + reasoning if limit is None else min(tokens + reasoning, limit)
    assert [choice.tokens for choice in answer.choices] == [wanted] * n
    assert answer.completion_tokens == wanted * n
    cut = limit is not None and limit < tokens + reasoning
    assert {choice.finish for choice in answer.choices} == {"length" if cut else "stop"}


def test_the_same_request_has_the_same_answer_and_others_have_others() -> None:
    assert compose(ask("a"), Behaviour(tokens=50)) == compose(ask("a"), Behaviour(tokens=50))
    assert only(compose(ask("a"), Behaviour())).text == "Simulated answer to: a"
    assert only(compose(ask("a"), Behaviour(tokens=50))).text != only(compose(ask("b"), Behaviour(tokens=50))).text
    assert len({choice.text for choice in compose(ask("a", n=3), Behaviour()).choices}) == 3


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    choice = only(compose(ask("one two three", stop=("three", " two")), Behaviour()))
    assert (choice.text, choice.finish, choice.stopped_by) == ("Simulated answer to: one", "stop_sequence", " two")


def test_a_stop_sequence_beyond_the_limit_is_not_met() -> None:
    choice = only(compose(ask("one two", stop=("two",), limit=2), Behaviour()))
    assert (choice.text, choice.finish, choice.stopped_by) == ("Simulate", "length", None)


def test_reasoning_uses_up_the_limit_first() -> None:
    choice = only(compose(ask(limit=3), Behaviour(reasoning=10)))
    assert (choice.text, count(choice.reasoning), choice.finish, choice.tokens) == ("", 3, "length", 3)


def test_an_answer_whose_reasoning_was_cut_is_cut_even_if_nothing_was_to_follow() -> None:
    choice = only(compose(ask(limit=1), Behaviour(reasoning=2, tokens=0)))
    assert (choice.text, choice.finish, choice.tokens) == ("", "length", 1)


def test_cached_tokens_are_a_part_of_the_prompt() -> None:
    answer = compose(ask(), Behaviour(cached=4, cache_write=100))
    assert (answer.prompt_tokens, answer.cached, answer.cache_write) == (6, 4, 2)


WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOCK = Tool("clock", {"type": "object", "properties": {}})


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("Hello", {}, []),
        ("please call get_weather", {}, [("get_weather", '{"city":"sample"}')]),
        ('call get_weather {"city": "Paris"} now', {}, [("get_weather", '{"city":"Paris"}')]),
        ("call clock", {}, [("clock", "{}")]),
        ("call clocks", {}, []),
        ("call clock, then call get_weather {broken", {}, [("clock", "{}"), ("get_weather", '{"city":"sample"}')]),
        ("call clock and call get_weather", {"parallel": False}, [("clock", "{}")]),
        ("call clock", {"may_call": False}, []),
        ("Hello", {"forced": "*"}, [("get_weather", '{"city":"sample"}')]),
        ("Hello", {"forced": "clock", "may_call": False}, [("clock", "{}")]),
        ("call clock and call get_weather", {"forced": "clock"}, [("clock", "{}")]),
    ],
)
def test_tools_are_called_when_told(text: str, fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    choice = only(compose(ask(text, tools=(WEATHER, CLOCK), **fields), Behaviour()))
    assert [(call.name, call.arguments) for call in choice.calls] == expected
    assert choice.finish == ("tool_calls" if expected else "stop")
    assert bool(choice.text) is not bool(expected)


def test_a_call_over_the_limit_is_cut_and_says_so() -> None:
    choice = only(compose(ask("call get_weather", tools=(WEATHER,), limit=5), Behaviour()))
    assert (choice.calls[0].arguments, choice.finish, choice.tokens) == ('{"city":', "length", 5)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}}, "required": ["a"]},
        {"properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 3}, "c": {"type": ["null", "string"]}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}}},
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "string", "minLength": 9}}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}},
    ],
)
def test_made_up_arguments_fit_their_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(sample(schema))), schema)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "required", "items", "enum", "$ref", "anyOf", "minLength", "minimum"]
                ),
                x,
            )
        ),
    )
)
def test_any_schema_at_all_has_an_object_as_sample(schema: Any) -> None:
    assert isinstance(sample(schema), dict)


def test_a_schema_that_refers_to_itself_widely_stays_small() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(50)}}
    assert len(json.dumps(sample(schema))) < 100_000
