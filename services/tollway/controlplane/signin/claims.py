"""Claims of a verified token to an identity, as the issuer's configuration maps them. Pure.

Whatever is too large or has the wrong type is refused or left out, always so that less is granted, never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.controlplane.signin.model import MAX_GROUPS, Claims, IssuerRow

MAX_SUBJECT = 255
MAX_TEXT = 320
MAX_GROUP = 256
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


def found_claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by name or, where there is none such, by a path with dots ("realm_access.roles"); None when absent."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable() else ""


def _verified(row: IssuerRow, claims: Mapping[str, Any]) -> bool:
    """`email_verified` is about the claim `email` (OpenID Connect Core, 5.1); of another one it says nothing."""
    value = claims.get("email_verified") if row.email_claim == "email" else None
    if value is None:
        return row.trust_email
    return value is True or value == "true"  # some providers write it as text


def _all_groups(row: IssuerRow, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups, and the values of further claims as groups, "department=finance".

    A group that is called like such a value is left out: whoever may make groups would be given what the claim gives.
    """
    named = _groups(found_claim(claims, row.groups_claim))
    if not row.claims:
        return named
    reserved = tuple(f"{name}=" for name in row.claims)
    found = {group for group in named if not group.startswith(reserved)}
    for name in row.claims:
        found |= {f"{name}={value}" for value in _groups(_value(found_claim(claims, name)))}
    if len(found) > MAX_GROUPS:
        raise ClaimsRefused(f"its groups and claims have more than {MAX_GROUPS} values; let the provider send fewer")
    return tuple(sorted(group for group in found if len(group) <= MAX_GROUP))


def _value(value: Any) -> Any:
    """Truths and whole numbers as JSON writes them, so that a binding can name them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def _groups(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if len(items) > MAX_GROUPS:
        raise ClaimsRefused(f"it names more than {MAX_GROUPS} groups; let the provider send only those that matter")
    groups = (item for item in items if isinstance(item, str) and 0 < len(item) <= MAX_GROUP and item.isprintable())
    return tuple(sorted(set(groups)))
