"""Key-encryption keys: the port, those that are given as bytes, and the reading of `TOLLWAY_KEK`.

A key-encryption key wraps data keys and nothing else. It has a name that reveals nothing of it: the name stands beside
each data key in the database, so that it can be told which key opens which. Keys themselves are in no representation,
no log and no error.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tollway.runtime.seal import Sealer, SealError, parse_key
from tollway.runtime.settings import Problem

MAX_KEKS = 2
MAX_FILE_BYTES = 4096
FILE = "file:"
AWS_KMS = "aws-kms:"
_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]{1,40}):[0-9]{12}:key/[A-Za-z0-9-]{1,64}")
_OTHERS_MAY = stat.S_IRWXO | stat.S_IWGRP


class VaultError(Exception):
    """Something stored cannot be opened with the keys that were given. The message says what to do, never a secret."""


class KekUnavailable(VaultError):
    """A key-encryption key cannot be asked now, or refuses; the message says which and why."""


class KeyEncryptionKey(Protocol):
    """What wraps data keys. Both methods are bounded in time and raise VaultError."""

    @property
    def name(self) -> str:
        """How the database names it: never the key, and the same in every process."""

    async def wrap(self, plain: bytes, data_key_id: str) -> bytes:
        """The data key as it may be stored, bound to its id."""

    async def unwrap(self, wrapped: bytes, data_key_id: str) -> bytes:
        """The data key. Raises VaultError when it was not wrapped by this key for this id."""


class KmsKeyId(msgspec.Struct, frozen=True):
    """A key of AWS KMS by its ARN, as `TOLLWAY_KEK` names it."""

    arn: str
    region: str


@dataclass(frozen=True, kw_only=True)
class KmsAccess:
    """Where KMS is and as whom it is asked. Empty: of the key's region, and the machine's own role."""

    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


GivenKek = bytes | KmsKeyId
"""One part of `TOLLWAY_KEK`: the 32 bytes themselves, or the name of a key that stays elsewhere."""


def kek_fingerprint(kek: bytes) -> str:
    """A short name of a key-encryption key that does not reveal it."""
    return hashlib.sha256(b"tollway kek fingerprint\0" + kek).hexdigest()[:16]


def data_key_place(data_key_id: str) -> bytes:
    """Associated data of a wrapped data key: it opens for no other id."""
    return f"data key|{data_key_id}".encode()


class LocalKek:
    """A key-encryption key that this process holds: from the environment or from a file."""

    def __init__(self, key: bytes) -> None:
        self._sealer = Sealer([key])
        self._name = kek_fingerprint(key)

    def __repr__(self) -> str:
        return f"LocalKek({self._name!r})"

    @property
    def name(self) -> str:
        """As the port says: a fingerprint."""
        return self._name

    async def wrap(self, plain: bytes, data_key_id: str) -> bytes:
        """As the port says."""
        return self._sealer.seal(plain, data_key_place(data_key_id))

    async def unwrap(self, wrapped: bytes, data_key_id: str) -> bytes:
        """As the port says."""
        try:
            return self._sealer.open(wrapped, data_key_place(data_key_id))
        except SealError:
            raise VaultError(f"the data key {data_key_id!r} is damaged") from None


def parse_keks(text: str) -> list[GivenKek]:
    """The value of `TOLLWAY_KEK`: one or two keys, comma-separated, the current one first.

    Each is 32 bytes in base64 or hexadecimal, `file:/path` of a file with such a text, or `aws-kms:ARN`. Files are read
    now. Raises ValueError that holds no key.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not 1 <= len(parts) <= MAX_KEKS:
        raise Problem("TOLLWAY_KEK must be one key, or the current and the previous one separated by a comma")
    found = [_parse(part) for part in parts]
    if len(set(found)) != len(found):
        raise Problem("TOLLWAY_KEK names the same key twice")
    return found


def _parse(part: str) -> GivenKek:
    if part.startswith(FILE):
        return read_key_file(part.removeprefix(FILE))
    if part.startswith(AWS_KMS):
        arn = part.removeprefix(AWS_KMS)
        match = _ARN.fullmatch(arn)
        if match is None:
            raise Problem(
                "TOLLWAY_KEK: after aws-kms: must stand the ARN of a key, as arn:aws:kms:REGION:ACCOUNT:key/ID "
                "(an alias can come to mean another key, and is not taken)"
            )
        return KmsKeyId(arn, match[1])
    return parse_key(part, "TOLLWAY_KEK")


def read_key_file(path: str) -> bytes:
    """The key in a file. Raises Problem when others than its owner and group may use it, or when it holds no key."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())  # of what was opened, which a path may not be a moment later
            if not stat.S_ISREG(about.st_mode):
                raise Problem(f"TOLLWAY_KEK: {path} is not a file")
            if about.st_mode & _OTHERS_MAY:
                raise Problem(
                    f"TOLLWAY_KEK: {path} has the mode {stat.S_IMODE(about.st_mode):04o}: others may use it; "
                    "chmod 0400 it (0440 for a group)"
                )
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Problem(f"TOLLWAY_KEK: {path} cannot be read: {error.strerror}") from None
    try:
        if len(text) > MAX_FILE_BYTES:
            raise ValueError
        return parse_key(text.decode("ascii"), "TOLLWAY_KEK")
    except ValueError:
        raise Problem(f"TOLLWAY_KEK: {path} must hold 32 bytes in base64 or hexadecimal") from None


def kind_of(name: str) -> str:
    """What sort of key has this name: "aws_kms" or "local"."""
    return "aws_kms" if name.startswith(AWS_KMS) else "local"


def local(keks: Sequence[bytes | KeyEncryptionKey]) -> list[KeyEncryptionKey]:
    """The keys as the port; bytes are held here."""
    return [LocalKek(kek) if isinstance(kek, bytes) else kek for kek in keks]


def opened(given: Sequence[GivenKek], access: KmsAccess) -> list[bytes | KeyEncryptionKey]:
    """The key-encryption keys that the settings name, the current one first. Nothing is sent yet."""
    return [_kms(kek, access) if isinstance(kek, KmsKeyId) else kek for kek in given]


def _kms(key: KmsKeyId, access: KmsAccess) -> KeyEncryptionKey:
    from tollway.controlplane.credentials.kms import KmsKek  # a library that takes long to load, for who uses it

    return KmsKek(key, access)
