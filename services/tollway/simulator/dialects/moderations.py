"""OpenAI's moderations: an input is flagged where it has the word `flagme`, as violence.

Source: https://platform.openai.com/docs/api-reference/moderations. There is no usage.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import IMAGE_TOKENS, Answer, Asked, count
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.port import BadRequest, as_str, decode, within

MODEL = "omni-moderation-latest"
"""The model where the request names none."""
MAX_INPUTS = 1000
FLAGGED = ("violence", "violence/graphic")
_WORD = re.compile(r"\bflagme\b", re.IGNORECASE)
_TEXT_ALONE = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "sexual/minors",
)
_IMAGES_TOO = ("self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic")
CATEGORIES = (*_TEXT_ALONE, *_IMAGES_TOO)


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    input: str | list[str | dict[str, Any]]
    model: str | None = None


class _Input(msgspec.Struct, frozen=True):
    """One input: its text, and whether it has images."""

    text: str
    images: int


class Moderations(Endpoint):
    """`/moderations`: a result for each text, one for all parts of a multimodal input."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        given = [request.input] if isinstance(request.input, str) else request.input
        within("input", len(given), 1, MAX_INPUTS)
        parts = [item for item in given if not isinstance(item, str)]
        if parts and len(parts) != len(given):
            raise BadRequest("'input' must be a string, an array of strings or an array of parts.", param="input")
        inputs = [_joined(parts)] if parts else [_Input(item, 0) for item in given if isinstance(item, str)]
        return Asked(
            model=path_model or request.model or MODEL,
            stream=False,
            prompt_tokens=sum(count(item.text) + IMAGE_TOKENS * item.images for item in inputs),
            last_user="",
            may_call=False,
            natural=0,
            unmetered=True,
            detail=inputs,
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        results = [_result(item) for item in asked.detail]
        return orjson.dumps({"id": f"modr-{request_id}", "model": asked.model, "results": results})


def _joined(parts: list[dict[str, Any]]) -> _Input:
    for part in parts:
        if part.get("type") not in ("text", "image_url"):
            raise BadRequest("'input' parts must be of the type text or image_url.", param="input")
    words = [as_str(part.get("text")) for part in parts if part["type"] == "text"]
    return _Input(" ".join(words), len(parts) - len(words))


def _result(item: _Input) -> dict[str, Any]:
    flagged = _WORD.search(item.text) is not None
    kinds = [*(["text"] if item.text else []), *(["image"] if item.images else [])]
    return {
        "flagged": flagged,
        "categories": {name: flagged and name in FLAGGED for name in CATEGORIES},
        "category_scores": {name: 0.95 if flagged and name in FLAGGED else 0.0001 for name in CATEGORIES},
        "category_applied_input_types": {
            name: kinds if name in _IMAGES_TOO else [kind for kind in kinds if kind == "text"] for name in CATEGORIES
        },
    }
