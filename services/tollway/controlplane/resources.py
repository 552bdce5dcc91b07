"""Rules that every resource of the management API follows: etags, page tokens, update masks, references. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
ABSENT = "none"
"""The etag of what is not there: who sends it makes it, and changes nothing that somebody else has made meanwhile."""


def etag(identity: UUID, revision: int) -> str:
    """The opaque etag of one revision of a resource."""
    mac = hashlib.sha256(f"{identity}:{revision}".encode()).digest()[:12]
    return base64.urlsafe_b64encode(mac).decode()


def check_etag(given: str, identity: UUID, revision: int, what: str) -> None:
    """Refuses when the caller read another revision than the present one. Empty: whatever is there."""
    if given and given != etag(identity, revision):
        raise ApiError(
            ApiCode.ETAG_MISMATCH, f"{what} was changed by somebody else since it was read; read it again", field="etag"
        )


def page_limit(page_size: int) -> int:
    """How many rows a page holds; 0 means the default."""
    return min(page_size, MAX_PAGE_SIZE) if page_size > 0 else DEFAULT_PAGE_SIZE


def page_token(kind: str, last: str) -> str:
    """A token that continues a listing of `kind` after the row with the sort key `last`."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, last])).decode().rstrip("=")


def page_start(kind: str, token: str) -> str:
    """The sort key after which a listing continues; empty at its beginning. Refuses a token of another listing."""
    if not token:
        return ""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found, last = msgspec.json.decode(raw, type=tuple[str, str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        found, last = "", ""
    if found != kind or "\0" in last:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    return last


def as_uuid(text: str) -> UUID | None:
    """The id that a reference is, when it is one in the usual 36-character form."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def refuse_id_as_name(name: str) -> None:
    """A name that reads like an id could never be told from one in a reference."""
    if as_uuid(name) is not None:
        raise ApiError(ApiCode.INVALID, "name must not have the form of an id", field="name")


def changed_fields(mask: Iterable[str], request: msgspec.Struct, mutable: frozenset[str]) -> frozenset[str]:
    """The fields that an update changes: those of the mask or, without a mask, those that the request fills.

    `*` means all of `mutable`. The resource's own reference and the etag may stand in the mask and mean nothing there.
    Raises ApiError for a path that cannot be changed.
    """
    names = frozenset(mask)
    if not names:
        defaults = {info.name: info for info in msgspec.structs.fields(request)}
        return frozenset(name for name in mutable if getattr(request, name) != _default(defaults[name]))
    if "*" in names:
        return mutable
    passive = {info.name for info in msgspec.structs.fields(request) if info.name not in mutable}
    for name in sorted(names - mutable - passive):
        raise ApiError(ApiCode.INVALID, f"{name!r} cannot be changed by this method", field="update_mask")
    return names & mutable


def _default(info: msgspec.structs.FieldInfo) -> Any:
    if info.default_factory is not msgspec.NODEFAULT:
        return info.default_factory()
    return info.default


def from_ms(milliseconds: int) -> datetime:
    """Unix milliseconds as a time with a zone."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def snapshot(view: msgspec.Struct) -> dict[str, Any]:
    """What the audit log keeps of a resource: its public form, JSON-ready, without the etag."""
    plain: dict[str, Any] = msgspec.to_builtins(view)
    plain.pop("etag", None)
    return plain


def not_found(kind: str, reference: str, field: str) -> ApiError:
    """There is no live resource by that id or name."""
    return ApiError(ApiCode.NOT_FOUND, f"there is no {kind} {reference!r}", field=field)


def taken(kind: str, name: str) -> ApiError:
    """A live resource has that name already."""
    return ApiError(ApiCode.ALREADY_EXISTS, f"there is a {kind} {name!r} already", field="name")
