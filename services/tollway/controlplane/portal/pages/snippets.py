"""The shortest code that calls a model, for what the model does and for each client library. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tollway.controlplane.portal.pages import snippet_texts as texts


@dataclass(frozen=True)
class Snippet:
    """Code to copy. `name` is fit for the id of an element."""

    name: str
    title: str
    code: str


_CURL, _PYTHON, _JAVASCRIPT = ("curl", "curl"), ("python", "Python, openai"), ("javascript", "JavaScript, openai")
_OF_KIND = {
    "chat": (
        (*_CURL, texts.CHAT_CURL),
        (*_PYTHON, texts.CHAT_PYTHON),
        (*_JAVASCRIPT, texts.CHAT_JAVASCRIPT),
        ("anthropic", "Python, anthropic", texts.CHAT_ANTHROPIC),
        ("anthropic-javascript", "JavaScript, @anthropic-ai/sdk", texts.CHAT_ANTHROPIC_JAVASCRIPT),
    ),
    "embeddings": (
        (*_CURL, texts.EMBEDDINGS_CURL),
        (*_PYTHON, texts.EMBEDDINGS_PYTHON),
        (*_JAVASCRIPT, texts.EMBEDDINGS_JAVASCRIPT),
    ),
    "images": (
        (*_CURL, texts.IMAGES_CURL),
        (*_PYTHON, texts.IMAGES_PYTHON),
        (*_JAVASCRIPT, texts.IMAGES_JAVASCRIPT),
    ),
    "speech": (
        (*_CURL, texts.SPEECH_CURL),
        (*_PYTHON, texts.SPEECH_PYTHON),
        (*_JAVASCRIPT, texts.SPEECH_JAVASCRIPT),
    ),
    "transcription": (
        (*_CURL, texts.TRANSCRIPTION_CURL),
        (*_PYTHON, texts.TRANSCRIPTION_PYTHON),
        (*_JAVASCRIPT, texts.TRANSCRIPTION_JAVASCRIPT),
    ),
    "rerank": (
        (*_CURL, texts.RERANK_CURL),
        (*_PYTHON, texts.RERANK_PYTHON),
        (*_JAVASCRIPT, texts.RERANK_JAVASCRIPT),
    ),
    "moderation": (
        (*_CURL, texts.MODERATION_CURL),
        (*_PYTHON, texts.MODERATION_PYTHON),
        (*_JAVASCRIPT, texts.MODERATION_JAVASCRIPT),
    ),
}
KINDS = frozenset(_OF_KIND)
"""What a model can be for."""


def kind_of(names: Iterable[str], inputs: Iterable[str], outputs: Iterable[str]) -> str:
    """What a model is for, one of KINDS: by what it takes and gives, else by its names (its own, its targets').

    A model that gives text as well as images or sound is for chat.
    """
    takes, gives, called = set(inputs), set(outputs), " ".join(names).lower()
    if "embedding" in gives:
        return "embeddings"
    if "rerank" in called or gives & {"score", "scores"}:
        return "rerank"
    if "moderation" in called:
        return "moderation"
    if gives and "text" not in gives:
        return "images" if "image" in gives else "speech" if "audio" in gives else "chat"
    listens = "audio" in takes and ("text" not in takes or "transcribe" in called)
    return "transcription" if listens else "chat"


def snippets(base: str, model: str, kind: str = "chat") -> list[Snippet]:
    """The snippets for a model of a kind (one of KINDS) behind a gateway (its origin, without a path)."""
    values = {"BASE": base, "MODEL": json.dumps(model)[1:-1]}
    return [
        Snippet(name, title, re.sub("BASE|MODEL", lambda found: values[found[0]], text))
        for name, title, text in _OF_KIND[kind]
    ]
