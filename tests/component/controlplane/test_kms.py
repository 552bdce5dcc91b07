"""A key-encryption key in AWS KMS, with moto standing in for it: it speaks KMS's protocol and checks the context."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiobotocore.session import get_session  # type: ignore[import-untyped]
from psycopg import AsyncConnection

from tollway.controlplane.app import ControlPlane, prepare
from tollway.controlplane.credentials.keks import (
    KekUnavailable,
    KeyEncryptionKey,
    KmsAccess,
    VaultError,
    opened,
    parse_keks,
)
from tollway.controlplane.credentials.vault import Vault
from tollway.runtime.lifecycle import StartError

SECRET = "kms-secret-canary-4711"
ACCESS = {"access_key": "kms-access", "secret_key": SECRET}
LOCAL = b"k" * 32


@dataclass
class Kms:
    """The stand-in: `arns` are two keys in it."""

    endpoint: str
    arns: list[str]
    process: asyncio.subprocess.Process

    def kek(self, index: int = 0) -> KeyEncryptionKey:
        """The port over one of its keys."""
        (found,) = opened(parse_keks(f"aws-kms:{self.arns[index]}"), KmsAccess(endpoint=self.endpoint, **ACCESS))
        assert not isinstance(found, bytes)
        return found

    async def end(self) -> None:
        """An outage for good."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def kms() -> AsyncIterator[Kms]:
    """A server of moto with two keys."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port), stdout=DEVNULL, stderr=DEVNULL
    )
    endpoint = f"http://127.0.0.1:{port}"
    made = Kms(endpoint, [], process)
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{endpoint}/moto-api/") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
        options: Any = {"aws_access_key_id": "kms-access", "aws_secret_access_key": SECRET}
        async with get_session().create_client("kms", "eu-west-1", endpoint_url=endpoint, **options) as client:
            made.arns = [(await client.create_key())["KeyMetadata"]["Arn"] for _ in range(2)]
        yield made
    finally:
        await made.end()


async def test_everything_under_a_key_in_kms(
    kms: Kms, database: str, make_settings: Any, make_api: Any, canary: str
) -> None:
    kek = kms.kek()
    wrapped = await kek.wrap(b"d" * 32, "one")
    assert await kek.unwrap(wrapped, "one") == b"d" * 32
    for other, data_key_id in ((kek, "two"), (kms.kek(1), "one")):
        with pytest.raises(VaultError, match="cannot unwrap a data key"):
            await other.unwrap(wrapped, data_key_id)

    # An installation whose key was in the environment moves to KMS, and goes on when KMS does not answer.
    await prepare(database, Vault([LOCAL]))
    given = (*parse_keks(f"aws-kms:{kms.arns[0]}"), LOCAL)
    settings = make_settings(
        database, keks=given, kms_endpoint=kms.endpoint, kms_access_key="kms-access", kms_secret_key=SECRET
    )
    plane = ControlPlane(settings)
    await plane.start()
    api = make_api(plane, database)
    try:
        body = {"name": "p", "kind": "openai", "credentials": [{"name": "main", "api_key": canary}]}
        assert (await api.call("POST", "providers", body)).status == 200
        assert (await api.call("POST", "secrets:rotateKek", {})).status == 200
        async with asyncio.timeout(20):
            while (await api.call("GET", "secrets")).body["rotations"][0]["state"] != "done":
                await asyncio.sleep(0.1)
        (first, second) = (await api.call("GET", "secrets")).body["keks"]
        assert (first["name"], first["kind"], first["data_keys"]) == (kek.name, "aws_kms", 1)
        assert second["removable"]
        await prepare(database, Vault([kms.kek()]))
        await kms.end()
        added = await api.call("POST", "providers/p/credentials", {"name": "spare", "api_key": "b" + canary})
        assert added.status == 200, "what is in memory goes on"
        refused = await api.call("POST", "secrets:rotateDataKey", {})
        assert (refused.status, refused.error["code"]) == (503, "unavailable")
        assert kms.arns[0] in refused.error["message"]
        assert SECRET not in str(refused.body)
    finally:
        await api.close()
        await plane.stop()
    async with asyncio.timeout(20):
        with pytest.raises(StartError, match=rf"AWS KMS cannot unwrap a data key with {kms.arns[0]} now") as failed:
            await prepare(database, Vault([kms.kek()]))
    assert "kms:Decrypt" in str(failed.value)
    async with await AsyncConnection.connect(database) as db:
        with pytest.raises(KekUnavailable):
            await Vault([kms.kek()]).warm(db)


async def test_a_kms_that_is_silent_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.controlplane.credentials.kms.CALL_SECONDS", 0.5)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    (kek,) = opened(parse_keks(f"aws-kms:{arn}"), KmsAccess(endpoint=endpoint, **ACCESS))
    assert not isinstance(kek, bytes)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(KekUnavailable, match=r"TimeoutError.*kms:Encrypt") as failed:
                await kek.wrap(b"d" * 32, "one")
        assert SECRET not in repr(failed.value) + repr(kek)
    finally:
        server.close()
        await server.wait_closed()
