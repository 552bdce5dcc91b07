"""Bills in every format, and what a wrong file is told."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.reconciliation.bills import NO_MODEL, Bill, BillError, Format
from tollway.controlplane.reconciliation.reading import guess, read_bill

DAY = date(2026, 1, 31)
CSV = "day,model,cost,requests\n2026-01-31,gpt-4o,1.25,3\n2026-01-31,gpt-4o,0.000000001,\n2026-02-01,o3,2,1\n"
OPENAI_DAY = {"object": "bucket", "start_time": 1769817600, "end_time": 1769904000}
ANTHROPIC_DAY = {"starting_at": "2026-01-31T00:00:00Z", "ending_at": "2026-02-01T00:00:00Z"}


def cost(value: Any, item: str | None, currency: str = "usd") -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": value, "currency": currency},
        "line_item": item,
        "project_id": None,
    }


def openai(*results: Any, **bucket: Any) -> str:
    return json.dumps({"object": "page", "data": [{**OPENAI_DAY, "results": results, **bucket}], "has_more": False})


def anthropic(*results: Any, **bucket: Any) -> str:
    return json.dumps({"data": [{**ANTHROPIC_DAY, "results": results, **bucket}], "has_more": False})


def amounts(bill: Bill) -> list[tuple[str, str, int | None]]:
    return [(line.day.isoformat(), line.model, line.cost_nano) for line in bill.lines]


def refusal(text: str, form: str = "") -> str:
    with pytest.raises(BillError) as caught:
        read_bill(text, form, "openai")
    return str(caught.value)


def test_csv_is_added_up_by_day_and_model() -> None:
    bill = read_bill("\ufeff" + CSV, "", "openai")
    assert bill.format is Format.CSV
    assert amounts(bill) == [("2026-01-31", "gpt-4o", 1_250_000_001), ("2026-02-01", "o3", 2_000_000_000)]
    assert [line.requests for line in bill.lines] == [3, 1]


def test_parts_of_a_nano_dollar_are_added_before_they_are_rounded() -> None:
    rows = "".join("2026-01-31,m,0.0000000005\n" for _ in range(3))
    assert read_bill("day,model,cost\n" + rows, "", "x").lines[0].cost_nano == 2
    assert read_bill("day,model,cost\n2026-01-31,m,-1.5\n", "", "x").lines[0].cost_nano == -1_500_000_000


def test_json_lines_have_the_same_fields() -> None:
    first = '{"day": "2026-01-31", "model": "m", "cost": 0.1, "input_tokens": 7}'
    text = first + '\n\n{"day": "2026-01-31", "model": "m", "cost": "0.2"}\n'
    bill = read_bill(text, "", "x")
    assert (bill.format, amounts(bill)) == (Format.JSONL, [("2026-01-31", "m", 300_000_000)])
    assert bill.lines[0].input_tokens == 7


def test_openai_costs_and_usage_of_several_pages() -> None:
    costs = openai(cost(0.06, "gpt-4o-2024-08-06, input"), cost(0.04, "gpt-4o-2024-08-06, output"), cost(1, None))
    usage = openai(
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 100,
            "output_tokens": 10,
            "num_model_requests": 5,
            "model": "gpt-4o-2024-08-06",
        }
    )
    for text in (f"{costs}\n{usage}\n", f"[{costs}, {usage}]"):
        bill = read_bill(text, "", "openai")
        assert bill.format is Format.OPENAI
        assert amounts(bill) == [
            ("2026-01-31", NO_MODEL, 1_000_000_000),
            ("2026-01-31", "gpt-4o-2024-08-06", 100_000_000),
        ]
        told = bill.lines[1]
        assert (told.requests, told.input_tokens, told.output_tokens) == (5, 100, 10)
        assert len(bill.remarks) == 1
        assert "names no model" in bill.remarks[0]


def test_anthropic_amounts_are_cents_and_usage_adds_what_was_cached() -> None:
    bill = read_bill(
        anthropic(
            {"currency": "USD", "amount": "123.78912", "model": "claude-sonnet-4-5", "cost_type": "tokens"},
            {
                "model": "claude-sonnet-4-5",
                "uncached_input_tokens": 10,
                "cache_read_input_tokens": 20,
                "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 4},
                "output_tokens": 5,
            },
            {"currency": "USD", "amount": "50", "model": None, "cost_type": "web_search"},
        ),
        "",
        "anthropic",
    )
    assert bill.format is Format.ANTHROPIC
    assert amounts(bill) == [
        ("2026-01-31", NO_MODEL, 500_000_000),
        ("2026-01-31", "claude-sonnet-4-5", 1_237_891_200),
    ]
    assert (bill.lines[1].input_tokens, bill.lines[1].output_tokens) == (37, 5)


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("", "", "the file is empty"),
        ("day,model,cost\n", "", "the file has no amounts"),
        ("day,model\n2026-01-31,m\n", "", "line 1: the field 'cost' is missing"),
        ("day,model,cost,colour\n", "", "line 1: 'colour' is not a known field; known are day, model, cost"),
        ("day,model,cost,cost\n", "", "line 1: 'cost' stands there twice"),
        (CSV + "2026-02-30,m,1,1\n", "", "line 5: day: '2026-02-30' is not a date such as 2026-01-31"),
        (CSV + "2026-02-01,m,1.2.3,1\n", "", "line 5: cost: '1.2.3' is not a decimal amount"),
        (CSV + "2026-02-01,m,NaN,1\n", "", "line 5: cost: 'NaN' is not an amount that can be meant"),
        (CSV + "2026-02-01,m,1e999999999,1\n", "", "line 5: cost: '1e999999999' is not an amount"),
        (CSV + "2026-02-01,m,1e-99,1\n", "", "line 5: cost: '1e-99' is not an amount"),
        (CSV + "2026-02-01,,1,1\n", "", "line 5: model: is missing"),
        (CSV + "2026-02-01,m,1,-1\n", "", "line 5: requests: '-1' is not a whole number"),
        (CSV + "2026-02-01,m,1\n", "", "line 5: has 3 fields, and the header has 4"),
        (CSV + '2026-02-01,"m,1,1\n', "", "line 5: is not valid CSV"),
        ("day,model,cost,provider\n2026-01-31,m,1,azure\n", "", "line 2: provider: 'azure' is not 'openai'"),
        ('{"day": "2026-01-31", "model": "m", "cost": 1}\n{"day": }\n', "", "line 2: is not valid JSON"),
        ('{"day": "2026-01-31", "model": "m"}\n', "", "line 1: the field 'cost' is missing"),
        ('{"day": "2026-01-31", "model": "m", "cost": true}', "", "line 1: cost: 'True' is not a decimal amount"),
        ('{"day": 5, "model": "m", "cost": 1}', "", "line 1: day: '5' is not a date"),
        ('{"day": "2026-01-31T10:00:00", "model": "m", "cost": 1}', "", "has no time zone"),
        ('{"day": "2026-01-31", "model": "m", "cost": Infinity}', "", "Infinity is not a number"),
        ("[" * 100_000, "jsonl", "the JSON is nested too deeply"),
        ("[1]", "jsonl", "entry 1: must be a JSON object"),
        (openai(cost(1, "m", "eur")), "", "data[0].results[0].amount.currency: 'eur' is not USD"),
        (openai({"object": "other"}), "", "data[0].results[0].object: 'other' is neither a cost nor a usage"),
        (openai(cost(1, "m"), end_time=1769904000 + 86400), "", "data[0]: must lie within one UTC day"),
        (openai(cost(1, "m"), start_time="soon"), "", "data[0].start_time: 'soon' is not a whole number"),
        (openai(cost(None, "m")), "", "data[0].results[0].amount.value: 'None' is not a decimal amount"),
        ('{"data": {}}', "openai", "data: must be a JSON array"),
        (
            anthropic({"amount": "1", "currency": "USD"}, starting_at="then"),
            "anthropic",
            "data[0].starting_at: must be",
        ),
        (anthropic({"model": "m"}), "", "data[0].results[0]: is neither a cost nor a usage"),
    ],
)
def test_a_wrong_file_is_told_where_and_why(text: str, form: str, message: str) -> None:
    assert message in refusal(text, form)


@given(st.text(max_size=200), st.sampled_from(["", "csv", "jsonl", "openai", "anthropic"]))
def test_whatever_the_text_is_it_is_read_or_refused(text: str, form: str) -> None:
    try:
        bill = read_bill(text, form, "x")
    except BillError:
        return
    assert bill.lines


def test_the_format_is_told_by_the_text() -> None:
    assert guess(CSV) is Format.CSV
    assert guess(openai()) is Format.OPENAI
    assert guess(anthropic()) is Format.ANTHROPIC
    assert guess('{"day": "2026-01-31"}\n{"day": "2026-01-31"}') is Format.JSONL
