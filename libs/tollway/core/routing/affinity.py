"""What belongs together goes to the same target: keys, and consistent hashing with bounded loads.

Owns the hash that all processes and replicas share: it depends on names alone, never on the process. The project is
part of every key, so that no project can aim at what another one keeps warm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import ceil, log

import msgspec

from tollway.core.catalog import Affinity

FACTOR = 1.25
"""No target gets more than this times its fair share of what is under way."""
BEGINNING_BYTES = 2048
"""So much of a prompt decides where it goes."""
_MASK = (1 << 64) - 1
_SYSTEM_FIELDS = ("system", "instructions")
_TURN_FIELDS = ("messages", "input", "prompt")
_TEXT_DECODER = msgspec.json.Decoder(str)
_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


class _Turn(msgspec.Struct):
    role: str = ""


class _Metadata(msgspec.Struct):
    user_id: str = ""


_TURN_DECODER = msgspec.json.Decoder(_Turn, strict=False)
_METADATA_DECODER = msgspec.json.Decoder(_Metadata)


def hash_of(*parts: bytes) -> int:
    """64 bits of the parts, each marked off from the next."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "big")


def affinity_key(kind: Affinity, project: str, session: str | None, fields: Mapping[str, msgspec.Raw]) -> int | None:
    """What a request's place depends on; None where it says nothing to go by.

    `session` is the `x-tollway-session` header, `fields` the top-level fields of the body as raw JSON.
    """
    if kind is Affinity.SESSION:
        named = session or _named(fields)
        if named:
            return hash_of(project.encode(), b"session", named.encode("utf-8", "replace"))
    beginning = prompt_beginning(fields)
    return hash_of(project.encode(), b"prefix", beginning) if beginning else None


def _named(fields: Mapping[str, msgspec.Raw]) -> str:
    """The conversation or person that the body names, in the order of how narrow the name is."""
    for name in ("prompt_cache_key", "user"):
        raw = fields.get(name)
        if raw is not None and (text := _text(raw)):
            return text
    raw = fields.get("metadata")
    if raw is None:
        return ""
    try:
        return _METADATA_DECODER.decode(raw).user_id
    except msgspec.DecodeError:
        return ""


def _text(raw: msgspec.Raw) -> str:
    try:
        return _TEXT_DECODER.decode(raw)
    except msgspec.DecodeError:
        return ""


def prompt_beginning(fields: Mapping[str, msgspec.Raw]) -> bytes:
    """The beginning of a prompt, which stays the same while its conversation grows: up to the first turn of a user."""
    parts: list[bytes] = [bytes(fields[name])[:BEGINNING_BYTES] for name in _SYSTEM_FIELDS if name in fields]
    for name in _TURN_FIELDS:
        raw = fields.get(name)
        if raw is not None:
            parts.append(_opening(raw))
            break
    return b"\0".join(parts)[:BEGINNING_BYTES]


def _opening(raw: msgspec.Raw) -> bytes:
    """The turns up to the first of a user; of what is no list of turns, its beginning."""
    try:
        turns = _LIST_DECODER.decode(raw)
    except msgspec.DecodeError:
        return bytes(raw)[:BEGINNING_BYTES]
    parts: list[bytes] = []
    size = 0
    for turn in turns:
        parts.append(bytes(turn)[:BEGINNING_BYTES])
        size += len(parts[-1])
        if size >= BEGINNING_BYTES or _role(turn) == "user":
            break
    return b"\0".join(parts)


def _role(turn: msgspec.Raw) -> str:
    try:
        return _TURN_DECODER.decode(turn).role
    except msgspec.DecodeError:
        return ""


def _mix(key: int, seed: int) -> int:
    """A well spread 64-bit number of two that are themselves (the finaliser of MurmurHash3, Appleby 2011)."""
    x = key ^ seed
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCD & _MASK
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53 & _MASK
    return x ^ (x >> 33)


def ranking(key: int, seeds: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Indices of the targets in the order in which a key wants them, by weighted rendezvous hashing.

    A target that comes or goes moves only the keys that it takes or had (Thaler and Ravishankar 1998; the weighted form
    by Schindelhauer and Schomaker 2005).
    """
    scores: list[float]
    if min(weights) == max(weights):  # the logarithm keeps the order
        scores = [_mix(key, seed) for seed in seeds]
    else:
        scores = [
            weight / -log((_mix(key, seed) + 1) / (_MASK + 2)) for seed, weight in zip(seeds, weights, strict=True)
        ]
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)


def bounded(ranked: Sequence[int], in_flight: Sequence[int], weights: Sequence[int]) -> list[int]:
    """The ranking with the overloaded at its end: those that have `FACTOR` times their share of what is under way.

    Source: Mirrokni, Thorup and Zadimoghaddam (2018), "Consistent hashing with bounded loads".
    """
    share = FACTOR * (sum(in_flight) + 1) / sum(weights)
    if max(in_flight) < share * min(weights):
        return list(ranked)
    full = [index for index in ranked if in_flight[index] >= ceil(share * weights[index])]
    return [index for index in ranked if index not in full] + full if full else list(ranked)
