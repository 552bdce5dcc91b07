"""What two texts must have in common, word for word, before their meanings are compared.

A model of meaning finds "increase" and "decrease", 5 and 50, France and Germany, or two swapped names nearly the same.
So texts are first brought to marks: what is left of them without courtesies, articles and inflection, with the order of
the words, and each word that follows a preposition bound to it. Only texts with equal marks can be one question.
English only: of other texts, and of long ones, there are no marks, and nothing is taken for similar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from math import sqrt

from tollway.core.caching.words import DROPPED, HOW, NUMBERS, OPENINGS, PAST, PREPOSITIONS, SAME, WAS, stem

Marks = bytes
MAX_CHARACTERS = 600
"""What a small model of meaning reads of a text is about this much; differences beyond it would not be seen."""
MIN_LETTERS = 0.9
"""The share of letters that must be plain ASCII."""
DEFAULT_SIMILARITY = 0.8
"""The least cosine for an answer to be given again, where marks are equal."""

_TOKEN = re.compile(
    r"""(?P<quoted>"[^"]*"|“[^”]*”|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w))
    |(?P<code>[A-Za-z_][\w./:\\@-]*[_/:\\@.()]+[\w./:\\@()-]*\w|[a-z]+[A-Z]\w*)
    |(?P<number>\d+(?:[.,:/-]\d+)*)
    |(?P<word>[A-Za-z]+(?:['’][A-Za-z]+)?)
    |(?P<sign>[^\w\s.,;:!?'’"()\[\]-]+|(?<=\s)[-](?=\s?\d)|[_]+)""",
    re.VERBOSE,
)
_INFINITIVE = "to"
_CONTRACTED = {"n't": ("not",), "'s": (), "'re": (), "'m": (), "'ve": (), "'ll": ("will",), "'d": ()}
_NEGATED = {"can't": "can", "won't": "will", "shan't": "shall"}


def marks_of(text: str) -> Marks | None:
    """What must be equal of a text; None when it cannot be compared with others."""
    letters = [c for c in text if c.isalpha()]
    if not letters or len(text) > MAX_CHARACTERS:
        return None
    if sum(c.isascii() for c in letters) < MIN_LETTERS * len(letters):
        return None
    bound, order = _arranged(list(_tokens(text)))
    if not bound and not order:
        return None
    digest = blake2b(digest_size=16)
    for part in (*order, "", *sorted(bound)):
        digest.update(part.encode() + b"\0")
    return digest.digest()


def similarity(first: Sequence[float], second: Sequence[float]) -> float:
    """The cosine of two vectors; 0 where one has no length or they have not as many parts."""
    if len(first) != len(second):
        return 0.0
    length = sqrt(sum(x * x for x in first) * sum(x * x for x in second))
    return sum(x * y for x, y in zip(first, second, strict=True)) / length if length else 0.0


def _arranged(tokens: list[str]) -> tuple[list[str], list[str]]:
    """Words bound to the preposition before them, and the others in their order."""
    bound: list[str] = []
    order: list[str] = []
    direction = "from" in tokens
    preposition = ""
    past = False
    for token in tokens:
        if token in PAST:
            past = True
        elif not direction and token == _INFINITIVE:
            continue
        elif token in PREPOSITIONS:
            preposition = PREPOSITIONS[token]
        elif token in DROPPED:
            continue
        else:
            (bound if preposition else order).append(f"{preposition}:{token}")
            preposition = ""
    if past:
        bound.append("past")
    return bound, order


def _tokens(text: str) -> Iterator[str]:
    text = text.replace("’", "'")
    for opening in OPENINGS:
        text = opening.sub(" ", text)
    for match in _TOKEN.finditer(HOW.sub("how", text)):
        kind, token = match.lastgroup, match[0]
        if kind == "word":
            yield from _words(token, match.start() == 0)
        elif kind == "number":
            yield "#" + token.replace(",", "")
        else:
            yield f"{kind}={token}"


def _words(word: str, first: bool) -> Iterator[str]:
    """A word in lower case, in its stem, its contractions taken apart. Letters that stand for something are kept."""
    if word.isupper() and word != "I" and not (first and word == "A"):
        yield word
        return
    lower = word.lower()
    if lower in _NEGATED:
        yield from (_NEGATED[lower], "not")
        return
    for ending, means in _CONTRACTED.items():
        if lower.endswith(ending):
            yield from _plain(lower[: -len(ending)])
            yield from means
            return
    yield from _plain(lower)


def _plain(word: str) -> Iterator[str]:
    if word in NUMBERS:
        yield f"#{NUMBERS[word]}"
    elif word in DROPPED or word in PREPOSITIONS or word in PAST:
        yield word
    else:
        root, past = stem(word)
        yield SAME.get(root, root)
        if past:
            yield WAS
