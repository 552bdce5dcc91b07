"""Structured logs: one JSON object a line on stderr, with the request id wherever there is one.

A log line never carries a secret: callers pass identifiers, and `scrub` replaces what looks like a key all the same.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

_KEYLIKE = re.compile(
    r"(sk-tw-[0-9A-Za-z]{8})-[0-9A-Za-z]+"  # our keys keep their public id
    r"|(sk-(?:ant|proj|svcacct)?-?)[0-9A-Za-z_-]{16,}"
    r"|(hf_)[0-9A-Za-z]{16,}"
    r"|((?:postgres|postgresql|redis|rediss|valkey)://[^:@/\s]*:)[^@\s]+(?=@)"
    r"|(?i:(bearer\s+))[0-9A-Za-z._~+/=-]{12,}"
)


def scrub_text(text: str) -> str:
    """`text` with everything that looks like a credential cut to its harmless beginning."""
    return _KEYLIKE.sub(lambda m: next((g for g in m.groups() if g), "") + "…", text)


def scrub(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Log processor: the last line of defence, after callers that should not have passed a secret."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = scrub_text(value)
        elif isinstance(value, BaseException):
            event[key] = scrub_text(repr(value))
    return event


def _dump(value: Any, **_: Any) -> bytes:
    return orjson.dumps(value, default=str)


def configure(service: str, level: str = "info", fmt: str = "json") -> None:
    """Sets up structlog and routes the standard library's loggers into it. Call once, at the start of a process."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda _l, _n, event: {"service": service, **event},
        scrub,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dump)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    if fmt == "json":
        factory: Any = structlog.BytesLoggerFactory(file=sys.stderr.buffer)
    else:
        factory = structlog.PrintLoggerFactory(file=sys.stderr)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = _Forward()
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


class _Forward(logging.Handler):
    """Standard-library records of the libraries in use, in our own form."""

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info if record.exc_info and record.exc_info[0] else None
        get(record.name).log(record.levelno, record.getMessage(), exc_info=exc)


def get(name: str) -> Any:
    """A logger; `name` becomes the field `component`."""
    return structlog.get_logger(component=name)
