"""Who calls the control plane: bearer tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from tollway.controlplane.call import ApiCode, ApiError, Principal

BOOTSTRAP = "bootstrap-admin"
_SCHEME = "bearer "


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an `authorization` header. Raises ApiError when there is none."""
    value = headers.get("authorization") or headers.get("Authorization") or ""
    if value[: len(_SCHEME)].lower() != _SCHEME or not value[len(_SCHEME) :].strip():
        raise ApiError(ApiCode.UNAUTHENTICATED, "send the header 'Authorization: Bearer <token>'")
    return value[len(_SCHEME) :].strip()


class Authenticator:
    """Knows the bootstrap administrator's token and the data planes' join token by digest alone."""

    def __init__(self, admin_token: str, join_token: str) -> None:
        self._admin = _digest(admin_token)
        self._join = _digest(join_token)

    def administrator(self, headers: Mapping[str, str]) -> Principal:
        """The principal of a management call. Raises ApiError."""
        if not hmac.compare_digest(_digest(bearer(headers)), self._admin):
            raise ApiError(ApiCode.UNAUTHENTICATED, "the token is not valid")
        return Principal(name=BOOTSTRAP)

    def data_plane(self, headers: Mapping[str, str]) -> None:
        """Lets a data plane in. Raises ApiError; an administrator's token does not do."""
        if not hmac.compare_digest(_digest(bearer(headers)), self._join):
            raise ApiError(ApiCode.UNAUTHENTICATED, "the join token is not valid: check TOLLWAY_JOIN_TOKEN")


def authorize(principal: Principal, permission: str) -> None:
    """Refuses what the principal has no permission for."""
    if principal.permissions is not None and permission not in principal.permissions:
        raise ApiError(ApiCode.PERMISSION_DENIED, f"this needs the permission {permission}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
