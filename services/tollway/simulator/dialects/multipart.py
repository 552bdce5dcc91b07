"""Reads multipart/form-data: text fields and files. Source: RFC 7578 and RFC 2046, section 5.1. Pure.

A form is a few slices of its body: nothing is decoded but headers and text fields, and the number of parts is bounded.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from tollway.simulator.dialects.port import BadRequest

MAX_PARTS = 200
MAX_HEAD_BYTES = 8192
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r'(?<![\w*])name="((?:[^"\\]|\\.)*)"')
_FILE = re.compile(r'filename="((?:[^"\\]|\\.)*)"')
_EXTENDED = re.compile(r"filename\*=utf-8''([^;\s]+)", re.IGNORECASE)
_QUOTES = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
"""How HTML's forms and most clients write what a quoted name cannot have in it."""


class File(NamedTuple):
    """One uploaded file."""

    name: str
    content: bytes


class Form(NamedTuple):
    """What was sent, by name without its `[]`; names may come several times."""

    fields: dict[str, list[str]]
    files: dict[str, list[File]]

    def convert(self, kind: type[Any], lists: frozenset[str] = frozenset()) -> Any:
        """The text fields as a struct; `lists` are those that may be several. Raises BadRequest."""
        values = {name: found if name in lists else found[-1] for name, found in self.fields.items()}
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"Invalid request: {error}") from None


def is_form(content_type: str) -> bool:
    """Whether a body of this content type is a form with files."""
    return content_type.lower().lstrip().startswith("multipart/form-data")


def parse(body: bytes, content_type: str) -> Form:
    """The form. Raises BadRequest where it is none, is cut off or has too many parts."""
    boundary = _BOUNDARY.search(content_type)
    if not is_form(content_type) or boundary is None:
        raise BadRequest("Content-Type must be multipart/form-data with a boundary.")
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode("utf-8", "replace")
    _preamble, *parts = (b"\r\n" + body).split(delimiter, MAX_PARTS + 1)
    if not parts or len(parts) > MAX_PARTS or not parts[-1].startswith(b"--"):
        raise BadRequest("Could not parse multipart form: it has no end, or too many parts.")
    form = Form({}, {})
    for part in parts[:-1]:
        _add(form, part)
    return form


def _add(form: Form, part: bytes) -> None:
    """Adds one part: the rest of the delimiter's line, the head, an empty line, the content."""
    start = part.find(b"\r\n")
    end = part.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
    if start < 0 or part[:start].strip(b" \t") or end < 0:
        raise BadRequest("Could not parse multipart form: a part has no head.")
    head = part[start:end].decode("utf-8", "replace")
    lines = (line for line in head.split("\r\n") if line.lower().startswith("content-disposition:"))
    disposition = next(lines, "")
    named = _NAME.search(disposition)
    if named is None:
        raise BadRequest("Could not parse multipart form: a part has no name.")
    name, content = _plain(named[1]).removesuffix("[]"), part[end + 4 :]
    extended, plain = _EXTENDED.search(disposition), _FILE.search(disposition)
    if extended is not None:
        form.files.setdefault(name, []).append(File(unquote(extended[1]), content))
    elif plain is not None:
        form.files.setdefault(name, []).append(File(_plain(plain[1]), content))
    else:
        try:
            form.fields.setdefault(name, []).append(content.decode())
        except UnicodeDecodeError:
            raise BadRequest(f"Could not parse multipart form: {name} is not UTF-8.", param=name) from None


def _plain(quoted: str) -> str:
    text = re.sub(r"\\(.)", r"\1", quoted)
    for written, meant in _QUOTES:
        text = text.replace(written, meant)
    return text
