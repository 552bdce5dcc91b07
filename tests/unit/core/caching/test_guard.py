"""Questions that mean the same, and those that only look so: no wrong answer at the usual threshold."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest

from tollway.core.caching.guard import DEFAULT_SIMILARITY, MAX_CHARACTERS, marks_of, similarity

PAIRS = Path(__file__).parents[3] / "fixtures" / "similar" / "pairs.txt"


class Pair(NamedTuple):
    """Two questions, whether they want the same answer, and how alike a model of meaning finds them."""

    same: bool
    likeness: float
    one: str
    other: str

    @property
    def hit(self) -> bool:
        """Whether one is answered with the other's answer."""
        return self.likeness >= DEFAULT_SIMILARITY and marks_of(self.one) == marks_of(self.other)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    lines = [line.split(" | ") for line in PAIRS.read_text().splitlines() if line[0] in "=!"]
    return [Pair(sign == "=", float(likeness), one, other) for sign, likeness, one, other in lines]


def test_no_near_miss_is_hit_and_most_paraphrases_are(pairs: list[Pair]) -> None:
    paraphrases, misses = [[pair for pair in pairs if pair.same is same] for same in (True, False)]
    assert (len(paraphrases), len(misses)) == (50, 55)
    assert [pair for pair in misses if pair.hit] == []
    assert sum(pair.hit for pair in paraphrases) >= 31


def test_likeness_alone_would_be_wrong(pairs: list[Pair]) -> None:
    """At any threshold that finds as many paraphrases, a model of meaning alone answers near-misses wrongly."""
    found = sorted((pair.likeness for pair in pairs if pair.same), reverse=True)[30]
    assert sum(pair.likeness >= found for pair in pairs if not pair.same) >= 5


def test_no_two_questions_of_different_pairs_have_equal_marks(pairs: list[Pair]) -> None:
    texts = {text for pair in pairs for text in (pair.one, pair.other)}
    same = {frozenset((pair.one, pair.other)) for pair in pairs if pair.same}
    equal = [two for two in combinations(sorted(texts), 2) if marks_of(two[0]) == marks_of(two[1])]
    assert [two for two in equal if frozenset(two) not in same] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who plays Batman?", "Who played Batman?"),
        ("Who is the pope?", "Who was the pope?"),
        ("What is my name?", "What is your name?"),
        ("Can I use Python?", "Can you use Python?"),
        ("Am I married?", "Can I get married?"),
        ("Is 3 > 2?", "Is 3 < 2?"),
        ("What is 2 + 2?", "What is 2 * 2?"),
        ("What is 5 - 2?", "What is 5 2?"),
        ("Pay 1,000 dollars", "Pay 1.000 dollars"),
        ("Is it 1.5?", "Is it 15?"),
        ("Who can't vote?", "Who can vote?"),
        ("Who won't vote?", "Who will vote?"),
        ("Is it safe to eat?", "Isn't it safe to eat?"),
        ("Does Ann love Bob?", "Does Bob love Ann?"),
        ("From A to B", "From B to A"),
        ("from Bonn to Rome by train", "from Rome to Bonn by train"),
        ("Is tea better than coffee?", "Is coffee better than tea?"),
        ("What is the US doing?", "What is us doing?"),
        ("Tell me about vitamin A", "Tell me about vitamin"),
        ("Tell me about vitamin A", "Tell me about vitamin B"),
        ("Define `a b`", "Define `b a`"),
        ("Say 'yes'", "Say 'no'"),
        ("Is C better?", "Is C++ better?"),
        ("Is C better?", "Is C# better?"),
        ("Open getName", "Open getname"),
        ("Open a/b.txt", "Open a/c.txt"),
        ("Give me a list", "Give me two lists"),
        ("What costs $5?", "What costs €5?"),
        ("tea or coffee", "tea and coffee"),
        ("How much is it?", "How many are there?"),
        ("when to plant", "where to plant"),
        ("Should I invest?", "Can I invest?"),
        ("between 5 and 10", "between 10 and 5"),
        ("us exports in 2020", "exports in 2020"),
        ("What was our it budget?", "What was our budget?"),
        ("When did World War I end?", "When did World War end?"),
        ("When did World War I end?", "When did World War II end?"),
        ("how much vitamin a per day", "how much vitamin per day"),
        ("vitamin a deficiency", "vitamin deficiency"),
        ("What opens at 6 am?", "What opens at 6?"),
        ("section a of the law", "section i of the law"),
    ],
)
def test_what_must_be_equal_is_told_apart(one: str, other: str) -> None:
    assert marks_of(one) is not None
    assert marks_of(one) != marks_of(other)


@pytest.mark.parametrize("text", ["", "?!", "the an of", "Что это?", "时间", "a" * (MAX_CHARACTERS + 1), "🙂"])
def test_what_cannot_be_compared_has_no_marks(text: str) -> None:
    assert marks_of(text) is None


def test_the_cosine() -> None:
    assert similarity([3.0, 4.0], [6.0, 8.0]) == pytest.approx(1)
    assert similarity([1.0, 0.0], [0.0, 1.0]) == 0
    assert similarity([1.0], [-1.0]) == pytest.approx(-1)
    assert similarity([0.0], [1.0]) == 0
    assert similarity([1.0], [1.0, 0.0]) == 0
