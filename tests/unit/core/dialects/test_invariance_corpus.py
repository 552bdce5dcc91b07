"""The kept corpus of every fuzz target, replayed through all that the target demands; and that the targets can fail."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from tollway.testkit.fuzzing import HEADER, amplified, load, mutate, read_corpus, write_corpus

FUZZ = Path(__file__).parents[3] / "fuzz"
TARGETS = sorted(path.stem for path in (FUZZ / "targets").glob("*.py"))
CORPUS = {name: FUZZ / "corpus" / f"{name}.json" for name in TARGETS}
MAX_INPUTS = 300
MAX_BYTES = 500_000


@pytest.fixture
def target(name: str) -> ModuleType:
    """The target of this name."""
    return load(FUZZ / "targets" / f"{name}.py")


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_breaks_an_invariant(name: str, target: ModuleType) -> None:
    kept = read_corpus(CORPUS[name])
    assert len(kept) >= 5, "nothing is kept; run tests/fuzz/run.py --keep"
    for data in (*target.seeds(), *kept):
        target.one(data)


def test_the_kept_corpus_is_small() -> None:
    assert {path.stem for path in (FUZZ / "corpus").iterdir()} == set(TARGETS)
    assert sum(len(read_corpus(path)) for path in CORPUS.values()) < MAX_INPUTS
    assert sum(path.stat().st_size for path in CORPUS.values()) < MAX_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutation_of_a_seed_breaks_an_invariant(name: str, target: ModuleType) -> None:
    """A small part of what fuzzing does: mutations by structure alone."""
    seeds = target.seeds()
    for seed in range(200):
        target.one(mutate(seeds[seed % len(seeds)], 4000, seed, lambda data, size: data[:size][::-1]))


def test_inputs_are_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    assert read_corpus(path) == []
    inputs = [b"", b"\x00\x07data: x\r\n\n", b"\xff\xfe", "é".encode()]
    write_corpus(path, [*inputs, inputs[0]])
    assert sorted(read_corpus(path)) == sorted(inputs)
    assert isinstance(json.loads(path.read_text()), list)


def test_mutations_keep_the_structure_and_the_limit() -> None:
    stream = b"\0\0" + b'data: {"a":[1,{"b":"c"}]}\n\n' * 3
    made = [mutate(stream, 200, seed, lambda data, _size: data) for seed in range(200)]
    assert made == [mutate(stream, 200, seed, lambda data, _size: data) for seed in range(200)]
    assert all(len(data) <= 200 for data in made)
    changed = {data[HEADER:] for data in made if data[HEADER:] != stream[HEADER:]}
    assert len(changed) > 40
    assert sum(data.count(b"data: {") > 1 for data in changed) > 30


def test_amplification_is_a_finding() -> None:
    amplified(10, 100, 10, 0)
    with pytest.raises(AssertionError, match="over 10 times"):
        amplified(10, 101, 10, 0)
