"""A key-encryption key that stays in AWS KMS: data keys go there to be wrapped and unwrapped, and nothing else does.

Each call carries an encryption context with the data key's id (KMS binds it to the ciphertext and writes it to its own
log), is bounded in time, and happens only when a data key is met for the first time or rotates: what was unwrapped
stays in the memory of the process, so an outage of KMS does not touch what runs. Errors name the key and KMS's code.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships without types
from aiobotocore.session import AioSession, get_session  # type: ignore[import-untyped]  # ships without types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships without types

from tollway.controlplane.credentials.keks import AWS_KMS, KekUnavailable, KmsAccess, KmsKeyId, VaultError

CALL_SECONDS = 10.0
"""For one call to KMS, tries and the search for credentials of the machine included."""
_DAMAGED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KmsKek:
    """A key-encryption key in AWS KMS. A client lives as long as one call: there are few."""

    def __init__(self, key: KmsKeyId, access: KmsAccess) -> None:
        self._arn = key.arn
        self._session: AioSession | None = None
        self._options: dict[str, Any] = {
            "endpoint_url": access.endpoint or None,
            "region_name": access.region or key.region,
            "aws_access_key_id": access.access_key or None,
            "aws_secret_access_key": access.secret_key or None,
            "config": AioConfig(
                connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2}
            ),
        }

    def __repr__(self) -> str:
        return f"KmsKek({self._arn!r})"

    @property
    def name(self) -> str:
        """As the port says: the ARN, which is no secret."""
        return AWS_KMS + self._arn

    async def wrap(self, plain: bytes, data_key_id: str) -> bytes:
        """As the port says."""
        async with self._client("wrap") as client:
            answer = await client.encrypt(KeyId=self._arn, Plaintext=plain, EncryptionContext=_context(data_key_id))
        return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, data_key_id: str) -> bytes:
        """As the port says."""
        async with self._client("unwrap") as client:
            answer = await client.decrypt(
                KeyId=self._arn, CiphertextBlob=wrapped, EncryptionContext=_context(data_key_id)
            )
        return bytes(answer["Plaintext"])

    @contextlib.asynccontextmanager
    async def _client(self, what: str) -> AsyncIterator[Any]:
        """A client for one call; turns what the library raises into the port's errors."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if self._session is None:
                    self._session = get_session()
                async with self._session.create_client("kms", **self._options) as client:
                    yield client
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in _DAMAGED:
                raise VaultError(f"{self._arn} cannot unwrap a data key ({code}): it is damaged or another's") from None
            raise self._unavailable(what, code) from None
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise self._unavailable(what, type(error).__name__) from None

    def _unavailable(self, what: str, reason: str) -> KekUnavailable:
        permission = "kms:Encrypt" if what == "wrap" else "kms:Decrypt"
        return KekUnavailable(
            f"AWS KMS cannot {what} a data key with {self._arn} now ({reason}): check the network, "
            f"TOLLWAY_KMS_ENDPOINT, that the key is enabled and that this process may {permission}"
        )


def _context(data_key_id: str) -> dict[str, str]:
    """The encryption context of a data key, as policies of KMS may name it."""
    return {"tollway:purpose": "data-key", "tollway:data-key": data_key_id}
