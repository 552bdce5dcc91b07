"""The plan as a pure function: order, idempotence, three-way comparison, pruning."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.configuration.plan import (
    Action,
    Desired,
    Kind,
    Present,
    Ref,
    applied_digest,
    make_plan,
    read_applied,
)

FIELDS = st.dictionaries(st.sampled_from(["a", "b", "value"]), st.integers(0, 3), min_size=1)
KINDS = st.sampled_from([kind for kind in Kind if kind is not Kind.CREDENTIAL])
OBJECTS = st.dictionaries(st.tuples(KINDS, st.sampled_from(["x", "y", "p/k"])), FIELDS)


def _desired(objects: dict[Ref, dict[str, int]]) -> list[Desired]:
    return [Desired(kind, name, fields, "configuration") for (kind, name), fields in objects.items()]


def _present(objects: dict[Ref, dict[str, int]], owner: str | None = "set") -> dict[Ref, Present]:
    applied = read_applied(applied_digest({"a": 0}))
    return {
        ref: Present(
            *ref, UUID(int=1), fields, owner, read_applied(applied_digest(fields)) if owner == "set" else applied
        )
        for ref, fields in objects.items()
    }


def _actions(
    desired: Iterable[Desired], present: dict[Ref, Present], *, prune: bool = True, force: bool = False
) -> set[Action]:
    return {step.action for step in make_plan(desired, present, "set", prune=prune, force=force)}


@given(OBJECTS)
def test_what_is_there_already_needs_nothing(objects: dict[Ref, dict[str, int]]) -> None:
    assert make_plan(_desired(objects), _present(objects), "set", prune=True, force=False) == []


@given(OBJECTS, OBJECTS)
def test_an_unedited_set_never_conflicts_and_reaches_the_document(
    wanted: dict[Ref, dict[str, int]], there: dict[Ref, dict[str, int]]
) -> None:
    steps = make_plan(_desired(wanted), _present(there), "set", prune=True, force=False)
    state = {ref: dict(fields) for ref, fields in there.items()}
    for step in steps:
        ref = (step.kind, step.name)
        assert step.action is not Action.CONFLICT
        if step.action is Action.ARCHIVE:
            del state[ref]
        else:
            state.setdefault(ref, {}).update(wanted[ref])
    assert state.keys() == wanted.keys()
    assert all(state[ref].items() >= wanted[ref].items() for ref in wanted)


@given(OBJECTS, OBJECTS)
def test_the_order_of_the_document_does_not_matter(
    wanted: dict[Ref, dict[str, int]], there: dict[Ref, dict[str, int]]
) -> None:
    forward = make_plan(_desired(wanted), _present(there), "set", prune=True, force=False)
    backward = make_plan(reversed(_desired(wanted)), _present(there), "set", prune=True, force=False)
    assert {(s.action, s.kind, s.name) for s in forward} == {(s.action, s.kind, s.name) for s in backward}
    kinds = [list(Kind).index(step.kind) for step in forward]
    assert kinds == sorted(kinds)


def test_only_an_edited_field_conflicts() -> None:
    ref = (Kind.PROJECT, "p")
    applied = read_applied(applied_digest({"a": 1, "b": 1}))
    there = {ref: Present(*ref, UUID(int=1), {"a": 2, "b": 1}, "set", applied)}
    assert _actions([Desired(*ref, {"a": 2, "b": 5}, "")], there) == {Action.UPDATE}
    assert _actions([Desired(*ref, {"a": 1, "b": 1}, "")], there) == {Action.CONFLICT}
    assert _actions([Desired(*ref, {"a": 1, "b": 1}, "")], there, force=True) == {Action.UPDATE}
    assert _actions([Desired(*ref, {"a": 2, "b": 1}, "")], there) == set()
    assert _actions([], there) == {Action.CONFLICT}
    assert _actions([], there, force=True) == {Action.ARCHIVE}
    assert _actions([], there, prune=False) == set()


def test_a_provider_takes_its_credentials_with_it() -> None:
    there = _present({(Kind.PROVIDER, "a"): {"a": 1}, (Kind.CREDENTIAL, "a/c"): {"a": 1}})
    steps = make_plan([], there, "set", prune=True, force=False)
    assert [(step.action, step.kind, step.name) for step in steps] == [(Action.ARCHIVE, Kind.PROVIDER, "a")]
    kept = [Desired(Kind.PROVIDER, "a", {"a": 1}, "")]
    steps = make_plan(kept, there, "set", prune=True, force=False)
    assert [(step.action, step.kind, step.name) for step in steps] == [(Action.ARCHIVE, Kind.CREDENTIAL, "a/c")]


def test_another_sets_and_nobodys_objects() -> None:
    ref = (Kind.PROJECT, "p")
    wanted = [Desired(*ref, {"a": 1}, "")]
    for owner, fields, expected in itertools.product(["other", None], [{"a": 1}, {"a": 2}], [None]):
        there = {ref: Present(*ref, UUID(int=1), fields, owner, None if owner is None else {})}
        conflict = owner == "other" or fields != {"a": 1}
        assert _actions(wanted, there) == ({Action.CONFLICT} if conflict else set()), (owner, fields, expected)
        assert _actions([], there) == set()


def test_what_was_archived_elsewhere_comes_back_with_force_only() -> None:
    ref = (Kind.KEY, "p/k")
    there = {ref: Present(*ref, UUID(int=1), {}, "set", {}, gone=True)}
    wanted = [Desired(*ref, {"a": 1}, "")]
    assert _actions(wanted, there) == {Action.CONFLICT}
    assert _actions(wanted, there, force=True) == {Action.CREATE}
    assert _actions([], there) == set()


@given(st.text(min_size=4))
def test_details_never_show_a_secret(value: str) -> None:
    secret = f"canary{value}"
    ref = (Kind.KEY, "p/k")
    steps = make_plan([Desired(*ref, {"value": secret}, "")], {}, "set", prune=False, force=False)
    there = _present({ref: {"value": 1}})
    steps += make_plan([Desired(*ref, {"value": secret}, "")], there, "set", prune=False, force=False)
    assert len(steps) == 2
    assert not any(secret in line for step in steps for line in step.details)
