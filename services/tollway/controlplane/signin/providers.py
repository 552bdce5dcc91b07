"""What identity providers publish: metadata and signing keys, cached and rotated. Nothing here verifies a token.

Keys are looked up by the exact `kid` in what the provider publishes at the address that its metadata names. What a
token says of where keys are (`jku`, `x5u`, a `kid` that looks like a path) is never followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tollway.controlplane.signin.fetch import Fetcher, ProviderUnavailable, endpoint_problem
from tollway.core.bearer import MAX_KID, choose_key
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
METADATA_SECONDS = 3600.0
KEYS_SECONDS = 600.0
ROTATE_SECONDS = 10.0
"""An unknown key is looked for at the provider at most once in this time, whoever asks."""
PAUSE_SECONDS = 1.0
"""A provider of which nothing is known and that does not answer is not asked again for so long after that."""
RETRY_SECONDS = 10.0
"""The same for one of which something is known, which serves meanwhile."""
STALE_SECONDS = 86_400.0
"""How long keys serve when the provider does not answer."""
MAX_KEYS = 100
_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "end_session_endpoint",
    "device_authorization_endpoint",
)


class UnknownKey(Exception):
    """The provider publishes no key that fits."""


class Provider:
    """One issuer, as it describes itself (OpenID Connect Discovery 1.0)."""

    def __init__(self, issuer: str, fetcher: Fetcher, clock: Clock) -> None:
        self.issuer = issuer
        self._fetcher = fetcher
        self._clock = clock
        self._metadata: dict[str, Any] = {}
        self._described = 0.0
        self._failed: tuple[float, ProviderUnavailable] | None = None
        self._keys: list[dict[str, Any]] = []
        self._asked = 0.0
        self._read = 0.0
        self._lock, self._describing = asyncio.Lock(), asyncio.Lock()
        self._tasks = Tasks()
        self._renewing: set[str] = set()
        self.reads = 0
        """How often keys were asked for."""

    async def metadata(self) -> Mapping[str, Any]:
        """What the provider says of itself. Raises ProviderUnavailable."""
        age = self._clock.monotonic() - self._described
        if not self._metadata or age > METADATA_SECONDS + STALE_SECONDS:
            await self._described_anew()
        elif age > METADATA_SECONDS:
            self._renew("metadata", self._described_anew)
        return self._metadata

    def _renew(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Renews in the background, one at a time: what is known serves meanwhile, so that nobody waits."""
        if what in self._renewing:
            return
        self._renewing.add(what)

        async def renewed() -> None:
            try:
                await work()
            except ProviderUnavailable as error:
                _log.warning("an issuer could not be asked anew", issuer=self.issuer, what=what, reason=str(error))
            finally:
                self._renewing.discard(what)

        self._tasks.spawn(renewed(), f"signin-{what}")

    async def close(self) -> None:
        """Ends what is renewed in the background."""
        await self._tasks.close()

    async def endpoint(self, name: str) -> str:
        """An endpoint that the provider must have. Raises ProviderUnavailable."""
        found = (await self.metadata()).get(name)
        if not found:
            raise ProviderUnavailable(f"the identity provider has no {name}")
        return str(found)

    async def _described_anew(self) -> None:
        async with self._describing:
            await self._describe()

    async def _describe(self) -> None:
        now = self._clock.monotonic()
        if self._metadata and now - self._described <= METADATA_SECONDS:
            return  # another call was faster
        if self._failed is not None and now - self._failed[0] < (RETRY_SECONDS if self._metadata else PAUSE_SECONDS):
            raise ProviderUnavailable(str(self._failed[1]))
        try:
            found = await self._fetcher.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            self._metadata = _checked(self.issuer, found)
        except ProviderUnavailable as error:
            # From its end on: one that hangs would be due again by then, and everybody would wait in turn.
            self._failed = (self._clock.monotonic(), error)
            raise
        self._failed = None
        self._described = now

    async def key(self, kid: str | None, algorithm: str) -> Any:
        """The public key for a token's header. Raises UnknownKey or ProviderUnavailable."""
        if kid is not None and not 0 < len(kid) <= MAX_KID:
            raise UnknownKey
        age = self._clock.monotonic() - self._read
        if self._keys and self._asked > self._read and KEYS_SECONDS < age <= STALE_SECONDS:
            self._renew("keys", self._refresh_later)  # it failed before: nobody waits for it to fail again
        elif not self._keys or age > KEYS_SECONDS:
            await self._refresh(0.0 if not self._keys else ROTATE_SECONDS)
        found = choose_key(self._keys, kid, algorithm)
        if found is None:
            await self._refresh(ROTATE_SECONDS)
            found = choose_key(self._keys, kid, algorithm)
        if found is None:
            raise UnknownKey
        return found

    async def published(self, age: float) -> list[dict[str, Any]]:
        """All its signing keys, read at most `age` seconds ago. Raises ProviderUnavailable."""
        if not self._keys or self._clock.monotonic() - self._read > age:
            await self._refresh(0.0)
        if self._clock.monotonic() - self._read > age:
            raise ProviderUnavailable("the identity provider's keys could not be read")
        return self._keys

    async def _refresh_later(self) -> None:
        await self._refresh(ROTATE_SECONDS)

    async def _refresh(self, pause: float) -> None:
        """Reads the keys anew unless somebody did within `pause` seconds."""
        endpoint = await self.endpoint("jwks_uri")
        async with self._lock:
            now = self._clock.monotonic()
            if self._asked and now - self._asked < (pause or PAUSE_SECONDS):
                if not self._keys:
                    raise ProviderUnavailable("the identity provider's keys could not be read")
                return
            self._asked = now
            self.reads += 1
            try:
                self._keys = _signing_keys(await self._fetcher.get(endpoint))
            except ProviderUnavailable:
                self._asked = self._clock.monotonic()  # from its end on
                if not self._keys or now - self._read > STALE_SECONDS:
                    self._keys = []
                    raise
                _log.warning("an issuer's keys could not be renewed", issuer=self.issuer)
                return
            self._read = now


def _checked(issuer: str, found: dict[str, Any]) -> dict[str, Any]:
    """The metadata, when it is this issuer's and its endpoints can be used. Raises ProviderUnavailable."""
    if found.get("issuer") != issuer:
        raise ProviderUnavailable("the identity provider describes itself as another issuer")
    kept = dict(found)
    for name in _ENDPOINTS:
        value = kept.get(name)
        if value is None:
            continue
        problem = endpoint_problem(value) if isinstance(value, str) and len(value) <= 2000 else "is no URL"
        if problem is not None:
            raise ProviderUnavailable(f"the identity provider's {name} {problem}")
    return kept


def _signing_keys(found: dict[str, Any]) -> list[dict[str, Any]]:
    keys = found.get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ProviderUnavailable(f"the identity provider publishes no list of at most {MAX_KEYS} keys")
    return [key for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"]
