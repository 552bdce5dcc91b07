"""`tollway prices` and `tollway reconcile` against a running control plane."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.sdk.client import AsyncClient
from tollway.sdk.models import Price
from tollway.testkit.ledger_rows import attempt_row, request_row

TOKEN = "admin-token-canary-4711"


async def test_a_price_from_set_to_rerated_and_reconciled(api: Any, plane: ControlPlane, tmp_path: Path) -> None:
    async with plane.pool.connection() as db:  # so that no partition is made while the test reads
        await ensure_partitions(db, datetime.now(UTC).date())
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async def tollway(*words: str) -> tuple[int, str, str]:
        flags = ["--url", api.base, "--token-file", str(token), "-o", "json"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollway.cli.main", *flags, *words, stdin=DEVNULL, stdout=pipe, stderr=pipe
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def ok(*words: str) -> Any:
        code, out, err = await tollway(*words)
        assert code == 0, err
        return json.loads(out)

    await api.call("POST", "providers", {"name": "p", "kind": "openai"})
    target = [{"provider": "p", "model": "gpt-4o-mini"}]
    provider = (await api.call("GET", "providers/p")).body["id"]
    await api.call("POST", "models", {"name": "small", "targets": target})
    report = await ok("prices", "import", "--dry-run")
    assert report["new"] > 1000
    assert not report["applied"]
    made = await ok("prices", "set", "--model", "small", "--price", "input=3 output=4", "--note", "contract")
    version = made["version"]
    assert [found["version"] for found in await ok("prices", "list", "--model", "small")] == [version]
    shown = await ok("prices", "show", version)
    assert (shown["versions"][0]["price"]["input"], shown["publications"][0]["model"]) == ("3", "small")

    at = datetime.now(UTC) + timedelta(seconds=1)
    at_ms = int(at.timestamp() * 1000)
    attempt = attempt_row(at_ms, provider=provider, provider_kind="openai", target_model="gpt-4o-mini")
    await ingest(plane.pool, "dp-1", [request_row(at_ms, attempts=(attempt,))])
    period = ["--from", "1h", "--to", (at + timedelta(hours=1)).isoformat()]
    # 100 tokens in at 3,000 nano-dollars and 10 out at 4,000, instead of the 1,000 that were booked.
    trial = await ok("prices", "rerate", *period, "--dry-run")
    assert [(row["before"], row["after"], row["changed"]) for row in trial] == [("0.000001", "0.00034", 1)]
    code, _, message = await tollway("prices", "rerate", *period)
    assert (code, "--yes" in message) == (2, True)
    await ok("prices", "rerate", *period, "--yes")
    assert [row["changed"] for row in await ok("prices", "rerate", *period, "--dry-run")] == [0]

    bill = tmp_path / "bill.csv"
    bill.write_text(f"day,model,cost\n{at.date()},gpt-4o-mini-2024-07-18,0.00034\n")
    found = await ok("reconcile", "upload", str(bill), "--provider", "p")
    assert (found["status"], found["details"][0]["model"]) == ("matched", "gpt-4o-mini")
    assert (await ok("reconcile", "show", found["id"]))["difference"] == "0"
    assert [one["id"] for one in await ok("reconcile", "list")] == [found["id"]]
    assert "total" in (await tollway("-o", "table", "reconcile", "show", found["id"]))[1]
    bill.write_text("day,model,cost\nyesterday,m,1\n")
    code, _, message = await tollway("reconcile", "upload", str(bill), "--provider", "p")
    assert (code, "line 2: day: 'yesterday' is not a date" in message) == (1, True)
    ended = await ok("prices", "end", version)
    assert ended["valid_until"] is not None


async def test_the_asynchronous_client_has_the_same(api: Any, plane: ControlPlane) -> None:
    async with AsyncClient(api.base, TOKEN) as client:
        made = await client.prices.set(Price(input="1", output="2"), target_model="any-*")
        assert [found.version async for found in client.prices.list()] == [made.version]
        assert (await client.prices.get(made.version)).versions == [made]
        assert (await client.prices.take_over(dry_run=True)).new > 1000
        start = datetime(2026, 1, 1, tzinfo=UTC)
        parts = [part async for part in client.prices.rerate(start, start + timedelta(days=2))]
        assert [part.attempts for part in parts] == [0] * len(parts)
        assert [one async for one in client.reconciliations.list()] == []
