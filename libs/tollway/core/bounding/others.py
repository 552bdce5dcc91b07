"""The most that the calls beside conversations can use: embeddings, moderations, rerank, images and sound.

Owns their sums and the tables of what an image has. Nothing of them carries a limit of output, so a model that is
priced by tokens of output is refused where no table tells how many there can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Raw

from tollway.core.bounding.conversations import Asking
from tollway.core.bounding.fields import check_fields, refused
from tollway.core.bounding.media import TOKENS_PER_SECOND, audio_ms
from tollway.core.bounding.parts import WINDOW_REMEDY, Tally
from tollway.core.bounding.text import text_tokens
from tollway.core.bounds import UNLIMITED, Bound
from tollway.core.dialects.head import Head, decoded, integer_field, present
from tollway.core.dialects.multipart import Form, is_form, read_form
from tollway.core.dialects.openai_audio import MAX_PARTS
from tollway.core.dialects.rerank import DOCUMENTS_PER_SEARCH
from tollway.core.operations import Operation
from tollway.core.pricing import OUTPUT_PARTS, Price

REQUEST_TOKENS = 256
"""What these calls may add to a request: instructions and separators."""
PER_INPUT = 64
"""What a model may put in front of each text: "Represent the query for retrieving supporting documents: " (Voyage)."""
PER_PAIR = 16
"""Separators between a query and a document: 3 or 4 tokens."""
CHUNK_TOKENS = 500
"""Cohere cuts documents that are longer, the query included, and counts the pieces:
https://docs.cohere.com/docs/rerank-overview, https://cohere.com/pricing."""
IMAGE_OUTPUT = {b'"low"': 408, b'"medium"': 1584}
IMAGE_OUTPUT_DEAREST = 6240
"""Tokens of the largest image by quality; `high`, and what the model may choose itself:
https://platform.openai.com/docs/guides/image-generation#cost-and-latency."""
PARTIAL_IMAGE = 100
_BEGINNING = 1 << 18
"""Bytes of a file in which its header is looked for."""
IMAGE_INPUT = 8000
"""An image to start from: 65 tokens, 129 for each of 8 tiles, and 6,240 with high fidelity; for what is in the same
place."""

_TABLED = re.compile(r"gpt-image-1(?!\.)")
_NO_MEDIA = frozenset({"audio_input", "image_input", "cache_write_5m", "cache_write_1h"})
_OUTPUTS = frozenset({"output", *OUTPUT_PARTS})
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_OPEN_ARRAY, _OPEN_BRACE = ord("["), ord("{")


def bound_other(head: Head, body: bytes, content_type: str, asking: Asking) -> Bound:
    """The bound of one request. Raises TollwayError(unsupported_parameter) naming what cannot be bounded."""
    check_fields(asking.operation, head.fields, asking.price)
    form = read_form(body, content_type, max_parts=MAX_PARTS) if is_form(content_type) else None
    if form is not None:
        named = {part.base: Raw(b'""') for part in form.parts}
        check_fields(asking.operation, named, asking.price)
    return _BOUNDS[asking.operation](head, body, form, asking)


def _embeddings(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    tokens = text_tokens(body, asking.kind) + REQUEST_TOKENS
    fields = head.fields
    if present(fields, "messages") is not None:
        raise refused("messages", "what such a model bills is not known", "Send 'input' as text.")
    inputs = _items(fields["input"])
    for index, item in enumerate(inputs):
        if memoryview(item)[0] == _OPEN_BRACE:
            raise refused(f"input[{index}]", "what is no text has no known size", "Send text.")
    if not {"input_type", "task"}.isdisjoint(fields):
        tokens += PER_INPUT * max(1, len(inputs))
    return Bound(input=tokens, absent=_NO_MEDIA)


def _moderations(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    tokens = text_tokens(body, asking.kind) + REQUEST_TOKENS
    raw = head.fields["input"]
    if memoryview(raw)[0] != _OPEN_ARRAY:
        return Bound(input=tokens, absent=_NO_MEDIA)
    tally = Tally(asking.kind, asking.model)
    tally.add_raw(raw, "input")
    if tally.window is not None:
        if asking.context_tokens is None:
            raise refused(*tally.window, WINDOW_REMEDY)
        return Bound(input=max(tokens, asking.context_tokens * len(_items(raw))))
    return Bound(input=tokens - tally.media_bytes + tally.tokens)


def _rerank(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    fields = head.fields
    for name in ("query", "documents"):
        if memoryview(fields[name])[0] == _OPEN_BRACE:
            raise refused(name, "what is no text has no known size", "Send text.")
    documents = _items(fields["documents"])
    for index, document in enumerate(documents):
        if memoryview(document)[0] == _OPEN_BRACE and decoded(document).keys() != {"text"}:
            raise refused(f"documents[{index}]", "what is no text has no known size", "Send text.")
    query = text_tokens(bytes(fields["query"]), asking.kind)
    whole = text_tokens(bytes(fields["documents"]), asking.kind)
    # Each document is read together with the query, and some bill the query with every one.
    tokens = whole + len(documents) * (query + PER_PAIR) + REQUEST_TOKENS
    room = CHUNK_TOKENS - query - PER_PAIR
    pieces = len(documents) + (whole // room if room > 0 else whole)
    return Bound(input=tokens, searches=-(-pieces // DOCUMENTS_PER_SEARCH), absent=_NO_MEDIA)


def _images(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    fields = head.fields
    price = asking.price
    tokens = text_tokens(bytes(fields["prompt"]), asking.kind) + REQUEST_TOKENS
    given = _images_given(fields, form)
    tokens += given * IMAGE_INPUT
    tabled = _TABLED.search(asking.model) is not None
    if not tabled and given and (price.input or price.image_input):
        raise refused("image", "how many tokens it is to this model is not known", "Price the model by the image.")
    return Bound(input=tokens, output=_image_output(fields, tabled, asking), choices=head.n, images=head.n)


def _image_output(fields: Mapping[str, Raw], tabled: bool, asking: Asking) -> int:
    price = asking.price
    if not _is_output_priced(price):
        return UNLIMITED
    partial = integer_field(dict(fields), "partial_images", 0) if "partial_images" in fields else 0
    if tabled:
        quality = bytes(fields.get("quality", b""))
        return IMAGE_OUTPUT.get(quality, IMAGE_OUTPUT_DEAREST) + (partial or 0) * PARTIAL_IMAGE
    if asking.max_output_tokens is not None:
        return asking.max_output_tokens
    why = "how many tokens an image of this model has is not known"
    raise refused("model", why, "Have it priced by the image, or the model's max_output_tokens set.")


def _images_given(fields: Mapping[str, Raw], form: Form | None) -> int:
    """How many images a request starts from."""
    if form is not None:
        return sum(part.base in ("image", "mask") for part in form.parts)
    return sum(max(1, len(_items(fields[name]))) for name in ("image", "images", "mask") if name in fields)


def _speech(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    price = asking.price
    if _is_output_priced(price) and (head.stream or price.characters is None):
        why = "speech that is priced by tokens has no limit of output"
        raise refused("stream_format" if head.stream else "model", why, "Use a model that is priced by characters.")
    return Bound(
        input=text_tokens(body, asking.kind) + REQUEST_TOKENS,
        output=UNLIMITED if head.stream else 0,
        characters=len(_TEXT.decode(head.fields["input"])),
    )


def _hearing(head: Head, body: bytes, form: Form | None, asking: Asking) -> Bound:  # noqa: ARG001
    price = asking.price
    files = [part for part in form.parts if part.base == "file"] if form is not None else []
    if len(files) != 1:
        raise refused("file", "its length is not known", "Send one file.")
    duration = audio_ms(bytes(files[0].value[:_BEGINNING]), len(files[0].value))
    if duration is None:
        raise refused("file", "its length is not known; WAV (PCM) and MP3 tell", "Send one of these.")
    duration += 1000  # seconds are billed whole
    prompt = head.fields.get("prompt")
    tokens = REQUEST_TOKENS + (0 if prompt is None else text_tokens(bytes(prompt), asking.kind))
    output = UNLIMITED
    if _is_output_priced(price):
        chunked = present(head.fields, "chunking_strategy") is not None
        if chunked or asking.max_output_tokens is None:
            why = "a transcript that is priced by tokens has no limit of output"
            remedy = "Leave it out." if chunked else "Have the model's max_output_tokens set."
            raise refused("chunking_strategy" if chunked else "model", why, remedy)
        output = asking.max_output_tokens
    return Bound(input=tokens + -(-duration * TOKENS_PER_SECOND // 1000), output=output, audio_ms=duration)


def _is_output_priced(price: Price) -> bool:
    """Whether a token of output can cost anything."""
    rates = (rate for step in price.steps for name, rate in (("output", step.output), *step.parts) if name in _OUTPUTS)
    return any(rate > 0 for rate in rates)


def _items(raw: Raw) -> list[Raw]:
    """The items of an array; none for anything else."""
    return _LIST.decode(raw) if memoryview(raw)[0] == _OPEN_ARRAY else []


_Bounding = Callable[[Head, bytes, Form | None, Asking], Bound]
_BOUNDS: Mapping[Operation, _Bounding] = {
    Operation.EMBEDDINGS: _embeddings,
    Operation.MODERATIONS: _moderations,
    Operation.RERANK: _rerank,
    Operation.IMAGE_GENERATION: _images,
    Operation.IMAGE_EDIT: _images,
    Operation.SPEECH: _speech,
    Operation.TRANSCRIPTION: _hearing,
    Operation.TRANSLATION: _hearing,
}
