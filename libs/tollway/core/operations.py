"""What can be asked of a model: one name for each API call that clients make and providers serve."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """An API call. A provider serves it in the same form, in another (then it is translated), or not at all."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    EMBEDDINGS = "embeddings"
    FEATURES = "features"
    """Hugging Face's feature extraction: embeddings in its own words."""
    MODERATIONS = "moderations"
    IMAGE_GENERATION = "image_generation"
    IMAGE_EDIT = "image_edit"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    RERANK = "rerank"


GENERATION = frozenset({Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES, Operation.MESSAGES})
"""The calls that a model answers with a turn of a conversation: each can be translated into each."""
