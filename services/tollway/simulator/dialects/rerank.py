"""Rerank as Jina, Cohere and vLLM have it: documents by how many words they share with the query.

Sources: https://api.jina.ai/redoc, https://docs.cohere.com/reference/rerank and
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import Answer, Asked, count
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.openai import model_of
from tollway.simulator.dialects.port import BadRequest, decode, within

MAX_DOCUMENTS = 2048
_WORDS = re.compile(r"\w+")


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    query: str
    documents: list[str | dict[str, Any]]
    model: str = ""
    top_n: int | None = None
    return_documents: bool | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """What `detail` is here."""

    query: str
    documents: tuple[str, ...]
    top: int
    shown: bool


def score(query: str, document: str) -> float:
    """How alike two texts are, from 0 to 1: the words in both, by the geometric mean of the words in each."""
    left, right = (set(_WORDS.findall(text.lower())) for text in (query, document))
    return round(len(left & right) / math.sqrt(len(left) * len(right)), 6) if left and right else 0.0


class Rerank(Endpoint):
    """`/rerank`: best first; of equals the earlier first."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        within("documents", len(request.documents), 1, MAX_DOCUMENTS)
        within("top_n", request.top_n, 1, 1 << 31)
        documents = tuple(_text(document) for document in request.documents)
        top = len(documents) if request.top_n is None else request.top_n
        return Asked(
            model=model,
            stream=False,
            prompt_tokens=count(request.query) + sum(map(count, documents)),
            last_user="",
            may_call=False,
            natural=0,
            detail=_Wanted(request.query, documents, top, request.return_documents is not False),
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        wanted: _Wanted = asked.detail
        scores = [score(wanted.query, document) for document in wanted.documents]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])[: wanted.top]
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in best]
        for result in results if wanted.shown else ():
            result["document"] = {"text": wanted.documents[result["index"]]}
        found: dict[str, Any] = {"id": f"rerank-{request_id}", "model": asked.model, "results": results}
        if usage:
            found["usage"] = {"total_tokens": answer.prompt_tokens}
        return orjson.dumps(found)


def _text(document: str | dict[str, Any]) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise BadRequest("a document must be a string or an object with the field 'text'.", param="documents")
    return text
