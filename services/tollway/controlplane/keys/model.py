"""Virtual keys as values: messages, rows, the status of a key, and what an imported value must be like. Pure.

Secrets appear only in the two messages that carry them on purpose, and never in a representation.
"""

from __future__ import annotations

import itertools
import math
import re
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.resources import etag
from tollway.core.ids import KEY_PREFIX, MAX_PRESENTED_LENGTH, parse_native

MIN_IMPORTED_LENGTH = 22
MIN_IMPORTED_BITS = 128.0


class KeyStatus(StrEnum):
    """Names as in the contract."""

    UNSPECIFIED = "KEY_STATUS_UNSPECIFIED"
    ACTIVE = "KEY_STATUS_ACTIVE"
    EXPIRED = "KEY_STATUS_EXPIRED"
    REVOKED = "KEY_STATUS_REVOKED"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown; `project` is the project's name."""

    id: str
    public_id: str
    name: str
    project: str
    models: list[str]
    tags: dict[str, str]
    status: KeyStatus
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_secret_valid_until: datetime | None = None
    etag: str = ""
    user: str = ""


class KeyWithSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A key and the secret that is shown this once (empty for an imported value, which the caller has)."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"KeyWithSecret(key={self.key!r})"


class CreateKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    project: str
    name: str
    models: list[str] = []
    tags: dict[str, str] = {}
    expires_at: datetime | None = None
    value: str = ""
    user: str = ""

    def __repr__(self) -> str:
        return f"CreateKeyRequest(project={self.project!r}, name={self.name!r})"


class GetKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    key: str


class ListKeysRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    project: str = ""
    include_revoked: bool = False


class ListKeysResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    keys: list[Key]
    next_page_token: str = ""


class UpdateKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    key: str
    models: list[str] = []
    tags: dict[str, str] = {}
    expires_at: datetime | None = None
    etag: str = ""
    user: str = ""


class RotateKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    key: str
    grace_seconds: int = 0
    etag: str = ""


class EndKeyGraceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    key: str
    etag: str = ""


class RevokeKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    key: str
    etag: str = ""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `keys` with the name of its project."""

    id: UUID
    project_id: UUID
    project: str
    project_archived: bool
    lookup: str
    public_id: str
    imported: bool
    name: str
    user_name: str
    models: list[str]
    tags: dict[str, str]
    version: int
    revision: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None
    grace_until: datetime | None = None
    """The latest end of an earlier secret's grace."""
    rules_of: UUID | None = None
    """The key that took this one's place; None: this one's own rules hold."""

    def status(self, now: datetime) -> KeyStatus:
        """Revoked before expired before active."""
        if self.revoked_at is not None:
            return KeyStatus.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyStatus.EXPIRED
        return KeyStatus.ACTIVE

    def view(self, now: datetime) -> Key:
        """The key as it is shown at `now`."""
        grace = self.grace_until if self.grace_until is not None and self.grace_until > now else None
        return Key(
            id=str(self.id),
            public_id="" if self.imported else self.public_id,
            name=self.name,
            project=self.project,
            models=self.models,
            tags=self.tags,
            status=self.status(now),
            created_at=self.created_at,
            updated_at=self.updated_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
            previous_secret_valid_until=grace if self.revoked_at is None else None,
            etag=etag(self.id, self.revision),
            user=self.user_name,
        )


class SecretRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `key_secrets`: digests only."""

    key_id: UUID
    digest: bytes
    pepper: str
    not_after: datetime | None = None


_KNOWN_FRAGMENTS = re.compile(
    r"password|passwort|secret|changeme|example|placeholder|testing|test|demo|tollway|litellm|openai|token|apikey|api|key|"
    r"admin|master|default|qwerty|letmein|sk",
    re.IGNORECASE,
)
_CLASSES: tuple[tuple[str, int], ...] = (("0123456789", 10), ("abcdefghijklmnopqrstuvwxyz", 26))
_SYMBOLS = 33


def estimated_bits(value: str) -> float:
    """A cautious estimate of the entropy of a value, in bits, were it made by drawing characters at random.

    The alphabet is taken from the character classes in use (16 when all are hexadecimal) and bounded by how many
    different characters there are. Known words count nothing; a character that continues a run or a sequence of four
    (aaaa, 1234, dcba) or closes a group of four seen before counts nothing. A value of letters of one case and
    separators alone may be a passphrase and is taken at 3 bits a character.
    """
    text = _KNOWN_FRAGMENTS.sub("\0", value)
    counted = 0
    seen: set[str] = set()
    for index, character in enumerate(text):
        if character == "\0":
            continue
        group = text[index - 3 : index + 1] if index >= 3 else ""
        if group and (group in seen or _is_sequence(group)):
            continue
        if group:
            seen.add(group)
        counted += 1
    return counted * _bits_per_character(text.replace("\0", ""))


def _is_sequence(group: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in itertools.pairwise(group)}
    return len(steps) == 1 and steps <= {-1, 0, 1}


def _bits_per_character(text: str) -> float:
    different = len(set(text))
    if different < 2:
        return 0.0
    bound = math.log2(max(2.0, different * different / 2))
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", text) and re.search(r"[0-9]", text):
        return min(4.0, bound)
    if re.fullmatch(r"[a-z \-_.]+|[A-Z \-_.]+", text):
        return min(3.0, bound)
    size = sum(weight for characters, weight in _CLASSES if any(c in characters for c in text))
    if re.search(r"[A-Z]", text):
        size += 26
    if re.search(r"[^0-9A-Za-z]", text):
        # - and _ alone are the two extra characters of URL-safe base64.
        size += 2 if not re.search(r"[^0-9A-Za-z_\-]", text) else _SYMBOLS
    return min(math.log2(size), bound)


def value_problem(value: str) -> str | None:
    """Why a value cannot be imported as a key, or None when it can. Never repeats the value."""
    if not MIN_IMPORTED_LENGTH <= len(value) <= MAX_PRESENTED_LENGTH:
        return f"must have between {MIN_IMPORTED_LENGTH} and {MAX_PRESENTED_LENGTH} characters"
    if not all("\x21" <= character <= "\x7e" for character in value):
        return "must be printable ASCII without spaces, as it travels in a header"
    if parse_native(value) is not None:
        return None
    if value.startswith(KEY_PREFIX):
        return f"begins with {KEY_PREFIX} but is not a complete key: its checksum does not match"
    bits = estimated_bits(value)
    if bits < MIN_IMPORTED_BITS:
        return (
            f"is too easy to guess: its entropy is estimated at {int(bits)} bits and must be at least "
            f"{int(MIN_IMPORTED_BITS)} (for example 32 random characters)"
        )
    return None


def audit_form(view: Key) -> dict[str, Any]:
    """What the audit log keeps of a key: what changes by intention, without status, which changes by itself."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    plain.pop("etag")
    plain.pop("status")
    return plain
