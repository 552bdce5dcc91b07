"""English words by what they do in a question: the facts that `guard` works with.

A word that is not here counts as itself. Words are only taken for the same where one can stand for the other in nearly
every question; opposites, measures, and question words other than "what" never are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _listed(text: str) -> list[str]:
    return text.split()


DROPPED = frozenset(
    _listed(
        """
    an the this that these those there me we is are be being do does done doing can could would shall
    what which and so just also then really very quite actually exactly basically simply
    please kindly thanks thank hi hello hey ok okay well its some any
    """
    )
)
"""Words that nearly no answer depends on.

Not among them are those that stand for something else as well, also where they are not in capitals: "a" (vitamin a),
"i" (World War I), "am" (6 am), "it" (it budget), "us" (us exports).
"""

WAS = "was"
PAST = frozenset({WAS, "were", "did", "had", "been"})
"""Words that put a question into the past."""

_KNOW = r"(?:know|understand|learn|find out|figure out|hear)"
OPENINGS = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        rf"\b(?:i (?:was|am)|i'm) (?:just )?(?:wondering|curious(?: about)?|trying to {_KNOW})"
        r"(?: (?:if|whether) you (?:could|can|would))?",
        rf"\b(?:i would|i'?d) (?:like|love) to {_KNOW}(?: about)?",
        rf"\bi (?:want|need|wish) to {_KNOW}(?: about)?",
        r"\b(?:can|could|would|will) (?:you|someone|anyone|anybody) (?:please |kindly )?"
        rf"(?:help me (?:to )?{_KNOW}|tell (?:me|us)|explain(?: to me)?|show me|describe|let me know|give me)",
        r"\bdo you (?:happen to )?know\b",
        r"\b(?:tell|show|teach|give) (?:me|us)(?: about)?\b",
        rf"\b(?:let me know|help me (?:to )?{_KNOW})\b",
        r"^\W*(?:please |kindly )?(?:explain|describe)(?: to me)?\b",
        r"\bquick question\b",
        r"\bin order(?= to\b)",
        r"\bis it possible\b",
        r"\b(?:thanks|thank you)(?: in advance| a lot| very much)?",
    )
)
"""Ways to begin or end a question that say nothing of what is asked."""

HOW = re.compile(r"\bhow (?:do|does|can|could|would|should) (?:i|you|we|one|people|someone)\b", re.IGNORECASE)
"""What "how to" says too."""

PREPOSITIONS: Mapping[str, str] = {
    **{
        word: word
        for word in _listed(
            """
    of on at by from to than before after until since during between without over under above below against
    except per through across behind near into onto off out up down versus among unlike despite beyond toward
    outside
    """
        )
    },
    "in": "in",
    "within": "in",
    "inside": "in",
    "for": "for",
    "with": "with",
    "using": "with",
    "via": "with",
    "about": "about",
    "regarding": "about",
    "concerning": "about",
    "vs": "versus",
    "towards": "toward",
    "till": "until",
}
"""Prepositions, each with the one that it counts as."""

_COUNTED = _listed("zero one two three four five six seven eight nine ten eleven twelve")
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety hundred")
NUMBERS: Mapping[str, int] = {
    **{word: value for value, word in enumerate(_COUNTED)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
    "thousand": 1000,
    "million": 1_000_000,
}
"""Numbers that are written out."""

_VOWELS = frozenset("aeiouy")


def stem(word: str) -> tuple[str, bool]:
    """A word without the endings of plural, -ing and -ed, as far as they can be told; and whether it had the last."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y", False
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2], False
    if len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3 and _VOWELS & set(root):
            if root[-1] == root[-2] and root[-1] not in "lsz":
                root = root[:-1]
            return root, ending == "ed"
    return (word.removesuffix("e") if len(word) > 4 else word), False


_SETS = (
    "buy purchase",
    "fix repair",
    "begin start",
    "end finish",
    "big large",
    "small little",
    "quick quickly fast rapid rapidly",
    "movie movies film",
    "picture photo image photograph",
    "remove delete",
    "create make making",
    "child children kid",
    "car automobile",
    "job occupation",
    "doctor physician",
    "choose choosing select pick",
    "difference distinction",
    "reason cause",
    "typical typically usual usually commonly",
    "happen occur",
    "check verify",
    "app application",
    "phone telephone",
    "amount quantity",
    "mean signify",
    "maximum max",
    "minimum min",
    "use using utilize utilise",
    "write writing",
    "have has having",
)
SAME: Mapping[str, str] = {stem(word)[0]: min(words) for words in map(_listed, _SETS) for word in words}
"""Stems that count as another word."""
