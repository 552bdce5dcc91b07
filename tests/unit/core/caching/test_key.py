"""Keys of answers: what changes the meaning of a request changes the key."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.caching.key import Digest, add_body, behaviour_headers, definition, is_plain, last_turn
from tollway.core.catalog import Credential, Model, Provider, ProviderKind, Target
from tollway.core.dialects.head import read_fields
from tollway.core.pricing import Price

SECRET = b"s" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["messages", "n", "temperature", "tools", "é", 'a"b', "user"]), JSON, max_size=5
)
SPELLINGS = st.sampled_from([(",", ":"), (", ", ": ")])


def key(body: bytes) -> bytes:
    """The key of a body alone."""
    digest = Digest(SECRET, b"test")
    add_body(digest, body, read_fields(body))
    return digest.end()


def spelled(value: Any, spelling: tuple[str, str]) -> bytes:
    """JSON as libraries write it."""
    return json.dumps(value, separators=spelling, ensure_ascii=False).encode()


def exact(value: Any) -> str:
    """A value so that 1, 1.0 and true are told apart, and the order of keys does not count at the top alone."""
    return json.dumps({name: json.dumps(each) for name, each in value.items()}, sort_keys=True)


@given(OBJECTS, OBJECTS, SPELLINGS, SPELLINGS)
def test_different_requests_never_share_a_key(
    first: dict[str, Any], second: dict[str, Any], one: tuple[str, str], other: tuple[str, str]
) -> None:
    if exact(first) != exact(second):
        assert key(spelled(first, one)) != key(spelled(second, other))


@given(OBJECTS, st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_count(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    compact = (",", ":")
    assert key(spelled(dict(items), compact)) == key(spelled(value, compact))


@given(OBJECTS, st.sampled_from(["n", "temperature", "messages"]), JSON, JSON)
def test_a_repeated_field_is_never_taken_for_another_request(value: dict[str, Any], name: str, a: Any, b: Any) -> None:
    value.pop(name, None)
    clean = spelled({**value, name: b}, (",", ":"))
    twice = clean[:1] + spelled({name: a}, (",", ":"))[1:-1] + b"," + clean[1:]
    assert key(twice) != key(clean)
    assert key(twice) == key(twice)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"n":1}', b'{"n":1.0}'),
        (b'{"n":1}', b'{"seed":1}'),
        (b'{"n":18446744073709551616}', b'{"n":18446744073709551617}'),
        (b'{"n":0.1}', b'{"n":0.10000000000000000001}'),
        (b'{"n":true}', b'{"n":"true"}'),
        (b'{"n":null}', b"{}"),
        (b'{"a":{"b":1,"c":2}}', b'{"a":{"c":2,"b":1}}'),
        (b'{"a":"b","c":"d"}', b'{"a":"b\\",\\"c\\":\\"d"}'),
        (b'{"messages":[]}', b'{"messages":[],"tools":[]}'),
    ],
)
def test_near_twins_are_told_apart(one: bytes, other: bytes) -> None:
    assert key(one) != key(other)


def test_the_model_is_left_to_the_route_and_the_spelling_between_fields_does_not_count() -> None:
    assert key(b'{"model":"a","n":1}') == key(b'{"n": 1, "model": "b"}')
    assert key(b'{"model":"a","n":1}') != key(b'{"n":1 ,"model":"a"}')  # an unusual spelling counts as it is


def test_a_body_that_looks_like_the_parts_of_another_has_another_key() -> None:
    assert key(b'{"n": 1 }') != key(b'{"n":1}')
    one, other = Digest(SECRET, b"test"), Digest(SECRET, b"test")
    one.add("ab")
    one.add("c")
    other.add("a")
    other.add("bc")
    assert one.end() != other.end()


def test_keys_of_another_secret_or_purpose_are_others() -> None:
    made = set()
    for secret, purpose in ((SECRET, b"a"), (SECRET, b"b"), (b"t" * 32, b"a")):
        digest = Digest(secret, purpose)
        digest.add("x")
        made.add(digest.end())
    assert len(made) == 3


def test_headers_of_provider_apis_count_in_any_case_and_order() -> None:
    first = behaviour_headers({"Anthropic-Beta": "a", "OpenAI-Beta": "b", "Accept": "x", "authorization": "y"})
    assert first == ["anthropic-beta", "a", "openai-beta", "b"]
    assert behaviour_headers({"openai-beta": "b", "anthropic-beta": "a"}) == first
    assert behaviour_headers({"openai-beta": "b"}) != first


def test_a_definition_is_all_that_can_change_an_answer() -> None:
    model = Model(id="m", name="m", targets=(Target(provider="p", model="x"),))
    place = Provider(id="p", name="p", kind=ProviderKind.OPENAI, base_url="https://a.example/v1")
    same = definition(model, [(place, "x")])
    key_rotated = msgspec.structs.replace(place, credentials=(Credential(id="c", name="c", api_key="k"),))
    priced = msgspec.structs.replace(model, price=Price(version="1", input=1, output=1))
    assert definition(priced, [(key_rotated, "x")]) == same
    others = {
        definition(model, [(place, "y")]),
        definition(model, [(place, "x"), (place, "x")]),
        definition(None, [(place, "x")]),
        definition(msgspec.structs.replace(model, id="n"), [(place, "x")]),
        definition(msgspec.structs.replace(model, fallbacks=("z",)), [(place, "x")]),
        definition(model, [(msgspec.structs.replace(place, base_url="https://b.example/v1"), "x")]),
        definition(model, [(msgspec.structs.replace(place, api_version="2"), "x")]),
    }
    assert len(others | {same}) == 8


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}', "q"),
        (b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}]}', "q"),
        (b'{"input":"q\\n"}', "q\n"),
        (b'{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"q"}]}]}', "q"),
        (b'{"messages":[{"role":"user","content":"a","content":"q"}]}', None),
        (b'{"messages":[{"role":"assistant","content":"q"}]}', None),
        (b'{"messages":[{"role":"user","name":"x","content":"q"}]}', None),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"r"}]}]}', None),
        (b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}', None),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"q","cache_control":{}}]}]}', None),
        (b'{"messages":[]}', None),
        (b'{"messages":{}}', None),
        (b'{"input":["q"]}', None),
        (b'{"prompt":"q"}', None),
    ],
)
def test_the_last_turn_is_a_users_plain_text_or_none(body: bytes, text: str | None) -> None:
    turn = last_turn(read_fields(body))
    assert (turn.text if turn is not None else None) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('"messages":[{"role":"user","content":"a"}]', '"messages":[{"role":"user","content":"b"}]', True),
        ('"messages":[{"role":"user","content":"a"}],"n":1', '"messages":[{"role":"user","content":"b"}],"n":2', False),
        (
            '"messages":[{"role":"system","content":"x"},{"role":"user","content":"a"}]',
            '"messages":[{"role":"system","content":"y"},{"role":"user","content":"a"}]',
            False,
        ),
        ('"messages":[{"role":"user","content":"a"}]', '"input":"a"', False),
        ('"messages":[{"role":"user","content":"a"}],"input":1', '"messages":[{"role":"user","content":"a"}]', False),
        ('"messages":[{"role":"user","content":"a"}]', '"input":[{"role":"user","content":"a"}]', False),
    ],
)
def test_the_place_of_a_turn_is_all_but_its_text(one: str, other: str, same: bool) -> None:
    made = []
    for text in (one, other):
        digest = Digest(SECRET, b"test")
        turn = last_turn(read_fields(b"{" + text.encode() + b"}"))
        assert turn is not None
        turn.add_to(digest)
        made.append(digest.end())
    assert (made[0] == made[1]) is same


@given(OBJECTS, SPELLINGS)
def test_what_libraries_write_is_plain(value: dict[str, Any], spelling: tuple[str, str]) -> None:
    body = json.dumps(value, separators=spelling, ensure_ascii=False).encode()
    plain = is_plain(body, read_fields(body))
    assert plain or not value
