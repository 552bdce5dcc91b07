"""The ledger's own management methods, over REST and through the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from tollway.cli.main import app as cli
from tollway.controlplane.settings import Settings
from tollway.runtime.settings import SettingsError, load
from tollway.sdk.client import Client
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row

NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)


async def test_verify_goes_through_a_period_piece_by_piece(api: Any) -> None:
    await api.plane.ledger.ingest("dp", [request_row(), request_row(NOON_MS - 86_400_000, user="ann")])

    def verified() -> list[Any]:
        with Client(api.base, "admin-token-canary-4711") as client:
            return list(client.ledger.verify(start=NOON - timedelta(days=2), end=NOON + timedelta(hours=2)))

    found = await asyncio.to_thread(verified)
    assert [piece.clean for piece in found] == [True, True, True]
    assert [piece.begins.hour for piece in found] == [14, 0, 0]
    # By hour and by day; once they are folded, by week and over all projects, too.
    assert 8 <= sum(piece.compared for piece in found) <= 16
    assert found[-1].ends == datetime(2026, 9, 21, 17, tzinfo=UTC)
    await api.sql("UPDATE ledger_attempts SET cost_nano = 1 WHERE user_name = 'ann'")
    found = await asyncio.to_thread(verified)
    (difference,) = [difference for piece in found for difference in piece.differences]
    assert (difference.rollup, difference.user, difference.provider) == ("hour", "ann", "prov-1")
    assert [(f.name, f.kept, f.counted) for f in difference.figures] == [("cost_nano", "1000", "1")]


async def test_the_command_exits_1_when_the_sums_differ(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLWAY_ADMIN_TOKEN", "admin-token-canary-4711")
    await api.plane.ledger.ingest("dp", [request_row()])
    period = ["--from", (NOON - timedelta(hours=3)).isoformat(), "--to", (NOON + timedelta(hours=3)).isoformat()]
    command = ["--url", api.base, "-o", "csv", "ledger", "verify", *period]
    done = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert done.exit_code == 0, done.output
    await api.sql("DELETE FROM ledger_attempts")
    done = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert done.exit_code == 1
    assert "hour,2026-09-21T14:00:00Z" in done.output
    assert "cost_nano,1000,0" in done.output


async def test_the_dearest_groups_are_shown_with_the_sum_of_the_others(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLWAY_ADMIN_TOKEN", "admin-token-canary-4711")
    costs = {"cheap": 1, "dear": 3_000_000_000, "middle": 7}
    rows = [request_row(model=name, attempts=(attempt_row(cost_nano=cost),)) for name, cost in costs.items()]
    await api.plane.ledger.ingest("dp", rows)
    period = ["--from", (NOON - timedelta(hours=3)).isoformat(), "--to", (NOON + timedelta(hours=3)).isoformat()]
    command = ["--url", api.base, "usage", "--by", "model", *period]
    done = await asyncio.to_thread(CliRunner().invoke, cli, [*command, "--top", "1"])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.partition("GROUP")[2].splitlines()[1:]]
    shown = {" ".join(words[: 2 if "others" in words else 1]): "0.000000008" in words for words in lines}
    assert shown == {"dear": False, "2 others": True, "total": False}
    whole = await asyncio.to_thread(CliRunner().invoke, cli, command)
    lines = [line.split() for line in whole.output.partition("GROUP")[2].splitlines()[1:]]
    assert [words[0] for words in lines] == ["dear", "middle", "cheap", "total"]
    asked = f"usage?by=model&from={NOON - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}&to={NOON:%Y-%m-%d}T23:00:00Z"
    found = await api.call("GET", f"{asked}&limit=2")
    assert (found.body["groups"], found.body["others"]["cost"]) == ("3", "0.000000001")
    refused = await api.call("GET", f"{asked}&limit=1001")
    assert (refused.status, refused.error["field"]) == (400, "limit")
    nobodys = await api.call("GET", f"{asked}&projects={UUID(int=998)}&projects={UUID(int=999)}")
    assert (nobodys.status, nobodys.body.get("rows", [])) == (200, [])
    refused = await api.call("GET", f"{asked}&projects={UUID(int=1)}&projects=retail")
    assert (refused.status, refused.error["field"]) == (400, "projects[1]")


async def test_verify_refuses_what_cannot_be_meant(api: Any) -> None:
    refused = await api.call("GET", "ledger:verify?from=2026-09-21T00:00:00Z&to=2026-09-20T00:00:00Z")
    assert (refused.status, refused.error["field"]) == (400, "to")
    early = await api.call("GET", "ledger:verify?to=0001-01-01T00:00:00Z")
    assert (early.status, early.error["field"]) == (400, "to")
    assert (await api.call("GET", "ledger:verify", token="not a valid token")).status == 401


async def test_retention_by_command_is_audited(api: Any) -> None:
    refused = await api.call("POST", "ledger:retain", {})
    assert (refused.status, refused.error["field"]) == (400, "days")
    await api.plane.ledger.ingest("dp", [request_row(1_600_000_000_000)])
    await api.sql(
        "CREATE TABLE ledger_requests_20200901_20201001 (LIKE ledger_requests INCLUDING ALL);"
        " INSERT INTO ledger_requests_20200901_20201001 SELECT * FROM ledger_requests;"
        " DELETE FROM ledger_requests_default;"
        " ALTER TABLE ledger_requests ATTACH PARTITION ledger_requests_20200901_20201001"
        " FOR VALUES FROM ('2020-09-01') TO ('2020-10-01')"
    )
    partitions = ["ledger_requests_20200901_20201001", "ledger_attempts_20200901_20201001"]
    asked = await api.call("POST", "ledger:retain", {"days": 400, "dry_run": True})
    assert (asked.status, asked.body) == (200, {"partitions": partitions, "horizon": ""})
    done = await api.call("POST", "ledger:retain", {"days": 400})
    assert (done.status, done.body) == (200, {"partitions": partitions, "horizon": "2020-10-01"})
    assert await api.sql("SELECT count(*) FROM ledger_requests") == [(0,)]
    assert await api.sql("SELECT count(*) FROM ledger_attempts") == [(0,)]
    audited = await api.sql("SELECT action, resource, after->>'days' FROM audit_events WHERE action = 'ledger.retain'")
    assert audited == [("ledger.retain", "ledger:rows", "400")]


@pytest.mark.parametrize(("text", "days"), [("0", 0), ("35", 35), ("400", 400), ("7", None), ("x", None)])
def test_the_setting_takes_no_rows_that_budgets_still_need(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, text: str, days: int | None
) -> None:
    known = {
        "TOLLWAY_DATABASE_URL": "postgresql://localhost/x", "TOLLWAY_KEK": "a" * 64, "TOLLWAY_FLEET_KEY": "b" * 64,
        "TOLLWAY_JOIN_TOKEN": "t" * 20, "TOLLWAY_ADMIN_TOKEN": "t" * 20, "TOLLWAY_LEDGER_RETENTION_DAYS": text,
    }  # fmt: skip
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    if days is None:
        with pytest.raises(SettingsError, match="TOLLWAY_LEDGER_RETENTION_DAYS"):
            load(Settings)
    else:
        assert load(Settings).ledger_retention_days == days
