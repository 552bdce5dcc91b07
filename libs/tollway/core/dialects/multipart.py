"""multipart/form-data (RFC 7578, framed by RFC 2046, 5.1) in memory: where each part lies, and parts replaced.

Owns the framing alone. A form is refused when another reader could find other parts in the same bytes (bare line ends,
a boundary inside a part, text outside of the parts, repeated headers): what was authorised must be what is served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import invalid
from tollway.core.errors import Code, TollwayError

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 64
MAX_HEADER_BYTES = 8192
"""The most that the headers of one part may have."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PARAMETER = re.compile(r'\s*;\s*([^\s;="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_INTEGER = re.compile(r"-?[0-9]+")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_ENCODED = frozenset({"base64", "quoted-printable"})
_ENCODER = msgspec.json.Encoder()


class Part(NamedTuple):
    """One part. `filename` None: a plain value. `begins` is where its boundary line begins in the body, `start` and
    `end` where its value does and ends; the next boundary line begins at `end + 2`.
    """

    name: str
    filename: str | None
    content_type: str | None
    value: memoryview
    begins: int
    start: int
    end: int

    @property
    def base(self) -> str:
        """The name less an index: `image` for `image`, `image[]` and `image[0]`."""
        return self.name.partition("[")[0]


class Form(NamedTuple):
    """A whole form. `closes` is where the last boundary line begins."""

    body: bytes
    boundary: bytes
    parts: tuple[Part, ...]
    closes: int


def is_form(content_type: str) -> bool:
    """Whether the header says that the body is a form."""
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def read_form(body: bytes, content_type: str, *, max_parts: int = MAX_PARTS) -> Form:
    """The parts of a form; values are views of `body`.

    Raises TollwayError(unsupported_media_type | invalid_request) saying what is wrong.
    """
    boundary = _boundary_of(content_type)
    line = b"--" + boundary
    begins = 2 if body.startswith(b"\r\n") else 0
    if not body.startswith(line, begins):
        raise _broken("it does not begin with the boundary that its Content-Type names")
    parts: list[Part] = []
    while not body.startswith(b"--", begins + len(line)):
        if len(parts) == max_parts:
            raise _broken(f"it has more than {max_parts} parts")
        part = _read_part(body, line, begins, len(parts))
        parts.append(part)
        begins = part.end + 2
    if body[begins + len(line) + 2 :].strip():
        raise _broken("there is something after its last boundary")
    return Form(body, boundary, tuple(parts), begins)


def replace_field(form: Form, name: str, value: str, without: Sequence[str] = ()) -> bytes:
    """The form with the value of the plain field `name` replaced, and less the fields `without` (`x` means `x[]` too).

    Every other byte stays, the boundary too. A field that the form lacks is put in front.
    Raises TollwayError(invalid_request) when the boundary is part of the value.
    """
    new = value.encode("utf-8", "replace")
    if b"--" + form.boundary in new:
        raise _broken("its boundary occurs in a value")
    pieces: list[bytes | memoryview] = [form.body[: form.parts[0].begins if form.parts else form.closes]]
    if all(part.name != name for part in form.parts):
        header = f'Content-Disposition: form-data; name="{name}"'.encode()
        pieces.append(b"--" + form.boundary + b"\r\n" + header + b"\r\n\r\n" + new + b"\r\n")
    view = memoryview(form.body)
    for part in form.parts:
        if part.base in without:
            continue
        if part.name == name:
            pieces += (view[part.begins : part.start], new, b"\r\n")
        else:
            pieces.append(view[part.begins : part.end + 2])
    pieces.append(view[form.closes :])
    return b"".join(pieces)


def form_fields(form: Form, *, integers: Sequence[str] = (), flags: Sequence[str] = ()) -> dict[str, Raw]:
    """The plain fields as a JSON request would have them; files are left out, and so are empty `integers` and `flags`.

    Values are strings; of a name that occurs several times, or ends in `[]`, an array of strings. `integers` and
    `flags` that are such become JSON numbers and booleans, so that errors name the same types for both kinds of
    request. Raises TollwayError(invalid_request) for a value that is not UTF-8.
    """
    texts: dict[str, list[str]] = {}
    for part in form.parts:
        if part.filename is None:
            texts.setdefault(part.name, []).append(_text(part))
    fields: dict[str, Raw] = {}
    for name, values in texts.items():
        text = values[0]
        if len(values) > 1 or name.endswith("[]"):
            fields[name] = Raw(_ENCODER.encode(values))
        elif name in integers and _INTEGER.fullmatch(text.strip()):
            fields[name] = Raw(text.strip().encode())
        elif name in flags and text.strip().lower() in _TRUE | _FALSE:
            fields[name] = Raw(b"true" if text.strip().lower() in _TRUE else b"false")
        elif text or name not in (*integers, *flags):
            fields[name] = Raw(_ENCODER.encode(text))
    return fields


def check_single(form: Form, name: str) -> None:
    """Refuse a form in which a reader could take something else for the plain field `name`: twice, a file, `name[]`.

    Raises TollwayError(invalid_request) naming the field.
    """
    alike = [part for part in form.parts if part.base.strip().lower() == name]
    if len(alike) > 1 or any(part.name != name or part.filename is not None for part in alike):
        raise invalid(f"Invalid '{name}': the form must have one plain field of this name, and no file.", name)


def _broken(why: str) -> TollwayError:
    return invalid(f"We could not read the form in the body of your request: {why}.")


def _boundary_of(content_type: str) -> bytes:
    if not is_form(content_type):
        message = f"Send the request with the header Content-Type: {MEDIA_TYPE}; boundary=..."
        raise TollwayError(Code.UNSUPPORTED_MEDIA_TYPE, message)
    parameters = _parameters(content_type[len(content_type.partition(";")[0]) :])
    boundary = None if parameters is None else parameters.get("boundary")
    if boundary is None:
        raise _broken("its Content-Type names no boundary")
    if not _BOUNDARY.fullmatch(boundary):
        raise _broken("its Content-Type names a boundary that is not valid")
    return boundary.encode()


def _read_part(body: bytes, line: bytes, begins: int, index: int) -> Part:
    """The part whose boundary line begins there."""
    headers_start = begins + len(line) + 2
    following = body.find(line, headers_start)
    if following < 0:
        raise _broken("it is cut short; its last boundary is missing")
    if body[headers_start - 2 : headers_start] != b"\r\n":
        raise _broken(f"the boundary line before part {index + 1} does not end in CRLF")
    # From the CRLF of the boundary line on, so that no header at all is read as such.
    headers_end = body.find(b"\r\n\r\n", headers_start - 2, min(following, headers_start + MAX_HEADER_BYTES))
    if headers_end < 0:
        raise _broken(f"the headers of part {index + 1} do not end, or have more than {MAX_HEADER_BYTES} bytes")
    start, end = headers_end + 4, following - 2
    if end < start or body[end:following] != b"\r\n":
        raise _broken(f"its boundary occurs within part {index + 1}")
    headers = _headers(body[headers_start:headers_end], index)
    if headers.get("content-transfer-encoding", "").strip().lower() in _ENCODED:
        raise _broken(f"part {index + 1} has a Content-Transfer-Encoding; send values as they are")
    name, filename = _disposition(headers.get("content-disposition", ""), index)
    return Part(name, filename, headers.get("content-type"), memoryview(body)[start:end], begins, start, end)


def _headers(block: bytes, index: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    try:
        lines = block.decode("utf-8").split("\r\n") if block else []
    except UnicodeDecodeError:
        raise _broken(f"the headers of part {index + 1} are not UTF-8") from None
    for header in lines:
        name, colon, value = header.partition(":")
        key = name.lower()
        if not colon or not name or name != name.strip() or key in headers or re.search(r"[\r\n\0]", header):
            raise _broken(f"the headers of part {index + 1} are malformed")
        headers[key] = value.strip()
    return headers


def _disposition(value: str, index: int) -> tuple[str, str | None]:
    """Name and file name of a Content-Disposition header."""
    kind, semicolon, rest = value.partition(";")
    parameters = _parameters(semicolon + rest)
    if kind.strip().lower() != "form-data" or parameters is None:
        raise _broken(f"part {index + 1} has no valid Content-Disposition: form-data")
    name, filename = parameters.get("name"), parameters.get("filename")
    if not name:
        raise _broken(f"part {index + 1} has no name")
    # Readers differ in how they undo escapes and encodings in a name.
    if "\\" in name or "name*" in parameters:
        raise _broken(f"the name of part {index + 1} is not plain text")
    if filename is None and "filename*" in parameters:
        filename = unquote(parameters["filename*"].rpartition("'")[2], errors="replace")
    return name, filename


def _parameters(text: str) -> dict[str, str] | None:
    """`;a=b;c="d"` as a dictionary; None when it is malformed or names one twice."""
    found: dict[str, str] = {}
    at = 0
    while match := _PARAMETER.match(text, at):
        key = match[1].lower()
        if key in found:
            return None
        found[key] = match[3] if match[2] is None else match[2]
        at = match.end()
    return None if text[at:].strip(" \t;") else found


def _text(part: Part) -> str:
    try:
        return str(part.value, "utf-8")
    except UnicodeDecodeError:
        raise invalid(f"Invalid '{part.name}': it is not UTF-8.", part.name) from None
