"""A provider's own bill beside the ledger, through the API of a running control plane."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.pricing import Price, cost
from tollway.core.usage import Usage
from tollway.testkit.ledger_rows import attempt_row, request_row

NOON_MS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
MIDNIGHT_MS = NOON_MS + DAY_MS // 2
PRICES = {
    "gpt-4o": Price(version="v1", input=2_500_000_000, output=10_000_000_000),
    "o3": Price(version="v1", input=2_000_000_001, output=8_000_000_000),
}


class MockProvider:
    """Bills every call that it serves, by itself: it knows nothing of the ledger."""

    def __init__(self, name: str, identifier: str) -> None:
        self.name = name
        self.id = identifier
        self.bill: dict[tuple[date, str], list[tuple[int, Usage]]] = {}

    def serve(self, at_ms: int, model: str, usage: Usage, **changed: Any) -> AttemptRow:
        """Serves and bills a call; returns what the gateway books of it."""
        amount = cost(usage, PRICES[model])
        day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
        self.bill.setdefault((day, model), []).append((amount, usage))
        known: dict[str, Any] = {"provider": self.id, "target_model": model, "usage": usage, "cost_nano": amount}
        return attempt_row(at_ms, **known | changed)

    def csv(self) -> str:
        """The bill as CSV."""
        lines = ["day,model,cost,requests,input_tokens,output_tokens"]
        for (day, model), calls in self.bill.items():
            amount = sum(nano for nano, _ in calls)
            tokens = f"{sum(u.input for _, u in calls)},{sum(u.output for _, u in calls)}"
            lines.append(f"{day},{model},{amount // 10**9}.{amount % 10**9:09d},{len(calls)},{tokens}")
        return "\n".join(lines) + "\n"

    def openai(self) -> str:
        """The bill as OpenAI's cost interface tells it: by day, model and kind of token."""
        buckets = []
        for (day, model), calls in self.bill.items():
            begin = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
            spoken = sum(cost(Usage(output=u.output), PRICES[model]) for _, u in calls)
            heard = sum(nano for nano, _ in calls) - spoken
            results = [
                {
                    "object": "organization.costs.result",
                    "amount": {"value": f"{nano // 10**9}.{nano % 10**9:09d}", "currency": "usd"},
                    "line_item": f"{model}-2024-08-06, {kind}",
                }
                for nano, kind in ((heard, "input"), (spoken, "output"))
            ]
            buckets.append({"object": "bucket", "start_time": begin, "end_time": begin + 86_400, "results": results})
        return json.dumps({"object": "page", "data": buckets, "has_more": False})


class Desk:
    """An API, its ledger, and a provider that bills."""

    def __init__(self, api: Any, provider: MockProvider) -> None:
        self.api = api
        self.provider = provider

    async def ok(self, verb: str, path: str, body: Any = None) -> Any:
        """The body of a call that succeeds."""
        answer = await self.api.call(verb, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    async def book(self, *rows: RequestRow) -> None:
        """Books requests."""
        await ingest(self.api.plane.pool, "dp-1", list(rows))

    async def upload(self, content: str, **more: str) -> Any:
        """Uploads a bill of the provider."""
        return await self.ok("POST", "reconciliations", {"provider": self.provider.name, "content": content, **more})


@pytest.fixture
async def desk(api: Any, plane: ControlPlane) -> Desk:
    async with plane.pool.connection() as db:  # so that no partition is made while the test reads
        await ensure_partitions(db, datetime.now(UTC).date())
    made = Desk(api, MockProvider("openai", ""))
    made.provider.id = (await made.ok("POST", "providers", {"name": "openai", "kind": "openai"}))["id"]
    return made


async def test_a_bill_of_what_was_booked_differs_by_nothing(desk: Desk) -> None:
    """Plain calls over midnight, a retry that the provider billed, and a call whose client hung up."""
    serve = desk.provider.serve
    for at in (NOON_MS, MIDNIGHT_MS - 1, MIDNIGHT_MS, MIDNIGHT_MS + 1):
        await desk.book(request_row(at, attempts=(serve(at, "gpt-4o", Usage(input=101, output=7)),)))
    cut = serve(NOON_MS, "o3", Usage(input=1_000, output=3), outcome="error", status=502)
    again = serve(NOON_MS + 5, "o3", Usage(input=1_000, output=40), number=2)
    hung = serve(NOON_MS, "o3", Usage(input=333, output=11), estimated=True)
    await desk.book(request_row(NOON_MS, attempts=(cut, again)), request_row(NOON_MS, attempts=(hung,)))
    other = attempt_row(NOON_MS, provider="another", target_model="gpt-4o", cost_nano=5)
    await desk.book(request_row(NOON_MS, attempts=(other,)))
    for content in (desk.provider.csv(), desk.provider.openai()):
        found = await desk.upload(content)
        assert (found["status"], found["difference"], found["billed"]) == ("matched", "0", found["ledger"])
        lines = {(line["day"], line["model"]): line for line in found["details"]}
        assert set(lines) == {("2026-11-20", "gpt-4o"), ("2026-11-20", "o3"), ("2026-11-21", "gpt-4o")}
        assert {(line["difference"], line["ratio"]) for line in lines.values()} == {("0", "1.000000")}
        parts = {part["part"]: (part["attempts"], part["cost"]) for part in lines["2026-11-20", "o3"]["parts"]}
        assert parts == {
            "first": ("1", "0.002024"),
            "retry": ("1", "0.00232"),
            "estimated": ("1", "0.000754"),
        }
    told = await desk.ok("GET", f"reconciliations/{found['id']}")
    assert told == found
    listed = (await desk.ok("GET", "reconciliations?provider=openai"))["reconciliations"]
    assert [(one["format"], one["status"], one["details"]) for one in listed] == [
        ("openai", "matched", []),
        ("csv", "matched", []),
    ]


async def test_differences_have_a_size_a_ratio_and_a_status(desk: Desk) -> None:
    serve = desk.provider.serve
    await desk.book(request_row(NOON_MS, attempts=(serve(NOON_MS, "gpt-4o", Usage(input=1_000_000)),)))
    await desk.book(request_row(NOON_MS, attempts=(serve(NOON_MS, "o3", Usage(input=1_000)),)))
    content = "day,model,cost\n2026-11-20,gpt-4o,2.525\n2026-11-20,dall-e-3,1\n"
    found = await desk.upload(content, tolerance="0.005", note="November")
    lines = {line["model"]: (line["difference"], line["ratio"], line["status"]) for line in found["details"]}
    assert lines == {
        "gpt-4o": ("0.025", "0.990099", "over_billed"),
        "dall-e-3": ("1", "0.000000", "not_in_ledger"),
        "o3": ("-0.002", "", "not_billed"),
    }
    assert (found["status"], found["tolerance"], found["note"], found["billed"], found["ledger"]) == (
        "different",
        "0.005",
        "November",
        "3.525",
        "2.502",
    )
    close = await desk.upload("day,model,cost\n2026-11-20,gpt-4o,2.505\n2026-11-20,o3,0.002\n", tolerance="0.002")
    assert [line["status"] for line in close["details"]] == ["within_tolerance", "matched"]
    assert close["status"] == "within_tolerance"


async def test_the_same_bill_is_stored_once_and_is_compared_anew(desk: Desk) -> None:
    guess = desk.provider.serve(NOON_MS, "gpt-4o", Usage(input=100, output=10))
    row = request_row(NOON_MS, attempts=(msgspec.structs.replace(guess, estimated=True, cost_nano=1),))
    await desk.book(row)
    content = desk.provider.csv()
    first, again = await desk.upload(content), await desk.upload(content)
    assert first == again
    assert (first["status"], [part["part"] for part in first["parts"]]) == ("different", ["estimated"])
    await desk.book(msgspec.structs.replace(row, attempts=(guess,)))
    now = await desk.ok("GET", f"reconciliations/{first['id']}")
    assert (now["status"], now["difference"]) == ("matched", "0")
    assert [(part["part"], part["attempts"]) for part in now["parts"]] == [("first", "1")]
    listed = (await desk.ok("GET", "reconciliations"))["reconciliations"]
    assert [one["status"] for one in listed] == ["different"], "the list tells what was found at the upload"
    assert (await desk.upload(content, tolerance="0.01"))["id"] != first["id"]
    events = (await desk.ok("GET", "audit?action=reconciliation.upload"))["events"]
    assert len(events) == 2
    assert content not in json.dumps(events)


async def test_wrong_bills_are_refused_with_the_line(desk: Desk) -> None:
    huge = "day,model,cost\n2026-11-20,m,9000000000\n2026-11-21,m,9000000000\n"
    credited = "day,model,cost\n" + "2026-11-20,m,9000000000\n" * 2 + "2026-11-20,n,-9000000000\n" * 2
    counted = "day,model,cost,requests\n" + "2026-11-20,m,0,1000000000000000\n" * 9_300
    first = {"starting_at": "0001-01-01T00:00:00+14:00", "ending_at": "0001-01-02T00:00:00+14:00", "results": []}
    bucket = json.dumps({"data": [first]})
    cases = [
        ({"content": "day,model,cost\n2026-11-20,m,x\n"}, 400, "line 2: cost: 'x' is not a decimal amount"),
        ({"content": huge}, 400, "more than can be stored"),
        ({"content": credited}, 400, "2026-11-20 m: adds up to more than can be stored"),
        ({"content": counted}, 400, "2026-11-20 m: adds up to more than can be stored"),
        ({"content": "day,model,cost\n0001-01-01T00:00:00+14:00,m,1\n"}, 400, "line 2: day: "),
        ({"content": bucket}, 400, "data[0]: '0001-01-01 00:00:00+14:00' cannot be meant"),
        ({"provider": "nobody", "content": "x"}, 404, "there is no provider 'nobody'"),
        ({"content": "x", "format": "xls"}, 400, "format"),
        ({"content": "x", "tolerance": "2"}, 400, "tolerance"),
    ]
    for body, status, message in cases:
        answer = await desk.api.call("POST", "reconciliations", {"provider": "openai", **body})
        assert answer.status == status, answer.body
        assert message in answer.error["message"]
    assert (await desk.api.call("GET", "reconciliations/none")).status == 404
    assert (await desk.ok("GET", "reconciliations"))["reconciliations"] == []


async def test_a_large_bill_is_read_while_others_are_answered(desk: Desk) -> None:
    content = "day,model,cost\n" + "2026-11-20,m,1e-6\n" * 50_000
    uploading = asyncio.create_task(desk.ok("POST", "reconciliations", {"provider": "openai", "content": content}))
    answered = 0
    while not uploading.done():
        await desk.ok("GET", "reconciliations")
        answered += 1
    assert (await uploading)["billed"] == "0.05"
    assert answered > 10
