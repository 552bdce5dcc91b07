"""Whether a provider takes a key: asked with the provider's own SDK, by a listing of models, which costs nothing.

One check is one or two calls, bounded in time, without retries, through the guard. Nothing that the provider says is
passed on: it may repeat the key. What is reported is our own words and the HTTP status. The SDKs take long to load, so
they are loaded by the first check, outside of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard
from tollway.core.proxies import Proxies

CHECK_SECONDS = 8.0
"""For one check, all included."""
ALL_SECONDS = 10.0
"""For all the checks of one call that are made for many keys, once the SDKs are loaded."""
LOAD_SECONDS = 10.0
AT_ONCE = 16
NOT_A_KEY = "tollway-check-that-is-no-key"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENTRA = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_ASKS_FOR_KEYS = frozenset({ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.AZURE_OPENAI})
"""Kinds that list their models to nobody without a key. Of others that is found out with one that cannot be right."""


class Outcome(StrEnum):
    """What a check found. Only `refused` and `blocked` speak against the key; `unchecked` is never stored."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"
    UNCHECKED = "unchecked"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, in our own words; `status` is the HTTP status, 0: no answer."""

    outcome: Outcome
    status: int = 0
    detail: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, and the key that it is asked about, which is in no representation of this."""

    kind: ProviderKind
    base_url: str
    api_version: str
    api_key: str

    def __repr__(self) -> str:
        return f"Question(kind={self.kind!r}, base_url={self.base_url!r})"


class Listing(Protocol):
    """What asks a provider for its models with one key."""

    async def list_models(self, api_key: str) -> Checked:
        """What it answered: `accepted` for a list of models."""


def detail(outcome: Outcome, status: int) -> str:
    """The outcome in words, for who has only what is stored of it."""
    match outcome:
        case Outcome.ACCEPTED:
            return "the provider takes the key"
        case Outcome.REFUSED:
            return f"the provider refuses the key (HTTP {status})"
        case Outcome.BLOCKED:
            return "the provider's address must not be called from here"
        case Outcome.UNCHECKED:
            return "not checked: took too long"
        case Outcome.UNREACHABLE if status:
            return f"the provider does not work at present (HTTP {status}); the key is not checked"
        case Outcome.UNREACHABLE:
            return "the provider does not answer; the key is not checked"
    if status == 200:
        return (
            "the provider answers, but this says nothing about the key: it lists its models to any key, "
            "or this is not its API (check base_url)"
        )
    return f"the provider answers (HTTP {status}), but not in a way that tells whether it takes the key"


async def check(
    kind: ProviderKind, base_url: str, api_version: str, api_key: str, guard: Guard, proxies: Proxies
) -> Checked:
    """Asks the provider. Never raises for what it answers or fails to."""
    found = await _bounded(kind, base_url, api_version, api_key, guard, proxies)
    return msgspec.structs.replace(found, detail=detail(found.outcome, found.status))


async def check_all(questions: Mapping[str, Question], guard: Guard, proxies: Proxies) -> dict[str, Checked]:
    """Asks about many keys, of any providers, a few at a time; what was found, by the name of the question.

    All together they have ALL_SECONDS: what has no answer by then is `unchecked`. Only the first such call of a process
    may take up to LOAD_SECONDS longer, for the SDKs.
    """
    late = Checked(outcome=Outcome.UNCHECKED, detail=detail(Outcome.UNCHECKED, 0))
    found = dict.fromkeys(questions, late)
    waiting = iter(questions.items())

    async def ask() -> None:
        for name, asked in waiting:
            found[name] = await check(asked.kind, asked.base_url, asked.api_version, asked.api_key, guard, proxies)

    by_sdk = {asked.kind is ProviderKind.ANTHROPIC: asked for asked in questions.values()}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOAD_SECONDS):
            for first in by_sdk.values():
                await _listing(first.kind, first.base_url, first.api_version, guard, proxies)
        async with asyncio.timeout(ALL_SECONDS):
            await asyncio.gather(*(ask() for _ in range(min(AT_ONCE, len(questions)))))
    return found


async def _bounded(
    kind: ProviderKind, base_url: str, api_version: str, api_key: str, guard: Guard, proxies: Proxies
) -> Checked:
    listing = await _listing(kind, base_url, api_version, guard, proxies)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            found = await listing.list_models(api_key)
            if found.outcome is Outcome.ACCEPTED and kind not in _ASKS_FOR_KEYS:
                without = await listing.list_models(NOT_A_KEY)
                if without.outcome is not Outcome.REFUSED:
                    return Checked(outcome=Outcome.UNPROVEN, status=found.status)
            return found
    except TimeoutError:
        return Checked(outcome=Outcome.UNREACHABLE)


async def _listing(kind: ProviderKind, base_url: str, api_version: str, guard: Guard, proxies: Proxies) -> Listing:
    """What asks such a provider. It loads the SDK when it is the first."""
    sdks = await asyncio.to_thread(importlib.import_module, "tollway.controlplane.credentials.sdks")
    # At the level debug they would log what they send.
    for name in ("openai", "anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    place = root(kind, base_url, api_version)
    made: Listing = await asyncio.to_thread(sdks.listing, kind, place, api_version, guard, proxies)
    return made


def root(kind: ProviderKind, base_url: str, api_version: str) -> str:
    """The base URL as the kind's SDK wants it; operators write it with or without its version."""
    bare = base_url.rstrip("/")
    match kind:
        case ProviderKind.ANTHROPIC:
            return bare.removesuffix("/v1")
        case ProviderKind.AZURE_OPENAI:
            resource = bare.removesuffix("/v1").removesuffix("/openai")
            return resource if dated(api_version) else f"{resource}/openai/v1"
        case ProviderKind.OPENAI if urlsplit(bare).path:
            return bare
    return bare if bare.endswith("/v1") else f"{bare}/v1"


def dated(api_version: str) -> bool:
    """Whether an API version of Azure's is one of the dated ones."""
    return _DATED.match(api_version) is not None


def entra(api_key: str) -> bool:
    """Whether a credential of Azure's is an access token rather than a key."""
    return _ENTRA.fullmatch(api_key) is not None


def outcome_of(status: int, *, knows_key: bool = False) -> Outcome:
    """What a status says of the key. `knows_key`: the provider says that the key may do other things than this."""
    if status in (401, 403):
        return Outcome.UNPROVEN if knows_key else Outcome.REFUSED
    if status >= 500:
        return Outcome.UNREACHABLE
    return Outcome.ACCEPTED if status == 200 else Outcome.UNPROVEN
