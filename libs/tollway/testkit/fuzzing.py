"""What fuzz targets share: how their inputs are made from bytes, mutated, kept, and held to a bound.

Owns no target: those are in tests/fuzz/targets, one a module, each with `one(data)`, which raises for a finding, and
`seeds()`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

HEADER = 2
"""Bytes before the input proper: the first picks a way through the product, the second how the input is split."""

_JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    0.5,
    2**64,
    10**400,
    "",
    "x",
    "\ud800",
    "é\u2028\U0001f600",
    "line\r\nend",
    '{"a":',
    "}",
    "error",
    "http://10.0.0.1/",
    "[DONE]",
    [],
    {},
    [[]],
    [{}],
    {"error": {}},
    {"type": "text", "text": "t"},
)
_BREAKS = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b"")
_NESTED = (60, 300, 990)


def load(path: Path) -> ModuleType:
    """The target in this file."""
    name = f"fuzz_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_corpus(path: Path) -> list[bytes]:
    """The kept inputs of a target: a JSON array, each as text, or as base64 in an array of its own where it is none."""
    if not path.exists():
        return []
    found = json.loads(path.read_text("utf-8"))
    return [item.encode() if isinstance(item, str) else base64.b64decode(item[0]) for item in found]


def write_corpus(path: Path, inputs: Iterable[bytes]) -> None:
    """As `read_corpus` reads; one input a line, in an order of their own, so that differences are small."""
    lines = sorted(json.dumps(_text_of(data)) for data in set(inputs))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def _text_of(data: bytes) -> str | list[str]:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return [base64.b64encode(data).decode("ascii")]


def amplified(received: int, made: int, factor: int, fixed: int = 65_536) -> None:
    """Raise AssertionError when more was made of what was received than a small multiple."""
    assert made <= factor * received + fixed, f"{made} bytes of {received}, over {factor} times"


def mutate(data: bytes, size: int, seed: int, blind: Callable[[bytes, int], bytes]) -> bytes:
    """Another input of at most `size` bytes: by events, by JSON values, or by `blind`, which knows no structure."""
    dice = random.Random(seed)
    if len(data) <= HEADER or dice.random() < 0.3:
        return blind(data, size)
    head, body = bytearray(data[:HEADER]), data[HEADER:]
    if dice.random() < 0.2:
        head[dice.randrange(HEADER)] = dice.randrange(256)
    blocks = body.split(b"\n\n")
    if len(blocks) > 1 and dice.random() < 0.5:
        _shuffle(blocks, dice)
    else:
        at = dice.randrange(len(blocks))
        blocks[at] = _change_json(blocks[at], dice, lambda raw: blind(raw, size))
    gap = dice.choice(_BREAKS) if dice.random() < 0.1 else b"\n\n"
    return (bytes(head) + gap.join(blocks))[:size]


def _shuffle(blocks: list[bytes], dice: random.Random) -> None:
    """Whole events: one is left out, repeated, moved or swapped."""
    one, other = dice.randrange(len(blocks)), dice.randrange(len(blocks))
    match dice.randrange(4):
        case 0:
            del blocks[one]
        case 1:
            blocks[other:other] = [blocks[one]] * dice.choice((1, 1, 2, 9))
        case 2:
            blocks.insert(other, blocks.pop(one))
        case 3:
            blocks[one], blocks[other] = blocks[other], blocks[one]


def _change_json(block: bytes, dice: random.Random, blind: Callable[[bytes], bytes]) -> bytes:
    """The first JSON object in the block, with one place of it changed."""
    start = block.find(b"{")
    try:
        value = json.loads(block[start:])
    except (ValueError, RecursionError):
        return blind(block)
    places = _places(value)
    if start < 0 or not places:
        return blind(block)
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = dice.choice(places)[0]
        case 2 if isinstance(holder, dict):
            other = dice.choice(places)[1]
            holder[other if isinstance(other, str) else "x"] = holder[key]
        case 3 if isinstance(holder, list):
            holder.append(holder[key])
        case 4 if dice.random() < 0.2:
            holder[key] = _deep(dice, key)
        case _:
            holder[key] = dice.choice(_JUNK)
    try:
        return block[:start] + json.dumps(value, ensure_ascii=dice.random() < 0.9, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # a value that holds itself, half a surrogate pair, too deep
        return blind(block)


def _deep(dice: random.Random, key: str | int) -> Any:
    """A value within values of its own kind."""
    value: Any = "x"
    for _ in range(dice.choice(_NESTED)):
        value = {key: value} if isinstance(key, str) and dice.random() < 0.9 else [value]
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) at which something can be replaced; the deepest are left alone."""
    found: list[tuple[Any, Any]] = []
    pending = [(value, 0)] if isinstance(value, dict | list) else []
    while pending:
        holder, depth = pending.pop()
        items = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
        found += [(holder, key) for key, _ in items]
        if depth < 30:
            pending += [(item, depth + 1) for _, item in items if isinstance(item, dict | list)]
    return found
