"""The form of an audit entry, its hash and its seal, and what is kept of where a change came from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.audit.chain import (
    FIRST,
    MAX_PROBLEMS,
    Content,
    Head,
    Link,
    Verifier,
    accepted_to,
    digest,
    mark,
    seal,
)
from tollway.controlplane.audit.origin import MAX_TEXT, agent_class, cleaned

KEY = b"k" * 32
AT = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
TEXTS = [name for name in Content.__struct_fields__ if name not in ("seq", "id", "at")]
CONTENT = Content(seq=1, id=UUID(int=7), at=AT, **{name: name for name in TEXTS})


def link(seq: int, prior: bytes, *, sealed: bool = True) -> Link:
    content = msgspec.structs.replace(CONTENT, seq=seq)
    own = digest(prior, content)
    return Link(**msgspec.structs.asdict(content), hash=own, seal=seal(KEY, own) if sealed else None)


@given(st.sampled_from(range(len(TEXTS) - 1)), st.text(min_size=1, max_size=5), st.text(max_size=5))
def test_what_moves_from_one_field_to_the_next_changes_the_hash(place: int, left: str, right: str) -> None:
    first, second = TEXTS[place], TEXTS[place + 1]
    whole = msgspec.structs.replace(CONTENT, **{first: left + right, second: ""})
    parted = msgspec.structs.replace(CONTENT, **{first: right, second: left})
    assert digest(FIRST, whole) != digest(FIRST, parted)
    assert digest(FIRST, whole) == digest(FIRST, msgspec.structs.replace(whole))
    assert digest(KEY, whole) != digest(FIRST, whole)


def test_the_zone_in_which_a_time_is_shown_changes_nothing() -> None:
    elsewhere = msgspec.structs.replace(CONTENT, at=datetime.fromisoformat("2026-11-21T21:00:00+01:00"))
    assert digest(FIRST, elsewhere) == digest(FIRST, CONTENT)


def test_problems_are_counted_and_the_first_are_kept() -> None:
    verifier = Verifier(b"another key" * 3)
    prior = FIRST
    for seq in range(1, MAX_PROBLEMS + 51):
        entry = link(seq, prior)
        verifier.take(entry)
        prior = entry.hash
    assert (verifier.found, len(verifier.problems), verifier.verified) == (150, MAX_PROBLEMS, 150)
    assert {problem.kind for problem in verifier.problems} == {"forged"}


@pytest.mark.parametrize("field", ["unproven_to", "unproven_until", "unproven_hash", "organisation"])
def test_what_is_accepted_without_a_seal_is_sealed_itself(field: str) -> None:
    until = AT + timedelta(days=1)
    head = Head(
        organisation="default", seq=9, hash=KEY, at=AT, last=9, unproven_to=5, unproven_until=until,
        unproven_seal=mark(KEY, "default", 5, FIRST, until), unproven_hash=FIRST,
    )  # fmt: skip
    assert accepted_to(KEY, head) == 5
    other = {"unproven_to": 6, "unproven_until": AT, "unproven_hash": KEY, "organisation": "other"}[field]
    assert accepted_to(KEY, msgspec.structs.replace(head, **{field: other})) == 0
    assert accepted_to(b"x" * 32, head) == 0


@pytest.mark.parametrize(
    ("user_agent", "known"),
    [
        ("tollway-cli", "cli"),
        ("tollway-sdk", "sdk"),
        ("grpc-python-asyncio/1.76.0 grpc-c/51.0.0 (linux; chttp2)", "grpc"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "browser"),
        ("curl/8.5.0", "script"),
        ("Python/3.11 aiohttp/3.13.2", "script"),
        ("Go-http-client/2.0", "script"),
        ("somebody's own", "other"),
        ("", ""),
    ],
)
def test_of_a_user_agent_its_class_is_kept(user_agent: str, known: str) -> None:
    assert agent_class(user_agent) == known


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_a_reason_can_always_be_stored(text: str) -> None:
    kept = cleaned(text * 20)
    assert kept.encode().decode() == kept
    assert len(kept) <= MAX_TEXT
    assert "\0" not in kept
    assert "\n" not in kept


def test_a_reason_of_words_stays_as_it_is() -> None:
    assert cleaned("  für Ana: left\nthe team  ") == "für Ana: left the team"
