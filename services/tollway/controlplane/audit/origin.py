"""Where a change came from, as the audit log keeps it. Pure.

Of a user agent only its class is kept: the text is long, personal, and chosen by the caller.
"""

from __future__ import annotations

import re

MAX_TEXT = 500
_CLASSES = (
    ("cli", re.compile(r"^tollway-cli\b")),
    ("sdk", re.compile(r"^tollway-sdk\b")),
    ("grpc", re.compile(r"^grpc-|\bgrpc-(?:python|go|java|node|c\+\+)")),
    ("browser", re.compile(r"^Mozilla/")),
    ("script", re.compile(r"(?i)^(?:curl|wget|python|aiohttp|okhttp|go-http-client|java|node|axios|postman|httpie)")),
)


def agent_class(user_agent: str) -> str:
    """ "cli", "sdk", "grpc", "browser", "script" or "other"; empty without a user agent."""
    if not user_agent:
        return ""
    return next((name for name, pattern in _CLASSES if pattern.search(user_agent)), "other")


def cleaned(text: str) -> str:
    """A caller's words on one line of bounded length, without what cannot be stored."""
    kept = "".join(char if char.isprintable() else " " for char in text[:MAX_TEXT])
    return kept.encode("utf-8", "replace").decode().strip()
