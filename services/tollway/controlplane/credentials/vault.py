"""The vault: envelope encryption of what must be read again, and the peppers of what must not.

A value is sealed (AES-256-GCM) under a data key, and a data key is wrapped under the key-encryption key, which stays in
the environment (`TOLLWAY_KEK`: the current key first, then optionally the one before it). To change that key: start
with "new,old", call `Vault.rewrap`, then start with "new" alone; nothing but the few data keys is written. Plain data
keys live in the memory of this process only, and nothing that the vault holds appears in a representation or an error.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

import msgspec

from tollway.controlplane.credentials import postgres
from tollway.controlplane.credentials.postgres import DataKeyRow, PepperRow
from tollway.controlplane.db.statements import Database
from tollway.runtime.seal import KEY_BYTES, Sealer, SealError, parse_key

DIGEST = "digest"
INDEX = "index"


class VaultError(Exception):
    """Something stored cannot be opened with the keys that were given. The message says what to do, never a secret."""


class Peppers(msgspec.Struct, frozen=True, kw_only=True):
    """The opened peppers: `digest` by id (`current` is for new secrets), and the one that indexes imported values."""

    current: str
    digest: dict[str, bytes]
    index: bytes

    def __repr__(self) -> str:
        return f"Peppers(current={self.current!r})"


def parse_keks(text: str) -> list[bytes]:
    """The value of `TOLLWAY_KEK`: one or two 32-byte keys, comma-separated, the current one first."""
    parts = [part for part in text.split(",") if part.strip()]
    if not 1 <= len(parts) <= 2:
        raise ValueError("TOLLWAY_KEK must be one key, or the current and the previous one separated by a comma")
    return [parse_key(part, "TOLLWAY_KEK") for part in parts]


def kek_fingerprint(kek: bytes) -> str:
    """A short name of a key-encryption key that does not reveal it."""
    return hashlib.sha256(b"tollway kek fingerprint\0" + kek).hexdigest()[:16]


def _data_key_place(data_key_id: str) -> bytes:
    return f"data key|{data_key_id}".encode()


def _pepper_place(pepper_id: str, purpose: str) -> bytes:
    return f"pepper|{purpose}|{pepper_id}".encode()


class Vault:
    """Seals and opens, one for a process. Methods that read or write rows do so in the caller's transaction."""

    def __init__(self, keks: Sequence[bytes]) -> None:
        if not keks or any(len(kek) != KEY_BYTES for kek in keks):
            raise ValueError("the vault needs key-encryption keys of 32 bytes")
        self._keks = {kek_fingerprint(kek): Sealer([kek]) for kek in keks}
        self.fingerprint = kek_fingerprint(keks[0])
        self._opened: dict[str, Sealer] = {}

    def __repr__(self) -> str:
        return f"Vault(kek={self.fingerprint!r})"

    async def seal(self, db: Database, plain: bytes, place: bytes) -> tuple[str, bytes]:
        """The id of the data key and the ciphertext of `plain`, bound to `place`. Makes the first data key."""
        row = await postgres.current_data_key(db, self.fingerprint)
        if row is None:
            row = await self.new_data_key(db)
        return row.id, self._unwrapped(row).seal(plain, place)

    async def open(self, db: Database, data_key_id: str, sealed: bytes, place: bytes) -> bytes:
        """The plain value. Raises VaultError when it cannot be opened."""
        cipher = self._opened.get(data_key_id)
        if cipher is None:
            row = await postgres.data_key(db, data_key_id)
            if row is None:
                raise VaultError(f"the data key {data_key_id!r} is missing from the database")
            cipher = self._unwrapped(row)
        try:
            return cipher.open(sealed, place)
        except SealError:
            raise VaultError("a sealed value is damaged or stands in another's place") from None

    async def new_data_key(self, db: Database) -> DataKeyRow:
        """Makes the data key that everything is sealed under from now on (rotation of data keys, and the first one)."""
        await postgres.lock_creation(db)
        data_key_id = os.urandom(8).hex()
        wrapped = self._keks[self.fingerprint].seal(os.urandom(KEY_BYTES), _data_key_place(data_key_id))
        row = DataKeyRow(id=data_key_id, wrapped=wrapped, kek=self.fingerprint)
        await postgres.insert_data_key(db, row)
        return row

    async def rewrap(self, db: Database) -> int:
        """Wraps every data key under the current key-encryption key; returns how many were under another."""
        await postgres.lock_creation(db)
        stale = [row for row in await postgres.data_keys(db) if row.kek != self.fingerprint]
        for row in stale:
            plain = self._unwrap(row)
            wrapped = self._keks[self.fingerprint].seal(plain, _data_key_place(row.id))
            await postgres.rewrap_data_key(db, DataKeyRow(id=row.id, wrapped=wrapped, kek=self.fingerprint))
        return len(stale)

    async def peppers(self, db: Database) -> Peppers | None:
        """The peppers, or None before `ensure_peppers` made them."""
        digest: dict[str, bytes] = {}
        index = b""
        for row in await postgres.peppers(db):
            plain = await self.open(db, row.data_key, row.sealed, _pepper_place(row.id, row.purpose))
            if row.purpose == INDEX:
                index = plain
            else:
                digest[row.id] = plain
        if not digest or not index:
            return None
        return Peppers(current=next(reversed(digest)), digest=digest, index=index)

    def _unwrapped(self, row: DataKeyRow) -> Sealer:
        cipher = self._opened.get(row.id)
        if cipher is None:
            cipher = self._opened[row.id] = Sealer([self._unwrap(row)])
        return cipher

    def _unwrap(self, row: DataKeyRow) -> bytes:
        kek = self._keks.get(row.kek)
        if kek is None:
            raise VaultError(
                f"stored secrets are under the key-encryption key {row.kek}, which is not in TOLLWAY_KEK; "
                "put it there after the current one"
            )
        try:
            return kek.open(row.wrapped, _data_key_place(row.id))
        except SealError:
            raise VaultError(f"the data key {row.id!r} is damaged") from None


async def ensure_peppers(db: Database, vault: Vault) -> Peppers:
    """The peppers, made when there are none yet. Needs a transaction that may write the first time."""
    found = await vault.peppers(db)
    if found is not None:
        return found
    await postgres.lock_creation(db)
    rows = await postgres.peppers(db)  # another process may have made them while this one waited
    for purpose in (DIGEST, INDEX):
        if not any(row.purpose == purpose for row in rows):
            await _new_pepper(db, vault, purpose)
    made = await vault.peppers(db)
    assert made is not None
    return made


async def _new_pepper(db: Database, vault: Vault, purpose: str) -> None:
    pepper_id = os.urandom(4).hex()
    data_key, sealed = await vault.seal(db, os.urandom(KEY_BYTES), _pepper_place(pepper_id, purpose))
    await postgres.insert_pepper(db, PepperRow(id=pepper_id, purpose=purpose, sealed=sealed, data_key=data_key))


def value_fingerprint(peppers: Peppers, credential_id: str, value: str) -> bytes:
    """A keyed digest of a credential's value: tells whether another value differs, and nothing to who has no pepper."""
    message = f"credential\0{credential_id}\0{value}".encode("utf-8", "surrogatepass")
    return hmac.digest(peppers.index, message, hashlib.sha256)
