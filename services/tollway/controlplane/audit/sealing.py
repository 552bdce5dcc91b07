"""The key of the audit log's seals: derived from a secret of the vault, never stored, never shown.

The secret is the pepper that indexes values, which lasts as long as the installation: rotations of data keys and of the
key-encryption key leave it as it is.
"""

from __future__ import annotations

import hmac
from weakref import WeakKeyDictionary

from tollway.controlplane.credentials.vault import Vault, ensure_peppers
from tollway.controlplane.db.statements import Database

_PURPOSE = b"tollway audit seal 1"
_KEYS: WeakKeyDictionary[Vault, bytes] = WeakKeyDictionary()


async def seal_key(db: Database, vault: Vault) -> bytes:
    """The key, read once for each vault: a vault is for one database. Raises VaultError."""
    known = _KEYS.get(vault)
    if known is None:
        peppers = await vault.peppers(db) or await ensure_peppers(db, vault)
        known = _KEYS[vault] = hmac.digest(peppers.index, _PURPOSE, "sha256")
    return known
