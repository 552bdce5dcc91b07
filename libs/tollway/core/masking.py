"""Personal data and secrets in text: found by their form, replaced by a placeholder that names the kind.

Every recogniser starts at a rare character or a fixed prefix, and every repetition is bounded or possessive, so that
the time is linear in the text, whatever it is. Pure; never raises on any string. What is recognised and what is not is
told in docs/guide/masking.md.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

EMAIL, PHONE, CARD, IBAN = "[EMAIL]", "[PHONE]", "[CARD]", "[IBAN]"
API_KEY, TOKEN, PRIVATE_KEY = "[API_KEY]", "[TOKEN]", "[PRIVATE_KEY]"  # placeholders, not values
LONGEST_CUT = 320
"""The most characters that a recognised form can have before it is recognised: e-mail (RFC 5321, 4.5.3.1)."""


class Span(NamedTuple):
    """What is to be replaced: `text[start:end]` by `placeholder`."""

    start: int
    end: int
    placeholder: str


Recogniser = Callable[[str], Iterator[Span]]

# -- e-mail -------------------------------------------------------------------------------------------------------

_AT = re.compile(r"@|%40")
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})")
_LOCAL_MARKS = frozenset(".!#$'*+^_`{|}~%-")
_LOCAL_MOST = 64


def _emails(text: str) -> Iterator[Span]:
    if "@" not in text and "%40" not in text:
        return
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None:
            continue
        start, floor = at.start(), max(0, at.start() - _LOCAL_MOST)
        while start > floor and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_MARKS):
            start -= 1
        if start < at.start():
            yield Span(start, domain.end(), EMAIL)


# -- telephone ----------------------------------------------------------------------------------------------------

_SEPARATED = r"(?:[ ().\-/\u00a0\u2010\u2011\u2013]{0,3}[0-9])"
# What a number must not be part of: a word, a decimal, a time, an identifier with dashes.
_ALONE = r"(?<!\w.)(?<![0-9][.,:].)(?<![0-9A-Za-z]-.)"
_INTERNATIONAL = re.compile(rf"\+(?<!\w.)\(?[1-9]{_SEPARATED}{{6,14}}(?!\w)")
_ZEROES = re.compile(rf"0{_ALONE}0[ ]?[1-9]{_SEPARATED}{{9,12}}(?!\w)")
_NATIONAL = re.compile(rf"0{_ALONE}[1-9]{_SEPARATED}{{7,10}}(?!\w)")
_AMERICAN = re.compile(
    r"[2-9](?<!\w.)(?<![0-9][.,:].)[0-9]{2}(?:\)[ .-]?|[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?![\w-])(?!\.[0-9])"
)
_CHINESE = re.compile(rf"1{_ALONE}[3-9][0-9][ -][0-9]{{4}}[ -][0-9]{{4}}(?![\w-])")
_INDIAN = re.compile(rf"[6-9]{_ALONE}[0-9]{{4}}[ -][0-9]{{5}}(?![\w-])")
_AMERICAN_WHOLE = re.compile(r"1[ .-]?\(?$")
_DATE = re.compile(r"[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{2,4}(?![0-9])")


def _phones(text: str) -> Iterator[Span]:
    for match in _INTERNATIONAL.finditer(text):
        yield Span(match.start(), match.end(), PHONE)
    for pattern in (_ZEROES, _NATIONAL):
        for match in pattern.finditer(text):
            if _DATE.match(text, match.start()) is None:
                opened = text[match.start() - 1 : match.start()] == "("
                yield Span(match.start() - opened, match.end(), PHONE)
    for match in _AMERICAN.finditer(text):
        before = _AMERICAN_WHOLE.search(text, max(0, match.start() - 3), match.start())
        opened = text[match.start() - 1 : match.start()] == "("
        yield Span(before.start() if before else match.start() - opened, match.end(), PHONE)
    for pattern in (_CHINESE, _INDIAN):
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), PHONE)


# -- payment card (ISO/IEC 7812-1) --------------------------------------------------------------------------------

_DIGITS = re.compile(r"[0-9](?<!\w[0-9])(?<![0-9][.,][0-9])(?:[ -]?[0-9]){12,}+")
_GROUP = re.compile(r"[0-9]+")
_WORD = re.compile(r"\w")
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _issued(digits: str) -> bool:
    """Whether a payment card can begin so: American Express, Diners, JCB, Visa, Mastercard, Maestro, Discover, ..."""
    return digits[0] in "3456" or "2221" <= digits[:4] <= "2720"


def _luhn(numbers: list[int], even: list[int], odd: list[int], start: int, end: int) -> bool:
    """The check of ISO/IEC 7812-1, annex B, by running sums: `even` has the numbers at even places doubled."""
    sums = even if end % 2 == 0 else odd
    return (sums[end] - sums[start]) % 10 == 0 and len(set(numbers[start:end])) > 1


def _cards(text: str) -> Iterator[Span]:
    for match in _DIGITS.finditer(text):
        groups = [(group.start(), group.end()) for group in _GROUP.finditer(text, match.start(), match.end())]
        if _WORD.match(text, match.end()):  # the last digits are the beginning of a word
            groups.pop()
        yield from _cards_in(text, groups)


def _cards_in(text: str, groups: list[tuple[int, int]]) -> Iterator[Span]:
    """Cards in a run of digit groups: whole groups, of which a date or a code may precede or follow."""
    digits = "".join(text[start:end] for start, end in groups)
    numbers = [int(digit) for digit in digits]
    even = [0, *accumulate(_DOUBLED[n] if at % 2 == 0 else n for at, n in enumerate(numbers))]
    odd = [0, *accumulate(_DOUBLED[n] if at % 2 else n for at, n in enumerate(numbers))]
    edges = [0, *accumulate(end - start for start, end in groups)]
    first = 0
    while first < len(groups):
        begin = edges[first]
        found = None
        if _issued(digits[begin : begin + 4]):
            last = bisect_left(edges, begin + _SHORTEST_CARD, first + 1)
            while last < len(edges) and edges[last] - begin <= _LONGEST_CARD:
                if _luhn(numbers, even, odd, begin, edges[last]):
                    found = last
                last += 1
        if found is not None:
            yield Span(groups[first][0], groups[found - 1][1], CARD)
        first = found if found is not None else first + 1


# -- IBAN (ISO 13616; lengths from the SWIFT registry) ------------------------------------------------------------

_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTH = {item[:2]: int(item[2:]) for item in _LENGTHS.split()}
_IBAN = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![A-Za-z0-9][A-Za-z]{2}[0-9])(?=[0-9])")
_IBAN_REST = re.compile(r"(?:[ -]?[A-Za-z0-9]){13,31}")
_ALNUM = re.compile(r"[A-Za-z0-9]")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        start = match.start() - 2
        length = _IBAN_LENGTH.get(text[start : match.start()].upper(), 0)
        rest = _IBAN_REST.match(text, match.start()) if length else None
        if rest is None:
            continue
        places = [at for at in range(start, rest.end()) if text[at] not in " -"][:length]
        end = places[-1] + 1
        value = "".join(text[at] for at in places).upper()
        if len(places) == length and _ALNUM.match(text, end) is None and _checks(value):
            yield Span(start, end, IBAN)


def _checks(iban: str) -> bool:
    """ISO 13616: the check digits, by ISO/IEC 7064, MOD 97-10."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


# -- keys and tokens ----------------------------------------------------------------------------------------------

_PREFIXED = tuple(
    (prefix, re.compile(pattern))
    for prefix, pattern in (
        # OpenAI, Anthropic, ours and many others
        ("sk-", r"sk-(?<![A-Za-z0-9]sk-)(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{16,}+"),
        ("hf_", r"hf_(?<![A-Za-z0-9]hf_)[A-Za-z0-9]{20,}+"),
        ("AKIA", r"AKIA(?<![A-Za-z0-9]AKIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("ASIA", r"ASIA(?<![A-Za-z0-9]ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("ghp_", r"ghp_(?<![A-Za-z0-9]ghp_)[A-Za-z0-9]{20,}+"),
        ("gho_", r"gho_(?<![A-Za-z0-9]gho_)[A-Za-z0-9]{20,}+"),
        ("ghs_", r"ghs_(?<![A-Za-z0-9]ghs_)[A-Za-z0-9]{20,}+"),
        ("ghu_", r"ghu_(?<![A-Za-z0-9]ghu_)[A-Za-z0-9]{20,}+"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}+"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}+"),
        ("xox", r"xox[abeprs]-[A-Za-z0-9-]{10,}+"),
        ("AIza", r"AIza(?<![A-Za-z0-9]AIza)[A-Za-z0-9_-]{35}(?![A-Za-z0-9])"),
        ("_live_", r"_live_(?<=[sr]k_live_)[A-Za-z0-9]{16,}+"),
        ("_test_", r"_test_(?<=[sr]k_test_)[A-Za-z0-9]{16,}+"),
    )
)
_BEARER = re.compile(r"(?<=[Bb]earer|BEARER)[ \t]{1,8}+([A-Za-z0-9._~+/=-]{16,}+)")
_BEARER_LONG = 32
_JWT = re.compile(r"eyJ(?<![\w-]eyJ)[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+)?")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s\\:,.()]|-(?!----))*+"
    r"(?:-----END [A-Z0-9 ]{0,60}-----)?"
)


def _keys(text: str) -> Iterator[Span]:
    for prefix, pattern in _PREFIXED:
        if prefix in text:
            for match in pattern.finditer(text):
                start = match.start() - (2 if prefix.startswith("_") else 0)
                yield Span(start, match.end(), API_KEY)
    if "earer" in text or "BEARER" in text:
        for match in _BEARER.finditer(text):
            if len(match[1]) >= _BEARER_LONG or any(c.isdigit() for c in match[1]):
                yield Span(match.start(1), match.end(1), TOKEN)
    if "eyJ" in text:
        for match in _JWT.finditer(text):
            yield Span(match.start(), match.end(), TOKEN)
    if "-----BEGIN" in text:
        for match in _PEM.finditer(text):
            yield Span(match.start(), match.end(), PRIVATE_KEY)


_WITHOUT_DIGITS: tuple[Recogniser, ...] = (_keys, _emails, _ibans)
_OF_DIGITS: tuple[Recogniser, ...] = (_cards, _phones)
_DENSE = re.compile(r"[0-9](?:[^0-9]{0,3}[0-9]){6}")
"""What every card and every telephone number has, and few texts have otherwise."""
_SHORTEST = 6
"""The characters of the shortest form: a@b.cc"""


def find(text: str) -> list[Span]:
    """What must be replaced, in order and without overlaps; where forms overlap, all of them goes."""
    if len(text) < _SHORTEST:
        return []
    found = [span for recognise in _WITHOUT_DIGITS for span in recognise(text)]
    if _DENSE.search(text) is not None:
        found += [span for recognise in _OF_DIGITS for span in recognise(text)]
    if len(found) < 2:
        return found
    found.sort(key=lambda span: span.start)  # stable: of two at one place the first recogniser names it
    merged = [found[0]]
    for span in found[1:]:
        last = merged[-1]
        if span.start >= last.end:
            merged.append(span)
        elif span.end > last.end:
            merged[-1] = last._replace(end=span.end)
    return merged


def replace(text: str, spans: list[Span]) -> str:
    """`text` with the spans, which are in order and apart, replaced."""
    if not spans:
        return text
    pieces: list[str] = []
    at = 0
    for span in spans:
        pieces += (text[at : span.start], span.placeholder)
        at = span.end
    pieces.append(text[at:])
    return "".join(pieces)


def mask(text: str) -> str:
    """`text` with personal data and secrets replaced: `[EMAIL]`, `[PHONE]`, `[CARD]`, `[IBAN]`, `[API_KEY]`, ..."""
    return replace(text, find(text))
