"""What another provider wants back with its reasoning, carried in a reasoning item's `encrypted_content`.

Owns the form of that string: `tw1.` and the base64 of a JSON object with `signature` or `redacted`. Clients send it
back unchanged, so that a signature survives the way through this dialect. The `text` that was signed goes with it: some
clients keep nothing of an item but this string and the summary. It hides nothing and proves nothing: the provider that
made the signature checks it.
"""

from __future__ import annotations

import base64
import binascii
import json

import msgspec

from tollway.core import chat

_PREFIX = "tw1."


class _Sealed(msgspec.Struct):
    signature: str | None = None
    text: str = ""
    redacted: str | None = None


_DECODER = msgspec.json.Decoder(_Sealed)


def _seal(fields: dict[str, str]) -> str:
    # Not msgspec: a provider may have let half of a surrogate pair through, which only ASCII JSON can say.
    return _PREFIX + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode("ascii")


def seal_signature(signature: str, text: str = "") -> str:
    """The `encrypted_content` of reasoning that bears this signature, which is of this text."""
    return _seal({"signature": signature, "text": text} if text else {"signature": signature})


def seal_redacted(data: str) -> str:
    """The `encrypted_content` of reasoning that the provider keeps to itself."""
    return _seal({"redacted": data})


def is_ours(encrypted: str) -> bool:
    """Whether this module wrote it; no provider of this dialect can read it then."""
    return encrypted.startswith(_PREFIX)


def unseal(text: str, encrypted: str | None) -> chat.Thinking | chat.RedactedThinking | None:
    """The reasoning of an item with this visible text; None when there is nothing that another provider could use.

    Sealed text is what was signed: it counts before the visible one, which the client may have left out. What a
    provider of this dialect encrypted, and anything broken, counts as absent.
    """
    sealed = _Sealed()
    if encrypted is not None and is_ours(encrypted):
        try:
            sealed = _DECODER.decode(base64.b64decode(encrypted[len(_PREFIX) :], altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            sealed = _Sealed()
    if sealed.redacted is not None:
        return chat.RedactedThinking(sealed.redacted)
    text = sealed.text or text
    if not text and sealed.signature is None:
        return None
    return chat.Thinking(text, sealed.signature)
