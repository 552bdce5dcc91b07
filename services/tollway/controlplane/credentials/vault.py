"""The vault: envelope encryption of what must be read again, and the peppers of what must not.

A value is sealed (AES-256-GCM) under a data key, and a data key is wrapped under a key-encryption key, which stays
outside of the database (`TOLLWAY_KEK`: the current key first, then optionally the one before it). What is sealed goes
under the newest data key; which key-encryption key that is under changes by rotation alone, so that a process which was
given another one never seals what its neighbours cannot open. Plain data keys live in the memory of this process only:
once seen, a data key opens without its key-encryption key. Nothing that the vault holds appears in a representation or
an error.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

import msgspec

from tollway.controlplane.credentials import postgres
from tollway.controlplane.credentials.keks import KeyEncryptionKey, VaultError, local
from tollway.controlplane.credentials.postgres import DataKeyRow, PepperRow
from tollway.controlplane.db.statements import Database
from tollway.runtime.seal import KEY_BYTES, Sealer, SealError

__all__ = ["Peppers", "Vault", "VaultError", "ensure_peppers", "pepper_place", "value_fingerprint"]
DIGEST = "digest"
INDEX = "index"


class Peppers(msgspec.Struct, frozen=True, kw_only=True):
    """The opened peppers: `digest` by id (`current` is for new secrets), and the one that indexes imported values."""

    current: str
    digest: dict[str, bytes]
    index: bytes

    def __repr__(self) -> str:
        return f"Peppers(current={self.current!r})"


def pepper_place(pepper_id: str, purpose: str) -> bytes:
    """Associated data of a sealed pepper: it opens nowhere else."""
    return f"pepper|{purpose}|{pepper_id}".encode()


class _Opened:
    """A data key in memory. The plain bytes are kept for wrapping it anew."""

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.sealer = Sealer([plain])

    def __repr__(self) -> str:
        return "_Opened()"


class Vault:
    """Seals and opens, one for a process. Methods that read or write rows do so in the caller's transaction.

    `keks` are the key-encryption keys, the current one first; bytes stand for a key that this process holds itself.
    """

    def __init__(self, keks: Sequence[bytes | KeyEncryptionKey]) -> None:
        if not keks or any(isinstance(kek, bytes) and len(kek) != KEY_BYTES for kek in keks):
            raise ValueError("the vault needs key-encryption keys of 32 bytes")
        self._keks = {kek.name: kek for kek in local(keks)}
        self.fingerprint = next(iter(self._keks))
        self._opened: dict[str, _Opened] = {}

    def __repr__(self) -> str:
        return f"Vault(kek={self.fingerprint!r})"

    @property
    def keks(self) -> list[str]:
        """Names of the key-encryption keys that were given, the current one first."""
        return list(self._keks)

    async def warm(self, db: Database) -> int:
        """Opens every data key that something may be sealed under; how many there are. Raises VaultError.

        After it, this process needs no key-encryption key for anything that is stored.
        """
        stored = await postgres.data_keys(db)
        rows = [row for row in stored if row.retired_at is None]
        for row in rows:
            await self._cipher(row)
        for gone in self._opened.keys() - {row.id for row in stored}:
            del self._opened[gone]
        return len(rows)

    async def seal(self, db: Database, plain: bytes, place: bytes) -> tuple[str, bytes]:
        """The id of the data key and the ciphertext of `plain`, bound to `place`. Makes the first data key."""
        row = await postgres.newest_data_key(db)
        if row is None:
            row = await self._first_data_key(db)
        return row.id, (await self._cipher(row)).sealer.seal(plain, place)

    async def open(self, db: Database, data_key_id: str, sealed: bytes, place: bytes) -> bytes:
        """The plain value. Raises VaultError when it cannot be opened."""
        opened = self._opened.get(data_key_id)
        if opened is None:
            row = await postgres.data_key(db, data_key_id)
            if row is None:
                raise VaultError(f"the data key {data_key_id!r} is missing from the database")
            opened = await self._cipher(row)
        try:
            return opened.sealer.open(sealed, place)
        except SealError:
            raise VaultError("a sealed value is damaged or stands in another's place") from None

    async def _first_data_key(self, db: Database) -> DataKeyRow:
        await postgres.lock_creation(db)
        return await postgres.newest_data_key(db) or await self.new_data_key(db)

    async def new_data_key(self, db: Database) -> DataKeyRow:
        """Makes the data key that everything is sealed under from now on, under the key-encryption key in use."""
        newest = await postgres.newest_data_key(db)
        kek = self.fingerprint if newest is None else newest.kek
        data_key_id, plain = os.urandom(8).hex(), os.urandom(KEY_BYTES)
        row = DataKeyRow(id=data_key_id, wrapped=await self._kek(kek).wrap(plain, data_key_id), kek=kek)
        await postgres.insert_data_key(db, row)
        return row

    async def rewrapped(self, row: DataKeyRow, kek: str) -> DataKeyRow:
        """The same data key under another of the given key-encryption keys. Raises VaultError."""
        plain = (await self._cipher(row)).plain
        return msgspec.structs.replace(row, wrapped=await self._kek(kek).wrap(plain, row.id), kek=kek)

    async def peppers(self, db: Database) -> Peppers | None:
        """The peppers, or None before `ensure_peppers` made them."""
        digest: dict[str, bytes] = {}
        index = b""
        for row in await postgres.peppers(db):
            plain = await self.open(db, row.data_key, row.sealed, pepper_place(row.id, row.purpose))
            if row.purpose == INDEX:
                index = plain
            else:
                digest[row.id] = plain
        if not digest or not index:
            return None
        return Peppers(current=next(reversed(digest)), digest=digest, index=index)

    async def _cipher(self, row: DataKeyRow) -> _Opened:
        opened = self._opened.get(row.id)
        if opened is None:
            plain = await self._kek(row.kek).unwrap(row.wrapped, row.id)
            opened = self._opened[row.id] = _Opened(plain)
        return opened

    def _kek(self, name: str) -> KeyEncryptionKey:
        kek = self._keks.get(name)
        if kek is None:
            raise VaultError(
                f"stored secrets are under the key-encryption key {name}, which is not in TOLLWAY_KEK; "
                "put it there after the current one"
            )
        return kek


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
    data_key, sealed = await vault.seal(db, os.urandom(KEY_BYTES), pepper_place(pepper_id, purpose))
    await postgres.insert_pepper(db, PepperRow(id=pepper_id, purpose=purpose, sealed=sealed, data_key=data_key))


def value_fingerprint(peppers: Peppers, credential_id: str, value: str) -> bytes:
    """A keyed digest of a credential's value: tells whether another value differs, and nothing to who has no pepper."""
    message = f"credential\0{credential_id}\0{value}".encode("utf-8", "surrogatepass")
    return hmac.digest(peppers.index, message, hashlib.sha256)
