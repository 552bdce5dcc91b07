"""Values of a bill's fields, checked: days, amounts, counts. Pure; every refusal names the place and the field."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from tollway.controlplane.reconciliation.bills import MAX_DOLLARS, BillError

MAX_COUNT = 10**15
MAX_MODEL = 300
_DIGITS = 40
_FIRST, _LAST = date(2000, 1, 1), date(2200, 1, 1)


def documents(text: str) -> list[tuple[str, Any]]:
    """The JSON documents of a text with their places: one document, or one a line. Numbers with a point are Decimals.

    Raises BillError with the line.
    """
    try:
        return [("", _json(text))]
    except json.JSONDecodeError as error:
        first = text.lstrip().partition("\n")[0]
        if error.msg != "Extra data" or not first.rstrip().endswith("}"):
            raise BillError(f"line {error.lineno}", f"is not valid JSON: {error.msg}") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", _json(line)))
        except json.JSONDecodeError as error:
            raise BillError(f"line {number}", f"is not valid JSON: {error.msg}") from None
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise BillError("", "the JSON is nested too deeply") from None


def _no_constant(name: str) -> None:
    raise BillError("", f"{name} is not a number")


def day_of(value: Any, place: str) -> date:
    """A date such as 2026-01-31, or a time (its UTC day)."""
    text = value if isinstance(value, str) else ""
    try:
        if len(text) == len("2026-01-31"):
            return _sensible(date.fromisoformat(text), place)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BillError(f"{place}day", f"{_shown(value)} is not a date such as 2026-01-31") from None
    if moment.tzinfo is None:
        raise BillError(f"{place}day", f"{_shown(value)} has no time zone")
    return _sensible(_utc(moment, f"{place}day").date(), place)


def _utc(moment: datetime, place: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise BillError(place, f"{_shown(moment)} cannot be meant") from None


def day_of_bucket(begin: datetime, end: datetime, place: str) -> date:
    """The UTC day of a span of time that must lie in one day."""
    first, after = _utc(begin, place), _utc(end, place)
    if after <= first or (after - timedelta(microseconds=1)).date() != first.date():
        raise BillError(place, "must lie within one UTC day; ask for buckets of one day")
    return _sensible(first.date(), place)


def _sensible(day: date, place: str) -> date:
    if not _FIRST <= day < _LAST:
        raise BillError(f"{place}day", f"{day} cannot be meant")
    return day


def model_of(value: Any, place: str) -> str:
    """The provider's name of a model."""
    if not isinstance(value, str) or not value.strip():
        raise BillError(f"{place}model", "is missing")
    name = value.strip()
    if len(name) > MAX_MODEL or not name.isprintable():
        raise BillError(f"{place}model", f"must be printable and at most {MAX_MODEL} characters long")
    return name


def amount_of(value: Any, place: str, field: str = "cost") -> Decimal:
    """Dollars, or another unit of money; credits are negative."""
    try:
        if not isinstance(value, (str, Decimal)):
            raise InvalidOperation
        amount = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise BillError(f"{place}{field}", f"{_shown(value)} is not a decimal amount") from None
    if not amount.is_finite() or (amount and not -_DIGITS < amount.adjusted() < _DIGITS) or abs(amount) > MAX_DOLLARS:
        raise BillError(f"{place}{field}", f"{_shown(value)} is not an amount that can be meant")
    if len(amount.as_tuple().digits) > _DIGITS:
        raise BillError(f"{place}{field}", f"has more than {_DIGITS} digits")
    return amount


def count_of(value: Any, place: str, field: str) -> int | None:
    """A count; None and the empty text mean that it is not told."""
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else str(value) if isinstance(value, Decimal) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 16 or int(text) > MAX_COUNT:
        raise BillError(f"{place}{field}", f"{_shown(value)} is not a whole number")
    return int(text)


def object_of(value: Any, place: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise BillError(place.rstrip(": ."), "must be a JSON object")
    return value


def list_of(value: Any, place: str) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise BillError(place.rstrip(": ."), "must be a JSON array")
    return value


def _shown(value: Any) -> str:
    return repr(str(value)[:40])
