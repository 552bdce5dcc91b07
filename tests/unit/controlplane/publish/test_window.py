"""The recent changes in memory: complete from a floor on, each key once, in commit order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.publish.model import ChangeWindow, batches, reached
from tollway.wire.config_codec import KeyChange, Position


def change(key: int, version: int) -> KeyChange:
    return KeyChange(f"k{key}", version, b"sealed")


@given(
    st.integers(1, 8),
    st.integers(0, 5),
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True), max_size=30),
    st.integers(0, 40),
)
def test_what_it_returns_is_all_there_is_or_it_says_that_it_does_not_know(
    capacity: int, start: int, versions: list[list[int]], asked: int
) -> None:
    window = ChangeWindow(capacity=capacity)
    window.restart(start)
    latest: dict[int, int] = {}
    for version, keys in enumerate(versions, start + 1):
        for key in keys:
            window.add(version, change(key, version))
            latest[key] = version
    assert len(window) <= capacity
    found = window.since(asked)
    expected = {f"k{key}": version for key, version in latest.items() if version > asked}
    if found is None:
        assert asked < start or len(latest) > capacity
    else:
        assert {kept.lookup: version for version, kept in found} == expected
        assert [version for version, _ in found] == sorted(version for version, _ in found)


def test_the_floor_is_the_newest_version_that_was_dropped() -> None:
    window = ChangeWindow(capacity=2)
    for version, key in ((1, 1), (1, 2), (2, 3)):
        window.add(version, change(key, version))
    assert window.since(0) is None
    assert [kept.lookup for _, kept in window.since(1) or []] == ["k3"]


@given(st.lists(st.integers(1, 4), max_size=12), st.integers(1, 5))
def test_a_version_holds_only_when_all_of_it_was_sent(sizes: list[int], size: int) -> None:
    changes = [
        (version, change(100 * version + n, version)) for version, count in enumerate(sizes, 1) for n in range(count)
    ]
    end = len(sizes)
    seen: list[KeyChange] = []
    versions = []
    for version, part in batches(changes, 0, end, size):
        assert len(part) <= size
        seen += part
        versions.append(version)
        assert all(kept in seen for at, kept in changes if at <= version)
    assert seen == [kept for _, kept in changes]
    assert versions[-1] == end
    assert versions == sorted(versions)


def test_positions_of_different_epochs_do_not_compare() -> None:
    assert reached(Position("a", 3), Position("a", 3))
    assert not reached(Position("a", 2), Position("a", 3))
    assert not reached(Position("a", 9), Position("b", 3))
