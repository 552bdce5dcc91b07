"""What is stored of a captured request: without secrets, masked where the project says so, as JSON.

Runs in the writer's thread, never on the path of requests. The form is that of docs/reference/request-log.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from tollway.core.dialects.multipart import Form, is_form, read_form
from tollway.core.errors import TollwayError
from tollway.core.masking import LONGEST_CUT, find, mask
from tollway.core.masking_bodies import mask_events, mask_json, mask_text
from tollway.core.requestlog import LoggedBody
from tollway.dataplane.endpoints.port import EVENTS
from tollway.dataplane.requestlog.capture import Captured

MAX_HEADER_LENGTH = 1000
MAX_PARTS = 256
MIN_SECRET_LENGTH = 8
"""Shorter ones are words of a text sooner than secrets."""
REDACTED = "[redacted]"
_KEPT = frozenset({
    "accept", "accept-encoding", "accept-language", "anthropic-beta", "anthropic-version", "cache-control",
    "content-encoding", "content-length", "content-type", "openai-beta", "openai-organization", "openai-project",
    "request-id", "retry-after", "retry-after-ms", "server", "traceparent", "user-agent", "x-forwarded-for",
    "x-request-id", "x-should-retry",
})  # fmt: skip
_KEPT_PREFIXES = ("x-tollway-", "x-stainless-", "x-ratelimit-", "anthropic-ratelimit-")
_KEY_HEADERS = ("Authorization", "x-api-key", "api-key")
_ODD = re.compile(rb"[^!#-\[\]-~]")
"""What JSON may write in another way."""
_OUR_KEYS = re.compile(rb"(sk-tw-[0-9A-Za-z]{8}-)[0-9A-Za-z]{1,64}")


class Packer:
    """Makes what is stored; for one thread."""

    def pack(self, captured: Captured) -> LoggedBody:
        """The request and its answer as they go to the control plane."""
        entry, project = captured.entry, captured.project
        secrets = _secrets(captured)
        sent = _kept(captured.headers.items())
        plain = _plain(captured, sent) if not captured.masked and not captured.cut else b""
        if not plain or _tells(plain, secrets):
            sent = _headers(captured.headers.items(), secrets)
            plain = _careful(captured, sent, secrets)
        return LoggedBody(
            request_id=captured.request_id,
            started_ms=captured.started_ms,
            organisation=project.organisation,
            business_unit=project.business_unit,
            project=project.id,
            key_id=entry.key_id,
            key_public_id=entry.public_id,
            user=entry.user,
            endpoint=captured.endpoint,
            model=_said(captured.model, secrets),
            provider=captured.provider,
            stream=captured.stream,
            status=captured.status,
            outcome=captured.outcome,
            error_code=captured.error_code,
            client_request_id=captured.client_request_id,
            tags=_tags(captured, secrets),
            client_address=captured.client_address,
            user_agent=sent.get("user-agent", ""),
            retention_days=project.logging.retention_days,
            masked=captured.masked,
            truncated=captured.cut,
            plain_bytes=len(plain),
            content=plain,
            duration_ms=max(0, captured.ended_ms - captured.started_ms),
        )


def _plain(captured: Captured, sent: Mapping[str, str]) -> bytes:
    """The content as it is; nothing where a body is no text: no secret could be seen in its base64."""
    try:
        body, answer = captured.body.decode(), b"".join(captured.answer).decode()
    except UnicodeDecodeError:
        return b""
    return orjson.dumps(
        {
            "request": {"headers": sent, "body": body},
            "response": {
                "status": captured.status,
                "headers": _kept(captured.answer_headers),
                "body": answer,
                "streamed": captured.stream,
            },
        }
    )


def _tells(plain: bytes, secrets: list[bytes]) -> bool:
    """Whether a secret is in the content, or may be in it as JSON writes it."""
    if b"sk-tw-" in plain:
        return True
    return any(secret in plain or _ODD.search(secret) is not None for secret in secrets)


def _careful(captured: Captured, sent: dict[str, str], secrets: list[bytes]) -> bytes:
    """The content without secrets, masked where the project says so."""
    masked = captured.masked
    request = _without(captured.body, secrets, cut=captured.body_cut)
    answer = _without(b"".join(captured.answer), secrets, cut=captured.answer_cut)
    got = _headers(captured.answer_headers, secrets)
    request_type, answer_type = captured.headers.get("Content-Type", ""), got.get("content-type", "")
    content = {
        "request": {"headers": sent, "body": _body(request, request_type, captured.body_cut, masked)},
        "response": {
            "status": captured.status,
            "headers": got,
            "body": _body(answer, answer_type, captured.answer_cut, masked),
            "streamed": captured.stream,
        },
    }
    if masked:
        for headers in (sent, got):
            if find("\n".join(headers.values())):
                headers.update({name: mask(value) for name, value in headers.items()})
    return orjson.dumps(content)


def _tags(captured: Captured, secrets: list[bytes]) -> dict[str, str]:
    """What the key and the client say beside the body."""
    if not captured.tags:
        return captured.entry.tags
    told = {_said(name, secrets): _said(tag, secrets) for name, tag in captured.tags.items()}
    return {**captured.entry.tags, **told}


def _secrets(captured: Captured) -> list[bytes]:
    """What must not be stored wherever it stands: the caller's key, and the credentials that were used."""
    presented = [part for name in _KEY_HEADERS for part in captured.headers.get(name, "").split()]
    found = {secret.encode() for secret in (*presented, *captured.secrets) if len(secret) >= MIN_SECRET_LENGTH}
    return sorted(found, key=len, reverse=True)


def _without(data: bytes, secrets: list[bytes], *, cut: bool) -> bytes:
    """`data` less the secrets, and less the beginning of one at a cut end."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, REDACTED.encode())
        if cut:
            for length in range(min(len(secret) - 1, len(data)), 3, -1):
                if data.endswith(secret[:length]):
                    data = data[:-length]
                    break
    return _OUR_KEYS.sub(rb"\1" + REDACTED.encode(), data) if b"sk-tw-" in data else data


def _said(text: str, secrets: list[bytes]) -> str:
    """What a client wrote beside its body, less secrets and half surrogates: bytes of a header that were no UTF-8."""
    if len(text) < MIN_SECRET_LENGTH and text.isascii():
        return text
    return _without(text.encode("utf-8", "replace"), secrets, cut=False).decode()


def _kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that may be kept, by their names in lower case."""
    return {
        lowered: value[:MAX_HEADER_LENGTH] if value.isascii() else _encodable(value)[:MAX_HEADER_LENGTH]
        for name, value in headers
        if (lowered := _kept_name(name))
    }


def _encodable(text: str) -> str:
    """Without half surrogates: bytes of a header that were no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _headers(headers: Iterable[tuple[str, str]], secrets: list[bytes]) -> dict[str, str]:
    """The headers that may be kept, less secrets."""
    return {
        lowered: _said(value, secrets)[:MAX_HEADER_LENGTH] for name, value in headers if (lowered := _kept_name(name))
    }


@lru_cache(maxsize=4096)
def _kept_name(name: str) -> str:
    """The header's name in lower case if it may be kept, else nothing."""
    lowered = name.lower()
    return lowered if lowered in _KEPT or lowered.startswith(_KEPT_PREFIXES) else ""


def _body(data: bytes, content_type: str, cut: bool, masked: bool) -> str | Mapping[str, str]:
    """A body as text; in base64 when it is none and need not be masked."""
    text = _text(data, cut)
    if not masked:
        return text if text is not None else _shown(data)
    if text is None:
        return _form_text(data, content_type) if is_form(content_type) else f"[BINARY: {len(data)} bytes]"
    found = _mask(text, content_type.partition(";")[0].strip().lower())
    # What is recognised by its whole form may have been cut before its end.
    return found[:-LONGEST_CUT] if cut else found


def _mask(text: str, media_type: str) -> str:
    if media_type == EVENTS:
        return mask_events(text)
    if media_type.endswith("json") or text[:64].lstrip()[:1] in ("{", "["):
        return mask_json(text)
    return mask_text(text)


def _shown(data: bytes) -> str | Mapping[str, str]:
    """A body as text; in base64 when it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _text(data: bytes, cut: bool) -> str | None:
    """The text that `data` is in UTF-8; None when it is none. A character that was cut is left out."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if cut and error.start > len(data) - 4:
            return data[: error.start].decode()
        return None


def _form_text(data: bytes, content_type: str) -> str:
    """A form that is not all text: its fields masked, its files by their size alone."""
    try:
        form: Form = read_form(data, content_type, max_parts=MAX_PARTS)
    except TollwayError:
        return f"[BINARY: {len(data)} bytes]"
    lines = []
    for part in form.parts:
        value: Any = _text(bytes(part.value), cut=False)
        shown = mask_text(value) if value is not None else f"[BINARY: {len(part.value)} bytes]"
        named = part.name if part.filename is None else f"{part.name} ({part.filename})"
        lines.append(f"{mask(named)}: {shown}")
    return "\n".join(lines)
