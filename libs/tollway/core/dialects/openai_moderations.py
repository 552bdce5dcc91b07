"""`POST /v1/moderations` of OpenAI.

Owns partial reading of both directions. Shapes: `CreateModerationRequest` and `CreateModerationResponse` of OpenAI's
API description.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.dialects.head import Head, present, read_fields, text_field
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

DEFAULT_MODEL = "omni-moderation-latest"
"""What OpenAI takes when a request names no model."""
MAX_INPUTS = 4096


class _Moderations(Answer):
    results: Any = None


_DECODER = msgspec.json.Decoder(_Moderations)


class Moderations(JSONCall):
    """A `Passthrough`."""

    def read_head(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Passthrough.read_head`."""
        fields = read_fields(body)
        model = DEFAULT_MODEL if present(fields, "model") is None else text_field(fields, "model")
        raw = required(fields, "input")
        if raw[0] == ord('"'):
            string_field(fields, "input")
        elif raw[0] == ord("["):
            items_of(raw, "input", MAX_INPUTS, b'"{', "a string or an object")
        else:
            raise wrong_type("input", "a string or an array", raw)
        return Head(model=model, fields=fields)

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: images to look at may be URLs."""
        check_media(head.fields["input"], "input")

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:  # noqa: ARG002 - the port's signature
        """As `Passthrough.finished`. OpenAI tells no usage because there is nothing to pay; services that do, tell."""
        answer = read_answer(_DECODER, _Moderations, body)
        if not isinstance(answer.results, list):
            raise garbage("it has no list of results")
        return Told(Usage(input=count(answer.usage, "prompt_tokens", "input_tokens", "total_tokens") or 0), 0)


MODERATIONS = Moderations()
