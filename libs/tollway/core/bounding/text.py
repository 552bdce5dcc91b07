"""The most tokens that text can be, from its bytes.

Owns the figures for what is added to a request unseen. Every vocabulary in use covers at least one byte of text with a
token, so text has at most as many tokens as bytes; and the bytes of a JSON body are at least those of the text in it
(an escape is never shorter than what it stands for). The names, quotes and braces around each message, 25 bytes at
least, are counted as well: more than the tokens by which any chat template separates messages (OpenAI: 3 or 4, and 3
for the answer: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken_2; ChatML and Llama: 5).
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

OPENAI_KINDS = frozenset({"openai", "azure_openai"})
_ESCAPES = re.compile(rb"\\u([0-9a-fA-F]{4})")
_ESCAPE_BYTES = 6


class Unseen(NamedTuple):
    """Tokens that a service adds: to each request, where it has tools or a schema, and to each tool of its own design.

    `tool_bytes`: how many tokens a byte of a tool's description can become.
    """

    request: int
    tools: int
    own_tool: int
    tool_bytes: int


_ANTHROPIC = Unseen(256, 2048, 2048, 1)
"""https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview: a system prompt of 159 to 530 tokens with
tools; and of Anthropic's own tools: computer use 466 to 499 and 735, bash 245, text editor 700. Structured outputs
add a prompt of their own (196 tokens in a recording of a schema of 250 bytes)."""
_OPENAI = Unseen(256, 512, 2048, 1)
"""Functions are written as TypeScript, which is shorter than their JSON schema; the frame around them has some 20
tokens. Newer models put a short system message in front (harmony: some 60)."""
_ANY = Unseen(4096, 4096, 4096, 4)
"""What a chat template adds is the model's affair: default system prompts of published templates have up to some 2,500
tokens (Mistral), and tools are written with an indented `tojson` (Llama 3.1: at most 3 tokens for 2 bytes of `1,`),
by some templates twice."""


def unseen(kind: str) -> Unseen:
    """What a kind of provider adds."""
    if kind == "anthropic":
        return _ANTHROPIC
    return _OPENAI if kind in OPENAI_KINDS else _ANY


def text_tokens(text: bytes, kind: str, enough: int | None = None) -> int:
    """The most tokens that this JSON text, or text as it is, can be. OpenAI's vocabularies take bytes as they are.

    Text of `enough` bytes is not looked at: the caller has a smaller bound then.

    Others normalise text (NFKC) before they cut it up, by which some characters become longer: U+FDFA, one character
    of 3 bytes, becomes 18 of 33.
    """
    size = len(text)
    if kind in OPENAI_KINDS or (enough is not None and size >= enough):
        return size
    if not text.isascii():
        size += _grown(text)
    if b"\\u" in text:
        for code in set(_ESCAPES.findall(text)):
            more = _normalised(chr(int(code, 16))) - _ESCAPE_BYTES
            if more > 0:
                size += more * (text.count(b"\\u" + code))
    return size


def _grown(text: bytes) -> int:
    decoded = text.decode("utf-8", "replace")
    grown = 0
    for character in set(decoded):
        if character > "\x7f":
            more = _normalised(character) - len(character.encode())
            if more > 0:
                grown += more * decoded.count(character)
    return grown


def _normalised(character: str) -> int:
    """Bytes of a character after normalisation."""
    return len(unicodedata.normalize("NFKC", character).encode("utf-8", "surrogatepass"))
