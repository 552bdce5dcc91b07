"""`POST /v1/images/generations` and `/v1/images/edits` of OpenAI, whole and streamed.

Owns partial reading of both directions; edits come as a form or as JSON. Shapes: `CreateImageRequest`,
`CreateImageEditRequest`, `EditImageBodyJsonParam`, `ImagesResponse`, `ImageGenStreamEvent` and `ImageEditStreamEvent`
of OpenAI's API description.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head, flag_field, integer_field, invalid, present, read_fields, text_field
from tollway.core.dialects.multipart import check_single, form_fields, is_form, read_form, replace_field
from tollway.core.dialects.passthrough import (
    EVENTS,
    Answer,
    AnswerKind,
    EventView,
    Item,
    JSONCall,
    Sent,
    StreamEvent,
    Told,
    View,
    check_media,
    count,
    media_type,
    read_answer,
    string_field,
)
from tollway.core.dialects.ports import garbage
from tollway.core.usage import Usage

MAX_IMAGES = 128

_COMPLETED = frozenset({"image_generation.completed", "image_edit.completed"})
_PARTIAL = frozenset({"image_generation.partial_image", "image_edit.partial_image"})
_TEXTS = frozenset({"model", "prompt"})


class _Images(Answer):
    data: list[Item] | None = None


_DECODER = msgspec.json.Decoder(_Images)


class Generations(JSONCall):
    """A `Passthrough`."""

    def read_head(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Passthrough.read_head`; `Head.n` is the number of images."""
        return _head_of(read_fields(body))

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: images to start from may be URLs."""
        for name, raw in head.fields.items():
            if name not in _TEXTS:
                check_media(raw, name.partition("[")[0])

    def kind(self, head: Head, content_type: str) -> AnswerKind:  # noqa: ARG002 - the port's signature
        """As `Passthrough.kind`: what the provider says it is, for models that cannot stream answer whole."""
        return AnswerKind.EVENTS if media_type(content_type) == EVENTS else AnswerKind.JSON

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:  # noqa: ARG002 - the port's signature
        """As `Passthrough.finished`. Without a usage object the images alone are the usage."""
        answer = read_answer(_DECODER, _Images, body)
        if answer.data is None:
            raise garbage("it has no list of images")
        return Told(read_image_usage(answer.usage, len(answer.data)), 0)

    def view(self, head: Head) -> View:
        """As `Passthrough.view`."""
        return ImageView(head.n)


class Edits(Generations):
    """A `Passthrough`."""

    def read_head(self, body: bytes, content_type: str) -> Head:
        """As `Passthrough.read_head`; `Head.fields` of a form are its plain fields."""
        if not is_form(content_type):
            fields = read_fields(body)
            if present(fields, "images") is None and present(fields, "image") is None:
                raise invalid("Missing required parameter: 'images'.", "images")
            return _head_of(fields)
        form = read_form(body, content_type)
        check_single(form, "model")
        if not any(part.base == "image" for part in form.parts):
            raise invalid("Missing required parameter: 'image'.", "image")
        return _head_of(form_fields(form, integers=("n",), flags=("stream",)))

    def outgoing(self, head: Head, body: bytes, content_type: str, model: str, without: Sequence[str] = ()) -> Sent:
        """As `Passthrough.outgoing`."""
        if not is_form(content_type):
            return super().outgoing(head, body, content_type, model, without)
        return Sent(replace_field(read_form(body, content_type), "model", model, without), content_type)


GENERATIONS = Generations()
EDITS = Edits()


def read_image_usage(value: Any, images: int) -> Usage:
    """The usage of a decoded usage object and the number of images.

    All output is image unless the details tell: only the newest models write text as well.
    """
    total = count(value, "input_tokens") or 0
    output = count(value, "output_tokens") or 0
    details_in = value.get("input_tokens_details") if isinstance(value, dict) else None
    details_out = value.get("output_tokens_details") if isinstance(value, dict) else None
    image_output = count(details_out, "image_tokens")
    return Usage(
        input=total,
        cached_input=min(count(details_in, "cached_tokens") or 0, total),
        image_input=min(count(details_in, "image_tokens") or 0, total),
        output=output,
        image_output=output if image_output is None else min(image_output, output),
        images=images,
    )


class ImageView(EventView):
    """A `View` of a stream of `images` images: each completes by an event with the usage of its own."""

    __slots__ = ("_completed", "_images")

    def __init__(self, images: int) -> None:
        """`images`: how many the client asked for."""
        super().__init__()
        self._images = images
        self._completed = 0

    def _take(self, kind: str, event: StreamEvent) -> None:
        if kind in _COMPLETED:
            self._content()
            self._completed += 1
            self.usage = _plus(self.usage or Usage(), read_image_usage(event.usage, 1))
            self.done = self._completed >= self._images
        elif kind in _PARTIAL:
            self._content()


def _head_of(fields: dict[str, Raw]) -> Head:
    model = text_field(fields, "model")
    string_field(fields, "prompt")
    n = integer_field(fields, "n", 1, MAX_IMAGES)
    return Head(model=model, stream=flag_field(fields, "stream"), n=1 if n is None else n, fields=fields)


def _plus(one: Usage, other: Usage) -> Usage:
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__})
