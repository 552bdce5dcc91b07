"""What a provider says about an error, out of the many shapes of error bodies.

Owns reading and cleaning: no markup, no secrets, bounded length. What the error means is decided in `faults`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from tollway.core.dialects import lenient_json

MAX_MESSAGE = 1000
MAX_WAIT_SECONDS = 86_400.0

_MARKUP = re.compile(r"<\s*(?:!doctype|html|head|body|title|center)\b", re.IGNORECASE)
_SECRET = re.compile(r"\bsk-[\w*-]{6,}|\b(?:hf|pk|rk|xai|gsk|org|proj)[-_][\w*-]{16,}|\bBearer\s+\S+", re.IGNORECASE)
_ITEMS = 5
_DEPTH = 4


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the provider tells it. `status` is one that the body names, `wait` seconds until it may work."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    wait: float | None = None
    filtered: tuple[str, ...] = ()


NOTHING = Told()


def clean(text: str) -> str:
    """The text without secrets and identifiers of the account, bounded; empty when it is markup."""
    if _MARKUP.search(text):
        return ""
    text = _SECRET.sub("[redacted]", " ".join(text.split()))
    text = text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."
    # Half of a surrogate pair, which JSON can say and UTF-8 cannot, could not be told to anyone.
    return text.encode("utf-8", "replace").decode("utf-8")


def read_told(body: bytes) -> Told:
    """What an error body says; `NOTHING` for a body that is no JSON object or says nothing."""
    try:
        return told_of(lenient_json.loads(body))
    except ValueError:
        return NOTHING


def told_of(value: Any) -> Told:
    """What a decoded error body, or the object under its `error`, says.

    Known shapes: OpenAI and Anthropic (`error` object), Hugging Face (`error` a string or an array, `estimated_time`),
    vLLM (`message` at the top, number codes), Azure's front door (`statusCode`), FastAPI and Mistral (`detail`).
    """
    if isinstance(value, str):
        return Told(message=clean(value))
    if isinstance(value, list):
        if value and isinstance(value[0], dict):  # Gemini's compatible endpoint
            return told_of(value[0])
        return Told(message=clean("; ".join(item for item in value[:_ITEMS] if isinstance(item, str))))
    if not isinstance(value, dict):
        return NOTHING
    inner = value.get("error")
    if isinstance(inner, str | list):
        told = told_of(inner)
        return msgspec.structs.replace(
            told, type=_text(value.get("error_type")), wait=_seconds(value.get("estimated_time"))
        )
    if isinstance(inner, dict):
        value = inner
    code = value.get("code")
    message, param = _message(value.get("message"))
    if not message:
        message, param = _message(value.get("detail"))
    status = code if _is_status(code) else value.get("statusCode")
    if not _is_status(status) and isinstance(code, str) and code.isascii() and code.isdigit():
        status = int(code[:4])
    return Told(
        message=clean(message),
        code=_text(code),
        type=_text(value.get("type")),
        param=_text(value.get("param")) or _text(param),
        status=status if _is_status(status) else None,
        filtered=_filtered(value.get("innererror")),
    )


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599


def _text(value: Any) -> str | None:
    return clean(value) if isinstance(value, str) and value else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_WAIT_SECONDS:
        return float(value)
    return None


def _message(value: Any, depth: int = _DEPTH) -> tuple[str, str | None]:
    """(text, field) of a message: a string, or pydantic's list of `{loc, msg}`, bare or under `detail`."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, dict) and depth:
        return _message(value.get("detail") or value.get("message"), depth - 1)
    if not isinstance(value, list):
        return "", None
    texts, param = [], None
    for item in value[:_ITEMS]:
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            loc = item.get("loc")
            place = ".".join(str(step) for step in loc if step != "body") if isinstance(loc, list) else ""
            param = param or place or None
            texts.append(f"{place}: {item['msg']}" if place else item["msg"])
        elif isinstance(item, str):
            texts.append(item)
    return "; ".join(texts), param


def _filtered(innererror: Any) -> tuple[str, ...]:
    """The categories for which Azure filtered a prompt, with their severity."""
    result = innererror.get("content_filter_result") if isinstance(innererror, dict) else None
    if not isinstance(result, dict):
        return ()
    found = []
    for name, verdict in result.items():
        if isinstance(verdict, dict) and verdict.get("filtered") is True:
            severity = verdict.get("severity")
            found.append(f"{name}: {severity}" if isinstance(severity, str) else name)
    return tuple(clean(category) for category in found)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header by its lower-case name, whatever the case in a plain mapping."""
    value = headers.get(name)
    if value is not None:
        return value
    return next((value for key, value in headers.items() if key.lower() == name), None)


def date_of(text: str | None) -> float | None:
    """Unix seconds of an HTTP date (RFC 9110, 5.6.7), or None."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def wait_of(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms`, else by `retry-after` in seconds or as a date; at most a day.

    A date is measured from `now` (Unix seconds), else from the answer's own `date`.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = header(headers, name)
        if text is None:
            continue
        try:
            wait = float(text) * unit
        except ValueError:
            until = date_of(text)
            since = now if now is not None else date_of(header(headers, "date"))
            if until is None or since is None:
                continue
            wait = until - since
        if wait == wait:  # not NaN
            return min(max(wait, 0.0), MAX_WAIT_SECONDS)
    return None
