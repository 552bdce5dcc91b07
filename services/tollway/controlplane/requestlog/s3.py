"""Packed bodies in an S3-compatible object store, one object each: `<prefix>/<class>/<day>/<id>.json.zst`.

The class and the day come first, so that the store's own lifecycle rules can work by prefix, and so that a sweep finds
what is over by listing days. Every call is bounded in time, every sweep in number. Nothing here knows the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships without types
from aiobotocore.session import get_session  # type: ignore[import-untyped]  # ships without types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships without types

from tollway.controlplane.requestlog.partitions import Slot
from tollway.controlplane.requestlog.place import Place
from tollway.controlplane.requestlog.rows import FlatBody
from tollway.controlplane.requestlog.store import ContentRef, StoreRefused, StoreUnavailable
from tollway.core.requestlog import RETENTION_CLASSES
from tollway.wire.bodies_client import MAX_BODY_BYTES

CALL_SECONDS = 20.0
PARALLEL = 16
SWEEP_OBJECTS = 20_000
"""Objects that one sweep removes at most; the next one goes on."""
BATCH = 1_000
"""Keys of one listing and of one batch delete: the protocol's own limit."""
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)/$")
_CHECK = ".tollway-check"


class S3Store:
    """Contents as objects. `open` it first."""

    def __init__(
        self, place: Place, *, endpoint: str = "", region: str = "", access_key: str = "", secret_key: str = ""
    ) -> None:
        self._place = place
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            "region_name": region or "us-east-1",
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "config": AioConfig(
                connect_timeout=3,
                read_timeout=10,
                max_pool_connections=PARALLEL,
                retries={"mode": "standard", "total_max_attempts": 3},
                # Servers other than Amazon's mostly know neither virtual hosts nor checksums in trailers.
                s3={"addressing_style": "path" if endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        }
        self._gate = asyncio.Semaphore(PARALLEL)
        self._opened = contextlib.AsyncExitStack()
        self._client: Any = None

    async def open(self) -> None:
        """Makes the client; nothing is sent yet."""
        client: Any = get_session().create_client("s3", **self._options)
        self._client = await self._opened.enter_async_context(client)

    async def close(self) -> None:
        """Ends connections."""
        await self._opened.aclose()

    async def check(self) -> None:
        """Writes and removes a small object. Raises StoreRefused or StoreUnavailable."""
        key = f"{self._place.prefix}{_CHECK}"
        async with _failing("writing"):
            await self._client.put_object(Bucket=self._place.bucket, Key=key, Body=b"")
            await self._client.delete_object(Bucket=self._place.bucket, Key=key)

    def key(self, ref: ContentRef) -> str:
        """The key of a content."""
        return f"{self._place.prefix}{ref.retention_days}/{ref.day.isoformat()}/{ref.id}.json.zst"

    async def put(self, bodies: Sequence[FlatBody]) -> list[bytes | None]:
        """Stores every content; the rows keep none. Raises StoreUnavailable."""

        async def one(body: FlatBody) -> None:
            key = self.key(ContentRef(body.retention_days, body.day, body.id))
            async with self._gate, _failing("writing"):
                await self._client.put_object(
                    Bucket=self._place.bucket, Key=key, Body=body.content, ContentType="application/zstd"
                )

        done = await asyncio.gather(*(one(body) for body in bodies), return_exceptions=True)
        for failure in done:
            if failure is not None:
                raise failure
        return [None] * len(bodies)

    async def get(self, ref: ContentRef) -> bytes | None:
        """A content; None when it is not there. Raises StoreUnavailable."""
        async with _failing("reading"):
            try:
                answer = await self._client.get_object(Bucket=self._place.bucket, Key=self.key(ref))
            except ClientError as error:
                if _code(error) in ("NoSuchKey", "404"):
                    return None
                raise
            async with answer["Body"] as stream:
                content: bytes = await stream.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            raise StoreUnavailable("the object is larger than any that was written")
        return content

    async def delete(self, refs: Sequence[ContentRef]) -> None:
        """Removes contents; absent ones too. Raises StoreUnavailable."""
        for start in range(0, len(refs), BATCH):
            await self._delete([self.key(ref) for ref in refs[start : start + BATCH]])

    async def sweep(self, today: date) -> int:
        """Removes the objects of every (class, day) whose retention is over. Raises StoreUnavailable."""
        removed = 0
        for retention_days in RETENTION_CLASSES:
            for day in await self._days(retention_days):
                if not Slot(retention_days, day).over(today):
                    continue
                prefix = f"{self._place.prefix}{retention_days}/{day.isoformat()}/"
                while removed < SWEEP_OBJECTS and (keys := await self._keys(prefix)):
                    await self._delete(keys)
                    removed += len(keys)
        return removed

    async def _days(self, retention_days: int) -> list[date]:
        """The days of which a class has objects: at most a page of them, the oldest first."""
        prefix = f"{self._place.prefix}{retention_days}/"
        async with _failing("listing"):
            found = await self._client.list_objects_v2(
                Bucket=self._place.bucket, Prefix=prefix, Delimiter="/", MaxKeys=BATCH
            )
        texts = (_DAY.search(entry["Prefix"]) for entry in found.get("CommonPrefixes", ()))
        return [date.fromisoformat(text[1]) for text in texts if text is not None]

    async def _keys(self, prefix: str) -> list[str]:
        async with _failing("listing"):
            found = await self._client.list_objects_v2(Bucket=self._place.bucket, Prefix=prefix, MaxKeys=BATCH)
        return [entry["Key"] for entry in found.get("Contents", ())]

    async def _delete(self, keys: Sequence[str]) -> None:
        objects = [{"Key": key} for key in keys]
        async with _failing("deleting"):
            done = await self._client.delete_objects(
                Bucket=self._place.bucket, Delete={"Objects": objects, "Quiet": True}
            )
        if errors := done.get("Errors"):
            raise StoreUnavailable(f"deleting in the object store failed: {errors[0].get('Code', 'unknown')}")


@contextlib.asynccontextmanager
async def _failing(what: str) -> AsyncIterator[None]:
    """Bounds a call in time and turns what the library raises into the port's errors."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except ClientError as error:
        kind = StoreRefused if 400 <= _status(error) < 500 else StoreUnavailable
        raise kind(f"{what} in the object store failed: {_code(error)}") from error
    except (BotoCoreError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"{what} in the object store failed: {type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
