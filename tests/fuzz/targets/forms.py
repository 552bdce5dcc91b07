"""Forms: images to edit, audio to transcribe. The input is the Content-Type, a line end, and the body."""

from __future__ import annotations

from tollway.core.dialects.multipart import is_form, read_form
from tollway.core.errors import TollwayError
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.http.errors import error_body
from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import asked_of

PATHS = ("/v1/images/edits", "/v1/audio/transcriptions", "/v1/audio/translations")
FACTOR = 3
MAX_PARTS = 10_000


def one(data: bytes) -> None:
    """A form is refused, or what is sent is a form with the same parts but for the model."""
    path = PATHS[data[0] % len(PATHS)] if data else PATHS[0]
    kind, _, body = data[HEADER:].partition(b"\n")
    content_type = kind.decode("latin-1")
    try:
        codec = asked_of("openai", path, body, content_type)
    except TollwayError as error:
        error_body(error, ENDPOINTS[path].dialect, "id")
        return
    assert codec is not None
    try:
        payload = codec.payload()
    except TollwayError:
        return  # the target's name has the boundary in it
    amplified(len(body), len(payload.body), FACTOR)
    if not is_form(content_type):
        return  # an edit as JSON
    before = read_form(body, content_type, max_parts=MAX_PARTS)
    after = read_form(payload.body, content_type, max_parts=MAX_PARTS)
    kept = [(part.name, part.filename, bytes(part.value)) for part in before.parts if part.name != "model"]
    assert kept == [(p.name, p.filename, bytes(p.value)) for p in after.parts if p.name != "model"]
    models = [bytes(part.value) for part in after.parts if part.name == "model"]
    assert models == [b"gpt-3.5-turbo-instruct"], f"the target is not the one authorised: {models}"


def _form(*parts: tuple[str, bytes], boundary: bytes = b"b") -> bytes:
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, head.encode(), value)
        for head, value in parts
    )
    return b"multipart/form-data; boundary=" + boundary + b"\n" + body + b"--" + boundary + b"--\r\n"


def seeds() -> list[bytes]:
    """Forms of both calls, with what clients write differently."""
    model, image = ('name="model"', b"m"), ('name="image[]"; filename="a.png"', b"\x89PNG")
    audio = ("name=file; filename*=UTF-8''a%20b.wav\r\nContent-Type: audio/wav", b"RIFF\r\n--")
    forms = [
        (0, _form(model, image, ('name="prompt"', b"a cat"), ('name="n"', b"2"), ('name="stream"', b"true"))),
        (1, _form(model, audio, ('name="response_format"', b"srt"), ('name="timestamp_granularities[]"', b"word"))),
        (2, _form(audio, ('name="url"', b"https://example.com/a.wav"), model, boundary=b"----WebKit'()+_,-./:=?")),
        (0, b'application/json\n{"model":"m","prompt":"a","images":[{"file_id":"x"}]}'),
    ]
    return [bytes((path, 0)) + form for path, form in forms]
