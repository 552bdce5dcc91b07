"""The key of an answer: a keyed hash over everything that can change it.

Bodies are not put into a canonical form beyond the order of their top-level fields: numbers, escapes and the order of
keys inside of values (which a model sees, in schemas and in tool calls) count as they were written. Two requests that
mean the same may so have two keys, which costs a call; two that mean different things never have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from msgspec import Raw

from tollway.core.catalog import Model, Provider

KEY_BYTES = 32
_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_BEHAVIOUR = ("anthropic-", "openai-")
_TURNS = ("messages", "input")


class Digest:
    """A hash of parts: each has its length in front, so that no two lists of parts run together."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        """`secret` has at most 64 bytes, `purpose` at most 16: digests of two purposes never meet."""
        self._hash = blake2b(digest_size=KEY_BYTES, key=secret, person=purpose)

    def add(self, part: bytes | str | Raw) -> None:
        """One more part. Text counts as UTF-8."""
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else memoryview(part)
        self._hash.update(len(data).to_bytes(8, "big"))
        self._hash.update(data)

    def add_all(self, parts: Iterable[bytes | str | Raw]) -> None:
        """Several parts, with their number."""
        listed = list(parts)
        self.add(len(listed).to_bytes(8, "big"))
        for part in listed:
            self.add(part)

    def end(self) -> bytes:
        """The digest, `KEY_BYTES` long."""
        return self._hash.digest()


def behaviour_headers(headers: Mapping[str, str]) -> list[str]:
    """Names and values of the headers that a provider's API heeds, in order; names in lower case.

    More count than are passed on today, so that one which will be cannot be forgotten here.
    """
    found = [
        (lower, value)
        for name, value in headers.items()
        if name[:1] in "aAoO" and (lower := name.lower()).startswith(_BEHAVIOUR)
    ]
    return [text for pair in sorted(found) for text in pair]


def definition(model: Model | None, providers: Iterable[tuple[Provider, str]]) -> bytes:
    """A digest of what the catalog says of a model and of where it is served, less what cannot change an answer.

    That is its price, when it was made, and the providers' credentials; `providers` are with their own model names.
    """
    made = msgspec.structs.replace(model, price=None, created=0) if model is not None else None
    places = [(msgspec.structs.replace(provider, credentials=()), name) for provider, name in providers]
    return blake2b(_ENCODER.encode((made, places)), digest_size=16).digest()


def is_plain(body: bytes | Raw, fields: Mapping[str, Raw]) -> bool:
    """Whether the object `body` is its `fields` and nothing else: no key is repeated or spelled in an unusual way.

    Known are the two spellings that JSON libraries write, with and without blanks after separators.
    """
    for colon, comma in ((b":", b","), (b": ", b", ")):
        rest = len(colon) + len(comma)
        size = 2 - len(comma) + sum(len(memoryview(raw)) + rest for raw in fields.values())
        names = [_ENCODER.encode(name) for name in fields]
        if size + sum(map(len, names)) == len(memoryview(body)):
            pairs = [name + colon + bytes(raw) for name, raw in zip(names, fields.values(), strict=True)]
            if b"{" + comma.join(pairs) + b"}" == bytes(body):
                return True
    return False


def add_body(digest: Digest, body: bytes, fields: Mapping[str, Raw]) -> bool:
    """Adds a JSON request, less `model`, which the route stands for; whether the order of its fields does not count.

    One that repeats a key, or is written in an unusual way, counts byte for byte.
    """
    if not fields or not is_plain(body, fields):
        digest.add(b"bytes")
        digest.add(body)
        return False
    digest.add(b"fields")
    _add_fields(digest, fields)
    return True


def _add_fields(digest: Digest, fields: Mapping[str, Raw]) -> None:
    names = sorted(name for name in fields if name != "model")
    digest.add_all(names)
    for name in names:
        digest.add(fields[name])


class Turn(NamedTuple):
    """The last thing that a user said, and the place of it: everything else that the request says."""

    text: str
    earlier: tuple[Raw, ...]
    form: str
    others: Mapping[str, Raw]

    def add_to(self, digest: Digest) -> None:
        """Adds the request without the text."""
        digest.add(self.form)
        digest.add_all(self.earlier)
        _add_fields(digest, self.others)


def last_turn(fields: Mapping[str, Raw]) -> Turn | None:
    """The last message of a plain conversation, where it is a user's and nothing but text; else None."""
    field = next((name for name in _TURNS if name in fields), None)
    if field is None:
        return None
    others = {name: raw for name, raw in fields.items() if name != field}
    try:
        if field == "input" and bytes(memoryview(fields[field])[:1]) == b'"':
            return Turn(_TEXT.decode(fields[field]), (), "input", others)
        *earlier, last = _LIST.decode(fields[field])
        said = _plain_object(last)
        if said is None or set(said) - {"type"} != {"role", "content"} or bytes(said["role"]) != b'"user"':
            return None
        if "type" in said and bytes(said["type"]) != b'"message"':
            return None
        form = f"{field}:{'|'.join(sorted(said))}"
        content = said["content"]
        if bytes(memoryview(content)[:1]) == b'"':
            return Turn(_TEXT.decode(content), tuple(earlier), form, others)
        (part,) = _LIST.decode(content)
        text = _plain_object(part)
        if text is None or set(text) != {"type", "text"}:
            return None
        kind = bytes(text["type"]).decode()
        if kind not in ('"text"', '"input_text"'):
            return None
        return Turn(_TEXT.decode(text["text"]), tuple(earlier), f"{form}:{kind}", others)
    except (msgspec.DecodeError, ValueError):
        return None


def _plain_object(raw: Raw) -> Mapping[str, Raw] | None:
    """The fields of an object that repeats none of them; else None."""
    fields = _FIELDS.decode(raw)
    return fields if is_plain(raw, fields) else None
