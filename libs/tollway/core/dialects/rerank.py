"""`POST /v1/rerank` as Cohere, Jina, vLLM and others serve it; Voyage calls the results `data`.

Owns partial reading of both directions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.dialects.head import Head, integer_field, read_fields, text_field
from tollway.core.dialects.passthrough import (
    Answer,
    JSONCall,
    Told,
    check_media,
    count,
    items_of,
    read_answer,
    required,
    string_field,
    wrong_type,
)
from tollway.core.dialects.ports import garbage
from tollway.core.usage import Usage

MAX_DOCUMENTS = 10_000
DOCUMENTS_PER_SEARCH = 100
"""Cohere: "A single search unit is defined as one query with up to 100 documents to be ranked"."""

_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


class _Ranking(Answer):
    results: Any = None
    data: Any = None
    meta: Any = None


_DECODER = msgspec.json.Decoder(_Ranking)


class Rerank(JSONCall):
    """A `Passthrough`."""

    def read_head(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Passthrough.read_head`. Query and documents are objects where a model ranks images."""
        fields = read_fields(body)
        model = text_field(fields, "model")
        query = required(fields, "query")
        if query[0] == ord('"'):
            string_field(fields, "query")
        elif query[0] != ord("{"):
            raise wrong_type("query", "a string", query)
        documents = required(fields, "documents")
        # vLLM takes one object that holds all documents in its `content`.
        if documents[0] != ord("{"):
            items_of(documents, "documents", MAX_DOCUMENTS, b'"{', "a string or an object")
        integer_field(fields, "top_n", 0)
        return Head(model=model, fields=fields)

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: texts have none, images may be some."""
        for name in ("query", "documents"):
            check_media(head.fields[name], name)

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:  # noqa: ARG002 - the port's signature
        """As `Passthrough.finished`.

        Where neither tokens nor searches are told, searches are counted from the documents: the least that it can be,
        because Cohere cuts long documents up and counts the pieces.
        """
        answer = read_answer(_DECODER, _Ranking, body)
        if not isinstance(answer.results, list) and not isinstance(answer.data, list):
            raise garbage("it has no list of results")
        meta = answer.meta if isinstance(answer.meta, dict) else {}
        billed, names = meta.get("billed_units"), ("total_tokens", "input_tokens", "prompt_tokens")
        tokens = count(answer.usage, *names)
        if tokens is None:
            tokens = count(billed, *names)
        if tokens is None:
            tokens = count(meta.get("tokens"), *names)
        searches = count(billed, "search_units")
        if searches is None:
            searches = count(answer.usage, "search_units")
        if tokens is None and searches is None:
            searches = _searches(head)
        return Told(Usage(input=tokens or 0, searches=searches or 0), 0)


RERANK = Rerank()


def _searches(head: Head) -> int:
    raw = head.fields["documents"]
    documents = len(_LIST_DECODER.decode(raw)) if memoryview(raw)[0] == ord("[") else 1
    return -(-documents // DOCUMENTS_PER_SEARCH)
