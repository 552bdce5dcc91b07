"""Groups in the claims of a token, as an issuer's configuration maps them. Pure.

Groups are those of one claim, and the values of further claims as "department=finance". What is too large or has the
wrong type is left out, always so that less is granted, never more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MAX_GROUP = 256


class Said(NamedTuple):
    """What a token says of groups: those that it names, and which claims it has. `reserved` begin further claims'."""

    groups: frozenset[str]
    has_groups: bool
    has_claims: frozenset[str]
    reserved: tuple[str, ...]

    def denies(self, group: str) -> bool:
        """Whether the token has the claim that would name this group, and does not name it."""
        if group in self.groups:
            return False
        if group.startswith(self.reserved):
            return any(group.startswith(f"{name}=") for name in self.has_claims)
        return self.has_groups


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


def _items(value: Any) -> list[Any]:
    """A claim that has one value or several."""
    if isinstance(value, list):
        return value
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value) if isinstance(value, int) else value]


def said_of(claims: Mapping[str, Any], groups_claim: str, further: Sequence[str]) -> Said:
    """What the claims of a token say of groups.

    A group that is called like the value of a further claim is left out: whoever may make groups would be given what
    the claim gives.
    """
    reserved = tuple(f"{name}=" for name in further)
    named = found_claim(claims, groups_claim) if groups_claim else None
    found = {
        group for group in _texts(named if isinstance(named, str | list) else []) if not group.startswith(reserved)
    }
    has = set()
    for name in further:
        value = found_claim(claims, name)
        if value is not None:
            has.add(name)
            found |= {f"{name}={text}" for text in _texts(_items(value))}
    return Said(
        frozenset(group for group in found if len(group) <= MAX_GROUP), named is not None, frozenset(has), reserved
    )


def _texts(value: str | list[Any]) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    return [item for item in listed if isinstance(item, str) and 0 < len(item) <= MAX_GROUP and item.isprintable()]
