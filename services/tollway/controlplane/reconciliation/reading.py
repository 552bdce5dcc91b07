"""Reads a bill in each of its formats. Pure.

The fields are those of the providers' references: OpenAI's `/v1/organization/costs` (amounts in dollars, by
`line_item`) and `/v1/organization/usage/*` (by `model`); Anthropic's `/v1/organizations/cost_report` (amounts in cents)
and `/v1/organizations/usage_report/messages`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollway.controlplane.reconciliation.bills import Bill, BillError, Format, Record, add_up
from tollway.controlplane.reconciliation.fields import (
    amount_of,
    count_of,
    day_of,
    day_of_bucket,
    documents,
    list_of,
    model_of,
    object_of,
)

REQUIRED = ("day", "model", "cost")
OPTIONAL = ("provider", "requests", "input_tokens", "output_tokens")
OPENAI_COSTS = "organization.costs.result"
OPENAI_USAGE = "organization.usage."
CENTS = Decimal("0.01")
_MICROSECONDS_LIMIT = 10**11


def read_bill(text: str, form: str, provider: str) -> Bill:
    """The bill of `provider` (its name); `form` empty: as the text looks. Raises BillError."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise BillError("", "the file is empty")
    chosen = Format(form) if form else guess(text)
    if chosen is Format.CSV:
        records = _from_csv(text, provider)
    elif chosen is Format.JSONL:
        records = _from_jsonl(text, provider)
    else:
        records = _from_pages(text, chosen)
    return add_up(chosen, records)


def guess(text: str) -> Format:
    """The format of a text: JSON is told by its members, all else is CSV."""
    if text.lstrip()[:1] not in ("{", "["):
        return Format.CSV
    _, first = documents(text)[0]
    page = first[0] if isinstance(first, list) and first else first
    if not isinstance(page, dict) or "data" not in page:
        return Format.JSONL
    buckets = page["data"]
    anthropic = isinstance(buckets, list) and bool(buckets) and isinstance(buckets[0], dict)
    return Format.ANTHROPIC if anthropic and "starting_at" in buckets[0] else Format.OPENAI


def _from_csv(text: str, provider: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
        _check_names(header, "line 1")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            place = f"line {reader.line_num}"
            if len(row) != len(header):
                raise BillError(place, f"has {len(row)} fields, and the header has {len(header)}")
            yield _record(dict(zip(header, row, strict=True)), place, provider)
    except csv.Error as error:
        raise BillError(f"line {reader.line_num}", f"is not valid CSV: {error}") from None


def _check_names(names: list[str], place: str) -> None:
    for name in names:
        if name not in (*REQUIRED, *OPTIONAL):
            known = ", ".join((*REQUIRED, *OPTIONAL))
            raise BillError(place, f"{name[:40]!r} is not a known field; known are {known}")
        if names.count(name) > 1:
            raise BillError(place, f"{name!r} stands there twice")
    for name in REQUIRED:
        if name not in names:
            raise BillError(place, f"the field {name!r} is missing")


def _from_jsonl(text: str, provider: str) -> Iterator[Record]:
    for place, document in documents(text):
        entries = document if isinstance(document, list) else [document]
        for index, entry in enumerate(entries):
            where = place or (f"entry {index + 1}" if isinstance(document, list) else "line 1")
            found = object_of(entry, where)
            _check_names(list(found), where)
            yield _record(found, where, provider)


def _record(values: dict[str, Any], place: str, provider: str) -> Record:
    where = f"{place}: "
    named = values.get("provider")
    if named not in (None, "") and str(named).strip() != provider:
        raise BillError(f"{where}provider", f"{str(named)[:40]!r} is not {provider!r}; upload one provider at a time")
    return Record(
        place=place,
        day=day_of(values["day"].strip() if isinstance(values["day"], str) else values["day"], where),
        model=model_of(values["model"], where),
        cost=amount_of(values["cost"], where),
        requests=count_of(values.get("requests"), where, "requests"),
        input_tokens=count_of(values.get("input_tokens"), where, "input_tokens"),
        output_tokens=count_of(values.get("output_tokens"), where, "output_tokens"),
    )


def _from_pages(text: str, form: Format) -> Iterator[Record]:
    """Buckets of time with results, in one page, a list of pages, or a page a line."""
    for line, document in documents(text):
        pages = document if isinstance(document, list) else [document]
        for number, page in enumerate(pages):
            place = f"{line}: " if line else ""
            if isinstance(document, list):
                place += f"[{number}]."
            buckets = list_of(object_of(page, place or "the file").get("data"), f"{place}data")
            for index, bucket in enumerate(buckets):
                yield from _bucket(object_of(bucket, f"{place}data[{index}]"), f"{place}data[{index}]", form)


def _bucket(bucket: dict[str, Any], place: str, form: Format) -> Iterator[Record]:
    if form is Format.OPENAI:
        begin, end = (_unix(bucket.get(name), f"{place}.{name}") for name in ("start_time", "end_time"))
    else:
        begin, end = (_moment(bucket.get(name), f"{place}.{name}") for name in ("starting_at", "ending_at"))
    day = day_of_bucket(begin, end, place)
    for index, result in enumerate(list_of(bucket.get("results"), f"{place}.results")):
        where = f"{place}.results[{index}]"
        found = object_of(result, where)
        values = _openai(found, where) if form is Format.OPENAI else _anthropic(found, where)
        yield Record(place=where, day=day, **values)


def _unix(value: Any, place: str) -> datetime:
    seconds = count_of(value, f"{place.rpartition('.')[0]}.", place.rpartition(".")[2])
    if seconds is None or seconds > _MICROSECONDS_LIMIT:
        raise BillError(place, "must be a time in Unix seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _moment(value: Any, place: str) -> datetime:
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BillError(place, "must be a time such as 2026-01-31T00:00:00Z")
    return found


def _openai(result: dict[str, Any], place: str) -> dict[str, Any]:
    kind = str(result.get("object", ""))
    where = f"{place}."
    if kind == OPENAI_COSTS:
        amount = object_of(result.get("amount"), f"{where}amount")
        _check_currency(amount.get("currency"), f"{where}amount.currency")
        item = result.get("line_item")
        # A line item is the model, and behind a comma what of it is sold: "gpt-4o-2024-08-06, cached input".
        model = item.partition(",")[0].strip() if isinstance(item, str) else ""
        return {"model": model, "cost": amount_of(amount.get("value"), f"{where}amount.", "value")}
    if not kind.startswith(OPENAI_USAGE):
        raise BillError(f"{where}object", f"{kind[:60]!r} is neither a cost nor a usage")
    named = result.get("model")
    return {
        "model": model_of(named, where) if named is not None else "",
        "requests": count_of(result.get("num_model_requests"), where, "num_model_requests"),
        "input_tokens": count_of(result.get("input_tokens"), where, "input_tokens"),
        "output_tokens": count_of(result.get("output_tokens"), where, "output_tokens"),
    }


def _anthropic(result: dict[str, Any], place: str) -> dict[str, Any]:
    where = f"{place}."
    model = result.get("model")
    name = model_of(model, where) if model is not None else ""
    if "amount" in result:
        _check_currency(result.get("currency"), f"{where}currency")
        return {"model": name, "cost": amount_of(result["amount"], where, "amount") * CENTS}
    if "uncached_input_tokens" not in result:
        raise BillError(place, "is neither a cost nor a usage: it has neither amount nor uncached_input_tokens")
    made = object_of(result.get("cache_creation") or {}, f"{where}cache_creation")
    parts = [
        count_of(result.get("uncached_input_tokens"), where, "uncached_input_tokens"),
        count_of(result.get("cache_read_input_tokens"), where, "cache_read_input_tokens"),
        count_of(made.get("ephemeral_1h_input_tokens"), where, "cache_creation.ephemeral_1h_input_tokens"),
        count_of(made.get("ephemeral_5m_input_tokens"), where, "cache_creation.ephemeral_5m_input_tokens"),
    ]
    return {
        "model": name,
        "input_tokens": sum(part or 0 for part in parts),
        "output_tokens": count_of(result.get("output_tokens"), where, "output_tokens"),
    }


def _check_currency(value: Any, place: str) -> None:
    if str(value).lower() != "usd":
        raise BillError(place, f"{str(value)[:10]!r} is not USD; convert the amounts first")
