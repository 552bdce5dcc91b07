"""Virtual keys, from the presented text to a verified principal.

Three layers: tokens verified before (by a keyed digest of the whole token), L1 entries (bounded, least recently used
out first), and the directory store. Pushed changes go to L1 at once and stay in an overlay until the store is known to
have them, so a store that lags cannot revive what was revoked. Nothing here ever lets an unknown key pass: when it
cannot be known, the answer is 503, because SDKs never retry a 401.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Awaitable, Iterable

from tollway.core import ids
from tollway.core.catalog import DirectoryEntry, decode_entry
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.config.bearers import Bearers
from tollway.dataplane.config.holder import CatalogHolder, Routes
from tollway.dataplane.config.principal import Principal as Principal
from tollway.dataplane.stores.ports import Change, DirectoryStore, Marker, StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.seal import Sealer, SealError, entry_place

_log = log.get(__name__)
REVALIDATE_SECONDS = 2.0
AWAY_SECONDS = 5.0
"""For how long a store that did not answer is not asked again by requests; the background looks more often."""
RETRY_AFTER_SECONDS = 1.0


class _Cached:
    """An L1 entry, None for a tombstone. `checked` is monotonic; `tokens` are the verified tokens that rest on it."""

    __slots__ = ("checked", "entry", "tokens", "version")

    def __init__(self, entry: DirectoryEntry | None, version: int, checked: float) -> None:
        self.entry = entry
        self.version = version
        self.checked = checked
        self.tokens: set[bytes] = set()


def invalid_key() -> TollwayError:
    """The refusal of a key that is not known; it says nothing about why."""
    return TollwayError(
        Code.INVALID_API_KEY, "Incorrect API key provided. Use a Tollway virtual key (it begins with sk-tw-)."
    )


def unavailable() -> TollwayError:
    """The refusal when it cannot be known whether a key is valid."""
    return TollwayError(
        Code.DIRECTORY_UNAVAILABLE,
        "The key directory is not available at the moment. Please retry.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


class Directory:
    """The keys that one process knows. All state is of one event loop."""

    def __init__(
        self,
        store: DirectoryStore,
        holder: CatalogHolder,
        sealer: Sealer,
        clock: Clock,
        *,
        capacity: int,
        max_stale_seconds: float,
    ) -> None:
        self._store = store
        self._holder = holder
        self._sealer = sealer
        self._clock = clock
        self._capacity = capacity
        self._max_stale = max_stale_seconds
        self._secret = os.urandom(32)
        self._verified: dict[bytes, Principal] = {}
        self._l1: OrderedDict[str, _Cached] = OrderedDict()
        self._overlay: dict[str, Change] = {}
        self._filling: dict[str, int] = {}
        self._away_until = -float("inf")
        self._reading: dict[str, asyncio.Future[_Cached | None]] = {}
        self.epoch = ""
        self.marker: Marker | None = None
        self.applied_version = 0
        self.fresh_at = -float("inf")
        """Monotonic time of the last sign of life on the push stream."""
        self.known_at = clock.monotonic()
        """Monotonic time when L1 was last known to be right, by push or by the store."""
        holder.on_swap(lambda _routes: self._verified.clear())
        self.bearers = Bearers(self, holder, clock)

    # -- what the push stream tells ---------------------------------------------------------------------------------

    def heard(self) -> None:
        """The push stream is alive: L1 is as new as it can be."""
        self.fresh_at = self.known_at = self._clock.monotonic()

    def store_answers(self, answers: bool) -> None:
        """Whether the store was there a moment ago: while it is not, requests of known keys do not wait for it."""
        self._away_until = -float("inf") if answers else self._clock.monotonic() + AWAY_SECONDS

    def begin_epoch(self, epoch: str) -> None:
        """A new history begins: what was known of the old one is dropped."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.applied_version = 0
            self._l1.clear()
            self._verified.clear()
            self._overlay.clear()

    def push(self, changes: Iterable[Change], *, keep: bool = True) -> None:
        """Takes pushed changes: they replace older L1 entries at once, and (`keep`) stay until the store has them."""
        now = self._clock.monotonic()
        for change in changes:
            self.applied_version = max(self.applied_version, change.version)
            cached = self._l1.get(change.lookup)
            if cached is not None and cached.version >= change.version:
                continue
            if keep:
                self._overlay[change.lookup] = change
            if cached is not None or change.lookup in self._filling:
                self._keep(change.lookup, _Cached(self._open(change), change.version, now))

    def overlay(self) -> list[Change]:
        """The pushed changes that the store is not known to have, in the order of their versions."""
        return sorted(self._overlay.values(), key=lambda change: change.version)

    def store_has(self, marker: Marker | None) -> None:
        """What the store holds now: the overlay keeps only what is newer."""
        self.marker = marker
        if marker is not None and marker.epoch == self.epoch:
            self._overlay = {k: c for k, c in self._overlay.items() if c.version > marker.version}

    # -- what requests ask ------------------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Principal | Awaitable[Principal]:
        """The principal of a presented key: at once when it is known, else an awaitable. Raises TollwayError."""
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).digest()
        principal = self._verified.get(digest)
        if principal is not None and self._clock.monotonic() - self.fresh_at < REVALIDATE_SECONDS:
            return self._still_valid(principal)
        return self._authenticate(token, digest)

    def at_once(self, lookup: str) -> DirectoryEntry | None:
        """The entry, if it is known and fresh enough to be used without a look at the store."""
        cached = self._l1.get(lookup)
        if cached is None or self._clock.monotonic() - max(self.fresh_at, cached.checked) >= REVALIDATE_SECONDS:
            return None
        self._l1.move_to_end(lookup)
        return cached.entry

    async def find(self, lookup: str) -> DirectoryEntry | None:
        """The entry; None when there is none. Raises TollwayError when that cannot be known."""
        cached = await self._entry(lookup)
        return cached.entry if cached is not None else None

    def _still_valid(self, principal: Principal) -> Principal:
        not_after = principal.not_after_ms
        if not_after is not None and self._clock.now_ms() >= not_after:
            raise self._expired(principal.entry)
        return principal

    async def _authenticate(self, token: str, digest: bytes) -> Principal:
        routes = self._holder.routes
        if routes is None:
            raise unavailable()
        if len(token) > ids.MAX_PRESENTED_LENGTH:
            raise invalid_key()
        native = ids.parse_native(token)
        cached = None
        if native is not None:
            cached = await self._entry(native.public_id)
        if cached is None or cached.entry is None:
            # A value in native form may have been imported from another installation.
            cached = await self._entry(ids.imported_lookup(routes.catalog.index_pepper, token))
        if cached is None or cached.entry is None:
            raise invalid_key()
        principal = self._verify(cached.entry, token, routes)
        if len(self._verified) >= 2 * self._capacity:
            self._verified.clear()
        self._verified[digest] = principal
        cached.tokens.add(digest)
        return principal

    def _verify(self, entry: DirectoryEntry, token: str, routes: Routes) -> Principal:
        now = self._clock.now_ms()
        matched = None
        for secret in entry.secrets:
            pepper = routes.catalog.peppers.get(secret.pepper)
            if pepper is not None and hmac.compare_digest(ids.secret_digest(pepper, token), secret.digest):
                matched = secret
        if matched is None:
            raise invalid_key()
        if entry.revoked:
            raise TollwayError(Code.KEY_REVOKED, f"This API key (sk-tw-{entry.public_id}-…) has been revoked.")
        limits = [t for t in (entry.expires_ms, matched.not_after_ms) if t is not None]
        not_after = min(limits) if limits else None
        if not_after is not None and now >= not_after:
            raise self._expired(entry)
        project = routes.project(entry.project)
        if project is None:
            raise TollwayError(Code.KEY_REVOKED, "The project that this API key belongs to no longer exists.")
        return Principal(entry, project, routes, not_after)

    @staticmethod
    def _expired(entry: DirectoryEntry) -> TollwayError:
        shown = f"sk-tw-{entry.public_id}-…"
        return TollwayError(Code.KEY_EXPIRED, f"This API key ({shown}) has expired. Ask for a new one.")

    async def _entry(self, lookup: str) -> _Cached | None:
        """The L1 entry, read or re-read from the store when L1 is not enough. None: there is no such key."""
        now = self._clock.monotonic()
        cached = self._l1.get(lookup)
        if cached is not None:
            self._l1.move_to_end(lookup)
            if now - max(self.fresh_at, cached.checked) < REVALIDATE_SECONDS:
                return cached
        pending = self._overlay.get(lookup)
        if pending is not None and (cached is None or cached.version < pending.version):
            return self._keep(lookup, _Cached(self._open(pending), pending.version, now))
        served = cached if cached is not None and now - self.known_at < self._max_stale else None
        if served is not None and now < self._away_until:
            return served  # who is known does not wait for a store that did not answer a moment ago
        try:
            return await self._fill_once(lookup)
        except StoreUnavailable:
            self.store_answers(False)
            if served is not None:
                return served
            raise unavailable() from None

    async def _fill_once(self, lookup: str) -> _Cached | None:
        """As `_fill`; of many requests for one key, one reads and the others have what it found."""
        while (reading := self._reading.get(lookup)) is not None:
            found = await asyncio.shield(reading)
            if found is not None:
                return found
        reading = self._reading[lookup] = asyncio.get_running_loop().create_future()
        found = None
        try:
            found = await self._fill(lookup)
        finally:
            del self._reading[lookup]
            reading.set_result(found)
        return found

    async def _fill(self, lookup: str) -> _Cached | None:
        """One read of the store. What was pushed while it was under way wins over what it found."""
        self._filling[lookup] = self._filling.get(lookup, 0) + 1
        try:
            stored, marker = await self._store.read(self.epoch, lookup)
        finally:
            self._filling[lookup] -= 1
            if not self._filling[lookup]:
                del self._filling[lookup]
        now = self._clock.monotonic()
        known = self._l1.get(lookup)
        complete = marker is not None and marker.complete and marker.epoch == self.epoch
        if stored is not None and (known is None or stored.version > known.version):
            entry = self._open(Change(lookup, stored.version, stored.sealed))
            return self._keep(lookup, _Cached(entry, stored.version, now))
        if known is not None:
            if stored is not None or complete:
                known.checked = self.known_at = now
            return known
        if not complete:
            raise unavailable()
        return None

    def _keep(self, lookup: str, cached: _Cached) -> _Cached:
        old = self._l1.get(lookup)
        if old is not None:
            self._forget_tokens(old)
        self._l1[lookup] = cached
        self._l1.move_to_end(lookup)
        while len(self._l1) > self._capacity:
            _lookup, evicted = self._l1.popitem(last=False)
            self._forget_tokens(evicted)
        return cached

    def _forget_tokens(self, cached: _Cached) -> None:
        for digest in cached.tokens:
            self._verified.pop(digest, None)
        cached.tokens.clear()

    def _open(self, change: Change) -> DirectoryEntry | None:
        """The entry of a change; None for a tombstone and for what is not authentic, which does not exist."""
        if not change.sealed:
            return None
        try:
            plain = self._sealer.open(change.sealed, entry_place(self.epoch, change.lookup, change.version))
        except SealError:
            _log.error("directory entry is not authentic and is ignored", lookup=change.lookup, version=change.version)
            return None
        return decode_entry(plain)
