"""Claims of a verified token to an identity, as the issuer's configuration maps them. Pure.

Whatever is too large or has the wrong type is refused or left out, always so that less is granted, never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.controlplane.signin.model import MAX_GROUPS, Claims, IssuerRow
from tollway.core.claims import found_claim, said_of

MAX_SUBJECT = 255
MAX_TEXT = 320
_NAMES = ("preferred_username",)


class ClaimsRefused(Exception):
    """The claims cannot be used; the message is for the caller."""


def subject_of(claims: Mapping[str, Any]) -> str:
    """The `sub` of a token (OpenID Connect Core, 2). Raises ClaimsRefused."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise ClaimsRefused("it names no subject")
    return subject


def claims_of(row: IssuerRow, claims: Mapping[str, Any]) -> Claims:
    """Name, e-mail and groups. Raises ClaimsRefused for more groups than are taken."""
    email = _text(found_claim(claims, row.email_claim))
    name = _text(found_claim(claims, row.name_claim))
    for other in _NAMES:
        name = name or _text(claims.get(other))
    return Claims(
        email=email,
        email_verified=bool(email) and _verified(row, claims),
        name=name or email or subject_of(claims),
        groups=_all_groups(row, claims),
    )


def complete(row: IssuerRow, claims: Mapping[str, Any]) -> bool:
    """Whether the claims have all that the issuer's configuration maps, so that nobody else has to be asked."""
    mapped = (row.email_claim, row.groups_claim, *row.claims)
    return all(found_claim(claims, name) is not None for name in mapped)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable() else ""


def _verified(row: IssuerRow, claims: Mapping[str, Any]) -> bool:
    """`email_verified` is about the claim `email` (OpenID Connect Core, 5.1); of another one it says nothing."""
    value = claims.get("email_verified") if row.email_claim == "email" else None
    if value is None:
        return row.trust_email
    return value is True or value == "true"  # some providers write it as text


def _all_groups(row: IssuerRow, claims: Mapping[str, Any]) -> tuple[str, ...]:
    groups = said_of(claims, row.groups_claim, row.claims).groups
    if len(groups) > MAX_GROUPS:
        raise ClaimsRefused(f"it names more than {MAX_GROUPS} groups; let the provider send only those that matter")
    return tuple(sorted(groups))
